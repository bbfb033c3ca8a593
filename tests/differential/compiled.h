/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Programs that a compiler made: the objects of the other tests, and the examples.
 */

#include <bpf/libbpf.h>

#include "model/hook.h"
#include "random.h"

typedef struct Compiled {
        const char *folder;
        const char *object;
        const char *function;
        const char *times; /* map with times in its values */
        unsigned n_maps;
        unsigned moves; /* bytes that it adds in front */
        unsigned tail_calls;
        bool tc;
        bool frags;
        bool verdict; /* answers as told */
} Compiled;

/* Finds out which of them load here; tells the others on f. Returns how many do. */
size_t compiled_probe(FILE *f);

/* One for the hook, that takes packets of several pages where `frags`, adds nothing to the packet unless `moves`, and
 * uses no more than n_maps maps; NULL: none. */
const Compiled *compiled_pick(Random *random, Hook hook, bool frags, bool moves, bool tail_calls, size_t n_maps);

/* Path of the object; the caller frees. */
char *compiled_path(const Compiled *compiled);

/* Loads it as libbpf would for anybody, with the verdict set. Returns the program's descriptor, which belongs to the
 * object, or a negative errno. */
int compiled_load(const Compiled *compiled, int verdict, struct bpf_object **ret);

/* The descriptor of a map by the name that MapInfo has for it, or -ENOENT. */
int compiled_map(const struct bpf_object *object, const char *name);
