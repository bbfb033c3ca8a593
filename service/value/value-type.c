/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <strings.h>

#include "util/json-text.h"
#include "value/value-internal.h"

#define NOTE_MAX 4096U

static const char *const value_kind_table[_VALUE_KIND_MAX] = {
        [VALUE_INTEGER] = "integer", [VALUE_BOOLEAN] = "boolean", [VALUE_CHAR] = "char",
        [VALUE_ENUM] = "enum",       [VALUE_FLOAT] = "float",     [VALUE_ARRAY] = "array",
        [VALUE_TEXT] = "text",       [VALUE_STRUCT] = "struct",   [VALUE_UNION] = "union",
        [VALUE_PREFIX] = "prefix",   [VALUE_POINTER] = "pointer", [VALUE_OPAQUE] = "opaque",
};
DEFINE_STRING_TABLE(value_kind, ValueKind, _VALUE_KIND_MAX)

static const char *const value_format_table[_VALUE_FORMAT_MAX] = {
        [VALUE_FORMAT_NONE] = "none",   [VALUE_FORMAT_IPV4] = "ipv4",         [VALUE_FORMAT_IPV6] = "ipv6",
        [VALUE_FORMAT_MAC] = "mac",     [VALUE_FORMAT_PORT] = "port",         [VALUE_FORMAT_BE16] = "be16",
        [VALUE_FORMAT_BE32] = "be32",   [VALUE_FORMAT_BE64] = "be64",         [VALUE_FORMAT_NS] = "ns",
        [VALUE_FORMAT_BYTES] = "bytes", [VALUE_FORMAT_FLAGS] = "flags",       [VALUE_FORMAT_TEXT] = "text",
        [VALUE_FORMAT_HEX] = "hex",     [VALUE_FORMAT_PROTOCOL] = "protocol",
};
DEFINE_STRING_TABLE(value_format, ValueFormat, _VALUE_FORMAT_MAX)

static const char *const value_role_table[_VALUE_ROLE_MAX] = {
        [VALUE_ROLE_NONE] = "none",     [VALUE_ROLE_CONFIG] = "config", [VALUE_ROLE_STATS] = "stats",
        [VALUE_ROLE_EVENTS] = "events", [VALUE_ROLE_STATE] = "state",
};
DEFINE_STRING_TABLE(value_role, ValueRole, _VALUE_ROLE_MAX)

void value_notes_done(ValueNotes *notes) {
        free(notes->unit);
        free(notes->description);
        free(notes->initial);
        *notes = (ValueNotes){};
}

static int take_if_empty(char **to, const char *from) {
        return *to || !from ? 0 : free_and_strdup(to, from);
}

int value_notes_merge(ValueNotes *notes, const ValueNotes *others) {
        int r;

        r = take_if_empty(&notes->unit, others->unit);
        if (r >= 0)
                r = take_if_empty(&notes->description, others->description);
        if (r >= 0)
                r = take_if_empty(&notes->initial, others->initial);
        if (r < 0)
                return r;
        if (notes->role == VALUE_ROLE_NONE)
                notes->role = others->role;
        notes->hidden |= others->hidden;
        return 0;
}

int value_notes_copy(const ValueNotes *notes, ValueNotes *ret) {
        ValueNotes copy = {};
        int r;

        r = value_notes_merge(&copy, notes);
        if (r < 0) {
                value_notes_done(&copy);
                return r;
        }
        *ret = copy;
        return 0;
}

int value_note_set(char **note, const char *text) {
        char *clean = value_name_clean(text, NOTE_MAX);

        if (!clean)
                return -ENOMEM;
        free(*note);
        *note = clean;
        return 0;
}

/* Text that JSON, a terminal and a log can take: UTF-8 without control characters. */
char *value_name_clean(const char *name, size_t max) {
        size_t n = strnlen(name, max), step;
        char *copy = strndup(name, n);
        uint32_t code;

        for (size_t i = 0; copy && i < n; i += step) {
                step = utf8_decode(copy, n, i, &code);
                if (step == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0)) {
                        step = MAX2(step, 1U);
                        memset(copy + i, '?', step);
                }
        }
        return copy;
}

