/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/guard-internal.h"
#include "util/log.h"

int guard_new(Manager *manager, const GuardSettings *settings, Guard **ret) {
        _cleanup_(guard_freep) Guard *guard = calloc(1, sizeof(Guard));
        _cleanup_error_ Error error = ERROR_INIT;
        int r;

        if (!guard)
                return -ENOMEM;
        guard->settings = *settings;
        guard->override = -1;
        guard->failed_settings = settings->unread;
        guard->loads = calloc(GUARD_LOADS_KEPT, sizeof(GuardLoad));
        guard->programs = calloc(GUARD_PROGRAMS_KEPT, sizeof(GuardProgram));
        if (!guard->loads || !guard->programs || guard_ring_init(&guard->acts, GUARD_EVENTS_KEPT) < 0 ||
            guard_ring_init(&guard->attempts, GUARD_ATTEMPTS_KEPT) < 0 ||
            guard_ring_init(&guard->allowed, GUARD_ALLOWED_KEPT) < 0)
                return -ENOMEM;
        if (guard_policy_check(&settings->policy, &error) < 0) {
                log_error("The guard's settings are refused: %s", strna(error.message));
                r = manager_note_problem(manager, SEVERITY_ERROR, "settings", error.message);
                if (r < 0)
                        return r;
                guard->settings.policy = GUARD_POLICY_DEFAULT;
                guard->failed_settings = true;
        }
        guard->manager = manager;
        manager->guard = guard;
        *ret = TAKE_PTR(guard);
        return 0;
}

Guard *guard_free(Guard *guard) {
        if (!guard)
                return NULL;
        if (guard->manager)
                guard->manager->guard = NULL;
        free(guard->acts.events);
        free(guard->attempts.events);
        free(guard->allowed.events);
        free(guard->loads);
        free(guard->programs);
        free(guard->demanded);
        free(guard);
        return NULL;
}

const GuardStatistics *guard_statistics(const Guard *guard) {
        return &guard->statistics;
}

const GuardSettings *guard_settings(const Guard *guard) {
        return &guard->settings;
}

int guard_set_source(Guard *guard, const char *name, const char *reason) {
        size_t i = 0;

        while (i < guard->n_sources && !streq(guard->source_names[i], name))
                i++;
        if (i == GUARD_SOURCES_MAX)
                return -ENOSPC;
        if (i == guard->n_sources)
                guard->n_sources++;
        guard->source_names[i] = name;
        guard->source_reasons[i] = reason;
        OBSERVE(guard->manager, guard_changed);
        return 0;
}

size_t guard_sources(const Guard *guard, const char *const **ret_names, const char *const **ret_reasons) {
        *ret_names = guard->source_names;
        *ret_reasons = guard->source_reasons;
        return guard->n_sources;
}

void guard_note_missed(Guard *guard, uint64_t n) {
        guard->statistics.missed += n;
}
