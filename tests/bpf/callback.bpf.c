// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Callbacks: bpf_loop (kernel 5.17) and bpf_for_each_map_elem (5.13). */

#include "test.bpf.h"

struct sum {
        __u64 total;
        __u32 steps;
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 4);
        __type(key, __u32);
        __type(value, __u64);
} weights SEC(".maps");

/* After each packet: 0 + 1 + … + 9, and the sum of `weights`. */
__u64 loop_total;
__u64 weight_total;

static long step(__u32 index, void *data) {
        struct sum *sum = data;

        sum->total += index;
        sum->steps++;
        return 0;
}

static long weigh(void *map, const void *key, void *value, void *data) {
        struct sum *sum = data;

        sum->total += *(__u64 *) value;
        return 0;
}

SEC("xdp")
int xdp_callback(struct xdp_md *ctx) {
        struct sum loop = {}, weight = {};

        hit();
        bpf_loop(10, step, &loop, 0);
        bpf_for_each_map_elem(&weights, weigh, &weight, 0);
        loop_total = loop.total;
        weight_total = weight.total;
        return loop.steps == 10 ? answer_xdp() : XDP_ABORTED;
}
