/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Forms of members in the kernel: each kind of program in each form that it takes, and what becomes of those that the
 * verifier refuses in one. */

#include <linux/bpf.h>

#include "kernel-fixture.h"
#include "kernel/fuse-load.h"

/* Each kind of member, in the middle of a chain: the chain goes on behind it, and it did its work. */
static const struct {
        const char *object;
        const char *function;
        const char *type;
        Hook hook;
        int verdict;
} kinds[] = {
        { "adjust", "xdp_adjust_push", NULL, HOOK_XDP, 2 },
        { "adjust", "xdp_adjust_pop", NULL, HOOK_XDP, 2 },
        { "adjust", "xdp_adjust_meta", NULL, HOOK_XDP, 2 },
        { "bigstack", "xdp_bigstack", NULL, HOOK_XDP, 2 },
        { "callback", "xdp_callback", NULL, HOOK_XDP, 2 },
        { "datasections", "xdp_datasections", NULL, HOOK_XDP, 2 },
        { "globals", NULL, NULL, HOOK_XDP, 2 },
        { "kfunc", "xdp_kfunc", NULL, HOOK_XDP, 2 },
        { "manymaps", "xdp_manymaps", NULL, HOOK_XDP, 2 },
        { "manytailcalls", "xdp_manytailcalls", NULL, HOOK_XDP, 2 },
        { "maps", "xdp_maps", NULL, HOOK_XDP, 2 },
        { "mixed", NULL, NULL, HOOK_XDP, 2 },
        { "nobtf", "xdp_nobtf", NULL, HOOK_XDP, 2 },
        { "nobtf", "tc_nobtf", NULL, HOOK_TC_INGRESS, -1 },
        { "oddsection", "odd_xdp", NULL, HOOK_XDP, 2 },
        { "oddsection", "odd_tc", NULL, HOOK_TC_EGRESS, -1 },
        { "ringbuf", "xdp_ringbuf", NULL, HOOK_XDP, 2 },
        { "spinlock", "xdp_spinlock", NULL, HOOK_XDP, 2 },
        { "subprog", "xdp_subprog", NULL, HOOK_XDP, 2 },
        { "subprog", "tc_subprog", NULL, HOOK_TC_INGRESS, -1 },
        { "tailcall", "xdp_tailcall", NULL, HOOK_XDP, 2 },
        { "tailcall", "tc_tailcall", NULL, HOOK_TC_INGRESS, -1 },
        { "timer", "xdp_timer", NULL, HOOK_XDP, 2 },
        { "toolong", "xdp_toolong", NULL, HOOK_XDP, 2 },
        { "unknownsection", NULL, "xdp", HOOK_XDP, 2 },
        { "verdict-v2", "xdp_verdict", NULL, HOOK_XDP, 2 },
        { "voidctx", "xdp_voidctx", NULL, HOOK_XDP, 2 },
        { "voidctx", "tc_voidctx", NULL, HOOK_TC_INGRESS, -1 },
        { "frags", "xdp_frags", NULL, HOOK_XDP, 2 },
};

static void test_kinds(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                bool tc = hook_is_tc(kinds[i].hook);
                const char *plain = tc ? "tc_verdict" : "xdp_verdict";
                KernelProgram *programs[] = {
                        test_load_function(*state, "verdict", plain, TEST_NEUTRAL),
                        must_load(*state, &(TestProgram){ .name = "kind",
                                                          .object = kinds[i].object,
                                                          .function = kinds[i].function,
                                                          .type = kinds[i].type }),
                        test_load_function(*state, "verdict", plain, tc ? 2 : 1),
                };
                uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
                unsigned neutral = tc ? 0 : 2;
                OrderPacket packet;
                KernelFused *fused;
                FusedInfo info;
                int verdict;

                make_order_packet(&packet);
                fused = must_build(*state, kinds[i].hook, programs, 3, NULL, &info);
                verdict = test_run(fused, &packet, sizeof(packet), 1);
                if (verdict != (tc ? 2 : 1))
                        fail_msg("%s: %s: the chain did not go on: verdict %d", kinds[i].object,
                                 slot_form_to_string(info.forms[1]), verdict);
                test_counters(fused, counters);
                assert_int_equal(counters[0][neutral], 1);
                assert_int_equal(counters[1][neutral], 1);
                assert_int_equal(counters[2][tc ? 3 : 1], 1);
                assert_int_equal(test_hits(*state, programs[2]), 1);
                if (kernel_program_find_map(programs[1], "hits") >= 0)
                        assert_int_equal(test_hits(*state, programs[1]), 1);
                print_message("%s: %s, %u of %u processed\n", kinds[i].object, slot_form_to_string(info.forms[1]),
                              programs[1]->info.verified_insns, info.verified_insns);

                kernel_fused_free(fused);
                test_unref_all(programs, 3);
        }
}

/* All kinds of members of XDP that fit together, in one chain. */
static void test_all_kinds_together(void **state) {
        static const char *const skipped[] = { "manymaps", "globals", "maps", "toolong" };
        KernelProgram *programs[ELEMENTSOF(kinds)];
        OrderPacket packet;
        KernelFused *fused;
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                bool skip = hook_is_tc(kinds[i].hook);

                for (size_t j = 0; j < ELEMENTSOF(skipped); j++)
                        skip = skip || streq(kinds[i].object, skipped[j]);
                if (!skip)
                        programs[n++] = must_load(*state, &(TestProgram){ .name = kinds[i].object,
                                                                          .object = kinds[i].object,
                                                                          .function = kinds[i].function,
                                                                          .type = kinds[i].type });
        }
        make_order_packet(&packet);
        fused = must_build(*state, HOOK_XDP, programs, n, NULL, NULL);
        assert_int_equal(test_run(fused, &packet, sizeof(packet), 1), 2);
        for (size_t i = 0; i < n; i++)
                if (kernel_program_find_map(programs[i], "hits") >= 0)
                        assert_int_equal(test_hits(*state, programs[i]), 1);
        kernel_fused_free(fused);
        test_unref_all(programs, n);
}

