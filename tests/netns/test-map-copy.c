/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies of maps for simulations: that all that is in them is there, what is told where it can't be, that the
 * originals stay as they are, and what a copy may take. */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <limits.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "kernel/map-copy.h"
#include "kernel/map-info.h"
#include "kernel/map-types.h"
#include "simulation-fixture.h"

/* What sim-values.bpf.c finds, in the order of the packet. */
typedef struct Kind {
        const char *map;
        uint32_t key;
        bool lock;      /* in front of the number */
        unsigned other; /* further entries */
} Kind;

static const Kind kinds[] = {
        { "array", 3, false, 0 },          { "percpu_array", 3, false, 0 }, { "hash", 7, false, 999 },
        { "percpu_hash", 7, false, 99 },   { "lru", 7, false, 999 },        { "percpu_lru", 7, false, 99 },
        { "separate_lru", 7, false, 900 }, { "trie", 7, false, 50 },        { "locked_hash", 7, true, 50 },
        { "locked_array", 3, true, 0 },
};

enum {
        INNER_ARRAY = ELEMENTSOF(kinds),
        INNER_HASH,
        IN_DATA,
        IN_BSS,
        IN_RODATA,
        N_VALUES,
};

#define PACKET_SIZE (14 + 8 * N_VALUES)

typedef struct Locked {
        uint32_t lock;
        uint32_t reserved;
        uint64_t number;
} Locked;

typedef struct Prefix {
        uint32_t length;
        uint8_t address[4];
} Prefix;

static void put(int fd, const MapInfo *info, const Kind *kind, uint32_t key, uint64_t number) {
        const Prefix prefix = { 32, { 10, (uint8_t) (key >> 8), 2, (uint8_t) key } }, seven = { 32, { 10, 1, 2, 3 } };
        size_t size = map_info_value_bytes(info), stride = size / info->n_values;
        _cleanup_free_ uint8_t *value = calloc(1, size);
        const void *k = &key;

        assert_non_null(value);
        for (size_t i = 0; i < info->n_values; i++)
                memcpy(value + i * stride + (kind->lock ? offsetof(Locked, number) : 0), &number, sizeof(number));
        if (info->type_number == BPF_MAP_TYPE_LPM_TRIE)
                k = key == kind->key ? &seven : &prefix;
        if (bpf_map_update_elem(fd, k, value, BPF_ANY) < 0)
                fail_msg("%s[%u]: %s", kind->map, key, strerror(errno));
}

/* Goes to the n-th CPU, or back to all. */
static void spread(unsigned n) {
        static cpu_set_t all;
        int cpus = libbpf_num_possible_cpus();
        cpu_set_t one;

        if (n == 0)
                (void) sched_getaffinity(0, sizeof(all), &all);
        if (n == UINT_MAX) {
                if (CPU_COUNT(&all) > 0)
                        (void) sched_setaffinity(0, sizeof(all), &all);
                return;
        }
        CPU_ZERO(&one);
        CPU_SET(n % (unsigned) cpus, &one);
        (void) sched_setaffinity(0, sizeof(one), &one);
}

/* 100 in the first kind, 101 in the second, … */
static void fill_kinds(KernelProgram *program) {
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                const Kind *kind = &kinds[i];
                const MapInfo *info = &program->info.maps[kernel_program_find_map(program, kind->map)];
                int fd = test_map(program, kind->map);

                for (unsigned j = 0; j < kind->other; j++) {
                        spread(j); /* the LRU hash that has a list for each CPU, so that it can be full */
                        put(fd, info, kind, 1000 + j, 5);
                }
                spread(UINT_MAX);
                put(fd, info, kind, kind->key, 100 + i);
        }
}

