/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a chain counts and what it says of it: levels, and figures that go on through whatever becomes of a chain.
 * That the packets of a chain are all that came into it, fx_check() sees after each change.
 */
#include <json-c/json.h>

#include "model-fixture.h"
#include "util/file.h"
#include "util/json.h"

#define PROGRAMS                                                                                                     \
        "'programs': {'a': {'object': 'a.o'}, 'b': {'object': 'b.o'}, 'c': {'object': 'c.o'}, 'd': {'object': "      \
        "'d.o'}, 'e': {'object': 'e.o'}}"

static void world(Fixture *fx) {
        fx_object(fx, "a.o", "map:ma");
        fx_object(fx, "b.o", "map:mb");
        fx_object(fx, "c.o", "");
        fx_object(fx, "d.o", "");
        fx_object(fx, "e.o", "");
        fx_link(fx, 2, "eth0");
        fx_start(fx);
        fx_must_apply(fx, "programs", "{" PROGRAMS "}");
}

/* `level` NULL: none is named. */
static void apply(Fixture *fx, const char *programs, const char *level) {
        _cleanup_free_ char *text = NULL;

        assert_true(asprintf(&text, "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': [%s]%s%s%s}]}",
                             programs, level ? ", 'counters': '" : "", strempty_to(level, ""),
                             level ? "'" : "") >= 0);
        fx_must_apply(fx, "chain", text);
}

static void read_counters(Fixture *fx, ChainCounters *ret) {
        assert_int_equal(manager_read_chain_counters(fx->manager, fx_chain(fx, "eth0", HOOK_XDP), ret), 0);
}

static void expect_totals(Fixture *fx, uint64_t packets) {
        ChainCounters counters;

        read_counters(fx, &counters);
        assert_int_equal(counters.packets, packets);
        assert_int_equal(counters.bytes, packets * FAKE_PACKET_BYTES);
}

static void test_levels(void **state) {
        Fixture *fx = *state;
        const unsigned pass = 2, drop = 1;
        ChainCounters counters;
        Chain *chain;

        world(fx);
        apply(fx, "'a', 'b'", NULL);
        chain = fx_chain(fx, "eth0", HOOK_XDP);
        assert_int_equal(chain->counters, COUNTER_LEVEL_VERDICTS);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 10);
        fx_send(fx, "eth0", HOOK_XDP, "drop", 3);
        read_counters(fx, &counters);
        assert_int_equal(counters.packets, 13);
        assert_int_equal(counters.slots[0].ended, 3);
        assert_int_equal(counters.slots[0].ended_bytes, 300);
        assert_int_equal(counters.slots[0].endings[drop], 3);
        assert_int_equal(counters.slots[0].endings[pass], 0);
        assert_int_equal(counters.slots[0].packets, 0);
        assert_int_equal(counters.slots[1].ended, 10);

        /* From here on each slot says what it saw. */
        apply(fx, "'a', 'b'", "all");
        assert_int_equal(chain->counters, COUNTER_LEVEL_ALL);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 5);
        read_counters(fx, &counters);
        assert_int_equal(counters.packets, 18);
        assert_int_equal(counters.slots[0].packets, 5);
        assert_int_equal(counters.slots[0].verdicts[pass], 5);
        assert_int_equal(counters.slots[0].bytes, 500);
        assert_int_equal(counters.slots[0].ended, 3);
        assert_int_equal(counters.slots[1].packets, 5);
        assert_int_equal(counters.slots[1].ended, 15);
        assert_int_equal(counters.slots[1].ended_bytes, 1500);

        apply(fx, "'a', 'b'", "off");
        assert_int_equal(chain->counters, COUNTER_LEVEL_OFF);
        assert_int_equal(manager_read_chain_counters(fx->manager, chain, &counters), -ENODATA);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 100);
        apply(fx, "'a', 'b'", "verdicts");
        expect_totals(fx, 18);
}

/* Programs come and go, levels rise and fall, services die; rows may go with the level. */
static void walk(Fixture *fx, bool drop_rows) {
        static const char *const lists[] = { "'a', 'b', 'c', 'd'", "'e', 'd'", "'a'", "'d', 'c', 'e', 'a'", "'b'" };
        static const char *const levels[] = { "verdicts", "all", "off", NULL };
        static const char *const verdicts[] = { "pass", "drop", "aborted" };
        uint32_t seed = drop_rows ? 7 : 1, link;
        uint64_t packets = 0;

        world(fx);
        fake_drop_rows(fx->fake, drop_rows);
        apply(fx, "'c'", "all");
        link = fake_link_id(fx->fake, 2, HOOK_XDP);
        for (unsigned round = 0; round < 400; round++) {
                uint64_t n;

                seed = seed * 1664525 + 1013904223;
                n = seed >> 26;
                if (round % 50 == 49) {
                        fx_kill(fx);
                        fx_start(fx);
                } else
                        apply(fx, lists[(seed >> 8) % ELEMENTSOF(lists)], levels[(seed >> 16) % ELEMENTSOF(levels)]);
                fx_send(fx, "eth0", HOOK_XDP, verdicts[(seed >> 20) % ELEMENTSOF(verdicts)], n);
                if (fx_chain(fx, "eth0", HOOK_XDP)->counters == COUNTER_LEVEL_OFF)
                        continue;
                packets += n;
                expect_totals(fx, packets);
        }
        assert_int_equal(fake_link_id(fx->fake, 2, HOOK_XDP), link);
        assert_true(packets > 1000);

        /* A chain that is taken off its hook begins anew. */
        fx_must_withdraw(fx, "chain");
        apply(fx, "'a', 'b'", "verdicts");
        expect_totals(fx, 0);
}

