// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Asks for its map to be pinned by name, and for a figure of the kernel. */

#include "test.bpf.h"

extern int LINUX_KERNEL_VERSION __kconfig;

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
        __type(key, __u32);
        __type(value, __u32);
} bct_pinned_by_name SEC(".maps");

SEC("xdp")
int xdp_pinned(struct xdp_md *ctx) {
        __u32 zero = 0, *value = bpf_map_lookup_elem(&bct_pinned_by_name, &zero);

        hit();
        if (value)
                *value = LINUX_KERNEL_VERSION;
        return answer_xdp();
}
