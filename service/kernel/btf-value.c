/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A descent through the type and the JSON value side by side; see value-encoder.h for what bounds it. Here are
 * structs, unions, arrays and the two entry points; single values are in value-scalar.c.
 */

#include <linux/bpf.h>

#include "kernel/btf-value.h"
#include "kernel/value-encoder.h"
#include "kernel/value-text.h"
#include "util/json-reader.h"

static int encode(Encoder *e, uint32_t id, json_object *value, const Place *place, unsigned char *buffer,
                  size_t size);

/* Bytes of a type. libbpf bounds the chain that it follows, and refuses what has no size. */
static int64_t size_of(const Encoder *e, uint32_t id) {
        return btf__resolve_size(e->btf, id);
}

static int spend(Encoder *e, const Place *place, unsigned work) {
        e->work += work;
        if (e->work <= ENCODER_WORK_MAX)
                return 0;
        return encoder_fault(e, place, ERROR_LIMIT_EXCEEDED,
                             "this value, or its type, is too large; give it in several pieces");
}

static bool is_anonymous(const Encoder *e, const struct btf_type *t, const struct btf_member *m) {
        const struct btf_type *inner;

        if (*encoder_name(e, m->name_off))
                return false;
        inner = encoder_resolve(e, m->type);
        return inner && btf_is_composite(inner) && inner != t;
}

/* Names of the members as the user may write them, those of anonymous members included. */
typedef struct MemberNames {
        const char **names;
        size_t n;
} MemberNames;

static int member_names_collect(Encoder *e, const struct btf_type *t, unsigned depth, MemberNames *names) {
        const struct btf_member *m = btf_members(t);
        const char **name;
        int r;

        for (unsigned i = 0; i < btf_vlen(t) && names->n <= ENCODER_LIST_MAX; i++, m++) {
                if (++e->work > ENCODER_WORK_MAX)
                        return 0;
                if (is_anonymous(e, t, m)) {
                        if (depth < ENCODER_DEPTH_MAX) {
                                r = member_names_collect(e, encoder_resolve(e, m->type), depth + 1, names);
                                if (r < 0)
                                        return r;
                        }
                        continue;
                }
                name = ARRAY_APPEND(names->names, names->n);
                if (!name)
                        return -ENOMEM;
                *name = encoder_name(e, m->name_off);
        }
        return 0;
}

static const char *member_names_get(void *userdata, size_t i) {
        return ((MemberNames *) userdata)->names[i];
}

static char *list_members(Encoder *e, const struct btf_type *t, MemberNames *names) {
        return member_names_collect(e, t, 0, names) < 0 ? NULL : list_names(names->n, member_names_get, names);
}

/* Has the struct or union a member of this name? */
static bool has_member(Encoder *e, const struct btf_type *t, const char *name, unsigned depth) {
        const struct btf_member *m = btf_members(t);

        for (unsigned i = 0; i < btf_vlen(t); i++, m++) {
                if (++e->work > ENCODER_WORK_MAX)
                        return false;
                if (is_anonymous(e, t, m)) {
                        if (depth < ENCODER_DEPTH_MAX && has_member(e, encoder_resolve(e, m->type), name, depth + 1))
                                return true;
                } else if (*name && streq(encoder_name(e, m->name_off), name))
                        return true;
        }
        return false;
}

static int fault_unknown(Encoder *e, uint32_t id, const struct btf_type *t, json_object *object, const Place *place) {
        json_object_object_foreach (object, name, unused) {
                _cleanup_free_ char *list = NULL, *quoted = NULL, *base = NULL, *path = NULL;
                _cleanup_free_ const char **names = NULL;
                MemberNames members = {};
                const char *nearest;
                char type[TYPE_NAME_SIZE], shown[NAME_SIZE];

                (void) unused;
                if (has_member(e, t, name, 0))
                        continue;
                list = list_members(e, t, &members);
                names = members.names;
                quoted = json_quote(name);
                base = encoder_path(place);
                path = base ? json_path_key(base, name) : NULL;
                nearest = json_nearest(name, members.names, members.n);
                return error_set_at(
                        e->error, ERROR_INVALID_DOCUMENT, path, "%s has no member %s; %s%s%s members are %s",
                        encoder_type_name(e, id, type), strna(quoted), nearest ? "did you mean " : "",
                        nearest ? name_for_message(nearest, shown) : "", nearest ? "? Its" : "its", strna(list));
        }
        /* All names are known, so one of them is the name of two members: bogus, and it can't be told which. */
        return BROKEN(e, place, "the type information of this struct is broken");
}

