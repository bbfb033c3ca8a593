/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Single documents: what they mean, and where in the text a fault is.
 */
#include <glob.h>

#include "check.h"
#include "model/document.h"
#include "util/file.h"
#include "util/json.h"
#include "util/strv.h"

static char *quotes(const char *text) {
        char *copy = strdup(text);

        assert_non_null(copy);
        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        return copy;
}

static Document *parse(const char *text) {
        _cleanup_free_ char *quoted = quotes(text);
        _cleanup_error_ Error error = ERROR_INIT;
        Document *document = NULL;

        (void) document_new("x", "/etc/x.json", LAYER_RUNTIME, quoted, strlen(quoted), &document, &error);
        check_no_error(&error);
        assert_non_null(document);
        return document;
}

static void refuse_text(const char *text, size_t size, ErrorCode code, const char *message) {
        _cleanup_error_ Error error = ERROR_INIT;
        Document *document = NULL;

        assert_int_equal(document_new("x", NULL, LAYER_ADMIN, text, size, &document, &error),
                         error_code_to_errno(code));
        assert_null(document);
        check_error(&error, code, message);
        assert_ptr_equal(strstr(error.message, message), error.message); /* from its beginning */
        assert_null(error.where);
}

static void refuse(const char *text, const char *message) {
        _cleanup_free_ char *quoted = quotes(text);

        refuse_text(quoted, strlen(quoted), ERROR_INVALID_DOCUMENT, message);
}

static void test_all_members(void **state) {
        _cleanup_(document_unrefp) Document *document = parse(
                "{'$schema': 's', 'description': 'd', 'programs': {"
                "  'deny': {'object': 'deny.o', 'function': 'xdp_deny.x$1', 'type': 'tc', 'globals': {'a': 1},"
                "           'maps': {'m': [{'key': 1, 'value': {'x': 2}}], 'n': []}, 'description': 'p'},"
                "  'limit-2.x_y': {'object': '/abs/limit.o'}},"
                " 'chains': [{'interfaces': ['eth0', 'bond*'], 'hook': 'tc-ingress', 'mode': 'best', 'order': 7,"
                "   'programs': ['deny', {'use': 'limit-2.x_y', 'proceed-on': ['next', 'ok', 'trap']}, {'use': "
                "'other'}],"
                "   'sequence': ['other', 'deny'], 'without': ['else'], 'detached': true, 'description': 'c'},"
                "  {'interfaces': ['lo'], 'hook': 'xdp', 'counters': 'off'}]}");
        const ProgramDef *program;
        const ChainDef *chain;

        assert_string_equal(document->name, "x");
        assert_string_equal(document->path, "/etc/x.json");
        assert_int_equal(document->layer, LAYER_RUNTIME);
        assert_int_equal(strlen(document->text), document->size);
        assert_null(document->base_directory);
        assert_int_equal(document->n_programs, 2);
        assert_int_equal(document->n_chains, 2);

        program = &document->programs[0];
        assert_string_equal(program->name, "deny");
        assert_ptr_equal(program->document, document);
        assert_string_equal(program->where, "programs.deny");
        assert_string_equal(program->object, "deny.o");
        assert_string_equal(program->function, "xdp_deny.x$1");
        assert_string_equal(program->type, "tc");
        assert_string_equal(program->description, "p");
        assert_int_equal(json_object_object_length(program->globals), 1);
        assert_int_equal(json_object_object_length(program->maps), 2);
        assert_null(program->digest);
        program = &document->programs[1];
        assert_string_equal(program->where, "programs[\"limit-2.x_y\"]");
        assert_null(program->function);
        assert_null(program->type);
        assert_null(program->globals);
        assert_null(program->maps);

        chain = &document->chains[0];
        assert_string_equal(chain->where, "chains[0]");
        assert_int_equal(strv_length(chain->interfaces), 2);
        assert_int_equal(chain->hook, HOOK_TC_INGRESS);
        assert_true(chain->mode_set);
        assert_int_equal(chain->order, 7);
        assert_int_equal(chain->n_slots, 3);
        assert_int_equal(chain->slots[0].proceed_on, 1); /* next */
        assert_int_equal(chain->slots[1].proceed_on, 1 << 0 | 1 << 1 | 1 << 9);
        assert_int_equal(chain->slots[2].proceed_on, 1);
        assert_int_equal(strv_length(chain->sequence), 2);
        assert_int_equal(strv_length(chain->without), 1);
        assert_true(chain->detached);
        assert_false(chain->counters_set);
        chain = &document->chains[1];
        assert_true(chain->counters_set);
        assert_int_equal(chain->counters, COUNTER_LEVEL_OFF);
        assert_int_equal(chain->hook, HOOK_XDP);
        assert_int_equal(chain->mode, ATTACH_MODE_BEST);
        assert_false(chain->mode_set);
        assert_int_equal(chain->order, CHAIN_ORDER_DEFAULT);
        assert_int_equal(chain->n_slots, 0);
        assert_null(chain->sequence);
        assert_null(chain->without);
        assert_false(chain->detached);
}

