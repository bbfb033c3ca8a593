/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <fcntl.h>

#include "kernel/map-info.h"
#include "sides.h"
#include "util/json.h"

/* Loads BTF of a generated program. */
static int load_btf(const Member *member) {
        uint32_t size;
        const void *data = btf__raw_data(member->btf, &size);
        int fd = data ? bpf_btf_load(data, size, NULL) : -1;

        return fd < 0 ? -errno : fd;
}

/* One program by itself. */
static int load_alone(const Member *member, const int *map_fds, char *log, size_t log_size, unsigned log_level) {
        bool tc = member->type == BPF_PROG_TYPE_SCHED_CLS;
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = tc ? 0 : BPF_XDP,
                    .prog_flags = member->frags ? BPF_F_XDP_HAS_FRAGS : 0, .log_level = log_level, .log_buf = log,
                    .log_size = (uint32_t) log_size);
        _cleanup_free_ struct bpf_insn *insns = calloc(member->n_insns, sizeof(struct bpf_insn));
        _cleanup_close_ int btf_fd = -EBADF;
        int fd;

        if (!insns)
                return -ENOMEM;
        memcpy(insns, member->insns, member->n_insns * sizeof(struct bpf_insn));
        for (size_t i = 0; i < member->n_insns; i++) {
                if (insn_is_map(&insns[i]))
                        insns[i].imm = map_fds[insns[i].imm];
                if (insn_is_wide(&insns[i]))
                        i++;
        }
        if (member->btf) {
                btf_fd = load_btf(member);
                if (btf_fd < 0)
                        return btf_fd;
                opts.prog_btf_fd = (uint32_t) btf_fd;
                opts.func_info = member->func_info;
                opts.func_info_cnt = (uint32_t) member->n_func_info;
                opts.func_info_rec_size = sizeof(struct bpf_func_info);
                opts.line_info = member->line_info;
                opts.line_info_cnt = (uint32_t) member->n_line_info;
                opts.line_info_rec_size = sizeof(struct bpf_line_info);
        }
        fd = bpf_prog_load(member->type, member->function, "GPL", insns, member->n_insns, &opts);
        return fd < 0 ? -errno : fd;
}

/* The same, with figures or an error. */
static int must_load(const Member *member, const int *map_fds, VerifierStats *ret_stats, Error *error) {
        static char log[VERIFIER_LOG_STATS_ROOM];
        _cleanup_free_ char *full = NULL, *summary = NULL;
        int fd = load_alone(member, map_fds, log, sizeof(log), VERIFIER_LOG_STATS), r;

        if (fd >= 0) {
                verifier_log_stats(log, ret_stats);
                return fd;
        }
        full = calloc(1, VERIFIER_LOG_ROOM);
        if (!full)
                return -ENOMEM;
        r = load_alone(member, map_fds, full, VERIFIER_LOG_ROOM, VERIFIER_LOG_FULL);
        if (r >= 0) {
                close(r);
                return error_set(error, ERROR_FAILED, "The kernel refused a program only at times: %s.",
                                 strerror(-fd));
        }
        summary = verifier_log_summary(full);
        error->log = verifier_log_copy(full);
        (void) error_set(error, ERROR_VERIFIER_REJECTED, "%s (%s)", strna(summary), strerror(-fd));
        return fd;
}

/* Descriptors of a member's maps by its own index. */
static void gather_maps(const Sides *sides, Side side, const PlanMember *m, int ret[MEMBER_MAPS_MAX]) {
        for (size_t i = 0; i < m->n_maps; i++)
                ret[i] = sides->maps[side][m->maps[i]];
}

static int load_targets(Sides *sides, SideMember *s, Error *error) {
        const PlanMember *m = s->plan;

        for (int side = 0; side < _SIDE_MAX; side++)
                for (uint32_t i = 0; i < MEMBER_TARGETS; i++) {
                        int map_fds[MEMBER_MAPS_MAX], fd;
                        VerifierStats stats;

                        if (!m->targets[i])
                                continue;
                        gather_maps(sides, (Side) side, m, map_fds);
                        fd = must_load(m->targets[i], map_fds, &stats, error);
                        if (fd < 0)
                                return fd;
                        s->targets[side][i] = fd;
                        if (bpf_map_update_elem(map_fds[m->jumps], &i, &fd, BPF_ANY) < 0)
                                return error_set(error, ERROR_FAILED, "The program array takes no program: %s.",
                                                 strerror(errno));
                }
        return 0;
}

static Member *copy_member(const Member *member) {
        Member *copy = malloc(sizeof(Member));

        if (copy)
                *copy = *member;
        return copy;
}

/* A handle as loading an object would have made, but that the Member belongs to the plan. */
static int make_program(const Sides *sides, SideMember *s, const VerifierStats *stats) {
        const PlanMember *m = s->plan;
        int map_fds[MEMBER_MAPS_MAX], r;
        ProgramInfo *info;

        r = kernel_program_new(m->name, &s->program);
        if (r >= 0)
                r = kernel_program_make_maps(s->program, m->n_maps);
        if (r < 0)
                return r;
        gather_maps(sides, SIDE_FUSED, m, map_fds);
        for (size_t i = 0; i < m->n_maps && r >= 0; i++) {
                s->program->map_fds[i] = fcntl(map_fds[i], F_DUPFD_CLOEXEC, 3);
                if (s->program->map_fds[i] < 0)
                        return -errno;
                r = map_info_read(s->program->map_fds[i], sides->plan->maps[m->maps[i]].name,
                                  sides->plan->maps[m->maps[i]].global, &s->program->info.maps[i]);
        }
        if (r < 0)
                return r;

        s->program->member = copy_member(m->member);
        if (!s->program->member)
                return -ENOMEM;
        s->program->member->main_stack = stats->main_stack;
        info = &s->program->info;
        info->tc = m->member->type == BPF_PROG_TYPE_SCHED_CLS;
        info->frags = m->member->frags;
        info->insns = (uint32_t) m->member->n_insns;
        info->verified_insns = stats->insns;
        info->states_total = stats->states_total;
        info->stack_depth = stats->stack_depth;
        return free_and_strdup(&info->function, m->member->function);
}

