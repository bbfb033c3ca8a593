/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the maps of the guard's programs are brought from what they hold to what they should, in real ones.
 */
#include <setjmp.h>
#include <stdarg.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "kernel/guard-fill.h"

#define ROOM 100

typedef struct Pair {
        uint32_t a, b;
} Pair;

static int make_map(size_t value_size) {
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);

        return bpf_map_create(BPF_MAP_TYPE_HASH, "bct_fill", sizeof(Pair), (uint32_t) value_size, ROOM, &opts);
}

static int setup(void **state) {
        int fd = make_map(sizeof(uint32_t));

        if (fd < 0) {
                print_message("SKIP: maps can't be made here: %s\n", strerror(-fd));
                exit(77);
        }
        *state = (void *) (intptr_t) fd;
        return 0;
}

static int teardown(void **state) {
        safe_close((int) (intptr_t) *state);
        return 0;
}

static size_t count(int map) {
        Pair key;
        size_t n = 0;

        for (bool first = true; bpf_map_get_next_key(map, first ? NULL : &key, &key) >= 0; first = false)
                n++;
        return n;
}

static uint32_t value_of(int map, uint32_t a, uint32_t b) {
        Pair key = { a, b };
        uint32_t value = 0;

        assert_int_equal(bpf_map_lookup_elem(map, &key, &value), 0);
        return value;
}

static int fill(int map, const Pair *keys, const uint32_t *values, size_t n) {
        return guard_fill_map(map, sizeof(*keys), sizeof(*values), keys, values, n);
}

static void test_changes(void **state) {
        static const Pair first[] = { { 1, 1 }, { 2, 2 }, { 3, 3 } }, second[] = { { 2, 2 }, { 4, 4 } };
        int map = (int) (intptr_t) *state;

        assert_int_equal(fill(map, NULL, NULL, 0), 0);
        assert_int_equal(fill(map, first, (uint32_t[]){ 10, 20, 30 }, 3), 1);
        assert_int_equal(count(map), 3);
        assert_int_equal(value_of(map, 3, 3), 30);
        /* The same once more changes nothing, and says so. */
        assert_int_equal(fill(map, first, (uint32_t[]){ 10, 20, 30 }, 3), 0);
        assert_int_equal(fill(map, second, (uint32_t[]){ 21, 40 }, 2), 1);
        assert_int_equal(count(map), 2);
        assert_int_equal(value_of(map, 2, 2), 21);
        assert_int_equal(value_of(map, 4, 4), 40);
        assert_int_equal(fill(map, NULL, NULL, 0), 1);
        assert_int_equal(count(map), 0);
}

static void test_masks_are_put_together(void **state) {
        static const Pair keys[] = { { 7, 0 }, { 5, 0 }, { 7, 0 }, { 5, 0 }, { 7, 0 } };
        int map = (int) (intptr_t) *state;

        assert_int_equal(fill(map, keys, (uint32_t[]){ 1, 2, 4, 8, 16 }, 5), 1);
        assert_int_equal(count(map), 2);
        assert_int_equal(value_of(map, 7, 0), 1 | 4 | 16);
        assert_int_equal(value_of(map, 5, 0), 2 | 8);
}

/* What does not fit is said, and the rest is there; what goes makes room. */
static void test_room(void **state) {
        int map = (int) (intptr_t) *state;
        uint32_t values[2 * ROOM];
        Pair keys[2 * ROOM];

        for (uint32_t i = 0; i < 2 * ROOM; i++) {
                keys[i] = (Pair){ i, ~i };
                values[i] = i;
        }
        assert_int_equal(fill(map, keys, values, 2 * ROOM), -E2BIG);
        assert_int_equal(count(map), ROOM);
        /* Those that fit were the first by their bytes. */
        assert_int_equal(fill(map, keys, values, ROOM), 0);
        for (uint32_t i = 0; i < ROOM; i++)
                assert_int_equal(value_of(map, i, ~i), i);
        /* All others: there is room only once these are gone. */
        assert_int_equal(fill(map, keys + ROOM, values + ROOM, ROOM), 1);
        assert_int_equal(count(map), ROOM);
        for (uint32_t i = ROOM; i < 2 * ROOM; i++)
                assert_int_equal(value_of(map, i, ~i), i);
}

static void test_bad_maps(void **state) {
        static const Pair key = { 1, 1 };
        uint32_t value = 1;

        assert_true(fill(-EBADF, &key, &value, 1) < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_masks_are_put_together, setup, teardown),
                cmocka_unit_test_setup_teardown(test_room, setup, teardown),
                cmocka_unit_test(test_bad_maps),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
