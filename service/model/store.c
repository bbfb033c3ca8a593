/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <sys/stat.h>

#include "model/objects.h"
#include "model/store.h"
#include "util/file.h"
#include "util/json.h"
#include "util/log.h"

/* A whole folder of documents has a bound as well. */
#define STORE_DOCUMENTS_MAX 4096

/* What is kept in memory of a file that a change replaces, in bytes. */
#define IMAGE_SIZE_MAX (16U * 1024 * 1024)

static const char *const document_state_table[_DOCUMENT_STATE_MAX] = {
        [DOCUMENT_STATE_ACTIVE] = "active",
        [DOCUMENT_STATE_OVERRIDDEN] = "overridden",
        [DOCUMENT_STATE_MASKED] = "masked",
        [DOCUMENT_STATE_FAILED] = "failed",
};

DEFINE_STRING_TABLE(document_state, DocumentState, _DOCUMENT_STATE_MAX)

static void stored_document_done(StoredDocument *item) {
        free(item->name);
        free(item->path);
        free(item->error);
        document_unref(item->document);
}

void store_done(Store *store) {
        for (size_t i = 0; i < store->n; i++)
                stored_document_done(&store->items[i]);
        free(store->items);
        *store = (Store){};
}

static int stored_document_compare(const void *a, const void *b) {
        const StoredDocument *x = a, *y = b;
        int c = strcmp(x->name, y->name);

        return c != 0 ? c : (int) x->layer - (int) y->layer;
}

void store_settle(Store *store) {
        if (store->n > 1)
                qsort(store->items, store->n, sizeof(StoredDocument), stored_document_compare);
        for (size_t i = 0; i < store->n; i++) {
                StoredDocument *item = &store->items[i];
                bool overridden = i + 1 < store->n && streq(item->name, store->items[i + 1].name);

                if (overridden)
                        item->state = DOCUMENT_STATE_OVERRIDDEN;
                else if (item->state == DOCUMENT_STATE_OVERRIDDEN)
                        item->state = item->error      ? DOCUMENT_STATE_FAILED
                                      : item->document ? DOCUMENT_STATE_ACTIVE
                                                       : DOCUMENT_STATE_MASKED;
        }
}

const StoredDocument *store_get(const Store *store, const char *name) {
        for (size_t i = store->n; i > 0; i--)
                if (streq(store->items[i - 1].name, name))
                        return &store->items[i - 1];
        return NULL;
}

int store_copy(const Store *store, Store *ret) {
        _cleanup_(store_done) Store copy = {};

        copy.items = calloc(store->n + 1, sizeof(StoredDocument));
        if (!copy.items)
                return -ENOMEM;
        for (size_t i = 0; i < store->n; i++) {
                const StoredDocument *from = &store->items[i];
                StoredDocument *to = &copy.items[copy.n++];

                *to = (StoredDocument){ .layer = from->layer, .state = from->state };
                if (from->document)
                        to->document = document_ref(from->document);
                if (free_and_strdup(&to->name, from->name) < 0 || free_and_strdup(&to->path, from->path) < 0 ||
                    free_and_strdup(&to->error, from->error) < 0)
                        return -ENOMEM;
        }
        *ret = copy;
        copy = (Store){};
        return 0;
}

int store_replace(Store *store, Layer layer, const char *name, const char *path, Document *document) {
        StoredDocument *item = NULL;

        for (size_t i = 0; i < store->n; i++)
                if (store->items[i].layer == layer && streq(store->items[i].name, name))
                        item = &store->items[i];

        if (item) {
                stored_document_done(item);
                *item = store->items[--store->n];
        }
        if (document) {
                item = ARRAY_APPEND(store->items, store->n);
                if (!item)
                        return -ENOMEM;
                *item = (StoredDocument){ .layer = layer, .state = DOCUMENT_STATE_ACTIVE };
                item->document = document_ref(document);
                if (free_and_strdup(&item->name, name) < 0 || free_and_strdup(&item->path, path) < 0)
                        return -ENOMEM;
        }
        store_settle(store);
        return 0;
}

