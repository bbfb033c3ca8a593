/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of the guard's programs that need no kernel: its command line, units by cgroup, and the records that the
 * programs write, whatever may be in them.
 */
#include "check.h"
#include "kernel/guard-events.h"
#include "kernel/guard-fill.h"

static void test_command_line(void **state) {
        static const char *const yes[] = {
                "bpfchain.guard=off",
                "bpfchain.guard=off\n",
                "quiet bpfchain.guard=off",
                "a=b\tbpfchain.guard=off root=/dev/vda\n",
                "bpfchain.guard=offf bpfchain.guard=off",
        };
        static const char *const no[] = {
                "",
                "\n",
                "quiet",
                "bpfchain.guard=",
                "bpfchain.guard=on",
                "bpfchain.guard=offf",
                "xbpfchain.guard=off",
                "bpfchain.guard =off",
                "bpfchain.guard=of",
                "BPFCHAIN.GUARD=OFF",
                "a=bpfchain.guard=off",
        };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++)
                assert_true(guard_programs_parse_command_line(yes[i]));
        for (size_t i = 0; i < ELEMENTSOF(no); i++)
                assert_false(guard_programs_parse_command_line(no[i]));
}

static void test_units(void **state) {
        static const struct {
                const char *cgroup;
                const char *unit; /* NULL: none */
        } cases[] = {
                { "/system.slice/bpfchaind.service", "bpfchaind.service" },
                { "/system.slice/bpfchaind.service/below", "bpfchaind.service" },
                { "/a.slice/a-b.slice/c.service", "c.service" },
                { "/init.scope", "init.scope" },
                /* What users and containers make below their own unit is not what it says it is. */
                { "/user.slice/user-0.slice/user@0.service/app.slice/bpfchaind.service", "user@0.service" },
                { "/machine.slice/docker-1.scope/system.slice/bpfchaind.service", "docker-1.scope" },
                { "//system.slice//x.service", "x.service" },
                { "x.service", "x.service" },
                { "/.slice", ".slice" },
                { "", NULL },
                { "/", NULL },
                { "/system.slice", NULL },
                { "/system.slice/", NULL },
        };
        char unit[GUARD_BPF_UNIT], path[GUARD_BPF_UNIT + 2];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int r = guard_identity_parse_unit(cases[i].cgroup, unit);

                assert_int_equal(r, cases[i].unit ? 0 : -ENOENT);
                if (cases[i].unit)
                        assert_string_equal(unit, cases[i].unit);
        }
        memset(path, 'x', sizeof(path));
        path[0] = '/';
        path[GUARD_BPF_UNIT] = '\0';
        assert_int_equal(guard_identity_parse_unit(path, unit), 0);
        assert_int_equal(strlen(unit), GUARD_BPF_UNIT - 1);
        path[GUARD_BPF_UNIT] = 'x';
        path[GUARD_BPF_UNIT + 1] = '\0';
        assert_int_equal(guard_identity_parse_unit(path, unit), -E2BIG);
}

static struct guard_bpf_event make_event(void) {
        struct guard_bpf_event event = {
                .boottime = 5000123,
                .rule = GUARD_BPF_RULE_PINS,
                .verdict = GUARD_BPF_REFUSED,
                .act = GUARD_BPF_ACT_UNPIN,
                .ifindex = 7,
                .hook = GUARD_BPF_HOOK_TC_EGRESS,
                .object = 11,
                .detail = 13,
                .pin = "if7-tc-egress",
                .who = {
                        .tgid = 100,
                        .tid = 101,
                        .uid = 1000,
                        .login_uid = WHO_NO_LOGIN_UID,
                        .args_size = 9,
                        .exe_at = WHO_TEXT - 8,
                        .cgroup_at = WHO_TEXT - 17,
                        .comm = "rm",
                        .args = "rm\0-f\0abc",
                },
        };

        strcpy(event.who.exe + WHO_TEXT - 8, "/bin/rm");
        strcpy(event.who.cgroup + WHO_TEXT - 17, "/s.slice/b.scope");
        return event;
}

