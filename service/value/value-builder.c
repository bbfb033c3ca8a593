/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Structs and unions, member by member. A union is a group of choices; when it is an anonymous member of another
 * type, its members and groups are taken over, and the place where it stands may itself be a choice of a group above.
 */

#include "value/value-internal.h"

struct ValueBuilder {
        ValueType *type;
};

int value_builder_new(ValueKind kind, const char *name, uint32_t size, ValueBuilder **ret) {
        _cleanup_value_builder_ ValueBuilder *builder = NULL;

        if (kind != VALUE_STRUCT && kind != VALUE_UNION)
                return -EINVAL;
        if (size > VALUE_SIZE_MAX)
                return -E2BIG;
        builder = calloc(1, sizeof(*builder));
        if (!builder)
                return -ENOMEM;
        builder->type = value_type_new(kind, name, size);
        if (!builder->type)
                return -ENOMEM;
        builder->type->weight = 0;
        builder->type->n_groups = kind == VALUE_UNION;
        *ret = TAKE_PTR(builder);
        return 0;
}

void value_builder_free(ValueBuilder *builder) {
        if (!builder)
                return;
        value_type_unref(builder->type);
        free(builder);
}

/* Returns the index of the new choice. */
static int add_choice(ValueBuilder *builder, int group, int up) {
        ValueType *type = builder->type;
        ValueChoice *choice;

        choice = ARRAY_APPEND(type->choices, type->n_choices);
        if (!choice)
                return -ENOMEM;
        *choice = (ValueChoice){ group, up };
        return (int) type->n_choices - 1;
}

static int account(ValueBuilder *builder, const ValueType *part) {
        ValueType *type = builder->type;

        type->depth = MAX2(type->depth, part->depth + 1);
        type->weight += part->weight;
        return type->depth > VALUE_DEPTH_MAX || type->weight > VALUE_WEIGHT_MAX ? -E2BIG : 0;
}

static int append(ValueBuilder *builder, const char *name, const ValueType *type, uint64_t offset, unsigned bits,
                  int choice, const ValueNotes *notes) {
        ValueType *t = builder->type;
        ValueNotes copy = {};
        ValueMember *m;
        char *clean;
        int r;

        if (t->n_members >= VALUE_MEMBERS_MAX)
                return -E2BIG;
        r = account(builder, type);
        if (r < 0)
                return r;
        if (notes) {
                r = value_notes_copy(notes, &copy);
                if (r < 0)
                        return r;
        }
        clean = value_name_clean(name, VALUE_NAME_MAX);
        m = clean ? ARRAY_APPEND(t->members, t->n_members) : NULL;
        if (!m) {
                free(clean);
                value_notes_done(&copy);
                return -ENOMEM;
        }
        *m = (ValueMember){ clean, value_type_ref(type), (uint32_t) offset, (uint8_t) bits, choice, copy };
        return 0;
}

static int append_parts(ValueBuilder *builder, const ValueType *type, uint64_t offset, int choice,
                        const ValueNotes *notes) {
        size_t first_choice = builder->type->n_choices, first_group = builder->type->n_groups;
        int r = 0;

        if (type->n_choices > VALUE_MEMBERS_MAX - MIN2(first_choice, VALUE_MEMBERS_MAX))
                return -E2BIG;
        for (size_t i = 0; i < type->n_choices && r >= 0; i++) {
                const ValueChoice *c = &type->choices[i];

                r = add_choice(builder, c->group + (int) first_group,
                               c->up < 0 ? choice : c->up + (int) first_choice);
        }
        builder->type->n_groups += type->n_groups;
        for (size_t i = 0; i < type->n_members && r >= 0; i++) {
                const ValueMember *m = &type->members[i];
                ValueNotes merged = {};

                r = value_notes_copy(&m->notes, &merged);
                if (r >= 0 && notes)
                        r = value_notes_merge(&merged, notes);
                if (r >= 0)
                        r = append(builder, m->name, m->type, offset + m->offset, m->bits,
                                   m->choice < 0 ? choice : m->choice + (int) first_choice, &merged);
                value_notes_done(&merged);
        }
        return r;
}

/* Does the member stand where it can be read and written? */
static bool fits(const ValueType *type, const ValueType *part, uint64_t offset, unsigned bits) {
        if (bits == 0)
                return offset % 8 == 0 && offset / 8 <= type->size && part->size <= type->size - offset / 8;
        if (part->kind != VALUE_INTEGER && part->kind != VALUE_BOOLEAN && part->kind != VALUE_ENUM)
                return false;
        return bits <= 8 * part->size && bits <= 128 && offset <= 8 * (uint64_t) type->size &&
               bits <= 8 * (uint64_t) type->size - offset;
}

