/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chains follow the world: interfaces come, go and change names; others hold hooks; programs fail; seats and
 * counters.
 */
#include "model-fixture.h"

#define PROGRAMS                                                                                                     \
        "'programs': {'a': {'object': 'a.o'}, 'b': {'object': 'b.o'}, 'c': {'object': 'c.o'}, "                      \
        "'t': {'object': 't.o'}}"

#define CHAIN(interfaces, rest) "{'interfaces': [" interfaces "], 'hook': 'xdp', 'counters': 'all', " rest "}"

static void world(Fixture *fx) {
        fx_object(fx, "a.o", "map:ma");
        fx_object(fx, "b.o", "map:mb");
        fx_object(fx, "c.o", "");
        fx_object(fx, "t.o", "tc map:mt");
        fx_start(fx);
        fx_must_apply(fx, "programs", "{" PROGRAMS "}");
}

static void apply_chains(Fixture *fx, const char *chains) {
        _cleanup_free_ char *text = NULL;

        assert_true(asprintf(&text, "{'chains': [%s]}", chains) >= 0);
        fx_must_apply(fx, "chains", text);
}

static uint32_t link_id(Fixture *fx, int ifindex) {
        return fake_link_id(fx->fake, ifindex, HOOK_XDP);
}

static void test_come_and_go(void **state) {
        Fixture *fx = *state;
        uint32_t first;

        world(fx);
        apply_chains(fx, CHAIN("'eth0', 'veth*'", "'programs': ['a', 'b']"));
        fx_expect(fx, "eth0", HOOK_XDP, "waiting");
        fx_expect_reason(fx, "eth0", HOOK_XDP, "there is no such interface");
        assert_string_equal(manager_state(fx->manager), "running");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->ifindex, 0);

        fx->shadow.reconcile_wanted = 0;
        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "veth1");
        fx_link(fx, 4, "lo");
        assert_int_equal(fx->shadow.reconcile_wanted, 1);
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        fx_expect(fx, "veth1", HOOK_XDP, "active a,b");
        first = link_id(fx, 2);

        /* Gone: the one that is called by name is waited for. */
        fx_unlink(fx, 2);
        fx_unlink(fx, 3);
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "waiting");
        fx_expect(fx, "veth1", HOOK_XDP, "-");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->n_slots, 2); /* what is wanted can be seen */

        /* Back under another index. */
        fx_link(fx, 9, "eth0");
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->ifindex, 9);
        assert_int_not_equal(link_id(fx, 9), first);

        /* Gone and back before anybody looked. */
        fx_unlink(fx, 9);
        fx_link(fx, 10, "eth0");
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->ifindex, 10);

        /* The news that the old one is gone comes after those of the new. */
        fake_interface_gone(fx->fake, 10);
        fx_link(fx, 11, "eth0");
        manager_link_vanished(fx->manager, 10);
        manager_link_vanished(fx->manager, 10);
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->ifindex, 11);
}

/* Sixty-four interfaces, again and again, with names that do not come back. */
static void test_many(void **state) {
        Fixture *fx = *state;

        world(fx);
        apply_chains(fx, CHAIN("'v*'", "'programs': ['a', 'b']"));
        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < 64; i++) {
                        char name[16];

                        snprintf(name, sizeof(name), "v%d-%d", round, i);
                        fx_link(fx, 100 + round * 64 + i, name);
                }
                fx_reconcile(fx);
                assert_int_equal(manager_chains(fx->manager)->n, 64);
                for (int i = 0; i < 64; i++)
                        fx_unlink(fx, 100 + round * 64 + i);
                fx_reconcile(fx);
                assert_int_equal(manager_chains(fx->manager)->n, 0);
                assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_LOAD), 2); /* once for all of them */
        }
}

