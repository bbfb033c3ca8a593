/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Packets put together piece by piece, for BPF_PROG_TEST_RUN. Checksums are left 0. */

#include <arpa/inet.h>
#include <assert.h>
#include <linux/if_ether.h>
#include <stdint.h>
#include <string.h>

typedef struct Packet {
        uint8_t data[1024];
        size_t size;
} Packet;

static inline void packet_bytes(Packet *p, const void *bytes, size_t n) {
        assert(p->size + n <= sizeof(p->data));
        if (bytes)
                memcpy(p->data + p->size, bytes, n);
        else
                memset(p->data + p->size, 0, n);
        p->size += n;
}

static inline void packet_be16(Packet *p, uint16_t value) {
        packet_bytes(p, &(uint16_t){ htons(value) }, 2);
}

/* Starts anew with an Ethernet header; `vlans` tags of 802.1ad and 802.1Q in turn. */
static inline void packet_eth(Packet *p, unsigned vlans, uint16_t ethertype) {
        static const uint8_t addresses[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

        p->size = 0;
        packet_bytes(p, addresses, sizeof(addresses));
        for (unsigned i = 0; i < vlans; i++) {
                packet_be16(p, i % 2 == 0 ? ETH_P_8021AD : ETH_P_8021Q);
                packet_be16(p, 100 + i);
        }
        packet_be16(p, ethertype);
}

/* An IPv4 header with `options` bytes of options, a multiple of 4; `fragment` is the field of flags and offset. */
static inline void packet_ipv4(Packet *p, const char *source, const char *destination, uint8_t protocol,
                               uint16_t fragment, unsigned options) {
        const uint8_t start[2] = { 0x40 | (5 + options / 4), 0 };

        packet_bytes(p, start, 2);
        packet_be16(p, 20 + options + 40);
        packet_be16(p, 1);
        packet_be16(p, fragment);
        packet_bytes(p, &(uint8_t[]){ 64, protocol, 0, 0 }, 4);
        assert(p->size + 8 <= sizeof(p->data) && inet_pton(AF_INET, source, p->data + p->size) == 1 &&
               inet_pton(AF_INET, destination, p->data + p->size + 4) == 1);
        p->size += 8;
        packet_bytes(p, NULL, options);
}

static inline void packet_ipv6(Packet *p, const char *source, const char *destination, uint8_t nexthdr) {
        packet_bytes(p, &(uint8_t[]){ 0x60, 0, 0, 0, 0, 60, nexthdr, 64 }, 8);
        assert(p->size + 32 <= sizeof(p->data) && inet_pton(AF_INET6, source, p->data + p->size) == 1 &&
               inet_pton(AF_INET6, destination, p->data + p->size + 16) == 1);
        p->size += 32;
}

/* An extension header of 8 + 8 * more bytes. */
static inline void packet_ext(Packet *p, uint8_t nexthdr, uint8_t more) {
        packet_bytes(p, &(uint8_t[]){ nexthdr, more }, 2);
        packet_bytes(p, NULL, 6 + 8 * more);
}

/* A fragment header; offset in bytes. */
static inline void packet_fragment(Packet *p, uint8_t nexthdr, uint16_t offset) {
        packet_bytes(p, &(uint8_t[]){ nexthdr, 0xff }, 2); /* 0xff: reserved, to be ignored */
        packet_be16(p, offset | 1);
        packet_bytes(p, NULL, 4);
}

/* An UDP header, or the beginning of any header that starts with ports, and `payload` zero bytes. */
static inline void packet_ports(Packet *p, uint16_t source, uint16_t destination, size_t payload) {
        packet_be16(p, source);
        packet_be16(p, destination);
        packet_be16(p, 8 + payload);
        packet_be16(p, 0);
        packet_bytes(p, NULL, payload);
}
