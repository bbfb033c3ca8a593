/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <stdarg.h>

#include "client/grid.h"

#define LEAST_WRAPPED  40U /* columns; a sentence is not squeezed into less */
#define WRAPPED_INDENT 4U

typedef struct Cell {
        char *text;
        Style style;
        unsigned width;
} Cell;

typedef struct Row {
        unsigned layout;
        char *prefix;
        Cell cells[GRID_COLUMNS_MAX];
        unsigned n_cells;
        bool wrap;
} Row;

typedef struct Column {
        bool right;
        bool gap_set;
        unsigned gap;
        unsigned width;
} Column;

struct Grid {
        Row *rows;
        size_t n_rows;
        Column columns[GRID_LAYOUTS_MAX][GRID_COLUMNS_MAX];
        int error;
};

Grid *grid_new(void) {
        return calloc(1, sizeof(Grid));
}

Grid *grid_free(Grid *grid) {
        if (!grid)
                return NULL;
        for (size_t i = 0; i < grid->n_rows; i++) {
                for (unsigned j = 0; j < grid->rows[i].n_cells; j++)
                        free(grid->rows[i].cells[j].text);
                free(grid->rows[i].prefix);
        }
        free(grid->rows);
        free(grid);
        return NULL;
}

void grid_align_right(Grid *grid, unsigned layout, unsigned column) {
        grid->columns[layout][column].right = true;
}

void grid_set_gap(Grid *grid, unsigned layout, unsigned column, unsigned blanks_before) {
        grid->columns[layout][column].gap = blanks_before;
        grid->columns[layout][column].gap_set = true;
}

void grid_row(Grid *grid, unsigned layout, const char *prefix) {
        Row *row;

        assert(layout < GRID_LAYOUTS_MAX);
        row = grid->error == 0 ? ARRAY_APPEND(grid->rows, grid->n_rows) : NULL;
        if (!row) {
                grid->error = -ENOMEM;
                return;
        }
        *row = (Row){ .layout = layout };
        if (prefix) {
                row->prefix = strdup(prefix);
                if (!row->prefix)
                        grid->error = -ENOMEM;
        }
}

void grid_wrap(Grid *grid) {
        if (grid->error < 0)
                return;
        assert(grid->n_rows > 0);
        grid->rows[grid->n_rows - 1].wrap = true;
}

void grid_cell(Grid *grid, Style style, const char *text) {
        Row *row;
        Cell *cell;

        if (grid->error < 0)
                return;
        assert(grid->n_rows > 0);
        row = &grid->rows[grid->n_rows - 1];
        assert(row->n_cells < GRID_COLUMNS_MAX);

        cell = &row->cells[row->n_cells];
        cell->text = text_clean(strempty_to(text, ""), false);
        if (!cell->text) {
                grid->error = -ENOMEM;
                return;
        }
        cell->style = style;
        cell->width = text_width(cell->text);
        row->n_cells++;
}

void grid_cellf(Grid *grid, Style style, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0) {
                text = NULL;
                grid->error = -ENOMEM;
        }
        va_end(ap);
        grid_cell(grid, style, text);
}

void grid_headings(Grid *grid, bool legend, unsigned layout, const char *const *headings, size_t n) {
        if (!legend)
                return;
        grid_row(grid, layout, NULL);
        for (size_t i = 0; i < n; i++)
                grid_cell(grid, STYLE_STRONG, headings[i]);
}

static void grid_measure(Grid *grid) {
        for (size_t i = 0; i < grid->n_rows; i++) {
                const Row *row = &grid->rows[i];

                for (unsigned j = 0; j < row->n_cells; j++) {
                        Column *column = &grid->columns[row->layout][j];

                        if (j + 1 < row->n_cells || column->right)
                                column->width = MAX2(column->width, row->cells[j].width);
                }
        }
}

static void print_blanks(Output *output, unsigned n) {
        fprintf(output->stream, "%*s", (int) n, "");
}

static void print_prefix(Output *output, const Row *row) {
        if (row->prefix)
                fprintf(output->stream, "%s%s%s", output_style(output, STYLE_DIM), row->prefix, output_plain(output));
}

static void print_piece(Output *output, Style style, const char *text, size_t size) {
        fprintf(output->stream, "%s%.*s%s", output_style(output, style), (int) size, text,
                style == STYLE_NONE ? "" : output_plain(output));
}

/* The bytes of the words that fit into so many columns, at least one word. */
static size_t fitting_words(const char *text, unsigned columns) {
        size_t fits = strcspn(text, " ");

        while (text[fits]) {
                size_t next = fits + strspn(text + fits, " ");
                _cleanup_free_ char *piece = NULL;

                next += strcspn(text + next, " ");
                piece = strndup(text, next);
                if (!piece || text_width(piece) > columns)
                        break;
                fits = next;
        }
        return fits;
}

/* Shows the cell from this column of the terminal on, in as many lines as it takes. */
static void print_wrapped(Output *output, const Row *row, const Cell *cell, unsigned column) {
        unsigned prefix = row->prefix ? text_width(row->prefix) : 0;
        const char *text = cell->text;

        if (column + LEAST_WRAPPED > output->columns) {
                column = prefix + WRAPPED_INDENT;
                fputc('\n', output->stream);
                print_prefix(output, row);
                print_blanks(output, WRAPPED_INDENT);
        }
        for (;;) {
                size_t n = fitting_words(text, output->columns > column ? output->columns - column : 1);

                print_piece(output, cell->style, text, n);
                text += n;
                text += strspn(text, " ");
                if (!*text)
                        return;
                fputc('\n', output->stream);
                print_prefix(output, row);
                print_blanks(output, column - prefix);
        }
}

static void row_print(const Row *row, const Column *columns, Output *output) {
        unsigned owed = 0; /* blanks that come only if something follows */
        unsigned at = row->prefix ? text_width(row->prefix) : 0;

        print_prefix(output, row);
        for (unsigned j = 0; j < row->n_cells; j++) {
                const Cell *cell = &row->cells[j];
                const Column *column = &columns[j];
                unsigned pad = column->width > cell->width ? column->width - cell->width : 0;
                bool last = j + 1 == row->n_cells;

                if (j > 0)
                        owed += column->gap_set ? column->gap : 2;
                if (column->right)
                        owed += pad;
                if (last && row->wrap && cell->width > 0 && output->columns > 0 &&
                    at + owed + cell->width > output->columns) {
                        if (at + owed + LEAST_WRAPPED <= output->columns)
                                print_blanks(output, owed);
                        print_wrapped(output, row, cell, at + owed);
                } else if (cell->width > 0) {
                        print_blanks(output, owed);
                        at += owed + cell->width;
                        owed = 0;
                        print_piece(output, cell->style, cell->text, strlen(cell->text));
                }
                if (!column->right)
                        owed += pad;
        }
        fputc('\n', output->stream);
}

int grid_print(Grid *grid, Output *output) {
        if (grid->error < 0)
                return grid->error;
        grid_measure(grid);
        for (size_t i = 0; i < grid->n_rows; i++)
                row_print(&grid->rows[i], grid->columns[grid->rows[i].layout], output);
        return 0;
}
