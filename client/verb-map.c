/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "client/agent.h"
#include "client/connection.h"
#include "client/hex.h"
#include "client/snapshot.h"
#include "client/verb.h"
#include "client/verbs.h"

/* Keys and values are below 4 GiB each; what a command line holds is far below. */
#define BYTES_MAX           (1U << 20)
#define DUMP_PIECE          1024U
#define CPU_VALUE_ALIGNMENT 8U /* of the values of a per-CPU map, see bpf(2) */

typedef struct MapRef {
        char *program;
        char *name;
        char *path;
        uint64_t key_size;   /* bytes */
        uint64_t value_size; /* bytes, of one CPU's */
        uint64_t n_values;   /* CPUs of a per-CPU map, else 1 */
        uint64_t max_entries;
} MapRef;

static void map_ref_done(MapRef *map) {
        free(map->program);
        free(map->name);
        free(map->path);
}

/* Bytes from one value of a per-CPU map to the next, or of the only one. */
static uint64_t map_stride(const MapRef *map) {
        uint64_t rest = map->value_size % CPU_VALUE_ALIGNMENT;

        return map->n_values > 1 && rest > 0 ? map->value_size + CPU_VALUE_ALIGNMENT - rest : map->value_size;
}

/* "deny denied_v4" or "deny/denied_v4" off the front of the arguments. */
static int take_map(int *argc, char ***argv, MapRef *map) {
        const char *slash = *argc > 0 ? strchr((*argv)[0], '/') : NULL;
        int used = slash ? 1 : 2;

        if (*argc < used)
                return fail(EXIT_USAGE, "A program and a map are wanted; \"bpfchain maps\" lists them.");
        map->program = slash ? strndup((*argv)[0], (size_t) (slash - (*argv)[0])) : strdup((*argv)[0]);
        map->name = strdup(slash ? slash + 1 : (*argv)[1]);
        if (!map->program || !map->name)
                return fail_errno(-ENOMEM, "The arguments");
        *argc -= used;
        *argv += used;
        return EXIT_DONE;
}

static int find_map(Client *client, MapRef *map) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL, *ask = NULL, *answer = NULL;
        _cleanup_json_ json_object *properties = NULL;
        const char *path;
        int r, status;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "GetMap", &call);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(call, "ss", map->program, map->name);
        if (r < 0)
                return fail_argument(r, "The map's name");
        status = client_call(client, call, NULL, &reply);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        map->path = strdup(path);
        if (!map->path)
                return fail_errno(-ENOMEM, "The map's name");

        status = client_new_call(client, path, "org.freedesktop.DBus.Properties", "GetAll", &ask);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(ask, "s", INTERFACE_MAP);
        if (r < 0)
                return fail_errno(r, "The call");
        status = client_call(client, ask, NULL, &answer);
        if (status != EXIT_DONE)
                return status;
        r = bus_json_read(answer, &properties);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        map->key_size = json_number(properties, "KeySize");
        map->value_size = json_number(properties, "ValueSize");
        map->n_values = MAX2(json_number(properties, "ValueCount"), UINT64_C(1));
        map->max_entries = json_number(properties, "MaxEntries");
        return EXIT_DONE;
}

/* All words as one run of bytes. */
static int parse_bytes(int argc, char **argv, uint8_t **ret, size_t *ret_n) {
        for (int i = 0; i < argc; i++) {
                int r = hex_append(argv[i], ret, ret_n, BYTES_MAX);

                if (r == -EINVAL)
                        return fail(EXIT_USAGE,
                                    "\"%s\" is not bytes in hexadecimal; write \"0a 00 00 01\" or "
                                    "\"0a000001\".",
                                    argv[i]);
                if (r == -E2BIG)
                        return fail(EXIT_USAGE, "More than %u bytes are no key or value.", BYTES_MAX);
                if (r < 0)
                        return fail_errno(r, "The bytes");
        }
        return EXIT_DONE;
}

static int parse_key(const MapRef *map, int argc, char **argv, uint8_t **ret, size_t *ret_n) {
        int status;

        status = parse_bytes(argc, argv, ret, ret_n);
        if (status == EXIT_DONE && *ret_n != map->key_size)
                return fail(EXIT_USAGE, "A key of %s/%s has %" PRIu64 " bytes; %zu were given.", map->program,
                            map->name, map->key_size, *ret_n);
        return status;
}

