/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs and their maps in the kernel: choosing and typing them, globals, contents, keeping, pinning, raw access.
 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../bpf/globals.h"
#include "kernel-fixture.h"
#include "kernel/map-info.h"
#include "util/encode.h"

/* Every descriptor that a test opened must be closed at its end, and it must leave no pin. */
static unsigned fds_before;

static int remember_fds(void **state) {
        fds_before = test_count_fds();
        return 0;
}

static unsigned count_pinned_programs(Kernel *kernel) {
        _cleanup_free_ char *path = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *entry;
        unsigned n = 0;

        assert_true(asprintf(&path, "%s/maps", kernel->bpffs_dir) > 0);
        dir = opendir(path);
        while (dir && (entry = readdir(dir)))
                n += entry->d_name[0] != '.';
        return n;
}

static int compare_fds(void **state) {
        unsigned n = test_count_fds(), pinned = count_pinned_programs(*state);

        if (n != fds_before || pinned != 0)
                print_error("%u descriptors are open, %u were before; %u programs are pinned\n", n, fds_before,
                            pinned);
        return n == fds_before && pinned == 0 ? 0 : -1;
}

static void check_error(const Error *error, ErrorCode code, const char *where, const char *const *words) {
        if (error->code != code || !streq_ptr(error->where, where))
                fail_msg("%s at %s: %s", error_code_to_string(error->code), strna(error->where),
                         strna(error->message));
        for (; *words; words++)
                if (!strstr(error->message, *words))
                        fail_msg("\"%s\" lacks \"%s\"", error->message, *words);
        print_message("%s: %s\n", strna(error->where), error->message);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void check_load_error(void **state, const TestProgram *what, ErrorCode code, const char *where,
                             const char *const *words) {
        _cleanup_error_ Error error = ERROR_INIT;
        KernelProgram *program = NULL;
        unsigned fds = test_count_fds();

        assert_int_equal(test_load(*state, what, &program, NULL, &error), error_code_to_errno(code));
        assert_null(program);
        check_error(&error, code, where, words);
        assert_int_equal(test_count_fds(), fds);
}

static int run_once(Kernel *kernel, KernelProgram *program) {
        KernelFused *fused =
                must_build(kernel, program->info.tc ? HOOK_TC_INGRESS : HOOK_XDP, &program, 1, NULL, NULL);
        int verdict = test_run(fused, NULL, 0, 1);

        kernel_fused_free(fused);
        return verdict;
}

static void must_lookup(Kernel *kernel, KernelProgram *program, const char *map, const void *key, size_t key_size,
                        void *value, size_t value_size) {
        Error error = ERROR_INIT;

        if (error_ensure(&error, kernel_map_lookup(kernel, program, map, key, key_size, value, value_size, &error),
                         map) < 0)
                fail_msg("%s", error.message);
}

static void test_info(void **state) {
        _cleanup_(program_info_done) ProgramInfo info = {};
        KernelProgram *program = NULL;
        Error error = ERROR_INIT;
        ssize_t i;

        assert_int_equal(
                test_load(*state, &(TestProgram){ .name = "my.prog_1", .object = "maps" }, &program, &info, &error),
                0);
        assert_false(info.tc);
        assert_false(info.frags);
        assert_string_equal(info.function, "xdp_maps");
        assert_int_equal(strlen(info.tag), 16);
        assert_true(info.insns > 100 && info.verified_insns > 100 && info.states_total > 0);
        assert_true(info.stack_depth >= 16 && info.stack_depth <= 512);
        assert_true(info.load_usec > 0);

        i = kernel_program_find_map(program, "m_percpu_array");
        assert_true(i >= 0);
        assert_string_equal(info.maps[i].type, "percpu_array");
        assert_int_equal(info.maps[i].type_number, BPF_MAP_TYPE_PERCPU_ARRAY);
        assert_int_equal(info.maps[i].key_size, 4);
        assert_int_equal(info.maps[i].value_size, 16);
        assert_int_equal(info.maps[i].max_entries, 4);
        assert_int_equal(info.maps[i].n_values, libbpf_num_possible_cpus());
        assert_null(info.maps[i].pin);
        assert_false(info.maps[i].internal || info.maps[i].frozen || info.maps[i].kept);

        i = kernel_program_find_map(program, ".rodata");
        assert_true(i >= 0);
        assert_true(info.maps[i].internal && info.maps[i].frozen);
        assert_int_equal(kernel_program_find_map(program, "rodata"), -ENOENT);
        kernel_program_unref(program);
}

static void test_types(void **state) {
        KernelProgram *program;

        program = must_load(*state, &(TestProgram){ .name = "p", .object = "oddsection", .type = "tc" });
        assert_true(program->info.tc);
        assert_string_equal(program->info.function, "odd_tc");
        kernel_program_unref(program);

        program = must_load(*state, &(TestProgram){ .name = "p", .object = "unknownsection", .type = "xdp" });
        assert_false(program->info.tc);
        kernel_program_unref(program);

        program = must_load(*state, &(TestProgram){ .name = "p", .object = "verdict", .type = "tc" });
        assert_string_equal(program->info.function, "tc_verdict");
        kernel_program_unref(program);

        program = must_load(*state, &(TestProgram){ .name = "p", .object = "mixed" });
        assert_string_equal(program->info.function, "xdp_mixed");
        kernel_program_unref(program);

        check_load_error(state, &(TestProgram){ .name = "p", .object = "unknownsection" }, ERROR_NO_SUCH_PROGRAM,
                         "programs.p", WORDS("no program for XDP or TC", "unknown_xdp (myprog)"));
        check_load_error(state, &(TestProgram){ .name = "p", .object = "unknownsection", .function = "unknown_xdp" },
                         ERROR_INCOMPATIBLE, "programs.p", WORDS("myprog", "\"type\": \"xdp\""));
        check_load_error(state, &(TestProgram){ .name = "p", .object = "verdict" }, ERROR_INVALID_DOCUMENT,
                         "programs.p", WORDS("2 programs", "xdp_verdict (xdp), tc_verdict (tc)", "\"function\""));
        check_load_error(state, &(TestProgram){ .name = "p", .object = "verdict", .function = "nix" },
                         ERROR_NO_SUCH_PROGRAM, "programs.p.function", WORDS("nix", "xdp_verdict (xdp)"));
        check_load_error(state,
                         &(TestProgram){ .name = "p", .object = "verdict", .function = "xdp_verdict", .type = "tc" },
                         ERROR_INCOMPATIBLE, "programs.p.type", WORDS("xdp_verdict", "for xdp", "\"tc\""));
        check_load_error(state, &(TestProgram){ .name = "p", .object = "mixed", .function = "tp_mixed" },
                         ERROR_INCOMPATIBLE, "programs.p", WORDS("tp_mixed", "tracepoint", "none of the hooks"));
        check_load_error(state, &(TestProgram){ .name = "p", .object = "/etc/passwd" }, ERROR_INVALID_DOCUMENT,
                         "programs.p.object", WORDS("/etc/passwd", "no usable BPF object"));
        check_load_error(state, &(TestProgram){ .name = "p", .object = "/nix" }, ERROR_INVALID_DOCUMENT,
                         "programs.p.object", WORDS("/nix", "No such file"));
        check_load_error(state, &(TestProgram){ .name = "p", .object = "/dev/null" }, ERROR_INVALID_DOCUMENT,
                         "programs.p.object", WORDS("not a regular file"));
        check_load_error(state, &(TestProgram){ .name = "p", .object = "/bin/sh" }, ERROR_INVALID_DOCUMENT,
                         "programs.p.object", WORDS("no usable BPF object"));
}

static void test_globals(void **state) {
        struct globals_seen seen;
        KernelProgram *program;
        uint32_t key = 0;

        program = must_load(
                *state,
                &(TestProgram){
                        .name = "g",
                        .object = "globals",
                        .globals = "{\"g_u8\": 200, \"g_s64\": -5, \"g_bool\": false, \"level\": \"LEVEL_HIGH\", "
                                   "\"text\": \"hello\", \"list\": [9, 8], \"settings\": {\"port\": 80, \"range\": "
                                   "{\"high\": 7}}, "
                                   "\"local\": 12, \"data_u32\": 99, \"bss_list\": [1, -2, 3], \"verdict\": 1}" });
        assert_int_equal(run_once(*state, program), 1);
        must_lookup(*state, program, "seen", &key, sizeof(key), &seen, sizeof(seen));
        assert_int_equal(seen.g_u8, 200);
        assert_int_equal(seen.g_u16, 16);
        assert_true(seen.g_s64 == -5);
        assert_int_equal(seen.g_bool, 0);
        assert_int_equal(seen.level, 100000);
        assert_string_equal(seen.text, "hello");
        assert_int_equal(seen.list[0], 9);
        assert_int_equal(seen.list[2], 0);
        assert_int_equal(seen.port, 80);
        assert_int_equal(seen.range_high, 7);
        assert_int_equal(seen.local, 12);
        assert_int_equal(seen.data_u32, 99);
        assert_int_equal(seen.bss_list[1], -2);
        kernel_program_unref(program);

        check_load_error(state, &(TestProgram){ .name = "g", .object = "globals", .globals = "{\"nix\": 1}" },
                         ERROR_INVALID_DOCUMENT, "programs.g.globals.nix", WORDS("no global variable", "nix"));
        check_load_error(state, &(TestProgram){ .name = "g", .object = "globals", .globals = "{\"seen\": 1}" },
                         ERROR_INVALID_DOCUMENT, "programs.g.globals.seen", WORDS("no global variable"));
        check_load_error(state, &(TestProgram){ .name = "g", .object = "globals", .globals = "{\"g_u8\": 256}" },
                         ERROR_INVALID_DOCUMENT, "programs.g.globals.g_u8", WORDS("256"));
        check_load_error(state,
                         &(TestProgram){ .name = "g", .object = "globals", .globals = "{\"settings\": {\"x\": 1}}" },
                         ERROR_INVALID_DOCUMENT, "programs.g.globals.settings.x~", WORDS("x"));
        check_load_error(state, &(TestProgram){ .name = "g", .object = "globals", .globals = "[1]" },
                         ERROR_INVALID_DOCUMENT, "programs.g.globals", WORDS("object"));
        check_load_error(
                state,
                &(TestProgram){ .name = "g", .object = "nobtf", .function = "xdp_nobtf", .globals = "{\"x\": 1}" },
                ERROR_INCOMPATIBLE, "programs.g.globals.x", WORDS("no BTF"));
}

typedef struct Point {
        int32_t x, y;
        char tag[8];
} Point;

static void test_contents(void **state) {
        _cleanup_free_ Point *points = calloc((size_t) libbpf_num_possible_cpus(), sizeof(Point));
        uint64_t number;
        uint32_t key, value;
        struct {
                uint32_t length;
                uint8_t address[4];
        } prefix = { 24, { 203, 0, 113, 0 } };
        KernelProgram *program;

        program = must_load(
                *state,
                &(TestProgram){
                        .name = "m",
                        .object = "maps",
                        .maps = "{\"m_hash\": [{\"key\": 7, \"value\": 70}, {\"key\": 8, \"value\": 80}], "
                                "\"m_array\": [{\"key\": 5, \"value\": 55}], "
                                "\"m_lpm\": [{\"key\": \"203.0.113.0/24\", \"value\": 1}, "
                                "{\"key\": {\"prefixlen\": 0}, \"value\": 2}], "
                                "\"m_settings\": [{\"key\": 1, \"value\": 2}], "
                                "\"m_percpu_array\": [{\"key\": 2, \"value\": {\"x\": -3, \"tag\": \"here\"}}]}" });
        key = 8;
        must_lookup(*state, program, "m_hash", &key, sizeof(key), &number, sizeof(number));
        assert_int_equal(number, 80);
        key = 5;
        must_lookup(*state, program, "m_array", &key, sizeof(key), &number, sizeof(number));
        assert_int_equal(number, 55);
        must_lookup(*state, program, "m_lpm", &prefix, sizeof(prefix), &value, sizeof(value));
        assert_int_equal(value, 1);
        prefix.address[0] = 1;
        must_lookup(*state, program, "m_lpm", &prefix, sizeof(prefix), &value, sizeof(value));
        assert_int_equal(value, 2);
        key = 2;
        must_lookup(*state, program, "m_percpu_array", &key, sizeof(key), points,
                    sizeof(Point) * (size_t) libbpf_num_possible_cpus());
        for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
                assert_int_equal(points[cpu].x, -3);
                assert_string_equal(points[cpu].tag, "here");
        }
        kernel_program_unref(program);
}

