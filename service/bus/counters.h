/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Figures of chains, read from the kernel at most once per chain and event loop iteration: whoever asks for all
 * properties of all objects asks for each chain's figures many times.
 */

#include <systemd/sd-event.h>

#include "model/manager.h"
#include "util/table.h"

typedef struct Counters {
        Table chains;
        uint64_t iteration;
} Counters;

void counters_done(Counters *counters);

/* Forgets what was read; to be called when a chain changes. */
void counters_clear(Counters *counters);

/* The chain's figures, good until the next call in another iteration; all zero when nothing runs, nothing is counted
 * or the kernel does not tell. NULL: out of memory. */
const ChainCounters *counters_get(Counters *counters, sd_event *event, Manager *manager, Chain *chain);