static void test_references(void **state) {
        Document *document = parse("{}");

        assert_ptr_equal(document_ref(document), document);
        assert_null(document_unref(document));
        assert_int_equal(document->n_programs, 0);
        assert_int_equal(document->n_chains, 0);
        assert_null(document_unref(document));
        assert_null(document_unref(NULL));
}

/* All verdicts of all hooks, and that a set may be empty: then the program always ends the way. */
static void test_proceed_on(void **state) {
        for (Hook hook = 0; hook < _HOOK_MAX; hook++) {
                for (unsigned bucket = 0; bucket + 1 < verdict_buckets(hook); bucket++) {
                        _cleanup_(document_unrefp) Document *document = NULL;
                        _cleanup_free_ char *text = NULL;

                        assert_true(asprintf(&text,
                                             "{'chains': [{'interfaces': ['e'], 'hook': '%s', 'programs': "
                                             "[{'use': 'p', 'proceed-on': ['%s']}]}]}",
                                             hook_to_string(hook), verdict_bucket_to_string(hook, bucket)) >= 0);
                        document = parse(text);
                        assert_int_equal(document->chains[0].slots[0].proceed_on, UINT32_C(1) << bucket);
                }
        }
        {
                _cleanup_(document_unrefp) Document *document =
                        parse("{'chains': [{'interfaces': ['e'], 'hook': 'xdp', 'programs': [{'use': 'p', "
                              "'proceed-on': []}]}]}");

                assert_int_equal(document->chains[0].slots[0].proceed_on, 0);
        }
        refuse("{'chains': [{'interfaces': ['e'], 'hook': 'xdp', 'programs': [{'use': 'p', 'proceed-on': "
               "['other']}]}]}",
               "x.json:1:91: chains[0].programs[0].proceed-on[0]: ");
        refuse("{'chains': [{'interfaces': ['e'], 'hook': 'xdp', 'programs': [{'use': 'p', 'proceed-on': "
               "['next']}]}]}",
               "x.json:1:91: chains[0].programs[0].proceed-on[0]: ");
        refuse("{'chains': [{'interfaces': ['e'], 'hook': 'tc-egress', 'programs': [{'use': 'p', 'proceed-on': "
               "['next', 'pass']}]}]}",
               "x.json:1:105: chains[0].programs[0].proceed-on[1]: ");
        refuse("{'chains': [{'interfaces': ['e'], 'hook': 'xdp', 'programs': [{'use': 'p', 'proceed-on': 'pass'}]}]}",
               "x.json:1:90: chains[0].programs[0].proceed-on: ");
}

#define CHAIN(rest) "{'chains': [{'interfaces': ['e'], 'hook': 'xdp', " rest "}]}"

