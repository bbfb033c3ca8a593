// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Kernel functions: reads the EtherType through a dynptr. Kernel 6.4. */

#include "test.bpf.h"

struct bpf_dynptr;
extern int bpf_dynptr_from_xdp(struct xdp_md *ctx, __u64 flags, struct bpf_dynptr *ret) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *p, __u32 offset, void *buffer, __u32 size) __ksym;

__u32 ethertype; /* of the last packet, host byte order */

SEC("xdp")
int xdp_kfunc(struct xdp_md *ctx) {
        struct bpf_dynptr packet;
        struct ethhdr buffer, *eth;

        hit();
        if (bpf_dynptr_from_xdp(ctx, 0, &packet) < 0)
                return XDP_ABORTED;
        eth = bpf_dynptr_slice(&packet, 0, &buffer, sizeof(buffer));
        if (!eth)
                return XDP_ABORTED;
        ethertype = bpf_ntohs(eth->h_proto);
        return answer_xdp();
}