static void test_bad_contents(void **state) {
        static const struct {
                const char *maps;
                ErrorCode code;
                const char *where;
                const char *word;
        } bad[] = {
                { "[]", ERROR_INVALID_DOCUMENT, "programs.m.maps", "object" },
                { "{\"nix\": []}", ERROR_INVALID_DOCUMENT, "programs.m.maps.nix", "no map" },
                { "{\".rodata\": []}", ERROR_INVALID_DOCUMENT, "programs.m.maps[\".rodata\"]", "globals" },
                { "{\"m_hash\": {}}", ERROR_INVALID_DOCUMENT, "programs.m.maps.m_hash", "array" },
                { "{\"m_hash\": [1]}", ERROR_INVALID_DOCUMENT, "programs.m.maps.m_hash[0]", "object" },
                { "{\"m_hash\": [{\"key\": 1}]}", ERROR_INVALID_DOCUMENT, "programs.m.maps.m_hash[0]", "\"value\"" },
                { "{\"m_hash\": [{\"key\": 1, \"value\": 1, \"x\": 1}]}", ERROR_INVALID_DOCUMENT,
                  "programs.m.maps.m_hash[0].x~", "\"x\"" },
                { "{\"m_hash\": [{\"key\": -1, \"value\": 1}]}", ERROR_INVALID_DOCUMENT,
                  "programs.m.maps.m_hash[0].key", "-1" },
                { "{\"m_hash\": [{\"key\": 1, \"value\": 1}, {\"key\": 2, \"value\": \"x\"}]}",
                  ERROR_INVALID_DOCUMENT, "programs.m.maps.m_hash[1].value", "x" },
                { "{\"m_hash\": [{\"key\": 1, \"value\": 1}, {\"key\": 2, \"value\": 1}, {\"key\": 1, \"value\": "
                  "3}]}",
                  ERROR_INVALID_DOCUMENT, "programs.m.maps.m_hash[2].key", "entry 0" },
                { "{\"m_lpm\": [{\"key\": {\"prefixlen\": 133, \"addr\": \"203.0.113.0\"}, \"value\": 1}]}",
                  ERROR_INVALID_DOCUMENT, "programs.m.maps.m_lpm[0].key.prefixlen", "133" },
                { "{\"m_array\": [{\"key\": 8, \"value\": 1}]}", ERROR_LIMIT_EXCEEDED, "programs.m.maps.m_array[0]",
                  "8 entries" },
                { "{\"m_lists\": [{\"key\": 0, \"value\": []}, {\"key\": 1, \"value\": []}, {\"key\": 2, \"value\": "
                  "[]}]}",
                  ERROR_LIMIT_EXCEEDED, "programs.m.maps.m_lists", "3 entries" },
                { "{\"m_queue\": [{\"key\": 0, \"value\": 1}]}", ERROR_NOT_SUPPORTED, "programs.m.maps.m_queue",
                  "queue" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                check_load_error(state, &(TestProgram){ .name = "m", .object = "maps", .maps = bad[i].maps },
                                 bad[i].code, bad[i].where, WORDS(bad[i].word));
        check_load_error(state,
                         &(TestProgram){ .name = "t",
                                         .object = "tailcall",
                                         .function = "xdp_tailcall",
                                         .maps = "{\"jumps\": [{\"key\": 0, \"value\": 3}]}" },
                         ERROR_NOT_SUPPORTED, "programs.t.maps.jumps", WORDS("prog_array"));
        check_load_error(state,
                         &(TestProgram){ .name = "r",
                                         .object = "redirect",
                                         .function = "xdp_redirect_map",
                                         .maps = "{\"devices\": [{\"key\": 0, \"value\": 99999}]}" },
                         ERROR_INVALID_DOCUMENT, "programs.r.maps.devices[0]", WORDS("devmap"));
}

static uint32_t map_id(const KernelProgram *program, const char *map) {
        ssize_t i = kernel_program_find_map(program, map);

        assert_true(i >= 0);
        return program->info.maps[i].id;
}

/* The id of what is pinned for a map of a program, 0 for nothing. */
static uint32_t pinned_id(Kernel *kernel, const char *program, const char *map) {
        _cleanup_free_ char *encoded_program = NULL, *encoded_map = NULL, *path = NULL;
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);
        int fd;

        assert_int_equal(name_encode(program, &encoded_program), 0);
        assert_int_equal(name_encode(map, &encoded_map), 0);
        assert_true(asprintf(&path, "%s/maps/%s/%s", kernel->bpffs_dir, encoded_program, encoded_map) > 0);
        fd = bpf_obj_get(path);
        if (fd < 0)
                return 0;
        assert_int_equal(bpf_map_get_info_by_fd(fd, &info, &size), 0);
        close(fd);
        return info.id;
}

static void must_commit(Kernel *kernel, KernelProgram *program) {
        _cleanup_(program_info_done) ProgramInfo info = {};
        _cleanup_error_ Error error = ERROR_INIT;

        if (error_ensure(&error, kernel_program_commit(kernel, program, &info, &error), "commit") < 0)
                fail_msg("%s", error.message);
        for (size_t i = 0; i < info.n_maps; i++) {
                assert_non_null(info.maps[i].pin);
                assert_int_equal(pinned_id(kernel, program->name, info.maps[i].name), info.maps[i].id);
        }
}

static void test_upgrade(void **state) {
        KernelProgram *v1, *v1_again, *v2, *v3;
        uint64_t count;
        uint32_t key = 0;

        v1 = must_load(*state, &(TestProgram){ .name = "up.grade", .object = "upgrade-v1" });
        assert_int_equal(run_once(*state, v1), 2);
        must_commit(*state, v1);

        /* the same object: everything but constants */
        v1_again = must_load(
                *state,
                &(TestProgram){ .name = "up.grade", .object = "upgrade-v1", .previous = v1, .same_object = true });
        assert_int_equal(map_id(v1, "state"), map_id(v1_again, "state"));
        assert_int_equal(map_id(v1, "counter"), map_id(v1_again, "counter"));
        assert_int_equal(map_id(v1, ".bss"), map_id(v1_again, ".bss"));
        assert_int_not_equal(map_id(v1, ".rodata"), map_id(v1_again, ".rodata"));
        assert_int_equal(pinned_id(*state, "up.grade", ".rodata"), map_id(v1, ".rodata"));
        must_commit(*state, v1_again);
        kernel_program_unref(v1);
        run_once(*state, v1_again);
        must_lookup(*state, v1_again, "counter", &key, sizeof(key), &count, sizeof(count));
        assert_int_equal(count, 2);

        /* another object: what agrees */
        v2 = must_load(*state, &(TestProgram){ .name = "up.grade", .object = "upgrade-v2", .previous = v1_again });
        assert_int_equal(map_id(v2, "state"), map_id(v1_again, "state"));
        assert_int_equal(map_id(v2, "counter"), map_id(v1_again, "counter"));
        assert_int_equal(map_id(v2, "hits"), map_id(v1_again, "hits"));
        assert_int_not_equal(map_id(v2, ".bss"), map_id(v1_again, ".bss"));
        assert_true(v2->info.maps[kernel_program_find_map(v2, "counter")].kept);
        assert_false(v2->info.maps[kernel_program_find_map(v2, "extra")].kept);
        must_commit(*state, v2);
        kernel_program_unref(v1_again);
        run_once(*state, v2);
        must_lookup(*state, v2, "counter", &key, sizeof(key), &count, sizeof(count));
        assert_int_equal(count, 102);

        /* a map that does not agree, and a rollback */
        v3 = must_load(*state, &(TestProgram){ .name = "up.grade", .object = "upgrade-v3", .previous = v2 });
        assert_int_equal(map_id(v3, "state"), map_id(v2, "state"));
        assert_int_not_equal(map_id(v3, "counter"), map_id(v2, "counter"));
        must_commit(*state, v3);
        assert_int_equal(pinned_id(*state, "up.grade", "extra"), 0);
        kernel_program_rollback(*state, v3);
        assert_int_equal(pinned_id(*state, "up.grade", "counter"), map_id(v2, "counter"));
        assert_int_equal(pinned_id(*state, "up.grade", "extra"), map_id(v2, "extra"));
        kernel_program_unref(v3);
        must_lookup(*state, v2, "counter", &key, sizeof(key), &count, sizeof(count));
        assert_int_equal(count, 102);

        kernel_program_unref(v2);
        kernel_program_remove(*state, "up.grade");
}

/* What a committed instance came in place of goes with the last who wants it, so that its maps do not linger. */
static void test_release(void **state) {
        KernelProgram *old = must_load(*state, &(TestProgram){ .name = "p", .object = "upgrade-v2" }), *new;
        unsigned fds;
        int fd;

        must_commit(*state, old);
        new = must_load(*state, &(TestProgram){ .name = "p", .object = "upgrade-v3", .previous = old });
        must_commit(*state, new);
        fd = old->map_fds[0];
        fds = test_count_fds();
        assert_ptr_equal(new->previous, old);
        kernel_program_unref(old);
        assert_null(new->previous);
        assert_true(test_count_fds() < fds);
        assert_int_equal(fcntl(fd, F_GETFD), -1);

        /* one that was never committed goes too */
        old = must_load(*state, &(TestProgram){ .name = "p", .object = "upgrade-v2", .previous = new });
        kernel_program_unref(old);
        assert_int_equal(pinned_id(*state, "p", "counter"), map_id(new, "counter"));
        kernel_program_unref(new);
        kernel_program_remove(*state, "p");
        assert_int_equal(pinned_id(*state, "p", "counter"), 0);
}

static void test_first_rollback(void **state) {
        KernelProgram *program = must_load(*state, &(TestProgram){ .name = "p", .object = "upgrade-v1" });

        must_commit(*state, program);
        kernel_program_rollback(*state, program);
        assert_int_equal(pinned_id(*state, "p", "counter"), 0);
        assert_null(program->info.maps[0].pin);
        must_commit(*state, program);
        kernel_program_rollback(*state, program);
        kernel_program_unref(program);
}

static uint64_t hash_entry(Kernel *kernel, KernelProgram *program, uint32_t key) {
        uint64_t value = 0;
        Error error = ERROR_INIT;

        if (kernel_map_lookup(kernel, program, "m_hash", &key, sizeof(key), &value, sizeof(value), &error) < 0) {
                assert_int_equal(error.code, ERROR_NO_SUCH_ENTRY);
                value = UINT64_MAX;
        }
        error_done(&error);
        return value;
}

/* Contents of kept maps are written by the commit, not before, and taken back by a rollback. */
static void test_kept_contents(void **state) {
        KernelProgram *old, *new;
        uint32_t key = 9, prefix_value;
        uint64_t number = 1234;
        struct {
                uint32_t length;
                uint8_t address[4];
        } prefix = { 32, { 10, 1, 1, 1 } };
        Error error = ERROR_INIT;

        old = must_load(*state, &(TestProgram){ .name = "m",
                                                .object = "maps",
                                                .maps = "{\"m_hash\": [{\"key\": 7, \"value\": 70}], "
                                                        "\"m_lpm\": [{\"key\": \"10.0.0.0/8\", \"value\": 8}]}" });
        must_commit(*state, old);
        assert_int_equal(kernel_map_update(*state, old, "m_hash", &key, 4, &number, 8, BPF_ANY, &error), 0);

        new = must_load(
                *state,
                &(TestProgram){ .name = "m",
                                .object = "maps",
                                .previous = old,
                                .same_object = true,
                                .maps = "{\"m_hash\": [{\"key\": 7, \"value\": 71}, {\"key\": 8, \"value\": 81}], "
                                        "\"m_lpm\": [{\"key\": \"10.1.0.0/16\", \"value\": 16}]}" });
        assert_int_equal(hash_entry(*state, old, 7), 70);
        assert_int_equal(hash_entry(*state, old, 8), UINT64_MAX);
        must_commit(*state, new);
        assert_int_equal(hash_entry(*state, new, 7), 71);
        assert_int_equal(hash_entry(*state, new, 8), 81);
        assert_int_equal(hash_entry(*state, new, 9), 1234);
        must_lookup(*state, new, "m_lpm", &prefix, sizeof(prefix), &prefix_value, 4);
        assert_int_equal(prefix_value, 16);

        kernel_program_rollback(*state, new);
        assert_int_equal(hash_entry(*state, old, 7), 70);
        assert_int_equal(hash_entry(*state, old, 8), UINT64_MAX);
        assert_int_equal(hash_entry(*state, old, 9), 1234);
        must_lookup(*state, old, "m_lpm", &prefix, sizeof(prefix), &prefix_value, 4);
        assert_int_equal(prefix_value, 8);
        kernel_program_unref(new);

        /* the same contents as before: what became of them since stays */
        number = 700;
        key = 7;
        assert_int_equal(kernel_map_update(*state, old, "m_hash", &key, 4, &number, 8, BPF_EXIST, &error), 0);
        new = must_load(*state, &(TestProgram){ .name = "m",
                                                .object = "maps",
                                                .previous = old,
                                                .same_object = true,
                                                .same_contents = true,
                                                .maps = "{\"m_hash\": [{\"key\": 7, \"value\": 70}]}" });
        must_commit(*state, new);
        assert_int_equal(hash_entry(*state, new, 7), 700);

        kernel_program_unref(new);
        kernel_program_unref(old);
        kernel_program_remove(*state, "m");
}

/* Variables in sections that are kept: what the document changes is written, the rest goes on. */
static void test_kept_globals(void **state) {
        struct globals_seen seen;
        KernelProgram *old, *new;
        uint32_t key = 0;

        old = must_load(*state, &(TestProgram){ .name = "g", .object = "globals", .globals = "{\"data_u32\": 100}" });
        must_commit(*state, old);
        run_once(*state, old);
        run_once(*state, old);

        new = must_load(*state,
                        &(TestProgram){ .name = "g",
                                        .object = "globals",
                                        .previous = old,
                                        .same_object = true,
                                        .globals = "{\"data_u32\": 100, \"g_u8\": 5, \"bss_list\": [4, 5, 6]}" });
        run_once(*state, new);
        must_lookup(*state, new, "seen", &key, sizeof(key), &seen, sizeof(seen));
        assert_int_equal(seen.data_u32, 102);
        assert_int_equal(seen.bss_count, 2);
        assert_int_equal(seen.g_u8, 5);
        assert_int_equal(seen.bss_list[0], 0);
        must_commit(*state, new);
        run_once(*state, new);
        must_lookup(*state, new, "seen", &key, sizeof(key), &seen, sizeof(seen));
        assert_int_equal(seen.data_u32, 103);
        assert_int_equal(seen.bss_list[2], 6);
        kernel_program_rollback(*state, new);
        run_once(*state, new);
        must_lookup(*state, new, "seen", &key, sizeof(key), &seen, sizeof(seen));
        assert_int_equal(seen.data_u32, 104);
        assert_int_equal(seen.bss_list[2], 0);

        kernel_program_unref(new);
        kernel_program_unref(old);
        kernel_program_remove(*state, "g");
}

static void test_adopt(void **state) {
        _cleanup_(program_info_done) ProgramInfo info = {};
        KernelProgram *program = must_load(*state, &(TestProgram){ .name = "a b/c.d", .object = "upgrade-v1" }),
                      *adopted, *again;
        _cleanup_error_ Error error = ERROR_INIT;
        KernelFused *fused = NULL;
        uint32_t counter, key = 0;
        uint64_t count;

        assert_int_equal(kernel_program_adopt(*state, "a b/c.d", &adopted, &info), -ENOENT);
        must_commit(*state, program);
        run_once(*state, program);
        counter = map_id(program, "counter");
        kernel_program_unref(program);

        assert_int_equal(kernel_program_adopt(*state, "a b/c.d", &adopted, &info), 0);
        assert_int_equal(map_id(adopted, "counter"), counter);
        assert_true(adopted->info.maps[kernel_program_find_map(adopted, ".rodata")].frozen);
        must_lookup(*state, adopted, "counter", &key, sizeof(key), &count, sizeof(count));
        assert_int_equal(count, 1);
        assert_true(test_build(*state, HOOK_XDP, &adopted, 1, NULL, &fused, NULL, &error) < 0);

        again = must_load(*state, &(TestProgram){ .name = "a b/c.d",
                                                  .object = "upgrade-v1",
                                                  .previous = adopted,
                                                  .same_object = true });
        assert_int_equal(map_id(again, "counter"), counter);
        assert_int_equal(map_id(again, ".bss"), map_id(adopted, ".bss"));
        must_commit(*state, again);
        kernel_program_unref(adopted);
        assert_null(again->previous);
        run_once(*state, again);
        must_lookup(*state, again, "counter", &key, sizeof(key), &count, sizeof(count));
        assert_int_equal(count, 2);
        kernel_program_unref(again);
        kernel_program_remove(*state, "a b/c.d");
        kernel_program_remove(*state, "a b/c.d");
}

static void test_huge_map(void **state) {
        check_load_error(state, &(TestProgram){ .name = "p", .object = "hugemap" }, ERROR_LIMIT_EXCEEDED,
                         "programs.p", WORDS("8396800 MiB", "huge_map", "half of this machine's memory"));
}

/* What an object asks to be pinned is pinned by us alone, in our place. */
static void test_no_pins_of_its_own(void **state) {
        KernelProgram *program = must_load(*state, &(TestProgram){ .name = "p", .object = "pinned" });
        uint32_t key = 0, value = 0;

        assert_int_equal(access("/sys/fs/bpf/bct_pinned_by_name", F_OK), -1);
        assert_int_equal(run_once(*state, program), 2);
        must_lookup(*state, program, "bct_pinned_by_name", &key, sizeof(key), &value, sizeof(value));
        assert_true(value >= 4 << 16); /* LINUX_KERNEL_VERSION */
        must_commit(*state, program);
        assert_int_equal(access("/sys/fs/bpf/bct_pinned_by_name", F_OK), -1);
        kernel_program_unref(program);
        kernel_program_remove(*state, "p");
}

static void test_map_in_map(void **state) {
        KernelProgram *first = must_load(*state, &(TestProgram){ .name = "p", .object = "mapinmap" }), *second;
        uint32_t key = 0;
        uint64_t count;

        assert_int_equal(run_once(*state, first), 2);
        must_commit(*state, first);
        second = must_load(*state, &(TestProgram){ .name = "p", .object = "mapinmap", .previous = first });
        assert_int_equal(map_id(first, "inner"), map_id(second, "inner"));
        assert_int_not_equal(map_id(first, "outer"), map_id(second, "outer"));
        kernel_program_unref(second);
        second = must_load(
                *state, &(TestProgram){ .name = "p", .object = "mapinmap", .previous = first, .same_object = true });
        assert_int_equal(map_id(first, "outer"), map_id(second, "outer"));
        must_commit(*state, second);
        kernel_program_unref(first);
        assert_int_equal(run_once(*state, second), 2);
        must_lookup(*state, second, "inner", &key, sizeof(key), &count, sizeof(count));
        assert_int_equal(count, 2);
        kernel_program_unref(second);
        kernel_program_remove(*state, "p");
}

static void test_names(void **state) {
        char name[200];
        KernelProgram *program;
        _cleanup_(program_info_done) ProgramInfo info = {};
        _cleanup_error_ Error error = ERROR_INIT;

        memset(name, '.', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        program = must_load(*state, &(TestProgram){ .name = name, .object = "upgrade-v1" });
        assert_int_equal(kernel_program_commit(*state, program, &info, &error), -E2BIG);
        assert_int_equal(error.code, ERROR_LIMIT_EXCEEDED);
        kernel_program_unref(program);
}

static void test_raw_access(void **state) {
        KernelProgram *maps = must_load(*state, &(TestProgram){ .name = "m", .object = "maps" });
        KernelProgram *tail = must_load(*state, &(TestProgram){ .name = "t", .object = "tailcall", .type = "tc" });
        KernelProgram *redirect =
                must_load(*state, &(TestProgram){ .name = "r", .object = "redirect", .type = "tc" });
        uint32_t key = 1, next;
        uint64_t value = 5;
        uint64_t wide[1024];
        Error error = ERROR_INIT;
        unsigned n = 0;

#define UPDATE(program, map, v, size, flags)                                                                         \
        kernel_map_update(*state, program, map, &key, sizeof(key), v, size, flags, &error)
#define EXPECT(call, error_code, ...)                                                                                \
        do {                                                                                                         \
                assert_int_equal(call, error_code_to_errno(error_code));                                             \
                check_error(&error, error_code, NULL, WORDS(__VA_ARGS__));                                           \
                error_done(&error);                                                                                  \
        } while (0)

        assert_int_equal(UPDATE(maps, "m_hash", &value, 8, BPF_NOEXIST), 0);
        EXPECT(UPDATE(maps, "m_hash", &value, 8, BPF_NOEXIST), ERROR_ENTRY_EXISTS, "m_hash");
        EXPECT(UPDATE(maps, "m_hash", &value, 4, BPF_ANY), ERROR_INVALID_ARGUMENT, "8 bytes");
        EXPECT(UPDATE(maps, "m_hash", &value, 8, 77), ERROR_INVALID_ARGUMENT, "flag");
        EXPECT(UPDATE(maps, "nix", &value, 8, BPF_ANY), ERROR_NO_SUCH_MAP, "nix");
        EXPECT(UPDATE(maps, ".rodata", &value, 4, BPF_ANY), ERROR_NOT_SUPPORTED, "constants");
        EXPECT(UPDATE(tail, "tc_jumps", &value, 4, BPF_ANY), ERROR_NOT_SUPPORTED, "tc_jumps");
        key = 3;
        value = 0x500000001; /* a program's descriptor behind the ifindex */
        EXPECT(UPDATE(redirect, "devices", &value, 8, BPF_ANY), ERROR_INVALID_ARGUMENT, "4 bytes");
        value = 1;
        assert_int_equal(UPDATE(redirect, "devices", &value, 4, BPF_ANY), 0);

        EXPECT(kernel_map_lookup(*state, maps, "m_percpu_hash", &key, 4, wide,
                                 8 * (size_t) libbpf_num_possible_cpus(), &error),
               ERROR_NO_SUCH_ENTRY, "m_percpu_hash");
        EXPECT(kernel_map_lookup(*state, maps, "m_hash", &key, 3, &value, 8, &error), ERROR_INVALID_ARGUMENT,
               "4 bytes");
        EXPECT(kernel_map_delete(*state, maps, "m_array", &key, 4, &error), ERROR_NOT_SUPPORTED, "array");
        EXPECT(kernel_map_delete(*state, maps, "m_hash", &key, 4, &error), ERROR_NO_SUCH_ENTRY, "m_hash");
        key = 100;
        EXPECT(UPDATE(maps, "m_array", &value, 8, BPF_ANY), ERROR_LIMIT_EXCEEDED, "8 entries");

        assert_int_equal(kernel_map_next_key(*state, maps, "m_hash", NULL, &next, 4, &error), 0);
        assert_int_equal(next, 1);
        assert_int_equal(kernel_map_next_key(*state, maps, "m_hash", &next, &next, 4, &error), -ENOENT);
        assert_false(error_is_set(&error));
        for (int r = kernel_map_next_key(*state, maps, "m_array", NULL, &next, 4, &error); r >= 0; n++)
                r = kernel_map_next_key(*state, maps, "m_array", &next, &next, 4, &error);
        assert_int_equal(n, 8);
        EXPECT(kernel_map_next_key(*state, maps, "m_queue", NULL, &next, 0, &error), ERROR_NOT_SUPPORTED, "queue");
        key = 1;
        assert_int_equal(kernel_map_delete(*state, maps, "m_hash", &key, 4, &error), 0);

        kernel_program_unref(maps);
        kernel_program_unref(tail);
        kernel_program_unref(redirect);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, remember_fds, compare_fds)
                TEST(test_info),          TEST(test_types),        TEST(test_globals), TEST(test_contents),
                TEST(test_bad_contents),  TEST(test_upgrade),      TEST(test_release), TEST(test_first_rollback),
                TEST(test_kept_contents), TEST(test_kept_globals), TEST(test_adopt),   TEST(test_no_pins_of_its_own),
                TEST(test_map_in_map),    TEST(test_huge_map),     TEST(test_names),   TEST(test_raw_access),
        };

        if (geteuid() != 0) {
                printf("SKIP: loading BPF programs needs root\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, kernel_fixture_setup, kernel_fixture_teardown);
}
