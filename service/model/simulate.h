/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Packets through a chain without the network: through one that runs now, or through the chains that a document would
 * change, in the new form and, where one runs, in the present one. Nothing is attached, pinned or committed, and the
 * maps that live packets meet are not touched: a simulation has copies of its own, which keep what its packets do to
 * them and go with it. What could not be copied is said.
 *
 * A simulation is prepared at once, for which programs are loaded as a dry run does, and worked off in slices. It
 * holds all that it needs: what becomes of the chains in between does not change it.
 */

#include "model/manager.h"

/* Bounds of one simulation. Packets are held while it lasts; the report must fit into a message of the bus (32 MiB)
 * with room to spare. */
#define SIMULATE_PACKETS_MAX 16384
#define SIMULATE_BYTES_MAX   (8 * 1024 * 1024)
#define SIMULATE_PACKET_MIN  14 /* bytes: an Ethernet header */
#define SIMULATE_CHAINS_MAX  16
#define SIMULATE_REPORT_MAX  (24 * 1024 * 1024)

typedef struct SimulatePacket {
        const void *data;
        size_t size; /* SIMULATE_PACKET_MIN .. SIMULATION_PACKET_MAX */
} SimulatePacket;

typedef struct SimulateRequest {
        const SimulatePacket *packets; /* borrowed until the simulation is freed */
        size_t n_packets;              /* 1 .. SIMULATE_PACKETS_MAX */
        bool contents;                 /* the report has packets as programs left them */
        const char *chain;             /* of a document: "eth0/xdp", only this; NULL: all that change */
} SimulateRequest;

typedef struct Simulation Simulation;

/* A chain that runs. Programs that were only adopted are loaded for it, from the objects that were kept. Errors:
 * those of a load and of KernelOps.simulation_new(); NotSupported where nothing runs, or what runs can't be had
 * again. */
int simulation_new_chain(Manager *manager, const Chain *chain, const SimulateRequest *request, Simulation **ret,
                         Error *error);

/* The chains that the document would change. Errors: those of manager_apply() with dry_run, besides. */
int simulation_new_document(Manager *manager, const char *name, const char *text, const ChangeOptions *options,
                            const SimulateRequest *request, Simulation **ret, Error *error);
Simulation *simulation_free(Simulation *simulation);
DEFINE_CLEANUP(Simulation *, simulation_free)

/* Goes on for about so many microseconds. 1: there is more to do; 0: done. Errors: LimitExceeded where the report
 * gets too long. */
int simulation_work(Simulation *simulation, uint64_t usec, Error *error);

/* JSON, as org.bpfchain1.Chain.xml and org.bpfchain1.Manager.xml describe it, when simulation_work() has returned 0.
 * The caller frees; NULL when out of memory. */
char *simulation_report(Simulation *simulation);
