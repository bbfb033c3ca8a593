/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Chains on their hooks: the operations chain_commit .. chain_counters and attachment_free of KernelOps (see
 * model/kernel-ops.h for what they promise; `userdata` is a Kernel).
 *
 * XDP and TC chains are held by one bpf_link each, on kernels without tcx the TC ones by a cls_bpf filter
 * (kernel/clsact.h). The link, or the filter, and what is pinned (kernel/pins.h) outlive the service.
 */

#include "kernel/fused.h"

struct KernelAttachment {
        int ifindex;
        Hook hook;
        AttachKind kind;
        bool native;
        int link_fd; /* -EBADF for clsact */
        uint32_t link_id;
        KernelFused *fused; /* what is attached; after an adoption without members */
};

/* The counters map of an attachment; borrowed, valid as long as the attachment. -EBADF: an adopted attachment whose
 * counters are lost. */
int attachment_counters_fd(const KernelAttachment *attachment);

/* Reads a link: what it is on (0: its interface is gone, or somebody detached it), and its program. -EMEDIUMTYPE: it
 * is no link for this hook. */
int attachment_read_link(int link_fd, Hook hook, int *ret_ifindex, uint32_t *ret_link_id, uint32_t *ret_program_id);

void attachment_info(const KernelAttachment *attachment, AttachmentInfo *ret);

/* Is the interface there? */
bool attachment_interface_exists(int ifindex);

/* Sets the error of an item whose interface is gone; returns its errno. */
int attachment_refused_gone(ChainCommit *item);

/* Will attachment_create() make a cls_bpf filter? */
bool attachment_makes_filter(const Kernel *kernel, Hook hook);

/* Puts item->fused onto its hook, without pins. On success item->fused has moved to the new attachment. On failure
 * nothing has changed, and item->error may be set. */
int attachment_create(const Kernel *kernel, ChainCommit *item, KernelAttachment **ret);

/* Takes a chain off its hook, and its pins where they have not become those of a newer one. A link goes whatever
 * program somebody may have put into it: it is ours. The attachment itself stays, to be freed. */
void attachment_take_off(const Kernel *kernel, KernelAttachment *attachment);

int kernel_chain_commit(void *userdata, ChainCommit *items, size_t n_items);
void kernel_chain_rollback(void *userdata, ChainCommit *item);
void kernel_chain_release(void *userdata, ChainCommit *item);
int kernel_chain_adopt(void *userdata, int ifindex, Hook hook, KernelAttachment **ret, AttachmentInfo *ret_info,
                       char *ret_signature);
int kernel_chain_list(void *userdata, int **ret_ifindexes, Hook **ret_hooks, size_t *ret_n);
int kernel_chain_check(void *userdata, KernelAttachment *attachment);
void kernel_chain_detach(void *userdata, KernelAttachment *attachment);
int kernel_chain_counters(void *userdata, KernelAttachment *attachment, uint64_t ret[CHAIN_SEATS_MAX][COUNTER_CELLS]);
void kernel_attachment_free(KernelAttachment *attachment);
DEFINE_CLEANUP(KernelAttachment *, kernel_attachment_free)
