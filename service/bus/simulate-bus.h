/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Chain.Simulate and Manager.Simulate. A simulation is prepared when it is allowed, and worked off in slices between
 * other events; the reply comes at its end. A caller that goes away takes its simulation with it.
 */

#include <systemd/sd-bus.h>

#include "bus/options.h"
#include "model/simulate.h"

/* At once, of all callers. */
#define SIMULATIONS_MAX 4

typedef struct BusContext BusContext;
typedef struct SimulateJob SimulateJob;

/* What comes first in the message: the packets, checked. They stay in the message, which must stay too. */
typedef struct SimulatePackets {
        SimulatePacket *items;
        size_t n;
        size_t bytes;
} SimulatePackets;

void simulate_packets_done(SimulatePackets *packets);
int simulate_packets_read(sd_bus_message *message, SimulatePackets *ret, sd_bus_error *ret_error);

/* Prepare and begin; the handler returns what they do. `chain` was looked up after authorization. Takes the packets.
 */
int simulate_chain(BusContext *context, sd_bus_message *message, const Chain *chain, const Options *options,
                   SimulatePackets *packets, sd_bus_error *ret_error);
int simulate_document(BusContext *context, sd_bus_message *message, const char *name, const char *document,
                      const Options *options, SimulatePackets *packets, sd_bus_error *ret_error);

/* Drops all that are under way. */
void simulate_jobs_free(SimulateJob **jobs);
