/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "fail-closed": when interfaces are set down and up again, on a kernel of plain memory. */
#include <unistd.h>

#include "model-fixture.h"
#include "util/clock.h"

#define ETH0 2

static const char closed[] = "{'programs': {'a': {'object': 'a.o'}}, 'chains': [{'interfaces': ['eth0', 'veth*'], "
                             "'hook': 'xdp', 'programs': ['a'], 'fail-closed': true}]}";
static const char open_one[] = "{'programs': {'a': {'object': 'a.o'}}, 'chains': [{'interfaces': ['eth0'], "
                               "'hook': 'xdp', 'programs': ['a']}]}";

/* As the kernel would tell. */
static void flags(Fixture *fx, int ifindex, const char *name, unsigned value) {
        for (size_t i = 0; i < fx->n_links; i++)
                if (fx->links[i].ifindex == ifindex)
                        fx->links[i].flags = value;
        fx_link(fx, ifindex, name);
}

static const char *held(Fixture *fx, const char *name) {
        Interface *interface = manager_get_interface(fx->manager, name);

        assert_non_null(interface);
        return manager_interface_held(fx->manager, interface);
}

static void expect(Fixture *fx, unsigned downs, unsigned ups, bool is_held) {
        assert_int_equal(fake_set_downs(fx->fake, ETH0), downs);
        assert_int_equal(fake_set_ups(fx->fake, ETH0), ups);
        assert_int_equal(held(fx, "eth0") != NULL, is_held);
}

/* eth0 is up when the service starts, and the object of its chain is like this. */
static void start(Fixture *fx, const char *object, const char *document) {
        fx_object(fx, "a.o", object);
        fx_link(fx, ETH0, "eth0");
        flags(fx, ETH0, "eth0", IFF_UP);
        fx_write(fx, LAYER_ADMIN, "edge", document);
        fx_start(fx);
}

static void test_held_until_it_runs(void **state) {
        Fixture *fx = *state;

        start(fx, "reject", closed);
        fx_expect(fx, "eth0", HOOK_XDP, "failed");
        expect(fx, 1, 0, true);
        assert_non_null(strstr(held(fx, "eth0"), "edge.json"));
        assert_non_null(strstr(held(fx, "eth0"), "eth0/xdp"));
        assert_false(link_record_up(&manager_get_interface(fx->manager, "eth0")->link));
        flags(fx, ETH0, "eth0", 0); /* as the kernel tells then */
        fx_reconcile(fx);
        expect(fx, 1, 0, true);

        fx_object(fx, "a.o", "");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        expect(fx, 1, 1, false);
        fx_must_reload(fx);
        expect(fx, 1, 1, false);
}

static void test_not_asked_for(void **state) {
        Fixture *fx = *state;

        start(fx, "reject", open_one);
        fx_expect(fx, "eth0", HOOK_XDP, "failed");
        expect(fx, 0, 0, false);
}

static void test_first_chain(void **state) {
        Fixture *fx = *state;

        /* It is down while the chain is built, and up when that runs. */
        start(fx, "", closed);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        expect(fx, 1, 1, false);
        fx_kill(fx);
        flags(fx, ETH0, "eth0", IFF_UP);
        fx_start(fx);
        expect(fx, 1, 1, false);
}

static void test_down_already(void **state) {
        Fixture *fx = *state;

        fx_object(fx, "a.o", "reject");
        fx_link(fx, ETH0, "eth0");
        fx_write(fx, LAYER_ADMIN, "edge", closed);
        fx_start(fx);
        expect(fx, 0, 0, true);
        fx_object(fx, "a.o", "");
        fx_must_reload(fx);
        expect(fx, 0, 0, false);

        /* Who sets it up then finds it up. */
        flags(fx, ETH0, "eth0", IFF_UP);
        expect(fx, 0, 0, false);
}

static void test_others_set_it_up(void **state) {
        Fixture *fx = *state;

        fx_object(fx, "a.o", "reject");
        fx_link(fx, ETH0, "eth0");
        fx_write(fx, LAYER_ADMIN, "edge", closed);
        fx_start(fx);
        flags(fx, ETH0, "eth0", IFF_UP);
        expect(fx, 1, 0, true);
        /* That one wanted it up, so it gets up. */
        fx_object(fx, "a.o", "");
        fx_must_reload(fx);
        expect(fx, 1, 1, false);
}

static void test_fight(void **state) {
        Fixture *fx = *state;

        fx->holds = true;
        start(fx, "reject", closed);
        for (unsigned i = 0; i < 30; i++)
                flags(fx, ETH0, "eth0", IFF_UP);
        expect(fx, 10, 0, true);
        assert_true(fx->shadow.deadline != UINT64_MAX);
        fx_reconcile(fx);
        expect(fx, 10, 0, true);

        /* After the pause once, and not again at once. */
        usleep(150 * 1000);
        manager_deadline(fx->manager);
        expect(fx, 11, 0, true);
        for (unsigned i = 0; i < 30; i++)
                flags(fx, ETH0, "eth0", IFF_UP);
        expect(fx, 11, 0, true);
        assert_true(fx->shadow.deadline <= usec_now(CLOCK_BOOTTIME) + USEC_PER_SEC);

        /* They get what they want in the end, and nothing is waited for. */
        fx_object(fx, "a.o", "");
        fx_must_reload(fx);
        expect(fx, 11, 1, false);
        assert_true(fx->shadow.deadline == UINT64_MAX);
}

