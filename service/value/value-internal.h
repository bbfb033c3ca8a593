/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the makers of types share. */

#include "value/value-type.h"

#define VALUE_NAME_MAX      255U /* bytes of a name that are kept: JSON_NAME_MAX of util/json.h */
#define VALUE_TYPE_NAME_MAX 128U

/* A copy of a name that JSON, a terminal and a log can take, cut to `max` bytes. */
char *value_name_clean(const char *name, size_t max);

/* A type of this kind with nothing in it; NULL when out of memory. */
ValueType *value_type_new(ValueKind kind, const char *name, uint32_t size);