static void test_rename(void **state) {
        Fixture *fx = *state;
        uint32_t id;

        fx_link(fx, 2, "eth0");
        world(fx);
        apply_chains(fx, CHAIN("'eth0', 'lan*'", "'programs': ['a', 'b']"));
        id = link_id(fx, 2);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 7);
        fake_log_clear(fx->fake);

        /* To a name that wants the same: not touched. */
        fx_link(fx, 2, "lan0");
        fx_reconcile(fx);
        fx_expect(fx, "lan0", HOOK_XDP, "active a,b");
        fx_expect(fx, "eth0", HOOK_XDP, "waiting");
        assert_int_equal(link_id(fx, 2), id);
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_COMMIT), 0);
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_DETACH), 0);
        assert_int_equal(fx_packets(fx, "lan0", HOOK_XDP, "b"), 7);

        /* To one that wants something else: exchanged in place. */
        apply_chains(fx, CHAIN("'eth0', 'lan*'", "'programs': ['a', 'b']") "," CHAIN("'wan0'", "'programs': ['b']"));
        fx_link(fx, 2, "wan0");
        fx_reconcile(fx);
        fx_expect(fx, "wan0", HOOK_XDP, "active b");
        fx_expect(fx, "lan0", HOOK_XDP, "-");
        assert_int_equal(link_id(fx, 2), id);
        assert_int_equal(fx_packets(fx, "wan0", HOOK_XDP, "b"), 7);

        /* To one that wants nothing. */
        fx_link(fx, 2, "nothing");
        fx_reconcile(fx);
        fx_expect(fx, "nothing", HOOK_XDP, "-");
        fx_expect(fx, "wan0", HOOK_XDP, "waiting");
        assert_int_equal(link_id(fx, 2), 0);
}

static void test_swapped_names(void **state) {
        Fixture *fx = *state;
        uint32_t id2, id3;

        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        world(fx);
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['a']") "," CHAIN("'eth1'", "'programs': ['a', 'b']"));
        id2 = link_id(fx, 2);
        id3 = link_id(fx, 3);
        fx_link(fx, 2, "tmp");
        fx_link(fx, 3, "eth0");
        fx_link(fx, 2, "eth1");
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        fx_expect(fx, "eth1", HOOK_XDP, "active a,b");
        assert_int_equal(link_id(fx, 2), id2);
        assert_int_equal(link_id(fx, 3), id3);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->ifindex, 3);

        /* As a dump tells it: the first takes a name that the second is not yet known to have given up. */
        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        fx_expect(fx, "eth1", HOOK_XDP, "active a,b");
        assert_int_equal(link_id(fx, 2), id2);
        assert_int_equal(link_id(fx, 3), id3);
}

static void test_alternative_names(void **state) {
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        world(fx);
        apply_chains(fx, CHAIN("'uplink'", "'programs': ['a']"));
        fx_expect(fx, "uplink", HOOK_XDP, "waiting");
        fx_altname(fx, 2, "uplink");
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        fx_expect(fx, "uplink", HOOK_XDP, "-"); /* it came, under another name */
        apply_chains(fx, CHAIN("'uplink', 'eth0'", "'programs': ['b']"));
        fx_expect(fx, "eth0", HOOK_XDP, "active b");
}

static void test_nothing_to_do(void **state) {
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        world(fx);
        apply_chains(fx, CHAIN("'eth0', 'eth1'", "'programs': ['a', 'b']"));
        fake_log_clear(fx->fake);
        fx_events_clear(fx);
        fx->shadow.reconcile_wanted = 0;

        /* Up, down and the like concern no chain. */
        assert_int_equal(
                manager_link_changed(fx->manager, &(LinkRecord){ .ifindex = 2, .name = "eth0", .flags = IFF_UP }), 0);
        assert_string_equal(fx->shadow.events, "interface eth0\n");
        assert_int_equal(
                manager_link_changed(fx->manager, &(LinkRecord){ .ifindex = 2, .name = "eth0", .flags = IFF_UP }), 0);
        assert_string_equal(fx->shadow.events, "interface eth0\n");
        assert_int_equal(fx->shadow.reconcile_wanted, 0);

        /* Nobody is told of changes that are none. */
        fx_events_clear(fx);
        fx_reconcile(fx);
        assert_null(fx->shadow.events);
        assert_string_equal(fake_log(fx->fake), "chain_check 2 xdp\n");
}

