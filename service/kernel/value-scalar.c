/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <float.h>
#include <math.h>

#include "kernel/value-encoder.h"
#include "kernel/value-text.h"
#include "util/json-reader.h"

/* Reads a whole number. 1: it is one; 0: it is something else (a string that may mean another thing). */
static int read_number(Encoder *e, const Place *place, json_object *value, Number *ret) {
        _cleanup_free_ char *quoted = NULL;
        const char *s;
        int r;

        if (json_object_is_type(value, json_type_int)) {
                int64_t v = json_object_get_int64(value);

                /* json-c gives INT64_MAX for all that is larger. */
                if (v < 0)
                        *ret = (Number){ -(uint128) v, true };
                else
                        *ret = (Number){ json_object_get_uint64(value), false };
                return 1;
        }
        if (!json_object_is_type(value, json_type_string))
                return 0;
        s = json_object_get_string(value);
        r = number_from_string(s, ret);
        if (r != -ERANGE)
                return r == 0;
        quoted = json_quote(s);
        return WRONG(e, place, "%s does not fit in 128 bits", strna(quoted));
}

static int fault_range(Encoder *e, const Place *place, Number number, Number min, Number max, const char *type) {
        char n[NUMBER_STRING_SIZE], a[NUMBER_STRING_SIZE], b[NUMBER_STRING_SIZE];

        return WRONG(e, place, "%s is not within %s..%s (type %s)", number_to_string(number, n),
                     number_to_string(min, a), number_to_string(max, b), type);
}

/* Writes the low bits of a value as C does for a bit field that begins `offset` bits into the buffer. */
static void put_bits(unsigned char *buffer, size_t offset, unsigned bits, uint128 value) {
        for (unsigned i = 0; i < bits; i++) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
                size_t at = offset + i;
                unsigned shift = at % 8;
#else
                size_t at = offset + bits - 1 - i;
                unsigned shift = 7 - at % 8;
#endif
                if (value >> i & 1)
                        buffer[at / 8] |= (unsigned char) (1U << shift);
        }
}

static int fault_integer_range(Encoder *e, uint32_t id, const struct btf_type *t, const Place *place, Number number,
                               Number min, Number max, unsigned bits) {
        char type[TYPE_NAME_SIZE + 48], name[TYPE_NAME_SIZE];

        encoder_type_name(e, id, name);
        if (bits < 8 * t->size)
                snprintf(type, sizeof(type), "%s, bit field of %u", name, bits);
        else if (t->size == 4 && max.magnitude == 8 * (uint128) e->prefix_data)
                snprintf(type, sizeof(type), "%s, LPM trie of %zu bytes", name, e->prefix_data);
        else
                snprintf(type, sizeof(type), "%s", name);
        return fault_range(e, place, number, min, max, type);
}

/* A string of one character, which is no digit. */
static bool encode_character(json_object *value, unsigned char *buffer) {
        const char *s;

        if (!json_object_is_type(value, json_type_string))
                return false;
        s = json_object_get_string(value);
        if (!s[0] || s[1] || (s[0] >= '0' && s[0] <= '9'))
                return false;
        buffer[0] = (unsigned char) s[0];
        return true;
}

/* Text that is not a number. `special`: it may stand for the whole of an unsigned integer. */
static int encode_integer_text(Encoder *e, uint32_t id, const struct btf_type *t, const char *s, const Place *place,
                               unsigned char *buffer, bool special) {
        _cleanup_free_ char *quoted = NULL;
        char name[TYPE_NAME_SIZE];
        bool address = special && t->size == 4;

        if (address && address_from_string(s, buffer, 4) >= 0)
                return 0;
        quoted = json_quote(s);
        return WRONG(e, place, "%s is not a number%s (type %s)", strna(quoted), address ? " or an IPv4 address" : "",
                     encoder_type_name(e, id, name));
}

/* An integer type or a bit field of one: `bits` of it, beginning `offset` bits into the buffer. */
static int encode_integer(Encoder *e, uint32_t id, const struct btf_type *t, json_object *value, const Place *place,
                          unsigned char *buffer, size_t offset, unsigned bits) {
        bool is_signed = btf_int_encoding(t) & BTF_INT_SIGNED, whole = bits == 8 * t->size;
        bool prefix = whole && t->size == 4 && buffer == e->prefix_length;
        Number number, min = number_min(bits, is_signed), max = number_max(bits, is_signed);
        int r;

        if (prefix) {
                e->prefix_seen = true;
                max = (Number){ 8 * (uint128) e->prefix_data, false };
        }
        r = read_number(e, place, value, &number);
        if (r < 0)
                return r;
        if (r == 0 && !json_object_is_type(value, json_type_string))
                return encoder_check(e, place, value, JSON_INTEGER);
        if (r == 0)
                return encode_integer_text(e, id, t, json_object_get_string(value), place, buffer,
                                           whole && !is_signed && !prefix);
        if (number_compare(number, min) < 0 || number_compare(number, max) > 0)
                return fault_integer_range(e, id, t, place, number, min, max, bits);
        put_bits(buffer, offset, bits, number_bits(number));
        return 0;
}

static int encode_bool(Encoder *e, json_object *value, const Place *place, unsigned char *buffer, size_t offset,
                       unsigned bits) {
        int64_t v;
        int r;

        r = encoder_check(e, place, value, JSON_BOOLEAN | JSON_INTEGER);
        if (r < 0)
                return r;
        v = json_object_get_int64(value); /* of a boolean too */
        if (v != 0 && v != 1)
                return WRONG(e, place, "expected true or false, got %lld", (long long) v);
        put_bits(buffer, offset, bits, (uint128) v);
        return 0;
}

