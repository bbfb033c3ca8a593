/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <fcntl.h>

#include "kernel/attach.h"
#include "kernel/fuse-form.h"
#include "kernel/fuse-load.h"
#include "kernel/fuse-plan.h"
#include "kernel/program.h"
#include "kernel/uapi.h"

/* A chain that is being built: from programs to members, from members to segments, from segments to one program that
 * can be attached, with an array of the others. */
typedef struct Build {
        const FuseRequest *request;
        const FusedOptions *options;
        KernelFused *fused;
        FuseMember members[CHAIN_SLOTS_MAX];
        uint32_t *map_ids[CHAIN_SLOTS_MAX];
        bool in_array[CHAIN_SLOTS_MAX];
        FuseInput chain;
        FusePlan plan;
        FuseLoad load;
        int carry_fd;
} Build;

static void build_done(Build *build) {
        for (size_t i = 0; i < CHAIN_SLOTS_MAX; i++)
                free(build->map_ids[i]);
        safe_close(build->load.program_fd);
        safe_close(build->carry_fd);
        kernel_fused_free(build->fused);
}

static int fused_new(const FuseRequest *request, KernelFused **ret) {
        _cleanup_(kernel_fused_freep) KernelFused *fused = calloc(1, sizeof(KernelFused));

        if (!fused)
                return -ENOMEM;
        fused->hook = request->hook;
        fused->program_fd = fused->counters_fd = fused->slots_fd = -EBADF;
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

/* The counters of the attachment that the chain will replace, whether they are to go on or only to stay, or new ones
 * where it counts. */
static int open_counters(const FuseRequest *request, Error *error) {
        int fd;

        if (request->attachment && attachment_counters_fd(request->attachment) >= 0) {
                fd = fcntl(attachment_counters_fd(request->attachment), F_DUPFD_CLOEXEC, 3);
                return fd < 0 ? -errno : fd;
        }
        if (request->counters == COUNTER_LEVEL_OFF)
                return -EBADF;

        fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "bc_counters", sizeof(uint32_t),
                            CHAIN_SEATS_MAX * COUNTER_CELLS * sizeof(uint64_t), 1, NULL);
        if (fd < 0)
                return error_set(error, ERROR_FAILED, "The kernel gives no map for the counters of this chain: %s.",
                                 strerror(errno));
        return fd;
}

static int prepare_member(Build *build, size_t i, Error *error) {
        const FuseSlot *slot = &build->request->slots[i];
        const KernelProgram *program = slot->program;
        const int *map_fds = build->options->map_fds ? build->options->map_fds[i] : NULL;
        FuseMember *m = &build->members[i];

        if (!program->member)
                return error_set(error, ERROR_FAILED,
                                 "Program %s was only taken over from an earlier run and must be loaded first.",
                                 slot->name);
        build->map_ids[i] = calloc(program->info.n_maps + 1, sizeof(uint32_t));
        if (!build->map_ids[i])
                return -ENOMEM;

        *m = (FuseMember){
                .name = slot->name,
                .member = program->member,
                .map_fds = map_fds ? map_fds : program->map_fds,
                .map_ids = build->map_ids[i],
                .n_maps = program->info.n_maps,
                .proceed_on = slot->proceed_on,
                .seat = slot->seat,
                .verified_insns = program->info.verified_insns,
                .stack_depth = program->info.stack_depth,
        };
        for (size_t j = 0; j < program->info.n_maps; j++) {
                const MapInfo *map = &program->info.maps[j];

                build->map_ids[i][j] = map->id;
                if (map->type_number == UAPI_MAP_TYPE_ARENA && j < program->member->n_uses_map &&
                    program->member->uses_map[j])
                        m->arena = map->id;
        }

        m->form = fuse_form_choose(m, &m->reason);
        if (m->form < build->request->form_limit) {
                m->form = build->request->form_limit;
                m->reason = "it was asked for";
        }
        return 0;
}

