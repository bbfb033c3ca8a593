/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manager seen as its callers see it: documents come and go, are confirmed or rolled back, read again.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "model-fixture.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/json.h"

#define EDGE(programs)                                                                                               \
        "{'programs': {'deny': {'object': 'deny.o'}, 'limit': {'object': 'limit.o'}},"                               \
        " 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': [" programs "]}]}"

static void world(Fixture *fx) {
        fx_object(fx, "deny.o", "map:denied");
        fx_object(fx, "limit.o", "map:buckets map:.rodata");
        fx_object(fx, "tc.o", "tc");
        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        fx_start(fx);
}

static json_object *member(json_object *o, const char *name) {
        json_object *value = NULL;

        assert_true(json_object_object_get_ex(o, name, &value));
        return value;
}

static void test_apply(void **state) {
        _cleanup_json_ json_object *report = NULL;
        _cleanup_free_ char *file = NULL, *text = quotes(EDGE("'deny', 'limit'"));
        Fixture *fx = *state;
        json_object *chain;

        world(fx);
        assert_string_equal(manager_state(fx->manager), "running");
        assert_int_equal(manager_generation(fx->manager), 1);
        fx_must_apply(fx, "edge", EDGE("'deny', 'limit'"));
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit");
        fx_expect(fx, "eth1", HOOK_XDP, "-");
        assert_int_equal(fx->generation, 2);
        assert_int_equal(manager_generation(fx->manager), 2);
        assert_int_equal(fx->shadow.committed, 2);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->generation, 2);
        assert_string_equal(chain_mode_in_effect(fx_chain(fx, "eth0", HOOK_XDP)), "native");
        assert_int_equal(manager_get_program(fx->manager, "deny")->state, PROGRAM_STATE_LOADED);

        /* It stands in the files as it was given. */
        file = fx_read(fx, LAYER_ADMIN, "edge");
        assert_string_equal(file, text);
        assert_string_equal(manager_get_document(fx->manager, "edge"), text);

        report = json_tokener_parse(fx->report);
        assert_int_equal(json_object_get_int64(member(report, "generation")), 2);
        assert_false(json_object_get_boolean(member(report, "dry-run")));
        assert_int_equal(json_object_array_length(member(report, "chains")), 1);
        chain = json_object_array_get_idx(member(report, "chains"), 0);
        assert_string_equal(json_object_get_string(member(chain, "interface")), "eth0");
        assert_string_equal(json_object_get_string(member(chain, "change")), "attached");
        assert_int_equal(json_object_array_length(member(chain, "before")), 0);
        assert_int_equal(json_object_array_length(member(chain, "after")), 2);
        assert_int_equal(json_object_array_length(member(report, "programs")), 2);

        /* The same again: nothing is done to the hook. */
        fake_log_clear(fx->fake);
        fx_must_apply(fx, "edge", EDGE("'deny', 'limit'"));
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_COMMIT), 0);
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_LOAD), 0);
        assert_int_equal(fx->generation, 3);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->generation, 2);
        assert_non_null(strstr(fx->report, "\"unchanged\""));

        fx_must_apply(fx, "edge", EDGE("'limit'"));
        fx_expect(fx, "eth0", HOOK_XDP, "active limit");
        assert_non_null(strstr(fx->report, "\"replaced\""));
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->generation, 4);

        fx_must_withdraw(fx, "edge");
        fx_expect(fx, "eth0", HOOK_XDP, "-");
        assert_null(fx_read(fx, LAYER_ADMIN, "edge"));
        assert_null(manager_get_document(fx->manager, "edge"));
        assert_int_equal(manager_programs(fx->manager)->n, 0);
}

