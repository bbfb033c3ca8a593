/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What somebody would write who knows all members beforehand: one program with their bodies, for the compiler to
 * inline and to optimize as a whole. */

#include "body.bpf.h"
#include "lists.bpf.h"

#define MAP(i) COUNTER_MAP(c##i);
LIST_64(MAP)

#define XDP_STEP(i)                                                                                                  \
        verdict = xdp_body(ctx, &c##i, 0##i % 2);                                                                    \
        if (verdict != XDP_PASS)                                                                                     \
                return verdict;
#define TC_STEP(i)                                                                                                   \
        verdict = tc_body(skb, &c##i, 0##i % 2);                                                                     \
        if (verdict != TC_ACT_UNSPEC)                                                                                \
                return verdict;

#define LIMIT(n)                                                                                                     \
        SEC("xdp")                                                                                                   \
        int xdp_limit_##n(struct xdp_md *ctx) {                                                                      \
                int verdict;                                                                                         \
                                                                                                                     \
                LIST_##n(XDP_STEP);                                                                                  \
                return XDP_PASS;                                                                                     \
        }                                                                                                            \
        SEC("tc")                                                                                                    \
        int tc_limit_##n(struct __sk_buff *skb) {                                                                    \
                int verdict;                                                                                         \
                                                                                                                     \
                LIST_##n(TC_STEP);                                                                                   \
                return TC_ACT_UNSPEC;                                                                                \
        }

LIMIT(1)
LIMIT(2)
LIMIT(4)
LIMIT(8)
LIMIT(10)
LIMIT(16)
LIMIT(32)
LIMIT(64)
