/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "kernel/value-btf.h"
#include "util/json.h"
#include "value/value-encode.h"

/* The types of the tests, as clang would write them down. */
static struct btf *btf;
static int t_char, t_schar, t_u8, t_s8, t_u16, t_u32, t_s32, t_u64, t_s64, t_u128, t_s128, t_bool, t_float, t_double;
static int t_u32_typedef, t_const, t_pointer, t_enum, t_enum_signed, t_enum64, t_text, t_mac, t_v4, t_v6, t_v6_words;
static int t_bytes, t_numbers, t_matrix, t_names, t_empty_array, t_flow, t_union, t_lpm, t_lpm_nested, t_in6, t_bits,
        t_ring_a, t_holder, t_tagged, t_func, t_fwd, t_large;

static int array_of(int type, unsigned n) {
        return btf__add_array(btf, t_u32, type, n);
}

static void add_scalars(void) {
        t_char = btf__add_int(btf, "char", 1, BTF_INT_SIGNED);
        t_schar = btf__add_int(btf, "signed char", 1, BTF_INT_SIGNED);
        t_u8 = btf__add_typedef(btf, "__u8", btf__add_int(btf, "unsigned char", 1, 0));
        t_s8 = btf__add_typedef(btf, "__s8", t_schar);
        t_u16 = btf__add_typedef(btf, "__u16", btf__add_int(btf, "unsigned short", 2, 0));
        t_u32 = btf__add_int(btf, "unsigned int", 4, 0);
        t_u32_typedef = btf__add_typedef(btf, "__u32", t_u32);
        t_s32 = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
        t_u64 = btf__add_typedef(btf, "__u64", btf__add_int(btf, "unsigned long long", 8, 0));
        t_s64 = btf__add_int(btf, "long long", 8, BTF_INT_SIGNED);
        t_u128 = btf__add_int(btf, "unsigned __int128", 16, 0);
        t_s128 = btf__add_int(btf, "__int128", 16, BTF_INT_SIGNED);
        t_bool = btf__add_int(btf, "_Bool", 1, BTF_INT_BOOL);
        t_float = btf__add_float(btf, "float", 4);
        t_double = btf__add_float(btf, "double", 8);
        t_const = btf__add_const(btf, btf__add_volatile(btf, t_u32_typedef));
        t_tagged = btf__add_type_tag(btf, "user", t_const);
        t_pointer = btf__add_ptr(btf, t_u32);
        t_fwd = btf__add_fwd(btf, "unseen", BTF_FWD_STRUCT);
        t_func = btf__add_func_proto(btf, t_u32);
        t_enum = btf__add_enum(btf, "verdict", 4);
        btf__add_enum_value(btf, "VERDICT_DROP", 0);
        btf__add_enum_value(btf, "VERDICT_PASS", 1);
        t_enum_signed = btf__add_enum(btf, "signs", 4);
        btf__add_enum_value(btf, "MINUS", -1);
        t_enum64 = btf__add_enum64(btf, "wide", 8, false);
        btf__add_enum64_value(btf, "WIDE", UINT64_C(0xffffffff00000001));
}

static void add_arrays(void) {
        t_text = array_of(t_char, 8);
        t_mac = array_of(t_u8, 6);
        t_v4 = array_of(t_u8, 4);
        t_v6 = array_of(t_u8, 16);
        t_v6_words = array_of(t_u32_typedef, 4);
        t_bytes = array_of(t_u8, 5);
        t_numbers = array_of(t_u16, 3);
        t_matrix = array_of(array_of(t_u8, 3), 2);
        t_names = array_of(t_text, 2);
        t_empty_array = array_of(t_u32, 0);
        t_large = array_of(t_u32, 100000);
}

