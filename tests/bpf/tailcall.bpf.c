// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tail-calls into a program array of its own, which is empty, so that the call falls through. */

#include "test.bpf.h"

struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 2);
        __type(key, __u32);
        __type(value, __u32);
} jumps SEC(".maps");

/* One array holds programs of one type only. */
struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 2);
        __type(key, __u32);
        __type(value, __u32);
} tc_jumps SEC(".maps");

SEC("xdp")
int xdp_tailcall(struct xdp_md *ctx) {
        hit();
        bpf_tail_call(ctx, &jumps, 1);
        return answer_xdp();
}

SEC("tc")
int tc_tailcall(struct __sk_buff *skb) {
        hit();
        bpf_tail_call(skb, &tc_jumps, 1);
        return answer_tc();
}

/* A target to put into `jumps`: counts, and drops. */
SEC("xdp")
int xdp_tailcall_target(struct xdp_md *ctx) {
        hit();
        return XDP_DROP;
}
