/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fused chains in the kernel: what they answer, in which order their members run, what they count, what they refuse.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>

#include "kernel-fixture.h"

/* With tail calls into arrays that may be filled later. */
static KernelProgram *load_with_tail_calls(void **state, const char *object, const char *function) {
        return must_load(
                *state,
                &(TestProgram){ .name = function, .object = object, .function = function, .keep_tail_calls = true });
}

static void test_two_members(void **state) {
        KernelProgram *programs[] = { test_load_function(*state, "verdict", "xdp_verdict", TEST_NEUTRAL),
                                      test_load_function(*state, "verdict", "xdp_verdict", 1) };
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        FusedInfo info;
        KernelFused *fused = must_build(*state, HOOK_XDP, programs, 2, NULL, &info);

        assert_int_equal(test_run(fused, NULL, 0, 1000), 1);
        assert_int_equal(test_hits(*state, programs[0]), 1000);
        assert_int_equal(test_hits(*state, programs[1]), 1000);
        test_counters(fused, counters);
        assert_int_equal(counters[0][2], 1000);
        assert_int_equal(counters[1][1], 1000);
        assert_int_equal(counters[0][COUNTER_ENDED + 2], 0);
        assert_int_equal(counters[1][COUNTER_ENDED + 1], 1000);

        assert_int_equal(info.forms[0], SLOT_FORM_INLINED);
        assert_int_equal(info.forms[1], SLOT_FORM_INLINED);
        assert_int_equal(info.program_id, fused->program_id);
        assert_string_equal(fused->name, "bc_0123456789ab");
        assert_int_equal(strlen(info.tag), 16);
        assert_true(info.insns > 40 && info.verified_insns > 40);

        kernel_fused_free(fused);
        test_unref_all(programs, 2);
}

/* One program for each verdict, the last one for a value that is no verdict. */
static size_t load_verdicts(void **state, Hook hook, KernelProgram *ret[VERDICT_BUCKETS]) {
        unsigned n = verdict_buckets(hook);

        for (unsigned i = 0; i < n; i++)
                ret[i] = test_load_function(*state, "verdict", hook_is_tc(hook) ? "tc_verdict" : "xdp_verdict",
                                            i + 1 < n ? verdict_bucket_to_value(hook, i) : 77);
        return n;
}

static void check_proceed(void **state, Hook hook, KernelProgram *first, unsigned bucket, KernelProgram *last,
                          uint32_t set) {
        KernelProgram *programs[] = { first, last };
        uint32_t sets[] = { set, 0 };
        bool proceeds = set & (1U << bucket);
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        unsigned last_bucket = verdict_buckets(hook) - 1;
        KernelFused *fused = must_build(*state, hook, programs, 2, sets, NULL);
        int expected = bucket == last_bucket ? 77 : verdict_bucket_to_value(hook, bucket);
        int verdict = test_run(fused, NULL, 0, 3);

        if (verdict != (proceeds ? 77 : expected))
                fail_msg("%s: set %#x, verdict %d: the chain says %d", hook_to_string(hook), set, expected, verdict);
        test_counters(fused, counters);
        for (unsigned i = 0; i < VERDICT_BUCKETS; i++) {
                assert_int_equal(counters[0][i], i == bucket ? 3 : 0);
                assert_int_equal(counters[0][COUNTER_ENDED + i], i == bucket && !proceeds ? 3 : 0);
                assert_int_equal(counters[1][i], i == last_bucket && proceeds ? 3 : 0);
                assert_int_equal(counters[1][COUNTER_ENDED + i], i == last_bucket && proceeds ? 3 : 0);
        }
        kernel_fused_free(fused);
}

static void test_all_sets_xdp(void **state) {
        KernelProgram *programs[VERDICT_BUCKETS];
        size_t n = load_verdicts(state, HOOK_XDP, programs);

        for (uint32_t set = 0; set < 1U << n; set++)
                for (unsigned bucket = 0; bucket < n; bucket++)
                        check_proceed(state, HOOK_XDP, programs[bucket], bucket, programs[n - 1], set);
        test_unref_all(programs, n);
}

/* There are 2048 sets; those of one, of two and of all but one, and some of the others, three verdicts each. The
 * builder's own test goes through them all. */
