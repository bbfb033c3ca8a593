/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glob.h>
#include <syslog.h>

#include "model-fixture.h"
#include "model/settings.h"
#include "util/file.h"
#include "util/json.h"

static void put(Fixture *fx, Layer layer, const char *text) {
        _cleanup_free_ char *path = NULL, *quoted = text ? quotes(text) : NULL;
        const char *folder = paths_layer(&fx->paths, layer);

        assert_int_equal(mkdir_parents(folder, 0755), 0);
        assert_true(asprintf(&path, "%s/bpfchain.json", folder) >= 0);
        if (!text)
                assert_int_equal(file_remove(path), 0);
        else
                assert_int_equal(file_write_atomic(path, quoted, strlen(quoted), 0644), 0);
}

static Settings load(Fixture *fx) {
        Settings settings = SETTINGS_INIT;
        _cleanup_error_ Error error = ERROR_INIT;

        (void) settings_load(&fx->paths, &settings, &error);
        check_no_error(&error);
        return settings;
}

static void refuse(Fixture *fx, ErrorCode code, const char *sentence) {
        Settings settings = { .tc_attach = TC_ATTACH_TCX, .log_level = 77 };
        _cleanup_error_ Error error = ERROR_INIT;

        assert_int_equal(settings_load(&fx->paths, &settings, &error), error_code_to_errno(code));
        check_error(&error, code, sentence);
        assert_int_equal(settings.log_level, 77);
        assert_int_equal(settings.tc_attach, TC_ATTACH_TCX);
}

static void test_values(void **state) {
        Fixture *fx = *state;
        Settings settings = load(fx); /* no file */
        static const struct {
                const char *word;
                int level;
        } levels[] = { { "error", LOG_ERR },
                       { "warning", LOG_WARNING },
                       { "notice", LOG_NOTICE },
                       { "info", LOG_INFO },
                       { "debug", LOG_DEBUG } };

        assert_int_equal(settings.tc_attach, TC_ATTACH_AUTO);
        assert_int_equal(settings.log_level, -1);
        assert_int_equal(settings.netlink_receive_buffer, 0);

        put(fx, LAYER_ADMIN, "{}");
        settings = load(fx);
        assert_int_equal(settings.tc_attach, TC_ATTACH_AUTO);
        assert_int_equal(settings.log_level, -1);
        assert_int_equal(settings.netlink_receive_buffer, 0);

        put(fx, LAYER_ADMIN,
            "{'$schema': 'x', 'tc-attach': 'clsact', 'log-level': 'debug', 'netlink-receive-buffer': 4096}");
        settings = load(fx);
        assert_int_equal(settings.tc_attach, TC_ATTACH_CLSACT);
        assert_int_equal(settings.log_level, LOG_DEBUG);
        assert_int_equal(settings.netlink_receive_buffer, 4096);

        for (size_t i = 0; i < ELEMENTSOF(levels); i++) {
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text, "{'log-level': '%s'}", levels[i].word) >= 0);
                put(fx, LAYER_ADMIN, text);
                assert_int_equal(load(fx).log_level, levels[i].level);
        }
        for (TcAttach attach = 0; attach < _TC_ATTACH_MAX; attach++) {
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text, "{'tc-attach': '%s'}", tc_attach_to_string(attach)) >= 0);
                put(fx, LAYER_ADMIN, text);
                assert_int_equal(load(fx).tc_attach, attach);
        }
        put(fx, LAYER_ADMIN, "{'netlink-receive-buffer': 268435456}");
        assert_int_equal(load(fx).netlink_receive_buffer, 268435456);
}

static void test_layers(void **state) {
        Fixture *fx = *state;

        put(fx, LAYER_VENDOR, "{'log-level': 'error', 'tc-attach': 'tcx'}");
        assert_int_equal(load(fx).log_level, LOG_ERR);
        put(fx, LAYER_RUNTIME, "{'log-level': 'info'}");
        assert_int_equal(load(fx).log_level, LOG_INFO);
        assert_int_equal(load(fx).tc_attach, TC_ATTACH_AUTO); /* whole files, not members */
        put(fx, LAYER_ADMIN, "{'log-level': 'debug'}");
        assert_int_equal(load(fx).log_level, LOG_DEBUG);
        put(fx, LAYER_ADMIN, "{");
        refuse(fx, ERROR_INVALID_DOCUMENT, "/etc/bpfchain/bpfchain.json:1:2: ");
        put(fx, LAYER_ADMIN, NULL);
        put(fx, LAYER_RUNTIME, NULL);
        assert_int_equal(load(fx).tc_attach, TC_ATTACH_TCX);
}

