/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The kinds of objects, their paths, and how each is served.
 *
 * All vtables have the BusContext as userdata; handlers and getters find their object by the path of the call each
 * time. So nothing dangles when an object goes while a question to polkit is on its way.
 */

#include <systemd/sd-bus.h>

#include "model/hook.h"

#define BUS_ROOT "/org/bpfchain1"

typedef enum ObjectKind {
        OBJECT_MANAGER,
        OBJECT_INTERFACE, /* interface */
        OBJECT_CHAIN,     /* interface, hook */
        OBJECT_PROGRAM,   /* program */
        OBJECT_MAP,       /* program, map */
        OBJECT_GUARD,
        _OBJECT_KIND_MAX,
        _OBJECT_KIND_INVALID = -EINVAL,
} ObjectKind;

/* Flags of vtables. Everybody may call: polkit decides. */
#define BUS_PUBLIC      SD_BUS_VTABLE_UNPRIVILEGED
#define BUS_CONSTANT    SD_BUS_VTABLE_PROPERTY_CONST
#define BUS_CHANGES     SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define BUS_INVALIDATES SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION
#define BUS_SILENT      0 /* counters and what is asked of the kernel each time */

typedef struct ObjectImplementation {
        const char *path;      /* of the object, or what the paths of all begin with */
        const char *interface; /* on the bus */
        const sd_bus_vtable *vtable;
        sd_bus_object_find_t find;          /* NULL: one object, at `path` */
        sd_bus_node_enumerator_t enumerate; /* NULL: one object */
} ObjectImplementation;

const ObjectImplementation *object_implementation(ObjectKind kind);

/* The path of an object; `second` is the hook or map where the kind has two names, else NULL. The caller frees;
 * NULL: out of memory. */
char *object_path(ObjectKind kind, const char *first, const char *second);

/* The names in a path. 1: it is one of this kind, 0: it is not (nor is one that is encoded in another way than
 * object_path() does), -ENOMEM. The caller frees. ret_second may be NULL where the kind has one name. */
int object_path_parse(const char *path, ObjectKind kind, char **ret_first, char **ret_second);

/* Adds a path to a growing NULL-terminated list, which sd-bus frees. */
int object_list_add(char ***list, size_t *n, ObjectKind kind, const char *first, const char *second);
char **object_list_free(char **list);
