/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A recursive descent over the text; the depth is bounded, so the recursion is. It builds nothing but, for the
 * search of equal keys, a stack of the keys of all objects that are open: an object's own are at the top of it when
 * the object closes, are sorted then, and taken off. That is n log n in all, and a hash decides nearly every
 * comparison.
 */

#include <strings.h>

#include "util/json-scan.h"
#include "util/json-text.h"
#include "util/json.h"

#define NUMBER_MAX 64 /* characters of a number */

typedef struct Key {
        uint64_t hash;
        size_t offset; /* of the opening quote */
} Key;

typedef struct Scanner {
        const char *text;
        size_t size;
        size_t at;
        size_t open; /* offset of the innermost open bracket */
        unsigned depth;
        size_t n_values;
        size_t n_containers;
        Key *keys;
        size_t n_keys;
        size_t fault;
        Error *error;
} Scanner;

#define FAULT(s, offset, ...)                                                                                        \
        ({                                                                                                           \
                (s)->fault = (offset);                                                                               \
                error_set((s)->error, ERROR_INVALID_DOCUMENT, __VA_ARGS__);                                          \
        })

#define LIMIT(s, offset, ...)                                                                                        \
        ({                                                                                                           \
                (s)->fault = (offset);                                                                               \
                error_set((s)->error, ERROR_LIMIT_EXCEEDED, __VA_ARGS__);                                            \
        })

static bool is_digit(int c) {
        return c >= '0' && c <= '9';
}

