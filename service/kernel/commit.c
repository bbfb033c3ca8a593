/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <bpf/bpf.h>
#include <net/if.h>

#include "kernel/attach.h"
#include "kernel/clsact.h"
#include "kernel/foreign.h"
#include "kernel/inspect.h"
#include "kernel/pins.h"
#include "util/log.h"

/*
 * Putting chains into effect and undoing it, one after the other.
 *
 * An exchange on XDP takes the kernel 8 to 16 ms, one on tcx less than 0.1. The time goes into a grace period of RCU
 * that the dispatcher of XDP programs (kernel/bpf/dispatcher.c) waits for, under one lock for the whole machine, and
 * as long as no more than 48 programs are attached: measured, 16 exchanges take as long by threads as in turn.
 */

/* Pins all that an attachment with this program needs to be found again, under names to be taken over by
 * finish_pins(). The link is pinned anew each time: should its pin be lost, the next change brings it back. */
static int stage_pins(const Kernel *kernel, int ifindex, Hook hook, int link_fd, const KernelFused *fused) {
        const struct {
                PinKind kind;
                int fd;
        } objects[] = {
                { PIN_COUNTERS, fused->counters_fd },
                { PIN_SLOTS, fused->slots_fd },
                { PIN_PROGRAM, fused->program_fd },
                { PIN_LINK, link_fd },
        };

        for (size_t i = 0; i < ELEMENTSOF(objects); i++) {
                _cleanup_free_ char *path = NULL;
                int r;

                if (objects[i].fd < 0)
                        continue;
                r = pins_path(kernel, objects[i].kind, ifindex, hook, &path);
                if (r >= 0)
                        r = pins_stage(objects[i].fd, path);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The program comes last but for the link: which of two pinned programs is attached tells an adoption whether a crash
 * came before or after the exchange. */
static int finish_pins(const Kernel *kernel, const KernelAttachment *attachment, const KernelFused *fused) {
        static const PinKind order[] = { PIN_COUNTERS, PIN_SLOTS, PIN_PROGRAM, PIN_LINK };

        for (size_t i = 0; i < ELEMENTSOF(order); i++) {
                _cleanup_free_ char *path = NULL;
                int r;

                r = pins_path(kernel, order[i], attachment->ifindex, attachment->hook, &path);
                if (r >= 0)
                        r = pins_finish(path);
                if (r < 0 && !(r == -ENOENT && order[i] != PIN_PROGRAM))
                        return r;
                if (order[i] == PIN_SLOTS && fused->slots_fd < 0)
                        pins_remove(path);
        }
        return 0;
}

static int pin_all(const Kernel *kernel, const KernelAttachment *attachment, const KernelFused *fused) {
        int r;

        r = stage_pins(kernel, attachment->ifindex, attachment->hook, attachment->link_fd, fused);
        if (r < 0)
                return r;
        return finish_pins(kernel, attachment, fused);
}

static int refused_pin(const Kernel *kernel, ChainCommit *item, int r) {
        return error_set(&item->error, ERROR_FAILED, "The %s chain of %s can't be pinned in %s: %s.",
                         hook_to_string(item->hook), item->interface, kernel->bpffs_dir, strerror(-r));
}

static int commit_new(const Kernel *kernel, ChainCommit *item) {
        KernelAttachment *attachment;
        int r;

        /* A filter stays when the service dies, a link that is not pinned goes. */
        if (attachment_makes_filter(kernel, item->hook)) {
                r = stage_pins(kernel, item->ifindex, item->hook, -EBADF, item->fused);
                if (r < 0)
                        return refused_pin(kernel, item, r);
        }
        r = attachment_create(kernel, item, &attachment);
        if (r < 0) {
                pins_remove_staged(kernel, item->ifindex, item->hook);
                return r;
        }

        r = attachment->link_fd < 0 ? finish_pins(kernel, attachment, attachment->fused)
                                    : pin_all(kernel, attachment, attachment->fused);
        if (r < 0) {
                r = refused_pin(kernel, item, r);
                attachment_take_off(kernel, attachment);
                item->fused = TAKE_PTR(attachment->fused);
                kernel_attachment_free(attachment);
                return r;
        }

        item->attachment = attachment;
        item->created = true;
        return 0;
}

static int exchange_program(const KernelAttachment *attachment, const KernelFused *old, const KernelFused *new) {
        LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE, .old_prog_fd = old->program_fd);

        if (attachment->kind == ATTACH_KIND_CLSACT)
                return clsact_replace(attachment->ifindex, attachment->hook, new->program_fd, old->program_id);
        return bpf_link_update(attachment->link_fd, new->program_fd, &opts);
}

/* The kernel says EPERM when another program than the expected one is in the link. The link is ours, so that whoever
 * put it there (BPF_LINK_UPDATE by id or by pin) did so knowingly in our place: the chain comes back. A filter can
 * have been made anew by somebody else at our handle, so that one is left to him. */
static int exchange_or_restore(const ChainCommit *item) {
        const KernelAttachment *attachment = item->attachment;
        uint32_t link_id, id;
        int ifindex, r;

        r = exchange_program(attachment, attachment->fused, item->fused);
        if (r != -EPERM || attachment->kind == ATTACH_KIND_CLSACT ||
            attachment_read_link(attachment->link_fd, attachment->hook, &ifindex, &link_id, &id) < 0 ||
            id == attachment->fused->program_id)
                return r;

        r = bpf_link_update(attachment->link_fd, item->fused->program_fd, NULL);
        if (r >= 0) {
                _cleanup_free_ char *who = foreign_describe_program(id);

                log_warning("Somebody had put %s into link %u, which is bpfchain's, in the place of the %s chain of "
                            "%s; the chain is back",
                            strna(who), link_id, hook_to_string(item->hook), item->interface);
        }
        return r;
}

/* What stands in the way of an exchange: the same checks that chain_check() makes, as a sentence. */
static int refused_exchange(ChainCommit *item, int r) {
        const KernelAttachment *attachment = item->attachment;
        int ifindex, k;
        uint32_t link_id, id = 0;

        if (attachment->kind == ATTACH_KIND_CLSACT) {
                k = clsact_query(attachment->ifindex, attachment->hook, &id);
                ifindex = k < 0 ? 0 : attachment->ifindex;
        } else
                k = attachment_read_link(attachment->link_fd, attachment->hook, &ifindex, &link_id, &id);

        if (!attachment_interface_exists(item->ifindex))
                return attachment_refused_gone(item);
        if (k == -ENOENT || (k >= 0 && ifindex == 0))
                return error_set(&item->error, ERROR_FAILED,
                                 "The %s chain of %s was taken off its hook by somebody else. Detach it, so that it "
                                 "can be attached anew.",
                                 hook_to_string(item->hook), item->interface);
        if (k >= 0 && attachment->kind == ATTACH_KIND_CLSACT && id != attachment->fused->program_id) {
                _cleanup_free_ char *who = foreign_describe_program(id);

                return error_set(
                        &item->error, ERROR_HOOK_BUSY,
                        "Somebody put %s in the place of the %s chain of %s, at priority %d and handle 0x%x of "
                        "clsact. Remove it (tc filter del dev %s %s pref %d handle 0x%x bpf).",
                        strna(who), hook_to_string(item->hook), item->interface, CLSACT_PRIORITY, CLSACT_HANDLE,
                        item->interface, item->hook == HOOK_TC_INGRESS ? "ingress" : "egress", CLSACT_PRIORITY,
                        CLSACT_HANDLE);
        }
        /* What drivers say, without a text, to a program that takes no fragments. */
        if (item->hook == HOOK_XDP && attachment->native && (r == -ERANGE || r == -E2BIG || r == -EMSGSIZE))
                return error_set(&item->error, ERROR_NOT_SUPPORTED,
                                 "%s can't run the new chain in native mode: %s. Mostly its MTU is too large for "
                                 "programs that take no fragments: use programs for SEC(\"xdp.frags\") only, lower "
                                 "the MTU, or ask for mode \"generic\".",
                                 item->interface, strerror(-r));
        return error_set(&item->error, ERROR_FAILED, "Exchanging the %s chain of %s failed: %s.",
                         hook_to_string(item->hook), item->interface, strerror(-r));
}

static int check_mode(ChainCommit *item) {
        const KernelAttachment *attachment = item->attachment;

        if (attachment->hook != HOOK_XDP || item->mode == ATTACH_MODE_BEST ||
            attachment->native == (item->mode == ATTACH_MODE_NATIVE))
                return 0;
        return error_set(
                &item->error, ERROR_NOT_SUPPORTED,
                "The XDP chain of %s runs in %s mode, and the kernel can't take it to %s mode without a gap. "
                "Detach the chain first, if packets may pass without it for a moment.",
                item->interface, attachment->native ? "native" : "generic", attach_mode_to_string(item->mode));
}

/* A program that asks the driver about packets must get the driver's: the kernel sees to that when a link is made,
 * but not when the program in it is exchanged. */
static int check_bound(ChainCommit *item) {
        if (!item->fused->bound || item->attachment->native)
                return 0;
        return error_set(
                &item->error, ERROR_NOT_SUPPORTED,
                "A program of the new XDP chain of %s asks the driver about packets, which works in native mode "
                "only, and the present one runs in generic mode. Detach the chain first, if packets may pass "
                "without it for a moment, and attach it in mode \"native\".",
                item->interface);
}

static int commit_exchange(const Kernel *kernel, ChainCommit *item) {
        KernelAttachment *attachment = item->attachment;
        int r;

        assert(attachment->ifindex == item->ifindex && attachment->hook == item->hook);
        r = check_mode(item);
        if (r >= 0)
                r = check_bound(item);
        if (r < 0)
                return r;

        r = stage_pins(kernel, attachment->ifindex, attachment->hook, attachment->link_fd, item->fused);
        if (r >= 0) {
                item->fused->used = true;
                r = exchange_or_restore(item);
                if (r < 0) {
                        r = refused_exchange(item, r);
                        (void) pin_all(kernel, attachment, attachment->fused);
                        return r;
                }
                r = finish_pins(kernel, attachment, item->fused);
                if (r < 0 && exchange_program(attachment, item->fused, attachment->fused) < 0)
                        log_error("The %s chain of %s is exchanged, but neither pinned nor changed back",
                                  hook_to_string(item->hook), item->interface);
        }
        if (r < 0) {
                (void) pin_all(kernel, attachment, attachment->fused);
                return refused_pin(kernel, item, r);
        }

        item->undo = attachment->fused;
        attachment->fused = TAKE_PTR(item->fused);
        return 0;
}

static void commit_one(const Kernel *kernel, ChainCommit *item) {
        int r;

        item->undo = NULL;
        item->created = false;
        r = item->attachment ? commit_exchange(kernel, item) : commit_new(kernel, item);
        if (r >= 0)
                attachment_info(item->attachment, &item->info);
        item->result = MIN2(r, 0);
}

/* Nothing can be committed: each item gets the reason. */
static int refuse_all(ChainCommit *items, size_t n_items, int r, const Error *error) {
        for (size_t i = 0; i < n_items; i++) {
                items[i].undo = NULL;
                items[i].created = false;
                items[i].result = r;
                if (error_is_set(error))
                        (void) error_set(&items[i].error, error->code, "%s", error->message);
        }
        return r;
}

int kernel_chain_commit(void *userdata, ChainCommit *items, size_t n_items) {
        _cleanup_error_ Error error = ERROR_INIT;
        Kernel *kernel = userdata;
        int r, result = 0;

        if (n_items == 0)
                return 0;
        r = pins_prepare(kernel, &error);
        if (r < 0)
                return refuse_all(items, n_items, r, &error);

        for (size_t i = 0; i < n_items; i++) {
                commit_one(kernel, &items[i]);
                if (items[i].result < 0 && result >= 0)
                        result = items[i].result;
        }
        return result;
}

void kernel_chain_rollback(void *userdata, ChainCommit *item) {
        const Kernel *kernel = userdata;
        KernelAttachment *attachment = item->attachment;
        int r;

        if (item->result < 0 || !attachment)
                return;

        if (item->created) {
                attachment_take_off(kernel, attachment);
                item->fused = TAKE_PTR(attachment->fused);
                kernel_attachment_free(attachment);
                item->attachment = NULL;
                item->created = false;
                return;
        }
        if (!item->undo)
                return;

        r = exchange_program(attachment, attachment->fused, item->undo);
        if (r < 0)
                log_error("The %s chain of %s could not be changed back: %s", hook_to_string(item->hook),
                          item->interface, strerror(-r));
        else
                r = pin_all(kernel, attachment, item->undo);
        if (r < 0)
                log_error("The pins of the %s chain of %s could not be changed back: %s", hook_to_string(item->hook),
                          item->interface, strerror(-r));
        item->fused = attachment->fused;
        attachment->fused = TAKE_PTR(item->undo);
        attachment_info(attachment, &item->info);
}

void kernel_chain_release(void *userdata, ChainCommit *item) {
        kernel_fused_free(item->undo);
        item->undo = NULL;
}

int kernel_chain_repin(void *userdata, KernelAttachment *attachment, Error *error) {
        Kernel *kernel = userdata;
        int r;

        r = pins_prepare(kernel, error);
        if (r < 0)
                return r;
        r = pin_all(kernel, attachment, attachment->fused);
        if (r < 0)
                return error_set(error, ERROR_FAILED, "It can't be pinned in %s: %s.", kernel->bpffs_dir,
                                 strerror(-r));
        return 0;
}
