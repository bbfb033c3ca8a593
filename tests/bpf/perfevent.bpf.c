// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sends the beginning of each packet to user space through a perf buffer. */

#include "test.bpf.h"

struct {
        __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
        __type(key, __u32);
        __type(value, __u32);
} events SEC(".maps");

__u64 effect; /* packets that nobody wanted (-ENOENT): no one listens in the tests */

static __always_inline void send(void *ctx) {
        __u64 note = 0x0102030405060708;

        if (bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU | 14ULL << 32, &note, sizeof(note)) == -2)
                effect++;
}

SEC("xdp")
int xdp_perfevent(struct xdp_md *ctx) {
        hit();
        send(ctx);
        return answer_xdp();
}

SEC("tc")
int tc_perfevent(struct __sk_buff *skb) {
        hit();
        send(skb);
        return answer_tc();
}
