/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linked tail calls, as L3AF has its programs do: each jumps to the next through a map of its own with one entry. */

#include "body.bpf.h"

COUNTER_MAP(counter);

struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
} next SEC(".maps");

#define LINKED(name, key)                                                                                            \
        SEC("xdp")                                                                                                   \
        int xdp_##name(struct xdp_md *ctx) {                                                                         \
                int verdict = xdp_body(ctx, &counter, key);                                                          \
                                                                                                                     \
                bpf_tail_call(ctx, &next, 0);                                                                        \
                return verdict;                                                                                      \
        }                                                                                                            \
        SEC("tc")                                                                                                    \
        int tc_##name(struct __sk_buff *skb) {                                                                       \
                int verdict = tc_body(skb, &counter, key);                                                           \
                                                                                                                     \
                bpf_tail_call(skb, &next, 0);                                                                        \
                return verdict;                                                                                      \
        }

LINKED(even, 0)
LINKED(odd, 1)
