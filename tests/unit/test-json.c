/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "util/json-reader.h"
#include "util/json.h"

static void check_refused(const char *text, size_t size, unsigned line, unsigned column, ErrorCode code,
                          const char *sentence) {
        _cleanup_error_ Error error = ERROR_INIT;
        json_object *value = (json_object *) &error;
        JsonPosition position = {};
        int r;

        /* A copy without a byte to spare, so that valgrind and ASan see what reads beyond it. */
        _cleanup_free_ char *copy = malloc(size > 0 ? size : 1);

        memcpy(copy, text, size);
        r = json_parse(copy, size, &value, &position, &error);
        if (r >= 0)
                fail_msg("taken: %.*s", (int) size, text);
        check_error(&error, code, sentence);
        assert_int_equal(r, error_code_to_errno(code));
        assert_ptr_equal(value, &error);
        if (position.line != line || position.column != column)
                fail_msg("%.*s: expected %u:%u, got %u:%u (%s)", (int) size, text, line, column, position.line,
                         position.column, error.message);
        assert_null(strchr(error.message, '\n'));
}

#define REFUSED(text, line, column, sentence)                                                                        \
        check_refused((text), sizeof(text) - 1, (line), (column), ERROR_INVALID_DOCUMENT, (sentence))

static void test_refused(void **state) {
        REFUSED("", 1, 1, "no JSON value");
        REFUSED(" \n\t ", 2, 3, "no JSON value");
        REFUSED("{", 1, 2, "the '{' of line 1, column 1 is not closed");
        REFUSED("{\"a\":1,\n \"b\":[1,\n2", 3, 2, "the '[' of line 2, column 6 is not closed");
        REFUSED("{\"a\"", 1, 5, "not closed");
        REFUSED("{\"a\":", 1, 6, "not closed");
        REFUSED("{\"a\" 1}", 1, 6, "expected ':' behind the key, found '1'");
        REFUSED("{\"a\":}", 1, 6, "expected a value, found '}'");
        REFUSED("{\"a\":1 \"b\":2}", 1, 8, "expected ',' or '}' behind the value, found '\"'");
        REFUSED("{\"a\":1,}", 1, 7, "last member of an object must not be followed by ','");
        REFUSED("{,}", 1, 2, "expected a key in double quotes, found ','");
        REFUSED("{a:1}", 1, 2, "a key must stand in double quotes");
        REFUSED("{'a':1}", 1, 2, "a key must stand in double quotes");
        REFUSED("{\"a\":'x'}", 1, 6, "a string must stand in double quotes");
        REFUSED("[1,]", 1, 3, "last element of an array must not be followed by ','");
        REFUSED("[1 2]", 1, 4, "expected ',' or ']' behind the element, found '2'");
        REFUSED("[1}", 1, 3, "found '}'");
        REFUSED("]", 1, 1, "expected a value, found ']'");
        REFUSED("{} {}", 1, 4, "expected the end of the text behind its value, found '{'");
        REFUSED("{}\n}", 2, 1, "found '}'");
        REFUSED("{} // done", 1, 4, "JSON has no comments");
        REFUSED("/* hello */ {}", 1, 1, "JSON has no comments");
        REFUSED("# hello\n{}", 1, 1, "JSON has no comments");
        REFUSED("\xef\xbb\xbf{}", 1, 1, "byte order mark");
        REFUSED("[True]", 1, 2, "write 'true' in lower case");
        REFUSED("[NULL]", 1, 2, "write 'null' in lower case");
        REFUSED("[yes]", 1, 2, "the word 'yes'");
        REFUSED("[NaN]", 1, 2, "the word 'NaN'");
        REFUSED("[-Infinity]", 1, 2, "must have a digit");
        REFUSED("[nullnull]", 1, 2, "the word 'nullnull'");
}

