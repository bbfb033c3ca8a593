// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A switch of 300 cases, which makes long ways through the code, and a table in .rodata that a value is looked up in.
 */

#include "test.bpf.h"

__u64 effect; /* of the last UDP packet: what the switch makes of its destination port */

#define CASE(n)                                                                                                      \
        case n:                                                                                                      \
                value = 7919U * (n) % 65521;                                                                         \
                asm volatile("" : "+r"(value));                                                                      \
                break;
#define CASES_10(n)                                                                                                  \
        CASE((n) + 0)                                                                                                \
        CASE((n) + 1)                                                                                                \
        CASE((n) + 2)                                                                                                \
        CASE((n) + 3)                                                                                                \
        CASE((n) + 4)                                                                                                \
        CASE((n) + 5)                                                                                                \
        CASE((n) + 6)                                                                                                \
        CASE((n) + 7)                                                                                                \
        CASE((n) + 8)                                                                                                \
        CASE((n) + 9)
#define CASES_100(n)                                                                                                 \
        CASES_10((n) + 0)                                                                                            \
        CASES_10((n) + 10)                                                                                           \
        CASES_10((n) + 20)                                                                                           \
        CASES_10((n) + 30)                                                                                           \
        CASES_10((n) + 40)                                                                                           \
        CASES_10((n) + 50)                                                                                           \
        CASES_10((n) + 60)                                                                                           \
        CASES_10((n) + 70)                                                                                           \
        CASES_10((n) + 80)                                                                                           \
        CASES_10((n) + 90)

static const volatile __u16 table[8] = { 1, 10, 100, 1000, 10000, 2, 20, 200 };

static __always_inline void look(struct bpfchain_cursor cur) {
        __be16 source, destination;
        struct iphdr *ip;
        __u32 value = 0, port;

        if (bpfchain_parse_eth(&cur, NULL) != ETH_P_IP || bpfchain_parse_ipv4(&cur, &ip) != IPPROTO_UDP ||
            bpfchain_parse_ports(&cur, IPPROTO_UDP, &source, &destination) != 0)
                return;
        port = bpf_ntohs(destination);
        switch (port) {
                CASES_100(0)
                CASES_100(100)
                CASES_100(200)
        }
        effect = value + table[port & 7];
}

SEC("xdp")
int xdp_switch(struct xdp_md *ctx) {
        hit();
        look(bpfchain_xdp_cursor(ctx));
        return answer_xdp();
}

SEC("tc")
int tc_switch(struct __sk_buff *skb) {
        hit();
        look(bpfchain_tc_cursor(skb, BPFCHAIN_HEADERS));
        return answer_tc();
}
