/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* What denylist.bpf.c and user space share. */

#include <linux/types.h>

#include "bpfchain-tags.h"

#define DENYLIST_CLASSES 256

/* Keys of `denied_v4` and `denied_v6`: a prefix, its length in bits (0..32, 0..128). The value is a __u32: the
 * class of the prefix, or 0 for an exception, which passes although a shorter prefix is denied. */
struct denylist_key_v4 {
        __u32 prefixlen;
        __u8 addr[4] BPFCHAIN_FORMAT("ipv4");
};

struct denylist_key_v6 {
        __u32 prefixlen;
        __u8 addr[16] BPFCHAIN_FORMAT("ipv6");
};

/* Values of `stats`, per CPU; the key is the class. Classes of DENYLIST_CLASSES - 1 and above count together. */
struct denylist_stats {
        __u64 packets BPFCHAIN_UNIT("packets");
        __u64 bytes BPFCHAIN_UNIT("bytes");
};

/* Records of the ring buffer `drops`. */
struct denylist_drop {
        __u64 time BPFCHAIN_UNIT("ns");         /* CLOCK_MONOTONIC */
        __u32 ifindex;                          /* where the packet came in */
        __u32 class;                            /* as it stands in denied_v4 or denied_v6 */
        __u32 length BPFCHAIN_UNIT("bytes");    /* from the Ethernet header on */
        __u16 ethertype BPFCHAIN_FORMAT("hex"); /* ETH_P_IP or ETH_P_IPV6, host byte order */
        __u8 reserved[2] BPFCHAIN_HIDDEN;
        __u8 source[16] BPFCHAIN_FORMAT("ipv6"); /* network byte order; IPv4 as ::ffff:a.b.c.d */
};
