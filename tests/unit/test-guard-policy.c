/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whom the guard lets, as settings say it; settings with faults are samples in tests/data/settings. */
#include <sys/stat.h>

#include "model-fixture.h"
#include "model/settings.h"
#include "util/json.h"

static GuardPolicy policy_of(const char *text) {
        _cleanup_free_ char *quoted = quotes(text);
        _cleanup_error_ Error error = ERROR_INIT;
        GuardSettings settings = {};

        (void) settings_read_guard(quoted, strlen(quoted), &settings, &error);
        check_no_error(&error);
        return settings.policy;
}

static Culprit process(const char *executable, const char *cgroup, uint32_t uid) {
        Culprit who = { .pid = 4711, .has_uid = true, .uid = uid };

        snprintf(who.executable, sizeof(who.executable), "%s", executable);
        snprintf(who.cgroup, sizeof(who.cgroup), "%s", cgroup);
        culprit_read_cgroup(&who);
        return who;
}

static void test_tables(void **state) {
        (void) state;
        for (GuardMode mode = 0; mode < _GUARD_MODE_MAX; mode++)
                assert_int_equal(guard_mode_from_string(guard_mode_to_string(mode)), mode);
        for (GuardRule rule = 0; rule < _GUARD_RULE_MAX; rule++)
                assert_int_equal(guard_rule_from_string(guard_rule_to_string(rule)), rule);
        for (GuardLoading loading = 0; loading < _GUARD_LOADING_MAX; loading++)
                assert_int_equal(guard_loading_from_string(guard_loading_to_string(loading)), loading);
        for (GuardVerdict verdict = 0; verdict < _GUARD_VERDICT_MAX; verdict++)
                assert_int_equal(guard_verdict_from_string(guard_verdict_to_string(verdict)), verdict);
        assert_null(guard_rule_to_string((GuardRule) -1));
}

static void test_values(void **state) {
        GuardPolicy policy = policy_of("{}"), fallback = GUARD_POLICY_DEFAULT;

        (void) state;
        assert_memory_equal(&policy, &fallback, sizeof(policy));
        policy = policy_of("{'mode': 'enforce', 'protect': ['pins', 'links'], 'refuse-loading': 'networking', "
                           "'append': false, 'default-allow': false, 'force': true, 'allow': [{'executable': "
                           "'/usr/sbin/tc'}, {'unit': 'a@b.service', 'rules': ['loads', 'pins']}, {'user': 'root'}, "
                           "{'user': '77'}, {'user': 78}]}");
        assert_int_equal(policy.mode, GUARD_MODE_ENFORCE);
        assert_int_equal(policy.protect, 1 << GUARD_RULE_PINS | 1 << GUARD_RULE_LINKS);
        assert_int_equal(policy.loading, GUARD_LOADING_NETWORKING);
        assert_false(policy.append || policy.default_allow);
        assert_true(policy.force);
        assert_int_equal(policy.n_allow, 5);
        assert_int_equal(policy.allow[0].kind, GUARD_ALLOW_EXECUTABLE);
        assert_int_equal(policy.allow[0].rules, GUARD_RULES_ALL);
        assert_string_equal(policy.allow[1].text, "a@b.service");
        assert_int_equal(policy.allow[1].rules, 1 << GUARD_RULE_LOADS | 1 << GUARD_RULE_PINS);
        assert_int_equal(policy.allow[2].uid, 0);
        assert_int_equal(policy.allow[3].uid, 77);
        assert_int_equal(policy.allow[4].uid, 78);
        policy = policy_of("{'protect': []}");
        assert_int_equal(policy.protect, 0);
}

static void refuse(const char *text, const char *sentence) {
        _cleanup_free_ char *quoted = quotes(text);
        GuardSettings settings = { .check_interval = 77 };
        _cleanup_error_ Error error = ERROR_INIT;

        assert_true(settings_read_guard(quoted, strlen(quoted), &settings, &error) < 0);
        check_error(&error, ERROR_INVALID_DOCUMENT, sentence);
        assert_int_equal(settings.check_interval, 77);
}