int value_builder_add(ValueBuilder *builder, const char *name, const ValueType *type, uint64_t offset, unsigned bits,
                      const ValueNotes *notes) {
        bool is_union = builder->type->kind == VALUE_UNION;
        int choice = -1;

        if (strempty(name) && type->kind != VALUE_STRUCT && type->kind != VALUE_UNION)
                return 0; /* it only takes up room */
        if (!fits(builder->type, type, offset, bits))
                return -EINVAL;
        if (is_union) {
                choice = add_choice(builder, 0, -1);
                if (choice < 0)
                        return choice;
        }
        return strempty(name) ? append_parts(builder, type, offset, choice, notes)
                              : append(builder, name, type, offset, bits, choice, notes);
}

static int compare_names(const void *a, const void *b, void *members) {
        const ValueMember *m = members;

        return strcmp(m[*(const uint32_t *) a].name, m[*(const uint32_t *) b].name);
}

int value_builder_end(ValueBuilder *builder, const ValueType **ret) {
        ValueType *type = builder->type;

        type->by_name = calloc(MAX2(type->n_members, 1U), sizeof(*type->by_name));
        if (!type->by_name)
                return -ENOMEM;
        for (size_t i = 0; i < type->n_members; i++)
                type->by_name[i] = (uint32_t) i;
        qsort_r(type->by_name, type->n_members, sizeof(*type->by_name), compare_names, type->members);
        for (size_t i = 1; i < type->n_members; i++)
                if (compare_names(&type->by_name[i - 1], &type->by_name[i], type->members) == 0)
                        return -EEXIST;
        type->weight = MAX2(type->weight, 1U);
        *ret = TAKE_PTR(builder->type);
        return 0;
}

const ValueMember *value_type_member(const ValueType *type, const char *name) {
        size_t low = 0, high = type->n_members;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const ValueMember *m = &type->members[type->by_name[middle]];
                int order = strcmp(m->name, name);

                if (order == 0)
                        return m;
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

/* May these bytes be an address behind other members, where it must be plain that they are? */
static bool is_address(const ValueType *type, bool alone) {
        if (type->size != 4 && type->size != 16)
                return false;
        if (type->format == VALUE_FORMAT_IPV4 || type->format == VALUE_FORMAT_IPV6 || value_type_is_bytes(type) ||
            (type->kind == VALUE_INTEGER && type->format == VALUE_FORMAT_BE32))
                return true;
        if (!alone)
                return false;
        if (type->kind == VALUE_INTEGER)
                return !type->is_signed && type->format == VALUE_FORMAT_NONE;
        return type->kind == VALUE_ARRAY && type->element->kind == VALUE_INTEGER;
}

/* The first four bytes are the length: one member, or several ways to call the same. */
static bool begins_with_length(const ValueType *key) {
        bool found = false;

        for (size_t i = 0; i < key->n_members; i++) {
                const ValueMember *m = &key->members[i];

                if (m->offset >= 32)
                        continue;
                if (m->offset != 0 || m->bits > 0 || m->type->size != 4)
                        return false;
                found = true;
        }
        return found;
}

static void find_address(ValueType *prefix, const ValueType *key, uint32_t size) {
        const ValueMember *last = NULL;

        if (size - 4 == 4 || size - 4 == 16) {
                prefix->address_offset = 4;
                prefix->address_size = size - 4;
        }
        if (!key || key->kind != VALUE_STRUCT || !begins_with_length(key))
                return;
        for (size_t i = 0; i < key->n_members; i++)
                if (!last || key->members[i].offset > last->offset)
                        last = &key->members[i];
        if (!last || last->bits > 0 || last->choice >= 0 || last->offset / 8 + last->type->size != size ||
            !is_address(last->type, last->offset == 32))
                return;
        prefix->address = (int) (last - key->members);
        prefix->address_offset = last->offset / 8;
        prefix->address_size = last->type->size;
}

int value_type_new_prefix(const ValueType *key, uint32_t size, const ValueType **ret) {
        ValueType *prefix;

        if (size <= 4 || (key && (key->size != size || key->kind == VALUE_OPAQUE)))
                return -EINVAL;
        if (size > VALUE_SIZE_MAX || (key && key->depth >= VALUE_DEPTH_MAX))
                return -E2BIG;
        prefix = value_type_new(VALUE_PREFIX, key ? key->name : NULL, size);
        if (!prefix)
                return -ENOMEM;
        prefix->element = value_type_ref(key);
        prefix->depth = key ? key->depth + 1 : 1;
        prefix->weight = key ? key->weight : 1;
        find_address(prefix, key, size);
        *ret = prefix;
        return 0;
}
