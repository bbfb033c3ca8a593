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

/* Calls `measure` once a round for each cell, in an order that differs from round to round, and reports what it
 * returns, nanoseconds a packet. */
void rounds_measure(const Settings *settings, Part part, Cell *cells, size_t n_cells,
                    double (*measure)(void *item, unsigned repeat));