static int encode_float(Encoder *e, const struct btf_type *t, json_object *value, const Place *place,
                        unsigned char *buffer) {
        double v;
        int r;

        r = encoder_check(e, place, value, JSON_NUMBER);
        if (r < 0)
                return r;
        v = json_object_get_double(value);
        if (json_object_is_type(value, json_type_int) && json_object_get_int64(value) == INT64_MAX)
                v = (double) json_object_get_uint64(value);
        if (t->size == sizeof(float)) {
                float f;

                if (fabs(v) > (double) FLT_MAX)
                        return WRONG(e, place, "%g is too large for a float", v);
                f = (float) v;
                memcpy(buffer, &f, sizeof(f));
        } else if (t->size == sizeof(double))
                memcpy(buffer, &v, sizeof(v));
        else
                return BROKEN(e, place, "a floating-point number of %u bytes can't be written", t->size);
        return 0;
}

static size_t enum_count(const struct btf_type *t) {
        return btf_vlen(t);
}

static const char *enum_name(const Encoder *e, const struct btf_type *t, size_t i) {
        return encoder_name(e, btf_is_enum(t) ? btf_enum(t)[i].name_off : btf_enum64(t)[i].name_off);
}

/* The kind flag says that values are signed; before Linux 6.0 there was none, so a negative one says so as well. */
static bool enum_signed(const struct btf_type *t) {
        if (btf_kflag(t))
                return true;
        for (size_t i = 0; btf_is_enum(t) && i < enum_count(t); i++)
                if (btf_enum(t)[i].val < 0)
                        return true;
        return false;
}

static Number enum_value(const struct btf_type *t, size_t i, bool is_signed) {
        int64_t v = btf_is_enum(t) ? btf_enum(t)[i].val : (int64_t) btf_enum64_value(&btf_enum64(t)[i]);

        if (is_signed && v < 0)
                return (Number){ -(uint128) v, true };
        return (Number){ btf_is_enum(t) ? (uint32_t) v : (uint64_t) v, false };
}

typedef struct EnumNames {
        const Encoder *e;
        const struct btf_type *t;
} EnumNames;

static const char *enum_names_get(void *userdata, size_t i) {
        const EnumNames *names = userdata;

        return enum_name(names->e, names->t, i);
}

static int fault_enum(Encoder *e, uint32_t id, const struct btf_type *t, const char *s, const Place *place) {
        _cleanup_free_ char *list = NULL, *quoted = json_quote(s);
        char name[TYPE_NAME_SIZE];

        list = list_names(enum_count(t), enum_names_get, &(EnumNames){ e, t });
        return WRONG(e, place, "%s is not a value of %s; its values are %s", strna(quoted),
                     encoder_type_name(e, id, name), strna(list));
}

static int encode_enum(Encoder *e, uint32_t id, const struct btf_type *t, json_object *value, const Place *place,
                       unsigned char *buffer, size_t offset, unsigned bits) {
        bool is_signed = enum_signed(t);
        Number number = {}, min = number_min(bits, is_signed), max = number_max(bits, is_signed);
        char name[TYPE_NAME_SIZE];
        bool known = false;
        int r;

        if (json_object_is_type(value, json_type_string)) {
                const char *s = json_object_get_string(value);

                e->work += (unsigned) enum_count(t);
                for (size_t i = 0; i < enum_count(t) && !known; i++)
                        if (*s && streq(enum_name(e, t, i), s)) {
                                number = enum_value(t, i, is_signed);
                                known = true;
                        }
        }
        if (!known) {
                r = read_number(e, place, value, &number);
                if (r < 0)
                        return r;
                if (r == 0 && json_object_is_type(value, json_type_string))
                        return fault_enum(e, id, t, json_object_get_string(value), place);
                if (r == 0)
                        return encoder_check(e, place, value, JSON_STRING | JSON_INTEGER);
        }
        if (number_compare(number, min) < 0 || number_compare(number, max) > 0)
                return fault_range(e, place, number, min, max, encoder_type_name(e, id, name));
        put_bits(buffer, offset, bits, number_bits(number));
        return 0;
}

int encode_scalar(Encoder *e, uint32_t id, const struct btf_type *t, json_object *value, const Place *place,
                  unsigned char *buffer, size_t offset, unsigned bits) {
        bool power = t->size > 0 && t->size <= 16 && (t->size & (t->size - 1)) == 0;
        char name[TYPE_NAME_SIZE];

        /* Compilers of old wrote bit fields as integer types that have fewer bits than bytes; nobody does today. */
        if (!power || (btf_is_any_enum(t) && t->size > 8) ||
            (btf_is_int(t) && (btf_int_bits(t) != 8 * t->size || btf_int_offset(t) != 0)) || bits == 0 ||
            bits > 8 * t->size)
                return BROKEN(e, place, "a value of this size can't be written (type %s)",
                              encoder_type_name(e, id, name));
        if (btf_is_any_enum(t))
                return encode_enum(e, id, t, value, place, buffer, offset, bits);
        if (btf_is_float(t))
                return encode_float(e, t, value, place, buffer);
        if (btf_int_encoding(t) & BTF_INT_BOOL)
                return encode_bool(e, value, place, buffer, offset, bits);
        if (t->size == 1 && bits == 8 && encode_character(value, buffer))
                return 0;
        return encode_integer(e, id, t, value, place, buffer, offset, bits);
}
