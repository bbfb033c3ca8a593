// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Section names that libbpf does not know but that begin with a type. */

#include "test.bpf.h"

SEC("xdp_ratelimiting")
int odd_xdp(struct xdp_md *ctx) {
        hit();
        return answer_xdp();
}

SEC("tc_ingress_flow_monitoring")
int odd_tc(struct __sk_buff *skb) {
        hit();
        return answer_tc();
}