static void add_structs(void) {
        int inner, pair, flows;

        /* struct flow { __u32 src; __u16 port; __u8 pad[2]; struct { __u32 a; union { __u32 b; __u8 c[4]; }; };
         *               enum verdict verdict; __u32 *next; }; */
        pair = btf__add_union(btf, NULL, 4);
        btf__add_field(btf, "b", t_u32_typedef, 0, 0);
        btf__add_field(btf, "c", t_v4, 0, 0);
        inner = btf__add_struct(btf, NULL, 8);
        btf__add_field(btf, "a", t_u32_typedef, 0, 0);
        btf__add_field(btf, NULL, pair, 32, 0);
        t_flow = btf__add_struct(btf, "flow", 32);
        btf__add_field(btf, "src", t_u32_typedef, 0, 0);
        btf__add_field(btf, "port", t_u16, 32, 0);
        btf__add_field(btf, NULL, inner, 64, 0);
        btf__add_field(btf, "verdict", t_enum, 128, 0);
        btf__add_field(btf, "next", t_pointer, 192, 0);

        flows = array_of(t_flow, 2);
        t_holder = btf__add_struct(btf, "holder", 72);
        btf__add_field(btf, "flows", flows, 0, 0);
        btf__add_field(btf, "tail", t_u64, 512, 0);

        t_union = btf__add_union(btf, "either", 8);
        btf__add_field(btf, "small", t_u16, 0, 0);
        btf__add_field(btf, "wide", t_u64, 0, 0);

        t_lpm = btf__add_struct(btf, "lpm_key", 8);
        btf__add_field(btf, "prefixlen", t_u32_typedef, 0, 0);
        btf__add_field(btf, "addr", t_u32_typedef, 32, 0);
        inner = btf__add_struct(btf, "bpf_lpm_trie_key_hdr", 4);
        btf__add_field(btf, "prefixlen", t_u32_typedef, 0, 0);
        t_lpm_nested = btf__add_struct(btf, "lpm_key6", 20);
        btf__add_field(btf, "hdr", inner, 0, 0);
        btf__add_field(btf, "data", t_v6, 32, 0);

        pair = btf__add_union(btf, NULL, 16);
        btf__add_field(btf, "u6_addr8", t_v6, 0, 0);
        t_in6 = btf__add_struct(btf, "in6_addr", 16);
        btf__add_field(btf, "in6_u", pair, 0, 0);

        t_bits = btf__add_struct(btf, "bits", 4);
        btf__add_field(btf, "low", t_u32, 0, 3);
        btf__add_field(btf, "middle", t_s32, 3, 10);
        btf__add_field(btf, "flag", t_bool, 13, 1);
        btf__add_field(btf, "what", t_enum, 14, 2);
        btf__add_field(btf, "high", t_u32, 16, 16);
}

/* Bogus: two typedefs in a ring. libbpf lets references point forward. */
static void add_bogus(void) {
        t_ring_a = btf__add_typedef(btf, "ring_a", (int) btf__type_cnt(btf) + 1);
        btf__add_typedef(btf, "ring_b", t_ring_a);
}

static int set_up(void **state) {
        btf = btf__new_empty();
        if (!btf)
                return -1;
        add_scalars();
        add_arrays();
        add_structs();
        add_bogus();
        return t_large > 0 && t_bits > 0 && t_ring_a > 0 && t_in6 > 0 ? 0 : -1;
}

static int tear_down(void **state) {
        btf__free(btf);
        return 0;
}

/* Encodes into exactly `size` bytes, so that valgrind and ASan see a write beyond them. */
static int encode(const struct btf *types, int type, int map_type, const char *text, size_t size, void **ret,
                  Error *error) {
        _cleanup_json_ json_object *value = NULL;
        _cleanup_value_type_ const ValueType *compiled = NULL;
        _cleanup_free_ void *buffer = malloc(size > 0 ? size : 1);
        int r;

        memset(buffer, 0xaa, size);
        assert_int_equal(json_parse(text, strlen(text), &value, NULL, error), 0);
        assert_int_equal(value_btf_compile(types, (uint32_t) type, map_type < 0 ? 0 : (uint32_t) map_type,
                                           (uint32_t) size, &compiled),
                         0);
        r = value_encode(compiled, value, "maps.m[0]", buffer, size, error);
        if (r >= 0)
                *ret = TAKE_PTR(buffer);
        return r;
}

static void check_bytes(const struct btf *types, int type, int map_type, const char *text, const void *expected,
                        size_t size) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ void *bytes = NULL;
        int r;

        r = encode(types, type, map_type, text, size, &bytes, &error);
        check_no_error(&error);
        assert_int_equal(r, 0);
        if (memcmp(bytes, expected, size) != 0) {
                print_error("%s:\n", text);
                assert_memory_equal(bytes, expected, size);
        }
}