static void test_faults(void **state) {
        refuse("", "x.json:1:1: ");
        refuse("[]", "x.json:1:1: expected an object, got an array");
        refuse("null", "x.json:1:1: expected an object, got null");
        refuse("{'programs': {'a': {'object': 'o'}}, 'programs': {}}", "x.json:1:38: ");
        refuse("{\n 'chain': []}", "x.json:2:2: chain: ");
        refuse("{'programs': {'a': {}}}", "x.json:1:20: programs.a: ");
        refuse("{'programs': {'a': {'object': 'o',\n\n  'objct': 'o'}}}", "x.json:3:3: programs.a.objct: ");
        refuse("{'programs': {'-a': {'object': 'o'}}}", "x.json:1:15: programs.-a: \"-a\" is no program name");
        refuse("{'programs': {'': {'object': 'o'}}}", "x.json:1:15: programs[\"\"]: \"\" is no program name");
        refuse("{'programs': {'a/b': {'object': 'o'}}}", "x.json:1:15: programs[\"a/b\"]: ");
        refuse("{'programs': {'a': {'object': ''}}}", "x.json:1:31: programs.a.object: ");
        refuse("{'programs': {'a': {'object': '../o'}}}", "x.json:1:31: programs.a.object: \"..\" is not allowed");
        refuse("{'programs': {'a': {'object': 'd/../o'}}}", "x.json:1:31: programs.a.object: \"..\" is not allowed");
        refuse("{'programs': {'a': {'object': '/d/../o'}}}", "x.json:1:31: programs.a.object: \"..\" is not allowed");
        refuse("{'programs': {'a': {'object': '..'}}}", "x.json:1:31: programs.a.object: \"..\" is not allowed");
        refuse("{'programs': {'a': {'object': 'o', 'type': 'kprobe'}}}", "x.json:1:44: programs.a.type: ");
        refuse("{'programs': {'a': {'object': 'o', 'function': 'f g'}}}", "x.json:1:48: programs.a.function: ");
        refuse("{'programs': {'a': {'object': 'o', 'globals': []}}}", "x.json:1:47: programs.a.globals: ");
        refuse("{'programs': {'a': {'object': 'o', 'maps': {'m': {}}}}}", "x.json:1:50: programs.a.maps.m: ");
        refuse("{'programs': {'a': {'object': 'o', 'maps': {'m': [{'key': 1}]}}}}",
               "x.json:1:51: programs.a.maps.m[0]: ");
        refuse("{'programs': {'a': {'object': 'o', 'maps': {'m': [{'key': 1, 'value': 1, 'x': 1}]}}}}",
               "x.json:1:74: programs.a.maps.m[0].x: ");
        refuse("{'chains': [{'hook': 'xdp'}]}", "x.json:1:13: chains[0]: ");
        refuse("{'chains': [{'interfaces': [], 'hook': 'xdp'}]}",
               "x.json:1:28: chains[0].interfaces: at least one interface is needed");
        refuse("{'chains': [{'interfaces': ['e', 'f', 'e'], 'hook': 'xdp'}]}",
               "x.json:1:39: chains[0].interfaces[2]: ");
        refuse("{'chains': [{'interfaces': ['sixteen-letters-'], 'hook': 'xdp'}]}",
               "x.json:1:29: chains[0].interfaces[0]: \"sixteen-letters-\" has 16 characters");
        refuse("{'chains': [{'interfaces': ['a b'], 'hook': 'xdp'}]}", "x.json:1:29: chains[0].interfaces[0]: ");
        refuse("{'chains': [{'interfaces': ['a:b'], 'hook': 'xdp'}]}", "x.json:1:29: chains[0].interfaces[0]: ");
        refuse("{'chains': [{'interfaces': ['a/*'], 'hook': 'xdp'}]}", "x.json:1:29: chains[0].interfaces[0]: ");
        refuse("{'chains': [{'interfaces': ['..'], 'hook': 'xdp'}]}", "x.json:1:29: chains[0].interfaces[0]: ");
        refuse("{'chains': [{'interfaces': ['e'], 'hook': 'xpd'}]}", "x.json:1:43: chains[0].hook: ");
        refuse(CHAIN("'mode': 'fast'"), "x.json:1:58: chains[0].mode: ");
        refuse("{'chains': [{'interfaces': ['e'], 'hook': 'tc-egress', 'mode': 'native'}]}",
               "x.json:1:64: chains[0].mode: native and generic are modes of XDP");
        refuse(CHAIN("'counters': 'most'"),
               "x.json:1:62: chains[0].counters: \"most\" is not known here; known are: off, verdicts, all");
        refuse(CHAIN("'counters': true"), "x.json:1:62: chains[0].counters: ");
        refuse(CHAIN("'order': -1"), "x.json:1:59: chains[0].order: ");
        refuse(CHAIN("'order': 65536"), "x.json:1:59: chains[0].order: ");
        refuse(CHAIN("'order': 1.5"), "x.json:1:59: chains[0].order: ");
        refuse(CHAIN("'detached': 1"), "x.json:1:62: chains[0].detached: ");
        refuse(CHAIN("'programs': ['a', 'b', 'a']"),
               "x.json:1:73: chains[0].programs[2]: \"a\" stands in this chain twice");
        refuse(CHAIN("'programs': ['a', {'use': 'a'}]"), "x.json:1:68: chains[0].programs[1]: \"a\" stands");
        refuse(CHAIN("'programs': [5]"), "x.json:1:63: chains[0].programs[0]: expected an object or a string");
        refuse(CHAIN("'programs': [{}]"), "x.json:1:63: chains[0].programs[0]: ");
        refuse(CHAIN("'programs': ['']"), "x.json:1:63: chains[0].programs[0]: ");
        refuse(CHAIN("'sequence': ['a', 'a']"), "x.json:1:68: chains[0].sequence[1]: ");
        refuse(CHAIN("'without': ['a', 'a']"), "x.json:1:67: chains[0].without[1]: ");
        refuse(CHAIN("'prorgams': []"), "x.json:1:50: chains[0].prorgams: ");
        refuse("{'chains': [{'interfaces': ['e'], 'hook': 'xdp'}, {'interfaces': ['e'], 'hook': 'xdp', 'x': 1}]}",
               "x.json:1:88: chains[1].x: ");
}

