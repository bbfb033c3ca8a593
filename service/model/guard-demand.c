/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the guard's programs in the kernel are to do: put together from the settings, from a mode that somebody asked
 * for until the next boot, and from what runs; and what became of it.
 */
#include "model/guard-internal.h"
#include "model/settings.h"
#include "util/json-reader.h"
#include "util/log.h"

/* The parts of a demand that belong to it. */
typedef struct Draft {
        GuardPolicy policy;
        GuardHook *hooks;
        size_t n_hooks;
        GuardName *names;
        size_t n_names;
} Draft;

static void draft_done(Draft *draft) {
        free(draft->hooks);
        free(draft->names);
}

GuardMode guard_mode_wanted(const Guard *guard, bool *ret_overridden) {
        if (ret_overridden)
                *ret_overridden = guard->override >= 0;
        return guard->override >= 0 ? (GuardMode) guard->override : guard->settings.policy.mode;
}

GuardPolicy guard_policy_in_effect(const Guard *guard) {
        GuardPolicy policy = guard->settings.policy;

        policy.mode = guard_mode_wanted(guard, NULL);
        policy.force |= guard->override >= 0 && guard->override_force;
        return policy;
}

static int draft_name(Draft *draft, int ifindex, const char *name) {
        GuardName *entry = ARRAY_APPEND(draft->names, draft->n_names);

        if (!entry)
                return -ENOMEM;
        *entry = (GuardName){ ifindex, name };
        return 0;
}

static int draft_names(Draft *draft, const Interface *interface) {
        int r = draft_name(draft, interface->link.ifindex, interface->name);

        for (size_t i = 0; r >= 0 && i < interface->link.n_altnames; i++)
                r = draft_name(draft, interface->link.ifindex, interface->link.altnames[i]);
        return r;
}