static int append_bytes(sd_bus_message *call, const uint8_t *bytes, size_t n) {
        return sd_bus_message_append_array(call, 'y', bytes, n);
}

static int begin_access(Client *client, const MapRef *map, const char *member, sd_bus_message **ret) {
        int status;

        status = client_new_call(client, map->path, INTERFACE_MAP, member, ret);
        if (status == EXIT_DONE)
                agent_start(client);
        return status;
}

/* The value of each CPU as a string of bytes, in JSON. */
static json_object *values_json(const MapRef *map, const uint8_t *value, size_t n) {
        _cleanup_json_ json_object *values = json_object_new_array();
        uint64_t stride = map_stride(map);

        for (size_t at = 0; values && stride > 0 && at + map->value_size <= n; at += stride) {
                _cleanup_free_ char *text = hex_to_string(value + at, map->value_size);

                if (!text || json_object_array_add(values, json_object_new_string(text)) < 0)
                        return NULL;
        }
        return TAKE_PTR(values);
}

static int show_entry_json(Client *client, const MapRef *map, const uint8_t *key, size_t key_size,
                           const uint8_t *value, size_t value_size, json_object **ret) {
        _cleanup_json_ json_object *entry = json_object_new_object();
        _cleanup_free_ char *a = hex_to_string(key, key_size), *b = hex_to_string(value, value_size);

        if (!entry || !a || !b || json_add(entry, "key", json_object_new_string(a)) < 0 ||
            json_add(entry, "value", json_object_new_string(b)) < 0 ||
            (map->n_values > 1 && json_add(entry, "values", values_json(map, value, value_size)) < 0))
                return fail_errno(-ENOMEM, "The entry");
        *ret = TAKE_PTR(entry);
        return EXIT_DONE;
}

/* The value in one line, or one line for each CPU with `indent` blanks in front of all but the first. */
static void show_value(Client *client, const MapRef *map, const uint8_t *value, size_t n, size_t indent) {
        Output *out = &client->output;
        uint64_t stride = map_stride(map);
        unsigned cpu = 0;

        if (map->n_values <= 1 || stride == 0) {
                _cleanup_free_ char *text = hex_to_string(value, n);

                output_printf(out, STYLE_NONE, "%s\n", strempty_to(text, ""));
                return;
        }
        for (size_t at = 0; at + map->value_size <= n; at += stride, cpu++) {
                _cleanup_free_ char *text = hex_to_string(value + at, map->value_size);

                fprintf(out->stream, "%*s", cpu > 0 ? (int) indent : 0, "");
                output_printf(out, STYLE_DIM, "cpu %-3u ", cpu);
                output_printf(out, STYLE_NONE, "%s\n", strempty_to(text, ""));
        }
}

static int map_get(Client *client, const MapRef *map, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_free_ uint8_t *key = NULL;
        const void *value;
        size_t key_size = 0, value_size;
        int r, status;

        status = parse_key(map, argc, argv, &key, &key_size);
        if (status == EXIT_DONE)
                status = begin_access(client, map, "Get", &call);
        if (status != EXIT_DONE)
                return status;
        r = append_bytes(call, key, key_size);
        if (r < 0)
                return fail_errno(r, "The key");
        status = client_call(client, call, NULL, &reply);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_read_array(reply, 'y', &value, &value_size);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");

        if (client->options.json != JSON_MODE_OFF) {
                _cleanup_json_ json_object *entry = NULL;

                status = show_entry_json(client, map, key, key_size, value, value_size, &entry);
                if (status == EXIT_DONE)
                        output_json(&client->output, client->options.json, entry);
                return status;
        }
        show_value(client, map, value, value_size, 0);
        return EXIT_DONE;
}

/* The bytes behind the key: the value as the service wants it. One CPU's value is given to all. */
static int complete_value(const MapRef *map, size_t given, uint8_t **bytes, size_t *n) {
        uint64_t stride = map_stride(map), whole = stride * map->n_values;
        size_t key_size = (size_t) map->key_size;
        uint8_t *grown;

        if (given == whole)
                return EXIT_DONE;
        if (given != map->value_size)
                return fail(EXIT_USAGE,
                            "%zu bytes were given; an entry of %s/%s has a key of %" PRIu64 " and a value of %" PRIu64
                            ".",
                            *n, map->program, map->name, map->key_size, map->value_size);
        grown = realloc(*bytes, key_size + whole);
        if (!grown)
                return fail_errno(-ENOMEM, "The value");
        *bytes = grown;
        memset(grown + key_size + given, 0, whole - given);
        for (uint64_t i = 1; i < map->n_values; i++)
                memcpy(grown + key_size + i * stride, grown + key_size, given);
        *n = key_size + (size_t) whole;
        return EXIT_DONE;
}

