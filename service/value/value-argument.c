/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What one argument of a command line means (dbus/map-spec.md, section 9): the notation becomes a JSON value, with
 * strings where the encoder takes strings, and the encoder decides what fits.
 */

#include <math.h>

#include "util/json-text.h"
#include "util/json.h"
#include "value/value-encode.h"

typedef struct Argument {
        const char *where;
        Error *error;
        unsigned n_items;     /* members and elements made so far */
        const ValueType *key; /* of an LPM trie whose address comes with the length, or NULL */
} Argument;

#define ITEMS_MAX (1U << 20)

#define WRONG(a, ...) error_set_at((a)->error, ERROR_INVALID_DOCUMENT, (a)->where, __VA_ARGS__)

static int from_item(Argument *a, const ValueType *type, const char *s, size_t n, json_object **ret);

static int new_string(const char *s, size_t n, json_object **ret) {
        uint32_t code;

        /* json-c takes an int, and what is not UTF-8 would be written as it is */
        if (n > JSON_DOCUMENT_MAX)
                return -E2BIG;
        for (size_t i = 0, step; i < n; i += step) {
                step = utf8_decode(s, n, i, &code);
                if (step == 0)
                        return -EILSEQ;
        }
        *ret = json_object_new_string_len(s, (int) n);
        return *ret ? 0 : -ENOMEM;
}

static int from_json(Argument *a, const char *s, size_t n, json_object **ret) {
        _cleanup_error_ Error error = ERROR_INIT;
        JsonPosition position;
        int r;

        r = json_parse(s, n, ret, &position, &error);
        if (r < 0 && error_is_set(&error))
                return error_set_at(a->error, error.code, a->where, "this is not JSON at byte %zu: %s",
                                    position.offset + 1, error.message);
        return r;
}

static bool is_word(const char *s, size_t n, const char *word) {
        return strlen(word) == n && memcmp(s, word, n) == 0;
}

/* A struct or union that is written member by member. */
static bool is_object(const ValueType *type) {
        return (type->kind == VALUE_STRUCT || type->kind == VALUE_UNION) && type->format == VALUE_FORMAT_NONE;
}

static bool is_list(const ValueType *type) {
        return type->kind == VALUE_ARRAY && type->format == VALUE_FORMAT_NONE && !value_type_is_bytes(type);
}

static bool is_written(const Argument *a, const ValueType *type, const ValueMember *m) {
        if (type == a->key && m->offset < 32)
                return false;
        return !value_member_is_hidden(m) && m->type->kind != VALUE_POINTER && m->type->kind != VALUE_OPAQUE;
}

static int from_number(const char *s, size_t n, json_object **ret) {
        char text[64], *end;
        double v;

        if (n == 0 || n >= sizeof(text) || strspn(s, "0123456789+-.eE") < n)
                return new_string(s, n, ret);
        memcpy(text, s, n);
        text[n] = '\0';
        v = strtod(text, &end);
        if (*end || !isfinite(v))
                return new_string(s, n, ret);
        *ret = json_object_new_double(v);
        return *ret ? 0 : -ENOMEM;
}

static int from_scalar(Argument *a, const ValueType *type, const char *s, size_t n, json_object **ret) {
        int r;

        if (type->kind == VALUE_BOOLEAN && (is_word(s, n, "true") || is_word(s, n, "1")))
                *ret = json_object_new_boolean(true);
        else if (type->kind == VALUE_BOOLEAN && (is_word(s, n, "false") || is_word(s, n, "0")))
                *ret = json_object_new_boolean(false);
        else {
                r = type->kind == VALUE_FLOAT ? from_number(s, n, ret) : new_string(s, n, ret);
                if (r == -EILSEQ)
                        return WRONG(a, "this is not UTF-8");
                if (r == -E2BIG)
                        return error_set_at(a->error, ERROR_LIMIT_EXCEEDED, a->where, "this is too long");
                return r;
        }
        return *ret ? 0 : -ENOMEM;
}

