/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guard makes of attempts and facts, and what it demands of the kernel. */
#include "model-fixture.h"
#include "model/settings.h"
#include "util/clock.h"
#include "util/file.h"

#define DOCUMENT                                                                                                     \
        "{'programs': {'a': {'object': 'a.o'}}, 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', "                 \
        "'programs': ['a']}]}"

static const GuardSettings defaults = {
        .watch = true,
        .restore = RESTORE_POLICY_LIMITED,
        .limits = { .limit = 5, .window = 60000000, .backoff = 10000000, .backoff_max = 300000000 },
        .policy = { .protect = GUARD_RULES_ALL & ~(1U << GUARD_RULE_LOADS), .append = true, .default_allow = true }
};

static void write_settings(Fixture *fx, const char *text) {
        _cleanup_free_ char *path = NULL, *quoted = quotes(text);
        const char *folder = paths_layer(&fx->paths, LAYER_ADMIN);

        assert_int_equal(mkdir_parents(folder, 0755), 0);
        assert_true(asprintf(&path, "%s/bpfchain.json", folder) >= 0);
        assert_int_equal(file_write_atomic(path, quoted, strlen(quoted), 0644), 0);
}

static Guard *start(Fixture *fx, const GuardSettings *settings) {
        fx_object(fx, "a.o", "");
        fx_link(fx, 2, "eth0");
        fx_write(fx, LAYER_ADMIN, "edge", DOCUMENT);
        fx->guard_settings = settings;
        fx_start(fx);
        return fx->guard;
}

static Culprit process(pid_t pid, const char *name) {
        Culprit who = { .pid = pid, .tid = pid };

        snprintf(who.comm, sizeof(who.comm), "%s", name);
        return who;
}

static GuardAttempt attempt(GuardVerdict verdict, GuardRule rule, GuardAct act, pid_t pid) {
        return (GuardAttempt){
                .rule = rule,
                .verdict = verdict,
                .act = act,
                .ifindex = 2,
                .hook = HOOK_XDP,
                .boottime = usec_now(CLOCK_BOOTTIME),
                .who = process(pid, "thief"),
        };
}

static size_t count_events(Guard *guard) {
        const GuardEvent **events _cleanup_free_ = NULL;
        size_t n;

        assert_int_equal(guard_get_events(guard, 0, SIZE_MAX, &events, &n), 0);
        return n;
}

static const GuardEvent *newest(Guard *guard, size_t expected) {
        const GuardEvent **events _cleanup_free_ = NULL;
        size_t n;

        assert_int_equal(guard_get_events(guard, 0, SIZE_MAX, &events, &n), 0);
        assert_int_equal(n, expected);
        return n > 0 ? events[n - 1] : NULL;
}

static void test_refused(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);
        GuardAttempt a = attempt(GUARD_VERDICT_REFUSED, GUARD_RULE_LINKS, GUARD_ACT_DETACH, 66);
        _cleanup_free_ char *text = NULL;
        const GuardEvent *event;

        a.detail = 34; /* BPF_LINK_DETACH */
        a.object_id = 12;
        guard_note_attempt(guard, &a);
        event = newest(guard, 1);
        assert_int_equal(event->verdict, GUARD_VERDICT_REFUSED);
        assert_int_equal(event->rule, GUARD_RULE_LINKS);
        assert_string_equal(event->interface, "eth0");
        assert_string_equal(event->source, "guard");
        text = guard_event_describe(event);
        assert_string_equal(text, "eth0/xdp: refused: taking the chain off its hook, BPF_LINK_DETACH, object 12, by "
                                  "thief (pid 66)");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->disturbance->verdict, GUARD_VERDICT_REFUSED);
        assert_int_equal(guard_statistics(guard)->attempts, 1);
        assert_int_equal(guard_statistics(guard)->events, 0);

        /* libbpf asks twice. Another verdict or rule is another event. */
        guard_note_attempt(guard, &a);
        assert_int_equal(newest(guard, 1)->count, 2);
        a.verdict = GUARD_VERDICT_WOULD_REFUSE;
        guard_note_attempt(guard, &a);
        (void) newest(guard, 2);
        a.rule = GUARD_RULE_NETLINK;
        guard_note_attempt(guard, &a);
        assert_int_equal(newest(guard, 3)->rule, GUARD_RULE_NETLINK);
        a.verdict = GUARD_VERDICT_ALLOWED;
        guard_note_attempt(guard, &a);
        assert_int_equal(newest(guard, 4)->verdict, GUARD_VERDICT_ALLOWED);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->disturbance->verdict, GUARD_VERDICT_WOULD_REFUSE);
        assert_int_equal(guard_statistics(guard)->dropped, 1);
}

