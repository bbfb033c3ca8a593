/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Simulated packets: their way through the chain, what programs make of them, and that nobody else notices. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <time.h>

#include "simulation-fixture.h"

#include "netns.h"

#define DROP 1
#define PASS 2

/* Every descriptor that a test opened must be closed at its end. */
static unsigned fds_before;

static int remember_fds(void **state) {
        fds_before = test_count_fds();
        return 0;
}

static int compare_fds(void **state) {
        unsigned n = test_count_fds();

        if (n != fds_before)
                print_error("%u descriptors are open, %u were before\n", n, fds_before);
        return n == fds_before ? 0 : -1;
}

static KernelProgram *load(void **state, const char *object, const char *function, const char *globals) {
        return must_load(
                *state,
                &(TestProgram){ .name = function, .object = object, .function = function, .globals = globals });
}

static void unref_all(KernelProgram **programs, size_t n) {
        for (size_t i = 0; i < n; i++)
                kernel_program_unref(programs[i]);
}

static void fill_packet(uint8_t *packet, size_t size) {
        for (size_t i = 0; i < size; i++)
                packet[i] = (uint8_t) (i * 7 + 1);
        if (size > 13) {
                packet[12] = 0x88;
                packet[13] = 0xb5;
        }
}

static void check_step(const SimulationResult *result, size_t i, unsigned slot, int verdict, unsigned bucket,
                       uint32_t size, bool changed) {
        const SimulationStep *step = &result->steps[i];

        assert_true(i < result->n_steps);
        assert_int_equal(step->slot, slot);
        assert_int_equal(step->verdict, verdict);
        assert_int_equal(step->bucket, bucket);
        assert_int_equal(step->size, size);
        assert_int_equal(step->changed, changed);
}

/* Who ended the way, by which verdict; slots behind are not in the result. */
static void test_way(void **state) {
        KernelProgram *programs[] = { load(state, "verdict", "xdp_verdict", NULL),
                                      load(state, "verdict", "xdp_verdict", "{\"verdict\": 1}"),
                                      load(state, "verdict", "xdp_verdict", "{\"verdict\": 3}") };
        const uint32_t through[] = { 1 << PASS, 1 << DROP, 0 };
        TestSimulation simulation = must_simulate(*state, HOOK_XDP, 0, programs, 3, NULL);
        SimulationResult result;
        uint8_t packet[64];

        fill_packet(packet, sizeof(packet));
        assert_no_omissions(&simulation);
        result = test_simulation_run(&simulation, packet, sizeof(packet));
        assert_int_equal(result.verdict, DROP);
        assert_int_equal(result.bucket, DROP);
        assert_int_equal(result.n_steps, 2);
        check_step(&result, 0, 0, PASS, PASS, 64, false);
        check_step(&result, 1, 1, DROP, DROP, 64, false);
        assert_memory_equal(result.steps[1].data, packet, sizeof(packet));
        test_simulation_done(&simulation);

        simulation = must_simulate(*state, HOOK_XDP, 0, programs, 3, through);
        result = test_simulation_run(&simulation, packet, sizeof(packet));
        assert_int_equal(result.verdict, 3);
        assert_int_equal(result.n_steps, 3);
        check_step(&result, 2, 2, 3, 3, 64, false);
        test_simulation_done(&simulation);
        unref_all(programs, 3);
}

