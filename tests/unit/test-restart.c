/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service dies and another takes up what it left, whatever happened in between.
 */
#include "model-fixture.h"
#include "util/clock.h"
#include "util/file.h"

#define DOCUMENT(chains)                                                                                             \
        "{'programs': {'a': {'object': 'a.o'}, 'b': {'object': 'b.o', 'globals': {'x': 1}}, 'c': {'object': "        \
        "'c.o'}},"                                                                                                   \
        " 'chains': [" chains "]}"

#define XDP(interface, programs)                                                                                     \
        "{'interfaces': ['" interface "'], 'hook': 'xdp', 'counters': 'all', 'programs': [" programs "]}"

static const char document[] = DOCUMENT(XDP("eth0", "'a', 'b'") "," XDP("eth1", "'c', 'a'"));

static void world(Fixture *fx) {
        fx_object(fx, "a.o", "map:ma map:.data");
        fx_object(fx, "b.o", "map:mb frags");
        fx_object(fx, "c.o", ""); /* without maps, so without pins */
        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        fx_start(fx);
        fx_must_apply(fx, "edge", document);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 5);
}

static char *state_path(Fixture *fx) {
        char *path;

        assert_true(asprintf(&path, "%s/state.json", fx->paths.run) >= 0);
        return path;
}

static char *read_state(Fixture *fx) {
        _cleanup_free_ char *path = state_path(fx);
        char *text = NULL;

        assert_int_equal(file_read(path, 1 << 20, &text, NULL), 0);
        return text;
}

static void write_state(Fixture *fx, const char *text, size_t size) {
        _cleanup_free_ char *path = state_path(fx);

        assert_int_equal(file_write_atomic(path, text, size, 0600), 0);
}

static void expect_running(Fixture *fx) {
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        fx_expect(fx, "eth1", HOOK_XDP, "active c,a");
        assert_string_equal(manager_state(fx->manager), "running");
}

/* Nothing was done to hooks or pins. */
static void expect_untouched(Fixture *fx) {
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_COMMIT), 0);
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_BUILD), 0);
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_DETACH), 0);
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_LOAD), 0);
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_COMMIT), 0);
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_REMOVE), 0);
}

static void test_unchanged(void **state) {
        _cleanup_free_ char *before = NULL;
        Fixture *fx = *state;
        Program *program;
        uint64_t loaded_at;
        uint32_t link;

        world(fx);
        before = fake_dump(fx->fake);
        link = fx_chain(fx, "eth0", HOOK_XDP)->info.link_id;
        loaded_at = manager_get_program(fx->manager, "b")->loaded_at;
        for (int i = 0; i < 3; i++) {
                _cleanup_free_ char *after = NULL;

                fx_kill(fx);
                fake_log_clear(fx->fake);
                fx_start(fx);
                expect_running(fx);
                expect_untouched(fx);
                after = fake_dump(fx->fake);
                assert_string_equal(after, before);
        }
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->info.link_id, link);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "b"), 5);
        assert_int_equal(manager_generation(fx->manager), 2);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->generation, 2);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->slots[0].form, SLOT_FORM_GLOBAL);

        program = manager_get_program(fx->manager, "b");
        assert_int_equal(program->state, PROGRAM_STATE_ADOPTED);
        assert_int_equal(program->loaded_at, loaded_at);
        assert_true(program->info.frags);
        assert_string_equal(program->info.function, "main");
        assert_string_equal(program->object, "b.o");
        assert_string_equal(program->document, "edge");
        assert_int_equal(program->info.insns, 10);

        /* Then a change: only what it needs is loaded, and maps are kept. */
        fake_log_clear(fx->fake);
        fx_must_apply(fx, "edge", DOCUMENT(XDP("eth0", "'b', 'a'") "," XDP("eth1", "'c', 'a'")));
        fx_expect(fx, "eth0", HOOK_XDP, "active b,a");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->info.link_id, link);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "b"), 5);
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_LOAD), 2);
        assert_int_equal(manager_get_program(fx->manager, "b")->state, PROGRAM_STATE_LOADED);
}