static void check_refused(const struct btf *types, int type, int map_type, const char *text, size_t size,
                          ErrorCode code, const char *where, const char *sentence) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ void *bytes = NULL;
        int r;

        r = encode(types, type, map_type, text, size, &bytes, &error);
        if (r >= 0)
                fail_msg("taken: %s", text);
        check_error(&error, code, sentence);
        assert_int_equal(r, error_code_to_errno(code));
        assert_string_equal(error.where, where);
}

#define BYTES(type, text, ...)                                                                                       \
        check_bytes(btf, (type), -1, (text), (const unsigned char[]){ __VA_ARGS__ },                                 \
                    sizeof((const unsigned char[]){ __VA_ARGS__ }))
#define VALUE(type, text, c_type, c_value)                                                                           \
        check_bytes(btf, (type), -1, (text), &(const c_type){ c_value }, sizeof(c_type))
#define WRONG(type, size, text, where, sentence)                                                                     \
        check_refused(btf, (type), -1, (text), (size), ERROR_INVALID_DOCUMENT, "maps.m[0]" where, (sentence))
#define BROKEN(type, size, text, where, sentence)                                                                    \
        check_refused(btf, (type), -1, (text), (size), ERROR_INCOMPATIBLE, "maps.m[0]" where, (sentence))

static void test_integers(void **state) {
        VALUE(t_u8, "255", uint8_t, 255);
        VALUE(t_s8, "-128", int8_t, -128);
        VALUE(t_u16, "65535", uint16_t, 65535);
        VALUE(t_u32, "4294967295", uint32_t, UINT32_MAX);
        VALUE(t_u32, "\"0xfFfF0001\"", uint32_t, 0xffff0001);
        VALUE(t_s32, "-2147483648", int32_t, INT32_MIN);
        VALUE(t_s32, "\"-7\"", int32_t, -7);
        VALUE(t_u64, "18446744073709551615", uint64_t, UINT64_MAX);
        VALUE(t_u64, "9223372036854775807", uint64_t, INT64_MAX);
        VALUE(t_u64, "9223372036854775808", uint64_t, UINT64_C(1) << 63);
        VALUE(t_s64, "-9223372036854775808", int64_t, INT64_MIN);
        VALUE(t_const, "5", uint32_t, 5);
        VALUE(t_tagged, "5", uint32_t, 5);
        VALUE(t_char, "\"x\"", char, 'x');
        VALUE(t_char, "-1", signed char, -1);
        VALUE(t_u128, "\"340282366920938463463374607431768211455\"", unsigned __int128, ~(unsigned __int128) 0);
        VALUE(t_u128, "\"0x00000000000000000000000000000000000000000000000001\"", unsigned __int128, 1);
        VALUE(t_s128, "\"-170141183460469231731687303715884105728\"", __int128,
              (__int128) ((unsigned __int128) 1 << 127));
        VALUE(t_s128, "-1", __int128, -1);

        WRONG(t_u8, 1, "256", "", "256 is not within 0..255 (type __u8)");
        WRONG(t_u8, 1, "-1", "", "-1 is not within 0..255 (type __u8)");
        WRONG(t_s8, 1, "128", "", "128 is not within -128..127 (type __s8)");
        WRONG(t_u16, 2, "65536", "", "65536 is not within 0..65535 (type __u16)");
        WRONG(t_const, 4, "4294967296", "", "4294967296 is not within 0..4294967295 (type __u32)");
        WRONG(t_s32, 4, "2147483648", "", "is not within -2147483648..2147483647 (type int)");
        WRONG(t_s64, 8, "9223372036854775808", "", "9223372036854775808 is not within -9223372036854775808");
        WRONG(t_u64, 8, "\"18446744073709551616\"", "", "18446744073709551616 is not within 0..18446744073709551615");
        WRONG(t_s128, 16, "\"170141183460469231731687303715884105728\"", "", "is not within -1701411");
        WRONG(t_u128, 16, "\"340282366920938463463374607431768211456\"", "", "does not fit in 128 bits");
        WRONG(t_u32, 4, "1.0", "", "expected an integer, got a number with a fraction");
        WRONG(t_u32, 4, "true", "", "expected an integer, got true");
        WRONG(t_u32, 4, "null", "", "expected an integer, got null");
        WRONG(t_u32, 4, "{}", "", "expected an integer, got an object");
        WRONG(t_u32, 4, "\"\"", "", "\"\" is not a number or an IPv4 address (type unsigned int)");
        WRONG(t_u32, 4, "\"12x\"", "", "\"12x\" is not a number");
        WRONG(t_u32, 4, "\"0x\"", "", "is not a number");
        WRONG(t_u32, 4, "\"- 1\"", "", "is not a number");
        WRONG(t_char, 1, "\"ab\"", "", "\"ab\" is not a number (type char)");
        BROKEN(t_u32, 8, "1", "", "type unsigned int has 4 bytes, but the kernel expects 8");
        BROKEN(t_u32, 3, "1", "", "but the kernel expects 3");
}