/* Numbers of any kind are put into words, or shown. */
static void test_details(void **state) {
        static const struct {
                GuardRule rule;
                GuardAct act;
                uint32_t detail;
                const char *text;
        } cases[] = {
                { GUARD_RULE_LOADS, GUARD_ACT_LOAD_PROGRAM, 6, "of type XDP" },
                { GUARD_RULE_LOADS, GUARD_ACT_LOAD_PROGRAM, 4000000000, "number 4000000000" },
                { GUARD_RULE_NETLINK, GUARD_ACT_FILTER_CHANGE, 44, "RTM_NEWTFILTER" },
                { GUARD_RULE_NETLINK, GUARD_ACT_UNCLEAR, 0, "" },
                { GUARD_RULE_SERVICE, GUARD_ACT_SIGNAL, 9, "SIGKILL" },
                { GUARD_RULE_SERVICE, GUARD_ACT_SIGNAL, 40, "number 40" },
                { GUARD_RULE_SERVICE, GUARD_ACT_SIGNAL, UINT32_MAX, "number 4294967295" },
                { GUARD_RULE_SERVICE, GUARD_ACT_TRACE, 9, "number 9" },
                { GUARD_RULE_LINKS, GUARD_ACT_ATTACH, 65564, "number 65564" },
                { GUARD_RULE_OBJECTS, GUARD_ACT_OPEN_OBJECT, 14, "BPF_MAP_GET_FD_BY_ID" },
        };
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                GuardAttempt a = attempt(GUARD_VERDICT_REFUSED, cases[i].rule, cases[i].act, (pid_t) (100 + i));

                a.detail = cases[i].detail;
                memset(a.pin, 'x', sizeof(a.pin)); /* without an end */
                a.ifindex = i % 2 ? 0 : 999;
                a.hook = -1;
                guard_note_attempt(guard, &a);
                assert_string_equal(newest(guard, i + 1)->detail, cases[i].text);
                assert_int_equal(strlen(newest(guard, i + 1)->pin), sizeof(a.pin) - 1);
        }
}

/* Who was seen to do it is named before who asked for it, and that before who loaded the program. */
static void test_who_did_it(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);
        GuardAttempt a = attempt(GUARD_VERDICT_WOULD_REFUSE, GUARD_RULE_LINKS, GUARD_ACT_REPLACE, 71);
        GuardFact fact = { .act = GUARD_ACT_REPLACE, .ifindex = 2, .hook = HOOK_XDP, .program_id = 4040 };
        Culprit loader = process(70, "loader");

        fact.boottime = usec_now(CLOCK_BOOTTIME);
        guard_note_load(guard, 4040, &loader, fact.boottime); /* what fake_intrude() puts there */
        guard_note_attempt(guard, &a);
        fake_intrude(fx->fake, 2, HOOK_XDP, true);
        guard_look(guard, 0, "guard");
        assert_int_equal(newest(guard, 3)->act, GUARD_ACT_REPLACED);
        assert_int_equal(newest(guard, 3)->who.pid, 71);
        assert_string_equal(newest(guard, 3)->basis, "asked-for-it");
        fake_intrude(fx->fake, 2, HOOK_XDP, false);
        guard_look(guard, 0, "guard");

        fact.who = process(73, "other");
        fact.program_id = 4041; /* another program: this is not what was done */
        assert_true(guard_note_fact(guard, &fact));
        fact.who = process(72, "doer");
        fact.program_id = 4040;
        assert_true(guard_note_fact(guard, &fact));
        fact.result = -EBUSY;
        assert_false(guard_note_fact(guard, &fact));
        fact.result = 0;
        fact.ifindex = 3;
        assert_false(guard_note_fact(guard, &fact)); /* no chain there */
        fake_intrude(fx->fake, 2, HOOK_XDP, true);
        guard_look(guard, 0, "hook-facts");
        {
                const GuardEvent **events _cleanup_free_ = NULL;
                size_t n;

                assert_int_equal(guard_get_events(guard, 0, SIZE_MAX, &events, &n), 0);
                assert_int_equal(n, 4);
                assert_int_equal(events[3]->who.pid, 72);
                assert_string_equal(events[3]->basis, "did-it");
        }
        fake_intrude(fx->fake, 2, HOOK_XDP, false);
}

