/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Simulations: what is prepared for them, what they tell, and that nothing of them stays. What the words of objects
 * do to packets is told in fake-simulation.c.
 */
#include "fake-internal.h"
#include "model-fixture.h"
#include "model/simulate.h"
#include "util/json.h"

#define SIZE 20 /* of a packet */

static uint8_t frames[SIMULATE_PACKETS_MAX][SIZE];
static SimulatePacket packets[SIMULATE_PACKETS_MAX];

/* Packets of these colours. */
static SimulateRequest make(size_t n, const uint8_t *colours) {
        assert_true(n <= SIMULATE_PACKETS_MAX);
        for (size_t i = 0; i < n; i++) {
                memset(frames[i], 0, SIZE);
                frames[i][14] = colours ? colours[i] : (uint8_t) i;
                packets[i] = (SimulatePacket){ frames[i], SIZE };
        }
        return (SimulateRequest){ .packets = packets, .n_packets = n };
}

#define COLOURS(...) make(sizeof((const uint8_t[]){ __VA_ARGS__ }), (const uint8_t[]){ __VA_ARGS__ })

/* Works it off in the smallest slices and reads the report. Frees the simulation. */
static json_object *finish(Simulation *simulation) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *text = NULL;
        json_object *report = NULL;
        int r;

        do
                r = simulation_work(simulation, 1, &error);
        while (r > 0);
        check_no_error(&error);
        assert_int_equal(r, 0);
        text = simulation_report(simulation);
        assert_non_null(text);
        simulation_free(simulation);
        if (json_parse(text, strlen(text), &report, NULL, &error) < 0)
                fail_msg("%s: %s", error.message, text);
        return report;
}

static Simulation *begin_chain(Fixture *fx, const char *interface, const SimulateRequest *request) {
        _cleanup_error_ Error error = ERROR_INIT;
        Simulation *simulation = NULL;
        int r;

        r = simulation_new_chain(fx->manager, fx_chain(fx, interface, HOOK_XDP), request, &simulation, &error);
        check_no_error(&error);
        assert_int_equal(r, 0);
        return simulation;
}

static Simulation *begin_document(Fixture *fx, const char *name, const char *text, const SimulateRequest *request) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *quoted = quotes(text);
        Simulation *simulation = NULL;
        int r;

        r = simulation_new_document(fx->manager, name, quoted, &fx->options, request, &simulation, &error);
        check_no_error(&error);
        assert_int_equal(r, 0);
        return simulation;
}

/* The member at a path of names and indices: "packets.0.verdict". */
static json_object *at(json_object *object, const char *path) {
        _cleanup_free_ char *copy = strdup(path);
        char *save = NULL;

        for (char *step = strtok_r(copy, ".", &save); step; step = strtok_r(NULL, ".", &save)) {
                json_object *next = NULL;

                if (json_object_is_type(object, json_type_array))
                        next = json_object_array_get_idx(object, strtoul(step, NULL, 10));
                else if (!json_object_object_get_ex(object, step, &next))
                        return NULL;
                object = next;
        }
        return object;
}

/* Compares with ' for ". */
static void expect(json_object *report, const char *path, const char *expected) {
        _cleanup_free_ char *quoted = quotes(expected);
        const char *found = json_object_to_json_string_ext(at(report, path), JSON_C_TO_STRING_PLAIN);

        if (!streq(found, quoted))
                fail_msg("%s is %s, expected %s", path, found, quoted);
}

#define EDGE                                                                                                         \
        "{'programs': {'deny': {'object': 'deny.o', 'maps': {'m': [{'key': 3, 'value': 1}]}},"                       \
        " 'limit': {'object': 'limit.o'}, 'last': {'object': 'last.o'}},"                                            \
        " 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['deny', 'limit', 'last']}]}"

static void world(Fixture *fx) {
        fx_object(fx, "deny.o", "map:m denies:m");
        fx_object(fx, "limit.o", "map:seen once:seen nocopy:seen bump");
        fx_object(fx, "last.o", "grow drop:9");
        fx_object(fx, "odd.o", "says:77");
        fx_object(fx, "t.o", "tc drop:5");
        fx_object(fx, "picky.o", "picky");
        fx_link(fx, 2, "eth0");
        fx_start(fx);
        fx_must_apply(fx, "edge", EDGE);
        fx_send(fx, "eth0", HOOK_XDP, "pass", 5);
        fake_log_clear(fx->fake);
}

