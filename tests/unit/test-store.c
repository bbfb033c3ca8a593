/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Documents in their layers, and the objects that they name.
 */
#include <sys/stat.h>

#include "model-fixture.h"
#include "model/objects.h"
#include "util/digest.h"
#include "util/file.h"
#include "util/json.h"

static Store load(Fixture *fx, const Store *previous) {
        Store store = {};

        assert_int_equal(store_load(&fx->paths, previous, &store), 0);
        return store;
}

static const StoredDocument *item_at(const Store *store, Layer layer, const char *name) {
        for (size_t i = 0; i < store->n; i++)
                if (store->items[i].layer == layer && streq(store->items[i].name, name))
                        return &store->items[i];
        fail_msg("there is no %s in %s", name, layer_to_string(layer));
        return NULL;
}

static void expect(const Store *store, Layer layer, const char *name, DocumentState state) {
        const StoredDocument *item = item_at(store, layer, name);

        if (item->state != state)
                fail_msg("%s in %s is %s (%s)", name, layer_to_string(layer), document_state_to_string(item->state),
                         strna(item->error));
        assert_true((state == DOCUMENT_STATE_FAILED) <= (item->error != NULL));
        assert_true((state == DOCUMENT_STATE_ACTIVE) <= (item->document != NULL));
}

static char *chains_folder(Fixture *fx, Layer layer) {
        char *folder;

        assert_true(asprintf(&folder, "%s/chains.d", paths_layer(&fx->paths, layer)) >= 0);
        assert_int_equal(mkdir_parents(folder, 0755), 0);
        return folder;
}

static void test_nothing(void **state) {
        Fixture *fx = *state;
        _cleanup_(store_done) Store store = load(fx, NULL), copy = {};

        assert_int_equal(store.n, 0);
        assert_null(store_get(&store, "x"));
        assert_int_equal(store_copy(&store, &copy), 0);
        assert_int_equal(copy.n, 0);
}

static void test_layers(void **state) {
        Fixture *fx = *state;

        fx_write(fx, LAYER_VENDOR, "a", "{}");
        fx_write(fx, LAYER_VENDOR, "b", "{}");
        fx_write(fx, LAYER_VENDOR, "c", "{}");
        fx_write(fx, LAYER_VENDOR, "d", "{");
        fx_write(fx, LAYER_VENDOR, "e", "{}");
        fx_write(fx, LAYER_RUNTIME, "b", "{}");
        fx_write(fx, LAYER_RUNTIME, "c", "{ }");
        fx_write(fx, LAYER_ADMIN, "c", "{  }");
        fx_write(fx, LAYER_ADMIN, "d", "{}");
        fx_write(fx, LAYER_ADMIN, "e", "{");
        {
                _cleanup_(store_done) Store store = load(fx, NULL);

                assert_int_equal(store.n, 10);
                expect(&store, LAYER_VENDOR, "a", DOCUMENT_STATE_ACTIVE);
                expect(&store, LAYER_VENDOR, "b", DOCUMENT_STATE_OVERRIDDEN);
                expect(&store, LAYER_RUNTIME, "b", DOCUMENT_STATE_ACTIVE);
                expect(&store, LAYER_VENDOR, "c", DOCUMENT_STATE_OVERRIDDEN);
                expect(&store, LAYER_RUNTIME, "c", DOCUMENT_STATE_OVERRIDDEN);
                expect(&store, LAYER_ADMIN, "c", DOCUMENT_STATE_ACTIVE);
                expect(&store, LAYER_VENDOR, "d", DOCUMENT_STATE_OVERRIDDEN);
                expect(&store, LAYER_ADMIN, "d", DOCUMENT_STATE_ACTIVE);
                /* A bad one overrides as well: what the administrator meant is not what the vendor did. */
                expect(&store, LAYER_ADMIN, "e", DOCUMENT_STATE_FAILED);
                expect(&store, LAYER_VENDOR, "e", DOCUMENT_STATE_OVERRIDDEN);
                assert_string_equal(store_get(&store, "c")->document->text, "{  }");
                assert_int_equal(store_get(&store, "e")->layer, LAYER_ADMIN);
                assert_string_equal(store.items[0].name, "a"); /* in order of names, then layers */
                assert_string_equal(store.items[9].name, "e");
                assert_int_equal(store.items[9].layer, LAYER_ADMIN);
        }
}

