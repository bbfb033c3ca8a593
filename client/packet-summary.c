/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/packet-summary.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdarg.h>

#define VLAN_TAGS_MAX         4
#define EXTENSION_HEADERS_MAX 8

#define FRAGMENT_OFFSET 0x1fff /* of an IPv4 header, in units of 8 bytes; for IPv6 it is in the upper 13 bits */

/* What is left of the packet, and of the line. */
typedef struct Summary {
        const uint8_t *data;
        size_t size;
        char *out;
        size_t room; /* NUL included */
} Summary;

static void add(Summary *s, const char *format, ...) _printf_(2, 3);
static void add(Summary *s, const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(s->out, s->room, format, ap);
        va_end(ap);
        if (n <= 0)
                return;
        n = MIN2(n, (int) s->room - 1);
        s->out += n;
        s->room -= (size_t) n;
}

/* The next bytes, or NULL where there are not so many. */
static const uint8_t *take(Summary *s, size_t n) {
        const uint8_t *p = s->data;

        if (s->size < n)
                return NULL;
        s->data += n;
        s->size -= n;
        return p;
}

static unsigned u16(const uint8_t *p) {
        return (unsigned) p[0] << 8 | p[1];
}

static void add_ip(Summary *s, int family, const uint8_t *address, bool bracket) {
        char text[INET6_ADDRSTRLEN];

        if (!inet_ntop(family, address, text, sizeof(text)))
                return;
        add(s, bracket ? "[%s]" : "%s", text);
}