/* One member. `buffer` and `size` are those of the outermost struct whose members these are; `base` is where in it
 * the anonymous struct begins that holds the member, in bits. */
static int encode_member(Encoder *e, const struct btf_type *t, unsigned i, json_object *value, const Place *place,
                         unsigned char *buffer, size_t size, uint64_t base) {
        const struct btf_member *m = btf_members(t) + i;
        uint64_t offset = base + btf_member_bit_offset(t, i);
        unsigned bits = btf_member_bitfield_size(t, i);
        const struct btf_type *inner;
        int64_t n;

        if (bits > 0) {
                inner = encoder_resolve(e, m->type);
                if (!inner || (!btf_is_int(inner) && !btf_is_any_enum(inner)) || offset + bits > 8 * (uint64_t) size)
                        return BROKEN(e, place, "the type information of this bit field is broken");
                return encode_scalar(e, m->type, inner, value, place, buffer, offset, bits);
        }
        n = size_of(e, m->type);
        if (n < 0 || offset % 8 != 0 || offset / 8 + (uint64_t) n > size)
                return BROKEN(e, place, "the type information of this member is broken");
        return encode(e, m->type, value, place, buffer + offset / 8, (size_t) n);
}

/* Encodes the members that the object names, and returns how many they are. A union may have one. */
static int encode_members(Encoder *e, uint32_t id, const struct btf_type *t, json_object *object, const Place *place,
                          unsigned char *buffer, size_t size, uint64_t base) {
        const struct btf_member *m = btf_members(t);
        char type[TYPE_NAME_SIZE];
        unsigned chosen = 0;
        int r, n = 0;

        if (e->depth >= ENCODER_DEPTH_MAX)
                return BROKEN(e, place, "types stand within each other more than %u deep", ENCODER_DEPTH_MAX);
        r = spend(e, place, btf_vlen(t) + 1);
        if (r < 0)
                return r;

        e->depth++;
        for (unsigned i = 0; i < btf_vlen(t); i++, m++) {
                const char *name = encoder_name(e, m->name_off);
                json_object *value;

                if (is_anonymous(e, t, m)) {
                        r = encode_members(e, m->type, encoder_resolve(e, m->type), object, place, buffer, size,
                                           base + btf_member_bit_offset(t, i));
                } else if (*name && json_object_object_get_ex(object, name, &value)) {
                        r = encode_member(e, t, i, value, &(Place){ .up = place, .member = name }, buffer, size,
                                          base);
                        if (r >= 0)
                                r = 1;
                } else
                        continue;
                if (r < 0)
                        return r;
                chosen += r > 0;
                n += r;
                if (btf_is_union(t) && chosen > 1)
                        return WRONG(e, place, "only one member of %s can be given", encoder_type_name(e, id, type));
        }
        e->depth--;
        return n;
}

static int encode_composite(Encoder *e, uint32_t id, const struct btf_type *t, json_object *value, const Place *place,
                            unsigned char *buffer, size_t size) {
        _cleanup_free_ char *list = NULL;
        _cleanup_free_ const char **names = NULL;
        MemberNames members = {};
        char type[TYPE_NAME_SIZE];
        int n;

        if (json_object_is_type(value, json_type_string)) {
                const char *name = encoder_name(e, t->name_off), *s = json_object_get_string(value);

                if (((streq(name, "in_addr") && size == 4) || (streq(name, "in6_addr") && size == 16)) &&
                    address_from_string(s, buffer, size) >= 0)
                        return 0;
        }
        if (!json_object_is_type(value, json_type_object)) {
                list = list_members(e, t, &members);
                names = members.names;
                return WRONG(e, place, "expected an object for %s; its members are %s",
                             encoder_type_name(e, id, type), strna(list));
        }
        n = encode_members(e, id, t, value, place, buffer, size, 0);
        if (n < 0)
                return n;
        return n == json_object_object_length(value) ? 0 : fault_unknown(e, id, t, value, place);
}

