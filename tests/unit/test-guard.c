/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guard makes of facts, on a kernel of plain memory. */
#include "model-fixture.h"
#include "model/guard.h"
#include "util/clock.h"

#define DOCUMENT                                                                                                     \
        "{'programs': {'a': {'object': 'a.o'}}, 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', "                 \
        "'programs': ['a']}]}"

static Guard *start(Fixture *fx, const GuardSettings *settings, const char *document) {
        Guard *guard;

        fx_object(fx, "a.o", strstr(document, "tc-ingress") ? "tc" : "");
        fx_link(fx, 2, "eth0");
        fx_write(fx, LAYER_ADMIN, "edge", document);
        fx_start(fx);
        assert_int_equal(guard_new(fx->manager, settings, &guard), 0);
        return guard;
}

static Culprit process(pid_t pid, const char *name) {
        Culprit who = { .pid = pid, .tid = pid };

        snprintf(who.comm, sizeof(who.comm), "%s", name);
        return who;
}

/* The newest event, of a number that there must be. */
static const GuardEvent *newest(Guard *guard, size_t expected) {
        const GuardEvent **events _cleanup_free_ = NULL;
        size_t n;

        assert_int_equal(guard_get_events(guard, 0, SIZE_MAX, &events, &n), 0);
        assert_int_equal(n, expected);
        return n > 0 ? events[n - 1] : NULL;
}

static void reconcile(Fixture *fx, Guard *guard) {
        fx_reconcile(fx);
        guard_settle(guard);
}

static void test_detached(void **state) {
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, DOCUMENT);
        uint32_t link = fake_link_id(fx->fake, 2, HOOK_XDP);
        const GuardEvent *event;

        guard_look(guard, 0, "links");
        (void) newest(guard, 0);
        fake_take_off(fx->fake, 2, HOOK_XDP);
        fx->shadow.reconcile_wanted = 0;
        guard_look(guard, 0, "links");
        event = newest(guard, 1);
        assert_int_equal(event->act, GUARD_ACT_DETACHED);
        assert_string_equal(event->interface, "eth0");
        assert_string_equal(event->source, "links");
        assert_int_equal(event->outcome, GUARD_OUTCOME_RESTORING);
        assert_true(*event->who.unknown);
        assert_int_equal(fx->shadow.reconcile_wanted, 1);

        guard_look(guard, 0, "links"); /* told once */
        assert_int_equal(newest(guard, 1)->count, 1);
        reconcile(fx, guard);
        assert_int_equal(newest(guard, 1)->outcome, GUARD_OUTCOME_RESTORED);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        assert_int_not_equal(fake_link_id(fx->fake, 2, HOOK_XDP), link);
        assert_non_null(fx_chain(fx, "eth0", HOOK_XDP)->disturbance);
}

/* A change that somebody asks for finds what was done as well, and tells of it. */
static void test_found_by_a_change(void **state) {
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, DOCUMENT);

        fake_take_off(fx->fake, 2, HOOK_XDP);
        fx_must_reload(fx);
        assert_string_equal(newest(guard, 1)->source, "change");
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
}