static void test_addresses(void **state) {
        BYTES(t_u32_typedef, "\"203.0.113.7\"", 203, 0, 113, 7);
        BYTES(t_v4, "\"203.0.113.7\"", 203, 0, 113, 7);
        BYTES(t_v4, "\"0a0b0c0d\"", 10, 11, 12, 13);
        BYTES(t_v4, "[1, 2]", 1, 2, 0, 0);
        BYTES(t_v6, "\"2001:db8::7\"", 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7);
        BYTES(t_v6, "\"00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f\"", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
              13, 14, 15);
        BYTES(t_v6_words, "\"2001:db8::7\"", 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7);
        BYTES(t_in6, "\"2001:db8::7\"", 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7);
        BYTES(t_mac, "\"02:00:5e:10:00:ff\"", 2, 0, 0x5e, 0x10, 0, 0xff);
        BYTES(t_bytes, "\"0A 0b 0c0d 0e\"", 10, 11, 12, 13, 14);

        WRONG(t_u32_typedef, 4, "\"203.0.113\"", "", "\"203.0.113\" is not a number or an IPv4 address (type __u32)");
        WRONG(t_u32_typedef, 4, "\"203.0.113.256\"", "", "is not a number or an IPv4 address");
        WRONG(t_s32, 4, "\"203.0.113.7\"", "", "\"203.0.113.7\" is not a number (type int)");
        WRONG(t_v4, 4, "\"2001:db8::7\"", "", "is not an IPv4 address or a row of hexadecimal digits");
        WRONG(t_v6, 16, "\"2001:db8:::7\"", "", "is not an IPv6 address");
        WRONG(t_v6_words, 16, "\"00000000000000000000000000000001\"", "", "is not an IPv6 address (type __u32[4])");
        WRONG(t_mac, 6, "\"02:00:5e:10:00\"", "", "is not a MAC address");
        WRONG(t_bytes, 5, "\"0a0b0c0d0\"", "",
              "is not a row of hexadecimal digits, two digits for each byte (type __u8[5])");
        WRONG(t_bytes, 5, "\"0a0b0c0d0e0f\"", "", "is not a row of hexadecimal digits");
        WRONG(t_bytes, 5, "\"\"", "", "is not a row of hexadecimal digits");
        WRONG(t_numbers, 6, "\"0a0b0c0d0e0f\"", "", "expected an array, got a string (type __u16[3])");
}

static void test_other_scalars(void **state) {
        VALUE(t_bool, "true", bool, true);
        VALUE(t_bool, "false", bool, false);
        VALUE(t_bool, "1", bool, true);
        WRONG(t_bool, 1, "2", "", "expected true or false, got 2");
        WRONG(t_bool, 1, "\"true\"", "", "expected an integer or true or false, got a string");

        VALUE(t_enum, "\"VERDICT_PASS\"", uint32_t, 1);
        VALUE(t_enum, "7", uint32_t, 7);
        VALUE(t_enum_signed, "\"MINUS\"", int32_t, -1);
        VALUE(t_enum_signed, "-2", int32_t, -2);
        VALUE(t_enum64, "\"WIDE\"", uint64_t, UINT64_C(0xffffffff00000001));
        VALUE(t_enum64, "5", uint64_t, 5);
        VALUE(t_enum, "\"pass\"", uint32_t, 1);
        WRONG(t_enum, 4, "\"BASS\"", "",
              "\"BASS\" is not a value of enum verdict; its values are VERDICT_DROP, VERDICT_PASS");
        WRONG(t_enum_signed, 4, "\"MI\"", "", "\"MI\" is not a value of enum signs; its values are MINUS");
        WRONG(t_enum, 4, "\"\"", "", "is not a value of enum verdict");
        WRONG(t_enum, 4, "-1", "", "-1 is not within 0..4294967295 (type enum verdict)");
        WRONG(t_enum, 4, "[]", "", "expected a string or an integer, got an array");

        VALUE(t_float, "1.5", float, 1.5f);
        VALUE(t_double, "-2", double, -2);
        VALUE(t_double, "18446744073709551615", double, 18446744073709551615.0);
        WRONG(t_float, 4, "1e300", "", "1e+300 is too large for a float");
        WRONG(t_double, 8, "\"1\"", "", "expected a number, got a string");

        BROKEN(t_pointer, 8, "1", "", "a pointer can't be written");
        BROKEN(t_func, 8, "1", "", "can't be written");
        BROKEN(t_fwd, 8, "{}", "", "this type can't be written (type unseen)");
}