/* Verdicts that have no bucket of their own, and those below 0. */
static void test_odd_verdicts(void **state) {
        const struct {
                Hook hook;
                int verdict;
                unsigned bucket;
        } cases[] = {
                { HOOK_XDP, 0, 0 },
                { HOOK_XDP, 77, verdict_buckets(HOOK_XDP) - 1 },
                { HOOK_TC_INGRESS, -1, 0 },
                { HOOK_TC_INGRESS, 2, 3 },
                { HOOK_TC_EGRESS, -5, verdict_buckets(HOOK_TC_EGRESS) - 1 },
        };
        uint8_t packet[64];

        fill_packet(packet, sizeof(packet));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char globals[64];
                KernelProgram *program;
                TestSimulation simulation;
                SimulationResult result;

                snprintf(globals, sizeof(globals), "{\"verdict\": %d}", cases[i].verdict);
                program = load(state, "verdict", hook_is_tc(cases[i].hook) ? "tc_verdict" : "xdp_verdict", globals);
                simulation = must_simulate(*state, cases[i].hook, 0, &program, 1, NULL);
                result = test_simulation_run(&simulation, packet, sizeof(packet));
                assert_int_equal(result.verdict, cases[i].verdict);
                assert_int_equal(result.bucket, cases[i].bucket);
                assert_int_equal(result.n_steps, 1);
                check_step(&result, 0, 0, cases[i].verdict, cases[i].bucket, 64, false);
                test_simulation_done(&simulation);
                kernel_program_unref(program);
        }
}

/* As many slots as a chain may have. */
static void test_64_slots(void **state) {
        KernelProgram *programs[CHAIN_SLOTS_MAX];
        TestSimulation simulation;
        SimulationResult result;
        uint8_t packet[64];

        fill_packet(packet, sizeof(packet));
        for (size_t i = 0; i < CHAIN_SLOTS_MAX; i++)
                programs[i] = load(state, "verdict", "xdp_verdict", NULL);
        simulation = must_simulate(*state, HOOK_XDP, 0, programs, CHAIN_SLOTS_MAX, NULL);
        for (unsigned i = 0; i < 3; i++) {
                result = test_simulation_run(&simulation, packet, sizeof(packet));
                assert_int_equal(result.n_steps, CHAIN_SLOTS_MAX);
                check_step(&result, CHAIN_SLOTS_MAX - 1, CHAIN_SLOTS_MAX - 1, PASS, PASS, 64, false);
        }
        test_simulation_done(&simulation);
        unref_all(programs, CHAIN_SLOTS_MAX);
}

/* The chain that runs counts on as if nothing had happened. */
static void test_live_chain(void **state) {
        KernelProgram *programs[] = { load(state, "verdict", "xdp_verdict", NULL),
                                      load(state, "verdict", "xdp_verdict", "{\"verdict\": 1}") };
        uint64_t before[CHAIN_SEATS_MAX][COUNTER_CELLS], after[CHAIN_SEATS_MAX][COUNTER_CELLS];
        KernelFused *live = must_build(*state, HOOK_XDP, programs, 2, NULL, NULL);
        TestSimulation simulation;
        uint8_t packet[64];

        fill_packet(packet, sizeof(packet));
        (void) test_run(live, NULL, 0, 10);
        test_counters(live, before);
        simulation = must_simulate(*state, HOOK_XDP, 0, programs, 2, NULL);
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).n_steps, 2);
        test_counters(live, after);
        assert_memory_equal(before, after, sizeof(before));
        assert_int_equal(test_hits(*state, programs[0]), 10);
        assert_int_equal(test_hits(*state, programs[1]), 10);

        (void) test_run(live, NULL, 0, 10);
        assert_int_equal(test_hits(*state, programs[1]), 20);
        test_simulation_done(&simulation);
        kernel_fused_free(live);
        unref_all(programs, 2);
}

