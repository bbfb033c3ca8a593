// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Programs that chain themselves, as programs written for other chain managers do: after its own work each calls the
 * next program through an array that its manager would fill. Nothing fills it here.
 */

#include "test.bpf.h"

#define PROG_ARRAY(name, n)                                                                                          \
        struct {                                                                                                     \
                __uint(type, BPF_MAP_TYPE_PROG_ARRAY);                                                               \
                __uint(max_entries, n);                                                                              \
                __type(key, __u32);                                                                                  \
                __type(value, __u32);                                                                                \
        } name SEC(".maps")

PROG_ARRAY(xdp_next_prog, 1);
PROG_ARRAY(xdp_other_prog, 4);
PROG_ARRAY(tc_next_prog, 1);

__u64 effect; /* each packet adds 1 for each piece of work that was done, however far the calls let it come */

SEC("xdp")
int xdp_next_end(struct xdp_md *ctx) {
        hit();
        effect++;
        bpf_tail_call(ctx, &xdp_next_prog, 0);
        return answer_xdp();
}

/* Work behind the calls must be done as well: effect is 3 higher for each packet. */
SEC("xdp")
int xdp_next_middle(struct xdp_md *ctx) {
        hit();
        effect++;
        bpf_tail_call(ctx, &xdp_next_prog, 0);
        effect++;
        bpf_tail_call(ctx, &xdp_other_prog, 3);
        effect++;
        bpf_tail_call(ctx, &xdp_other_prog, 4); /* beyond its end */
        return answer_xdp();
}

static __noinline int go_on(struct xdp_md *ctx) {
        bpf_tail_call(ctx, &xdp_next_prog, 0);
        effect++;
        return answer_xdp();
}

SEC("xdp")
int xdp_next_subprogram(struct xdp_md *ctx) {
        hit();
        effect++;
        return go_on(ctx);
}

/* Neither index nor array are known before it runs. */
SEC("xdp")
int xdp_next_variable(struct xdp_md *ctx) {
        __u32 index = (ctx->data_end - ctx->data) & 7;
        void *array = &xdp_next_prog;

        hit();
        effect++;
        if (ctx->ingress_ifindex & 1)
                array = &xdp_other_prog;
        bpf_tail_call(ctx, array, index);
        effect++;
        return answer_xdp();
}

/* Registers that a call destroys are not read behind it, but those that it keeps are. */
SEC("xdp")
int xdp_next_registers(struct xdp_md *ctx) {
        __u64 a = ctx->rx_queue_index + 3, b = (ctx->data_end - ctx->data) & 1;

        hit();
        asm volatile("" : "+r"(a), "+r"(b));
        bpf_tail_call(ctx, &xdp_next_prog, b);
        effect += a + b;
        bpf_tail_call(ctx, &xdp_next_prog, a);
        effect += a - b;
        return answer_xdp();
}

SEC("tc")
int tc_next_end(struct __sk_buff *skb) {
        hit();
        effect++;
        bpf_tail_call(skb, &tc_next_prog, 0);
        return answer_tc();
}
