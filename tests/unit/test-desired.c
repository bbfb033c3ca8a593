/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What follows from several documents together: order, leaving out, sequences, and what contradicts itself.
 */
#include "check.h"
#include "model/desired.h"
#include "util/strv.h"

/* Programs a to e, by the document that the tests put beside their own. */
#define PROGRAMS                                                                                                     \
        "{'programs': {'a': {'object': 'o'}, 'b': {'object': 'o'}, 'c': {'object': 'o'}, 'd': {'object': 'o'}, "     \
        "'e': {'object': 'o'}}}"

typedef struct Text {
        const char *name, *text;
} Text;

static Document *parse(const char *name, const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        _cleanup_error_ Error error = ERROR_INIT;
        Document *document = NULL;

        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        (void) document_new(name, NULL, LAYER_ADMIN, copy, strlen(copy), &document, &error);
        check_no_error(&error);
        assert_non_null(document);
        return document;
}

typedef struct Rejected {
        char **documents, **sentences;
} Rejected;

static void note_rejected(const Document *document, Error *error, void *userdata) {
        Rejected *rejected = userdata;

        assert_int_equal(strv_append(&rejected->documents, document->name), 0);
        assert_int_equal(strv_append(&rejected->sentences, error->message), 0);
}

static void rejected_done(Rejected *rejected) {
        strv_free(rejected->documents);
        strv_free(rejected->sentences);
}

static int make(const Text *texts, size_t n, bool lenient, Rejected *rejected, Desired **ret, Error *error) {
        Document *documents[16];
        int r;

        assert_true(n <= ELEMENTSOF(documents));
        for (size_t i = 0; i < n; i++)
                documents[i] = parse(texts[i].name, texts[i].text);
        r = desired_new(documents, n, lenient, rejected ? note_rejected : NULL, rejected, ret, error);
        for (size_t i = 0; i < n; i++)
                document_unref(documents[i]);
        return r;
}

static Desired *make_good(const Text *texts, size_t n) {
        _cleanup_error_ Error error = ERROR_INIT;
        Desired *desired = NULL;

        (void) make(texts, n, false, NULL, &desired, &error);
        check_no_error(&error);
        assert_non_null(desired);
        return desired;
}

static LinkRecord link_named(const char *name) {
        LinkRecord link = { .ifindex = 2 };

        snprintf(link.name, sizeof(link.name), "%s", name);
        return link;
}

/* "deny,limit", or "-" where no chain is wanted. */
static char *names_of(const Desired *desired, const LinkRecord *link, Hook hook) {
        _cleanup_(wanted_done) Wanted wanted = {};
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_strv_ char **names = NULL;
        int r;

        r = desired_chain(desired, link, hook, &wanted, &error);
        check_no_error(&error);
        if (r == -ENOENT)
                return strdup("-");
        assert_int_equal(r, 0);
        for (size_t i = 0; i < wanted.n_slots; i++)
                assert_int_equal(strv_append(&names, wanted.slots[i].program), 0);
        return strv_join(names, ",");
}

static void expect_on(const Desired *desired, const char *interface, Hook hook, const char *expected) {
        LinkRecord link = link_named(interface);
        _cleanup_free_ char *found = names_of(desired, &link, hook);

        assert_string_equal(found, expected);
}

static void expect(const Text *texts, size_t n, const char *expected) {
        _cleanup_(desired_unrefp) Desired *desired = make_good(texts, n);

        expect_on(desired, "eth0", HOOK_XDP, expected);
}

#define EXPECT(expected, ...)                                                                                        \
        expect((const Text[]){ { "programs", PROGRAMS }, __VA_ARGS__ },                                              \
               ELEMENTSOF(((const Text[]){ { "programs", PROGRAMS }, __VA_ARGS__ })), expected)

#define CHAIN(rest) "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', " rest "}]}"

static void expect_error(const Text *texts, size_t n, ErrorCode code, const char *sentence) {
        _cleanup_(desired_unrefp) Desired *desired = make_good(texts, n);
        _cleanup_(wanted_done) Wanted wanted = {};
        _cleanup_error_ Error error = ERROR_INIT;
        LinkRecord link = link_named("eth0");

        assert_int_equal(desired_chain(desired, &link, HOOK_XDP, &wanted, &error), error_code_to_errno(code));
        check_error(&error, code, sentence);
        assert_null(error.where); /* it stands in the sentence */
        assert_null(wanted.slots);
        assert_null(wanted.documents);
}