static void test_limited(void **state) {
        Fixture *fx = *state;
        GuardSettings settings = GUARD_SETTINGS_DEFAULT;
        Guard *guard _cleanup_(guard_freep) = NULL;
        uint64_t deadline;

        settings.limits.limit = 2;
        guard = start(fx, &settings, DOCUMENT);
        assert_true(guard_deadline(guard) == UINT64_MAX);
        for (int i = 0; i < 2; i++) {
                fake_take_off(fx->fake, 2, HOOK_XDP);
                guard_look(guard, 0, "links");
                reconcile(fx, guard);
                fx_expect(fx, "eth0", HOOK_XDP, "active a");
        }
        fake_take_off(fx->fake, 2, HOOK_XDP);
        guard_look(guard, 0, "links");
        reconcile(fx, guard);
        fx_expect(fx, "eth0", HOOK_XDP, "conflict");
        fx_expect_reason(fx, "eth0", HOOK_XDP, "not tried before 10s");
        assert_false(guard_needs_interval(guard));
        deadline = guard_deadline(guard);
        assert_true(deadline > usec_now(CLOCK_BOOTTIME) && deadline < usec_now(CLOCK_BOOTTIME) + 11 * USEC_PER_SEC);

        guard_wake(guard, deadline - 1);
        reconcile(fx, guard);
        fx_expect(fx, "eth0", HOOK_XDP, "conflict");
        guard_wake(guard, deadline);
        reconcile(fx, guard);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");

        /* The next pause is twice as long; whoever asks for the chain ends it. */
        fake_take_off(fx->fake, 2, HOOK_XDP);
        guard_look(guard, 0, "links");
        reconcile(fx, guard);
        fx_expect_reason(fx, "eth0", HOOK_XDP, "not tried before 20s");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        assert_true(guard_deadline(guard) == UINT64_MAX);
}

static void test_never(void **state) {
        static const char document[] = "{'programs': {'a': {'object': 'a.o'}}, 'chains': [{'interfaces': ['eth0'], "
                                       "'hook': 'xdp', 'programs': ['a'], 'restore': 'never'}]}";
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, document);

        fake_take_off(fx->fake, 2, HOOK_XDP);
        guard_look(guard, 0, "links");
        reconcile(fx, guard);
        fx_expect(fx, "eth0", HOOK_XDP, "conflict");
        assert_int_equal(newest(guard, 1)->outcome, GUARD_OUTCOME_HELD);
        guard_wake(guard, UINT64_MAX - 1);
        reconcile(fx, guard);
        fx_expect(fx, "eth0", HOOK_XDP, "conflict");
        fx_must_apply(fx, "edge", DOCUMENT); /* who asks for it has it */
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
}

static void test_who_loaded_it(void **state) {
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, DOCUMENT);
        Culprit thief = process(77, "thief"), other = process(78, "other");
        uint64_t now = usec_now(CLOCK_BOOTTIME);
        const GuardEvent *event;

        guard_note_load(guard, 4040, &thief, now); /* what fake_intrude() puts there */
        for (uint32_t i = 0; i < 40000; i++)
                guard_note_load(guard, 5000 + i, &other, now);
        for (uint32_t i = 0; i < 40000; i++)
                guard_note_unload(guard, 5000 + i);
        assert_int_equal(guard_statistics(guard)->loads, 40001);
        assert_int_equal(guard_statistics(guard)->unloads, 40000);
        assert_int_equal(newest(guard, 2)->count, 40000);

        /* So many live programs are more than is kept: the oldest is forgotten, the newest is not. */
        fake_intrude(fx->fake, 2, HOOK_XDP, true);
        guard_look(guard, 0, "program-loads");
        event = newest(guard, 3);
        assert_int_equal(event->act, GUARD_ACT_REPLACED);
        assert_int_equal(event->program_id, 4040);
        assert_int_equal(event->who.pid, 0);
        fake_intrude(fx->fake, 2, HOOK_XDP, false);
        guard_look(guard, 0, "links");

        guard_note_load(guard, 4040, &thief, now + 1);
        fake_intrude(fx->fake, 2, HOOK_XDP, true);
        guard_look(guard, 0, "program-loads");
        event = newest(guard, 4);
        assert_int_equal(event->who.pid, 77);
        assert_string_equal(event->basis, "loaded-the-program");
        fake_intrude(fx->fake, 2, HOOK_XDP, false);
}

