/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* What ratelimit.bpf.c and user space share. */

#include <linux/types.h>

#include "bpfchain-tags.h"

/* Key of `sources`: a source address, cut to the prefix that is limited as one. Network byte order; IPv4 as
 * ::ffff:a.b.c.d. */
struct ratelimit_key {
        __u8 addr[16] BPFCHAIN_FORMAT("ipv6");
};

/* Value of `sources`. */
struct ratelimit_source {
        __u64 paid_until BPFCHAIN_ROLE("state") BPFCHAIN_UNIT("ns"); /* CLOCK_MONOTONIC: see ratelimit.bpf.c */
        __u64 dropped BPFCHAIN_UNIT("packets");
};

/* Keys of `stats`; its values are packets, a __u64 per CPU. */
enum ratelimit_stat {
        RATELIMIT_PASSED,    /* within the limit */
        RATELIMIT_DROPPED,   /* above it */
        RATELIMIT_UNTRACKED, /* passed since they are not IP, or there was no room to track the source */
        RATELIMIT_STAT_MAX,
};
