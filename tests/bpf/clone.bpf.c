// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sends a copy of each packet out of another interface. */

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