static void test_conflict(void **state) {
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        world(fx);
        fake_set_foreign(fx->fake, 2, HOOK_XDP, "xdp_dispatcher");
        apply_chains(fx, CHAIN("'eth*'", "'programs': ['a', 'b']"));
        fx_expect(fx, "eth0", HOOK_XDP, "conflict");
        fx_expect_reason(fx, "eth0", HOOK_XDP, "eth0/xdp: xdp_dispatcher holds the hook");
        fx_expect(fx, "eth1", HOOK_XDP, "active a,b");
        assert_non_null(strstr(fx->shadow.events, "conflict eth0/xdp\n"));
        assert_non_null(strstr(fx->report, "\"conflict\""));
        assert_string_equal(manager_state(fx->manager), "degraded");

        /* Told once. */
        fx_events_clear(fx);
        fx_reconcile(fx);
        assert_null(fx->shadow.events);
        fx_expect(fx, "eth0", HOOK_XDP, "conflict");

        /* Another holder is news. */
        fake_set_foreign(fx->fake, 2, HOOK_XDP, "cilium");
        fx_reconcile(fx);
        assert_non_null(strstr(fx->shadow.events, "conflict eth0/xdp\n"));
        fx_expect_reason(fx, "eth0", HOOK_XDP, "cilium");

        /* When they leave, the link message says so. */
        assert_int_equal(
                manager_link_changed(fx->manager, &(LinkRecord){ .ifindex = 2, .name = "eth0", .xdp_program_id = 7 }),
                0);
        fx->shadow.reconcile_wanted = 0;
        fx_reconcile(fx);
        fake_set_foreign(fx->fake, 2, HOOK_XDP, NULL);
        assert_int_equal(manager_link_changed(fx->manager, &(LinkRecord){ .ifindex = 2, .name = "eth0" }), 0);
        assert_int_equal(fx->shadow.reconcile_wanted, 1);
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        assert_string_equal(manager_state(fx->manager), "running");
}

static void test_intruder(void **state) {
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        world(fx);
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['a', 'b']"));
        fake_intrude(fx->fake, 2, HOOK_XDP, true);
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a,b");
        fx_expect_reason(fx, "eth0", HOOK_XDP, "somebody put a program in the place of the chain");
        fake_intrude(fx->fake, 2, HOOK_XDP, false);
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");

        fake_take_off(fx->fake, 2, HOOK_XDP);
        fake_set_foreign(fx->fake, 2, HOOK_XDP, "cilium");
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "conflict");
        fake_set_foreign(fx->fake, 2, HOOK_XDP, NULL);
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
}

/* A program that no longer verifies leaves the old one running. */
static void test_degraded(void **state) {
        Fixture *fx = *state;
        Program *program;
        uint32_t id;

        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        world(fx);
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['a', 'b']") "," CHAIN("'eth1'", "'programs': ['b']"));
        id = fake_link_program_id(fx->fake, 2, HOOK_XDP);
        program = manager_get_program(fx->manager, "a");
        fx_object(fx, "a.o", "reject");
        fx_object(fx, "b.o", "map:mb frags");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a,b");
        fx_expect_reason(fx, "eth0", HOOK_XDP, "the verifier refuses a.o");
        fx_expect(fx, "eth1", HOOK_XDP, "active b");
        assert_int_equal(fake_link_program_id(fx->fake, 2, HOOK_XDP), id);
        assert_int_equal(program->state, PROGRAM_STATE_FAILED);
        assert_non_null(strstr(program->error, "programs.json:1:"));
        assert_non_null(program->kernel);
        assert_string_equal(manager_state(fx->manager), "degraded");
        /* The same on each occasion, without noise. */
        fx_events_clear(fx);
        fx_reconcile(fx);
        assert_null(fx->shadow.events);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a,b");

        /* An edit of that chain is refused, with the reason. */
        error_done(&fx->error);
        assert_int_equal(manager_chain_remove(fx->manager, fx_chain(fx, "eth0", HOOK_XDP), "b", &fx->options,
                                              &fx->generation, &fx->error),
                         -EACCES);
        check_error(&fx->error, ERROR_VERIFIER_REJECTED, "the verifier refuses a.o");
        fx_check(fx);

        fx_object(fx, "a.o", "map:ma frags");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        assert_int_equal(program->state, PROGRAM_STATE_LOADED);
        assert_string_equal(manager_state(fx->manager), "running");

        /* A failed program that nobody asks for any more is no problem. */
        fx_object(fx, "a.o", "reject");
        fx_must_reload(fx);
        assert_string_equal(manager_state(fx->manager), "degraded");
        apply_chains(fx, CHAIN("'eth0', 'eth1'", "'programs': ['b']"));
        fx_expect(fx, "eth0", HOOK_XDP, "active b");
        assert_string_equal(manager_state(fx->manager), "running");
        assert_null(manager_get_program(fx->manager, "a")->error);
}

