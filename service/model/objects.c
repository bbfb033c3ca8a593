/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "model/objects.h"
#include "util/digest.h"
#include "util/file.h"

static _printf_(1, 2) char *format_path(const char *format, ...) {
        char *path;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&path, format, ap);
        va_end(ap);
        return r < 0 ? NULL : path;
}

static char *kept_path(const Paths *paths, const char *digest) {
        return format_path("%s/objects/%s", paths->state, digest);
}

enum { PLACE_BASE, PLACE_DOCUMENT, PLACE_ETC, PLACE_RUN, PLACE_LIB, _PLACE_MAX };

static char *place_path(const Paths *paths, const ProgramDef *def, int place) {
        const Document *document = def->document;

        switch (place) {
        case PLACE_BASE:
                return format_path("%s/%s", strempty_to(document->base_directory, "/nonexistent"), def->object);
        case PLACE_DOCUMENT:
                return format_path("%s/objects/%s/%s", paths_layer(paths, document->layer), document->name,
                                   def->object);
        case PLACE_ETC: return format_path("%s/objects/%s", paths->etc, def->object);
        case PLACE_RUN: return format_path("%s/objects/%s", paths->run, def->object);
        default: return format_path("%s/objects/%s", paths->lib, def->object);
        }
}

static int find_object(const Paths *paths, const ProgramDef *def, char **ret) {
        bool absolute = def->object[0] == '/';

        for (int place = PLACE_BASE; place < _PLACE_MAX; place++) {
                _cleanup_free_ char *path = absolute ? strdup(def->object) : place_path(paths, def, place);

                if (!path)
                        return -ENOMEM;
                if (access(path, R_OK) >= 0) {
                        *ret = TAKE_PTR(path);
                        return 0;
                }
                if (absolute)
                        return -errno;
        }
        return -ENOENT;
}

/* What is digested in the end is the copy, so that a file which is just being written can't slip other bytes in. */
static int keep_object(const Paths *paths, const char *path, char digest[static DIGEST_HEX_SIZE], char **ret) {
        _cleanup_free_ char *folder = format_path("%s/objects", paths->state), *kept = NULL;
        _cleanup_free_ char *temporary = format_path("%s/objects/.new", paths->state);
        int r;

        if (!folder || !temporary)
                return -ENOMEM;
        r = digest_file(path, digest);
        if (r < 0)
                return r;
        kept = kept_path(paths, digest);
        if (!kept)
                return -ENOMEM;
        if (access(kept, R_OK) < 0) {
                r = mkdir_parents(folder, 0700);
                if (r < 0)
                        return r;
                r = file_copy_atomic(path, temporary, OBJECT_SIZE_MAX, 0600);
                if (r < 0)
                        return r;
                r = digest_file(temporary, digest);
                if (r < 0)
                        return r;
                free(kept);
                kept = kept_path(paths, digest);
                if (!kept)
                        return -ENOMEM;
                if (rename(temporary, kept) < 0)
                        return -errno;
        }
        *ret = TAKE_PTR(kept);
        return 0;
}

static int resolve_error(const Paths *paths, const ProgramDef *def, int r, Error *error) {
        _cleanup_free_ char *where = format_path("%s.object", def->where);
        const char *base = def->document->base_directory;

        if (!where)
                return -ENOMEM;
        if (r == -ENOENT && def->object[0] == '/')
                r = error_set_at(error, ERROR_INVALID_DOCUMENT, where, "there is no file \"%s\"", def->object);
        else if (r == -ENOENT)
                r = error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                 "there is no object \"%s\"; it was looked for in %s%s%s/objects/%s, %s/objects, "
                                 "%s/objects and %s/objects",
                                 def->object, base ? base : "", base ? ", " : "",
                                 paths_layer(paths, def->document->layer), def->document->name, paths->etc,
                                 paths->run, paths->lib);
        else if (r == -EFBIG)
                r = error_set_at(error, ERROR_LIMIT_EXCEEDED, where, "\"%s\" is larger than the %d MiB allowed",
                                 def->object, OBJECT_SIZE_MAX / 1024 / 1024);
        else
                r = error_set_at(error, ERROR_INVALID_DOCUMENT, where, "\"%s\" can't be read: %s", def->object,
                                 r == -EINVAL ? "it is no regular file" : strerror(-r));
        document_locate_error(def->document, error);
        return r;
}

