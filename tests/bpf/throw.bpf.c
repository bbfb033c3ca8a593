// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Throws, with the verdict XDP_DROP, at UDP packets to port throw_port. Kernel 6.7. */

#include "test.bpf.h"

extern void bpf_throw(__u64 cookie) __ksym;

const volatile __u16 throw_port = 9999;

SEC("xdp")
int xdp_throw(struct xdp_md *ctx) {
        struct bpfchain_cursor cur = bpfchain_xdp_cursor(ctx);
        __be16 source, destination;
        struct iphdr *ip;

        hit();
        if (bpfchain_parse_eth(&cur, NULL) == ETH_P_IP && bpfchain_parse_ipv4(&cur, &ip) == IPPROTO_UDP &&
            bpfchain_parse_ports(&cur, IPPROTO_UDP, &source, &destination) == 0 &&
            destination == bpf_htons(throw_port))
                bpf_throw(XDP_DROP);
        return answer_xdp();
}
