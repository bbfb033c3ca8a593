/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What sends a packet through the TC ingress hooks of both ends of a veth pair again and again: at the end of each
 * chain the packet goes to ingress of the other end, which the kernel does without a queue in between. */

#include "body.bpf.h"

/* Set from outside before packets come. One CPU sends. */
__u32 interface = 0; /* where the first packets go: to the peer of it */
__u32 rounds = 0;    /* chains that a packet is to meet */
__u32 left = 0;

SEC("tc")
int tc_enter(struct __sk_buff *skb) {
        left = rounds;
        return (int) bpf_redirect_peer(interface, 0);
}

SEC("tc")
int tc_bounce(struct __sk_buff *skb) {
        if (--left == 0)
                return TC_ACT_SHOT;
        return (int) bpf_redirect_peer(skb->ifindex, 0);
}
