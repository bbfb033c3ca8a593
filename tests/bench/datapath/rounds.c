/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "rounds.h"

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

#define CALLS 5

typedef struct Sample {
        double value;
        double floor;
} Sample;

static Sample measure_cell(const Cell *cell, const Cell *floor, unsigned packets,
                           double (*measure)(void *item, unsigned packets)) {
        Sample best = { INFINITY, INFINITY };

        for (unsigned i = 0; i < CALLS; i++) {
                double below = measure(floor->item, packets), value = measure(cell->item, packets);

                best.floor = MIN2(best.floor, below);
                best.value = MIN2(best.value, value);
        }
        return best;
}

void rounds_measure(const Settings *settings, Part part, Cell *cells, size_t n_cells, const Cell *floor,
                    unsigned packets, double (*measure)(void *item, unsigned packets)) {
        const Cell beside = *floor; /* it may be one of those that change places */

        for (unsigned round = 0; round < settings->rounds; round++) {
                shuffle(cells, n_cells);
                for (size_t i = 0; i < n_cells; i++) {
                        Sample sample = measure_cell(&cells[i], &beside, packets, measure);

                        printf("{\"sample\": [\"%s\", \"%s\", %u, %u, %.3f, %.3f]}\n", part_to_string(part),
                               cells[i].technique, cells[i].n, round, sample.value, sample.floor);
                }
                fflush(stdout);
        }
}