static void test_limits(void **state) {
        const struct {
                const char *head, *item, *tail;
                unsigned most;
                const char *message;
        } lists[] = {
                { "{\"programs\": {", "\"p%u\": {\"object\": \"o\"}", "}}", DOCUMENT_PROGRAMS_MAX,
                  "x.json:1:14: programs: " },
                { "{\"chains\": [", "{\"interfaces\": [\"e%u\"], \"hook\": \"xdp\"}", "]}", DOCUMENT_CHAINS_MAX,
                  "x.json:1:12: chains: " },
                { "{\"chains\": [{\"hook\": \"xdp\", \"interfaces\": [", "\"e%u\"", "]}]}", DOCUMENT_INTERFACES_MAX,
                  "x.json:1:43: chains[0].interfaces: " },
                { "{\"chains\": [{\"hook\": \"xdp\", \"interfaces\": [\"e\"], \"programs\": [", "\"p%u\"", "]}]}",
                  CHAIN_SLOTS_MAX, "x.json:1:62: chains[0].programs: " },
                { "{\"chains\": [{\"hook\": \"xdp\", \"interfaces\": [\"e\"], \"sequence\": [", "\"p%u\"", "]}]}",
                  CHAIN_SLOTS_MAX, "x.json:1:62: chains[0].sequence: " },
                { "{\"chains\": [{\"hook\": \"xdp\", \"interfaces\": [\"e\"], \"without\": [", "\"p%u\"", "]}]}",
                  CHAIN_SLOTS_MAX, "x.json:1:61: chains[0].without: " },
        };

        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                for (unsigned n = lists[i].most; n <= 10000; n += n == lists[i].most ? 1 : 10000 - n) {
                        _cleanup_free_ char *text = NULL;
                        _cleanup_(document_unrefp) Document *document = NULL;
                        _cleanup_error_ Error error = ERROR_INIT;
                        size_t size = 0;
                        FILE *f = open_memstream(&text, &size);

                        assert_non_null(f);
                        fputs(lists[i].head, f);
                        for (unsigned j = 0; j < n; j++) {
                                if (j > 0)
                                        fputs(",", f);
                                fprintf(f, lists[i].item, j);
                        }
                        fputs(lists[i].tail, f);
                        assert_int_equal(fclose(f), 0);
                        if (n > lists[i].most) {
                                refuse_text(text, size, ERROR_LIMIT_EXCEEDED, lists[i].message);
                                if (n == 10000)
                                        break;
                                continue;
                        }
                        assert_int_equal(document_new("x", NULL, LAYER_ADMIN, text, size, &document, &error), 0);
                        check_no_error(&error);
                }
}

