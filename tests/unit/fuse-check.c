/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse-check.h"

#define MAY_GOTO 0xe0

static char text[256];

_printf_(1, 2) static const char *wrong(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        return text;
}

static bool is_jump_class(const struct bpf_insn *insn) {
        return BPF_CLASS(insn->code) == BPF_JMP || BPF_CLASS(insn->code) == BPF_JMP32;
}

static bool is_exit(const struct bpf_insn *insn) {
        return insn->code == (BPF_JMP | BPF_EXIT);
}

/* Leads nowhere but to its target. */
static bool is_goto(const struct bpf_insn *insn) {
        return insn->code == (BPF_JMP | BPF_JA) || insn->code == (BPF_JMP32 | BPF_JA);
}

static bool is_reference(const struct bpf_insn *insn) {
        return insn_is_call(insn, BPF_PSEUDO_CALL) || (insn_is_wide(insn) && insn->src_reg == BPF_PSEUDO_FUNC);
}

static bool is_jump(const struct bpf_insn *insn) {
        return is_jump_class(insn) && BPF_OP(insn->code) != BPF_CALL && BPF_OP(insn->code) != BPF_EXIT;
}

/* Where a jump or a reference leads. */
static int64_t target_of(const struct bpf_insn *insns, size_t i) {
        bool by_imm = is_reference(&insns[i]) || insns[i].code == (BPF_JMP32 | BPF_JA);

        return (int64_t) i + 1 + (by_imm ? insns[i].imm : insns[i].off);
}

/* Is there such a load of BPF_LD, such a jump, call or exit? Others are told apart by the builder nowhere. */
static bool is_known(const struct bpf_insn *insn) {
        if (BPF_CLASS(insn->code) == BPF_LD)
                return insn_is_wide(insn) || BPF_MODE(insn->code) == BPF_ABS || BPF_MODE(insn->code) == BPF_IND;
        if (!is_jump_class(insn))
                return true;
        switch (BPF_OP(insn->code)) {
        case BPF_JA: return BPF_SRC(insn->code) == BPF_K;
        case BPF_CALL:
        case BPF_EXIT:
        case MAY_GOTO: return insn->code == (BPF_JMP | BPF_OP(insn->code));
        case 0xf0: return false;
        default: return true;
        }
}

/* Marks what a way leads to from instruction 0; with `within` set, not into other functions. False: no memory. */
static bool follow(const struct bpf_insn *insns, size_t n, bool within, bool *reached) {
        size_t *stack = calloc(2 * n + 2, sizeof(size_t)), top = 0;

        if (!stack)
                return false;
        stack[top++] = 0;
        while (top > 0) {
                size_t i = stack[--top];

                if (i >= n || reached[i])
                        continue;
                reached[i] = true;
                if (is_jump(&insns[i]) || (is_reference(&insns[i]) && !within))
                        stack[top++] = (size_t) target_of(insns, i);
                if (insn_is_wide(&insns[i]) && i + 1 < n)
                        reached[++i] = true;
                if (!is_exit(&insns[i]) && !is_goto(&insns[i]))
                        stack[top++] = i + 1;
        }
        free(stack);
        return true;
}

bool fuse_check_ends(const struct bpf_insn *insns, size_t n_main) {
        bool *reached = calloc(n_main + 1, sizeof(bool)), ends = false;

        if (reached && follow(insns, n_main, true, reached))
                for (size_t i = 0; i < n_main; i++) {
                        ends = ends || (reached[i] && is_exit(&insns[i]));
                        i += insn_is_wide(&insns[i]);
                }
        free(reached);
        return ends;
}

static const char *check_reached(const struct bpf_insn *insns, size_t n) {
        bool *reached = calloc(n, sizeof(bool));
        const char *what = NULL;

        if (!reached || !follow(insns, n, false, reached))
                what = wrong("no memory");
        for (size_t i = 0; !what && i < n; i++)
                if (!reached[i])
                        what = wrong("no way leads to instruction %zu", i);
        free(reached);
        return what;
}

/* `kinds`: of each instruction, whether it is the begin of a function, or the second half of another one. */
static const char *check_targets(const struct bpf_insn *insns, size_t n_insns, size_t start, size_t end,
                                 const char *kinds) {
        size_t last = start;

        for (size_t i = start; i < end; i++) {
                int64_t target = target_of(insns, i);

                last = i;
                if (!is_known(&insns[i]))
                        return wrong("instruction %zu has code %#x", i, insns[i].code);
                if (is_reference(&insns[i]) && (target < 0 || target >= (int64_t) n_insns || kinds[target] != 'f'))
                        return wrong("instruction %zu refers to no function", i);
                if (is_jump(&insns[i]) && (target < (int64_t) start || target >= (int64_t) end))
                        return wrong("instruction %zu jumps out of its function", i);
                if (is_jump(&insns[i]) && kinds[target] == 'h')
                        return wrong("instruction %zu jumps into an instruction", i);
                i += insn_is_wide(&insns[i]);
        }
        if (!is_exit(&insns[last]) && !is_goto(&insns[last]))
                return wrong("the function at %zu ends with code %#x", start, insns[last].code);
        return NULL;
}

