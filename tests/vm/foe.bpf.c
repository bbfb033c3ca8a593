// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What somebody else would have on a hook: it lets nothing through, so that it is noticed when it gets there. */

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u64);
} foe_hits SEC(".maps");

static __always_inline void hit(void) {
        __u32 key = 0;
        __u64 *n = bpf_map_lookup_elem(&foe_hits, &key);

        if (n)
                __sync_fetch_and_add(n, 1);
}

SEC("xdp")
int foe_xdp(struct xdp_md *ctx) {
        hit();
        return XDP_DROP;
}

SEC("tc")
int foe_tc(struct __sk_buff *skb) {
        hit();
        return TC_ACT_SHOT;
}

char _license[] SEC("license") = "GPL";