/* A limiter begins with the state that live packets meet, goes on from there, and live packets do not notice. */
static void test_rate_limit(void **state) {
        _cleanup_free_ char *object = NULL;
        uint8_t packet[64] = { [12] = 0x08, [14] = 0x45, [17] = 50, [22] = 64, [23] = 17, [26] = 192, 0, 2, 1 };
        KernelProgram *program;
        TestSimulation simulation;
        KernelFused *live;

        assert_true(asprintf(&object, "%s/bpf/examples/ratelimit.bpf.o", getenv("BPFCHAIN_BUILD")) > 0);
        program = must_load(*state, &(TestProgram){ .name = "limit",
                                                    .object = object,
                                                    .function = "xdp_ratelimit",
                                                    .globals = "{\"rate_pps\": 1, \"burst\": 1000}" });
        live = must_build(*state, HOOK_XDP, &program, 1, NULL, NULL);

        for (unsigned round = 0; round < 2; round++) {
                unsigned passed = 0;

                simulation = must_simulate(*state, HOOK_XDP, 0, &program, 1, NULL);
                assert_no_omissions(&simulation);
                for (unsigned i = 0; i < 1100; i++)
                        passed += test_simulation_run(&simulation, packet, sizeof(packet)).verdict == PASS;
                /* some more where the test takes its time */
                if (passed < 1000 - round * 400 || passed > 1060 - round * 400)
                        fail_msg("%u packets passed", passed);
                test_simulation_done(&simulation);
                if (round == 0)
                        assert_int_equal(test_run(live, packet, sizeof(packet), 400), PASS);
        }
        assert_int_equal(test_run(live, packet, sizeof(packet), 500), PASS);
        kernel_fused_free(live);
        kernel_program_unref(program);
}

/* Headers pushed and popped: the way shows each state of the packet. */
static void test_adjusted(void **state) {
        KernelProgram *programs[] = { load(state, "adjust", "xdp_adjust_push", NULL),
                                      load(state, "verdict", "xdp_verdict", NULL),
                                      load(state, "adjust", "xdp_adjust_pop", NULL),
                                      load(state, "sim-packet", "xdp_sim_last", NULL),
                                      load(state, "sim-packet", "xdp_sim_tail", "{\"tail\": 10}"),
                                      load(state, "sim-packet", "xdp_sim_tail", "{\"tail\": -30}") };
        TestSimulation simulation = must_simulate(*state, HOOK_XDP, 0, programs, ELEMENTSOF(programs), NULL);
        uint8_t packet[64], tagged[68];

        fill_packet(packet, sizeof(packet));
        memcpy(tagged, packet, 12);
        memcpy(tagged + 12, (uint8_t[]){ 0x81, 0, 0, 100 }, 4);
        memcpy(tagged + 16, packet + 12, sizeof(packet) - 12);

        for (unsigned i = 0; i < 3; i++) {
                SimulationResult result = test_simulation_run(&simulation, packet, sizeof(packet));

                assert_int_equal(result.n_steps, 6);
                check_step(&result, 0, 0, PASS, PASS, 68, true);
                assert_memory_equal(result.steps[0].data, tagged, sizeof(tagged));
                check_step(&result, 1, 1, PASS, PASS, 68, false);
                check_step(&result, 2, 2, PASS, PASS, 64, true);
                assert_memory_equal(result.steps[2].data, packet, sizeof(packet));
                check_step(&result, 3, 3, PASS, PASS, 64, true);
                check_step(&result, 4, 4, PASS, PASS, 74, true);
                check_step(&result, 5, 5, PASS, PASS, 44, true);
                assert_memory_equal(result.steps[5].data, packet, 44);
        }
        test_simulation_done(&simulation);
        unref_all(programs, ELEMENTSOF(programs));
}

static void test_adjusted_tc(void **state) {
        KernelProgram *programs[] = { load(state, "verdict", "tc_verdict", NULL),
                                      load(state, "sim-packet", "tc_sim_last", NULL),
                                      load(state, "sim-packet", "tc_sim_tail", "{\"tail\": 6000}"),
                                      load(state, "sim-packet", "tc_sim_tail", "{\"tail\": -6030}") };
        TestSimulation simulation = must_simulate(*state, HOOK_TC_EGRESS, 0, programs, ELEMENTSOF(programs), NULL);
        SimulationResult result;
        uint8_t packet[64];

        fill_packet(packet, sizeof(packet));
        result = test_simulation_run(&simulation, packet, sizeof(packet));
        assert_int_equal(result.n_steps, 4);
        check_step(&result, 0, 0, -1, 0, 64, false);
        assert_memory_equal(result.steps[0].data, packet, sizeof(packet));
        check_step(&result, 1, 1, -1, 0, 64, true);
        assert_int_equal(((const uint8_t *) result.steps[1].data)[63], packet[63] ^ 1);
        check_step(&result, 2, 2, -1, 0, 6064, true);
        assert_memory_equal(result.steps[2].data, result.steps[1].data, 64);
        check_step(&result, 3, 3, -1, 0, 34, true);
        test_simulation_done(&simulation);
        unref_all(programs, ELEMENTSOF(programs));
}