/* What was refused has not happened, and what is long ago explains nothing. */
static void test_who_did_not(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);
        GuardAttempt a = attempt(GUARD_VERDICT_REFUSED, GUARD_RULE_LINKS, GUARD_ACT_DETACH, 81);

        guard_note_attempt(guard, &a);
        a = attempt(GUARD_VERDICT_ALLOWED, GUARD_RULE_LINKS, GUARD_ACT_DETACH, 82);
        a.boottime -= 3 * USEC_PER_SEC;
        guard_note_attempt(guard, &a);
        a = attempt(GUARD_VERDICT_ALLOWED, GUARD_RULE_LINKS, GUARD_ACT_DETACH, 83);
        a.hook = HOOK_TC_INGRESS;
        guard_note_attempt(guard, &a);
        a = attempt(GUARD_VERDICT_ALLOWED, GUARD_RULE_PINS, GUARD_ACT_UNPIN, 84);
        guard_note_attempt(guard, &a);
        fake_take_off(fx->fake, 2, HOOK_XDP);
        guard_look(guard, 0, "links");
        assert_int_equal(newest(guard, 5)->act, GUARD_ACT_DETACHED);
        assert_int_equal(newest(guard, 5)->who.pid, 0);
        assert_true(*newest(guard, 5)->who.unknown);
        fx_reconcile(fx);
        guard_settle(guard);
        assert_int_equal(newest(guard, 5)->outcome, GUARD_OUTCOME_RESTORED);
}

/* An attempt that comes while a chain is put back does not keep that from being written down. */
static void test_settled_all_the_same(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);
        GuardAttempt a = attempt(GUARD_VERDICT_REFUSED, GUARD_RULE_LINKS, GUARD_ACT_DETACH, 81);
        const GuardEvent **events _cleanup_free_ = NULL;
        size_t n;

        fake_take_off(fx->fake, 2, HOOK_XDP);
        guard_look(guard, 0, "links");
        guard_note_attempt(guard, &a);
        fx_reconcile(fx);
        guard_settle(guard);
        assert_int_equal(guard_get_events(guard, 0, SIZE_MAX, &events, &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(events[0]->outcome, GUARD_OUTCOME_RESTORED);
        assert_int_equal(events[1]->outcome, GUARD_OUTCOME_NONE);
}

/* Something that was undone before anybody could look is told of nevertheless. */
static void test_over_already(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);
        GuardFact fact = { .act = GUARD_ACT_REPLACE, .ifindex = 2, .hook = HOOK_XDP, .who = process(91, "quick") };

        fact.boottime = usec_now(CLOCK_BOOTTIME);
        assert_true(guard_note_fact(guard, &fact));
        guard_look(guard, 0, "hook-facts");
        assert_int_equal(newest(guard, 1)->act, GUARD_ACT_REPLACE);
        assert_int_equal(newest(guard, 1)->who.pid, 91);
        assert_int_equal(newest(guard, 1)->verdict, GUARD_VERDICT_SEEN);
        guard_look(guard, 0, "hook-facts");
        (void) newest(guard, 1);

        /* What was detached is missed, or was none of ours. */
        fact.act = GUARD_ACT_DETACH;
        assert_true(guard_note_fact(guard, &fact));
        guard_look(guard, 0, "hook-facts");
        (void) newest(guard, 1);

        /* One that a look explains is no second event. */
        assert_true(guard_note_fact(guard, &fact));
        fake_take_off(fx->fake, 2, HOOK_XDP);
        guard_look(guard, 0, "hook-facts");
        assert_int_equal(newest(guard, 2)->act, GUARD_ACT_DETACHED);
        assert_int_equal(newest(guard, 2)->who.pid, 91);
        fx_reconcile(fx);
        guard_settle(guard);
        assert_true(guard_needs_interval(guard));
        guard_set_facts_complete(guard, true);
        assert_false(guard_needs_interval(guard));
}

