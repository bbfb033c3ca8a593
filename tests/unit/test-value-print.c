/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Types, and what is printed of them, beyond the vectors: hostile ones, numerals of all lengths, sums over CPUs, maps
 * without type information, arguments that are wrong.
 */

#include "check.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <float.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <math.h>

#include "kernel/value-btf.h"
#include "value/value-digits.h"
#include "value/value-encode.h"
#include "value/value-print.h"
#include "value/value-schema.h"
#include "value/value-sum.h"

static char *print(const ValueType *type, ValueStyle style, const void *bytes) {
        _cleanup_buffer_ Buffer buffer = {};

        assert_int_equal(value_print_once(type, style, bytes, &buffer), 0);
        return buffer_take(&buffer);
}

static void check_json(const ValueType *type, const void *bytes, const char *expected) {
        _cleanup_free_ char *text = print(type, VALUE_STYLE_JSON, bytes);

        assert_string_equal(text, expected);
}

static void check_row(const ValueType *type, const void *bytes, const char *expected) {
        _cleanup_free_ char *text = print(type, VALUE_STYLE_ARGUMENT, bytes);

        assert_string_equal(text, expected);
}

static uint64_t next(uint64_t *state) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return *state >> 11 ^ *state << 40;
}

static void check_numeral(uint64_t v) {
        char got[48], expected[48];

        *put_u64(got, v) = '\0';
        snprintf(expected, sizeof(expected), "%" PRIu64, v);
        assert_string_equal(got, expected);
        *put_s64(got, (int64_t) v) = '\0';
        snprintf(expected, sizeof(expected), "%" PRId64, (int64_t) v);
        assert_string_equal(got, expected);
        *put_hex(got, v) = '\0';
        snprintf(expected, sizeof(expected), "%" PRIx64, v);
        assert_string_equal(got, expected);
}

static void test_numerals(void **state) {
        uint64_t random = 1, power = 1;
        char got[64];

        for (unsigned i = 0; i < 20; i++, power *= 10) {
                check_numeral(power - 1);
                check_numeral(power);
                check_numeral(power + 1);
        }
        for (unsigned i = 0; i < 64; i++) {
                check_numeral(UINT64_C(1) << i);
                check_numeral((UINT64_C(1) << i) - 1);
        }
        check_numeral(UINT64_MAX);
        for (unsigned i = 0; i < 10000; i++)
                check_numeral(next(&random) >> (i % 64));
        for (unsigned i = 0; i < 256; i++) {
                *put_u8(got, i) = '\0';
                assert_int_equal(atoi(got), i);
                assert_int_equal(strlen(got), i < 10 ? 1 : i < 100 ? 2 : 3);
        }
        *put_u128(got, ~(uint128) 0) = '\0';
        assert_string_equal(got, "340282366920938463463374607431768211455");
        *put_u128(got, (uint128) UINT64_C(10000000000000000000) * 10) = '\0';
        assert_string_equal(got, "100000000000000000000");
        *put_hex(got, ~(uint128) 0 >> 3) = '\0';
        assert_string_equal(got, "1fffffffffffffffffffffffffffffff");
}

/* Ours and the library's are the same, but for addresses that begin with 96 zeros: RFC 5952 has those in words. */
static void test_addresses(void **state) {
        uint64_t random = 7;

        for (unsigned i = 0; i < 20000; i++) {
                unsigned char bytes[16];
                char got[INET6_ADDRSTRLEN + 1], expected[INET6_ADDRSTRLEN + 1];
                uint64_t mask = next(&random);

                for (unsigned k = 0; k < 16; k++) {
                        bytes[k] = (unsigned char) next(&random);
                        if (mask >> (k / 2) & 1 || (mask >> (8 + k) & 1 && mask >> 30 & 1))
                                bytes[k] = 0;
                }
                *put_ipv6(got, bytes) = '\0';
                if (memcmp(bytes, "\0\0\0\0\0\0\0\0\0\0\0\0", 12) != 0)
                        assert_string_equal(got, inet_ntop(AF_INET6, bytes, expected, sizeof(expected)));
                assert_int_equal(inet_pton(AF_INET6, got, expected), 1);
                assert_memory_equal(expected, bytes, 16);
                *put_ipv4(got, bytes) = '\0';
                assert_string_equal(got, inet_ntop(AF_INET, bytes, expected, sizeof(expected)));
        }
}