/* A map like those that `outer` is to hold; its types are needed where there is a lock. */
static int make_inner(const KernelProgram *program, const char *outer, uint64_t number) {
        MapDefinition definition, inner;
        LIBBPF_OPTS(bpf_map_create_opts, opts);
        _cleanup_close_ int btf = -EBADF;
        const void *data;
        uint32_t size;
        int fd;

        assert_int_equal(map_definition_find(program->member->btf, outer, &definition), 0);
        assert_int_not_equal(definition.inner, 0);
        assert_int_equal(map_definition_read(program->member->btf, definition.inner, &inner), 0);
        data = btf__raw_data(program->member->btf, &size);
        btf = bpf_btf_load(data, size, NULL);
        assert_true(btf >= 0);
        opts.btf_fd = (uint32_t) btf;
        opts.btf_key_type_id = inner.key_type;
        opts.btf_value_type_id = inner.value_type;
        fd = bpf_map_create((enum bpf_map_type) inner.type, "bct_inner", inner.key_size, inner.value_size,
                            inner.max_entries, &opts);
        assert_true(fd >= 0);
        if (inner.value_size == sizeof(Locked))
                assert_int_equal(bpf_map_update_elem(fd, &(uint32_t){ 7 }, &(Locked){ .number = number }, 0), 0);
        else
                assert_int_equal(bpf_map_update_elem(fd, &(uint32_t){ 3 }, &number, 0), 0);
        return fd;
}

static void hold(const KernelProgram *program, const char *outer, uint32_t key, int fd) {
        assert_int_equal(bpf_map_update_elem(test_map(program, outer), &key, &fd, BPF_ANY), 0);
}

static KernelProgram *load_values(void **state, bool tc) {
        return must_load(*state,
                         &(TestProgram){ .name = "values",
                                         .object = "sim-values",
                                         .function = tc ? "tc_sim_values" : "xdp_sim_values",
                                         .globals = "{\"in_data\": 112, \"in_bss\": 113, \"in_rodata\": 114}" });
}

static void check_values(const SimulationResult *result, uint64_t first, unsigned times, bool inner) {
        for (unsigned i = 0; i < N_VALUES; i++) {
                uint64_t expected = first + i + (i < IN_RODATA ? times : 0);

                if ((i == INNER_ARRAY || i == INNER_HASH) && !inner)
                        expected = 0;
                if (test_number(result, i) != expected)
                        fail_msg("value %u is %" PRIu64 ", not %" PRIu64, i, test_number(result, i), expected);
        }
}

typedef struct Snapshot {
        uint8_t *bytes[32];
        size_t sizes[32];
} Snapshot;

static Snapshot take_snapshot(const KernelProgram *program) {
        Snapshot snapshot = {};

        assert_true(program->info.n_maps <= ELEMENTSOF(snapshot.bytes));
        for (size_t i = 0; i < program->info.n_maps; i++)
                snapshot.bytes[i] = test_dump(program, program->info.maps[i].name, &snapshot.sizes[i]);
        return snapshot;
}

static void compare_snapshot(const KernelProgram *program, Snapshot *before) {
        Snapshot now = take_snapshot(program);

        for (size_t i = 0; i < program->info.n_maps; i++) {
                if (now.sizes[i] != before->sizes[i] || memcmp(now.bytes[i], before->bytes[i], now.sizes[i]) != 0)
                        fail_msg("the live map %s has changed", program->info.maps[i].name);
                free(now.bytes[i]);
                free(before->bytes[i]);
        }
}

static void check_all_values(void **state, Hook hook) {
        uint8_t packet[PACKET_SIZE] = { [12] = 0x88, [13] = 0xb5 };
        KernelProgram *program = load_values(state, hook_is_tc(hook));
        int array = make_inner(program, "array_of_maps", 110), hash = make_inner(program, "hash_of_maps", 111);
        TestSimulation a, b;
        Snapshot before;

        fill_kinds(program);
        hold(program, "array_of_maps", 1, array);
        hold(program, "array_of_maps", 2, array);
        hold(program, "hash_of_maps", 7, hash);
        before = take_snapshot(program);

        a = must_simulate(*state, hook, 0, &program, 1, NULL);
        assert_no_omissions(&a);
        for (unsigned i = 0; i < 5; i++) {
                SimulationResult result = test_simulation_run(&a, packet, sizeof(packet));

                check_values(&result, 100, i, true);
                assert_true(result.steps[0].changed);
        }
        /* each has copies of its own */
        b = must_simulate(*state, hook, 0, &program, 1, NULL);
        for (unsigned i = 0; i < 2; i++) {
                SimulationResult result = test_simulation_run(&b, packet, sizeof(packet));

                check_values(&result, 100, i, true);
                result = test_simulation_run(&a, packet, sizeof(packet));
                check_values(&result, 100, 5 + i, true);
        }
        test_simulation_done(&a);
        test_simulation_done(&b);

        compare_snapshot(program, &before);
        assert_int_equal(test_hits(*state, program), 0);
        kernel_program_unref(program);
        close(array);
        close(hash);
}

