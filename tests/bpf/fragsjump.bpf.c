// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Takes packets of several buffers and tail-calls: its program array takes only programs that do so too. */

#include "test.bpf.h"

struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
} jumps SEC(".maps");

SEC("xdp.frags")
int xdp_fragsjump(struct xdp_md *ctx) {
        hit();
        bpf_tail_call(ctx, &jumps, 0);
        return answer_xdp();
}