static void check_float(double v, bool single, const char *expected) {
        char got[DIGITS_FLOAT_MAX + 3];

        *put_float(got, v, single, true) = '\0';
        assert_string_equal(got, expected);
}

static void test_floats(void **state) {
        uint64_t random = 3;

        check_float(0, false, "0");
        check_float(-0.0, false, "-0.0");
        check_float(0.1, false, "0.1");
        check_float((double) 0.1f, true, "0.1");
        check_float(1e300, false, "1e+300");
        check_float(1.0 / 3, false, "0.3333333333333333");
        check_float(NAN, false, "\"NaN\"");
        check_float(-INFINITY, true, "\"-Infinity\"");
        check_float(-DBL_MAX, false, "-1.7976931348623157e+308");
        for (unsigned i = 0; i < 5000; i++) {
                char got[DIGITS_FLOAT_MAX + 3];
                uint64_t bits = next(&random) ^ next(&random) << 32;
                double v;

                memcpy(&v, &bits, sizeof(v));
                if (!isfinite(v))
                        continue;
                *put_float(got, v, false, true) = '\0';
                assert_true(strtod(got, NULL) == v);
        }
}

static const ValueType *compile(const struct btf *btf, int id, uint32_t size) {
        const ValueType *type = NULL;

        assert_int_equal(value_btf_compile(btf, (uint32_t) id, 0, size, &type), 0);
        assert_int_equal(type->size, size);
        return type;
}

/* What can't be understood is printed as bytes, and what is around it as ever. */
static void test_hostile(void **state) {
        struct btf *btf = btf__new_empty();
        int u8, u32, s, deep, ring, twice;
        const ValueType *type;
        struct btf_type *t;

        u8 = btf__add_int(btf, "u8", 1, 0);
        u32 = btf__add_int(btf, "u32", 4, 0);
        s = btf__add_struct(btf, "partly", 8);
        btf__add_field(btf, "good", u32, 0, 0);
        btf__add_field(btf, "far", u32, 0, 0);
        btf__add_field(btf, "bit", u8, 32, 4);
        btf__add_field(btf, "gone", 4711, 32, 0);
        btf__add_field(btf, "odd \"name\"\n", u8, 56, 0);
        t = (struct btf_type *) btf__type_by_id(btf, (unsigned) s);
        btf_members(t)[1].offset = 64;
        type = compile(btf, s, 8);
        check_json(type, "\1\0\0\0\7\0\0\11", "{\"good\":1,\"bit\":7,\"odd \\\"name\\\"?\":9}");
        value_type_unref(type);

        deep = u8;
        for (unsigned i = 0; i < 100; i++) {
                int outer = btf__add_struct(btf, "deep", 1);

                btf__add_field(btf, "d", deep, 0, 0);
                deep = outer;
        }
        type = compile(btf, deep, 1);
        value_type_unref(type);
        type = compile(btf, deep - 95, 1);
        check_json(type, "\5", "{\"d\":{\"d\":{\"d\":{\"d\":{\"d\":5}}}}}");
        value_type_unref(type);

        ring = btf__add_typedef(btf, "ring", (int) btf__type_cnt(btf) + 1);
        btf__add_const(btf, ring);
        type = compile(btf, ring, 3);
        check_json(type, "\1\2\xff", "\"0102ff\"");
        value_type_unref(type);

        twice = btf__add_struct(btf, "twice", 8);
        btf__add_field(btf, "m", u32, 0, 0);
        btf__add_field(btf, "m", u32, 32, 0);
        type = compile(btf, twice, 8);
        check_json(type, "\1\0\0\0\2\0\0\0", "\"0100000002000000\"");
        value_type_unref(type);
        type = compile(btf, u32, 6); /* another size than the kernel's */
        check_json(type, "\1\0\0\0\2\0", "\"010000000200\"");
        assert_string_equal(type->reason, "type u32 has 4 bytes, but the kernel expects 6");
        value_type_unref(type);
        btf__free(btf);
}