/* Somebody does it while the guard looks, which is how it is found, and another had only tried before. */
static void do_it_now(void *userdata) {
        GuardAttempt a = attempt(GUARD_VERDICT_WOULD_REFUSE, GUARD_RULE_LINKS, GUARD_ACT_DETACH, 95);
        Guard **guard = userdata;

        if (!*guard)
                return;
        guard_note_attempt(*guard, &a);
        *guard = NULL;
}

static void test_done_while_looking(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults), *todo = guard;
        GuardAttempt a = attempt(GUARD_VERDICT_WOULD_REFUSE, GUARD_RULE_NETLINK, GUARD_ACT_DETACH, 94);

        guard_note_attempt(guard, &a);
        fake_take_off(fx->fake, 2, HOOK_XDP);
        guard_set_reader(guard, do_it_now, &todo);
        guard_look(guard, 0, "guard");
        guard_set_reader(guard, NULL, NULL);
        assert_null(todo);
        assert_int_equal(newest(guard, 3)->act, GUARD_ACT_DETACHED);
        assert_int_equal(newest(guard, 3)->who.pid, 95);
        fx_reconcile(fx);
}

/* A chain that goes with its interface was not taken off, though nothing has told of that by netlink yet. */
static void test_interface_goes(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);
        GuardFact fact = { .act = GUARD_ACT_INTERFACE_DELETE, .ifindex = 2, .hook = -1, .who = process(92, "ip") };

        fact.boottime = usec_now(CLOCK_BOOTTIME);
        assert_true(guard_note_fact(guard, &fact));
        fake_interface_gone(fx->fake, 2);
        guard_look(guard, GUARD_LOOK_FILTERS, "hook-facts");
        (void) newest(guard, 0);
        fx_unlink(fx, 2);
        guard_look(guard, GUARD_LOOK_FILTERS, "links");
        assert_int_equal(newest(guard, 1)->act, GUARD_ACT_INTERFACE_DELETED);
        assert_int_equal(newest(guard, 1)->who.pid, 92);
        fx_reconcile(fx);
}

/* One "rm -r" is one event. */
static void test_many_pins(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);

        for (int i = 0; i < 30; i++) {
                GuardAttempt a = attempt(GUARD_VERDICT_REFUSED, GUARD_RULE_PINS, GUARD_ACT_UNPIN, 93);

                a.ifindex = 0;
                a.hook = -1;
                snprintf(a.pin, sizeof(a.pin), "pin-%d", i);
                guard_note_attempt(guard, &a);
        }
        assert_int_equal(newest(guard, 1)->count, 30);
}

/* Floods of one kind are counted, bounded, and drive out nothing else. */
static void test_flood(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);
        GuardAttempt refused = attempt(GUARD_VERDICT_REFUSED, GUARD_RULE_LINKS, GUARD_ACT_DETACH, 1000);

        guard_note_attempt(guard, &refused);
        for (int i = 0; i < 20000; i++) {
                GuardAttempt a = attempt(GUARD_VERDICT_ALLOWED, GUARD_RULE_LINKS, GUARD_ACT_ATTACH, 2000 + i);

                guard_note_attempt(guard, &a);
        }
        assert_int_equal(count_events(guard), 1 + GUARD_ALLOWED_KEPT);
        assert_int_equal(fx->shadow.guard_events, 1 + 100);
        for (int i = 0; i < 20000; i++) {
                GuardAttempt a = attempt(GUARD_VERDICT_REFUSED, GUARD_RULE_LINKS, GUARD_ACT_DETACH, 2000 + i);

                guard_note_attempt(guard, &a);
        }
        assert_int_equal(count_events(guard), GUARD_ATTEMPTS_KEPT + GUARD_ALLOWED_KEPT);
        assert_int_equal(fx->shadow.guard_events, 100 + 100);
        for (int i = 0; i < 50000; i++)
                guard_note_attempt(guard, &refused); /* of one process, it is one event */
        assert_int_equal(count_events(guard), GUARD_ATTEMPTS_KEPT + GUARD_ALLOWED_KEPT);
        assert_int_equal(guard_statistics(guard)->attempts, 90001);
        fake_take_off(fx->fake, 2, HOOK_XDP);
        guard_look(guard, 0, "links");
        assert_int_equal(fx->shadow.guard_events, 201);
        fx_reconcile(fx);
}

