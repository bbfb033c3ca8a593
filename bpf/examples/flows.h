/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* What flows.bpf.c and user space share. */

#include <linux/types.h>

#include "bpfchain-tags.h"

/* Key of `flows`: one direction of a conversation. Addresses and ports are in network byte order. */
struct flow_key {
        __u8 source[16] BPFCHAIN_FORMAT("ipv6"); /* IPv4 as ::ffff:a.b.c.d */
        __u8 destination[16] BPFCHAIN_FORMAT("ipv6");
        __u16 source_port BPFCHAIN_FORMAT("port"); /* both 0 where there are none: ICMP, later fragments, or not asked
                                                      for */
        __u16 destination_port BPFCHAIN_FORMAT("port");
        __u8 protocol BPFCHAIN_FORMAT("protocol"); /* IPPROTO_*; IPPROTO_FRAGMENT for later fragments of IPv6 */
        __u8 reserved[3] BPFCHAIN_HIDDEN;
};

/* Value of `flows`. */
struct flow_counters {
        __u64 packets BPFCHAIN_UNIT("packets");
        __u64 bytes BPFCHAIN_UNIT("bytes");   /* from the Ethernet header on, or the IP header where there is none */
        __u64 first_seen BPFCHAIN_UNIT("ns"); /* CLOCK_MONOTONIC */
        __u64 last_seen BPFCHAIN_UNIT("ns");
};

/* Keys of `stats`; its values are packets, a __u64 per CPU. */
enum flow_stat {
        FLOW_STAT_COUNTED,
        FLOW_STAT_NOT_IP,
        FLOW_STAT_NO_ROOM, /* the kernel could not make an entry */
        FLOW_STAT_MAX,
};
