/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pins of programs' maps, by which their contents outlive the service: looked at, told of, and put back, as often as
 * the limits of restoring allow.
 */
#include "model/guard-internal.h"
#include "util/clock.h"
#include "util/log.h"

static bool repin(Guard *guard, Program *program, GuardEvent *event) {
        _cleanup_error_ Error error = ERROR_INIT;

        if (guard->manager->ops->program_repin(guard->manager->kernel, program->kernel, &error) >= 0) {
                program->unpinned = false;
                return true;
        }
        if (event)
                snprintf(event->detail, sizeof(event->detail), "%s", strna(error.message));
        else
                log_warning("The maps of program %s: %s", program->name, strna(error.message));
        return false;
}

static void tell(Guard *guard, Program *program, const char *source) {
        GuardEvent event = {
                .realtime = usec_now(CLOCK_REALTIME),
                .boottime = usec_now(CLOCK_BOOTTIME),
                .act = GUARD_ACT_UNPINNED,
                .rule = -1,
                .hook = -1,
                .source = source,
                .basis = "",
        };
        uint64_t until;

        snprintf(event.pin, sizeof(event.pin), "maps/%s", program->name);
        snprintf(event.who.unknown, sizeof(event.who.unknown), "no source on this host tells who it was");
        (void) guard_blame(guard, &event, 0);
        if (!restores_allow(&program->repins, guard->settings.restore, &guard->settings.limits, event.boottime,
                            &until)) {
                event.outcome = GUARD_OUTCOME_HELD;
                if (until != UINT64_MAX) {
                        program->repin_at = until;
                        snprintf(event.detail, sizeof(event.detail), "too often: pinned again only after a pause");
                }
        } else
                event.outcome = repin(guard, program, &event) ? GUARD_OUTCOME_RESTORED : GUARD_OUTCOME_IMPOSSIBLE;
        (void) guard_add(guard, &event, NULL);
}

void guard_look_at_map_pins(Guard *guard, const char *source) {
        const KernelOps *ops = guard->manager->ops;

        TABLE_FOREACH (Program, program, &guard->manager->programs) {
                bool begins;

                if (!program->kernel || program->repin_at > 0)
                        continue;
                begins = !program->unpinned;
                program->unpinned = !ops->program_is_pinned(guard->manager->kernel, program->kernel);
                if (program->unpinned && begins)
                        tell(guard, program, source);
        }
}

uint64_t guard_map_pins_deadline(const Guard *guard) {
        uint64_t deadline = UINT64_MAX;

        TABLE_FOREACH (Program, program, &guard->manager->programs)
                if (program->repin_at > 0)
                        deadline = MIN2(deadline, program->repin_at);
        return deadline;
}

void guard_map_pins_wake(Guard *guard, uint64_t now) {
        TABLE_FOREACH (Program, program, &guard->manager->programs) {
                if (program->repin_at == 0 || program->repin_at > now)
                        continue;
                program->repin_at = 0;
                if (program->kernel)
                        (void) repin(guard, program, NULL);
        }
}
