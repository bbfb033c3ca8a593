/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "util/buffer.h"

#define CAPACITY_MIN 256U

void buffer_done(Buffer *buffer) {
        free(buffer->data);
        *buffer = (Buffer){};
}

int buffer_grow(Buffer *buffer, size_t more) {
        size_t capacity;
        char *data;

        if (more > SIZE_MAX / 4 || buffer->size > SIZE_MAX / 4)
                return -ENOMEM;
        capacity = MAX2(MAX2(buffer->capacity * 2, buffer->size + more), CAPACITY_MIN);
        data = realloc(buffer->data, capacity);
        if (!data)
                return -ENOMEM;
        buffer->data = data;
        buffer->capacity = capacity;
        return 0;
}

int buffer_append(Buffer *buffer, const void *data, size_t size) {
        int r = buffer_reserve(buffer, size);

        if (r < 0)
                return r;
        if (size > 0)
                memcpy(buffer->data + buffer->size, data, size);
        buffer->size += size;
        return 0;
}

int buffer_append_string(Buffer *buffer, const char *s) {
        return buffer_append(buffer, s, strlen(s));
}

int buffer_append_format(Buffer *buffer, const char *format, ...) {
        _cleanup_free_ char *s = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&s, format, ap);
        va_end(ap);
        if (n < 0) {
                s = NULL;
                return -ENOMEM;
        }
        return buffer_append(buffer, s, (size_t) n);
}

char *json_escape(char *to, const char *from, size_t size) {
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char) from[i];

                if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
                        *to++ = (char) c;
                        continue;
                }
                *to++ = '\\';
                if (c == '"' || c == '\\')
                        *to++ = (char) c;
                else if (c == '\n')
                        *to++ = 'n';
                else if (c == '\t')
                        *to++ = 't';
                else if (c == '\r')
                        *to++ = 'r';
                else {
                        memcpy(to, "u00", 3);
                        to[3] = digits[c >> 4];
                        to[4] = digits[c & 15];
                        to += 5;
                }
        }
        return to;
}

int buffer_append_json(Buffer *buffer, const char *text, size_t size) {
        char *p;
        int r;

        if (size > SIZE_MAX / 16)
                return -ENOMEM;
        r = buffer_reserve(buffer, 6 * size + 2);
        if (r < 0)
                return r;
        p = buffer->data + buffer->size;
        *p++ = '"';
        p = json_escape(p, text, size);
        *p++ = '"';
        buffer->size = (size_t) (p - buffer->data);
        return 0;
}

char *buffer_take(Buffer *buffer) {
        char *s;

        if (buffer_append(buffer, "", 1) < 0)
                return NULL;
        s = TAKE_PTR(buffer->data);
        *buffer = (Buffer){};
        return s;
}
