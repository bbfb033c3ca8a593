// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A map that would take 8 TiB at once, which no machine that runs tests has. */

#include "test.bpf.h"

struct huge {
        __u8 bytes[4096];
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 2147483647);
        __type(key, __u32);
        __type(value, struct huge);
} huge_map SEC(".maps");

SEC("xdp")
int xdp_hugemap(struct xdp_md *ctx) {
        __u32 zero = 0;

        hit();
        return bpf_map_lookup_elem(&huge_map, &zero) ? answer_xdp() : XDP_ABORTED;
}
