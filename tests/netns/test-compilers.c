/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chains of the same programs by different compilers and for different levels of the instruction set, see
 * tests/bpf/variants. */

#include <linux/pkt_cls.h>

#include "matrix.h"
#include "netns.h"

/* Which there are depends on the compilers that were found. */
static const char *const all_variants[] = { "clang14-v1", "clang14-v2", "clang14-v3", "clang19-v1",
                                            "clang19-v2", "clang19-v3", "clang19-v4" };
static const char *variants[ELEMENTSOF(all_variants)];
static size_t n_variants;

typedef struct Source {
        const char *object;
        const char *function;
        Hook hook;
        bool counts; /* in `hits` */
} Source;

static const Source sources[] = {
        { "verdict", "xdp_verdict", HOOK_XDP, true },       { "adjust", "xdp_adjust_meta", HOOK_XDP, true },
        { "callback", "xdp_callback", HOOK_XDP, true },     { "kfunc", "xdp_kfunc", HOOK_XDP, true },
        { "spinlock", "xdp_spinlock", HOOK_XDP, true },     { "subprog", "xdp_subprog", HOOK_XDP, true },
        { "switch", "xdp_switch", HOOK_XDP, true },         { "tailcall", "xdp_tailcall", HOOK_XDP, true },
        { "timer", "xdp_timer", HOOK_XDP, true },           { "denylist", "xdp_denylist", HOOK_XDP, false },
        { "flows", "xdp_flows", HOOK_XDP, false },          { "ratelimit", "xdp_ratelimit", HOOK_XDP, false },
        { "verdict", "tc_verdict", HOOK_TC_INGRESS, true }, { "subprog", "tc_subprog", HOOK_TC_INGRESS, true },
        { "switch", "tc_switch", HOOK_TC_INGRESS, true },   { "tailcall", "tc_tailcall", HOOK_TC_INGRESS, true },
        { "flows", "tc_flows", HOOK_TC_INGRESS, false },
};

static const SlotForm limits[] = { SLOT_FORM_NONE, SLOT_FORM_GLOBAL, SLOT_FORM_STATIC, SLOT_FORM_SLOT };

static KernelProgram *load(Kernel *kernel, const Source *source, const char *variant, const char *globals) {
        char object[64];

        snprintf(object, sizeof(object), "variants/%s-%s", source->object, variant);
        return matrix_load_program(kernel, object, source->function, globals);
}

/* Appends its number to the packet's trace. */
static KernelProgram *load_tracer(Kernel *kernel, Hook hook, size_t number, const char *variant) {
        Source source = { "order", hook_is_tc(hook) ? "tc_order" : "xdp_order", hook, true };
        char globals[64];

        snprintf(globals, sizeof(globals), "{\"id\": %zu, \"generation\": 3}", number);
        return load(kernel, &source, variant, globals);
}

/* Every program saw every packet and let it on; the tracers, at even places, ran in their order. */
static void check_chain(Kernel *kernel, Hook hook, KernelProgram *const *programs, const bool *counts, size_t n,
                        SlotForm limit) {
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        unsigned pass = hook_is_tc(hook) ? 0 : 2;
        _cleanup_error_ Error error = ERROR_INIT;
        uint8_t ids[CHAIN_SLOTS_MAX];
        KernelFused *fused = NULL;
        MatrixRun run = {};
        FusedInfo info;

        if (matrix_build(kernel, hook, programs, n, limit, &fused, &info, &error) < 0)
                fail_msg("%s first: %s\n%s", slot_form_to_string(limit), strempty_to(error.message, "no reason"),
                         strempty_to(error.log, ""));
        matrix_traced_packet(&run.in);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(matrix_send(&run, fused), hook_is_tc(hook) ? TC_ACT_UNSPEC : 2);

        test_counters(fused, counters);
        for (size_t i = 0; i < n; i++) {
                if (counters[i][pass] != 2 || counters[i][COUNTER_SEEN_BYTES] != 2 * run.in.size)
                        fail_msg("%s first: %s counted %" PRIu64 " packets", slot_form_to_string(limit),
                                 programs[i]->name, counters[i][pass]);
                if (counts[i] && test_hits(kernel, programs[i]) != 2)
                        fail_msg("%s first: %s saw %" PRIu64 " packets", slot_form_to_string(limit),
                                 programs[i]->name, test_hits(kernel, programs[i]));
                if (limit != SLOT_FORM_NONE && info.forms[i] < limit)
                        fail_msg("%s first: %s has form %s", slot_form_to_string(limit), programs[i]->name,
                                 slot_form_to_string(info.forms[i]));
        }
        for (size_t i = 0; i < (n + 1) / 2; i++)
                ids[i] = (uint8_t) i;
        matrix_check_trace(&run.out, ids, (n + 1) / 2);
        kernel_fused_free(fused);
}

/* A tracer and a program in turn, in all forms. Number i is of the variant first + i * step. */
static void check_mix(Kernel *kernel, Hook hook, const Source *const *list, size_t n, size_t first, size_t step) {
        for (size_t f = 0; f < ELEMENTSOF(limits); f++) {
                KernelProgram *programs[CHAIN_SLOTS_MAX];
                bool counts[CHAIN_SLOTS_MAX] = {};

                for (size_t i = 0; i < n; i++) {
                        const char *variant = variants[(first + i * step) % n_variants];

                        programs[2 * i] = load_tracer(kernel, hook, i, variants[(first + i * step + 1) % n_variants]);
                        programs[2 * i + 1] = load(kernel, list[i], variant, NULL);
                        counts[2 * i] = true;
                        counts[2 * i + 1] = list[i]->counts;
                }
                check_chain(kernel, hook, programs, counts, 2 * n, limits[f]);
                for (size_t i = 0; i < 2 * n; i++)
                        kernel_program_unref(programs[i]);
        }
}

/* All variants of one program in one chain. */
static void test_variants(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(sources); i++) {
                const Source *list[ELEMENTSOF(all_variants)];

                for (size_t j = 0; j < n_variants; j++)
                        list[j] = &sources[i];
                check_mix(*state, sources[i].hook, list, n_variants, 0, 1);
        }
}

static void check_mixes(Kernel *kernel, Hook hook) {
        const Source *list[ELEMENTSOF(sources)];
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(sources); i++)
                if (sources[i].hook == hook)
                        list[n++] = &sources[i];
        for (size_t first = 0; first < n_variants; first++)
                check_mix(kernel, hook, list, n, first, 3);
}

/* All programs in one chain, each from another compiler or for another level than its neighbours. */
static void test_mixes_xdp(void **state) {
        check_mixes(*state, HOOK_XDP);
}

static void test_mixes_tc(void **state) {
        check_mixes(*state, HOOK_TC_INGRESS);
}

static void find_variants(void) {
        for (size_t i = 0; i < ELEMENTSOF(all_variants); i++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s/tests/bpf/variants/verdict-%s.bpf.o", getenv("BPFCHAIN_BUILD"),
                             all_variants[i]) >= 0 &&
                    access(path, R_OK) == 0)
                        variants[n_variants++] = all_variants[i];
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_variants),
                cmocka_unit_test(test_mixes_xdp),
                cmocka_unit_test(test_mixes_tc),
        };

        find_variants();
        if (n_variants < 2) {
                printf("SKIP: neither clang-14 nor clang-19 was there when this was built\n");
                return 77;
        }
        matrix_enter_namespace();
        for (size_t i = 0; i < n_variants; i++)
                print_message("# %s\n", variants[i]);
        return cmocka_run_group_tests(tests, kernel_fixture_setup, kernel_fixture_teardown);
}