static void check_refused(const TestSimulation *simulation, const uint8_t *packet, size_t size, const char *word) {
        SimulationResult result = { .verdict = 4711 };
        _cleanup_error_ Error error = ERROR_INIT;

        assert_true(kernel_ops.simulation_run(NULL, simulation->simulation, packet, size, &result, &error) < 0);
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(error.message, word));
        assert_int_equal(result.verdict, 4711);
}

/* All lengths that are promised, in one piece, on all hooks. */
static void test_lengths(void **state) {
        static uint8_t packet[SIMULATION_PACKET_MAX + 1];

        for (Hook hook = 0; hook < _HOOK_MAX; hook++) {
                bool tc = hook_is_tc(hook);
                KernelProgram *programs[] = { load(state, "sim-packet", tc ? "tc_sim_last" : "xdp_sim_last", NULL),
                                              load(state, "verdict", tc ? "tc_verdict" : "xdp_verdict", NULL) };
                TestSimulation simulation = must_simulate(*state, hook, 1, programs, 2, NULL);
                int next = tc ? -1 : PASS;

                fill_packet(packet, sizeof(packet));
                for (size_t size = ETH_HLEN; size <= SIMULATION_PACKET_MAX;
                     size += size < 70 || size > SIMULATION_PACKET_MAX - 70 ? 1 : 61) {
                        SimulationResult result = test_simulation_run(&simulation, packet, size);
                        const uint8_t *left = result.steps[0].data;

                        assert_int_equal(result.verdict, next);
                        assert_int_equal(result.n_steps, 2);
                        check_step(&result, 0, 0, next, tc ? 0 : PASS, (uint32_t) size, true);
                        check_step(&result, 1, 1, next, tc ? 0 : PASS, (uint32_t) size, false);
                        assert_memory_equal(left, packet, size - 1);
                        assert_int_equal(left[size - 1], packet[size - 1] ^ 1);
                }
                check_refused(&simulation, packet, SIMULATION_PACKET_MAX + 1, "too long");
                check_refused(&simulation, packet, ETH_HLEN - 1, "too short");
                check_refused(&simulation, packet, 0, "too short");

                /* what says it is IP must have its header, for TC */
                for (unsigned v6 = 0; v6 < 2; v6++) {
                        size_t least = ETH_HLEN + (v6 ? 40 : 20);

                        memcpy(packet + 12, v6 ? "\x86\xdd" : "\x08", 2);
                        assert_int_equal(test_simulation_run(&simulation, packet, least).n_steps, 2);
                        if (tc)
                                check_refused(&simulation, packet, least - 1, "too short");
                        else
                                assert_int_equal(test_simulation_run(&simulation, packet, ETH_HLEN).n_steps, 2);
                }
                test_simulation_done(&simulation);
                unref_all(programs, 2);
        }
}

static uint32_t word(const SimulationResult *result, size_t i) {
        uint32_t value;

        memcpy(&value, (const uint8_t *) result->steps[0].data + ETH_HLEN + 4 * i, sizeof(value));
        return ntohl(value);
}

