/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RUN/state.json: what runs, so that the next service can adopt it. It lies on a file system that lives as long as
 * the kernel does, as pins do. A file that is missing or does not fit costs only that chains are built again and
 * exchanged (without loss), and that their counters begin anew.
 */
#include "model/guard.h"
#include "model/manager-internal.h"
#include "util/digest.h"
#include "util/file.h"
#include "util/json-reader.h"
#include "util/log.h"
#include "util/strv.h"

#define STATE_VERSION  1
#define STATE_SIZE_MAX (64U * 1024 * 1024)

static void add_string(json_object *object, const char *name, const char *value) {
        if (value)
                json_object_object_add(object, name, json_object_new_string(value));
}

static void add_number(json_object *object, const char *name, uint64_t value) {
        json_object_object_add(object, name, json_object_new_uint64(value));
}

static json_object *seat_json(const Seat *seat, unsigned i) {
        json_object *o = json_object_new_object(), *base = json_object_new_array();

        add_number(o, "seat", i);
        add_string(o, "program", seat->program);
        for (unsigned b = 0; b < COUNTER_CELLS; b++)
                json_object_array_add(base, json_object_new_uint64(seat->base[b]));
        json_object_object_add(o, "base", base);
        return o;
}

static json_object *chain_json(const Chain *chain) {
        json_object *o = json_object_new_object(), *slots = json_object_new_array(), *seats = json_object_new_array();
        json_object *documents = json_object_new_array();

        add_string(o, "interface", chain->interface);
        add_number(o, "ifindex", (uint64_t) chain->ifindex);
        add_string(o, "hook", hook_to_string(chain->hook));
        add_string(o, "mode", attach_mode_to_string(chain->mode));
        add_string(o, "counters", counter_level_to_string(chain->counters));
        add_string(o, "signature", chain->signature);
        add_number(o, "program-id", chain->info.program_id);
        add_number(o, "generation", chain->generation);
        add_number(o, "retired-packets", chain->retired_packets);
        add_number(o, "retired-bytes", chain->retired_bytes);
        json_object_object_add(o, "fail-closed", json_object_new_boolean(chain->fail_closed));
        STRV_FOREACH (document, chain->documents)
                json_object_array_add(documents, json_object_new_string(*document));
        json_object_object_add(o, "documents", documents);
        for (size_t i = 0; i < chain->n_slots; i++) {
                const Slot *slot = &chain->slots[i];
                json_object *s = json_object_new_object();

                add_string(s, "program", slot->program);
                add_number(s, "proceed-on", slot->proceed_on);
                add_number(s, "seat", slot->seat);
                add_string(s, "form", slot_form_to_string(slot->form));
                add_string(s, "reason", slot->reason);
                json_object_array_add(slots, s);
        }
        for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++)
                if (chain->seats[i].program)
                        json_object_array_add(seats, seat_json(&chain->seats[i], i));
        json_object_object_add(o, "slots", slots);
        json_object_object_add(o, "seats", seats);
        return o;
}

static json_object *program_json(const Program *program) {
        json_object *o = json_object_new_object(), *maps = json_object_new_object();

        add_string(o, "name", program->name);
        add_string(o, "digest", program->digest);
        add_string(o, "signature", program->signature);
        add_string(o, "contents", program->contents);
        add_string(o, "object-path", program->object_path);
        add_string(o, "function", program->info.function);
        json_object_object_add(o, "tc", json_object_new_boolean(program->info.tc));
        json_object_object_add(o, "frags", json_object_new_boolean(program->info.frags));
        add_string(o, "tag", program->info.tag);
        add_number(o, "instructions", program->info.insns);
        add_number(o, "verified-instructions", program->info.verified_insns);
        add_number(o, "states", program->info.states_total);
        add_number(o, "stack-depth", program->info.stack_depth);
        add_number(o, "load-usec", program->info.load_usec);
        add_number(o, "loaded-at", program->loaded_at);
        for (size_t i = 0; i < program->info.n_maps; i++)
                add_number(maps, program->info.maps[i].name, program->info.maps[i].id);
        json_object_object_add(o, "maps", maps);
        return o;
}

static int state_path(Manager *manager, char **ret) {
        char *path;

        if (asprintf(&path, "%s/state.json", manager->paths->run) < 0)
                return -ENOMEM;
        *ret = path;
        return 0;
}

int state_save(Manager *manager) {
        _cleanup_json_ json_object *root = json_object_new_object();
        json_object *chains = json_object_new_array(), *programs = json_object_new_array();
        _cleanup_free_ char *path = NULL;
        const char *text;
        int r;

        add_number(root, "version", STATE_VERSION);
        add_number(root, "generation", manager->generation);
        json_object_object_add(root, "chains", chains);
        json_object_object_add(root, "programs", programs);
        if (manager->guard)
                json_object_object_add(root, "guard", guard_save(manager->guard));
        json_object_object_add(root, "held-interfaces", holdings_json(manager));
        TABLE_FOREACH (Chain, chain, &manager->chains)
                if (chain->attachment)
                        json_object_array_add(chains, chain_json(chain));
        TABLE_FOREACH (Program, program, &manager->programs)
                if (program->digest)
                        json_object_array_add(programs, program_json(program));

        text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN);
        r = text ? state_path(manager, &path) : -ENOMEM;
        if (r >= 0)
                r = mkdir_parents(manager->paths->run, 0755);
        if (r >= 0)
                r = file_write_atomic(path, text, strlen(text), 0600);
        if (r < 0)
                log_warning(
                        "The state can't be written to %s/state.json: %s; the next start will build its chains anew",
                        manager->paths->run, strerror(-r));
        return r;
}

