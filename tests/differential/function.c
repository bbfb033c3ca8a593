/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "function.h"

/* Instructions. */

size_t emit(Function *f, unsigned code, unsigned dst, unsigned src, int off, int32_t imm) {
        if (f->n_insns >= INSNS_MAX) {
                f->generator->full = true;
                f->n_insns = INSNS_MAX - 1;
        }
        f->insns[f->n_insns++] = (struct bpf_insn){
                .code = (uint8_t) code,
                .dst_reg = dst & 15,
                .src_reg = src & 15,
                .off = (int16_t) off,
                .imm = imm,
        };
        return f->n_insns - 1;
}

size_t emit_wide(Function *f, unsigned dst, unsigned src, int32_t low, int32_t high) {
        size_t insn = emit(f, BPF_LD | BPF_IMM | BPF_DW, dst, src, 0, low);

        emit(f, 0, 0, 0, 0, high);
        return insn;
}

void emit_stack_address(Function *f, unsigned dst, int off) {
        emit_move(f, dst, BPF_REG_10);
        emit_add(f, dst, off);
}

void aim_here(Function *f, size_t jump) {
        f->insns[jump].off = (int16_t) (f->n_insns - jump - 1);
}

static void calls_clobber(Function *f) {
        f->state.numbers &= ~CALLER_SAVED;
        has_number(f, BPF_REG_0);
}

void emit_helper(Function *f, int helper) {
        emit(f, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
        calls_clobber(f);
}

static void remember_call(Function *f, size_t insn, const Function *callee) {
        size_t i;

        for (i = 0; f->generator->functions[i] != callee;)
                i++;
        if (f->n_calls == CALLS_MAX) {
                f->generator->full = true;
                return;
        }
        f->calls[f->n_calls++] = (Call){ insn, i };
}

void emit_call(Function *f, const Function *callee) {
        remember_call(f, emit(f, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0), callee);
        calls_clobber(f);
}

void emit_function_address(Function *f, unsigned dst, const Function *callee) {
        remember_call(f, emit_wide(f, dst, BPF_PSEUDO_FUNC, 0, 0), callee);
        has_no_number(f, dst);
}

/* Registers. */

static uint32_t context_bit(const Function *f) {
        return f->has_context && f->context_register >= 0 ? REGISTER(f->context_register) : 0;
}

unsigned pick_target(Function *f, uint32_t among) {
        uint32_t free = f->usable & ~f->pinned & ~context_bit(f);

        return (unsigned) random_bit(f->random, (free & among) != 0 ? free & among : free);
}

void make_number(Function *f, unsigned dst) {
        uint32_t others = f->state.numbers & ~REGISTER(dst);
        uint64_t value = random_number(f->random);

        if (others != 0 && random_chance(f->random, 50))
                emit(f, (random_chance(f->random, 50) ? BPF_ALU : BPF_ALU64) | BPF_MOV | BPF_X, dst,
                     (unsigned) random_bit(f->random, others), 0, 0);
        else if (random_chance(f->random, 30))
                emit_wide(f, dst, 0, (int32_t) value, (int32_t) (value >> 32));
        else
                emit(f, (random_chance(f->random, 50) ? BPF_ALU : BPF_ALU64) | BPF_MOV | BPF_K, dst, 0, 0,
                     (int32_t) value);
        has_number(f, dst);
}

unsigned pick_number(Function *f, uint32_t among) {
        unsigned n;

        if ((f->state.numbers & among) != 0)
                return (unsigned) random_bit(f->random, f->state.numbers & among);
        n = pick_target(f, among);
        make_number(f, n);
        return n;
}

unsigned free_registers(const Function *f) {
        return (unsigned) __builtin_popcount(f->usable & ~f->pinned & ~context_bit(f));
}

int take_pointer(Function *f, uint32_t among) {
        uint32_t free = f->usable & ~f->pinned & ~context_bit(f);
        int n = random_bit(f->random, among & free & ~f->keep_number);

        if (__builtin_popcount(free) <= REGISTERS_LEFT)
                return -1;
        if (n >= 0) {
                f->pinned |= REGISTER(n);
                has_no_number(f, (unsigned) n);
        }
        return n;
}

void release(Function *f, int pointer) {
        if (pointer >= 0)
                f->pinned &= ~REGISTER(pointer);
}

bool may_call(const Function *f) {
        return ((f->pinned | f->keep_number) & CALLER_SAVED) == 0 && f->packets == 0;
}

void emit_context(Function *f, unsigned dst) {
        if (f->context_register >= 0)
                emit_move(f, dst, (unsigned) f->context_register);
        else
                emit_load(f, BPF_DW, dst, BPF_REG_10, f->context_slot);
        has_no_number(f, dst);
}

/* Stack. */

static bool any_bit(const Frame *frame, int off, unsigned size) {
        for (int i = -off - 1; i > -off - 1 - (int) size; i--)
                if (frame->bytes[i / 8] & 1U << i % 8)
                        return true;
        return false;
}

static void set_bits(Frame *frame, int off, unsigned size, bool value) {
        for (int i = -off - 1; i > -off - 1 - (int) size; i--)
                if (value)
                        frame->bytes[i / 8] |= (uint8_t) (1U << i % 8);
                else
                        frame->bytes[i / 8] &= (uint8_t) ~(1U << i % 8);
}

int pick_area(Function *f, unsigned size) {
        unsigned rounded = (size + 7) & ~7U;

        for (unsigned tries = 0; tries < 12 && f->stack >= rounded; tries++) {
                int off = -8 * random_between(f->random, (int) rounded / 8, (int) f->stack / 8);

                if (!any_bit(&f->reserved, off, rounded))
                        return off;
        }
        return 0;
}

void reserve_area(Function *f, int off, unsigned size, bool reserve) {
        set_bits(&f->reserved, off, (size + 7) & ~7U, reserve);
}

void mark_written(Function *f, int off, unsigned size) {
        set_bits(&f->state.written, off, size, true);
}

bool area_written(const Function *f, int off, unsigned size) {
        for (unsigned i = 0; i < size; i++)
                if (!any_bit(&f->state.written, off + (int) i, 1))
                        return false;
        return true;
}

void fill_area(Function *f, int off, unsigned size) {
        for (unsigned done = 0; done < size;) {
                unsigned step = size - done >= 8 && (off + (int) done) % 8 == 0 ? 8 : 4,
                         code = step == 8 ? BPF_DW : BPF_W;

                if (random_chance(f->random, 50))
                        emit(f, BPF_ST | BPF_MEM | code, BPF_REG_10, 0, off + (int) done,
                             (int32_t) random_number(f->random));
                else
                        emit_store(f, code, BPF_REG_10, off + (int) done, pick_number(f, REGISTERS));
                done += step;
        }
        mark_written(f, off, size);
}

State merge_states(const State *a, const State *b) {
        State merged = *a;

        if (a->ended)
                return *b;
        if (b->ended)
                return *a;
        merged.numbers &= b->numbers;
        for (size_t i = 0; i < sizeof(merged.written.bytes); i++)
                merged.written.bytes[i] &= b->written.bytes[i];
        return merged;
}
