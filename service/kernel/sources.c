/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/sources.h"

#include "kernel/audit-records.h"
#include "kernel/culprits.h"
#include "kernel/guard-programs.h"
#include "kernel/hook-facts.h"
#include "kernel/looks.h"
#include "kernel/pin-watch.h"
#include "kernel/pins.h"
#include "kernel/program-loads.h"
#include "kernel/tc-events.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/strv.h"

/* Largest pid, PID_MAX_LIMIT of include/linux/threads.h. libnl makes ports of a pid and a number above it. */
#define PID_BITS 22

struct Sources {
        sd_event *event;
        const Kernel *kernel;
        Guard *guard;
        Looks *looks;
        Culprits *culprits;
        ProgramLoads *loads;
        TcEvents *tc;
        PinWatch *pins;
        HookFacts *facts;
        AuditRecords *audit;
        sd_event_source *opening;  /* of facts, which takes its time: once the service is ready */
        sd_event_source *attempts; /* NULL while the guard's programs are not there */
        bool watching;
        bool facts_complete;
        pid_t self;
};

static void close_all(Sources *sources) {
        sources->loads = program_loads_free(sources->loads);
        sources->tc = tc_events_free(sources->tc);
        sources->pins = pin_watch_free(sources->pins);
        sources->opening = sd_event_source_unref(sources->opening);
        sources->facts = hook_facts_free(sources->facts);
        sources->audit = audit_records_free(sources->audit);
        sources->facts_complete = false;
        guard_set_facts_complete(sources->guard, false);
        sources->watching = false;
}

Sources *sources_free(Sources *sources) {
        if (!sources)
                return NULL;
        guard_set_reader(sources->guard, NULL, NULL);
        guard_programs_set_reader(sources->kernel->guard_programs, NULL, NULL);
        sd_event_source_unref(sources->attempts);
        close_all(sources);
        culprits_free(sources->culprits);
        looks_free(sources->looks);
        sd_event_unref(sources->event);
        free(sources);
        return NULL;
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
        /* What is done with it is told by itself, or found by looks. */
        if (!sources->facts_complete)
                looks_follow(sources->looks, 0, "program-loads");
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
        looks_trigger(sources->looks, GUARD_LOOK_FILTERS, "tc-events");
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
        if (fact->lost || fact->grown)
                pin_watch_refresh(sources->pins);
        if (fact->grown)
                return;
        looks_trigger(sources->looks, GUARD_LOOK_PINS, "pins");
}

static void on_fact(const GuardFact *fact, void *userdata) {
        Sources *sources = userdata;
        GuardFact full;

        if (!fact) {
                guard_note_missed(sources->guard, 1);
                looks_trigger(sources->looks, GUARD_LOOK_FILTERS, "hook-facts");
                return;
        }
        if (fact->who.pid == sources->self)
                return;
        full = *fact;
        culprits_complete(sources->culprits, &full.who);
        if (guard_note_fact(sources->guard, &full))
                looks_trigger(sources->looks, GUARD_LOOK_FILTERS, "hook-facts");
}

/* Where the kernel's records of loads are not to be had. */
static void on_program_fact(const ProgramFact *fact, void *userdata) {
        Sources *sources = userdata;
        Culprit who = fact->who;

        if (!fact->loaded) {
                guard_note_unload(sources->guard, fact->program_id);
                return;
        }
        culprits_complete(sources->culprits, &who);
        guard_note_load(sources->guard, fact->program_id, &who, fact->boottime);
        if (!sources->facts_complete)
                looks_follow(sources->looks, 0, "program-loads");
}

static void on_audit(uint32_t program_id, const Culprit *who, void *userdata) {
        Sources *sources = userdata;

        if (who)
                guard_note_loader(sources->guard, program_id, who);
        else
                (void) guard_set_source(sources->guard, "audit", NULL);
}

static void on_attempt(const GuardAttempt *attempt, void *userdata) {
        Sources *sources = userdata;
        GuardAttempt full = *attempt;

        culprits_complete(sources->culprits, &full.who);
        guard_note_attempt(sources->guard, &full);
        /* The kernel goes on with it only now. */
        if (attempt->verdict != GUARD_VERDICT_REFUSED)
                looks_follow(sources->looks,
                             GUARD_LOOK_FILTERS | (attempt->rule == GUARD_RULE_PINS ? GUARD_LOOK_PINS : 0), "guard");
}

static int on_attempts_readable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Sources *sources = userdata;
        uint64_t lost = 0;
        int r;

        r = guard_programs_read(sources->kernel->guard_programs, on_attempt, sources, &lost);
        if (r < 0) {
                log_warning("What the guard's programs tell can't be read: %s; the guard goes without", strerror(-r));
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
                (void) guard_set_source(sources->guard, "guard", "what its programs tell can't be read");
                return 0;
        }
        if (lost > 0)
                guard_note_missed(sources->guard, lost);
        return 0;
}

static void read_who(void *userdata) {
        Sources *sources = userdata;

        if (sources->attempts)
                (void) on_attempts_readable(sources->attempts, -EBADF, 0, sources);
        hook_facts_read(sources->facts);
}

static void read_all(void *userdata) {
        Sources *sources = userdata;

        tc_events_read(sources->tc);
        read_who(sources);
}

static void on_reader_changed(int fd, void *userdata) {
        Sources *sources = userdata;
        int r = 0;

        sources->attempts = sd_event_source_unref(sources->attempts);
        if (fd >= 0)
                r = sd_event_add_io(sources->event, &sources->attempts, fd, EPOLLIN, on_attempts_readable, sources);
        if (r < 0)
                log_warning("What the guard's programs tell can't be waited for: %s", strerror(-r));
        (void) guard_set_source(sources->guard, "guard",
                                fd < 0  ? "none of the guard's programs is in the kernel, see its mode"
                                : r < 0 ? "what its programs tell can't be waited for"
                                        : NULL);
}