static void test_many_sets_tc(void **state) {
        KernelProgram *programs[VERDICT_BUCKETS];
        size_t n = load_verdicts(state, HOOK_TC_INGRESS, programs);

        for (uint32_t set = 0; set < 1U << n; set++) {
                unsigned bits = (unsigned) __builtin_popcount(set);

                if (bits > 2 && bits + 2 < n && set % 29 != 0)
                        continue;
                for (unsigned i = 0; i < 3; i++) {
                        unsigned bucket = (unsigned) ((set * (2 * i + 1) + i) % n);

                        check_proceed(state, set % 2 ? HOOK_TC_INGRESS : HOOK_TC_EGRESS, programs[bucket], bucket,
                                      programs[n - 1], set);
                }
        }
        test_unref_all(programs, n);
}

static void check_order(void **state, Hook hook, size_t n) {
        KernelProgram *programs[CHAIN_SLOTS_MAX];
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        OrderPacket packet, out;
        KernelFused *fused;
        FusedInfo info;
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &packet, .data_size_in = sizeof(packet), .data_out = &out,
                    .data_size_out = sizeof(out), .repeat = 1);

        for (size_t i = 0; i < n; i++) {
                char globals[64], name[32];

                snprintf(globals, sizeof(globals), "{\"id\": %zu, \"generation\": 7}", (i * 37 + 11) % 64);
                snprintf(name, sizeof(name), "order%zu", i);
                programs[i] =
                        must_load(*state, &(TestProgram){ .name = name,
                                                          .object = "order",
                                                          .function = hook_is_tc(hook) ? "tc_order" : "xdp_order",
                                                          .globals = globals });
        }
        make_order_packet(&packet);
        fused = must_build(*state, hook, programs, n, NULL, &info);
        assert_int_equal(bpf_prog_test_run_opts(fused->program_fd, &opts), 0);
        assert_int_equal((int) opts.retval, hook_is_tc(hook) ? -1 : 2);
        assert_int_equal(out.order.count, n);
        test_counters(fused, counters);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(out.order.entries[i].id, (i * 37 + 11) % 64);
                assert_int_equal(counters[i][hook_is_tc(hook) ? 0 : 2], 1);
        }
        print_message("%s, %zu members: build %" PRIu64 " us, load %" PRIu64 " us, %u instructions, %u processed\n",
                      hook_to_string(hook), n, info.build_usec, info.load_usec, info.insns, info.verified_insns);

        kernel_fused_free(fused);
        test_unref_all(programs, n);
}

static void test_order(void **state) {
        static const size_t sizes[] = { 1, 2, 8, 31 };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                check_order(state, HOOK_XDP, sizes[i]);
                check_order(state, HOOK_TC_INGRESS, sizes[i]);
        }
}

/* As many as there can be. They must not have two maps each: nobtf has none. */
static void test_64_slots(void **state) {
        KernelProgram *program =
                must_load(*state, &(TestProgram){ .name = "nobtf", .object = "nobtf", .function = "xdp_nobtf" });
        KernelProgram *programs[CHAIN_SLOTS_MAX + 1];
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        _cleanup_error_ Error error = ERROR_INIT;
        KernelFused *fused;

        for (size_t i = 0; i < ELEMENTSOF(programs); i++)
                programs[i] = program;
        fused = must_build(*state, HOOK_XDP, programs, CHAIN_SLOTS_MAX, NULL, NULL);
        assert_int_equal(test_run(fused, NULL, 0, 5), 2);
        test_counters(fused, counters);
        for (size_t i = 0; i < CHAIN_SLOTS_MAX; i++)
                assert_int_equal(counters[i][2], 5);
        kernel_fused_free(fused);

        assert_int_equal(test_build(*state, HOOK_XDP, programs, CHAIN_SLOTS_MAX + 1, NULL, &fused, NULL, &error),
                         -E2BIG);
        assert_int_equal(error.code, ERROR_LIMIT_EXCEEDED);
        assert_non_null(strstr(error.message, "65"));
        assert_non_null(strstr(error.message, "64"));
        kernel_program_unref(program);
}

