// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Copies the addresses of the Ethernet header crosswise, by helpers that also reach what is not linear. */

#include "test.bpf.h"

__u64 effect; /* packets changed */

SEC("xdp")
int xdp_bytes(struct xdp_md *ctx) {
        __u8 there[6], back[6];

        hit();
        if (bpf_xdp_load_bytes(ctx, 0, there, 6) < 0 || bpf_xdp_load_bytes(ctx, 6, back, 6) < 0 ||
            bpf_xdp_store_bytes(ctx, 0, back, 6) < 0 || bpf_xdp_store_bytes(ctx, 6, there, 6) < 0)
                return XDP_ABORTED;
        effect++;
        return answer_xdp();
}

SEC("tc")
int tc_bytes(struct __sk_buff *skb) {
        __u8 there[6], back[6];

        hit();
        if (bpf_skb_load_bytes(skb, 0, there, 6) < 0 || bpf_skb_load_bytes(skb, 6, back, 6) < 0 ||
            bpf_skb_store_bytes(skb, 0, back, 6, 0) < 0 || bpf_skb_store_bytes(skb, 6, there, 6, 0) < 0)
                return TC_ACT_SHOT;
        effect++;
        return answer_tc();
}