static int open_pins(Sources *sources, const Kernel *kernel, const char **ret_reason) {
        _cleanup_strv_ char **folders = NULL;
        _cleanup_free_ char *maps = NULL;
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
        if (asprintf(&maps, "%s/maps", kernel->bpffs_dir) < 0) {
                maps = NULL;
                return -ENOMEM;
        }
        return pin_watch_new(sources->event, folders, maps, on_pin, sources, ret_reason, &sources->pins);
}

static void note(Sources *sources, const char *name, int r, const char *reason) {
        if (r < 0)
                log_notice("The guard goes without %s: %s (%s)", name, reason, strerror(-r));
        (void) guard_set_source(sources->guard, name, r < 0 ? reason : NULL);
}

static void note_interval(Sources *sources) {
        const char *reason = NULL;

        if (sources->facts_complete)
                reason = "not needed: \"hook-facts\" tells of all that it would find";
        else if (guard_settings(sources->guard)->check_interval == 0)
                reason = "\"check-interval\" of the settings is 0";
        (void) guard_set_source(sources->guard, "interval", reason);
}

static int open_facts(sd_event_source *source, void *userdata) {
        Sources *sources = userdata;
        HookFactsHandlers handlers = { on_fact, sources->loads ? NULL : on_program_fact, sources };
        HookFactsCoverage coverage = {};
        const char *reason = NULL;
        int r;

        r = hook_facts_new(sources->event, &handlers, &coverage, &reason, &sources->facts);
        note(sources, "hook-facts", r, reason);
        sources->facts_complete = coverage.complete;
        if (coverage.programs)
                (void) guard_set_source(sources->guard, "program-loads", NULL);
        guard_set_facts_complete(sources->guard, sources->facts_complete);
        note_interval(sources);
        /* What was done meanwhile. */
        looks_trigger(sources->looks, GUARD_LOOK_FILTERS, "start");
        looks_update(sources->looks);
        return 0;
}

static void open_audit(Sources *sources) {
        const char *reason = NULL;
        int r;

        r = audit_records_new(sources->event, on_audit, sources, &reason, &sources->audit);
        /* Nothing to hear of in the log: most hosts do not audit, and it only completes what others tell. */
        (void) guard_set_source(sources->guard, "audit", r < 0 ? reason : AUDIT_RECORDS_SILENT);
}

static void open_all(Sources *sources, const Kernel *kernel) {
        Guard *guard = sources->guard;
        const char *reason = NULL;
        int r;

        (void) guard_set_source(guard, "links", NULL);
        (void) guard_set_source(guard, "hook-facts", "its programs are about to be put into the kernel");
        r = sd_event_add_defer(sources->event, &sources->opening, open_facts, sources);
        if (r < 0)
                note(sources, "hook-facts", r, "it can't be waited for the service to be ready");
        /* Behind all else, so that a flood of programs does not keep callers waiting. */
        r = program_loads_new(sources->event, SD_EVENT_PRIORITY_IDLE, on_program, sources, &reason, &sources->loads);
        note(sources, "program-loads", r, reason);
        open_audit(sources);
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
        looks_set_interval_extra(sources->looks, sources->pins ? 0 : GUARD_LOOK_PINS);
        sources->watching = true;
}

static void turn_off(Guard *guard) {
        static const char *const names[] = { "links",     "hook-facts", "program-loads", "audit",
                                             "tc-events", "pins",       "pin-culprits",  "interval" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                (void) guard_set_source(guard, names[i], "\"watch\" of the settings is false");
}

static void start(Sources *sources) {
        if (guard_settings(sources->guard)->watch) {
                open_all(sources, sources->kernel);
                note_interval(sources);
        } else
                turn_off(sources->guard);
        looks_trigger(sources->looks, GUARD_LOOK_FILTERS | GUARD_LOOK_PINS, "start");
        looks_update(sources->looks);
}

int sources_new(sd_event *event, const Kernel *kernel, Guard *guard, Sources **ret) {
        _cleanup_(sources_freep) Sources *sources = calloc(1, sizeof(Sources));
        int r;

        if (!sources)
                return -ENOMEM;
        sources->event = sd_event_ref(event);
        sources->kernel = kernel;
        sources->guard = guard;
        sources->self = getpid();
        r = culprits_new("/proc", &sources->culprits);
        if (r >= 0)
                r = looks_new(event, guard, &sources->looks);
        if (r >= 0)
                looks_set_before(sources->looks, read_all, sources);
        if (r < 0)
                return r;

        guard_set_reader(guard, read_who, sources);
        start(sources);
        guard_programs_set_reader(kernel->guard_programs, on_reader_changed, sources);
        *ret = TAKE_PTR(sources);
        return 0;
}

void sources_reconfigure(Sources *sources) {
        if (!sources)
                return;
        if (sources->watching != guard_settings(sources->guard)->watch) {
                close_all(sources);
                start(sources);
                return;
        }
        if (sources->watching)
                note_interval(sources);
        looks_update(sources->looks);
}

void sources_link_event(Sources *sources) {
        if (sources)
                looks_trigger(sources->looks, GUARD_LOOK_FILTERS, "links");
}

void sources_before_reconcile(Sources *sources) {
        if (sources)
                looks_now(sources->looks, GUARD_LOOK_FILTERS, NULL);
}

void sources_after_reconcile(Sources *sources) {
        if (!sources)
                return;
        guard_settle(sources->guard);
        if (sources->pins && pin_watch_misses_some(sources->pins))
                pin_watch_refresh(sources->pins);
        looks_update(sources->looks);
}
