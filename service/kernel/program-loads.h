/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A source of the guard: each load and unload of a BPF program on this machine, by the kernel's perf records of them
 * (a PERF_COUNT_SW_DUMMY event for each CPU with attr.bpf_event). Nothing wakes us but such records.
 *
 * Takes CAP_PERFMON, or CAP_SYS_ADMIN where sysctl kernel.perf_event_paranoid is above 2 (Debian's own patch).
 */

#include <systemd/sd-event.h>

#include "kernel/perf-record.h"

typedef struct ProgramLoads ProgramLoads;

/* Called for PROGRAM_LOADED, PROGRAM_UNLOADED (times in CLOCK_BOOTTIME), and EVENTS_LOST with how many. */
typedef void (*ProgramLoadsHandler)(const PerfRecord *record, void *userdata);

/* On failure *ret_reason, a sentence part, says why not (static); nothing is open then. */
int program_loads_new(sd_event *event, int64_t priority, ProgramLoadsHandler handler, void *userdata,
                      const char **ret_reason, ProgramLoads **ret);
ProgramLoads *program_loads_free(ProgramLoads *loads); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(ProgramLoads *, program_loads_free)
