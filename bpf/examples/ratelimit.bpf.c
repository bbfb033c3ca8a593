// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Limits the packets per second of each source address, IPv4 and IPv6, with a token bucket: each source may send
 * rate_pps on average, and burst packets at once after a pause. What is above is dropped. Packets that are not IP
 * pass.
 *
 *      "programs": {
 *        "limit": {
 *          "object": "ratelimit.bpf.o",
 *          "globals": { "rate_pps": 50000, "burst": 10000, "prefix_v6": 56 }
 *        }
 *      }
 *
 * `sources` tells who was limited, `stats` the totals. The busiest 65536 sources are tracked; a source that is
 * forgotten since others came starts with a full bucket.
 *
 * The bucket is kept as one number, the time until which the source's packets are paid for (the "theoretical
 * arrival time" of the generic cell rate algorithm, ITU-T I.371): a packet moves it on by 1/rate_pps seconds,
 * starting from now if it lies in the past, and is dropped instead when that would take it further than burst
 * packets ahead of now. One number needs no lock: it is advanced by compare-and-swap, so no packet is counted
 * twice or lost, whichever CPUs the packets of a source arrive on. (That instruction is why this file needs
 * -mcpu=v3, kernel 5.12.)
 */

#include "ratelimit.h"
#include "bpfchain.bpf.h"

#define NSEC_PER_SEC 1000000000ULL
#define BURST_MAX    (1ULL << 32)
#define TRIES        8

/* Packets per second and source; 0 limits nothing, 10^9 is the most that is told apart. The time between two
 * packets is kept in whole nanoseconds, so that a rate below 10^7 is met within one percent. */
const volatile __u64 rate_pps BPFCHAIN_UNIT("packets/s") BPFCHAIN_DEFAULT("1000000") = 1000000;

/* Packets that a source may send at once, at least 1. */
const volatile __u64 burst BPFCHAIN_UNIT("packets") BPFCHAIN_DEFAULT("1000000") = 1000000;

/* Sources that share this many leading bits share a bucket: 0..32 and 0..128. An IPv6 host owns a /64. */
const volatile __u32 prefix_v4 = 32;
const volatile __u32 prefix_v6 = 64;

struct {
        __uint(type, BPF_MAP_TYPE_LRU_HASH);
        __uint(max_entries, 65536);
        __type(key, struct ratelimit_key);
        __type(value, struct ratelimit_source);
} sources SEC(".maps") BPFCHAIN_ROLE("stats");

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, RATELIMIT_STAT_MAX);
        __type(key, __u32);
        __type(value, __u64);
} stats SEC(".maps") BPFCHAIN_ROLE("stats") BPFCHAIN_KEY_FORMAT("enum:ratelimit_stat") BPFCHAIN_UNIT("packets");
BPFCHAIN_KEEP(ratelimit_stat);

static __always_inline int count(__u32 stat, int verdict) {
        __u64 *packets = bpf_map_lookup_elem(&stats, &stat);

        if (packets)
                (*packets)++;
        return verdict;
}

/* The leading bits of the 64-bit word that begins at bit `from` of an address of which `prefix` bits count. */
static __always_inline __be64 word_mask(__u32 prefix, __u32 from) {
        if (prefix <= from)
                return 0;
        if (prefix >= from + 64)
                return ~0ULL;
        return bpf_cpu_to_be64(~0ULL << (from + 64 - prefix));
}

/* Who sent the packet. False for anything but IP. */
static __always_inline bool source_of(const struct xdp_md *ctx, struct ratelimit_key *ret) {
        struct bpfchain_cursor cur = bpfchain_xdp_cursor(ctx);
        __be64 *words = (__be64 *) ret->addr;
        __u32 prefix;

        switch (bpfchain_parse_eth(&cur, NULL)) {
        case ETH_P_IP: {
                struct iphdr *ip = cur.pos;

                if (!bpfchain_cursor_has(&cur, sizeof(*ip)))
                        return false;
                bpfchain_map_ipv4(ret->addr, ip->saddr);
                prefix = prefix_v4 < 32 ? 96 + prefix_v4 : 128;
                break;
        }
        case ETH_P_IPV6: {
                struct ipv6hdr *ip = cur.pos;

                if (!bpfchain_cursor_has(&cur, sizeof(*ip)))
                        return false;
                __builtin_memcpy(ret->addr, &ip->saddr, sizeof(ret->addr));
                prefix = prefix_v6;
                break;
        }
        default: return false;
        }

        words[0] &= word_mask(prefix, 0);
        words[1] &= word_mask(prefix, 64);
        return true;
}

/* Takes a token. */
static __always_inline bool take(struct ratelimit_source *source, __u64 now, __u64 interval, __u64 credit) {
        for (int i = 0; i < TRIES; i++) {
                __u64 old = *(volatile __u64 *) &source->paid_until;
                __u64 until = (old > now ? old : now) + interval;

                if (until - now > credit)
                        return false;
                if (__sync_val_compare_and_swap(&source->paid_until, old, until) == old)
                        return true;
        }

        /* So many others of this source at this very moment: let it through on credit. The next ones pay. */
        __sync_fetch_and_add(&source->paid_until, interval);
        return true;
}

SEC("xdp")
int xdp_ratelimit(struct xdp_md *ctx) {
        struct ratelimit_key key __attribute__((aligned(8)));
        struct ratelimit_source *source;
        __u64 now, interval, credit;

        if (rate_pps == 0 || !source_of(ctx, &key))
                return count(RATELIMIT_UNTRACKED, XDP_PASS);

        interval = rate_pps < NSEC_PER_SEC ? NSEC_PER_SEC / rate_pps : 1;
        credit = interval * (burst < 1 ? 1 : burst > BURST_MAX ? BURST_MAX : burst);
        now = bpf_ktime_get_ns();

        source = bpf_map_lookup_elem(&sources, &key);
        if (!source) {
                struct ratelimit_source fresh = { .paid_until = now };

                /* Another CPU may be faster; then this does nothing, and both use what that one put there. */
                bpf_map_update_elem(&sources, &key, &fresh, BPF_NOEXIST);
                source = bpf_map_lookup_elem(&sources, &key);
                if (!source)
                        return count(RATELIMIT_UNTRACKED, XDP_PASS);
        }

        if (take(source, now, interval, credit))
                return count(RATELIMIT_PASSED, XDP_PASS);

        __sync_fetch_and_add(&source->dropped, 1);
        return count(RATELIMIT_DROPPED, XDP_DROP);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
