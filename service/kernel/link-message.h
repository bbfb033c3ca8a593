/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The parser of route messages about interfaces, for dumps and events alike. Pure: a message goes in, a record
 * comes out, nothing else is touched. Formats: rtnetlink(7), include/uapi/linux/if_link.h.
 */

#include <linux/netlink.h>

#include "model/interface.h"

typedef enum LinkMessage {
        LINK_MESSAGE_OTHER, /* not about an interface as such: another type, a bridge port's or wireless message */
        LINK_MESSAGE_PRESENT,
        LINK_MESSAGE_GONE, /* deleted, or moved to another network namespace */
} LinkMessage;

/* Parses the message that begins at header, `size` bytes of which may be read. Returns what it is, or -EBADMSG for
 * one that breaks its own lengths or lacks what every interface has, or -ENOMEM. ret is filled for
 * LINK_MESSAGE_PRESENT, and belongs to the caller (link_record_done()); for LINK_MESSAGE_GONE it has the ifindex
 * only, and nothing to free. Alternative names that are no printable UTF-8, and more than a record holds, are left
 * out; an interface with such a name as its only one counts as malformed. header is aligned to four bytes. */
int link_message_parse(const struct nlmsghdr *header, size_t size, LinkRecord *ret);