static void test_huge_text(void **state) {
        size_t size = 100 * 1000 * 1000;
        _cleanup_free_ char *text = malloc(size);

        assert_non_null(text);
        memset(text, ' ', size);
        text[0] = '{';
        text[size - 1] = '}';
        refuse_text(text, size, ERROR_LIMIT_EXCEEDED, "x.json:1:");
        refuse_text(text, JSON_DOCUMENT_MAX + 1, ERROR_LIMIT_EXCEEDED, "x.json:1:");
        text[JSON_DOCUMENT_MAX - 1] = '}';
        {
                _cleanup_(document_unrefp) Document *document = NULL;
                _cleanup_error_ Error error = ERROR_INIT;

                assert_int_equal(document_new("x", NULL, LAYER_ADMIN, text, JSON_DOCUMENT_MAX, &document, &error), 0);
        }
}

static void test_names(void **state) {
        char name[200] = "";
        static const char *const good[] = { "a", "0", "50-edge", "edit-eth0-xdp", "a.b_c@d:e" };
        static const char *const bad[] = { "", ".a", "-a", "_a", "a b", "a/b", "a\n", "\xc3\xa4", "a.json", "a\x7f" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(document_name_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(document_name_is_valid(bad[i]));
        memset(name, 'a', 128);
        assert_true(document_name_is_valid(name));
        name[128] = 'a';
        assert_false(document_name_is_valid(name));

        memset(name, 0, sizeof(name));
        memset(name, 'a', PROGRAM_NAME_MAX);
        assert_true(program_name_is_valid(name));
        name[PROGRAM_NAME_MAX] = 'a';
        assert_false(program_name_is_valid(name));
        assert_true(program_name_is_valid("a.json"));
        assert_false(program_name_is_valid("a@b"));
        assert_false(program_name_is_valid("a:b"));
        assert_false(program_name_is_valid(""));
}

static void test_locate(void **state) {
        _cleanup_(document_unrefp) Document *document = parse("{\n  'programs': {'a': {'object': 'o'}}}");
        Error error = ERROR_INIT;

        document_locate_error(document, &error); /* unset: nothing */
        assert_false(error_is_set(&error));
        error_set(&error, ERROR_FAILED, "it broke");
        document_locate_error(document, &error);
        assert_string_equal(error.message, "x.json: it broke");
        error_done(&error);
        error_set_at(&error, ERROR_FAILED, "programs.a.object", "it broke");
        document_locate_error(document, &error);
        assert_string_equal(error.message, "x.json:2:32: programs.a.object: it broke");
        assert_null(error.where);
        error_done(&error);
        /* What the text has not is near what it has. */
        error_set_at(&error, ERROR_FAILED, "programs.a.function", "it broke");
        document_locate_error(document, &error);
        assert_string_equal(error.message, "x.json:2:21: programs.a.function: it broke");
        error_done(&error);
}

static char *sample_folder(const char *side) {
        const char *source = getenv("BPFCHAIN_SOURCE");
        char *pattern;

        if (!source) {
                print_message("SKIP: BPFCHAIN_SOURCE is not set\n");
                skip();
        }
        assert_true(asprintf(&pattern, "%s/tests/data/documents/%s/*.json", source, side) >= 0);
        return pattern;
}

static void read_sample(const char *path, char **ret_name, char **ret_text, size_t *ret_size) {
        const char *base = strrchr(path, '/') + 1;

        *ret_name = strndup(base, strlen(base) - strlen(".json"));
        assert_non_null(*ret_name);
        assert_int_equal(file_read(path, JSON_DOCUMENT_MAX, ret_text, ret_size), 0);
}

static void test_good_samples(void **state) {
        _cleanup_free_ char *pattern = sample_folder("good");
        glob_t paths;

        assert_int_equal(glob(pattern, 0, NULL, &paths), 0);
        assert_true(paths.gl_pathc >= 5);
        for (size_t i = 0; i < paths.gl_pathc; i++) {
                _cleanup_(document_unrefp) Document *document = NULL;
                _cleanup_free_ char *name = NULL, *text = NULL;
                _cleanup_error_ Error error = ERROR_INIT;
                size_t size = 0;

                read_sample(paths.gl_pathv[i], &name, &text, &size);
                (void) document_new(name, NULL, LAYER_ADMIN, text, size, &document, &error);
                check_no_error(&error);
                assert_non_null(document);
        }
        globfree(&paths);
}

/* Beside each bad one stand the place, to be told exactly, and a text that the sentence must have. */
static void test_bad_samples(void **state) {
        _cleanup_free_ char *pattern = sample_folder("bad");
        glob_t paths;

        assert_int_equal(glob(pattern, 0, NULL, &paths), 0);
        assert_true(paths.gl_pathc >= 40);
        for (size_t i = 0; i < paths.gl_pathc; i++) {
                _cleanup_free_ char *name = NULL, *text = NULL, *expect = NULL, *expect_path = NULL, *start = NULL;
                _cleanup_error_ Error error = ERROR_INIT;
                Document *document = NULL;
                size_t size = 0;
                char *sentence;

                read_sample(paths.gl_pathv[i], &name, &text, &size);
                assert_true(asprintf(&expect_path, "%.*s.expect", (int) strlen(paths.gl_pathv[i]) - 5,
                                     paths.gl_pathv[i]) >= 0);
                assert_int_equal(file_read(expect_path, 4096, &expect, NULL), 0);
                sentence = strchr(expect, '\n');
                assert_non_null(sentence);
                *sentence++ = 0;
                sentence[strcspn(sentence, "\n")] = 0;
                assert_true(asprintf(&start, "%s.json:%s", name, expect) >= 0);

                assert_true(document_new(name, NULL, LAYER_ADMIN, text, size, &document, &error) < 0);
                assert_null(document);
                if (!startswith(strna(error.message), start) || !strstr(error.message, sentence))
                        fail_msg("expected \"%s…%s…\", got \"%s\"", start, sentence, strna(error.message));
        }
        globfree(&paths);
}

/* A good document with any byte changed or cut is read or refused; nothing else happens. */
static void test_damaged(void **state) {
        _cleanup_free_ char *good = quotes(
                "{'programs': {'a': {'object': 'o', 'type': 'xdp', 'globals': {'g': [1, 2]}, 'maps': {'m': "
                "[{'key': 1, 'value': 2}]}}}, 'chains': [{'interfaces': ['e*'], 'hook': 'xdp', 'order': 3, "
                "'programs': ['a', {'use': 'b', 'proceed-on': ['pass']}], 'sequence': ['a'], 'without': ['c'], "
                "'detached': false, 'mode': 'native'}]}");
        size_t size = strlen(good);

        for (size_t at = 0; at < size; at++)
                for (int kind = 0; kind < 6; kind++) {
                        _cleanup_(document_unrefp) Document *document = NULL;
                        _cleanup_error_ Error error = ERROR_INIT;
                        _cleanup_free_ char *bad = malloc(size);
                        int r;

                        memcpy(bad, good, size);
                        if (kind > 0)
                                bad[at] = "\"{]0\xff"[kind - 1];
                        r = document_new("x", NULL, LAYER_ADMIN, bad, kind > 0 ? size : at, &document, &error);
                        assert_true((r >= 0) == (document != NULL));
                        assert_true((r < 0) == error_is_set(&error));
                        assert_true(r >= 0 || startswith(error.message, "x.json:1:"));
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_members),  cmocka_unit_test(test_references),
                cmocka_unit_test(test_proceed_on),   cmocka_unit_test(test_faults),
                cmocka_unit_test(test_limits),       cmocka_unit_test(test_huge_text),
                cmocka_unit_test(test_names),        cmocka_unit_test(test_locate),
                cmocka_unit_test(test_good_samples), cmocka_unit_test(test_bad_samples),
                cmocka_unit_test(test_damaged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
