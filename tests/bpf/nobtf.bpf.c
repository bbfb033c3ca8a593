// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Compiled without -g: no BTF at all, hence no maps. Drops packets shorter than an Ethernet header. */

#include "bpfchain.bpf.h"

SEC("xdp")
int xdp_nobtf(struct xdp_md *ctx) {
        struct bpfchain_cursor cur = bpfchain_xdp_cursor(ctx);

        return bpfchain_cursor_has(&cur, sizeof(struct ethhdr)) ? XDP_PASS : XDP_DROP;
}

SEC("tc")
int tc_nobtf(struct __sk_buff *skb) {
        return skb->len >= sizeof(struct ethhdr) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
