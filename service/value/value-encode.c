/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A descent through the type and the JSON value side by side. The tree of types is bounded (value-type.h) and every
 * member of it stands within its struct, so all that is left to do is to look at the value. Single values are in
 * value-scalar.c.
 */

#include "value/value-encode.h"
#include "util/json-reader.h"
#include "value/value-place.h"

static int encode(Encoder *e, const ValueType *type, json_object *value, const Place *place, unsigned char *buffer);

static const char *member_names_get(void *userdata, size_t i) {
        const ValueMember *m = &((const ValueType *) userdata)->members[i];

        return m->type->hidden ? NULL : m->name;
}

static int fault_unknown(Encoder *e, const ValueType *type, const char *name, const Place *place) {
        _cleanup_free_ char *list = list_names(type->n_members, member_names_get, (void *) type),
                            *quoted = json_quote(name), *base = encoder_path(place), *path = NULL;
        _cleanup_free_ const char **names = calloc(MAX2(type->n_members, 1U), sizeof(*names));
        char shown[NAME_SIZE];
        const char *nearest;

        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < type->n_members; i++)
                names[i] = member_names_get((void *) type, i);
        path = base ? json_path_key(base, name) : NULL;
        nearest = json_nearest(name, names, type->n_members);
        return error_set_at(e->error, ERROR_INVALID_DOCUMENT, path, "%s has no member %s; %s%s%s members are %s",
                            type->name, strna(quoted), nearest ? "did you mean " : "",
                            nearest ? name_for_message(nearest, shown) : "", nearest ? "? Its" : "its", strna(list));
}

/* Takes the choices that a member stands for. `taken`: by group, the choice + 1. */
static int take_choices(Encoder *e, const ValueType *type, const ValueMember *m, const Place *place, int *taken) {
        for (int c = m->choice; c >= 0; c = type->choices[c].up) {
                int group = type->choices[c].group;

                if (taken[group] != 0 && taken[group] != c + 1)
                        return WRONG(e, place, "only one member of %s can be given",
                                     type->kind == VALUE_UNION && group == 0 ? type->name : "unnamed union");
                taken[group] = c + 1;
        }
        return 0;
}

/* The address of a prefix that has other members in front: "203.0.113.0/24". 1: it was one, 0: it has no length. */
static int encode_prefix_member(Encoder *e, json_object *value, const Place *place) {
        const ValueType *prefix = e->prefix;
        unsigned lead = 8 * (prefix->address_offset - 4), length;
        _cleanup_free_ char *quoted = NULL;
        uint32_t number;
        const char *s;

        if (!json_object_is_type(value, json_type_string) || !strchr(json_object_get_string(value), '/'))
                return 0;
        s = json_object_get_string(value);
        if (prefix_from_string(s, e->key + prefix->address_offset, prefix->address_size, &length) < 0) {
                quoted = json_quote(s);
                return WRONG(e, place, "%s is not an %s prefix such as %s", strna(quoted),
                             prefix->address_size == 4 ? "IPv4" : "IPv6",
                             prefix->address_size == 4 ? "203.0.113.0/24" : "2001:db8::/32");
        }
        if (length > 8 * prefix->address_size)
                return WRONG(e, place, "%u is not within 0..%u (prefix length)", length, 8 * prefix->address_size);
        if (e->length_seen)
                return WRONG(e, place, "the prefix length of this key is given twice");
        number = lead + length;
        memcpy(e->key, &number, sizeof(number));
        e->length_seen = true;
        return 1;
}

static int encode_member(Encoder *e, const ValueType *type, const ValueMember *m, json_object *value,
                         const Place *place, unsigned char *buffer) {
        if (e->prefix && type == e->prefix->element && e->prefix->address == m - type->members) {
                int r = encode_prefix_member(e, value, place);

                if (r != 0)
                        return r < 0 ? r : 0;
        }
        if (m->bits > 0)
                return encode_scalar(e, m->type, value, place, buffer, m->offset, m->bits);
        return encode(e, m->type, value, place, buffer + m->offset / 8);
}

