/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One set of the guard's programs in the kernel with their maps, just loaded or found pinned; it goes with the last
 * descriptor or pin of it. Sets of several versions may be there for a moment.
 */

#include "bpf/guard.h"
#include "model/guard.h"
#include "util/error.h"

typedef enum GuardTechnique {
        GUARD_TECHNIQUE_LSM,
        GUARD_TECHNIQUE_FMOD_RET,
        _GUARD_TECHNIQUE_MAX,
        _GUARD_TECHNIQUE_INVALID = -EINVAL,
} GuardTechnique;

DECLARE_STRING_TABLE(guard_technique, GuardTechnique)

/* Their names are those of the maps in bpf/guard-maps.bpf.h, behind "guard_". */
typedef enum GuardMap {
        GUARD_MAP_SETTINGS,
        GUARD_MAP_COUNTERS,
        GUARD_MAP_LOSSES,
        GUARD_MAP_ANSWER,
        GUARD_MAP_HOOKS,
        GUARD_MAP_LINKS,
        GUARD_MAP_IFACES,
        GUARD_MAP_NAMES,
        GUARD_MAP_EXES,
        GUARD_MAP_UNITS,
        GUARD_MAP_USERS,
        GUARD_MAP_OWN,
        GUARD_MAP_SERVICE,
        GUARD_MAP_EVENTS,
        _GUARD_MAP_MAX,
        _GUARD_MAP_INVALID = -EINVAL,
} GuardMap;

DECLARE_STRING_TABLE(guard_map, GuardMap)

#define GUARD_SET_LINKS_MAX 32

typedef struct GuardSetLink {
        int fd;
        char name[32]; /* of the program */
} GuardSetLink;

typedef struct GuardSet {
        GuardTechnique technique;
        int maps[_GUARD_MAP_MAX];
        GuardSetLink links[GUARD_SET_LINKS_MAX];
        size_t n_links;
} GuardSet;

int guard_set_new(GuardTechnique technique, GuardSet **ret);
GuardSet *guard_set_free(GuardSet *set); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(GuardSet *, guard_set_free)

/* Loads and attaches all; they let everything until their settings are written. This process is the service to them
 * from the beginning. Errors: NotSupported with what the kernel lacks. */
int guard_set_load(GuardTechnique technique, GuardSet **ret, Error *error);

/* Says that this process is the service. -EPERM: the programs take it for a stranger. */
int guard_set_register(const GuardSet *set);

/* Asks the programs; 0 when they answered, -ENXIO when the kernel did: they are not called. */
int guard_set_ask(const GuardSet *set, uint32_t what, int fd);

/* Device and inode as the kernel has them in its own records of the file; stat(2) tells others on some file systems.
 * -errno of opening it. */
int guard_set_identify(const GuardSet *set, const char *path, struct guard_bpf_file *ret);

/* Has all maps, programs and links of which this process has a descriptor defended. */
int guard_set_own_all(const GuardSet *set);

/* Programs that a set must have to be whole. */
bool guard_set_is_whole(const GuardSet *set);

/* A digest of the programs, 16 hexadecimal digits. */
int guard_set_version(char ret[17]);
