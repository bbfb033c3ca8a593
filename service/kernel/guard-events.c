/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/libbpf.h>

#include "kernel/guard-events.h"
#include "kernel/who.h"
#include "util/log.h"

#define EVENTS_AT_ONCE 256 /* so that a storm does not starve others */
#define NSEC_PER_USEC  1000

_Static_assert((int) GUARD_RULE_LINKS == GUARD_BPF_RULE_LINKS && (int) GUARD_RULE_NETLINK == GUARD_BPF_RULE_NETLINK &&
                       (int) GUARD_RULE_INTERFACES == GUARD_BPF_RULE_INTERFACES &&
                       (int) GUARD_RULE_PINS == GUARD_BPF_RULE_PINS &&
                       (int) GUARD_RULE_OBJECTS == GUARD_BPF_RULE_OBJECTS &&
                       (int) GUARD_RULE_SERVICE == GUARD_BPF_RULE_SERVICE &&
                       (int) GUARD_RULE_LOADS == GUARD_BPF_RULE_LOADS && (int) _GUARD_RULE_MAX == GUARD_BPF_RULES,
               "rules");

struct GuardEvents {
        struct ring_buffer *ring;
        GuardAttemptHandler handler;
        void *userdata;
        unsigned taken; /* in this turn */
};

static const GuardAct acts[GUARD_BPF_ACTS] = {
        [GUARD_BPF_ACT_ATTACH] = GUARD_ACT_ATTACH,
        [GUARD_BPF_ACT_REPLACE] = GUARD_ACT_REPLACE,
        [GUARD_BPF_ACT_DETACH] = GUARD_ACT_DETACH,
        [GUARD_BPF_ACT_PRECEDE] = GUARD_ACT_PRECEDE,
        [GUARD_BPF_ACT_FILTER_CHANGE] = GUARD_ACT_FILTER_CHANGE,
        [GUARD_BPF_ACT_QDISC_CHANGE] = GUARD_ACT_QDISC_CHANGE,
        [GUARD_BPF_ACT_INTERFACE_MOVE] = GUARD_ACT_INTERFACE_MOVE,
        [GUARD_BPF_ACT_INTERFACE_DELETE] = GUARD_ACT_INTERFACE_DELETE,
        [GUARD_BPF_ACT_UNPIN] = GUARD_ACT_UNPIN,
        [GUARD_BPF_ACT_UNMOUNT] = GUARD_ACT_UNMOUNT,
        [GUARD_BPF_ACT_OPEN_OBJECT] = GUARD_ACT_OPEN_OBJECT,
        [GUARD_BPF_ACT_REPLACE_FUNCTION] = GUARD_ACT_REPLACE_FUNCTION,
        [GUARD_BPF_ACT_LOAD_PROGRAM] = GUARD_ACT_LOAD_PROGRAM,
        [GUARD_BPF_ACT_SIGNAL] = GUARD_ACT_SIGNAL,
        [GUARD_BPF_ACT_TRACE] = GUARD_ACT_TRACE,
        [GUARD_BPF_ACT_UNCLEAR] = GUARD_ACT_UNCLEAR,
};

static int verdict_of(uint32_t verdict) {
        switch (verdict) {
        case GUARD_BPF_REFUSED: return GUARD_VERDICT_REFUSED;
        case GUARD_BPF_WOULD_REFUSE: return GUARD_VERDICT_WOULD_REFUSE;
        case GUARD_BPF_ALLOWED: return GUARD_VERDICT_ALLOWED;
        default: return _GUARD_VERDICT_INVALID;
        }
}

int guard_events_parse(const void *data, size_t size, GuardAttempt *ret) {
        const struct guard_bpf_event *event = data;
        GuardAttempt attempt;

        if (size < sizeof(*event) || event->rule >= GUARD_BPF_RULES || event->act == GUARD_BPF_ACT_NONE ||
            event->act >= GUARD_BPF_ACTS || verdict_of(event->verdict) < 0 || event->ifindex > INT32_MAX)
                return -EBADMSG;
        attempt = (GuardAttempt){
                .rule = (GuardRule) event->rule,
                .verdict = (GuardVerdict) verdict_of(event->verdict),
                .act = acts[event->act],
                .ifindex = (int) event->ifindex,
                .hook = event->hook < GUARD_BPF_HOOKS ? (int) event->hook : _HOOK_INVALID,
                .object_id = event->object,
                .detail = event->detail,
                .boottime = event->boottime / NSEC_PER_USEC,
        };
        snprintf(attempt.pin, sizeof(attempt.pin), "%.*s", GUARD_BPF_PIN - 1, event->pin);
        who_read(&event->who, &attempt.who);
        *ret = attempt;
        return 0;
}

static int on_event(void *context, void *data, size_t size) {
        GuardEvents *events = context;
        GuardAttempt attempt;

        if (guard_events_parse(data, size, &attempt) >= 0)
                events->handler(&attempt, events->userdata);
        else
                log_debug("Ignored a record of the guard's programs that makes no sense, %zu bytes", size);
        /* An error ends the turn behind this record; the descriptor stays readable. */
        return ++events->taken >= EVENTS_AT_ONCE ? -EAGAIN : 0;
}

int guard_events_new(const GuardSet *set, GuardEvents **ret) {
        _cleanup_(guard_events_freep) GuardEvents *events = calloc(1, sizeof(GuardEvents));

        if (!events)
                return -ENOMEM;
        events->ring = ring_buffer__new(set->maps[GUARD_MAP_EVENTS], on_event, events, NULL);
        if (!events->ring)
                return -errno;
        *ret = TAKE_PTR(events);
        return 0;
}

GuardEvents *guard_events_free(GuardEvents *events) {
        if (!events)
                return NULL;
        ring_buffer__free(events->ring);
        free(events);
        return NULL;
}

int guard_events_fd(const GuardEvents *events) {
        return ring_buffer__epoll_fd(events->ring);
}

int guard_events_read(GuardEvents *events, GuardAttemptHandler handler, void *userdata) {
        int r;

        events->handler = handler;
        events->userdata = userdata;
        events->taken = 0;
        r = ring_buffer__consume(events->ring);
        return r < 0 && r != -EAGAIN ? r : 0;
}
