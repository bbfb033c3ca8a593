/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The ways to put N members on one hook.
 */

#include "kernel/fused.h"
#include "stock.h"

typedef struct Chain Chain;

typedef struct Technique {
        const char *name;
        unsigned n_max;
        int (*make)(const Stock *stock, Chain *chain); /* fd of the program that begins the chain, or -ENOTSUP */
        SlotForm form;                                 /* ours: the form that all slots are to have */
        CounterLevel counters;                         /* ours */
        bool runnable;                                 /* by BPF_PROG_TEST_RUN */
        bool xdp_only;
} Technique;

struct Chain {
        const Technique *technique;
        unsigned n;
        int fd;                    /* what begins the chain; -EBADF for a list */
        int list[BENCH_N_MAX];     /* its programs one by one, where it is a list; borrowed */
        int counters[BENCH_N_MAX]; /* by member; borrowed. Member i counts in entry (i + odd) % 2 */
        unsigned odd;
        unsigned n_counted; /* members that count: all of them, unless there are none */
};

extern const Technique techniques[];
extern const size_t n_techniques;

const Technique *technique_find(const char *name);

/* False: there is no such chain here, for a reason that a note tells or that the tables show. */
bool chain_make(const Stock *stock, const Technique *technique, unsigned n, Chain *ret);

/* Puts member i in the place of a function of a program, for good; false: the kernel refuses, which a note tells. */
bool chain_replace_function(const Stock *stock, const Chain *chain, int program, const char *function, unsigned i);

/* How many packets each member has counted, on all CPUs. */
void chain_read(const Chain *chain, uint64_t ret[BENCH_N_MAX]);

/* Each member must have counted this many more than before, or what was measured was not what it is called. */
void chain_check(const Chain *chain, const uint64_t before[BENCH_N_MAX], uint64_t packets);

/* Reports instructions and bytes of code. */
void chain_report(const Chain *chain, Part part);

/* Builds and loads one of ours, inlined, and reports how long that took. */
void chain_time_build(const Stock *stock, unsigned n, unsigned round);
