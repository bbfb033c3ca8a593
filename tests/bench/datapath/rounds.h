/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is to be measured, and measuring it in rounds.
 */

#include "bench.h"

typedef struct Cell {
        const char *technique;
        unsigned n;
        void *item;
} Cell;

unsigned settings_n_max(const Settings *settings);

Cell *cells_add(Cell **cells, size_t *n_cells);

/* What is taken off the others is measured that often in a round. */
#define ROUNDS_FLOORS 4

/* In each round, measures each cell, in an order that differs from round to round. A measurement is a few calls of
 * `measure`, which sends so many packets and returns nanoseconds for each. The best of them is reported: what gets in
 * the way of a call (other work on the machine, on a CPU that shares its core with ours above all) makes it slower.
 */
void rounds_measure(const Settings *settings, Part part, Cell *cells, size_t n_cells, unsigned packets,
                    double (*measure)(void *item, unsigned packets));
