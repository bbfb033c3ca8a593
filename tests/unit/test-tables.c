/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of enum values both ways, and the small containers.
 */
#include "check.h"
#include "model/chain.h"
#include "model/document.h"
#include "model/manager.h"
#include "model/program.h"
#include "model/store.h"
#include "util/strv.h"
#include "util/table.h"

static void check_name(const char *name, char ***seen) {
        assert_non_null(name);
        assert_true(*name);
        assert_false(strv_contains(*seen, name));
        assert_int_equal(strv_append(seen, name), 0);
}

/* Every value has a name of its own, which leads back to it; what is no value has none, and no other name leads to
 * a value. */
#define DEFINE_ROUND_TRIP(name, type, max)                                                                           \
        static void test_##name(void **state) {                                                                      \
                _cleanup_strv_ char **seen = NULL;                                                                   \
                                                                                                                     \
                for (int i = 0; i < (int) (max); i++) {                                                              \
                        check_name(name##_to_string((type) i), &seen);                                               \
                        assert_int_equal(name##_from_string(name##_to_string((type) i)), i);                         \
                }                                                                                                    \
                assert_null(name##_to_string((type) (max)));                                                         \
                assert_null(name##_to_string((type) -1));                                                            \
                assert_null(name##_to_string((type) -EINVAL));                                                       \
                assert_null(name##_to_string((type) 1000));                                                          \
                assert_int_equal(name##_from_string(NULL), -EINVAL);                                                 \
                assert_int_equal(name##_from_string(""), -EINVAL);                                                   \
                assert_int_equal(name##_from_string("no such name"), -EINVAL);                                       \
        }

DEFINE_ROUND_TRIP(hook, Hook, _HOOK_MAX)
DEFINE_ROUND_TRIP(attach_mode, AttachMode, _ATTACH_MODE_MAX)
DEFINE_ROUND_TRIP(attach_kind, AttachKind, _ATTACH_KIND_MAX)
DEFINE_ROUND_TRIP(slot_form, SlotForm, _SLOT_FORM_MAX)
DEFINE_ROUND_TRIP(tc_attach, TcAttach, _TC_ATTACH_MAX)
DEFINE_ROUND_TRIP(layer, Layer, _LAYER_MAX)
DEFINE_ROUND_TRIP(document_state, DocumentState, _DOCUMENT_STATE_MAX)
DEFINE_ROUND_TRIP(program_state, ProgramState, _PROGRAM_STATE_MAX)
DEFINE_ROUND_TRIP(chain_state, ChainState, _CHAIN_STATE_MAX)
DEFINE_ROUND_TRIP(severity, Severity, _SEVERITY_MAX)
DEFINE_ROUND_TRIP(error_code, ErrorCode, _ERROR_CODE_MAX)

static void test_error_codes(void **state) {
        assert_int_equal(error_code_to_errno(ERROR_NONE), 0);
        for (int i = 1; i < _ERROR_CODE_MAX; i++)
                assert_true(error_code_to_errno((ErrorCode) i) < 0);
        assert_int_equal(error_code_to_errno(_ERROR_CODE_MAX), -EINVAL);
}

static void test_errors(void **state) {
        Error error = ERROR_INIT, other = ERROR_INIT;

        assert_int_equal(error_set(&error, ERROR_BUSY, "%s is %d", "one", 1), error_code_to_errno(ERROR_BUSY));
        assert_string_equal(error.message, "one is 1");
        assert_null(error.where);
        /* One that is set stays; the code for the return value is that of the call. */
        assert_int_equal(error_set_at(&error, ERROR_FAILED, "x", "two"), -EIO);
        assert_int_equal(error.code, ERROR_BUSY);
        assert_string_equal(error.message, "one is 1");
        error_prefix(&error, "%s: ", "front");
        assert_string_equal(error.message, "front: one is 1");
        error_move(&other, &error);
        assert_false(error_is_set(&error));
        assert_null(error.message);
        assert_string_equal(other.message, "front: one is 1");
        error_prefix(&error, "nothing to prefix");
        assert_null(error.message);
        assert_int_equal(error_ensure(&error, 5, "fine"), 5);
        assert_false(error_is_set(&error));
        assert_int_equal(error_ensure(&error, -ENOSPC, "no room"), -ENOSPC);
        assert_int_equal(error.code, ERROR_FAILED);
        assert_string_equal(error.message, "no room: No space left on device");
        assert_int_equal(error_ensure(&error, -EIO, "again"), -EIO);
        assert_string_equal(error.message, "no room: No space left on device");
        error_done(&error);
        error_done(&error);
        error_done(&other);
        error_set_at(&error, ERROR_FAILED, "a.b", "three");
        assert_string_equal(error.where, "a.b");
        error_done(&error);
}

static void test_verdicts(void **state) {
        assert_int_equal(verdict_buckets(HOOK_XDP), 6);
        assert_int_equal(verdict_buckets(HOOK_TC_INGRESS), 11);
        assert_int_equal(verdict_buckets(HOOK_TC_EGRESS), 11);
        for (Hook hook = 0; hook < _HOOK_MAX; hook++) {
                unsigned n = verdict_buckets(hook);

                assert_true(n <= VERDICT_BUCKETS);
                for (unsigned i = 0; i + 1 < n; i++)
                        assert_int_equal(verdict_bucket_from_string(hook, verdict_bucket_to_string(hook, i)), i);
                assert_string_equal(verdict_bucket_to_string(hook, n - 1), "other");
                assert_int_equal(verdict_bucket_from_string(hook, "other"), -EINVAL);
                assert_null(verdict_bucket_to_string(hook, n));
                assert_int_equal(verdict_bucket_from_string(hook, ""), -EINVAL);
        }
        /* enum xdp_action and TC_ACT_* of the kernel. */
        assert_string_equal(verdict_bucket_to_string(HOOK_XDP, 2), "pass");
        assert_int_equal(verdict_bucket_to_value(HOOK_XDP, 4), 4);
        assert_string_equal(verdict_bucket_to_string(HOOK_TC_EGRESS, 3), "shot");
        assert_int_equal(verdict_bucket_to_value(HOOK_TC_EGRESS, 3), 2);
        assert_int_equal(verdict_bucket_to_value(HOOK_TC_INGRESS, 0), -1);
        assert_int_equal(verdict_default_proceed_on(HOOK_XDP), 1 << 2);
        assert_int_equal(verdict_default_proceed_on(HOOK_TC_INGRESS), 1 << 0);
}

typedef struct Item {
        char *key;
        int n;
} Item;

static void test_table(void **state) {
        Table table = {};
        Item items[200];
        unsigned at = 7;
        char last[16] = "";
        size_t n = 0;

        assert_null(table_get(&table, "x"));
        assert_null(table_get(&table, NULL));
        assert_null(table_remove(&table, "x"));
        for (int i = 0; i < 200; i++) {
                items[i].n = i;
                assert_true(asprintf(&items[i].key, "k%d", i) >= 0);
        }
        /* In an order that jumps about. */
        for (int i = 0; i < 200; i++) {
                at = (at + 77) % 200;
                assert_int_equal(table_add(&table, &items[at]), 0);
                assert_int_equal(table_add(&table, &items[at]), -EEXIST);
                assert_int_equal(table.n, i + 1);
        }
        for (int i = 0; i < 200; i++)
                assert_ptr_equal(table_get(&table, items[i].key), &items[i]);
        assert_null(table_get(&table, "k"));
        assert_null(table_get(&table, "k200"));
        assert_null(table_get(&table, ""));
        TABLE_FOREACH (Item, item, &table) {
                assert_true(strcmp(last, item->key) < 0);
                snprintf(last, sizeof(last), "%s", item->key);
                n++;
        }
        assert_int_equal(n, 200);
        for (int i = 0; i < 200; i += 2) {
                assert_ptr_equal(table_remove(&table, items[i].key), &items[i]);
                assert_null(table_remove(&table, items[i].key));
        }
        assert_int_equal(table.n, 100);
        for (int i = 0; i < 200; i++)
                assert_ptr_equal(table_get(&table, items[i].key), i % 2 ? &items[i] : NULL);
        for (int i = 0; i < 200; i++)
                free(items[i].key);
        table_done(&table);
        assert_int_equal(table.n, 0);
        table_done(&table);
}

static void check_strv(char *const *l, const char *expected) {
        _cleanup_free_ char *joined = strv_join(l, ",");

        assert_string_equal(joined, expected);
}

static void test_strv(void **state) {
        _cleanup_strv_ char **l = NULL, **copy = NULL, **none = NULL;

        assert_int_equal(strv_length(NULL), 0);
        assert_false(strv_contains(NULL, "x"));
        assert_int_equal(strv_find(NULL, "x"), -ENOENT);
        assert_true(strv_equal(NULL, NULL));
        check_strv(NULL, "");
        strv_remove(NULL, "x");
        strv_free(NULL);
        assert_int_equal(strv_copy(NULL, &none), 0);
        assert_int_equal(strv_length(none), 0);

        assert_int_equal(strv_append(&l, "b"), 0);
        check_strv(l, "b");
        assert_int_equal(strv_append(&l, "d"), 0);
        assert_int_equal(strv_insert(&l, 0, "a"), 0);
        assert_int_equal(strv_insert(&l, 2, "c"), 0);
        assert_int_equal(strv_insert(&l, 99, "e"), 0);
        check_strv(l, "a,b,c,d,e");
        assert_int_equal(strv_length(l), 5);
        assert_int_equal(strv_find(l, "c"), 2);
        assert_true(strv_contains(l, "e"));
        assert_false(strv_contains(l, "f"));
        assert_false(strv_contains(l, ""));

        assert_int_equal(strv_copy(l, &copy), 0);
        assert_true(strv_equal(l, copy));
        assert_ptr_not_equal(l[0], copy[0]);
        strv_remove(copy, "c");
        check_strv(copy, "a,b,d,e");
        assert_false(strv_equal(l, copy));
        assert_int_equal(strv_append(&copy, "a"), 0);
        strv_remove(copy, "a");
        check_strv(copy, "b,d,e");
        strv_remove(copy, "nothing");
        strv_remove(copy, "b");
        strv_remove(copy, "d");
        strv_remove(copy, "e");
        check_strv(copy, "");
        assert_true(strv_equal(copy, NULL));
        assert_false(strv_equal(copy, l));
        assert_int_equal(strv_append(&copy, "z"), 0);
        check_strv(copy, "z");
}

static void test_macros(void **state) {
        char *s = NULL;
        int *numbers = NULL;
        size_t n = 0;

        assert_int_equal(free_and_strdup(&s, "a"), 0);
        assert_int_equal(free_and_strdup(&s, "b"), 0);
        assert_string_equal(s, "b");
        assert_int_equal(free_and_strdup(&s, NULL), 0);
        assert_null(s);
        assert_string_equal(startswith("foobar", "foo"), "bar");
        assert_null(startswith("fo", "foo"));
        assert_string_equal(endswith("x.json", ".json"), ".json");
        assert_null(endswith("json", ".json"));
        assert_true(streq_ptr(NULL, NULL));
        assert_false(streq_ptr("a", NULL));
        assert_true(strempty(NULL) && strempty("") && !strempty("a"));
        for (int i = 0; i < 100; i++) {
                int *number = ARRAY_APPEND(numbers, n);

                assert_non_null(number);
                *number = i;
        }
        assert_int_equal(n, 100);
        for (int i = 0; i < 100; i++)
                assert_int_equal(numbers[i], i);
        free(numbers);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hook),           cmocka_unit_test(test_attach_mode),
                cmocka_unit_test(test_attach_kind),    cmocka_unit_test(test_slot_form),
                cmocka_unit_test(test_tc_attach),      cmocka_unit_test(test_layer),
                cmocka_unit_test(test_document_state), cmocka_unit_test(test_program_state),
                cmocka_unit_test(test_chain_state),    cmocka_unit_test(test_severity),
                cmocka_unit_test(test_error_code),     cmocka_unit_test(test_error_codes),
                cmocka_unit_test(test_errors),         cmocka_unit_test(test_verdicts),
                cmocka_unit_test(test_table),          cmocka_unit_test(test_strv),
                cmocka_unit_test(test_macros),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
