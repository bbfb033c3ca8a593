/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What values of a type look like, for those who read them: dbus/map-spec.md, sections 7 and 8.
 */

#include "util/buffer.h"
#include "value/value-type.h"

/* Appends the JSON Schema (2020-12) of what value_print() gives in JSON. `notes` of the map or variable, or NULL.
 * -E2BIG: it would be larger than 4 MiB. */
int value_schema(const ValueType *type, const ValueNotes *notes, Buffer *buffer);

/* The D-Bus signature of values of the type: "v" where it is not the same for all of them. The caller frees it. */
int value_signature(const ValueType *type, char **ret);
