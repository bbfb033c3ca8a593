/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/bpf.h>

#include "bus/map-bus.h"

#include "bus/context.h"
#include "bus/options.h"
#include "bus/wire.h"

#define DUMP_COUNT_MAX 4096U
#define DUMP_BYTES_MAX (1024U * 1024) /* of keys and values in a reply; one entry may be more */

/* dbus-daemon cuts off who sends messages of more than 32 MiB. */
#define VALUE_BYTES_MAX (16U * 1024 * 1024)

/* A map and the program that it belongs to. */
typedef struct Found {
        Program *program;
        const MapInfo *info;
} Found;

static bool map_from_path(BusContext *context, const char *path, Found *ret) {
        _cleanup_free_ char *program = NULL, *map = NULL;
        Found found = {};

        if (object_path_parse(path, OBJECT_MAP, &program, &map) <= 0)
                return false;
        found.program = manager_get_program(context->manager, program);
        found.info = found.program ? program_get_map(found.program, map) : NULL;
        if (!found.info)
                return false;
        *ret = found;
        return true;
}

static int map_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                    sd_bus_error *ret_error) {
        Found found;

        if (!map_from_path(userdata, path, &found))
                return 0;
        *ret_found = userdata;
        return 1;
}

static int map_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                         sd_bus_error *ret_error) {
        BusContext *context = userdata;
        char **nodes = NULL;
        size_t n = 0;

        TABLE_FOREACH (Program, program, manager_programs(context->manager))
                for (size_t i = 0; i < program->info.n_maps; i++)
                        if (object_list_add(&nodes, &n, OBJECT_MAP, program->name, program->info.maps[i].name) < 0) {
                                object_list_free(nodes);
                                return -ENOMEM;
                        }
        *ret_nodes = nodes;
        return 0;
}

/* Bytes of all values behind a key, as bpf(2) wants them. */
static size_t value_bytes(const MapInfo *info) {
        size_t size = info->value_size;

        return strstr(strempty_to(info->type, ""), "percpu_") ? (size + 7) / 8 * 8 * MAX2(info->n_values, 1U) : size;
}

static int authorize(BusContext *context, sd_bus_message *message, const char *action, size_t weight,
                     sd_bus_error *ret_error) {
        _cleanup_free_ char *program = NULL, *name = NULL, *map = NULL;
        int r;

        r = object_path_parse(sd_bus_message_get_path(message), OBJECT_MAP, &program, &name);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        if (asprintf(&map, "%s/%s", program, name) < 0) {
                map = NULL;
                return -ENOMEM;
        }

        const PolkitDetail details[] = { { "program", program }, { "map", map }, {} };

        return polkit_check(context->polkit, message, action, details, weight, ret_error);
}

static int look_up(BusContext *context, sd_bus_message *message, Found *ret, sd_bus_error *ret_error) {
        if (!map_from_path(context, sd_bus_message_get_path(message), ret))
                return bus_error_failf(ret_error, ERROR_NO_SUCH_MAP, "The map is gone.");
        if (!ret->program->kernel)
                return bus_error_failf(ret_error, ERROR_NO_SUCH_MAP,
                                       "Program %s is not loaded, so its maps can't be reached.", ret->program->name);
        if (value_bytes(ret->info) > VALUE_BYTES_MAX)
                return bus_error_failf(
                        ret_error, ERROR_NOT_SUPPORTED,
                        "The values of map %s have %zu bytes; at most %u go over the bus. Use its pin: %s",
                        ret->info->name, value_bytes(ret->info), VALUE_BYTES_MAX,
                        strempty_to(ret->info->pin, "none yet"));
        return 0;
}

static int check_size(const Found *found, const char *what, size_t size, size_t wanted, sd_bus_error *ret_error) {
        if (size == wanted)
                return 0;
        if (streq(what, "value") && found->info->n_values > 1)
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                       "The value has %zu bytes; map %s of program %s takes %zu: %u values, one for "
                                       "each possible CPU, each padded to a multiple of 8 bytes.",
                                       size, found->info->name, found->program->name, wanted, found->info->n_values);
        return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                               "The %s has %zu bytes; map %s of program %s takes %zu.", what, size, found->info->name,
                               found->program->name, wanted);
}

