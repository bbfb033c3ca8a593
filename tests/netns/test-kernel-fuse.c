/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fused chains in the kernel: what they answer, in which order their members run, what they count. */

#include "kernel-fixture.h"

static void test_two_members(void **state) {
        KernelProgram *programs[] = {
                must_load(*state, &(TestProgram){ .name = "a", .object = "verdict", .function = "xdp_verdict" }),
                must_load(*state, &(TestProgram){ .name = "b",
                                                  .object = "verdict",
                                                  .function = "xdp_verdict",
                                                  .globals = "{\"verdict\": 1}" }),
        };
        uint64_t counters[CHAIN_SEATS_MAX][VERDICT_BUCKETS];
        FusedInfo info;
        KernelFused *fused = must_build(*state, HOOK_XDP, programs, 2, NULL, &info);

        assert_int_equal(test_run(fused, NULL, 0, 10), 1);
        assert_int_equal(test_hits(*state, programs[0]), 10);
        assert_int_equal(test_hits(*state, programs[1]), 10);
        test_counters(fused, counters);
        assert_int_equal(counters[0][2], 10);
        assert_int_equal(counters[1][1], 10);
        assert_int_equal(info.forms[0], SLOT_FORM_GLOBAL);
        print_message("build %lu load %lu insns %u verified %u\n", info.build_usec, info.load_usec, info.insns,
                      info.verified_insns);

        kernel_fused_free(fused);
        kernel_program_unref(programs[0]);
        kernel_program_unref(programs[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_two_members),
        };

        if (geteuid() != 0) {
                printf("SKIP: loading BPF programs needs root\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, kernel_fixture_setup, kernel_fixture_teardown);
}