static void test_judged(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);
        GuardJudgement *list _cleanup_free_ = NULL;
        GuardPolicy policy = defaults.policy;
        GuardAttempt a = attempt(GUARD_VERDICT_ALLOWED, GUARD_RULE_INTERFACES, GUARD_ACT_INTERFACE_DELETE, 5);
        Culprit loader = process(6, "loader");
        uint64_t now = usec_now(CLOCK_BOOTTIME);
        size_t n;

        snprintf(a.who.cgroup, sizeof(a.who.cgroup), "/system.slice/NetworkManager.service");
        guard_note_attempt(guard, &a);
        guard_note_attempt(guard, &a);
        guard_note_load(guard, 300, &loader, now);
        guard_note_load(guard, 301, &loader, now + 5 * USEC_PER_SEC);
        assert_int_equal(guard_judge(guard, &policy, &list, &n), 0);
        assert_int_equal(n, 2);
        assert_true(list[0].allowed);
        assert_string_equal(list[0].by, "default unit NetworkManager.service");
        assert_int_equal(list[0].count, 2);
        assert_int_equal(list[1].rule, GUARD_RULE_LOADS);
        assert_int_equal(list[1].count, 2);
        assert_true(list[1].allowed);
        assert_string_equal(list[1].by, "");
        free(TAKE_PTR(list));

        policy.loading = GUARD_LOADING_NETWORKING;
        policy.default_allow = false;
        assert_int_equal(guard_judge(guard, &policy, &list, &n), 0);
        assert_false(list[0].allowed || list[1].allowed);
        assert_string_equal(list[0].by, "");
        assert_true(*list[1].by); /* its type is not known */
}

static void test_demanded(void **state) {
        Fixture *fx = *state;
        GuardSettings settings = defaults;
        _cleanup_error_ Error error = ERROR_INIT;
        Guard *guard;
        unsigned n;

        settings.policy.mode = GUARD_MODE_OBSERVE;
        guard = start(fx, &settings);
        assert_string_equal(fake_guard_demand(fx->fake), "observe 2/xdp/xdp-link 2=eth0");
        assert_int_equal(guard_state(guard)->mode, GUARD_MODE_OBSERVE);
        n = fake_guard_demands(fx->fake);
        fx_reconcile(fx);
        guard_update(guard);
        assert_int_equal(fake_guard_demands(fx->fake), n); /* nothing is new */
        fx_altname(fx, 2, "uplink");
        fx_reconcile(fx);
        assert_string_equal(fake_guard_demand(fx->fake), "observe 2/xdp/xdp-link 2=eth0 2=uplink");
        fx_link(fx, 3, "eth1");
        fx_object(fx, "b.o", "tc");
        fx_must_apply(fx, "more",
                      "{'chains': [{'interfaces': ['eth1'], 'hook': 'tc-egress', 'programs': ['b']}], "
                      "'programs': {'b': {'object': 'b.o'}}}");
        assert_non_null(strstr(fake_guard_demand(fx->fake), "3/tc-egress/tcx-link"));
        fx_must_withdraw(fx, "more");
        assert_string_equal(fake_guard_demand(fx->fake), "observe 2/xdp/xdp-link 2=eth0 2=uplink");

        assert_int_equal(guard_set_mode(guard, GUARD_MODE_ENFORCE, false, &error), 0);
        assert_non_null(strstr(fake_guard_demand(fx->fake), "enforce 2/xdp"));
        assert_int_equal(guard_set_mode(guard, -1, false, &error), 0);
        assert_non_null(strstr(fake_guard_demand(fx->fake), "observe 2/xdp"));
        check_no_error(&error);
}

static bool has_problem(Fixture *fx, const char *where, Severity severity, const char *text) {
        const Problem *problems;
        size_t n;

        problems = manager_problems(fx->manager, &n);
        for (size_t i = 0; i < n; i++)
                if (streq(problems[i].where, where) && problems[i].severity == severity &&
                    strstr(problems[i].sentence, text))
                        return true;
        return false;
}