static void test_arrays(void **state) {
        BYTES(t_text, "\"eth0\"", 'e', 't', 'h', '0', 0, 0, 0, 0);
        BYTES(t_text, "\"12345678\"", '1', '2', '3', '4', '5', '6', '7', '8');
        BYTES(t_text, "[101, \"t\"]", 'e', 't', 0, 0, 0, 0, 0, 0);
        BYTES(t_names, "[\"a\", \"b\"]", 'a', 0, 0, 0, 0, 0, 0, 0, 'b', 0, 0, 0, 0, 0, 0, 0);
        BYTES(t_matrix, "[[1, 2, 3], \"040506\"]", 1, 2, 3, 4, 5, 6);
        BYTES(t_matrix, "[[1], [2]]", 1, 0, 0, 2, 0, 0);
        check_bytes(btf, t_numbers, -1, "[1, 2, 3]", (const uint16_t[]){ 1, 2, 3 }, 6);
        check_bytes(btf, t_empty_array, -1, "[]", "", 0);

        WRONG(t_text, 8, "\"123456789\"", "", "this text has 9 bytes; no more than 8 fit (type char[8])");
        WRONG(t_numbers, 6, "[1, 2, 3, 4]", "",
              "this array has 4 elements; no more than 3 are taken (type __u16[3])");
        WRONG(t_empty_array, 0, "[1]", "", "no more than 0 are taken");
        WRONG(t_numbers, 6, "[1, 70000]", "[1]", "70000 is not within 0..65535 (type __u16)");
        WRONG(t_matrix, 6, "[[1], [2, 256]]", "[1][1]", "256 is not within 0..255 (type __u8)");
        WRONG(t_matrix, 6, "\"010203040506\"", "", "expected an array, got a string (type __u8[2][3])");
        WRONG(t_numbers, 6, "{}", "", "expected an array, got an object");
}

static void test_structs(void **state) {
        unsigned char flow[32] = { 203, 0, 113, 7 }, holder[72] = {};

        memcpy(flow + 4, &(uint16_t){ 443 }, 2);
        memcpy(flow + 8, &(uint32_t){ 9 }, 4);
        memcpy(flow + 12, (const char[]){ 1, 2, 3, 4 }, 4);
        memcpy(flow + 16, &(uint32_t){ 1 }, 4);
        check_bytes(btf, t_flow, -1,
                    "{\"src\": \"203.0.113.7\", \"port\": 443, \"a\": 9, \"c\": [1,2,3,4], \"verdict\": "
                    "\"VERDICT_PASS\"}",
                    flow, sizeof(flow));
        memset(flow, 0, sizeof(flow));
        check_bytes(btf, t_flow, -1, "{}", flow, sizeof(flow));
        memcpy(holder + 32 + 8, &(uint32_t){ 9 }, 4);
        memcpy(holder + 64, &(uint64_t){ 10 }, 8);
        check_bytes(btf, t_holder, -1, "{\"flows\": [{}, {\"a\": 9}], \"tail\": 10}", holder, sizeof(holder));

        VALUE(t_union, "{\"small\": 5}", uint64_t, 5); /* little-endian, as the union is */
        VALUE(t_union, "{\"wide\": 5}", uint64_t, 5);
        VALUE(t_union, "{}", uint64_t, 0);

        WRONG(t_flow, 32, "{\"prot\": 1}", ".prot~",
              "struct flow has no member \"prot\"; did you mean port? Its members are src, port, a, b, c, verdict, "
              "next");
        WRONG(t_flow, 32, "{\"a\": 1, \"x y\\n\": 1}", "[\"x y\\u000a\"]~",
              "struct flow has no member \"x y\\u000a\"; its members");
        WRONG(t_flow, 32, "{\"\": 1}", "[\"\"]~", "struct flow has no member \"\"");
        WRONG(t_flow, 32, "{\"b\": 1, \"c\": [1]}", "", "only one member of unnamed union can be given");
        WRONG(t_union, 8, "{\"small\": 1, \"wide\": 1}", "", "only one member of union either can be given");
        WRONG(t_flow, 32, "5", "", "expected an object for struct flow; its members are src, port");
        WRONG(t_flow, 32, "\"203.0.113.7\"", "", "expected an object for struct flow");
        WRONG(t_holder, 72, "{\"flows\": [{}, {\"port\": -1}]}", ".flows[1].port",
              "-1 is not within 0..65535 (type __u16)");
        WRONG(t_holder, 72, "{\"flows\": [{\"c\": [1, 2, 999]}]}", ".flows[0].c[2]", "999 is not within 0..255");
        BROKEN(t_flow, 32, "{\"next\": 1}", ".next", "a pointer can't be written");
}

