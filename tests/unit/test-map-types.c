/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Definitions of maps in BTF, and the fields of values that the kernel manages. */

#include "check.h"

#include "kernel/map-types.h"

/* As clang would write them down. */
static struct btf *btf;
static int t_u32, t_u64, t_lock, t_timer, t_list, t_plain, t_kernel_pointer, t_pointer;

static int setup(void **state) {
        btf = btf__new_empty();
        if (!btf)
                return -1;
        t_u32 = btf__add_typedef(btf, "__u32", btf__add_int(btf, "unsigned int", 4, 0));
        t_u64 = btf__add_int(btf, "unsigned long long", 8, 0);
        t_lock = btf__add_struct(btf, "bpf_spin_lock", 4);
        btf__add_field(btf, "val", t_u32, 0, 0);
        t_timer = btf__add_struct(btf, "bpf_timer", 16);
        t_list = btf__add_struct(btf, "bpf_list_head", 16);
        t_plain = btf__add_struct(btf, "plain", 8);
        btf__add_field(btf, "number", t_u64, 0, 0);
        t_kernel_pointer = btf__add_ptr(btf, btf__add_type_tag(btf, "kptr_untrusted", t_plain));
        t_pointer = btf__add_ptr(btf, btf__add_type_tag(btf, "user", t_plain));
        return 0;
}

static int teardown(void **state) {
        btf__free(btf);
        btf = NULL;
        return 0;
}

/* __uint() and __type() of bpf_helpers.h. */
static int number(unsigned n) {
        return btf__add_ptr(btf, btf__add_array(btf, t_u32, t_u32, n));
}

static int pointer(int type) {
        return btf__add_ptr(btf, type);
}

static int structure(const char *name, unsigned size) {
        int id = btf__add_struct(btf, name, size);

        assert_true(id > 0);
        return id;
}

static void field(const char *name, int type, unsigned offset) {
        assert_int_equal(btf__add_field(btf, name, type, offset * 8, 0), 0);
}

static void section(const char *name, const char *variable, int type, unsigned size) {
        int var = btf__add_var(btf, variable, BTF_VAR_GLOBAL_ALLOCATED, type);

        assert_true(btf__add_datasec(btf, name, size) > 0);
        assert_int_equal(btf__add_datasec_var_info(btf, var, 0, size), 0);
}

static void test_definition(void **state) {
        int type = number(1), entries = number(100), key_type = pointer(t_u32), value_type = pointer(t_plain),
            flags = number(0x80), s = structure("", 40);
        MapDefinition d;

        field("type", type, 0);
        field("max_entries", entries, 8);
        field("key", key_type, 16);
        field("value", value_type, 24);
        field("map_flags", flags, 32);
        section(".maps", "table", s, 40);

        assert_int_equal(map_definition_find(btf, "table", &d), 0);
        assert_int_equal(d.type, 1);
        assert_int_equal(d.max_entries, 100);
        assert_int_equal(d.key_size, 4);
        assert_int_equal(d.value_size, 8);
        assert_int_equal(d.key_type, t_u32);
        assert_int_equal(d.value_type, t_plain);
        assert_int_equal(d.flags, 0x80);
        assert_int_equal(d.inner, 0);
        assert_int_equal(map_definition_find(btf, "tabl", &d), -ENOENT);
        assert_int_equal(map_definition_find(btf, "", &d), -ENOENT);
}

static void test_maps_of_maps(void **state) {
        int type = number(1), inner_type = number(9), entries = number(4), size = number(24), extra, inner, outer,
            values;
        MapDefinition d;

        extra = btf__add_enum64(btf, "", 8, false);
        btf__add_enum64_value(btf, "extra", UINT64_C(0x100000000));
        inner = structure("inner", 32);
        field("type", inner_type, 0);
        field("max_entries", entries, 8);
        field("value_size", size, 16);
        field("map_extra", extra, 24);
        values = btf__add_array(btf, t_u32, btf__add_ptr(btf, inner), 0);
        outer = structure("", 8);
        field("type", type, 0);
        field("values", values, 8);
        section(".maps", "outer", outer, 8);

        assert_int_equal(map_definition_find(btf, "outer", &d), 0);
        assert_int_equal(d.inner, inner);
        assert_int_equal(map_definition_read(btf, d.inner, &d), 0);
        assert_int_equal(d.type, 9);
        assert_int_equal(d.max_entries, 4);
        assert_int_equal(d.value_size, 24);
        assert_int_equal(d.value_type, 0);
        assert_int_equal(d.inner, 0);
        assert_true(d.map_extra == UINT64_C(0x100000000));
}

