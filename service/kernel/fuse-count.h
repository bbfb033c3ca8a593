/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Code of a chain that counts, and that shows a simulation what happens.
 *
 * The counters of this CPU are looked up once a packet, at the beginning. Kernels that know how make some
 * instructions of the look-up; a function around it would cost more than all else (with return thunks some 9 ns), so
 * only a root without a stack calls one. What is counted where is a matter of the level: each slot's verdict, and the
 * end.
 *
 * A plain addition does: the counters are the CPU's own, XDP and TC programs run with bottom halves disabled, so
 * nothing else that counts in this chain comes between load and store (a nested run, by bpf_clone_redirect(), happens
 * within a member), and a locked addition would cost some 5 ns a hop.
 */

#include "kernel/fuse-root.h"

/* Instructions that each of these emits at most. */
#define COUNT_BEGIN_INSNS    32
#define COUNT_HOP_INSNS      24
#define COUNT_END_INSNS      24
#define COUNT_FUNCTION_INSNS 48

/* Unless nothing is counted: keeps the length that the packet comes with, and the counters. The context is in r1
 * before, and kept already; behind it r0 to r5 are lost. *ret_call: where bpfchain_counters() is called, 0 where it
 * is not. */
void count_begin(const FuseInput *input, const Root *root, Code *code, size_t *ret_call);

/* Hands the length on to the next segment. r0 to r5 are lost. */
void count_carry(const FuseInput *input, const Root *root, Code *code);

/* w1 = the bucket of the verdict in w0. */
void count_bucket(Hook hook, Code *code);

/* Level all: counts the verdict in w0 in the seat's row. r0 stays, r1 to r5 are lost. */
void count_hop(const FuseInput *input, const Root *root, Code *code, unsigned seat);

/* Ends the packet's way at the seat, with the verdict in w0. */
void count_end(const FuseInput *input, const Root *root, Code *code, unsigned seat);

/* The functions. int bpfchain_counters(void), a pointer in truth; int bpfchain_trace(ctx, int verdict, u32 slot),
 * which returns the verdict. */
void count_emit_counters(const FuseInput *input, Code *code);
void count_emit_trace(const FuseInput *input, Code *code);