/* Makes the array of programs as soon as one is needed. */
static int ensure_slots(Build *build, Error *error) {
        int fd;

        if (build->fused->slots_fd >= 0 || !fuse_plan_needs_slots(&build->chain, &build->plan))
                return 0;
        fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "bc_slots", sizeof(uint32_t), sizeof(uint32_t), FUSE_SLOTS_MAX,
                            NULL);
        if (fd < 0)
                return error_set(error, ERROR_FAILED, "The kernel gives no array for programs of this chain: %s.",
                                 strerror(errno));
        build->fused->slots_fd = build->chain.slots_fd = fd;
        return 0;
}

/* The map that hands a packet's length from segment to segment; the programs alone hold it. */
static int ensure_carry(Build *build, Error *error) {
        if (build->carry_fd >= 0 || build->plan.n_segments < 2 || build->request->counters == COUNTER_LEVEL_OFF)
                return 0;
        build->carry_fd = build->chain.carry_fd =
                bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "bc_carry", sizeof(uint32_t), sizeof(uint64_t), 1, NULL);
        if (build->carry_fd < 0)
                return error_set(error, ERROR_FAILED, "The kernel gives no map for the segments of this chain: %s.",
                                 strerror(errno));
        return 0;
}

static int put_into_array(Build *build, uint32_t index, int program_fd, Error *error) {
        if (bpf_map_update_elem(build->fused->slots_fd, &index, &program_fd, BPF_ANY) >= 0)
                return 0;
        return error_set(error, ERROR_FAILED, "The kernel takes no program into the array of this chain: %s.",
                         strerror(errno));
}

/* The kernel takes letters, digits, "_" and "." (bpf_obj_name_cpy()). */
static void kernel_name(const char *name, char ret[static BPF_OBJ_NAME_LEN]) {
        snprintf(ret, BPF_OBJ_NAME_LEN, "%s", name);
        for (char *c = ret; *c; c++)
                if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '.'))
                        *c = '_';
}

/* Loads the programs of slots that are not in the array yet. */
static int load_slots(Build *build, Error *error) {
        for (size_t i = 0; i < build->chain.n_members; i++) {
                char name[BPF_OBJ_NAME_LEN];
                FuseMember member;
                int r;

                if (build->members[i].form != SLOT_FORM_SLOT || build->in_array[i])
                        continue;
                kernel_name(build->members[i].name, name);
                member = build->members[i];
                member.name = name;
                r = fuse_load_alone(&build->chain, &member, &build->load, error);
                if (r < 0)
                        return r;
                r = put_into_array(build, FUSE_SLOT_INDEX(i), build->load.program_fd, error);
                safe_close(TAKE_FD(build->load.program_fd));
                if (r < 0)
                        return r;
                build->in_array[i] = true;
        }
        return 0;
}

/* A segment as the builder wants it. */
static FuseInput segment_input(const Build *build, size_t segment) {
        size_t first = build->plan.starts[segment];
        FuseInput input = build->chain;

        input.members = &build->members[first];
        input.n_members = build->plan.starts[segment + 1] - first;
        input.first = first;
        input.next = segment + 1 < build->plan.n_segments ? FUSE_SEGMENT_INDEX(segment + 1) : 0;
        return input;
}

/* Loads one segment, as often as it takes until its members have forms that the kernel takes. */
static int load_segment(Build *build, size_t segment, Error *error) {
        char name[BPF_OBJ_NAME_LEN];
        int r;

        if (segment == 0)
                snprintf(name, sizeof(name), "%s", build->fused->name);
        else
                snprintf(name, sizeof(name), "bc%zu_%.10s", segment, build->request->signature);

        for (;;) {
                FuseMember *members = &build->members[build->plan.starts[segment]];
                FuseRetry retry;
                FuseInput input;

                r = fuse_plan_check(&build->chain, &build->plan, error);
                if (r >= 0)
                        r = ensure_slots(build, error);
                if (r >= 0)
                        r = ensure_carry(build, error);
                if (r >= 0)
                        r = load_slots(build, error);
                if (r < 0)
                        return r;

                input = segment_input(build, segment);
                r = fuse_load(&input, members, name, &build->load, &retry, error);
                switch (retry) {
                case FUSE_RETRY_NONE: return r;
                case FUSE_RETRY_FORMS: fuse_form_settle(members, input.n_members); break;
                case FUSE_RETRY_SPLIT: (void) fuse_plan_split(&build->plan, segment); break;
                }
        }
}

