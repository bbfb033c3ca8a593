/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Instructions being put together. Room is measured before, so that emitting can't fail.
 */

#include <assert.h>
#include <linux/bpf.h>

#include "util/macros.h"

typedef struct Code {
        struct bpf_insn *insns;
        size_t n;
        size_t room;
} Code;

static inline void emit(Code *code, unsigned op, unsigned dst, unsigned src, int off, int32_t imm) {
        assert(code->n < code->room);
        code->insns[code->n++] = (struct bpf_insn){
                .code = (uint8_t) op,
                .dst_reg = dst & 15,
                .src_reg = src & 15,
                .off = (int16_t) off,
                .imm = imm,
        };
}

static inline void emit_move(Code *code, unsigned dst, unsigned src) {
        if (dst != src)
                emit(code, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static inline void emit_move32(Code *code, unsigned dst, unsigned src) {
        emit(code, BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static inline void emit_set32(Code *code, unsigned dst, uint32_t value) {
        emit(code, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (int32_t) value);
}

static inline void emit_load(Code *code, unsigned size, unsigned dst, unsigned base, int off) {
        emit(code, BPF_LDX | BPF_MEM | size, dst, base, off, 0);
}

static inline void emit_store(Code *code, unsigned size, unsigned base, int off, unsigned src) {
        emit(code, BPF_STX | BPF_MEM | size, base, src, off, 0);
}

/* base[off] += value; the register `scratch` is lost. */
static inline void emit_add_to(Code *code, unsigned base, int off, unsigned value, unsigned scratch) {
        emit_load(code, BPF_DW, scratch, base, off);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_X, scratch, value, 0, 0);
        emit_store(code, BPF_DW, base, off, scratch);
}

static inline void emit_increment(Code *code, unsigned base, int off, unsigned scratch) {
        emit_load(code, BPF_DW, scratch, base, off);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_K, scratch, 0, 0, 1);
        emit_store(code, BPF_DW, base, off, scratch);
}

/* Jumps `n` instructions ahead where the lower half of dst compares so with value; returns where the jump is. */
static inline size_t emit_jump_if(Code *code, unsigned condition, unsigned dst, uint32_t value, int n) {
        emit(code, BPF_JMP32 | condition | BPF_K, dst, 0, n, (int32_t) value);
        return code->n - 1;
}

static inline size_t emit_jump(Code *code, int n) {
        emit(code, BPF_JMP | BPF_JA, 0, 0, n, 0);
        return code->n - 1;
}

static inline void set_jump(Code *code, size_t jump, size_t target) {
        int64_t off = (int64_t) target - (int64_t) jump - 1;

        assert(off >= INT16_MIN && off <= INT16_MAX);
        code->insns[jump].off = (int16_t) off;
}

static inline void emit_exit(Code *code) {
        emit(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static inline void emit_helper(Code *code, int32_t helper) {
        emit(code, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

static inline void emit_map(Code *code, unsigned dst, int fd) {
        emit(code, BPF_LD | BPF_IMM | BPF_DW, dst, BPF_PSEUDO_MAP_FD, 0, fd);
        emit(code, 0, 0, 0, 0, 0);
}

/* A call of one of our functions; the target is set by set_call() once it is known. */
static inline size_t emit_call(Code *code) {
        emit(code, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0);
        return code->n - 1;
}

static inline void set_call(Code *code, size_t call, size_t target) {
        code->insns[call].imm = (int32_t) ((int64_t) target - (int64_t) call - 1);
}
