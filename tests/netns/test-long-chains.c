/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chains of as many programs as there may be, which take more than one program of the kernel's: what they answer, in
 * which order they do what they do, and what they count. */

#include <bpf/bpf.h>
#include <linux/pkt_cls.h>
#include <net/if.h>

#include "kernel/uapi.h"
#include "matrix.h"

typedef struct Chain {
        Kernel *kernel;
        Hook hook;
        KernelProgram *programs[CHAIN_SLOTS_MAX];
        uint8_t ids[CHAIN_SLOTS_MAX]; /* of those that leave a trace, in order */
        size_t n_ids;
        size_t n;
        KernelFused *fused;
        FusedInfo info;
} Chain;

static void chain_add(Chain *chain, const char *object, const char *function, const char *globals) {
        assert_true(chain->n < CHAIN_SLOTS_MAX);
        chain->programs[chain->n++] = matrix_load_program(chain->kernel, object, function, globals);
}

/* A program that leaves its number in the packet. */
static void chain_add_tracer(Chain *chain, const char *object) {
        uint8_t id = (uint8_t) (chain->n * 37 + 11);
        char globals[64];

        snprintf(globals, sizeof(globals), "{\"id\": %u, \"generation\": 1}", id);
        chain_add(chain, object, hook_is_tc(chain->hook) ? "tc_order" : "xdp_order", globals);
        chain->ids[chain->n_ids++] = id;
}

static int chain_try(Chain *chain, SlotForm limit, Error *error) {
        return matrix_build(chain->kernel, chain->hook, chain->programs, chain->n, limit, &chain->fused, &chain->info,
                            error);
}

static void chain_build(Chain *chain) {
        _cleanup_error_ Error error = ERROR_INIT;

        if (chain_try(chain, SLOT_FORM_NONE, &error) < 0)
                fail_msg("%s\n%s", strempty_to(error.message, "no reason"), strempty_to(error.log, ""));
        print_message("%s: %zu programs in %u segments, %u instructions, build %" PRIu64 " us, load %" PRIu64 " us\n",
                      hook_to_string(chain->hook), chain->n, chain->info.n_segments, chain->info.insns,
                      chain->info.build_usec, chain->info.load_usec);
}

static void chain_done(Chain *chain) {
        kernel_fused_free(chain->fused);
        for (size_t i = 0; i < chain->n; i++)
                kernel_program_unref(chain->programs[i]);
}

/* All programs let n packets of this size on, or all before the one at `end`, which answered `verdict`. */
static void chain_check_counters(const Chain *chain, uint64_t n, size_t size, size_t end, int verdict) {
        unsigned first = hook_is_tc(chain->hook) ? 1 : 0, pass = hook_is_tc(chain->hook) ? 0 : 2;
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];

        test_counters(chain->fused, counters);
        for (size_t i = 0; i < CHAIN_SEATS_MAX; i++) {
                unsigned bucket = i == end ? (unsigned) verdict + first : pass;
                uint64_t seen = i <= end && i < chain->n ? n : 0, ended = i == end ? n : 0, rest = 0;

                for (unsigned j = 0; j < VERDICT_BUCKETS; j++)
                        rest += counters[i][j] + counters[i][COUNTER_ENDED + j];
                if (counters[i][bucket] != seen || counters[i][COUNTER_ENDED + bucket] != ended ||
                    rest != seen + ended)
                        fail_msg("slot %zu: saw %" PRIu64 " of %" PRIu64 ", ended %" PRIu64 " of %" PRIu64, i,
                                 counters[i][bucket], seen, counters[i][COUNTER_ENDED + bucket], ended);
                assert_int_equal(counters[i][COUNTER_SEEN_BYTES], seen * size);
                assert_int_equal(counters[i][COUNTER_ENDED_BYTES], ended * size);
        }
}

static void chain_check(const Chain *chain) {
        MatrixRun run = {};

        matrix_traced_packet(&run.in);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(matrix_send(&run, chain->fused), hook_is_tc(chain->hook) ? TC_ACT_UNSPEC : 2);
                matrix_check_trace(&run.out, chain->ids, chain->n_ids);
        }
        chain_check_counters(chain, 3, run.in.size, chain->n - 1, hook_is_tc(chain->hook) ? TC_ACT_UNSPEC : 2);
        for (size_t i = 0; i < chain->n; i++)
                if (kernel_program_find_map(chain->programs[i], "hits") >= 0)
                        assert_int_equal(test_hits(chain->kernel, chain->programs[i]), 3);
}