/* Any row of the counters may be a slot's. */
static void test_seats(void **state) {
        KernelProgram *program = test_load_function(*state, "verdict", "xdp_verdict", TEST_NEUTRAL);
        FuseSlot slots[] = { { program, "a", 1 << 2, CHAIN_SEATS_MAX - 1 },
                             { program, "b", 1 << 2, 3 },
                             { program, "c", 1 << 2, CHAIN_SEATS_MAX } };
        FuseRequest request = { "bct-none", 1,    HOOK_XDP,       "00112233445566", slots,
                                2,          NULL, SLOT_FORM_NONE, COUNTER_LEVEL_ALL };
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        _cleanup_error_ Error error = ERROR_INIT;
        KernelFused *fused = NULL;
        FusedInfo info;

        assert_int_equal(kernel_chain_build(*state, &request, &fused, &info, &error), 0);
        test_run(fused, NULL, 0, 4);
        test_counters(fused, counters);
        for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++)
                assert_int_equal(counters[i][2], i == 3 || i == CHAIN_SEATS_MAX - 1 ? 4 : 0);
        kernel_fused_free(fused);

        request.n_slots = 3;
        assert_int_equal(kernel_chain_build(*state, &request, &fused, &info, &error), -EINVAL);
        kernel_program_unref(program);
}

/* A tail call ends in the chain's next slot, not in the end of the chain. */
static void test_tail_call(void **state) {
        KernelProgram *programs[] = { load_with_tail_calls(state, "tailcall", "xdp_tailcall"),
                                      test_load_function(*state, "verdict", "xdp_verdict", 3) };
        KernelProgram *targets[] = { test_load_function(*state, "tailcall", "xdp_tailcall_target", TEST_NEUTRAL) };
        uint32_t sets[] = { 1 << 1 | 1 << 2, 0 }, key = 1;
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        KernelFused *fused = must_build(*state, HOOK_XDP, programs, 2, sets, NULL), *target;
        ssize_t jumps = kernel_program_find_map(programs[0], "jumps");

        assert_int_equal(test_run(fused, NULL, 0, 1), 3);
        test_counters(fused, counters);
        assert_int_equal(counters[0][2], 1);

        /* a chain is a fine target */
        target = must_build(*state, HOOK_XDP, targets, 1, NULL, NULL);
        assert_int_equal(bpf_map_update_elem(programs[0]->map_fds[jumps], &key, &target->program_fd, BPF_ANY), 0);
        assert_int_equal(test_run(fused, NULL, 0, 10), 3);
        test_counters(fused, counters);
        assert_int_equal(counters[0][1], 10);
        assert_int_equal(counters[1][3], 11);
        assert_int_equal(test_hits(*state, targets[0]), 10);

        kernel_fused_free(target);
        kernel_fused_free(fused);
        test_unref_all(targets, 1);
        test_unref_all(programs, 2);
}

/* Does the error have this code and all of these words? */
static void check_error(const Error *error, ErrorCode code, const char *const *words) {
        if (error->code != code)
                fail_msg("%s: %s", error_code_to_string(error->code), strna(error->message));
        for (; *words; words++)
                if (!strstr(error->message, *words))
                        fail_msg("\"%s\" lacks \"%s\"", error->message, *words);
        print_message("%s\n", error->message);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void check_build_error(void **state, Hook hook, KernelProgram **programs, size_t n, ErrorCode code,
                              const char *const *words) {
        _cleanup_error_ Error error = ERROR_INIT;
        KernelFused *fused = NULL;
        unsigned fds = test_count_fds();

        assert_int_equal(test_build(*state, hook, programs, n, NULL, &fused, NULL, &error),
                         error_code_to_errno(code));
        assert_null(fused);
        check_error(&error, code, words);
        assert_int_equal(test_count_fds(), fds);
}

/* What is too much for one program goes on in further ones, where each packet meets the same members. */
static void check_segments(void **state, KernelProgram **programs, size_t n, unsigned n_segments) {
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        FusedInfo info;
        KernelFused *fused = must_build(*state, HOOK_XDP, programs, n, NULL, &info);

        assert_int_equal(info.n_segments, n_segments);
        assert_true(fused->slots_fd >= 0);
        assert_int_equal(test_run(fused, NULL, 0, 3), XDP_PASS);
        test_counters(fused, counters);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(counters[i][XDP_PASS], 3);
                assert_int_equal(counters[i][COUNTER_ENDED + XDP_PASS], i + 1 == n ? 3 : 0);
        }
        kernel_fused_free(fused);
        test_unref_all(programs, n);
}

