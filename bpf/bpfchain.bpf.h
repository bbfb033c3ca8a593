/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * For authors of XDP and TC programs: what every packet program needs, and nothing more. A program written with
 * this header is a plain BPF program. It does not know whether other programs share its hook, it answers with a
 * verdict (XDP_*, TC_ACT_*) and is done; the same object runs under bpfchain, ip, tc, bpftool or a loader of
 * your own.
 *
 * Rules that make a program a good neighbour in a chain:
 *  - Let through what is not yours: XDP_PASS in XDP, TC_ACT_UNSPEC (-1, which newer headers also call TCX_NEXT)
 *    in TC. Only these let the program behind yours see the packet, unless the administrator says otherwise.
 *  - Take the context by its own type (struct xdp_md *, struct __sk_buff *), not as void *.
 *  - Read ctx->data afresh in your program and after each helper that may move the packet. A program in front
 *    of yours may have pushed or popped headers.
 *  - What the administrator should set goes into `const volatile` globals, what may change at run time into
 *    maps. Both are found by name, so names are part of your interface. bpfchain-tags.h has what more you may say
 *    of them.
 *
 * Reading a packet:
 *
 *      struct bpfchain_cursor cur = bpfchain_xdp_cursor(ctx);
 *      struct iphdr *ip;
 *
 *      if (bpfchain_parse_eth(&cur, NULL) == ETH_P_IP && bpfchain_parse_ipv4(&cur, &ip) == IPPROTO_UDP)
 *              ...
 *
 * All functions are inlined, check every bound in a way that the verifier follows, and return a negative number
 * for a packet that is cut off or malformed. Fields of headers are in network byte order, as in the packet;
 * what the functions return is in host byte order. Pointers into the packet die with the next helper that may
 * move it. Works with clang 11 and later at any -mcpu level.
 */

#include <linux/types.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpfchain-tags.h"

#ifndef NULL
#define NULL ((void *) 0)
#endif

#ifndef __cplusplus
#include <stdbool.h>
#endif

/* 802.1Q and 802.1ad tags that bpfchain_parse_eth() steps over. */
#define BPFCHAIN_VLAN_MAX 2

/* IPv6 extension headers that bpfchain_parse_ipv6() steps over. */
#define BPFCHAIN_IPV6_EXT_MAX 4

/* Bytes that hold all headers which the functions below look at in any but contrived packets; a good `linear` for
 * bpfchain_tc_cursor(). */
#define BPFCHAIN_HEADERS 128

/* Where we are in a packet: the next byte to look at, and the byte behind the last that may be looked at. */
struct bpfchain_cursor {
        void *pos;
        void *end;
};

/* A VLAN tag as it follows the addresses or another tag. Network byte order. */
struct bpfchain_vlan_header {
        __be16 tci;   /* priority (3 bits), drop eligible (1), VLAN id (12) */
        __be16 proto; /* EtherType of what follows */
};

/* An IPv6 extension header: the part that all have. */
struct bpfchain_ipv6_ext {
        __u8 nexthdr;
        __u8 length; /* in 8-byte units, without the first */
        __be16 more; /* in IPPROTO_FRAGMENT: offset and flags */
};

/*
 * The verifier follows each way through a program, and ways multiply: two VLAN tags that may be there or not, times
 * four extension headers, times each protocol, are tens of thousands of instructions to verify for a handful that
 * run. Hence the optional parts below are stepped over by computed lengths, 0 where the part isn't there, instead
 * of branches. bpfchain_opaque() keeps the compiler from turning them into branches again.
 */
#define bpfchain_opaque(x) asm volatile("" : "+r"(x))

/* 1 if x, at most 63 bits, is 0; else 0. */
static __always_inline __u64 bpfchain_is_zero(__u64 x) {
        bpfchain_opaque(x);
        x = (x - 1) >> 63;
        bpfchain_opaque(x);
        return x;
}