static void test_plan_leaves_no_trace(void **state) {
        _cleanup_free_ char *before = NULL, *begun = NULL;
        Fixture *fx = *state;

        world(fx);
        before = fx_picture(fx);
        fx->options.dry_run = true;
        assert_int_equal(fx_apply(fx, "edge", EDGE("'deny', 'limit'")), 0);
        assert_int_equal(fx->generation, 1);
        assert_non_null(strstr(fx->report, "\"dry-run\":true"));
        assert_non_null(strstr(fx->report, "\"attached\""));
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_LOAD), 2); /* verified it was */
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_BUILD), 1);
        fx_check_picture(fx, before);
        assert_int_equal(fx_apply(fx, "edge", EDGE("'deny', 'nobody'")), -EBADMSG);
        fx_check_picture(fx, before);

        fx->options.dry_run = false;
        fx_must_apply(fx, "edge", EDGE("'deny', 'limit'"));
        begun = fx_picture(fx);
        fx->options.dry_run = true;
        assert_int_equal(fx_apply(fx, "edge", EDGE("'limit'")), 0);
        assert_non_null(strstr(fx->report, "\"replaced\""));
        assert_int_equal(fx_withdraw(fx, "edge"), 0);
        assert_int_equal(fx_reload(fx), 0);
        fx_check_picture(fx, begun);
}

/* What a plan finds out about the world it does not act on. */
static void test_plan_with_lost_link(void **state) {
        Fixture *fx = *state;
        uint32_t link;

        world(fx);
        fx_must_apply(fx, "edge", EDGE("'deny', 'limit'"));
        link = fake_link_id(fx->fake, 2, HOOK_XDP);
        fake_take_off(fx->fake, 2, HOOK_XDP);
        {
                _cleanup_free_ char *before = fx_picture(fx);

                fx->options.dry_run = true;
                assert_int_equal(fx_apply(fx, "edge", EDGE("'limit'")), 0);
                fx_check_picture(fx, before);
                assert_int_equal(fx_apply(fx, "edge", EDGE("'nobody'")), -EBADMSG);
                fx_check_picture(fx, before);
                fx->options.dry_run = false;
                assert_int_equal(fx_apply(fx, "edge", EDGE("'nobody'")), -EBADMSG);
                fx_check_picture(fx, before);
        }
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit");
        assert_int_not_equal(fake_link_id(fx->fake, 2, HOOK_XDP), link);

        /* A change that fails when it has begun to mend that says what is. */
        fake_take_off(fx->fake, 2, HOOK_XDP);
        fake_fail(fx->fake, FAKE_CHAIN_COMMIT, 1, -EIO, false);
        assert_int_equal(fx_apply(fx, "edge", EDGE("'limit'")), -EIO);
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit");
        assert_string_equal(manager_state(fx->manager), "running");

        /* One that works mends it. */
        fake_take_off(fx->fake, 2, HOOK_XDP);
        fx_must_apply(fx, "edge", EDGE("'limit'"));
        fx_expect(fx, "eth0", HOOK_XDP, "active limit");
}

static void test_check_that_fails(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx_must_apply(fx, "edge", EDGE("'deny', 'limit'"));
        fake_log_clear(fx->fake);
        fake_fail(fx->fake, FAKE_CHAIN_CHECK, 1, -EIO, false);
        fx_reconcile(fx);
        assert_true(fake_failed(fx->fake));
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_COMMIT), 0); /* not known to differ: left alone */
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit");
}