/* One program is good, another of the chain is not; the good one is not called failed. */
static void test_failed_beside_good(void **state) {
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        world(fx);
        fx_object(fx, "a.o", "reject");
        fx_object(fx, "b.o", "reject");
        fx_write(fx, LAYER_ADMIN, "chains", "{'chains': [" CHAIN("'eth0'", "'programs': ['a', 'b']") "]}");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "failed");
        assert_int_equal(manager_get_program(fx->manager, "a")->state, PROGRAM_STATE_FAILED);
        assert_int_equal(manager_get_program(fx->manager, "b")->state, PROGRAM_STATE_FAILED);
        fx_object(fx, "b.o", "map:mb");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "failed");
        assert_int_equal(manager_get_program(fx->manager, "a")->state, PROGRAM_STATE_FAILED);
        assert_int_equal(manager_get_program(fx->manager, "b")->state, PROGRAM_STATE_DEFINED);
}

/* In lenient changes a program whose maps can't be pinned takes its own chains along, and no others. */
static void test_pins_that_fail(void **state) {
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        world(fx);
        fx_write(fx, LAYER_ADMIN, "chains",
                 "{'chains': [" CHAIN("'eth0'", "'programs': ['c', 'a']") "," CHAIN("'eth1'",
                                                                                    "'programs': ['b']") "]}");
        fake_fail(fx->fake, FAKE_PROGRAM_COMMIT, 1, -EIO, false); /* a's */
        fx_must_reload(fx);
        assert_true(fake_failed(fx->fake));
        fx_expect(fx, "eth0", HOOK_XDP, "failed");
        fx_expect_reason(fx, "eth0", HOOK_XDP, "made to fail");
        fx_expect(fx, "eth1", HOOK_XDP, "active b");
        fx_reconcile(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active c,a");
        assert_string_equal(manager_state(fx->manager), "running");
}

static void test_mode(void **state) {
        Fixture *fx = *state;
        uint32_t id;

        fx_link(fx, 2, "eth0");
        world(fx);
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['a', 'b']"));
        id = link_id(fx, 2);
        assert_string_equal(chain_mode_in_effect(fx_chain(fx, "eth0", HOOK_XDP)), "native");
        /* What fits is not touched. */
        apply_chains(fx, CHAIN("'eth0'", "'mode': 'native', 'programs': ['a', 'b']"));
        assert_int_equal(link_id(fx, 2), id);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->mode, ATTACH_MODE_NATIVE);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 9);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 9);

        apply_chains(fx, CHAIN("'eth0'", "'mode': 'generic', 'programs': ['a', 'b']"));
        assert_int_not_equal(link_id(fx, 2), id);
        assert_string_equal(chain_mode_in_effect(fx_chain(fx, "eth0", HOOK_XDP)), "generic");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->mode, ATTACH_MODE_GENERIC);
        assert_non_null(strstr(fx->report, "the chain leaves its hook for a moment"));
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 0); /* a new attachment counts anew */
        fx_send(fx, "eth0", HOOK_XDP, "pass", 4);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 4);

        /* Back to best: generic serves. */
        id = link_id(fx, 2);
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['b', 'a']"));
        assert_int_equal(link_id(fx, 2), id);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 4);
}

