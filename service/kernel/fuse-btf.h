/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Types, functions and lines of a chain's program: those of the members, side by side, and what is declared for
 * the root, for the members' entries and for members that came without any. The kernel wants function and line
 * information for all subprograms or for none, so each gets at least one line.
 */

#include "kernel/fuse.h"

/* What functions take and give. */
typedef enum FuseProto {
        FUSE_PROTO_PLAIN, /* int (void), for functions of which nothing is known */
        FUSE_PROTO_ENTRY, /* int (struct xdp_md *ctx) */
        FUSE_PROTO_TRACE, /* int (struct xdp_md *ctx, int verdict, unsigned int slot) */
        _FUSE_PROTO_MAX,
} FuseProto;

/* A function of the chain itself. */
typedef struct FuseFunction {
        size_t insn;
        FuseProto proto;
        bool global;
        char name[32];
        const char *line; /* static */
} FuseFunction;

/* The parts that the types are made for. Lines of the root: one at each of these instructions. */
typedef struct FuseLayout {
        FuseFunction functions[CHAIN_SLOTS_MAX + 3];
        size_t n_functions;
        size_t slot_starts[CHAIN_SLOTS_MAX]; /* in the root */
        size_t slot_ends[CHAIN_SLOTS_MAX];   /* where the member's verdict is known */
        size_t join;                         /* tail call of the next segment, 0: there is none */
} FuseLayout;

/* Fills btf, func_info and line_info of an output that has its instructions and spans. */
int fuse_btf_build(const FuseInput *input, const FuseLayout *layout, FuseOutput *output);