/* Members as static functions, which is what becomes of one that is refused as a global one. */
static void test_static_form(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                KernelProgram *program = must_load(*state, &(TestProgram){ .name = "kind",
                                                                           .object = kinds[i].object,
                                                                           .function = kinds[i].function,
                                                                           .type = kinds[i].type });
                KernelFused *global = must_build(*state, kinds[i].hook, &program, 1, NULL, NULL), fused = {};
                uint32_t ids[64] = {};
                FuseMember member = { .name = "kind",
                                      .member = program->member,
                                      .map_fds = program->map_fds,
                                      .map_ids = ids,
                                      .n_maps = program->info.n_maps,
                                      .form = SLOT_FORM_STATIC };
                FuseInput input = { .hook = kinds[i].hook,
                                    .counters = COUNTER_LEVEL_ALL,
                                    .counters_fd = global->counters_fd,
                                    .trace_fd = -EBADF,
                                    .slots_fd = -EBADF,
                                    .carry_fd = -EBADF,
                                    .members = &member,
                                    .n_members = 1 };
                Error error = ERROR_INIT;
                OrderPacket packet;
                FuseLoad loaded = { .program_fd = -EBADF };
                FuseRetry retry;

                /* 496 bytes of stack and the root's, which are some even if it uses none, before 6.7 or so */
                if (fuse_load(&input, &member, "bc_static", &loaded, &retry, &error) < 0 &&
                    streq(kinds[i].object, "bigstack") && retry == FUSE_RETRY_FORMS) {
                        kernel_fused_free(global);
                        kernel_program_unref(program);
                        continue;
                }
                if (loaded.program_fd < 0)
                        fail_msg("%s: %s\n%s", kinds[i].object, strna(error.message), strna(error.log));
                assert_int_equal(member.form, SLOT_FORM_STATIC);
                make_order_packet(&packet);
                fused.program_fd = loaded.program_fd;
                assert_int_equal(test_run(&fused, &packet, sizeof(packet), 1), kinds[i].verdict);
                close(loaded.program_fd);
                kernel_fused_free(global);
                kernel_program_unref(program);
        }
}

/* A member that takes all the frames there are can't be called; one less can. */
static void test_deep_calls(void **state) {
        KernelProgram *deep = test_load_function(*state, "deepcalls", "xdp_deepcalls", TEST_NEUTRAL);
        KernelProgram *programs[] = { test_load_function(*state, "deepcalls", "xdp_almost_deepcalls", TEST_NEUTRAL),
                                      test_load_function(*state, "verdict", "xdp_verdict", 1) };
        KernelFused *fused = must_build(*state, HOOK_XDP, programs, 2, NULL, NULL);
        FusedInfo info;

        assert_int_equal(test_run(fused, NULL, 0, 1), 1);
        kernel_fused_free(fused);

        /* inlined, its main function is the root's frame and leaves one more to its calls */
        fused = must_build(*state, HOOK_XDP, &deep, 1, NULL, NULL);
        assert_int_equal(test_run(fused, NULL, 0, 1), 2);
        kernel_fused_free(fused);

        /* called, it has one frame too few, and gets a program of its own */
        deep->info.verified_insns = 1000000 / 2;
        kernel_program_unref(programs[0]);
        programs[0] = deep;
        fused = must_build(*state, HOOK_XDP, programs, 2, NULL, &info);
        assert_int_equal(info.forms[0], SLOT_FORM_SLOT);
        assert_non_null(strstr(info.reasons[0], "too deep"));
        assert_int_equal(info.forms[1], SLOT_FORM_INLINED);
        assert_int_equal(test_run(fused, NULL, 0, 1), 1);
        kernel_fused_free(fused);
        test_unref_all(programs, 2);
}

/* A program that uses more of its stack than the verifier says, and all registers: what the chain keeps stays. */
static void test_saved_registers(void **state) {
        KernelProgram *programs[] = { test_load_function(*state, "fastcall", "xdp_fastcall", TEST_NEUTRAL), NULL,
                                      NULL };
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        OrderPacket packet;

        programs[1] = programs[2] = programs[0];
        make_order_packet(&packet);
        for (size_t n = 1; n <= ELEMENTSOF(programs); n++) {
                FusedInfo info;
                KernelFused *fused = must_build(*state, HOOK_XDP, programs, n, NULL, &info);

                for (size_t i = 0; i < n; i++)
                        assert_int_equal(info.forms[i], SLOT_FORM_INLINED);
                assert_int_equal(test_run(fused, &packet, sizeof(packet), 5), 2);
                test_counters(fused, counters);
                for (size_t i = 0; i < n; i++) {
                        assert_int_equal(counters[i][2], 5);
                        assert_int_equal(counters[i][COUNTER_SEEN_BYTES], 5 * sizeof(packet));
                }
                assert_int_equal(counters[n - 1][COUNTER_ENDED_BYTES], 5 * sizeof(packet));
                kernel_fused_free(fused);
        }
        kernel_program_unref(programs[0]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_remember_fds, test_compare_fds)
                TEST(test_kinds),      TEST(test_all_kinds_together), TEST(test_static_form),
                TEST(test_deep_calls), TEST(test_saved_registers),
        };

        if (geteuid() != 0) {
                printf("SKIP: loading BPF programs needs root\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, kernel_fixture_setup, kernel_fixture_teardown);
}
