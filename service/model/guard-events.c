/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events: kept in rings of fixed size, told once, counted when they are like another.
 */
#include "model/guard-internal.h"
#include "util/clock.h"
#include "util/log.h"

/* Constant, for "journalctl MESSAGE_ID=…", see bpfchaind(8). */
#define MESSAGE_ID_DISTURBED    "2caed0c45bd4448ea0e8ad103234b05b"
#define MESSAGE_ID_LOADED       "02d9c7b8600f4da0a3477de4998f51c2"
#define MESSAGE_ID_REFUSED      "43e2ab6f9a8c4afd892af9fd9e3f0158"
#define MESSAGE_ID_WOULD_REFUSE "dccc6caf205a43acadff07226ad6e161"
#define MESSAGE_ID_ALLOWED      "0fbfa9ab99b84e3b9bed1bee19563a1b"

/* The last so many are compared: like ones are one event with a count. */
#define LOOKED_BACK 8
/* What is told within so long, of acts and of attempts of each verdict, in signals and lines of the log. What is more
 * is only kept and counted. */
#define BUDGET_USEC (10 * USEC_PER_SEC)
#define ACT_TELLS   100

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

static const char *const guard_verdict_table[_GUARD_VERDICT_MAX] = {
        [GUARD_VERDICT_SEEN] = "seen",
        [GUARD_VERDICT_REFUSED] = "refused",
        [GUARD_VERDICT_WOULD_REFUSE] = "would-refuse",
        [GUARD_VERDICT_ALLOWED] = "allowed",
};

DEFINE_STRING_TABLE(guard_verdict, GuardVerdict, _GUARD_VERDICT_MAX)

int guard_ring_init(GuardRing *ring, size_t size) {
        ring->events = calloc(size, sizeof(GuardEvent));
        ring->size = size;
        return ring->events ? 0 : -ENOMEM;
}

const GuardEvent *guard_ring_newest(const GuardRing *ring, size_t i) {
        return i < ring->size && i < ring->n ? &ring->events[(ring->n - 1 - i) % ring->size] : NULL;
}

/* Several acts of the same process on the same hook, or many with nobody to name. Of attempts ("rm -r") it does not
 * matter which pin they are about. */
static bool is_like(const GuardEvent *a, const GuardEvent *b) {
        return a->act == b->act && a->verdict == b->verdict && a->rule == b->rule && a->hook == b->hook &&
               a->who.pid == b->who.pid && (a->verdict != GUARD_VERDICT_SEEN || streq(a->pin, b->pin)) &&
               streq(a->interface, b->interface) && b->boottime - a->last < GUARD_TOGETHER_USEC;
}

static int level_of(const GuardEvent *event) {
        switch (event->verdict) {
        case GUARD_VERDICT_SEEN: return event->act == GUARD_ACT_PROGRAM_LOADED ? LOG_INFO : LOG_WARNING;
        case GUARD_VERDICT_REFUSED: return LOG_WARNING;
        case GUARD_VERDICT_WOULD_REFUSE: return LOG_NOTICE;
        case GUARD_VERDICT_ALLOWED: return LOG_INFO;
        case _GUARD_VERDICT_MAX:
        case _GUARD_VERDICT_INVALID: break;
        }
        return LOG_WARNING;
}

static const char *message_id_of(const GuardEvent *event) {
        switch (event->verdict) {
        case GUARD_VERDICT_SEEN:
                return event->act == GUARD_ACT_PROGRAM_LOADED ? MESSAGE_ID_LOADED : MESSAGE_ID_DISTURBED;
        case GUARD_VERDICT_REFUSED: return MESSAGE_ID_REFUSED;
        case GUARD_VERDICT_WOULD_REFUSE: return MESSAGE_ID_WOULD_REFUSE;
        case GUARD_VERDICT_ALLOWED: return MESSAGE_ID_ALLOWED;
        case _GUARD_VERDICT_MAX:
        case _GUARD_VERDICT_INVALID: break;
        }
        return NULL;
}

