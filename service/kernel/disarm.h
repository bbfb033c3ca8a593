/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Takes out of the programs of a chain what a simulation of it must not do, or can't: calls are replaced by what they
 * return. Only while the simulation is built; then the programs are as they were.
 *
 *   bpf_clone_redirect()     really sends, test run or not: 0
 *   bpf_xdp_metadata_*()     are there in programs that are bound to an interface only, and those can't be test-run:
 *                            -EOPNOTSUPP, as of a driver that knows nothing of the packet
 *
 * Calls for which there is no substitute, and which change more than packet and maps, are told.
 */

#include "kernel/map-copy.h"
#include "kernel/member.h"

typedef struct Disarmed {
        struct bpf_insn *insn;
        struct bpf_insn before;
} Disarmed;

typedef struct DisarmedList {
        Disarmed *items;
        size_t n;
        Member *bound[CHAIN_SLOTS_MAX]; /* that were */
        size_t n_bound;
} DisarmedList;

/* Tells what it did in the copies' omissions. On failure as well, rearm() is to be called. */
int disarm(const FuseRequest *request, MapCopies *copies, DisarmedList *list);
void rearm(DisarmedList *list);
