// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Takes the verifier around 300,000 instructions, since it walks through each turn of a loop: three of these fit into
 * a chain, four are over the kernel's limit of a million. At run time the loop turns only while entry 0 of `effort`
 * is not 0.
 */

#include "test.bpf.h"

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
} effort SEC(".maps");

SEC("xdp")
int xdp_toolong(struct xdp_md *ctx) {
        __u32 zero = 0, *wanted = bpf_map_lookup_elem(&effort, &zero), sum = 0;

        hit();
        if (wanted && *wanted) {
                sum = *wanted;
#pragma clang loop unroll(disable)
                for (__u32 i = 0; i < 36000; i++) {
                        sum = sum * 31 + i;
                        asm volatile("" : "+r"(sum));
                        sum ^= sum >> 7;
                        asm volatile("" : "+r"(sum));
                }
        }
        return sum == 1 ? XDP_ABORTED : answer_xdp();
}