static void test_masks(void **state) {
        Fixture *fx = *state;
        _cleanup_free_ char *folder = chains_folder(fx, LAYER_ADMIN), *null = NULL, *dangling = NULL, *dir = NULL,
                            *fifo = NULL;

        fx_write(fx, LAYER_VENDOR, "empty", "{}");
        fx_write(fx, LAYER_ADMIN, "empty", "");
        fx_write(fx, LAYER_VENDOR, "null", "{}");
        assert_true(asprintf(&null, "%s/null.json", folder) >= 0);
        assert_int_equal(symlink("/dev/null", null), 0);
        assert_true(asprintf(&dangling, "%s/dangling.json", folder) >= 0);
        assert_int_equal(symlink("nowhere", dangling), 0);
        assert_true(asprintf(&dir, "%s/dir.json", folder) >= 0);
        assert_int_equal(mkdir(dir, 0755), 0);
        assert_true(asprintf(&fifo, "%s/fifo.json", folder) >= 0);
        assert_int_equal(mkfifo(fifo, 0644), 0);
        {
                _cleanup_(store_done) Store store = load(fx, NULL);

                expect(&store, LAYER_ADMIN, "empty", DOCUMENT_STATE_MASKED);
                expect(&store, LAYER_VENDOR, "empty", DOCUMENT_STATE_OVERRIDDEN);
                expect(&store, LAYER_ADMIN, "null", DOCUMENT_STATE_MASKED);
                expect(&store, LAYER_VENDOR, "null", DOCUMENT_STATE_OVERRIDDEN);
                expect(&store, LAYER_ADMIN, "dangling", DOCUMENT_STATE_FAILED);
                expect(&store, LAYER_ADMIN, "dir", DOCUMENT_STATE_FAILED);
                expect(&store, LAYER_ADMIN, "fifo", DOCUMENT_STATE_FAILED); /* no mask, and not waited for */
        }
}

static void test_strange_files(void **state) {
        Fixture *fx = *state;
        _cleanup_free_ char *folder = chains_folder(fx, LAYER_ADMIN), *huge = NULL;
        const StoredDocument *item;

        fx_write(fx, LAYER_ADMIN, "good", "{}");
        fx_write(fx, LAYER_ADMIN, "bad name", "{}");
        fx_write(fx, LAYER_ADMIN, "-x", "{}");
        fx_write(fx, LAYER_ADMIN, "x.json", "{}");
        fx_write(fx, LAYER_ADMIN, ".hidden", "{}");
        for (size_t i = 0; i < 3; i++) {
                static const char *const others[] = { "README", "x.json~", ".json" };
                _cleanup_free_ char *path = NULL;

                assert_true(asprintf(&path, "%s/%s", folder, others[i]) >= 0);
                assert_int_equal(file_write_atomic(path, "?", 1, 0644), 0);
        }
        assert_true(asprintf(&huge, "%s/huge.json", folder) >= 0);
        assert_int_equal(file_write_atomic(huge, "{}", 2, 0644), 0);
        assert_int_equal(truncate(huge, JSON_DOCUMENT_MAX + 1), 0);
        {
                _cleanup_(store_done) Store store = load(fx, NULL);

                assert_int_equal(store.n, 5);
                expect(&store, LAYER_ADMIN, "good", DOCUMENT_STATE_ACTIVE);
                expect(&store, LAYER_ADMIN, "bad name", DOCUMENT_STATE_FAILED);
                expect(&store, LAYER_ADMIN, "-x", DOCUMENT_STATE_FAILED);
                expect(&store, LAYER_ADMIN, "x.json", DOCUMENT_STATE_FAILED);
                expect(&store, LAYER_ADMIN, "huge", DOCUMENT_STATE_FAILED);
                item = item_at(&store, LAYER_ADMIN, "bad name");
                assert_non_null(strstr(item->error, "rename the file"));
                item = item_at(&store, LAYER_ADMIN, "huge");
                assert_non_null(strstr(item->error, "larger than the 4 MiB"));
        }
}