static void test_bad_documents(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx_object(fx, "bad.o", "reject");
        fx_object(fx, "heavy.o", "heavy");
        fx_must_apply(fx, "edge", EDGE("'deny', 'limit'"));

        fx_refused(fx, "edge", "{", ERROR_INVALID_DOCUMENT, "edge.json:1:2: ");
        fx_refused(fx, "edge", "{'chain': []}", ERROR_INVALID_DOCUMENT, "edge.json:1:2: chain: ");
        fx_refused(fx, "edge", EDGE("'nobody'"), ERROR_INVALID_DOCUMENT, "no document defines a program \"nobody\"");
        fx_refused(fx, "bad name", EDGE("'deny'"), ERROR_INVALID_ARGUMENT, "\"bad name\" is no document name");
        fx_refused(fx, "../edge", EDGE("'deny'"), ERROR_INVALID_ARGUMENT, "is no document name");
        fx_refused(fx, "", EDGE("'deny'"), ERROR_INVALID_ARGUMENT, "is no document name");
        fx_refused(fx, "edge.json", EDGE("'deny'"), ERROR_INVALID_ARGUMENT, "is no document name");
        fx_refused(fx, "two", "{'programs': {'deny': {'object': 'deny.o'}}}", ERROR_NAME_TAKEN,
                   "two.json:1:23: programs.deny: program \"deny\" is defined in edge.json already");
        /* Also when the other comes later in order. */
        fx_refused(fx, "aaa", "{'programs': {'deny': {'object': 'deny.o'}}}", ERROR_NAME_TAKEN,
                   "program \"deny\" is defined in aaa.json already");
        fx_refused(fx, "two", "{'chains': [{'interfaces': ['eth*'], 'hook': 'xdp', 'programs': ['deny']}]}",
                   ERROR_INVALID_DOCUMENT, "\"deny\" is put on eth0/xdp twice");
        fx_refused(fx, "two",
                   "{'programs': {'x': {'object': 'bad.o'}}, 'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', "
                   "'programs': ['x']}]}",
                   ERROR_VERIFIER_REJECTED, "two.json:1:20: programs.x: the verifier refuses bad.o");
        assert_non_null(strstr(fx->error.log, "R1 is no pointer"));
        fx_refused(fx, "two",
                   "{'programs': {'x': {'object': 'heavy.o'}}, 'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', "
                   "'programs': ['x']}]}",
                   ERROR_LIMIT_EXCEEDED, "eth1/xdp: 1000001 instructions");
        fx_refused(fx, "two",
                   "{'programs': {'x': {'object': 'tc.o'}}, 'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', "
                   "'programs': ['x']}]}",
                   ERROR_INCOMPATIBLE, "x is no program for this hook");
        fx_refused(fx, "two",
                   "{'programs': {'x': {'object': 'none.o'}}, 'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', "
                   "'programs': ['x']}]}",
                   ERROR_INVALID_DOCUMENT, "two.json:1:31: programs.x.object: there is no object \"none.o\"");
        /* Verified even if the interface is not there yet. */
        fx_refused(fx, "two",
                   "{'programs': {'x': {'object': 'bad.o'}}, 'chains': [{'interfaces': ['eth7'], 'hook': 'xdp', "
                   "'programs': ['x']}]}",
                   ERROR_VERIFIER_REJECTED, "the verifier refuses bad.o");
        fx_refused(fx, "two",
                   "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'mode': 'generic', 'programs': ['limit']}]}",
                   ERROR_INVALID_DOCUMENT, "\"limit\" is put on eth0/xdp twice");

        /* What others need can't be withdrawn. */
        fx_must_apply(fx, "uses", "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'programs': ['deny']}]}");
        assert_int_equal(fx_withdraw(fx, "edge"), -EBADMSG);
        check_error(&fx->error, ERROR_INVALID_DOCUMENT, "uses.json:1:");
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit");
        fx_must_withdraw(fx, "uses");
        fx_must_withdraw(fx, "edge");
}

static void test_several_documents(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx_must_apply(fx, "programs",
                      "{'programs': {'a': {'object': 'deny.o'}, 'b': {'object': 'deny.o'}, "
                      "'c': {'object': 'limit.o'}}}");
        assert_int_equal(manager_get_program(fx->manager, "a")->state, PROGRAM_STATE_DEFINED);
        fx_must_apply(fx, "x", "{'chains': [{'interfaces': ['eth*'], 'hook': 'xdp', 'programs': ['a']}]}");
        fx_must_apply(fx, "y",
                      "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'order': 1, 'programs': ['b', 'c']}]}");
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        fx_expect(fx, "eth1", HOOK_XDP, "active b,c,a");
        assert_string_equal(fx_chain(fx, "eth1", HOOK_XDP)->documents[0], "y");
        assert_string_equal(fx_chain(fx, "eth1", HOOK_XDP)->documents[1], "x");

        /* A change of one document leaves alone what others run. */
        fake_log_clear(fx->fake);
        fx_must_apply(fx, "y", "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'programs': ['b']}]}");
        fx_expect(fx, "eth1", HOOK_XDP, "active a,b");
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_COMMIT), 1);
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_LOAD), 0);

        /* Withdrawing one leaves the other's part. */
        fx_must_withdraw(fx, "x");
        fx_expect(fx, "eth0", HOOK_XDP, "-");
        fx_expect(fx, "eth1", HOOK_XDP, "active b");
}

