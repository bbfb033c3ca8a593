// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks for the socket that a packet is for, a reference that the program must give back. */

#include "test.bpf.h"

__u64 effect; /* packets for which there is an UDP socket */

static __always_inline bool fill(struct bpfchain_cursor cur, struct bpf_sock_tuple *ret) {
        __be16 source, destination;
        struct iphdr *ip;

        if (bpfchain_parse_eth(&cur, NULL) != ETH_P_IP || bpfchain_parse_ipv4(&cur, &ip) != IPPROTO_UDP ||
            bpfchain_parse_ports(&cur, IPPROTO_UDP, &source, &destination) != 0)
                return false;
        ret->ipv4.saddr = ip->saddr;
        ret->ipv4.daddr = ip->daddr;
        ret->ipv4.sport = source;
        ret->ipv4.dport = destination;
        return true;
}

static __always_inline void look(void *ctx, struct bpfchain_cursor cur) {
        struct bpf_sock_tuple tuple = {};
        struct bpf_sock *sk;

        if (!fill(cur, &tuple))
                return;
        sk = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
        if (sk) {
                if (sk->protocol == IPPROTO_UDP)
                        effect++;
                bpf_sk_release(sk);
        }
}

SEC("xdp")
int xdp_sockets(struct xdp_md *ctx) {
        hit();
        look(ctx, bpfchain_xdp_cursor(ctx));
        return answer_xdp();
}

SEC("tc")
int tc_sockets(struct __sk_buff *skb) {
        hit();
        look(skb, bpfchain_tc_cursor(skb, BPFCHAIN_HEADERS));
        return answer_tc();
}