static void test_limits(void **state) {
        KernelProgram *programs[CHAIN_SLOTS_MAX];

        for (size_t i = 0; i < 4; i++)
                programs[i] = test_load_function(*state, "manymaps", "xdp_manymaps", TEST_NEUTRAL);
        check_segments(state, programs, 4, 2);

        for (size_t i = 0; i < 3; i++)
                programs[i] = load_with_tail_calls(state, "manytailcalls", "xdp_manytailcalls");
        check_build_error(state, HOOK_XDP, programs, 3, ERROR_LIMIT_EXCEEDED, WORDS("36", "33", "tail calls"));
        test_unref_all(programs, 3);

        for (size_t i = 0; i < 52; i++)
                programs[i] = i == 0 ? test_load_function(*state, "subprog", "xdp_subprog", TEST_NEUTRAL)
                                     : kernel_program_ref(programs[0]);
        check_segments(state, programs, 52, 2);

        for (size_t i = 0; i < 4; i++)
                programs[i] = test_load_function(*state, "toolong", "xdp_toolong", TEST_NEUTRAL);
        check_segments(state, programs, 4, 2);
}

static void test_wrong_hook(void **state) {
        KernelProgram *xdp = test_load_function(*state, "verdict", "xdp_verdict", TEST_NEUTRAL);
        KernelProgram *tc = test_load_function(*state, "verdict", "tc_verdict", TEST_NEUTRAL);

        check_build_error(state, HOOK_TC_INGRESS, &xdp, 1, ERROR_INCOMPATIBLE,
                          WORDS("xdp_verdict", "XDP", "tc-ingress"));
        check_build_error(state, HOOK_XDP, &tc, 1, ERROR_INCOMPATIBLE, WORDS("tc_verdict", "TC", "xdp"));
        kernel_program_unref(xdp);
        kernel_program_unref(tc);
}

/* A chain takes packets of several buffers only if all its members take such: so a veth with a large MTU, which needs
 * that, takes the one chain and not the other. */
static void test_frags(void **state) {
        KernelProgram *programs[] = { test_load_function(*state, "frags", "xdp_frags", TEST_NEUTRAL),
                                      test_load_function(*state, "frags", "xdp_frags", TEST_NEUTRAL),
                                      test_load_function(*state, "verdict", "xdp_verdict", TEST_NEUTRAL) };
        LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
        KernelFused *fused;
        int netns, link, ifindex;

        assert_true(programs[0]->info.frags);
        assert_false(programs[2]->info.frags);

        netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        assert_true(netns >= 0);
        assert_int_equal(unshare(CLONE_NEWNET), 0);
        assert_int_equal(system("ip link add bct-a mtu 9000 type veth peer name bct-b mtu 9000"), 0);
        ifindex = (int) if_nametoindex("bct-a");

        fused = must_build(*state, HOOK_XDP, programs, 3, NULL, NULL);
        assert_int_equal(bpf_link_create(fused->program_fd, ifindex, BPF_XDP, &opts), -ERANGE);
        kernel_fused_free(fused);

        fused = must_build(*state, HOOK_XDP, programs, 2, NULL, NULL);
        link = bpf_link_create(fused->program_fd, ifindex, BPF_XDP, &opts);
        assert_true(link >= 0);
        close(link);
        kernel_fused_free(fused);

        assert_int_equal(setns(netns, CLONE_NEWNET), 0);
        close(netns);
        test_unref_all(programs, 3);
}

static void check_load_error(void **state, const TestProgram *what, ErrorCode code, const char *where,
                             const char *const *words, bool log) {
        _cleanup_error_ Error error = ERROR_INIT;
        KernelProgram *program = NULL;
        unsigned fds = test_count_fds();

        assert_int_equal(test_load(*state, what, &program, NULL, &error), error_code_to_errno(code));
        assert_null(program);
        check_error(&error, code, words);
        assert_string_equal(error.where, where);
        assert_int_equal(error.log != NULL, log);
        assert_int_equal(test_count_fds(), fds);
}