static void test_running(void **state) {
        SimulateRequest request = COLOURS(1, 3, 1, 9, 4);
        _cleanup_free_ char *before = NULL;
        _cleanup_json_ json_object *report = NULL;
        Fixture *fx = *state;

        world(fx);
        before = fx_picture(fx);
        report = finish(begin_chain(fx, "eth0", &request));

        expect(report, "interface", "'eth0'");
        expect(report, "hook", "'xdp'");
        expect(report, "programs", "['deny','limit','last']");
        expect(report, "omissions.0.program", "'limit'");
        expect(report, "omissions.0.map", "'seen'");
        assert_string_equal(json_object_get_string(at(report, "omissions.0.reason")), "\"it\" can't be copied");
        fx_check_picture(fx, before);
}

static void test_ways(void **state) {
        SimulateRequest request = COLOURS(1, 3, 1, 9, 4);
        _cleanup_json_ json_object *report = NULL, *again = NULL;
        Fixture *fx = *state;

        world(fx);
        report = finish(begin_chain(fx, "eth0", &request));
        expect(report, "packets.0",
               "{'verdict':'pass','ended-by':'last','size':21,'steps':[{'program':'deny','verdict':'pass'},"
               "{'program':'limit','verdict':'pass','changed':true,'size':20},"
               "{'program':'last','verdict':'pass','changed':true,'size':21}]}");
        expect(report, "packets.1",
               "{'verdict':'drop','ended-by':'deny','size':20,'steps':[{'program':'deny','verdict':'drop'}]}");
        expect(report, "packets.2.ended-by", "'limit'"); /* the first one was remembered */
        expect(report, "packets.3.ended-by", "'last'");
        expect(report, "packets.3.verdict", "'drop'");
        assert_int_equal(json_object_array_length(at(report, "packets")), 5);
        expect(report, "verdicts", "{'drop':3,'pass':2}");
        expect(report, "ended-by", "{'deny':1,'limit':1,'last':3}");
        expect(report, "refused", "0");

        /* Nothing was loaded, and each simulation begins anew. */
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_LOAD), 0);
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_BUILD), 0);
        request.contents = true;
        again = finish(begin_chain(fx, "eth0", &request));
        expect(again, "packets.0.ended-by", "'last'");
        expect(again, "packets.0.steps.0", "{'program':'deny','verdict':'pass'}");
        expect(again, "packets.0.steps.1.packet", "'0000000000000000000000000000010100000000'");
        expect(again, "packets.0.steps.2.packet", "'000000000000000000000000000001010000000000'");
        assert_int_equal(fx_packets(fx, "eth0", HOOK_XDP, "deny"), 0); /* not at this level */
}

/* Programs that were taken over can't be fused: they are loaded for the occasion, and not committed. */
static void test_adopted(void **state) {
        SimulateRequest request = COLOURS(3, 4);
        _cleanup_json_ json_object *report = NULL, *again = NULL;
        _cleanup_free_ char *before = NULL;
        Fixture *fx = *state;

        world(fx);
        fx_kill(fx);
        fx_start(fx);
        assert_false(manager_get_program(fx->manager, "deny")->captured);
        before = fx_picture(fx);
        fake_log_clear(fx->fake);
        report = finish(begin_chain(fx, "eth0", &request));
        expect(report, "verdicts", "{'drop':1,'pass':1}");
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_LOAD), 3);
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_COMMIT), 0);
        assert_false(manager_get_program(fx->manager, "deny")->captured);
        fx_check_picture(fx, before);
        fx_check(fx);

        /* What is kept of the objects does as well. */
        fx_object(fx, "deny.o", NULL);
        fx_object(fx, "limit.o", NULL);
        again = finish(begin_chain(fx, "eth0", &request));
        expect(again, "ended-by", "{'deny':1,'last':1}");
        fx_check(fx);
}