/* Where packets seem to come from: the chain's interface, or loopback where there is none. */
static void test_interface(void **state) {
        KernelProgram *xdp = load(state, "sim-packet", "xdp_sim_context", NULL),
                      *tc = load(state, "sim-packet", "tc_sim_context", NULL);
        int device = (int) if_nametoindex("bct-a"), gone = 4711, none = 0;
        const struct {
                Hook hook;
                int ifindex;
                uint32_t ingress;
                uint32_t other; /* queue, or interface */
        } cases[] = {
                { HOOK_XDP, device, (uint32_t) device, 0 },
                { HOOK_XDP, gone, 1, 0 },
                { HOOK_XDP, none, 1, 0 },
                { HOOK_TC_INGRESS, device, (uint32_t) device, (uint32_t) device },
                { HOOK_TC_EGRESS, device, 0, (uint32_t) device },
                { HOOK_TC_INGRESS, gone, 0, 1 },
                { HOOK_TC_EGRESS, none, 0, 1 },
        };
        uint8_t packet[64];

        assert_true(device > 1);
        fill_packet(packet, sizeof(packet));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                bool is_tc = hook_is_tc(cases[i].hook);
                TestSimulation simulation =
                        must_simulate(*state, cases[i].hook, cases[i].ifindex, is_tc ? &tc : &xdp, 1, NULL);

                for (unsigned j = 0; j < 2; j++) {
                        SimulationResult result = test_simulation_run(&simulation, packet, sizeof(packet));

                        assert_int_equal(word(&result, 0), cases[i].ingress);
                        assert_int_equal(word(&result, 1), cases[i].other);
                        assert_int_equal(word(&result, 2), is_tc ? 0x88b5 : 0);
                }
                test_simulation_done(&simulation);
        }
        kernel_program_unref(xdp);
        kernel_program_unref(tc);
}

/* Packets that the other end of the pair has received. */
static unsigned long received(void) {
        _cleanup_fclose_ FILE *f = fopen("/proc/net/dev", "re");
        char line[512];

        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                unsigned long bytes, packets;

                if (sscanf(line, " bct-b: %lu %lu", &bytes, &packets) == 2)
                        return packets;
        }
        fail_msg("no interface bct-b");
        return 0;
}

/* Redirected packets stay here, and entries of devices and CPUs are known. */
static void test_redirects(void **state) {
        KernelProgram *program = load(state, "sim-devices", "xdp_sim_devices", NULL);
        uint32_t one = 1, device = if_nametoindex("bct-a");
        struct bpf_devmap_val value = { .ifindex = device };
        struct bpf_cpumap_val cpu = { .qsize = 16 };
        const struct bpf_insn pass[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = PASS },
                                         { .code = BPF_JMP | BPF_EXIT } };
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP_DEVMAP);
        TestSimulation simulation;
        uint8_t packet[64];
        unsigned long before;
        int behind;

        assert_int_equal(bpf_map_update_elem(test_map(program, "devices"), &one, &device, 0), 0);
        behind = bpf_prog_load(BPF_PROG_TYPE_XDP, "bct_behind", "GPL", pass, ELEMENTSOF(pass), &opts);
        assert_true(behind >= 0);
        value.bpf_prog.fd = behind;
        assert_int_equal(bpf_map_update_elem(test_map(program, "devices_programs"), &one, &value, 0), 0);
        close(behind);
        value.bpf_prog.fd = 0;
        assert_int_equal(bpf_map_update_elem(test_map(program, "devices_hash"), &one, &value, 0), 0);
        assert_int_equal(bpf_map_update_elem(test_map(program, "cpus"), &one, &cpu, 0), 0);

        fill_packet(packet, sizeof(packet));
        before = received();
        simulation = must_simulate(*state, HOOK_XDP, (int) device, &program, 1, NULL);
        assert_non_null(test_omission(&simulation, program->name, "sockets"));
        assert_int_equal(simulation.n_omissions, 1);
        for (uint8_t which = 0; which < 6; which++) {
                packet[ETH_HLEN] = which;
                assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).verdict, which < 4 ? 4
                                                                                                   : which == 4
                                                                                                           ? DROP
                                                                                                           : PASS);
        }
        assert_int_equal(received(), before);
        test_simulation_done(&simulation);
        kernel_program_unref(program);
}