/* A prog_array that the object fills: all that is in it is loaded, and runs in the chain. */
static void test_filled_prog_array(void **state) {
        static const int verdicts[] = { 1, 3, 2 };

        for (int i = 0; i < 3; i++) {
                char globals[32];
                KernelProgram *programs[2];
                uint32_t sets[] = { 1 << 1 | 1 << 2, 0 };
                uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
                KernelFused *fused;

                snprintf(globals, sizeof(globals), "{\"target\": %d}", i);
                programs[0] = must_load(*state, &(TestProgram){ .name = "jumps",
                                                                .object = "jumps",
                                                                .function = "xdp_jumps",
                                                                .globals = globals });
                programs[1] = test_load_function(*state, "verdict", "xdp_verdict", 0);
                fused = must_build(*state, HOOK_XDP, programs, 2, sets, NULL);
                assert_int_equal(test_run(fused, NULL, 0, 1), i == 1 ? 3 : 0);
                test_counters(fused, counters);
                assert_int_equal(counters[0][verdicts[i]], 1);
                kernel_fused_free(fused);
                test_unref_all(programs, 2);
        }
}

static void test_frags_and_tail_calls(void **state) {
        KernelProgram *programs[] = { load_with_tail_calls(state, "fragsjump", "xdp_fragsjump"),
                                      test_load_function(*state, "frags", "xdp_frags", 1) };
        KernelFused *fused = must_build(*state, HOOK_XDP, programs, 2, NULL, NULL);

        assert_int_equal(test_run(fused, NULL, 0, 1), 1);
        kernel_fused_free(fused);
        kernel_program_unref(programs[1]);
        programs[1] = test_load_function(*state, "verdict", "xdp_verdict", 1);
        check_build_error(state, HOOK_XDP, programs, 2, ERROR_INCOMPATIBLE,
                          WORDS("xdp_fragsjump", "xdp_verdict", "xdp.frags"));
        test_unref_all(programs, 2);
}

static void test_licences(void **state) {
        KernelProgram *programs[] = { must_load(*state, &(TestProgram){ .name = "p",
                                                                        .object = "proprietary",
                                                                        .function = "xdp_proprietary" }),
                                      test_load_function(*state, "verdict", "xdp_verdict", 1) };
        KernelFused *fused = must_build(*state, HOOK_XDP, programs, 2, NULL, NULL);

        assert_int_equal(test_run(fused, NULL, 0, 1), 1);
        kernel_fused_free(fused);
        test_unref_all(programs, 2);
        check_load_error(state, &(TestProgram){ .name = "bad", .object = "proprietary", .function = "xdp_gplonly" },
                         ERROR_VERIFIER_REJECTED, "programs.bad", WORDS("xdp_gplonly", "GPL"), true);
}

static void test_refused_members(void **state) {
        check_load_error(state, &(TestProgram){ .name = "bad", .object = "rejected", .function = "xdp_rejected" },
                         ERROR_VERIFIER_REJECTED, "programs.bad",
                         WORDS("xdp_rejected", "invalid access to packet", "data[100]", "rejected.bpf.c:"), true);
        check_load_error(state, &(TestProgram){ .name = "bad", .object = "rejected", .function = "tc_rejected" },
                         ERROR_VERIFIER_REJECTED, "programs.bad", WORDS("tc_rejected", "invalid access to packet"),
                         true);
        check_load_error(state, &(TestProgram){ .name = "bad", .object = "missingfunction" }, ERROR_INCOMPATIBLE,
                         "programs.bad", WORDS("bct_no_such_function"), false);
        check_load_error(state, &(TestProgram){ .name = "bad", .object = "missingmember" }, ERROR_VERIFIER_REJECTED,
                         "programs.bad", WORDS("xdp_missingmember", "struct task_struct.bct_no_such_member"), true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_remember_fds, test_compare_fds)
                TEST(test_two_members),       TEST(test_all_sets_xdp),
                TEST(test_many_sets_tc),      TEST(test_order),
                TEST(test_64_slots),          TEST(test_seats),
                TEST(test_tail_call),         TEST(test_limits),
                TEST(test_wrong_hook),        TEST(test_frags),
                TEST(test_filled_prog_array), TEST(test_frags_and_tail_calls),
                TEST(test_licences),          TEST(test_refused_members),
        };

        if (geteuid() != 0) {
                printf("SKIP: loading BPF programs needs root\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, kernel_fixture_setup, kernel_fixture_teardown);
}