static void test_runtime(void **state) {
        Fixture *fx = *state;
        _cleanup_free_ char *etc = NULL, *run = NULL;

        world(fx);
        fx_write(fx, LAYER_VENDOR, "edge", EDGE("'deny'"));
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
        assert_int_equal(fx_withdraw(fx, "edge"), -EOPNOTSUPP);
        check_error(&fx->error, ERROR_NOT_SUPPORTED, "came with a package; mask it");
        assert_int_equal(fx_withdraw(fx, "nothing"), -ENOENT);
        check_error(&fx->error, ERROR_NO_SUCH_DOCUMENT, "there is no document \"nothing\"");

        /* /run over /usr/lib, /etc over both; withdrawn in turn. */
        fx->options.runtime = true;
        fx_must_apply(fx, "edge", EDGE("'limit'"));
        fx_expect(fx, "eth0", HOOK_XDP, "active limit");
        run = fx_read(fx, LAYER_RUNTIME, "edge");
        etc = fx_read(fx, LAYER_ADMIN, "edge");
        assert_non_null(run);
        assert_null(etc);
        fx->options.runtime = false;
        fx_must_apply(fx, "edge", EDGE("'limit', 'deny'"));
        fx_expect(fx, "eth0", HOOK_XDP, "active limit,deny");
        fx->options.runtime = true;
        fx_refused(fx, "edge", EDGE("'deny'"), ERROR_INVALID_ARGUMENT, "overrides a document of this name");
        fx_must_withdraw(fx, "edge");
        fx_expect(fx, "eth0", HOOK_XDP, "active limit");
        fx_must_withdraw(fx, "edge");
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
}

static void test_confirm(void **state) {
        _cleanup_free_ char *before = NULL, *file = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        Fixture *fx = *state;
        uint64_t now = usec_now(CLOCK_BOOTTIME);

        world(fx);
        fx_must_apply(fx, "edge", EDGE("'deny'"));
        assert_int_equal(manager_confirm(fx->manager, 2, &error), -ENODATA);
        check_error(&error, ERROR_NOTHING_TO_CONFIRM, "no generation waits");
        error_done(&error);

        before = fx_read(fx, LAYER_ADMIN, "edge");
        fx->options.confirm_timeout = USEC_PER_MINUTE;
        fx_must_apply(fx, "edge", EDGE("'deny', 'limit'"));
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit");
        assert_int_equal(manager_pending(fx->manager).generation, 3);
        assert_true(manager_pending(fx->manager).deadline >= now + USEC_PER_MINUTE);
        assert_true(manager_pending(fx->manager).deadline <= usec_now(CLOCK_BOOTTIME) + USEC_PER_MINUTE);
        assert_int_equal(fx->shadow.deadline, manager_pending(fx->manager).deadline);
        file = fx_read(fx, LAYER_ADMIN, "edge");
        assert_string_equal(file, before); /* a crash goes back too */
        manager_deadline(fx->manager);     /* too early: nothing */
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit");

        /* Meanwhile nobody changes anything; but all may plan. */
        fx_refused(fx, "other", "{}", ERROR_BUSY, "generation 3 waits for its confirmation");
        assert_int_equal(fx_withdraw(fx, "edge"), -EAGAIN);
        assert_int_equal(fx_reload(fx), -EAGAIN);
        fx->options.dry_run = true;
        assert_int_equal(fx_apply(fx, "edge", EDGE("'limit'")), 0);
        assert_int_equal(fx_reload(fx), 0);
        fx->options.dry_run = false;

        assert_int_equal(manager_confirm(fx->manager, 2, &error), -ESTALE);
        check_error(&error, ERROR_STALE_GENERATION, "generation 3 waits for its confirmation, not 2");
        error_done(&error);
        assert_int_equal(manager_confirm(fx->manager, 3, &error), 0);
        fx_check(fx);
        assert_int_equal(manager_pending(fx->manager).generation, 0);
        assert_int_equal(fx->shadow.deadline, UINT64_MAX);
        free(file);
        file = fx_read(fx, LAYER_ADMIN, "edge");
        assert_string_not_equal(file, before);
        manager_deadline(fx->manager);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit");
        assert_int_equal(fx->shadow.rolled_back_to, 0);

        fx->options.confirm_timeout = USEC_PER_DAY + 1;
        fx_refused(fx, "other", "{}", ERROR_INVALID_ARGUMENT, "one day at most");
}