/* bpf_clone_redirect() would send; in the simulation it only says so. The program stays as it was. */
static void test_clone(void **state) {
        KernelProgram *program;
        TestSimulation simulation;
        unsigned long before;
        uint8_t packet[64];
        KernelFused *live;
        char globals[64];

        fill_packet(packet, sizeof(packet));
        snprintf(globals, sizeof(globals), "{\"target_ifindex\": %u}", if_nametoindex("bct-a"));
        program = load(state, "clone", "tc_clone", globals);
        before = received();
        simulation = must_simulate(*state, HOOK_TC_INGRESS, 1, &program, 1, NULL);
        assert_non_null(test_omission(&simulation, program->name, ""));
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).n_steps, 1);
        test_simulation_done(&simulation);
        assert_int_equal(received(), before);

        live = must_build(*state, HOOK_TC_INGRESS, &program, 1, NULL, NULL);
        (void) test_run(live, packet, sizeof(packet), 1);
        assert_int_equal(received(), before + 1);
        kernel_fused_free(live);
        kernel_program_unref(program);
}

/* A program that asks the driver: nothing is known of simulated packets. It stays bound. */
static void test_bound(void **state) {
        _cleanup_error_ Error error = ERROR_INIT;
        KernelProgram *program = NULL;
        TestSimulation simulation;
        uint8_t packet[64];

        if (test_load(*state, &(TestProgram){ .name = "bound", .object = "bound", .function = "xdp_bound" }, &program,
                      NULL, &error) < 0) {
                print_message("%s\n", error.message);
                skip();
        }
        fill_packet(packet, sizeof(packet));
        assert_true(program->member->bound);
        simulation = must_simulate(*state, HOOK_XDP, (int) if_nametoindex("bct-a"), &program, 1, NULL);
        assert_true(program->member->bound);
        assert_non_null(test_omission(&simulation, "bound", ""));
        for (unsigned i = 0; i < 3; i++)
                check_step((SimulationResult[]){ test_simulation_run(&simulation, packet, sizeof(packet)) }, 0, 0,
                           PASS, PASS, 64, false);
        test_simulation_done(&simulation);
        kernel_program_unref(program);
}

/* Programs that the builder can't inline: called, or in slots of their own, where they work as they do live. */
static void test_forms(void **state) {
        static const struct {
                const char *object;
                const char *function;
        } cases[] = {
                { "throw", "xdp_throw" },       { "allocate", "xdp_allocate" }, { "graph", "xdp_list" },
                { "graph", "xdp_rbtree" },      { "graph", "xdp_refcount" },    { "kptr", "xdp_kptr" },
                { "bigstack", "xdp_bigstack" }, { "callback", "xdp_callback" }, { "spinlock", "xdp_spinlock" },
        };
        KernelProgram *push = load(state, "adjust", "xdp_adjust_push", NULL), *drop;
        uint8_t packet[64];

        drop = load(state, "verdict", "xdp_verdict", "{\"verdict\": 1}");
        fill_packet(packet, sizeof(packet));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                KernelProgram *programs[] = { push, NULL, drop };
                _cleanup_error_ Error error = ERROR_INIT;
                TestSimulation simulation;
                SimulationResult result;

                if (test_load(*state,
                              &(TestProgram){ .name = "p", .object = cases[i].object, .function = cases[i].function },
                              &programs[1], NULL, &error) < 0) {
                        print_message("%s: not with this kernel or compiler (%s)\n", cases[i].object,
                                      strna(error.message));
                        continue;
                }
                simulation = must_simulate(*state, HOOK_XDP, 0, programs, 3, NULL);
                for (unsigned j = 0; j < 3; j++) {
                        result = test_simulation_run(&simulation, packet, sizeof(packet));
                        if (result.n_steps != 3)
                                fail_msg("%s: %zu steps, verdict %d", cases[i].function, result.n_steps,
                                         result.verdict);
                        check_step(&result, 0, 0, PASS, PASS, 68, true);
                        check_step(&result, 1, 1, PASS, PASS, 68, false);
                        check_step(&result, 2, 2, DROP, DROP, 68, false);
                }
                test_simulation_done(&simulation);
                assert_int_equal(test_hits(*state, programs[1]), 0);
                kernel_program_unref(programs[1]);
        }
        kernel_program_unref(push);
        kernel_program_unref(drop);
}