/* Reading. The file is our own, but what is read is checked like everything else; an Error that nobody shows keeps
 * the accessors happy. */

static uint64_t get_number(json_object *o, const char *name) {
        json_object *value = NULL;

        return json_object_object_get_ex(o, name, &value) ? json_object_get_uint64(value) : 0;
}

static const char *get_string(json_object *o, const char *name) {
        json_object *value = NULL;

        return json_object_object_get_ex(o, name, &value) && json_object_is_type(value, json_type_string)
                       ? json_object_get_string(value)
                       : NULL;
}

static json_object *get_array(json_object *o, const char *name, size_t max) {
        json_object *value = NULL;

        if (!json_object_object_get_ex(o, name, &value) || !json_object_is_type(value, json_type_array) ||
            json_object_array_length(value) > max)
                return NULL;
        return value;
}

static int load_slots(Chain *chain, json_object *slots) {
        size_t n = json_object_array_length(slots);

        chain->slots = calloc(n + 1, sizeof(Slot));
        if (!chain->slots)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                json_object *s = json_object_array_get_idx(slots, i);
                const char *program = get_string(s, "program");
                Slot slot = {
                        .proceed_on = (uint32_t) get_number(s, "proceed-on"),
                        .seat = (unsigned) get_number(s, "seat"),
                        .form = slot_form_from_string(get_string(s, "form")),
                };

                if (!program || !program_name_is_valid(program) || slot.seat >= CHAIN_SEATS_MAX ||
                    (int) slot.form < 0)
                        return -EBADMSG;
                slot.program = strdup(program);
                if (!slot.program || free_and_strdup(&slot.reason, get_string(s, "reason")) < 0) {
                        free(slot.program);
                        return -ENOMEM;
                }
                chain->slots[chain->n_slots++] = slot;
        }
        return 0;
}

/* Rows of another length are of a service that counted otherwise; its map is as little use as they are, and counters
 * begin anew. */
static int load_seats(Chain *chain, json_object *seats) {
        for (size_t i = 0; i < json_object_array_length(seats); i++) {
                json_object *s = json_object_array_get_idx(seats, i);
                json_object *base = get_array(s, "base", COUNTER_CELLS);
                const char *program = get_string(s, "program");
                uint64_t seat = get_number(s, "seat");

                if (!program || !base || seat >= CHAIN_SEATS_MAX || chain->seats[seat].program)
                        return -EBADMSG;
                chain->seats[seat].program = strdup(program);
                if (!chain->seats[seat].program)
                        return -ENOMEM;
                for (size_t b = 0; json_object_array_length(base) == COUNTER_CELLS && b < COUNTER_CELLS; b++)
                        chain->seats[seat].base[b] = json_object_get_uint64(json_object_array_get_idx(base, b));
        }
        return 0;
}

