/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A member that jumps to the next through a map of its own, as programs for L3AF do. */

#include "trace.bpf.h"

struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
} next SEC(".maps");

SEC("xdp")
int xdp_trace(struct xdp_md *ctx) {
        append((void *) (long) ctx->data, (void *) (long) ctx->data_end);
        bpf_tail_call(ctx, &next, 0);
        return XDP_PASS;
}

/* What is on the hook. */
SEC("xdp")
int xdp_root(struct xdp_md *ctx) {
        bpf_tail_call(ctx, &next, 0);
        return XDP_PASS;
}
