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

/* Adds one to the bucket w1 of a seat's row; w1 stays.
 *
 * A plain addition does: the counters are the CPU's own, XDP and TC programs run with bottom halves disabled, so
 * nothing else that counts in this chain comes between load and store (a nested run, by bpf_clone_redirect(),
 * happens within a member), and the instruction that a locked addition would be costs some 5 ns a hop. */
static void emit_count(Code *code, unsigned seat) {
        int row = (int) (seat * VERDICT_BUCKETS * sizeof(uint64_t));

        emit_move32(code, BPF_REG_2, BPF_REG_1);
        emit(code, BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_2, 0, 0, 3);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_2, BPF_REG_7, 0, 0);
        emit(code, BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_3, BPF_REG_2, row, 0);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, 1);
        emit(code, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_2, BPF_REG_3, row, 0);
}

/* Counts in a seat's row that a packet's way ended there, and ends with the verdict in r0. */
static void emit_end(Code *code, unsigned seat) {
        int cell = (int) ((seat * VERDICT_BUCKETS + VERDICT_ENDED) * sizeof(uint64_t));

        emit(code, BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_3, BPF_REG_7, cell, 0);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, 1);
        emit(code, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_7, BPF_REG_3, cell, 0);
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
                emit_set32(code, BPF_REG_2, set);
                emit(code, BPF_ALU | BPF_RSH | BPF_X, BPF_REG_2, BPF_REG_1, 0, 0);
                emit(code, BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 1);
                emit_skip_if(code, BPF_JNE, BPF_REG_2, 0, END_INSNS);
        }
        emit_end(code, seat);
}

/* The root up to its first slot; returns the call of the counters function. */
static size_t emit_root(Code *code, Hook hook) {
        size_t call;

        emit_move(code, BPF_REG_6, BPF_REG_1);
        call = emit_call(code);
        emit(code, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 2, 0);
        emit_set32(code, BPF_REG_0, hook_is_tc(hook) ? TC_ACT_SHOT : XDP_ABORTED);
        emit_exit(code);
        emit_move(code, BPF_REG_7, BPF_REG_0);
        return call;
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

/* Copies a member behind what there is and fills in descriptors. `modules` is where its part of fd_array begins. */
static int append_member(Code *code, const FuseMember *m, size_t modules) {
        const Member *member = m->member;
        struct bpf_insn *insns = &code->insns[code->n];

        assert(code->room - code->n >= member->n_insns);
        memcpy(insns, member->insns, member->n_insns * sizeof(struct bpf_insn));
        code->n += member->n_insns;

        for (size_t i = 0; i < member->n_insns; i++) {
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

/* Appends the BTF descriptors of a member's kernel modules; [0] stands for the kernel's own. */
static int append_modules(FuseOutput *output, const Member *member) {
        int *array;

        if (member->n_btf_fds == 0)
                return 0;
        array = reallocarray(output->fd_array, output->n_fd_array + member->n_btf_fds + 1, sizeof(int));
        if (!array)
                return -ENOMEM;
        output->fd_array = array;
        if (output->n_fd_array == 0)
                array[output->n_fd_array++] = 0;
        memcpy(array + output->n_fd_array, member->btf_fds, member->n_btf_fds * sizeof(int));
        output->n_fd_array += member->n_btf_fds;
        return 0;
}

static int build_insns(const FuseInput *input, FuseLayout *layout, FuseOutput *output) {
        size_t calls[CHAIN_SLOTS_MAX], counters_call;
        Code code = { .room = ROOT_INSNS_MAX + input->n_members * SLOT_INSNS_MAX };

        for (size_t i = 0; i < input->n_members; i++)
                code.room += input->members[i].member->n_insns;
        output->insns = code.insns = calloc(code.room, sizeof(struct bpf_insn));
        if (!code.insns)
                return -ENOMEM;

        counters_call = emit_root(&code, input->hook);
        for (size_t i = 0; i < input->n_members; i++) {
                const FuseMember *m = &input->members[i];

                layout->slot_starts[i] = code.n;
                emit_move(&code, BPF_REG_1, BPF_REG_6);
                calls[i] = emit_call(&code);
                emit_bucket(&code, input->hook);
                emit_count(&code, m->seat);
                if (i + 1 < input->n_members)
                        emit_proceed(&code, input->hook, m->proceed_on, m->seat);
        }
        emit_end(&code, input->members[input->n_members - 1].seat);

        layout->counters = code.n;
        set_call(&code, counters_call, code.n);
        emit_counters(&code, input->counters_fd);

        for (size_t i = 0; i < input->n_members; i++) {
                const FuseMember *m = &input->members[i];
                size_t modules = output->n_fd_array > 0 ? output->n_fd_array : 1;
                int r;

                output->spans[i].start = code.n;
                set_call(&code, calls[i], code.n);
                r = append_modules(output, m->member);
                if (r >= 0)
                        r = append_member(&code, m, modules);
                if (r < 0)
                        return r;
                output->spans[i].end = code.n;
        }

        output->n_insns = code.n;
        return 0;
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