#define EXPECT_ERROR(code, sentence, ...)                                                                            \
        expect_error((const Text[]){ { "programs", PROGRAMS }, __VA_ARGS__ },                                        \
                     ELEMENTSOF(((const Text[]){ { "programs", PROGRAMS }, __VA_ARGS__ })), code, sentence)

static void test_order(void **state) {
        /* By `order`, and 500 where none is given. */
        EXPECT("b,a", { "x", CHAIN("'programs': ['a']") }, { "y", CHAIN("'order': 499, 'programs': ['b']") });
        EXPECT("a,b", { "x", CHAIN("'programs': ['a']") }, { "y", CHAIN("'order': 501, 'programs': ['b']") });
        EXPECT("b,a", { "x", CHAIN("'order': 65535, 'programs': ['a']") },
               { "y", CHAIN("'order': 0, 'programs': ['b']") });
        /* Then by document name, whatever the order in which they are handed in. */
        EXPECT("b,a", { "y", CHAIN("'programs': ['a']") }, { "x", CHAIN("'programs': ['b']") });
        EXPECT("b,a", { "9", CHAIN("'programs': ['a']") }, { "10", CHAIN("'programs': ['b']") });
        EXPECT("a,b", { "Z", CHAIN("'programs': ['a']") }, { "a", CHAIN("'programs': ['b']") });
        EXPECT("a,b", { "x", CHAIN("'order': 500, 'programs': ['a']") }, { "y", CHAIN("'programs': ['b']") });
        /* Then by place in the document. */
        EXPECT("c,a,b", { "x", "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['c', 'a']},"
                               "{'interfaces': ['eth*'], 'hook': 'xdp', 'programs': ['b']}]}" });
        EXPECT("b,c,a", { "x", "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['c', 'a']},"
                               "{'interfaces': ['eth*'], 'hook': 'xdp', 'order': 1, 'programs': ['b']}]}" });
}

static void test_without(void **state) {
        EXPECT("a,c", { "x", CHAIN("'programs': ['a', 'b', 'c']") }, { "y", CHAIN("'without': ['b']") });
        /* Whatever the order of the two. */
        EXPECT("a,c", { "x", CHAIN("'order': 9, 'programs': ['a', 'b', 'c']") },
               { "y", CHAIN("'order': 1, 'without': ['b']") });
        /* What is not there is no fault: a later document may bring it. */
        EXPECT("a", { "x", CHAIN("'programs': ['a']") }, { "y", CHAIN("'without': ['b', 'nobody']") });
        /* All of them: a chain without programs, but wanted. */
        EXPECT("", { "x", CHAIN("'programs': ['a']") }, { "y", CHAIN("'without': ['a']") });
        /* Only on this interface and hook. */
        EXPECT("a,b", { "x", CHAIN("'programs': ['a', 'b']") },
               { "y", "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'without': ['b']},"
                      "{'interfaces': ['eth0'], 'hook': 'tc-ingress', 'without': ['b']}]}" });
        /* Twice put on and taken out is no contradiction. */
        EXPECT("b", { "x", CHAIN("'programs': ['a']") }, { "y", CHAIN("'programs': ['a', 'b']") },
               { "z", CHAIN("'without': ['a']") });
}

static void test_sequence(void **state) {
        EXPECT("c,b,a", { "x", CHAIN("'programs': ['a', 'b', 'c']") }, { "y", CHAIN("'sequence': ['c', 'b', 'a']") });
        /* Those that it does not name stay at their places. */
        EXPECT("d,b,a,c", { "x", CHAIN("'programs': ['a', 'b', 'd', 'c']") },
               { "y", CHAIN("'sequence': ['d', 'a']") });
        /* Absent ones are passed over. */
        EXPECT("b,a", { "x", CHAIN("'programs': ['a', 'b']") },
               { "y", CHAIN("'sequence': ['b', 'e', 'nobody', 'a']") });
        EXPECT("a,b", { "x", CHAIN("'programs': ['a', 'b']") }, { "y", CHAIN("'sequence': ['b']") });
        /* The later document has the last word. */
        EXPECT("a,b,c", { "x", CHAIN("'programs': ['a', 'b', 'c']") }, { "y", CHAIN("'sequence': ['c', 'b', 'a']") },
               { "z", CHAIN("'sequence': ['a', 'b', 'c']") });
        EXPECT("b,c,a", { "x", CHAIN("'programs': ['a', 'b', 'c'], 'sequence': ['b', 'c', 'a']") });
}

