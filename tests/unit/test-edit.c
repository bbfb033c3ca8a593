/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Edits of a chain as they come by the bus, and the document that they become.
 */
#include "model-fixture.h"
#include "util/clock.h"

static void world(Fixture *fx) {
        fx_object(fx, "x.o", "map:m");
        fx_object(fx, "t.o", "tc");
        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        fx_start(fx);
        fx_must_apply(fx, "base",
                      "{'programs': {'a': {'object': 'x.o'}, 'b': {'object': 'x.o'}, 'c': {'object': 'x.o'},"
                      " 'd': {'object': 'x.o'}, 't': {'object': 't.o'}},"
                      " 'chains': [{'interfaces': ['eth*'], 'hook': 'xdp', 'programs': ['a', 'b', 'c']}]}");
}

typedef enum Verb { INSERT, MOVE, REMOVE, DETACH, ATTACH } Verb;

static int edit(Fixture *fx, const char *interface, Verb verb, const char *program, const char *anchor) {
        Chain *chain = fx_chain(fx, interface, HOOK_XDP);
        int r = -EINVAL;

        error_done(&fx->error);
        switch (verb) {
        case INSERT:
                r = manager_chain_insert(fx->manager, chain, program, anchor, &fx->options, &fx->generation,
                                         &fx->error);
                break;
        case MOVE:
                r = manager_chain_move(fx->manager, chain, program, anchor, &fx->options, &fx->generation,
                                       &fx->error);
                break;
        case REMOVE:
                r = manager_chain_remove(fx->manager, chain, program, &fx->options, &fx->generation, &fx->error);
                break;
        case DETACH:
        case ATTACH:
                r = manager_chain_set_detached(fx->manager, chain, verb == DETACH, &fx->options, &fx->generation,
                                               &fx->error);
                break;
        }
        fx_check(fx);
        if (r >= 0)
                check_no_error(&fx->error);
        else
                assert_true(error_is_set(&fx->error));
        return r;
}

static void must(Fixture *fx, Verb verb, const char *program, const char *anchor, const char *expected) {
        uint64_t generation = manager_generation(fx->manager);

        if (edit(fx, "eth0", verb, program, anchor) < 0)
                fail_msg("%s", strna(fx->error.message));
        assert_int_equal(fx->generation, generation + 1);
        fx_expect(fx, "eth0", HOOK_XDP, expected);
}

static void refused(Fixture *fx, Verb verb, const char *program, const char *anchor, ErrorCode code,
                    const char *sentence) {
        _cleanup_free_ char *before = fx_picture(fx);

        assert_int_equal(edit(fx, "eth0", verb, program, anchor), error_code_to_errno(code));
        check_error(&fx->error, code, sentence);
        fx_check_picture(fx, before);
}

static void test_insert(void **state) {
        Fixture *fx = *state;
        uint32_t link;

        world(fx);
        link = fake_link_id(fx->fake, 2, HOOK_XDP);
        must(fx, INSERT, "d", "first", "active d,a,b,c");
        must(fx, REMOVE, "d", NULL, "active a,b,c");
        must(fx, INSERT, "d", "last", "active a,b,c,d");
        must(fx, REMOVE, "d", NULL, "active a,b,c");
        must(fx, INSERT, "d", "", "active a,b,c,d");
        must(fx, REMOVE, "d", NULL, "active a,b,c");
        must(fx, INSERT, "d", "before:b", "active a,d,b,c");
        must(fx, REMOVE, "d", NULL, "active a,b,c");
        must(fx, INSERT, "d", "after:c", "active a,b,c,d");
        must(fx, REMOVE, "d", NULL, "active a,b,c");
        must(fx, INSERT, "d", "after:a", "active a,d,b,c");
        assert_int_equal(fake_link_id(fx->fake, 2, HOOK_XDP), link);
        fx_expect(fx, "eth1", HOOK_XDP, "active a,b,c"); /* it is only about this one */

        refused(fx, INSERT, "d", "first", ERROR_ENTRY_EXISTS, "\"d\" is in the chain eth0/xdp already; move it");
        refused(fx, INSERT, "nobody", "first", ERROR_NO_SUCH_PROGRAM, "no document defines a program \"nobody\"");
        must(fx, REMOVE, "d", NULL, "active a,b,c");
        refused(fx, INSERT, "d", "middle", ERROR_INVALID_ARGUMENT, "\"middle\" is no anchor");
        refused(fx, INSERT, "d", "before:", ERROR_NO_SUCH_PROGRAM, "\"\" is not in the chain eth0/xdp");
        refused(fx, INSERT, "d", "before:d", ERROR_NO_SUCH_PROGRAM, "which has: a, b, c");
        refused(fx, INSERT, "d", "after:nobody", ERROR_NO_SUCH_PROGRAM, "\"nobody\" is not in the chain");
        refused(fx, INSERT, "t", "last", ERROR_INCOMPATIBLE, "t is no program for this hook");
}

