/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where attachments live on without us: folders below Kernel.bpffs_dir, with one file for each hook in use.
 *
 *      links/if<ifindex>-<hook>        the link (clsact has none)
 *      programs/if<ifindex>-<hook>     the fused program that is in it
 *      counters/if<ifindex>-<hook>     its counters, unless it never counted
 *      slots/if<ifindex>-<hook>        its array of further programs, if it has one (see KernelFused)
 *
 * bpffs takes no dots in names. A pin is replaced by rename(2), so that there is always one; what is about to take
 * its place waits under the same name with a "~" (see adopt.c on what a crash in between means). An ifindex counts
 * in one network namespace: services in different ones need folders of their own.
 */

#include "kernel/kernel.h"

typedef enum PinKind {
        PIN_LINK,
        PIN_PROGRAM,
        PIN_COUNTERS,
        PIN_SLOTS,
        _PIN_KIND_MAX,
        _PIN_KIND_INVALID = -EINVAL,
} PinKind;

DECLARE_STRING_TABLE(pin_kind, PinKind)

/* Makes our folders (0700), and mounts a bpffs on /sys/fs/bpf where bpffs_dir is to be there and none is mounted.
 * Cheap when all is in place. Fails with a sentence when bpffs_dir would not be on a bpffs, or is not ours alone. */
int pins_prepare(Kernel *kernel, Error *error);

/* Makes a folder in bpffs that only its owner may enter, if it does not exist. -EPERM: what is there is no folder,
 * is another user's or is open to others. */
int pins_make_dir(const char *path);

/* Path of the pin of a hook; the caller frees. */
int pins_path(const Kernel *kernel, PinKind kind, int ifindex, Hook hook, char **ret);

/* Ifindex and hook from the name of a pin; -EINVAL for other names ("~" included). */
int pins_parse_name(const char *name, int *ret_ifindex, Hook *ret_hook);

/* Pins the BPF object to path, in one step with dropping what was pinned there. The folder must exist. */
int pins_replace(int fd, const char *path);

/* The two steps apart: pins to path with "~", and moves it to path. */
int pins_stage(int fd, const char *path);
int pins_finish(const char *path);

/* Opens what is pinned at path, or with staged what waits there. -ENOENT: nothing. */
int pins_open(const char *path, bool staged);

/* Removes path and what waits there; not being there is fine. */
void pins_remove(const char *path);

/* What waits at the pins of a hook. */
void pins_remove_staged(const Kernel *kernel, int ifindex, Hook hook);

/* All pins of a hook. */
void pins_remove_hook(const Kernel *kernel, int ifindex, Hook hook);