static void test_detached_and_mode(void **state) {
        _cleanup_(desired_unrefp) Desired *desired =
                make_good((const Text[]){ { "programs", PROGRAMS },
                                          { "x", CHAIN("'programs': ['a']") },
                                          { "y", CHAIN("'detached': true, 'mode': 'generic'") },
                                          { "z", CHAIN("'detached': false, 'order': 7, 'programs': "
                                                       "[{'use': 'b', 'proceed-on': ['drop', 'tx']}]") } },
                          4);
        _cleanup_(wanted_done) Wanted wanted = {};
        _cleanup_error_ Error error = ERROR_INIT;
        LinkRecord link = link_named("eth0");

        assert_int_equal(desired_chain(desired, &link, HOOK_XDP, &wanted, &error), 0);
        assert_true(wanted.detached);
        assert_int_equal(wanted.mode, ATTACH_MODE_GENERIC);
        assert_int_equal(wanted.n_slots, 2);
        assert_string_equal(wanted.slots[0].program, "b");
        assert_int_equal(wanted.slots[0].proceed_on, (1 << 1) | (1 << 3));
        assert_int_equal(wanted.slots[0].from_slot, 0);
        assert_string_equal(wanted.slots[0].from->where, "chains[0]");
        assert_string_equal(wanted.slots[0].from->document->name, "z");
        assert_int_equal(wanted.slots[1].proceed_on, 1 << 2);
        /* In the order of the fragments. */
        assert_string_equal(wanted.documents[0], "z");
        assert_string_equal(wanted.documents[1], "x");
        assert_string_equal(wanted.documents[2], "y");
        assert_null(wanted.documents[3]);
}

static CounterLevel level_of(const Text *texts, size_t n) {
        _cleanup_(desired_unrefp) Desired *desired = make_good(texts, n);
        _cleanup_(wanted_done) Wanted wanted = {};
        _cleanup_error_ Error error = ERROR_INIT;
        LinkRecord link = link_named("eth0");

        assert_int_equal(desired_chain(desired, &link, HOOK_XDP, &wanted, &error), 0);
        return wanted.counters;
}

#define LEVEL(...)                                                                                                   \
        level_of((const Text[]){ { "programs", PROGRAMS }, { "x", CHAIN("'programs': ['a']") }, __VA_ARGS__ },       \
                 ELEMENTSOF(((const Text[]){ { "programs", PROGRAMS }, {}, __VA_ARGS__ })))

/* The most detailed level that anybody names, whatever the order. */
static void test_counters(void **state) {
        Text off = { "a", CHAIN("'counters': 'off'") }, verdicts = { "y", CHAIN("'counters': 'verdicts'") };
        Text all = { "z", CHAIN("'order': 0, 'counters': 'all'") };

        assert_int_equal(LEVEL({ "y", "{}" }), COUNTER_LEVEL_DEFAULT);
        assert_int_equal(LEVEL(off), COUNTER_LEVEL_OFF);
        assert_int_equal(LEVEL(off, verdicts), COUNTER_LEVEL_VERDICTS);
        assert_int_equal(LEVEL(off, all), COUNTER_LEVEL_ALL);
        assert_int_equal(LEVEL(all, verdicts), COUNTER_LEVEL_ALL);
        assert_int_equal(LEVEL(all, verdicts, off), COUNTER_LEVEL_ALL);
        /* Of this interface and hook only. */
        assert_int_equal(LEVEL({ "y", "{'chains': [{'interfaces': ['eth1'], 'hook': 'xdp', 'counters': 'all'},"
                                      "{'interfaces': ['eth0'], 'hook': 'tc-egress', 'counters': 'all'}]}" }),
                         COUNTER_LEVEL_DEFAULT);
        /* It does not make a chain by itself. */
        EXPECT("-", { "x", CHAIN("'counters': 'all'") });
}

static void test_nothing_to_act_on(void **state) {
        /* Ordering, leaving out and detaching do not make a chain by themselves. */
        EXPECT("-", { "x", CHAIN("'without': ['a'], 'sequence': ['b'], 'detached': true") });
        EXPECT("-", { "x", CHAIN("'programs': []") });
        EXPECT("-", { "x", "{}" });
}