static void test_refused_numbers(void **state) {
        REFUSED("01", 1, 1, "must not begin with 0");
        REFUSED("-01", 1, 1, "must not begin with 0");
        REFUSED("-", 1, 1, "must have a digit");
        REFUSED("+1", 1, 1, "must begin with a digit or '-'");
        REFUSED(".5", 1, 1, "must begin with a digit or '-'");
        REFUSED("1.", 1, 1, "digit behind its point");
        REFUSED("1e", 1, 1, "digit behind its 'e'");
        REFUSED("1e+", 1, 1, "digit behind its 'e'");
        REFUSED("0x10", 1, 1, "decimal numbers only");
        REFUSED("1a", 1, 2, "found 'a'");
        REFUSED("[18446744073709551616]", 1, 2, "18446744073709551616 does not fit in 64 bits");
        REFUSED("[-9223372036854775809]", 1, 2, "does not fit in 64 bits");
        REFUSED("[1e308]", 1, 2, "1e308 is too large");
        REFUSED("[1e99999999999999999999]", 1, 2, "is too large");
        check_refused("1111111111111111111111111111111111111111111111111111111111111111111", 67, 1, 1,
                      ERROR_LIMIT_EXCEEDED, "more than 64 characters");
}

static void test_refused_strings(void **state) {
        REFUSED("\"", 1, 1, "not closed");
        REFUSED("[\"ab\\\"", 1, 2, "not closed");
        REFUSED("[\"ab\ncd\"]", 1, 2, "not closed in its line");
        REFUSED("[\"a\tb\"]", 1, 4, "control character U+0009 must be written as '\\u0009'");
        REFUSED("[\"a\0b\"]", 1, 4, "can't hold a NUL byte");
        REFUSED("[\"a\\u0000\"]", 1, 4, "can't hold a NUL character");
        REFUSED("{\"a\\u0000b\":1}", 1, 4, "can't hold a NUL character");
        REFUSED("[\0]", 1, 2, "found a NUL byte");
        REFUSED("{}\0", 1, 3, "found a NUL byte");
        REFUSED("[\"C:\\dir\"]", 1, 5, "'\\d' means nothing");
        REFUSED("[\"\\\x80\"]", 1, 3, "single backslash");
        REFUSED("[\"\\u12g4\"]", 1, 3, "four hexadecimal digits");
        REFUSED("[\"\\ud800\"]", 1, 3, "'\\ud800' is half of a surrogate pair");
        REFUSED("[\"\\ud800\\u0041\"]", 1, 3, "half of a surrogate pair");
        REFUSED("[\"\\udc00\"]", 1, 3, "half of a surrogate pair");
        REFUSED("[\"\xc0\xaf\"]", 1, 3, "0xc0 is not UTF-8");
        REFUSED("[\"\xed\xa0\x80\"]", 1, 3, "0xed is not UTF-8");
        REFUSED("[\"\xf4\x90\x80\x80\"]", 1, 3, "0xf4 is not UTF-8");
        REFUSED("[\"\xe2\x82\"]", 1, 3, "0xe2 is not UTF-8");
        REFUSED("[\"\xff\"]", 1, 3, "0xff is not UTF-8");
        REFUSED("[\xff]", 1, 2, "the byte 0xff, which is not UTF-8");
        REFUSED("[\xc2\xa0 1]", 1, 2, "the character U+00A0");
}

/* Columns count characters: each of these letters is two bytes or more. */
static void test_columns(void **state) {
        REFUSED("{\"\u00e4\u20ac\U0001f600\": nope}", 1, 9, "the word 'nope'");
        REFUSED("{\r\n\t\"a\" = 1}", 2, 6, "found '='");
}

static void test_equal_keys(void **state) {
        REFUSED("{\"a\":1,\n \"b\":2, \"a\":3}", 2, 9,
                "the key \"a\" stands in this object already, in line 1, column 2");
        REFUSED("{\"a\":1,\"\\u0061\":3}", 1, 8, "the key \"\\u0061\" stands in this object already");
        REFUSED("{\"x\":{\"a\":1,\"a\":3},\"x\":1}", 1, 13, "the key \"a\"");
        /* The earliest repetition is told, whatever order the keys sort in. */
        REFUSED("{\"z\":1,\"a\":1,\"z\":2,\"a\":2}", 1, 14, "the key \"z\"");
        REFUSED("{\"\":1,\"\":2}", 1, 7, "the key \"\"");
}

