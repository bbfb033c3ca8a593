/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "util/json-reader.h"
#include "value/value-place.h"

/* The depth of places is that of the descent, so it is bounded. */
char *encoder_path(const Place *place) {
        _cleanup_free_ char *base = NULL;

        if (!place->up)
                return strdup(strempty_to(place->path, ""));
        base = encoder_path(place->up);
        if (!base)
                return NULL;
        return place->member ? json_path_member(base, place->member) : json_path_index(base, place->index);
}

int encoder_fault(Encoder *e, const Place *place, ErrorCode code, const char *format, ...) {
        _cleanup_free_ char *path = encoder_path(place), *message = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&message, format, ap);
        va_end(ap);
        if (r < 0) {
                message = NULL;
                return -ENOMEM;
        }
        return error_set_at(e->error, code, path, "%s", message);
}

int encoder_check(Encoder *e, const Place *place, json_object *value, unsigned kinds) {
        _cleanup_free_ char *path = NULL;

        if (json_is(value, kinds))
                return 0;
        path = encoder_path(place);
        return json_check(value, path, kinds, e->error);
}

const char *name_for_message(const char *name, char buffer[NAME_SIZE]) {
        size_t n = strlen(name);

        if (n < NAME_SIZE)
                return strcpy(buffer, name);
        n = NAME_SIZE - 4;
        while (n > 0 && ((unsigned char) name[n] & 0xc0) == 0x80)
                n--; /* not within a character */
        memcpy(buffer, name, n);
        strcpy(buffer + n, "...");
        return buffer;
}

char *list_names(size_t n, const char *(*get)(void *userdata, size_t i), void *userdata) {
        _cleanup_free_ char *text = NULL;
        char name[NAME_SIZE];
        size_t size, listed = 0;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                const char *s = get(userdata, i);

                if (strempty(s))
                        continue;
                if (listed == NAMES_MAX) {
                        fputs(", ...", f);
                        break;
                }
                fprintf(f, "%s%s", listed++ > 0 ? ", " : "", name_for_message(s, name));
        }
        if (listed == 0)
                fputs("none", f);
        return fclose(f) == 0 ? TAKE_PTR(text) : NULL;
}