static int encode_composite(Encoder *e, const ValueType *type, json_object *value, const Place *place,
                            unsigned char *buffer) {
        _cleanup_free_ int *taken = NULL;
        int r;

        if (!json_object_is_type(value, json_type_object)) {
                _cleanup_free_ char *list = list_names(type->n_members, member_names_get, (void *) type);

                return WRONG(e, place, "expected an object for %s; its members are %s", type->name, strna(list));
        }
        if (type->n_groups > 0) {
                taken = calloc(type->n_groups, sizeof(*taken));
                if (!taken)
                        return -ENOMEM;
        }
        json_object_object_foreach (value, name, part) {
                const ValueMember *m = value_type_member(type, name);

                if (!m)
                        return fault_unknown(e, type, name, place);
                r = take_choices(e, type, m, place, taken);
                if (r >= 0)
                        r = encode_member(e, type, m, part, &(Place){ .up = place, .member = name }, buffer);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int encode_bytes(Encoder *e, const ValueType *type, const char *s, const Place *place, unsigned char *buffer) {
        const ValueType *element = type->element;
        bool bytes = element->size == 1 && element->format == VALUE_FORMAT_NONE;
        _cleanup_free_ char *quoted = NULL;

        if (element->kind != VALUE_INTEGER && element->kind != VALUE_CHAR)
                return WRONG(e, place, "expected an array, got a string (type %s)", type->name);

        /* Also an IPv6 address that the author keeps in larger integers. */
        if ((type->size == 16 || bytes) && address_from_string(s, buffer, type->size) >= 0)
                return 0;
        if (bytes && bytes_from_hex(s, buffer, type->size) >= 0)
                return 0;
        if (!bytes && type->size != 16)
                return WRONG(e, place, "expected an array, got a string (type %s)", type->name);
        quoted = json_quote(s);
        return WRONG(e, place, "%s is not %s%s (type %s)", strna(quoted),
                     type->size == 4    ? "an IPv4 address"
                     : type->size == 16 ? "an IPv6 address"
                     : type->size == 6  ? "a MAC address"
                                        : "a row of hexadecimal digits",
                     bytes && (type->size == 4 || type->size == 16)
                             ? " or a row of hexadecimal digits, two for each byte"
                     : bytes ? ", two digits for each byte"
                             : "",
                     type->name);
}

static int encode_text(Encoder *e, const ValueType *type, const char *s, const Place *place, unsigned char *buffer) {
        size_t n = strlen(s);

        if (n > type->size)
                return WRONG(e, place, "this text has %zu bytes; no more than %u fit (type %s)", n, type->size,
                             type->name);
        memcpy(buffer, s, n);
        return 0;
}

static int encode_array(Encoder *e, const ValueType *type, json_object *value, const Place *place,
                        unsigned char *buffer) {
        size_t n;
        int r;

        /* What is not given is zero, also where an array is replaced in a value that is merged. */
        if (type->size > 0)
                memset(buffer, 0, type->size);
        if (json_object_is_type(value, json_type_string))
                return (type->kind == VALUE_TEXT ? encode_text : encode_bytes)(e, type, json_object_get_string(value),
                                                                               place, buffer);
        r = encoder_check(e, place, value, JSON_ARRAY);
        if (r < 0)
                return r;
        n = json_object_array_length(value);
        if (n > type->n_elements)
                return WRONG(e, place, "this array has %zu elements; no more than %u are taken (type %s)", n,
                             type->n_elements, type->name);
        for (size_t i = 0; i < n; i++) {
                r = encode(e, type->element, json_object_array_get_idx(value, i), &(Place){ .up = place, .index = i },
                           buffer + i * type->element->size);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Without type information: the very bytes. */
static int encode_raw(Encoder *e, json_object *value, const Place *place, unsigned char *buffer, size_t size) {
        static const char remedy[] = "the object has no type information (BTF) for it, so give its bytes as text";

        if (!json_object_is_type(value, json_type_string))
                return WRONG(e, place, "%s: %zu hexadecimal digits", remedy, 2 * size);
        switch (bytes_from_hex(json_object_get_string(value), buffer, size)) {
        case 0: return 0;
        case -ERANGE:
                return WRONG(e, place, "these are not %zu bytes; %s: %zu hexadecimal digits", size, remedy, 2 * size);
        }
        return WRONG(e, place, "these are not hexadecimal digits; %s: %zu hexadecimal digits", remedy, 2 * size);
}

/* 1: it was a prefix or an address; 0: it is something else. */
static int encode_prefix_text(Encoder *e, const ValueType *type, json_object *value, const Place *place,
                              unsigned char *buffer) {
        _cleanup_free_ char *quoted = NULL;
        uint32_t data = type->size - 4;
        unsigned length;
        uint32_t number;
        const char *s;

        if (!json_object_is_type(value, json_type_string))
                return 0;
        s = json_object_get_string(value);
        if (prefix_from_string(s, buffer + sizeof(number), data, &length) < 0) {
                if (!strpbrk(s, "/.") && !strstr(s, "::"))
                        return 0;
                quoted = json_quote(s);
                if (data != 4 && data != 16)
                        return WRONG(e, place,
                                     "%s can't be the key of an LPM trie of %u bytes, which holds no addresses",
                                     strna(quoted), data);
                return WRONG(e, place, "%s is not an %s prefix such as %s", strna(quoted),
                             data == 4 ? "IPv4" : "IPv6", data == 4 ? "203.0.113.0/24" : "2001:db8::/32");
        }
        if (length > 8 * data)
                return WRONG(e, place, "%u is not within 0..%u (prefix length, LPM trie of %u bytes)", length,
                             8 * data, data);
        number = length;
        memcpy(buffer, &number, sizeof(number));
        return 1;
}

static int encode_prefix(Encoder *e, const ValueType *type, json_object *value, const Place *place,
                         unsigned char *buffer) {
        uint32_t length;
        int r;

        r = encode_prefix_text(e, type, value, place, buffer);
        if (r != 0)
                return r < 0 ? r : 0;
        e->prefix = type;
        e->key = buffer;
        memset(buffer, 0, type->size);
        r = type->element ? encode(e, type->element, value, place, buffer)
                          : encode_raw(e, value, place, buffer, type->size);
        e->prefix = NULL;
        if (r < 0)
                return r;

        /* Left out it would be 0, which means every address: too much for an oversight. */
        if (json_object_is_type(value, json_type_object) && !e->length_seen)
                return WRONG(e, place, "the prefix length of this key is missing; write 0 to mean everything");
        memcpy(&length, buffer, sizeof(length));
        if (length > 8 * (type->size - 4))
                return WRONG(e, place, "%u is not within 0..%u (prefix length, LPM trie of %u bytes)", length,
                             8 * (type->size - 4), type->size - 4);
        return 0;
}

static int encode(Encoder *e, const ValueType *type, json_object *value, const Place *place, unsigned char *buffer) {
        bool text = json_object_is_type(value, json_type_string);

        switch (type->kind) {
        case VALUE_STRUCT:
        case VALUE_UNION:
                if (text && type->format != VALUE_FORMAT_NONE &&
                    address_from_string(json_object_get_string(value), buffer, type->size) >= 0)
                        return 0;
                return encode_composite(e, type, value, place, buffer);
        case VALUE_ARRAY:
        case VALUE_TEXT:
                if (text && (type->format == VALUE_FORMAT_IPV4 || type->format == VALUE_FORMAT_IPV6))
                        return encode_scalar(e, type, value, place, buffer, 0, 8 * type->size);
                return encode_array(e, type, value, place, buffer);
        case VALUE_PREFIX: return encode_prefix(e, type, value, place, buffer);
        case VALUE_INTEGER:
        case VALUE_BOOLEAN:
        case VALUE_CHAR:
        case VALUE_ENUM:
        case VALUE_FLOAT:
        case VALUE_POINTER:
        case VALUE_OPAQUE:
        case _VALUE_KIND_MAX:
        case _VALUE_KIND_INVALID: break;
        }
        return encode_scalar(e, type, value, place, buffer, 0, 8 * type->size);
}

int value_merge(const ValueType *type, json_object *value, const char *where, void *buffer, size_t size,
                Error *error) {
        Encoder e = { .error = error };
        Place place = { .path = where };

        if (type->kind == VALUE_OPAQUE && !type->reason)
                return encode_raw(&e, value, &place, buffer, size);
        if (type->kind != VALUE_OPAQUE && type->size != size)
                return BROKEN(&e, &place, "type %s has %u bytes, but the kernel expects %zu", type->name, type->size,
                              size);
        return encode(&e, type, value, &place, buffer);
}

int value_encode(const ValueType *type, json_object *value, const char *where, void *buffer, size_t size,
                 Error *error) {
        if (size > 0)
                memset(buffer, 0, size);
        return value_merge(type, value, where, buffer, size, error);
}
