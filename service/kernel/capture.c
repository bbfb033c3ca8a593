/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "kernel/capture.h"
#include "kernel/object.h"
#include "kernel/uapi.h"

static int capture_insns(const struct bpf_program *program, Member *member) {
        size_t n = bpf_program__insn_cnt(program);

        member->insns = calloc(n, sizeof(struct bpf_insn));
        if (!member->insns)
                return -ENOMEM;
        memcpy(member->insns, bpf_program__insns(program), n * sizeof(struct bpf_insn));
        member->n_insns = n;
        return 0;
}

/* Records grow with time; what is behind the part that we know is left away. */
static int capture_records(const void *records, size_t n, size_t record_size, size_t known_size, void *ret,
                           size_t *ret_n) {
        uint8_t *copy;

        if (!records || n == 0 || record_size < known_size)
                return 0;
        copy = calloc(n, known_size);
        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                memcpy(copy + i * known_size, (const uint8_t *) records + i * record_size, known_size);
        *(void **) ret = copy;
        *ret_n = n;
        return 0;
}

/* The types as the kernel has them, which is what libbpf left of them for kernels that do not know all kinds. */
static int capture_btf(int fd, struct btf **ret) {
        struct bpf_btf_info info = {};
        uint32_t size = sizeof(info);
        _cleanup_free_ void *data = NULL;
        struct btf *btf;

        if (bpf_btf_get_info_by_fd(fd, &info, &size) < 0)
                return -errno;
        data = malloc(info.btf_size);
        if (!data)
                return -ENOMEM;
        info = (struct bpf_btf_info){ .btf = (uint64_t) (uintptr_t) data, .btf_size = info.btf_size };
        size = sizeof(info);
        if (bpf_btf_get_info_by_fd(fd, &info, &size) < 0)
                return -errno;

        btf = btf__new(data, info.btf_size);
        if (!btf)
                return -errno;
        *ret = btf;
        return 0;
}

/* Index of a map by the descriptor that stands in an instruction. */
static int find_map(const struct bpf_object *object, int fd) {
        struct bpf_map *map;
        int i = 0;

        for (map = object_next_map(object, NULL); map; map = object_next_map(object, map)) {
                if (bpf_map__fd(map) == fd)
                        return i;
                i++;
        }
        return -ENOENT;
}

/* Index in btf_fds of a descriptor, of which a duplicate is kept. */
static int keep_btf_fd(Member *member, int fd) {
        int *slot;

        slot = ARRAY_APPEND(member->btf_fds, member->n_btf_fds);
        if (!slot)
                return -ENOMEM;
        *slot = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return *slot < 0 ? -errno : (int) member->n_btf_fds - 1;
}

/* Replaces descriptors of modules' BTF in the instructions by what member.h says. */
static int detach_modules(Member *member, const int *fd_array) {
        int modules[256] = {}; /* by index in fd_array: 1 + index in btf_fds */
        int r;

        for (size_t i = 0; i < member->n_insns; i++) {
                struct bpf_insn *insn = &member->insns[i];

                if (i + 1 < member->n_insns && insn_is_module_variable(insn)) {
                        r = keep_btf_fd(member, insn[1].imm);
                        if (r < 0)
                                return r;
                        insn[1].imm = r + 1;
                } else if (insn_is_call(insn, BPF_PSEUDO_KFUNC_CALL) && insn->off > 0) {
                        if (!fd_array || (size_t) insn->off >= ELEMENTSOF(modules))
                                return -EINVAL;
                        if (modules[insn->off] == 0) {
                                r = keep_btf_fd(member, fd_array[insn->off]);
                                if (r < 0)
                                        return r;
                                modules[insn->off] = r + 1;
                        }
                        insn->off = (int16_t) modules[insn->off];
                }
                if (insn_is_wide(insn))
                        i++;
        }
        return 0;
}

int capture_member(const struct bpf_program *program, const struct bpf_prog_load_opts *opts, Member **ret) {
        _cleanup_(member_freep) Member *member = calloc(1, sizeof(Member));
        int r;

        if (!member)
                return -ENOMEM;
        member->type = bpf_program__type(program);
        member->frags = (opts->prog_flags & BPF_F_XDP_HAS_FRAGS) != 0;
        member->bound = (opts->prog_flags & UAPI_XDP_DEV_BOUND_ONLY) != 0;
        member->bound_to = (int) opts->prog_ifindex;
        member->function = strdup(bpf_program__name(program));
        if (!member->function)
                return -ENOMEM;

        r = capture_insns(program, member);
        if (r >= 0 && opts->prog_btf_fd > 0 && opts->func_info_cnt > 0)
                r = capture_btf((int) opts->prog_btf_fd, &member->btf);
        if (r >= 0 && member->btf)
                r = capture_records(opts->func_info, opts->func_info_cnt, opts->func_info_rec_size,
                                    sizeof(struct bpf_func_info), &member->func_info, &member->n_func_info);
        if (r >= 0 && member->btf)
                r = capture_records(opts->line_info, opts->line_info_cnt, opts->line_info_rec_size,
                                    sizeof(struct bpf_line_info), &member->line_info, &member->n_line_info);
        if (r >= 0 && member->btf) {
                r = member->types_fd = fcntl((int) opts->prog_btf_fd, F_DUPFD_CLOEXEC, 3);
                member->has_types = r >= 0;
                r = r < 0 ? -errno : 0;
        }
        if (r >= 0)
                r = detach_modules(member, opts->fd_array);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(member);
        return 0;
}

int capture_maps(const struct bpf_object *object, Member *member) {
        struct bpf_map *map;
        size_t n_maps = 0;

        for (size_t i = 0; i < member->n_insns; i++) {
                struct bpf_insn *insn = &member->insns[i];
                int r;

                if (insn_is_map(insn)) {
                        r = find_map(object, insn->imm);
                        if (r < 0)
                                return r;
                        insn->imm = r;
                }
                if (insn_is_wide(insn))
                        i++;
        }

        for (map = object_next_map(object, NULL); map; map = object_next_map(object, map))
                n_maps++;
        return member_scan(member, n_maps);
}
