/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/json-reader.h"
#include "value/value-bits.h"
#include "value/value-place.h"
#include "value/value-text.h"

static const char *enum_names_get(void *userdata, size_t i) {
        return ((const ValueType *) userdata)->enumerators[i].name;
}

static int fault_enum(Encoder *e, const ValueType *type, const char *s, const Place *place) {
        _cleanup_free_ char *list = list_names(type->n_enumerators, enum_names_get, (void *) type),
                            *quoted = json_quote(s);

        return WRONG(e, place, "%s is not a value of %s; its values are %s", strna(quoted), type->name, strna(list));
}

static Number enumerator_number(const ValueType *type, const ValueEnumerator *enumerator) {
        if (type->is_signed && (int64_t) enumerator->value < 0)
                return (Number){ -(uint128) (int64_t) enumerator->value, true };
        return (Number){ enumerator->value, false };
}

/* A name or a number. */
static int read_one(Encoder *e, const ValueType *type, json_object *value, const Place *place, Number *ret) {
        bool text = json_object_is_type(value, json_type_string);
        const char *s = text ? json_object_get_string(value) : "";
        const ValueEnumerator *enumerator = value_type_enumerator_named(type, s);
        int r;

        if (enumerator) {
                *ret = enumerator_number(type, enumerator);
                return 0;
        }
        r = encode_read_number(e, place, value, ret);
        if (r != 0)
                return r < 0 ? r : 0;
        return text ? fault_enum(e, type, s, place) : encoder_check(e, place, value, JSON_STRING | JSON_INTEGER);
}

/* "A|B" */
static int read_joined(Encoder *e, const ValueType *type, const char *s, const Place *place, uint128 *bits) {
        while (*s) {
                size_t n = strcspn(s, "|");
                _cleanup_json_ json_object *part = json_object_new_string_len(s, (int) n);
                Number number;
                int r;

                if (!part)
                        return -ENOMEM;
                r = read_one(e, type, part, place, &number);
                if (r < 0)
                        return r;
                *bits |= number_bits(number);
                s += n + (s[n] == '|');
        }
        return 0;
}

static int read_flags(Encoder *e, const ValueType *type, json_object *value, const Place *place, unsigned width,
                      Number *ret) {
        uint128 bits = 0;
        int r = 0;

        if (json_object_is_type(value, json_type_string)) {
                r = read_joined(e, type, json_object_get_string(value), place, &bits);
        } else if (json_object_is_type(value, json_type_array)) {
                for (size_t i = 0; i < json_object_array_length(value) && r >= 0; i++) {
                        Number number = {};

                        r = read_one(e, type, json_object_array_get_idx(value, i),
                                     &(Place){ .up = place, .index = i }, &number);
                        bits |= number_bits(number);
                }
        } else
                return json_is(value, JSON_INTEGER)
                               ? read_one(e, type, value, place, ret)
                               : encoder_check(e, place, value, JSON_ARRAY | JSON_STRING | JSON_INTEGER);
        if (r < 0)
                return r;
        /* Names of a signed enumeration may have the sign among their bits. */
        if (type->is_signed && bits >> (width - 1) & 1)
                *ret = (Number){ -(uint128) ((__int128) (bits << (128 - width)) >> (128 - width)), true };
        else
                *ret = (Number){ bits, false };
        return 0;
}

int encode_enum(Encoder *e, const ValueType *type, json_object *value, const Place *place, unsigned char *buffer,
                size_t offset, unsigned bits) {
        Number number, min = number_min(bits, type->is_signed), max = number_max(bits, type->is_signed);
        int r;

        r = type->format == VALUE_FORMAT_FLAGS ? read_flags(e, type, value, place, bits, &number)
                                               : read_one(e, type, value, place, &number);
        if (r < 0)
                return r;
        if (number_compare(number, min) < 0 || number_compare(number, max) > 0)
                return encode_fault_range(e, place, number, min, max, type->name);
        value_store_bits(buffer, offset, bits, number_bits(number));
        return 0;
}
