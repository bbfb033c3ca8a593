/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * A trace of the programs that a packet went through, kept in the packet. The sender sends UDP datagrams, to any
 * port, over IPv4 or IPv6, whose payload is a struct order_payload with magic and sequence filled in and the rest
 * zero. Each order program that sees it appends an entry. The receiver reads which programs ran, in which order, and
 * of which generation each was: entries of different generations in one packet are a mix of an old and a new chain.
 *
 * The programs set the UDP checksum to 0, which means none. Over IPv6 the receiver must allow that
 * (UDP_NO_CHECK6_RX).
 */

#include <linux/types.h>

#define ORDER_MAGIC "BCOR"
#define ORDER_MAX   64

struct order_entry {
        __u8 id;         /* global `id` of the program */
        __u8 generation; /* global `generation` of it */
};

struct order_payload {
        __u8 magic[4];  /* ORDER_MAGIC, without a final 0 */
        __u32 sequence; /* the sender's, in whatever byte order it likes */
        __u8 count;     /* of entries in use */
        __u8 lost;      /* programs that ran when all ORDER_MAX entries were in use, up to 255 */
        __u8 reserved[2];
        struct order_entry entries[ORDER_MAX];
};
