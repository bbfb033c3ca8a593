// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Asks the kernel where it would send an IPv4 packet. */

#include "test.bpf.h"

const volatile __u32 ingress = 1; /* the interface that packets are said to come in by */

#define FAMILY_INET 2

__u64 effect; /* packets for which there is a way */
__u32 way;    /* of the last such packet: the interface that it would leave by */
__s32 result; /* of the last look-up */
__u8 mac[6];  /* of the next hop */

static __always_inline int look(void *ctx, struct bpfchain_cursor cur) {
        struct bpf_fib_lookup query = {};
        struct iphdr *ip;

        if (bpfchain_parse_eth(&cur, NULL) != ETH_P_IP || bpfchain_parse_ipv4(&cur, &ip) < 0)
                return -1;
        query.family = FAMILY_INET;
        query.tos = ip->tos;
        query.l4_protocol = ip->protocol;
        query.tot_len = bpf_ntohs(ip->tot_len);
        query.ipv4_src = ip->saddr;
        query.ipv4_dst = ip->daddr;
        query.ifindex = ingress;
        result = bpf_fib_lookup(ctx, &query, sizeof(query), 0);
        if (result != BPF_FIB_LKUP_RET_SUCCESS)
                return -1;
        effect++;
        way = query.ifindex;
        __builtin_memcpy(mac, query.dmac, sizeof(mac));
        return 0;
}

SEC("xdp")
int xdp_fib(struct xdp_md *ctx) {
        hit();
        return look(ctx, bpfchain_xdp_cursor(ctx)) < 0 ? XDP_ABORTED : answer_xdp();
}

SEC("tc")
int tc_fib(struct __sk_buff *skb) {
        hit();
        return look(skb, bpfchain_tc_cursor(skb, BPFCHAIN_HEADERS)) < 0 ? TC_ACT_SHOT : answer_tc();
}