static void test_values_xdp(void **state) {
        check_all_values(state, HOOK_XDP);
}

static void test_values_tc(void **state) {
        check_all_values(state, HOOK_TC_INGRESS);
}

/* Two slots, and two programs of their own: a map has one copy, whoever uses it. */
static void test_shared(void **state) {
        uint8_t packet[PACKET_SIZE] = { [12] = 0x88, [13] = 0xb5 };
        KernelProgram *program = load_values(state, false), *slots[3] = { program, NULL, program };
        SimulationResult result;
        TestSimulation simulation;

        fill_kinds(program);
        slots[1] = must_load(*state, &(TestProgram){ .name = "v", .object = "verdict", .function = "xdp_verdict" });
        simulation = must_simulate(*state, HOOK_XDP, 0, slots, 3, NULL);
        result = test_simulation_run(&simulation, packet, sizeof(packet));
        assert_int_equal(result.n_steps, 3);
        check_values(&result, 100, 1, false);
        result = test_simulation_run(&simulation, packet, sizeof(packet));
        check_values(&result, 100, 3, false);
        test_simulation_done(&simulation);
        kernel_program_unref(slots[1]);
        kernel_program_unref(program);
}

/* An object that puts one of its maps into another: its program finds the same one both ways. */
static void test_inner_of_object(void **state) {
        KernelProgram *program = must_load(
                *state, &(TestProgram){ .name = "inner", .object = "mapinmap", .function = "xdp_mapinmap" });
        TestSimulation simulation = must_simulate(*state, HOOK_XDP, 0, &program, 1, NULL);
        uint8_t packet[64] = {};
        Snapshot before = take_snapshot(program);

        assert_no_omissions(&simulation);
        assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).verdict, 2);
        compare_snapshot(program, &before);
        test_simulation_done(&simulation);
        kernel_program_unref(program);
}

/* What a document will write into maps that are kept is in the copies, and not in the maps. */
static void test_pending(void **state) {
        uint8_t packet[PACKET_SIZE] = { [12] = 0x88, [13] = 0xb5 };
        TestProgram what = {
                .name = "values",
                .object = "sim-values",
                .function = "xdp_sim_values",
                .globals = "{\"in_data\": 112}",
                .maps = "{\"hash\": [{\"key\": 7, \"value\": 102}]}",
        };
        KernelProgram *old = must_load(*state, &what), *new;
        TestSimulation of_old, of_new;
        SimulationResult result;
        Snapshot before;

        before = take_snapshot(old);
        what.globals = "{\"in_data\": 212, \"in_rodata\": 214}";
        what.maps = "{\"hash\": [{\"key\": 7, \"value\": 202}]}";
        what.previous = old;
        what.same_object = true;
        new = must_load(*state, &what);
        assert_true(new->info.maps[kernel_program_find_map(new, "hash")].kept);
        assert_true(new->info.maps[kernel_program_find_map(new, ".data")].kept);

        of_old = must_simulate(*state, HOOK_XDP, 0, &old, 1, NULL);
        of_new = must_simulate(*state, HOOK_XDP, 0, &new, 1, NULL);
        result = test_simulation_run(&of_old, packet, sizeof(packet));
        assert_int_equal(test_number(&result, 2), 102);
        assert_int_equal(test_number(&result, IN_DATA), 112);
        assert_int_equal(test_number(&result, IN_RODATA), 77);
        result = test_simulation_run(&of_new, packet, sizeof(packet));
        assert_int_equal(test_number(&result, 2), 202);
        assert_int_equal(test_number(&result, IN_DATA), 212);
        assert_int_equal(test_number(&result, IN_RODATA), 214);

        compare_snapshot(old, &before);
        test_simulation_done(&of_old);
        test_simulation_done(&of_new);
        kernel_program_unref(new);
        kernel_program_unref(old);
}

static bool set_sys_admin(bool on) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];

        if (syscall(SYS_capget, &header, data) < 0)
                return false;
        if (on)
                data[0].effective |= 1U << CAP_SYS_ADMIN;
        else
                data[0].effective &= ~(1U << CAP_SYS_ADMIN);
        return syscall(SYS_capset, &header, data) >= 0;
}