static void test_limits(void **state) {
        _cleanup_free_ char *text = malloc(JSON_DOCUMENT_MAX + 1);
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_json_ json_object *value = NULL;
        size_t n = 0;

        memset(text, ' ', JSON_DOCUMENT_MAX + 1);
        text[0] = '1';
        assert_int_equal(json_parse(text, JSON_DOCUMENT_MAX, &value, NULL, &error), 0);
        check_refused(text, JSON_DOCUMENT_MAX + 1, 1, 1, ERROR_LIMIT_EXCEEDED, "no more than 4194304 are taken");

        memset(text, '[', JSON_DEPTH_MAX + 1);
        check_refused(text, JSON_DEPTH_MAX + 1, 1, JSON_DEPTH_MAX + 1, ERROR_LIMIT_EXCEEDED, "more than 32 deep");
        memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
        json_object_put(TAKE_PTR(value));
        assert_int_equal(json_parse(text, 2 * JSON_DEPTH_MAX, &value, NULL, &error), 0);
        check_no_error(&error);

        /* 4 MiB of opening brackets must not eat the stack either. */
        memset(text, '[', JSON_DOCUMENT_MAX);
        check_refused(text, JSON_DOCUMENT_MAX, 1, JSON_DEPTH_MAX + 1, ERROR_LIMIT_EXCEEDED, "deep");

        n = (size_t) sprintf(text, "{\"");
        memset(text + n, 'k', JSON_NAME_MAX + 1);
        n += JSON_NAME_MAX + 1;
        n += (size_t) sprintf(text + n, "\":1}");
        check_refused(text, n, 1, 2, ERROR_LIMIT_EXCEEDED, "this key has 256 bytes; no more than 255");

        text[0] = '[';
        for (n = 1; n + 2 < JSON_DOCUMENT_MAX; n += 2)
                memcpy(text + n, "1,", 2);
        check_refused(text, n, 1, 2 + 2 * (JSON_VALUES_MAX - 1), ERROR_LIMIT_EXCEEDED, "more than 1048576 values");
        for (n = 1; n + 3 < JSON_DOCUMENT_MAX; n += 3)
                memcpy(text + n, "{},", 3);
        check_refused(text, n, 1, 2 + 3 * (JSON_CONTAINERS_MAX - 1), ERROR_LIMIT_EXCEEDED, "more than 131072 arrays");
}

/* A hundred thousand keys, all different, then one more that repeats the first. */
static void test_many_keys(void **state) {
        _cleanup_free_ char *text = malloc(JSON_DOCUMENT_MAX);
        _cleanup_json_ json_object *value = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        size_t n = 0;

        for (unsigned i = 0; i < 100000; i++)
                n += (size_t) sprintf(text + n, "%c\"key%u\":%u\n", i == 0 ? '{' : ',', i, i);
        text[n] = '}';
        assert_int_equal(json_parse(text, n + 1, &value, NULL, &error), 0);
        assert_int_equal(json_object_object_length(value), 100000);
        n += (size_t) sprintf(text + n, ",\"key0\":0}");
        check_refused(text, n, 100001, 2, ERROR_INVALID_DOCUMENT, "the key \"key0\" stands in this object already");
}

static void test_taken(void **state) {
        static const char text[] =
                " { \"a\" : [ 1, -2, 3.5e-1, true, false, null, \"\\u00e4\\ud83d\\ude00\\n\\/\" ],\r\n"
                "\t\"b\":{}, \"c\":[], \"max\":18446744073709551615, \"min\":-9223372036854775808,"
                "\"zero\":-0, \"big\":1e307 } \n";
        _cleanup_json_ json_object *value = NULL, *number = NULL, *nothing = (json_object *) text;
        _cleanup_error_ Error error = ERROR_INIT;
        json_object *a;

        assert_int_equal(json_parse(text, sizeof(text) - 1, &value, NULL, &error), 0);
        assert_int_equal(json_object_object_length(value), 7);
        a = json_object_object_get(value, "a");
        assert_int_equal(json_object_array_length(a), 7);
        assert_string_equal(json_object_get_string(json_object_array_get_idx(a, 6)), "\u00e4\U0001f600\n/");
        assert_true(json_object_get_uint64(json_object_object_get(value, "max")) == UINT64_MAX);
        assert_true(json_object_get_int64(json_object_object_get(value, "min")) == INT64_MIN);

        assert_int_equal(json_parse("42", 2, &number, NULL, &error), 0);
        assert_int_equal(json_object_get_int(number), 42);
        assert_int_equal(json_parse("null", 4, &nothing, NULL, &error), 0);
        assert_null(nothing);
        check_no_error(&error);
}

