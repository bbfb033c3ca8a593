/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that others loaded: who it was, and which of these still live.
 */
#include "model/guard-internal.h"
#include "util/clock.h"

#define LOAD_TELLS 1000
#define LOAD_LINES 10

/* Where the program is, or would have to be put. */
static size_t program_position(const Guard *guard, uint32_t id) {
        size_t low = 0, high = guard->n_programs;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (guard->programs[middle].id < id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static GuardProgram *program_get(const Guard *guard, uint32_t id) {
        size_t i = program_position(guard, id);

        return i < guard->n_programs && guard->programs[i].id == id ? &guard->programs[i] : NULL;
}

static void program_drop(Guard *guard, size_t i) {
        guard->loads[guard->programs[i].load].live--;
        memmove(&guard->programs[i], &guard->programs[i + 1], (guard->n_programs - i - 1) * sizeof(GuardProgram));
        guard->n_programs--;
}

/* Ids grow, so that a new one nearly always comes last. */
static void program_put(Guard *guard, uint32_t id, size_t load) {
        GuardProgram *known = program_get(guard, id);
        size_t i;

        if (known)
                program_drop(guard, (size_t) (known - guard->programs));
        if (guard->n_programs == GUARD_PROGRAMS_KEPT)
                program_drop(guard, 0);
        i = program_position(guard, id);
        memmove(&guard->programs[i + 1], &guard->programs[i], (guard->n_programs - i) * sizeof(GuardProgram));
        guard->programs[i] = (GuardProgram){ .id = id, .load = (uint32_t) load };
        guard->n_programs++;
        guard->loads[load].live++;
}

const GuardEvent *guard_loader_of(const Guard *guard, uint32_t program_id) {
        const GuardProgram *program = program_get(guard, program_id);

        return program ? &guard->loads[program->load].event : NULL;
}

/* Makes room: of those without programs that live the oldest, else the oldest. */
static size_t load_make_room(Guard *guard) {
        size_t best = 0;

        for (size_t i = 0; i < GUARD_LOADS_KEPT; i++) {
                const GuardLoad *a = &guard->loads[i], *b = &guard->loads[best];

                if (a->event.sequence == 0)
                        return i;
                if ((a->live > 0) != (b->live > 0) ? a->live == 0 : a->event.sequence < b->event.sequence)
                        best = i;
        }
        guard->statistics.dropped += guard->loads[best].event.count;
        for (size_t i = guard->n_programs; guard->loads[best].live > 0 && i > 0; i--)
                if (guard->programs[i - 1].load == best)
                        program_drop(guard, i - 1);
        return best;
}

/* Does the load belong to those of a process that go on? Several may load at once, so the last few are looked at. */
static GuardLoad *load_going_on(Guard *guard, const Culprit *who, uint64_t boottime) {
        GuardLoad *last = &guard->loads[guard->last_load];

        if (last->event.sequence > 0 && last->event.who.pid == who->pid)
                return boottime - last->event.last < GUARD_TOGETHER_USEC && streq(last->event.who.comm, who->comm)
                               ? last
                               : NULL;
        for (size_t i = 0; i < GUARD_LOADS_KEPT; i++) {
                last = &guard->loads[i];
                if (last->event.sequence > 0 && last->event.who.pid == who->pid &&
                    boottime - last->event.last < GUARD_TOGETHER_USEC && streq(last->event.who.comm, who->comm))
                        return last;
        }
        return NULL;
}

void guard_note_load(Guard *guard, uint32_t program_id, const Culprit *who, uint64_t boottime) {
        GuardLoad *load = load_going_on(guard, who, boottime);
        size_t i = load ? (size_t) (load - guard->loads) : load_make_room(guard);

        guard->statistics.loads++;
        guard->last_load = i;
        if (load) {
                load->event.count++;
                load->event.last = boottime;
                load->event.program_id = program_id;
                if (!*load->event.who.executable && *who->executable)
                        load->event.who = *who; /* this time it was there still */
                load->event.program_name[0] = '\0';
                program_put(guard, program_id, i);
                return;
        }
        load = &guard->loads[i];
        *load = (GuardLoad){ .event = {
                                     .sequence = ++guard->sequence,
                                     .realtime = usec_now(CLOCK_REALTIME),
                                     .boottime = boottime,
                                     .act = GUARD_ACT_PROGRAM_LOADED,
                                     .rule = -1,
                                     .hook = -1,
                                     .program_id = program_id,
                                     .source = "program-loads",
                                     .basis = "loaded-the-program",
                                     .count = 1,
                                     .last = boottime,
                                     .who = *who,
                             } };
        program_put(guard, program_id, i);
        if (!guard_take(&guard->load_tells, LOAD_TELLS, "processes loaded programs"))
                return;
        if (guard_take(&guard->load_lines, LOAD_LINES, "processes loaded programs")) {
                (void) guard->manager->ops->program_name(guard->manager->kernel, program_id,
                                                         load->event.program_name);
                guard_log_event(&load->event);
        }
        OBSERVE(guard->manager, guard_event, &load->event, NULL);
}

static void complete(char *text, size_t size, const char *from) {
        if (!*text)
                snprintf(text, size, "%s", from);
}

void guard_note_loader(Guard *guard, uint32_t program_id, const Culprit *who) {
        GuardProgram *program = program_get(guard, program_id);
        GuardLoad *load = program ? &guard->loads[program->load] : NULL;
        Culprit *known;

        /* A program that is gone already is mostly the last one of its process. */
        for (size_t i = 0; i < GUARD_LOADS_KEPT && !load; i++)
                if (guard->loads[i].event.sequence > 0 && guard->loads[i].event.program_id == program_id)
                        load = &guard->loads[i];
        if (!load || load->event.who.pid != who->pid)
                return;
        known = &load->event.who;
        if (!known->has_uid && who->has_uid) {
                known->has_uid = true;
                known->uid = who->uid;
        }
        if (!known->has_effective_uid && who->has_effective_uid) {
                known->has_effective_uid = true;
                known->effective_uid = who->effective_uid;
        }
        if (!known->has_login_uid && who->has_login_uid) {
                known->has_login_uid = true;
                known->login_uid = who->login_uid;
        }
        complete(known->comm, sizeof(known->comm), who->comm);
        if (!*known->executable && *who->executable) {
                complete(known->executable, sizeof(known->executable), who->executable);
                known->unknown[0] = '\0';
        }
}

void guard_note_unload(Guard *guard, uint32_t program_id) {
        GuardProgram *program = program_get(guard, program_id);

        guard->statistics.unloads++;
        if (program)
                program_drop(guard, (size_t) (program - guard->programs));
}
