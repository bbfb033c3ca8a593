/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names as file names, there and back. */

#include "check.h"
#include "util/encode.h"

static void test_there_and_back(void **state) {
        static const struct {
                const char *name;
                const char *encoded;
        } names[] = {
                { "", "_" },
                { "deny", "deny" },
                { "denied_v4", "denied_5fv4" },
                { ".rodata", "_2erodata" },
                { "a-b.c", "a-b_2ec" },
                { "../x", "_2e_2e_2fx" },
                { "\xc3\xa9", "_c3_a9" },
                { "_", "_5f" },
                { "a b\n", "a_20b_0a" },
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *encoded = NULL, *decoded = NULL;

                assert_int_equal(name_encode(names[i].name, &encoded), 0);
                assert_string_equal(encoded, names[i].encoded);
                assert_int_equal(name_decode(encoded, &decoded), 0);
                assert_string_equal(decoded, names[i].name);
        }
}

/* Every byte but NUL. */
static void test_all_bytes(void **state) {
        for (int c = 1; c < 256; c++) {
                const char name[] = { (char) c, '\0' };
                _cleanup_free_ char *encoded = NULL, *decoded = NULL;

                assert_int_equal(name_encode(name, &encoded), 0);
                assert_int_equal(name_decode(encoded, &decoded), 0);
                assert_string_equal(decoded, name);
        }
}

/* Other spellings are nobody's names. */
static void test_refused(void **state) {
        static const char *const bad[] = { "",    "__",  "a_",  "_2",     "_2E", "_61",
                                           "_00", "_zz", "a.b", "_new-x", "a_5", "\xff" };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char *decoded = NULL;

                assert_int_equal(name_decode(bad[i], &decoded), -EINVAL);
                assert_null(decoded);
        }
}

static void test_length(void **state) {
        char name[257], *encoded = NULL;

        memset(name, 'a', sizeof(name));
        name[255] = '\0';
        assert_int_equal(name_encode(name, &encoded), 0);
        free(encoded);
        name[255] = 'a';
        name[256] = '\0';
        assert_int_equal(name_encode(name, &encoded), -ENAMETOOLONG);
        memset(name, '.', sizeof(name));
        name[85] = '\0';
        assert_int_equal(name_encode(name, &encoded), 0);
        free(encoded);
        name[85] = '.';
        name[86] = '\0';
        assert_int_equal(name_encode(name, &encoded), -ENAMETOOLONG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_there_and_back),
                cmocka_unit_test(test_all_bytes),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_length),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