static void test_more_of_who_loaded_it(void **state) {
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, DOCUMENT);
        Culprit gone = { .pid = 77, .gone = true, .unknown = "all but the pid" };
        Culprit full = process(77, "thief"), other = process(78, "other");
        uint64_t now = usec_now(CLOCK_BOOTTIME);
        const GuardEvent *event;

        full.has_login_uid = true;
        full.login_uid = 1001;
        snprintf(full.executable, sizeof(full.executable), "/usr/bin/thief");
        snprintf(other.executable, sizeof(other.executable), "/usr/bin/other");
        guard_note_load(guard, 4040, &gone, now);
        guard_note_unload(guard, 4040);
        guard_note_loader(guard, 4040, &other); /* the number of another process: not of this load */
        guard_note_loader(guard, 4041, &full);
        event = newest(guard, 1);
        assert_string_equal(event->who.executable, "");
        guard_note_loader(guard, 4040, &full);
        event = newest(guard, 1);
        assert_string_equal(event->who.executable, full.executable);
        assert_string_equal(event->who.unknown, "");
        assert_int_equal(event->who.login_uid, 1001);

        /* What was known is of the moment of the act. */
        guard_note_load(guard, 4050, &other, now);
        snprintf(full.executable, sizeof(full.executable), "/usr/bin/later");
        full.pid = 78;
        guard_note_loader(guard, 4050, &full);
        event = newest(guard, 2);
        assert_string_equal(event->who.executable, other.executable);
        assert_true(event->who.has_login_uid);
}

static void test_many_processes(void **state) {
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, DOCUMENT);
        const GuardEvent **events _cleanup_free_ = NULL;
        uint64_t now = usec_now(CLOCK_BOOTTIME);
        size_t n;

        for (uint32_t i = 1; i <= 3 * GUARD_LOADS_KEPT; i++) {
                Culprit who = process((pid_t) i, "crowd");

                guard_note_load(guard, i, &who, now);
                if (i > 1) /* the first one's program lives on */
                        guard_note_unload(guard, i);
        }
        assert_int_equal(guard_get_events(guard, 0, SIZE_MAX, &events, &n), 0);
        assert_int_equal(n, GUARD_LOADS_KEPT);
        assert_int_equal(events[0]->who.pid, 1);
        assert_int_equal(events[n - 1]->who.pid, 3 * GUARD_LOADS_KEPT);
        for (size_t i = 1; i < n; i++)
                assert_true(events[i - 1]->sequence < events[i]->sequence);
        assert_int_equal(guard_statistics(guard)->dropped, 2 * GUARD_LOADS_KEPT);
        free(TAKE_PTR(events));
        assert_int_equal(guard_get_events(guard, 3 * GUARD_LOADS_KEPT - 10, 3, &events, &n), 0);
        assert_int_equal(n, 3);
        assert_int_equal(events[2]->who.pid, 3 * GUARD_LOADS_KEPT);
}

static void test_first_place(void **state) {
        static const char document[] = "{'programs': {'a': {'object': 'a.o'}}, 'chains': [{'interfaces': ['eth0'], "
                                       "'hook': 'tc-ingress', 'programs': ['a']}]}";
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, document);
        uint32_t link = fake_link_id(fx->fake, 2, HOOK_TC_INGRESS);

        fake_precede(fx->fake, 2, HOOK_TC_INGRESS, 99);
        guard_look(guard, 0, "program-loads");
        assert_int_equal(newest(guard, 1)->act, GUARD_ACT_PRECEDED);
        assert_int_equal(newest(guard, 1)->program_id, 99);
        reconcile(fx, guard);
        assert_int_not_equal(fake_link_id(fx->fake, 2, HOOK_TC_INGRESS), link);
        assert_int_equal(newest(guard, 1)->outcome, GUARD_OUTCOME_RESTORED);
        fx_expect(fx, "eth0", HOOK_TC_INGRESS, "active a");
        link = fake_link_id(fx->fake, 2, HOOK_TC_INGRESS);
        fx_reconcile(fx);
        assert_int_equal(fake_link_id(fx->fake, 2, HOOK_TC_INGRESS), link); /* once is enough */
}