static void test_restart(void **state) {
        Fixture *fx = *state;

        start(fx, "reject", closed);
        flags(fx, ETH0, "eth0", 0);
        fx_kill(fx);
        fx_start(fx);
        expect(fx, 1, 0, true);
        fx_kill(fx);
        fx_object(fx, "a.o", "");
        fx_start(fx);
        expect(fx, 1, 1, false);
        fx_kill(fx);
        fx_start(fx);
        expect(fx, 1, 1, false);
}

static void test_restart_and_gone(void **state) {
        Fixture *fx = *state;

        start(fx, "reject", closed);
        fx_kill(fx);
        fx_unlink(fx, ETH0);
        fx_start(fx);
        assert_int_equal(fake_set_ups(fx->fake, ETH0), 0);
        /* Its number is another one's now: nobody set that one down. */
        fx_object(fx, "a.o", "");
        fx_link(fx, ETH0, "eth0");
        fx_reconcile(fx);
        expect(fx, 1, 0, false);
}

static void test_hot_plug(void **state) {
        Fixture *fx = *state;

        fx_object(fx, "a.o", "");
        fx_write(fx, LAYER_ADMIN, "edge", closed);
        fx_start(fx);
        fx_link(fx, 7, "veth7");
        assert_non_null(manager_get_interface(fx->manager, "veth7"));
        assert_int_equal(fake_set_downs(fx->fake, 7), 0);
        flags(fx, 7, "veth7", IFF_UP); /* before anything could be attached */
        assert_int_equal(fake_set_downs(fx->fake, 7), 1);
        fx_reconcile(fx);
        fx_expect(fx, "veth7", HOOK_XDP, "active a");
        assert_int_equal(fake_set_ups(fx->fake, 7), 1);
        assert_null(held(fx, "veth7"));

        /* It keeps what it has under another name that the document means. */
        fx_link(fx, 7, "veth8");
        fx_reconcile(fx);
        fx_expect(fx, "veth8", HOOK_XDP, "active a");
        assert_int_equal(fake_set_downs(fx->fake, 7), 1);
}

static void test_rename_while_held(void **state) {
        Fixture *fx = *state;

        fx_object(fx, "a.o", "reject");
        fx_link(fx, 7, "veth7");
        flags(fx, 7, "veth7", IFF_UP);
        fx_write(fx, LAYER_ADMIN, "edge", closed);
        fx_start(fx);
        assert_non_null(held(fx, "veth7"));
        flags(fx, 7, "veth7", 0);
        fx_link(fx, 7, "other0"); /* that nobody asks anything for */
        fx_reconcile(fx);
        assert_null(held(fx, "other0"));
        assert_int_equal(fake_set_ups(fx->fake, 7), 1);
}

static void test_loopback(void **state) {
        Fixture *fx = *state;

        fx_object(fx, "a.o", "reject");
        fx_link(fx, 1, "lo");
        flags(fx, 1, "lo", IFF_UP | IFF_LOOPBACK);
        fx_write(fx, LAYER_ADMIN, "edge",
                 "{'programs': {'a': {'object': 'a.o'}}, 'chains': [{'interfaces': ['*'], 'hook': 'xdp', "
                 "'programs': ['a'], 'fail-closed': true}]}");
        fx_start(fx);
        fx_expect(fx, "lo", HOOK_XDP, "failed");
        assert_null(held(fx, "lo"));
        assert_int_equal(fake_set_downs(fx->fake, 1), 0);
}

static void test_withdrawn(void **state) {
        Fixture *fx = *state;

        start(fx, "reject", closed);
        flags(fx, ETH0, "eth0", 0);
        fx_must_withdraw(fx, "edge");
        expect(fx, 1, 1, false);
}

static void test_all_detached(void **state) {
        _cleanup_error_ Error error = ERROR_INIT;
        Fixture *fx = *state;
        uint64_t generation;

        start(fx, "reject", closed);
        flags(fx, ETH0, "eth0", 0);
        assert_int_equal(manager_detach_all(fx->manager, &fx->options, &generation, &error), 0);
        expect(fx, 1, 1, false);
        flags(fx, ETH0, "eth0", IFF_UP);
        expect(fx, 1, 1, false);
        fx_must_reload(fx);
        expect(fx, 2, 1, true);
}