static void test_faults(void **state) {
        Fixture *fx = *state;
        _cleanup_free_ char *path = NULL;

        put(fx, LAYER_ADMIN, "[]");
        refuse(fx, ERROR_INVALID_DOCUMENT, ":1:1: expected an object");
        put(fx, LAYER_ADMIN, "{\n  'log-level': 'loud'}");
        refuse(fx, ERROR_INVALID_DOCUMENT, ":2:16: log-level: ");
        put(fx, LAYER_ADMIN, "{'log-levle': 'info'}");
        refuse(fx, ERROR_INVALID_DOCUMENT, ":1:2: log-levle: ");
        put(fx, LAYER_ADMIN, "{'netlink-receive-buffer': 4095}");
        refuse(fx, ERROR_INVALID_DOCUMENT, ":1:28: netlink-receive-buffer: ");
        put(fx, LAYER_ADMIN, "{'netlink-receive-buffer': 268435457}");
        refuse(fx, ERROR_INVALID_DOCUMENT, ":1:28: netlink-receive-buffer: ");
        put(fx, LAYER_ADMIN, "");
        refuse(fx, ERROR_INVALID_DOCUMENT, ":1:1: ");
        put(fx, LAYER_ADMIN, NULL);
        assert_true(asprintf(&path, "%s/bpfchain.json", fx->paths.etc) >= 0);
        assert_int_equal(mkdir_parents(path, 0755), 0);
        {
                Settings settings = SETTINGS_INIT;
                _cleanup_error_ Error error = ERROR_INIT;

                assert_true(settings_load(&fx->paths, &settings, &error) < 0);
                check_error(&error, ERROR_FAILED, "/etc/bpfchain/bpfchain.json: ");
        }
}

static void test_samples(void **state) {
        const char *source = getenv("BPFCHAIN_SOURCE");
        Fixture *fx = *state;

        if (!source) {
                print_message("SKIP: BPFCHAIN_SOURCE is not set\n");
                skip();
        }
        for (int bad = 0; bad < 2; bad++) {
                _cleanup_free_ char *pattern = NULL;
                glob_t paths;

                assert_true(asprintf(&pattern, "%s/tests/data/settings/%s/*.json", source, bad ? "bad" : "good") >=
                            0);
                assert_int_equal(glob(pattern, 0, NULL, &paths), 0);
                for (size_t i = 0; i < paths.gl_pathc; i++) {
                        _cleanup_free_ char *text = NULL, *expect = NULL, *expect_path = NULL, *place = NULL;
                        char *sentence;

                        assert_int_equal(file_read(paths.gl_pathv[i], JSON_DOCUMENT_MAX, &text, NULL), 0);
                        put(fx, LAYER_ADMIN, text);
                        if (!bad) {
                                (void) load(fx);
                                continue;
                        }
                        assert_true(asprintf(&expect_path, "%.*s.expect", (int) strlen(paths.gl_pathv[i]) - 5,
                                             paths.gl_pathv[i]) >= 0);
                        assert_int_equal(file_read(expect_path, 4096, &expect, NULL), 0);
                        sentence = strchr(expect, '\n');
                        assert_non_null(sentence);
                        *sentence++ = 0;
                        sentence[strcspn(sentence, "\n")] = 0;
                        assert_true(asprintf(&place, "/bpfchain.json:%s", expect) >= 0);
                        refuse(fx, ERROR_INVALID_DOCUMENT, place);
                        refuse(fx, ERROR_INVALID_DOCUMENT, sentence);
                }
                globfree(&paths);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_values),
                fx_test(test_layers),
                fx_test(test_faults),
                fx_test(test_samples),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