static int load_documents(Chain *chain, json_object *documents) {
        for (size_t i = 0; documents && i < json_object_array_length(documents); i++) {
                const char *name = json_object_get_string(json_object_array_get_idx(documents, i));
                int r;

                if (!name)
                        return -EBADMSG;
                r = strv_append(&chain->documents, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A service that knew no levels counted everything. */
static CounterLevel get_counters(json_object *o) {
        return json_object_object_get_ex(o, "counters", NULL) ? counter_level_from_string(get_string(o, "counters"))
                                                              : COUNTER_LEVEL_ALL;
}

static int load_chain(Manager *manager, json_object *o) {
        const char *interface = get_string(o, "interface"), *signature = get_string(o, "signature");
        json_object *slots = get_array(o, "slots", CHAIN_SLOTS_MAX), *seats = get_array(o, "seats", CHAIN_SEATS_MAX);
        Hook hook = hook_from_string(get_string(o, "hook"));
        AttachMode mode = attach_mode_from_string(get_string(o, "mode"));
        CounterLevel counters = get_counters(o);
        _cleanup_(chain_freep) Chain *chain = NULL;
        int r;

        if (!interface || strlen(interface) >= IFNAMSIZ || !signature || strlen(signature) != DIGEST_HEX_SIZE - 1 ||
            !slots || !seats || (int) hook < 0 || (int) mode < 0 || (int) counters < 0)
                return -EBADMSG;
        chain = chain_new(interface, hook);
        if (!chain)
                return -ENOMEM;
        chain->mode = mode;
        chain->counters = counters;
        chain->ifindex = (int) get_number(o, "ifindex");
        chain->generation = get_number(o, "generation");
        chain->info.program_id = (uint32_t) get_number(o, "program-id");
        chain->retired_packets = get_number(o, "retired-packets");
        chain->retired_bytes = get_number(o, "retired-bytes");
        chain->fail_closed = json_object_get_boolean(json_object_object_get(o, "fail-closed"));
        chain->state = CHAIN_STATE_WAITING;
        r = free_and_strdup(&chain->signature, signature);
        if (r >= 0)
                r = load_slots(chain, slots);
        if (r >= 0)
                r = load_seats(chain, seats);
        if (r >= 0)
                r = load_documents(chain, get_array(o, "documents", 65536));
        if (r >= 0)
                r = table_add(&manager->chains, chain);
        if (r < 0)
                return r;
        TAKE_PTR(chain);
        return 0;
}

static int load_recorded_maps(Program *program, json_object *maps) {
        if (!json_object_is_type(maps, json_type_object))
                return 0;
        program->recorded = calloc(MAX2(json_object_object_length(maps), 1), sizeof(MapInfo));
        if (!program->recorded)
                return -ENOMEM;
        json_object_object_foreach (maps, name, id) {
                MapInfo *map = &program->recorded[program->n_recorded];

                *map = (MapInfo){ .name = strdup(name), .id = (uint32_t) json_object_get_uint64(id) };
                if (!map->name)
                        return -ENOMEM;
                program->n_recorded++;
        }
        return 0;
}

static int load_program(Manager *manager, json_object *o) {
        const char *name = get_string(o, "name"), *tag = get_string(o, "tag");
        _cleanup_(program_freep) Program *program = NULL;
        int r;

        if (!name || !program_name_is_valid(name))
                return -EBADMSG;
        program = program_new(name);
        if (!program)
                return -ENOMEM;
        program->state = PROGRAM_STATE_ADOPTED;
        program->loaded_at = get_number(o, "loaded-at");
        program->info.tc = json_object_get_boolean(json_object_object_get(o, "tc"));
        program->info.frags = json_object_get_boolean(json_object_object_get(o, "frags"));
        program->info.insns = (uint32_t) get_number(o, "instructions");
        program->info.verified_insns = (uint32_t) get_number(o, "verified-instructions");
        program->info.states_total = (uint32_t) get_number(o, "states");
        program->info.stack_depth = (uint32_t) get_number(o, "stack-depth");
        program->info.load_usec = get_number(o, "load-usec");
        snprintf(program->info.tag, sizeof(program->info.tag), "%s", tag ? tag : "");
        if (free_and_strdup(&program->digest, get_string(o, "digest")) < 0 ||
            free_and_strdup(&program->signature, get_string(o, "signature")) < 0 ||
            free_and_strdup(&program->contents, get_string(o, "contents")) < 0 ||
            free_and_strdup(&program->object_path, get_string(o, "object-path")) < 0 ||
            free_and_strdup(&program->info.function, get_string(o, "function")) < 0)
                return -ENOMEM;
        r = load_recorded_maps(program, json_object_object_get(o, "maps"));
        if (r >= 0)
                r = table_add(&manager->programs, program);
        if (r < 0)
                return r;
        TAKE_PTR(program);
        return 0;
}

static int load_all(Manager *manager, json_object *root) {
        json_object *chains = get_array(root, "chains", 65536), *programs = get_array(root, "programs", 65536);
        int r;

        if (get_number(root, "version") != STATE_VERSION || !chains || !programs)
                return -EBADMSG;
        manager->generation = get_number(root, "generation");
        if (manager->generation > INT64_MAX) {
                manager->generation = 0;
                return -EBADMSG;
        }
        for (size_t i = 0; i < json_object_array_length(programs); i++) {
                r = load_program(manager, json_object_array_get_idx(programs, i));
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < json_object_array_length(chains); i++) {
                r = load_chain(manager, json_object_array_get_idx(chains, i));
                if (r < 0)
                        return r;
        }
        return holdings_load(manager, get_array(root, "held-interfaces", 65536));
}

static void forget_all(Manager *manager) {
        TABLE_FOREACH (Chain, chain, &manager->chains)
                chain_free(chain);
        TABLE_FOREACH (Program, program, &manager->programs)
                program_free(program);
        manager->chains.n = manager->programs.n = 0;
        holdings_done(&manager->holdings);
}

int state_load(Manager *manager) {
        _cleanup_json_ json_object *root = NULL;
        _cleanup_free_ char *path = NULL, *text = NULL;
        size_t size = 0;
        int r;

        r = state_path(manager, &path);
        if (r < 0)
                return r;
        r = file_read(path, STATE_SIZE_MAX, &text, &size);
        if (r == -ENOENT)
                return 0;
        if (r >= 0) {
                root = json_tokener_parse(text);
                if (manager->guard)
                        guard_restore(manager->guard, json_object_object_get(root, "guard"));
                r = root ? load_all(manager, root) : -EBADMSG;
        }
        if (r < 0 && r != -ENOMEM) {
                log_warning("%s does not fit (%s); chains are built anew, without loss", path, strerror(-r));
                forget_all(manager);
                return 0;
        }
        return r;
}