static void test_copy_and_replace(void **state) {
        Fixture *fx = *state;
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_(document_unrefp) Document *document = NULL;
        _cleanup_(store_done) Store store = {}, copy = {};

        fx_write(fx, LAYER_VENDOR, "a", "{}");
        fx_write(fx, LAYER_VENDOR, "b", "{}");
        fx_write(fx, LAYER_ADMIN, "b", "");
        fx_write(fx, LAYER_RUNTIME, "c", "{");
        store = load(fx, NULL);
        assert_int_equal(store_copy(&store, &copy), 0);
        assert_int_equal(document_new("b", NULL, LAYER_ADMIN, "{}", 2, &document, &error), 0);

        assert_int_equal(store_replace(&copy, LAYER_ADMIN, "b", "/b", document), 0); /* over the mask */
        expect(&copy, LAYER_ADMIN, "b", DOCUMENT_STATE_ACTIVE);
        expect(&copy, LAYER_VENDOR, "b", DOCUMENT_STATE_OVERRIDDEN);
        assert_int_equal(copy.n, 4);
        assert_int_equal(store_replace(&copy, LAYER_ADMIN, "b", "/b", NULL), 0);
        expect(&copy, LAYER_VENDOR, "b", DOCUMENT_STATE_ACTIVE);
        assert_int_equal(store_replace(&copy, LAYER_ADMIN, "b", "/b", NULL), 0); /* none there */
        assert_int_equal(copy.n, 3);
        /* Many, one after the other. */
        for (unsigned i = 0; i < 100; i++) {
                char name[8];

                snprintf(name, sizeof(name), "m%u", i);
                assert_int_equal(store_replace(&copy, LAYER_RUNTIME, name, "/m", document), 0);
        }
        assert_int_equal(copy.n, 103);
        expect(&copy, LAYER_RUNTIME, "c", DOCUMENT_STATE_FAILED);

        /* The other is as it was. */
        assert_int_equal(store.n, 4);
        expect(&store, LAYER_ADMIN, "b", DOCUMENT_STATE_MASKED);
        /* One that is overridden and comes back is what it was. */
        assert_int_equal(store_replace(&copy, LAYER_ADMIN, "c", "/c", document), 0);
        expect(&copy, LAYER_RUNTIME, "c", DOCUMENT_STATE_OVERRIDDEN);
        assert_int_equal(store_replace(&copy, LAYER_ADMIN, "c", "/c", NULL), 0);
        expect(&copy, LAYER_RUNTIME, "c", DOCUMENT_STATE_FAILED);
}

static void test_write(void **state) {
        Fixture *fx = *state;
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *text = NULL, *folder = NULL;

        assert_int_equal(store_write(&fx->paths, LAYER_ADMIN, "x", "{}", &error), 0);
        text = fx_read(fx, LAYER_ADMIN, "x");
        assert_string_equal(text, "{}");
        assert_int_equal(store_write(&fx->paths, LAYER_ADMIN, "x", NULL, &error), 0);
        assert_null(fx_read(fx, LAYER_ADMIN, "x"));
        assert_int_equal(store_write(&fx->paths, LAYER_ADMIN, "x", NULL, &error), 0);
        check_no_error(&error);

        assert_int_equal(mkdir_parents(fx->paths.run, 0755), 0);
        assert_true(asprintf(&folder, "%s/chains.d", fx->paths.run) >= 0);
        assert_int_equal(file_write_atomic(folder, "", 0, 0644), 0);
        assert_int_equal(store_write(&fx->paths, LAYER_RUNTIME, "x", "{}", &error), -EIO);
        check_error(&error, ERROR_FAILED, "/run/bpfchain/chains.d/x.json can't be written: ");
}

