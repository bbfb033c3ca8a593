/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From BTF to value/value-type.h. BTF comes out of object files and may be anything that libbpf's parser lets pass:
 * types that contain themselves or stand a hundred deep, members outside their struct, names that are none. What
 * can't be understood becomes opaque and says why; what is around it stays usable.
 *
 * Declaration tags "bpfchain:KEY=VALUE" on members, variables, structs, unions and typedefs are what dbus/map-spec.md
 * says; a tag that makes no sense, or does not fit its type, is as if it were not there.
 */

#include <bpf/btf.h>

#include "value/value-type.h"

typedef struct ValueBtf ValueBtf;

/* `btf` must live longer. */
int value_btf_new(const struct btf *btf, ValueBtf **ret);
void value_btf_free(ValueBtf *values);
DEFINE_CLEANUP(ValueBtf *, value_btf_free)
#define _cleanup_value_btf_ _cleanup_(value_btf_freep)

/* The type with this id, of a section of variables as a struct of them. Fails only when out of memory. A type that
 * makes no sense is opaque, with as many bytes as BTF gives it, or none. */
int value_btf_type(ValueBtf *values, uint32_t id, const ValueType **ret);

/* The same for one key, value or variable, with or without BTF (btf NULL or id 0: raw bytes). map_type: of a key of
 * an LPM trie enum bpf_map_type, else 0. `size`: what the kernel says. */
int value_btf_compile(const struct btf *btf, uint32_t id, uint32_t map_type, uint32_t size, const ValueType **ret);

/* What a map holds. */
typedef struct ValueMap {
        const ValueType *key;   /* NULL: it has no keys (queues, stacks, bloom filters, ring buffers) */
        const ValueType *value; /* NULL: no values either */
        const ValueType *event; /* ring buffer, perf array: the records, where the object tells; else NULL */
        ValueNotes notes;       /* of the map itself */
} ValueMap;

void value_map_done(ValueMap *map);
#define _cleanup_value_map_ _cleanup_(value_map_done)

/* `values` may be NULL: without BTF. `name` is the object's name of the map (".bss"), by which notes and the type of
 * records are found. The type ids may be 0. The sizes are the kernel's; one value's of a per-CPU map. */
int value_btf_map(ValueBtf *values, const char *name, uint32_t map_type, uint32_t key_id, uint32_t key_size,
                  uint32_t value_id, uint32_t value_size, ValueMap *ret);