static void refused_chain(Fixture *fx, const char *interface, ErrorCode code, const char *sentence) {
        SimulateRequest request = COLOURS(1);
        _cleanup_error_ Error error = ERROR_INIT;
        Simulation *simulation = NULL;
        int r;

        r = simulation_new_chain(fx->manager, fx_chain(fx, interface, HOOK_XDP), &request, &simulation, &error);
        assert_int_equal(r, error_code_to_errno(code));
        check_error(&error, code, sentence);
        assert_null(simulation);
        fx_check(fx);
}

static void test_nothing_runs(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx_must_apply(fx, "later",
                      "{'chains': [{'interfaces': ['eth7'], 'hook': 'xdp', 'programs': ['deny']},"
                      " {'interfaces': ['eth0'], 'hook': 'xdp', 'detached': true}]}");
        refused_chain(fx, "eth7", ERROR_NOT_SUPPORTED, "nothing runs on eth7/xdp (there is no such interface)");
        refused_chain(fx, "eth0", ERROR_NOT_SUPPORTED, "nothing runs on eth0/xdp (kept off its hook");
}

/* An adopted chain whose documents say something else by now can't be had again. */
static void test_lost_form(void **state) {
        Fixture *fx = *state;

        world(fx);
        fx_kill(fx);
        fx_object(fx, "deny.o", "map:m reject");
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "degraded deny,limit,last");
        refused_chain(fx, "eth0", ERROR_NOT_SUPPORTED, "eth0/xdp: what runs is an earlier form of deny");
}

static void test_failures(void **state) {
        SimulateRequest request = COLOURS(1, 2);
        Fixture *fx = *state;
        Simulation *simulation;

        world(fx);
        for (int silently = 0; silently < 2; silently++) {
                _cleanup_error_ Error error = ERROR_INIT;

                fake_fail(fx->fake, FAKE_SIMULATION_NEW, 1, -EIO, silently);
                simulation = NULL;
                assert_int_equal(simulation_new_chain(fx->manager, fx_chain(fx, "eth0", HOOK_XDP), &request,
                                                      &simulation, &error),
                                 -EIO);
                check_error(&error, ERROR_FAILED, silently ? "eth0/xdp: the chain can't be simulated" : "eth0/xdp: ");
                error_done(&error);

                simulation = begin_chain(fx, "eth0", &request);
                fake_fail(fx->fake, FAKE_SIMULATION_RUN, 2, -EIO, silently);
                assert_int_equal(simulation_work(simulation, 1000000, &error), -EIO);
                check_error(&error, ERROR_FAILED, "packet 1 of 20 bytes, eth0/xdp: ");
                simulation_free(simulation);
                fx_check(fx);
        }
        fx_kill(fx);
        fx_start(fx);
        fake_fail(fx->fake, FAKE_PROGRAM_LOAD, 2, -EIO, false);
        refused_chain(fx, "eth0", ERROR_FAILED, "made to fail");
}

static void test_refused_packets(void **state) {
        SimulateRequest request = COLOURS(1, 255, 2);
        _cleanup_json_ json_object *report = NULL, *planned = NULL;
        Fixture *fx = *state;

        world(fx);
        fx_must_apply(fx, "edge",
                      "{'programs': {'picky': {'object': 'picky.o'}, 'odd': {'object': 'odd.o'}},"
                      " 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['picky', 'odd']}]}");
        report = finish(begin_chain(fx, "eth0", &request));
        expect(report, "refused", "1");
        expect(report, "packets.1", "{'refused':'of colour 255'}");
        expect(report, "packets.2",
               "{'verdict':'other','value':77,'ended-by':'odd','size':20,'steps':[{'program':'picky','verdict':"
               "'pass'},{'program':'odd','verdict':'other','value':77}]}");
        expect(report, "verdicts", "{'other':2}");

        planned = finish(begin_document(fx, "edge",
                                        "{'programs': {'picky': {'object': 'picky.o'}},"
                                        " 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp',"
                                        " 'programs': ['picky']}]}",
                                        &request));
        expect(planned, "chains.0.refused", "1");
        expect(planned, "chains.0.different", "{'packets':2,'verdict':2,'contents':0,'ended-by':2}");
}

