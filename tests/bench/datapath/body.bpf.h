/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The work of one member, the same in all techniques: look at the Ethernet and IPv4 headers, count the packet in a
 * per-CPU map, let it through.
 */

#include <linux/types.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Two entries: in long chains two neighbours share a map, see BENCH_OWN_MAPS_MAX. */
#define COUNTER_MAP(name)                                                                                            \
        struct {                                                                                                     \
                __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                                             \
                __uint(max_entries, 2);                                                                              \
                __type(key, __u32);                                                                                  \
                __type(value, __u64);                                                                                \
        } name SEC(".maps")

/* Keeps the compiler from knowing what is in a variable: what a called program answered, for it does not know it of
 * programs of others; or that the context is the same as before, for the verifier wants to see its fields read from
 * the context itself, not from an address that the compiler has worked out once for many reads. */
#define UNKNOWN(variable) asm volatile("" : "+r"(variable))

static __always_inline void count_ipv4(void *data, void *end, void *map, __u32 key) {
        struct ethhdr *eth = data;
        struct iphdr *ip = data + sizeof(*eth);
        __u64 *count;

        if ((void *) (ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
                return;
        if (ip->version != 4 || ip->ihl < 5 || (void *) ip + ip->ihl * 4 > end)
                return;
        count = bpf_map_lookup_elem(map, &key);
        if (count)
                ++*count;
}

static __always_inline int xdp_body(struct xdp_md *ctx, void *map, __u32 key) {
        UNKNOWN(ctx);
        count_ipv4((void *) (long) ctx->data, (void *) (long) ctx->data_end, map, key);
        return XDP_PASS;
}

static __always_inline int tc_body(struct __sk_buff *skb, void *map, __u32 key) {
        UNKNOWN(skb);
        count_ipv4((void *) (long) skb->data, (void *) (long) skb->data_end, map, key);
        return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
