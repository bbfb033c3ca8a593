/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading JSON that anybody may have written, and saying where in the text something stands. json-c builds the
 * tree; a strict scanner of our own (json-scan.h) goes over the text first, because json-c alone takes the last of
 * two equal keys, saturates large numbers, cuts keys at an escaped NUL, and knows of an error little more than its
 * byte.
 *
 * Places in a document are paths: `programs.deny.maps.denied_v4[0].key.prefixlen`. Member names of anything but
 * letters, digits, '_' and '-' are written `["odd name"]`, with JSON's escapes; the whole document is the empty
 * path. A path that ends in '~' means the name of the member (its key) instead of its value: that is where an
 * unknown key is to be reported. Error.where holds such paths; json_locate_error() finds them in the text.
 *
 * Checking what the tree holds is the job of json-reader.h.
 */

#include <json-c/json.h>

#include "util/error.h"

#define JSON_DOCUMENT_MAX   (4U * 1024 * 1024) /* bytes of a text */
#define JSON_DEPTH_MAX      32U                /* arrays and objects within each other */
#define JSON_NAME_MAX       255U               /* bytes of a member's name, decoded */
#define JSON_VALUES_MAX     (1U << 20)         /* values in one text */
#define JSON_CONTAINERS_MAX (1U << 17) /* arrays and objects in one text; json-c spends up to 800 bytes each */

typedef struct JsonPosition {
        size_t offset;   /* bytes from the beginning of the text */
        unsigned line;   /* from 1 */
        unsigned column; /* from 1, in characters (code points) as editors count them; a tab is one */
} JsonPosition;

DEFINE_CLEANUP(json_object *, json_object_put)
#define _cleanup_json_ _cleanup_(json_object_putp)

/* Reads `size` bytes (no NUL needed behind them; NULL is fine for size 0) as exactly one JSON value after RFC 8259:
 * UTF-8 without byte order mark, no comments, no trailing commas, no equal keys in one object, no lone surrogates,
 * no NUL characters, whole numbers within 64 bits. The caller owns *ret (NULL stands for a text of just `null`).
 * On ERROR_INVALID_DOCUMENT and ERROR_LIMIT_EXCEEDED *ret_position is where in the text; it may be NULL. -ENOMEM
 * leaves error and position alone. */
int json_parse(const char *text, size_t size, json_object **ret, JsonPosition *ret_position, Error *error);

/* Line and column of a byte; an offset beyond the end counts as the end. */
JsonPosition json_position(const char *text, size_t size, size_t offset);

/* Finds the place that a path means in a text that json_parse() accepted, in linear time. Where the text has not
 * all of the path, the deepest part that is there is taken. NULL counts as the empty path, the document's value.
 * -EINVAL: not a path; *ret is untouched. */
int json_locate(const char *text, size_t size, const char *where, JsonPosition *ret);

/* Finds error->where in the text, and removes a final '~' from error->where so that it can be shown. An error
 * without a place, or a place that is no path, is at the beginning of the document. */
JsonPosition json_locate_error(const char *text, size_t size, Error *error);

/* Text in double quotes with JSON's escapes, for messages: nothing in it can upset a terminal or a log, and beyond 64
 * bytes it is cut. The caller frees it; NULL when out of memory. */
char *json_quote(const char *s);

/* The path of a member, an element, or a member's key below `base` (NULL: the document). The caller frees the result,
 * which is NULL when out of memory; so error_set_at(error, code, path, …) works with it in any case. */
char *json_path_member(const char *base, const char *name);
char *json_path_index(const char *base, size_t i);
char *json_path_key(const char *base, const char *name);

typedef enum JsonPathStepKind {
        JSON_PATH_MEMBER,
        JSON_PATH_INDEX,
        JSON_PATH_KEY, /* the '~' at the end */
} JsonPathStepKind;

typedef struct JsonPathStep {
        JsonPathStepKind kind;
        char name[JSON_NAME_MAX + 1];
        size_t index;
} JsonPathStep;

/* Takes one step off the front of a path: *path moves on. 1: there was one, 0: the path has ended, -EINVAL: this is
 * not a path. The first step of a whole path has no '.' before it. */
int json_path_step(const char **path, JsonPathStep *ret);
