/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/sources.h"

#include "kernel/culprits.h"
#include "kernel/pin-watch.h"
#include "kernel/pins.h"
#include "kernel/program-loads.h"
#include "kernel/tc-events.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/strv.h"

/* After a trigger, looks come after so long, and then whenever a sixth of the time since has gone by again, until it
 * is all over: what is done with a program just loaded is seen about as soon as that. */
#define FOLLOW_MIN_USEC  UINT64_C(500)
#define FOLLOW_SHARE     6
#define FOLLOW_STOP_USEC (2 * USEC_PER_SEC)
/* Looks take at most one part in so many of the time, however much happens. */
#define LOOK_SHARE   20
#define GAP_MAX_USEC (100 * USEC_PER_MSEC)
/* Largest pid, PID_MAX_LIMIT of include/linux/threads.h. libnl makes ports of a pid and a number above it. */
#define PID_BITS 22

struct Sources {
        sd_event *event;
        Guard *guard;
        Culprits *culprits;
        ProgramLoads *loads;
        TcEvents *tc;
        PinWatch *pins;
        pid_t self;
        sd_event_source *look;     /* the next one behind a trigger */
        sd_event_source *interval; /* where nothing tells */
        sd_event_source *wake;     /* pauses that end */
        uint64_t triggered;        /* microseconds, CLOCK_MONOTONIC: when the last trigger came */
        uint64_t looked, cost;     /* when the last look was over, and its time on a CPU */
        uint64_t due;              /* when the next one is, 0: none */
        unsigned what;             /* it has to look at */
        const char *source;        /* that triggered, static */
};

Sources *sources_free(Sources *sources) {
        if (!sources)
                return NULL;
        program_loads_free(sources->loads);
        tc_events_free(sources->tc);
        pin_watch_free(sources->pins);
        culprits_free(sources->culprits);
        sd_event_source_unref(sources->look);
        sd_event_source_unref(sources->interval);
        sd_event_source_unref(sources->wake);
        sd_event_unref(sources->event);
        free(sources);
        return NULL;
}