static int show_done(Client *client, const char *what) {
        if (client->options.json != JSON_MODE_OFF)
                output_json(&client->output, client->options.json, NULL);
        else
                output_printf(&client->output, STYLE_NONE, "%s\n", what);
        return EXIT_DONE;
}

static int map_set(Client *client, const MapRef *map, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL;
        _cleanup_free_ uint8_t *bytes = NULL;
        size_t n = 0;
        int r, status;

        status = parse_bytes(argc, argv, &bytes, &n);
        if (status != EXIT_DONE)
                return status;
        if (argc == 2) {
                /* Key and value are told apart, so a wrong key can be called by its name. */
                _cleanup_free_ uint8_t *key = NULL;
                size_t key_size = 0;

                status = parse_key(map, 1, argv, &key, &key_size);
                if (status != EXIT_DONE)
                        return status;
        }
        status = complete_value(map, n < map->key_size ? SIZE_MAX : n - (size_t) map->key_size, &bytes, &n);
        if (status == EXIT_DONE)
                status = begin_access(client, map, "Set", &call);
        if (status != EXIT_DONE)
                return status;

        r = append_bytes(call, bytes, (size_t) map->key_size);
        if (r >= 0)
                r = append_bytes(call, bytes + map->key_size, n - (size_t) map->key_size);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && client->options.create_only)
                r = options_add(call, "create-only", "b", 1);
        if (r >= 0 && client->options.replace_only)
                r = options_add(call, "replace-only", "b", 1);
        if (r >= 0)
                r = options_end(call);
        if (r < 0)
                return fail_errno(r, "The entry");
        status = client_call(client, call, NULL, NULL);
        return status == EXIT_DONE ? show_done(client, "The entry is set.") : status;
}

static int map_delete(Client *client, const MapRef *map, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL;
        _cleanup_free_ uint8_t *key = NULL;
        size_t n = 0;
        int r, status;

        status = parse_key(map, argc, argv, &key, &n);
        if (status == EXIT_DONE)
                status = begin_access(client, map, "Delete", &call);
        if (status != EXIT_DONE)
                return status;
        r = append_bytes(call, key, n);
        if (r >= 0)
                r = sd_bus_message_append(call, "a{sv}", 0);
        if (r < 0)
                return fail_errno(r, "The key");
        status = client_call(client, call, NULL, NULL);
        return status == EXIT_DONE ? show_done(client, "The entry is gone.") : status;
}

typedef struct Dump {
        Client *client;
        const MapRef *map;
        uint8_t *cursor;
        size_t cursor_size;
        uint64_t n; /* entries so far */
        bool begun; /* the first piece came, so it is not refused */
} Dump;

static void dump_begin(Dump *dump) {
        Output *out = &dump->client->output;
        const Options *options = &dump->client->options;

        if (dump->begun)
                return;
        dump->begun = true;
        if (options->json != JSON_MODE_OFF)
                fputc('[', out->stream);
        else if (options->legend)
                output_printf(out, STYLE_STRONG, "%-*s  %s\n", (int) MAX2(dump->map->key_size * 3, UINT64_C(4)) - 1,
                              "KEY", "VALUE");
}

static int dump_entry(Dump *dump, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size) {
        Client *client = dump->client;
        Output *out = &client->output;
        int status;

        if (client->options.json != JSON_MODE_OFF) {
                _cleanup_json_ json_object *entry = NULL;

                status = show_entry_json(client, dump->map, key, key_size, value, value_size, &entry);
                if (status != EXIT_DONE)
                        return status;
                /* One by one: a map may hold millions. */
                fprintf(out->stream, "%s%s%s", dump->n > 0 ? "," : "",
                        client->options.json == JSON_MODE_PRETTY ? "\n  " : "",
                        json_object_to_json_string_ext(entry, JSON_C_TO_STRING_PLAIN));
        } else {
                _cleanup_free_ char *text = hex_to_string(key, key_size);
                size_t width = MAX2(key_size * 3, (size_t) 4) - 1;

                if (!text)
                        return fail_errno(-ENOMEM, "The entry");
                output_printf(out, STYLE_ACCENT, "%-*s", (int) width, text);
                fputs("  ", out->stream);
                show_value(client, dump->map, value, value_size, width + 2);
        }
        dump->n++;
        return EXIT_DONE;
}

