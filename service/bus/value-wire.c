/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * JSON stands between: what is printed decides which of several types an enumerator, a text or the key of an LPM trie
 * has this time, and what is read goes through the encoder of documents.
 */

#include "bus/value-wire.h"

#include "util/json.h"
#include "value/value-encode.h"
#include "value/value-print.h"
#include "value/value-schema.h"
#include "value/value-text.h"

#define DEPTH_MAX 40U /* of what is read; types are no deeper than VALUE_DEPTH_MAX */

static int append_value(sd_bus_message *message, const char *signature, const ValueType *type, json_object *value);

static const char *integer_signature(const ValueType *type) {
        switch (type->size) {
        case 1: return type->is_signed ? "n" : "y";
        case 2: return type->is_signed ? "n" : "q";
        case 4: return type->is_signed ? "i" : "u";
        }
        return type->is_signed ? "x" : "t";
}

/* The signature of this very value. */
static int signature_of(const ValueType *type, json_object *value, char **ret) {
        _cleanup_free_ char *signature = NULL;
        const char *actual = NULL;
        int r;

        r = value_signature(type, &signature);
        if (r < 0)
                return r;
        if (json_object_is_type(value, json_type_string)) {
                /* also the address of a prefix, which may be an integer by its type */
                if (strchr("vynqiuxt", signature[0]) && type->kind != VALUE_POINTER)
                        actual = "s";
        } else if (signature[0] == 'v')
                actual = type->kind == VALUE_TEXT ? "ay" : integer_signature(type);
        if (!actual)
                *ret = TAKE_PTR(signature);
        else
                *ret = strdup(actual);
        return *ret ? 0 : -ENOMEM;
}

static int append_variant(sd_bus_message *message, const ValueType *type, json_object *value) {
        _cleanup_free_ char *signature = NULL;
        int r;

        r = signature_of(type, value, &signature);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'v', signature);
        if (r >= 0)
                r = append_value(message, signature, type, value);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_number(sd_bus_message *message, char signature, const ValueType *type, json_object *value) {
        uint64_t u = json_object_get_uint64(value);
        int64_t i = json_object_get_int64(value);
        double d;

        switch (signature) {
        case 'y': return sd_bus_message_append_basic(message, 'y', &(uint8_t){ (uint8_t) u });
        case 'n': return sd_bus_message_append_basic(message, 'n', &(int16_t){ (int16_t) i });
        case 'q': return sd_bus_message_append_basic(message, 'q', &(uint16_t){ (uint16_t) u });
        case 'i': return sd_bus_message_append_basic(message, 'i', &(int32_t){ (int32_t) i });
        case 'u': return sd_bus_message_append_basic(message, 'u', &(uint32_t){ (uint32_t) u });
        case 'x': return sd_bus_message_append_basic(message, 'x', &i);
        case 'b': return sd_bus_message_append_basic(message, 'b', &(int){ json_object_get_boolean(value) });
        case 'd':
                d = json_object_is_type(value, json_type_string) ? strtod(json_object_get_string(value), NULL)
                                                                 : json_object_get_double(value);
                return sd_bus_message_append_basic(message, 'd', &d); /* "NaN" and the infinite ones are strings */
        case 't':
                if (type->kind == VALUE_POINTER)
                        u = strtoull(json_object_get_string(value), NULL, 16);
                return sd_bus_message_append_basic(message, 't', &u);
        }
        return -EINVAL;
}

/* From hexadecimal digits, or from an array of numbers where bytes are no text. */
static int append_bytes(sd_bus_message *message, const ValueType *type, json_object *value) {
        bool digits = json_object_is_type(value, json_type_string);
        uint8_t *bytes;
        void *space;
        int r;

        r = sd_bus_message_append_array_space(message, 'y', type->size, &space);
        if (r < 0)
                return r;
        bytes = space;
        if (digits)
                return bytes_from_hex(json_object_get_string(value), bytes, type->size);
        for (size_t i = 0; i < type->size; i++)
                bytes[i] = (uint8_t) json_object_get_int(json_object_array_get_idx(value, i));
        return 0;
}

