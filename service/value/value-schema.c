/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "value/value-schema.h"
#include "util/json.h"
#include "value/value-text.h"

#define SCHEMA_MAX (4U << 20)
#define ARRAYS_MAX 16U /* within each other in a signature; D-Bus takes 32 */

static int schema(const ValueType *type, const ValueNotes *notes, bool top, Buffer *b);

static int put(Buffer *b, const char *s) {
        return b->size > SCHEMA_MAX ? -E2BIG : buffer_append_string(b, s);
}

static int put_json(Buffer *b, const char *s) {
        return b->size > SCHEMA_MAX ? -E2BIG : buffer_append_json(b, s, strlen(s));
}

static int put_member(Buffer *b, const char *name, const char *text) {
        int r;

        if (!text)
                return 0;
        r = buffer_append_format(b, ",\"%s\":", name);
        return r < 0 ? r : put_json(b, text);
}

/* The author's default: JSON if it is some, else text. */
static int put_default(Buffer *b, const char *text) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_json_ json_object *value = NULL;
        int r;

        if (!text)
                return 0;
        r = json_parse(text, strlen(text), &value, NULL, &error);
        if (r == -ENOMEM)
                return r;
        return r < 0 ? put_member(b, "default", text) : buffer_append_format(b, ",\"default\":%s", text);
}

static int put_range(Buffer *b, unsigned bits, bool is_signed) {
        char min[NUMBER_STRING_SIZE], max[NUMBER_STRING_SIZE];

        return buffer_append_format(b, "\"type\":\"integer\",\"minimum\":%s,\"maximum\":%s",
                                    number_to_string(number_min(bits, is_signed), min),
                                    number_to_string(number_max(bits, is_signed), max));
}

static int put_digits(Buffer *b, uint32_t bytes) {
        return buffer_append_format(b, "\"type\":\"string\",\"pattern\":\"^([0-9a-f]{2}){%u}$\"", bytes);
}

static int put_address(Buffer *b, ValueFormat format) {
        if (format == VALUE_FORMAT_MAC)
                return put(b, "\"type\":\"string\",\"pattern\":\"^([0-9a-f]{2}:){5}[0-9a-f]{2}$\"");
        return buffer_append_format(b, "\"type\":\"string\",\"format\":\"%s\"", value_format_to_string(format));
}

static int schema_integer(const ValueType *type, unsigned bits, Buffer *b) {
        bool whole = bits == 8 * type->size;
        int r;

        if (whole && (type->format == VALUE_FORMAT_IPV4 || type->format == VALUE_FORMAT_IPV6))
                return put_address(b, type->format);
        if (type->format == VALUE_FORMAT_HEX)
                return put(b, "\"type\":\"string\",\"pattern\":\"^0x[0-9a-f]+$\"");
        if (type->size > 8)
                return put(b, type->is_signed ? "\"type\":\"string\",\"pattern\":\"^-?[0-9]{1,39}$\""
                                              : "\"type\":\"string\",\"pattern\":\"^[0-9]{1,39}$\"");
        if (type->format != VALUE_FORMAT_PROTOCOL)
                return put_range(b, bits, type->is_signed);
        r = put(b, "\"anyOf\":[{\"type\":\"string\"},{");
        if (r >= 0)
                r = put_range(b, bits, type->is_signed);
        return r < 0 ? r : put(b, "}]");
}

static int put_names(const ValueType *type, Buffer *b) {
        bool first = true;
        int r;

        r = put(b, "{\"enum\":[");
        for (size_t i = 0; i < type->n_enumerators && r >= 0; i++) {
                if (!*type->enumerators[i].name)
                        continue;
                r = first ? 0 : put(b, ",");
                if (r >= 0)
                        r = put_json(b, type->enumerators[i].name);
                first = false;
        }
        return r < 0 ? r : put(b, "]}");
}

static int schema_enum(const ValueType *type, unsigned bits, Buffer *b) {
        bool flags = type->format == VALUE_FORMAT_FLAGS;
        int r;

        r = put(b, flags ? "\"type\":\"array\",\"items\":{\"anyOf\":[" : "\"anyOf\":[");
        if (r >= 0 && type->n_enumerators > 0) {
                r = put_names(type, b);
                if (r >= 0)
                        r = put(b, ",");
        }
        if (r >= 0 && flags)
                return put(b, "{\"type\":\"string\",\"pattern\":\"^0x[0-9a-f]+$\"}]},\"uniqueItems\":true");
        if (r >= 0)
                r = put(b, "{");
        if (r >= 0)
                r = put_range(b, bits, type->is_signed);
        return r < 0 ? r : put(b, "}]");
}