static void test_faults(void **state) {
        char many[GUARD_ALLOW_MAX * 16 + 64] = "{'allow': [";

        (void) state;
        refuse("{", "1:2: ");
        refuse("[]", "1:1: expected an object");
        refuse("{'mode': 'loud'}", "1:10: mode: ");
        refuse("{'allow': [{'user': 'nobody-of-that-name'}]}", "1:21: allow[0].user: there is no user");
        refuse("{'allow': [{'user': '12x'}]}", "no user's number");
        refuse("{'allow': [{'user': '99999999999999999999'}]}", "no user's number");
        refuse("{'allow': [{'executable': '/'}]}", "at least 2 bytes");
        refuse("{'allow': [{'executable': '/usr/../bin/sh'}]}", "no path from the root on");
        refuse("{'allow': [{'executable': '/usr/bin/'}]}", "no path from the root on");
        refuse("{'allow': [{'unit': '.service'}]}", "is no unit");
        refuse("{'allow': [{'unit': 'a/b.service'}]}", "unit");
        for (int i = 0; i <= GUARD_ALLOW_MAX; i++)
                strcat(many, i > 0 ? ", {'user': 7}" : "{'user': 7}");
        strcat(many, "]}");
        refuse(many, "65 are more than the 64");
}

/* What is written to the run-time state is read again as what it was. */
static void test_there_and_back(void **state) {
        GuardPolicy policy = policy_of("{'mode': 'observe', 'protect': ['service'], 'refuse-loading': 'everything', "
                                       "'append': false, 'allow': [{'unit': 'x.slice', 'rules': ['links']}, {'user': "
                                       "'0'}, {'executable': '/a b/\\\"c'}], 'force': true}");
        _cleanup_json_ json_object *value = guard_policy_to_json(&policy);
        GuardPolicy again = policy_of(json_object_to_json_string(value));

        (void) state;
        assert_memory_equal(&policy, &again, sizeof(policy));
}

static void check(const char *text, const char *sentence) {
        GuardPolicy policy = policy_of(text);
        _cleanup_error_ Error error = ERROR_INIT;

        if (!sentence) {
                assert_int_equal(guard_policy_check(&policy, &error), 0);
                check_no_error(&error);
                return;
        }
        assert_int_equal(guard_policy_check(&policy, &error), -EPERM);
        check_error(&error, ERROR_INVALID_ARGUMENT, sentence);
}

static void test_lock_out(void **state) {
        (void) state;
        check("{'mode': 'enforce'}", NULL);
        check("{'mode': 'enforce', 'refuse-loading': 'networking'}", NULL);
        check("{'mode': 'enforce', 'refuse-loading': 'everything'}", "container engines");
        check("{'mode': 'observe', 'refuse-loading': 'everything'}", NULL);
        check("{'mode': 'enforce', 'refuse-loading': 'everything', 'force': true}", NULL);
        check("{'mode': 'enforce', 'refuse-loading': 'everything', 'allow': [{'user': 7, 'rules': ['links']}]}",
              "container engines");
        check("{'mode': 'enforce', 'refuse-loading': 'everything', 'allow': [{'user': 7, 'rules': ['loads']}]}",
              NULL);
        check("{'mode': 'enforce', 'default-allow': false}", "no network manager");
        check("{'mode': 'enforce', 'default-allow': false, 'protect': ['links']}", NULL);
        check("{'mode': 'enforce', 'default-allow': false, 'allow': [{'unit': 'n.service'}]}", NULL);
}

static void weak(const char *text, const char *phrase) {
        GuardPolicy policy = policy_of(text);
        char why[256] = "";

        assert_int_equal(guard_policy_weakness(&policy, why), phrase != NULL);
        if (phrase && !strstr(why, phrase))
                fail_msg("\"%s\" is not in \"%s\"", phrase, why);
}

static void test_weak(void **state) {
        (void) state;
        weak("{'mode': 'enforce'}", NULL);
        weak("{'mode': 'enforce', 'allow': [{'executable': '/usr/bin/python3.13'}]}", "/usr/bin/python3.13");
        weak("{'mode': 'enforce', 'allow': [{'executable': '/usr/bin/shred'}, {'executable': '/opt/bash-tool'}]}",
             NULL);
        weak("{'mode': 'observe', 'allow': [{'executable': '/bin/sh'}]}", "everybody can do anything");
        weak("{'mode': 'off', 'allow': [{'executable': '/bin/sh'}]}", NULL);
        weak("{'mode': 'enforce', 'allow': [{'user': 'root'}]}", "nearly everybody");
        weak("{'mode': 'enforce', 'protect': []}", "nothing to do");
        weak("{'mode': 'enforce', 'protect': [], 'refuse-loading': 'networking'}", NULL);
}

static void allows(const GuardPolicy *policy, GuardRule rule, Culprit who, const char *by) {
        const GuardAllow *entry = (const GuardAllow *) policy;
        bool allowed = guard_policy_allows(policy, rule, &who, &entry);

        assert_int_equal(allowed, by != NULL);
        assert_int_equal(guard_policy_allows(policy, rule, &who, NULL), allowed);
        if (by && !streq_ptr(entry ? entry->text : "anybody", by))
                fail_msg("let by %s, not %s", entry ? entry->text : "anybody", by);
}

