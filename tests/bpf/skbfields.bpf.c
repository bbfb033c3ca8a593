// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Fields of the socket buffer, by which programs of one hook may talk to each other: tc_fields_write sets mark,
 * priority and cb, tc_fields_read counts packets that carry what the former set. */

#include "test.bpf.h"

__u64 effect;

SEC("tc")
int tc_fields_write(struct __sk_buff *skb) {
        hit();
        skb->mark += 0x1000;
        skb->priority = 7;
        for (int i = 0; i < 5; i++)
                skb->cb[i] = 100 + i;
        effect++;
        return answer_tc();
}

SEC("tc")
int tc_fields_read(struct __sk_buff *skb) {
        __u32 sum = 0;

        hit();
        for (int i = 0; i < 5; i++)
                sum += skb->cb[i];
        if (sum == 510 && skb->mark >= 0x1000 && skb->priority == 7)
                effect++;
        return answer_tc();
}
