/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes that fail at each of their steps. A strict change (apply, withdraw, edit) that fails leaves everything that
 * can be seen as it was; a lenient one (reload, rollback, reconcile) leaves what agrees with itself, and comes to the
 * wanted end when it is tried again.
 */
#include "model-fixture.h"

#define PROGRAMS(contents)                                                                                           \
        "'programs': {"                                                                                              \
        "  'deny': {'object': 'deny.o', 'maps': {'denied': [" contents "]}},"                                        \
        "  'limit': {'object': 'limit.o'},"                                                                          \
        "  'flows': {'object': 'flows.o', 'globals': {'rate': 5}},"                                                  \
        "  'flows-tc': {'object': 'flows-tc.o', 'type': 'tc'}}"

#define ENTRY(n) "{'key': " #n ", 'value': 1}"

static const char first[] = "{" PROGRAMS(ENTRY(
        1)) ", 'chains': ["
            "{'interfaces': ['eth*'], 'hook': 'xdp', 'counters': 'all', 'programs': ['deny', 'limit', 'flows']},"
            "{'interfaces': ['eth0', 'eth1'], 'hook': 'tc-ingress', 'programs': ['flows-tc']}]}";

static const char second[] = "{" PROGRAMS(
        ENTRY(2)) ", 'chains': ["
                  "{'interfaces': ['eth*', 'lan9'], 'hook': 'xdp', 'counters': 'all', 'programs': ['flows', 'deny']},"
                  "{'interfaces': ['eth1'], 'hook': 'tc-egress', 'programs': ['flows-tc']}]}";

static void world(Fixture *fx) {
        fx_object(fx, "deny.o", "map:denied map:.bss");
        fx_object(fx, "limit.o", "map:buckets");
        fx_object(fx, "flows.o", "map:flows frags");
        fx_object(fx, "flows-tc.o", "tc map:flows");
        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        fx_link(fx, 4, "eth2");
        fx_link(fx, 5, "wlan0");
        fx_start(fx);
        /* Another document's chain, which has nothing to do with the change. */
        fx_must_apply(fx, "other",
                      "{'programs': {'count': {'object': 'limit.o'}}, 'chains': "
                      "[{'interfaces': ['wlan0'], 'hook': 'xdp', 'programs': ['count']}]}");
}

static void world_with_first(Fixture *fx) {
        world(fx);
        fx_must_apply(fx, "edge", first);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 5);
}

/* Objects that are new, one with a map that grew. */
static void world_to_upgrade(Fixture *fx) {
        world_with_first(fx);
        fx_object(fx, "deny.o", "map:denied map:.bss map:more frags");
        fx_object(fx, "flows.o", "map:flows:16");
        fx_object(fx, "flows-tc.o", "tc");
}

static int apply_first(Fixture *fx) {
        return fx_apply(fx, "edge", first);
}

static void after_first(Fixture *fx) {
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit,flows");
        fx_expect(fx, "eth1", HOOK_XDP, "active deny,limit,flows");
        fx_expect(fx, "eth2", HOOK_XDP, "active deny,limit,flows");
        fx_expect(fx, "eth0", HOOK_TC_INGRESS, "active flows-tc");
        fx_expect(fx, "eth1", HOOK_TC_INGRESS, "active flows-tc");
        fx_expect(fx, "eth2", HOOK_TC_INGRESS, "-");
        fx_expect(fx, "wlan0", HOOK_XDP, "active count");
        assert_string_equal(fake_map_contents(fx->fake, "deny", "denied"), "[{\"key\":1,\"value\":1}]");
        assert_string_equal(manager_state(fx->manager), "running");
}

static int apply_second(Fixture *fx) {
        return fx_apply(fx, "edge", second);
}

static void after_second(Fixture *fx) {
        fx_expect(fx, "eth0", HOOK_XDP, "active flows,deny");
        fx_expect(fx, "eth1", HOOK_XDP, "active flows,deny");
        fx_expect(fx, "eth2", HOOK_XDP, "active flows,deny");
        fx_expect(fx, "lan9", HOOK_XDP, "waiting");
        fx_expect(fx, "eth0", HOOK_TC_INGRESS, "-");
        fx_expect(fx, "eth1", HOOK_TC_EGRESS, "active flows-tc");
        fx_expect(fx, "wlan0", HOOK_XDP, "active count");
        assert_string_equal(fake_map_contents(fx->fake, "deny", "denied"), "[{\"key\":2,\"value\":1}]");
        assert_int_not_equal(fake_map_id(fx->fake, "deny", "more"), 0);
        assert_int_equal(fake_map_id(fx->fake, "flows-tc", "flows"), 0);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "deny"), 5);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "flows"), 5);
        assert_string_equal(manager_state(fx->manager), "running");
}

/* The same without new objects. */
static void after_mixed(Fixture *fx) {
        fx_expect(fx, "eth0", HOOK_XDP, "active flows,deny");
        fx_expect(fx, "eth1", HOOK_TC_EGRESS, "active flows-tc");
        assert_string_equal(fake_map_contents(fx->fake, "deny", "denied"), "[{\"key\":2,\"value\":1}]");
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "deny"), 5);
}

