/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A network interface as the kernel last told of it. The kernel layer parses route messages into LinkRecords
 * (one parser for dump and event) and hands them to the model.
 */

#include <net/if.h>

#include "util/macros.h"

#define LINK_ALTNAMES_MAX 16

/* ALTIFNAMSIZ of the kernel (include/uapi/linux/if.h is not always installed with it). */
#define ALTIFNAME_SIZE 128

typedef struct LinkRecord {
        int ifindex; /* > 0 */
        char name[IFNAMSIZ];
        char kind[32];           /* IFLA_INFO_KIND: "veth", "bond", "vlan", ...; empty for hardware */
        int master;              /* ifindex of bond or bridge above, 0: none */
        int lower;               /* IFLA_LINK: ifindex of the device below or of the peer, 0: none */
        unsigned flags;          /* IFF_*, netdevice(7) */
        uint8_t operstate;       /* IF_OPER_*, RFC 2863 */
        uint32_t mtu;            /* bytes */
        uint32_t xdp_program_id; /* XDP attached by netlink or link as the message told, 0: none */
        char *altnames[LINK_ALTNAMES_MAX];
        size_t n_altnames;
} LinkRecord;

void link_record_done(LinkRecord *record);
int link_record_copy(const LinkRecord *from, LinkRecord *ret);
bool link_record_equal(const LinkRecord *a, const LinkRecord *b);

static inline bool link_record_up(const LinkRecord *record) {
        return record->flags & IFF_UP;
}

/* Does the glob pattern (fnmatch(3); a plain name is one) match the name or an alternative name? A name matches
 * itself, whatever is in it. */
bool link_record_matches(const LinkRecord *record, const char *pattern);