/* Lets the time of a pending change run out. */
static void run_out(Fixture *fx) {
        while (usec_now(CLOCK_BOOTTIME) < fx->shadow.deadline)
                usleep(100);
        manager_deadline(fx->manager);
        fx_check(fx);
}

static void test_deadline(void **state) {
        _cleanup_free_ char *before = NULL, *file = NULL;
        Fixture *fx = *state;
        uint32_t link, old_map;

        world(fx);
        fx_must_apply(fx, "edge", EDGE("'deny'"));
        before = fx_read(fx, LAYER_ADMIN, "edge");
        link = fake_link_id(fx->fake, 2, HOOK_XDP);
        old_map = fake_map_id(fx->fake, "deny", "denied");
        fx_object(fx, "deny.o", "map:denied:16 frags");
        fx->options.confirm_timeout = 1000;
        fx_must_apply(fx, "edge", EDGE("'limit', 'deny'"));
        fx_expect(fx, "eth0", HOOK_XDP, "active limit,deny");
        assert_int_not_equal(fake_map_id(fx->fake, "deny", "denied"), old_map);
        assert_true(manager_get_program(fx->manager, "deny")->info.frags);
        run_out(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
        assert_int_equal(fake_link_id(fx->fake, 2, HOOK_XDP), link);
        assert_int_equal(fx->shadow.rolled_back_to, 4);
        assert_int_equal(manager_generation(fx->manager), 4);
        assert_int_equal(manager_pending(fx->manager).generation, 0);
        /* The very object of before, though the file is another now. */
        assert_false(manager_get_program(fx->manager, "deny")->info.frags);
        file = fx_read(fx, LAYER_ADMIN, "edge");
        assert_string_equal(file, before);

        /* Withdrawing on trial, and a document that was not there before. */
        assert_int_equal(fx_withdraw(fx, "edge"), 0);
        fx_expect(fx, "eth0", HOOK_XDP, "-");
        run_out(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
        fx_must_apply(fx, "more", "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'programs': ['limit']}]}");
        fx_expect(fx, "eth1", HOOK_XDP, "active limit");
        run_out(fx);
        fx_expect(fx, "eth1", HOOK_XDP, "-");
        assert_null(manager_get_document(fx->manager, "more"));
        assert_null(fx_read(fx, LAYER_ADMIN, "more"));
}

static int roll_back(Fixture *fx, uint64_t generation) {
        int r;

        error_done(&fx->error);
        r = manager_rollback(fx->manager, generation, &fx->generation, &fx->error);
        fx_check(fx);
        return r;
}

static void test_rollback(void **state) {
        _cleanup_free_ char *before = NULL, *file = NULL;
        Fixture *fx = *state;

        world(fx);
        assert_int_equal(roll_back(fx, 1), -ENODATA);
        check_error(&fx->error, ERROR_NOTHING_TO_CONFIRM, "nothing to go back to");
        fx_must_apply(fx, "edge", EDGE("'deny'"));
        before = fx_read(fx, LAYER_ADMIN, "edge");
        fx_must_apply(fx, "edge", EDGE("'limit'"));
        assert_int_equal(roll_back(fx, 2), -ESTALE);
        check_error(&fx->error, ERROR_STALE_GENERATION, "generation 3 is running");
        assert_int_equal(roll_back(fx, 3), 0);
        assert_int_equal(fx->generation, 4);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
        file = fx_read(fx, LAYER_ADMIN, "edge");
        assert_string_equal(file, before);
        assert_int_equal(roll_back(fx, 4), -ENODATA); /* one step only */

        fx_must_withdraw(fx, "edge");
        assert_null(fx_read(fx, LAYER_ADMIN, "edge"));
        assert_int_equal(roll_back(fx, 5), 0);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
        free(file);
        file = fx_read(fx, LAYER_ADMIN, "edge");
        assert_string_equal(file, before);

        /* A pending one need not run out. */
        fx->options.confirm_timeout = USEC_PER_MINUTE;
        fx_must_apply(fx, "edge", EDGE("'limit'"));
        assert_int_equal(roll_back(fx, 7), 0);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
        assert_int_equal(manager_pending(fx->manager).generation, 0);

        /* Files that were read again are nothing to go back over. */
        fx->options.confirm_timeout = 0;
        fx_must_apply(fx, "edge", EDGE("'limit'"));
        fx_must_reload(fx);
        assert_int_equal(roll_back(fx, manager_generation(fx->manager)), -ENODATA);
}

/* What stood at the place of a document comes back as it was, be it no document. */
static void test_files_come_back(void **state) {
        static const char *const stood[] = { "", "{ this is none", "-> /dev/null", "-> ../mine.json" };
        Fixture *fx = *state;

        world(fx);
        fx_write(fx, LAYER_VENDOR, "edge", EDGE("'deny'"));
        for (size_t i = 0; i < ELEMENTSOF(stood); i++) {
                _cleanup_free_ char *path = paths_document(&fx->paths, LAYER_ADMIN, "edge"), *before = NULL;
                const char *target = startswith(stood[i], "-> ");

                fx_write(fx, LAYER_ADMIN, "edge", target ? NULL : stood[i]);
                if (target) {
                        _cleanup_free_ char *mine = NULL, *text = quotes(EDGE("'limit', 'deny'"));

                        assert_true(asprintf(&mine, "%s/mine.json", fx->paths.etc) >= 0);
                        assert_int_equal(file_write_atomic(mine, text, strlen(text), 0600), 0);
                        assert_int_equal(symlink(target, path), 0);
                }
                fx_must_reload(fx);
                before = fx_picture(fx);

                fake_fail(fx->fake, FAKE_CHAIN_COMMIT, 1, -EIO, false);
                assert_int_equal(fx_apply(fx, "edge", EDGE("'limit'")), -EIO);
                fx_check_picture(fx, before);

                fx_must_apply(fx, "edge", EDGE("'limit'"));
                fx_expect(fx, "eth0", HOOK_XDP, "active limit");
                assert_int_equal(roll_back(fx, manager_generation(fx->manager)), 0);
                if (i == 1)
                        fx_expect(fx, "eth0", HOOK_XDP, "-"); /* the bad one never was */
                if (i == 3)
                        fx_expect(fx, "eth0", HOOK_XDP, "active limit,deny");
                {
                        char found[64] = "";
                        _cleanup_free_ char *text = fx_read(fx, LAYER_ADMIN, "edge");

                        if (target) {
                                assert_true(readlink(path, found, sizeof(found) - 1) > 0);
                                assert_string_equal(found, target);
                        } else
                                assert_string_equal(text, stood[i]);
                }
        }
}

static void test_expected_generation(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx->options.expects_generation = true;
        fx->options.expected_generation = 5;
        fx_refused(fx, "edge", EDGE("'deny'"), ERROR_STALE_GENERATION, "generation 5 was expected, 1 is running");
        assert_int_equal(fx_reload(fx), -ESTALE);
        fx->options.expected_generation = 1;
        fx_must_apply(fx, "edge", EDGE("'deny'"));
        fx_refused(fx, "edge", EDGE("'limit'"), ERROR_STALE_GENERATION, "generation 1 was expected, 2 is running");
        assert_int_equal(fx_withdraw(fx, "edge"), -ESTALE);
        fx->options.expected_generation = 2;
        fx_must_withdraw(fx, "edge");
}

static void test_starting(void **state) {
        Fixture *fx = *state;
        _cleanup_error_ Error error = ERROR_INIT;

        fx_start_raw(fx);
        assert_int_equal(manager_apply(fx->manager, "x", "{}", &fx->options, &fx->generation, NULL, &error), -EAGAIN);
        check_error(&error, ERROR_BUSY, "still starting");
        assert_int_equal(manager_link_changed(fx->manager, &(LinkRecord){ .ifindex = 1, .name = "lo" }), 0);
        assert_int_equal(fx->shadow.reconcile_wanted, 1);
        assert_int_equal(manager_link_changed(fx->manager, &(LinkRecord){ .ifindex = 2, .name = "eth0" }), 0);
        assert_int_equal(fx->shadow.reconcile_wanted, 1); /* once is enough */
        fx_reconcile(fx);
        assert_string_equal(manager_state(fx->manager), "running");
}

/* Writing the file fails: nothing else has happened. */
static void test_file_that_can_not_be_written(void **state) {
        Fixture *fx = *state;
        _cleanup_free_ char *folder = NULL;

        world(fx);
        assert_true(asprintf(&folder, "%s/chains.d", fx->paths.etc) >= 0);
        assert_int_equal(mkdir_parents(fx->paths.etc, 0755), 0);
        assert_int_equal(file_write_atomic(folder, "", 0, 0644), 0);
        fx_refused(fx, "edge", EDGE("'deny'"), ERROR_FAILED, "can't be written");
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_COMMIT), 0);
        fx->options.runtime = true;
        fx_must_apply(fx, "edge", EDGE("'deny'"));

        /* On trial it is told when it is confirmed, and can be tried again. */
        fx->options.runtime = false;
        fx->options.confirm_timeout = USEC_PER_MINUTE;
        fx_must_apply(fx, "more", "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'programs': ['deny']}]}");
        error_done(&fx->error);
        assert_int_equal(manager_confirm(fx->manager, fx->generation, &fx->error), -EIO);
        check_error(&fx->error, ERROR_FAILED, "can't be written");
        assert_int_equal(manager_pending(fx->manager).generation, fx->generation);
        assert_int_equal(unlink(folder), 0);
        error_done(&fx->error);
        assert_int_equal(manager_confirm(fx->manager, fx->generation, &fx->error), 0);
        fx_check(fx);
}

