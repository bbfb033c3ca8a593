// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Twelve tail calls in a row, all of which fall through, since the program array is empty. */

#include "test.bpf.h"

struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 12);
        __type(key, __u32);
        __type(value, __u32);
} jumps SEC(".maps");

SEC("xdp")
int xdp_manytailcalls(struct xdp_md *ctx) {
        hit();
        bpf_tail_call_static(ctx, &jumps, 0);
        bpf_tail_call_static(ctx, &jumps, 1);
        bpf_tail_call_static(ctx, &jumps, 2);
        bpf_tail_call_static(ctx, &jumps, 3);
        bpf_tail_call_static(ctx, &jumps, 4);
        bpf_tail_call_static(ctx, &jumps, 5);
        bpf_tail_call_static(ctx, &jumps, 6);
        bpf_tail_call_static(ctx, &jumps, 7);
        bpf_tail_call_static(ctx, &jumps, 8);
        bpf_tail_call_static(ctx, &jumps, 9);
        bpf_tail_call_static(ctx, &jumps, 10);
        bpf_tail_call_static(ctx, &jumps, 11);
        return answer_xdp();
}
