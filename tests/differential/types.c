/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "function.h"

/* BTF and records that the kernel wants for callbacks, for global functions, and for tail calls in functions. */
typedef struct Types {
        struct btf *btf;
        int number;
        int context; /* pointer to the context */
        int pointer; /* to numbers */
} Types;

static int declare_types(Types *types, Hook hook) {
        int structure, size;

        types->number = btf__add_int(types->btf, "long long", 8, BTF_INT_SIGNED);
        size = hook_is_tc(hook) ? (int) sizeof(struct __sk_buff) : (int) sizeof(struct xdp_md);
        structure = btf__add_struct(types->btf, hook_is_tc(hook) ? "__sk_buff" : "xdp_md", (uint32_t) size);
        types->context = btf__add_ptr(types->btf, structure);
        types->pointer = btf__add_ptr(types->btf, types->number);
        return types->number < 0 || structure < 0 || types->context < 0 || types->pointer < 0 ? -ENOMEM : 0;
}

static int add_parameter(Types *types, unsigned *n, int type) {
        char name[8];

        snprintf(name, sizeof(name), "a%u", (*n)++);
        return btf__add_func_param(types->btf, name, type);
}

/* The declaration of a function; returns its type. */
static int declare_function(Types *types, const Function *f, const char *name) {
        unsigned n = 0;
        int prototype = btf__add_func_proto(types->btf, types->number), r = prototype;

        switch (f->kind) {
        case FUNCTION_MAIN:
        case FUNCTION_STATIC:
        case FUNCTION_GLOBAL:
                if (f->has_context && r >= 0)
                        r = add_parameter(types, &n, types->context);
                if (f->takes_stack && r >= 0)
                        r = add_parameter(types, &n, types->pointer);
                for (unsigned i = 0; i < f->n_arguments && r >= 0; i++)
                        r = add_parameter(types, &n, types->number);
                break;
        case FUNCTION_LOOP_CALLBACK:
                r = add_parameter(types, &n, types->number);
                if (r >= 0)
                        r = add_parameter(types, &n, types->pointer);
                break;
        case FUNCTION_MAP_CALLBACK:
                while (n < 4 && r >= 0)
                        r = add_parameter(types, &n, types->pointer);
                break;
        }
        if (r < 0)
                return r;
        /* the kernel knows a main function as global */
        return btf__add_func(types->btf, name,
                             f->kind == FUNCTION_MAIN || f->kind == FUNCTION_GLOBAL ? BTF_FUNC_GLOBAL
                                                                                    : BTF_FUNC_STATIC,
                             prototype);
}

static int add_lines(Member *member, const Function *f, Types *types, uint32_t start, const char *name) {
        int file = btf__add_str(types->btf, "generated.c"), text = btf__add_str(types->btf, name);

        if (file < 0 || text < 0)
                return -ENOMEM;
        for (uint32_t i = 0; i < f->n_insns; i += 7) {
                struct bpf_line_info *line;

                if (i > 0 && insn_is_wide(&f->insns[i - 1]))
                        continue;
                line = ARRAY_APPEND(member->line_info, member->n_line_info);
                if (!line)
                        return -ENOMEM;
                *line = (struct bpf_line_info){
                        .insn_off = start + i,
                        .file_name_off = (uint32_t) file,
                        .line_off = (uint32_t) text,
                        .line_col = (i + 1) << 10 | 1,
                };
        }
        return 0;
}

int make_types(Generator *generator, Member *member, const uint32_t *starts) {
        bool lines = random_chance(&generator->random, 60);
        Types types = { .btf = btf__new_empty() };
        int r;

        member->btf = types.btf;
        member->func_info = calloc(generator->n_functions, sizeof(struct bpf_func_info));
        if (!member->btf || !member->func_info)
                return -ENOMEM;
        r = declare_types(&types, generator->request->hook);
        for (size_t i = 0; i < generator->n_functions && r >= 0; i++) {
                const Function *f = generator->functions[i];
                char name[32];

                snprintf(name, sizeof(name), "%s%s%.0zu", i == 0 ? member->function : "part", i > 0 ? "_" : "", i);
                r = declare_function(&types, f, name);
                if (r >= 0)
                        member->func_info[member->n_func_info++] = (struct bpf_func_info){
                                .insn_off = starts[i],
                                .type_id = (uint32_t) r,
                        };
                if (r >= 0 && lines)
                        r = add_lines(member, f, &types, starts[i], name);
        }
        return r < 0 ? r : 0;
}