/* As the service is shipped: it opens nothing by its id. Spin locks work in copies of maps that are its own, new or
 * kept, and maps that somebody else put into others are missing. */
static void test_without_sys_admin(void **state) {
        uint8_t packet[PACKET_SIZE] = { [12] = 0x88, [13] = 0xb5 };
        KernelProgram *old = load_values(state, false), *programs[2] = { old, NULL }, *own;
        int array = make_inner(old, "array_of_maps", 110);
        TestProgram kept = { .name = "values",
                             .object = "sim-values",
                             .function = "xdp_sim_values",
                             .previous = old,
                             .same_object = true };

        TestSimulation simulation;

        own = must_load(*state, &(TestProgram){ .name = "own", .object = "mapinmap", .function = "xdp_mapinmap" });
        programs[1] = must_load(*state, &kept);
        fill_kinds(old);
        hold(old, "array_of_maps", 1, array);
        if (!set_sys_admin(false))
                skip();

        for (size_t i = 0; i < ELEMENTSOF(programs); i++) {
                SimulationResult result;
                const char *reason;

                simulation = must_simulate(*state, HOOK_XDP, 0, &programs[i], 1, NULL);
                result = test_simulation_run(&simulation, packet, sizeof(packet));
                reason = test_omission(&simulation, "values", "array_of_maps");
                for (size_t j = 0; j < ELEMENTSOF(kinds); j++)
                        assert_int_equal(test_number(&result, j), 100 + j);
                assert_int_equal(test_number(&result, INNER_ARRAY), 0);
                assert_non_null(reason);
                assert_non_null(strstr(reason, "CAP_SYS_ADMIN"));
                assert_int_equal(simulation.n_omissions, 1);
                test_simulation_done(&simulation);
        }

        /* what an object puts into its own maps is there */
        simulation = must_simulate(*state, HOOK_XDP, 0, &own, 1, NULL);
        assert_no_omissions(&simulation);
        assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).verdict, 2);
        test_simulation_done(&simulation);

        assert_true(set_sys_admin(true));
        kernel_program_unref(own);
        kernel_program_unref(programs[1]);
        kernel_program_unref(old);
        close(array);
}

/* What is told of which program, and that it runs all the same. */
static void test_omissions(void **state) {
        static const struct {
                const char *object;
                const char *function;
                const char *map;
                const char *word;
        } cases[] = {
                { "sim-streams", "xdp_sim_streams", "filter", "knows no value" },
                { "sim-streams", "xdp_sim_streams", "ring", "nobody reads" },
                { "sim-devices", "xdp_sim_devices", "sockets", "has none" },
                { "xskmap", "xdp_xskmap", "sockets", "has none" },
                { "perfevent", "xdp_perfevent", "events", "nobody listens" },
                { "timer", "xdp_timer", "alarms", "do not run" },
                { "workqueue", "xdp_workqueue", "jobs", "do not run" },
                { "arena-a", "xdp_arena", "arena", "empty" },
                { "kptr", "xdp_kptr", "keepers", "kernel objects" },
                { "sim-kptr", "xdp_sim_kptr", "keepers", "kernel objects" },
                { "sim-conntrack", "xdp_sim_conntrack", "", "bpf_ct_change_timeout()" },
                { "clone", "tc_clone", "", "bpf_clone_redirect()" },
        };
        uint8_t packet[128] = { [12] = 0x88, [13] = 0xb5 };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                bool tc = startswith(cases[i].function, "tc_");
                _cleanup_error_ Error error = ERROR_INIT;
                KernelProgram *program = NULL;
                TestSimulation simulation;
                const char *reason;

                if (test_load(*state,
                              &(TestProgram){ .name = "p", .object = cases[i].object, .function = cases[i].function },
                              &program, NULL, &error) < 0) {
                        print_message("%s: not with this kernel or compiler (%s)\n", cases[i].object,
                                      strna(error.message));
                        continue;
                }
                simulation = must_simulate(*state, tc ? HOOK_TC_INGRESS : HOOK_XDP, 0, &program, 1, NULL);
                reason = test_omission(&simulation, "p", cases[i].map);
                print_message("%s/%s: %s\n", cases[i].object, cases[i].map, strna(reason));
                if (!reason || !strstr(reason, cases[i].word))
                        fail_msg("\"%s\" lacks \"%s\"", strna(reason), cases[i].word);
                assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).n_steps, 1);
                test_simulation_done(&simulation);
                assert_int_equal(test_hits(*state, program), 0);
                kernel_program_unref(program);
        }
}

