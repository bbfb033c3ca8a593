// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Static and global subprograms, nested, one of them shared by two callers. */

#include "test.bpf.h"

__u64 bytes;

/* Global: verified by itself, so it checks what it is given. */
__noinline int subprog_add(__u32 a, __u32 b) {
        return a < 1000000 && b < 1000000 ? a + b : 0;
}

static __noinline void account(__u32 n) {
        __sync_fetch_and_add(&bytes, subprog_add(n, 1) - 1);
}

__noinline int subprog_length(struct xdp_md *ctx) {
        __u32 n = ctx->data_end - ctx->data;

        return n < 65536 ? n : 65535;
}

static __noinline int decide(struct xdp_md *ctx) {
        __u32 n = subprog_length(ctx);

        account(n);
        return (__u32) subprog_add(n, 0) == n ? answer_xdp() : XDP_ABORTED;
}

SEC("xdp")
int xdp_subprog(struct xdp_md *ctx) {
        hit();
        return decide(ctx);
}

static __noinline int decide_tc(struct __sk_buff *skb) {
        account(skb->len);
        return answer_tc();
}

SEC("tc")
int tc_subprog(struct __sk_buff *skb) {
        hit();
        return decide_tc(skb);
}
