/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "util/json-reader.h"

#define WORD_MAX 64 /* bytes of a word for which a near one is looked for */

static const struct {
        unsigned kind;
        const char *name;
} kind_names[] = {
        { JSON_OBJECT, "an object" }, { JSON_ARRAY, "an array" },     { JSON_STRING, "a string" },
        { JSON_NUMBER, "a number" },  { JSON_INTEGER, "an integer" }, { JSON_BOOLEAN, "true or false" },
        { JSON_NULL, "null" },
};

static unsigned kind_of(json_object *value) {
        switch (json_object_get_type(value)) {
        case json_type_null: return JSON_NULL;
        case json_type_boolean: return JSON_BOOLEAN;
        case json_type_int: return JSON_INTEGER | JSON_NUMBER;
        case json_type_double: return JSON_NUMBER;
        case json_type_string: return JSON_STRING;
        case json_type_array: return JSON_ARRAY;
        case json_type_object: return JSON_OBJECT;
        }
        return 0;
}

static const char *describe(json_object *value) {
        switch (json_object_get_type(value)) {
        case json_type_null: return "null";
        case json_type_boolean: return json_object_get_boolean(value) ? "true" : "false";
        case json_type_int: return "a number";
        case json_type_double: return "a number with a fraction";
        case json_type_string: return "a string";
        case json_type_array: return "an array";
        case json_type_object: return "an object";
        }
        return "something else";
}

bool json_is(json_object *value, unsigned kinds) {
        return kind_of(value) & kinds;
}

int json_check(json_object *value, const char *where, unsigned kinds, Error *error) {
        char list[128] = "";
        unsigned left = kinds;

        if (kind_of(value) & kinds)
                return 0;

        if (left & JSON_NUMBER)
                left &= ~(unsigned) JSON_INTEGER;
        for (size_t i = 0; i < ELEMENTSOF(kind_names); i++) {
                size_t n = strlen(list);

                if (!(left & kind_names[i].kind))
                        continue;
                left &= ~kind_names[i].kind;
                snprintf(list + n, sizeof(list) - n, "%s%s",
                         n == 0      ? ""
                         : left == 0 ? " or "
                                     : ", ",
                         kind_names[i].name);
        }
        return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "expected %s, got %s", list, describe(value));
}

