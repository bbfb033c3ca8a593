/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What others do to the hooks that chains use, who did it, and what becomes of the chain.
 *
 * The kernel layer's sources say that something happened (guard_note_*()) and have the guard compare what runs with
 * what should (guard_look()); the guard puts both together, keeps the last events, tells the observer of each once,
 * and lets the manager put a chain back where the policy says so, or marks it as in conflict. It owns no clock and no
 * timer: who drives it asks guard_deadline().
 */

#include "model/chain.h"
#include "model/culprit.h"
#include "model/guard-policy.h"
#include "model/restore.h"

typedef struct Manager Manager;
typedef struct Guard Guard;

typedef enum GuardAct {
        GUARD_ACT_PROGRAM_LOADED,
        GUARD_ACT_DETACHED, /* our link or filter was taken off its hook */
        GUARD_ACT_REPLACED, /* another program is in our link or filter */
        GUARD_ACT_PRECEDED, /* somebody's program runs before ours, and can end a packet's way */
        GUARD_ACT_UNPINNED,
        GUARD_ACT_FILTER_ADDED, /* on clsact, by route netlink */
        GUARD_ACT_FILTER_DELETED,
        GUARD_ACT_QDISC_ADDED,
        GUARD_ACT_QDISC_DELETED,
        GUARD_ACT_INTERFACE_RENAMED,
        GUARD_ACT_INTERFACE_MOVED, /* to another network namespace */
        GUARD_ACT_INTERFACE_DELETED,
        /* What somebody was about to do, as the guard's programs tell before it happens. */
        GUARD_ACT_ATTACH,         /* a link or program onto a hook */
        GUARD_ACT_REPLACE,        /* the program in our link, or on a hook */
        GUARD_ACT_DETACH,         /* our link, or what is on a hook */
        GUARD_ACT_PRECEDE,        /* onto a hook, before ours */
        GUARD_ACT_FILTER_CHANGE,  /* add, replace or delete a filter */
        GUARD_ACT_QDISC_CHANGE,   /* clsact or ingress */
        GUARD_ACT_INTERFACE_MOVE, /* to another network namespace */
        GUARD_ACT_INTERFACE_DELETE,
        GUARD_ACT_UNPIN,            /* remove or rename */
        GUARD_ACT_UNMOUNT,          /* the file system with our pins */
        GUARD_ACT_OPEN_OBJECT,      /* a descriptor of a map that can write */
        GUARD_ACT_REPLACE_FUNCTION, /* of a program of ours, by one of type EXT */
        GUARD_ACT_LOAD_PROGRAM,
        GUARD_ACT_SIGNAL,
        GUARD_ACT_TRACE,
        GUARD_ACT_UNCLEAR, /* a netlink message so long that it can't be told */
        _GUARD_ACT_MAX,
        _GUARD_ACT_INVALID = -EINVAL,
} GuardAct;

DECLARE_STRING_TABLE(guard_act, GuardAct)

/* What comes of it. */
typedef enum GuardOutcome {
        GUARD_OUTCOME_NONE,       /* nothing needs to be done, or can be */
        GUARD_OUTCOME_RESTORING,  /* the chain is about to be put back */
        GUARD_OUTCOME_RESTORED,   /* it is back */
        GUARD_OUTCOME_HELD,       /* the policy leaves it: the chain is in conflict */
        GUARD_OUTCOME_IMPOSSIBLE, /* it could not be put back; the chain's reason says why */
        _GUARD_OUTCOME_MAX,
        _GUARD_OUTCOME_INVALID = -EINVAL,
} GuardOutcome;

DECLARE_STRING_TABLE(guard_outcome, GuardOutcome)

/* What the guard's programs in the kernel said to it. */
typedef enum GuardVerdict {
        GUARD_VERDICT_SEEN,         /* they were not asked: it has happened */
        GUARD_VERDICT_REFUSED,      /* the caller got EPERM */
        GUARD_VERDICT_WOULD_REFUSE, /* it was let, as the mode is GUARD_MODE_OBSERVE */
        GUARD_VERDICT_ALLOWED,      /* by the settings */
        _GUARD_VERDICT_MAX,
        _GUARD_VERDICT_INVALID = -EINVAL,
} GuardVerdict;

DECLARE_STRING_TABLE(guard_verdict, GuardVerdict)

struct GuardEvent {
        uint64_t sequence; /* from 1 */
        uint64_t realtime; /* microseconds */
        uint64_t boottime; /* microseconds, CLOCK_BOOTTIME */
        GuardAct act;
        GuardVerdict verdict;
        int rule;                 /* GuardRule, or negative: none was asked */
        char interface[IFNAMSIZ]; /* empty: none in particular */
        int hook;                 /* Hook, or negative: none in particular */
        char pin[64];             /* name in its folder */
        uint32_t program_id;      /* theirs, 0: none */
        char program_name[16];    /* the kernel's name of it */
        char detail[96];          /* what else there is to say, a phrase */
        const char *source;       /* that told, static */
        const char *basis;        /* how the culprit is tied to the act, static: "loaded-the-program" */
        uint64_t count;           /* of like ones that this stands for */
        uint64_t last;            /* when the last of them came, microseconds, CLOCK_BOOTTIME */
        GuardOutcome outcome;
        Culprit who;
};

