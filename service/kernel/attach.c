/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include "kernel/attach.h"
#include "kernel/clsact.h"
#include "kernel/foreign.h"
#include "kernel/interface-details.h"
#include "kernel/pins.h"
#include "kernel/uapi.h"
#include "util/log.h"

int attachment_counters_fd(const KernelAttachment *attachment) {
        return attachment->fused->counters_fd;
}

void kernel_attachment_free(KernelAttachment *attachment) {
        if (!attachment)
                return;
        if (attachment->fused)
                attachment->fused->used = false; /* packets go on in it, and pins hold what they need */
        safe_close(attachment->link_fd);
        kernel_fused_free(attachment->fused);
        free(attachment);
}

void attachment_info(const KernelAttachment *attachment, AttachmentInfo *ret) {
        *ret = (AttachmentInfo){
                .kind = attachment->kind,
                .native = attachment->native,
                .link_id = attachment->link_id,
                .program_id = attachment->fused->program_id,
        };
}

int attachment_read_link(int link_fd, Hook hook, int *ret_ifindex, uint32_t *ret_link_id, uint32_t *ret_program_id) {
        struct uapi_link_info_tcx on;
        struct bpf_link_info info = {};
        uint32_t size = sizeof(info);
        int r;

        r = bpf_link_get_info_by_fd(link_fd, &info, &size);
        if (r < 0)
                return r;

        if (hook == HOOK_XDP) {
                if (info.type != UAPI_LINK_TYPE_XDP)
                        return -EMEDIUMTYPE;
        } else {
                memcpy(&on, &info.xdp, sizeof(on));
                if (info.type != UAPI_LINK_TYPE_TCX ||
                    on.attach_type != (hook == HOOK_TC_INGRESS ? UAPI_TCX_INGRESS : UAPI_TCX_EGRESS))
                        return -EMEDIUMTYPE;
        }

        *ret_ifindex = (int) info.xdp.ifindex;
        *ret_link_id = info.id;
        *ret_program_id = info.prog_id;
        return 0;
}

bool attachment_interface_exists(int ifindex) {
        char name[IF_NAMESIZE];

        return if_indextoname(ifindex, name) || errno != ENXIO;
}

int attachment_refused_gone(ChainCommit *item) {
        return error_set(&item->error, ERROR_NO_SUCH_INTERFACE,
                         "Interface %s (index %d) is gone; its chain waits until it comes back.", item->interface,
                         item->ifindex);
}

static int refused_busy(ChainCommit *item) {
        _cleanup_free_ char *who = NULL, *remedy = NULL;

        if (foreign_xdp_holder(item->ifindex, item->interface, &who, &remedy) < 0)
                return error_set(&item->error, ERROR_HOOK_BUSY,
                                 "The kernel takes no XDP program on %s because an interface above or below it (a "
                                 "bond or one of its ports) has one. Take that one off, or put the chain there.",
                                 item->interface);
        return error_set(
                &item->error, ERROR_HOOK_BUSY,
                "The XDP hook of %s is held by %s, which bpfchain did not put there and leaves alone. Take it "
                "off (%s), or make it a program of the chain.",
                item->interface, who, remedy);
}

/* What an errno of a driver mostly means, where the kernel gives no text (links have no extended acknowledgement). */
static const char *native_hint(int r) {
        switch (r) {
        case -EOPNOTSUPP:
        case -524: /* ENOTSUPP, which leaves the kernel here and there */
                return "the driver does not offer it, or not with the present settings (LRO, MTU)";
        case -EINVAL:
        case -ERANGE:
        case -E2BIG:
        case -EMSGSIZE: return "mostly the MTU is too large for programs that take no fragments";
        case -ENOMEM:
        case -ENOSPC: return "mostly the interface has too few queues";
        default: return "the driver refused";
        }
}

static int create_xdp_link(const ChainCommit *item, bool native) {
        LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);

        return bpf_link_create(item->fused->program_fd, item->ifindex, BPF_XDP, &opts);
}