ValueType *value_type_new(ValueKind kind, const char *name, uint32_t size) {
        ValueType *type = calloc(1, sizeof(*type));

        if (!type)
                return NULL;
        *type = (ValueType){
                .n_refs = 1,
                .kind = kind,
                .size = size,
                .depth = 1,
                .weight = 1,
                .address = -1,
                .name = value_name_clean(strempty_to(name, "unnamed"), VALUE_TYPE_NAME_MAX),
        };
        if (!type->name) {
                free(type);
                return NULL;
        }
        return type;
}

ValueType *value_type_ref(const ValueType *type) {
        ValueType *t = (ValueType *) type;

        if (t)
                t->n_refs++;
        return t;
}

void value_type_unref(const ValueType *type) {
        ValueType *t = (ValueType *) type;

        if (!t || --t->n_refs > 0)
                return;
        for (size_t i = 0; i < t->n_members; i++) {
                free(t->members[i].name);
                value_type_unref(t->members[i].type);
                value_notes_done(&t->members[i].notes);
        }
        for (size_t i = 0; i < t->n_enumerators; i++)
                free(t->enumerators[i].name);
        value_type_unref(t->element);
        value_notes_done(&t->notes);
        free(t->members);
        free(t->by_name);
        free(t->choices);
        free(t->enumerators);
        free(t->by_value);
        free(t->by_label);
        free(t->reason);
        free(t->name);
        free(t);
}

static bool is_power(uint32_t size, uint32_t max) {
        return size > 0 && size <= max && (size & (size - 1)) == 0;
}

static int hand_out(ValueType *type, const ValueType **ret) {
        if (!type)
                return -ENOMEM;
        *ret = type;
        return 0;
}

int value_type_new_integer(const char *name, uint32_t size, bool is_signed, const ValueType **ret) {
        ValueType *type;

        if (!is_power(size, 16))
                return -EINVAL;
        type = value_type_new(VALUE_INTEGER, name, size);
        if (type)
                type->is_signed = is_signed;
        return hand_out(type, ret);
}

int value_type_new_boolean(const char *name, uint32_t size, const ValueType **ret) {
        return is_power(size, 16) ? hand_out(value_type_new(VALUE_BOOLEAN, name, size), ret) : -EINVAL;
}

int value_type_new_char(const char *name, bool is_signed, const ValueType **ret) {
        ValueType *type = value_type_new(VALUE_CHAR, name, 1);

        if (type)
                type->is_signed = is_signed;
        return hand_out(type, ret);
}

int value_type_new_float(const char *name, uint32_t size, const ValueType **ret) {
        if (size != sizeof(float) && size != sizeof(double))
                return -EINVAL;
        return hand_out(value_type_new(VALUE_FLOAT, name, size), ret);
}

int value_type_new_pointer(const char *name, uint32_t size, const ValueType **ret) {
        if (size != 4 && size != 8)
                return -EINVAL;
        return hand_out(value_type_new(VALUE_POINTER, name, size), ret);
}

int value_type_new_opaque(const char *name, uint32_t size, const char *reason, bool hidden, const ValueType **ret) {
        ValueType *type;

        if (size > VALUE_SIZE_MAX)
                return -E2BIG;
        type = value_type_new(VALUE_OPAQUE, name, size);
        if (!type)
                return -ENOMEM;
        type->hidden = hidden;
        if (reason) {
                type->reason = strdup(reason);
                if (!type->reason) {
                        value_type_unref(type);
                        return -ENOMEM;
                }
        }
        return hand_out(type, ret);
}

static int compare_values(const void *a, const void *b, void *enumerators) {
        const ValueEnumerator *e = enumerators;
        uint32_t i = *(const uint32_t *) a, k = *(const uint32_t *) b;

        if (e[i].value != e[k].value)
                return e[i].value < e[k].value ? -1 : 1;
        return i < k ? -1 : i > k;
}

