/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The inside of a simulation: simulate.c prepares, simulate-run.c runs, simulate-report.c says what came out.
 */

#include "model/simulate.h"

/* One form of a chain. */
typedef struct SimulateSide {
        bool there;               /* there is a chain; else packets go on as if the hook had none */
        KernelSimulation *kernel; /* NULL unless there */
        KernelProgram *held[CHAIN_SLOTS_MAX];
        char *programs[CHAIN_SLOTS_MAX];
        size_t n_slots;
        SimulationOmission *omissions;
        size_t n_omissions;
        SimulationResult result; /* of the last packet */
        uint64_t verdicts[VERDICT_BUCKETS];
        uint64_t ended[CHAIN_SLOTS_MAX];
} SimulateSide;

/* One chain. That of a chain that runs has a present form only. */
typedef struct SimulateLane {
        char *interface;
        Hook hook;
        const char *change; /* static, as in the report of a plan */
        SimulateSide before, after;
        bool same;     /* the new form is the present one */
        char *unknown; /* why the present form can't be had, so that there is nothing to compare with; or NULL */
        FILE *stream;  /* the packets' part of the report */
        char *text;
        size_t size;
        uint64_t n_different, n_verdict, n_contents, n_ended;
        uint64_t n_refused; /* packets that the kernel does not take on this hook */
} SimulateLane;

struct Simulation {
        const KernelOps *ops;
        void *kernel;
        SimulateRequest request;
        bool plans;
        char *plan;                              /* report of the dry run */
        SimulateLane lanes[SIMULATE_CHAINS_MAX]; /* they stay where they are: streams write into them */
        size_t n_lanes;
        size_t next; /* packet */
        uint64_t prepare_usec, run_usec;
};

/* Where a packet ended. */
typedef struct SimulateEnd {
        unsigned bucket;
        int verdict;
        const char *program; /* NULL: there is no chain, or nothing is known of its programs */
        const void *data;
        size_t size;   /* of the packet */
        size_t stored; /* of data */
} SimulateEnd;

SimulateEnd simulate_end(const SimulateLane *lane, const SimulateSide *side, const SimulatePacket *packet);

/* Writes the packet of the last run into the lane's part of the report. refused: why it was not run, or NULL. */
void simulate_report_packet(const Simulation *simulation, SimulateLane *lane, const SimulatePacket *packet,
                            const char *refused);
/* The same where the two forms differ. */
void simulate_report_difference(const Simulation *simulation, SimulateLane *lane, bool verdict, bool contents,
                                bool ended, const SimulatePacket *packet);
