/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/guard-internal.h"
#include "util/clock.h"
#include "util/log.h"

/* Constant, for "journalctl MESSAGE_ID=…", see bpfchaind(8). */
#define MESSAGE_ID_DISTURBED "2caed0c45bd4448ea0e8ad103234b05b"
#define MESSAGE_ID_LOADED    "02d9c7b8600f4da0a3477de4998f51c2"

/* Like events within this time are one, with a count. */
#define TOGETHER_USEC USEC_PER_SEC
/* What is told within so long: acts on hooks, and of loads of programs, which are no disturbance, signals and lines
 * of the log. What is more is only kept and counted. */
#define BUDGET_USEC (10 * USEC_PER_SEC)
#define ACT_TELLS   100
#define LOAD_TELLS  1000
#define LOAD_LINES  10

static const char *const guard_act_table[_GUARD_ACT_MAX] = {
        [GUARD_ACT_PROGRAM_LOADED] = "program-loaded",
        [GUARD_ACT_DETACHED] = "detached",
        [GUARD_ACT_REPLACED] = "replaced",
        [GUARD_ACT_PRECEDED] = "preceded",
        [GUARD_ACT_UNPINNED] = "unpinned",
        [GUARD_ACT_FILTER_ADDED] = "filter-added",
        [GUARD_ACT_FILTER_DELETED] = "filter-deleted",
        [GUARD_ACT_QDISC_ADDED] = "qdisc-added",
        [GUARD_ACT_QDISC_DELETED] = "qdisc-deleted",
        [GUARD_ACT_INTERFACE_RENAMED] = "interface-renamed",
        [GUARD_ACT_INTERFACE_MOVED] = "interface-moved",
        [GUARD_ACT_INTERFACE_DELETED] = "interface-deleted",
        [GUARD_ACT_ATTACH] = "attach",
        [GUARD_ACT_REPLACE] = "replace",
        [GUARD_ACT_DETACH] = "detach",
        [GUARD_ACT_PRECEDE] = "precede",
        [GUARD_ACT_FILTER_CHANGE] = "filter-change",
        [GUARD_ACT_QDISC_CHANGE] = "qdisc-change",
        [GUARD_ACT_INTERFACE_MOVE] = "interface-move",
        [GUARD_ACT_INTERFACE_DELETE] = "interface-delete",
        [GUARD_ACT_UNPIN] = "unpin",
        [GUARD_ACT_UNMOUNT] = "unmount",
        [GUARD_ACT_OPEN_OBJECT] = "open-object",
        [GUARD_ACT_REPLACE_FUNCTION] = "replace-function",
        [GUARD_ACT_LOAD_PROGRAM] = "load-program",
        [GUARD_ACT_SIGNAL] = "signal",
        [GUARD_ACT_TRACE] = "trace",
        [GUARD_ACT_UNCLEAR] = "unclear-message",
};

DEFINE_STRING_TABLE(guard_act, GuardAct, _GUARD_ACT_MAX)

static const char *const guard_outcome_table[_GUARD_OUTCOME_MAX] = {
        [GUARD_OUTCOME_NONE] = "none", [GUARD_OUTCOME_RESTORING] = "restoring", [GUARD_OUTCOME_RESTORED] = "restored",
        [GUARD_OUTCOME_HELD] = "left", [GUARD_OUTCOME_IMPOSSIBLE] = "failed",
};

DEFINE_STRING_TABLE(guard_outcome, GuardOutcome, _GUARD_OUTCOME_MAX)

static int ring_init(GuardRing *ring, size_t size) {
        ring->events = calloc(size, sizeof(GuardEvent));
        ring->size = size;
        return ring->events ? 0 : -ENOMEM;
}

/* The i-th newest, or NULL. */
static GuardEvent *ring_newest(const GuardRing *ring, size_t i) {
        return i < ring->size && i < ring->n ? &ring->events[(ring->n - 1 - i) % ring->size] : NULL;
}

