/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both ends of the way: one makes numbered packets out of whatever frames it is run on and sends them through an
 * interface, the other looks at their traces and drops them. */

#include "body.bpf.h"
#include "trace.h"

const volatile __u32 ifindex = 0;
const volatile __u32 n_members = 0;

struct trace_state state = {};

SEC("xdp")
int xdp_send(struct xdp_md *ctx) {
        struct trace_packet *packet = (void *) (long) ctx->data;

        if ((void *) (packet + 1) > (void *) (long) ctx->data_end)
                return XDP_ABORTED;
        __builtin_memset(packet, 0, sizeof(*packet));
        packet->to[0] = packet->from[0] = 2;
        packet->from[5] = 1;
        packet->protocol = bpf_htons(TRACE_PROTOCOL);
        packet->sequence = state.sent++;
        return bpf_redirect(ifindex, 0);
}

static __always_inline void check_number(__u32 sequence) {
        state.seen++;
        if (sequence < state.next) {
                state.reordered++;
                return;
        }
        state.missing += sequence - state.next;
        state.next = sequence + 1;
}

static __always_inline void check_trace(const struct trace_packet *packet) {
        __u32 n = n_members, generation = packet->entries[0].generation;
        int mixed = 0, wrong = packet->count != n;

        for (__u32 i = 0; i < TRACE_MAX; i++) {
                if (i >= n)
                        break;
                mixed |= packet->entries[i].generation != generation;
                wrong |= packet->entries[i].id != i;
        }
        state.wrong += wrong;
        state.mixed += mixed;
        if (!mixed && generation != state.generation) {
                state.generations++;
                state.generation = generation;
        }
}

SEC("tc")
int tc_check(struct __sk_buff *skb) {
        struct trace_packet *packet = (void *) (long) skb->data;

        if ((void *) (packet + 1) > (void *) (long) skb->data_end || packet->protocol != bpf_htons(TRACE_PROTOCOL))
                return TC_ACT_SHOT;
        check_number(packet->sequence);
        check_trace(packet);
        return TC_ACT_SHOT;
}
