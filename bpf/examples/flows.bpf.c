// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Counts packets and bytes of each flow (addresses, protocol, ports), IPv4 and IPv6, and when it was first and last
 * seen. Lets everything through. The object holds it twice: xdp_flows for XDP, and tc_flows, which sees what the
 * host sends as well.
 *
 *      "programs": {
 *        "flows":     { "object": "flows.bpf.o", "function": "xdp_flows" },
 *        "flows-out": { "object": "flows.bpf.o", "function": "tc_flows", "globals": { "by_port": false } }
 *      },
 *      "chains": [
 *        { "interfaces": ["eth0"], "hook": "xdp", "programs": ["flows"] },
 *        { "interfaces": ["eth0"], "hook": "tc-egress", "programs": ["flows-out"] }
 *      ]
 *
 * Each of the two programs has a map `flows` of its own (struct flow_key, struct flow_counters in flows.h). When it
 * is full, flows that were quiet for long make room. Whoever exports flows reads it from time to time and deletes
 * those whose last_seen is long ago.
 *
 * In TC a packet may stand for several on the wire (segmentation offload); it counts as one packet with the bytes
 * that it has there.
 */

#include "flows.h"
#include "bpfchain.bpf.h"

/* Tell flows apart by port, too; else by addresses and protocol only. */
const volatile bool by_port = true;

/* The interface has no Ethernet header (tun, wireguard). TC only. */
const volatile bool raw_ip = false;

struct {
        __uint(type, BPF_MAP_TYPE_LRU_HASH);
        __uint(max_entries, 65536);
        __type(key, struct flow_key);
        __type(value, struct flow_counters);
} flows SEC(".maps") BPFCHAIN_ROLE("stats");

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, FLOW_STAT_MAX);
        __type(key, __u32);
        __type(value, __u64);
} stats SEC(".maps") BPFCHAIN_ROLE("stats") BPFCHAIN_KEY_FORMAT("enum:flow_stat") BPFCHAIN_UNIT("packets");
BPFCHAIN_KEEP(flow_stat);

static __always_inline void bump(__u32 stat) {
        __u64 *packets = bpf_map_lookup_elem(&stats, &stat);

        if (packets)
                (*packets)++;
}

/* Fills the key from the IP header at the cursor. False for anything but IP. */
static __always_inline bool flow_of(struct bpfchain_cursor *cur, int ethertype, struct flow_key *ret) {
        int protocol;

        if (ethertype == ETH_P_IP) {
                struct iphdr *ip;

                protocol = bpfchain_parse_ipv4(cur, &ip);
                if (protocol < 0)
                        return false;
                bpfchain_map_ipv4(ret->source, ip->saddr);
                bpfchain_map_ipv4(ret->destination, ip->daddr);
                ret->protocol = protocol;
                if (bpfchain_ipv4_is_later_fragment(ip))
                        return true;
        } else if (ethertype == ETH_P_IPV6) {
                struct ipv6hdr *ip;

                protocol = bpfchain_parse_ipv6(cur, &ip);
                if (protocol < 0)
                        return false;
                __builtin_memcpy(ret->source, &ip->saddr, sizeof(ret->source));
                __builtin_memcpy(ret->destination, &ip->daddr, sizeof(ret->destination));
                ret->protocol = protocol;
        } else
                return false;

        if (by_port)
                bpfchain_parse_ports(cur, protocol, &ret->source_port, &ret->destination_port);
        return true;
}

static __always_inline void count(const struct flow_key *key, __u64 bytes) {
        __u64 now = bpf_ktime_get_ns();
        struct flow_counters *counters;

        counters = bpf_map_lookup_elem(&flows, key);
        if (!counters) {
                struct flow_counters fresh = { .first_seen = now };

                /* Where another CPU was faster, count in the entry that it made. */
                bpf_map_update_elem(&flows, key, &fresh, BPF_NOEXIST);
                counters = bpf_map_lookup_elem(&flows, key);
                if (!counters) {
                        bump(FLOW_STAT_NO_ROOM);
                        return;
                }
        }

        __sync_fetch_and_add(&counters->packets, 1);
        __sync_fetch_and_add(&counters->bytes, bytes);
        counters->last_seen = now;
        bump(FLOW_STAT_COUNTED);
}

SEC("xdp")
int xdp_flows(struct xdp_md *ctx) {
        struct bpfchain_cursor cur = bpfchain_xdp_cursor(ctx);
        struct flow_key key = {};

        if (flow_of(&cur, bpfchain_parse_eth(&cur, NULL), &key))
                count(&key, ctx->data_end - ctx->data);
        else
                bump(FLOW_STAT_NOT_IP);
        return XDP_PASS;
}

SEC("tc")
int tc_flows(struct __sk_buff *skb) {
        struct bpfchain_cursor cur = bpfchain_tc_cursor(skb, BPFCHAIN_HEADERS);
        int ethertype = raw_ip ? bpf_ntohs(skb->protocol) : bpfchain_parse_eth(&cur, NULL);
        struct flow_key key = {};

        if (flow_of(&cur, ethertype, &key))
                count(&key, skb->len);
        else
                bump(FLOW_STAT_NOT_IP);
        return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
