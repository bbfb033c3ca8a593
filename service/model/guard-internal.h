/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The guard's inside: guard.c (its life), guard-events.c (what is kept and told), guard-loads.c (what is known of
 * programs), guard-attempts.c (what others tried or did, as the kernel told), guard-look.c (chains and policy of
 * restoring), guard-pins.c (of programs' maps), guard-demand.c (what is to be guarded, and how), guard-judge.c (what
 * another policy would do).
 */

#include "model/guard.h"
#include "model/manager-internal.h"

#define GUARD_SOURCES_MAX 16

/* Like events within this time are one, with a count. */
#define GUARD_TOGETHER_USEC UINT64_C(1000000)

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

/* Who did, or was about to do, something that a look may explain a moment later. */
typedef struct GuardHint {
        uint64_t boottime; /* microseconds, 0: none */
        GuardAct act;
        int ifindex;         /* 0: any */
        int hook;            /* negative: any */
        uint32_t program_id; /* 0: not known */
        char pin[64];
        const char *basis; /* static */
        bool fact;         /* it was done, and is to be told of if no look does */
        bool used;         /* an event names it */
        Culprit who;
} GuardHint;

#define GUARD_HINTS_KEPT 32

struct Guard {
        Manager *manager;
        GuardSettings settings;
        GuardRing acts, attempts, allowed; /* by verdict: seen, refused or would be, allowed */
        GuardLoad *loads;                  /* GUARD_LOADS_KEPT, in no order */
        size_t last_load;                  /* the one that was added to last */
        GuardProgram *programs;            /* by ascending id */
        size_t n_programs;
        GuardStatistics statistics;
        uint64_t sequence;
        GuardBudget tells[_GUARD_VERDICT_MAX], load_tells, load_lines;
        GuardHint hints[GUARD_HINTS_KEPT]; /* a ring */
        size_t n_hints;                    /* put in so far */
        bool facts_complete;
        void (*read)(void *userdata); /* guard_set_reader() */
        void *read_userdata;
        const char *source_names[GUARD_SOURCES_MAX];
        const char *source_reasons[GUARD_SOURCES_MAX];
        size_t n_sources;
        char *demanded; /* what the kernel's part was told last, see guard-demand.c; NULL: nothing yet */
        size_t demanded_size;
        GuardState state;
        int override; /* GuardMode that somebody asked for until the next boot, -1: none */
        bool override_force;
        bool failed_settings; /* there was no policy to be had from them at start */
        bool failed;          /* the last demand is not in effect */
        char problem[512];    /* that the administrator is to hear of, empty: none */
        bool problem_error;   /* it is more than a warning */
        char weakness[256];   /* of the policy, empty: none */
};

int guard_ring_init(GuardRing *ring, size_t size);
/* The i-th newest, or NULL. */
const GuardEvent *guard_ring_newest(const GuardRing *ring, size_t i);

/* Puts an event in, with times and sequence filled in, and tells of it; one that is like the last of its kind is
 * counted there instead. Returns where it is now. */
GuardEvent *guard_add(Guard *guard, const GuardEvent *event, Chain *chain);

/* Who loaded a program, or NULL. */
const GuardEvent *guard_loader_of(const Guard *guard, uint32_t program_id);

void guard_log_event(const GuardEvent *event);

/* May one more be told? What could not be is said, as `what`, when it may again. */
bool guard_take(GuardBudget *budget, uint64_t max, const char *what);

/* One more hint, in the place of the oldest. */
void guard_hint(Guard *guard, const GuardHint *hint);
/* Names who it probably was; the interface's index is what the event does not know. False: nobody is known. */
bool guard_blame(Guard *guard, GuardEvent *event, int ifindex);
/* Was its deletion begun? What is on it goes before the news of it comes. */
bool guard_interface_is_going(const Guard *guard, int ifindex);
/* After a look: facts of which it has found nothing, as they were undone already, are told of by themselves. */
void guard_tell_what_passed(Guard *guard);

/* guard-pins.c, as their namesakes of chains. */
void guard_look_at_map_pins(Guard *guard, const char *source);
uint64_t guard_map_pins_deadline(const Guard *guard);
void guard_map_pins_wake(Guard *guard, uint64_t now);

/* The policy with the mode in effect: the administrator's for now, or as the settings say. */
GuardPolicy guard_policy_in_effect(const Guard *guard);

const Interface *guard_interface_of(const Guard *guard, int ifindex);