static void test_move(void **state) {
        Fixture *fx = *state;

        world(fx);
        must(fx, MOVE, "c", "first", "active c,a,b");
        must(fx, MOVE, "c", "last", "active a,b,c");
        must(fx, MOVE, "a", "after:b", "active b,a,c");
        must(fx, MOVE, "c", "before:a", "active b,c,a");
        must(fx, MOVE, "b", "first", "active b,c,a"); /* where it is already */
        refused(fx, MOVE, "d", "first", ERROR_NO_SUCH_PROGRAM,
                "\"d\" is not in the chain eth0/xdp, which has: b, c, a");
        refused(fx, MOVE, "a", "after:a", ERROR_NO_SUCH_PROGRAM, "\"a\" is not in the chain");
        refused(fx, MOVE, "a", "nowhere", ERROR_INVALID_ARGUMENT, "is no anchor");
}

static int set_order(Fixture *fx, const char *order) {
        _cleanup_free_ char *copy = strdup(order);
        _cleanup_strv_ char **programs = NULL;
        char *save = NULL;
        int r;

        for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save))
                assert_int_equal(strv_append(&programs, word), 0);
        error_done(&fx->error);
        r = manager_chain_set_order(fx->manager, fx_chain(fx, "eth0", HOOK_XDP), programs, &fx->options,
                                    &fx->generation, &fx->error);
        fx_check(fx);
        return r;
}

static void test_set_order(void **state) {
        static const struct {
                const char *order;
                ErrorCode code;
                const char *sentence;
        } bad[] = {
                { "", ERROR_INVALID_ARGUMENT, "\"a\" is missing" },
                { "a,b", ERROR_INVALID_ARGUMENT, "\"c\" is missing" },
                { "a,b,c,d", ERROR_NO_SUCH_PROGRAM, "\"d\" is not in the chain" },
                { "a,b,d", ERROR_NO_SUCH_PROGRAM, "\"d\" is not in the chain" },
                { "a,b,b", ERROR_INVALID_ARGUMENT, "\"b\" is named twice" },
                { "a,b,c,a", ERROR_INVALID_ARGUMENT, "\"a\" is named twice" },
        };
        static const char *const orders[] = { "a,b,c", "a,c,b", "b,a,c", "b,c,a", "c,a,b", "c,b,a" };
        Fixture *fx = *state;

        world(fx);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *before = fx_picture(fx);

                assert_int_equal(set_order(fx, bad[i].order), error_code_to_errno(bad[i].code));
                check_error(&fx->error, bad[i].code, bad[i].sentence);
                fx_check_picture(fx, before);
        }
        for (size_t i = 0; i < ELEMENTSOF(orders); i++) {
                _cleanup_free_ char *expected = NULL;

                assert_int_equal(set_order(fx, orders[i]), 0);
                assert_true(asprintf(&expected, "active %s", orders[i]) >= 0);
                fx_expect(fx, "eth0", HOOK_XDP, expected);
        }
        /* Another interface of the same document keeps its order. */
        fx_expect(fx, "eth1", HOOK_XDP, "active a,b,c");
}

static void test_remove(void **state) {
        Fixture *fx = *state;

        world(fx);
        must(fx, REMOVE, "b", NULL, "active a,c");
        refused(fx, REMOVE, "b", NULL, ERROR_NO_SUCH_PROGRAM, "\"b\" is not in the chain eth0/xdp, which has: a, c");
        must(fx, INSERT, "b", "first", "active b,a,c"); /* back, at another place */
        must(fx, REMOVE, "b", NULL, "active a,c");
        must(fx, REMOVE, "a", NULL, "active c");
        must(fx, REMOVE, "c", NULL, "detached");
        fx_expect_reason(fx, "eth0", HOOK_XDP, "no program is in it");
        refused(fx, REMOVE, "c", NULL, ERROR_NO_SUCH_PROGRAM, "which has: no program");
        must(fx, INSERT, "c", "last", "active c");
        fx_expect(fx, "eth1", HOOK_XDP, "active a,b,c");

        /* The document of the edits is like any other: withdrawn, all is as it was. */
        assert_non_null(manager_get_document(fx->manager, "edit-eth0-xdp"));
        fx_must_withdraw(fx, "edit-eth0-xdp");
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b,c");
}