int guard_new(Manager *manager, const GuardSettings *settings, Guard **ret) {
        _cleanup_(guard_freep) Guard *guard = calloc(1, sizeof(Guard));

        if (!guard)
                return -ENOMEM;
        guard->settings = *settings;
        guard->loads = calloc(GUARD_LOADS_KEPT, sizeof(GuardLoad));
        guard->programs = calloc(GUARD_PROGRAMS_KEPT, sizeof(GuardProgram));
        if (!guard->loads || !guard->programs || ring_init(&guard->acts, GUARD_EVENTS_KEPT) < 0)
                return -ENOMEM;
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
        free(guard->loads);
        free(guard->programs);
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

/* Several acts of the same process on the same hook, or many with nobody to name. */
static bool is_like(const GuardEvent *a, const GuardEvent *b) {
        return a->act == b->act && a->hook == b->hook && a->who.pid == b->who.pid && streq(a->pin, b->pin) &&
               streq(a->interface, b->interface) && b->boottime - a->last < TOGETHER_USEC;
}

static void log_event(const GuardEvent *event) {
        _cleanup_free_ char *text = guard_event_describe(event);
        char pid[16], uid[16], program[16];
        const LogFields fields = {
                .interface = *event->interface ? event->interface : NULL,
                .hook = event->hook >= 0 ? hook_to_string((Hook) event->hook) : NULL,
                .message_id = event->act == GUARD_ACT_PROGRAM_LOADED ? MESSAGE_ID_LOADED : MESSAGE_ID_DISTURBED,
                .act = guard_act_to_string(event->act),
                .source = event->source,
                .culprit_pid = event->who.pid > 0 ? pid : NULL,
                .culprit_uid = event->who.has_uid ? uid : NULL,
                .culprit_executable = *event->who.executable ? event->who.executable : NULL,
                .culprit_unit = *event->who.unit ? event->who.unit : NULL,
                .program_id = event->program_id > 0 ? program : NULL,
        };

        snprintf(pid, sizeof(pid), "%d", (int) event->who.pid);
        snprintf(uid, sizeof(uid), "%u", event->who.uid);
        snprintf(program, sizeof(program), "%u", event->program_id);
        log_with(event->act == GUARD_ACT_PROGRAM_LOADED ? LOG_INFO : LOG_WARNING, &fields, "%s", strna(text));
}

static bool take(GuardBudget *budget, uint64_t max, const char *what) {
        uint64_t now = usec_now(CLOCK_BOOTTIME);

        if (now - budget->since >= BUDGET_USEC) {
                if (budget->used > max)
                        log_notice("%llu more %s meanwhile; see \"bpfchain guard log\"",
                                   (unsigned long long) (budget->used - max), what);
                *budget = (GuardBudget){ .since = now };
        }
        return budget->used++ < max;
}

static void tell(Guard *guard, GuardEvent *event, Chain *chain) {
        bool may = take(&guard->act_tells, ACT_TELLS, "acts on hooks were seen");

        if (may)
                log_event(event);
        if (chain) {
                if (!chain->disturbance)
                        chain->disturbance = malloc(sizeof(GuardEvent));
                if (chain->disturbance)
                        *chain->disturbance = *event;
                OBSERVE(guard->manager, chain_changed, chain);
        }
        if (may)
                OBSERVE(guard->manager, guard_event, event, chain);
}

GuardEvent *guard_add(Guard *guard, const GuardEvent *event, Chain *chain) {
        GuardEvent *slot = ring_newest(&guard->acts, 0);

        guard->statistics.events++;
        for (size_t i = 0; i < 8 && (slot = ring_newest(&guard->acts, i)); i++)
                if (is_like(slot, event)) {
                        slot->count++;
                        slot->last = event->boottime;
                        slot->outcome = event->outcome;
                        guard->statistics.dropped++;
                        return slot;
                }
        if (guard->acts.n >= guard->acts.size)
                guard->statistics.dropped++;
        slot = &guard->acts.events[guard->acts.n++ % guard->acts.size];
        *slot = *event;
        slot->sequence = ++guard->sequence;
        slot->count = 1;
        slot->last = slot->boottime;
        tell(guard, slot, chain);
        return slot;
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
                return boottime - last->event.last < TOGETHER_USEC && streq(last->event.who.comm, who->comm) ? last
                                                                                                             : NULL;
        for (size_t i = 0; i < GUARD_LOADS_KEPT; i++) {
                last = &guard->loads[i];
                if (last->event.sequence > 0 && last->event.who.pid == who->pid &&
                    boottime - last->event.last < TOGETHER_USEC && streq(last->event.who.comm, who->comm))
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
                                     .hook = -1,
                                     .program_id = program_id,
                                     .source = "program-loads",
                                     .basis = "loaded-the-program",
                                     .count = 1,
                                     .last = boottime,
                                     .who = *who,
                             } };
        program_put(guard, program_id, i);
        if (!take(&guard->load_tells, LOAD_TELLS, "processes loaded programs"))
                return;
        if (take(&guard->load_lines, LOAD_LINES, "processes loaded programs")) {
                (void) guard->manager->ops->program_name(guard->manager->kernel, program_id,
                                                         load->event.program_name);
                log_event(&load->event);
        }
        OBSERVE(guard->manager, guard_event, &load->event, NULL);
}

void guard_note_unload(Guard *guard, uint32_t program_id) {
        GuardProgram *program = program_get(guard, program_id);

        guard->statistics.unloads++;
        if (program)
                program_drop(guard, (size_t) (program - guard->programs));
}

