/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Code of a chain that counts, and that shows a simulation what happens. The levels differ in where the work is:
 *
 *   verdicts    bpfchain_count(), called once a packet, where its way ends, looks the counters up and counts
 *   all         bpfchain_counters() looks them up once at the beginning; each slot counts its verdict in the root
 *
 * A plain addition does everywhere: the counters are the CPU's own, XDP and TC programs run with bottom halves
 * disabled, so nothing else that counts in this chain comes between load and store (a nested run, by
 * bpf_clone_redirect(), happens within a member), and a locked addition would cost some 5 ns a hop.
 */

#include "kernel/fuse-root.h"

/* Instructions that each of these emits at most. */
#define COUNT_LENGTH_INSNS   8
#define COUNT_HOP_INSNS      24
#define COUNT_END_INSNS      24
#define COUNT_FUNCTION_INSNS 48

/* Keeps the length that the packet comes with. The context is in r1, and stays there unless `frags`. */
void count_length(const FuseInput *input, const Root *root, Code *code);

/* w1 = the bucket of the verdict in w0. */
void count_bucket(Hook hook, Code *code);

/* Level all: counts the verdict in w0 in the seat's row; afterwards r2 points at its bucket in the first row. */
void count_hop(const FuseInput *input, const Root *root, Code *code, unsigned seat);

/* Ends the packet's way at the seat, with the verdict in w0. Level all: behind count_hop(). Level verdicts: calls
 * bpfchain_count(), *ret_call is where. */
void count_end(const FuseInput *input, const Root *root, Code *code, unsigned seat, size_t *ret_call);

/* The functions. int bpfchain_counters(void), a pointer in truth; int bpfchain_count(int verdict, u32 seat, u64
 * bytes) and int bpfchain_trace(ctx, int verdict, u32 slot), which both return the verdict. */
void count_emit_counters(const FuseInput *input, Code *code);
void count_emit_count(const FuseInput *input, Code *code);
void count_emit_trace(const FuseInput *input, Code *code);
