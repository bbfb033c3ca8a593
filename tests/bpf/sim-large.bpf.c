// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* More than a simulation copies: 264 MiB, which a machine that runs tests has; and maps in a map, which are many when
 * the test has put them there. */

#include "test.bpf.h"

struct block {
        __u8 bytes[4096];
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 67584);
        __type(key, __u32);
        __type(value, struct block);
} large SEC(".maps");

struct small {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u64);
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
        __uint(max_entries, 5000);
        __type(key, __u32);
        __array(values, struct small);
} many SEC(".maps");

SEC("xdp")
int xdp_sim_large(struct xdp_md *ctx) {
        __u32 zero = 0;

        hit();
        return bpf_map_lookup_elem(&large, &zero) ? answer_xdp() : XDP_ABORTED;
}

SEC("xdp")
int xdp_sim_many(struct xdp_md *ctx) {
        __u32 zero = 0;

        hit();
        return bpf_map_lookup_elem(&many, &zero) ? answer_xdp() : XDP_ABORTED;
}
