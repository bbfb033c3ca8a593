/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What BTF tells of maps: how an object defines them (".maps"), and which fields of a value the kernel manages
 * itself. Pure; the BTF may be anything that libbpf has parsed.
 */

#include <bpf/btf.h>
#include <linux/bpf.h>

#include "util/macros.h"

/* As the object says, before libbpf and the kernel make of it what they need. */
typedef struct MapDefinition {
        uint32_t type; /* enum bpf_map_type */
        uint32_t key_size;
        uint32_t value_size;
        uint32_t max_entries;
        uint32_t flags;
        uint64_t map_extra;
        uint32_t key_type;   /* ids in the BTF, 0 where there are only sizes */
        uint32_t value_type; /* a section of variables for global data */
        uint32_t inner;      /* what map_definition_read() takes for the maps that this one holds; 0: none */
} MapDefinition;

/* The definition of a map by the name that MapInfo gives it; for global data (".bss") only value_type and
 * value_size. -ENOENT: there is none, -EINVAL: it makes no sense. */
int map_definition_find(const struct btf *btf, const char *name, MapDefinition *ret);

/* A definition by its type. */
int map_definition_read(const struct btf *btf, uint32_t type_id, MapDefinition *ret);

/* Fields of a value that user space neither reads nor writes. */
typedef enum MapFields {
        MAP_FIELD_SPIN_LOCK = 1 << 0, /* and values are read whole with BPF_F_LOCK */
        MAP_FIELD_TIMER = 1 << 1,     /* timers, work queues, task work */
        MAP_FIELD_POINTER = 1 << 2,   /* to objects of the kernel */
        MAP_FIELD_LIST = 1 << 3,      /* lists and trees of such objects */
} MapFields;

/* A mask of MapFields. */
unsigned map_value_fields(const struct btf *btf, uint32_t value_type);
