// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Throws at each packet that is longer than an Ethernet header; an own function decides what becomes of it then.
 * Kernel 6.7. */

#include "test.bpf.h"

extern void bpf_throw(__u64 cookie) __ksym;

#define catches(name) __attribute__((btf_decl_tag("exception_callback:" #name)))

__u64 effect; /* exceptions */

/* XDP programs may throw with any cookie; the verdict is up to this function. */
__noinline int caught(__u64 cookie) {
        effect++;
        return cookie == 1234 ? XDP_TX : XDP_ABORTED;
}

static __noinline int check(struct xdp_md *ctx) {
        if (ctx->data + sizeof(struct ethhdr) < ctx->data_end)
                bpf_throw(1234);
        return answer_xdp();
}

SEC("xdp")
catches(caught) int xdp_throw_caught(struct xdp_md *ctx) {
        hit();
        return check(ctx);
}