static int compare_labels(const void *a, const void *b, void *enumerators) {
        const ValueEnumerator *e = enumerators;
        uint32_t i = *(const uint32_t *) a, k = *(const uint32_t *) b;
        int order = strcasecmp(e[i].name, e[k].name);

        return order != 0 ? order : i < k ? -1 : i > k;
}

static size_t shared_prefix(const ValueType *type) {
        const char *first = type->n_enumerators > 0 ? type->enumerators[0].name : "";
        size_t n = strlen(first);

        for (size_t i = 1; i < type->n_enumerators; i++) {
                size_t k = 0;

                while (k < n && first[k] == type->enumerators[i].name[k])
                        k++;
                n = k;
        }
        while (n > 0 && first[n - 1] != '_')
                n--;
        return n;
}

static int add_enumerators(ValueType *type, const ValueEnumerator *enumerators, size_t n) {
        type->enumerators = calloc(MAX2(n, 1U), sizeof(*type->enumerators));
        type->by_value = calloc(MAX2(n, 1U), sizeof(*type->by_value));
        type->by_label = calloc(MAX2(n, 1U), sizeof(*type->by_label));
        if (!type->enumerators || !type->by_value || !type->by_label)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                char *name = value_name_clean(strempty_to(enumerators[i].name, ""), VALUE_NAME_MAX);

                if (!name)
                        return -ENOMEM;
                type->enumerators[i] = (ValueEnumerator){ name, enumerators[i].value };
                type->by_value[i] = type->by_label[i] = (uint32_t) i;
                type->n_enumerators++;
        }
        qsort_r(type->by_value, n, sizeof(*type->by_value), compare_values, type->enumerators);
        qsort_r(type->by_label, n, sizeof(*type->by_label), compare_labels, type->enumerators);
        type->prefix = shared_prefix(type);
        return 0;
}

/* The place in by_label of the first name that is this one, whatever the case; the number of names if there is none.
 */
static size_t find_label(const ValueType *type, const char *name) {
        size_t low = 0, high = type->n_enumerators;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcasecmp(type->enumerators[type->by_label[middle]].name, name) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low < type->n_enumerators && strcasecmp(type->enumerators[type->by_label[low]].name, name) == 0)
                return low;
        return type->n_enumerators;
}

const ValueEnumerator *value_type_enumerator_named(const ValueType *type, const char *name) {
        char full[VALUE_NAME_MAX + 1];
        size_t i;

        if (!*name)
                return NULL;
        for (i = find_label(type, name); i < type->n_enumerators; i++) {
                const ValueEnumerator *e = &type->enumerators[type->by_label[i]];

                if (streq(e->name, name))
                        return e;
                if (strcasecmp(e->name, name) != 0)
                        break;
        }
        if (type->prefix == 0 || strlen(name) > VALUE_NAME_MAX - type->prefix)
                return NULL;
        memcpy(full, type->enumerators[0].name, type->prefix);
        strcpy(full + type->prefix, name);
        i = find_label(type, full);
        return i < type->n_enumerators ? &type->enumerators[type->by_label[i]] : NULL;
}

int value_type_new_enum(const char *name, uint32_t size, bool is_signed, const ValueEnumerator *enumerators, size_t n,
                        const ValueType **ret) {
        _cleanup_value_type_ const ValueType *owner = NULL;
        ValueType *type;
        int r;

        if (!is_power(size, 8))
                return -EINVAL;
        if (n > VALUE_MEMBERS_MAX)
                return -E2BIG;
        owner = type = value_type_new(VALUE_ENUM, name, size);
        if (!type)
                return -ENOMEM;
        type->is_signed = is_signed;
        r = add_enumerators(type, enumerators, n);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(owner);
        return 0;
}

const ValueEnumerator *value_type_enumerator(const ValueType *type, uint64_t value) {
        size_t low = 0, high = type->n_enumerators;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (type->enumerators[type->by_value[middle]].value < value)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == type->n_enumerators || type->enumerators[type->by_value[low]].value != value)
                return NULL;
        return &type->enumerators[type->by_value[low]];
}

