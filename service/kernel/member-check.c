/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/btf.h>

#include "kernel/member-check.h"

static const struct {
        const char *function;
        const char *why;
} refused[] = {
        { "bpf_throw", "an exception would end the whole chain" },
        { "bpf_obj_new_impl", "objects of local types can't be allocated within a chain" },
        { "bpf_percpu_obj_new_impl", "objects of local types can't be allocated within a chain" },
        { "bpf_refcount_acquire_impl", "objects of local types can't be used within a chain" },
        { "bpf_list_push_front_impl", "lists of objects of local types can't be used within a chain" },
        { "bpf_list_push_back_impl", "lists of objects of local types can't be used within a chain" },
        { "bpf_rbtree_add_impl", "trees of objects of local types can't be used within a chain" },
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

int member_check(const Object *object, const ProgramRequest *request, Error *error) {
        const struct btf *btf = bpf_object__btf(object->bpf);
        struct btf *kernel = NULL;
        int r = 0;

        /* The kernel's BTF is large: it is read only when the object knows such a function by name at all. */
        for (size_t i = 0; i < ELEMENTSOF(refused) && r >= 0; i++) {
                if (!btf || btf__find_by_name_kind(btf, refused[i].function, BTF_KIND_FUNC) < 0)
                        continue;
                if (!kernel)
                        kernel = btf__load_vmlinux_btf();
                if (!kernel)
                        return -errno;
                if (calls(object->member, btf__find_by_name_kind(kernel, refused[i].function, BTF_KIND_FUNC)))
                        r = error_set_at(error, ERROR_NOT_SUPPORTED, request->where, "%.64s in %s calls %s(): %s.",
                                         object->member->function, request->object_name, refused[i].function,
                                         refused[i].why);
        }
        btf__free(kernel);
        return r;
}