static void test_pins_and_interfaces(void **state) {
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, DOCUMENT);
        Culprit who = process(55, "rm");

        fake_unpin(fx->fake, 2, HOOK_XDP);
        guard_look(guard, 0, "pins"); /* pins are not looked at */
        (void) newest(guard, 0);
        guard_note_pin(guard, "if2-xdp", &who);
        guard_look(guard, GUARD_LOOK_PINS, "pins");
        assert_int_equal(newest(guard, 1)->act, GUARD_ACT_UNPINNED);
        assert_int_equal(newest(guard, 1)->who.pid, 55);
        assert_int_equal(newest(guard, 1)->outcome, GUARD_OUTCOME_RESTORED);
        guard_look(guard, GUARD_LOOK_PINS, "pins");
        (void) newest(guard, 1);

        fake_interface_gone(fx->fake, 2);
        fx_unlink(fx, 2);
        guard_look(guard, 0, "links");
        assert_int_equal(newest(guard, 2)->act, GUARD_ACT_INTERFACE_DELETED);
        fx_reconcile(fx);
}

static void test_pins_are_not_fought_over(void **state) {
        GuardSettings settings = GUARD_SETTINGS_DEFAULT;
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &settings, DOCUMENT);
        const GuardEvent **events _cleanup_free_ = NULL;
        uint64_t until;
        size_t n;

        for (unsigned i = 0; i <= settings.limits.limit; i++) {
                assert_int_equal(guard_deadline(guard), UINT64_MAX);
                fake_unpin(fx->fake, 2, HOOK_XDP);
                guard_look(guard, GUARD_LOOK_PINS, "pins");
        }
        assert_int_equal(guard_get_events(guard, 0, SIZE_MAX, &events, &n), 0);
        assert_int_equal(events[n - 1]->outcome, GUARD_OUTCOME_HELD);

        /* Nothing more is told or done until the pause is over, whatever is looked at. */
        until = guard_deadline(guard);
        assert_true(until > usec_now(CLOCK_BOOTTIME) && until != UINT64_MAX);
        for (unsigned i = 0; i < 10; i++) {
                guard_look(guard, GUARD_LOOK_PINS, "pins");
                guard_look(guard, 0, "links");
                guard_settle(guard);
        }
        guard_wake(guard, until - 1);
        assert_int_equal(guard_deadline(guard), until);
        assert_int_equal(guard_statistics(guard)->events, settings.limits.limit + 1);

        guard_wake(guard, until);
        assert_int_equal(guard_deadline(guard), UINT64_MAX);
        guard_look(guard, GUARD_LOOK_PINS, "pins");
        assert_int_equal(guard_statistics(guard)->events, settings.limits.limit + 1);
        fake_unpin(fx->fake, 2, HOOK_XDP);
        guard_look(guard, GUARD_LOOK_PINS, "pins");
        assert_int_equal(guard_statistics(guard)->events, settings.limits.limit + 2);
        assert_true(guard_deadline(guard) > until);
}

static void test_pins_of_maps(void **state) {
        GuardSettings settings = GUARD_SETTINGS_DEFAULT;
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &settings, DOCUMENT);
        Program *program = manager_get_program(fx->manager, "a");
        Culprit who = process(55, "rm");
        uint64_t until;

        assert_non_null(program);
        fake_unpin_maps(program->kernel);
        guard_look(guard, 0, "links"); /* pins are not looked at */
        (void) newest(guard, 0);
        guard_note_pin(guard, "hits", &who);
        guard_look(guard, GUARD_LOOK_PINS, "pins");
        assert_int_equal(newest(guard, 1)->act, GUARD_ACT_UNPINNED);
        assert_string_equal(newest(guard, 1)->pin, "maps/a");
        assert_int_equal(newest(guard, 1)->who.pid, 55);
        assert_int_equal(newest(guard, 1)->outcome, GUARD_OUTCOME_RESTORED);
        guard_look(guard, GUARD_LOOK_PINS, "pins");
        assert_int_equal(guard_statistics(guard)->events, 1);

        for (unsigned i = 0; i < settings.limits.limit; i++) {
                assert_int_equal(guard_deadline(guard), UINT64_MAX);
                fake_unpin_maps(program->kernel);
                guard_look(guard, GUARD_LOOK_PINS, "pins");
        }
        until = guard_deadline(guard);
        assert_true(until != UINT64_MAX);
        guard_look(guard, GUARD_LOOK_PINS, "pins");
        assert_int_equal(guard_statistics(guard)->events, settings.limits.limit + 1);
        guard_wake(guard, until);
        assert_int_equal(guard_deadline(guard), UINT64_MAX);
        guard_look(guard, GUARD_LOOK_PINS, "pins");
        assert_int_equal(guard_statistics(guard)->events, settings.limits.limit + 1);
}