static void test_detach(void **state) {
        Fixture *fx = *state;

        world(fx);
        must(fx, DETACH, NULL, NULL, "detached");
        fx_expect_reason(fx, "eth0", HOOK_XDP, "kept off its hook by a document");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->n_slots, 3);
        fx_expect(fx, "eth1", HOOK_XDP, "active a,b,c");
        fx_kill(fx);
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "detached");
        must(fx, ATTACH, NULL, NULL, "active a,b,c");

        /* No trace is left of it: the order is the base document's affair again. */
        assert_null(manager_get_document(fx->manager, "edit-eth0-xdp"));
        fx_must_apply(fx, "base",
                      "{'programs': {'a': {'object': 'x.o'}, 'b': {'object': 'x.o'}},"
                      " 'chains': [{'interfaces': ['eth*'], 'hook': 'xdp', 'programs': ['b', 'a']}]}");
        fx_expect(fx, "eth0", HOOK_XDP, "active b,a");

        /* Attaching what is attached changes nothing. */
        assert_int_equal(edit(fx, "eth0", ATTACH, NULL, NULL), 0);
        assert_int_equal(fx->generation, manager_generation(fx->manager));
        fx_expect(fx, "eth0", HOOK_XDP, "active b,a");
        assert_null(manager_get_document(fx->manager, "edit-eth0-xdp"));

        /* Edits made while it is detached come into effect with it. */
        must(fx, DETACH, NULL, NULL, "detached");
        must(fx, MOVE, "a", "first", "detached");
        must(fx, ATTACH, NULL, NULL, "active a,b");
        assert_non_null(manager_get_document(fx->manager, "edit-eth0-xdp"));

        /* Another document's will is not undone. */
        fx_must_apply(fx, "off", "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'detached': true}]}");
        fx_expect(fx, "eth0", HOOK_XDP, "detached");
        refused(fx, ATTACH, NULL, NULL, ERROR_NOT_SUPPORTED,
                "a document keeps eth0/xdp off its hook (one of: base, off, edit-eth0-xdp)");
        fx_must_withdraw(fx, "off");
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");

        /* Nor is what detach --all did. */
        assert_int_equal(manager_detach_all(fx->manager, &fx->options, &fx->generation, &fx->error), 0);
        refused(fx, ATTACH, NULL, NULL, ERROR_NOT_SUPPORTED, "all chains were detached; reload");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
}

/* An edit that only takes out, or only detaches, does not fix the order of the rest. */
static void test_order_stays_free(void **state) {
        Fixture *fx = *state;

        world(fx);
        must(fx, REMOVE, "b", NULL, "active a,c");
        fx_must_apply(fx, "base",
                      "{'programs': {'a': {'object': 'x.o'}, 'b': {'object': 'x.o'}, 'c': {'object': 'x.o'}},"
                      " 'chains': [{'interfaces': ['eth*'], 'hook': 'xdp', 'programs': ['c', 'b', 'a']}]}");
        fx_expect(fx, "eth0", HOOK_XDP, "active c,a");
        must(fx, MOVE, "a", "first", "active a,c");
        fx_must_apply(fx, "base",
                      "{'programs': {'a': {'object': 'x.o'}, 'b': {'object': 'x.o'}, 'c': {'object': 'x.o'}, 'd': "
                      "{'object': 'x.o'}},"
                      " 'chains': [{'interfaces': ['eth*'], 'hook': 'xdp', 'programs': ['d', 'c', 'b', 'a']}]}");
        fx_expect(fx, "eth0", HOOK_XDP, "active d,a,c");
}

static void test_proceed_on(void **state) {
        Fixture *fx = *state;
        Chain *chain;

        world(fx);
        /* Written by hand into the document of the edits: later edits leave it. */
        fx_must_apply(fx, "edit-eth0-xdp",
                      "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'order': 65535, 'programs': "
                      "[{'use': 'd', 'proceed-on': ['drop', 'pass']}]}]}");
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b,c,d");
        must(fx, MOVE, "d", "first", "active d,a,b,c");
        chain = fx_chain(fx, "eth0", HOOK_XDP);
        assert_int_equal(chain->slots[0].proceed_on, (1 << 1) | (1 << 2));
        must(fx, REMOVE, "a", NULL, "active d,b,c");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->slots[0].proceed_on, (1 << 1) | (1 << 2));
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->slots[1].proceed_on, 1 << 2);
}

