/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Members that know nothing of each other. */

#include "trace.bpf.h"

SEC("xdp")
int xdp_trace(struct xdp_md *ctx) {
        append((void *) (long) ctx->data, (void *) (long) ctx->data_end);
        return XDP_PASS;
}

SEC("tc")
int tc_trace(struct __sk_buff *skb) {
        append((void *) (long) skb->data, (void *) (long) skb->data_end);
        return TC_ACT_UNSPEC;
}