/* Does this integer type hold text? Compilers tell by its name only. */
static bool is_text(const Encoder *e, const struct btf_type *t) {
        return btf_is_int(t) && t->size == 1 &&
               (streq(encoder_name(e, t->name_off), "char") || (btf_int_encoding(t) & BTF_INT_CHAR));
}

static int encode_array_text(Encoder *e, uint32_t id, const struct btf_type *element, const char *s,
                             const Place *place, unsigned char *buffer, size_t size) {
        _cleanup_free_ char *quoted = NULL;
        char type[TYPE_NAME_SIZE];
        bool bytes;

        if (element && is_text(e, element)) {
                size_t n = strlen(s);

                if (n > size)
                        return WRONG(e, place, "this text has %zu bytes; no more than %zu fit (type %s)", n, size,
                                     encoder_type_name(e, id, type));
                memcpy(buffer, s, n);
                return 0;
        }
        if (!element || !btf_is_int(element) || (btf_int_encoding(element) & BTF_INT_BOOL))
                return WRONG(e, place, "expected an array, got a string (type %s)", encoder_type_name(e, id, type));

        bytes = element->size == 1;
        /* Also an IPv6 address that the author keeps in larger integers. */
        if ((size == 16 || bytes) && address_from_string(s, buffer, size) >= 0)
                return 0;
        if (bytes && bytes_from_hex(s, buffer, size) >= 0)
                return 0;
        quoted = json_quote(s);
        if (!bytes && size != 16)
                return WRONG(e, place, "expected an array, got a string (type %s)", encoder_type_name(e, id, type));
        return WRONG(e, place, "%s is not %s%s (type %s)", strna(quoted),
                     size == 4    ? "an IPv4 address"
                     : size == 16 ? "an IPv6 address"
                     : size == 6  ? "a MAC address"
                                  : "a row of hexadecimal digits",
                     bytes && (size == 4 || size == 16) ? " or a row of hexadecimal digits, two for each byte"
                     : bytes                            ? ", two digits for each byte"
                                                        : "",
                     encoder_type_name(e, id, type));
}