static void test_mode_refused(void **state) {
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        fake_set_no_native(fx->fake, 3, true);
        world(fx);
        /* At once: all or nothing. */
        fx_refused(fx, "chains", "{'chains': [" CHAIN("'eth*'", "'mode': 'native', 'programs': ['a']") "]}",
                   ERROR_NOT_SUPPORTED, "eth1/xdp: the driver has no native XDP");

        /* Later: each comes back with what it ran, in its old mode. */
        apply_chains(fx, CHAIN("'eth*'", "'mode': 'generic', 'programs': ['a']"));
        fx_send(fx, "eth0", HOOK_XDP, "pass", 3);
        assert_int_equal(fx_apply(fx, "chains",
                                  "{'chains': [" CHAIN("'eth*'", "'mode': 'native', 'programs': ['b', 'a']") "]}"),
                         -EOPNOTSUPP);
        check_error(&fx->error, ERROR_NOT_SUPPORTED, "eth1/xdp: the driver has no native XDP");
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        fx_expect(fx, "eth1", HOOK_XDP, "active a");
        assert_string_equal(chain_mode_in_effect(fx_chain(fx, "eth0", HOOK_XDP)), "generic");
        assert_string_equal(chain_mode_in_effect(fx_chain(fx, "eth1", HOOK_XDP)), "generic");
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 0);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 3);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 3);
        assert_int_equal(manager_get_program(fx->manager, "b")->state, PROGRAM_STATE_DEFINED);

        /* From a file: those that can, change; the other says why not, and is not taken off again and again. */
        fx_write(fx, LAYER_ADMIN, "chains",
                 "{'chains': [" CHAIN("'eth*'", "'mode': 'native', 'programs': ['a']") "]}");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        fx_expect(fx, "eth1", HOOK_XDP, "degraded a");
        fx_expect_reason(fx, "eth1", HOOK_XDP, "the driver has no native XDP");
        fake_log_clear(fx->fake);
        fx_reconcile(fx);
        fx_reconcile(fx);
        fx_expect(fx, "eth1", HOOK_XDP, "degraded a");
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_DETACH), 0);
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_COMMIT), 0);
        /* A reload is a new try. */
        fake_set_no_native(fx->fake, 3, false);
        fx_must_reload(fx);
        fx_expect(fx, "eth1", HOOK_XDP, "active a");
        assert_string_equal(chain_mode_in_effect(fx_chain(fx, "eth1", HOOK_XDP)), "native");

        /* Neither mode works any more: that is what it says. */
        fake_set_no_generic(fx->fake, 3, true);
        fake_set_no_native(fx->fake, 3, true);
        fx_write(fx, LAYER_ADMIN, "chains",
                 "{'chains': [" CHAIN("'eth*'", "'mode': 'generic', 'programs': ['a']") "]}");
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a");
        fx_expect(fx, "eth1", HOOK_XDP, "failed");
}

static void test_counters(void **state) {
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        world(fx);
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['a', 'b', 'c']"));
        fx_send(fx, "eth0", HOOK_XDP, "pass", 10);
        fx_send(fx, "eth0", HOOK_XDP, "drop", 5);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 15);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "b"), 10);

        /* A reorder keeps them. */
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['c', 'b', 'a']"));
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 15);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "b"), 10);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "c"), 10);
        fx_send(fx, "eth0", HOOK_XDP, "drop", 1);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "c"), 11);

        /* One that left and came again begins anew, and so does one that takes its seat. */
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['c', 'b']"));
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['c', 'b', 'a']"));
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 0);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "b"), 10);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 2);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 2);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "c"), 13);

        /* Where the rows can't be read, a seat of somebody else's figures is not given away as new. */
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['c', 'b']"));
        fake_fail(fx->fake, FAKE_CHAIN_COUNTERS, 1, -EIO, false);
        fx_refused(fx, "chains", "{'chains': [" CHAIN("'eth0'", "'programs': ['c', 'b', 'a']") "]}", ERROR_FAILED,
                   "eth0/xdp: the counters can't be read");
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "b"), 12);

        /* An upgrade of the program goes on counting. */
        fx_object(fx, "b.o", "map:mb frags");
        fx_must_reload(fx);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "b"), 12);
}

