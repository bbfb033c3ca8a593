// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts packets and answers as told. */

#include "test.bpf.h"

SEC("xdp")
int xdp_verdict(struct xdp_md *ctx) {
        hit();
        return answer_xdp();
}

SEC("tc")
int tc_verdict(struct __sk_buff *skb) {
        hit();
        return answer_tc();
}