static void test_reload(void **state) {
        const Problem *problems;
        Fixture *fx = *state;
        size_t n;

        world(fx);
        fx_write(fx, LAYER_ADMIN, "edge", EDGE("'deny'"));
        fx_write(fx, LAYER_ADMIN, "more",
                 "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'programs': ['limit']}]}");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
        fx_expect(fx, "eth1", HOOK_XDP, "active limit");

        /* A document that goes bad goes on as it was; the good ones are taken. */
        fx_write(fx, LAYER_ADMIN, "edge", "{");
        fx_write(fx, LAYER_ADMIN, "more",
                 "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'programs': ['deny']}]}");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
        fx_expect(fx, "eth1", HOOK_XDP, "active deny");
        assert_string_equal(manager_state(fx->manager), "degraded");
        problems = manager_problems(fx->manager, &n);
        assert_int_equal(n, 1);
        assert_string_equal(problems[0].where, "edge");
        assert_non_null(strstr(problems[0].sentence, "edge.json:1:2: "));
        fx_must_reload(fx); /* and once more */
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");

        /* Others can be changed meanwhile. */
        fx_must_apply(fx, "more", "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'programs': ['limit']}]}");
        fx_expect(fx, "eth1", HOOK_XDP, "active limit");
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");

        fx_write(fx, LAYER_ADMIN, "edge", EDGE("'limit'"));
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active limit");
        assert_string_equal(manager_state(fx->manager), "running");

        /* Bad from the beginning: nobody knows what it wanted. */
        fx_write(fx, LAYER_ADMIN, "worse", "{'chains': 5}");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active limit");
        fx_write(fx, LAYER_ADMIN, "worse", NULL);

        fx_write(fx, LAYER_ADMIN, "more", NULL);
        fx_write(fx, LAYER_ADMIN, "edge", "");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "-");
        fx_expect(fx, "eth1", HOOK_XDP, "-");
        assert_int_equal(manager_programs(fx->manager)->n, 0);
}

