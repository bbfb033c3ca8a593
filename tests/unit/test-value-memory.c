/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The n-th allocation fails, for each n, while types are made, printed, described and written: it is reported as what
 * it is, and nothing leaks or crashes.
 */

#include "check.h"

#include <bpf/libbpf.h>

#include "fail-memory.h"
#include "kernel/map-types.h"
#include "kernel/value-btf.h"
#include "util/file.h"
#include "value/value-encode.h"
#include "value/value-print.h"
#include "value/value-schema.h"
#include "value/value-text.h"

static unsigned long n_allocations, fail_at;
static bool armed, failed;

bool memory_fails(void) {
        if (!armed || ++n_allocations != fail_at)
                return false;
        failed = true;
        errno = ENOMEM;
        return true;
}

static int describe(const ValueType *type) {
        _cleanup_free_ char *signature = NULL;
        _cleanup_buffer_ Buffer text = {};
        unsigned char bytes[256] = {};
        int r;

        r = value_print_once(type, VALUE_STYLE_JSON, bytes, &text);
        if (r >= 0)
                r = value_print_once(type, VALUE_STYLE_ARGUMENT, bytes, &text);
        if (r >= 0)
                r = value_schema(type, NULL, &text);
        return r < 0 ? r : value_signature(type, &signature);
}

/* Only what memory does is of interest, not what is refused. */
static int write_one(const ValueType *type, const char *argument) {
        _cleanup_error_ Error error = ERROR_INIT;
        unsigned char bytes[256];
        int r;

        r = value_encode_argument(type, argument, "key", bytes, type->size, &error);
        return r == -ENOMEM ? r : 0;
}

static int use(const struct btf *btf, const char *name, const char *const *arguments) {
        _cleanup_value_btf_ ValueBtf *values = NULL;
        _cleanup_value_map_ ValueMap map = {};
        MapDefinition d;
        int r;

        assert_int_equal(map_definition_find(btf, name, &d), 0);
        r = value_btf_new(btf, &values);
        if (r >= 0)
                r = value_btf_map(values, name, d.type, d.key_type, d.key_size, d.value_type, d.value_size, &map);
        if (r >= 0 && map.key)
                r = describe(map.key);
        if (r >= 0 && map.value)
                r = describe(map.value);
        if (r >= 0 && map.event)
                r = describe(map.event);
        for (; *arguments && r >= 0; arguments++) {
                r = write_one(map.key, *arguments);
                if (r >= 0)
                        r = write_one(map.value, *arguments);
        }
        return r;
}

static void each_allocation_may_fail(const struct btf *btf, const char *name, const char *const *arguments) {
        unsigned long total;
        int r;

        fail_at = n_allocations = 0;
        armed = true;
        r = use(btf, name, arguments);
        armed = false;
        total = n_allocations;
        assert_int_equal(r, 0);
        assert_true(total > 10);
        for (fail_at = 1; fail_at <= total; fail_at++) {
                n_allocations = 0;
                failed = false;
                armed = true;
                r = use(btf, name, arguments);
                armed = false;
                assert_true(failed);
                if (r != -ENOMEM && r != 0)
                        fail_msg("%s, allocation %lu: %d", name, fail_at, r);
        }
}

static struct btf *load_types(void) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        _cleanup_free_ uint8_t *raw = NULL;
        size_t size, n = 0;

        assert_return_code(asprintf(&path, "%s/tests/data/map-vectors/values.btf.hex", getenv("BPFCHAIN_SOURCE")),
                           errno);
        assert_int_equal(file_read(path, (size_t) 1 << 20, &text, &size), 0);
        for (const char *p = text; *p; p++)
                n += *p != '\n';
        raw = malloc(n / 2);
        assert_int_equal(bytes_from_hex(text, raw, n / 2), 0);
        return btf__new(raw, (uint32_t) (n / 2));
}

static void test_memory(void **state) {
        static const struct {
                const char *map;
                const char *arguments[8];
        } uses[] = {
                { "map_numbers", { "u8=1,color=green", "u8=300", "bad=1", "{\"bad\": 1}", "0" } },
                { "map_annotated", { "access=READ|WRITE,ports=[1,2],seen=10ms", "access=NONE" } },
                { "map_nested", { "inner.b=2,point.y=8,halves=[1]", "word=1,low=1" } },
                { "map_bits", { "low=1,wide=5", "low=9" } },
                { "map_kernel", { "count=1", "lock=1" } },
                { "trie_v4", { "203.0.113.0/24", "203.0.113.0/33", "prefixlen=8,addr=10.0.0.0" } },
                { "trie_tenant", { "7,203.0.113.0/24", "tenant=7,addr=1.2.3.4/40" } },
                { "flows", { "10.0.0.1,203.0.113.7,1,2,tcp", "1,2" } },
                { "drops", { NULL } },
        };
        struct btf *btf;

        if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) {
                print_message("SKIP: the types are little-endian\n");
                skip();
        }
        btf = load_types();
        assert_non_null(btf);
        for (size_t i = 0; i < ELEMENTSOF(uses); i++)
                each_allocation_may_fail(btf, uses[i].map, uses[i].arguments);
        btf__free(btf);
}

int main(void) {
        static const struct CMUnitTest tests[] = { cmocka_unit_test(test_memory) };

        libbpf_set_print(NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