static void test_layers(void **state) {
        _cleanup_free_ char *run = NULL;
        Fixture *fx = *state;

        world(fx);
        fx->options.runtime = true;
        must(fx, MOVE, "c", "first", "active c,a,b");
        run = fx_read(fx, LAYER_RUNTIME, "edit-eth0-xdp");
        assert_non_null(run);
        assert_null(fx_read(fx, LAYER_ADMIN, "edit-eth0-xdp"));
        fx->options.runtime = false;
        must(fx, MOVE, "c", "last", "active a,b,c");
        /* Runtime edits can't override persistent ones, and say so. */
        fx->options.runtime = true;
        refused(fx, MOVE, "c", "first", ERROR_INVALID_ARGUMENT, "overrides a document of this name");
        fx->options.runtime = false;

        fx->options.dry_run = true;
        {
                _cleanup_free_ char *before = fx_picture(fx);

                assert_int_equal(edit(fx, "eth0", MOVE, "c", "first"), 0);
                assert_int_equal(edit(fx, "eth0", DETACH, NULL, NULL), 0);
                fx_check_picture(fx, before);
        }
        fx->options.dry_run = false;
        fx->options.expects_generation = true;
        fx->options.expected_generation = 99;
        refused(fx, MOVE, "c", "first", ERROR_STALE_GENERATION, "generation 99 was expected");
        fx->options.expects_generation = false;
        fx->options.confirm_timeout = USEC_PER_MINUTE;
        must(fx, MOVE, "c", "first", "active c,a,b");
        refused(fx, MOVE, "c", "last", ERROR_BUSY, "waits for its confirmation");
        assert_int_equal(manager_rollback(fx->manager, fx->generation, &fx->generation, &fx->error), 0);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b,c");
}

/* A chain that waits for its interface can be edited; one that nobody wants any more can't. */
static void test_waiting(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx_must_apply(fx, "more", "{'chains': [{'interfaces': ['lan0'], 'hook': 'xdp', 'programs': ['a', 'b']}]}");
        assert_int_equal(edit(fx, "lan0", MOVE, "b", "first"), 0);
        fx_expect(fx, "lan0", HOOK_XDP, "waiting");
        fx_link(fx, 9, "lan0");
        fx_reconcile(fx);
        fx_expect(fx, "lan0", HOOK_XDP, "active b,a");
}

/* Names that look alike in the documents' names do not get into each other's way. */
static void test_strange_names(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx_link(fx, 4, "v+");
        fx_link(fx, 5, "v_2b");
        fx_link(fx, 6, "v[1]");
        fx_link(fx, 7, "v*");
        fx_link(fx, 8, "v1");
        fx_must_apply(fx, "more",
                      "{'chains': [{'interfaces': ['v?*', 'v+'], 'hook': 'xdp', 'programs': ['a', 'b']}]}");
        fx_reconcile(fx);
        assert_int_equal(edit(fx, "v+", MOVE, "b", "first"), 0);
        assert_int_equal(edit(fx, "v_2b", REMOVE, "b", NULL), 0);
        assert_int_equal(edit(fx, "v[1]", REMOVE, "a", NULL), 0);
        fx_expect(fx, "v+", HOOK_XDP, "active b,a");
        fx_expect(fx, "v_2b", HOOK_XDP, "active a");
        fx_expect(fx, "v[1]", HOOK_XDP, "active b");
        fx_expect(fx, "v1", HOOK_XDP, "active a,b");
        assert_int_equal(edit(fx, "v*", REMOVE, "a", NULL), 0);
        fx_expect(fx, "v*", HOOK_XDP, "active b");
        fx_expect(fx, "v1", HOOK_XDP, "active a,b");
        fx_expect(fx, "v+", HOOK_XDP, "active b,a");
}

/* What another document leaves out can't be put in over its head. */
static void test_left_out(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx_must_apply(fx, "not", "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'without': ['b', 'd']}]}");
        fx_expect(fx, "eth0", HOOK_XDP, "active a,c");
        refused(fx, INSERT, "d", "last", ERROR_NOT_SUPPORTED, "not.json leaves \"d\" out of eth0/xdp");
        refused(fx, INSERT, "b", "last", ERROR_NOT_SUPPORTED, "not.json leaves \"b\" out of eth0/xdp");
        fx_must_withdraw(fx, "not");
        must(fx, INSERT, "d", "first", "active d,a,b,c");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_insert),        fx_test(test_move),     fx_test(test_set_order),
                fx_test(test_remove),        fx_test(test_detach),   fx_test(test_order_stays_free),
                fx_test(test_proceed_on),    fx_test(test_layers),   fx_test(test_waiting),
                fx_test(test_strange_names), fx_test(test_left_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
