/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What all handles of the kernel layer hang off, the `userdata` of KernelOps, and the table of operations itself.
 */

#include "model/kernel-ops.h"

struct GuardPrograms;

typedef struct Kernel {
        char *bpffs_dir; /* our folder inside bpffs, absolute, without a slash at the end; may not exist yet */
        TcAttach tc_attach;
        json_object *capabilities;            /* once asked for */
        struct GuardPrograms *guard_programs; /* guard-programs.h */
} Kernel;

extern const KernelOps kernel_ops;

/* bpffs_dir: see above, copied (slashes at its end are dropped); NULL for /sys/fs/bpf/bpfchain. Touches nothing in
 * the kernel yet. -EINVAL: no absolute path. */
int kernel_new(const char *bpffs_dir, TcAttach tc_attach, Kernel **ret);
Kernel *kernel_free(Kernel *kernel); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(Kernel *, kernel_free)

/* What this kernel and host offer, found by trying and not by version; nothing that is tried has an effect on
 * packets. A JSON object; the caller owns a reference (json_object_put()). It is made once and kept:
 *
 *      "kernel": the release, "architecture", "bpffs": the folder in use,
 *      and for each of "xdp-link", "tcx", "btf", "xdp-features" and, in "program-types", "xdp", "tc", "ext",
 *      "tracing", "lsm": { "available": bool, "reason": why not }
 */
int kernel_capabilities(Kernel *kernel, json_object **ret);

/* 0, or the errno with which the kernel refuses tcx. Asks each time, which takes less than a microsecond. */
int kernel_has_tcx(void);

/* The same of tracing programs (fentry, fexit): on this kernel, for this process. */
int kernel_has_tracing(void);
