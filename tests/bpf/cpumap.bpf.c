// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sends each packet to another CPU by entry 0 of a map (where there is none: `verdict`). */

#include "test.bpf.h"

struct {
        __uint(type, BPF_MAP_TYPE_CPUMAP);
        __uint(max_entries, 4);
        __type(key, __u32);
        __type(value, __u32);
} cpus SEC(".maps");

SEC("xdp")
int xdp_cpumap(struct xdp_md *ctx) {
        hit();
        return bpf_redirect_map(&cpus, 0, answer_xdp() & 3);
}
