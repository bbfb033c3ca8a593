/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "kernel/member-check.h"

#define THROWS    "it throws exceptions, which would end the chain"
#define ALLOCATES "it has objects of local types, which the kernel knows by the program's own BTF only"

static const struct {
        const char *function;
        const char *reason;
} apart[] = {
        { "bpf_throw", THROWS },
        { "bpf_obj_new_impl", ALLOCATES },
        { "bpf_percpu_obj_new_impl", ALLOCATES },
        { "bpf_refcount_acquire_impl", ALLOCATES },
        { "bpf_list_push_front_impl", ALLOCATES },
        { "bpf_list_push_back_impl", ALLOCATES },
        { "bpf_rbtree_add_impl", ALLOCATES },
};

static bool calls(const Member *member, int32_t id) {
        for (size_t i = 0; i < member->n_insns; i++) {
                const struct bpf_insn *insn = &member->insns[i];

                if (insn_is_call(insn, BPF_PSEUDO_KFUNC_CALL) && insn->off == 0 && insn->imm == id)
                        return true;
                if (insn_is_wide(insn))
                        i++;
        }
        return false;
}

int member_check(Member *member, const struct btf *object_btf) {
        struct btf *kernel = NULL;
        int r = 0;

        /* The kernel's BTF is large: it is read only when the object knows such a function by name at all. */
        for (size_t i = 0; i < ELEMENTSOF(apart) && !member->slot_reason; i++) {
                if (!object_btf || btf__find_by_name_kind(object_btf, apart[i].function, BTF_KIND_FUNC) < 0)
                        continue;
                if (!kernel)
                        kernel = btf__load_vmlinux_btf();
                if (!kernel) {
                        r = -errno;
                        break;
                }
                if (calls(member, btf__find_by_name_kind(kernel, apart[i].function, BTF_KIND_FUNC)))
                        member->slot_reason = apart[i].reason;
        }
        btf__free(kernel);
        /* all others do with a copy, should they ever need a program of their own */
        if (!member->slot_reason && member->has_types) {
                safe_close(member->types_fd);
                member->has_types = false;
        }
        return r;
}

static bool is_prog_array(const Member *member, const ProgramInfo *info, size_t map) {
        return map < member->n_uses_map && member->uses_map[map] &&
               info->maps[map].type_number == BPF_MAP_TYPE_PROG_ARRAY;
}

int member_elide_tail_calls(Member *member, const int *map_fds, ProgramInfo *info, const bool *fills) {
        if (member->n_tail_calls == 0)
                return 0;
        for (size_t i = 0; i < info->n_maps; i++)
                if (is_prog_array(member, info, i) && fills[i])
                        return 0;
        for (size_t i = 0; i < info->n_maps; i++) {
                if (!is_prog_array(member, info, i))
                        continue;
                if (bpf_map_freeze(map_fds[i]) < 0)
                        return errno == EPERM || errno == EBUSY || errno == EINVAL ? 0 : -errno; /* then it stays */
                info->maps[i].frozen = true;
        }

        /* A tail call that fails changes nothing; what it could have left in r0 to r5 nobody may read. */
        for (size_t i = 0; i < member->n_insns; i++) {
                if (insn_is_tail_call(&member->insns[i]))
                        member->insns[i] = (struct bpf_insn){ .code = BPF_JMP | BPF_JA };
                if (insn_is_wide(&member->insns[i]))
                        i++;
        }
        return member_scan(member, member->n_uses_map);
}
