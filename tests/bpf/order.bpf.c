// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Appends its id and generation to the trace in the packet, see order.h. Counts only packets with a trace. */

#include "order.h"
#include "test.bpf.h"

#include <linux/udp.h>

/* The low 8 bits of each go into the packet. */
const volatile __u32 id = 0;
const volatile __u32 generation = 0;

static __always_inline void append(struct bpfchain_cursor cur) {
        struct order_payload *payload;
        struct order_entry *entry;
        struct udphdr *udp;
        int protocol = -1;
        __u32 index;

        switch (bpfchain_parse_eth(&cur, NULL)) {
        case ETH_P_IP: {
                struct iphdr *ip;

                protocol = bpfchain_parse_ipv4(&cur, &ip);
                if (protocol < 0 || bpfchain_ipv4_is_later_fragment(ip))
                        return;
                break;
        }
        case ETH_P_IPV6: {
                struct ipv6hdr *ip;

                protocol = bpfchain_parse_ipv6(&cur, &ip);
                break;
        }
        }
        if (protocol != IPPROTO_UDP)
                return;

        udp = cur.pos;
        payload = (void *) (udp + 1);
        if ((void *) (payload + 1) > cur.end || __builtin_memcmp(payload->magic, ORDER_MAGIC, 4) != 0)
                return;

        hit();
        udp->check = 0;
        index = payload->count;
        if (index >= ORDER_MAX) {
                if (payload->lost < 255)
                        payload->lost++;
                return;
        }

        entry = &payload->entries[index];
        if ((void *) (entry + 1) > cur.end) /* for the verifier; all of the payload is there */
                return;
        entry->id = id;
        entry->generation = generation;
        payload->count = index + 1;
}

SEC("xdp")
int xdp_order(struct xdp_md *ctx) {
        append(bpfchain_xdp_cursor(ctx));
        return answer_xdp();
}

SEC("tc")
int tc_order(struct __sk_buff *skb) {
        append(bpfchain_tc_cursor(skb, 256));
        return answer_tc();
}
