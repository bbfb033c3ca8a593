/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The packets of a capture file (pcap or pcapng, read by libpcap) that can be simulated. All that makes a packet or
 * the file unfit is counted or said; no more is held than one simulation takes.
 */

#include "client/client.h"
#include "model/simulate.h"

typedef struct CaptureOptions {
        const char *path;   /* "-": standard input */
        const char *filter; /* pcap-filter(7), or NULL */
        uint64_t first;     /* number of the first packet wanted; packets are counted from 1 */
        uint64_t last;      /* and of the last one; UINT64_MAX: to the end */
        uint64_t limit;     /* no more packets than so many; 0: an error if one simulation does not take them all */
} CaptureOptions;

typedef struct CapturePacket {
        uint64_t number; /* in the file, from 1 */
        int64_t usec;    /* since the first packet of the file */
        uint32_t length; /* bytes that it had */
        uint32_t size;   /* bytes that were captured */
        size_t offset;   /* in `bytes` */
} CapturePacket;

typedef struct Capture {
        CapturePacket *packets;
        size_t n;
        uint8_t *bytes;
        size_t size, allocated;
        uint64_t n_short; /* passed over: no Ethernet header in it */
        uint64_t n_long;  /* passed over: longer than the kernel simulates */
        uint64_t n_cut;   /* taken, though only their beginning was captured */
        bool more;        /* there are more than the limit */
        char *broken;     /* a sentence where the file could not be read to its end, or NULL */
} Capture;

void capture_done(Capture *capture);

/* Returns an exit status. A capture without any packet that fits is a failure. */
int capture_read(const CaptureOptions *options, Capture *ret);

/* "N" or "N-M" or "N-" as of --packet. -EINVAL. */
int capture_parse_range(const char *s, uint64_t *ret_first, uint64_t *ret_last);

static inline const uint8_t *capture_data(const Capture *capture, size_t i) {
        return capture->bytes + capture->packets[i].offset;
}
