/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Packets with what goes beside them from program to program, and the running of one program on one.
 */

#include "model/hook.h"
#include "random.h"

/* What test-run takes in one page, besides room for what programs add, and the largest of several pages. */
#define PACKET_SIZE_MAX       2800
#define PACKET_LARGE_SIZE_MAX 9000
#define PACKET_META_MAX       32

typedef struct Packet {
        uint8_t bytes[PACKET_META_MAX + 2 * PACKET_LARGE_SIZE_MAX];
        uint32_t size; /* with metadata */
        uint32_t meta; /* XDP: bytes of metadata in front */
        uint32_t mark; /* TC, and what follows */
        uint32_t priority;
        uint32_t cb[5];
} Packet;

/* A random packet; `large`: perhaps of more than one page, `meta`: perhaps with as much metadata. */
void packet_make(Random *random, Hook hook, bool large, uint32_t meta, Packet *ret);

/* Runs a program on the packet, which is then as the program left it. Negative errno, also for packets that no
 * program can be run on. */
int packet_run(int program_fd, Hook hook, Packet *packet, int *ret_verdict);

/* Can the packet be handed to a program by test-run? */
bool packet_runs(Hook hook, const Packet *packet);

/* Writes what differs to f. */
bool packets_differ(const Packet *fused, const Packet *reference, FILE *f);

void packet_print(const Packet *packet, FILE *f);