static char *sixty_four(const char *prefix) {
        char *text = NULL;

        for (unsigned i = 0; i < CHAIN_SLOTS_MAX; i++) {
                char *more;

                assert_true(asprintf(&more, "%s%s'%s%u'", text ? text : "", i ? "," : "", prefix, i) >= 0);
                free(text);
                text = more;
        }
        return text;
}

static void test_full_chains(void **state) {
        _cleanup_free_ char *x = sixty_four("x"), *y = sixty_four("y"), *programs = strdup("");
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        world(fx);
        for (int set = 0; set < 2; set++)
                for (unsigned i = 0; i < CHAIN_SLOTS_MAX; i++) {
                        char *more;

                        assert_true(asprintf(&more, "%s%s'%c%u': {'object': 'c.o'}", programs, *programs ? "," : "",
                                             set ? 'y' : 'x', i) >= 0);
                        free(programs);
                        programs = more;
                }
        {
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text, "{'programs': {%s}}", programs) >= 0);
                fx_must_apply(fx, "many", text);
        }
        for (int round = 0; round < 4; round++) {
                _cleanup_free_ char *text = NULL;
                char name[8];

                snprintf(name, sizeof(name), "%c63", round % 2 ? 'y' : 'x');
                assert_true(asprintf(&text, CHAIN("'eth0'", "'programs': [%s]"), round % 2 ? y : x) >= 0);
                apply_chains(fx, text);
                assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, name), 0);
                fx_send(fx, "eth0", HOOK_XDP, "pass", 3);
                assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, name), 3);
        }
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->n_slots, CHAIN_SLOTS_MAX);

        /* One more is too much, and leaves no trace. */
        {
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text, "{'chains': [" CHAIN("'eth0'", "'programs': ['a', 'b']") "]}") >= 0);
                fx_refused(fx, "more", text, ERROR_LIMIT_EXCEEDED, "more than 64 programs on eth0/xdp");
        }
}

static void test_program_upgrade(void **state) {
        Fixture *fx = *state;
        uint32_t map, other;

        fx_link(fx, 2, "eth0");
        world(fx);
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['a', 'b']"));
        map = fake_map_id(fx->fake, "a", "ma");
        other = fake_map_id(fx->fake, "b", "mb");
        fx_object(fx, "a.o", "map:ma map:new");
        fake_log_clear(fx->fake);
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        assert_int_equal(fake_map_id(fx->fake, "a", "ma"), map);
        assert_int_equal(fake_map_id(fx->fake, "b", "mb"), other);
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_LOAD), 1);
        assert_true(strv_contains(fx->shadow.maps, "a/new"));

        /* The object is gone: what runs goes on, and can be built anew from the kept copy. */
        fx_object(fx, "a.o", NULL);
        fx_must_reload(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['b', 'a']"));
        fx_expect(fx, "eth0", HOOK_XDP, "active b,a");

        /* Nobody wants it: its pins go. */
        apply_chains(fx, CHAIN("'eth0'", "'programs': ['b']"));
        assert_int_equal(fake_map_id(fx->fake, "a", "ma"), map); /* still defined, and may be inserted again */
        fx_must_apply(fx, "programs", "{'programs': {'b': {'object': 'b.o'}}}");
        assert_int_equal(fake_map_id(fx->fake, "a", "ma"), 0);
        assert_null(manager_get_program(fx->manager, "a"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_come_and_go),
                fx_test(test_many),
                fx_test(test_rename),
                fx_test(test_swapped_names),
                fx_test(test_alternative_names),
                fx_test(test_nothing_to_do),
                fx_test(test_conflict),
                fx_test(test_intruder),
                fx_test(test_degraded),
                fx_test(test_failed_beside_good),
                fx_test(test_pins_that_fail),
                fx_test(test_mode),
                fx_test(test_mode_refused),
                fx_test(test_counters),
                fx_test(test_full_chains),
                fx_test(test_program_upgrade),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