static int withdraw(Fixture *fx) {
        return fx_withdraw(fx, "edge");
}

static void after_withdraw(Fixture *fx) {
        assert_int_equal(manager_chains(fx->manager)->n, 1);
        assert_int_equal(manager_programs(fx->manager)->n, 1);
        fx_expect(fx, "wlan0", HOOK_XDP, "active count");
        assert_int_equal(fake_map_id(fx->fake, "deny", "denied"), 0);
}

static int apply_pending(Fixture *fx) {
        fx->options.confirm_timeout = 30 * 1000000;
        return fx_apply(fx, "edge", second);
}

static void after_pending(Fixture *fx) {
        after_second(fx);
        assert_int_equal(manager_pending(fx->manager).generation, manager_generation(fx->manager));
}

static int insert(Fixture *fx) {
        int r;

        error_done(&fx->error);
        r = manager_chain_insert(fx->manager, fx_chain(fx, "eth1", HOOK_XDP), "count", "before:limit", &fx->options,
                                 &fx->generation, &fx->error);
        fx_check(fx);
        return r;
}

static void after_insert(Fixture *fx) {
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit,flows");
        fx_expect(fx, "eth1", HOOK_XDP, "active deny,count,limit,flows");
}

static int reload(Fixture *fx) {
        fx_write(fx, LAYER_ADMIN, "edge", second);
        return fx_reload(fx);
}

static int roll_back(Fixture *fx) {
        int r;

        error_done(&fx->error);
        r = manager_rollback(fx->manager, manager_generation(fx->manager), &fx->generation, &fx->error);
        fx_check(fx);
        return r;
}

static void world_with_second(Fixture *fx) {
        world_to_upgrade(fx);
        fx_must_apply(fx, "edge", second);
}

static void after_rollback(Fixture *fx) {
        after_first(fx);
        assert_string_equal(manager_get_document(fx->manager, "edge")[0] == '{' ? "{" : "", "{");
}

static int reconcile(Fixture *fx) {
        fx_link(fx, 6, "eth3");
        fx_link(fx, 3, "eth9");
        fx_unlink(fx, 4);
        assert_true(fx->shadow.reconcile_wanted > 0);
        return manager_reconcile(fx->manager);
}

static void after_reconcile(Fixture *fx) {
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit,flows");
        fx_expect(fx, "eth9", HOOK_XDP, "active deny,limit,flows");
        fx_expect(fx, "eth3", HOOK_XDP, "active deny,limit,flows");
        fx_expect(fx, "eth1", HOOK_XDP, "-");
        fx_expect(fx, "eth2", HOOK_XDP, "-");
        fx_expect(fx, "eth9", HOOK_TC_INGRESS, "-");
        fx_expect(fx, "eth1", HOOK_TC_INGRESS, "waiting");
        fx_expect(fx, "eth0", HOOK_TC_INGRESS, "active flows-tc");
}

/* To another mode and back where one of the steps fails: with other links, but what ran. */
static const char generic[] =
        "{" PROGRAMS(ENTRY(2)) ", 'chains': ["
                               "{'interfaces': ['eth*'], 'hook': 'xdp', 'mode': 'generic', 'programs': ['flows']},"
                               "{'interfaces': ['eth1'], 'hook': 'tc-egress', 'programs': ['flows-tc']}]}";

static int apply_generic(Fixture *fx) {
        return fx_apply(fx, "edge", generic);
}

static void kept_first(Fixture *fx) {
        after_first(fx);
        assert_string_equal(chain_mode_in_effect(fx_chain(fx, "eth0", HOOK_XDP)), "native");
        assert_string_equal(chain_mode_in_effect(fx_chain(fx, "eth2", HOOK_XDP)), "native");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->mode, ATTACH_MODE_BEST);
        fx_expect(fx, "eth1", HOOK_TC_EGRESS, "-");
}

static void after_generic(Fixture *fx) {
        fx_expect(fx, "eth0", HOOK_XDP, "active flows");
        fx_expect(fx, "eth2", HOOK_XDP, "active flows");
        fx_expect(fx, "eth1", HOOK_TC_EGRESS, "active flows-tc");
        assert_string_equal(chain_mode_in_effect(fx_chain(fx, "eth0", HOOK_XDP)), "generic");
        assert_string_equal(chain_mode_in_effect(fx_chain(fx, "eth2", HOOK_XDP)), "generic");
}

/* What runs can't be built again if a program has changed meanwhile: so first the content is exchanged, then the mode
 * is changed. */
static void after_generic_in_two_steps(Fixture *fx) {
        if (fx->shadow.reconcile_wanted > 0)
                fx_reconcile(fx);
        after_generic(fx);
}

/* The same by another service than the one that loaded the programs. */
static void world_after_restart(Fixture *fx) {
        world_with_first(fx);
        fx_kill(fx);
        fx_start(fx);
}

