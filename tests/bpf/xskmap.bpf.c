// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* To the AF_XDP socket of the packet's queue, and on (`verdict`) where there is none. */

#include "test.bpf.h"

struct {
        __uint(type, BPF_MAP_TYPE_XSKMAP);
        __uint(max_entries, 4);
        __type(key, __u32);
        __type(value, __u32);
} sockets SEC(".maps");

__u64 effect; /* packets for which there is a socket */

SEC("xdp")
int xdp_xskmap(struct xdp_md *ctx) {
        __u32 queue = ctx->rx_queue_index;

        hit();
        if (bpf_map_lookup_elem(&sockets, &queue))
                effect++;
        return bpf_redirect_map(&sockets, queue, answer_xdp() & 3);
}
