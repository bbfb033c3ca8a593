/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bytes that grow at their end. There is no NUL behind them, unless one was appended.
 */

#include "util/macros.h"

typedef struct Buffer {
        char *data;
        size_t size;     /* bytes that are there */
        size_t capacity; /* bytes that there is room for */
} Buffer;

void buffer_done(Buffer *buffer);
#define _cleanup_buffer_ _cleanup_(buffer_done)

/* Makes room for so many more bytes; -ENOMEM leaves the buffer as it was. */
int buffer_grow(Buffer *buffer, size_t more);

static inline int buffer_reserve(Buffer *buffer, size_t more) {
        return buffer->capacity - buffer->size >= more ? 0 : buffer_grow(buffer, more);
}

int buffer_append(Buffer *buffer, const void *data, size_t size);
int buffer_append_string(Buffer *buffer, const char *s);
int buffer_append_format(Buffer *buffer, const char *format, ...) _printf_(2, 3);

/* Text (UTF-8, without NULs in it) as a JSON string, with its quotes. */
int buffer_append_json(Buffer *buffer, const char *text, size_t size);

/* What JSON wants of a string: `from` as it stands between quotes, at most 6 bytes for each. Returns the end. */
char *json_escape(char *to, const char *from, size_t size);

/* What is there as a string of its own, which the caller frees; the buffer is empty then. NULL: out of memory. */
char *buffer_take(Buffer *buffer);