/* A program without maps has nothing that could be adopted; it is known all the same. */
static void test_program_without_maps(void **state) {
        Fixture *fx = *state;
        Program *program;

        world(fx);
        for (int i = 0; i < 3; i++) {
                fx_kill(fx);
                fx_object(fx, "c.o", NULL); /* the kept copy serves, as it would without a restart */
                fake_log_clear(fx->fake);
                fx_start(fx);
                expect_running(fx);
                expect_untouched(fx);
                program = manager_get_program(fx->manager, "c");
                assert_int_equal(program->state, PROGRAM_STATE_ADOPTED);
                assert_int_equal(program->info.insns, 10);
        }
        fx_must_apply(fx, "edge", DOCUMENT(XDP("eth0", "'a', 'b'") "," XDP("eth1", "'a', 'c'")));
        fx_expect(fx, "eth1", HOOK_XDP, "active a,c");
}

static void test_documents_changed(void **state) {
        Fixture *fx = *state;
        uint32_t link;

        world(fx);
        link = fx_chain(fx, "eth0", HOOK_XDP)->info.link_id;
        fx_kill(fx);
        fx_write(fx, LAYER_ADMIN, "edge", DOCUMENT(XDP("eth0", "'b'")));
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active b");
        fx_expect(fx, "eth1", HOOK_XDP, "-");
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->info.link_id, link);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "b"), 5);

        fx_kill(fx);
        fx_write(fx, LAYER_ADMIN, "edge", NULL);
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "-");
        assert_int_equal(manager_programs(fx->manager)->n, 0);
        {
                _cleanup_free_ char *left = fake_dump(fx->fake);

                assert_string_equal(left, "");
        }
}

static void test_object_changed(void **state) {
        Fixture *fx = *state;
        uint32_t map;

        world(fx);
        map = fake_map_id(fx->fake, "a", "ma");
        fx_kill(fx);
        fx_object(fx, "a.o", "map:ma map:.data frags");
        fx_start(fx);
        expect_running(fx);
        assert_true(manager_get_program(fx->manager, "a")->info.frags);
        assert_int_equal(fake_map_id(fx->fake, "a", "ma"), map);

        /* To one that is refused: the old one runs on. */
        fx_kill(fx);
        fx_object(fx, "a.o", "reject");
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a,b");
        fx_expect(fx, "eth1", HOOK_XDP, "degraded c,a");
        fx_kill(fx);
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a,b");
        assert_int_equal(manager_get_program(fx->manager, "a")->state, PROGRAM_STATE_FAILED);
        fx_object(fx, "a.o", "map:ma");
        fx_must_reload(fx);
        expect_running(fx);
}

static void test_interfaces_changed(void **state) {
        Fixture *fx = *state;
        uint32_t id2, id3;

        world(fx);
        id2 = fake_link_id(fx->fake, 2, HOOK_XDP);
        id3 = fake_link_id(fx->fake, 3, HOOK_XDP);

        /* Names were swapped. */
        fx_kill(fx);
        fx_link(fx, 2, "eth1");
        fx_link(fx, 3, "eth0");
        fx_start(fx);
        expect_running(fx);
        assert_int_equal(fake_link_id(fx->fake, 2, HOOK_XDP), id2);
        assert_int_equal(fake_link_id(fx->fake, 3, HOOK_XDP), id3);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->ifindex, 3);

        /* One is gone, and its name is another's now. */
        fx_kill(fx);
        fx_unlink(fx, 3);
        fx_link(fx, 7, "eth0");
        fx_start(fx);
        expect_running(fx);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->ifindex, 7);

        /* One got a name that nobody wants a chain for. */
        fx_kill(fx);
        fx_link(fx, 7, "other");
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "waiting");
        fx_expect(fx, "other", HOOK_XDP, "-");
        assert_int_equal(fake_link_id(fx->fake, 7, HOOK_XDP), 0);

        /* Renamed and another took the old name. */
        fx_kill(fx);
        fx_link(fx, 2, "eth7");
        fx_link(fx, 7, "eth1");
        fx_start(fx);
        fx_expect(fx, "eth1", HOOK_XDP, "active c,a");
        fx_expect(fx, "eth7", HOOK_XDP, "-");
        assert_int_equal(fx_chain(fx, "eth1", HOOK_XDP)->ifindex, 7);
}

static void test_link_lost_or_intruded(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx_kill(fx);
        fake_take_off(fx->fake, 2, HOOK_XDP);
        fake_intrude(fx->fake, 3, HOOK_XDP, true);
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        fx_expect(fx, "eth1", HOOK_XDP, "degraded c,a");
        fake_intrude(fx->fake, 3, HOOK_XDP, false);
        fx_reconcile(fx);
        expect_running(fx);
}