/* The document as it was read before, if its text and its objects are the same. */
static Document *reuse_document(const Paths *paths, const Store *previous, const char *name, Layer layer,
                                const char *text, size_t size) {
        for (size_t i = 0; previous && i < previous->n; i++) {
                const StoredDocument *item = &previous->items[i];

                if (item->document && item->layer == layer && streq(item->name, name) &&
                    item->document->size == size && memcmp(item->document->text, text, size) == 0 &&
                    item->document->path && objects_unchanged(paths, item->document))
                        return document_ref(item->document);
        }
        return NULL;
}

static int load_document(const Paths *paths, const Store *previous, Layer layer, const char *name, const char *path,
                         StoredDocument *item) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t size = 0;
        int r;

        item->layer = layer;
        if (free_and_strdup(&item->name, name) < 0 || free_and_strdup(&item->path, path) < 0)
                return -ENOMEM;

        if (stat(path, &st) >= 0 && (S_ISCHR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_size == 0))) {
                item->state = DOCUMENT_STATE_MASKED;
                return 0;
        }
        r = file_read(path, JSON_DOCUMENT_MAX, &text, &size);
        if (r == -EFBIG)
                error_set(&error, ERROR_LIMIT_EXCEEDED,
                          "%s.json: larger than the %u MiB that a document may have; split it", name,
                          JSON_DOCUMENT_MAX / 1024 / 1024);
        else if (r < 0)
                error_set(&error, ERROR_FAILED, "%s.json: can't be read: %s", name, strerror(-r));
        else {
                item->document = reuse_document(paths, previous, name, layer, text, size);
                if (!item->document)
                        r = document_new(name, path, layer, text, size, &item->document, &error);
        }
        if (r == -ENOMEM && !error_is_set(&error))
                return r;
        if (r < 0) {
                item->state = DOCUMENT_STATE_FAILED;
                item->error = TAKE_PTR(error.message);
                return item->error ? 0 : -ENOMEM;
        }
        item->state = DOCUMENT_STATE_ACTIVE;
        return 0;
}

static int refuse_name(Layer layer, char **name, char **path, const char *file, StoredDocument *item) {
        char *sentence;

        item->layer = layer;
        item->state = DOCUMENT_STATE_FAILED;
        item->name = TAKE_PTR(*name);
        item->path = TAKE_PTR(*path);
        if (asprintf(&sentence,
                     "%s: the name of a document has letters, digits and '._@:-' only, and begins with a letter or "
                     "digit; rename the file",
                     file) < 0)
                return -ENOMEM;
        item->error = sentence;
        return 0;
}

/* A folder that is there and can't be read is no sign that nobody wants anything. */
static int refuse_folder(const char *folder, int r) {
        log_error("The documents in %s can't be read: %s. Nothing is changed.", folder, strerror(-r));
        return r;
}

static int load_layer(const Paths *paths, const Store *previous, Layer layer, Store *store) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_free_ char *folder = NULL;

        if (asprintf(&folder, "%s/chains.d", paths_layer(paths, layer)) < 0) {
                folder = NULL;
                return -ENOMEM;
        }
        dir = opendir(folder);
        if (!dir)
                return errno == ENOENT ? 0 : refuse_folder(folder, -errno);

        for (struct dirent *e; errno = 0, (e = readdir(dir));) {
                _cleanup_free_ char *name = NULL, *path = NULL;
                const char *suffix = endswith(e->d_name, ".json");
                StoredDocument *item;
                int r;

                if (!suffix || e->d_name[0] == '.')
                        continue;
                if (store->n >= STORE_DOCUMENTS_MAX) {
                        log_error("%s: there are more than %d documents; the rest is left out", folder,
                                  STORE_DOCUMENTS_MAX);
                        break;
                }
                name = strndup(e->d_name, (size_t) (suffix - e->d_name));
                if (!name || asprintf(&path, "%s/%s", folder, e->d_name) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                item = ARRAY_APPEND(store->items, store->n);
                if (!item)
                        return -ENOMEM;
                *item = (StoredDocument){};
                if (document_name_is_valid(name))
                        r = load_document(paths, previous, layer, name, path, item);
                else
                        r = refuse_name(layer, &name, &path, e->d_name, item);
                if (r < 0)
                        return r;
        }
        return errno == 0 ? 0 : refuse_folder(folder, -errno);
}

