// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Version 2, see upgrade.h. */

#include "upgrade.h"

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u64);
} extra SEC(".maps");

SEC("xdp")
int xdp_upgrade(struct xdp_md *ctx) {
        __u64 *count = upgrade_count(2), *more;
        __u32 zero = 0;

        if (count)
                __sync_fetch_and_add(count, 100);
        more = bpf_map_lookup_elem(&extra, &zero);
        if (more)
                __sync_fetch_and_add(more, 1);
        return answer_xdp();
}