static void check_map(uint32_t map_type, uint32_t value_size, const void *bytes, const char *expected) {
        _cleanup_value_map_ ValueMap map = {};

        assert_int_equal(value_btf_map(NULL, "m", map_type, 0, 4, 0, value_size, &map), 0);
        check_json(map.value, bytes, expected);
}

/* Without type information: raw bytes, unless the kernel defines what they are. */
static void test_untyped(void **state) {
        _cleanup_value_map_ ValueMap map = {}, queue = {};

        check_map(BPF_MAP_TYPE_HASH, 4, "\1\2\3\4", "\"01020304\"");
        check_map(BPF_MAP_TYPE_DEVMAP, 4, "\2\0\0\0", "2");
        check_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, "\2\0\0\0\11\0\0\0", "{\"ifindex\":2,\"bpf_prog\":9}");
        check_map(BPF_MAP_TYPE_CPUMAP, 8, "\xc0\0\0\0\0\0\0\0", "{\"qsize\":192,\"bpf_prog\":0}");
        check_map(BPF_MAP_TYPE_PROG_ARRAY, 4, "\x10\1\0\0", "272");
        check_map(BPF_MAP_TYPE_HASH_OF_MAPS, 4, "\7\0\0\0", "7");

        assert_int_equal(value_btf_map(NULL, "m", BPF_MAP_TYPE_LPM_TRIE, 0, 8, 0, 4, &map), 0);
        check_json(map.key, "\x18\0\0\0\xcb\0\x71\0", "\"18000000cb007100\"");
        assert_int_equal(value_btf_map(NULL, "q", BPF_MAP_TYPE_QUEUE, 0, 0, 0, 4, &queue), 0);
        assert_null(queue.key);
}

/* A struct of an amount, an address, a flag, a bit field and two more. */
static struct btf *add_sample(int *ret) {
        struct btf *btf = btf__new_empty();
        int u32 = btf__add_int(btf, "u32", 4, 0), u64 = btf__add_int(btf, "u64", 8, 0),
            b = btf__add_int(btf, "_Bool", 1, BTF_INT_BOOL), pair = btf__add_array(btf, u32, u32, 2),
            d = btf__add_float(btf, "double", 8), s;

        s = btf__add_struct(btf, "sample", 48);
        btf__add_field(btf, "n", u64, 0, 0);
        btf__add_field(btf, "peer", u32, 64, 0);
        btf__add_field(btf, "seen", b, 96, 0);
        btf__add_field(btf, "pair", pair, 128, 0);
        btf__add_field(btf, "low", u32, 192, 5);
        btf__add_field(btf, "high", u32, 197, 27);
        btf__add_field(btf, "ratio", d, 256, 0);
        btf__add_decl_tag(btf, "bpfchain:format=ipv4", s, 1);
        *ret = s;
        return btf;
}

static void test_sum(void **state) {
        struct {
                uint64_t n;
                unsigned char peer[4];
                bool seen;
                uint32_t pair[2];
                uint32_t low : 5, high : 27;
                double ratio;
                uint64_t rest;
        } values[3] = {
                { .n = UINT64_MAX, .low = 30, .ratio = 0.5 },
                { .n = 5, .peer = { 10, 0, 0, 1 }, .seen = true, .pair = { 1, UINT32_MAX }, .high = 7 },
                { .n = 1, .peer = { 10, 0, 0, 2 }, .pair = { 2, 2 }, .low = 3, .high = 1, .ratio = 0.25 },
        }, total;
        const ValueType *type;
        struct btf *btf;
        int id;

        btf = add_sample(&id);
        type = compile(btf, id, sizeof(total));
        value_sum(type, values, 3, sizeof(values[0]), &total);
        check_json(
                type, &total,
                "{\"n\":5,\"peer\":\"10.0.0.1\",\"seen\":true,\"pair\":[3,1],\"low\":1,\"high\":8,\"ratio\":0.75}");
        check_row(type, &total, "n=5,peer=10.0.0.1,seen=true,pair=[3,1],low=1,high=8,ratio=0.75");
        value_type_unref(type);
        btf__free(btf);
}