/* Bytes up to the comma that ends an item; brackets and quotes keep it open. */
static size_t item_length(const char *s, size_t n) {
        unsigned depth = 0;
        size_t i = 0;

        while (i < n) {
                if (s[i] == '"') {
                        size_t end = json_skip_string(s, n, i);

                        i = MAX2(end, i + 1);
                        continue;
                }
                if (s[i] == ',' && depth == 0)
                        break;
                if (s[i] == '[' || s[i] == '{')
                        depth++;
                else if ((s[i] == ']' || s[i] == '}') && depth > 0)
                        depth--;
                i++;
        }
        return i;
}

static int count_item(Argument *a) {
        if (a->n_items++ < ITEMS_MAX)
                return 0;
        return error_set_at(a->error, ERROR_LIMIT_EXCEEDED, a->where, "this has more than %u parts", ITEMS_MAX);
}

static int from_list(Argument *a, const ValueType *type, const char *s, size_t n, json_object **ret) {
        _cleanup_json_ json_object *array = json_object_new_array();
        int r;

        if (!array)
                return -ENOMEM;
        while (n > 0) {
                size_t length = item_length(s, n);
                json_object *item = NULL;

                r = count_item(a);
                if (r >= 0)
                        r = from_item(a, type->element, s, length, &item);
                if (r < 0)
                        return r;
                if (json_object_array_add(array, item) < 0) {
                        json_object_put(item);
                        return -ENOMEM;
                }
                s += length;
                n -= length;
                if (n > 0) {
                        s++;
                        n--;
                        if (n == 0)
                                return WRONG(a, "an element is missing behind the last comma");
                }
        }
        *ret = TAKE_PTR(array);
        return 0;
}

static int add_once(Argument *a, json_object *object, const char *name, json_object *item) {
        _cleanup_free_ char *quoted = NULL;

        if (json_object_object_get_ex(object, name, NULL)) {
                json_object_put(item);
                quoted = json_quote(name);
                return WRONG(a, "%s is given twice", strna(quoted));
        }
        if (json_object_object_add(object, name, item) < 0) {
                json_object_put(item);
                return -ENOMEM;
        }
        return 0;
}

/* The object of a member that is a struct, which is made when it is met first. */
static int enter(Argument *a, json_object *object, const char *name, json_object **ret) {
        int r;

        if (json_object_object_get_ex(object, name, ret) && json_object_is_type(*ret, json_type_object))
                return 0;
        *ret = json_object_new_object();
        if (!*ret)
                return -ENOMEM;
        r = add_once(a, object, name, *ret);
        return r;
}

/* Puts an item where its path "flow.port" says. Variables may have dots in their names. */
static int put_at(Argument *a, const ValueType *type, json_object *object, const char *path, const char *item,
                  size_t n) {
        const ValueMember *m = value_type_member(type, path), *outer;
        const char *dot = m ? NULL : strchr(path, '.');
        json_object *value = NULL;
        int r;

        if (dot) {
                _cleanup_free_ char *name = strndup(path, (size_t) (dot - path));

                if (!name)
                        return -ENOMEM;
                outer = value_type_member(type, name);
                if (outer && is_object(outer->type)) {
                        r = enter(a, object, name, &value);
                        return r < 0 ? r : put_at(a, outer->type, value, dot + 1, item, n);
                }
        }
        /* an unknown name stays, so that the encoder says what the known ones are */
        r = m ? from_item(a, m->type, item, n, &value) : from_scalar(a, type, item, n, &value);
        return r < 0 ? r : add_once(a, object, path, value);
}