static void test_who(void **state) {
        GuardPolicy policy =
                policy_of("{'protect': ['links', 'interfaces'], 'allow': [{'executable': '/usr/sbin/tc', "
                          "'rules': ['links']}, {'unit': 'agent.service'}, {'unit': 'trusted.slice'}, "
                          "{'user': 77}]}");
        Culprit init = process("/usr/lib/systemd/systemd", "/init.scope", 0), effective = process("/x", "/", 5);

        (void) state;
        allows(&policy, GUARD_RULE_PINS, process("/x", "/", 0), "anybody");
        allows(&policy, GUARD_RULE_LOADS, process("/x", "/", 0), "anybody");
        allows(&policy, GUARD_RULE_LINKS, process("/x", "/", 0), NULL);
        allows(&policy, GUARD_RULE_LINKS, process("", "", 0), NULL);
        allows(&policy, GUARD_RULE_LINKS, process("/usr/sbin/tc", "/", 0), "/usr/sbin/tc");
        allows(&policy, GUARD_RULE_INTERFACES, process("/usr/sbin/tc", "/", 0), NULL);
        allows(&policy, GUARD_RULE_LINKS, process("/x", "/system.slice/agent.service", 0), "agent.service");
        allows(&policy, GUARD_RULE_LINKS, process("/x", "/system.slice/agent.service/sub/x", 0), "agent.service");
        allows(&policy, GUARD_RULE_LINKS, process("/x", "/trusted.slice/trusted-a.slice/b.service", 0),
               "trusted.slice");
        allows(&policy, GUARD_RULE_LINKS, process("/x", "/", 77), "77");
        /* Users' managers, containers and others can call their groups what they like. */
        allows(&policy, GUARD_RULE_LINKS,
               process("/x", "/user.slice/user-7.slice/user@7.service/app.slice/agent.service", 7), NULL);
        allows(&policy, GUARD_RULE_LINKS, process("/x", "/machine.slice/machine-a.scope/trusted.slice", 0), NULL);
        allows(&policy, GUARD_RULE_LINKS, process("/x", "/lxc/system.slice/agent.service", 0), NULL);
        allows(&policy, GUARD_RULE_LINKS, process("/x", "/system.slice/agent.services", 0), NULL);
        allows(&policy, GUARD_RULE_LINKS, process("/x", "agent.service", 0), NULL);
        /* The effective user counts where it is known. */
        effective.has_effective_uid = true;
        effective.effective_uid = 77;
        allows(&policy, GUARD_RULE_LINKS, effective, "77");
        effective.uid = 77;
        effective.effective_uid = 5;
        allows(&policy, GUARD_RULE_LINKS, effective, NULL);
        init.pid = 1;
        allows(&policy, GUARD_RULE_LINKS, init, "init.scope");

        allows(&policy, GUARD_RULE_INTERFACES, process("/x", "/system.slice/systemd-networkd.service", 0),
               "systemd-networkd.service");
        allows(&policy, GUARD_RULE_LINKS, process("/x", "/system.slice/systemd-networkd.service", 0), NULL);
        policy.default_allow = false;
        allows(&policy, GUARD_RULE_INTERFACES, process("/x", "/system.slice/systemd-networkd.service", 0), NULL);
}

/* An executable is a file, whatever its name. */
static void test_same_file(void **state) {
        Fixture *fx = *state;
        _cleanup_free_ char *file = NULL, *other = NULL, *copy = NULL, *text = NULL;
        GuardPolicy policy;
        FILE *f;

        assert_true(asprintf(&file, "%s/tool", fx->root) >= 0);
        assert_true(asprintf(&other, "%s/link", fx->root) >= 0);
        assert_true(asprintf(&copy, "%s/copy", fx->root) >= 0);
        for (int i = 0; i < 2; i++) {
                f = fopen(i == 0 ? file : copy, "we");
                assert_non_null(f);
                fclose(f);
        }
        assert_int_equal(symlink(file, other), 0);
        assert_true(asprintf(&text, "{'allow': [{'executable': '%s'}]}", other) >= 0);
        policy = policy_of(text);
        allows(&policy, GUARD_RULE_LINKS, process(file, "/", 0), other);
        allows(&policy, GUARD_RULE_LINKS, process(copy, "/", 0), NULL);
        allows(&policy, GUARD_RULE_LINKS, process("/nonexistent/tool", "/", 0), NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tables),   cmocka_unit_test(test_values),
                cmocka_unit_test(test_faults),   cmocka_unit_test(test_there_and_back),
                cmocka_unit_test(test_lock_out), cmocka_unit_test(test_weak),
                cmocka_unit_test(test_who),      fx_test(test_same_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
