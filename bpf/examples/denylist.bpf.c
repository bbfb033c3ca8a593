// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Drops packets by source address, IPv4 and IPv6. The most specific prefix decides; a prefix of class 0 is an
 * exception from a shorter one. Everything else, also what is not IP, passes.
 *
 *      "programs": {
 *        "deny": {
 *          "object": "denylist.bpf.o",
 *          "globals": { "log_drops": true },
 *          "maps": {
 *            "denied_v4": [ { "key": { "prefixlen": 24, "addr": "203.0.113.0" }, "value": 1 },
 *                           { "key": { "prefixlen": 32, "addr": "203.0.113.7" }, "value": 0 } ],
 *            "denied_v6": [ { "key": { "prefixlen": 32, "addr": "2001:db8::" }, "value": 2 } ]
 *          }
 *        }
 *      }
 *
 * `stats` counts packets and bytes dropped for each class, so give a class to each reason, or source, of entries
 * that you want to tell apart. With log_drops, each drop is also a record in the ring buffer `drops` (struct
 * denylist_drop in denylist.h) as long as somebody reads it; a full buffer loses records, never packets.
 */

#include "denylist.h"
#include "bpfchain.bpf.h"

/* Write a record to `drops` for each packet dropped. */
const volatile bool log_drops = false;

struct {
        __uint(type, BPF_MAP_TYPE_LPM_TRIE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __uint(max_entries, 65536);
        __type(key, struct denylist_key_v4);
        __type(value, __u32);
} denied_v4 SEC(".maps") BPFCHAIN_ROLE("config");

struct {
        __uint(type, BPF_MAP_TYPE_LPM_TRIE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __uint(max_entries, 65536);
        __type(key, struct denylist_key_v6);
        __type(value, __u32);
} denied_v6 SEC(".maps") BPFCHAIN_ROLE("config");

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, DENYLIST_CLASSES);
        __type(key, __u32);
        __type(value, struct denylist_stats);
} stats SEC(".maps") BPFCHAIN_ROLE("stats");

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 64 * 1024);
} drops SEC(".maps") BPFCHAIN_ROLE("events");
BPFCHAIN_EVENT(drops, struct denylist_drop);

static __always_inline void log_drop(const struct xdp_md *ctx, __u16 ethertype, const void *source, __u32 class) {
        struct denylist_drop *drop;

        drop = bpf_ringbuf_reserve(&drops, sizeof(*drop), 0);
        if (!drop)
                return;

        *drop = (struct denylist_drop){
                .time = bpf_ktime_get_ns(),
                .ifindex = ctx->ingress_ifindex,
                .class = class,
                .length = ctx->data_end - ctx->data,
                .ethertype = ethertype,
        };
        if (ethertype == ETH_P_IP)
                bpfchain_map_ipv4(drop->source, *(const __be32 *) source);
        else
                __builtin_memcpy(drop->source, source, sizeof(drop->source));
        bpf_ringbuf_submit(drop, 0);
}

static __always_inline int judge(const struct xdp_md *ctx, __u16 ethertype, const void *source, const __u32 *class) {
        __u32 index;
        struct denylist_stats *count;

        if (!class || *class == 0)
                return XDP_PASS;

        index = *class < DENYLIST_CLASSES ? *class : DENYLIST_CLASSES - 1;
        count = bpf_map_lookup_elem(&stats, &index);
        if (count) {
                count->packets++;
                count->bytes += ctx->data_end - ctx->data;
        }

        if (log_drops)
                log_drop(ctx, ethertype, source, *class);
        return XDP_DROP;
}

SEC("xdp")
int xdp_denylist(struct xdp_md *ctx) {
        struct bpfchain_cursor cur = bpfchain_xdp_cursor(ctx);

        switch (bpfchain_parse_eth(&cur, NULL)) {
        case ETH_P_IP: {
                struct denylist_key_v4 key = { .prefixlen = 32 };
                struct iphdr *ip = cur.pos;

                /* Not bpfchain_parse_ipv4(): a packet with bad options still has a source. */
                if (!bpfchain_cursor_has(&cur, sizeof(*ip)))
                        return XDP_PASS;
                __builtin_memcpy(key.addr, &ip->saddr, sizeof(key.addr));
                return judge(ctx, ETH_P_IP, key.addr, bpf_map_lookup_elem(&denied_v4, &key));
        }
        case ETH_P_IPV6: {
                struct denylist_key_v6 key = { .prefixlen = 128 };
                struct ipv6hdr *ip = cur.pos;

                if (!bpfchain_cursor_has(&cur, sizeof(*ip)))
                        return XDP_PASS;
                __builtin_memcpy(key.addr, &ip->saddr, sizeof(key.addr));
                return judge(ctx, ETH_P_IPV6, key.addr, bpf_map_lookup_elem(&denied_v6, &key));
        }
        }

        return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