/* Errors that the other mode would get as well. */
static int refused_in_any_mode(ChainCommit *item, int r) {
        if (r == -EBUSY || r == -EEXIST)
                return refused_busy(item);
        if (r == -ENODEV || (r == -EINVAL && !attachment_interface_exists(item->ifindex)))
                return attachment_refused_gone(item);
        if (r == -EPERM)
                return error_set(
                        &item->error, ERROR_FAILED,
                        "The kernel does not let bpfchain attach XDP programs (%s): CAP_NET_ADMIN and CAP_BPF "
                        "are needed, and a security module may forbid it.",
                        strerror(EPERM));
        return 0;
}

/* `native_result`: of the attempt in native mode, 0 where it was not wanted. */
static int refused_bound(ChainCommit *item, const char *driver, int native_result) {
        if (native_result == 0)
                return error_set(&item->error, ERROR_NOT_SUPPORTED,
                                 "A program of this XDP chain asks the driver about packets, which works in native "
                                 "mode only. Use mode \"best\" or \"native\" on %s, or take it out of the chain.",
                                 item->interface);
        return error_set(
                &item->error, ERROR_NOT_SUPPORTED,
                "A program of this XDP chain asks the driver about packets, which works in native mode only, and "
                "%s (driver %s) can't run the chain so: %s (%s). Take the program out of the chain.",
                item->interface, strempty_to(driver, "unknown"), strerror(-native_result),
                native_hint(native_result));
}

static int attach_xdp(ChainCommit *item, KernelAttachment *attachment) {
        char driver[32] = "";
        int fd, native_result = 0, r;

        if (item->mode != ATTACH_MODE_GENERIC) {
                fd = create_xdp_link(item, true);
                if (fd >= 0) {
                        attachment->link_fd = fd;
                        attachment->native = true;
                        return 0;
                }
                r = refused_in_any_mode(item, fd);
                if (r < 0)
                        return r;
                native_result = fd;
                (void) interface_driver(item->interface, driver);
                if (item->mode == ATTACH_MODE_NATIVE)
                        return error_set(&item->error, ERROR_NOT_SUPPORTED,
                                         "%s (driver %s) can't run this XDP chain in native mode: %s (%s). Use mode "
                                         "\"best\" or \"generic\".",
                                         item->interface, strempty_to(driver, "unknown"), strerror(-fd),
                                         native_hint(fd));
        }

        if (item->fused->bound)
                return refused_bound(item, driver, native_result);
        fd = create_xdp_link(item, false);
        if (fd >= 0) {
                attachment->link_fd = fd;
                if (native_result < 0)
                        log_info("%s (driver %s) runs its XDP chain in generic mode: native gave %s (%s)",
                                 item->interface, strempty_to(driver, "unknown"), strerror(-native_result),
                                 native_hint(native_result));
                return 0;
        }
        r = refused_in_any_mode(item, fd);
        if (r < 0)
                return r;
        if (native_result < 0)
                return error_set(&item->error, ERROR_NOT_SUPPORTED,
                                 "%s (driver %s) takes no XDP chain: native mode gave %s (%s), generic mode %s.",
                                 item->interface, strempty_to(driver, "unknown"), strerror(-native_result),
                                 native_hint(native_result), strerror(-fd));
        return error_set(&item->error, ERROR_NOT_SUPPORTED, "%s takes no XDP chain in generic mode: %s.",
                         item->interface, strerror(-fd));
}