static int schema_array(const ValueType *type, Buffer *b) {
        int r;

        if (type->format != VALUE_FORMAT_NONE && type->format != VALUE_FORMAT_HEX)
                return put_address(b, type->format);
        if (type->kind == VALUE_TEXT)
                return buffer_append_format(b,
                                            "\"anyOf\":[{\"type\":\"string\",\"maxLength\":%u},{\"type\":\"array\","
                                            "\"items\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":255},"
                                            "\"minItems\":%u,\"maxItems\":%u}]",
                                            type->size, type->size, type->size);
        if (value_type_is_bytes(type) || type->format == VALUE_FORMAT_HEX)
                return put_digits(b, type->size);
        r = put(b, "\"type\":\"array\",\"items\":");
        if (r >= 0)
                r = schema(type->element, NULL, false, b);
        return r < 0 ? r
                     : buffer_append_format(b, ",\"minItems\":%u,\"maxItems\":%u", type->n_elements,
                                            type->n_elements);
}

static int schema_bits(const ValueMember *m, Buffer *b) {
        int r;

        r = put(b, "{");
        if (r >= 0)
                r = m->type->kind == VALUE_ENUM      ? schema_enum(m->type, m->bits, b)
                    : m->type->kind == VALUE_BOOLEAN ? put(b, "\"type\":\"boolean\"")
                                                     : schema_integer(m->type, m->bits, b);
        if (r >= 0)
                r = put_member(b, "title", m->type->name);
        return r;
}

static int put_notes(const ValueType *type, const ValueNotes *notes, Buffer *b) {
        int r = 0;

        if (type->format != VALUE_FORMAT_NONE)
                r = put_member(b, "x-format", value_format_to_string(type->format));
        if (r >= 0 && notes->role != VALUE_ROLE_NONE)
                r = put_member(b, "x-role", value_role_to_string(notes->role));
        if (r >= 0)
                r = put_member(b, "x-unit", notes->unit);
        if (r >= 0)
                r = put_member(b, "description", notes->description);
        return r < 0 ? r : put_default(b, notes->initial);
}

#define PREFIX_SCHEMA "\"type\":\"string\",\"pattern\":\"^[0-9a-f.:]+/[0-9]{1,3}$\""

static int schema_member(const ValueMember *m, Buffer *b) {
        int r;

        if (m->bits == 0)
                return schema(m->type, &m->notes, false, b);
        r = schema_bits(m, b);
        if (r >= 0)
                r = put_notes(m->type, &m->notes, b);
        return r < 0 ? r : put(b, "}");
}

/* The address of a prefix behind other members, as long as that reaches it. */
static int schema_address(const ValueMember *m, Buffer *b) {
        int r;

        r = put(b, "{\"anyOf\":[{" PREFIX_SCHEMA "},");
        if (r >= 0)
                r = schema_member(m, b);
        return r < 0 ? r : put(b, "]}");
}

static int put_required(const ValueType *type, const ValueType *prefix, Buffer *b) {
        bool first = true;
        int r;

        r = put(b, "},\"required\":[");
        for (size_t i = 0; i < type->n_members && r >= 0; i++) {
                const ValueMember *m = &type->members[i];

                if (value_member_is_hidden(m) || (prefix && m->offset < 32))
                        continue;
                r = first ? 0 : put(b, ",");
                if (r >= 0)
                        r = put_json(b, m->name);
                first = false;
        }
        return r < 0 ? r : put(b, "],\"additionalProperties\":false");
}

/* prefix: the struct is the key of an LPM trie, whose address may come with the length. */
static int schema_members(const ValueType *type, const ValueType *prefix, Buffer *b) {
        bool first = true;
        int r;

        r = put(b, "\"type\":\"object\",\"properties\":{");
        for (size_t i = 0; i < type->n_members && r >= 0; i++) {
                const ValueMember *m = &type->members[i];

                if (value_member_is_hidden(m))
                        continue;
                r = first ? 0 : put(b, ",");
                if (r >= 0)
                        r = put_json(b, m->name);
                if (r >= 0)
                        r = put(b, ":");
                if (r >= 0)
                        r = prefix && prefix->address == (int) i ? schema_address(m, b) : schema_member(m, b);
                first = false;
        }
        return r < 0 ? r : put_required(type, prefix, b);
}

static int schema_prefix(const ValueType *type, Buffer *b) {
        if (!type->element)
                return put_digits(b, type->size);
        if (type->address_offset == 4)
                return put(b, PREFIX_SCHEMA);
        return schema_members(type->element, type, b);
}

