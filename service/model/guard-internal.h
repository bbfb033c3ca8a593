/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The guard's inside: guard.c (events and what is known of programs), guard-look.c (chains and policy).
 */

#include "model/guard.h"
#include "model/manager-internal.h"

#define GUARD_SOURCES_MAX 12

/* A fact and the act that it came of may be told by different sources, in any order. */
#define GUARD_CORRELATE_USEC UINT64_C(2000000)

typedef struct GuardRing {
        GuardEvent *events;
        size_t size;
        uint64_t n; /* put in so far: the newest is at (n - 1) % size */
} GuardRing;

/* A process that loaded programs. */
typedef struct GuardLoad {
        GuardEvent event; /* count: of its programs; program_id: of the last; sequence 0: free */
        unsigned live;    /* programs of it that are known to live */
} GuardLoad;

typedef struct GuardProgram {
        uint32_t id;
        uint32_t load; /* index of its GuardLoad */
} GuardProgram;

/* How much is told within some time, so that a flood fills neither the log nor the bus. */
typedef struct GuardBudget {
        uint64_t since; /* microseconds, CLOCK_BOOTTIME */
        uint64_t used;
} GuardBudget;

/* Who did something that a look may explain a moment later. */
typedef struct GuardHint {
        uint64_t boottime; /* 0: none */
        int ifindex;
        int hook;
        char pin[64];
        Culprit who;
} GuardHint;

struct Guard {
        Manager *manager;
        GuardSettings settings;
        GuardRing acts;
        GuardLoad *loads;       /* GUARD_LOADS_KEPT, in no order */
        size_t last_load;       /* the one that was added to last */
        GuardProgram *programs; /* by ascending id */
        size_t n_programs;
        GuardStatistics statistics;
        uint64_t sequence;
        GuardBudget act_tells, load_tells, load_lines;
        GuardHint pin_hint, tc_hint;
        const char *source_names[GUARD_SOURCES_MAX];
        const char *source_reasons[GUARD_SOURCES_MAX];
        size_t n_sources;
};

/* Puts an event in, with times and sequence filled in, and tells of it; one that is like the last of its kind is
 * counted there instead. Returns where it is now. */
GuardEvent *guard_add(Guard *guard, const GuardEvent *event, Chain *chain);

/* Who loaded a program, or NULL. */
const GuardEvent *guard_loader_of(const Guard *guard, uint32_t program_id);