/* Other contents of a map, which a commit would write into the map that is kept. */
static void test_planned_contents(void **state) {
        SimulateRequest request = COLOURS(1, 3, 4, 9);
        _cleanup_json_ json_object *report = NULL;
        _cleanup_free_ char *before = NULL;
        Fixture *fx = *state;

        world(fx);
        before = fx_picture(fx);
        report = finish(begin_document(
                fx, "edge",
                "{'programs': {'deny': {'object': 'deny.o', 'maps': {'m': [{'key': 4, 'value': 1}]}},"
                " 'limit': {'object': 'limit.o'}, 'last': {'object': 'last.o'}},"
                " 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['deny', 'limit', 'last']}]}",
                &request));
        expect(report, "packets", "4");
        expect(report, "plan.dry-run", "true");
        expect(report, "plan.chains.0.change", "'replaced'");
        expect(report, "chains.0.interface", "'eth0'");
        expect(report, "chains.0.change", "'replaced'");
        expect(report, "chains.0.before.verdicts", "{'drop':2,'pass':2}");
        expect(report, "chains.0.after.verdicts", "{'drop':2,'pass':2}");
        expect(report, "chains.0.before.programs", "['deny','limit','last']");
        expect(report, "chains.0.different", "{'packets':2,'verdict':2,'contents':2,'ended-by':2}");
        expect(report, "chains.0.packets.0.packet", "1");
        expect(report, "chains.0.packets.0.differs", "['verdict','contents','ended-by']");
        expect(report, "chains.0.packets.0.before.ended-by", "'deny'");
        expect(report, "chains.0.packets.0.after.ended-by", "'last'");
        expect(report, "chains.0.packets.1.packet", "2");
        expect(report, "chains.0.packets.1.before.verdict", "'pass'");
        expect(report, "chains.0.packets.1.after.verdict", "'drop'");
        assert_int_equal(json_object_array_length(at(report, "chains.0.packets")), 2);
        assert_int_equal(fake_count(fx->fake, FAKE_PROGRAM_COMMIT), 0);
        fx_check_picture(fx, before);
        fx_check(fx);
}

/* A chain more, one that goes, one that is to come: there is nothing on one side. */
static void test_one_side(void **state) {
        SimulateRequest request = COLOURS(3, 5, 9);
        _cleanup_json_ json_object *report = NULL;
        Fixture *fx = *state;

        world(fx);
        report = finish(
                begin_document(fx, "edge",
                               "{'programs': {'deny': {'object': 'deny.o', 'maps': {'m': [{'key': 3, 'value': 1}]}},"
                               " 't': {'object': 't.o'}},"
                               " 'chains': [{'interfaces': ['eth0'], 'hook': 'tc-egress', 'programs': ['t']},"
                               " {'interfaces': ['eth8'], 'hook': 'xdp', 'programs': ['deny']}]}",
                               &request));
        assert_int_equal(json_object_array_length(at(report, "chains")), 3);
        expect(report, "chains.0.hook", "'xdp'");
        expect(report, "chains.0.change", "'removed'");
        expect(report, "chains.0.after", "null");
        expect(report, "chains.0.different", "{'packets':3,'verdict':2,'contents':2,'ended-by':0}");
        expect(report, "chains.0.packets.0.after", "{'verdict':'pass','size':20,'steps':[]}");
        expect(report, "chains.1.hook", "'tc-egress'");
        expect(report, "chains.1.change", "'attached'");
        expect(report, "chains.1.before", "null");
        expect(report, "chains.1.different", "{'packets':1,'verdict':1,'contents':0,'ended-by':0}");
        expect(report, "chains.1.packets.0.before", "{'verdict':'next','size':20,'steps':[]}");
        expect(report, "chains.1.packets.0.after.verdict", "'shot'");
        expect(report, "chains.2.interface", "'eth8'");
        expect(report, "chains.2.change", "'waiting'");
        expect(report, "chains.2.after.verdicts", "{'drop':1,'pass':2}");
        fx_expect(fx, "eth8", HOOK_XDP, "-");
        fx_check(fx);
}