static void test_totals(void **state) {
        walk(*state, false);
}

static void test_totals_without_rows(void **state) {
        walk(*state, true);
}

/* A seat's second program does not show what the first one did, the chain as a whole does. */
static void test_seats(void **state) {
        Fixture *fx = *state;
        ChainCounters counters;

        world(fx);
        apply(fx, "'a', 'b'", NULL);
        fx_send(fx, "eth0", HOOK_XDP, "drop", 7);
        apply(fx, "'b'", NULL);
        expect_totals(fx, 7);
        apply(fx, "'c', 'b'", NULL);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->slots[0].seat, 0); /* that was a's */
        fx_send(fx, "eth0", HOOK_XDP, "drop", 2);
        read_counters(fx, &counters);
        assert_int_equal(counters.packets, 9);
        assert_int_equal(counters.slots[0].ended, 2);

        /* One that can't be changed stays as it was. */
        fx_object(fx, "d.o", "reject");
        fx_refused(fx, "chain",
                   "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'counters': 'off', 'programs': ['d', 'b']}]}",
                   ERROR_VERIFIER_REJECTED, "d");
        expect_totals(fx, 9);
}

static void test_adopt(void **state) {
        static const struct {
                const char *level;
                const char *after; /* what the document says when the next service starts */
                bool same;
        } cases[] = {
                { "all", "all", true },     { "verdicts", NULL, true },   { "off", "off", true },
                { NULL, "verdicts", true }, { "all", NULL, false },       { "off", "verdicts", false },
                { NULL, "all", false },     { "verdicts", "off", false },
        };
        Fixture *fx = *state;

        world(fx);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                CounterLevel level;
                uint32_t program;

                apply(fx, "'a', 'b'", cases[i].level);
                fx_send(fx, "eth0", HOOK_XDP, "pass", 5);
                program = fake_link_program_id(fx->fake, 2, HOOK_XDP);
                fx_kill(fx);
                assert_true(asprintf(&text,
                                     "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', %s%s%s'programs': ['a', "
                                     "'b']}]}",
                                     cases[i].after ? "'counters': '" : "", strempty_to(cases[i].after, ""),
                                     cases[i].after ? "', " : "") >= 0);
                fx_write(fx, LAYER_ADMIN, "chain", text);
                fake_log_clear(fx->fake);
                fx_start(fx);
                level = cases[i].after ? counter_level_from_string(cases[i].after) : COUNTER_LEVEL_DEFAULT;
                assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->counters, level);
                assert_int_equal(fake_link_program_id(fx->fake, 2, HOOK_XDP) == program, cases[i].same);
                assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_BUILD), cases[i].same ? 0 : 1);
        }
}

/* The state of a service that knew no levels: it counted everything. */
static void test_state_without_level(void **state) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        Fixture *fx = *state;
        char *key;

        world(fx);
        apply(fx, "'a', 'b'", "all");
        fx_send(fx, "eth0", HOOK_XDP, "pass", 5);
        fx_kill(fx);
        assert_true(asprintf(&path, "%s/state.json", fx->paths.run) >= 0);
        assert_int_equal(file_read(path, 1 << 20, &text, NULL), 0);
        key = strstr(text, "\"counters\":\"all\",");
        assert_non_null(key);
        memset(key, ' ', strlen("\"counters\":\"all\","));
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0600), 0);
        fake_log_clear(fx->fake);
        fx_start(fx);
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->counters, COUNTER_LEVEL_ALL);
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_BUILD), 0);
        expect_totals(fx, 5);
}

static json_object *report_of_chain(Fixture *fx, json_object **ret_root) {
        json_object *chains = NULL;

        *ret_root = json_tokener_parse(fx->report);
        assert_true(json_object_object_get_ex(*ret_root, "chains", &chains));
        assert_int_equal(json_object_array_length(chains), 1);
        return json_object_array_get_idx(chains, 0);
}