static void check_argument(const ValueType *type, const char *text, const char *where, const char *sentence) {
        _cleanup_error_ Error error = ERROR_INIT;
        unsigned char bytes[256];

        if (value_encode_argument(type, text, "key", bytes, type->size, &error) >= 0)
                fail_msg("taken: %s", text);
        check_error(&error, ERROR_INVALID_DOCUMENT, sentence);
        assert_string_equal(error.where, where);
}

static void test_arguments(void **state) {
        const ValueType *type, *text, *list;
        struct btf *btf;
        unsigned char bytes[48];
        Error error = ERROR_INIT;
        int id;

        btf = add_sample(&id);
        type = compile(btf, id, 48);
        check_argument(type, "n=1,,low=2", "key", "each member is written as name=value, separated by commas");
        check_argument(type, "n=1,", "key", "a member is missing behind the last comma");
        check_argument(type, "m=1", "key.m~", "struct sample has no member \"m\"; its members are n, peer");
        check_argument(type, "n.x=1", "key[\"n.x\"]~", "struct sample has no member \"n.x\"");
        check_argument(type, "n=1,n=2", "key", "\"n\" is given twice");
        check_argument(type, "pair=[1,2", "key", "this is not JSON at byte");
        check_argument(type, "{\"n\":", "key", "this is not JSON at byte");
        check_argument(type, "n=\xff", "key", "this is not UTF-8");
        check_argument(type, "1,2", "key", "struct sample has 7 members: give all in their order");
        check_argument(type, "", "key", "struct sample has 7 members");
        check_argument(type, "seen=maybe", "key.seen", "expected an integer or true or false, got a string");
        check_argument(type, "ratio=half", "key.ratio", "expected a number, got a string");
        check_argument(type, "low=32", "key.low", "32 is not within 0..31 (type u32, bit field of 5)");

        assert_int_equal(value_encode_argument(type, "1,10.0.0.1,true,[1,2],3,4,-1.5e1", "key", bytes, 48, &error),
                         0);
        check_row(type, bytes, "n=1,peer=10.0.0.1,seen=true,pair=[1,2],low=3,high=4,ratio=-15");
        value_type_unref(type);

        id = btf__add_array(btf, 1, btf__add_int(btf, "char", 1, BTF_INT_SIGNED), 8);
        text = compile(btf, id, 8);
        assert_int_equal(value_encode_argument(text, "a=b,{c", "key", bytes, 8, &error), 0);
        check_row(text, bytes, "a=b,{c");
        check_json(text, bytes, "\"a=b,{c\"");
        assert_int_equal(value_encode_argument(text, "\"\\n\"", "key", bytes, 8, &error), 0);
        check_row(text, bytes, "\"\\n\"");
        value_type_unref(text);

        list = compile(btf, btf__add_array(btf, 1, 1, 3), 12);
        assert_int_equal(value_encode_argument(list, "1,2", "key", bytes, 12, &error), 0);
        check_row(list, bytes, "[1,2,0]");
        check_argument(list, "1,2,", "key", "an element is missing");
        check_argument(list, "1,2,3,4", "key", "no more than 3 are taken");
        value_type_unref(list);
        btf__free(btf);
}

static void test_notes(void **state) {
        ValueNotes notes = {}, member = { .unit = (char *) "ns" },
                   map = { .unit = (char *) "s", .role = VALUE_ROLE_STATS, .initial = (char *) "oh \"no\"" };
        _cleanup_value_type_ const ValueType *type = NULL, *formatted = NULL;
        _cleanup_buffer_ Buffer schema = {};
        _cleanup_free_ char *text = NULL;

        assert_int_equal(value_notes_merge(&notes, &member), 0);
        assert_int_equal(value_notes_merge(&notes, &map), 0);
        assert_string_equal(notes.unit, "ns");
        assert_int_equal(notes.role, VALUE_ROLE_STATS);

        assert_int_equal(value_type_new_integer("u16", 2, false, &type), 0);
        assert_int_equal(value_type_with_format(type, VALUE_FORMAT_IPV4, &formatted), -EINVAL);
        assert_int_equal(value_type_with_format(type, VALUE_FORMAT_PORT, &formatted), 0);
        assert_int_equal(value_schema(formatted, &notes, &schema), 0);
        text = buffer_take(&schema);
        assert_string_equal(text,
                            "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"integer\","
                            "\"minimum\":0,\"maximum\":65535,\"title\":\"u16\",\"x-format\":\"port\","
                            "\"x-role\":\"stats\",\"x-unit\":\"ns\",\"default\":\"oh \\\"no\\\"\"}");
        value_notes_done(&notes);

        for (int i = 0; i < _VALUE_FORMAT_MAX; i++)
                assert_int_equal(value_format_from_string(value_format_to_string(i)), i);
        for (int i = 0; i < _VALUE_ROLE_MAX; i++)
                assert_int_equal(value_role_from_string(value_role_to_string(i)), i);
        for (int i = 0; i < _VALUE_KIND_MAX; i++)
                assert_int_equal(value_kind_from_string(value_kind_to_string(i)), i);
}

