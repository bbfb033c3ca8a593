/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that do nothing. */

#include "body.bpf.h"

SEC("xdp")
int xdp_empty(struct xdp_md *ctx) {
        return XDP_PASS;
}

SEC("tc")
int tc_empty(struct __sk_buff *skb) {
        return TC_ACT_UNSPEC;
}
