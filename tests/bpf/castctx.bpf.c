// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reads the kernel's own structure behind the context. Kernel 6.2. */

#include "test.bpf.h"

#include <bpf/bpf_core_read.h>

extern void *bpf_cast_to_kern_ctx(void *context) __ksym;

struct net_device___own {
        int ifindex;
} __attribute__((preserve_access_index));

struct xdp_rxq_info___own {
        struct net_device___own *dev;
        __u32 queue_index;
} __attribute__((preserve_access_index));

struct xdp_buff___own {
        void *data;
        void *data_end;
        struct xdp_rxq_info___own *rxq;
} __attribute__((preserve_access_index));

__u64 effect; /* packets of which both structures say the same */

SEC("xdp")
int xdp_castctx(struct xdp_md *ctx) {
        struct xdp_buff___own *buff = bpf_cast_to_kern_ctx(ctx);

        hit();
        if (buff->data_end - buff->data == ctx->data_end - ctx->data &&
            buff->rxq->dev->ifindex == (int) ctx->ingress_ifindex)
                effect++;
        return answer_xdp();
}
