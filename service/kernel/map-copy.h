/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Copies of the maps that the programs of a chain use, with what is in them: for a simulation, which must see what
 * packets meet and not change it. A map that several programs use has one copy; maps in maps are copied as well. What
 * a document is about to write into maps that it keeps is in the copies already.
 *
 * Nothing is done to the originals but reading. They may change meanwhile, so a copy of a map that live packets write
 * holds what was there at one time or another while it was read.
 *
 * What can't be copied is left empty and told (SimulationOmission). So are programs in program arrays that write
 * maps: they would write the live ones.
 */

#include "model/kernel-ops.h"

/* What all copies of one simulation may take, about; bytes, and number. */
#define MAP_COPIES_BYTES_MAX (256U * 1024 * 1024)
#define MAP_COPIES_MAX       1024

typedef struct MapCopy {
        uint32_t id;             /* of the original */
        int fd;                  /* owned */
        unsigned long *consumed; /* ring buffers: positions in bytes, mapped; NULL for others */
        unsigned long *produced;
} MapCopy;

typedef struct MapCopies {
        MapCopy *items;
        size_t n;
        double bytes;
        int *fds[CHAIN_SLOTS_MAX]; /* by slot, by index of map; borrowed from items, or the program's own where its
                                    * code does not mention the map */
        SimulationOmission *omissions;
        size_t n_omissions;
} MapCopies;

/* Copies what the request's programs use. Programs that were only adopted are left out. `copies` is to be empty; on
 * failure it holds what was copied until then. Errors: LimitExceeded, NotSupported. */
int map_copies_make(MapCopies *copies, const FuseRequest *request, Error *error);
void map_copies_done(MapCopies *copies);

/* Empties the ring buffers, as whoever reads the live ones does. */
void map_copies_drain(const MapCopies *copies);