/* "__u8[3]" in an array of 2: "__u8[2][3]". */
static char *array_name(const char *name, const ValueType *element, uint32_t n) {
        const char *bracket = strchr(element->name, '[');
        size_t head = bracket ? (size_t) (bracket - element->name) : strlen(element->name);
        char *s;

        if (!strempty(name))
                return strdup(name);
        return asprintf(&s, "%.*s[%u]%s", (int) head, element->name, n, strempty_to(bracket, "")) < 0 ? NULL : s;
}

int value_type_new_array(const char *name, const ValueType *element, uint32_t n, const ValueType **ret) {
        _cleanup_free_ char *full = NULL;
        ValueType *type;

        if (element->depth >= VALUE_DEPTH_MAX || (uint64_t) element->size * n > VALUE_SIZE_MAX ||
            element->weight * MAX2(n, 1U) > VALUE_WEIGHT_MAX || (element->size == 0 && n > VALUE_MEMBERS_MAX))
                return -E2BIG;
        full = array_name(name, element, n);
        if (!full)
                return -ENOMEM;
        type = value_type_new(element->kind == VALUE_CHAR ? VALUE_TEXT : VALUE_ARRAY, full, element->size * n);
        if (!type)
                return -ENOMEM;
        type->element = value_type_ref(element);
        type->n_elements = n;
        type->depth = element->depth + 1;
        type->weight = element->weight * MAX2(n, 1U); /* whoever describes it looks at the element in any case */
        type->hidden = element->hidden;
        return hand_out(type, ret);
}

bool value_type_is_bytes(const ValueType *type) {
        const ValueType *element = type->kind == VALUE_ARRAY ? type->element : NULL;

        return element && element->kind == VALUE_INTEGER && element->size == 1 && !element->is_signed &&
               element->format == VALUE_FORMAT_NONE;
}

static int copy_parts(const ValueType *type, ValueType *copy) {
        copy->members = calloc(MAX2(type->n_members, 1U), sizeof(*copy->members));
        copy->by_name = calloc(MAX2(type->n_members, 1U), sizeof(*copy->by_name));
        copy->choices = calloc(MAX2(type->n_choices, 1U), sizeof(*copy->choices));
        if (!copy->members || !copy->by_name || !copy->choices)
                return -ENOMEM;
        for (size_t i = 0; i < type->n_members; i++) {
                ValueMember *m = &copy->members[i];
                int r;

                *m = type->members[i];
                m->notes = (ValueNotes){};
                m->name = strdup(type->members[i].name);
                value_type_ref(m->type);
                copy->n_members++;
                r = m->name ? value_notes_copy(&type->members[i].notes, &m->notes) : -ENOMEM;
                if (r < 0)
                        return r;
                copy->by_name[i] = type->by_name[i];
        }
        for (size_t i = 0; i < type->n_choices; i++)
                copy->choices[i] = type->choices[i];
        copy->n_choices = type->n_choices;
        copy->n_groups = type->n_groups;
        return add_enumerators(copy, type->enumerators, type->n_enumerators);
}

static int copy_type(const ValueType *type, const char *name, ValueType **ret) {
        _cleanup_value_type_ const ValueType *owner = NULL;
        ValueType *copy;
        int r;

        owner = copy = value_type_new(type->kind, name ? name : type->name, type->size);
        if (!copy)
                return -ENOMEM;
        copy->format = type->format;
        copy->is_signed = type->is_signed;
        copy->hidden = type->hidden;
        copy->depth = type->depth;
        copy->weight = type->weight;
        copy->element = value_type_ref(type->element);
        copy->n_elements = type->n_elements;
        copy->address = type->address;
        copy->address_offset = type->address_offset;
        copy->address_size = type->address_size;
        r = value_notes_copy(&type->notes, &copy->notes);
        if (r >= 0)
                r = free_and_strdup(&copy->reason, type->reason);
        if (r >= 0)
                r = copy_parts(type, copy);
        if (r < 0)
                return r;
        owner = NULL;
        *ret = copy;
        return 0;
}