static void test_state_lost(void **state) {
        _cleanup_free_ char *path = NULL;
        Fixture *fx = *state;
        uint32_t link, map;

        world(fx);
        path = state_path(fx);
        link = fake_link_id(fx->fake, 2, HOOK_XDP);
        map = fake_map_id(fx->fake, "a", "ma");
        fx_kill(fx);
        assert_int_equal(unlink(path), 0);
        fake_log_clear(fx->fake);
        fx_start(fx);
        expect_running(fx);
        /* Exchanged in place, with the maps that are pinned. */
        assert_int_equal(fake_link_id(fx->fake, 2, HOOK_XDP), link);
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_DETACH), 0);
        assert_int_equal(fake_map_id(fx->fake, "a", "ma"), map);
        /* Counters begin anew, and count right. */
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 0);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 3);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 3);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "b"), 3);

        fx_kill(fx);
        fake_log_clear(fx->fake);
        fx_start(fx);
        expect_running(fx);
        expect_untouched(fx);
}

/* A state that belongs to another program than the one attached (a crash between exchange and writing). */
static void test_state_of_before(void **state) {
        _cleanup_free_ char *old = NULL;
        Fixture *fx = *state;

        world(fx);
        old = read_state(fx);
        fx_must_apply(fx, "edge", DOCUMENT(XDP("eth0", "'b', 'c', 'a'")));
        fx_send(fx, "eth0", HOOK_XDP, "pass", 10);
        fx_kill(fx);
        write_state(fx, old, strlen(old));
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active b,c,a");
        fx_expect(fx, "eth1", HOOK_XDP, "-");
        fx_send(fx, "eth0", HOOK_XDP, "pass", 2);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "a"), 2);
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "c"), 2);
        assert_true(manager_generation(fx->manager) >= 2);
}

/* Any damage to the file costs an exchange at most. */
static void test_state_damaged(void **state) {
        _cleanup_free_ char *good = NULL;
        Fixture *fx = *state;
        uint32_t link, seed = 1;
        size_t size;

        world(fx);
        link = fake_link_id(fx->fake, 2, HOOK_XDP);
        good = read_state(fx);
        size = strlen(good);
        fx->totals_unknown = true;
        for (unsigned round = 0; round < 160; round++) {
                _cleanup_free_ char *bad = strdup(good);
                size_t n = size;

                for (unsigned i = 0; i < 1 + round % 3; i++) {
                        size_t at;

                        seed = seed * 1664525 + 1013904223;
                        at = (seed >> 8) % size;
                        if (round % 4 == 0)
                                n = at;
                        else if (round % 4 == 1)
                                bad[at] = (char) (seed >> 24);
                        else if (bad[at] >= '0' && bad[at] <= '9')
                                bad[at] = (char) ('0' + (seed >> 24) % 10);
                        else
                                bad[at] = bad[(at + 1) % size];
                }
                fx_kill(fx);
                write_state(fx, bad, n);
                fx_start(fx);
                expect_running(fx);
                assert_int_equal(fake_link_id(fx->fake, 2, HOOK_XDP), link);
        }
}

static void test_state_strange(void **state) {
        static const char *const strange[] = {
                "",
                "null",
                "[]",
                "{}",
                "{\"version\":2,\"generation\":7,\"chains\":[],\"programs\":[]}",
                "{\"version\":1,\"generation\":7,\"chains\":{},\"programs\":[]}",
                "{\"version\":1,\"generation\":7,\"chains\":[null],\"programs\":[5]}",
                "{\"version\":1,\"generation\":7,\"chains\":[],\"programs\":[{\"name\":\"../x\"}]}",
                "{\"version\":1,\"generation\":7,\"chains\":[],\"programs\":[{\"name\":\"a\"},{\"name\":\"a\"}]}",
                "{\"version\":1,\"generation\":7,\"chains\":[],\"programs\":[{\"name\":\"a\",\"digest\":5,\"tc\":{}}]"
                "}",
                "{\"version\":1,\"generation\":18446744073709551615,\"chains\":[],\"programs\":[]}",
        };
        Fixture *fx = *state;

        world(fx);
        for (size_t i = 0; i < ELEMENTSOF(strange); i++) {
                fx_kill(fx);
                write_state(fx, strange[i], strlen(strange[i]));
                fx_start(fx);
                expect_running(fx);
                fx_must_apply(fx, "more", "{}");
                assert_true(manager_generation(fx->manager) > 0);
        }
}