static void test_one_chain(void **state) {
        static const char document[] =
                "{'programs': {'l2': {'object': 'last.o'}, 't': {'object': 't.o'}},"
                " 'chains': [{'interfaces': ['eth0'], 'hook': 'tc-ingress', 'programs': ['t']},"
                " {'interfaces': ['eth1'], 'hook': 'xdp', 'programs': ['l2']}]}";
        SimulateRequest request = COLOURS(3, 9);
        _cleanup_json_ json_object *one = NULL, *same = NULL;
        _cleanup_free_ char *quoted = quotes(document);
        _cleanup_error_ Error error = ERROR_INIT;
        Simulation *simulation = NULL;
        Fixture *fx = *state;

        world(fx);
        fx_link(fx, 3, "eth1");
        request.chain = "eth1/xdp";
        one = finish(begin_document(fx, "more", document, &request));
        assert_int_equal(json_object_array_length(at(one, "chains")), 1);
        expect(one, "chains.0.interface", "'eth1'");
        assert_int_equal(json_object_array_length(at(one, "plan.chains")), 2);

        /* One that stays as it is, since it was asked for. */
        request.chain = "eth0/xdp";
        same = finish(begin_document(fx, "more", document, &request));
        expect(same, "chains.0.change", "'unchanged'");
        expect(same, "chains.0.after.ended-by", "{'deny':1,'last':1}");
        expect(same, "chains.0.different.packets", "0");

        request.chain = "eth5/xdp";
        assert_int_equal(
                simulation_new_document(fx->manager, "more", quoted, &fx->options, &request, &simulation, &error),
                error_code_to_errno(ERROR_NO_SUCH_CHAIN));
        check_error(&error, ERROR_NO_SUCH_CHAIN, "there is no chain \"eth5/xdp\", neither now nor by this document");
        fx_check(fx);
}

static void test_bad_documents(void **state) {
        SimulateRequest request = COLOURS(3, 9);
        Fixture *fx = *state;
        static const struct {
                const char *text;
                ErrorCode code;
                const char *sentence;
        } bad[] = {
                { "{", ERROR_INVALID_DOCUMENT, "edge.json:1:2" },
                { "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['x']}]}", ERROR_INVALID_DOCUMENT,
                  "no document defines a program" },
                { "{'programs': {'r': {'object': 'r.o'}}, 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp',"
                  " 'programs': ['r']}]}",
                  ERROR_VERIFIER_REJECTED, "refuses r.o" },
        };

        world(fx);
        fx_object(fx, "r.o", "reject");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *before = fx_picture(fx), *quoted = quotes(bad[i].text);
                _cleanup_error_ Error error = ERROR_INIT;
                Simulation *simulation = NULL;

                assert_true(simulation_new_document(fx->manager, "edge", quoted, &fx->options, &request, &simulation,
                                                    &error) < 0);
                check_error(&error, bad[i].code, bad[i].sentence);
                fx_check_picture(fx, before);
                fx_check(fx);
        }
}

static void test_too_many_chains(void **state) {
        SimulateRequest request = COLOURS(3);
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *document = quotes("{'programs': {'l2': {'object': 'last.o'}},"
                                               " 'chains': [{'interfaces': ['lan*'], 'hook': 'xdp', 'programs': "
                                               "['l2']}]}");
        _cleanup_json_ json_object *report = NULL;
        Simulation *simulation = NULL;
        Fixture *fx = *state;

        world(fx);
        for (int i = 0; i < SIMULATE_CHAINS_MAX; i++) {
                char name[16];

                snprintf(name, sizeof(name), "lan%d", i);
                fx_link(fx, 10 + i, name);
        }
        report = finish(begin_document(fx, "lan", document, &request));
        assert_int_equal(json_object_array_length(at(report, "chains")), SIMULATE_CHAINS_MAX);
        fx_link(fx, 90, "lan-more");
        assert_int_equal(
                simulation_new_document(fx->manager, "lan", document, &fx->options, &request, &simulation, &error),
                error_code_to_errno(ERROR_LIMIT_EXCEEDED));
        check_error(&error, ERROR_LIMIT_EXCEEDED, "more than 16 chains would change");
        fx_check(fx);
}

