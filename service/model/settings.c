/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <syslog.h>

#include "model/settings.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/json-reader.h"

/* A span of time in text, such as "10s". */
static int read_span(const JsonReader *reader, const char *name, uint64_t min, uint64_t max, uint64_t *ret) {
        char low[USEC_STRING_SIZE], high[USEC_STRING_SIZE];
        const char *text;
        uint64_t usec;
        int r;

        r = json_reader_string(reader, name, &(JsonStringRule){ .what = "a span of time", .min = 1, .max = 32 },
                               &text);
        if (r <= 0)
                return r;
        if (usec_from_string(text, &usec) < 0)
                return json_reader_fail(reader, name, "\"%s\" is no span of time; write \"10s\" or \"5min\"", text);
        if (usec < min || usec > max)
                return json_reader_fail(reader, name, "%s is not within %s and %s", text, usec_to_string(min, low),
                                        usec_to_string(max, high));
        *ret = usec;
        return 0;
}

static int read_restore(const JsonReader *reader, GuardSettings *guard) {
        const char *policies[_RESTORE_POLICY_MAX];
        int64_t limit = guard->limits.limit;
        int r, word = 0;

        for (int i = 0; i < _RESTORE_POLICY_MAX; i++)
                policies[i] = restore_policy_to_string(i);
        r = json_reader_word(reader, "restore", policies, ELEMENTSOF(policies), &word);
        if (r > 0)
                guard->restore = (RestorePolicy) word;
        if (r >= 0)
                r = json_reader_integer(reader, "restore-limit", 1, RESTORE_LIMIT_MAX, &limit);
        guard->limits.limit = (unsigned) limit;
        if (r >= 0)
                r = read_span(reader, "restore-window", USEC_PER_SEC, USEC_PER_DAY, &guard->limits.window);
        if (r >= 0)
                r = read_span(reader, "restore-backoff", USEC_PER_SEC / 10, USEC_PER_DAY, &guard->limits.backoff);
        if (r >= 0)
                r = read_span(reader, "restore-backoff-max", USEC_PER_SEC / 10, USEC_PER_DAY,
                              &guard->limits.backoff_max);
        return MIN2(r, 0);
}

static int read_guard_object(json_object *value, const char *where, GuardSettings *guard, Error *error) {
        static const JsonField own[] = {
                { "watch", JSON_BOOLEAN },
                { "check-interval", JSON_STRING },
                { "restore", JSON_STRING },
                { "restore-limit", JSON_INTEGER },
                { "restore-window", JSON_STRING },
                { "restore-backoff", JSON_STRING },
                { "restore-backoff-max", JSON_STRING },
        };
        JsonField fields[ELEMENTSOF(own) + GUARD_POLICY_FIELDS_MAX];
        size_t n = ELEMENTSOF(own);
        JsonReader reader;
        int r;

        memcpy(fields, own, sizeof(own));
        for (size_t i = 0; i < guard_policy_n_fields; i++)
                fields[n++] = guard_policy_fields[i];
        r = json_reader_init(&reader, value, where, fields, n, error);
        if (r >= 0)
                r = read_restore(&reader, guard);
        if (r >= 0)
                r = json_reader_boolean(&reader, "watch", &guard->watch);
        if (r >= 0)
                r = read_span(&reader, "check-interval", 0, USEC_PER_DAY, &guard->check_interval);
        /* A tenth of a second at least, so that it is no loop. */
        if (r >= 0 && guard->check_interval > 0)
                guard->check_interval = MAX2(guard->check_interval, USEC_PER_SEC / 10);
        return r < 0 ? r : guard_policy_read(&reader, &guard->policy);
}

static int read_guard(const JsonReader *root, GuardSettings *guard) {
        _cleanup_free_ char *where = NULL;
        json_object *value = NULL;
        int r;

        r = json_reader_value(root, "guard", &value, &where);
        return r <= 0 ? r : read_guard_object(value, where, guard, root->error);
}

int settings_read_guard(const char *text, size_t size, GuardSettings *ret, Error *error) {
        GuardSettings settings = GUARD_SETTINGS_DEFAULT;
        _cleanup_json_ json_object *value = NULL;
        JsonPosition position = {};
        int r;

        r = json_parse(text, size, &value, &position, error);
        if (r >= 0) {
                r = read_guard_object(value, NULL, &settings, error);
                if (r < 0)
                        position = json_locate_error(text, size, error);
        }
        if (r < 0) {
                if (error->where)
                        error_prefix(error, "%s: ", error->where);
                error_prefix(error, "%u:%u: ", position.line, position.column);
                return r;
        }
        *ret = settings;
        return 0;
}

static int settings_read(json_object *root, Settings *settings, Error *error) {
        static const JsonField fields[] = {
                { "$schema", JSON_STRING },   { "tc-attach", JSON_STRING },
                { "log-level", JSON_STRING }, { "netlink-receive-buffer", JSON_INTEGER },
                { "guard", JSON_OBJECT },
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
        return read_guard(&reader, &settings->guard);
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
