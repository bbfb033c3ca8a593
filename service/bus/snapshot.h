/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What was last told of each object: a digest for each property that signals its changes. The model says that an
 * object may have changed; by these, clients hear of it only when it did, and only of the properties that did.
 *
 * An object that nothing was told of yet counts as changed in all properties.
 */

#include "bus/object.h"
#include "util/table.h"

#define SNAPSHOT_PROPERTIES_MAX 24

typedef struct Snapshots {
        Table objects; /* of Snapshot, by path */
} Snapshots;

void snapshots_done(Snapshots *snapshots);

/* Reads the properties and remembers them. ret_names gets the names of those that changed since the last call, ended
 * by NULL. `bus` is only for making a message; `userdata` is that of the vtables. Returns how many changed. */
int snapshots_update(Snapshots *snapshots, sd_bus *bus, void *userdata, ObjectKind kind, const char *path,
                     const char *ret_names[SNAPSHOT_PROPERTIES_MAX + 1]);

void snapshots_forget(Snapshots *snapshots, const char *path);
