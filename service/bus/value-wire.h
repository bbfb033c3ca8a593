/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Values of maps in messages, as dbus/map-spec.md, section 8, says: typed by what they are, and read as leniently as
 * JSON.
 */

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#include "util/error.h"
#include "value/value-type.h"

/* Appends the value as a variant. -E2BIG: it is too large for a message; or an errno of sd-bus. */
int value_wire_append(sd_bus_message *message, const ValueType *type, const void *bytes);

/* Reads a variant as JSON for value_encode(): `type` is the type that is expected. *ret: the caller's.
 * ERROR_INVALID_ARGUMENT: what is in it can't be a value. */
int value_wire_read(sd_bus_message *message, const ValueType *type, json_object **ret, Error *error);
