/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of the builder share: members made by hand, chains of them, and the machine that runs what is built.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fuse-machine.h"
#include "kernel/fuse-plan.h"

/* Instructions for members that tests make by hand. */
#define SET(register, value)                                                                                         \
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (register), .imm = (value) }
#define ADD(register, value)                                                                                         \
        { .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (register), .imm = (value) }
#define CALL(offset)                                                                                                 \
        { .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = (offset) }
#define HELPER(id)                                                                                                   \
        { .code = BPF_JMP | BPF_CALL, .imm = (id) }
#define KFUNC(id, module)                                                                                            \
        { .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL, .off = (module), .imm = (id) }
#define MAP(register, index)                                                                                         \
        { .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = (register), .src_reg = BPF_PSEUDO_MAP_FD, .imm = (index) },  \
        {                                                                                                            \
                0                                                                                                    \
        }
#define STORE(register, offset)                                                                                      \
        { .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = (register), .off = (offset) }
#define SKIP_UNLESS(register, value, n)                                                                              \
        { .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = (register), .off = (n), .imm = (value) }
#define SKIP(n)                                                                                                      \
        { .code = BPF_JMP | BPF_JA, .off = (n) }
#define MOVE(register, from)                                                                                         \
        { .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (register), .src_reg = (from) }
#define ATOMIC(operation, register)                                                                                  \
        { .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 10, .src_reg = (register), .off = -8, .imm = (operation) }
#define EXIT                                                                                                         \
        { .code = BPF_JMP | BPF_EXIT }

#define MEMBER(type, n_maps, ...)                                                                                    \
        fixture_member(type, (const struct bpf_insn[]){ __VA_ARGS__ },                                               \
                       sizeof((const struct bpf_insn[]){ __VA_ARGS__ }) / sizeof(struct bpf_insn), n_maps)

Member *fixture_member(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n, size_t n_maps);

enum bpf_prog_type hook_type(Hook hook);

/* A chain that counts all, and has an array of programs. */
FuseInput make_input(Hook hook, const FuseMember *members, size_t n);

/* Plans with copies, which the members are not changed by. */
int plan(const FuseInput *input, FusePlan *ret, Error *error);

/* Plans, builds and checks (fuse-check.h), or fails the test. */
void must_build(const FuseInput *input, FuseOutput *output);

/* Checks function and line information; there are to be so many functions. */
void check_info(const FuseOutput *output, size_t n_functions);

/* Runs a program on a machine for the hook, and fails the test where that stops it. */
int run(Machine *machine, Hook hook, const FuseOutput *output);