int value_type_with_name(const ValueType *type, const char *name, const ValueNotes *notes, const ValueType **ret) {
        _cleanup_value_type_ const ValueType *owner = NULL;
        ValueType *copy;
        int r;

        r = copy_type(type, strempty(name) ? NULL : name, &copy);
        if (r < 0)
                return r;
        owner = copy;
        if (notes) {
                r = value_notes_merge(&copy->notes, notes);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(owner);
        return 0;
}

static bool is_byte_like(const ValueType *type) {
        return type && (type->kind == VALUE_CHAR || type->kind == VALUE_INTEGER) && type->size == 1;
}

/* Sixteen bytes that may be an address: of bytes, or of larger integers that hold it in network order. */
static bool is_wide_address(const ValueType *type) {
        if (type->size != 16)
                return false;
        return type->kind == VALUE_STRUCT || (type->kind == VALUE_INTEGER && !type->is_signed) ||
               (type->kind == VALUE_ARRAY && type->element->kind == VALUE_INTEGER);
}

static bool format_fits(const ValueType *type, ValueFormat format) {
        bool integer = type->kind == VALUE_INTEGER;
        bool bytes = (type->kind == VALUE_ARRAY || type->kind == VALUE_TEXT) && is_byte_like(type->element);

        switch (format) {
        case VALUE_FORMAT_NONE: return true;
        case VALUE_FORMAT_IPV4: return type->size == 4 && (integer || bytes || type->kind == VALUE_STRUCT);
        case VALUE_FORMAT_IPV6: return is_wide_address(type);
        case VALUE_FORMAT_MAC: return type->size == 6 && bytes;
        case VALUE_FORMAT_PORT:
        case VALUE_FORMAT_BE16: return type->size == 2 && integer;
        case VALUE_FORMAT_BE32: return type->size == 4 && integer;
        case VALUE_FORMAT_BE64: return type->size == 8 && integer;
        case VALUE_FORMAT_NS:
        case VALUE_FORMAT_BYTES: return integer;
        case VALUE_FORMAT_FLAGS: return type->kind == VALUE_ENUM;
        case VALUE_FORMAT_TEXT: return bytes;
        case VALUE_FORMAT_HEX: return integer || bytes;
        case VALUE_FORMAT_PROTOCOL: return integer && type->size <= 4;
        case _VALUE_FORMAT_MAX:
        case _VALUE_FORMAT_INVALID: break;
        }
        return false;
}

static int array_with_format(const ValueType *type, ValueFormat format, const ValueType **ret) {
        _cleanup_value_type_ const ValueType *element = NULL, *owner = NULL;
        ValueType *copy;
        int r;

        r = value_type_with_format(type->element, format, &element);
        if (r < 0)
                return r;
        r = copy_type(type, NULL, &copy);
        if (r < 0)
                return r;
        owner = copy;
        value_type_unref(copy->element);
        copy->element = value_type_ref(element);
        *ret = TAKE_PTR(owner);
        return 0;
}

int value_type_with_format(const ValueType *type, ValueFormat format, const ValueType **ret) {
        ValueType *copy;
        int r;

        if (!format_fits(type, format))
                return type->kind == VALUE_ARRAY && format >= 0 && format < _VALUE_FORMAT_MAX
                               ? array_with_format(type, format, ret)
                               : -EINVAL;
        r = copy_type(type, NULL, &copy);
        if (r < 0)
                return r;
        copy->format = format;
        if (format == VALUE_FORMAT_TEXT) {
                copy->kind = VALUE_TEXT;
                copy->format = VALUE_FORMAT_NONE;
        } else if (copy->kind == VALUE_TEXT && format != VALUE_FORMAT_NONE)
                copy->kind = VALUE_ARRAY;
        *ret = copy;
        return 0;
}
