// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reads the packet without asking whether it is so long: the verifier refuses it. */

#include "test.bpf.h"

SEC("xdp")
int xdp_rejected(struct xdp_md *ctx) {
        __u8 *data = (void *) (long) ctx->data;

        hit();
        return data[100] == 1 ? XDP_DROP : answer_xdp();
}

SEC("tc")
int tc_rejected(struct __sk_buff *skb) {
        __u8 *data = (void *) (long) skb->data;

        hit();
        return data[100] == 1 ? TC_ACT_SHOT : answer_tc();
}