static void test_hooks_and_names(void **state) {
        _cleanup_(desired_unrefp) Desired *desired = make_good(
                (const Text[]){ { "programs", PROGRAMS },
                                { "x", "{'chains': ["
                                       "{'interfaces': ['eth*', 'bond0'], 'hook': 'xdp', 'programs': ['a']},"
                                       "{'interfaces': ['eth[0-3]'], 'hook': 'tc-ingress', 'programs': ['b']},"
                                       "{'interfaces': ['uplink'], 'hook': 'tc-egress', 'programs': ['c']},"
                                       "{'interfaces': ['very-long-alternative*'], 'hook': 'xdp', "
                                       "'programs': ['d']}]}" } },
                2);
        LinkRecord link = link_named("ens3");
        char *altnames[] = { (char *) "uplink", (char *) "very-long-alternative-name-of-it" };
        _cleanup_free_ char *egress = NULL, *xdp = NULL, *ingress = NULL;

        expect_on(desired, "eth0", HOOK_XDP, "a");
        expect_on(desired, "eth0", HOOK_TC_INGRESS, "b");
        expect_on(desired, "eth4", HOOK_TC_INGRESS, "-");
        expect_on(desired, "eth0", HOOK_TC_EGRESS, "-");
        expect_on(desired, "eth", HOOK_XDP, "a");
        expect_on(desired, "veth0", HOOK_XDP, "-");
        expect_on(desired, "bond0", HOOK_XDP, "a");
        expect_on(desired, "bond1", HOOK_XDP, "-");

        for (size_t i = 0; i < ELEMENTSOF(altnames); i++)
                link.altnames[link.n_altnames++] = altnames[i];
        egress = names_of(desired, &link, HOOK_TC_EGRESS);
        xdp = names_of(desired, &link, HOOK_XDP);
        ingress = names_of(desired, &link, HOOK_TC_INGRESS);
        assert_string_equal(egress, "c");
        assert_string_equal(xdp, "d");
        assert_string_equal(ingress, "-");
}

static void test_contradictions(void **state) {
        EXPECT_ERROR(
                ERROR_INVALID_DOCUMENT,
                "y.json:1:71: chains[0].programs[1]: \"a\" is put on eth0/xdp twice, by x.json (chains[0]) already",
                { "x", CHAIN("'programs': ['a']") }, { "y", CHAIN("'programs': ['b', 'a']") });
        /* Within one document, in two fragments. */
        EXPECT_ERROR(ERROR_INVALID_DOCUMENT, "by x.json (chains[0]) already",
                     { "x", "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['a']},"
                            "{'interfaces': ['eth*'], 'hook': 'xdp', 'programs': ['a']}]}" });
        EXPECT_ERROR(ERROR_INVALID_DOCUMENT,
                     "y.json:1:61: chains[0].mode: y wants mode \"native\" on eth0/xdp, x.json wants \"generic\"",
                     { "x", CHAIN("'mode': 'generic', 'programs': ['a']") },
                     { "y", CHAIN("'mode': 'native', 'programs': ['b']") });
        EXPECT_ERROR(ERROR_INVALID_DOCUMENT, "a chain has one mode",
                     { "x", CHAIN("'mode': 'best', 'programs': ['a']") },
                     { "y", CHAIN("'mode': 'native', 'programs': ['b']") });
        EXPECT("a,b", { "x", CHAIN("'mode': 'native', 'programs': ['a']") },
               { "y", CHAIN("'mode': 'native', 'programs': ['b']") }, { "z", CHAIN("'sequence': ['a', 'b']") });
}

/* `n` programs named with the prefix, defined and put on eth0. */
static char *many(const char *prefix, unsigned n) {
        char *programs = strdup(""), *slots = strdup(""), *text;

        for (unsigned i = 0; i < n; i++) {
                char *p, *s;

                assert_true(asprintf(&p, "%s%s'%s%u': {'object': 'o'}", programs, i ? "," : "", prefix, i) >= 0);
                assert_true(asprintf(&s, "%s%s'%s%u'", slots, i ? "," : "", prefix, i) >= 0);
                free(programs);
                free(slots);
                programs = p;
                slots = s;
        }
        assert_true(asprintf(&text,
                             "{'programs': {%s}, 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': "
                             "[%s]}]}",
                             programs, slots) >= 0);
        free(programs);
        free(slots);
        return text;
}