static int encode_array(Encoder *e, uint32_t id, const struct btf_type *t, json_object *value, const Place *place,
                        unsigned char *buffer, size_t size) {
        const struct btf_array *array = btf_array(t);
        int64_t step = size_of(e, array->type);
        char type[TYPE_NAME_SIZE];
        size_t n;
        int r;

        if (step < 0 || (uint64_t) step * array->nelems > size)
                return BROKEN(e, place, "the type information of this array is broken");
        if (json_object_is_type(value, json_type_string))
                return encode_array_text(e, id, encoder_resolve(e, array->type), json_object_get_string(value), place,
                                         buffer, size);
        r = encoder_check(e, place, value, JSON_ARRAY);
        if (r < 0)
                return r;
        n = json_object_array_length(value);
        if (n > array->nelems)
                return WRONG(e, place, "this array has %zu elements; no more than %u are taken (type %s)", n,
                             array->nelems, encoder_type_name(e, id, type));
        for (size_t i = 0; i < n; i++) {
                r = encode(e, array->type, json_object_array_get_idx(value, i), &(Place){ .up = place, .index = i },
                           buffer + i * (size_t) step, (size_t) step);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int encode(Encoder *e, uint32_t id, json_object *value, const Place *place, unsigned char *buffer,
                  size_t size) {
        const struct btf_type *t = encoder_resolve(e, id);
        int r;

        if (!t)
                return BROKEN(e, place, "the type information of this value is broken");
        if (e->depth >= ENCODER_DEPTH_MAX)
                return BROKEN(e, place, "types stand within each other more than %u deep", ENCODER_DEPTH_MAX);
        r = spend(e, place, 1);
        if (r < 0)
                return r;

        e->depth++;
        if (btf_is_composite(t))
                r = t->size > size ? BROKEN(e, place, "the type information of this value is broken")
                                   : encode_composite(e, id, t, value, place, buffer, size);
        else if (btf_is_array(t))
                r = encode_array(e, id, t, value, place, buffer, size);
        else if (btf_is_int(t) || btf_is_any_enum(t) || btf_is_float(t))
                r = t->size > size ? BROKEN(e, place, "the type information of this value is broken")
                                   : encode_scalar(e, id, t, value, place, buffer, 0, 8 * t->size);
        else
                r = BROKEN(e, place, "%s can't be written; leave it out", btf_is_ptr(t) ? "a pointer" : "this type");
        e->depth--;
        return r;
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

static int encode_any(Encoder *e, uint32_t id, json_object *value, const Place *place, unsigned char *buffer,
                      size_t size) {
        char type[TYPE_NAME_SIZE];
        int64_t n;

        if (!e->btf || id == 0)
                return encode_raw(e, value, place, buffer, size);
        n = size_of(e, id);
        if (n < 0)
                return BROKEN(e, place, "this type can't be written (type %s)", encoder_type_name(e, id, type));
        if ((uint64_t) n != size)
                return BROKEN(e, place, "type %s has %lld bytes, but the kernel expects %zu",
                              encoder_type_name(e, id, type), (long long) n, size);
        return encode(e, id, value, place, buffer, size);
}

int btf_value_encode(const struct btf *btf, uint32_t type_id, json_object *value, const char *where, void *buffer,
                     size_t size, Error *error) {
        Encoder e = { .btf = btf, .error = error };

        if (size > 0)
                memset(buffer, 0, size);
        return encode_any(&e, type_id, value, &(Place){ .path = where }, buffer, size);
}

/* 1: it was a prefix or an address; 0: it is something else. */
static int encode_prefix_text(Encoder *e, json_object *value, const Place *place, unsigned char *buffer) {
        _cleanup_free_ char *quoted = NULL;
        unsigned length;
        uint32_t number;
        const char *s;

        if (!json_object_is_type(value, json_type_string))
                return 0;
        s = json_object_get_string(value);
        if (prefix_from_string(s, buffer + sizeof(number), e->prefix_data, &length) < 0) {
                if (!strpbrk(s, "/.") && !strstr(s, "::"))
                        return 0;
                quoted = json_quote(s);
                if (e->prefix_data != 4 && e->prefix_data != 16)
                        return WRONG(e, place,
                                     "%s can't be the key of an LPM trie of %zu bytes, which holds no addresses",
                                     strna(quoted), e->prefix_data);
                return WRONG(e, place, "%s is not an %s prefix such as %s", strna(quoted),
                             e->prefix_data == 4 ? "IPv4" : "IPv6",
                             e->prefix_data == 4 ? "203.0.113.0/24" : "2001:db8::/32");
        }
        if (length > 8 * e->prefix_data)
                return WRONG(e, place, "%u is not within 0..%zu (prefix length, LPM trie of %zu bytes)", length,
                             8 * e->prefix_data, e->prefix_data);
        number = length;
        memcpy(buffer, &number, sizeof(number));
        return 1;
}

static int encode_prefix(Encoder *e, uint32_t id, json_object *value, const Place *place, unsigned char *buffer,
                         size_t size) {
        uint32_t length;
        int r;

        if (size <= sizeof(length))
                return BROKEN(e, place, "the key of an LPM trie has more than %zu bytes", sizeof(length));
        e->prefix_length = buffer;
        e->prefix_data = size - sizeof(length);

        r = encode_prefix_text(e, value, place, buffer);
        if (r != 0)
                return r < 0 ? r : 0;
        memset(buffer, 0, size);
        r = encode_any(e, id, value, place, buffer, size);
        if (r < 0)
                return r;

        /* Left out it would be 0, which means every address: too much for an oversight. */
        if (json_object_is_type(value, json_type_object) && !e->prefix_seen)
                return WRONG(e, place, "the prefix length of this key is missing; write 0 to mean everything");
        memcpy(&length, buffer, sizeof(length));
        if (length > 8 * e->prefix_data)
                return WRONG(e, place, "%u is not within 0..%zu (prefix length, LPM trie of %zu bytes)", length,
                             8 * e->prefix_data, e->prefix_data);
        return 0;
}

int btf_value_encode_map_key(const struct btf *btf, uint32_t type_id, uint32_t bpf_map_type, json_object *value,
                             const char *where, void *buffer, size_t size, Error *error) {
        Encoder e = { .btf = btf, .error = error };

        if (bpf_map_type != BPF_MAP_TYPE_LPM_TRIE)
                return btf_value_encode(btf, type_id, value, where, buffer, size, error);
        if (size > 0)
                memset(buffer, 0, size);
        return encode_prefix(&e, type_id, value, &(Place){ .path = where }, buffer, size);
}