/* What netlink tells of a qdisc or filter. */
typedef struct TcFact {
        bool added; /* else deleted */
        bool filter;
        int ifindex;
        int hook;      /* Hook of a filter; negative: of a qdisc */
        uint32_t port; /* netlink port of who asked for it; mostly the pid, good while they live */
        char kind[16];
        uint32_t priority, handle, program_id;
} TcFact;

/* What somebody was about to do, as a guard's program saw it in their own context. */
typedef struct GuardAttempt {
        GuardRule rule;
        GuardVerdict verdict;
        GuardAct act;
        int ifindex;        /* 0: none in particular */
        int hook;           /* Hook, or negative: none in particular */
        uint32_t object_id; /* of the link, map or program in question, 0: none */
        uint32_t detail;    /* by act: enum bpf_cmd, netlink message type, signal, enum bpf_prog_type; 0: nothing */
        char pin[64];
        uint64_t boottime; /* microseconds */
        Culprit who;
} GuardAttempt;

/* What somebody did to a hook, of ours or not, as functions of the kernel tell once it is done. */
typedef struct GuardFact {
        GuardAct act; /* GUARD_ACT_ATTACH, _REPLACE, _DETACH, _PRECEDE, or of an interface */
        int ifindex;
        int hook;            /* Hook, or negative: another, or none in particular */
        uint32_t program_id; /* theirs, 0: none, or not known */
        int result;          /* 0 or negative errno: nothing has changed */
        uint64_t boottime;   /* microseconds */
        Culprit who;
} GuardFact;

/* What is kept; older ones make room. */
#define GUARD_EVENTS_KEPT   256 /* acts on hooks */
#define GUARD_LOADS_KEPT    256 /* processes that loaded programs; those whose programs still live stay longest */
#define GUARD_ATTEMPTS_KEPT 256 /* acts that were refused, or would have been */
#define GUARD_ALLOWED_KEPT  64  /* acts that were allowed */
#define GUARD_ALL_KEPT      (GUARD_EVENTS_KEPT + GUARD_LOADS_KEPT + GUARD_ATTEMPTS_KEPT + GUARD_ALLOWED_KEPT)
/* Programs that others loaded and that still live, to be told apart by their ids. */
#define GUARD_PROGRAMS_KEPT 16384

typedef struct GuardStatistics {
        uint64_t events;   /* acts on hooks, those that stand for others counted as many */
        uint64_t attempts; /* acts that the guard's programs told of, whatever they said to them */
        uint64_t loads;    /* programs loaded by others */
        uint64_t unloads;  /* programs unloaded, by whomever */
        uint64_t dropped;  /* events that are no longer kept, or were told together with others */
        uint64_t missed;   /* that the kernel could not hand over */
} GuardStatistics;

/* Of one rule, since the guard's programs were put into the kernel; they count each, whatever is told of it. */
struct GuardRuleCounters {
        uint64_t refused;
        uint64_t would_refuse;
        uint64_t allowed;
};
typedef struct GuardRuleCounters GuardRuleCounters;

typedef struct GuardSettings {
        bool watch;            /* else what others do is only found by changes of the chain */
        RestorePolicy restore; /* of chains whose documents do not say */
        RestoreLimits limits;
        uint64_t check_interval; /* microseconds, 0: never */
        GuardPolicy policy;
        bool unread; /* these are defaults, as there were others that could not be read */
} GuardSettings;

#define GUARD_SETTINGS_DEFAULT                                                                                       \
        ((GuardSettings){ .watch = true,                                                                             \
                          .restore = RESTORE_POLICY_LIMITED,                                                         \
                          .limits = RESTORE_LIMITS_DEFAULT,                                                          \
                          .check_interval = UINT64_C(10000000),                                                      \
                          .policy = GUARD_POLICY_DEFAULT })

/* The manager knows its guard from then on (manager_guard()); free the guard first. */
int guard_new(Manager *manager, const GuardSettings *settings, Guard **ret);
Guard *guard_free(Guard *guard); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(Guard *, guard_free)

/* Somebody else loaded a program. Cheap, for it may come ten thousand times a second. boottime in microseconds. */
void guard_note_load(Guard *guard, uint32_t program_id, const Culprit *who, uint64_t boottime);
/* More is known of who loaded a program that was noted: what was not known of them is filled in. */
void guard_note_loader(Guard *guard, uint32_t program_id, const Culprit *who);
void guard_note_unload(Guard *guard, uint32_t program_id);
void guard_note_missed(Guard *guard, uint64_t n);
/* Does it say anything about a hook that a chain uses? */
bool guard_wants_tc(Guard *guard, const TcFact *fact);
void guard_note_tc(Guard *guard, const TcFact *fact, const Culprit *who);
/* A pin of that name was removed by somebody else. */
void guard_note_pin(Guard *guard, const char *name, const Culprit *who);

