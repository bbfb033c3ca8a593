// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The other one. */

#include "test.bpf.h"

struct state {
        __u32 reserved;
        __u32 limit;
        __u64 count[2];
};

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 4);
        __type(key, __u64);
        __type(value, struct state);
} states SEC(".maps");

static const volatile __u8 padding[24] = { 1 };
__u64 reserved = 5;
__u64 effect; /* each packet adds 1000 */

static __noinline __u64 step(struct xdp_md *ctx, __u64 n) {
        return ctx->data_end > ctx->data ? n * 1000 : 0;
}

__noinline int weigh(struct xdp_md *ctx) {
        return step(ctx, padding[0]);
}

SEC("xdp")
int xdp_samename(struct xdp_md *ctx) {
        struct state fresh = { .limit = 7 }, *state;
        __u64 key = reserved;

        hit();
        bpf_map_update_elem(&states, &key, &fresh, BPF_NOEXIST);
        state = bpf_map_lookup_elem(&states, &key);
        if (state && state->limit == 7)
                state->count[1]++;
        effect += weigh(ctx);
        return answer_xdp();
}