/* What may stand between tracers, all forms among it. */
static const struct {
        const char *object;
        const char *function;
        const char *globals;
} kinds[][16] = {
        [HOOK_XDP] = {
                { "samename-a", "xdp_samename", NULL },   { "samename-b", "xdp_samename", NULL },
                { "spinlock", "xdp_spinlock", NULL },     { "callback", "xdp_callback", NULL },
                { "subprog", "xdp_subprog", NULL },       { "timer", "xdp_timer", NULL },
                { "ringbuf", "xdp_ringbuf", NULL },       { "dynptr", "xdp_dynptr", NULL },
                { "jumps", "xdp_jumps", "{\"target\": 2}" }, { "iterators", "xdp_iterators", NULL },
                { "datasections", "xdp_datasections", NULL }, { "bigstack", "xdp_bigstack", NULL },
                { "nobtf", "xdp_nobtf", NULL },           { "nofuncinfo", "xdp_nofuncinfo", NULL },
                { "voidctx", "xdp_voidctx", NULL },       { "switch", "xdp_switch", NULL },
        },
        [HOOK_TC_INGRESS] = {
                { "verdict", "tc_verdict", NULL },        { "subprog", "tc_subprog", NULL },
                { "dynptr", "tc_dynptr", NULL },          { "skbfields", "tc_fields_write", NULL },
                { "packetload", "tc_packetload", NULL },  { "iterators", "tc_iterators", NULL },
                { "voidctx", "tc_voidctx", NULL },        { "nobtf", "tc_nobtf", NULL },
                { "switch", "tc_switch", NULL },          { "csum", "tc_csum", NULL },
                { "bytes", "tc_bytes", NULL },            { "sockets", "tc_sockets", NULL },
                { "oddsection", "odd_tc", NULL },         { "perfevent", "tc_perfevent", NULL },
                { "skbfields", "tc_fields_read", NULL },  { "skbchange", "tc_pull_data", NULL },
        },
};

static void check_mixed(Kernel *kernel, Hook hook) {
        Chain chain = { .kernel = kernel, .hook = hook };
        unsigned forms[_SLOT_FORM_MAX] = {};

        while (chain.n < CHAIN_SLOTS_MAX) {
                size_t i = chain.n / 2 % ELEMENTSOF(kinds[0]);

                chain_add(&chain, kinds[hook][i].object, kinds[hook][i].function, kinds[hook][i].globals);
                chain_add_tracer(&chain, "order");
        }
        chain_build(&chain);
        assert_true(chain.info.n_segments > 1);
        for (size_t i = 0; i < chain.n; i++)
                forms[chain.info.forms[i]]++;
        print_message("%u inlined, %u global, %u static, %u in slots\n", forms[SLOT_FORM_INLINED],
                      forms[SLOT_FORM_GLOBAL], forms[SLOT_FORM_STATIC], forms[SLOT_FORM_SLOT]);
        /* one that takes nearly all of the stack leaves those beside it no room to be inlined */
        assert_true(forms[SLOT_FORM_INLINED] >= 16);
        assert_true(forms[SLOT_FORM_GLOBAL] > 0);
        chain_check(&chain);
        chain_done(&chain);
}

/* 64 programs of 32 kinds, each with maps of its own. */
static void test_mixed_xdp(void **state) {
        check_mixed(*state, HOOK_XDP);
}

static void test_mixed_tc(void **state) {
        check_mixed(*state, HOOK_TC_INGRESS);
}

/* 64 programs with four maps each: 256, and one program may have 64. */
static void test_maps(void **state) {
        Chain chain = { .kernel = *state, .hook = HOOK_XDP };

        while (chain.n < CHAIN_SLOTS_MAX)
                chain_add(&chain, "samename-a", "xdp_samename", NULL);
        chain_build(&chain);
        assert_in_range(chain.info.n_segments, 4, 8);
        chain_check(&chain);
        for (size_t i = 0; i < chain.n; i++)
                assert_int_equal(matrix_variable(chain.programs[i], "effect"), 3);
        chain_done(&chain);
}

/* 21 maps each, so that no more than two fit one program. */
static void test_many_maps(void **state) {
        Chain chain = { .kernel = *state, .hook = HOOK_XDP };

        while (chain.n < CHAIN_SLOTS_MAX)
                chain_add(&chain, "manymaps", "xdp_manymaps", NULL);
        chain_build(&chain);
        chain_check(&chain);
        chain_done(&chain);
}

/* Wherever a packet's way ends, no program behind sees it, in its segment or the next ones. */
static void check_ends(Kernel *kernel, Hook hook) {
        static const size_t ends[] = { 0, 1, 14, 15, 16, 29, 30, 31, 32, 33, 45, 46, 47, 61, 62, 63 };
        const char *function = hook_is_tc(hook) ? "tc_verdict" : "xdp_verdict";
        int verdict = hook_is_tc(hook) ? TC_ACT_SHOT : 1;

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                Chain chain = { .kernel = kernel, .hook = hook };
                MatrixRun run = {};

                while (chain.n < CHAIN_SLOTS_MAX)
                        chain_add(&chain, "verdict", function,
                                  chain.n == ends[i] ? (hook_is_tc(hook) ? "{\"verdict\": 2}" : "{\"verdict\": 1}")
                                                     : NULL);
                chain_build(&chain);
                assert_true(chain.info.n_segments > 1);
                matrix_packet(&run.in);
                for (unsigned j = 0; j < 4; j++)
                        assert_int_equal(matrix_send(&run, chain.fused), verdict);
                chain_check_counters(&chain, 4, run.in.size, ends[i], verdict);
                for (size_t j = 0; j < chain.n; j++)
                        assert_int_equal(test_hits(kernel, chain.programs[j]), j <= ends[i] ? 4 : 0);
                chain_done(&chain);
        }
}

