// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sends a copy of each packet out of another interface. tc_clone_grown makes it ten bytes longer, and of copies that
 * come by no more copies. */

#include "test.bpf.h"

const volatile __u32 target_ifindex = 0;

__u64 effect; /* copies sent */

SEC("tc")
int tc_clone(struct __sk_buff *skb) {
        hit();
        if (bpf_clone_redirect(skb, target_ifindex, 0) == 0)
                effect++;
        return answer_tc();
}

#define COPIED 0x62636d77

SEC("tc")
int tc_clone_grown(struct __sk_buff *skb) {
        __u32 size = skb->len;

        hit();
        if (skb->mark == COPIED)
                return answer_tc();
        skb->mark = COPIED;
        if (bpf_skb_change_tail(skb, size + 10, 0) < 0)
                return TC_ACT_SHOT;
        if (bpf_clone_redirect(skb, target_ifindex, 0) == 0)
                effect++;
        if (bpf_skb_change_tail(skb, size, 0) < 0)
                return TC_ACT_SHOT;
        return answer_tc();
}