static void test_tc(void **state) {
        static const char document[] = "{'programs': {'a': {'object': 'a.o'}}, 'chains': [{'interfaces': ['eth0'], "
                                       "'hook': 'tc-ingress', 'programs': ['a']}]}";
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, document);
        TcFact fact = { .added = true, .filter = true, .ifindex = 2, .hook = HOOK_TC_EGRESS, .kind = "matchall" };
        Culprit who = process(44, "tc");

        assert_false(guard_wants_tc(guard, &fact)); /* no chain there */
        fact.hook = HOOK_TC_INGRESS;
        assert_true(guard_wants_tc(guard, &fact));
        fact.ifindex = 3;
        assert_false(guard_wants_tc(guard, &fact));
        fact.ifindex = 2;
        for (int i = 0; i < 1000; i++)
                guard_note_tc(guard, &fact, &who);
        assert_int_equal(newest(guard, 1)->act, GUARD_ACT_FILTER_ADDED);
        assert_int_equal(newest(guard, 1)->count, 1000);
        assert_int_equal(guard_statistics(guard)->events, 1000);
        assert_int_equal(guard_statistics(guard)->dropped, 999);
        fact = (TcFact){ .ifindex = 2, .hook = -1, .kind = "clsact" };
        guard_note_tc(guard, &fact, &who);
        assert_int_equal(newest(guard, 2)->act, GUARD_ACT_QDISC_DELETED);
}

/* Acts of ever new processes are all counted, and no more of them are told than anybody would read. */
static void test_flood(void **state) {
        static const char document[] = "{'programs': {'a': {'object': 'a.o'}}, 'chains': [{'interfaces': ['eth0'], "
                                       "'hook': 'tc-ingress', 'programs': ['a']}]}";
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, document);
        TcFact fact = { .added = true, .filter = true, .ifindex = 2, .hook = HOOK_TC_INGRESS, .kind = "u32" };
        const GuardEvent **events _cleanup_free_ = NULL;
        size_t n;

        for (int i = 1; i <= 10000; i++) {
                Culprit who = process(i, "tc");

                guard_note_tc(guard, &fact, &who);
        }
        assert_int_equal(guard_statistics(guard)->events, 10000);
        assert_int_equal(guard_statistics(guard)->dropped, 10000 - GUARD_EVENTS_KEPT);
        assert_int_equal(guard_get_events(guard, 0, SIZE_MAX, &events, &n), 0);
        assert_int_equal(n, GUARD_EVENTS_KEPT);
        assert_int_equal(events[n - 1]->who.pid, 10000);
}

static void test_sources(void **state) {
        Fixture *fx = *state;
        Guard *guard _cleanup_(guard_freep) = start(fx, &GUARD_SETTINGS_DEFAULT, DOCUMENT);
        const char *const *names, *const *reasons;
        char name[2][32] = { "one", "two" };

        assert_int_equal(guard_set_source(guard, name[0], "why not"), 0);
        assert_int_equal(guard_set_source(guard, name[1], NULL), 0);
        assert_int_equal(guard_set_source(guard, "one", NULL), 0);
        assert_int_equal(guard_sources(guard, &names, &reasons), 2);
        assert_null(reasons[0]);
        assert_true(guard_needs_interval(guard));
}