static int draft_fill(const Guard *guard, Draft *draft) {
        TABLE_FOREACH (Chain, chain, &guard->manager->chains) {
                const Interface *interface;
                bool named;
                GuardHook *hook;

                if (!chain->attachment)
                        continue;
                /* Chains of one interface stand one behind the other. */
                named = draft->n_hooks > 0 && draft->hooks[draft->n_hooks - 1].ifindex == chain->ifindex;
                interface = named ? NULL : manager_get_interface(guard->manager, chain->interface);
                if (!named && (!interface || interface->link.ifindex != chain->ifindex)) /* it was renamed just now */
                        interface = guard_interface_of(guard, chain->ifindex);
                hook = ARRAY_APPEND(draft->hooks, draft->n_hooks);
                if (!hook)
                        return -ENOMEM;
                *hook = (GuardHook){ chain->ifindex, chain->hook, chain->info.kind, chain->info.link_id,
                                     chain->info.program_id };
                if (interface && draft_names(draft, interface) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* All of it as text, to be compared. */
static int draft_print(const Draft *draft, char **ret, size_t *ret_size) {
        _cleanup_json_ json_object *policy = guard_policy_to_json(&draft->policy);
        char *text = NULL;
        size_t size = 0;
        FILE *f = policy ? open_memstream(&text, &size) : NULL;

        if (!f)
                return -ENOMEM;
        fprintf(f, "%s\n", json_object_to_json_string_ext(policy, JSON_C_TO_STRING_PLAIN));
        for (size_t i = 0; i < draft->n_hooks; i++)
                fprintf(f, "%d %d %d %u %u\n", draft->hooks[i].ifindex, (int) draft->hooks[i].hook,
                        (int) draft->hooks[i].kind, draft->hooks[i].link_id, draft->hooks[i].program_id);
        for (size_t i = 0; i < draft->n_names; i++)
                fprintf(f, "%d %s\n", draft->names[i].ifindex, draft->names[i].name);
        if (fclose(f) != 0) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        *ret_size = size;
        return 0;
}

static int apply(Guard *guard, const Draft *draft, Error *error) {
        const GuardDemand demand = {
                .policy = &draft->policy,
                .hooks = draft->hooks,
                .n_hooks = draft->n_hooks,
                .names = draft->names,
                .n_names = draft->n_names,
        };
        GuardState state = guard->state;
        int r;

        if (!guard->manager->ops->guard_apply)
                r = draft->policy.mode == GUARD_MODE_OFF
                            ? 0
                            : error_set(error, ERROR_NOT_SUPPORTED,
                                        "bpfchaind was built without the guard's programs; rebuild it with them");
        else
                r = guard->manager->ops->guard_apply(guard->manager->kernel, &demand, &state, error);
        if (r < 0) {
                error_ensure(error, r, "The guard's programs");
                snprintf(state.reason, sizeof(state.reason), "%s", strna(error->message));
        } else if (state.mode != (int) draft->policy.mode) {
                r = error_set(error, ERROR_NOT_SUPPORTED, "%s",
                              strempty_to(state.reason, "the kernel's part of the guard is in another mode"));
        }
        guard->state = state;
        return r;
}

/* What the administrator is to hear of. */
static void set_problem(Guard *guard, const GuardPolicy *policy, const char *sentence) {
        guard->problem[0] = '\0';
        guard->problem_error = policy->mode == GUARD_MODE_ENFORCE;
        if (sentence)
                snprintf(guard->problem, sizeof(guard->problem),
                         "the guard is to be in mode %s and is in mode %s: %s", guard_mode_to_string(policy->mode),
                         strna(guard_mode_to_string((GuardMode) guard->state.mode)), sentence);
        if (!guard_policy_weakness(policy, guard->weakness))
                guard->weakness[0] = '\0';
}

/* `force`: although nothing has changed since it failed last. */
static int update(Guard *guard, bool force, Error *error) {
        _cleanup_(draft_done) Draft draft = { .policy = guard_policy_in_effect(guard) };
        _cleanup_free_ char *text = NULL;
        GuardState before = guard->state;
        size_t size = 0;
        int r;

        r = draft_fill(guard, &draft);
        if (r >= 0)
                r = draft_print(&draft, &text, &size);
        if (r < 0)
                return error_ensure(error, r, "The guard's demand");
        if (!(force && guard->failed) && guard->demanded && guard->demanded_size == size &&
            memcmp(guard->demanded, text, size) == 0)
                return 0;
        r = apply(guard, &draft, error);
        guard->failed = r < 0;
        free(guard->demanded);
        guard->demanded = TAKE_PTR(text);
        guard->demanded_size = size;
        set_problem(guard, &draft.policy, r < 0 ? error->message : NULL);
        if (before.mode != guard->state.mode || before.pinned != guard->state.pinned ||
            !streq_ptr(before.technique, guard->state.technique) || !streq(before.reason, guard->state.reason))
                OBSERVE(guard->manager, guard_changed);
        if (r >= 0 && before.mode != guard->state.mode)
                log_notice("The guard is in mode %s now%s%s", guard_mode_to_string(draft.policy.mode),
                           guard->state.technique ? ", by " : "", strempty_to(guard->state.technique, ""));
        return r;
}

void guard_update(Guard *guard) {
        _cleanup_error_ Error error = ERROR_INIT;
        char before[sizeof(guard->problem)];

        if (!guard->manager->ready)
                return;
        memcpy(before, guard->problem, sizeof(before));
        if (update(guard, false, &error) < 0 && !streq(before, guard->problem))
                log_warning("%s", *guard->problem ? guard->problem : strna(error.message));
}

int guard_configure(Guard *guard, const GuardSettings *settings, Error *error) {
        GuardPolicy policy = settings->policy;
        int r;

        policy.mode = guard->override >= 0 ? (GuardMode) guard->override : policy.mode;
        policy.force |= guard->override >= 0 && guard->override_force;
        r = guard_policy_check(&policy, error);
        if (r < 0)
                return r;
        guard->settings = *settings;
        guard->failed_settings = false;
        if (guard->manager->ready) {
                _cleanup_error_ Error ignored = ERROR_INIT; /* is a problem, and seen in the state */

                (void) update(guard, true, &ignored);
        }
        OBSERVE(guard->manager, guard_reconfigured);
        OBSERVE(guard->manager, guard_changed);
        return 0;
}

int guard_reload_settings(Guard *guard) {
        _cleanup_error_ Error error = ERROR_INIT;
        Settings settings = SETTINGS_INIT;
        _cleanup_free_ char *sentence = NULL;
        int r;

        r = settings_load(guard->manager->paths, &settings, &error);
        if (r >= 0)
                r = guard_configure(guard, &settings.guard, &error);
        if (r >= 0)
                return manager_note_problem(guard->manager, SEVERITY_ERROR, "settings", NULL);
        error_ensure(&error, r, "Settings");
        log_error("Settings are left as they were: %s", strna(error.message));
        if (asprintf(&sentence, "%s; the guard goes on with the settings that it had", strna(error.message)) < 0) {
                sentence = NULL;
                return -ENOMEM;
        }
        return manager_note_problem(guard->manager, SEVERITY_ERROR, "settings", sentence);
}

int guard_set_mode(Guard *guard, int mode, bool force, Error *error) {
        int before = guard->override;
        bool before_force = guard->override_force;
        GuardPolicy policy;
        int r;

        guard->override = mode < 0 ? -1 : mode;
        guard->override_force = mode >= 0 && force;
        policy = guard_policy_in_effect(guard);
        policy.force |= force;
        r = guard_policy_check(&policy, error);
        if (r >= 0 && guard->manager->ready)
                r = update(guard, true, error);
        /* What the settings ask for in vain is a problem of theirs, as at start, and no reason to keep to another. */
        if (r < 0 && mode < 0 && guard->failed) {
                error_done(error);
                r = 0;
        }
        if (r < 0) {
                _cleanup_error_ Error ignored = ERROR_INIT;

                guard->override = before;
                guard->override_force = before_force;
                if (guard->manager->ready)
                        (void) update(guard, true, &ignored);
                manager_refresh_problems(guard->manager);
                return r;
        }
        (void) state_save(guard->manager);
        manager_refresh_problems(guard->manager);
        OBSERVE(guard->manager, guard_changed);
        return 0;
}

json_object *guard_save(const Guard *guard) {
        GuardPolicy policy = guard->settings.policy;
        json_object *o = json_object_new_object();

        if (guard->override >= 0) {
                json_object_object_add(o, "mode",
                                       json_object_new_string(guard_mode_to_string((GuardMode) guard->override)));
                json_object_object_add(o, "force", json_object_new_boolean(guard->override_force));
        }
        json_object_object_add(o, "policy", guard_policy_to_json(&policy));
        return o;
}

void guard_restore(Guard *guard, json_object *saved) {
        _cleanup_error_ Error error = ERROR_INIT;
        GuardPolicy policy = GUARD_POLICY_DEFAULT;
        json_object *value = NULL;
        JsonReader reader;
        GuardMode mode;

        if (!json_object_is_type(saved, json_type_object))
                return;
        if (json_object_object_get_ex(saved, "mode", &value) && json_object_is_type(value, json_type_string)) {
                mode = guard_mode_from_string(json_object_get_string(value));
                guard->override = (int) mode < 0 ? -1 : (int) mode;
                guard->override_force = json_object_get_boolean(json_object_object_get(saved, "force"));
        }
        /* Settings that can't be read must not disarm what the last service was told to keep up. */
        if (guard->failed_settings && json_object_object_get_ex(saved, "policy", &value) &&
            json_reader_init(&reader, value, NULL, guard_policy_fields, guard_policy_n_fields, &error) >= 0 &&
            guard_policy_read(&reader, &policy) >= 0)
                guard->settings.policy = policy;
}

const char *guard_problem(const Guard *guard, bool *ret_error) {
        *ret_error = guard->problem_error;
        return *guard->problem ? guard->problem : NULL;
}

const char *guard_weakness(const Guard *guard) {
        return *guard->weakness ? guard->weakness : NULL;
}

const GuardState *guard_state(const Guard *guard) {
        return &guard->state;
}

int guard_rule_counters(const Guard *guard, GuardRuleCounters ret[_GUARD_RULE_MAX]) {
        memset(ret, 0, _GUARD_RULE_MAX * sizeof(GuardRuleCounters));
        if (!guard->manager->ops->guard_counters || !guard->state.technique)
                return 0;
        return guard->manager->ops->guard_counters(guard->manager->kernel, ret);
}
