/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What value-btf.c, value-tags.c and value-map.c share. */

#include "kernel/value-btf.h"

/* A declaration tag of ours. */
typedef struct ValueTag {
        uint32_t target;  /* id of what it is on */
        int component;    /* of the struct's members, or -1 */
        const char *text; /* "KEY=VALUE", behind the prefix */
} ValueTag;

struct ValueBtf {
        const struct btf *btf;
        uint32_t n_types;
        const ValueType **types; /* by id; NULL: not compiled yet */
        bool *busy;              /* being compiled */
        ValueTag *tags;          /* sorted by target and component */
        size_t n_tags;
        unsigned n_members; /* made so far */
};

const char *value_btf_name(const ValueBtf *v, uint32_t offset);

/* value-tags.c */
int value_btf_index_tags(ValueBtf *v);
bool value_btf_has_tags(const ValueBtf *v, uint32_t target);

/* The type as the tags of a target say (with formats), and what else they say. `ret_notes` must be empty; after a
 * failure the caller frees what it has. */
int value_btf_apply_tags(ValueBtf *v, uint32_t target, int component, const ValueType *type, const ValueType **ret,
                         ValueNotes *ret_notes);

/* The same for the key of a map, whose tags say "key-format". */
int value_btf_apply_key_tags(ValueBtf *v, uint32_t target, const ValueType *type, const ValueType **ret);

/* An enumeration, or what else counts as one of so many bytes. */
int value_btf_enum(ValueBtf *v, const struct btf_type *t, uint32_t size, const ValueType **ret);
