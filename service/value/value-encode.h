/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bytes from JSON and from text, as dbus/map-spec.md says. All errors are ERROR_INVALID_DOCUMENT with the path of
 * what does not fit (util/json.h) and a sentence that names the type, or ERROR_INCOMPATIBLE where the type can't be
 * written at all; the buffer's contents are undefined then.
 */

#include <json-c/json.h>

#include "util/error.h"
#include "value/value-type.h"

/* Writes `value` into the `size` bytes of `buffer`, which are zeroed before. `where` is the path of the value, NULL:
 * the document. `size` is what the kernel says and must be the size of the type. */
int value_encode(const ValueType *type, json_object *value, const char *where, void *buffer, size_t size,
                 Error *error);

/* The same over what is there: of structs and unions only members that are given change. */
int value_merge(const ValueType *type, json_object *value, const char *where, void *buffer, size_t size,
                Error *error);

/* What one argument of a command line means, as JSON that value_encode() takes. *ret: the caller's (NULL: null). */
int value_from_argument(const ValueType *type, const char *text, const char *where, json_object **ret, Error *error);

/* Both together. */
int value_encode_argument(const ValueType *type, const char *text, const char *where, void *buffer, size_t size,
                          Error *error);
