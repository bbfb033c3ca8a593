/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "rounds.h"

#define SWEEPS 5

unsigned settings_n_max(const Settings *settings) {
        unsigned n = 1;

        for (size_t i = 0; i < settings->n_counts; i++)
                n = MAX2(n, settings->counts[i]);
        return n;
}

Cell *cells_add(Cell **cells, size_t *n_cells) {
        Cell *cell = ARRAY_APPEND(*cells, *n_cells);

        if (!cell)
                die("Out of memory.");
        return cell;
}

static void shuffle(Cell *cells, size_t n) {
        for (size_t i = n; i > 1; i--) {
                size_t j = (size_t) random() % i;
                Cell cell = cells[i - 1];

                cells[i - 1] = cells[j];
                cells[j] = cell;
        }
}

static void measure_cell(Cell *cell, const Cell *floor, unsigned packets,
                         double (*measure)(void *item, unsigned packets)) {
        double below = measure(floor->item, packets), value = measure(cell->item, packets);

        cell->best_floor = MIN2(cell->best_floor, below);
        cell->best = MIN2(cell->best, value);
}

void rounds_measure(const Settings *settings, Part part, Cell *cells, size_t n_cells, const Cell *floor,
                    unsigned packets, double (*measure)(void *item, unsigned packets)) {
        const Cell beside = *floor; /* it is one of those that change places */

        for (unsigned round = 0; round < settings->rounds; round++) {
                for (size_t i = 0; i < n_cells; i++)
                        cells[i].best = cells[i].best_floor = INFINITY;
                for (unsigned sweep = 0; sweep < SWEEPS; sweep++) {
                        shuffle(cells, n_cells);
                        for (size_t i = 0; i < n_cells; i++)
                                measure_cell(&cells[i], &beside, packets, measure);
                }
                for (size_t i = 0; i < n_cells; i++)
                        printf("{\"sample\": [\"%s\", \"%s\", %u, %u, %.3f, %.3f]}\n", part_to_string(part),
                               cells[i].technique, cells[i].n, round, cells[i].best, cells[i].best_floor);
                fflush(stdout);
        }
}
