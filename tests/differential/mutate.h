/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Breaks what the builder built, to see whether the difference is found. The executable is linked so that
 * fuse_build() is ours, which calls the true one (ld --wrap).
 */

#include "random.h"

typedef enum Mutation {
        MUTATION_NONE,
        MUTATION_DECISION,  /* a comparison of the root the other way round */
        MUTATION_CONSTANT,  /* a comparison of the root with the next number */
        MUTATION_CELL,      /* a count goes to the cell beside it */
        MUTATION_INCREMENT, /* a count that counts twice */
        MUTATION_STORE,     /* a store of a member does nothing */
        _MUTATION_MAX,
} Mutation;

const char *mutation_name(Mutation mutation);

/* From the next build on. */
void mutation_set(Mutation mutation, uint64_t seed);

/* Around a build; mutation_end() tells whether anything was changed. */
void mutation_begin(void);
bool mutation_end(void);