/* Files that contradict each other: the later in order is left out, the rest goes on. */
static void test_reload_contradictions(void **state) {
        const Problem *problems;
        Fixture *fx = *state;
        size_t n;

        world(fx);
        fx_write(fx, LAYER_ADMIN, "a", EDGE("'deny'"));
        fx_write(fx, LAYER_ADMIN, "b",
                 "{'programs': {'deny': {'object': 'limit.o'}}, 'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', "
                 "'programs': ['deny']}]}");
        fx_write(fx, LAYER_ADMIN, "c",
                 "{'chains': [{'interfaces': ['eth1'], 'hook': 'tc-egress', 'programs': ['nobody']}]}");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
        fx_expect(fx, "eth1", HOOK_XDP, "-");
        fx_expect(fx, "eth1", HOOK_TC_EGRESS, "failed");
        fx_expect_reason(fx, "eth1", HOOK_TC_EGRESS, "no document defines a program \"nobody\"");
        problems = manager_problems(fx->manager, &n);
        assert_int_equal(n, 3); /* b, c, and c's chain */
        assert_non_null(strstr(problems[0].sentence, "\"deny\" is defined in a.json already"));

        /* They do not stand in the way of others. */
        fx_must_apply(fx, "d", "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'programs': ['limit']}]}");
        fx_expect(fx, "eth1", HOOK_XDP, "active limit");
        /* Which may also mend them. */
        fx_must_apply(fx, "e", "{'programs': {'nobody': {'object': 'tc.o'}}}");
        fx_expect(fx, "eth1", HOOK_TC_EGRESS, "active nobody");
        fx_must_withdraw(fx, "b");
        assert_string_equal(manager_state(fx->manager), "running");
}