/* A kernel that can't: said, and all else goes on. */
static void test_not_to_be_had(void **state) {
        Fixture *fx = *state;
        GuardSettings settings = defaults;
        _cleanup_error_ Error error = ERROR_INIT;
        Guard *guard;
        unsigned n;

        settings.policy.mode = GUARD_MODE_OBSERVE;
        fake_guard_refuse(fx->fake, GUARD_MODE_OBSERVE, EOPNOTSUPP);
        guard = start(fx, &settings);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        assert_int_equal(guard_state(guard)->mode, GUARD_MODE_OFF);
        assert_string_equal(guard_state(guard)->reason, "the fake does not want to");
        assert_true(has_problem(fx, "guard", SEVERITY_WARNING, "the fake does not want to"));
        n = fake_guard_demands(fx->fake);
        fx_reconcile(fx);
        assert_int_equal(fake_guard_demands(fx->fake), n); /* it is not asked again and again */
        assert_true(guard_set_mode(guard, GUARD_MODE_ENFORCE, false, &error) < 0);
        check_error(&error, ERROR_NOT_SUPPORTED, "the fake does not want to");
        error_done(&error);
        assert_int_equal(guard_mode_wanted(guard, NULL), GUARD_MODE_OBSERVE);
        assert_int_equal(guard_set_mode(guard, GUARD_MODE_OFF, false, &error), 0);
        assert_false(has_problem(fx, "guard", SEVERITY_WARNING, ""));
        assert_int_equal(guard_set_mode(guard, -1, false, &error), 0);
        check_no_error(&error);
        assert_true(has_problem(fx, "guard", SEVERITY_WARNING, "the fake does not want to"));

        /* Once it can, it does. */
        fake_guard_refuse(fx->fake, 0, 0);
        fx_must_reload(fx); /* without a file: off */
        settings.policy.mode = GUARD_MODE_ENFORCE;
        assert_int_equal(guard_configure(guard, &settings, &error), 0);
        assert_int_equal(guard_state(guard)->mode, GUARD_MODE_ENFORCE);
}

static void test_locked_out(void **state) {
        Fixture *fx = *state;
        Guard *guard = start(fx, &defaults);
        GuardSettings settings = defaults;
        _cleanup_error_ Error error = ERROR_INIT;

        settings.policy.mode = GUARD_MODE_ENFORCE;
        settings.policy.default_allow = false;
        assert_int_equal(guard_configure(guard, &settings, &error), -EPERM);
        check_error(&error, ERROR_INVALID_ARGUMENT, "network manager");
        error_done(&error);
        assert_int_equal(guard_state(guard)->mode, GUARD_MODE_OFF);
        assert_true(guard_settings(guard)->policy.default_allow);

        settings.policy.mode = GUARD_MODE_OBSERVE; /* refuses nothing */
        assert_int_equal(guard_configure(guard, &settings, &error), 0);
        assert_int_equal(fx->shadow.guard_reconfigured, 1);
        assert_int_equal(guard_set_mode(guard, GUARD_MODE_ENFORCE, false, &error), -EPERM);
        error_done(&error);
        assert_int_equal(guard_state(guard)->mode, GUARD_MODE_OBSERVE);
        assert_int_equal(guard_set_mode(guard, GUARD_MODE_ENFORCE, true, &error), 0);
        assert_int_equal(guard_state(guard)->mode, GUARD_MODE_ENFORCE);
}

static void test_reloaded(void **state) {
        Fixture *fx = *state;
        Guard *guard;

        write_settings(fx, "{'guard': {'restore-limit': 7}}");
        guard = start(fx, &defaults);
        write_settings(fx, "{'guard': {'mode': 'observe', 'restore-limit': 8, 'allow': [{'user': 0}]}}");
        fx_must_reload(fx);
        assert_int_equal(guard_settings(guard)->limits.limit, 8);
        assert_int_equal(guard_state(guard)->mode, GUARD_MODE_OBSERVE);
        assert_true(has_problem(fx, "guard", SEVERITY_WARNING, "\"allow\" names user 0"));
        write_settings(fx, "{'guard': {'mode': 'observed'}}");
        fx_must_reload(fx);
        assert_int_equal(guard_settings(guard)->limits.limit, 8);
        assert_int_equal(guard_state(guard)->mode, GUARD_MODE_OBSERVE);
        assert_true(has_problem(fx, "settings", SEVERITY_ERROR, "guard.mode"));
        write_settings(fx, "{'guard': {'mode': 'enforce', 'default-allow': false}}");
        fx_must_reload(fx);
        assert_int_equal(guard_state(guard)->mode, GUARD_MODE_OBSERVE);
        assert_true(has_problem(fx, "settings", SEVERITY_ERROR, "network manager"));
        assert_false(has_problem(fx, "settings", SEVERITY_ERROR, "guard.mode"));
        write_settings(fx, "{}");
        fx_must_reload(fx);
        assert_int_equal(guard_state(guard)->mode, GUARD_MODE_OFF);
        assert_false(has_problem(fx, "settings", SEVERITY_ERROR, ""));
}