static void arm(sd_event_source *source, uint64_t at) {
        (void) sd_event_source_set_time(source, at);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Timers follow what there is to wait for. */
static void update(Sources *sources) {
        uint64_t interval = guard_settings(sources->guard)->check_interval, deadline;
        bool wanted = guard_settings(sources->guard)->watch && interval > 0 && guard_needs_interval(sources->guard);
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(sources->interval, &enabled);
        if (wanted && enabled == SD_EVENT_OFF) {
                (void) sd_event_source_set_time_relative(sources->interval, interval);
                (void) sd_event_source_set_enabled(sources->interval, SD_EVENT_ONESHOT);
        } else if (!wanted && enabled != SD_EVENT_OFF)
                (void) sd_event_source_set_enabled(sources->interval, SD_EVENT_OFF);

        deadline = guard_deadline(sources->guard);
        if (deadline == UINT64_MAX)
                (void) sd_event_source_set_enabled(sources->wake, SD_EVENT_OFF);
        else
                arm(sources->wake, deadline);
}

static void look(Sources *sources) {
        uint64_t started = usec_now(CLOCK_THREAD_CPUTIME_ID);
        unsigned what = sources->what;

        sources->what = 0;
        guard_look(sources->guard, what, sources->source ? sources->source : "look");
        sources->looked = usec_now(CLOCK_MONOTONIC);
        sources->cost = usec_now(CLOCK_THREAD_CPUTIME_ID) - started;
        update(sources);
}

static void schedule(Sources *sources, uint64_t at) {
        uint64_t gap = MIN2(MAX2(FOLLOW_MIN_USEC, sources->cost * LOOK_SHARE), GAP_MAX_USEC);

        at = MAX2(at, sources->looked + gap);
        if (sources->due > 0 && sources->due <= at)
                return;
        sources->due = at;
        arm(sources->look, at);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        Sources *sources = userdata;
        uint64_t gone;

        sources->due = 0;
        look(sources);
        gone = sources->looked - sources->triggered;
        if (gone < FOLLOW_STOP_USEC)
                schedule(sources, sources->looked + MAX2(FOLLOW_MIN_USEC, gone / FOLLOW_SHARE));
        return 0;
}

static void trigger(Sources *sources, unsigned what, const char *source) {
        if (!guard_settings(sources->guard)->watch || !guard_has_chains(sources->guard))
                return;
        sources->triggered = usec_now(CLOCK_MONOTONIC);
        sources->what |= what;
        sources->source = source;
        schedule(sources, sources->triggered);
}

static int on_interval(sd_event_source *source, uint64_t usec, void *userdata) {
        Sources *sources = userdata;

        sources->what |= GUARD_LOOK_FILTERS | (sources->pins ? 0 : GUARD_LOOK_PINS);
        sources->source = "interval";
        look(sources);
        return 0;
}

static int on_wake(sd_event_source *source, uint64_t usec, void *userdata) {
        Sources *sources = userdata;

        guard_wake(sources->guard, usec_now(CLOCK_BOOTTIME));
        update(sources);
        return 0;
}

static void on_program(const PerfRecord *record, void *userdata) {
        Sources *sources = userdata;
        Culprit who;

        switch (record->type) {
        case PERF_RECORD_OTHER_KIND: return;
        case PERF_RECORD_EVENTS_LOST: guard_note_missed(sources->guard, record->lost); break;
        case PERF_RECORD_PROGRAM_UNLOADED: guard_note_unload(sources->guard, record->program_id); return;
        case PERF_RECORD_PROGRAM_LOADED:
                if (record->pid == sources->self)
                        return;
                culprits_look(sources->culprits, record->pid, record->tid, &who);
                guard_note_load(sources->guard, record->program_id, &who, record->nsec / 1000);
                break;
        }
        trigger(sources, 0, "program-loads");
}

/* Sockets that name no port get their process's pid, mostly; libnl puts a number above it. The kernel makes up others
 * (the topmost bit is set) where that is taken. */
static pid_t pid_of_port(uint32_t port) {
        return port > INT32_MAX ? 0 : (pid_t) (port & ((1U << PID_BITS) - 1));
}

static void on_tc(const TcFact *fact, void *userdata) {
        Sources *sources = userdata;
        Culprit who;

        if (!fact)
                guard_note_missed(sources->guard, 1);
        else {
                pid_t pid = pid_of_port(fact->port);

                if (pid == sources->self || !guard_wants_tc(sources->guard, fact))
                        return;
                culprits_look(sources->culprits, pid, 0, &who);
                guard_note_tc(sources->guard, fact, &who);
        }
        trigger(sources, GUARD_LOOK_FILTERS, "tc-events");
}

static void on_pin(const PinFact *fact, void *userdata) {
        Sources *sources = userdata;
        Culprit who;

        if (fact->pid == sources->self)
                return;
        if (fact->pid > 0) {
                culprits_look(sources->culprits, fact->pid, 0, &who);
                guard_note_pin(sources->guard, fact->name, &who);
        }
        if (fact->lost)
                pin_watch_refresh(sources->pins);
        trigger(sources, GUARD_LOOK_PINS, "pins");
}

static int open_pins(Sources *sources, const Kernel *kernel, const char **ret_reason) {
        _cleanup_strv_ char **folders = NULL;
        int r = strv_append(&folders, kernel->bpffs_dir);

        for (PinKind kind = 0; r >= 0 && kind < _PIN_KIND_MAX; kind++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s/%s", kernel->bpffs_dir, pin_kind_to_string(kind)) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = strv_append(&folders, path);
        }
        if (r < 0)
                return r;
        return pin_watch_new(sources->event, folders, on_pin, sources, ret_reason, &sources->pins);
}

static void note(Sources *sources, const char *name, int r, const char *reason) {
        if (r < 0)
                log_notice("The guard goes without %s: %s (%s)", name, reason, strerror(-r));
        (void) guard_set_source(sources->guard, name, r < 0 ? reason : NULL);
}

static int open_timers(Sources *sources) {
        uint64_t interval = guard_settings(sources->guard)->check_interval;
        int r;

        r = sd_event_add_time(sources->event, &sources->look, CLOCK_MONOTONIC, UINT64_MAX, 1, on_look, sources);
        if (r >= 0)
                r = sd_event_source_set_enabled(sources->look, SD_EVENT_OFF);
        /* At leisure, together with whatever else wakes the machine. */
        if (r >= 0)
                r = sd_event_add_time(sources->event, &sources->interval, CLOCK_MONOTONIC, UINT64_MAX,
                                      MAX2(interval / 4, (uint64_t) 1), on_interval, sources);
        if (r >= 0)
                r = sd_event_source_set_enabled(sources->interval, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(sources->event, &sources->wake, CLOCK_BOOTTIME, UINT64_MAX, USEC_PER_MSEC,
                                      on_wake, sources);
        if (r >= 0)
                r = sd_event_source_set_enabled(sources->wake, SD_EVENT_OFF);
        return r;
}

static void open_all(Sources *sources, const Kernel *kernel) {
        Guard *guard = sources->guard;
        const char *reason = NULL;
        int r;

        (void) guard_set_source(guard, "links", NULL);
        /* Behind all else, so that a flood of programs does not keep callers waiting. */
        r = program_loads_new(sources->event, SD_EVENT_PRIORITY_IDLE, on_program, sources, &reason, &sources->loads);
        note(sources, "program-loads", r, reason);
        r = tc_events_new(sources->event, on_tc, sources, &reason, &sources->tc);
        note(sources, "tc-events", r, reason);
        r = open_pins(sources, kernel, &reason);
        note(sources, "pins", r, reason);
        if (r >= 0)
                (void) guard_set_source(guard, "pin-culprits",
                                        pin_watch_tells_who(sources->pins)
                                                ? NULL
                                                : "fanotify can't be had on bpffs: it takes CAP_SYS_ADMIN and a "
                                                  "newer kernel");
        (void) guard_set_source(
                guard, "interval",
                guard_settings(guard)->check_interval > 0 ? NULL : "\"check-interval\" of the settings is 0");
}

static void turn_off(Guard *guard) {
        static const char *const names[] = {
                "links", "program-loads", "tc-events", "pins", "pin-culprits", "interval"
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                (void) guard_set_source(guard, names[i], "\"watch\" of the settings is false");
}

int sources_new(sd_event *event, const Kernel *kernel, Guard *guard, Sources **ret) {
        _cleanup_(sources_freep) Sources *sources = calloc(1, sizeof(Sources));
        int r;

        if (!sources)
                return -ENOMEM;
        sources->event = sd_event_ref(event);
        sources->guard = guard;
        sources->self = getpid();
        r = culprits_new("/proc", &sources->culprits);
        if (r >= 0)
                r = open_timers(sources);
        if (r < 0)
                return r;

        if (guard_settings(guard)->watch)
                open_all(sources, kernel);
        else
                turn_off(guard);
        trigger(sources, GUARD_LOOK_FILTERS | GUARD_LOOK_PINS, "start");
        update(sources);
        *ret = TAKE_PTR(sources);
        return 0;
}

void sources_link_event(Sources *sources) {
        if (sources)
                trigger(sources, GUARD_LOOK_FILTERS, "links");
}

void sources_before_reconcile(Sources *sources) {
        if (!sources)
                return;
        sources->what |= GUARD_LOOK_FILTERS;
        look(sources);
}

void sources_after_reconcile(Sources *sources) {
        if (!sources)
                return;
        guard_settle(sources->guard);
        update(sources);
}
