/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the kernel demands of a program before it follows any path of it: the shape of its functions, that a way leads
 * to every instruction, function and line information. Programs that the builder makes must pass, and the tests give
 * it only members that do. Each returns NULL, or what does not hold (until the next call).
 */

#include "kernel/fuse.h"

/* check_subprogs() and check_cfg() of kernel/bpf/verifier.c: functions end with an exit or a jump, jumps stay within
 * their function and meet no second half of an instruction, calls meet the begin of a function, and a way leads to
 * every instruction. `starts` are the first instructions of the functions, ascending from 0. */
const char *fuse_check_code(const struct bpf_insn *insns, size_t n_insns, const uint32_t *starts, size_t n_starts);

/* The same of a program with function information. */
const char *fuse_check_shape(const FuseOutput *output);

/* check_btf_info(): in order, with a line at each function's begin, and names that are there. */
const char *fuse_check_info(const struct btf *btf, const struct bpf_insn *insns, size_t n_insns,
                            const struct bpf_func_info *functions, size_t n_functions,
                            const struct bpf_line_info *lines, size_t n_lines);

/* Does a way lead from the begin of the main function to an exit of it? Programs without such never end. */
bool fuse_check_ends(const struct bpf_insn *insns, size_t n_main);
