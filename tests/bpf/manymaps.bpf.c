// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Uses 20 maps: `hits` and 19 counters. Four of these in a chain are over the kernel's limit of 64. */

#include "test.bpf.h"

#define COUNTER(n)                                                                                                   \
        struct {                                                                                                     \
                __uint(type, BPF_MAP_TYPE_ARRAY);                                                                    \
                __uint(max_entries, 1);                                                                              \
                __type(key, __u32);                                                                                  \
                __type(value, __u64);                                                                                \
        } counter_##n SEC(".maps")

COUNTER(1);
COUNTER(2);
COUNTER(3);
COUNTER(4);
COUNTER(5);
COUNTER(6);
COUNTER(7);
COUNTER(8);
COUNTER(9);
COUNTER(10);
COUNTER(11);
COUNTER(12);
COUNTER(13);
COUNTER(14);
COUNTER(15);
COUNTER(16);
COUNTER(17);
COUNTER(18);
COUNTER(19);

static __always_inline void add(void *map) {
        __u32 zero = 0;
        __u64 *value = bpf_map_lookup_elem(map, &zero);

        if (value)
                __sync_fetch_and_add(value, 1);
}

SEC("xdp")
int xdp_manymaps(struct xdp_md *ctx) {
        hit();
        add(&counter_1);
        add(&counter_2);
        add(&counter_3);
        add(&counter_4);
        add(&counter_5);
        add(&counter_6);
        add(&counter_7);
        add(&counter_8);
        add(&counter_9);
        add(&counter_10);
        add(&counter_11);
        add(&counter_12);
        add(&counter_13);
        add(&counter_14);
        add(&counter_15);
        add(&counter_16);
        add(&counter_17);
        add(&counter_18);
        add(&counter_19);
        return answer_xdp();
}
