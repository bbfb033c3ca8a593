/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <syslog.h>

#include "model/settings.h"
#include "util/file.h"
#include "util/json-reader.h"

static int settings_read(json_object *root, Settings *settings, Error *error) {
        static const JsonField fields[] = {
                { "$schema", JSON_STRING },
                { "tc-attach", JSON_STRING },
                { "log-level", JSON_STRING },
                { "netlink-receive-buffer", JSON_INTEGER },
        };
        const char *attach[_TC_ATTACH_MAX];
        static const char *const levels[] = { "error", "warning", "notice", "info", "debug" };
        JsonReader reader;
        int64_t buffer = 0;
        int r, word = 0;

        r = json_reader_init(&reader, root, NULL, fields, ELEMENTSOF(fields), error);
        if (r < 0)
                return r;
        for (int i = 0; i < _TC_ATTACH_MAX; i++)
                attach[i] = tc_attach_to_string(i);
        r = json_reader_word(&reader, "tc-attach", attach, ELEMENTSOF(attach), &word);
        if (r < 0)
                return r;
        settings->tc_attach = (TcAttach) word;
        r = json_reader_word(&reader, "log-level", levels, ELEMENTSOF(levels), &word);
        if (r < 0)
                return r;
        if (r > 0)
                settings->log_level = LOG_ERR + word;
        r = json_reader_integer(&reader, "netlink-receive-buffer", 4096, 256 * 1024 * 1024, &buffer);
        if (r < 0)
                return r;
        settings->netlink_receive_buffer = (uint32_t) buffer;
        return 0;
}

static int settings_load_file(const char *path, Settings *ret, Error *error) {
        _cleanup_json_ json_object *root = NULL;
        _cleanup_free_ char *text = NULL;
        Settings settings = SETTINGS_INIT;
        JsonPosition position = {};
        size_t size;
        int r;

        r = file_read(path, JSON_DOCUMENT_MAX, &text, &size);
        if (r < 0)
                return r;
        r = json_parse(text, size, &root, &position, error);
        if (r >= 0) {
                r = settings_read(root, &settings, error);
                if (r < 0)
                        position = json_locate_error(text, size, error);
        }
        if (r < 0) {
                if (error->where)
                        error_prefix(error, "%s: ", error->where);
                error_prefix(error, "%s:%u:%u: ", path, position.line, position.column);
                return r;
        }
        *ret = settings;
        return 0;
}

int settings_load(const Paths *paths, Settings *ret, Error *error) {
        for (Layer layer = _LAYER_MAX; layer > 0; layer--) {
                _cleanup_free_ char *path = NULL;
                int r;

                if (asprintf(&path, "%s/bpfchain.json", paths_layer(paths, layer - 1)) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = settings_load_file(path, ret, error);
                if (r == -ENOENT)
                        continue;
                return error_ensure(error, r, path);
        }
        return 0;
}
