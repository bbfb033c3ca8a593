/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands around the chains that are measured: programs that do nothing, and the one that ends a packet's way. */

#include "body.bpf.h"

SEC("xdp")
int xdp_empty(struct xdp_md *ctx) {
        return XDP_PASS;
}

SEC("tc")
int tc_empty(struct __sk_buff *skb) {
        return TC_ACT_UNSPEC;
}

SEC("tc")
int tc_drop(struct __sk_buff *skb) {
        return TC_ACT_SHOT;
}