static void test_too_many_slots(void **state) {
        _cleanup_free_ char *x = many("x", 40), *y = many("y", 25), *z = many("z", 24);

        EXPECT_ERROR(ERROR_LIMIT_EXCEEDED, "more than 64 programs on eth0/xdp", { "x", x }, { "y", y });
        {
                _cleanup_(desired_unrefp) Desired *desired = make_good((const Text[]){ { "x", x }, { "z", z } }, 2);
                _cleanup_(wanted_done) Wanted wanted = {};
                _cleanup_error_ Error error = ERROR_INIT;
                LinkRecord link = link_named("eth0");

                assert_int_equal(desired_chain(desired, &link, HOOK_XDP, &wanted, &error), 0);
                assert_int_equal(wanted.n_slots, CHAIN_SLOTS_MAX);
        }
        /* One that is left out does not count. */
        EXPECT_ERROR(ERROR_LIMIT_EXCEEDED, "more than 64", { "x", x }, { "y", y },
                     { "z", CHAIN("'without': ['z0']") });
        {
                _cleanup_(desired_unrefp) Desired *desired =
                        make_good((const Text[]){ { "x", x }, { "y", y }, { "z", CHAIN("'without': ['x0']") } }, 3);
                _cleanup_(wanted_done) Wanted wanted = {};
                _cleanup_error_ Error error = ERROR_INIT;
                LinkRecord link = link_named("eth0");

                assert_int_equal(desired_chain(desired, &link, HOOK_XDP, &wanted, &error), 0);
                assert_int_equal(wanted.n_slots, CHAIN_SLOTS_MAX);
        }
}

static void test_defined_twice(void **state) {
        static const Text texts[] = { { "y", "{'programs': {'a': {'object': 'other'}, 'z': {'object': 'o'}}}" },
                                      { "x", "{'programs': {'b': {'object': 'o'}, 'a': {'object': 'o'}}}" },
                                      { "z", "{'programs': {'y': {'object': 'o'}, 'b': {'object': 'o'}}}" } };
        _cleanup_(desired_unrefp) Desired *desired = NULL;
        _cleanup_(rejected_done) Rejected rejected = {};
        _cleanup_error_ Error error = ERROR_INIT;
        size_t n;

        assert_int_equal(make(texts, 3, false, NULL, &desired, &error), -EEXIST);
        check_error(&error, ERROR_NAME_TAKEN, "y.json:1:20: programs.a: program \"a\" is defined in x.json already");
        assert_null(desired);
        error_done(&error);

        /* Leniently, the later documents are left out, with all of their programs. */
        assert_int_equal(make(texts, 3, true, &rejected, &desired, &error), 0);
        check_no_error(&error);
        assert_int_equal(strv_length(rejected.documents), 2);
        assert_string_equal(rejected.documents[0], "y");
        assert_string_equal(rejected.documents[1], "z");
        assert_non_null(strstr(rejected.sentences[1], "\"b\" is defined in x.json already"));
        assert_int_equal(desired_documents(desired, &n)[0]->n_programs, 2);
        assert_int_equal(n, 1);
        assert_string_equal(desired_get_program(desired, "a")->object, "o");
        assert_null(desired_get_program(desired, "z"));
        assert_null(desired_get_program(desired, "y"));
        assert_int_equal(desired_programs(desired)->n, 2);
        assert_non_null(desired_get_document(desired, "x"));
        assert_null(desired_get_document(desired, "y"));
}

/* A document between two good ones falls: memory is right whichever it is. */
static void test_rejected_in_between(void **state) {
        static const Text texts[] = { { "1", "{'programs': {'a': {'object': 'o'}}}" },
                                      { "2", "{'programs': {'a': {'object': 'o'}}}" },
                                      { "3", "{'programs': {'b': {'object': 'o'}}}" },
                                      { "4", "{'programs': {'b': {'object': 'o'}}}" },
                                      { "5", "{'programs': {'c': {'object': 'o'}}}" } };

        for (size_t n = 0; n <= ELEMENTSOF(texts); n++) {
                _cleanup_(desired_unrefp) Desired *strict = NULL, *lenient = NULL;
                _cleanup_error_ Error error = ERROR_INIT, none = ERROR_INIT;
                size_t kept;

                assert_int_equal(make(texts, n, false, NULL, &strict, &error), n < 2 ? 0 : -EEXIST);
                assert_int_equal(make(texts, n, true, NULL, &lenient, &none), 0);
                check_no_error(&none);
                desired_documents(lenient, &kept);
                assert_int_equal(kept, (n + 1) / 2);
        }
}