/* "proto=tcp,port=53" */
static int from_members(Argument *a, const ValueType *type, const char *s, size_t n, json_object **ret) {
        _cleanup_json_ json_object *object = json_object_new_object();

        if (!object)
                return -ENOMEM;
        while (n > 0) {
                const char *equals = memchr(s, '=', n);
                size_t name = equals ? (size_t) (equals - s) : 0, length;
                _cleanup_free_ char *path = NULL;
                int r;

                if (!equals || memchr(s, ',', name))
                        return WRONG(a, "each member is written as name=value, separated by commas");
                length = item_length(equals + 1, n - name - 1);
                path = strndup(s, name);
                if (!path)
                        return -ENOMEM;
                r = count_item(a);
                if (r >= 0)
                        r = put_at(a, type, object, path, equals + 1, length);
                if (r < 0)
                        return r;
                length += name + 1;
                s += length;
                n -= length;
                if (n > 0) {
                        s++;
                        n--;
                        if (n == 0)
                                return WRONG(a, "a member is missing behind the last comma");
                }
        }
        *ret = TAKE_PTR(object);
        return 0;
}

/* "10.0.0.1,53": all members in their order; or the only one there is. */
static int from_values(Argument *a, const ValueType *type, const char *s, size_t n, json_object **ret) {
        _cleanup_json_ json_object *object = json_object_new_object();
        size_t wanted = 0, given = 0;
        const char *rest = s;
        int r;

        if (!object)
                return -ENOMEM;
        for (size_t i = 0; i < type->n_members; i++)
                wanted += is_written(a, type, &type->members[i]);
        for (size_t i = 0; i < type->n_members && (given == 0 || rest < s + n); i++) {
                const ValueMember *m = &type->members[i];
                size_t left = (size_t) (s + n - rest), length = wanted == 1 ? left : item_length(rest, left);
                json_object *item = NULL;

                if (!is_written(a, type, m))
                        continue;
                r = from_item(a, m->type, rest, length, &item);
                if (r < 0)
                        return r;
                if (json_object_object_add(object, m->name, item) < 0) {
                        json_object_put(item);
                        return -ENOMEM;
                }
                given++;
                rest += length;
                if (rest < s + n)
                        rest++;
                else
                        break;
        }
        if (given != wanted || rest < s + n || wanted == 0)
                return WRONG(a, "%s has %zu members: give all in their order, or as name=value, or as JSON",
                             type->name, wanted);
        *ret = TAKE_PTR(object);
        return 0;
}

/* One of several: JSON, or a scalar. */
static int from_item(Argument *a, const ValueType *type, const char *s, size_t n, json_object **ret) {
        if (n > 0 && (*s == '{' || *s == '[' || *s == '"'))
                return from_json(a, s, n, ret);
        if (is_object(type))
                return from_values(a, type, s, n, ret);
        return from_scalar(a, type, s, n, ret);
}

static int from_text(Argument *a, const ValueType *type, const char *s, size_t n, json_object **ret) {
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (n > 0 && *s == '"')
                return from_json(a, s, n, ret);
        if (n > 0 && *s == '[' && json_parse(s, n, ret, NULL, &ignored) >= 0)
                return 0;
        return from_scalar(a, type, s, n, ret);
}

int value_from_argument(const ValueType *type, const char *text, const char *where, json_object **ret, Error *error) {
        Argument a = { .where = strempty_to(where, ""), .error = error };
        size_t n = strlen(text);

        if (type->kind == VALUE_TEXT)
                return from_text(&a, type, text, n, ret);
        if (*text == '{' || *text == '[' || *text == '"')
                return from_json(&a, text, n, ret);
        if (type->kind == VALUE_PREFIX) {
                if (!type->element || !is_object(type->element) || !strpbrk(text, "=,"))
                        return from_scalar(&a, type, text, n, ret);
                if (type->address >= 0)
                        a.key = type->element;
                type = type->element;
        }
        if (is_object(type))
                return strchr(text, '=') ? from_members(&a, type, text, n, ret) : from_values(&a, type, text, n, ret);
        return is_list(type) ? from_list(&a, type, text, n, ret) : from_scalar(&a, type, text, n, ret);
}

int value_encode_argument(const ValueType *type, const char *text, const char *where, void *buffer, size_t size,
                          Error *error) {
        _cleanup_json_ json_object *value = NULL;
        int r;

        r = value_from_argument(type, text, where, &value, error);
        return r < 0 ? r : value_encode(type, value, where, buffer, size, error);
}