/* Documents whose text and objects are the same are the same. */
static void test_reuse(void **state) {
        static const char text[] = "{'programs': {'p': {'object': 'p.o'}}}";
        Fixture *fx = *state;
        _cleanup_(store_done) Store first = {}, second = {}, third = {}, fourth = {};
        _cleanup_error_ Error error = ERROR_INIT;
        bool missing;

        fx_object(fx, "p.o", "one");
        fx_write(fx, LAYER_ADMIN, "x", text);
        first = load(fx, NULL);
        second = load(fx, &first);
        assert_ptr_equal(first.items[0].document, second.items[0].document);
        assert_int_equal(objects_resolve(&fx->paths, &second.items[0].document->programs[0], NULL, &missing, &error),
                         0);
        third = load(fx, &second);
        assert_ptr_equal(third.items[0].document, second.items[0].document);
        fx_object(fx, "p.o", "two");
        fourth = load(fx, &third);
        assert_ptr_not_equal(fourth.items[0].document, third.items[0].document);
        fx_write(fx, LAYER_ADMIN, "x", "{}");
        {
                _cleanup_(store_done) Store fifth = load(fx, &fourth);

                assert_ptr_not_equal(fifth.items[0].document, fourth.items[0].document);
        }
}

static void put_object(const char *folder, const char *name, const char *text) {
        _cleanup_free_ char *path = NULL, *dir = NULL;

        assert_true(asprintf(&path, "%s/%s", folder, name) >= 0);
        dir = strdup(path);
        *strrchr(dir, '/') = 0;
        assert_int_equal(mkdir_parents(dir, 0755), 0);
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0644), 0);
}

static Document *document_with(Layer layer, const char *object, const char *base) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *text = NULL;
        Document *document = NULL;

        assert_true(asprintf(&text, "{\"programs\": {\"p\": {\"object\": \"%s\"}}}", object) >= 0);
        (void) document_new("doc", "/etc/doc.json", layer, text, strlen(text), &document, &error);
        check_no_error(&error);
        assert_int_equal(free_and_strdup(&document->base_directory, base), 0);
        return document;
}

static int resolve(Fixture *fx, Document *document, const char *last, bool *ret_missing, Error *error) {
        return objects_resolve(&fx->paths, &document->programs[0], last, ret_missing, error);
}

static void expect_object(Fixture *fx, Layer layer, const char *object, const char *base, const char *text) {
        _cleanup_(document_unrefp) Document *document = document_with(layer, object, base);
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *found = NULL;
        char digest[DIGEST_HEX_SIZE];
        bool missing = true;

        (void) resolve(fx, document, NULL, &missing, &error);
        check_no_error(&error);
        assert_false(missing);
        assert_int_equal(file_read(document->programs[0].object_path, 4096, &found, NULL), 0);
        assert_string_equal(found, text);
        assert_int_equal(digest_memory(text, strlen(text), digest), 0);
        assert_string_equal(document->programs[0].digest, digest);
        /* What is loaded is a copy under its digest, whatever happens to the file. */
        assert_true(endswith(document->programs[0].object_path, digest));
        assert_true(startswith(document->programs[0].object_path, fx->paths.state));
        assert_true(objects_unchanged(&fx->paths, document));
}