int store_load(const Paths *paths, const Store *previous, Store *ret) {
        _cleanup_(store_done) Store store = {};

        for (Layer layer = 0; layer < _LAYER_MAX; layer++) {
                int r;

                r = load_layer(paths, previous, layer, &store);
                if (r < 0)
                        return r;
        }
        store_settle(&store);
        *ret = store;
        store = (Store){};
        return 0;
}

void file_image_done(FileImage *image) {
        free(image->target);
        free(image->text);
        *image = (FileImage){};
}

static int read_link(const char *path, char **ret) {
        char target[PATH_MAX];
        ssize_t n = readlink(path, target, sizeof(target) - 1);

        if (n < 0)
                return -errno;
        target[n] = 0;
        return free_and_strdup(ret, target);
}

int store_take_image(const Paths *paths, Layer layer, const char *name, FileImage *ret, Error *error) {
        _cleanup_free_ char *path = paths_document(paths, layer, name);
        _cleanup_(file_image_done) FileImage image = {};
        struct stat st;
        int r;

        if (!path)
                return -ENOMEM;
        if (lstat(path, &st) < 0)
                r = errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
        else {
                image.there = true;
                image.mode = st.st_mode & 07777;
                r = S_ISLNK(st.st_mode) ? read_link(path, &image.target)
                                        : file_read(path, IMAGE_SIZE_MAX, &image.text, &image.size);
        }
        if (r < 0)
                return r == -ENOMEM ? r
                                    : error_set(error, ERROR_FAILED,
                                                "%s is in the way, and can't be kept to be put back: %s; remove it",
                                                path, strerror(-r));
        *ret = image;
        image = (FileImage){};
        return 0;
}

static int put_link(const char *path, const char *target) {
        _cleanup_free_ char *temporary = NULL;

        if (asprintf(&temporary, "%s.new", path) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        (void) unlink(temporary);
        if (symlink(target, temporary) < 0)
                return -errno;
        return rename(temporary, path) < 0 ? -errno : 0;
}

int store_put_image(const Paths *paths, Layer layer, const char *name, const FileImage *image, Error *error) {
        _cleanup_free_ char *path = paths_document(paths, layer, name);
        int r;

        if (!path)
                return -ENOMEM;
        if (!image->there)
                r = file_remove(path);
        else if (image->target)
                r = put_link(path, image->target);
        else
                r = file_write_atomic(path, image->text, image->size, image->mode);
        if (r == -ENOTDIR && !image->there)
                return 0; /* as it was: not even its folder is one */
        return r < 0 ? error_set(error, ERROR_FAILED, "%s can't be put back: %s", path, strerror(-r)) : 0;
}

int store_write(const Paths *paths, Layer layer, const char *name, const char *text, Error *error) {
        _cleanup_free_ char *path = paths_document(paths, layer, name), *folder = NULL;
        int r;

        if (!path || asprintf(&folder, "%s/chains.d", paths_layer(paths, layer)) < 0) {
                folder = NULL;
                return -ENOMEM;
        }
        if (text) {
                r = mkdir_parents(folder, 0755);
                if (r >= 0)
                        r = file_write_atomic(path, text, strlen(text), 0644);
        } else
                r = file_remove(path);
        if (r < 0)
                return error_set(
                        error, ERROR_FAILED,
                        "%s can't be %s: %s; make the folder writable, or apply for this boot only with --runtime",
                        path, text ? "written" : "removed", strerror(-r));
        return 0;
}
