// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks at where a packet is said to come from, and changes packets in ways that their length does not tell, or that
 * only their length tells. Kernel 5.18. */

#include "test.bpf.h"

const volatile __s32 tail = 100; /* bytes that the packet grows (or shrinks) by */

static __always_inline void put_context(__be32 *to, __u32 ingress, __u32 ifindex, __u32 protocol) {
        to[0] = bpf_htonl(ingress);
        to[1] = bpf_htonl(ifindex);
        to[2] = bpf_htonl(protocol);
}

/* Writes the interfaces and the protocol behind the Ethernet header. */
SEC("xdp")
int xdp_sim_context(struct xdp_md *ctx) {
        __be32 *to = (void *) (long) ctx->data + sizeof(struct ethhdr);

        hit();
        if ((void *) (to + 3) > (void *) (long) ctx->data_end)
                return XDP_ABORTED;
        put_context(to, ctx->ingress_ifindex, ctx->rx_queue_index, 0);
        return answer_xdp();
}

SEC("tc")
int tc_sim_context(struct __sk_buff *skb) {
        __be32 *to = (void *) (long) skb->data + sizeof(struct ethhdr);

        hit();
        if ((void *) (to + 3) > (void *) (long) skb->data_end)
                return TC_ACT_SHOT;
        put_context(to, skb->ingress_ifindex, skb->ifindex, bpf_ntohs(skb->protocol));
        return answer_tc();
}

/* Flips a bit of the last byte, of packets in one piece. */
SEC("xdp")
int xdp_sim_last(struct xdp_md *ctx) {
        __u64 size = bpf_xdp_get_buff_len(ctx);
        __u8 byte;

        hit();
        if (size != (__u64) (ctx->data_end - ctx->data) || bpf_xdp_load_bytes(ctx, size - 1, &byte, 1) < 0)
                return XDP_ABORTED;
        byte ^= 1;
        return bpf_xdp_store_bytes(ctx, size - 1, &byte, 1) < 0 ? XDP_ABORTED : answer_xdp();
}

SEC("tc")
int tc_sim_last(struct __sk_buff *skb) {
        __u32 last = skb->len - 1;
        __u8 byte;

        hit();
        if (bpf_skb_load_bytes(skb, last, &byte, 1) < 0)
                return TC_ACT_SHOT;
        byte ^= 1;
        if (bpf_skb_store_bytes(skb, last, &byte, 1, 0) < 0)
                return TC_ACT_SHOT;
        return answer_tc();
}

SEC("xdp")
int xdp_sim_tail(struct xdp_md *ctx) {
        hit();
        return bpf_xdp_adjust_tail(ctx, tail) < 0 ? XDP_ABORTED : answer_xdp();
}

SEC("tc")
int tc_sim_tail(struct __sk_buff *skb) {
        hit();
        return bpf_skb_change_tail(skb, skb->len + tail, 0) < 0 ? TC_ACT_SHOT : answer_tc();
}
