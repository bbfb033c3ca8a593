/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <json-c/json.h>

#include "model/transaction-internal.h"
#include "util/json.h"
#include "util/strv.h"

static void add_string(json_object *object, const char *name, const char *value) {
        if (value)
                json_object_object_add(object, name, json_object_new_string(value));
}

static void add_number(json_object *object, const char *name, uint64_t value) {
        json_object_object_add(object, name, json_object_new_int64((int64_t) value));
}

const char *target_change_word(const Target *target) {
        bool ran = target->before != NULL;

        switch (target->action) {
        case TARGET_KEEP: return "unchanged";
        case TARGET_BUILD: return ran ? "replaced" : "attached";
        case TARGET_DETACH: return ran ? "detached" : "unchanged";
        case TARGET_WAIT: return "waiting";
        case TARGET_REMOVE: return "removed";
        case TARGET_FAIL: return ran ? "degraded" : target->error.code == ERROR_HOOK_BUSY ? "conflict" : "failed";
        }
        return "unchanged";
}

static json_object *names_json(char *const *names) {
        json_object *array = json_object_new_array();

        STRV_FOREACH (name, names)
                json_object_array_add(array, json_object_new_string(*name));
        return array;
}

static json_object *wanted_json(const Target *target) {
        json_object *array = json_object_new_array();

        if (target->action == TARGET_REMOVE)
                return array;
        for (size_t i = 0; i < target->wanted.n_slots; i++)
                json_object_array_add(array, json_object_new_string(target->wanted.slots[i].program));
        return array;
}

static json_object *slots_json(const Target *target) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < target->wanted.n_slots; i++) {
                json_object *slot = json_object_new_object();

                add_string(slot, "program", target->wanted.slots[i].program);
                add_string(slot, "form", slot_form_to_string(target->info.forms[i]));
                add_string(slot, "reason", target->info.reasons[i]);
                json_object_array_add(array, slot);
        }
        return array;
}

/* Chains that are not touched are left out, but for those that the changed document names. */
static json_object *chain_json(const Target *target, const char *interface, Hook hook) {
        json_object *o = json_object_new_object();

        add_string(o, "interface", interface);
        add_string(o, "hook", hook_to_string(hook));
        add_string(o, "change", target_change_word(target));
        json_object_object_add(o, "before", names_json(target->before));
        json_object_object_add(o, "after", wanted_json(target));
        if (target->action != TARGET_REMOVE && target->wanted.n_slots > 0)
                add_string(o, "counters", counter_level_to_string(target->wanted.counters));
        if (target->action == TARGET_BUILD && target->before && target->counters_before != target->wanted.counters)
                add_string(o, "counters-before", counter_level_to_string(target->counters_before));
        if (target->action == TARGET_BUILD) {
                json_object_object_add(o, "slots", slots_json(target));
                add_number(o, "instructions", target->info.insns);
                add_number(o, "verified-instructions", target->info.verified_insns);
                add_number(o, "build-usec", target->info.build_usec);
                add_number(o, "verify-usec", target->info.load_usec);
                add_number(o, "swap-usec", target->commit_usec);
        }
        if (target->action == TARGET_FAIL)
                add_string(o, "reason", target->error.message);
        if (target->action == TARGET_WAIT)
                add_string(o, "reason", "there is no such interface");
        if (target->wanted.fail_closed)
                json_object_object_add(o, "fail-closed", json_object_new_boolean(true));
        if (target->wanted.fail_closed && target->action == TARGET_WAIT)
                add_string(
                        o, "reason",
                        "there is no such interface; when it comes it is kept down (\"fail-closed\") until the chain "
                        "runs");
        if (target->wanted.fail_closed && target->action == TARGET_FAIL)
                add_string(o, "note", "\"fail-closed\": the interface is kept down until the chain runs");
        if (target->reattach)
                add_string(o, "note", "the XDP mode changes: the chain leaves its hook for a moment");
        return o;
}

static const char *program_word(const ProgramChange *change) {
        if (error_is_set(&change->error))
                return "failed";
        if (!change->load)
                return "unchanged";
        return change->program && change->program->kernel ? "upgraded" : "loaded";
}

static json_object *program_json(const ProgramChange *change) {
        json_object *o = json_object_new_object(), *maps = json_object_new_array();

        add_string(o, "name", change->name);
        add_string(o, "change", program_word(change));
        if (error_is_set(&change->error))
                add_string(o, "reason", change->error.message);
        if (change->missing)
                add_string(o, "note", "the object file is gone; the copy that was kept of it is used");
        for (size_t i = 0; i < change->info.n_maps; i++) {
                json_object *map = json_object_new_object();

                add_string(map, "name", change->info.maps[i].name);
                json_object_object_add(map, "kept", json_object_new_boolean(change->info.maps[i].kept));
                json_object_array_add(maps, map);
        }
        json_object_object_add(o, "maps", maps);
        if (change->info.verified_insns > 0)
                add_number(o, "verified-instructions", change->info.verified_insns);
        return o;
}

char *transaction_report(const Transaction *t, uint64_t generation, bool dry_run) {
        _cleanup_json_ json_object *root = json_object_new_object();
        json_object *chains = json_object_new_array(), *programs = json_object_new_array();
        const char *text;

        for (size_t i = 0; i < t->n_targets; i++) {
                const Target *target = t->targets[i];

                if (target->action == TARGET_KEEP && !target->affected)
                        continue;
                json_object_array_add(chains, chain_json(target, target->interface_name, target->hook));
        }
        TABLE_FOREACH (ProgramChange, change, &t->programs)
                if (change->load || error_is_set(&change->error))
                        json_object_array_add(programs, program_json(change));

        add_number(root, "generation", generation);
        json_object_object_add(root, "dry-run", json_object_new_boolean(dry_run));
        json_object_object_add(root, "chains", chains);
        json_object_object_add(root, "programs", programs);
        add_number(root, "prepare-usec", t->prepared - t->started);
        add_number(root, "total-usec", (t->finished > 0 ? t->finished : t->prepared) - t->started);

        text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        return text ? strdup(text) : NULL;
}