/* 1 if the protocol number, 0..255, is below 64 and in the set, bit N for protocol N; else 0. */
static __always_inline __u64 bpfchain_one_of(__u64 protocol, __u64 set) {
        __u64 in;

        bpfchain_opaque(protocol);
        in = set >> (protocol & 63) & 1 & bpfchain_is_zero(protocol >> 6);
        bpfchain_opaque(in);
        return in;
}

#define BPFCHAIN_IPV6_EXTENSIONS                                                                                     \
        (1ULL << IPPROTO_HOPOPTS | 1ULL << IPPROTO_ROUTING | 1ULL << IPPROTO_FRAGMENT | 1ULL << IPPROTO_DSTOPTS)
#define BPFCHAIN_WITH_PORTS (1ULL << IPPROTO_TCP | 1ULL << IPPROTO_UDP | 1ULL << IPPROTO_DCCP)

/* A cursor at the first byte of an XDP packet. Covers the linear part of a multi-buffer packet, which drivers
 * fill with at least the headers. */
static __always_inline struct bpfchain_cursor bpfchain_xdp_cursor(const struct xdp_md *ctx) {
        return (struct bpfchain_cursor){ (void *) (long) ctx->data, (void *) (long) ctx->data_end };
}

/* A cursor at the first byte of a socket buffer in TC: the Ethernet header, or the IP header on interfaces that
 * have no link layer (tun, wireguard). Of a packet that is spread over several pages, the first `linear` bytes are
 * moved together before (see bpf_skb_pull_data in bpf-helpers(7)), which invalidates earlier pointers into it; 0
 * leaves it as it is. A VLAN tag that the kernel has taken out of the packet is in skb->vlan_tci only. */
static __always_inline struct bpfchain_cursor bpfchain_tc_cursor(struct __sk_buff *skb, __u32 linear) {
        if ((void *) (long) skb->data + linear > (void *) (long) skb->data_end &&
            skb->data_end - skb->data < skb->len)
                bpf_skb_pull_data(skb, linear < skb->len ? linear : skb->len);

        return (struct bpfchain_cursor){ (void *) (long) skb->data, (void *) (long) skb->data_end };
}

/* True when `size` more bytes, a constant, may be read at the cursor. */
static __always_inline bool bpfchain_cursor_has(const struct bpfchain_cursor *cur, __u32 size) {
        return cur->pos + size <= cur->end;
}

/* Reads the Ethernet header and steps over it and up to BPFCHAIN_VLAN_MAX tags. Returns the EtherType (ETH_P_*,
 * host byte order) of what follows, which is a VLAN EtherType when there are more tags, or -1, also for frames that
 * are too short to hold anything behind two tags. *ret_eth, unless ret_eth is NULL, is set on success. */
static __always_inline int bpfchain_parse_eth(struct bpfchain_cursor *cur, struct ethhdr **ret_eth) {
        struct ethhdr *eth = cur->pos;
        void *pos = eth + 1;
        __u64 proto;

        if (pos > cur->end)
                return -1;
        proto = eth->h_proto;

#pragma unroll
        for (int i = 0; i < BPFCHAIN_VLAN_MAX; i++) {
                struct bpfchain_vlan_header *vlan = pos;
                __u64 tagged;

                if ((void *) (vlan + 1) > cur->end)
                        return -1;
                /* one of them at most; of "|" verifiers before 6.10 know no bound */
                tagged = bpfchain_is_zero(proto ^ bpf_htons(ETH_P_8021Q)) +
                         bpfchain_is_zero(proto ^ bpf_htons(ETH_P_8021AD));
                proto ^= (proto ^ vlan->proto) & -tagged;
                pos += tagged * sizeof(*vlan);
        }

        cur->pos = pos;
        if (ret_eth)
                *ret_eth = eth;
        return bpf_ntohs(proto);
}

