/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Checks what a JSON tree holds and takes it out, with errors that name the place and the remedy. In short:
 *
 *         static const JsonField fields[] = {
 *                 { "object", JSON_STRING, true },
 *                 { "priority", JSON_INTEGER },
 *                 { "mode", JSON_STRING },
 *         };
 *         JsonReader reader;
 *
 *         r = json_reader_init(&reader, value, where, fields, ELEMENTSOF(fields), error);
 *         if (r < 0)
 *                 return r;
 *         r = json_reader_string(&reader, "object", &(JsonStringRule){ .min = 1, .max = 255 }, &object);
 *         if (r < 0)
 *                 return r;
 *         r = json_reader_integer(&reader, "priority", 0, 1000, &priority);  // priority keeps its default if absent
 *         ...
 *
 * All errors are ERROR_INVALID_DOCUMENT and carry the path of the member (or of the key, see util/json.h).
 * Values and strings that are handed out belong to the tree.
 */

#include "util/json.h"

/* Kinds of values, to be or-ed. */
enum {
        JSON_NULL = 1 << 0,
        JSON_BOOLEAN = 1 << 1,
        JSON_INTEGER = 1 << 2, /* a number without fraction and exponent */
        JSON_NUMBER = 1 << 3,  /* any number, so an integer too */
        JSON_STRING = 1 << 4,
        JSON_ARRAY = 1 << 5,
        JSON_OBJECT = 1 << 6,
        JSON_ANY = (1 << 7) - 1,
};

bool json_is(json_object *value, unsigned kinds);

/* 0, or an error such as "expected a string or an array, got a number". */
int json_check(json_object *value, const char *where, unsigned kinds, Error *error);

/* Single values. `where` is the path of the value itself; NULL is the document. */

typedef struct JsonStringRule {
        const char *what;       /* what the string is, for messages: "a program name"; NULL: "this string" */
        size_t min;             /* bytes; 1 refuses the empty string */
        size_t max;             /* bytes; 0: no limit */
        const char *characters; /* the bytes it may consist of, with ranges: "A-Za-z0-9_.-" ('-' last); NULL: all but
                                   control characters */
} JsonStringRule;

/* A NULL rule allows every string without control characters. */
int json_get_string(json_object *value, const char *where, const JsonStringRule *rule, const char **ret,
                    Error *error);

/* The index of the string in `words`; a word that is not there gets an error that names the nearest and all. */
int json_get_word(json_object *value, const char *where, const char *const *words, size_t n_words, int *ret,
                  Error *error);

int json_get_integer(json_object *value, const char *where, int64_t min, int64_t max, int64_t *ret, Error *error);
int json_get_boolean(json_object *value, const char *where, bool *ret, Error *error);

/* Objects with known members. */

typedef struct JsonField {
        const char *name;
        unsigned kinds; /* what it may be; JSON_ANY: whatever */
        bool required;
} JsonField;

typedef struct JsonReader {
        json_object *object;
        const char *where;
        Error *error;
} JsonReader;

/* Checks that the value is an object, that it has all required fields, that all its members are known ones and of
 * the right kind. An unknown key is answered with the nearest known one and the list. Nothing needs freeing; value,
 * where and error must outlive the reader. */
int json_reader_init(JsonReader *reader, json_object *value, const char *where, const JsonField *fields,
                     size_t n_fields, Error *error);

/* Members by name. 1: it is there and *ret is set; 0: it is absent and *ret untouched; negative: as above. */
int json_reader_string(const JsonReader *reader, const char *name, const JsonStringRule *rule, const char **ret);
int json_reader_word(const JsonReader *reader, const char *name, const char *const *words, size_t n_words, int *ret);
int json_reader_integer(const JsonReader *reader, const char *name, int64_t min, int64_t max, int64_t *ret);
int json_reader_boolean(const JsonReader *reader, const char *name, bool *ret);

/* The member as it is (NULL stands for null), and its path if ret_where is not NULL, which the caller frees. */
int json_reader_value(const JsonReader *reader, const char *name, json_object **ret, char **ret_where);

/* Sets an error at a member: `return json_reader_fail(&reader, "hook", "…", …)`. */
int json_reader_fail(const JsonReader *reader, const char *name, const char *format, ...) _printf_(3, 4);

/* The candidate that a mistyped word most probably meant, or NULL where none is near. Candidates may be NULL. */
const char *json_nearest(const char *word, const char *const *candidates, size_t n_candidates);