/* A degraded chain: what runs can't be had again, but the document that mends it can be looked at. */
static void test_planned_without_present(void **state) {
        SimulateRequest request = COLOURS(3, 9);
        _cleanup_json_ json_object *report = NULL;
        Fixture *fx = *state;

        world(fx);
        fx_kill(fx);
        fx_object(fx, "deny.o", "map:m reject");
        fx_start(fx);
        fx_object(fx, "deny.o", "map:m drop:3 says:1");
        report = finish(begin_document(fx, "edge", EDGE, &request));
        expect(report, "chains.0.before", "null");
        expect(report, "chains.0.after.verdicts", "{'drop':2}");
        expect(report, "chains.0.different.packets", "0");
        assert_non_null(strstr(json_object_get_string(at(report, "chains.0.reason")), "earlier form of deny"));
}

/* What becomes of chain and programs meanwhile is nothing to a simulation. */
static void test_change_meanwhile(void **state) {
        SimulateRequest request = make(100, NULL);
        _cleanup_json_ json_object *first = NULL, *second = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        Simulation *running, *planned;
        Fixture *fx = *state;

        world(fx);
        running = begin_chain(fx, "eth0", &request);
        planned = begin_document(fx, "edge",
                                 "{'programs': {'last': {'object': 'last.o'}},"
                                 " 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['last']}]}",
                                 &request);
        assert_int_equal(simulation_work(running, 1, &error), 1);
        assert_int_equal(simulation_work(planned, 1, &error), 1);

        fx_object(fx, "deny.o", "map:m says:1"); /* another one */
        fx_must_reload(fx);
        fx_must_withdraw(fx, "edge");
        fx_expect(fx, "eth0", HOOK_XDP, "-");
        first = finish(running);
        expect(first, "verdicts", "{'drop':2,'pass':98}");
        second = finish(planned);
        expect(second, "chains.0.before.verdicts", "{'drop':2,'pass':98}");
        expect(second, "chains.0.after.verdicts", "{'drop':1,'pass':99}");
        fx_check(fx);
}

static void test_report_limit(void **state) {
        SimulateRequest request = make(SIMULATE_PACKETS_MAX, NULL);
        _cleanup_free_ char *text = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        Fixture *fx = *state;
        Simulation *simulation;
        int r;

        world(fx);
        fx_object(fx, "x.o", "");
        text_add(&text, "{'programs': {");
        for (int i = 0; i < CHAIN_SLOTS_MAX; i++)
                text_add(&text, "%s'%048d': {'object': 'x.o'}", i > 0 ? "," : "", i);
        text_add(&text, "}, 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': [");
        for (int i = 0; i < CHAIN_SLOTS_MAX; i++)
                text_add(&text, "%s'%048d'", i > 0 ? "," : "", i);
        text_add(&text, "]}]}");
        fx_must_apply(fx, "edge", text);
        simulation = begin_chain(fx, "eth0", &request);
        do
                r = simulation_work(simulation, 100000, &error);
        while (r > 0);
        assert_int_equal(r, error_code_to_errno(ERROR_LIMIT_EXCEEDED));
        check_error(&error, ERROR_LIMIT_EXCEEDED, "packets has more than 25165824 bytes already; simulate fewer");
        simulation_free(simulation);
}

static void test_too_early(void **state) {
        SimulateRequest request = COLOURS(1);
        _cleanup_error_ Error error = ERROR_INIT;
        Simulation *simulation = NULL;
        Fixture *fx = *state;
        Chain *chain;

        world(fx);
        fx_kill(fx);
        fx_start_raw(fx);
        chain = manager_get_chain(fx->manager, "eth0", HOOK_XDP);
        assert_non_null(chain);
        assert_true(simulation_new_chain(fx->manager, chain, &request, &simulation, &error) < 0);
        check_error(&error, ERROR_BUSY, "still starting");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_running),
                fx_test(test_ways),
                fx_test(test_adopted),
                fx_test(test_nothing_runs),
                fx_test(test_lost_form),
                fx_test(test_failures),
                fx_test(test_refused_packets),
                fx_test(test_planned_contents),
                fx_test(test_one_side),
                fx_test(test_one_chain),
                fx_test(test_bad_documents),
                fx_test(test_too_many_chains),
                fx_test(test_planned_without_present),
                fx_test(test_change_meanwhile),
                fx_test(test_report_limit),
                fx_test(test_too_early),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