/* What somebody asked for outlives the service, and what it was told to keep up is not lost over a typing error. */
static void test_restarted(void **state) {
        Fixture *fx = *state;
        GuardSettings settings = defaults, unread = defaults;
        _cleanup_error_ Error error = ERROR_INIT;
        bool overridden = false;

        (void) start(fx, &settings);
        assert_int_equal(guard_set_mode(fx->guard, GUARD_MODE_ENFORCE, false, &error), 0);
        fx_kill(fx);
        fx_start(fx);
        assert_int_equal(guard_mode_wanted(fx->guard, &overridden), GUARD_MODE_ENFORCE);
        assert_true(overridden);
        assert_int_equal(guard_state(fx->guard)->mode, GUARD_MODE_ENFORCE);
        assert_int_equal(guard_set_mode(fx->guard, -1, false, &error), 0);
        fx_kill(fx);
        fx_start(fx);
        assert_int_equal(guard_mode_wanted(fx->guard, &overridden), GUARD_MODE_OFF);
        assert_false(overridden);
        fx_kill(fx);

        settings.policy.mode = GUARD_MODE_ENFORCE;
        settings.policy.append = false;
        fx_start(fx);
        fx_must_apply(fx, "edge", DOCUMENT); /* writes the state */
        assert_int_equal(guard_set_mode(fx->guard, -1, false, &error), 0);
        fx_kill(fx);
        unread.unread = true;
        fx->guard_settings = &unread;
        fx_start(fx);
        assert_int_equal(guard_state(fx->guard)->mode, GUARD_MODE_ENFORCE);
        assert_false(guard_settings(fx->guard)->policy.append);
        check_no_error(&error);
}

/* A policy that was refused at start is one that could not be read. */
static void test_refused_at_start(void **state) {
        Fixture *fx = *state;
        GuardSettings settings = defaults;

        settings.policy.mode = GUARD_MODE_ENFORCE;
        settings.policy.loading = GUARD_LOADING_NONE;
        (void) start(fx, &settings);
        assert_int_equal(guard_state(fx->guard)->mode, GUARD_MODE_OFF);
        assert_true(has_problem(fx, "settings", SEVERITY_ERROR, "container engines"));
}

static void test_counters(void **state) {
        Fixture *fx = *state;
        GuardRuleCounters counters[_GUARD_RULE_MAX];
        GuardSettings settings = defaults;

        settings.policy.mode = GUARD_MODE_OBSERVE;
        (void) start(fx, &settings);
        assert_int_equal(guard_rule_counters(fx->guard, counters), 0);
        assert_int_equal(counters[GUARD_RULE_LOADS].refused, GUARD_RULE_LOADS + 1);
        fx_kill(fx);
        settings.policy.mode = GUARD_MODE_OFF;
        fx_start(fx);
        assert_int_equal(guard_rule_counters(fx->guard, counters), 0);
        assert_int_equal(counters[GUARD_RULE_LOADS].refused, 0); /* nothing is there */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_refused),
                fx_test(test_details),
                fx_test(test_who_did_it),
                fx_test(test_who_did_not),
                fx_test(test_settled_all_the_same),
                fx_test(test_over_already),
                fx_test(test_done_while_looking),
                fx_test(test_interface_goes),
                fx_test(test_many_pins),
                fx_test(test_flood),
                fx_test(test_judged),
                fx_test(test_demanded),
                fx_test(test_not_to_be_had),
                fx_test(test_locked_out),
                fx_test(test_reloaded),
                fx_test(test_restarted),
                fx_test(test_refused_at_start),
                fx_test(test_counters),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