void guard_log_event(const GuardEvent *event) {
        _cleanup_free_ char *text = guard_event_describe(event);
        char pid[16], uid[16], program[16];
        const LogFields fields = {
                .interface = *event->interface ? event->interface : NULL,
                .hook = event->hook >= 0 ? hook_to_string((Hook) event->hook) : NULL,
                .message_id = message_id_of(event),
                .act = guard_act_to_string(event->act),
                .verdict = guard_verdict_to_string(event->verdict),
                .rule = guard_rule_to_string((GuardRule) event->rule),
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
        log_with(level_of(event), &fields, "%s", strna(text));
}

bool guard_take(GuardBudget *budget, uint64_t max, const char *what) {
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
        static const char *const what[_GUARD_VERDICT_MAX] = {
                [GUARD_VERDICT_SEEN] = "acts on hooks were seen",
                [GUARD_VERDICT_REFUSED] = "acts were refused",
                [GUARD_VERDICT_WOULD_REFUSE] = "acts would have been refused",
                [GUARD_VERDICT_ALLOWED] = "acts were allowed",
        };
        bool may = guard_take(&guard->tells[event->verdict], ACT_TELLS, what[event->verdict]);

        if (may)
                guard_log_event(event);
        if (chain && event->verdict != GUARD_VERDICT_ALLOWED) {
                if (!chain->disturbance)
                        chain->disturbance = malloc(sizeof(GuardEvent));
                if (chain->disturbance)
                        *chain->disturbance = *event;
                OBSERVE(guard->manager, chain_changed, chain);
        }
        if (may)
                OBSERVE(guard->manager, guard_event, event, chain);
}

/* What is allowed does not drive out what was refused, nor that what was done. */
static GuardRing *ring_of(Guard *guard, const GuardEvent *event) {
        return event->verdict == GUARD_VERDICT_SEEN      ? &guard->acts
               : event->verdict == GUARD_VERDICT_ALLOWED ? &guard->allowed
                                                         : &guard->attempts;
}

GuardEvent *guard_add(Guard *guard, const GuardEvent *event, Chain *chain) {
        GuardRing *ring = ring_of(guard, event);
        GuardEvent *slot;

        if (event->verdict == GUARD_VERDICT_SEEN)
                guard->statistics.events++;
        else
                guard->statistics.attempts++;
        for (size_t i = 0; i < LOOKED_BACK && (slot = (GuardEvent *) guard_ring_newest(ring, i)); i++)
                if (is_like(slot, event)) {
                        slot->count++;
                        slot->last = event->boottime;
                        slot->outcome = event->outcome;
                        guard->statistics.dropped++;
                        return slot;
                }
        if (ring->n >= ring->size)
                guard->statistics.dropped++;
        slot = &ring->events[ring->n++ % ring->size];
        *slot = *event;
        slot->sequence = ++guard->sequence;
        slot->count = 1;
        slot->last = slot->boottime;
        tell(guard, slot, chain);
        return slot;
}

static int by_sequence(const void *a, const void *b) {
        const GuardEvent *const *x = a, *const *y = b;

        return ((*x)->sequence > (*y)->sequence) - ((*x)->sequence < (*y)->sequence);
}

int guard_get_events(const Guard *guard, uint64_t since, size_t max, const GuardEvent ***ret, size_t *ret_n) {
        const GuardRing *const rings[] = { &guard->acts, &guard->attempts, &guard->allowed };
        const GuardEvent **list = calloc(GUARD_ALL_KEPT, sizeof(GuardEvent *));
        const GuardEvent *event;
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t k = 0; k < ELEMENTSOF(rings); k++)
                for (size_t i = 0; (event = guard_ring_newest(rings[k], i)); i++)
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
        case GUARD_ACT_UNPINNED: return "a pin was removed";
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

static const char *verdict_word(GuardVerdict verdict) {
        switch (verdict) {
        case GUARD_VERDICT_REFUSED: return "refused: ";
        case GUARD_VERDICT_WOULD_REFUSE: return "would be refused: ";
        case GUARD_VERDICT_ALLOWED: return "allowed: ";
        case GUARD_VERDICT_SEEN:
        case _GUARD_VERDICT_MAX:
        case _GUARD_VERDICT_INVALID: break;
        }
        return "";
}

char *guard_event_describe(const GuardEvent *event) {
        _cleanup_free_ char *who = culprit_describe(&event->who);
        const char *hook = event->hook >= 0 ? hook_to_string((Hook) event->hook) : NULL;
        char object[160] = "";
        char *text;

        if (event->program_id > 0)
                snprintf(object, sizeof(object), ", program %u%s%s", event->program_id,
                         *event->program_name ? " " : "", event->program_name);
        else if (*event->pin)
                snprintf(object, sizeof(object), ", %s", event->pin);
        if (asprintf(&text, "%s%s%s%s%s%s%s%s%s, by %s%s", event->interface, hook ? "/" : "", hook ? hook : "",
                     *event->interface ? ": " : "", verdict_word(event->verdict), act_sentence(event->act), object,
                     *event->detail ? ", " : "", event->detail, strna(who),
                     event->outcome == GUARD_OUTCOME_RESTORING ? "; it is put back"
                     : event->outcome == GUARD_OUTCOME_HELD    ? "; it is left so"
                                                               : "") < 0)
                return NULL;
        return text;
}