/* Somebody was about to do something to what is ours: told of, and remembered for the look that finds what came of
 * it. */
void guard_note_attempt(Guard *guard, const GuardAttempt *attempt);
/* Somebody did something to a hook: remembered for the look that the caller has follow. True if it may concern a
 * chain. */
bool guard_note_fact(Guard *guard, const GuardFact *fact);
/* Does something tell of all changes to links, so that no chain needs to be looked at from time to time? */
void guard_set_facts_complete(Guard *guard, bool complete);
/* Has what was told of attempts and facts by now be noted; asked for when something is found and somebody is to
 * blame, for it may have been done since the look began. NULL: there is nothing to read. */
void guard_set_reader(Guard *guard, void (*read)(void *userdata), void *userdata);

/* What guard_look() is to look at besides links. */
enum {
        GUARD_LOOK_FILTERS = 1 << 0,
        GUARD_LOOK_PINS = 1 << 1,
};

/* Compares what runs with what should. `source` is static, for the events. */
void guard_look(Guard *guard, unsigned what, const char *source);

/* After a reconciliation: writes down what came of it. */
void guard_settle(Guard *guard);

/* When guard_wake() wants to be called, microseconds of CLOCK_BOOTTIME; UINT64_MAX: not at all. */
uint64_t guard_deadline(const Guard *guard);
void guard_wake(Guard *guard, uint64_t now);

/* Is there anything to look at? */
bool guard_has_chains(const Guard *guard);

/* Is there anything that only looking from time to time would find? */
bool guard_needs_interval(const Guard *guard);

/* New settings, as of a reload. What can't be put into effect stays as it was, and the error says why. */
int guard_configure(Guard *guard, const GuardSettings *settings, Error *error);

/* The same with the settings as they stand in the files now; what is wrong with them becomes a problem, and the old
 * ones stay. */
int guard_reload_settings(Guard *guard);

/* What outlives the service, not the system: the mode that somebody asked for, and the policy, which holds where the
 * next service finds none that it can read. NULL: out of memory. */
json_object *guard_save(const Guard *guard);
void guard_restore(Guard *guard, json_object *saved); /* before anything runs; NULL is fine */

/* Another mode than the settings say, until the next boot or until mode is negative: as they say; if that can't be
 * put into effect, it is a problem, and no failure. The change is one step, without a moment in which less is guarded
 * than before or after. force: although guard_policy_check() says no. */
int guard_set_mode(Guard *guard, int mode, bool force, Error *error);

/* Has the kernel's part know what is to be guarded now, if that has changed. After each change of what runs; what
 * fails is logged, and shown (guard_state()). */
void guard_update(Guard *guard);

/* The mode that is wanted: guard_set_mode()'s, or as the settings say. *ret_overridden (NULL is fine): the first. */
GuardMode guard_mode_wanted(const Guard *guard, bool *ret_overridden);

/* What the administrator is to hear of, or NULL: what is demanded is not in effect; the policy is weak. */
const char *guard_problem(const Guard *guard, bool *ret_error);
const char *guard_weakness(const Guard *guard);

/* What is in effect. */
const GuardState *guard_state(const Guard *guard);

/* By rule; zeros where nothing is in the kernel. */
int guard_rule_counters(const Guard *guard, GuardRuleCounters ret[_GUARD_RULE_MAX]);

/* What the policy would have done to those who were seen, of the last hours as far as they are kept: one for each
 * process's executable, unit, user and rule. The caller frees the array. */
typedef struct GuardJudgement {
        Culprit who; /* of the last one */
        GuardRule rule;
        GuardAct act;
        uint64_t first, last; /* microseconds since 1970 */
        uint64_t count;
        bool allowed;
        char by[CULPRIT_TEXT + 32]; /* "executable /usr/sbin/bpftool", "default unit …", empty: nobody named them */
} GuardJudgement;

int guard_judge(const Guard *guard, const GuardPolicy *policy, GuardJudgement **ret, size_t *ret_n);

const GuardStatistics *guard_statistics(const Guard *guard);
const GuardSettings *guard_settings(const Guard *guard);

/* Sources and whether they are there: reason NULL, or why not (static). */
int guard_set_source(Guard *guard, const char *name, const char *reason);
size_t guard_sources(const Guard *guard, const char *const **ret_names, const char *const **ret_reasons);

/* Events with a sequence number above `since`, oldest first, all kinds together; at most `max`, the newest where
 * there are more. The caller frees the array, whose pointers are good until control returns to the event loop. */
int guard_get_events(const Guard *guard, uint64_t since, size_t max, const GuardEvent ***ret, size_t *ret_n);

/* A sentence of it; the caller frees, NULL: out of memory. */
char *guard_event_describe(const GuardEvent *event);
