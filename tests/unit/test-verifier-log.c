/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading logs of the verifier, real ones shortened, and ones that nobody wrote. */

#include "check.h"
#include "kernel/verifier-log.h"

static const char refusal[] = "func#0 @0\n"
                              "0: R1=ctx() R10=fp0\n"
                              "; __u8 *data = (void *) (long) ctx->data; @ rejected.bpf.c:8\n"
                              "0: (61) r6 = *(u32 *)(r1 +0)          ; R1=ctx() R6_w=pkt(r=0)\n"
                              "; return data[100] == 1 ? XDP_DROP : XDP_PASS; @ rejected.bpf.c:11\n"
                              "13: (71) r1 = *(u8 *)(r6 +100)          ; R1=scalar() R6_w=pkt(r=0)\n"
                              "invalid access to packet, off=100 size=1, R6(id=0,off=100,r=0)\n"
                              "R6 offset is outside of the packet\n"
                              "verification time 114 usec\n"
                              "stack depth 8\n"
                              "processed 14 insns (limit 1000000) max_states_per_insn 0 total_states 3 peak_states 2 "
                              "mark_read 1\n";

static void test_refusal(void **state) {
        _cleanup_free_ char *summary = verifier_log_summary(refusal);

        assert_string_equal(
                summary,
                "invalid access to packet, off=100 size=1, R6(id=0,off=100,r=0); R6 offset is outside of the "
                "packet, at \"return data[100] == 1 ? XDP_DROP : XDP_PASS; @ rejected.bpf.c:11\", "
                "instruction 13: (71) r1 = *(u8 *)(r6 +100)");
        assert_int_equal(verifier_log_instruction(refusal), 13);
        assert_false(verifier_log_too_complex(refusal));
        assert_false(verifier_log_too_deep(refusal));
}

static void test_stats(void **state) {
        VerifierStats stats;

        verifier_log_stats(refusal, &stats);
        assert_int_equal(stats.insns, 14);
        assert_int_equal(stats.states_total, 3);
        assert_int_equal(stats.stack_depth, 8);

        verifier_log_stats("stack depth 0+16+496+32\nprocessed 4294967295 insns", &stats);
        assert_int_equal(stats.stack_depth, 496);
        assert_int_equal(stats.insns, UINT32_MAX);
        assert_int_equal(stats.states_total, 0);

        verifier_log_stats("", &stats);
        assert_int_equal(stats.insns, 0);
        verifier_log_stats("stack depth \nstack depth +\nprocessed", &stats);
        assert_int_equal(stats.stack_depth, 0);
}

static void test_limits(void **state) {
        assert_true(verifier_log_too_complex(
                "BPF program is too large. Processed 1000001 insn\nprocessed 1000001 insns"));
        assert_true(verifier_log_too_deep("combined stack size of 3 calls is 544. Too large\n"));
        assert_false(verifier_log_too_deep("the call stack of 9 frames is too deep !\n"));
        assert_true(verifier_log_too_nested("the call stack of 9 frames is too deep !\n"));
        assert_false(verifier_log_too_nested("combined stack size of 3 calls is 544. Too large\n"));
}

static void test_odd_logs(void **state) {
        static const char *const logs[] = { "",
                                            "\n",
                                            "\n\n\n",
                                            "no newline",
                                            "; ",
                                            "12",
                                            "12: (",
                                            "99999999999999999999: (bf) r0 = r1",
                                            "; \x1b[31mred\xff\n1: (95) exit\n" };

        for (size_t i = 0; i < ELEMENTSOF(logs); i++) {
                _cleanup_free_ char *summary = verifier_log_summary(logs[i]), *copy = verifier_log_copy(logs[i]);

                assert_non_null(summary);
                assert_true(strlen(summary) > 0);
                for (const char *p = summary; *p; p++)
                        assert_true(*p >= ' ' && *p <= '~');
                for (const char *p = copy; *p; p++)
                        assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
        }
        assert_int_equal(verifier_log_instruction("; source\n"), -ENOENT);
}

/* Of a long log the end is kept, from the beginning of a line; a summary stays short. */
static void test_long_log(void **state) {
        size_t n = 2 * VERIFIER_LOG_KEPT;
        _cleanup_free_ char *log = malloc(n + 64), *copy = NULL, *summary = NULL;

        for (size_t i = 0; i < n; i++)
                log[i] = i % 100 == 99 ? '\n' : 'x';
        strcpy(log + n, "the end\n");
        copy = verifier_log_copy(log);
        assert_true(strlen(copy) <= VERIFIER_LOG_KEPT);
        assert_true(strlen(copy) > VERIFIER_LOG_KEPT - 128);
        assert_int_equal(strchr(copy, '\n') - copy, 99);
        assert_non_null(strstr(copy, "the end"));

        memset(log, 'x', n);
        log[n] = '\0';
        summary = verifier_log_summary(log);
        assert_true(strlen(summary) < 2000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refusal),  cmocka_unit_test(test_stats),    cmocka_unit_test(test_limits),
                cmocka_unit_test(test_odd_logs), cmocka_unit_test(test_long_log),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