static void test_search_order(void **state) {
        Fixture *fx = *state;
        _cleanup_free_ char *base = NULL, *lib = NULL, *run = NULL, *etc = NULL, *own = NULL, *own_run = NULL,
                            *absolute = NULL;

        assert_true(asprintf(&base, "%s/home", fx->root) >= 0);
        assert_true(asprintf(&lib, "%s/objects", fx->paths.lib) >= 0);
        assert_true(asprintf(&run, "%s/objects", fx->paths.run) >= 0);
        assert_true(asprintf(&etc, "%s/objects", fx->paths.etc) >= 0);
        assert_true(asprintf(&own, "%s/objects/doc", fx->paths.etc) >= 0);
        assert_true(asprintf(&own_run, "%s/objects/doc", fx->paths.run) >= 0);
        assert_true(asprintf(&absolute, "%s/home/o", fx->root) >= 0);

        put_object(lib, "o", "lib");
        expect_object(fx, LAYER_ADMIN, "o", NULL, "lib");
        put_object(run, "o", "run");
        expect_object(fx, LAYER_ADMIN, "o", NULL, "run");
        put_object(etc, "o", "etc");
        expect_object(fx, LAYER_ADMIN, "o", NULL, "etc");
        put_object(own, "o", "own");
        expect_object(fx, LAYER_ADMIN, "o", NULL, "own");
        expect_object(fx, LAYER_RUNTIME, "o", NULL, "etc"); /* another layer's own folder is not its */
        put_object(own_run, "o", "own of run");
        expect_object(fx, LAYER_RUNTIME, "o", NULL, "own of run");
        put_object(base, "o", "base");
        expect_object(fx, LAYER_ADMIN, "o", base, "base");
        expect_object(fx, LAYER_ADMIN, "o", NULL, "own");
        expect_object(fx, LAYER_ADMIN, absolute, NULL, "base");
        put_object(lib, "sub/deep/o", "deep");
        expect_object(fx, LAYER_ADMIN, "sub/deep/o", base, "deep");
}

static void test_missing_objects(void **state) {
        Fixture *fx = *state;
        _cleanup_(document_unrefp) Document *one = document_with(LAYER_ADMIN, "o", "/nonexistent/base");
        _cleanup_(document_unrefp) Document *two = document_with(LAYER_ADMIN, "/nonexistent/o", NULL);
        _cleanup_(document_unrefp) Document *three = NULL, *four = document_with(LAYER_ADMIN, "folder", NULL);
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *objects = NULL, *path = NULL, *folder = NULL;
        char digest[DIGEST_HEX_SIZE];
        bool missing = false;

        assert_int_equal(resolve(fx, one, NULL, &missing, &error), -EBADMSG);
        check_error(&error, ERROR_INVALID_DOCUMENT,
                    "doc.json:1:31: programs.p.object: there is no object \"o\"; it was looked for in "
                    "/nonexistent/base, ");
        assert_null(one->programs[0].digest);
        error_done(&error);
        assert_int_equal(resolve(fx, two, NULL, &missing, &error), -EBADMSG);
        check_error(&error, ERROR_INVALID_DOCUMENT, "there is no file \"/nonexistent/o\"");
        error_done(&error);

        assert_true(asprintf(&objects, "%s/objects", fx->paths.lib) >= 0);
        assert_true(asprintf(&folder, "%s/folder", objects) >= 0);
        assert_int_equal(mkdir_parents(folder, 0755), 0);
        assert_int_equal(resolve(fx, four, NULL, &missing, &error), -EBADMSG);
        check_error(&error, ERROR_INVALID_DOCUMENT, "\"folder\" can't be read: it is no regular file");
        error_done(&error);

        /* The kept copy of what ran serves, and that is told. */
        put_object(objects, "o", "bytes");
        assert_int_equal(resolve(fx, one, NULL, &missing, &error), 0);
        assert_false(missing);
        snprintf(digest, sizeof(digest), "%s", one->programs[0].digest);
        assert_true(asprintf(&path, "%s/o", objects) >= 0);
        assert_int_equal(unlink(path), 0);
        assert_false(objects_unchanged(&fx->paths, one));
        three = document_with(LAYER_ADMIN, "o", NULL);
        assert_int_equal(resolve(fx, three, digest, &missing, &error), 0);
        assert_true(missing);
        assert_string_equal(three->programs[0].digest, digest);
        assert_string_equal(three->programs[0].object_path, one->programs[0].object_path);
        /* But no copy that is not there. */
        assert_int_equal(unlink(three->programs[0].object_path), 0);
        {
                _cleanup_(document_unrefp) Document *five = document_with(LAYER_ADMIN, "o", NULL);

                assert_int_equal(resolve(fx, five, digest, &missing, &error), -EBADMSG);
                check_error(&error, ERROR_INVALID_DOCUMENT, "there is no object \"o\"");
                assert_false(missing);
        }
}

