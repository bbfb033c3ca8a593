/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Entries that a document gives to a map: `[{"key": …, "value": …}, …]`, as bytes. In a per-CPU map each CPU gets the
 * value that the document gives: whatever a program looks up, on whatever CPU it runs, is then what was written.
 */

#include <bpf/libbpf.h>

#include "model/kernel-ops.h"

typedef struct MapContents {
        size_t n;
        size_t key_size;
        size_t value_size;
        uint8_t *keys;
        uint8_t *values;
        char *where; /* path of the array in the document */
} MapContents;

/* What entries were before they were written. */
typedef struct MapUndo {
        size_t n;
        size_t key_size;
        size_t value_size;
        uint8_t *keys;
        uint8_t *values;
        bool *existed;
} MapUndo;

void map_contents_done(MapContents *contents);
void map_undo_done(MapUndo *undo);

/* Reads entries by the types of a map that is open but need not be loaded. `btf` is the object's and may be NULL.
 * Errors: InvalidDocument with a place, NotSupported (a kind of map that can't be written so), LimitExceeded. */
int map_contents_parse(const struct bpf_map *map, const struct btf *btf, json_object *entries, const char *where,
                       MapContents *ret, Error *error);

/* Writes all entries. `undo` (may be NULL) gets what was there; on failure what was written is undone. */
int map_contents_write(const MapContents *contents, int fd, const MapInfo *info, MapUndo *undo, Error *error);

/* Puts back what map_contents_write() found. Entries that can't be written back are left. */
void map_undo_restore(const MapUndo *undo, int fd);