/* Reads an IPv4 header and steps over it and its options. Returns the protocol (IPPROTO_*) or -1. What follows is
 * that protocol's header only if !bpfchain_ipv4_is_later_fragment(). *ret_ip is set on success. */
static __always_inline int bpfchain_parse_ipv4(struct bpfchain_cursor *cur, struct iphdr **ret_ip) {
        struct iphdr *ip = cur->pos;
        __u32 length;

        if ((void *) (ip + 1) > cur->end)
                return -1;
        length = ip->ihl * 4;
        if (ip->version != 4 || length < sizeof(*ip) || cur->pos + length > cur->end)
                return -1;

        cur->pos += length;
        *ret_ip = ip;
        return ip->protocol;
}

/* True for all fragments but the first: they carry no L4 header. */
static __always_inline bool bpfchain_ipv4_is_later_fragment(const struct iphdr *ip) {
        return ip->frag_off & bpf_htons(0x1fff);
}

/* Reads an IPv6 header and steps over it and up to BPFCHAIN_IPV6_EXT_MAX extension headers. Returns the protocol
 * (IPPROTO_*) of what follows, or -1 if the IPv6 header is cut off. It is IPPROTO_FRAGMENT for all fragments but the
 * first, which carry no L4 header, and some extension header's number when those are cut off or too many. *ret_ip is
 * set on success. */
static __always_inline int bpfchain_parse_ipv6(struct bpfchain_cursor *cur, struct ipv6hdr **ret_ip) {
        struct ipv6hdr *ip = cur->pos;
        __u64 nexthdr;

        if ((void *) (ip + 1) > cur->end || ip->version != 6)
                return -1;
        cur->pos = ip + 1;
        *ret_ip = ip;
        nexthdr = ip->nexthdr;

        if (!bpfchain_one_of(nexthdr, BPFCHAIN_IPV6_EXTENSIONS))
                return nexthdr;

#pragma unroll
        for (int i = 0; i < BPFCHAIN_IPV6_EXT_MAX; i++) {
                struct bpfchain_ipv6_ext *ext = cur->pos;
                __u64 extension, fragment, mask;

                if (cur->pos + 8 > cur->end)
                        break;
                extension = bpfchain_one_of(nexthdr, BPFCHAIN_IPV6_EXTENSIONS);
                fragment = bpfchain_is_zero(nexthdr ^ IPPROTO_FRAGMENT);
                if (ext->more & bpf_htons(0xfff8) & -fragment)
                        break;
                /* the compiler would multiply by 0 or 1, of which those verifiers know no bound either */
                mask = -extension;
                bpfchain_opaque(mask);
                cur->pos += ((ext->length & (fragment - 1)) + 1) * 8 & mask;
                nexthdr ^= (nexthdr ^ ext->nexthdr) & mask;
        }

        return nexthdr;
}

/* Reads the ports at the cursor, if `protocol` (IPPROTO_*, as the functions above return it) is one that has them;
 * the cursor stays. Returns 0 or -1; the ports are set on success, in network byte order. */
static __always_inline int bpfchain_parse_ports(const struct bpfchain_cursor *cur, int protocol, __be16 *ret_source,
                                                __be16 *ret_destination) {
        __be16 *ports = cur->pos;

        if (!bpfchain_one_of(protocol, BPFCHAIN_WITH_PORTS) && protocol != IPPROTO_SCTP)
                return -1;
        if ((void *) (ports + 2) > cur->end)
                return -1;

        *ret_source = ports[0];
        *ret_destination = ports[1];
        return 0;
}

/* Writes an IPv4 address as the IPv6 address ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so that one map can hold both.
 * `to` is 16 bytes, aligned to 4. */
static __always_inline void bpfchain_map_ipv4(void *to, __be32 address) {
        __be32 *words = to;

        words[0] = 0;
        words[1] = 0;
        words[2] = bpf_htonl(0xffff);
        words[3] = address;
}
