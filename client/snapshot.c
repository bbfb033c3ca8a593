/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/snapshot.h"
#include "client/connection.h"
#include "client/verb.h"
#include "util/clock.h"

/* (path, name, details) as one object */
static json_object *slot_object(json_object *slot) {
        json_object *details = json_length(slot) == 3 ? json_object_array_get_idx(slot, 2) : NULL;
        _cleanup_json_ json_object *object = json_object_new_object();

        if (!object || !details ||
            json_add(object, "program", json_object_get(json_object_array_get_idx(slot, 1))) < 0)
                return NULL;
        json_object_object_foreach (details, key, value)
                if (json_add(object, key, json_object_get(value)) < 0)
                        return NULL;
        return TAKE_PTR(object);
}

static int chain_slots(json_object *chain) {
        json_object *slots = json_list(chain, "slots");
        _cleanup_json_ json_object *objects = json_object_new_array();

        if (!objects)
                return -ENOMEM;
        for (size_t i = 0; i < json_length(slots); i++) {
                json_object *object = slot_object(json_object_array_get_idx(slots, i));

                if (!object)
                        continue;
                if (json_object_array_add(objects, object) < 0) {
                        json_object_put(object);
                        return -ENOMEM;
                }
        }
        return json_add(chain, "slots", TAKE_PTR(objects));
}

static int rank_of_hook(const char *hook) {
        return streq(hook, "xdp") ? 0 : streq(hook, "tc-ingress") ? 1 : streq(hook, "tc-egress") ? 2 : 3;
}

static int compare_numbers(uint64_t a, uint64_t b) {
        return a < b ? -1 : a > b;
}

static int compare_objects(const void *a, const void *b) {
        json_object *x = *(json_object *const *) a, *y = *(json_object *const *) b;
        static const char *const names[] = { "interface", "program", "name" };
        int r;

        /* An index of 0 is that of a chain that waits: behind all others. */
        r = compare_numbers(json_number(x, "index") - 1, json_number(y, "index") - 1);
        if (r == 0)
                r = compare_numbers(json_number(x, "interface-index") - 1, json_number(y, "interface-index") - 1);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(names); i++)
                r = strcmp(json_text(x, names[i]), json_text(y, names[i]));
        if (r == 0)
                r = rank_of_hook(json_text(x, "hook")) - rank_of_hook(json_text(y, "hook"));
        return r;
}

json_object *snapshot_list(json_object *objects, const char *bus_interface) {
        _cleanup_json_ json_object *list = json_object_new_array();

        if (!list)
                return NULL;
        json_object_object_foreach (objects, path, interfaces) {
                json_object *properties = json_member(interfaces, bus_interface), *item;

                if (!json_object_is_type(properties, json_type_object))
                        continue;
                item = kebab_members(properties);
                if (!item || json_object_array_add(list, item) < 0) {
                        json_object_put(item);
                        return NULL;
                }
                if (json_add(item, "path", json_object_new_string(path)) < 0)
                        return NULL;
                if (json_list(item, "slots") && chain_slots(item) < 0)
                        return NULL;
        }
        json_object_array_sort(list, compare_objects);
        return TAKE_PTR(list);
}

static int manager_problems(json_object *manager) {
        static const char *const names[] = { "severity", "where", "sentence" };
        json_object *problems = json_list(manager, "problems");
        _cleanup_json_ json_object *objects = json_object_new_array();

        if (!objects)
                return -ENOMEM;
        for (size_t i = 0; i < json_length(problems); i++) {
                json_object *problem = json_object_array_get_idx(problems, i), *object = json_object_new_object();

                if (!object || json_object_array_add(objects, object) < 0) {
                        json_object_put(object);
                        return -ENOMEM;
                }
                for (size_t j = 0; j < MIN2(ELEMENTSOF(names), json_length(problem)); j++)
                        if (json_add(object, names[j], json_object_get(json_object_array_get_idx(problem, j))) < 0)
                                return -ENOMEM;
        }
        return json_add(manager, "problems", TAKE_PTR(objects));
}

static int manager_pending(json_object *manager) {
        json_object *pair = json_list(manager, "pending-confirmation");
        _cleanup_json_ json_object *object = NULL;

        if (json_length(pair) == 2) {
                uint64_t generation = json_object_get_uint64(json_object_array_get_idx(pair, 0));
                uint64_t deadline = json_object_get_uint64(json_object_array_get_idx(pair, 1));
                uint64_t now = usec_now(CLOCK_BOOTTIME);

                if (generation > 0) {
                        object = json_object_new_object();
                        if (!object || json_add(object, "generation", json_object_new_uint64(generation)) < 0 ||
                            json_add(object, "deadline", json_object_new_uint64(deadline)) < 0 ||
                            json_add(object, "left", json_object_new_uint64(deadline > now ? deadline - now : 0)) < 0)
                                return -ENOMEM;
                }
        }
        return json_add(manager, "pending-confirmation", TAKE_PTR(object));
}

json_object *snapshot_manager(json_object *properties) {
        _cleanup_json_ json_object *manager = kebab_members(properties);

        if (!manager || manager_problems(manager) < 0 || manager_pending(manager) < 0)
                return NULL;
        return TAKE_PTR(manager);
}

char *path_to_name(const char *path) {
        _cleanup_free_ char *name = NULL, *prefix = NULL;
        const char *slash = strrchr(path, '/');

        if (!slash)
                return NULL;
        prefix = strndup(path, (size_t) (slash - path));
        if (!prefix || sd_bus_path_decode(path, strempty_to(prefix, "/"), &name) <= 0)
                return NULL;
        return TAKE_PTR(name);
}

char *path_to_label(const char *path) {
        static const struct {
                const char *pattern;
                const char *word;
                bool two;
        } kinds[] = {
                { "/org/bpfchain1/interface/%", "interface", false },
                { "/org/bpfchain1/chain/%/%", "chain", true },
                { "/org/bpfchain1/program/%", "program", false },
                { "/org/bpfchain1/map/%/%", "map", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                _cleanup_free_ char *a = NULL, *b = NULL, *label = NULL;
                int r;

                r = kinds[i].two ? sd_bus_path_decode_many(path, kinds[i].pattern, &a, &b)
                                 : sd_bus_path_decode_many(path, kinds[i].pattern, &a);
                if (r <= 0)
                        continue;
                if (asprintf(&label, "%s %s%s%s", kinds[i].word, a, b ? "/" : "", b ? b : "") < 0)
                        return NULL;
                return TAKE_PTR(label);
        }
        if (streq(path, SERVICE_ROOT "/guard"))
                return strdup("guard");
        return strdup(streq(path, SERVICE_ROOT) ? "manager" : path);
}