static bool is_first(const char *digest, void *userdata) {
        return streq(digest, userdata);
}

static void test_sweep(void **state) {
        Fixture *fx = *state;
        _cleanup_(document_unrefp) Document *one = document_with(LAYER_ADMIN, "1", NULL),
                                            *two = document_with(LAYER_ADMIN, "2", NULL);
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *objects = NULL, *stray = NULL;
        bool missing;

        objects_sweep(&fx->paths, is_first, NULL); /* no folder yet */
        assert_true(asprintf(&objects, "%s/objects", fx->paths.lib) >= 0);
        put_object(objects, "1", "one");
        put_object(objects, "2", "two");
        assert_int_equal(resolve(fx, one, NULL, &missing, &error), 0);
        assert_int_equal(resolve(fx, two, NULL, &missing, &error), 0);
        assert_true(asprintf(&stray, "%s/objects/README", fx->paths.state) >= 0);
        assert_int_equal(file_write_atomic(stray, "x", 1, 0644), 0);
        objects_sweep(&fx->paths, is_first, one->programs[0].digest);
        assert_int_equal(access(one->programs[0].object_path, F_OK), 0);
        assert_int_equal(access(two->programs[0].object_path, F_OK), -1);
        assert_int_equal(access(stray, F_OK), 0);
}

/* What a document found beside itself goes with it to the folders of the service. */
static void test_install(void **state) {
        Fixture *fx = *state;
        _cleanup_free_ char *base = NULL, *path = NULL, *text = NULL;
        _cleanup_error_ Error error = ERROR_INIT;

        assert_true(asprintf(&base, "%s/home", fx->root) >= 0);
        put_object(base, "sub/o", "mine");
        fx_start(fx);
        fx_link(fx, 2, "eth0");
        fx_reconcile(fx);
        fx->options.base_directory = base;
        fx_must_apply(fx, "doc",
                      "{'programs': {'p': {'object': 'sub/o'}}, 'chains': [{'interfaces': ['eth0'], "
                      "'hook': 'xdp', 'programs': ['p']}]}");
        assert_true(asprintf(&path, "%s/objects/doc/sub/o", fx->paths.etc) >= 0);
        assert_int_equal(file_read(path, 4096, &text, NULL), 0);
        assert_string_equal(text, "mine");

        /* A change that fails, and one that is rolled back, bring the old object back. */
        for (int round = 0; round < 2; round++) {
                put_object(base, "sub/o", "frags");
                fake_fail(fx->fake, FAKE_CHAIN_COMMIT, round == 0, -EIO, false);
                assert_int_equal(fx_apply(fx, "doc",
                                          "{'programs': {'p': {'object': 'sub/o'}}, 'chains': [{'interfaces': "
                                          "['eth0'], 'hook': 'xdp', 'programs': ['p']}]}"),
                                 round == 0 ? -EIO : 0);
                if (round == 1)
                        assert_int_equal(manager_rollback(fx->manager, fx->generation, &fx->generation, &error), 0);
                free(TAKE_PTR(text));
                assert_int_equal(file_read(path, 4096, &text, NULL), 0);
                assert_string_equal(text, "mine");
                assert_false(manager_get_program(fx->manager, "p")->info.frags);
        }

        /* After a restart the base is not known, and the copy is found. */
        fx_kill(fx);
        fake_log_clear(fx->fake);
        fx_start(fx);
        fx_expect(fx, "eth0", HOOK_XDP, "active p");
        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_COMMIT), 0);

        fx->options.base_directory = "home";
        fx_refused(fx, "doc", "{}", ERROR_INVALID_ARGUMENT, "an absolute path");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_nothing),       fx_test(test_layers),           fx_test(test_masks),
                fx_test(test_strange_files), fx_test(test_copy_and_replace), fx_test(test_write),
                fx_test(test_reuse),         fx_test(test_search_order),     fx_test(test_missing_objects),
                fx_test(test_sweep),         fx_test(test_install),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