static int attach_clsact(ChainCommit *item, KernelAttachment *attachment) {
        uint32_t id;
        int r;

        r = clsact_attach(item->ifindex, item->hook, item->fused->program_fd);
        if (r >= 0)
                return 0;

        if (!attachment_interface_exists(item->ifindex))
                return attachment_refused_gone(item);
        if (r == -EEXIST && clsact_query(item->ifindex, item->hook, &id) >= 0) {
                _cleanup_free_ char *who = foreign_describe_program(id);

                return error_set(&item->error, ERROR_HOOK_BUSY,
                                 "The clsact filter at priority %d, handle 0x%x on %s of %s, which bpfchain uses, is "
                                 "taken by %s. Remove it (tc filter del dev %s %s pref %d handle 0x%x bpf).",
                                 CLSACT_PRIORITY, CLSACT_HANDLE, hook_to_string(item->hook), item->interface,
                                 strna(who), item->interface, item->hook == HOOK_TC_INGRESS ? "ingress" : "egress",
                                 CLSACT_PRIORITY, CLSACT_HANDLE);
        }
        if (r == -EEXIST || r == -EINVAL)
                return error_set(&item->error, ERROR_HOOK_BUSY,
                                 "The kernel takes no filter at priority %d of clsact on %s: %s. Another qdisc in "
                                 "place of clsact, or a filter of another kind at this priority, is in the way; see "
                                 "\"tc qdisc show dev %s\" and \"tc filter show dev %s %s\".",
                                 CLSACT_PRIORITY, item->interface, strerror(-r), item->interface, item->interface,
                                 item->hook == HOOK_TC_INGRESS ? "ingress" : "egress");
        return error_set(&item->error, ERROR_NOT_SUPPORTED, "The kernel takes no clsact filter on %s: %s.",
                         item->interface, strerror(-r));
}

bool attachment_makes_filter(const Kernel *kernel, Hook hook) {
        return hook_is_tc(hook) && (kernel->tc_attach == TC_ATTACH_CLSACT ||
                                    (kernel->tc_attach != TC_ATTACH_TCX && kernel_has_tcx() < 0));
}

static int attach_tc(const Kernel *kernel, ChainCommit *item, KernelAttachment *attachment) {
        LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = UAPI_F_BEFORE);
        int fd;

        if (!attachment_makes_filter(kernel, item->hook)) {
                fd = bpf_link_create(item->fused->program_fd, item->ifindex,
                                     item->hook == HOOK_TC_INGRESS ? UAPI_TCX_INGRESS : UAPI_TCX_EGRESS, &opts);
                if (fd >= 0) {
                        attachment->link_fd = fd;
                        attachment->kind = ATTACH_KIND_TCX_LINK;
                        return 0;
                }
                if (!attachment_interface_exists(item->ifindex))
                        return attachment_refused_gone(item);
                return error_set(&item->error, ERROR_NOT_SUPPORTED, "The kernel takes no tcx link on %s of %s: %s.",
                                 hook_to_string(item->hook), item->interface, strerror(-fd));
        }

        attachment->kind = ATTACH_KIND_CLSACT;
        return attach_clsact(item, attachment);
}

static bool pin_is_ours(const Kernel *kernel, const KernelAttachment *attachment) {
        PinKind kind = attachment->kind == ATTACH_KIND_CLSACT ? PIN_PROGRAM : PIN_LINK;
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;

        if (pins_path(kernel, kind, attachment->ifindex, attachment->hook, &path) < 0)
                return false;
        fd = pins_open(path, false);
        if (fd < 0)
                return fd == -ENOENT; /* nothing there that could be another's */

        if (kind == PIN_LINK) {
                struct bpf_link_info info = {};
                uint32_t size = sizeof(info);

                return bpf_link_get_info_by_fd(fd, &info, &size) >= 0 && info.id == attachment->link_id;
        } else {
                struct bpf_prog_info info = {};
                uint32_t size = sizeof(info);

                return bpf_prog_get_info_by_fd(fd, &info, &size) >= 0 && info.id == attachment->fused->program_id;
        }
}

static void detach_link(KernelAttachment *attachment) {
        int r = bpf_link_detach(attachment->link_fd);

        if (r < 0 && r != -ENOLINK)
                log_warning("Detaching link %u failed: %s", attachment->link_id, strerror(-r));
        attachment->link_fd = safe_close(attachment->link_fd);
}