static const char document[] = "{\n"
                               "  \"programs\": {\n"
                               "    \"deny\": { \"object\": \"d.o\",\n"
                               "      \"maps\": { \"denied_v4\": [ { \"key\": { \"prefixlen\": 133 } }, 7 ] } },\n"
                               "    \"odd \\\"na\\u006de\": [[1, {\"x\": \"}]\"}], 2]\n"
                               "  }\n"
                               "}\n";

static void check_place(const char *path, const char *there) {
        const char *expected = strstr(document, there);
        JsonPosition position = {};
        JsonPosition other;

        assert_non_null(expected);
        assert_int_equal(json_locate(document, sizeof(document) - 1, path, &position), 0);
        if (position.offset != (size_t) (expected - document))
                fail_msg("%s: at %u:%u, not at %s", path, position.line, position.column, there);
        other = json_position(document, sizeof(document) - 1, position.offset);
        assert_int_equal(other.line, position.line);
        assert_int_equal(other.column, position.column);
}

static void test_locate(void **state) {
        JsonPosition position = {};

        check_place(NULL, "{\n");
        check_place("", "{\n");
        check_place("programs", "{\n    \"deny\"");
        check_place("programs~", "\"programs\"");
        check_place("programs.deny.object", "\"d.o\"");
        check_place("programs.deny.object~", "\"object\"");
        check_place("programs.deny.maps.denied_v4[0].key.prefixlen", "133");
        check_place("programs.deny.maps.denied_v4[0].key.prefixlen~", "\"prefixlen\"");
        check_place("programs.deny.maps.denied_v4[1]", "7 ]");
        check_place("programs[\"odd \\\"name\"][0][1].x", "\"}]\"");
        check_place("programs[\"odd \\\"name\"][1]", "2]");
        /* What is not there: the deepest that is. */
        check_place("programs.deny.maps.denied_v4[2]", "[ { \"key\"");
        check_place("programs.deny.function", "{ \"object\"");
        check_place("programs.deny.function~", "{ \"object\"");
        check_place("programs.deny.object.x[3].y", "\"d.o\"");
        check_place("chains[0]", "{\n");
        check_place("[0]", "{\n");

        /* Keys that differ in one letter. */
        assert_int_equal(json_locate("{\"ab\":1,\"ac\":2}", 15, "ac", &position), 0);
        assert_int_equal(position.offset, 13);

        json_locate(document, sizeof(document) - 1, "programs.deny.maps.denied_v4[0].key.prefixlen", &position);
        assert_int_equal(position.line, 4);
        assert_int_equal(position.column, 56);

        assert_int_equal(json_locate(document, sizeof(document) - 1, "programs..deny", &position), -EINVAL);
        assert_int_equal(json_locate(document, sizeof(document) - 1, "a[", &position), -EINVAL);
        assert_int_equal(json_locate(document, sizeof(document) - 1, "a[x]", &position), -EINVAL);
        assert_int_equal(json_locate(document, sizeof(document) - 1, "a[\"x]", &position), -EINVAL);
        assert_int_equal(json_locate(document, sizeof(document) - 1, "a[\"x\"", &position), -EINVAL);
        assert_int_equal(json_locate(document, sizeof(document) - 1, "a~b", &position), -EINVAL);
        assert_int_equal(json_locate(document, sizeof(document) - 1, "a[99999999999999999999]", &position), -EINVAL);
        assert_int_equal(position.line, 4); /* untouched */
}

static void test_locate_error(void **state) {
        _cleanup_error_ Error error = ERROR_INIT;
        JsonPosition position;

        position = json_locate_error(document, sizeof(document) - 1, &error);
        assert_int_equal(position.line, 1);
        assert_int_equal(position.column, 1);
        error_set_at(&error, ERROR_INVALID_DOCUMENT, "programs.deny.maps~", "…");
        position = json_locate_error(document, sizeof(document) - 1, &error);
        assert_int_equal(position.line, 4);
        assert_int_equal(position.column, 7);
        assert_string_equal(error.where, "programs.deny.maps");
}

