/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <strings.h>

#include "value/value-protocol.h"

static const char *const protocols[] = {
        [1] = "icmp",       [2] = "igmp",        [4] = "ipip",       [6] = "tcp",    [8] = "egp",
        [9] = "igp",        [17] = "udp",        [33] = "dccp",      [41] = "ipv6",  [43] = "ipv6-route",
        [44] = "ipv6-frag", [46] = "rsvp",       [47] = "gre",       [50] = "esp",   [51] = "ah",
        [58] = "icmpv6",    [59] = "ipv6-nonxt", [60] = "ipv6-opts", [88] = "eigrp", [89] = "ospf",
        [103] = "pim",      [112] = "vrrp",      [115] = "l2tp",     [132] = "sctp", [136] = "udplite",
        [262] = "mptcp",
};

const char *protocol_to_string(uint32_t protocol) {
        return protocol < ELEMENTSOF(protocols) ? protocols[protocol] : NULL;
}

int protocol_from_string(const char *s) {
        for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
                if (protocols[i] && strcasecmp(protocols[i], s) == 0)
                        return (int) i;
        return -ENOENT;
}
