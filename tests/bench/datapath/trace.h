/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Packets that record which programs they met, for exchanging chains under traffic: traffic.bpf.c sends and checks
 * them, the members of the chain (trace.bpf.c) write into them.
 */

#include <linux/types.h>

#define TRACE_PROTOCOL 0x88b5 /* IEEE 802's for experiments */
#define TRACE_MAX      16

struct trace_entry {
        __u8 id;
        __u8 generation;
};

struct trace_packet {
        __u8 to[6];
        __u8 from[6];
        __be16 protocol; /* TRACE_PROTOCOL */
        __u8 count;      /* of entries in use */
        __u8 reserved;
        __u32 sequence;
        struct trace_entry entries[TRACE_MAX];
        __u8 padding[12];
};

/* What was sent and what became of it. All packets take one way on one CPU. */
struct trace_state {
        __u32 sent;
        __u32 next; /* the number that is due */
        __u64 seen;
        __u64 missing;     /* numbers that were skipped */
        __u64 reordered;   /* packets behind one with a higher number, or twice */
        __u64 mixed;       /* packets that met programs of two generations */
        __u64 wrong;       /* packets that did not meet all members in their order */
        __u64 generations; /* how often another generation came */
        __u32 generation;
        __u32 reserved;
};