static void test_ends_xdp(void **state) {
        check_ends(*state, HOOK_XDP);
}

static void test_ends_tc(void **state) {
        check_ends(*state, HOOK_TC_EGRESS);
}

/* Each slot takes one of the 33 tail calls that a packet has. A chain with too many is refused; what is not refused
 * is right. */
static void test_tail_calls(void **state) {
        size_t most = 0;

        for (size_t n = 30; n <= 36; n++) {
                Chain chain = { .kernel = *state, .hook = HOOK_XDP };
                _cleanup_error_ Error error = ERROR_INIT;

                while (chain.n < n)
                        chain_add_tracer(&chain, "order");
                if (chain_try(&chain, SLOT_FORM_SLOT, &error) >= 0) {
                        assert_true(most == 0 || most == n - 1);
                        most = n;
                        for (size_t i = 0; i < n; i++)
                                assert_int_equal(chain.info.forms[i], SLOT_FORM_SLOT);
                        chain_check(&chain);
                } else {
                        assert_int_equal(error.code, ERROR_LIMIT_EXCEEDED);
                        if (!strstr(error.message, "33 tail calls"))
                                fail_msg("%s", error.message);
                }
                chain_done(&chain);
        }
        print_message("at most %zu programs in slots\n", most);
        assert_in_range(most, 32, 33);
}

/* Four programs that the verifier finds 300,000 instructions of work in each: one program may have a million. */
static void test_costly(void **state) {
        Chain chain = { .kernel = *state, .hook = HOOK_XDP };

        while (chain.n < 5)
                chain_add(&chain, "toolong", "xdp_toolong", NULL);
        chain_build(&chain);
        chain_check(&chain);
        chain_done(&chain);
}

/* The order of what many programs do to a packet, in a long chain of those alone. */
static void check_order(Kernel *kernel, Hook hook) {
        Chain chain = { .kernel = kernel, .hook = hook };

        while (chain.n < CHAIN_SLOTS_MAX)
                chain_add_tracer(&chain, "order");
        chain_build(&chain);
        chain_check(&chain);
        chain_done(&chain);
}

static void test_order(void **state) {
        check_order(*state, HOOK_XDP);
        check_order(*state, HOOK_TC_INGRESS);
}

/* All segments and slots of such a chain must take packets of several buffers. */
static void test_frags(void **state) {
        Chain chain = { .kernel = *state, .hook = HOOK_XDP };

        while (chain.n < CHAIN_SLOTS_MAX)
                chain_add(&chain, "frags", "xdp_frags", NULL);
        chain_build(&chain);
        assert_true(chain.info.n_segments > 1);
        chain_check(&chain);
        chain_done(&chain);
}

/* On its way out of an interface each packet is cloned, by a program in the middle, out of the same interface, so
 * that the chain runs within itself, on the same CPU, with a longer packet. Each is counted with its own length. */
static void test_nested(void **state) {
        Chain chain = { .kernel = *state, .hook = HOOK_TC_EGRESS };
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        MatrixRun run = {};
        char globals[64];
        int link;

        snprintf(globals, sizeof(globals), "{\"target_ifindex\": %u}", if_nametoindex(MATRIX_DEVICE));
        while (chain.n < CHAIN_SLOTS_MAX)
                if (chain.n == 40)
                        chain_add(&chain, "clone", "tc_clone_grown", globals);
                else
                        chain_add(&chain, "verdict", "tc_verdict", NULL);
        chain_build(&chain);
        assert_true(chain.info.n_segments > 2);
        link = bpf_link_create(chain.fused->program_fd, (int) if_nametoindex(MATRIX_DEVICE), UAPI_TCX_EGRESS, NULL);
        if (link < 0) {
                chain_done(&chain);
                print_message("SKIP: this kernel has no tcx: %s\n", strerror(errno));
                skip();
        }

        matrix_packet(&run.in);
        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(matrix_send(&run, chain.fused), TC_ACT_UNSPEC);
        assert_int_equal(matrix_variable(chain.programs[40], "effect"), 5);
        test_counters(chain.fused, counters);
        for (size_t i = 0; i < chain.n; i++) {
                assert_int_equal(counters[i][0], 10);
                assert_int_equal(counters[i][COUNTER_SEEN_BYTES], 10 * run.in.size + 50);
        }
        assert_int_equal(counters[chain.n - 1][COUNTER_ENDED], 10);
        assert_int_equal(counters[chain.n - 1][COUNTER_ENDED_BYTES], 10 * run.in.size + 50);
        close(link);
        chain_done(&chain);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_remember_fds, test_compare_fds)
                TEST(test_mixed_xdp), TEST(test_mixed_tc),   TEST(test_maps),   TEST(test_many_maps),
                TEST(test_ends_xdp),  TEST(test_ends_tc),    TEST(test_order),  TEST(test_frags),
                TEST(test_costly),    TEST(test_tail_calls), TEST(test_nested),
        };

        matrix_enter_namespace();
        return cmocka_run_group_tests(tests, kernel_fixture_setup, kernel_fixture_teardown);
}
