/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The input is a text. What the scanner accepts json-c must accept; the tree written out must be read again as the
 * same tree; and json_locate() must find each value of it where the text says it. The first line is taken for a path
 * as well, and sought in the rest.
 */

#include "fuzz.h"
#include "util/json.h"

#define PLACES_MAX 64

typedef struct Walk {
        const char *text;
        size_t size;
        unsigned n; /* places looked for */
} Walk;

/* The text from the place on must begin with the value. */
static void check_place(Walk *walk, json_object *value, const char *path) {
        json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
        JsonPosition position = {};
        json_object *other;

        MUST(tokener);
        MUST(json_locate(walk->text, walk->size, path, &position) == 0);
        MUST(position.offset < walk->size);
        other = json_tokener_parse_ex(tokener, walk->text + position.offset, (int) (walk->size - position.offset));
        if (json_tokener_get_error(tokener) == json_tokener_continue)
                other = json_tokener_parse_ex(tokener, "", 1);
        MUST(json_tokener_get_error(tokener) == json_tokener_success);
        MUST(json_object_equal(value, other));
        json_object_put(other);
        json_tokener_free(tokener);
}

static void check_places(Walk *walk, json_object *value, const char *path) {
        if (walk->n++ >= PLACES_MAX)
                return;
        check_place(walk, value, path);
        if (json_object_is_type(value, json_type_object)) {
                json_object_object_foreach (value, name, member) {
                        _cleanup_free_ char *below = json_path_member(path, name), *key = json_path_key(path, name);
                        JsonPosition position = {};

                        MUST(json_locate(walk->text, walk->size, key, &position) == 0);
                        MUST(walk->text[position.offset] == '"');
                        check_places(walk, member, below);
                }
        } else if (json_object_is_type(value, json_type_array))
                for (size_t i = 0; i < json_object_array_length(value) && walk->n < PLACES_MAX; i++) {
                        _cleanup_free_ char *below = json_path_index(path, i);

                        check_places(walk, json_object_array_get_idx(value, i), below);
                }
}

static void check_text(const char *text, size_t size) {
        _cleanup_json_ json_object *value = NULL, *again = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        JsonPosition position = {};
        const char *written;
        size_t n;
        int r;

        r = json_parse(text, size, &value, &position, &error);
        if (r < 0) {
                MUST(error_is_set(&error) && error.message);
                MUST(!strstr(error.message, "can't be read as JSON"));
                MUST(position.offset <= size && position.line > 0 && position.column > 0);
                return;
        }
        MUST(!error_is_set(&error));
        written = json_object_to_json_string_length(value, JSON_C_TO_STRING_PLAIN, &n);
        if (n > JSON_DOCUMENT_MAX) /* escapes may make it longer */
                return;
        r = json_parse(written, n, &again, NULL, &error);
        MUST(r == 0);
        MUST(json_object_equal(value, again));
        check_places(&(Walk){ .text = text, .size = size }, value, "");
}

/* Any path in any text: nothing more than that it comes to an end. */
static void check_path(const char *text, size_t size) {
        const char *newline = memchr(text, '\n', size);
        _cleanup_free_ char *path = NULL;
        JsonPosition position;

        if (!newline)
                return;
        path = strndup(text, (size_t) (newline - text));
        MUST(path);
        (void) json_locate(newline + 1, size - (size_t) (newline + 1 - text), path, &position);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        check_text((const char *) data, size);
        if (size > 0)
                check_path((const char *) data, size);
        return 0;
}