static int dump_piece(Dump *dump) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        const void *key, *value;
        size_t key_size, value_size;
        int r, status;

        status = begin_access(dump->client, dump->map, "Dump", &call);
        if (status != EXIT_DONE)
                return status;
        r = append_bytes(call, dump->cursor, dump->cursor_size);
        if (r >= 0)
                r = sd_bus_message_append(call, "u", DUMP_PIECE);
        if (r < 0)
                return fail_errno(r, "The call");
        status = client_call(dump->client, call, NULL, &reply);
        if (status != EXIT_DONE)
                return status;

        dump_begin(dump);
        r = sd_bus_message_enter_container(reply, 'a', "(ayay)");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "ayay")) > 0) {
                r = sd_bus_message_read_array(reply, 'y', &key, &key_size);
                if (r >= 0)
                        r = sd_bus_message_read_array(reply, 'y', &value, &value_size);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        break;
                status = dump_entry(dump, key, key_size, value, value_size);
                if (status != EXIT_DONE)
                        return status;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(reply);
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', &key, &key_size);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");

        free(dump->cursor);
        dump->cursor_size = key_size;
        dump->cursor = malloc(MAX2(key_size, (size_t) 1));
        if (!dump->cursor)
                return fail_errno(-ENOMEM, "The map");
        memcpy(dump->cursor, key, key_size);
        return EXIT_DONE;
}

static int map_dump(Client *client, const MapRef *map) {
        Dump dump = { .client = client, .map = map };
        bool json = client->options.json != JSON_MODE_OFF, pretty = client->options.json == JSON_MODE_PRETTY;
        Output *out = &client->output;
        int status;

        do {
                status = dump_piece(&dump);
                /* A cursor whose entry was deleted starts the map over: whoever adds and deletes all the time must
                 * not keep us here for ever. */
                if (status == EXIT_DONE && dump.cursor_size > 0 && dump.n > 2 * map->max_entries) {
                        fail(EXIT_DONE, "The map changed while it was read; entries may be missing or here twice.");
                        break;
                }
        } while (status == EXIT_DONE && dump.cursor_size > 0);
        free(dump.cursor);
        if (status != EXIT_DONE)
                return status;
        if (json)
                fputs(pretty && dump.n > 0 ? "\n]\n" : "]\n", out->stream);
        else if (dump.n == 0 && client->options.legend)
                output_printf(out, STYLE_DIM, "(no entries)\n");
        return EXIT_DONE;
}

int verb_map(Client *client, int argc, char **argv) {
        static const char *const words[] = { "get", "set", "del", "dump", "delete" };
        _cleanup_(map_ref_done) MapRef map = {};
        int what = streq(argv[0], "d") || streq(argv[0], "de") ? -EEXIST : word_match(argv[0], words, 4), status;

        if (what == -ENOENT && word_match(argv[0], words, ELEMENTSOF(words)) == 4)
                what = 2;
        if (what < 0)
                return fail(EXIT_USAGE, "\"map %s\" is not known. There are get, set, del and dump.", argv[0]);
        argc--;
        argv++;
        status = take_map(&argc, &argv, &map);
        if (status != EXIT_DONE)
                return status;
        if (what == 3 ? argc > 0 : argc < 1)
                return fail(EXIT_USAGE, what == 3   ? "\"map dump\" takes a program and a map only."
                                        : what == 1 ? "A key and a value are wanted behind the map, in hexadecimal."
                                                    : "A key is wanted behind the map, in hexadecimal.");
        status = find_map(client, &map);
        if (status != EXIT_DONE)
                return status;
        switch (what) {
        case 0: return map_get(client, &map, argc, argv);
        case 1: return map_set(client, &map, argc, argv);
        case 2: return map_delete(client, &map, argc, argv);
        }
        return map_dump(client, &map);
}
