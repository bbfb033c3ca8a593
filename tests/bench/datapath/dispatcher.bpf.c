/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A dispatcher as libxdp and bpfman have them: a global function for each of at most ten slots, called one after the
 * other, and a set of verdicts for each to go on after. There the functions are stubs that freplace programs come in
 * the place of; here they do the work themselves, and where the kernel lets us, freplace programs replace them. */

#include "body.bpf.h"
#include "lists.bpf.h"

#define MAP(i) COUNTER_MAP(c##i);
LIST_10(MAP)

const volatile __u32 xdp_proceed_on[10] = { [0 ... 9] = 1U << XDP_PASS };
const volatile __u32 tc_proceed_on[10] = { [0 ... 9] = 1U << (TC_ACT_UNSPEC + 1) };

#define SLOT(i)                                                                                                      \
        __attribute__((noinline)) int xdp_slot_##i(struct xdp_md *ctx) {                                             \
                return xdp_body(ctx, &c##i, 0##i % 2);                                                               \
        }                                                                                                            \
        __attribute__((noinline)) int tc_slot_##i(struct __sk_buff *skb) {                                           \
                return tc_body(skb, &c##i, 0##i % 2);                                                                \
        }
LIST_10(SLOT)

#define XDP_STEP(i)                                                                                                  \
        verdict = xdp_slot_##i(ctx);                                                                                 \
        UNKNOWN(verdict);                                                                                            \
        if (!((1U << verdict) & xdp_proceed_on[0##i]))                                                               \
                return verdict;
#define TC_STEP(i)                                                                                                   \
        verdict = tc_slot_##i(skb);                                                                                  \
        UNKNOWN(verdict);                                                                                            \
        if (!((1U << (verdict + 1)) & tc_proceed_on[0##i]))                                                          \
                return verdict;

#define DISPATCHER(n)                                                                                                \
        SEC("xdp")                                                                                                   \
        int xdp_dispatcher_##n(struct xdp_md *ctx) {                                                                 \
                int verdict;                                                                                         \
                                                                                                                     \
                LIST_##n(XDP_STEP);                                                                                  \
                return XDP_PASS;                                                                                     \
        }                                                                                                            \
        SEC("tc")                                                                                                    \
        int tc_dispatcher_##n(struct __sk_buff *skb) {                                                               \
                int verdict;                                                                                         \
                                                                                                                     \
                LIST_##n(TC_STEP);                                                                                   \
                return TC_ACT_UNSPEC;                                                                                \
        }

DISPATCHER(1)
DISPATCHER(2)
DISPATCHER(4)
DISPATCHER(8)
DISPATCHER(10)