/* Empty ones are empty in the simulation as well, and full ones stay as they are. A ring buffer never gets full. */
static void test_streams(void **state) {
        KernelProgram *program = must_load(
                *state, &(TestProgram){ .name = "s", .object = "sim-streams", .function = "xdp_sim_streams" });
        uint8_t packet[64] = { [12] = 0x88, [13] = 0xb5 };
        TestSimulation simulation = must_simulate(*state, HOOK_XDP, 0, &program, 1, NULL);
        uint64_t seven = 7, found = 0;

        assert_null(test_omission(&simulation, "s", "queue"));
        assert_null(test_omission(&simulation, "s", "stack"));
        for (unsigned i = 0; i < 500; i++) {
                SimulationResult result = test_simulation_run(&simulation, packet, sizeof(packet));

                assert_int_equal((int64_t) test_number(&result, 0), -ENOENT);
                assert_int_equal((int64_t) test_number(&result, 1), -ENOENT);
                assert_int_equal((int64_t) test_number(&result, 2), -ENOENT);
                assert_int_equal((int64_t) test_number(&result, 3), 0);
        }
        test_simulation_done(&simulation);

        assert_int_equal(bpf_map_update_elem(test_map(program, "queue"), NULL, &seven, 0), 0);
        assert_int_equal(bpf_map_update_elem(test_map(program, "stack"), NULL, &seven, 0), 0);
        simulation = must_simulate(*state, HOOK_XDP, 0, &program, 1, NULL);
        assert_non_null(test_omission(&simulation, "s", "queue"));
        assert_non_null(test_omission(&simulation, "s", "stack"));
        (void) test_simulation_run(&simulation, packet, sizeof(packet));
        assert_int_equal(bpf_map_lookup_elem(test_map(program, "queue"), NULL, &found), 0);
        assert_int_equal(found, 7);
        test_simulation_done(&simulation);
        kernel_program_unref(program);
}

/* Programs behind tail calls: those that can change nothing are there, the others are not. */
static void test_prog_array(void **state) {
        const struct bpf_insn drop[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
                                         { .code = BPF_JMP | BPF_EXIT } };
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP);
        KernelProgram *program = must_load(*state, &(TestProgram){ .name = "jumper",
                                                                   .object = "tailcall",
                                                                   .function = "xdp_tailcall",
                                                                   .keep_tail_calls = true }),
                      *writer = must_load(*state, &(TestProgram){ .name = "writer",
                                                                  .object = "verdict",
                                                                  .function = "xdp_verdict",
                                                                  .globals = "{\"verdict\": 3}" });
        KernelFused *live = must_build(*state, HOOK_XDP, &writer, 1, NULL, NULL);
        int jumps = test_map(program, "jumps"), fd;
        uint8_t packet[64] = { [12] = 0x88, [13] = 0xb5 };
        TestSimulation simulation;
        uint32_t one = 1;

        fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "bct_drop", "GPL", drop, ELEMENTSOF(drop), &opts);
        assert_true(fd >= 0);
        assert_int_equal(bpf_map_update_elem(jumps, &one, &fd, BPF_ANY), 0);
        simulation = must_simulate(*state, HOOK_XDP, 0, &program, 1, NULL);
        assert_no_omissions(&simulation);
        assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).verdict, 1);
        close(fd);
        assert_int_equal(bpf_map_delete_elem(jumps, &one), 0);
        assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).verdict, 1);
        test_simulation_done(&simulation);

        assert_int_equal(bpf_map_update_elem(jumps, &one, &live->program_fd, BPF_ANY), 0);
        simulation = must_simulate(*state, HOOK_XDP, 0, &program, 1, NULL);
        assert_non_null(test_omission(&simulation, "jumper", "jumps"));
        assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).verdict, 2);
        assert_int_equal(test_hits(*state, writer), 0);
        test_simulation_done(&simulation);

        kernel_fused_free(live);
        kernel_program_unref(writer);
        kernel_program_unref(program);
}

