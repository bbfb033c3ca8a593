/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A fused chain program as the kernel has verified it. chain_build() makes one; who attaches it takes program_fd
 * for the link (or filter) and pins program and counters. Everything in the struct belongs to it: users of it
 * borrow, and duplicate a descriptor (F_DUPFD_CLOEXEC) that must outlive it. fused_free() closes the descriptors;
 * a program that is attached or pinned, and a counters map that it uses, live on in the kernel. Where packets may
 * still need the array of programs, it waits for them before, some 20 ms at most.
 *
 * The struct may be moved between owners (ChainCommit.fused, .undo, an attachment) but not copied.
 */

#include <linux/bpf.h>

#include "kernel/kernel.h"

/* A fused program's name is this and the first FUSED_NAME_DIGITS digits of the signature. */
#define FUSED_NAME_PREFIX "bc_"
#define FUSED_NAME_DIGITS (BPF_OBJ_NAME_LEN - sizeof(FUSED_NAME_PREFIX))

struct KernelFused {
        Hook hook;
        int program_fd;      /* >= 0, owned */
        uint32_t program_id; /* the kernel's id of it */
        char name[BPF_OBJ_NAME_LEN];
        char tag[17];
        int counters_fd; /* >= 0, owned: per-CPU array, 1 entry, u64[CHAIN_SEATS_MAX][COUNTER_CELLS]. The same map
                          * as the attachment's where the request named one, else a new one with its own descriptor.
                          * -EBADF: nothing was ever counted, or an adopted attachment lost them. */
        int slots_fd;    /* owned: array of the programs in slots and of further segments, -EBADF: there are none. The
                          * kernel empties it when the last descriptor and pin of it are gone, so it must be kept while
                          * packets may be in the program. */
        bool bound;      /* to its interface, since it asks the driver about packets */
        bool used;       /* it is or was on a hook, so that packets may be in it */
        KernelProgram **programs; /* references: they keep the members' maps open (and prog_arrays filled) */
        size_t n_programs;
};

/* What a simulation asks of the same builder. */
typedef struct FusedOptions {
        const int *const *map_fds; /* by slot, by index of map: in place of the program's own; NULL: its own */
        int trace_fd;              /* see FuseTrace; -EBADF: none */
} FusedOptions;

/* Builds a chain as kernel_chain_build() does (which is this without options). */
int fused_build(const FuseRequest *request, const FusedOptions *options, KernelFused **ret, FusedInfo *ret_info,
                Error *error);

/* KernelOps.chain_build and .fused_free; `userdata` is a Kernel. */
int kernel_chain_build(void *userdata, const FuseRequest *request, KernelFused **ret, FusedInfo *ret_info,
                       Error *error);
void kernel_fused_free(KernelFused *fused);
DEFINE_CLEANUP(KernelFused *, kernel_fused_free)
