/* SPDX-License-Identifier: LGPL-2.1-or-later */
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

static int compare_doubles(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;

        return x < y ? -1 : x > y;
}

static double measure_cell(const Cell *cell, unsigned packets, double (*measure)(void *item, unsigned packets)) {
        double values[CALLS];

        for (size_t i = 0; i < CALLS; i++)
                values[i] = measure(cell->item, packets);
        qsort(values, CALLS, sizeof(values[0]), compare_doubles);
        return values[CALLS / 2];
}

void rounds_measure(const Settings *settings, Part part, Cell *cells, size_t n_cells, unsigned packets,
                    double (*measure)(void *item, unsigned packets)) {
        for (unsigned round = 0; round < settings->rounds; round++) {
                shuffle(cells, n_cells);
                for (size_t i = 0; i < n_cells; i++)
                        printf("{\"sample\": [\"%s\", \"%s\", %u, %u, %.3f]}\n", part_to_string(part),
                               cells[i].technique, cells[i].n, round, measure_cell(&cells[i], packets, measure));
                fflush(stdout);
        }
}
