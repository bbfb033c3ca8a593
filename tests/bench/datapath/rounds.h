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

/* In each round, measures each cell, in an order that differs from round to round, and beside it the floor, what is
 * to be taken off. A measurement is a few calls of `measure` for either, in turn; each call sends so many packets and
 * returns nanoseconds for one. The best of them is reported: what gets in the way of a call (other work on the
 * machine, on a CPU that shares its core with ours above all) makes it slower. */
void rounds_measure(const Settings *settings, Part part, Cell *cells, size_t n_cells, const Cell *floor,
                    unsigned packets, double (*measure)(void *item, unsigned packets));