static void test_global_data(void **state) {
        MapDefinition d;

        assert_int_equal(map_definition_find(btf, ".bss", &d), -ENOENT);
        section(".bss", "counter", t_u64, 8);
        assert_int_equal(map_definition_find(btf, ".bss", &d), 0);
        assert_int_equal(d.value_size, 8);
        assert_true(d.value_type > 0);
        assert_int_equal(d.key_type, 0);
}

/* Members that are not what they should be. */
static void test_nonsense(void **state) {
        const struct {
                const char *name;
                int type;
        } members[] = {
                { "type", t_u32 },
                { "type", pointer(t_u32) },
                { "max_entries", t_plain },
                { "key", t_plain },
                { "key", pointer(btf__add_fwd(btf, "unseen", BTF_FWD_STRUCT)) },
                { "value", pointer(0) },
                { "values", t_u32 },
                { "map_extra", t_u64 },
        };
        MapDefinition d = { .type = 4711 };

        for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                int s = structure("", 8);

                field(members[i].name, members[i].type, 0);
                if (map_definition_read(btf, (uint32_t) s, &d) != -EINVAL)
                        fail_msg("member %zu, %s, was taken", i, members[i].name);
                assert_int_equal(d.type, 4711);
        }
        assert_int_equal(map_definition_read(btf, (uint32_t) t_u32, &d), -EINVAL);
        assert_int_equal(map_definition_read(btf, 0, &d), -EINVAL);
}

static void test_fields(void **state) {
        int timers = btf__add_array(btf, t_u32, t_timer, 3), nested, value;

        nested = structure("nested", 64);
        field("timers", timers, 0);
        field("list", t_list, 48);
        nested = btf__add_const(btf, nested);
        value = structure("value", 80);
        field("number", t_u64, 0);
        field("lock", t_lock, 8);
        field("nested", nested, 16);

        assert_int_equal(map_value_fields(btf, 0), 0);
        assert_int_equal(map_value_fields(btf, (uint32_t) t_u64), 0);
        assert_int_equal(map_value_fields(btf, (uint32_t) t_plain), 0);
        assert_int_equal(map_value_fields(btf, (uint32_t) t_pointer), 0);
        assert_int_equal(map_value_fields(btf, (uint32_t) t_kernel_pointer), MAP_FIELD_POINTER);
        assert_int_equal(map_value_fields(btf, (uint32_t) t_timer), MAP_FIELD_TIMER);
        assert_int_equal(map_value_fields(btf, (uint32_t) value),
                         MAP_FIELD_SPIN_LOCK | MAP_FIELD_TIMER | MAP_FIELD_LIST);
}

/* Structures without bytes in each other would take 2^40 steps, and a circle never ends. */
static void test_endless(void **state) {
        int inner = structure("s0", 0), circle;
        char name[16];

        for (unsigned i = 1; i <= 40; i++) {
                int outer;

                snprintf(name, sizeof(name), "s%u", i);
                outer = structure(name, 0);
                field("a", inner, 0);
                field("b", inner, 0);
                inner = outer;
        }
        assert_int_equal(map_value_fields(btf, (uint32_t) inner), 0);

        circle = structure("circle", 8);
        field("a", circle, 0);
        field("b", circle, 0);
        assert_int_equal(map_value_fields(btf, (uint32_t) circle), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(test_definition), TEST(test_maps_of_maps), TEST(test_global_data),
                TEST(test_nonsense),   TEST(test_fields),       TEST(test_endless),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
