/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/object.h"

#include "bus/chain-bus.h"
#include "bus/guard-bus.h"
#include "bus/interface-bus.h"
#include "bus/manager-bus.h"
#include "bus/map-bus.h"
#include "bus/program-bus.h"
#include "util/macros.h"

static const ObjectImplementation *const implementations[_OBJECT_KIND_MAX] = {
        [OBJECT_MANAGER] = &manager_implementation, [OBJECT_INTERFACE] = &interface_implementation,
        [OBJECT_CHAIN] = &chain_implementation,     [OBJECT_PROGRAM] = &program_implementation,
        [OBJECT_MAP] = &map_implementation,         [OBJECT_GUARD] = &guard_implementation,
};

static const char *const templates[_OBJECT_KIND_MAX] = {
        [OBJECT_INTERFACE] = BUS_ROOT "/interface/%",
        [OBJECT_CHAIN] = BUS_ROOT "/chain/%/%",
        [OBJECT_PROGRAM] = BUS_ROOT "/program/%",
        [OBJECT_MAP] = BUS_ROOT "/map/%/%",
};

static bool has_two_names(ObjectKind kind) {
        return kind == OBJECT_CHAIN || kind == OBJECT_MAP;
}

const ObjectImplementation *object_implementation(ObjectKind kind) {
        return implementations[kind];
}

char *object_path(ObjectKind kind, const char *first, const char *second) {
        char *path = NULL;
        int r;

        if (kind == OBJECT_MANAGER || kind == OBJECT_GUARD)
                return strdup(kind == OBJECT_GUARD ? guard_implementation.path : BUS_ROOT);

        r = has_two_names(kind) ? sd_bus_path_encode_many(&path, templates[kind], first, second)
                                : sd_bus_path_encode_many(&path, templates[kind], first);
        return r < 0 ? NULL : path;
}

int object_path_parse(const char *path, ObjectKind kind, char **ret_first, char **ret_second) {
        _cleanup_free_ char *first = NULL, *second = NULL, *canonical = NULL;
        int r;

        r = has_two_names(kind) ? sd_bus_path_decode_many(path, templates[kind], &first, &second)
                                : sd_bus_path_decode_many(path, templates[kind], &first);
        if (r <= 0)
                return r;

        /* Decoding takes "_65th0" for "eth0" too; an object has one path only. */
        canonical = object_path(kind, first, second);
        if (!canonical)
                return -ENOMEM;
        if (!streq(canonical, path))
                return 0;

        *ret_first = TAKE_PTR(first);
        if (ret_second)
                *ret_second = TAKE_PTR(second);
        return 1;
}

int object_list_add(char ***list, size_t *n, ObjectKind kind, const char *first, const char *second) {
        char **grown = reallocarray(*list, *n + 2, sizeof(char *));

        if (!grown)
                return -ENOMEM;
        *list = grown;
        grown[*n] = object_path(kind, first, second);
        if (!grown[*n])
                return -ENOMEM;
        grown[++*n] = NULL;
        return 0;
}

char **object_list_free(char **list) {
        for (char **s = list; s && *s; s++)
                free(*s);
        free(list);
        return NULL;
}
