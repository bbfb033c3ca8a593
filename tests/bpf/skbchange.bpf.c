// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Helpers that change a socket buffer: what programs in front have read of it is no longer valid. */

#include "test.bpf.h"

__u64 effect; /* something that tells that the last packet was changed */

#define PROGRAM(name, call, told)                                                                                    \
        SEC("tc")                                                                                                    \
        int tc_##name(struct __sk_buff *skb) {                                                                       \
                hit();                                                                                               \
                if ((call) < 0)                                                                                      \
                        return TC_ACT_SHOT;                                                                          \
                effect = (told);                                                                                     \
                return answer_tc();                                                                                  \
        }

PROGRAM(change_tail, bpf_skb_change_tail(skb, skb->len + 10, 0), skb->len)
PROGRAM(change_head, bpf_skb_change_head(skb, 4, 0), skb->len)
PROGRAM(change_proto, bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0), bpf_ntohs(skb->protocol))
PROGRAM(change_type, bpf_skb_change_type(skb, 3), skb->pkt_type)
PROGRAM(vlan_push, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 100), skb->vlan_tci)
PROGRAM(vlan_pop, bpf_skb_vlan_pop(skb), skb->len)
PROGRAM(adjust_room, bpf_skb_adjust_room(skb, 8, BPF_ADJ_ROOM_NET, 0), skb->len)
PROGRAM(pull_data, bpf_skb_pull_data(skb, skb->len), skb->len)
