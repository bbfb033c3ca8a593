/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The body alone, as its author would publish it: loaded once for each member of a chain. */

#include "body.bpf.h"

COUNTER_MAP(counter);

SEC("xdp")
int xdp_even(struct xdp_md *ctx) {
        return xdp_body(ctx, &counter, 0);
}

SEC("xdp")
int xdp_odd(struct xdp_md *ctx) {
        return xdp_body(ctx, &counter, 1);
}

SEC("tc")
int tc_even(struct __sk_buff *skb) {
        return tc_body(skb, &counter, 0);
}

SEC("tc")
int tc_odd(struct __sk_buff *skb) {
        return tc_body(skb, &counter, 1);
}
