/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How results look: colours, UTF-8, grouped figures and a pager on a terminal, plain text elsewhere, JSON on
 * request. A verb writes to output->stream, which is memory; output_finish() shows all of it at the end.
 */

#include <json-c/json.h>

#include "util/macros.h"
#include "util/string-table.h"

typedef enum JsonMode {
        JSON_MODE_OFF,
        JSON_MODE_SHORT,  /* one line */
        JSON_MODE_PRETTY, /* indented */
        _JSON_MODE_MAX,
        _JSON_MODE_INVALID = -EINVAL,
} JsonMode;

DECLARE_STRING_TABLE(json_mode, JsonMode)

typedef enum Style {
        STYLE_NONE,
        STYLE_STRONG,
        STYLE_DIM,
        STYLE_GOOD,
        STYLE_WARNING,
        STYLE_BAD,
        STYLE_ACCENT,
        _STYLE_MAX,
} Style;

/* The few characters that are not ASCII, each with an ASCII stand-in. */
typedef enum Glyph {
        GLYPH_BRANCH, /* a child with younger siblings */
        GLYPH_LAST,   /* the youngest child */
        GLYPH_LINE,   /* beside the children of a child with younger siblings */
        GLYPH_BLANK,  /* beside those of the youngest */
        GLYPH_DOT,
        GLYPH_ARROW,
        GLYPH_ELLIPSIS,
        _GLYPH_MAX,
} Glyph;

typedef struct Output {
        FILE *stream;
        char *buffer;
        size_t size;
        bool terminal; /* stdout is one */
        bool color;
        bool utf8;
        bool pager;       /* use one when there is more than a screen */
        unsigned columns; /* of the terminal; 0: lines are as long as they are */
} Output;

/* setlocale(3) must have been called. */
int output_init(Output *output, bool pager);

/* Shows what was written, then frees. A reader that went away (EPIPE) is no failure. */
int output_finish(Output *output);

/* Shows what was written so far, without pager, and goes on. */
int output_flush(Output *output);
void output_done(Output *output);

/* Escape sequences that begin a style and end all; "" without colours. */
const char *output_style(const Output *output, Style style);
const char *output_plain(const Output *output);
const char *output_glyph(const Output *output, Glyph glyph);

/* Writes text with its control characters made harmless, in a style. */
void output_text(Output *output, Style style, const char *text);
void output_printf(Output *output, Style style, const char *format, ...) _printf_(3, 4);

/* Writes the value and a newline; `mode` is not JSON_MODE_OFF. NULL is null. */
void output_json(Output *output, JsonMode mode, json_object *value);

/* Whether colours may be used on this descriptor: a terminal, no NO_COLOR, no dumb terminal. */
bool color_allowed(int fd);
bool utf8_allowed(void);

/* A copy with control characters (but newline and tab where allowed) replaced by '?', so that a name can't steer
 * the terminal. Invalid UTF-8 is replaced too. The caller frees. NULL when out of memory. */
char *text_clean(const char *text, bool allow_lines);

/* Columns that the text takes on a terminal; control characters count as one. */
unsigned text_width(const char *text);

/* The offset of the first byte that is NUL or no UTF-8, or `size`. */
size_t utf8_check(const char *text, size_t size);

/* 12345 as "12 345" when `group`, else "12345". */
#define COUNT_SIZE 32
const char *count_to_string(char buffer[COUNT_SIZE], uint64_t count, bool group);

/* 12345678 as "12.3M", rounded down; below 10000 as it is. */
const char *count_to_short_string(char buffer[COUNT_SIZE], uint64_t count);

/* 12345678 as "12.3 MB", rounded down; below 10000 as "1234 B". */
const char *bytes_to_short_string(char buffer[COUNT_SIZE], uint64_t bytes);

static inline bool output_group(const Output *output) {
        return output->terminal;
}