/* Another level, which takes the rows along where there is none. */
static const char not_counting[] = "{" PROGRAMS(
        ENTRY(1)) ", 'chains': ["
                  "{'interfaces': ['eth*'], 'hook': 'xdp', 'counters': 'off', 'programs': ['limit', "
                  "'deny', 'flows']},"
                  "{'interfaces': ['eth0', 'eth1'], 'hook': 'tc-ingress', 'counters': 'all', 'programs': "
                  "['flows-tc']}]}";

static void world_that_drops_rows(Fixture *fx) {
        world_with_first(fx);
        fake_drop_rows(fx->fake, true);
}

static int apply_not_counting(Fixture *fx) {
        return fx_apply(fx, "edge", not_counting);
}

static void after_not_counting(Fixture *fx) {
        fx_expect(fx, "eth0", HOOK_XDP, "active limit,deny,flows");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->counters, COUNTER_LEVEL_OFF);
        assert_int_equal(fx_chain(fx, "eth2", HOOK_XDP)->counters, COUNTER_LEVEL_OFF);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_TC_INGRESS)->counters, COUNTER_LEVEL_ALL);
        assert_int_equal(fx_chain(fx, "wlan0", HOOK_XDP)->counters, COUNTER_LEVEL_DEFAULT);
}

typedef struct Story {
        void (*before)(Fixture *fx);
        int (*change)(Fixture *fx);
        void (*after)(Fixture *fx);
        bool lenient;
        void (*kept)(Fixture *fx); /* after a failure that can't leave all as it was */
} Story;

static bool run(const Story *story, unsigned n, int error, bool silently) {
        _cleanup_free_ char *before = NULL;
        void *state = NULL;
        Fixture *fx;
        bool failed;
        int r;

        assert_int_equal(fx_set_up(&state), 0);
        fx = state;
        story->before(fx);
        before = fx_picture(fx);

        fake_fail_any(fx->fake, n, error, silently);
        r = story->change(fx);
        failed = fake_failed(fx->fake);
        fake_fail_any(fx->fake, 0, 0, false);
        fx_check(fx);
        if (r < 0) {
                assert_true(failed);
                assert_true(error_is_set(&fx->error));
                if (story->kept)
                        story->kept(fx);
                else if (!story->lenient)
                        fx_check_picture(fx, before);
                /* Nothing hinders another try. */
                assert_int_equal(story->change(fx), 0);
        } else if (story->lenient && failed)
                assert_int_equal(manager_reconcile(fx->manager), 0);
        fx_check(fx);
        story->after(fx);

        /* What runs is what another service would take up. */
        fx_kill(fx);
        fx_start(fx);
        assert_int_equal(fx_tear_down(&state), 0);
        return failed;
}

static void run_story(const Story *story) {
        static const struct {
                int error;
                bool silently;
        } kinds[] = { { -EIO, false }, { -ENOMEM, true } };

        for (size_t kind = 0; kind < ELEMENTSOF(kinds); kind++) {
                unsigned n = 1;

                while (run(story, n, kinds[kind].error, kinds[kind].silently))
                        n++;
                assert_true(n > 5);
                assert_true(n < 500);
                if (kind == 0)
                        print_message("%u steps\n", n - 1);
        }
}

static void test_first_apply(void **state) {
        run_story(&(Story){ world, apply_first, after_first });
}

static void test_upgrade(void **state) {
        run_story(&(Story){ world_to_upgrade, apply_second, after_second });
}

static void test_level(void **state) {
        run_story(&(Story){ world_that_drops_rows, apply_not_counting, after_not_counting });
}

static void test_withdraw(void **state) {
        run_story(&(Story){ world_with_first, withdraw, after_withdraw });
}

static void test_pending(void **state) {
        run_story(&(Story){ world_to_upgrade, apply_pending, after_pending });
}

static void test_insert(void **state) {
        run_story(&(Story){ world_with_first, insert, after_insert });
}

static void test_reload(void **state) {
        run_story(&(Story){ world_to_upgrade, reload, after_second, true });
}

static void test_rollback(void **state) {
        run_story(&(Story){ world_with_second, roll_back, after_rollback, true });
}

static void test_mode(void **state) {
        run_story(&(Story){ world_to_upgrade, apply_generic, after_generic, .kept = kept_first });
}

static void test_mode_after_restart(void **state) {
        run_story(&(Story){ world_after_restart, apply_generic, after_generic_in_two_steps, .kept = kept_first });
}

static void test_upgrade_after_restart(void **state) {
        run_story(&(Story){ world_after_restart, apply_second, after_mixed });
}

static void test_reconcile(void **state) {
        run_story(&(Story){ world_with_first, reconcile, after_reconcile, true });
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_first_apply),
                cmocka_unit_test(test_upgrade),
                cmocka_unit_test(test_level),
                cmocka_unit_test(test_withdraw),
                cmocka_unit_test(test_pending),
                cmocka_unit_test(test_insert),
                cmocka_unit_test(test_reload),
                cmocka_unit_test(test_rollback),
                cmocka_unit_test(test_reconcile),
                cmocka_unit_test(test_mode),
                cmocka_unit_test(test_mode_after_restart),
                cmocka_unit_test(test_upgrade_after_restart),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
