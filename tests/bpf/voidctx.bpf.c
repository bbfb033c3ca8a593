// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Takes its context as void *, as some authors do. It can be called as a static function only. */

#include "test.bpf.h"

SEC("xdp")
int xdp_voidctx(void *ctx) {
        struct xdp_md *xdp = ctx;

        hit();
        return xdp->data_end > xdp->data ? answer_xdp() : XDP_ABORTED;
}

SEC("tc")
int tc_voidctx(void *ctx) {
        struct __sk_buff *skb = ctx;

        hit();
        return skb->len ? answer_tc() : TC_ACT_SHOT;
}
