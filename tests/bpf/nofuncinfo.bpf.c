// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Built with types for its maps but without the section that describes functions and lines (.BTF.ext). */

#include "test.bpf.h"

struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
} jumps SEC(".maps");

__u64 effect;

static __noinline int length(struct xdp_md *ctx) {
        return ctx->data_end - ctx->data;
}

SEC("xdp")
int xdp_nofuncinfo(struct xdp_md *ctx) {
        hit();
        effect = length(ctx);
        return answer_xdp();
}

SEC("xdp")
int xdp_nofuncinfo_tailcall(struct xdp_md *ctx) {
        hit();
        bpf_tail_call(ctx, &jumps, 0);
        effect++;
        return answer_xdp();
}