static void test_detach_all(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx_must_apply(fx, "edge", EDGE("'deny'"));
        fx->options.dry_run = true;
        assert_int_equal(manager_detach_all(fx->manager, &fx->options, &fx->generation, &fx->error), 0);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny");
        fx->options.dry_run = false;
        assert_int_equal(manager_detach_all(fx->manager, &fx->options, &fx->generation, &fx->error), 0);
        fx_check(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "detached");
        fx_expect_reason(fx, "eth0", HOOK_XDP, "all chains were detached");
        assert_int_equal(fx->generation, 3);
        assert_int_equal(fake_link_id(fx->fake, 2, HOOK_XDP), 0);

        /* It stays so, whatever comes, until the next reload. */
        assert_int_equal(roll_back(fx, 3), -ENODATA);
        fx_link(fx, 4, "eth4");
        fx_reconcile(fx);
        fx_must_apply(fx, "edge", EDGE("'limit'"));
        fx_expect(fx, "eth0", HOOK_XDP, "detached");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active limit");
}

/* A fault that is no document's stays among the problems, and comes first. */
static void test_noted_problem(void **state) {
        const Problem *problems;
        Fixture *fx = *state;
        size_t n;

        world(fx);
        assert_string_equal(manager_state(fx->manager), "running");
        assert_int_equal(manager_note_problem(fx->manager, SEVERITY_ERROR, "settings", "the sea is not blue"), 0);
        assert_string_equal(manager_state(fx->manager), "degraded");
        fx_must_apply(fx, "edge", EDGE("'deny'"));
        fx_write(fx, LAYER_ADMIN, "bad", "{");
        fx_must_reload(fx);
        problems = manager_problems(fx->manager, &n);
        assert_int_equal(n, 2);
        assert_int_equal(problems[0].severity, SEVERITY_ERROR);
        assert_string_equal(problems[0].where, "settings");
        assert_string_equal(problems[0].sentence, "the sea is not blue");
        assert_string_equal(problems[1].where, "bad");

        /* The next service has its own. */
        fx_write(fx, LAYER_ADMIN, "bad", NULL);
        fx_kill(fx);
        fx_start(fx);
        (void) manager_problems(fx->manager, &n);
        assert_int_equal(n, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_apply),
                fx_test(test_plan_leaves_no_trace),
                fx_test(test_plan_with_lost_link),
                fx_test(test_check_that_fails),
                fx_test(test_bad_documents),
                fx_test(test_several_documents),
                fx_test(test_runtime),
                fx_test(test_confirm),
                fx_test(test_deadline),
                fx_test(test_rollback),
                fx_test(test_files_come_back),
                fx_test(test_expected_generation),
                fx_test(test_starting),
                fx_test(test_file_that_can_not_be_written),
                fx_test(test_reload),
                fx_test(test_reload_contradictions),
                fx_test(test_detach_all),
                fx_test(test_noted_problem),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
