/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mutate.h"
#include "kernel/fuse.h"

int __real_fuse_build(const FuseInput *input, FuseOutput *ret);
int __wrap_fuse_build(const FuseInput *input, FuseOutput *ret);

static struct {
        Mutation mutation;
        uint64_t seed;
        bool active; /* between begin and end */
        bool done;
} state;

const char *mutation_name(Mutation mutation) {
        switch (mutation) {
        case MUTATION_NONE: return "none";
        case MUTATION_DECISION: return "a decision turned round";
        case MUTATION_CONSTANT: return "a comparison with the next number";
        case MUTATION_CELL: return "a count in the cell beside it";
        case MUTATION_INCREMENT: return "a count that counts twice";
        case MUTATION_STORE: return "a store that is left out";
        case _MUTATION_MAX: break;
        }
        return NULL;
}

void mutation_set(Mutation mutation, uint64_t seed) {
        state.mutation = mutation;
        state.seed = seed;
}

void mutation_begin(void) {
        state.active = true;
        state.done = false;
}

bool mutation_end(void) {
        state.active = false;
        return state.done;
}

static bool is_conditional(const struct bpf_insn *insn) {
        unsigned class = BPF_CLASS(insn->code), operation = BPF_OP(insn->code);

        return (class == BPF_JMP || class == BPF_JMP32) && operation != BPF_JA && operation != BPF_CALL &&
               operation != BPF_EXIT && operation <= BPF_JSLE;
}

static unsigned opposite(unsigned operation) {
        switch (operation) {
        case BPF_JEQ: return BPF_JNE;
        case BPF_JNE: return BPF_JEQ;
        case BPF_JGT: return BPF_JLE;
        case BPF_JLE: return BPF_JGT;
        case BPF_JLT: return BPF_JGE;
        case BPF_JGE: return BPF_JLT;
        }
        return operation;
}

static bool is_store(const struct bpf_insn *insn) {
        unsigned class = BPF_CLASS(insn->code);

        return (class == BPF_ST || class == BPF_STX) && BPF_MODE(insn->code) == BPF_MEM;
}

/* Could the mutation change this instruction? */
static bool fits(const struct bpf_insn *insn, bool member) {
        switch (state.mutation) {
        case MUTATION_DECISION:
                return !member && is_conditional(insn) && opposite(BPF_OP(insn->code)) != BPF_OP(insn->code);
        case MUTATION_CONSTANT:
                return !member && is_conditional(insn) && BPF_SRC(insn->code) == BPF_K && insn->imm != 0;
        case MUTATION_CELL:
                return !member && insn->code == (BPF_STX | BPF_MEM | BPF_DW) && insn->dst_reg != BPF_REG_10;
        case MUTATION_INCREMENT: return !member && insn->code == (BPF_ALU64 | BPF_ADD | BPF_K) && insn->imm == 1;
        case MUTATION_STORE: return member && is_store(insn) && insn->dst_reg != BPF_REG_10;
        case MUTATION_NONE:
        case _MUTATION_MAX: break;
        }
        return false;
}

static void change(struct bpf_insn *insn) {
        switch (state.mutation) {
        case MUTATION_DECISION: insn->code = (uint8_t) ((insn->code & ~0xf0) | opposite(BPF_OP(insn->code))); break;
        case MUTATION_CONSTANT: insn->imm++; break;
        case MUTATION_CELL: insn->off = (int16_t) (insn->off + 8); break;
        case MUTATION_INCREMENT: insn->imm = 2; break;
        case MUTATION_STORE: *insn = (struct bpf_insn){ .code = BPF_JMP | BPF_JA }; break;
        case MUTATION_NONE:
        case _MUTATION_MAX: break;
        }
        state.done = true;
}

static bool in_member(const FuseInput *input, const FuseOutput *output, size_t insn) {
        for (size_t i = 0; i < input->n_members; i++)
                if (fuse_span_has(&output->spans[i], insn))
                        return true;
        return false;
}

int __wrap_fuse_build(const FuseInput *input, FuseOutput *ret) {
        Random random = { state.seed };
        struct bpf_insn *chosen = NULL;
        uint32_t n = 0;
        int r;

        r = __real_fuse_build(input, ret);
        if (r < 0 || !state.active || state.mutation == MUTATION_NONE)
                return r;
        for (size_t i = 0; i < ret->n_insns; i++) {
                if (fits(&ret->insns[i], in_member(input, ret, i)) && random_below(&random, ++n) == 0)
                        chosen = &ret->insns[i];
                if (insn_is_wide(&ret->insns[i]))
                        i++;
        }
        if (chosen)
                change(chosen);
        return r;
}
