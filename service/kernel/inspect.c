/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How chains stand on their hooks. Only looks: KernelOps.chain_inspect and .program_name.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel/attach.h"
#include "kernel/clsact.h"
#include "kernel/inspect.h"
#include "kernel/pins.h"
#include "kernel/uapi.h"

#define TCX_PROGRAMS_MAX 64 /* BPF_MPROG_MAX of the kernel, include/linux/bpf_mprog.h */

/* Who stands first, if it is not ours. Half a microsecond. */
static uint32_t first_before(const KernelAttachment *attachment) {
        uint32_t programs[TCX_PROGRAMS_MAX] = {}, links[TCX_PROGRAMS_MAX] = {};
        LIBBPF_OPTS(bpf_prog_query_opts, opts, .prog_ids = programs, .link_ids = links, .prog_cnt = TCX_PROGRAMS_MAX);
        int r;

        r = bpf_prog_query_opts(attachment->ifindex,
                                attachment->hook == HOOK_TC_INGRESS ? UAPI_TCX_INGRESS : UAPI_TCX_EGRESS, &opts);
        if ((r < 0 && r != -ENOSPC) || opts.prog_cnt == 0 || links[0] == attachment->link_id)
                return 0;
        /* Not if ours is not there at all: an interface of this index in another namespace has it. */
        for (size_t i = 1; i < MIN2(opts.prog_cnt, TCX_PROGRAMS_MAX); i++)
                if (links[i] == attachment->link_id)
                        return programs[0];
        return 0;
}

static uint32_t id_of(PinKind kind, int fd) {
        union {
                struct bpf_prog_info program;
                struct bpf_map_info map;
                struct bpf_link_info link;
        } info = {};
        uint32_t size;

        switch (kind) {
        case PIN_LINK:
                size = sizeof(info.link);
                return bpf_link_get_info_by_fd(fd, &info.link, &size) < 0 ? 0 : info.link.id;
        case PIN_PROGRAM:
                size = sizeof(info.program);
                return bpf_prog_get_info_by_fd(fd, &info.program, &size) < 0 ? 0 : info.program.id;
        case PIN_COUNTERS:
        case PIN_SLOTS:
                size = sizeof(info.map);
                return bpf_map_get_info_by_fd(fd, &info.map, &size) < 0 ? 0 : info.map.id;
        case _PIN_KIND_MAX:
        case _PIN_KIND_INVALID: break;
        }
        return 0;
}

static bool is_pinned(const Kernel *kernel, const KernelAttachment *attachment, PinKind kind, int fd) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int pinned = -EBADF;
        uint32_t id;

        if (fd < 0)
                return true;
        if (pins_path(kernel, kind, attachment->ifindex, attachment->hook, &path) < 0)
                return true;
        pinned = pins_open(path, false);
        if (pinned < 0)
                return pinned != -ENOENT && pinned != -ENOTDIR && pinned != -EINVAL;
        id = id_of(kind, pinned);
        return id == 0 || id == id_of(kind, fd);
}

static bool all_pinned(const Kernel *kernel, const KernelAttachment *attachment) {
        return is_pinned(kernel, attachment, PIN_LINK, attachment->link_fd) &&
               is_pinned(kernel, attachment, PIN_PROGRAM, attachment->fused->program_fd) &&
               is_pinned(kernel, attachment, PIN_COUNTERS, attachment->fused->counters_fd) &&
               is_pinned(kernel, attachment, PIN_SLOTS, attachment->fused->slots_fd);
}

int kernel_chain_inspect(void *userdata, KernelAttachment *attachment, unsigned what, ChainFacts *ret) {
        ChainFacts facts = { .pinned = true };
        uint32_t link_id;
        int r;

        if (attachment->kind == ATTACH_KIND_CLSACT) {
                if (!(what & INSPECT_FILTER)) {
                        if (!(what & INSPECT_PINS))
                                return -EAGAIN;
                        facts.ifindex = attachment->ifindex;
                        facts.program_id = attachment->fused->program_id;
                } else {
                        r = clsact_query(attachment->ifindex, attachment->hook, &facts.program_id);
                        if (r < 0 && r != -ENOENT)
                                return r;
                        facts.ifindex = r < 0 ? 0 : attachment->ifindex;
                }
        } else {
                r = attachment_read_link(attachment->link_fd, attachment->hook, &facts.ifindex, &link_id,
                                         &facts.program_id);
                if (r < 0)
                        return r;
                if (attachment->kind == ATTACH_KIND_TCX_LINK && facts.ifindex != 0)
                        facts.first_program = first_before(attachment);
        }
        facts.own = facts.program_id == attachment->fused->program_id;
        if (what & INSPECT_PINS)
                facts.pinned = all_pinned(userdata, attachment);
        *ret = facts;
        return 0;
}

int kernel_program_name(void *userdata, uint32_t program_id, char ret[16]) {
        _cleanup_close_ int fd = bpf_prog_get_fd_by_id(program_id);
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(info);
        int r;

        if (fd < 0)
                return fd;
        r = bpf_prog_get_info_by_fd(fd, &info, &size);
        if (r < 0)
                return r;
        snprintf(ret, 16, "%.15s", info.name);
        return 0;
}
