// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sends each packet to another interface: by index, or by entry 0 of a device map (where there is none: `verdict`).
 */

#include "test.bpf.h"

const volatile __u32 target_ifindex = 0;
const volatile __u64 redirect_flags = 0; /* TC: BPF_F_INGRESS or 0 */

struct {
        __uint(type, BPF_MAP_TYPE_DEVMAP);
        __uint(max_entries, 4);
        __type(key, __u32);
        __type(value, __u32);
} devices SEC(".maps");

SEC("xdp")
int xdp_redirect(struct xdp_md *ctx) {
        hit();
        return bpf_redirect(target_ifindex, 0);
}

SEC("xdp")
int xdp_redirect_map(struct xdp_md *ctx) {
        hit();
        return bpf_redirect_map(&devices, 0, answer_xdp() & 3);
}

SEC("tc")
int tc_redirect(struct __sk_buff *skb) {
        hit();
        return bpf_redirect(target_ifindex, redirect_flags);
}