static void check_limit(void **state, KernelProgram *program, const char *map) {
        _cleanup_error_ Error error = ERROR_INIT;
        TestSimulation simulation = {};

        assert_true(test_simulate(*state, HOOK_XDP, 0, &program, 1, NULL, &simulation, &error) < 0);
        assert_int_equal(error.code, ERROR_LIMIT_EXCEEDED);
        assert_null(simulation.simulation);
        print_message("%s\n", error.message);
        assert_non_null(strstr(error.message, map));
        assert_non_null(strstr(error.message, "large-one"));
}

/* At once, since the kernel waits for its programs after each. */
static void hold_many(const KernelProgram *program, uint32_t n) {
        _cleanup_free_ uint32_t *keys = calloc(n, sizeof(uint32_t));
        _cleanup_free_ int *fds = calloc(n, sizeof(int));
        LIBBPF_OPTS(bpf_map_batch_opts, opts);
        uint32_t done = n;

        assert_true(keys && fds);
        for (uint32_t i = 0; i < n; i++) {
                keys[i] = i;
                fds[i] = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 8, 1, NULL);
                assert_true(fds[i] >= 0);
        }
        assert_int_equal(bpf_map_update_batch(test_map(program, "many"), keys, fds, &done, &opts), 0);
        for (uint32_t i = 0; i < n; i++)
                close(fds[i]);
}

static void test_limits(void **state) {
        KernelProgram *program = must_load(
                *state, &(TestProgram){ .name = "large-one", .object = "sim-large", .function = "xdp_sim_large" });
        uint8_t packet[64] = {};
        TestSimulation simulation;

        check_limit(state, program, "large");
        kernel_program_unref(program);

        program = must_load(*state,
                            &(TestProgram){ .name = "large-one", .object = "sim-large", .function = "xdp_sim_many" });
        hold_many(program, 100);
        simulation = must_simulate(*state, HOOK_XDP, 0, &program, 1, NULL);
        assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).verdict, 2);
        test_simulation_done(&simulation);
        hold_many(program, MAP_COPIES_MAX + 1);
        check_limit(state, program, "many");
        kernel_program_unref(program);
}

typedef struct Churn {
        int fd;
        bool stop;
} Churn;

static void *churn(void *userdata) {
        Churn *c = userdata;
        uint64_t value = 1;

        for (uint32_t key = 10000; !__atomic_load_n(&c->stop, __ATOMIC_RELAXED); key++) {
                (void) bpf_map_update_elem(c->fd, &key, &value, BPF_ANY);
                (void) bpf_map_delete_elem(c->fd, &(uint32_t){ key - 400 });
        }
        return NULL;
}

/* Live packets change a map while it is copied. */
static void test_changing_map(void **state) {
        uint8_t packet[PACKET_SIZE] = { [12] = 0x88, [13] = 0xb5 };
        KernelProgram *program = load_values(state, false);
        Churn c = { .fd = test_map(program, "hash") };
        uint64_t value = 102;
        pthread_t thread;

        assert_int_equal(bpf_map_update_elem(c.fd, &(uint32_t){ 7 }, &value, BPF_ANY), 0);
        assert_int_equal(pthread_create(&thread, NULL, churn, &c), 0);
        for (unsigned i = 0; i < 50; i++) {
                TestSimulation simulation = must_simulate(*state, HOOK_XDP, 0, &program, 1, NULL);
                SimulationResult result = test_simulation_run(&simulation, packet, sizeof(packet));

                assert_int_equal(test_number(&result, 2), 102);
                test_simulation_done(&simulation);
        }
        __atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        kernel_program_unref(program);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_remember_fds, test_compare_fds)
                TEST(test_values_xdp),      TEST(test_values_tc),    TEST(test_shared),
                TEST(test_inner_of_object), TEST(test_pending),      TEST(test_without_sys_admin),
                TEST(test_omissions),       TEST(test_streams),      TEST(test_prog_array),
                TEST(test_limits),          TEST(test_changing_map),
        };

        struct rlimit files;

        if (geteuid() != 0) {
                printf("SKIP: loading BPF programs needs root\n");
                return 77;
        }
        if (getrlimit(RLIMIT_NOFILE, &files) >= 0) {
                files.rlim_cur = files.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &files);
        }
        return cmocka_run_group_tests(tests, kernel_fixture_setup, kernel_fixture_teardown);
}
