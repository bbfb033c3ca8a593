/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>

#include "kernel/fuse-btf.h"

/* The kernel takes names of functions up to KSYM_NAME_LEN (128 before 6.1). */
#define FUNCTION_NAME_MAX 127

typedef struct Types {
        const FuseInput *input;
        FuseOutput *output;
        int protos[_FUSE_PROTO_MAX];
        int file_name; /* offset of the string that lines of our own give as their file */
        size_t room_func_info;
        size_t room_line_info;
} Types;

static void add_function(Types *types, size_t insn, uint32_t type_id) {
        FuseOutput *output = types->output;

        assert(output->n_func_info < types->room_func_info);
        output->func_info[output->n_func_info++] = (struct bpf_func_info){
                .insn_off = (uint32_t) insn,
                .type_id = type_id,
        };
}

static void add_line(Types *types, size_t insn, int file_name, int text, uint32_t line_col) {
        FuseOutput *output = types->output;

        assert(output->n_line_info < types->room_line_info);
        output->line_info[output->n_line_info++] = (struct bpf_line_info){
                .insn_off = (uint32_t) insn,
                .file_name_off = (uint32_t) file_name,
                .line_off = (uint32_t) text,
                .line_col = line_col,
        };
}

static int add_own_line(Types *types, size_t insn, const char *text) {
        int offset = btf__add_str(types->output->btf, text);

        if (offset < 0)
                return offset;
        add_line(types, insn, types->file_name, offset, 0);
        return 0;
}

/* Makes an identifier that BTF takes (btf_name_valid_identifier() of the kernel) out of any name. */
static void sanitize_name(const char *name, const char *suffix, char ret[static FUNCTION_NAME_MAX + 1]) {
        size_t n = 0;

        snprintf(ret, FUNCTION_NAME_MAX + 1, "%s%.*s%s", *name >= '0' && *name <= '9' ? "_" : "",
                 (int) (FUNCTION_NAME_MAX - 1 - strlen(suffix)), name, suffix);
        for (; ret[n]; n++) {
                char c = ret[n];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
                        ret[n] = '_';
        }
        if (n == 0)
                strcpy(ret, "_");
}

/* A function of our own declaration at an instruction, with one line. */
static int declare_function(Types *types, size_t insn, const char *name, enum btf_func_linkage linkage, int proto) {
        int id = btf__add_func(types->output->btf, name, linkage, proto);

        if (id < 0)
                return id;
        add_function(types, insn, (uint32_t) id);
        return 0;
}

/* The types that the declarations are made of. A context is known to the verifier by the name of its struct; what
 * is in it does not matter. */
static int declare_types(Types *types) {
        struct btf *btf = types->output->btf;
        int signed_int, unsigned_int, context, pointer, r;

        signed_int = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
        unsigned_int = btf__add_int(btf, "unsigned int", 4, 0);
        context = btf__add_struct(btf, hook_is_tc(types->input->hook) ? "__sk_buff" : "xdp_md", 0);
        pointer = btf__add_ptr(btf, context);
        types->file_name = btf__add_str(btf, "bpfchain");
        r = MIN2(MIN2(signed_int, unsigned_int), MIN2(context, pointer));
        r = MIN2(r, types->file_name);

        for (FuseProto proto = 0; proto < _FUSE_PROTO_MAX && r >= 0; proto++) {
                r = types->protos[proto] = btf__add_func_proto(btf, signed_int);
                if (r >= 0 && (proto == FUSE_PROTO_ENTRY || proto == FUSE_PROTO_TRACE))
                        r = btf__add_func_param(btf, "ctx", pointer);
                if (r >= 0 && proto == FUSE_PROTO_TRACE)
                        r = btf__add_func_param(btf, "verdict", signed_int);
                if (r >= 0 && proto == FUSE_PROTO_TRACE)
                        r = btf__add_func_param(btf, "slot", unsigned_int);
        }
        return r < 0 ? -ENOMEM : 0;
}

static int declare_root(Types *types, const FuseLayout *layout) {
        const FuseInput *input = types->input;
        char text[128];
        int r;

        r = declare_function(types, 0, "bpfchain_root", BTF_FUNC_STATIC, types->protos[FUSE_PROTO_ENTRY]);
        if (r >= 0)
                r = add_own_line(types, 0, "root");
        for (size_t i = 0; i < input->n_members && r >= 0; i++) {
                size_t place = input->first + i + 1;

                snprintf(text, sizeof(text), "slot %zu: %.64s", place, input->members[i].name);
                r = add_own_line(types, layout->slot_starts[i], text);
                if (r >= 0 && input->members[i].form == SLOT_FORM_INLINED) {
                        snprintf(text, sizeof(text), "slot %zu: verdict of %.64s", place, input->members[i].name);
                        r = add_own_line(types, layout->slot_ends[i], text);
                }
        }
        if (r >= 0 && layout->join > 0)
                r = add_own_line(types, layout->join, "tail call of the chain's next segment");
        for (size_t i = 0; i < layout->n_functions && r >= 0; i++) {
                const FuseFunction *function = &layout->functions[i];

                r = declare_function(types, function->insn, function->name,
                                     function->global ? BTF_FUNC_GLOBAL : BTF_FUNC_STATIC,
                                     types->protos[function->proto]);
                if (r >= 0)
                        r = add_own_line(types, function->insn, function->line);
        }
        return r;
}

/* Where an instruction of a member is in the whole. */
static size_t position_of(const FuseSpan *span, size_t insn) {
        size_t n_main = span->end - span->start;

        return insn < n_main ? span->start + insn : span->subprograms + insn - n_main;
}

static enum btf_func_linkage entry_linkage(const FuseMember *m) {
        return m->form == SLOT_FORM_STATIC ? BTF_FUNC_STATIC : BTF_FUNC_GLOBAL;
}