static int load_segments(Build *build, Error *error) {
        int r;

        for (size_t i = 0; i < build->plan.n_segments; i++) {
                r = load_segment(build, i, error);
                if (r < 0)
                        return r;
                if (i == 0) {
                        build->fused->program_fd = TAKE_FD(build->load.program_fd);
                        continue;
                }
                r = put_into_array(build, FUSE_SEGMENT_INDEX(i), build->load.program_fd, error);
                safe_close(TAKE_FD(build->load.program_fd));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int describe(Build *build, FusedInfo *ret) {
        KernelFused *fused = build->fused;
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(info);

        if (bpf_prog_get_info_by_fd(fused->program_fd, &info, &size) < 0)
                return -errno;
        fused->program_id = info.id;
        for (size_t i = 0; i < BPF_TAG_SIZE; i++)
                snprintf(fused->tag + 2 * i, 3, "%02x", info.tag[i]);

        *ret = (FusedInfo){
                .program_id = info.id,
                .n_segments = (unsigned) build->plan.n_segments,
                .insns = (uint32_t) build->load.n_insns,
                .verified_insns = MAX2(info.verified_insns, build->load.verified_insns),
                .build_usec = build->load.build_usec,
                .load_usec = build->load.load_usec,
        };
        memcpy(ret->tag, fused->tag, sizeof(ret->tag));
        for (size_t i = 0; i < build->chain.n_members; i++) {
                ret->forms[i] = build->members[i].form;
                ret->reasons[i] = build->members[i].reason;
        }
        return 0;
}

static void prepare_chain(Build *build) {
        FuseInput *chain = &build->chain;

        chain->frags = !hook_is_tc(chain->hook);
        for (size_t i = 0; i < chain->n_members; i++) {
                chain->frags = chain->frags && build->members[i].member->frags;
                /* for an interface that is not there yet any will do whose driver gives answers */
                if (build->members[i].member->bound)
                        chain->ifindex = build->request->ifindex > 0 ? build->request->ifindex
                                                                     : build->members[i].member->bound_to;
                build->fused->bound = chain->ifindex > 0;
        }
}

int fused_build(const FuseRequest *request, const FusedOptions *options, KernelFused **ret, FusedInfo *ret_info,
                Error *error) {
        _cleanup_(build_done) Build build = {
                .request = request,
                .options = options,
                .chain = { .hook = request->hook,
                           .counters = request->counters,
                           .trace_fd = options->trace_fd,
                           .slots_fd = -EBADF,
                           .carry_fd = -EBADF,
                           .members = build.members,
                           .n_members = request->n_slots },
                .load = { .program_fd = -EBADF },
                .carry_fd = -EBADF,
        };
        int r = 0;

        for (size_t i = 0; i < MIN2(request->n_slots, CHAIN_SLOTS_MAX) && r >= 0; i++)
                r = prepare_member(&build, i, error);
        if (r >= 0)
                r = fuse_plan(&build.chain, build.members, &build.plan, error);
        if (r >= 0)
                r = fused_new(request, &build.fused);
        if (r < 0)
                return r;
        prepare_chain(&build);

        r = build.fused->counters_fd = build.chain.counters_fd = open_counters(request, error);
        if (r < 0 && r != -EBADF)
                return r;
        r = load_segments(&build, error);
        if (r >= 0)
                r = describe(&build, ret_info);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(build.fused);
        return 0;
}

int kernel_chain_build(_unused_ void *userdata, const FuseRequest *request, KernelFused **ret, FusedInfo *ret_info,
                       Error *error) {
        static const FusedOptions none = { .trace_fd = -EBADF };

        return fused_build(request, &none, ret, ret_info, error);
}
