/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/looks.h"
#include "util/clock.h"

/* Looks follow so closely at first, and then whenever so small a share of the time since has gone by again, until it
 * is all over: what is done with a program just loaded is seen about as soon as that. A tool mostly needs some 10 to
 * 100 ms from loading to attaching. */
#define FOLLOW_MIN_USEC  UINT64_C(500)
#define FOLLOW_SHARE     50
#define FOLLOW_STOP_USEC (2 * USEC_PER_SEC)
/* Looks take at most one part in so many of the time, however much happens. */
#define LOOK_SHARE   20
#define GAP_MAX_USEC (100 * USEC_PER_MSEC)

struct Looks {
        Guard *guard;
        sd_event_source *look;     /* the next one behind a trigger */
        sd_event_source *interval; /* where nothing tells */
        sd_event_source *wake;     /* pauses that end */
        bool following;            /* looks follow the trigger */
        uint64_t triggered;        /* microseconds, CLOCK_MONOTONIC: when the last trigger came */
        uint64_t looked, cost;     /* when the last look was over, and its time on a CPU */
        uint64_t due;              /* when the next one is, 0: none */
        unsigned what;             /* it has to look at */
        unsigned interval_extra;
        const char *source; /* that triggered, static */
        void (*before)(void *userdata);
        void *userdata;
};

Looks *looks_free(Looks *looks) {
        if (!looks)
                return NULL;
        sd_event_source_unref(looks->look);
        sd_event_source_unref(looks->interval);
        sd_event_source_unref(looks->wake);
        free(looks);
        return NULL;
}

static void arm(sd_event_source *source, uint64_t at) {
        (void) sd_event_source_set_time(source, at);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void looks_update(Looks *looks) {
        uint64_t interval = guard_settings(looks->guard)->check_interval, deadline;
        bool wanted = guard_settings(looks->guard)->watch && interval > 0 && guard_needs_interval(looks->guard);
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(looks->interval, &enabled);
        if (wanted && enabled == SD_EVENT_OFF) {
                /* At leisure, together with whatever else wakes the machine. */
                (void) sd_event_source_set_time_accuracy(looks->interval, MAX2(interval / 4, (uint64_t) 1));
                (void) sd_event_source_set_time_relative(looks->interval, interval);
                (void) sd_event_source_set_enabled(looks->interval, SD_EVENT_ONESHOT);
        } else if (!wanted && enabled != SD_EVENT_OFF)
                (void) sd_event_source_set_enabled(looks->interval, SD_EVENT_OFF);

        deadline = guard_deadline(looks->guard);
        if (deadline == UINT64_MAX)
                (void) sd_event_source_set_enabled(looks->wake, SD_EVENT_OFF);
        else
                arm(looks->wake, deadline);
}

void looks_now(Looks *looks, unsigned what, const char *source) {
        uint64_t started;

        if (looks->before)
                looks->before(looks->userdata);
        started = usec_now(CLOCK_THREAD_CPUTIME_ID);
        what |= looks->what;
        looks->what = 0;
        guard_look(looks->guard, what, source ? source : looks->source ? looks->source : "look");
        looks->looked = usec_now(CLOCK_MONOTONIC);
        looks->cost = usec_now(CLOCK_THREAD_CPUTIME_ID) - started;
        looks_update(looks);
}

static void schedule(Looks *looks, uint64_t at) {
        uint64_t gap = MIN2(MAX2(FOLLOW_MIN_USEC, looks->cost * LOOK_SHARE), GAP_MAX_USEC);

        at = MAX2(at, looks->looked + gap);
        if (looks->due > 0 && looks->due <= at)
                return;
        looks->due = at;
        arm(looks->look, at);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        Looks *looks = userdata;
        uint64_t gone;

        looks->due = 0;
        looks_now(looks, 0, NULL);
        gone = looks->looked - looks->triggered;
        if (gone >= FOLLOW_STOP_USEC)
                looks->following = false;
        if (looks->following)
                schedule(looks, looks->looked + MAX2(FOLLOW_MIN_USEC, gone / FOLLOW_SHARE));
        return 0;
}

void looks_trigger(Looks *looks, unsigned what, const char *source) {
        if (!guard_settings(looks->guard)->watch || !guard_has_chains(looks->guard))
                return;
        looks->what |= what;
        looks->source = source;
        schedule(looks, usec_now(CLOCK_MONOTONIC));
}

void looks_follow(Looks *looks, unsigned what, const char *source) {
        looks->triggered = usec_now(CLOCK_MONOTONIC);
        looks->following = true;
        looks_trigger(looks, what, source);
}

static int on_interval(sd_event_source *source, uint64_t usec, void *userdata) {
        Looks *looks = userdata;

        looks_now(looks, GUARD_LOOK_FILTERS | looks->interval_extra, "interval");
        return 0;
}

static int on_wake(sd_event_source *source, uint64_t usec, void *userdata) {
        Looks *looks = userdata;

        guard_wake(looks->guard, usec_now(CLOCK_BOOTTIME));
        looks_update(looks);
        return 0;
}

void looks_set_before(Looks *looks, void (*before)(void *userdata), void *userdata) {
        looks->before = before;
        looks->userdata = userdata;
}

void looks_set_interval_extra(Looks *looks, unsigned what) {
        looks->interval_extra = what;
}

static int add_timer(sd_event *event, clockid_t clock, uint64_t accuracy, sd_event_time_handler_t handler,
                     Looks *looks, sd_event_source **ret) {
        int r = sd_event_add_time(event, ret, clock, UINT64_MAX, accuracy, handler, looks);

        return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

int looks_new(sd_event *event, Guard *guard, Looks **ret) {
        _cleanup_(looks_freep) Looks *looks = calloc(1, sizeof(Looks));
        int r;

        if (!looks)
                return -ENOMEM;
        looks->guard = guard;
        r = add_timer(event, CLOCK_MONOTONIC, 1, on_look, looks, &looks->look);
        if (r >= 0)
                r = add_timer(event, CLOCK_MONOTONIC, 1, on_interval, looks, &looks->interval);
        if (r >= 0)
                r = add_timer(event, CLOCK_BOOTTIME, USEC_PER_MSEC, on_wake, looks, &looks->wake);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(looks);
        return 0;
}
