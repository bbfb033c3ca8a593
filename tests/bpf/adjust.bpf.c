// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Programs that move the packet: what a caller or a later program has read of it is no longer valid.
 * xdp_adjust_push puts an 802.1Q tag in front, xdp_adjust_pop takes one away, xdp_adjust_meta leaves `mark` in the
 * metadata, where tc_adjust_meta finds it: it counts only packets that carry it. xdp_adjust_tail takes the last four
 * bytes away and puts eight others in their place.
 */

#include "test.bpf.h"

const volatile __u16 vlan = 100;
const volatile __u32 mark = 0x62636d6b;

struct tagged {
        __u8 addresses[12];
        __be16 tpid;
        __be16 tci;
        __be16 proto;
} __attribute__((packed));

SEC("xdp")
int xdp_adjust_push(struct xdp_md *ctx) {
        __u8 addresses[12];
        struct tagged *tagged;
        void *data;

        hit();
        data = (void *) (long) ctx->data;
        if (data + sizeof(addresses) > (void *) (long) ctx->data_end)
                return XDP_ABORTED;
        __builtin_memcpy(addresses, data, sizeof(addresses));

        if (bpf_xdp_adjust_head(ctx, -4) < 0)
                return XDP_ABORTED;
        tagged = (void *) (long) ctx->data;
        if ((void *) (tagged + 1) > (void *) (long) ctx->data_end)
                return XDP_ABORTED;
        __builtin_memcpy(tagged->addresses, addresses, sizeof(addresses));
        tagged->tpid = bpf_htons(ETH_P_8021Q);
        tagged->tci = bpf_htons(vlan);
        return answer_xdp();
}

SEC("xdp")
int xdp_adjust_pop(struct xdp_md *ctx) {
        struct tagged *tagged = (void *) (long) ctx->data;
        __u8 addresses[12];
        void *data;

        hit();
        if ((void *) (tagged + 1) > (void *) (long) ctx->data_end || tagged->tpid != bpf_htons(ETH_P_8021Q))
                return answer_xdp();
        __builtin_memcpy(addresses, tagged->addresses, sizeof(addresses));

        if (bpf_xdp_adjust_head(ctx, 4) < 0)
                return XDP_ABORTED;
        data = (void *) (long) ctx->data;
        if (data + sizeof(addresses) > (void *) (long) ctx->data_end)
                return XDP_ABORTED;
        __builtin_memcpy(data, addresses, sizeof(addresses));
        return answer_xdp();
}

SEC("xdp")
int xdp_adjust_meta(struct xdp_md *ctx) {
        __u32 *meta;

        hit();
        if (bpf_xdp_adjust_meta(ctx, -(int) sizeof(*meta)) < 0)
                return answer_xdp(); /* a driver without metadata */
        meta = (void *) (long) ctx->data_meta;
        if ((void *) (meta + 1) > (void *) (long) ctx->data)
                return XDP_ABORTED;
        *meta = mark;
        return answer_xdp();
}

SEC("xdp")
int xdp_adjust_tail(struct xdp_md *ctx) {
        hit();
        if (bpf_xdp_adjust_tail(ctx, -4) < 0 || bpf_xdp_adjust_tail(ctx, 8) < 0)
                return XDP_ABORTED;
        return answer_xdp();
}

SEC("tc")
int tc_adjust_meta(struct __sk_buff *skb) {
        __u32 *meta = (void *) (long) skb->data_meta;

        if ((void *) (meta + 1) <= (void *) (long) skb->data && *meta == mark)
                hit();
        return answer_tc();
}