static int load_generated(Sides *sides, SideMember *s, Error *error) {
        int map_fds[MEMBER_MAPS_MAX], r;
        VerifierStats stats;

        r = load_targets(sides, s, error);
        if (r < 0)
                return r;
        gather_maps(sides, SIDE_REFERENCE, s->plan, map_fds);
        r = must_load(s->plan->member, map_fds, &stats, error);
        if (r < 0)
                return r;
        s->program_fd = r;
        return make_program(sides, s, &stats);
}

static int load_compiled(SideMember *s, Error *error) {
        const Compiled *compiled = s->plan->compiled;
        _cleanup_(program_info_done) ProgramInfo info = {};
        _cleanup_json_ json_object *globals = NULL;
        _cleanup_free_ char *path = compiled_path(compiled);
        ProgramRequest request = {
                .name = s->plan->name,
                .object_path = path,
                .object_name = compiled->object,
                .function = compiled->function,
                .where = "programs",
        };
        int r;

        globals = json_object_new_object();
        if (!path || !globals)
                return -ENOMEM;
        if (compiled->verdict) {
                json_object_object_add(globals, "verdict", json_object_new_int(s->plan->verdict));
                request.globals = globals;
        }
        r = kernel_program_load(NULL, &request, &s->program, &info, error);
        if (r < 0)
                return r;
        r = compiled_load(compiled, s->plan->verdict, &s->object);
        if (r < 0)
                return error_set(error, ERROR_FAILED, "libbpf can't load %s: %s.", compiled->object, strerror(-r));
        s->program_fd = r;
        return 0;
}

static int make_maps(Sides *sides, Error *error) {
        for (int side = 0; side < _SIDE_MAX; side++)
                for (size_t i = 0; i < sides->plan->n_maps; i++) {
                        int fd = map_spec_create(&sides->plan->maps[i]);

                        if (fd < 0)
                                return error_set(error, ERROR_FAILED, "The kernel gives no map %s: %s.",
                                                 sides->plan->maps[i].name, strerror(-fd));
                        sides->maps[side][i] = fd;
                }
        return 0;
}

static void sides_init(Sides *sides, const Plan *plan) {
        *sides = (Sides){ .plan = plan };
        for (int side = 0; side < _SIDE_MAX; side++) {
                for (size_t i = 0; i < PLAN_MAPS_MAX; i++)
                        sides->maps[side][i] = -EBADF;
                for (size_t i = 0; i < CHAIN_SLOTS_MAX; i++)
                        for (size_t j = 0; j < MEMBER_TARGETS; j++)
                                sides->members[i].targets[side][j] = -EBADF;
        }
}

int sides_load(const Plan *plan, uint64_t members, Sides *ret, Error *error) {
        int r;

        sides_init(ret, plan);
        r = make_maps(ret, error);
        for (size_t i = 0; i < plan->n_members && r >= 0; i++) {
                SideMember *s;

                if (!(members & UINT64_C(1) << i))
                        continue;
                s = &ret->members[ret->n_members++];
                s->plan = &plan->members[i];
                s->program_fd = -EBADF;
                r = s->plan->compiled ? load_compiled(s, error) : load_generated(ret, s, error);
                if (r < 0)
                        error_prefix(error, "%s: ", s->plan->name);
        }
        return r;
}

static void side_member_done(SideMember *s) {
        if (s->object)
                bpf_object__close(s->object);
        else
                safe_close(s->program_fd);
        for (int side = 0; side < _SIDE_MAX; side++)
                for (size_t i = 0; i < MEMBER_TARGETS; i++)
                        safe_close(s->targets[side][i]);
        if (s->program && s->plan->member) {
                free(s->program->member);
                s->program->member = NULL;
        }
        kernel_program_unref(s->program);
}

void sides_done(Sides *sides) {
        for (size_t i = 0; i < sides->n_members; i++)
                side_member_done(&sides->members[i]);
        for (int side = 0; side < _SIDE_MAX; side++)
                for (size_t i = 0; i < PLAN_MAPS_MAX; i++)
                        safe_close(sides->maps[side][i]);
}

/* The maps of a compiled program, by their names. */
static bool objects_differ(const SideMember *s, FILE *f) {
        bool differ = false;

        for (size_t i = 0; i < s->program->info.n_maps; i++) {
                const char *name = s->program->info.maps[i].name;
                int reference = compiled_map(s->object, name);
                char label[96];

                snprintf(label, sizeof(label), "%s of %s (%s)", name, s->plan->name, s->plan->compiled->object);
                if (reference < 0) {
                        fprintf(f, "map %s is not in the reference\n", label);
                        differ = true;
                } else
                        differ |= maps_differ(s->program->map_fds[i], reference, label,
                                              streq_ptr(s->plan->compiled->times, name), f);
        }
        return differ;
}

bool sides_differ(const Sides *sides, FILE *f) {
        bool differ = false;

        for (size_t i = 0; i < sides->plan->n_maps; i++)
                differ |= maps_differ(sides->maps[SIDE_FUSED][i], sides->maps[SIDE_REFERENCE][i],
                                      sides->plan->maps[i].name, false, f);
        for (size_t i = 0; i < sides->n_members; i++)
                if (sides->members[i].object)
                        differ |= objects_differ(&sides->members[i], f);
        return differ;
}