static void test_restores(void **state) {
        RestoreLimits limits = { .limit = 3, .window = 1000, .backoff = 100, .backoff_max = 300 };
        Restores restores = {};
        uint64_t until = 0;

        (void) state;
        assert_false(restores_allow(&restores, RESTORE_POLICY_NEVER, &limits, 1, &until));
        assert_true(until == UINT64_MAX);
        for (uint64_t i = 0; i < 500; i++)
                assert_true(restores_allow(&restores, RESTORE_POLICY_ALWAYS, &limits, 1 + i, &until));

        restores = (Restores){};
        for (uint64_t i = 0; i < 3; i++)
                assert_true(restores_allow(&restores, RESTORE_POLICY_LIMITED, &limits, 10000 + i, &until));
        for (uint64_t i = 0, pause = 100; i < 4; i++, pause = MIN2(pause * 2, (uint64_t) 300)) {
                assert_false(restores_allow(&restores, RESTORE_POLICY_LIMITED, &limits, 10010, &until));
                assert_int_equal(until, 10010 + pause);
        }
        /* Peace. */
        assert_true(restores_allow(&restores, RESTORE_POLICY_LIMITED, &limits, 20000, &until));
        /* Old ones fall out of the window. */
        for (uint64_t i = 0; i < 300; i++)
                assert_true(restores_allow(&restores, RESTORE_POLICY_LIMITED, &limits, 30000 + i * 400, &until));
        for (RestorePolicy policy = 0; policy < _RESTORE_POLICY_MAX; policy++)
                assert_int_equal(restore_policy_from_string(restore_policy_to_string(policy)), policy);
        for (GuardAct act = 0; act < _GUARD_ACT_MAX; act++)
                assert_int_equal(guard_act_from_string(guard_act_to_string(act)), act);
        for (GuardOutcome outcome = 0; outcome < _GUARD_OUTCOME_MAX; outcome++)
                assert_int_equal(guard_outcome_from_string(guard_outcome_to_string(outcome)), outcome);
}

static void check_cgroup(const char *path, const char *unit, const char *container) {
        Culprit culprit = {};

        snprintf(culprit.cgroup, sizeof(culprit.cgroup), "%s", path);
        culprit_read_cgroup(&culprit);
        assert_string_equal(culprit.unit, unit);
        assert_string_equal(culprit.container, container);
}

static void test_cgroups(void **state) {
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        (void) state;
        check_cgroup("/system.slice/ssh.service", "ssh.service", "");
        check_cgroup("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "");
        check_cgroup("/user.slice/user-0.slice/user@0.service/app.slice/a.service", "user@0.service", "");
        check_cgroup("/system.slice/docker-" ID ".scope", "docker-" ID ".scope", ID);
        check_cgroup("/docker/" ID, "", ID);
        check_cgroup("/kubepods.slice/pod1.slice/cri-containerd-" ID ".scope", "cri-containerd-" ID ".scope", ID);
        check_cgroup("/lxc.payload.web/system.slice/x.service", "x.service", "web");
        check_cgroup("/machine.slice/machine-web.scope", "machine-web.scope", "web");
        check_cgroup("/", "", "");
        check_cgroup("", "", "");
        check_cgroup("//.scope//", "", "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_detached),
                fx_test(test_found_by_a_change),
                fx_test(test_limited),
                fx_test(test_never),
                fx_test(test_who_loaded_it),
                fx_test(test_more_of_who_loaded_it),
                fx_test(test_many_processes),
                fx_test(test_first_place),
                fx_test(test_pins_and_interfaces),
                fx_test(test_pins_are_not_fought_over),
                fx_test(test_pins_of_maps),
                fx_test(test_tc),
                fx_test(test_flood),
                fx_test(test_sources),
                cmocka_unit_test(test_restores),
                cmocka_unit_test(test_cgroups),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