static void detach_filter(const KernelAttachment *attachment) {
        int r;

        r = clsact_detach(attachment->ifindex, attachment->hook, attachment->fused->program_id);
        if (r == -ESTALE)
                log_warning("Another program is in our filter on %s of interface %d; it stays",
                            hook_to_string(attachment->hook), attachment->ifindex);
        else if (r < 0 && r != -ENOENT)
                log_warning("Removing our filter on %s of interface %d failed: %s", hook_to_string(attachment->hook),
                            attachment->ifindex, strerror(-r));
}

/* The pins go last: should the service die in between, the next one finds them, and a filter has its array of
 * programs as long as packets come to it. */
void attachment_take_off(const Kernel *kernel, KernelAttachment *attachment) {
        bool ours = pin_is_ours(kernel, attachment);

        if (attachment->kind == ATTACH_KIND_CLSACT)
                detach_filter(attachment);
        else
                detach_link(attachment);
        if (ours)
                pins_remove_hook(kernel, attachment->ifindex, attachment->hook);
}

int attachment_create(const Kernel *kernel, ChainCommit *item, KernelAttachment **ret) {
        _cleanup_free_ KernelAttachment *attachment = NULL;
        int ifindex, r;
        uint32_t id;

        attachment = malloc(sizeof(*attachment));
        if (!attachment)
                return -ENOMEM;
        *attachment = (KernelAttachment){
                .ifindex = item->ifindex,
                .hook = item->hook,
                .kind = ATTACH_KIND_XDP_LINK,
                .link_fd = -EBADF,
        };

        r = item->hook == HOOK_XDP ? attach_xdp(item, attachment) : attach_tc(kernel, item, attachment);
        if (r < 0)
                return r;
        if (attachment->link_fd >= 0) {
                r = attachment_read_link(attachment->link_fd, item->hook, &ifindex, &attachment->link_id, &id);
                if (r < 0) {
                        /* Nothing but this descriptor holds the link. */
                        safe_close(attachment->link_fd);
                        return r;
                }
        }

        attachment->fused = TAKE_PTR(item->fused);
        attachment->fused->used = true;
        *ret = TAKE_PTR(attachment);
        return 0;
}

int kernel_chain_check(void *userdata, KernelAttachment *attachment) {
        uint32_t link_id, id;
        int ifindex = attachment->ifindex, r;

        if (attachment->kind == ATTACH_KIND_CLSACT)
                r = clsact_query(attachment->ifindex, attachment->hook, &id);
        else
                r = attachment_read_link(attachment->link_fd, attachment->hook, &ifindex, &link_id, &id);
        if (r < 0)
                return r;
        if (ifindex == 0)
                return -ENOENT;
        return id == attachment->fused->program_id ? 0 : -ESTALE;
}

void kernel_chain_detach(void *userdata, KernelAttachment *attachment) {
        attachment_take_off(userdata, attachment);
        kernel_fused_free(TAKE_PTR(attachment->fused));
        kernel_attachment_free(attachment);
}

int kernel_chain_counters(void *userdata, KernelAttachment *attachment,
                          uint64_t ret[CHAIN_SEATS_MAX][COUNTER_CELLS]) {
        const size_t n = CHAIN_SEATS_MAX * COUNTER_CELLS;
        int fd = attachment_counters_fd(attachment), cpus = libbpf_num_possible_cpus(), r;
        _cleanup_free_ uint64_t *values = NULL;
        uint64_t *sums = &ret[0][0];
        uint32_t key = 0;

        if (fd < 0)
                return -ENODATA;
        if (cpus < 0)
                return cpus;
        values = calloc(cpus, n * sizeof(*values));
        if (!values)
                return -ENOMEM;
        r = bpf_map_lookup_elem(fd, &key, values);
        if (r < 0)
                return r;

        memset(sums, 0, n * sizeof(*sums));
        for (int cpu = 0; cpu < cpus; cpu++)
                for (size_t i = 0; i < n; i++)
                        sums[i] += values[cpu * n + i];
        return 0;
}