static void test_bit_fields(void **state) {
        struct {
                unsigned low : 3;
                int middle : 10;
                bool flag : 1;
                unsigned what : 2;
                unsigned high : 16;
        } bits = { 5, -300, true, 1, 65535 };

        assert_int_equal(sizeof(bits), 4);
        check_bytes(btf, t_bits, -1,
                    "{\"low\": 5, \"middle\": -300, \"flag\": true, \"what\": \"VERDICT_PASS\", \"high\": 65535}",
                    &bits, 4);
        memset(&bits, 0, sizeof(bits));
        bits.middle = 511;
        check_bytes(btf, t_bits, -1, "{\"middle\": 511}", &bits, 4);
        WRONG(t_bits, 4, "{\"low\": 8}", ".low", "8 is not within 0..7 (type unsigned int, bit field of 3)");
        WRONG(t_bits, 4, "{\"middle\": 512}", ".middle", "512 is not within -512..511 (type int, bit field of 10)");
        WRONG(t_bits, 4, "{\"what\": 4}", ".what", "4 is not within 0..3 (type enum verdict)");
        WRONG(t_bits, 4, "{\"low\": \"1.2.3.4\"}", ".low", "is not a number (type unsigned int)");
}

#define LPM(type, size, text, where, sentence)                                                                       \
        check_refused(btf, (type), BPF_MAP_TYPE_LPM_TRIE, (text), (size), ERROR_INVALID_DOCUMENT, "maps.m[0]" where, \
                      (sentence))

