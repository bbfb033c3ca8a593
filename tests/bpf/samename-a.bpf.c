// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One of two objects whose maps, functions, types and variables have the same names and do not mean the same. */

#include "test.bpf.h"

struct state {
        __u64 count;
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct state);
} states SEC(".maps");

__u64 effect; /* each packet adds 1 */

__noinline int step(__u32 n) {
        return n < 1000 ? n + 1 : 0;
}

static __noinline __u64 weigh(__u64 n) {
        return step(n) ? step(n) : 1;
}

SEC("xdp")
int xdp_samename(struct xdp_md *ctx) {
        __u32 zero = 0;
        struct state *state = bpf_map_lookup_elem(&states, &zero);

        hit();
        if (state)
                state->count++;
        effect += weigh(0);
        return answer_xdp();
}