static int method_get(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        BusContext *context = userdata;
        const KernelOps *ops;
        void *ops_userdata, *value;
        const void *key;
        size_t key_size;
        Found found;
        int r;

        r = sd_bus_message_read_array(message, 'y', &key, &key_size);
        if (r < 0)
                return r;

        r = authorize(context, message, POLKIT_READ_MAPS, key_size, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = look_up(context, message, &found, ret_error);
        if (r < 0)
                return r;
        r = check_size(&found, "key", key_size, found.info->key_size, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array_space(reply, 'y', value_bytes(found.info), &value);
        if (r < 0)
                return r;
        ops = manager_kernel_ops(context->manager, &ops_userdata);
        r = ops->map_lookup(ops_userdata, found.program->kernel, found.info->name, key, key_size, value,
                            value_bytes(found.info), &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't read the map");
        return sd_bus_send(NULL, reply, NULL);
}

static int method_set(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_error_ Error error = ERROR_INIT;
        BusContext *context = userdata;
        size_t key_size, value_size;
        const void *key, *value;
        const KernelOps *ops;
        void *ops_userdata;
        Options options;
        Found found;
        int r;

        r = sd_bus_message_read_array(message, 'y', &key, &key_size);
        if (r < 0)
                return r;
        r = sd_bus_message_read_array(message, 'y', &value, &value_size);
        if (r < 0)
                return r;
        r = options_read(message, OPTIONS_MAP_SET, &options, ret_error);
        if (r < 0)
                return r;

        r = authorize(context, message, POLKIT_WRITE_MAPS, key_size + value_size, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = look_up(context, message, &found, ret_error);
        if (r < 0)
                return r;
        r = check_size(&found, "key", key_size, found.info->key_size, ret_error);
        if (r < 0)
                return r;
        r = check_size(&found, "value", value_size, value_bytes(found.info), ret_error);
        if (r < 0)
                return r;

        ops = manager_kernel_ops(context->manager, &ops_userdata);
        r = ops->map_update(ops_userdata, found.program->kernel, found.info->name, key, key_size, value, value_size,
                            options.create_only    ? BPF_NOEXIST
                            : options.replace_only ? BPF_EXIST
                                                   : BPF_ANY,
                            &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't write to the map");
        return sd_bus_reply_method_return(message, NULL);
}

static int method_delete(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_error_ Error error = ERROR_INIT;
        BusContext *context = userdata;
        const KernelOps *ops;
        void *ops_userdata;
        const void *key;
        size_t key_size;
        Options options;
        Found found;
        int r;

        r = sd_bus_message_read_array(message, 'y', &key, &key_size);
        if (r < 0)
                return r;
        r = options_read(message, OPTIONS_NONE, &options, ret_error);
        if (r < 0)
                return r;

        r = authorize(context, message, POLKIT_WRITE_MAPS, key_size, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = look_up(context, message, &found, ret_error);
        if (r < 0)
                return r;
        r = check_size(&found, "key", key_size, found.info->key_size, ret_error);
        if (r < 0)
                return r;

        ops = manager_kernel_ops(context->manager, &ops_userdata);
        r = ops->map_delete(ops_userdata, found.program->kernel, found.info->name, key, key_size, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't delete from the map");
        return sd_bus_reply_method_return(message, NULL);
}

static int append_entry(sd_bus_message *reply, const void *key, size_t key_size, const void *value,
                        size_t value_size) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "ayay");
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', key, key_size);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', value, value_size);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Appends entries and the next cursor. `key` holds the cursor where there is one, and is used up. An entry that goes
 * between the kernel's telling of its key and our reading of it is passed over. */
static int dump(BusContext *context, const Found *found, char *key, bool has_cursor, uint32_t count,
                sd_bus_message *reply, Error *error) {
        size_t key_size = found->info->key_size, value_size = value_bytes(found->info), bytes = 0;
        _cleanup_free_ char *value = malloc(MAX2(value_size, 1U)), *next = malloc(MAX2(key_size, 1U));
        KernelProgram *program = found->program->kernel;
        const char *map = found->info->name;
        bool ended = false;
        void *ops_userdata;
        const KernelOps *ops = manager_kernel_ops(context->manager, &ops_userdata);
        int r;

        if (!value || !next)
                return -ENOMEM;

        r = sd_bus_message_open_container(reply, 'a', "(ayay)");
        for (uint32_t i = 0; r >= 0 && i < count && bytes < DUMP_BYTES_MAX; i++) {
                _cleanup_error_ Error read_error = ERROR_INIT;

                r = ops->map_next_key(ops_userdata, program, map, has_cursor ? key : NULL, next, key_size, error);
                if (r == -ENOENT && !error_is_set(error)) {
                        ended = true;
                        r = 0;
                        break;
                }
                if (r < 0)
                        return r;
                memcpy(key, next, key_size);
                has_cursor = true;

                r = ops->map_lookup(ops_userdata, program, map, key, key_size, value, value_size, &read_error);
                if (r == -ENOENT) {
                        r = 0;
                        continue;
                }
                if (r < 0) {
                        error_move(error, &read_error);
                        return r;
                }
                r = append_entry(reply, key, key_size, value, value_size);
                bytes += key_size + value_size;
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', key, ended ? 0 : key_size);
        return r;
}

static int method_dump(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *key = NULL;
        BusContext *context = userdata;
        const void *cursor;
        size_t cursor_size;
        uint32_t count;
        Found found;
        int r;

        r = sd_bus_message_read_array(message, 'y', &cursor, &cursor_size);
        if (r < 0)
                return r;
        r = sd_bus_message_read(message, "u", &count);
        if (r < 0)
                return r;
        if (count == 0 || count > DUMP_COUNT_MAX)
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                       "%u entries can't be dumped at once: 1 to %u can.", count, DUMP_COUNT_MAX);

        r = authorize(context, message, POLKIT_READ_MAPS, cursor_size, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = look_up(context, message, &found, ret_error);
        if (r < 0)
                return r;
        if (cursor_size > 0) {
                r = check_size(&found, "cursor", cursor_size, found.info->key_size, ret_error);
                if (r < 0)
                        return r;
        }
        key = malloc(MAX2(found.info->key_size, 1U));
        if (!key)
                return -ENOMEM;
        if (cursor_size > 0)
                memcpy(key, cursor, cursor_size);

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = dump(context, &found, key, cursor_size > 0, count, reply, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't dump the map");
        return sd_bus_send(NULL, reply, NULL);
}

static int property_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Found found;

        if (!map_from_path(userdata, path, &found))
                return -ENOENT;
        if (streq(property, "Name"))
                return wire_append_string(reply, found.info->name);
        if (streq(property, "Program"))
                return wire_append_string(reply, found.program->name);
        if (streq(property, "Type"))
                return wire_append_string(reply, found.info->type);
        return wire_append_string(reply, found.info->pin);
}

static int property_program_path(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        _cleanup_free_ char *program = NULL;
        Found found;

        if (!map_from_path(userdata, path, &found))
                return -ENOENT;
        program = object_path(OBJECT_PROGRAM, found.program->name, NULL);
        return program ? sd_bus_message_append(reply, "o", program) : -ENOMEM;
}

static int property_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        uint32_t value;
        Found found;

        if (!map_from_path(userdata, path, &found))
                return -ENOENT;
        if (streq(property, "MapId"))
                value = found.info->id;
        else if (streq(property, "KeySize"))
                value = found.info->key_size;
        else if (streq(property, "ValueSize"))
                value = found.info->value_size;
        else if (streq(property, "ValueCount"))
                value = MAX2(found.info->n_values, 1U);
        else
                value = found.info->max_entries;
        return sd_bus_message_append(reply, "u", value);
}

static int property_bool(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Found found;

        if (!map_from_path(userdata, path, &found))
                return -ENOENT;
        return sd_bus_message_append(reply, "b",
                                     streq(property, "Frozen") ? found.info->frozen : found.info->internal);
}

/* BPF_F_* for BPF_MAP_CREATE by bit, include/uapi/linux/bpf.h. */
static const char *const map_flags[] = {
        "no-prealloc",      "no-common-lru",  "numa-node",     "rdonly",       "wronly",
        "stack-build-id",   "zero-seed",      "rdonly-prog",   "wronly-prog",  "clone",
        "mmapable",         "preserve-elems", "inner-map",     "link",         "path-fd",
        "vtype-btf-obj-fd", "token-fd",       "segv-on-fault", "no-user-conv",
};

static int property_flags(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Found found;
        int r;

        if (!map_from_path(userdata, path, &found))
                return -ENOENT;
        r = sd_bus_message_open_container(reply, 'a', "s");
        for (unsigned i = 0; r >= 0 && i < 32; i++) {
                uint32_t bit = UINT32_C(1) << i;
                char unknown[16];

                if (!(found.info->flags & bit))
                        continue;
                snprintf(unknown, sizeof(unknown), "0x%x", bit);
                r = sd_bus_message_append(reply, "s", i < ELEMENTSOF(map_flags) ? map_flags[i] : unknown);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const sd_bus_vtable map_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("Get", SD_BUS_ARGS("ay", key), SD_BUS_RESULT("ay", value), method_get, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Set", SD_BUS_ARGS("ay", key, "ay", value, "a{sv}", options), SD_BUS_NO_RESULT,
                                method_set, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Delete", SD_BUS_ARGS("ay", key, "a{sv}", options), SD_BUS_NO_RESULT, method_delete,
                                BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Dump", SD_BUS_ARGS("ay", cursor, "u", count),
                                SD_BUS_RESULT("a(ayay)", entries, "ay", next_cursor), method_dump, BUS_PUBLIC),

        SD_BUS_PROPERTY("Name", "s", property_string, 0, BUS_CONSTANT),
        SD_BUS_PROPERTY("Program", "s", property_string, 0, BUS_CONSTANT),
        SD_BUS_PROPERTY("ProgramPath", "o", property_program_path, 0, BUS_CONSTANT),
        SD_BUS_PROPERTY("MapId", "u", property_number, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Type", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("KeySize", "u", property_number, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("ValueSize", "u", property_number, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("ValueCount", "u", property_number, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("MaxEntries", "u", property_number, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Flags", "as", property_flags, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Pin", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Internal", "b", property_bool, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Frozen", "b", property_bool, 0, BUS_CHANGES),
        SD_BUS_VTABLE_END,
};

const ObjectImplementation map_implementation = {
        .path = BUS_ROOT "/map",
        .interface = "org.bpfchain1.Map",
        .vtable = map_vtable,
        .find = map_find,
        .enumerate = map_enumerate,
};
