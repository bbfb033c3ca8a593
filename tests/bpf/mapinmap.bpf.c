// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A map of maps that the object fills. Counts in the inner one. */

#include "test.bpf.h"

struct inner {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u64);
} inner SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
        __uint(max_entries, 2);
        __type(key, __u32);
        __array(values, struct inner);
} outer SEC(".maps") = {
        .values = { [1] = &inner },
};

SEC("xdp")
int xdp_mapinmap(struct xdp_md *ctx) {
        __u32 one = 1, zero = 0;
        void *map = bpf_map_lookup_elem(&outer, &one);
        __u64 *count;

        hit();
        if (!map)
                return XDP_ABORTED;
        count = bpf_map_lookup_elem(map, &zero);
        if (count)
                __sync_fetch_and_add(count, 1);
        return answer_xdp();
}
