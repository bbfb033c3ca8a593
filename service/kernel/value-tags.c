/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/value-btf-internal.h"

#define PREFIX "bpfchain:"

static int compare_tags(const void *a, const void *b) {
        const ValueTag *x = a, *y = b;

        if (x->target != y->target)
                return x->target < y->target ? -1 : 1;
        return x->component < y->component ? -1 : x->component > y->component;
}

int value_btf_index_tags(ValueBtf *v) {
        for (uint32_t id = 1; id < v->n_types; id++) {
                const struct btf_type *t = btf__type_by_id(v->btf, id);
                const char *text;
                ValueTag *tag;

                if (!t || !btf_is_decl_tag(t))
                        continue;
                text = startswith(value_btf_name(v, t->name_off), PREFIX);
                if (!text)
                        continue;
                tag = ARRAY_APPEND(v->tags, v->n_tags);
                if (!tag)
                        return -ENOMEM;
                *tag = (ValueTag){ t->type, btf_decl_tag(t)->component_idx, text };
        }
        if (v->n_tags > 0)
                qsort(v->tags, v->n_tags, sizeof(*v->tags), compare_tags);
        return 0;
}

/* Index of the first tag of a target, or of where it would be. */
static size_t first_tag(const ValueBtf *v, uint32_t target, int component) {
        const ValueTag wanted = { target, component, NULL };
        size_t low = 0, high = v->n_tags;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (compare_tags(&v->tags[middle], &wanted) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

bool value_btf_has_tags(const ValueBtf *v, uint32_t target) {
        size_t i = first_tag(v, target, -1);

        return i < v->n_tags && v->tags[i].target == target && v->tags[i].component == -1;
}

/* "enum:NAME" and "flags:NAME" on an integer: an enumeration of that name, as wide as the integer. */
static int enumerated(ValueBtf *v, const char *name, bool flags, const ValueType *type, const ValueType **ret) {
        _cleanup_value_type_ const ValueType *plain = NULL;
        int id = btf__find_by_name_kind(v->btf, name, BTF_KIND_ENUM), r;

        if (id < 0)
                id = btf__find_by_name_kind(v->btf, name, BTF_KIND_ENUM64);
        if (id < 0 || type->kind != VALUE_INTEGER || type->size > 8)
                return -EINVAL;
        r = value_btf_enum(v, btf__type_by_id(v->btf, (uint32_t) id), type->size, &plain);
        if (r < 0)
                return r;
        if (flags)
                return value_type_with_format(plain, VALUE_FORMAT_FLAGS, ret);
        *ret = TAKE_PTR(plain);
        return 0;
}

/* 1: *type is another one now; 0: the format doesn't fit, or there is none of this name. */
static int apply_format(ValueBtf *v, const char *text, const ValueType **type) {
        const ValueType *formatted = NULL;
        const char *name;
        int r;

        if ((name = startswith(text, "enum:")))
                r = enumerated(v, name, false, *type, &formatted);
        else if ((name = startswith(text, "flags:")))
                r = enumerated(v, name, true, *type, &formatted);
        else if (value_format_from_string(text) < 0)
                r = -EINVAL;
        else
                r = value_type_with_format(*type, value_format_from_string(text), &formatted);
        if (r < 0)
                return r == -EINVAL || r == -E2BIG ? 0 : r;
        value_type_unref(*type);
        *type = formatted;
        return 1;
}

static int apply_tag(ValueBtf *v, const char *text, const ValueType **type, ValueNotes *notes) {
        const char *value;

        if ((value = startswith(text, "format=")))
                return apply_format(v, value, type);
        if ((value = startswith(text, "role="))) {
                if (value_role_from_string(value) > 0)
                        notes->role = value_role_from_string(value);
                return 0;
        }
        if ((value = startswith(text, "unit=")))
                return value_note_set(&notes->unit, value);
        if ((value = startswith(text, "description=")))
                return value_note_set(&notes->description, value);
        if ((value = startswith(text, "default=")))
                return value_note_set(&notes->initial, value);
        if (streq(text, "hidden"))
                notes->hidden = true;
        return 0;
}

/* Units that say how a number may be written give it the format. */
static int apply_unit(ValueBtf *v, const ValueNotes *notes, const ValueType **type) {
        if ((*type)->kind != VALUE_INTEGER || (*type)->format != VALUE_FORMAT_NONE || !notes->unit)
                return 0;
        return streq(notes->unit, "ns") || streq(notes->unit, "bytes") ? apply_format(v, notes->unit, type) : 0;
}

int value_btf_apply_tags(ValueBtf *v, uint32_t target, int component, const ValueType *type, const ValueType **ret,
                         ValueNotes *ret_notes) {
        _cleanup_value_type_ const ValueType *tagged = value_type_ref(type);
        int r = 0;

        for (size_t i = first_tag(v, target, component);
             i < v->n_tags && v->tags[i].target == target && v->tags[i].component == component && r >= 0; i++)
                r = apply_tag(v, v->tags[i].text, &tagged, ret_notes);
        if (r >= 0)
                r = apply_unit(v, ret_notes, &tagged);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(tagged);
        return 0;
}

int value_btf_apply_key_tags(ValueBtf *v, uint32_t target, const ValueType *type, const ValueType **ret) {
        _cleanup_value_type_ const ValueType *tagged = value_type_ref(type);

        for (size_t i = first_tag(v, target, -1);
             i < v->n_tags && v->tags[i].target == target && v->tags[i].component == -1; i++) {
                const char *format = startswith(v->tags[i].text, "key-format=");
                int r = format ? apply_format(v, format, &tagged) : 0;

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(tagged);
        return 0;
}