static void test_detached(void **state) {
        _cleanup_error_ Error error = ERROR_INIT;
        Fixture *fx = *state;
        uint64_t generation;

        start(fx, "", closed);
        expect(fx, 1, 1, false);
        assert_int_equal(manager_chain_set_detached(fx->manager, fx_chain(fx, "eth0", HOOK_XDP), true, &fx->options,
                                                    &generation, &error),
                         0);
        fx_expect(fx, "eth0", HOOK_XDP, "detached");
        flags(fx, ETH0, "eth0", IFF_UP);
        expect(fx, 1, 1, false);
}

/* What ran with fail-closed goes on when a new version does not load; what ran without is not what was asked for. */
static void test_degraded(void **state) {
        Fixture *fx = *state;

        start(fx, "", closed);
        flags(fx, ETH0, "eth0", IFF_UP);
        fx_object(fx, "a.o", "reject");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a");
        expect(fx, 1, 1, false);
        fx_kill(fx);
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a");
        expect(fx, 1, 1, false);
}

static void test_degraded_before(void **state) {
        Fixture *fx = *state;

        start(fx, "", open_one);
        expect(fx, 0, 0, false);
        fx_object(fx, "a.o", "reject");
        fx_write(fx, LAYER_ADMIN, "edge", closed);
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a");
        expect(fx, 1, 0, true);
        flags(fx, ETH0, "eth0", 0);

        /* With the old object it runs what is wanted. */
        fx_object(fx, "a.o", "");
        fx_must_reload(fx);
        expect(fx, 1, 1, false);
}

static void test_conflict(void **state) {
        Fixture *fx = *state;

        fake_set_foreign(fx->fake, ETH0, HOOK_XDP, "program 99");
        start(fx, "", closed);
        fx_expect(fx, "eth0", HOOK_XDP, "conflict");
        expect(fx, 1, 0, true);
        flags(fx, ETH0, "eth0", 0);
        fake_set_foreign(fx->fake, ETH0, HOOK_XDP, NULL);
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        expect(fx, 1, 1, false);
}

/* A document that is left out, as another one defines its program already, asks for it all the same. */
static void test_document_left_out(void **state) {
        Fixture *fx = *state;

        fx_object(fx, "a.o", "");
        fx_link(fx, ETH0, "eth0");
        flags(fx, ETH0, "eth0", IFF_UP);
        fx_write(fx, LAYER_ADMIN, "first", "{'programs': {'a': {'object': 'a.o'}}}");
        fx_write(fx, LAYER_ADMIN, "second", closed);
        fx_start(fx);
        expect(fx, 1, 0, true);
        assert_non_null(strstr(held(fx, "eth0"), "second.json"));
        fx_write(fx, LAYER_ADMIN, "first", NULL);
        fx_must_reload(fx);
        expect(fx, 1, 1, false);
}

static void test_cannot(void **state) {
        Fixture *fx = *state;

        fx->holds = true;
        fake_fail_admin(fx->fake, -EPERM);
        start(fx, "reject", closed);
        expect(fx, 0, 0, true);
        assert_true(link_record_up(&manager_get_interface(fx->manager, "eth0")->link));
        assert_true(fx->shadow.deadline <= usec_now(CLOCK_BOOTTIME) + USEC_PER_SEC);
        fx_reconcile(fx);
        fake_fail_admin(fx->fake, 0);
        fx_reconcile(fx); /* the pause goes on */
        expect(fx, 0, 0, true);
        usleep(1050 * 1000);
        manager_deadline(fx->manager);
        expect(fx, 1, 0, true);

        /* And the other way round: it is remembered, and done when it works. */
        flags(fx, ETH0, "eth0", 0);
        fake_fail_admin(fx->fake, -EPERM);
        fx_object(fx, "a.o", "");
        fx_must_reload(fx);
        expect(fx, 1, 0, false);
        fx_kill(fx);
        fake_fail_admin(fx->fake, 0);
        fx_start(fx);
        expect(fx, 1, 1, false);
}

static void test_plan(void **state) {
        Fixture *fx = *state;

        start(fx, "", closed);
        fx->options.dry_run = true;
        fx_must_apply(fx, "more",
                      "{'programs': {'b': {'object': 'a.o'}}, 'chains': [{'interfaces': ['eth9'], 'hook': 'xdp', "
                      "'programs': ['b'], 'fail-closed': true}]}");
        assert_non_null(strstr(fx->report, "\"fail-closed\":true"));
        assert_non_null(strstr(fx->report, "it is kept down"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_held_until_it_runs),
                fx_test(test_not_asked_for),
                fx_test(test_first_chain),
                fx_test(test_down_already),
                fx_test(test_others_set_it_up),
                fx_test(test_fight),
                fx_test(test_restart),
                fx_test(test_restart_and_gone),
                fx_test(test_hot_plug),
                fx_test(test_rename_while_held),
                fx_test(test_loopback),
                fx_test(test_withdrawn),
                fx_test(test_all_detached),
                fx_test(test_detached),
                fx_test(test_degraded),
                fx_test(test_degraded_before),
                fx_test(test_conflict),
                fx_test(test_document_left_out),
                fx_test(test_cannot),
                fx_test(test_plan),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