/* Marks second halves and begins of functions. */
static const char *find_kinds(const struct bpf_insn *insns, size_t n_insns, const uint32_t *starts, size_t n_starts,
                              char *kinds) {
        for (size_t i = 0; i < n_insns; i++) {
                if (!insn_is_wide(&insns[i]))
                        continue;
                if (i + 1 == n_insns || insns[i + 1].code != 0 || insns[i + 1].dst_reg != 0 ||
                    insns[i + 1].src_reg != 0 || insns[i + 1].off != 0)
                        return wrong("instruction %zu has no second half", i);
                kinds[++i] = 'h';
        }
        for (size_t i = 0; i < n_starts; i++) {
                if (starts[i] >= n_insns || kinds[starts[i]] != '\0')
                        return wrong("no function can begin at %u", starts[i]);
                kinds[starts[i]] = 'f';
        }
        return NULL;
}

const char *fuse_check_code(const struct bpf_insn *insns, size_t n_insns, const uint32_t *starts, size_t n_starts) {
        const char *what = NULL;
        char *kinds;

        if (n_insns == 0 || n_starts == 0 || starts[0] != 0)
                return wrong("there is no main function");
        kinds = calloc(n_insns, 1);
        if (!kinds)
                return wrong("no memory");
        what = find_kinds(insns, n_insns, starts, n_starts, kinds);
        for (size_t i = 0; i < n_starts && !what; i++)
                what = check_targets(insns, n_insns, starts[i], i + 1 < n_starts ? starts[i + 1] : n_insns, kinds);
        free(kinds);
        return what ? what : check_reached(insns, n_insns);
}

const char *fuse_check_shape(const FuseOutput *output) {
        uint32_t *starts = calloc(output->n_func_info + 1, sizeof(uint32_t));
        const char *what;

        if (!starts)
                return wrong("no memory");
        for (size_t i = 0; i < output->n_func_info; i++)
                starts[i] = output->func_info[i].insn_off;
        what = fuse_check_code(output->insns, output->n_insns, starts, output->n_func_info);
        free(starts);
        return what;
}

static const char *check_function(const struct btf *btf, const struct bpf_func_info *function) {
        const struct btf_type *type = btf__type_by_id(btf, function->type_id), *proto;
        const char *name;

        if (!type || !btf_is_func(type))
                return wrong("the function at %u has type %u, which is none", function->insn_off, function->type_id);
        proto = btf__type_by_id(btf, type->type);
        name = btf__name_by_offset(btf, type->name_off);
        if (!proto || !btf_is_func_proto(proto) || !name || *name == '\0')
                return wrong("the function at %u has no name, or takes and gives nothing", function->insn_off);
        return NULL;
}

static const char *check_line(const struct btf *btf, const struct bpf_insn *insns, size_t n_insns,
                              const struct bpf_line_info *line) {
        const char *file = btf__str_by_offset(btf, line->file_name_off);

        if (line->insn_off >= n_insns || insns[line->insn_off].code == 0)
                return wrong("a line is at instruction %u, where there is none", line->insn_off);
        if (!file || *file == '\0' || !btf__str_by_offset(btf, line->line_off))
                return wrong("the line at instruction %u has no file or text", line->insn_off);
        return NULL;
}

const char *fuse_check_info(const struct btf *btf, const struct bpf_insn *insns, size_t n_insns,
                            const struct bpf_func_info *functions, size_t n_functions,
                            const struct bpf_line_info *lines, size_t n_lines) {
        const char *what = NULL;
        size_t line = 0;

        if (n_functions == 0 || functions[0].insn_off != 0)
                return wrong("there is no main function");
        for (size_t i = 0; i < n_functions && !what; i++) {
                what = check_function(btf, &functions[i]);
                if (!what && i > 0 && functions[i].insn_off <= functions[i - 1].insn_off)
                        what = wrong("function %zu is out of order", i);
                while (line < n_lines && lines[line].insn_off < functions[i].insn_off)
                        line++;
                if (!what && (line >= n_lines || lines[line].insn_off != functions[i].insn_off))
                        what = wrong("the function at %u has no line", functions[i].insn_off);
        }
        for (size_t i = 0; i < n_lines && !what; i++) {
                what = check_line(btf, insns, n_insns, &lines[i]);
                if (!what && i > 0 && lines[i].insn_off <= lines[i - 1].insn_off)
                        what = wrong("line %zu is out of order", i);
        }
        return what;
}