/* Function information of a member: its entry is declared by us, its subprograms are what their author made
 * them, or static functions of which nothing is known. `shift` is what its type ids grow by. */
static int add_member_functions(Types *types, const FuseMember *m, const FuseSpan *span, int shift) {
        const Member *member = m->member;
        char name[FUNCTION_NAME_MAX + 1];
        int r = 0;

        if (m->form != SLOT_FORM_INLINED) {
                sanitize_name(member->function, "", name);
                r = declare_function(types, span->start, name, entry_linkage(m), types->protos[FUSE_PROTO_ENTRY]);
        }

        for (size_t i = 1; i < member->n_subprograms && r >= 0; i++) {
                size_t insn = position_of(span, member->subprograms[i]);

                if (member->btf && member->n_func_info == member->n_subprograms) {
                        add_function(types, insn, member->func_info[i].type_id + (uint32_t) shift);
                } else {
                        char suffix[24];

                        snprintf(suffix, sizeof(suffix), "_%zu", i);
                        sanitize_name(member->function, suffix, name);
                        r = declare_function(types, insn, name, BTF_FUNC_STATIC, types->protos[FUSE_PROTO_PLAIN]);
                }
        }
        return r;
}

static int copy_string(Types *types, const Member *member, uint32_t offset) {
        const char *s = btf__str_by_offset(member->btf, offset);

        return s ? btf__add_str(types->output->btf, s) : -EINVAL;
}

/* Lines of a member, or one line for each of its functions where it has none. The kernel refuses a function whose
 * first instruction has no line. */
static int add_member_lines(Types *types, const FuseMember *m, const FuseSpan *span) {
        const Member *member = m->member;
        uint32_t old_file = UINT32_MAX;
        int file = 0;

        if (!member->btf || member->n_line_info == 0) {
                char text[256];

                for (size_t i = 0; i < member->n_subprograms; i++) {
                        int r;

                        snprintf(text, sizeof(text), "%.64s: %.128s (no line information)", m->name,
                                 member->function);
                        r = add_own_line(types, position_of(span, member->subprograms[i]), text);
                        if (r < 0)
                                return r;
                }
                return 0;
        }

        for (size_t i = 0; i < member->n_line_info; i++) {
                const struct bpf_line_info *line = &member->line_info[i];
                int text = copy_string(types, member, line->line_off);

                if (text < 0)
                        return text;
                if (line->file_name_off != old_file) {
                        file = copy_string(types, member, line->file_name_off);
                        if (file < 0)
                                return file;
                        old_file = line->file_name_off;
                }
                add_line(types, position_of(span, line->insn_off), file, text, line->line_col);
        }
        return 0;
}

static int add_member(Types *types, const FuseMember *m, const FuseSpan *span) {
        int shift = 0, r;

        if (m->member->btf && btf__type_cnt(m->member->btf) > 1) {
                r = btf__add_btf(types->output->btf, m->member->btf);
                if (r < 0)
                        return r;
                shift = r - 1;
        }
        r = add_member_functions(types, m, span, shift);
        if (r >= 0)
                r = add_member_lines(types, m, span);
        return r;
}

static int compare_functions(const void *a, const void *b) {
        const struct bpf_func_info *x = a, *y = b;

        return x->insn_off < y->insn_off ? -1 : x->insn_off > y->insn_off;
}

static int compare_lines(const void *a, const void *b) {
        const struct bpf_line_info *x = a, *y = b;

        if (x->insn_off != y->insn_off)
                return x->insn_off < y->insn_off ? -1 : 1;
        return x->line_off < y->line_off ? -1 : x->line_off > y->line_off;
}

/* The kernel wants both in order of instructions, and one line at each. Where two meet, ours gives way to the
 * author's; of two of ours the later one stays. */
static void sort_records(Types *types) {
        FuseOutput *output = types->output;
        struct bpf_line_info *lines = output->line_info;
        size_t n = 0;

        qsort(output->func_info, output->n_func_info, sizeof(struct bpf_func_info), compare_functions);
        qsort(lines, output->n_line_info, sizeof(struct bpf_line_info), compare_lines);
        for (size_t i = 0; i < output->n_line_info; i++) {
                if (n == 0 || lines[n - 1].insn_off != lines[i].insn_off)
                        lines[n++] = lines[i];
                else if (lines[n - 1].file_name_off == (uint32_t) types->file_name)
                        lines[n - 1] = lines[i];
        }
        output->n_line_info = n;
}

int fuse_btf_build(const FuseInput *input, const FuseLayout *layout, FuseOutput *output) {
        Types types = { .input = input, .output = output };
        int r;

        types.room_func_info = 1 + layout->n_functions;
        types.room_line_info = 2 + layout->n_functions + 2 * input->n_members;
        for (size_t i = 0; i < input->n_members; i++) {
                const Member *member = input->members[i].member;

                types.room_func_info += member->n_subprograms;
                types.room_line_info += MAX2(member->n_subprograms, member->n_line_info);
        }

        output->btf = btf__new_empty();
        output->func_info = calloc(types.room_func_info, sizeof(struct bpf_func_info));
        output->line_info = calloc(types.room_line_info, sizeof(struct bpf_line_info));
        if (!output->btf || !output->func_info || !output->line_info)
                return -ENOMEM;

        r = declare_types(&types);
        if (r >= 0)
                r = declare_root(&types, layout);
        for (size_t i = 0; i < input->n_members && r >= 0; i++)
                if (input->members[i].form != SLOT_FORM_SLOT)
                        r = add_member(&types, &input->members[i], &output->spans[i]);
        if (r >= 0)
                sort_records(&types);
        return r;
}