static void test_prefixes(void **state) {
        struct {
                uint32_t length;
                unsigned char data[4];
        } v4 = { 24, { 203, 0, 113, 0 } };
        struct {
                uint32_t length;
                unsigned char data[16];
        } v6 = { 32, { 0x20, 1, 0x0d, 0xb8 } };
        int lpm = BPF_MAP_TYPE_LPM_TRIE;

        check_bytes(btf, t_lpm, lpm, "\"203.0.113.0/24\"", &v4, 8);
        check_bytes(btf, t_lpm, lpm, "{\"prefixlen\": 24, \"addr\": \"203.0.113.0\"}", &v4, 8);
        check_bytes(NULL, 0, lpm, "\"203.0.113.0/24\"", &v4, 8);
        check_bytes(NULL, 0, lpm, "\"18000000 cb007100\"", &v4, 8);
        check_bytes(btf, t_lpm_nested, lpm, "\"2001:db8::/32\"", &v6, 20);
        check_bytes(btf, t_lpm_nested, lpm, "{\"hdr\": {\"prefixlen\": 32}, \"data\": \"2001:db8::\"}", &v6, 20);
        v4.length = 32;
        check_bytes(btf, t_lpm, lpm, "\"203.0.113.0\"", &v4, 8);
        v4.length = 0;
        check_bytes(btf, t_lpm, lpm, "\"203.0.113.0/0\"", &v4, 8);
        memset(&v4, 0, sizeof(v4));
        check_bytes(btf, t_lpm, lpm, "{\"prefixlen\": 0}", &v4, 8);

        LPM(t_lpm, 8, "{\"prefixlen\": 133}", ".prefixlen",
            "133 is not within 0..32 (type __u32, LPM trie of 4 bytes)");
        LPM(t_lpm, 8, "{\"prefixlen\": -1}", ".prefixlen",
            "-1 is not within 0..32 (type __u32, LPM trie of 4 bytes)");
        LPM(t_lpm, 8, "{\"prefixlen\": \"0.0.0.8\"}", ".prefixlen", "\"0.0.0.8\" is not a number (type __u32)");
        LPM(t_lpm_nested, 20, "{\"hdr\": {\"prefixlen\": 129}}", ".hdr.prefixlen", "129 is not within 0..128");
        LPM(t_lpm, 8, "{\"addr\": \"203.0.113.0\"}", "", "the prefix length of this key is missing");
        LPM(t_lpm, 8, "\"203.0.113.0/33\"", "", "33 is not within 0..32 (prefix length, LPM trie of 4 bytes)");
        LPM(t_lpm, 8, "\"203.0.113.0/\"", "", "is not an IPv4 prefix such as 203.0.113.0/24");
        LPM(t_lpm, 8, "\"203.0.113.0/-1\"", "", "is not an IPv4 prefix");
        LPM(t_lpm, 8, "\"203.0.113.0/24 \"", "", "is not an IPv4 prefix");
        LPM(t_lpm, 8, "\"2001:db8::/32\"", "", "is not an IPv4 prefix");
        LPM(t_lpm_nested, 20, "\"203.0.113.0/24\"", "", "is not an IPv6 prefix such as 2001:db8::/32");
        LPM(t_lpm, 8, "\"banana\"", "", "expected an object for struct lpm_key");
        LPM(t_u64, 8, "33", "", "33 is not within 0..32 (prefix length, LPM trie of 4 bytes)");
        check_refused(NULL, 0, lpm, "\"21000000 cb007100\"", 8, ERROR_INVALID_DOCUMENT, "maps.m[0]",
                      "33 is not within 0..32");
        check_refused(NULL, 0, lpm, "\"10.0.0.0/8\"", 10, ERROR_INVALID_DOCUMENT, "maps.m[0]",
                      "which holds no addresses");
        check_refused(btf, t_u32, lpm, "1", 4, ERROR_INCOMPATIBLE, "maps.m[0]", "more than 4 bytes");

        /* Another kind of map has no such bounds. */
        check_bytes(btf, t_lpm, BPF_MAP_TYPE_HASH, "{\"prefixlen\": 133}",
                    (const unsigned char[]){ 133, 0, 0, 0, 0, 0, 0, 0 }, 8);
}

static void test_raw(void **state) {
        check_bytes(NULL, 0, -1, "\"0a0B 0c\"", (const unsigned char[]){ 10, 11, 12 }, 3);
        check_bytes(NULL, 5, -1, "\"0a:0b:0c\"", (const unsigned char[]){ 10, 11, 12 }, 3);
        check_bytes(btf, 0, -1, "\" 0a0b0c \"", (const unsigned char[]){ 10, 11, 12 }, 3);
        check_bytes(NULL, 0, -1, "\"\"", "", 0);
        check_refused(NULL, 0, -1, "5", 3, ERROR_INVALID_DOCUMENT, "maps.m[0]", "no type information (BTF)");
        check_refused(NULL, 0, -1, "\"0a0b\"", 3, ERROR_INVALID_DOCUMENT, "maps.m[0]", "these are not 3 bytes");
        check_refused(NULL, 0, -1, "\"0a0b0c0d\"", 3, ERROR_INVALID_DOCUMENT, "maps.m[0]", "6 hexadecimal digits");
        check_refused(NULL, 0, -1, "\"0a0b0\"", 3, ERROR_INVALID_DOCUMENT, "maps.m[0]", "not hexadecimal digits");
        check_refused(NULL, 0, -1, "\"0a0b:\"", 3, ERROR_INVALID_DOCUMENT, "maps.m[0]", "not hexadecimal digits");
}