static bool is_word(int c) {
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

static int peek(const Scanner *s) {
        return json_byte_at(s->text, s->size, s->at);
}

/* What stands at the present place, for messages. */
#define FOUND_SIZE 48
static const char *found(const Scanner *s, char buffer[FOUND_SIZE]) {
        uint32_t code = 0;

        if (s->at >= s->size)
                return "the end of the text";
        if (utf8_decode(s->text, s->size, s->at, &code) == 0)
                snprintf(buffer, FOUND_SIZE, "the byte 0x%02x, which is not UTF-8", (unsigned char) s->text[s->at]);
        else if (code == 0)
                return "a NUL byte";
        else if (code == '\n')
                return "the end of the line";
        else if (code < 0x20 || code >= 0x7f)
                snprintf(buffer, FOUND_SIZE, "the character U+%04X", code);
        else
                snprintf(buffer, FOUND_SIZE, "'%c'", (char) code);
        return buffer;
}

static int fault_end(Scanner *s) {
        JsonPosition open = json_position(s->text, s->size, s->open);

        return FAULT(s, s->size, "the text ends here, but the '%c' of line %u, column %u is not closed",
                     s->text[s->open], open.line, open.column);
}

/* Blanks, and a sentence about what many take for blanks. */
static int scan_blanks(Scanner *s) {
        s->at = json_skip_blanks(s->text, s->size, s->at);
        if (peek(s) == '/' || peek(s) == '#')
                return FAULT(s, s->at, "JSON has no comments; remove this one");
        return 0;
}

static int fault_escape(Scanner *s) {
        int c = json_byte_at(s->text, s->size, s->at + 1), code;

        if (c != 'u') {
                if (c > 0x20 && c < 0x7f)
                        return FAULT(s, s->at, "'\\%c' means nothing in a JSON string; write a backslash as '\\\\'",
                                     c);
                return FAULT(s, s->at, "a single backslash means nothing in a JSON string; write it as '\\\\'");
        }
        code = json_decode_hex4(s->text, s->size, s->at + 2);
        if (code < 0)
                return FAULT(s, s->at, "'\\u' must be followed by four hexadecimal digits");
        if (code == 0)
                return FAULT(s, s->at, "a string can't hold a NUL character here");
        return FAULT(s, s->at, "'\\u%04x' is half of a surrogate pair, and its other half is missing",
                     (unsigned) code);
}

static int fault_string_byte(Scanner *s, size_t begin, int c) {
        if (c < 0)
                return FAULT(s, begin, "this string is not closed; a '\"' is missing");
        if (c == '\n' || c == '\r')
                return FAULT(s, begin,
                             "this string is not closed in its line; write a line break within it as '\\n'");
        if (c == 0)
                return FAULT(s, s->at, "a string can't hold a NUL byte");
        return FAULT(s, s->at, "the control character U+%04X must be written as '\\u%04x' within a string",
                     (unsigned) c, (unsigned) c);
}

/* A string from its opening quote on. *ret_length is its length without escapes, in bytes. */
static int scan_string(Scanner *s, size_t *ret_length) {
        size_t begin = s->at++, length = 0;

        for (;;) {
                int c = peek(s);
                uint32_t code;
                char bytes[4];
                size_t n;

                if (c == '"')
                        break;
                if (c < 0x20)
                        return fault_string_byte(s, begin, c);
                if (c == '\\') {
                        code = json_decode_escape(s->text, s->size, s->at, &n);
                        if (code == 0)
                                return fault_escape(s);
                        length += utf8_encode(code, bytes);
                } else {
                        n = utf8_decode(s->text, s->size, s->at, &code);
                        if (n == 0)
                                return FAULT(s, s->at, "the byte 0x%02x is not UTF-8; save the text as UTF-8", c);
                        length += n;
                }
                s->at += n;
        }
        s->at++;
        *ret_length = length;
        return 0;
}

/* Whole numbers must fit 64 bits: json-c would take the nearest that does. */
static bool integer_fits(const char *digits, size_t n, bool negative) {
        static const char most[] = "18446744073709551615", least[] = "9223372036854775808";
        const char *limit = negative ? least : most;

        return n < strlen(limit) || (n == strlen(limit) && strncmp(digits, limit, n) <= 0);
}

static size_t scan_digits(Scanner *s) {
        size_t begin = s->at;

        while (is_digit(peek(s)))
                s->at++;
        return s->at - begin;
}

static int scan_number(Scanner *s) {
        size_t begin = s->at, digits, n;
        bool negative = peek(s) == '-', whole = true;
        long exponent = 0;

        if (negative)
                s->at++;
        digits = s->at;
        n = scan_digits(s);
        if (n == 0)
                return FAULT(s, begin, "a number must have a digit before anything else");
        if (n > 1 && s->text[digits] == '0')
                return FAULT(s, begin, "a number must not begin with 0; remove the zero");
        if ((peek(s) | 0x20) == 'x')
                return FAULT(s, begin,
                             "JSON has decimal numbers only; write it in decimal, or as a string where one is taken");

        if (peek(s) == '.') {
                whole = false;
                s->at++;
                if (scan_digits(s) == 0)
                        return FAULT(s, begin, "a number must have a digit behind its point");
        }
        if (peek(s) == 'e' || peek(s) == 'E') {
                bool below;

                whole = false;
                s->at++;
                below = peek(s) == '-';
                if (below || peek(s) == '+')
                        s->at++;
                if (!is_digit(peek(s)))
                        return FAULT(s, begin, "a number must have a digit behind its 'e'");
                for (; is_digit(peek(s)); s->at++)
                        if (exponent < 10000)
                                exponent = exponent * 10 + peek(s) - '0';
                if (below)
                        exponent = -exponent;
        }

        if (s->at - begin > NUMBER_MAX)
                return LIMIT(s, begin, "this number has more than %u characters", NUMBER_MAX);
        if (whole && !integer_fits(s->text + digits, n, negative))
                return FAULT(s, begin, "%.*s does not fit in 64 bits; write it as a string where one is taken",
                             (int) (s->at - begin), s->text + begin);
        if (!whole && (long) n + exponent > 308)
                return FAULT(s, begin, "%.*s is too large", (int) (s->at - begin), s->text + begin);
        return 0;
}

static int scan_word(Scanner *s) {
        static const char *const known[] = { "true", "false", "null" };
        size_t begin = s->at, n;

        while (is_word(peek(s)))
                s->at++;
        n = s->at - begin;
        for (size_t i = 0; i < ELEMENTSOF(known); i++) {
                if (n != strlen(known[i]))
                        continue;
                if (strncmp(s->text + begin, known[i], n) == 0)
                        return 0;
                if (strncasecmp(s->text + begin, known[i], n) == 0)
                        return FAULT(s, begin, "write '%s' in lower case", known[i]);
        }
        return FAULT(s, begin, "expected a value, found the word '%.*s'; text must stand in double quotes",
                     (int) MIN2(n, (size_t) 32), s->text + begin);
}

static int scan_value(Scanner *s);

static int scan_array(Scanner *s) {
        char buffer[FOUND_SIZE];
        size_t comma;
        int r;

        s->at++;
        r = scan_blanks(s);
        if (r < 0)
                return r;
        if (peek(s) == ']') {
                s->at++;
                return 0;
        }

        for (;;) {
                r = scan_value(s);
                if (r < 0)
                        return r;
                r = scan_blanks(s);
                if (r < 0)
                        return r;
                if (peek(s) == ']') {
                        s->at++;
                        return 0;
                }
                if (peek(s) < 0)
                        return fault_end(s);
                if (peek(s) != ',')
                        return FAULT(s, s->at, "expected ',' or ']' behind the element, found %s", found(s, buffer));
                comma = s->at++;
                r = scan_blanks(s);
                if (r < 0)
                        return r;
                if (peek(s) == ']')
                        return FAULT(s, comma, "the last element of an array must not be followed by ','");
        }
}

static int key_compare(const void *a, const void *b, void *userdata) {
        const Key *x = a, *y = b;
        const Scanner *s = userdata;
        char m[JSON_NAME_MAX + 1] = {}, n[JSON_NAME_MAX + 1] = {};
        int r;

        if (x->hash != y->hash)
                return x->hash < y->hash ? -1 : 1;
        (void) json_decode_string(s->text, s->size, x->offset, m, JSON_NAME_MAX);
        (void) json_decode_string(s->text, s->size, y->offset, n, JSON_NAME_MAX);
        r = strcmp(m, n);
        if (r != 0)
                return r;
        return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Looks for equal ones among the keys from `first` on, and reports the one that repeats another earliest. */
static int check_keys(Scanner *s, size_t first) {
        Key *keys = s->keys + first;
        size_t n = s->n_keys - first, repeated = SIZE_MAX, original = 0, length;
        char name[JSON_NAME_MAX + 1], other[JSON_NAME_MAX + 1];
        JsonPosition position;

        s->n_keys = first;
        if (n < 2)
                return 0;
        qsort_r(keys, n, sizeof(*keys), key_compare, s);
        for (size_t i = 1; i < n; i++) {
                if (keys[i].hash != keys[i - 1].hash || keys[i].offset >= repeated)
                        continue;
                memset(name, 0, sizeof(name));
                memset(other, 0, sizeof(other));
                (void) json_decode_string(s->text, s->size, keys[i].offset, name, JSON_NAME_MAX);
                (void) json_decode_string(s->text, s->size, keys[i - 1].offset, other, JSON_NAME_MAX);
                if (streq(name, other)) {
                        repeated = keys[i].offset;
                        original = keys[i - 1].offset;
                }
        }
        if (repeated == SIZE_MAX)
                return 0;

        /* The key as it is written, so that nothing in it can upset a terminal. */
        length = json_skip_string(s->text, s->size, repeated) - repeated;
        position = json_position(s->text, s->size, original);
        return FAULT(s, repeated, "the key %.*s stands in this object already, in line %u, column %u; remove one",
                     (int) MIN2(length, JSON_NAME_MAX), s->text + repeated, position.line, position.column);
}

static int scan_key(Scanner *s) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
        char buffer[FOUND_SIZE], name[JSON_NAME_MAX];
        size_t begin = s->at, n;
        Key *key;
        int r, c = peek(s);

        if (c < 0)
                return fault_end(s);
        if (c == '\'' || is_word(c))
                return FAULT(s, s->at, "a key must stand in double quotes");
        if (c != '"')
                return FAULT(s, s->at, "expected a key in double quotes, found %s", found(s, buffer));
        r = scan_string(s, &n);
        if (r < 0)
                return r;
        if (n > JSON_NAME_MAX)
                return LIMIT(s, begin, "this key has %zu bytes; no more than %u are taken", n, JSON_NAME_MAX);

        (void) json_decode_string(s->text, s->size, begin, name, sizeof(name));
        for (size_t i = 0; i < n; i++)
                hash = (hash ^ (unsigned char) name[i]) * UINT64_C(0x100000001b3);
        key = ARRAY_APPEND(s->keys, s->n_keys);
        if (!key)
                return -ENOMEM;
        *key = (Key){ hash, begin };
        return 0;
}

/* A key, a colon, a value, and the blanks behind it. */
static int scan_member(Scanner *s) {
        char buffer[FOUND_SIZE];
        int r;

        r = scan_key(s);
        if (r < 0)
                return r;
        r = scan_blanks(s);
        if (r < 0)
                return r;
        if (peek(s) < 0)
                return fault_end(s);
        if (peek(s) != ':')
                return FAULT(s, s->at, "expected ':' behind the key, found %s", found(s, buffer));
        s->at++;
        r = scan_blanks(s);
        if (r < 0)
                return r;
        r = scan_value(s);
        if (r < 0)
                return r;
        return scan_blanks(s);
}

static int scan_object(Scanner *s) {
        size_t first = s->n_keys, comma;
        char buffer[FOUND_SIZE];
        int r;

        s->at++;
        r = scan_blanks(s);
        if (r < 0)
                return r;
        if (peek(s) == '}') {
                s->at++;
                return 0;
        }

        for (;;) {
                r = scan_member(s);
                if (r < 0)
                        return r;
                if (peek(s) == '}') {
                        s->at++;
                        return check_keys(s, first);
                }
                if (peek(s) < 0)
                        return fault_end(s);
                if (peek(s) != ',')
                        return FAULT(s, s->at, "expected ',' or '}' behind the value, found %s", found(s, buffer));
                comma = s->at++;
                r = scan_blanks(s);
                if (r < 0)
                        return r;
                if (peek(s) == '}')
                        return FAULT(s, comma, "the last member of an object must not be followed by ','");
        }
}

static int scan_container(Scanner *s) {
        size_t open = s->open;
        int r;

        if (s->depth >= JSON_DEPTH_MAX)
                return LIMIT(s, s->at, "arrays and objects stand within each other more than %u deep",
                             JSON_DEPTH_MAX);
        if (++s->n_containers > JSON_CONTAINERS_MAX)
                return LIMIT(s, s->at, "the text has more than %u arrays and objects; split it", JSON_CONTAINERS_MAX);

        s->open = s->at;
        s->depth++;
        r = peek(s) == '{' ? scan_object(s) : scan_array(s);
        s->depth--;
        s->open = open;
        return r;
}

static int scan_value(Scanner *s) {
        char buffer[FOUND_SIZE];
        int c = peek(s);
        size_t ignored;

        if (++s->n_values > JSON_VALUES_MAX)
                return LIMIT(s, s->at, "the text has more than %u values; split it", JSON_VALUES_MAX);
        if (c == '{' || c == '[')
                return scan_container(s);
        if (c == '"')
                return scan_string(s, &ignored);
        if (c == '-' || is_digit(c))
                return scan_number(s);
        if (is_word(c))
                return scan_word(s);
        if (c < 0 && s->depth > 0)
                return fault_end(s);
        if (c == '\'')
                return FAULT(s, s->at, "a string must stand in double quotes");
        if (c == '+' || c == '.')
                return FAULT(s, s->at, "a number must begin with a digit or '-'");
        return FAULT(s, s->at, "expected a value, found %s", found(s, buffer));
}

static int scan_document(Scanner *s) {
        char buffer[FOUND_SIZE];
        int r;

        if (s->size > JSON_DOCUMENT_MAX)
                return LIMIT(s, 0, "the text has %zu bytes; no more than %u are taken, so split it", s->size,
                             JSON_DOCUMENT_MAX);
        if (s->size >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0)
                return FAULT(s, 0, "the text begins with a byte order mark; save it as UTF-8 without one");
        r = scan_blanks(s);
        if (r < 0)
                return r;
        if (s->at == s->size)
                return FAULT(s, s->at, "there is no JSON value in this text");
        r = scan_value(s);
        if (r < 0)
                return r;
        r = scan_blanks(s);
        if (r < 0)
                return r;
        if (s->at < s->size)
                return FAULT(s, s->at, "expected the end of the text behind its value, found %s", found(s, buffer));
        return 0;
}

int json_scan(const char *text, size_t size, size_t *ret_fault, Error *error) {
        Scanner s = { .text = text, .size = size, .error = error };
        int r;

        r = scan_document(&s);
        free(s.keys);
        if (r < 0 && error_is_set(error))
                *ret_fault = s.fault;
        return r;
}
