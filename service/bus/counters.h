/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Figures of chains, read from the kernel at most once per chain and event loop iteration: whoever asks for all
 * properties of all objects asks for each chain's figures many times.
 */

#include <systemd/sd-event.h>

#include "model/manager.h"
#include "util/table.h"

typedef struct ChainFigures {
        bool counted;           /* else nothing runs, it does not count, or the kernel does not tell */
        ChainCounters counters; /* which of them mean something, the chain's level says */
        uint64_t run_count;     /* 0 where the kernel does not keep such statistics */
        uint64_t run_nsec;
} ChainFigures;

typedef struct Counters {
        Table chains;
        uint64_t iteration;
} Counters;

void counters_done(Counters *counters);

/* Forgets what was read; to be called when a chain changes. */
void counters_clear(Counters *counters);

/* The chain's figures, good until the next call in another iteration; zero where there are none. NULL: out of
 * memory. */
const ChainFigures *counters_get(Counters *counters, sd_event *event, Manager *manager, Chain *chain);
