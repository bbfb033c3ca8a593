/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the ways out of an inlined member lead. Most programs return constants, and what a constant means in the
 * chain is known when it is built: such a way leads straight to the next slot or to the end, and nothing compares.
 *
 * What is known is found by following the constants in the registers through the member's main function, over all of
 * its paths. Pure.
 */

#include <linux/bpf.h>

#include "model/hook.h"

typedef enum ThreadTo {
        THREAD_STAYS, /* the instruction is what it was */
        THREAD_NEXT,  /* jump, or exit: to the next slot */
        THREAD_END,   /* jump, or exit: to where the packet's way ends */
        THREAD_TEST,  /* exit: to the comparison with the proceed-on set */
} ThreadTo;

/* Longer functions are not looked into: all of their exits lead to the comparison. */
#define THREAD_INSNS_MAX 8192

/* Decides for each of the n instructions of a main function; `ret` has room for n. Every instruction that a path
 * leads to before is still led to. False: no exit leads to the comparison. -ENOMEM. */
int fuse_thread(const struct bpf_insn *insns, size_t n, Hook hook, uint32_t proceed_on, ThreadTo *ret);