void guard_note_missed(Guard *guard, uint64_t n) {
        guard->statistics.missed += n;
}

static int by_sequence(const void *a, const void *b) {
        const GuardEvent *const *x = a, *const *y = b;

        return ((*x)->sequence > (*y)->sequence) - ((*x)->sequence < (*y)->sequence);
}

int guard_get_events(const Guard *guard, uint64_t since, size_t max, const GuardEvent ***ret, size_t *ret_n) {
        const GuardEvent **list = calloc(GUARD_EVENTS_KEPT + GUARD_LOADS_KEPT, sizeof(GuardEvent *));
        const GuardEvent *event;
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; (event = ring_newest(&guard->acts, i)); i++)
                if (event->sequence > since)
                        list[n++] = event;
        for (size_t i = 0; i < GUARD_LOADS_KEPT; i++)
                if (guard->loads[i].event.sequence > since)
                        list[n++] = &guard->loads[i].event;
        if (n > 0)
                qsort(list, n, sizeof(*list), by_sequence);
        if (n > max)
                memmove(list, list + n - max, max * sizeof(*list));
        *ret = list;
        *ret_n = MIN2(n, max);
        return 0;
}

static const char *act_sentence(GuardAct act) {
        switch (act) {
        case GUARD_ACT_PROGRAM_LOADED: return "a BPF program was loaded";
        case GUARD_ACT_DETACHED: return "the chain was taken off its hook";
        case GUARD_ACT_REPLACED: return "another program was put in the chain's place";
        case GUARD_ACT_PRECEDED: return "a program was put in front of the chain";
        case GUARD_ACT_UNPINNED: return "a pin of the chain was removed";
        case GUARD_ACT_FILTER_ADDED: return "a filter was added";
        case GUARD_ACT_FILTER_DELETED: return "a filter was deleted";
        case GUARD_ACT_QDISC_ADDED: return "a qdisc was added";
        case GUARD_ACT_QDISC_DELETED: return "a qdisc was deleted";
        case GUARD_ACT_INTERFACE_RENAMED: return "the interface was renamed";
        case GUARD_ACT_INTERFACE_MOVED: return "the interface was moved to another network namespace";
        case GUARD_ACT_INTERFACE_DELETED: return "the interface was deleted";
        case GUARD_ACT_ATTACH: return "attaching another program";
        case GUARD_ACT_REPLACE: return "replacing the chain's program";
        case GUARD_ACT_DETACH: return "taking the chain off its hook";
        case GUARD_ACT_PRECEDE: return "putting a program in front of the chain";
        case GUARD_ACT_FILTER_CHANGE: return "changing filters";
        case GUARD_ACT_QDISC_CHANGE: return "changing the qdisc";
        case GUARD_ACT_INTERFACE_MOVE: return "moving the interface to another network namespace";
        case GUARD_ACT_INTERFACE_DELETE: return "deleting the interface";
        case GUARD_ACT_UNPIN: return "removing a pin";
        case GUARD_ACT_UNMOUNT: return "unmounting the BPF file system";
        case GUARD_ACT_OPEN_OBJECT: return "opening a map for writing";
        case GUARD_ACT_REPLACE_FUNCTION: return "replacing a function of the chain";
        case GUARD_ACT_LOAD_PROGRAM: return "loading a program";
        case GUARD_ACT_SIGNAL: return "a signal to the service";
        case GUARD_ACT_TRACE: return "tracing the service";
        case GUARD_ACT_UNCLEAR: return "a netlink message too long to be checked";
        case _GUARD_ACT_MAX:
        case _GUARD_ACT_INVALID: break;
        }
        return "something happened";
}

char *guard_event_describe(const GuardEvent *event) {
        _cleanup_free_ char *who = culprit_describe(&event->who);
        const char *hook = event->hook >= 0 ? hook_to_string((Hook) event->hook) : NULL;
        char program[64] = "";
        char *text;

        if (event->program_id > 0)
                snprintf(program, sizeof(program), ", program %u%s%s", event->program_id,
                         *event->program_name ? " " : "", event->program_name);
        if (asprintf(&text, "%s%s%s%s%s%s%s%s, by %s%s", event->interface, hook ? "/" : "", hook ? hook : "",
                     *event->interface ? ": " : "", act_sentence(event->act), program, *event->detail ? ", " : "",
                     event->detail, strna(who),
                     event->outcome == GUARD_OUTCOME_RESTORING ? "; it is put back"
                     : event->outcome == GUARD_OUTCOME_HELD    ? "; it is left so"
                                                               : "") < 0)
                return NULL;
        return text;
}