/* The same in BTF as an attacker would write it. */
static void test_bogus(void **state) {
        struct btf_type *t;
        int wide, outside, a, b, nameless, odd, deep;

        BROKEN(t_ring_a, 4, "1", "", "can't be written");
        BROKEN(100000, 4, "1", "", "can't be written");

        /* A member behind the end of its struct, a bit field likewise, one between bytes. */
        outside = btf__add_struct(btf, "outside", 8);
        btf__add_field(btf, "far", t_u64, 0, 0);
        btf__add_field(btf, "bit", t_u32, 0, 3);
        btf__add_field(btf, "odd", t_u32, 0, 0);
        btf__add_field(btf, "gone", 99999, 0, 0);
        t = (struct btf_type *) btf__type_by_id(btf, (unsigned) outside);
        btf_members(t)[0].offset = 8;
        btf_members(t)[1].offset = 3U << 24 | 62;
        btf_members(t)[2].offset = 3;
        BROKEN(outside, 8, "{\"far\": 1}", ".far", "broken");
        BROKEN(outside, 8, "{\"bit\": 1}", ".bit", "broken");
        BROKEN(outside, 8, "{\"odd\": 1}", ".odd", "broken");
        BROKEN(outside, 8, "{\"gone\": 1}", ".gone", "broken");

        /* Two structs that hold each other without a name, many times: 2^32 ways down, were they not counted. */
        a = btf__add_struct(btf, "a", 8);
        b = a + 1;
        for (unsigned i = 0; i < 4; i++)
                btf__add_field(btf, NULL, b, 0, 0);
        assert_int_equal(btf__add_struct(btf, NULL, 8), b);
        t = (struct btf_type *) btf__type_by_id(btf, (unsigned) a);
        for (unsigned i = 0; i < 4; i++)
                btf__add_field(btf, NULL, a, 0, 0);
        BROKEN(a, 8, "{\"x\": 1}", "", "more than 32 deep");
        nameless = btf__add_struct(btf, NULL, 8); /* directly */
        btf__add_field(btf, NULL, nameless, 0, 0);
        BROKEN(nameless, 8, "{\"x\": 1}", "", "more than 32 deep");

        /* As wide as a struct can be, of structs as wide, and so on: more values than anybody will print. */
        wide = t_u32;
        for (unsigned i = 0; i < 4; i++) {
                int next = btf__add_union(btf, "wide", 4);

                for (unsigned k = 0; k < 200; k++) {
                        char name[16];

                        snprintf(name, sizeof(name), "m%u", k);
                        assert_int_equal(btf__add_field(btf, name, wide, 0, 0), 0);
                }
                wide = next;
        }
        BROKEN(wide, 4, "{\"m0\": {}}", "", "this type is too large");

        /* The same name twice. */
        odd = btf__add_struct(btf, "odd", 4);
        btf__add_field(btf, "m", t_u32, 0, 0);
        btf__add_field(btf, "m", t_u32, 0, 0);
        BROKEN(odd, 4, "{\"m\": 1}", "", "broken");

        /* Arrays of arrays of arrays. */
        deep = t_u8;
        for (unsigned i = 0; i < 40; i++)
                deep = array_of(deep, 1);
        BROKEN(deep, 1, "[[[[1]]]]", "", "can't be written");
        BROKEN(array_of(array_of(t_u64, 0x10000000), 0x10000000), 8, "[]", "", "can't be written");
        BROKEN(array_of(t_fwd, 2), 8, "[]", "", "can't be written");
}

static void test_bogus_integers(void **state) {
        int id = btf__add_int(btf, "strange", 4, 0), legacy = btf__add_int(btf, "legacy", 4, 0), bits;
        struct btf_type *t = (struct btf_type *) btf__type_by_id(btf, (unsigned) id);

        t->size = 3;
        BROKEN(id, 3, "1", "", "a value of this size can't be written (type strange)");
        t->size = 17;
        BROKEN(id, 17, "1", "", "can't be written");
        t->size = 0;
        BROKEN(id, 0, "1", "", "can't be written");

        t = (struct btf_type *) btf__type_by_id(btf, (unsigned) legacy);
        *(uint32_t *) (t + 1) = 5; /* bits */
        BROKEN(legacy, 4, "1", "", "can't be written");

        bits = btf__add_struct(btf, "b", 32);
        btf__add_field(btf, "x", t_u8, 0, 3);
        t = (struct btf_type *) btf__type_by_id(btf, (unsigned) bits);
        btf_members(t)[0].offset = 255U << 24;
        BROKEN(bits, 32, "{\"x\": 1}", ".x", "broken");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_integers),      cmocka_unit_test(test_addresses),
                cmocka_unit_test(test_other_scalars), cmocka_unit_test(test_arrays),
                cmocka_unit_test(test_structs),       cmocka_unit_test(test_bit_fields),
                cmocka_unit_test(test_prefixes),      cmocka_unit_test(test_raw),
                cmocka_unit_test(test_bogus),         cmocka_unit_test(test_bogus_integers),
        };

        libbpf_set_print(NULL);
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
