/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Global variables of an object, by the names and types that BTF gives them.
 */

#include "kernel/object.h"

/* A variable as the document sets it. */
typedef struct Global {
        size_t map; /* index of the section's map */
        size_t offset;
        size_t size;
        uint8_t *bytes;
} Global;

typedef struct Globals {
        Global *items;
        size_t n;
} Globals;

void globals_done(Globals *globals);

/* Sets the variables of an object that is open and not loaded: `values` is {"variable": value} or NULL. Errors:
 * InvalidDocument with the place. */
int globals_set(Object *object, json_object *values, const ProgramRequest *request, Globals *ret, Error *error);

/* Writes (or with `undo` exchanges) one variable in the map that is its section's, leaving the others alone. */
int global_write(const Global *global, int fd, void *undo);

bool global_equal(const Global *a, const Global *b);
