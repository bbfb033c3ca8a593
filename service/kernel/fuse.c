/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <linux/pkt_cls.h>

#include "kernel/fuse-btf.h"
#include "kernel/fuse.h"

/* Instructions of root and counters that do not depend on the number of slots, and those a slot takes at most. */
#define ROOT_INSNS_MAX 24
#define SLOT_INSNS_MAX 32
#define END_INSNS      4 /* of emit_end() */

void fuse_output_done(FuseOutput *output) {
        free(output->insns);
        free(output->func_info);
        free(output->line_info);
        free(output->fd_array);
        btf__free(output->btf);
        *output = (FuseOutput){};
}

/* Emitting. The room was measured before, so that nothing here can fail. */

typedef struct Code {
        struct bpf_insn *insns;
        size_t n;
        size_t room;
} Code;

static void emit(Code *code, unsigned op, unsigned dst, unsigned src, int off, int32_t imm) {
        assert(code->n < code->room);
        code->insns[code->n++] = (struct bpf_insn){
                .code = (uint8_t) op,
                .dst_reg = dst & 15,
                .src_reg = src & 15,
                .off = (int16_t) off,
                .imm = imm,
        };
}

static void emit_move(Code *code, unsigned dst, unsigned src) {
        emit(code, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void emit_move32(Code *code, unsigned dst, unsigned src) {
        emit(code, BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void emit_set32(Code *code, unsigned dst, uint32_t value) {
        emit(code, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (int32_t) value);
}

/* Skips `n` instructions where the lower half of dst compares so with value. */
static void emit_skip_if(Code *code, unsigned condition, unsigned dst, uint32_t value, int n) {
        emit(code, BPF_JMP32 | condition | BPF_K, dst, 0, n, (int32_t) value);
}

static void emit_exit(Code *code) {
        emit(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* The target is set by set_call() once it is known. */
static size_t emit_call(Code *code) {
        emit(code, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0);
        return code->n - 1;
}

static void set_call(Code *code, size_t call, size_t target) {
        code->insns[call].imm = (int32_t) ((int64_t) target - (int64_t) call - 1);
}

/* w1 = the bucket of the verdict in w0. */
static void emit_bucket(Code *code, Hook hook) {
        unsigned other = verdict_buckets(hook) - 1;

        emit_move32(code, BPF_REG_1, BPF_REG_0);
        if (hook_is_tc(hook))
                emit(code, BPF_ALU | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, 1);
        emit_skip_if(code, BPF_JLT, BPF_REG_1, other, 1);
        emit_set32(code, BPF_REG_1, other);
}

/* Adds one to the bucket w1 of a seat's row. w1 stays, and r2 points at the bucket in the first row.
 *
 * A plain addition does: the counters are the CPU's own, XDP and TC programs run with bottom halves disabled, so
 * nothing else that counts in this chain comes between load and store (a nested run, by bpf_clone_redirect(),
 * happens within a member), and the instruction that a locked addition would be costs some 5 ns a hop. */
static void emit_count(Code *code, unsigned seat) {
        int row = (int) (seat * COUNTER_CELLS * sizeof(uint64_t));

        emit_move32(code, BPF_REG_2, BPF_REG_1);
        emit(code, BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_2, 0, 0, 3);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_2, BPF_REG_7, 0, 0);
        emit(code, BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_3, BPF_REG_2, row, 0);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, 1);
        emit(code, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_2, BPF_REG_3, row, 0);
}

/* Counts in a seat's row that a packet's way ended with the bucket that r2 points at, and ends with the verdict in
 * r0. */
static void emit_end(Code *code, unsigned seat) {
        int cell = (int) ((seat * COUNTER_CELLS + COUNTER_ENDED) * sizeof(uint64_t));

        emit(code, BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_3, BPF_REG_2, cell, 0);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, 1);
        emit(code, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_2, BPF_REG_3, cell, 0);
        emit_exit(code);
}

/* Ends with the verdict in r0 unless the set has the bucket w1. Sets of one and two are compared one by one; an
 * empty set takes the general form too, because the verifier refuses instructions that no path leads to. */
static void emit_proceed(Code *code, Hook hook, uint32_t set, unsigned seat) {
        int n = __builtin_popcount(set);

        if (set == (UINT32_C(1) << verdict_buckets(hook)) - 1)
                return;

        if (n == 1 || n == 2) {
                for (; set != 0; set &= set - 1)
                        emit_skip_if(code, BPF_JEQ, BPF_REG_1, (uint32_t) __builtin_ctz(set), --n + END_INSNS);
        } else {
                emit_set32(code, BPF_REG_4, set);
                emit(code, BPF_ALU | BPF_RSH | BPF_X, BPF_REG_4, BPF_REG_1, 0, 0);
                emit(code, BPF_ALU | BPF_AND | BPF_K, BPF_REG_4, 0, 0, 1);
                emit_skip_if(code, BPF_JNE, BPF_REG_4, 0, END_INSNS);
        }
        emit_end(code, seat);
}

/* Where the root keeps what it needs between slots: in registers where all members are called, else on its stack,
 * below what inlined members use of it. */
typedef struct Root {
        bool on_stack;
        int context;  /* offset from r10 */
        int counters; /* offset from r10 */
} Root;

static Root root_layout(const FuseInput *input) {
        Root root = {};
        uint32_t depth = 0;

        for (size_t i = 0; i < input->n_members; i++) {
                if (input->members[i].form != SLOT_FORM_INLINED)
                        continue;
                root.on_stack = true;
                depth = MAX2(depth, input->members[i].member->main_stack);
        }
        depth = (depth + 7) & ~UINT32_C(7);
        root.context = -(int) depth - 8;
        root.counters = -(int) depth - 16;
        return root;
}

/* The root up to its first slot; returns the call of the counters function. */
static size_t emit_root(Code *code, const Root *root, Hook hook) {
        size_t call;

        if (root->on_stack)
                emit(code, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_1, root->context, 0);
        else
                emit_move(code, BPF_REG_6, BPF_REG_1);
        call = emit_call(code);
        emit(code, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 2, 0);
        emit_set32(code, BPF_REG_0, hook_is_tc(hook) ? TC_ACT_SHOT : XDP_ABORTED);
        emit_exit(code);
        if (root->on_stack)
                emit(code, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_0, root->counters, 0);
        else
                emit_move(code, BPF_REG_7, BPF_REG_0);
        return call;
}

static void emit_context(Code *code, const Root *root) {
        if (root->on_stack)
                emit(code, BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_10, root->context, 0);
        else
                emit_move(code, BPF_REG_1, BPF_REG_6);
}

/* An inlined member, and anything that is called, may have left r7 as it likes. */
static void emit_reload_counters(Code *code, const Root *root) {
        if (root->on_stack)
                emit(code, BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_7, BPF_REG_10, root->counters, 0);
}

static void emit_counters(Code *code, int fd) {
        emit(code, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0);
        emit_move(code, BPF_REG_2, BPF_REG_10);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4);
        emit(code, BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, fd);
        emit(code, 0, 0, 0, 0, 0);
        emit(code, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
        emit_exit(code);
}

/* Instructions of the main function. */
static size_t main_insns(const Member *member) {
        return member->n_subprograms > 1 ? member->subprograms[1] : member->n_insns;
}

/* Copies a part of a member behind what there is and fills in descriptors. `modules` is where its part of fd_array
 * begins. */
static int append_insns(Code *code, const FuseMember *m, size_t from, size_t to, size_t modules) {
        const Member *member = m->member;
        struct bpf_insn *insns = &code->insns[code->n];
        size_t n = to - from;

        assert(code->room - code->n >= n);
        memcpy(insns, member->insns + from, n * sizeof(struct bpf_insn));
        code->n += n;

        for (size_t i = 0; i < n; i++) {
                struct bpf_insn *insn = &insns[i];

                if (insn_is_map(insn)) {
                        if ((uint32_t) insn->imm >= m->n_maps)
                                return -EINVAL;
                        insn->imm = m->map_fds[insn->imm];
                } else if (insn_is_module_variable(insn)) {
                        if ((uint32_t) insn[1].imm > member->n_btf_fds)
                                return -EINVAL;
                        insn[1].imm = member->btf_fds[insn[1].imm - 1];
                } else if (insn_is_call(insn, BPF_PSEUDO_KFUNC_CALL) && insn->off > 0) {
                        if ((size_t) insn->off > member->n_btf_fds)
                                return -EINVAL;
                        insn->off = (int16_t) (modules + (size_t) insn->off - 1);
                }
                if (insn_is_wide(insn))
                        i++;
        }
        return 0;
}

/* An exit of an inlined main function ends only the member. */
static void turn_exits(Code *code, const FuseSpan *span) {
        for (size_t i = span->start; i < span->end; i++) {
                struct bpf_insn *insn = &code->insns[i];

                if (insn->code == (BPF_JMP | BPF_EXIT))
                        *insn = (struct bpf_insn){ .code = BPF_JMP | BPF_JA, .off = (int16_t) (span->end - i - 1) };
                if (insn_is_wide(insn))
                        i++;
        }
}

/* Calls of subprograms, and references to them, out of an inlined main function: the distance to them has grown. */
static void aim_at_subprograms(Code *code, const FuseSpan *span) {
        int32_t growth = (int32_t) (span->subprograms - span->end);

        for (size_t i = span->start; i < span->end; i++) {
                struct bpf_insn *insn = &code->insns[i];

                if (insn_is_call(insn, BPF_PSEUDO_CALL) || (insn_is_wide(insn) && insn->src_reg == BPF_PSEUDO_FUNC))
                        insn->imm += growth;
                if (insn_is_wide(insn))
                        i++;
        }
}

/* Appends the BTF descriptors of a member's kernel modules; [0] stands for the kernel's own. Returns where they
 * begin. */
static ssize_t append_modules(FuseOutput *output, const Member *member) {
        size_t start = output->n_fd_array > 0 ? output->n_fd_array : 1;
        int *array;

        if (member->n_btf_fds == 0)
                return (ssize_t) start;
        array = reallocarray(output->fd_array, output->n_fd_array + member->n_btf_fds + 1, sizeof(int));
        if (!array)
                return -ENOMEM;
        output->fd_array = array;
        if (output->n_fd_array == 0)
                array[output->n_fd_array++] = 0;
        memcpy(array + output->n_fd_array, member->btf_fds, member->n_btf_fds * sizeof(int));
        output->n_fd_array += member->n_btf_fds;
        return (ssize_t) start;
}

/* Code that is being put together. */
typedef struct Build {
        const FuseInput *input;
        FuseOutput *output;
        FuseLayout *layout;
        Code code;
        Root root;
        size_t modules[CHAIN_SLOTS_MAX]; /* where a member's part of fd_array begins */
        size_t calls[CHAIN_SLOTS_MAX];   /* of called members */
} Build;

/* The member itself: afterwards its verdict is in r0 and the counters are in r7. */
static int build_body(Build *build, size_t i) {
        const FuseMember *m = &build->input->members[i];
        FuseSpan *span = &build->output->spans[i];
        int r;

        emit_context(&build->code, &build->root);
        if (m->form == SLOT_FORM_INLINED) {
                span->start = build->code.n;
                r = append_insns(&build->code, m, 0, main_insns(m->member), build->modules[i]);
                if (r < 0)
                        return r;
                span->end = build->code.n;
                turn_exits(&build->code, span);
        } else
                build->calls[i] = emit_call(&build->code);
        build->layout->slot_ends[i] = build->code.n;
        emit_reload_counters(&build->code, &build->root);
        return 0;
}

static int build_root(Build *build) {
        const FuseInput *input = build->input;
        size_t counters_call;
        int r;

        counters_call = emit_root(&build->code, &build->root, input->hook);
        for (size_t i = 0; i < input->n_members; i++) {
                const FuseMember *m = &input->members[i];

                build->layout->slot_starts[i] = build->code.n;
                r = build_body(build, i);
                if (r < 0)
                        return r;
                emit_bucket(&build->code, input->hook);
                emit_count(&build->code, m->seat);
                if (i + 1 < input->n_members)
                        emit_proceed(&build->code, input->hook, m->proceed_on, m->seat);
        }
        emit_end(&build->code, input->members[input->n_members - 1].seat);

        build->layout->counters = build->code.n;
        set_call(&build->code, counters_call, build->code.n);
        emit_counters(&build->code, input->counters_fd);
        return 0;
}

/* What of a member comes behind the root. */
static int build_rest(Build *build, size_t i) {
        const FuseMember *m = &build->input->members[i];
        FuseSpan *span = &build->output->spans[i];
        size_t n_main = main_insns(m->member);
        int r;

        if (m->form != SLOT_FORM_INLINED) {
                span->start = build->code.n;
                set_call(&build->code, build->calls[i], build->code.n);
                r = append_insns(&build->code, m, 0, n_main, build->modules[i]);
                if (r < 0)
                        return r;
                span->end = build->code.n;
        }
        span->subprograms = build->code.n;
        r = append_insns(&build->code, m, n_main, m->member->n_insns, build->modules[i]);
        span->subprograms_end = build->code.n;
        aim_at_subprograms(&build->code, span);
        return r;
}

static int build_insns(const FuseInput *input, FuseLayout *layout, FuseOutput *output) {
        Build build = { .input = input, .output = output, .layout = layout, .root = root_layout(input) };
        int r;

        build.code.room = ROOT_INSNS_MAX + input->n_members * SLOT_INSNS_MAX;
        for (size_t i = 0; i < input->n_members; i++) {
                ssize_t modules = append_modules(output, input->members[i].member);

                if (modules < 0)
                        return (int) modules;
                build.modules[i] = (size_t) modules;
                build.code.room += input->members[i].member->n_insns;
        }
        output->insns = build.code.insns = calloc(build.code.room, sizeof(struct bpf_insn));
        if (!build.code.insns)
                return -ENOMEM;

        r = build_root(&build);
        for (size_t i = 0; i < input->n_members && r >= 0; i++)
                r = build_rest(&build, i);
        output->n_insns = build.code.n;
        return r;
}

int fuse_build(const FuseInput *input, FuseOutput *ret) {
        _cleanup_(fuse_output_done) FuseOutput output = {};
        FuseLayout layout = {};
        int r;

        r = build_insns(input, &layout, &output);
        if (r >= 0)
                r = fuse_btf_build(input, &layout, &output);
        if (r < 0)
                return r;

        *ret = output;
        output = (FuseOutput){};
        return 0;
}
