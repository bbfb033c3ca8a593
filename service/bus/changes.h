/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Change signals, coalesced. The model's observer notes here what happened; a deferred event, or a handler before it
 * replies, sends the outcome: for each object one of InterfacesAdded, InterfacesRemoved and PropertiesChanged, or
 * nothing (it came and went).
 */

#include <systemd/sd-event.h>

#include "bus/object.h"
#include "bus/snapshot.h"
#include "util/table.h"

typedef struct BusContext BusContext;

typedef struct Announcement Announcement;
typedef struct Disturbance Disturbance;

typedef struct Changes {
        Table objects; /* of Change, by path */
        Snapshots snapshots;
        Table memberships;           /* of Membership, by program: a digest of the chains that it sits in */
        Announcement *announcements; /* generation signals, in order */
        size_t n_announcements;
        Disturbance *disturbances; /* what the guard saw, in order */
        size_t n_disturbances;
        bool chains_changed;
        sd_event_source *deferred;
        sd_event_source *baseline; /* deferred, when idle */
} Changes;

int changes_init(Changes *changes, BusContext *context);
void changes_done(Changes *changes);

/* To be called when the first connection comes: what is there now is known to be there. */
void changes_begin(BusContext *context);

/* Sends what was noted; does nothing when nothing was. */
void changes_flush(BusContext *context);