static void expect_report(Fixture *fx, const char *change, const char *counters, const char *before) {
        _cleanup_json_ json_object *root = NULL;
        json_object *chain = report_of_chain(fx, &root), *value = NULL;

        assert_string_equal(json_object_get_string(json_object_object_get(chain, "change")), change);
        assert_string_equal(json_object_get_string(json_object_object_get(chain, "counters")), counters);
        assert_int_equal(json_object_object_get_ex(chain, "counters-before", &value), before != NULL);
        if (before)
                assert_string_equal(json_object_get_string(value), before);
}

static void test_report(void **state) {
        Fixture *fx = *state;

        world(fx);
        apply(fx, "'a'", NULL);
        expect_report(fx, "attached", "verdicts", NULL);
        apply(fx, "'a'", "verdicts");
        expect_report(fx, "unchanged", "verdicts", NULL);
        apply(fx, "'a'", "off");
        expect_report(fx, "replaced", "off", "verdicts");
        fx->options.dry_run = true;
        apply(fx, "'a', 'b'", "all");
        expect_report(fx, "replaced", "all", "off");
        fx->options.dry_run = false;
        assert_int_equal(fx_chain(fx, "eth0", HOOK_XDP)->counters, COUNTER_LEVEL_OFF);
}

/* A level is not an edit's to say, unless somebody wrote it there. */
static void test_edits(void **state) {
        static const char by_hand[] =
                "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'order': 65535, 'programs': "
                "['c'], 'counters': 'all'}]}";
        Fixture *fx = *state;
        Chain *chain;

        world(fx);
        apply(fx, "'a', 'b'", "off");
        chain = fx_chain(fx, "eth0", HOOK_XDP);
        assert_int_equal(
                manager_chain_move(fx->manager, chain, "b", "first", &fx->options, &fx->generation, &fx->error), 0);
        fx_expect(fx, "eth0", HOOK_XDP, "active b,a");
        assert_int_equal(chain->counters, COUNTER_LEVEL_OFF);
        apply(fx, "'a', 'b'", "verdicts");
        assert_int_equal(chain->counters, COUNTER_LEVEL_VERDICTS);
        fx_expect(fx, "eth0", HOOK_XDP, "active b,a");

        fx_must_apply(fx, "edit-eth0-xdp", by_hand);
        assert_int_equal(chain->counters, COUNTER_LEVEL_ALL);
        assert_int_equal(manager_chain_remove(fx->manager, chain, "c", &fx->options, &fx->generation, &fx->error), 0);
        fx_expect(fx, "eth0", HOOK_XDP, "active a,b");
        assert_int_equal(chain->counters, COUNTER_LEVEL_ALL);
}

/* While nothing runs, a chain says how much it would count. */
static void test_waiting(void **state) {
        static const char all[] =
                "{'chains': [{'interfaces': ['eth7'], 'hook': 'xdp', 'counters': 'all', 'programs': ['a']}]}";
        static const char off[] =
                "{'chains': [{'interfaces': ['eth7'], 'hook': 'xdp', 'counters': 'off', 'programs': ['a']}]}";
        Fixture *fx = *state;
        ChainCounters counters;
        uint64_t count, nsec;
        Chain *chain;

        world(fx);
        fx_must_apply(fx, "late", all);
        chain = fx_chain(fx, "eth7", HOOK_XDP);
        assert_int_equal(chain->counters, COUNTER_LEVEL_ALL);
        assert_int_equal(manager_read_chain_counters(fx->manager, chain, &counters), -ENODATA);
        assert_int_equal(manager_read_run_time(fx->manager, chain, &count, &nsec), -ENODATA);
        fx_events_clear(fx);
        fx_must_apply(fx, "late", off);
        assert_int_equal(chain->counters, COUNTER_LEVEL_OFF);
        assert_non_null(strstr(fx->shadow.events, "eth7/xdp"));
        fx_link(fx, 7, "eth7");
        fx_reconcile(fx);
        fx_expect(fx, "eth7", HOOK_XDP, "active a");
        assert_int_equal(chain->counters, COUNTER_LEVEL_OFF);
        assert_int_equal(manager_read_chain_counters(fx->manager, chain, &counters), -ENODATA);
}

static void test_run_time(void **state) {
        uint64_t count = 0, nsec = 0;
        Fixture *fx = *state;
        Chain *chain;

        world(fx);
        apply(fx, "'a'", "off");
        chain = fx_chain(fx, "eth0", HOOK_XDP);
        assert_int_equal(manager_read_run_time(fx->manager, chain, &count, &nsec), -ENODATA);
        fake_time_runs(fx->fake, true);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 12);
        assert_int_equal(manager_read_run_time(fx->manager, chain, &count, &nsec), 0);
        assert_int_equal(count, 12);
        assert_int_equal(nsec, 12 * FAKE_RUN_NSEC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_levels),   fx_test(test_totals), fx_test(test_totals_without_rows),
                fx_test(test_seats),    fx_test(test_adopt),  fx_test(test_state_without_level),
                fx_test(test_report),   fx_test(test_edits),  fx_test(test_waiting),
                fx_test(test_run_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
