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
        double best, best_floor; /* of the present round */
} Cell;

unsigned settings_n_max(const Settings *settings);

Cell *cells_add(Cell **cells, size_t *n_cells);

/* A round is a few sweeps over all cells, each in another order; in a sweep each cell is measured once, and right
 * before it the floor, what is to be taken off. A measurement is one call of `measure`, which sends so many packets
 * and returns nanoseconds for one. The best of a cell's measurements in the round is reported, and the best of its
 * floors: what gets in the way (other work on the machine, on a CPU that shares its core with ours above all) makes
 * them slower, and may last longer than a few calls, but hardly a round. */
void rounds_measure(const Settings *settings, Part part, Cell *cells, size_t n_cells, const Cell *floor,
                    unsigned packets, double (*measure)(void *item, unsigned packets));
