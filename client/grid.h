/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rows of cells in aligned columns. A grid may mix several layouts, each with its own columns: the chains and the
 * slots of a tree, say. Rows are shown in the order they were made.
 *
 * A cell at the end of its row takes the space that it needs and does not widen its column, unless the column is
 * aligned to the right. Errors (lack of memory) are kept and returned by grid_print().
 */

#include "client/output.h"

#define GRID_LAYOUTS_MAX 4
#define GRID_COLUMNS_MAX 16

typedef struct Grid Grid;

Grid *grid_new(void);
Grid *grid_free(Grid *grid);
DEFINE_CLEANUP(Grid *, grid_free)

/* Columns are aligned to the left, with two blanks between them, unless told otherwise. */
void grid_align_right(Grid *grid, unsigned layout, unsigned column);
void grid_set_gap(Grid *grid, unsigned layout, unsigned column, unsigned blanks_before);

/* Begins a row. `prefix` (may be NULL) is shown dim in front of it. */
void grid_row(Grid *grid, unsigned layout, const char *prefix);

/* Adds a cell to the last row. Control characters are made harmless. */
void grid_cell(Grid *grid, Style style, const char *text);
void grid_cellf(Grid *grid, Style style, const char *format, ...) _printf_(3, 4);

/* The last cell of this row may be a sentence: on a terminal it goes on in the next line, below its beginning, or
 * below the row where that leaves too little room. The prefix is repeated. */
void grid_wrap(Grid *grid);

/* A row of headings; nothing without legend. The strings are in capitals already. */
void grid_headings(Grid *grid, bool legend, unsigned layout, const char *const *headings, size_t n);

int grid_print(Grid *grid, Output *output);
