/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the model tells the outside. Any member may be NULL. Calls come while the model works: an observer notes
 * what changed and acts later (the bus layer sends its signals from a deferred event), it never calls back into
 * the manager from within.
 */

#include "model/chain.h"
#include "model/interface.h"
#include "model/program.h"

typedef struct Interface Interface;

typedef struct Observer {
        void (*interface_added)(void *userdata, Interface *interface);
        void (*interface_changed)(void *userdata, Interface *interface);
        void (*interface_removed)(void *userdata, Interface *interface);

        void (*chain_added)(void *userdata, Chain *chain);
        void (*chain_changed)(void *userdata, Chain *chain);
        void (*chain_removed)(void *userdata, Chain *chain);
        void (*chain_conflict)(void *userdata, Chain *chain); /* somebody else holds the hook; reason names them */

        void (*program_added)(void *userdata, Program *program);
        void (*program_changed)(void *userdata, Program *program);
        /* The set of maps changes with it: maps_removed comes before info.maps changes, maps_added after. */
        void (*program_maps_removed)(void *userdata, Program *program);
        void (*program_maps_added)(void *userdata, Program *program);
        void (*program_removed)(void *userdata, Program *program);

        void (*manager_changed)(void *userdata); /* generation, state, problems or pending confirmation */
        void (*generation_committed)(void *userdata, uint64_t generation, const char *origin);
        void (*generation_rolled_back)(void *userdata, uint64_t from, uint64_t to, const char *reason);

        /* The manager wants manager_deadline() to be called at this time (microseconds, CLOCK_BOOTTIME);
         * UINT64_MAX: no more. */
        void (*deadline_changed)(void *userdata, uint64_t deadline);

        /* Somebody did something to a hook of ours, or loaded a program; the event lives until control returns to the
         * event loop. `chain` is NULL where it concerns none in particular. */
        void (*guard_event)(void *userdata, const GuardEvent *event, Chain *chain);
        void (*guard_changed)(void *userdata);      /* what its object shows */
        void (*guard_reconfigured)(void *userdata); /* its settings: what watches is to follow them */

        /* Interfaces changed: the manager wants manager_reconcile() to be called soon, once. */
        void (*reconcile_wanted)(void *userdata);
} Observer;
