/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <fcntl.h>

#include "kernel/attach.h"
#include "kernel/fuse-form.h"
#include "kernel/fuse-load.h"
#include "kernel/fused.h"
#include "kernel/program.h"

void kernel_fused_free(KernelFused *fused) {
        if (!fused)
                return;
        safe_close(fused->program_fd);
        safe_close(fused->counters_fd);
        for (size_t i = 0; i < fused->n_programs; i++)
                kernel_program_unref(fused->programs[i]);
        free(fused->programs);
        free(fused);
}

static int fused_new(const FuseRequest *request, KernelFused **ret) {
        _cleanup_(kernel_fused_freep) KernelFused *fused = calloc(1, sizeof(KernelFused));

        if (!fused)
                return -ENOMEM;
        fused->hook = request->hook;
        fused->program_fd = fused->counters_fd = -EBADF;
        snprintf(fused->name, sizeof(fused->name), "%s%.*s", FUSED_NAME_PREFIX, (int) FUSED_NAME_DIGITS,
                 request->signature);
        fused->programs = calloc(request->n_slots, sizeof(KernelProgram *));
        if (!fused->programs)
                return -ENOMEM;
        for (size_t i = 0; i < request->n_slots; i++)
                fused->programs[fused->n_programs++] = kernel_program_ref(request->slots[i].program);
        *ret = TAKE_PTR(fused);
        return 0;
}

/* The counters of the attachment that the chain will replace, or new ones. */
static int open_counters(const FuseRequest *request, Error *error) {
        int fd;

        if (request->attachment && attachment_counters_fd(request->attachment) >= 0) {
                fd = fcntl(attachment_counters_fd(request->attachment), F_DUPFD_CLOEXEC, 3);
                return fd < 0 ? -errno : fd;
        }

        fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "bc_counters", sizeof(uint32_t),
                            CHAIN_SEATS_MAX * COUNTER_CELLS * sizeof(uint64_t), 1, NULL);
        if (fd < 0)
                return error_set(error, ERROR_FAILED, "The kernel gives no map for the counters of this chain: %s.",
                                 strerror(errno));
        return fd;
}

static int prepare_member(const FuseSlot *slot, SlotForm form_limit, const int *map_fds, FuseMember *ret,
                          uint32_t **ret_ids, Error *error) {
        const KernelProgram *program = slot->program;

        if (!program->member)
                return error_set(error, ERROR_FAILED,
                                 "Program %s was only taken over from an earlier run and must be loaded first.",
                                 slot->name);
        *ret_ids = calloc(program->info.n_maps + 1, sizeof(uint32_t));
        if (!*ret_ids)
                return -ENOMEM;
        for (size_t i = 0; i < program->info.n_maps; i++)
                (*ret_ids)[i] = program->info.maps[i].id;

        *ret = (FuseMember){
                .name = slot->name,
                .member = program->member,
                .map_fds = map_fds ? map_fds : program->map_fds,
                .map_ids = *ret_ids,
                .n_maps = program->info.n_maps,
                .proceed_on = slot->proceed_on,
                .seat = slot->seat,
                .verified_insns = program->info.verified_insns,
                .stack_depth = program->info.stack_depth,
        };
        ret->form = fuse_form_choose(ret, &ret->reason);
        if (ret->form < form_limit) {
                ret->form = form_limit;
                ret->reason = "it was asked for";
        }
        return 0;
}

static int describe(KernelFused *fused, const FuseLoad *load, const FuseMember *members, size_t n, FusedInfo *ret) {
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(info);

        if (bpf_prog_get_info_by_fd(fused->program_fd, &info, &size) < 0)
                return -errno;
        fused->program_id = info.id;
        for (size_t i = 0; i < BPF_TAG_SIZE; i++)
                snprintf(fused->tag + 2 * i, 3, "%02x", info.tag[i]);

        *ret = (FusedInfo){
                .program_id = info.id,
                .insns = (uint32_t) load->n_insns,
                .verified_insns = MAX2(info.verified_insns, load->stats.insns),
                .build_usec = load->build_usec,
                .load_usec = load->load_usec,
        };
        memcpy(ret->tag, fused->tag, sizeof(ret->tag));
        for (size_t i = 0; i < n; i++) {
                ret->forms[i] = members[i].form;
                ret->reasons[i] = members[i].reason;
        }
        return 0;
}

int fused_build(const FuseRequest *request, const FusedOptions *options, KernelFused **ret, FusedInfo *ret_info,
                Error *error) {
        _cleanup_(kernel_fused_freep) KernelFused *fused = NULL;
        FuseMember members[CHAIN_SLOTS_MAX] = {};
        uint32_t *ids[CHAIN_SLOTS_MAX] = {};
        FuseInput input = {
                .hook = request->hook,
                .counters = request->counters,
                .trace_fd = options->trace_fd,
                .members = members,
                .n_members = request->n_slots,
        };
        FuseLoad load;
        int r = 0;

        if (request->n_slots == 0 || request->n_slots > CHAIN_SLOTS_MAX)
                return fuse_check(&input, error);

        for (size_t i = 0; i < request->n_slots && r >= 0; i++)
                r = prepare_member(&request->slots[i], request->form_limit,
                                   options->map_fds ? options->map_fds[i] : NULL, &members[i], &ids[i], error);
        if (r >= 0)
                r = fuse_check(&input, error);
        if (r >= 0)
                r = fused_new(request, &fused);
        if (r >= 0)
                r = fused->counters_fd = input.counters_fd = open_counters(request, error);
        if (r >= 0)
                r = fuse_load(&input, members, fused->name, &load, error);
        if (r >= 0) {
                fused->program_fd = load.program_fd;
                r = describe(fused, &load, members, request->n_slots, ret_info);
        }
        for (size_t i = 0; i < request->n_slots; i++)
                free(ids[i]);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(fused);
        return 0;
}

int kernel_chain_build(_unused_ void *userdata, const FuseRequest *request, KernelFused **ret, FusedInfo *ret_info,
                       Error *error) {
        static const FusedOptions none = { .trace_fd = -EBADF };

        return fused_build(request, &none, ret, ret_info, error);
}