static void test_events(void **state) {
        struct guard_bpf_event event = make_event();
        GuardAttempt attempt;

        assert_int_equal(guard_events_parse(&event, sizeof(event), &attempt), 0);
        assert_int_equal(attempt.rule, GUARD_RULE_PINS);
        assert_int_equal(attempt.verdict, GUARD_VERDICT_REFUSED);
        assert_int_equal(attempt.act, GUARD_ACT_UNPIN);
        assert_int_equal(attempt.ifindex, 7);
        assert_int_equal(attempt.hook, HOOK_TC_EGRESS);
        assert_int_equal(attempt.object_id, 11);
        assert_int_equal(attempt.detail, 13);
        assert_int_equal(attempt.boottime, 5000);
        assert_string_equal(attempt.pin, "if7-tc-egress");
        assert_int_equal(attempt.who.pid, 100);
        assert_int_equal(attempt.who.tid, 101);
        assert_true(attempt.who.has_uid && attempt.who.uid == 1000);
        assert_false(attempt.who.has_login_uid);
        assert_string_equal(attempt.who.comm, "rm");
        assert_string_equal(attempt.who.executable, "/bin/rm");
        assert_string_equal(attempt.who.command, "rm -f abc");
        assert_string_equal(attempt.who.cgroup, "/s.slice/b.scope");
        assert_string_equal(attempt.who.unit, "b.scope");

        event.hook = GUARD_BPF_NO_HOOK;
        assert_int_equal(guard_events_parse(&event, sizeof(event), &attempt), 0);
        assert_true(attempt.hook < 0);
}

static void test_deleted_and_cut(void **state) {
        struct guard_bpf_event event = make_event();
        GuardAttempt attempt;

        event.who.exe_at = 0;
        strcpy(event.who.exe, "/tmp/x (deleted)");
        assert_int_equal(guard_events_parse(&event, sizeof(event), &attempt), 0);
        assert_string_equal(attempt.who.executable, "/tmp/x (deleted)");
        event.who.exe_deleted = 1;
        assert_int_equal(guard_events_parse(&event, sizeof(event), &attempt), 0);
        assert_string_equal(attempt.who.executable, "/tmp/x");
        event.who.exe_cut = 1;
        assert_int_equal(guard_events_parse(&event, sizeof(event), &attempt), 0);
        assert_string_equal(attempt.who.executable, "…/tmp/x");
}

/* Numbers that mean nothing are refused; texts without an end are read no further than they go. */
static void test_nonsense(void **state) {
        struct guard_bpf_event event;
        GuardAttempt attempt;

#define REFUSED(field, value)                                                                                        \
        event = make_event();                                                                                        \
        event.field = (value);                                                                                       \
        assert_int_equal(guard_events_parse(&event, sizeof(event), &attempt), -EBADMSG)

        REFUSED(rule, GUARD_BPF_RULES);
        REFUSED(rule, UINT32_MAX);
        REFUSED(verdict, GUARD_BPF_ALLOWED + 1);
        REFUSED(act, GUARD_BPF_ACT_NONE);
        REFUSED(act, GUARD_BPF_ACTS);
        REFUSED(ifindex, UINT32_MAX);
        event = make_event();
        assert_int_equal(guard_events_parse(&event, sizeof(event) - 1, &attempt), -EBADMSG);
        assert_int_equal(guard_events_parse(&event, 0, &attempt), -EBADMSG);

        memset(&event, 'x', sizeof(event));
        event.rule = GUARD_BPF_RULE_LINKS;
        event.verdict = GUARD_BPF_ALLOWED;
        event.act = GUARD_BPF_ACT_UNCLEAR;
        event.ifindex = 0;
        assert_int_equal(guard_events_parse(&event, sizeof(event), &attempt), 0);
        assert_int_equal(strlen(attempt.pin), GUARD_BPF_PIN - 1);
        assert_int_equal(strlen(attempt.who.comm), 15);
        event.who.exe_at = event.who.cgroup_at = event.who.exe_cut = event.who.cgroup_cut = 0;
        assert_int_equal(guard_events_parse(&event, sizeof(event), &attempt), 0);
        assert_true(strlen(attempt.who.executable) < CULPRIT_TEXT);
        assert_true(strlen(attempt.who.command) < CULPRIT_TEXT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_command_line), cmocka_unit_test(test_units),
                cmocka_unit_test(test_events),       cmocka_unit_test(test_deleted_and_cut),
                cmocka_unit_test(test_nonsense),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