/* Optimal string alignment distance: insertions, deletions, exchanges, and swaps of neighbours count one each. */
static size_t edit_distance(const char *a, const char *b) {
        size_t rows[3][WORD_MAX + 1], n = strlen(a), m = strlen(b);
        size_t *before = rows[0], *last = rows[1], *row = rows[2], *spare;

        for (size_t j = 0; j <= m; j++)
                last[j] = j;
        for (size_t i = 1; i <= n; i++) {
                row[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        size_t d = last[j - 1] + (a[i - 1] != b[j - 1]);

                        d = MIN2(d, MIN2(last[j], row[j - 1]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                d = MIN2(d, before[j - 2] + 1);
                        row[j] = d;
                }
                spare = before;
                before = last;
                last = row;
                row = spare;
        }
        return last[m];
}

const char *json_nearest(const char *word, const char *const *candidates, size_t n_candidates) {
        size_t n = strlen(word), least = SIZE_MAX;
        const char *nearest = NULL;

        if (n > WORD_MAX)
                return NULL;
        for (size_t i = 0; i < n_candidates; i++) {
                size_t m = candidates[i] ? strlen(candidates[i]) : WORD_MAX + 1, d;

                if (m > WORD_MAX)
                        continue;
                d = edit_distance(word, candidates[i]);
                if (d <= MAX2(n, m) / 3 && d < least) { /* a third of it mistyped, no more */
                        least = d;
                        nearest = candidates[i];
                }
        }
        return nearest;
}

/* "did you mean "x"? Known are: a, b, c" as the end of a sentence. Long lists are cut. */
static char *remedy(const char *word, const char *const *known, size_t n_known, const char *what) {
        const char *nearest = json_nearest(word, known, n_known);
        _cleanup_free_ char *text = NULL;
        size_t size = 0, n = 0;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        if (nearest)
                fprintf(f, "did you mean \"%s\"? ", nearest);
        fprintf(f, "%s %s", nearest ? "Known" : "known", what);
        for (size_t i = 0; i < n_known && n < 40; i++)
                if (known[i])
                        fprintf(f, "%s%s", n++ > 0 ? ", " : " ", known[i]);
        if (n == 0)
                fprintf(f, " none");
        if (n == 40 && n_known > 40)
                fprintf(f, ", ...");
        if (fclose(f) != 0)
                return NULL;
        return TAKE_PTR(text);
}

int json_get_word(json_object *value, const char *where, const char *const *words, size_t n_words, int *ret,
                  Error *error) {
        _cleanup_free_ char *quoted = NULL, *end = NULL;
        const char *s;
        int r;

        r = json_check(value, where, JSON_STRING, error);
        if (r < 0)
                return r;
        s = json_object_get_string(value);
        for (size_t i = 0; i < n_words; i++)
                if (words[i] && streq(words[i], s)) {
                        *ret = (int) i;
                        return 0;
                }

        quoted = json_quote(s);
        end = remedy(s, words, n_words, "are:");
        if (!quoted || !end)
                return -ENOMEM;
        return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "%s is not known here; %s", quoted, end);
}

/* Is the byte in a set written as "A-Za-z_-"? */
static bool in_set(char c, const char *set) {
        for (; *set; set++) {
                if (set[1] == '-' && set[2]) {
                        if (c >= set[0] && c <= set[2])
                                return true;
                        set += 2;
                } else if (c == *set)
                        return true;
        }
        return false;
}

static int check_characters(const char *s, const char *where, const char *what, const char *set, Error *error) {
        for (; *s; s++) {
                unsigned char c = (unsigned char) *s;

                if (set ? in_set(*s, set) : c >= 0x20 && c != 0x7f)
                        continue;
                if (!set)
                        return error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                            "%s must not have control characters (U+%04X)", what, c);
                if (c > 0x20 && c < 0x7f)
                        return error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                            "%s may consist of %s only, not of '%c'", what, set, c);
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "%s may consist of %s only, not of %s",
                                    what, set,
                                    c == ' '   ? "blanks"
                                    : c < 0x80 ? "control characters"
                                               : "other characters");
        }
        return 0;
}

int json_get_string(json_object *value, const char *where, const JsonStringRule *rule, const char **ret,
                    Error *error) {
        static const JsonStringRule any = {};
        const char *s, *what;
        size_t n;
        int r;

        rule = rule ?: &any;
        what = rule->what ?: "this string";
        r = json_check(value, where, JSON_STRING, error);
        if (r < 0)
                return r;
        s = json_object_get_string(value);
        n = (size_t) json_object_get_string_len(value);

        if (strlen(s) != n) /* can't come from json_parse() */
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "%s must not have a NUL character", what);
        if (n == 0 && rule->min > 0)
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "%s must not be empty", what);
        if (n < rule->min)
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "%s must have at least %zu bytes, not %zu",
                                    what, rule->min, n);
        if (rule->max > 0 && n > rule->max)
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                    "%s must not have more than %zu bytes, not %zu", what, rule->max, n);
        r = check_characters(s, where, what, rule->characters, error);
        if (r < 0)
                return r;
        *ret = s;
        return 0;
}

int json_get_integer(json_object *value, const char *where, int64_t min, int64_t max, int64_t *ret, Error *error) {
        int64_t v;
        int r;

        r = json_check(value, where, JSON_INTEGER, error);
        if (r < 0)
                return r;
        v = json_object_get_int64(value);
        /* json-c gives INT64_MAX for all that is larger. */
        if (v == INT64_MAX && json_object_get_uint64(value) > INT64_MAX)
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "%llu is not within %lld..%lld",
                                    (unsigned long long) json_object_get_uint64(value), (long long) min,
                                    (long long) max);
        if (v < min || v > max)
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "%lld is not within %lld..%lld",
                                    (long long) v, (long long) min, (long long) max);
        *ret = v;
        return 0;
}

int json_get_boolean(json_object *value, const char *where, bool *ret, Error *error) {
        int r;

        r = json_check(value, where, JSON_BOOLEAN, error);
        if (r < 0)
                return r;
        *ret = json_object_get_boolean(value);
        return 0;
}

