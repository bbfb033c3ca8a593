/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Types, functions and lines of a chain's program: those of the members, side by side, and what is declared for
 * the root, for the members' entries and for members that came without any. The kernel wants function and line
 * information for all subprograms or for none, so each gets at least one line.
 */

#include "kernel/fuse.h"

/* The parts that the types are made for. Lines of the root: one at each of these instructions. */
typedef struct FuseLayout {
        size_t counters;                     /* first instruction of the counters function */
        size_t slot_starts[CHAIN_SLOTS_MAX]; /* in the root */
        size_t slot_ends[CHAIN_SLOTS_MAX];   /* where the member's verdict is known */
} FuseLayout;

/* Fills btf, func_info and line_info of an output that has its instructions and spans. */
int fuse_btf_build(const FuseInput *input, const FuseLayout *layout, FuseOutput *output);
