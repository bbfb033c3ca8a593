/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * "fail-closed": an interface is kept down until the chains that ask for it run.
 *
 * An interface that is up while such a chain does not run is set down, and up again when the chain runs, or when
 * nobody asks any more: the chain is detached, its document withdrawn. Somebody else who sets it up meanwhile is
 * answered in kind, a few times at once and then at most once a second. What was set down is written down before
 * that, so that a service that dies does not forget to set it up again. Loopback interfaces are never held.
 *
 * A chain that lags behind (degraded) counts as running when it once ran with fail-closed: a fault in a new version
 * does not take the network away.
 */

#include "model/interface.h"
#include "model/restore.h"

typedef struct Manager Manager;
typedef struct Interface Interface;
typedef struct json_object json_object;

typedef struct Holding {
        int ifindex;
        bool taken;     /* we set it down, so that it is for us to set it up again */
        bool told;      /* that others set it up again and again */
        char *reason;   /* a sentence; NULL: it only waits to be set up */
        Restores acts;  /* when it was set down */
        uint64_t again; /* the next try, microseconds, CLOCK_BOOTTIME; 0: whenever there is need */
} Holding;

typedef struct Holdings {
        Holding *items;
        size_t n;
} Holdings;

void holdings_done(Holdings *holdings);

/* Brings all interfaces to what is wanted. */
void holdings_update(Manager *manager);
/* At once, when the kernel tells of an interface; cheap where nobody asks. */
void holdings_link_changed(Manager *manager, Interface *interface);

/* When holdings_update() is to be called without need, microseconds, CLOCK_BOOTTIME; UINT64_MAX: never. */
uint64_t holdings_deadline(const Manager *manager);

/* For state.json: which interfaces are to be set up again. */
json_object *holdings_json(const Manager *manager);
int holdings_load(Manager *manager, json_object *array);