static int unknown_key(const JsonReader *reader, const char *name, const JsonField *fields, size_t n_fields) {
        _cleanup_free_ char *quoted = NULL, *end = NULL, *path = NULL;
        _cleanup_free_ const char **known = NULL;

        known = calloc(n_fields > 0 ? n_fields : 1, sizeof(*known));
        if (!known)
                return -ENOMEM;
        for (size_t i = 0; i < n_fields; i++)
                known[i] = fields[i].name;

        quoted = json_quote(name);
        end = remedy(name, known, n_fields, "keys are:");
        path = json_path_key(reader->where, name);
        if (!quoted || !end || !path)
                return -ENOMEM;
        return error_set_at(reader->error, ERROR_INVALID_DOCUMENT, path, "unknown key %s; %s", quoted, end);
}

static int check_member(const JsonReader *reader, const char *name, json_object *value, const JsonField *fields,
                        size_t n_fields) {
        _cleanup_free_ char *path = NULL;

        for (size_t i = 0; i < n_fields; i++) {
                if (!streq(fields[i].name, name))
                        continue;
                if (kind_of(value) & fields[i].kinds)
                        return 0;
                path = json_path_member(reader->where, name);
                return json_check(value, path, fields[i].kinds, reader->error);
        }
        return unknown_key(reader, name, fields, n_fields);
}

int json_reader_init(JsonReader *reader, json_object *value, const char *where, const JsonField *fields,
                     size_t n_fields, Error *error) {
        JsonReader made = { .object = value, .where = where, .error = error };
        int r;

        r = json_check(value, where, JSON_OBJECT, error);
        if (r < 0)
                return r;
        json_object_object_foreach (value, name, member) {
                r = check_member(&made, name, member, fields, n_fields);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < n_fields; i++)
                if (fields[i].required && !json_object_object_get_ex(value, fields[i].name, NULL))
                        return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "the key \"%s\" is missing here",
                                            fields[i].name);
        *reader = made;
        return 0;
}

int json_reader_value(const JsonReader *reader, const char *name, json_object **ret, char **ret_where) {
        json_object *value;
        char *path = NULL;

        if (!json_object_object_get_ex(reader->object, name, &value))
                return 0;
        if (ret_where) {
                path = json_path_member(reader->where, name);
                if (!path)
                        return -ENOMEM;
                *ret_where = path;
        }
        *ret = value;
        return 1;
}

int json_reader_string(const JsonReader *reader, const char *name, const JsonStringRule *rule, const char **ret) {
        _cleanup_free_ char *path = NULL;
        json_object *value;
        int r;

        r = json_reader_value(reader, name, &value, &path);
        if (r <= 0)
                return r;
        r = json_get_string(value, path, rule, ret, reader->error);
        return r < 0 ? r : 1;
}

int json_reader_word(const JsonReader *reader, const char *name, const char *const *words, size_t n_words, int *ret) {
        _cleanup_free_ char *path = NULL;
        json_object *value;
        int r;

        r = json_reader_value(reader, name, &value, &path);
        if (r <= 0)
                return r;
        r = json_get_word(value, path, words, n_words, ret, reader->error);
        return r < 0 ? r : 1;
}

int json_reader_integer(const JsonReader *reader, const char *name, int64_t min, int64_t max, int64_t *ret) {
        _cleanup_free_ char *path = NULL;
        json_object *value;
        int r;

        r = json_reader_value(reader, name, &value, &path);
        if (r <= 0)
                return r;
        r = json_get_integer(value, path, min, max, ret, reader->error);
        return r < 0 ? r : 1;
}

int json_reader_boolean(const JsonReader *reader, const char *name, bool *ret) {
        _cleanup_free_ char *path = NULL;
        json_object *value;
        int r;

        r = json_reader_value(reader, name, &value, &path);
        if (r <= 0)
                return r;
        r = json_get_boolean(value, path, ret, reader->error);
        return r < 0 ? r : 1;
}

int json_reader_fail(const JsonReader *reader, const char *name, const char *format, ...) {
        _cleanup_free_ char *path = NULL, *message = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&message, format, ap);
        va_end(ap);
        if (r < 0) {
                message = NULL;
                return -ENOMEM;
        }
        path = json_path_member(reader->where, name);
        return error_set_at(reader->error, ERROR_INVALID_DOCUMENT, path, "%s", message);
}
