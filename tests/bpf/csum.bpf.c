// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Checksum helpers: both programs take one from the time to live of an IPv4 packet and put the checksum of its header
 * right, which was right before. */

#include "test.bpf.h"

__u64 effect; /* packets changed */

static __always_inline __u16 fold(__u64 sum) {
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        return (__u16) ~sum;
}

SEC("xdp")
int xdp_csum(struct xdp_md *ctx) {
        struct bpfchain_cursor cur = bpfchain_xdp_cursor(ctx);
        struct iphdr *ip;
        __s64 sum;

        hit();
        if (bpfchain_parse_eth(&cur, NULL) != ETH_P_IP || bpfchain_parse_ipv4(&cur, &ip) < 0)
                return XDP_ABORTED;
        ip->ttl--;
        ip->check = 0;
        sum = bpf_csum_diff(NULL, 0, (__be32 *) ip, sizeof(*ip), 0);
        if (sum < 0)
                return XDP_ABORTED;
        ip->check = fold(sum);
        effect++;
        return answer_xdp();
}

SEC("tc")
int tc_csum(struct __sk_buff *skb) {
        struct bpfchain_cursor cur = bpfchain_tc_cursor(skb, BPFCHAIN_HEADERS);
        __u32 at = sizeof(struct ethhdr);
        __be16 before, after;
        struct iphdr *ip;
        __u8 ttl;

        hit();
        if (bpfchain_parse_eth(&cur, NULL) != ETH_P_IP || bpfchain_parse_ipv4(&cur, &ip) < 0)
                return TC_ACT_SHOT;
        before = bpf_htons(ip->ttl << 8 | ip->protocol);
        after = bpf_htons((ip->ttl - 1) << 8 | ip->protocol);
        ttl = ip->ttl - 1;
        if (bpf_l3_csum_replace(skb, at + __builtin_offsetof(struct iphdr, check), before, after, 2) < 0 ||
            bpf_skb_store_bytes(skb, at + __builtin_offsetof(struct iphdr, ttl), &ttl, 1, 0) < 0)
                return TC_ACT_SHOT;
        effect++;
        return answer_tc();
}
