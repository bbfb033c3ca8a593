/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a fused chain that was built for simulations shows of each slot, beside what the slot's program did by itself.
 */

#include "packets.h"

typedef struct Trace Trace;

int trace_new(size_t n_slots, Trace **ret);
void trace_free(Trace *trace);
DEFINE_CLEANUP(Trace *, trace_free)

/* The map that the chain writes to. */
int trace_fd(const Trace *trace);

/* Before each packet. */
void trace_begin(Trace *trace);

/* What the program of a slot returned, and the packet as it left it. */
void trace_step(Trace *trace, size_t slot, const Packet *packet, int verdict);

bool trace_differs(const Trace *trace, Hook hook, FILE *f);