int objects_resolve(const Paths *paths, ProgramDef *def, const char *last_digest, bool *ret_missing, Error *error) {
        _cleanup_free_ char *found = NULL, *kept = NULL;
        char digest[DIGEST_HEX_SIZE] = "";
        bool missing = false;
        int r;

        *ret_missing = false;
        if (def->digest)
                return 0;

        r = find_object(paths, def, &found);
        if (r >= 0)
                r = keep_object(paths, found, digest, &kept);
        else if (r == -ENOENT && last_digest) {
                kept = kept_path(paths, last_digest);
                if (!kept)
                        return -ENOMEM;
                if (access(kept, R_OK) >= 0) {
                        snprintf(digest, sizeof(digest), "%s", last_digest);
                        missing = true;
                        r = 0;
                }
        }
        if (r < 0)
                return r == -ENOMEM ? r : resolve_error(paths, def, r, error);

        r = free_and_strdup(&def->digest, digest);
        if (r < 0)
                return r;
        free(def->object_path);
        def->object_path = TAKE_PTR(kept);
        *ret_missing = missing;
        return 0;
}

bool objects_unchanged(const Paths *paths, const Document *document) {
        for (size_t i = 0; i < document->n_programs; i++) {
                const ProgramDef *def = &document->programs[i];
                _cleanup_free_ char *path = NULL;
                char digest[DIGEST_HEX_SIZE];

                if (!def->digest)
                        continue;
                if (find_object(paths, def, &path) < 0 || digest_file(path, digest) < 0 ||
                    !streq(digest, def->digest))
                        return false;
        }
        return true;
}

static int install_object(const Paths *paths, const Document *document, const ProgramDef *def, Layer layer) {
        _cleanup_free_ char *path =
                format_path("%s/objects/%s/%s", paths_layer(paths, layer), document->name, def->object);
        _cleanup_free_ char *folder = path ? strdup(path) : NULL;
        int r;

        if (!path || !folder)
                return -ENOMEM;
        *strrchr(folder, '/') = 0;
        r = mkdir_parents(folder, 0755);
        if (r < 0)
                return r;
        return file_copy_atomic(def->object_path, path, OBJECT_SIZE_MAX, 0644);
}

int objects_install(const Paths *paths, const Document *document, Layer layer, Error *error) {
        for (size_t i = 0; i < document->n_programs; i++) {
                const ProgramDef *def = &document->programs[i];
                _cleanup_free_ char *path = NULL;
                int r;

                if (def->object[0] == '/' || !def->digest || !document->base_directory)
                        continue;
                path = place_path(paths, def, PLACE_BASE);
                if (!path)
                        return -ENOMEM;
                if (access(path, R_OK) < 0)
                        continue;
                r = install_object(paths, document, def, layer);
                if (r < 0)
                        return error_set(error, ERROR_FAILED,
                                         "the object \"%s\" can't be copied to %s/objects/%s: %s", def->object,
                                         paths_layer(paths, layer), document->name, strerror(-r));
        }
        return 0;
}

int objects_restore(const Paths *paths, const Document *document, Layer layer, Error *error) {
        for (size_t i = 0; i < document->n_programs; i++) {
                const ProgramDef *def = &document->programs[i];
                _cleanup_free_ char *path = NULL;
                char digest[DIGEST_HEX_SIZE];
                int r;

                if (def->object[0] == '/' || !def->digest)
                        continue;
                path = format_path("%s/objects/%s/%s", paths_layer(paths, layer), document->name, def->object);
                if (!path)
                        return -ENOMEM;
                if (digest_file(path, digest) < 0 || streq(digest, def->digest))
                        continue;
                r = file_copy_atomic(def->object_path, path, OBJECT_SIZE_MAX, 0644);
                if (r < 0)
                        return error_set(error, ERROR_FAILED, "the object %s can't be put back: %s", path,
                                         strerror(-r));
        }
        return 0;
}

void objects_sweep(const Paths *paths, bool (*wanted)(const char *digest, void *userdata), void *userdata) {
        _cleanup_free_ char *folder = format_path("%s/objects", paths->state);
        _cleanup_closedir_ DIR *dir = folder ? opendir(folder) : NULL;

        if (!dir)
                return;
        for (struct dirent *e = readdir(dir); e; e = readdir(dir))
                if (strlen(e->d_name) == DIGEST_HEX_SIZE - 1 && !wanted(e->d_name, userdata))
                        (void) unlinkat(dirfd(dir), e->d_name, 0);
}