static void add_mac(Summary *s, const uint8_t *mac) {
        add(s, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* "192.0.2.1:53 > 198.51.100.1:4000"; without ports where they are NULL. */
static void add_ends(Summary *s, int family, const uint8_t *source, const uint8_t *target, const uint8_t *ports) {
        bool bracket = family == AF_INET6 && ports;

        add_ip(s, family, source, bracket);
        if (ports)
                add(s, ":%u", u16(ports));
        add(s, " > ");
        add_ip(s, family, target, bracket);
        if (ports)
                add(s, ":%u", u16(ports + 2));
}

static void add_flags(Summary *s, uint8_t flags) {
        static const char *const names[] = { "FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR" };
        const char *before = " ";

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (flags & (1U << i)) {
                        add(s, "%s%s", before, names[i]);
                        before = ",";
                }
}

static const char *icmp_name(unsigned type) {
        switch (type) {
        case 0: return "echo reply";
        case 3: return "unreachable";
        case 5: return "redirect";
        case 8: return "echo request";
        case 11: return "time exceeded";
        case 12: return "bad parameter";
        default: return NULL;
        }
}

static const char *icmp6_name(unsigned type) {
        switch (type) {
        case 1: return "unreachable";
        case 2: return "too big";
        case 3: return "time exceeded";
        case 4: return "bad parameter";
        case 128: return "echo request";
        case 129: return "echo reply";
        case 133: return "router solicitation";
        case 134: return "router advertisement";
        case 135: return "neighbour solicitation";
        case 136: return "neighbour advertisement";
        default: return NULL;
        }
}

static const char *protocol_name(unsigned protocol) {
        switch (protocol) {
        case IPPROTO_IGMP: return "IGMP";
        case IPPROTO_IPIP: return "IPIP";
        case IPPROTO_IPV6: return "6in4";
        case IPPROTO_GRE: return "GRE";
        case IPPROTO_ESP: return "ESP";
        case IPPROTO_AH: return "AH";
        case 89: return "OSPF";
        case 112: return "VRRP";
        default: return NULL;
        }
}

static void summarize_icmp(Summary *s, int family, const uint8_t *source, const uint8_t *target) {
        const uint8_t *head = take(s, 2);
        const char *name;

        add(s, family == AF_INET6 ? "ICMPv6 " : "ICMP ");
        add_ends(s, family, source, target, NULL);
        if (!head)
                return;
        name = family == AF_INET6 ? icmp6_name(head[0]) : icmp_name(head[0]);
        if (name)
                add(s, " %s", name);
        else
                add(s, " type %u code %u", head[0], head[1]);
}

static void summarize_tcp(Summary *s, int family, const uint8_t *source, const uint8_t *target) {
        const uint8_t *ports = take(s, 4), *rest;

        add(s, "TCP ");
        add_ends(s, family, source, target, ports);
        rest = take(s, 10); /* up to the flags */
        if (ports && rest)
                add_flags(s, rest[9]);
}

/* What the addresses carry. `first`: not a later fragment, which has no header of it. */
static void summarize_payload(Summary *s, int family, const uint8_t *source, const uint8_t *target, unsigned protocol,
                              bool first) {
        const char *name;

        if (first && protocol == IPPROTO_TCP)
                summarize_tcp(s, family, source, target);
        else if (first && (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE || protocol == IPPROTO_SCTP ||
                           protocol == IPPROTO_DCCP)) {
                add(s, protocol == IPPROTO_UDP       ? "UDP "
                       : protocol == IPPROTO_UDPLITE ? "UDP-Lite "
                       : protocol == IPPROTO_SCTP    ? "SCTP "
                                                     : "DCCP ");
                add_ends(s, family, source, target, take(s, 4));
        } else if (first && protocol == (family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
                summarize_icmp(s, family, source, target);
        else {
                name = protocol_name(protocol);
                if (name)
                        add(s, "%s ", name);
                else
                        add(s, "%s protocol %u ", family == AF_INET6 ? "IPv6" : "IPv4", protocol);
                add_ends(s, family, source, target, NULL);
        }
}

static void summarize_ipv4(Summary *s) {
        const uint8_t *head = take(s, 20);
        unsigned length, offset;

        if (!head) {
                add(s, "IPv4, cut short");
                return;
        }
        length = (head[0] & 15U) * 4;
        if (head[0] >> 4 != 4 || length < 20) {
                add(s, "IPv4 with a bad header");
                return;
        }
        offset = (u16(head + 6) & FRAGMENT_OFFSET) * 8;
        if (length > 20 && !take(s, length - 20))
                s->size = 0;
        summarize_payload(s, AF_INET, head + 12, head + 16, head[9], offset == 0);
        if (offset > 0)
                add(s, " fragment at %u", offset);
}

/* Passes over the headers between IPv6's own and what it carries. Returns its protocol; -1: the packet ends before.
 */
static int skip_extensions(Summary *s, unsigned next, unsigned *ret_offset) {
        for (unsigned i = 0; i < EXTENSION_HEADERS_MAX; i++) {
                const uint8_t *head;
                size_t length;

                if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
                    next != IPPROTO_FRAGMENT)
                        return (int) next;
                head = take(s, 8);
                if (!head)
                        return -1;
                length = next == IPPROTO_FRAGMENT ? 0 : (size_t) head[1] * 8;
                if (next == IPPROTO_FRAGMENT)
                        *ret_offset = u16(head + 2) & 0xfff8;
                next = head[0];
                if (!take(s, length))
                        return -1;
                if (*ret_offset > 0)
                        return (int) next;
        }
        return (int) next;
}

static void summarize_ipv6(Summary *s) {
        const uint8_t *head = take(s, 40);
        unsigned offset = 0;
        int protocol;

        if (!head) {
                add(s, "IPv6, cut short");
                return;
        }
        if (head[0] >> 4 != 6) {
                add(s, "IPv6 with a bad header");
                return;
        }
        protocol = skip_extensions(s, head[6], &offset);
        if (protocol < 0) {
                add(s, "IPv6 ");
                add_ends(s, AF_INET6, head + 8, head + 24, NULL);
                add(s, ", cut short");
                return;
        }
        summarize_payload(s, AF_INET6, head + 8, head + 24, (unsigned) protocol, offset == 0);
        if (offset > 0)
                add(s, " fragment at %u", offset);
}

static void summarize_arp(Summary *s) {
        const uint8_t *head = take(s, 8), *body = take(s, 20);

        if (!head || !body || u16(head) != 1 || u16(head + 2) != ETHERTYPE_IP || head[4] != 6 || head[5] != 4) {
                add(s, "ARP");
                return;
        }
        if (u16(head + 6) == 1) {
                add(s, "ARP who has ");
                add_ip(s, AF_INET, body + 16, false);
                add(s, "? tell ");
                add_ip(s, AF_INET, body + 6, false);
        } else if (u16(head + 6) == 2) {
                add(s, "ARP ");
                add_ip(s, AF_INET, body + 6, false);
                add(s, " is at ");
                add_mac(s, body);
        } else
                add(s, "ARP operation %u", u16(head + 6));
}

const char *packet_summary(const uint8_t *data, size_t size, char ret[PACKET_SUMMARY_SIZE]) {
        Summary s = { data, size, ret, PACKET_SUMMARY_SIZE };
        const uint8_t *head = take(&s, ETHER_HDR_LEN), *tag;
        unsigned type;

        *ret = 0;
        if (!head) {
                add(&s, "shorter than an Ethernet header");
                return ret;
        }
        type = u16(head + 12);
        for (unsigned i = 0; i < VLAN_TAGS_MAX && (type == ETHERTYPE_VLAN || type == 0x88a8); i++) {
                tag = take(&s, 4);
                if (!tag)
                        break;
                add(&s, "VLAN %u ", u16(tag) & 0xfff);
                type = u16(tag + 2);
        }
        switch (type) {
        case ETHERTYPE_IP: summarize_ipv4(&s); break;
        case ETHERTYPE_IPV6: summarize_ipv6(&s); break;
        case ETHERTYPE_ARP: summarize_arp(&s); break;
        default:
                if (type < 0x600)
                        add(&s, "LLC ");
                else
                        add(&s, "type 0x%04x ", type);
                add_mac(&s, head + 6);
                add(&s, " > ");
                add_mac(&s, head);
        }
        return ret;
}
