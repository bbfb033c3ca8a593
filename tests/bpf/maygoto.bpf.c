// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loops that the verifier need not follow to their end: may_goto, kernel 6.9. Encoded by hand, since assemblers know
 * it from clang 19 on only. */

#include "test.bpf.h"

/* Leaves a loop when the kernel thinks that it has turned long enough. The offset is in instructions, from the next
 * one; it stands in the third and fourth byte. */
#define may_leave(label)                                                                                             \
        asm volatile goto(".byte 0xe5, 0\n.long (%l[" #label "] - . - 6) / 8 & 0xffff\n.short 0" : : : : label)

__u64 effect; /* each packet adds the length of the list that `next` makes, from 1 to 0 */

/* 1 -> 2 -> … -> 200 -> 0 */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 256);
        __type(key, __u32);
        __type(value, __u32);
} next SEC(".maps");

static __always_inline void follow(void) {
        __u32 at = 1, steps = 0;

        for (;;) {
                __u32 *to = bpf_map_lookup_elem(&next, &at);

                may_leave(left);
                if (!to || at == 0)
                        break;
                steps++;
                at = *to;
        }
left:
        effect += steps;
}

SEC("xdp")
int xdp_maygoto(struct xdp_md *ctx) {
        hit();
        follow();
        return answer_xdp();
}

SEC("tc")
int tc_maygoto(struct __sk_buff *skb) {
        hit();
        follow();
        return answer_tc();
}