/* What can't be built can't be simulated, for the same reason. */
static void test_refused(void **state) {
        KernelProgram *tc = load(state, "verdict", "tc_verdict", NULL);
        KernelProgram *programs[CHAIN_SLOTS_MAX + 1];
        _cleanup_error_ Error error = ERROR_INIT;
        TestSimulation simulation = {};

        assert_true(test_simulate(*state, HOOK_XDP, 0, &tc, 1, NULL, &simulation, &error) < 0);
        assert_int_equal(error.code, ERROR_INCOMPATIBLE);
        error_done(&error);
        assert_true(test_simulate(*state, HOOK_TC_INGRESS, 0, &tc, 0, NULL, &simulation, &error) < 0);
        assert_int_equal(error.code, ERROR_LIMIT_EXCEEDED);
        error_done(&error);
        for (size_t i = 0; i <= CHAIN_SLOTS_MAX; i++)
                programs[i] = tc;
        assert_true(test_simulate(*state, HOOK_TC_INGRESS, 0, programs, CHAIN_SLOTS_MAX + 1, NULL, &simulation,
                                  &error) < 0);
        assert_int_equal(error.code, ERROR_LIMIT_EXCEEDED);
        assert_null(simulation.simulation);
        kernel_program_unref(tc);
}

static double now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

/* Many packets through one simulation: what it adds to the runs themselves. */
static void test_speed(void **state) {
        enum { PACKETS = 20000 };
        KernelProgram *programs[8];
        TestSimulation simulation;
        double started, simulated, alone;
        uint8_t packet[1514];
        KernelFused *live;

        fill_packet(packet, sizeof(packet));
        for (size_t i = 0; i < ELEMENTSOF(programs); i++)
                programs[i] = load(state, "verdict", "xdp_verdict", NULL);
        live = must_build(*state, HOOK_XDP, programs, ELEMENTSOF(programs), NULL, NULL);
        started = now();
        simulation = must_simulate(*state, HOOK_XDP, 1, programs, ELEMENTSOF(programs), NULL);
        print_message("prepared in %.0f us\n", now() - started);

        started = now();
        for (unsigned i = 0; i < PACKETS; i++)
                assert_int_equal(test_simulation_run(&simulation, packet, sizeof(packet)).n_steps, 8);
        simulated = (now() - started) / PACKETS;
        started = now();
        for (unsigned i = 0; i < PACKETS; i++)
                (void) test_run(live, packet, sizeof(packet), 1);
        alone = (now() - started) / PACKETS;
        print_message("%.2f us a packet of 1514 bytes through 8 slots, of which the run alone %.2f\n", simulated,
                      alone);
        /* far above what it takes, so that a busy machine does not fail it */
        assert_true(simulated - alone < 200);
        test_simulation_done(&simulation);
        kernel_fused_free(live);
        unref_all(programs, ELEMENTSOF(programs));
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, remember_fds, compare_fds)
                TEST(test_way),        TEST(test_odd_verdicts), TEST(test_64_slots),    TEST(test_live_chain),
                TEST(test_rate_limit), TEST(test_adjusted),     TEST(test_adjusted_tc), TEST(test_lengths),
                TEST(test_interface),  TEST(test_redirects),    TEST(test_clone),       TEST(test_refused),
                TEST(test_bound),      TEST(test_forms),        TEST(test_speed),
        };

        netns_enter();
        if (run_quietly("ip link add bct-a type veth peer name bct-b && "
                        "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && "
                        "ip link set bct-a up && ip link set bct-b up") != 0) {
                printf("SKIP: this kernel makes no veth interfaces\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, kernel_fixture_setup, kernel_fixture_teardown);
}