static void test_undefined(void **state) {
        static const Text texts[] = { { "x", CHAIN("'programs': ['a']") },
                                      { "w", "{'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ["
                                             "{'use': 'nobody'}]}]}" },
                                      { "p", PROGRAMS } };
        _cleanup_(desired_unrefp) Desired *desired = NULL;
        _cleanup_(rejected_done) Rejected rejected = {};
        _cleanup_error_ Error error = ERROR_INIT;

        assert_int_equal(make(texts, 3, false, NULL, &desired, &error), -EBADMSG);
        check_error(&error, ERROR_INVALID_DOCUMENT,
                    "w.json:1:66: chains[0].programs[0]: no document defines a program \"nobody\"");
        assert_null(desired);
        error_done(&error);

        /* Leniently it is told, and the chain is still wanted: it says itself what it lacks. */
        assert_int_equal(make(texts, 3, true, &rejected, &desired, &error), 0);
        assert_int_equal(strv_length(rejected.documents), 1);
        assert_string_equal(rejected.documents[0], "w");
        expect_on(desired, "eth0", HOOK_XDP, "nobody,a");

        /* What `sequence` and `without` name need not be defined. */
        EXPECT("a", { "x", CHAIN("'programs': ['a'], 'sequence': ['nobody'], 'without': ['none']") });
}

static int count_name(const char *interface, Hook hook, void *userdata) {
        char ***names = userdata;
        char *text;

        assert_true(asprintf(&text, "%s/%s", interface, hook_to_string(hook)) >= 0);
        assert_int_equal(strv_append(names, text), 0);
        free(text);
        return strv_length(*names) == 3 ? -ECANCELED : 0;
}

static void test_visit_names(void **state) {
        static const Text texts[] = {
                { "p", PROGRAMS },
                { "x",
                  "{'chains': [{'interfaces': ['eth0', 'eth*', 'e?h', '[ab]'], 'hook': 'xdp', 'programs': ['a']},"
                  "{'interfaces': ['lan'], 'hook': 'tc-egress', 'programs': ['a']}]}" }
        };
        _cleanup_(desired_unrefp) Desired *desired = make_good(texts, 2);
        _cleanup_strv_ char **names = NULL;

        assert_int_equal(desired_visit_names(desired, count_name, &names), 0);
        assert_int_equal(strv_length(names), 2);
        assert_string_equal(names[0], "eth0/xdp");
        assert_string_equal(names[1], "lan/tc-egress");
        /* A visitor's failure stops it. */
        assert_int_equal(desired_visit_names(desired, count_name, &names), -ECANCELED);
        assert_int_equal(strv_length(names), 3);
}

static void test_references(void **state) {
        Document *document = parse("p", PROGRAMS);
        _cleanup_error_ Error error = ERROR_INIT;
        Desired *desired = NULL;

        assert_int_equal(desired_new(&document, 1, false, NULL, NULL, &desired, &error), 0);
        assert_int_equal(document->n_ref, 2);
        assert_ptr_equal(desired_ref(desired), desired);
        assert_null(desired_unref(desired));
        assert_int_equal(document->n_ref, 2);
        assert_null(desired_unref(desired));
        assert_int_equal(document->n_ref, 1);
        assert_null(desired_unref(NULL));
        document_unref(document);
}

static void test_unreadable(void **state) {
        _cleanup_(desired_unrefp) Desired *desired = make_good(NULL, 0);
        char **names = NULL;

        assert_false(desired_is_unreadable(desired, "x"));
        assert_int_equal(strv_append(&names, "x"), 0);
        desired_set_unreadable(desired, names);
        assert_true(desired_is_unreadable(desired, "x"));
        assert_false(desired_is_unreadable(desired, "y"));
        desired_set_unreadable(desired, NULL);
        assert_false(desired_is_unreadable(desired, "x"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_without),
                cmocka_unit_test(test_sequence),
                cmocka_unit_test(test_detached_and_mode),
                cmocka_unit_test(test_counters),
                cmocka_unit_test(test_nothing_to_act_on),
                cmocka_unit_test(test_hooks_and_names),
                cmocka_unit_test(test_contradictions),
                cmocka_unit_test(test_too_many_slots),
                cmocka_unit_test(test_defined_twice),
                cmocka_unit_test(test_rejected_in_between),
                cmocka_unit_test(test_undefined),
                cmocka_unit_test(test_visit_names),
                cmocka_unit_test(test_references),
                cmocka_unit_test(test_unreadable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
