/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What comes over the bus as JSON, which all verbs then work with: dictionaries become objects, other arrays and
 * structs arrays, arrays of bytes strings of hexadecimal digits, variants what is in them.
 */

#include "client/client.h"
#include "util/json.h"

/* Converts what is left in the message or in the open container: one value, or with several an array of them.
 * Strings are copied. -EBADMSG: not a message that D-Bus allows; -ENOMEM. */
int bus_json_read(sd_bus_message *message, json_object **ret);

/* Converts the next single value. */
int bus_json_read_value(sd_bus_message *message, json_object **ret);

/* "XdpFeatures" as "xdp-features": how members are called in our JSON. The caller frees. */
char *kebab(const char *camel);

/* A copy of an object of properties with such names; the values are shared. NULL when out of memory. */
json_object *kebab_members(json_object *object);

/* All objects of the service by path, each an object of interfaces, each an object of properties. Returns an exit
 * status. */
int client_get_objects(Client *client, json_object **ret);

/* The properties of the manager. Returns an exit status. */
int client_get_manager(Client *client, json_object **ret);

/* Members that may be missing or of another type: a stand-in then. Strings belong to the object. */
const char *json_text(json_object *object, const char *name);    /* "" */
uint64_t json_number(json_object *object, const char *name);     /* 0 */
bool json_truth(json_object *object, const char *name);          /* false */
json_object *json_member(json_object *object, const char *name); /* NULL */
json_object *json_list(json_object *object, const char *name);   /* NULL unless an array */
size_t json_length(json_object *array);                          /* 0 unless an array */

/* A sentence of a chain's object ("reason", "sentence") without the chain's name in front: "eth0/xdp: …" says nothing
 * where the name stands beside it. */
const char *chain_reason(json_object *chain, const char *name);

/* Takes over the value; NULL becomes null. -ENOMEM: the value is freed. */
int json_add(json_object *object, const char *name, json_object *value);

/* "a, b, c"; the caller frees. */
char *json_join(json_object *array, const char *separator);