static void test_unreadable(void **state) {
        _cleanup_free_ char *before = NULL, *after = NULL, *path = NULL;
        Fixture *fx = *state;

        world(fx);
        before = fake_dump(fx->fake);
        path = state_path(fx);
        fx_kill(fx);
        fx_write(fx, LAYER_ADMIN, "edge", "{ 'programs': ");
        fake_log_clear(fx->fake);
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a,b");
        fx_expect(fx, "eth1", HOOK_XDP, "degraded c,a");
        fx_expect_reason(fx, "eth0", HOOK_XDP, "edge.json can't be read; the chain runs on");
        expect_untouched(fx);
        after = fake_dump(fx->fake);
        assert_string_equal(after, before);

        /* Over the next restart too, and while others change. */
        fx_must_apply(fx, "more", "{'programs': {'d': {'object': 'a.o'}}, 'chains': [" XDP("eth2", "'d'") "]}");
        fx_kill(fx);
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a,b");
        assert_int_equal(manager_get_program(fx->manager, "a")->state, PROGRAM_STATE_ADOPTED);

        /* And though nobody knows whose they are. */
        fx_kill(fx);
        assert_int_equal(unlink(path), 0);
        fx_start(fx);
        {
                _cleanup_free_ char *eth0 = fake_chain(fx->fake, 2, HOOK_XDP);

                assert_string_equal(eth0, "a,b");
                assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->state, CHAIN_STATE_DEGRADED);
        }

        fx_write(fx, LAYER_ADMIN, "edge", document);
        fx_must_reload(fx);
        expect_running(fx);

        /* Mended without it, they go. */
        fx_kill(fx);
        fx_write(fx, LAYER_ADMIN, "edge", "{ 'programs': ");
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded a,b");
        fx_must_apply(fx, "edge", "{}");
        fx_expect(fx, "eth0", HOOK_XDP, "-");
}

/* Unconfirmed changes die with the service. */
static void test_pending(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx->options.confirm_timeout = USEC_PER_MINUTE;
        fx_must_apply(fx, "edge", DOCUMENT(XDP("eth0", "'b'")));
        fx_expect(fx, "eth0", HOOK_XDP, "active b");
        fx_kill(fx);
        fx_start(fx);
        expect_running(fx);
        assert_int_equal(manager_pending(fx->manager).generation, 0);
        assert_int_equal(manager_generation(fx->manager), 3); /* never twice the same number for two things */
}

/* Whatever fails at start is mended by the next try. */
static void test_failing_start(void **state) {
        Fixture *fx = *state;
        bool failed = true;

        world(fx);
        for (unsigned n = 1; failed; n++) {
                fx_kill(fx);
                if (n % 3 == 0)
                        fx_object(fx, "a.o", n % 2 ? "map:ma" : "map:ma frags");
                fake_fail_any(fx->fake, n, n % 2 ? -EIO : -ENOMEM, false);
                fx_start(fx);
                failed = fake_failed(fx->fake);
                fake_fail_any(fx->fake, 0, 0, false);
                fx_reconcile(fx);
                /* A link that could not be adopted is in the way until the next start. */
                if (manager_get_chain(fx->manager, "eth0", HOOK_XDP)->state == CHAIN_STATE_CONFLICT ||
                    manager_get_chain(fx->manager, "eth1", HOOK_XDP)->state == CHAIN_STATE_CONFLICT) {
                        fx_kill(fx);
                        fx_start(fx);
                }
                expect_running(fx);
                assert_true(n < 100);
        }
}

static void test_detach_all(void **state) {
        Fixture *fx = *state;

        world(fx);
        assert_int_equal(manager_detach_all(fx->manager, &fx->options, &fx->generation, &fx->error), 0);
        fx_kill(fx);
        fx_start(fx);
        expect_running(fx);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_unchanged),      fx_test(test_program_without_maps), fx_test(test_documents_changed),
                fx_test(test_object_changed), fx_test(test_interfaces_changed),   fx_test(test_link_lost_or_intruded),
                fx_test(test_state_lost),     fx_test(test_state_of_before),      fx_test(test_state_damaged),
                fx_test(test_state_strange),  fx_test(test_unreadable),           fx_test(test_pending),
                fx_test(test_failing_start),  fx_test(test_detach_all),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