static int schema_kind(const ValueType *type, Buffer *b) {
        switch (type->kind) {
        case VALUE_INTEGER: return schema_integer(type, 8 * type->size, b);
        case VALUE_BOOLEAN: return put(b, "\"type\":\"boolean\"");
        case VALUE_CHAR: return put_range(b, 8, false);
        case VALUE_ENUM: return schema_enum(type, 8 * type->size, b);
        case VALUE_FLOAT:
                return put(b, "\"anyOf\":[{\"type\":\"number\"},{\"enum\":[\"NaN\",\"Infinity\",\"-Infinity\"]}]");
        case VALUE_ARRAY:
        case VALUE_TEXT: return schema_array(type, b);
        case VALUE_STRUCT:
        case VALUE_UNION:
                return type->format == VALUE_FORMAT_NONE ? schema_members(type, NULL, b)
                                                         : put_address(b, type->format);
        case VALUE_PREFIX: return schema_prefix(type, b);
        case VALUE_POINTER: return put(b, "\"type\":\"string\",\"pattern\":\"^0x[0-9a-f]+$\",\"readOnly\":true");
        case VALUE_OPAQUE: {
                int r = put_digits(b, type->size);

                return r < 0 || !type->reason ? r : put(b, ",\"readOnly\":true");
        }
        case _VALUE_KIND_MAX:
        case _VALUE_KIND_INVALID: break;
        }
        return -EINVAL;
}

static int schema(const ValueType *type, const ValueNotes *notes, bool top, Buffer *b) {
        int r;

        /* a key without an address is as its type is */
        if (type->kind == VALUE_PREFIX && type->element && type->address < 0)
                return schema(type->element, notes, top, b);
        r = put(b, top ? "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"," : "{");
        if (r >= 0)
                r = schema_kind(type, b);
        if (r >= 0)
                r = put_member(b, "title", type->name);
        if (r >= 0)
                r = put_notes(type, notes ? notes : &type->notes, b);
        return r < 0 ? r : put(b, "}");
}

int value_schema(const ValueType *type, const ValueNotes *notes, Buffer *buffer) {
        size_t size = buffer->size;
        int r = schema(type, notes, true, buffer);

        if (r < 0)
                buffer->size = size;
        return r;
}

static char *signature_array(const ValueType *type) {
        _cleanup_free_ char *element = NULL;
        char *s;

        if (type->format != VALUE_FORMAT_NONE)
                return strdup("s");
        if (value_type_is_bytes(type))
                return strdup("ay");
        if (value_signature(type->element, &element) < 0)
                return NULL;
        if (strspn(element, "a") >= ARRAYS_MAX)
                return strdup("av");
        return asprintf(&s, "a%s", element) < 0 ? NULL : s;
}

static const char *signature_integer(const ValueType *type) {
        switch (type->format) {
        case VALUE_FORMAT_IPV4:
        case VALUE_FORMAT_IPV6:
        case VALUE_FORMAT_HEX: return "s";
        case VALUE_FORMAT_PROTOCOL: return "v";
        case VALUE_FORMAT_NONE:
        case VALUE_FORMAT_MAC:
        case VALUE_FORMAT_PORT:
        case VALUE_FORMAT_BE16:
        case VALUE_FORMAT_BE32:
        case VALUE_FORMAT_BE64:
        case VALUE_FORMAT_NS:
        case VALUE_FORMAT_BYTES:
        case VALUE_FORMAT_FLAGS:
        case VALUE_FORMAT_TEXT:
        case _VALUE_FORMAT_MAX:
        case _VALUE_FORMAT_INVALID: break;
        }
        switch (type->size) {
        case 1: return type->is_signed ? "n" : "y";
        case 2: return type->is_signed ? "n" : "q";
        case 4: return type->is_signed ? "i" : "u";
        case 8: return type->is_signed ? "x" : "t";
        }
        return "s";
}

static const char *signature_prefix(const ValueType *type) {
        if (!type->element)
                return "ay";
        return type->address >= 0 && type->address_offset == 4 ? "s" : NULL;
}

int value_signature(const ValueType *type, char **ret) {
        const char *s = NULL;
        char *copy;

        switch (type->kind) {
        case VALUE_INTEGER: s = signature_integer(type); break;
        case VALUE_BOOLEAN: s = "b"; break;
        case VALUE_CHAR: s = "y"; break;
        case VALUE_ENUM: s = type->format == VALUE_FORMAT_FLAGS ? "as" : "v"; break;
        case VALUE_FLOAT: s = "d"; break;
        case VALUE_TEXT: s = "v"; break;
        case VALUE_STRUCT:
        case VALUE_UNION: s = type->format == VALUE_FORMAT_NONE ? "a{sv}" : "s"; break;
        case VALUE_POINTER: s = "t"; break;
        case VALUE_OPAQUE: s = "ay"; break;
        case VALUE_PREFIX:
                s = signature_prefix(type);
                if (!s)
                        return value_signature(type->element, ret);
                break;
        case VALUE_ARRAY: break;
        case _VALUE_KIND_MAX:
        case _VALUE_KIND_INVALID: return -EINVAL;
        }
        copy = s ? strdup(s) : signature_array(type);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}
