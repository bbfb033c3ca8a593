/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What nearly all programs here share: each counts the packets it sees in `hits` (one __u64 per CPU, key 0) and
 * answers with the global `verdict`. So a test can tell whether a program ran, and choose what happens next.
 */

#include "bpfchain.bpf.h"

/* The neutral verdict of the program's type: XDP_PASS or TC_ACT_UNSPEC (next). */
#define VERDICT_NEUTRAL (-1000)

const volatile int verdict = VERDICT_NEUTRAL;

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u64);
} hits SEC(".maps");

static __always_inline void hit(void) {
        __u32 zero = 0;
        __u64 *count = bpf_map_lookup_elem(&hits, &zero);

        if (count)
                (*count)++;
}

static __always_inline int answer_xdp(void) {
        return verdict == VERDICT_NEUTRAL ? XDP_PASS : verdict;
}

static __always_inline int answer_tc(void) {
        return verdict == VERDICT_NEUTRAL ? TC_ACT_UNSPEC : verdict;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