/* Every name goes into a path and comes out of it as it was. */
static void test_paths(void **state) {
        static const char *const names[] = { "a",       "proceed-on", "0",  "odd name", "",    "a.b",
                                             "a[0]",    "\"",         "\\", "~",        "a~b", "\n\t\x7f",
                                             "\u00e4€", "[\"x\"].y~", "]",  "\\u0041" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *base = json_path_member(NULL, names[i]), *element = json_path_index(base, i),
                                    *path = json_path_key(element, names[i]);
                const char *p = path;
                JsonPathStep step;

                assert_int_equal(json_path_step(&p, &step), 1);
                assert_int_equal(step.kind, JSON_PATH_MEMBER);
                assert_string_equal(step.name, names[i]);
                assert_int_equal(json_path_step(&p, &step), 1);
                assert_int_equal(step.kind, JSON_PATH_INDEX);
                assert_int_equal(step.index, i);
                assert_int_equal(json_path_step(&p, &step), 1);
                assert_string_equal(step.name, names[i]);
                assert_int_equal(json_path_step(&p, &step), 1);
                assert_int_equal(step.kind, JSON_PATH_KEY);
                assert_int_equal(json_path_step(&p, &step), 0);
        }
}

static void test_quote(void **state) {
        _cleanup_free_ char *a = json_quote("a\"\\\n\x1b"), *b = NULL;
        char text[100];

        assert_string_equal(a, "\"a\\\"\\\\\\u000a\\u001b\"");
        memset(text, 'x', sizeof(text));
        memcpy(text + 62, "\u20ac", 4); /* stands across the cut */
        b = json_quote(text);
        assert_int_equal(strlen(b), 1 + 62 + 3 + 1);
        assert_non_null(strstr(b, "x…\""));
}

/* The reader. */

enum { MODE_ONE, MODE_TWO };
static const char *const modes[] = { "best", "native" };

static const JsonField fields[] = {
        { "object", JSON_STRING, true }, { "order", JSON_INTEGER },           { "mode", JSON_STRING },
        { "detached", JSON_BOOLEAN },    { "key", JSON_STRING | JSON_ARRAY }, { "weight", JSON_NUMBER },
};

typedef struct Thing {
        const char *object;
        int64_t order;
        int mode;
        bool detached;
        json_object *key;
        char *key_where;
} Thing;

static int read_thing(const char *text, Thing *ret, json_object **ret_tree, Error *error) {
        JsonReader reader;
        int r;

        assert_int_equal(json_parse(text, strlen(text), ret_tree, NULL, error), 0);
        r = json_reader_init(&reader, *ret_tree, "things[3]", fields, ELEMENTSOF(fields), error);
        if (r < 0)
                return r;
        r = json_reader_string(&reader, "object", &(JsonStringRule){ "an object's name", 1, 8, "A-Za-z0-9_.-" },
                               &ret->object);
        if (r < 0)
                return r;
        assert_int_equal(r, 1);
        r = json_reader_integer(&reader, "order", 0, 1000, &ret->order);
        if (r < 0)
                return r;
        r = json_reader_word(&reader, "mode", modes, ELEMENTSOF(modes), &ret->mode);
        if (r < 0)
                return r;
        r = json_reader_boolean(&reader, "detached", &ret->detached);
        if (r < 0)
                return r;
        r = json_reader_value(&reader, "key", &ret->key, &ret->key_where);
        if (r > 0 && json_object_is_type(ret->key, json_type_array))
                return json_reader_fail(&reader, "key", "no arrays for %s today", ret->object);
        return r;
}

static void check_thing_refused(const char *text, const char *where, const char *sentence) {
        _cleanup_json_ json_object *tree = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        Thing thing = {};

        assert_int_equal(read_thing(text, &thing, &tree, &error), -EBADMSG);
        check_error(&error, ERROR_INVALID_DOCUMENT, sentence);
        assert_string_equal(error.where, where);
        free(thing.key_where);
}

static void test_reader(void **state) {
        _cleanup_json_ json_object *tree = NULL, *other = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        Thing thing = { .order = 500, .mode = MODE_TWO };

        assert_true(read_thing("{\"object\":\"a-b.o\",\"key\":\"x\",\"order\":7,\"mode\":\"best\",\"detached\":true}",
                               &thing, &tree, &error) >= 0);
        assert_string_equal(thing.object, "a-b.o");
        assert_int_equal(thing.order, 7);
        assert_int_equal(thing.mode, MODE_ONE);
        assert_true(thing.detached);
        assert_string_equal(thing.key_where, "things[3].key");
        free(thing.key_where);

        thing = (Thing){ .order = 500, .mode = MODE_TWO };
        assert_int_equal(read_thing("{\"object\":\"a\",\"weight\":3}", &thing, &other, &error), 0);
        assert_int_equal(thing.order, 500);
        assert_int_equal(thing.mode, MODE_TWO);
        assert_false(thing.detached);
        assert_null(thing.key);
}

