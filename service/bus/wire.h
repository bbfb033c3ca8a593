/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Putting things into messages. Names of interfaces come from the kernel and may hold any bytes; strings on the
 * bus must be UTF-8, so what is not is shown as U+FFFD.
 */

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#include "model/kernel-ops.h"

/* A copy with U+FFFD for each byte that is not part of valid UTF-8. The caller frees; NULL: out of memory. */
char *string_make_valid(const char *s);

/* NULL counts as "". */
int wire_append_string(sd_bus_message *message, const char *s);

/* An array of strings, NULL-terminated; NULL counts as empty. */
int wire_append_strv(sd_bus_message *message, char *const *strings);

/* Entries of an open a{sv}. */
int wire_append_entry_string(sd_bus_message *message, const char *key, const char *value);
int wire_append_entry_u32(sd_bus_message *message, const char *key, uint32_t value);
int wire_append_entry_u64(sd_bus_message *message, const char *key, uint64_t value);

/* A JSON object as a{sv}: true and false as b, whole numbers as x, others as d, strings as s, lists as av, objects as
 * a{sv}; null is left out. NULL, or what is no object, counts as empty. */
int wire_append_json(sd_bus_message *message, json_object *object);

/* a{st}, without those that are 0. */
int wire_append_verdicts(sd_bus_message *message, Hook hook, const uint64_t verdicts[VERDICT_BUCKETS]);

/* Entries of an open a{sv}: kind, program-id, name, tag. */
int wire_append_foreign(sd_bus_message *message, const ForeignInfo *foreign);
