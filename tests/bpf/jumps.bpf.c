// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A program array that the object itself fills: loading it takes all programs that are named in it. */

#include "test.bpf.h"

int xdp_jumps_first(struct xdp_md *ctx);
int xdp_jumps_second(struct xdp_md *ctx);

/* Which of them to jump to. */
const volatile __u32 target = 0;

struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 3);
        __uint(key_size, sizeof(__u32));
        __array(values, int(struct xdp_md *));
} jumps SEC(".maps") = {
        .values = {
                [0] = &xdp_jumps_first,
                [1] = &xdp_jumps_second,
        },
};

SEC("xdp")
int xdp_jumps_first(struct xdp_md *ctx) {
        return XDP_DROP;
}

SEC("xdp")
int xdp_jumps_second(struct xdp_md *ctx) {
        return XDP_TX;
}

SEC("xdp")
int xdp_jumps(struct xdp_md *ctx) {
        hit();
        bpf_tail_call(ctx, &jumps, target);
        return answer_xdp();
}