static void test_reader_refused(void **state) {
        check_thing_refused("[]", "things[3]", "expected an object, got an array");
        check_thing_refused("null", "things[3]", "expected an object, got null");
        check_thing_refused("{}", "things[3]", "the key \"object\" is missing");
        check_thing_refused("{\"object\":\"a\",\"oder\":1}", "things[3].oder~",
                            "unknown key \"oder\"; did you mean \"order\"? Known keys are: object, order, mode");
        check_thing_refused("{\"object\":\"a\",\"zzzzz\\n\":1}", "things[3][\"zzzzz\\u000a\"]~",
                            "unknown key \"zzzzz\\u000a\"; known keys are: object");
        check_thing_refused("{\"object\":5}", "things[3].object", "expected a string, got a number");
        check_thing_refused("{\"object\":null}", "things[3].object", "expected a string, got null");
        check_thing_refused("{\"object\":\"a\",\"order\":1.5}", "things[3].order",
                            "expected an integer, got a number with a fraction");
        check_thing_refused("{\"object\":\"a\",\"order\":1001}", "things[3].order", "1001 is not within 0..1000");
        check_thing_refused("{\"object\":\"a\",\"order\":-1}", "things[3].order", "-1 is not within 0..1000");
        check_thing_refused("{\"object\":\"a\",\"order\":18446744073709551615}", "things[3].order",
                            "18446744073709551615 is not within 0..1000");
        check_thing_refused("{\"object\":\"a\",\"mode\":\"besr\"}", "things[3].mode",
                            "\"besr\" is not known here; did you mean \"best\"? Known are: best, native");
        check_thing_refused("{\"object\":\"a\",\"detached\":\"yes\"}", "things[3].detached",
                            "expected true or false, got a string");
        check_thing_refused("{\"object\":\"a\",\"key\":1}", "things[3].key",
                            "expected an array or a string, got a number");
        check_thing_refused("{\"object\":\"a\",\"key\":[]}", "things[3].key", "no arrays for a today");
        check_thing_refused("{\"object\":\"\"}", "things[3].object", "an object's name must not be empty");
        check_thing_refused("{\"object\":\"123456789\"}", "things[3].object",
                            "must not have more than 8 bytes, not 9");
        check_thing_refused("{\"object\":\"a/b\"}", "things[3].object",
                            "an object's name may consist of A-Za-z0-9_.- only, not of '/'");
        check_thing_refused("{\"object\":\"a b\"}", "things[3].object", "not of blanks");
        check_thing_refused("{\"object\":\"\u00e4\"}", "things[3].object", "not of other characters");
}

static void test_nearest(void **state) {
        static const char *const words[] = { "interfaces", "hook", NULL, "mode", "order", "programs" };

        assert_string_equal(json_nearest("interface", words, ELEMENTSOF(words)), "interfaces");
        assert_string_equal(json_nearest("ohok", words, ELEMENTSOF(words)), "hook");
        assert_string_equal(json_nearest("progams", words, ELEMENTSOF(words)), "programs");
        assert_null(json_nearest("chain", words, ELEMENTSOF(words)));
        assert_null(json_nearest("", words, ELEMENTSOF(words)));
        assert_null(json_nearest("interfaces", words, 0));
        assert_null(json_nearest("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                                 words, 6));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused),         cmocka_unit_test(test_refused_numbers),
                cmocka_unit_test(test_refused_strings), cmocka_unit_test(test_columns),
                cmocka_unit_test(test_equal_keys),      cmocka_unit_test(test_limits),
                cmocka_unit_test(test_many_keys),       cmocka_unit_test(test_taken),
                cmocka_unit_test(test_locate),          cmocka_unit_test(test_locate_error),
                cmocka_unit_test(test_paths),           cmocka_unit_test(test_quote),
                cmocka_unit_test(test_reader),          cmocka_unit_test(test_reader_refused),
                cmocka_unit_test(test_nearest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