/* Many values go into one buffer; what is put around them is as it is. */
static void test_printer(void **state) {
        _cleanup_value_type_ const ValueType *type = NULL, *array = NULL;
        _cleanup_value_printer_ ValuePrinter *printer = NULL, *raw = NULL;
        _cleanup_buffer_ Buffer buffer = {};
        _cleanup_free_ char *text = NULL;
        uint32_t large[3000];

        assert_int_equal(value_type_new_integer("u32", 4, false, &type), 0);
        assert_int_equal(value_type_new_array(NULL, type, 3000, &array), 0);
        assert_string_equal(array->name, "u32[3000]");
        for (unsigned i = 0; i < 3000; i++)
                large[i] = i % 10;
        assert_int_equal(value_printer_new(array, VALUE_STYLE_JSON, "<", ">\n", &printer), 0);
        assert_int_equal(value_print(printer, large, &buffer), 0);
        assert_int_equal(value_print(printer, large, &buffer), 0);
        assert_int_equal(value_printer_new_raw(2, VALUE_STYLE_ARGUMENT, NULL, ".", &raw), 0);
        assert_int_equal(value_print(raw, "\x0a\xbc", &buffer), 0);
        text = buffer_take(&buffer);
        assert_int_equal(strlen(text), 2 * (6001 + 3) + 5);
        assert_memory_equal(text, "<[0,1,2,3,4,5,6,7,8,9,0,", 24);
        assert_string_equal(strchr(text, '\n') + 6004, "\n0abc.");
        assert_int_equal(value_type_new_array(NULL, array, 1U << 20, &type), -E2BIG);
}

/* A text has as much room as it needs, and no text as much as its numbers. */
static void test_large_text(void **state) {
        _cleanup_value_type_ const ValueType *letter = NULL, *type = NULL;
        unsigned char bytes[3000] = "short";
        _cleanup_free_ char *text = NULL;

        assert_int_equal(value_type_new_char("char", true, &letter), 0);
        assert_int_equal(value_type_new_array(NULL, letter, sizeof(bytes), &type), 0);
        check_json(type, bytes, "\"short\"");
        memset(bytes, 1, sizeof(bytes));
        text = print(type, VALUE_STYLE_JSON, bytes);
        assert_int_equal(strlen(text), 6 * sizeof(bytes) + 2);
        free(text);
        memset(bytes, 0xff, sizeof(bytes));
        text = print(type, VALUE_STYLE_JSON, bytes);
        assert_int_equal(strlen(text), 4 * sizeof(bytes) + 1);
        free(text);
        memset(bytes + 1, 0, sizeof(bytes) - 1);
        text = print(type, VALUE_STYLE_ARGUMENT, bytes);
        assert_int_equal(strlen(text), 2 * sizeof(bytes) + 3);
        assert_memory_equal(text, "[255,0,0,", 9);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numerals),   cmocka_unit_test(test_addresses), cmocka_unit_test(test_floats),
                cmocka_unit_test(test_hostile),    cmocka_unit_test(test_untyped),   cmocka_unit_test(test_sum),
                cmocka_unit_test(test_arguments),  cmocka_unit_test(test_notes),     cmocka_unit_test(test_printer),
                cmocka_unit_test(test_large_text),
        };

        libbpf_set_print(NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