static int append_members(sd_bus_message *message, const ValueType *type, json_object *value) {
        int r;

        if (type->kind == VALUE_PREFIX)
                type = type->element;
        r = sd_bus_message_open_container(message, 'a', "{sv}");
        for (size_t i = 0; i < type->n_members && r >= 0; i++) {
                const ValueMember *m = &type->members[i];
                json_object *part;

                if (!json_object_object_get_ex(value, m->name, &part))
                        continue; /* hidden, or the length of a prefix */
                r = sd_bus_message_open_container(message, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append_basic(message, 's', m->name);
                if (r >= 0)
                        r = append_variant(message, m->type, part);
                if (r >= 0)
                        r = sd_bus_message_close_container(message);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_array(sd_bus_message *message, const char *element, const ValueType *type, json_object *value) {
        int r;

        r = sd_bus_message_open_container(message, 'a', element);
        for (size_t i = 0; i < json_object_array_length(value) && r >= 0; i++) {
                json_object *part = json_object_array_get_idx(value, i);

                /* the names of flags are elements of what is no array by its type */
                if (type->kind == VALUE_ENUM)
                        r = sd_bus_message_append_basic(message, 's', json_object_get_string(part));
                else
                        r = streq(element, "v") ? append_variant(message, type->element, part)
                                                : append_value(message, element, type->element, part);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_value(sd_bus_message *message, const char *signature, const ValueType *type, json_object *value) {
        if (streq(signature, "s"))
                return sd_bus_message_append_basic(message, 's', json_object_get_string(value));
        if (streq(signature, "ay"))
                return append_bytes(message, type, value);
        if (streq(signature, "a{sv}"))
                return append_members(message, type, value);
        if (signature[0] == 'a')
                return append_array(message, signature + 1, type, value);
        return append_number(message, signature[0], type, value);
}

int value_wire_append(sd_bus_message *message, const ValueType *type, const void *bytes) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_json_ json_object *value = NULL;
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = value_print_once(type, VALUE_STYLE_JSON, bytes, &text);
        if (r < 0)
                return r;
        r = json_parse(text.data, text.size, &value, NULL, &error);
        if (r < 0)
                return r == -ENOMEM ? r : -E2BIG;
        return append_variant(message, type, value);
}

static int read_any(sd_bus_message *message, unsigned depth, json_object **ret);

static int read_basic(sd_bus_message *message, char kind, json_object **ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                int b;
                double d;
                const char *s;
        } v;
        int r;

        r = sd_bus_message_read_basic(message, kind, &v);
        if (r < 0)
                return r;
        switch (kind) {
        case 'y': *ret = json_object_new_int(v.y); break;
        case 'n': *ret = json_object_new_int(v.n); break;
        case 'q': *ret = json_object_new_int(v.q); break;
        case 'i': *ret = json_object_new_int(v.i); break;
        case 'u': *ret = json_object_new_int64(v.u); break;
        case 'x': *ret = json_object_new_int64(v.x); break;
        case 't': *ret = json_object_new_uint64(v.t); break;
        case 'b': *ret = json_object_new_boolean(v.b); break;
        case 'd': *ret = json_object_new_double(v.d); break;
        default: *ret = json_object_new_string(v.s); break;
        }
        return *ret ? 0 : -ENOMEM;
}

/* Entries of a dictionary; -EINVAL where a name comes twice. */
static int read_members(sd_bus_message *message, const char *contents, unsigned depth, json_object **ret) {
        _cleanup_json_ json_object *object = json_object_new_object();
        int r;

        if (!object)
                return -ENOMEM;
        r = sd_bus_message_enter_container(message, 'a', contents);
        while (r >= 0) {
                json_object *value = NULL;
                const char *name;

                r = sd_bus_message_enter_container(message, 'e', "sv");
                if (r <= 0)
                        break;
                r = sd_bus_message_read_basic(message, 's', &name);
                if (r >= 0)
                        r = read_any(message, depth + 1, &value);
                if (r >= 0 && json_object_object_get_ex(object, name, NULL))
                        r = -EINVAL;
                if (r < 0 || json_object_object_add(object, name, value) < 0) {
                        json_object_put(value);
                        return r < 0 ? r : -ENOMEM;
                }
                r = sd_bus_message_exit_container(message);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(object);
        return 0;
}

static int read_elements(sd_bus_message *message, const char *contents, unsigned depth, json_object **ret) {
        _cleanup_json_ json_object *array = json_object_new_array();
        int r;

        if (!array)
                return -ENOMEM;
        r = sd_bus_message_enter_container(message, 'a', contents);
        while (r >= 0) {
                json_object *value = NULL;

                r = sd_bus_message_at_end(message, false);
                if (r != 0)
                        break;
                r = read_any(message, depth + 1, &value);
                if (r < 0 || json_object_array_add(array, value) < 0) {
                        json_object_put(value);
                        return r < 0 ? r : -ENOMEM;
                }
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(array);
        return 0;
}

static int read_any(sd_bus_message *message, unsigned depth, json_object **ret) {
        const char *contents;
        char kind;
        int r;

        r = sd_bus_message_peek_type(message, &kind, &contents);
        if (r < 0)
                return r;
        if (r == 0 || depth > DEPTH_MAX)
                return -EINVAL;
        if (kind == 'v') {
                r = sd_bus_message_enter_container(message, 'v', contents);
                if (r >= 0)
                        r = read_any(message, depth + 1, ret);
                if (r >= 0 && sd_bus_message_exit_container(message) < 0) {
                        json_object_put(*ret);
                        *ret = NULL;
                        return -EINVAL;
                }
                return r;
        }
        if (kind == 'a')
                return streq(contents, "{sv}") ? read_members(message, contents, depth, ret)
                                               : read_elements(message, contents, depth, ret);
        return strchr("ynqiuxtbdsog", kind) ? read_basic(message, kind, ret) : -EINVAL;
}

/* Bytes of which there is no type are digits in JSON. */
static int bytes_to_digits(json_object **value) {
        _cleanup_buffer_ Buffer digits = {};
        json_object *text;
        int r = 0;

        for (size_t i = 0; i < json_object_array_length(*value) && r >= 0; i++)
                r = buffer_append_format(&digits, "%02x",
                                         (unsigned) json_object_get_int(json_object_array_get_idx(*value, i)) &
                                                 0xffU);
        text = r < 0 ? NULL : json_object_new_string_len(digits.data ? digits.data : "", (int) digits.size);
        if (!text)
                return -ENOMEM;
        json_object_put(*value);
        *value = text;
        return 0;
}

int value_wire_read(sd_bus_message *message, const ValueType *type, json_object **ret, Error *error) {
        bool raw = (type->kind == VALUE_OPAQUE && !type->reason) || (type->kind == VALUE_PREFIX && !type->element);
        bool bytes = sd_bus_message_verify_type(message, 'v', "ay") > 0;
        _cleanup_json_ json_object *value = NULL;
        int r;

        r = read_any(message, 0, &value);
        if (r == -EINVAL)
                return error_set(error, ERROR_INVALID_ARGUMENT,
                                 "This can't be a value: numbers, strings, booleans, arrays and a{sv} can.");
        if (r >= 0 && raw && bytes)
                r = bytes_to_digits(&value);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(value);
        return 0;
}
