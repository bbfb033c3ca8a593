/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The objects of the service, sorted and with their members named as in our JSON ("link-id"). Each has a member
 * "path"; the slots of a chain are objects with "program" and what the service tells of them.
 */

#include "client/bus-json.h"

/* The objects that have an interface of the bus, as an array: network interfaces by index, chains by interface and
 * hook, others by name. `objects` is what client_get_objects() got. NULL when out of memory. */
json_object *snapshot_list(json_object *objects, const char *bus_interface);

/* The manager's properties likewise: problems become objects of "severity", "where" and "sentence", the pending
 * confirmation one of "generation", "deadline" and "left" (microseconds), or null. */
json_object *snapshot_manager(json_object *properties);

/* The last word of an object's path, decoded: the program's name of a program's path. The caller frees; NULL when
 * out of memory or not such a path. */
char *path_to_name(const char *path);

/* How an object is called by people: "chain eth0/xdp", "program deny", "map deny/hits", "interface eth0". The caller
 * frees; NULL when out of memory. Any other path stays as it is. */
char *path_to_label(const char *path);
