/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Builds one program out of the members of a chain. Pure: instructions and types in, instructions and types out;
 * descriptors are only numbers here, nothing is asked of the kernel.
 *
 *   root              counters of this CPU, then a slot for each member
 *     call counters
 *     member 0        inlined or called; count the verdict; end with it, or go on where the proceed-on set has it
 *     member 1
 *     …
 *   counters          looks up the chain's counters; has the key on its own stack
 *   rest of member 0  the author's program as it was captured: its subprograms if it is inlined, else all of it
 *   rest of member 1
 *   …
 *
 * An inlined member is its main function, copied into the root: exits become jumps to its end. It finds all registers
 * and, below r10, as much stack as it had alone; what the root keeps (context, counters) lies deeper.
 *
 * A called member is one function to the verifier, either global, verified once and by itself as it was when it was
 * loaded alone, or static, verified as a part of the root. What it is called with we declare ourselves (a pointer
 * to the context of the hook), whatever its author called the type.
 *
 * A root that only calls keeps context and counters in r6 and r7 and has no stack of its own. That matters: the
 * kernel allows 512 bytes for all frames of a path of calls together, and a member may use all of them by itself.
 */

#include "kernel/member.h"
#include "model/kernel-ops.h"

typedef struct FuseMember {
        const char *name; /* the administrator's, for line information and messages */
        const Member *member;
        const int *map_fds; /* by index of map */
        const uint32_t *map_ids;
        size_t n_maps;
        uint32_t proceed_on;
        unsigned seat;
        SlotForm form;           /* any but none; see fuse-form.h */
        const char *reason;      /* why it is not inlined, static; or NULL */
        uint32_t verified_insns; /* what the verifier said of it alone, for messages; 0 where it did not */
        uint32_t stack_depth;
} FuseMember;

/* What a simulation gets to see of each slot: an array with one such value a slot, BPF_F_MMAPABLE. */
typedef struct FuseTrace {
        uint32_t seen;      /* 1: the packet came by; the reader sets it back */
        int32_t verdict;    /* what the member returned */
        uint32_t size;      /* bytes that the packet has behind the member */
        uint32_t mark;      /* TC: skb->mark */
        uint8_t data[4096]; /* as much of it as fits; multiple of 8 */
} FuseTrace;

typedef struct FuseInput {
        Hook hook;
        CounterLevel counters;
        int counters_fd; /* -EBADF where nothing is counted */
        int trace_fd;    /* array of FuseTrace for simulations, -EBADF otherwise */
        const FuseMember *members;
        size_t n_members;
} FuseInput;

/* Where the instructions of one member are in the whole, ends exclusive: its main function, in the root where it was
 * inlined, and the subprograms behind it. */
typedef struct FuseSpan {
        size_t start;
        size_t end;
        size_t subprograms;
        size_t subprograms_end;
} FuseSpan;

static inline bool fuse_span_has(const FuseSpan *span, size_t insn) {
        return (insn >= span->start && insn < span->end) ||
               (insn >= span->subprograms && insn < span->subprograms_end);
}

typedef struct FuseOutput {
        struct bpf_insn *insns;
        size_t n_insns;
        struct btf *btf; /* not in the kernel yet */
        struct bpf_func_info *func_info;
        size_t n_func_info;
        struct bpf_line_info *line_info;
        size_t n_line_info;
        int *fd_array; /* for calls of functions of kernel modules; borrowed descriptors */
        size_t n_fd_array;
        FuseSpan spans[CHAIN_SLOTS_MAX];
} FuseOutput;

void fuse_output_done(FuseOutput *output);

/* Limits of the kernel that a chain may run into, checked before anything is built. include/linux/bpf.h,
 * include/linux/bpf_verifier.h and kernel/bpf/verifier.c say where they come from. */
#define FUSE_MAPS_MAX        64      /* MAX_USED_MAPS, the chain's counters included */
#define FUSE_SUBPROGRAMS_MAX 256     /* BPF_MAX_SUBPROGS, root and counters included */
#define FUSE_TAIL_CALLS_MAX  33      /* MAX_TAIL_CALL_CNT, per packet; the next one is silently skipped */
#define FUSE_MODULES_MAX     255     /* MAX_KFUNC_BTFS less the kernel's own */
#define FUSE_INSNS_MAX       1000000 /* BPF_COMPLEXITY_LIMIT_INSNS */

/* Errors: LimitExceeded with figure and limit, Incompatible, NotSupported. */
int fuse_check(const FuseInput *input, Error *error);

/* Builds. The input must have passed fuse_check(). */
int fuse_build(const FuseInput *input, FuseOutput *ret);
