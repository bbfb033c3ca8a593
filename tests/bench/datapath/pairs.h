/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Veth pairs, between two network namespaces of our own, for chains on TC ingress: a packet that came in at one end
 * is sent on to ingress of the other end, and so on (bounce.bpf.c), as many times as wished. That costs a tenth of
 * making a packet for each time, so that what the chains cost shows.
 *
 *      BPF_PROG_TEST_RUN of an XDP program with live frames: the kernel makes a packet
 *        -> ingress of the loopback of `near` -> pair: ingress in `far`, chain
 *                                                <=> ingress in `near`, chain
 *
 * All of it happens in the calling thread, in one go, so that its CPU time is all that the packets cost.
 */

#include "stock.h"

typedef struct Pairs {
        int namespaces[2]; /* near, far */
        unsigned n;
        int pass_fd;
        int bounce_fd;
        int state_fd; /* of bounce.bpf.c */
} Pairs;

/* How often a packet goes through a chain. Nothing else runs on the CPU as long. */
#define PAIRS_ROUNDS 250

/* False: this kernel can't do it, which a note tells. The result belongs to the process, for good. */
bool pairs_new(const Stock *stock, unsigned n, Pairs *ret);

/* Puts programs on both ends of a pair, and behind them the one that sends packets on to the other end: on tcx, or as
 * filters on clsact. The links belong to the process. */
void pairs_fill(const Pairs *pairs, unsigned pair, const int *programs, size_t n_programs, bool clsact);

/* Has each of so many packets go through a pair's chains PAIRS_ROUNDS times. */
int pairs_send(const Pairs *pairs, unsigned pair, unsigned packets);
