/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Measuring the data path: what all parts share. The program writes one JSON object a line, for
 * tests/bench/bench-datapath.py to make tables and plots of:
 *
 *      {"sample": [PART, TECHNIQUE, N, ROUND, NSEC, FLOOR]}    CPU time a packet; the same without a chain, beside it
 *      {"code": [PART, TECHNIQUE, N, INSNS, JITED, VERIFIED]}  instructions after verification, bytes, processed
 *      {"build": [N, ROUND, BUILD, LOAD]}                      microseconds
 *      {"traffic": {…}}                                        see traffic.c
 *      {"note": TEXT}                                          what could not be measured here, and why
 *
 * All of it runs in namespaces that go with the process. Whatever fails ends the program with a message.
 */

#include "model/kernel-ops.h"

#define BENCH_N_MAX CHAIN_SLOTS_MAX

/* In chains up to this long each member has a map of its own. In longer ones two neighbours share one, whatever the
 * technique: a program may use 64 maps, and those of a fused chain are the members' and its counters. */
#define BENCH_OWN_MAPS_MAX 33

typedef enum Part {
        PART_XDP,     /* chains run by BPF_PROG_TEST_RUN */
        PART_TC,      /* the same */
        PART_HOOK,    /* TC chains where the kernel keeps them, on ingress of an interface */
        PART_BUILD,   /* building and loading */
        PART_TRAFFIC, /* exchanging chains under traffic */
        _PART_MAX,
        _PART_INVALID = -EINVAL,
} Part;

DECLARE_STRING_TABLE(part, Part)

typedef struct Settings {
        const char *build_dir;
        unsigned parts; /* mask */
        unsigned rounds;
        unsigned packets; /* of one call of BPF_PROG_TEST_RUN, which itself costs some 0.3 ms of CPU time */
        unsigned swaps;   /* exchanges under traffic */
        unsigned counts[BENCH_N_MAX];
        size_t n_counts;
} Settings;

_Noreturn void die(const char *format, ...) _printf_(1, 2);

/* Ends the program where r is negative, with the sentence of the error if it has one. */
void must(int r, const Error *error, const char *format, ...) _printf_(3, 4);

void note(const char *format, ...) _printf_(1, 2);

/* An IPv4 packet of 64 bytes. */
extern const uint8_t bench_packet[64];

/* CPU time of this thread, nanoseconds. */
uint64_t cpu_nsec(void);

/* Keeps this thread on the first or last of the CPUs that it may use. */
void pin_thread(bool last);

void bench_hook(const Settings *settings);
void bench_traffic(const Settings *settings);
