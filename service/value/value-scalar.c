/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <float.h>
#include <math.h>

#include "util/json-reader.h"
#include "value/value-bits.h"
#include "value/value-place.h"
#include "value/value-protocol.h"
#include "value/value-text.h"

/* Reads a whole number. 1: it is one; 0: it is something else (a string that may mean another thing). */
int encode_read_number(Encoder *e, const Place *place, json_object *value, Number *ret) {
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

int encode_fault_range(Encoder *e, const Place *place, Number number, Number min, Number max, const char *type) {
        char n[NUMBER_STRING_SIZE], a[NUMBER_STRING_SIZE], b[NUMBER_STRING_SIZE];

        return WRONG(e, place, "%s is not within %s..%s (type %s)", number_to_string(number, n),
                     number_to_string(min, a), number_to_string(max, b), type);
}

static void put_network_order(unsigned char *buffer, uint32_t size, uint128 value) {
        for (uint32_t i = size; i-- > 0; value >>= 8)
                buffer[i] = (unsigned char) value;
}

static bool is_network_order(ValueFormat format) {
        return format == VALUE_FORMAT_PORT || format == VALUE_FORMAT_BE16 || format == VALUE_FORMAT_BE32 ||
               format == VALUE_FORMAT_BE64;
}

/* The length of the prefix, at the beginning of the key of an LPM trie? */
static bool is_length(const Encoder *e, const ValueType *type, const unsigned char *buffer) {
        return e->prefix && buffer == e->key && type->size == 4;
}

static int fault_integer_range(Encoder *e, const ValueType *type, const Place *place, Number number, Number min,
                               Number max, unsigned bits, bool length) {
        _cleanup_free_ char *name = NULL;
        int r;

        if (bits < 8 * type->size)
                r = asprintf(&name, "%s, bit field of %u", type->name, bits);
        else if (length)
                r = asprintf(&name, "%s, LPM trie of %u bytes", type->name, e->prefix->size - 4);
        else
                return encode_fault_range(e, place, number, min, max, type->name);
        if (r < 0) {
                name = NULL;
                return -ENOMEM;
        }
        return encode_fault_range(e, place, number, min, max, name);
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

/* Text that is not a plain number, but means one. 1: it does, 0: it does not. */
static int read_special(const ValueType *type, const char *s, Number *ret) {
        int r = -EINVAL;

        if (type->format == VALUE_FORMAT_NS)
                r = number_with_unit(s, NUMBER_TIME, ret);
        else if (type->format == VALUE_FORMAT_BYTES)
                r = number_with_unit(s, NUMBER_DATA, ret);
        else if (type->format == VALUE_FORMAT_PROTOCOL) {
                int protocol = protocol_from_string(s);

                if (protocol >= 0) {
                        *ret = (Number){ (uint128) protocol, false };
                        r = 0;
                }
        }
        return r == 0;
}

static int fault_integer_text(Encoder *e, const ValueType *type, const char *s, const Place *place, bool address) {
        _cleanup_free_ char *quoted = json_quote(s);
        const char *other = "";

        if (address)
                other = " or an IPv4 address";
        else if (type->format == VALUE_FORMAT_NS)
                other = " or a time such as 10ms";
        else if (type->format == VALUE_FORMAT_BYTES)
                other = " or an amount such as 10MiB";
        else if (type->format == VALUE_FORMAT_PROTOCOL)
                other = " or a protocol such as tcp";
        return WRONG(e, place, "%s is not a number%s (type %s)", strna(quoted), other, type->name);
}

/* An integer type or a bit field of one: `bits` of it, beginning `offset` bits into the buffer. */
static int encode_integer(Encoder *e, const ValueType *type, json_object *value, const Place *place,
                          unsigned char *buffer, size_t offset, unsigned bits) {
        bool whole = bits == 8 * type->size, length = whole && is_length(e, type, buffer), address;
        Number number, min = number_min(bits, type->is_signed), max = number_max(bits, type->is_signed);
        int r;

        if (type->kind == VALUE_CHAR) {
                min = number_min(8, true); /* whichever way its compiler has it */
                max = number_max(8, false);
        }
        address = whole && !type->is_signed && !length && type->size == 4;
        if (length)
                max = (Number){ 8 * (uint128) (e->prefix->size - 4), false };
        r = encode_read_number(e, place, value, &number);
        if (r == 0 && json_object_is_type(value, json_type_string)) {
                const char *s = json_object_get_string(value);

                if (address && address_from_string(s, buffer, 4) >= 0)
                        return 0;
                r = read_special(type, s, &number);
                if (r == 0)
                        return fault_integer_text(e, type, s, place, address);
        }
        if (r <= 0)
                return r < 0 ? r : encoder_check(e, place, value, JSON_INTEGER);
        if (number_compare(number, min) < 0 || number_compare(number, max) > 0)
                return fault_integer_range(e, type, place, number, min, max, bits, length);
        if (length) {
                if (e->length_seen)
                        return WRONG(e, place, "the prefix length of this key is given twice");
                e->length_seen = true;
        }
        if (whole && is_network_order(type->format))
                put_network_order(buffer, type->size, number_bits(number));
        else
                value_store_bits(buffer, offset, bits, number_bits(number));
        return 0;
}

static int encode_bool(Encoder *e, const ValueType *type, json_object *value, const Place *place,
                       unsigned char *buffer, size_t offset, unsigned bits) {
        int64_t v;
        int r;

        r = encoder_check(e, place, value, JSON_BOOLEAN | JSON_INTEGER);
        if (r < 0)
                return r;
        v = json_object_get_int64(value); /* of a boolean too */
        if (v != 0 && v != 1)
                return WRONG(e, place, "expected true or false, got %lld", (long long) v);
        value_store_bits(buffer, offset, bits, (uint128) v);
        return 0;
}

/* What JSON has no numerals for. */
static bool is_no_number(json_object *value, double *ret) {
        const char *s = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

        if (streq(s, "NaN"))
                *ret = NAN;
        else if (streq(s, "Infinity") || streq(s, "-Infinity"))
                *ret = *s == '-' ? -INFINITY : INFINITY;
        else
                return false;
        return true;
}

static int encode_float(Encoder *e, const ValueType *type, json_object *value, const Place *place,
                        unsigned char *buffer) {
        double v;
        int r;

        if (!is_no_number(value, &v)) {
                r = encoder_check(e, place, value, JSON_NUMBER);
                if (r < 0)
                        return r;
                v = json_object_get_double(value);
                if (json_object_is_type(value, json_type_int) && json_object_get_int64(value) == INT64_MAX)
                        v = (double) json_object_get_uint64(value);
                if (type->size == sizeof(float) && isfinite(v) && fabs(v) > (double) FLT_MAX)
                        return WRONG(e, place, "%g is too large for a float", v);
        }
        if (type->size == sizeof(float)) {
                float f = (float) v;

                memcpy(buffer, &f, sizeof(f));
        } else
                memcpy(buffer, &v, sizeof(v));
        return 0;
}

/* An address in whatever type holds its bytes. 1: it was one, 0: it is something else. */
static int encode_address(Encoder *e, const ValueType *type, json_object *value, const Place *place,
                          unsigned char *buffer) {
        static const unsigned char mapped[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
        _cleanup_free_ char *quoted = NULL;
        const char *s;
        int r;

        if (!json_object_is_type(value, json_type_string))
                return type->kind == VALUE_INTEGER ? encoder_check(e, place, value, JSON_STRING) : 0;
        s = json_object_get_string(value);
        r = address_from_string(s, buffer, type->size);
        if (r < 0 && type->format == VALUE_FORMAT_IPV6 && address_from_string(s, buffer + sizeof(mapped), 4) >= 0) {
                memcpy(buffer, mapped, sizeof(mapped));
                r = 0;
        }
        if (r < 0 && type->kind == VALUE_ARRAY && type->element->size == 1)
                r = bytes_from_hex(s, buffer, type->size);
        if (r >= 0)
                return 1;
        quoted = json_quote(s);
        return WRONG(e, place, "%s is not an %s address%s (type %s)", strna(quoted),
                     type->size == 4 ? "IPv4" : "IPv6",
                     type->kind == VALUE_ARRAY && type->element->size == 1
                             ? " or a row of hexadecimal digits, two for each byte"
                             : "",
                     type->name);
}

int encode_scalar(Encoder *e, const ValueType *type, json_object *value, const Place *place, unsigned char *buffer,
                  size_t offset, unsigned bits) {
        if (bits == 8 * type->size && (type->format == VALUE_FORMAT_IPV4 || type->format == VALUE_FORMAT_IPV6)) {
                int r = encode_address(e, type, value, place, buffer);

                if (r != 0)
                        return r < 0 ? r : 0;
        }
        switch (type->kind) {
        case VALUE_ENUM: return encode_enum(e, type, value, place, buffer, offset, bits);
        case VALUE_FLOAT: return encode_float(e, type, value, place, buffer);
        case VALUE_BOOLEAN: return encode_bool(e, type, value, place, buffer, offset, bits);
        case VALUE_INTEGER:
        case VALUE_CHAR:
                if (type->size == 1 && bits == 8 && type->format == VALUE_FORMAT_NONE &&
                    encode_character(value, buffer))
                        return 0;
                return encode_integer(e, type, value, place, buffer, offset, bits);
        case VALUE_POINTER: return BROKEN(e, place, "a pointer can't be written; leave it out");
        case VALUE_OPAQUE: return BROKEN(e, place, "%s (type %s)", strna(type->reason), type->name);
        case VALUE_ARRAY:
        case VALUE_TEXT:
        case VALUE_STRUCT:
        case VALUE_UNION:
        case VALUE_PREFIX: return 0; /* with an address, and taken apart by the caller */
        case _VALUE_KIND_MAX:
        case _VALUE_KIND_INVALID: break;
        }
        return BROKEN(e, place, "this type can't be written");
}
