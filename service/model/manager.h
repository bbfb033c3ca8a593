/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The manager: holds what is desired (documents) and what runs (interfaces, chains, programs), and makes every
 * change a transaction between the two. Pure: kernel and outside are reached through KernelOps and Observer.
 *
 * A change by Apply, Withdraw or an edit of a chain is strict: all of it comes into effect or nothing does.
 * Start, Reload and interface events are lenient: what can't be put into effect is left as it is and reported
 * as a problem, everything else goes on.
 */

#include "model/desired.h"
#include "model/observer.h"
#include "model/paths.h"
#include "model/store.h"
#include "util/table.h"

struct Interface {
        char *name;
        LinkRecord link;
};

typedef enum Severity {
        SEVERITY_WARNING,
        SEVERITY_ERROR,
        _SEVERITY_MAX,
        _SEVERITY_INVALID = -EINVAL,
} Severity;

DECLARE_STRING_TABLE(severity, Severity)

typedef struct Problem {
        Severity severity;
        char *where; /* document, "eth0/xdp", program, "settings" */
        char *sentence;
} Problem;

typedef struct Pending {
        uint64_t generation; /* that waits for its confirmation, 0: none */
        uint64_t deadline;   /* microseconds, CLOCK_BOOTTIME */
} Pending;

typedef struct Manager Manager;
typedef struct Guard Guard;
typedef struct Transaction Transaction;

/* Sees what a dry run has prepared before it is dropped. A failure of it is one of the change. */
typedef int (*PreparedVisitor)(Transaction *transaction, void *userdata, Error *error);

typedef struct ChangeOptions {
        bool runtime; /* until reboot */
        bool dry_run; /* everything up to commit, then dropped */
        bool expects_generation;
        uint64_t expected_generation;
        uint64_t confirm_timeout;   /* microseconds, 0: no confirmation is asked for */
        const char *base_directory; /* Apply: where relative object names are looked up first, or NULL */
        const char *origin;         /* who asked, for logs and signals */
        PreparedVisitor prepared;   /* Apply with dry_run, or NULL */
        void *prepared_userdata;
} ChangeOptions;

/* `paths` must outlive the manager. `ops` and `observer` are copied by reference. */
int manager_new(const Paths *paths, const KernelOps *ops, void *ops_userdata, const Observer *observer,
                void *observer_userdata, Manager **ret);
/* Lets go of everything; chains run on. */
Manager *manager_free(Manager *manager);
DEFINE_CLEANUP(Manager *, manager_free)

/* Puts a fault that was found outside of the documents, in settings for one, among the problems, as long as the
 * manager lives or until there is another of the same place; a sentence of NULL takes that away. */
int manager_note_problem(Manager *manager, Severity severity, const char *where, const char *sentence);

/* Reads the state that an earlier service left, and all documents. Chains come with the interfaces. */
int manager_load(Manager *manager);

/* Interface events. Nothing happens to chains before manager_reconcile(). */
int manager_link_changed(Manager *manager, const LinkRecord *link);
void manager_link_vanished(Manager *manager, int ifindex);

/* Puts chains onto interfaces that came, takes up what was adopted, lets go of what vanished. Lenient. The first
 * call comes when the first dump of interfaces is complete. */
int manager_reconcile(Manager *manager);

/* Reads documents again. Lenient; fails only on faults of our own. */
int manager_reload(Manager *manager, const ChangeOptions *options, uint64_t *ret_generation, Error *error);

/* ret_report: JSON text, the caller frees. With dry_run the generation returned is the present one. */
int manager_apply(Manager *manager, const char *name, const char *text, const ChangeOptions *options,
                  uint64_t *ret_generation, char **ret_report, Error *error);
int manager_withdraw(Manager *manager, const char *name, const ChangeOptions *options, uint64_t *ret_generation,
                     Error *error);
int manager_confirm(Manager *manager, uint64_t generation, Error *error);
int manager_rollback(Manager *manager, uint64_t generation, uint64_t *ret_generation, Error *error);
/* The confirmation did not come: goes back. An interface is to be set down or up once more. */
void manager_deadline(Manager *manager);

/* Edits of a chain. They become a document of their own, "edit-INTERFACE-HOOK", in the layer that options say.
 * anchor: "first", "last", "before:NAME", "after:NAME". */
int manager_chain_insert(Manager *manager, Chain *chain, const char *program, const char *anchor,
                         const ChangeOptions *options, uint64_t *ret_generation, Error *error);
int manager_chain_move(Manager *manager, Chain *chain, const char *program, const char *anchor,
                       const ChangeOptions *options, uint64_t *ret_generation, Error *error);
int manager_chain_remove(Manager *manager, Chain *chain, const char *program, const ChangeOptions *options,
                         uint64_t *ret_generation, Error *error);
int manager_chain_set_order(Manager *manager, Chain *chain, char *const *programs, const ChangeOptions *options,
                            uint64_t *ret_generation, Error *error);
int manager_chain_set_detached(Manager *manager, Chain *chain, bool detached, const ChangeOptions *options,
                               uint64_t *ret_generation, Error *error);

/* Takes every chain of ours off its hook at once, whatever the documents say, until the next reload; for
 * `bpfchain detach --all`. */
int manager_detach_all(Manager *manager, const ChangeOptions *options, uint64_t *ret_generation, Error *error);

/* Look-ups; NULL where there is none. All pointers are good until control returns to the event loop. */
Interface *manager_get_interface(Manager *manager, const char *name);
Chain *manager_get_chain(Manager *manager, const char *interface, Hook hook);
Program *manager_get_program(Manager *manager, const char *name);

/* Tables in order of names: Interface, Chain (by key), Program. */
const Table *manager_interfaces(Manager *manager);
const Table *manager_chains(Manager *manager);
const Table *manager_programs(Manager *manager);

uint64_t manager_generation(Manager *manager);
/* "starting", "running", "degraded" (there are problems of severity error) */
const char *manager_state(Manager *manager);
Pending manager_pending(Manager *manager);
const Problem *manager_problems(Manager *manager, size_t *ret_n);

typedef int (*DocumentVisitor)(const char *name, const char *path, DocumentState state, bool overridden,
                               void *userdata);
/* Calls visit for each document, overridden ones included, in order of names and layers; stops when it fails. */
int manager_visit_documents(Manager *manager, DocumentVisitor visit, void *userdata);
/* The text of the document in effect; owned by the manager. NULL where there is none. */
const char *manager_get_document(Manager *manager, const char *name);

/* Live figures and kernel access for objects of the manager. */
/* -ENODATA: nothing runs, or what runs does not count. Chain.counters says which of the figures mean something. */
int manager_read_chain_counters(Manager *manager, Chain *chain, ChainCounters *ret);
/* How often the chain's program ran since it was put on its hook (or exchanged last), and how long in all. -ENODATA:
 * nothing runs, or the kernel does not keep such statistics. */
int manager_read_run_time(Manager *manager, Chain *chain, uint64_t *ret_count, uint64_t *ret_nsec);
/* Why "fail-closed" keeps it down, a sentence; NULL: it does not. */
const char *manager_interface_held(const Manager *manager, const Interface *interface);
int manager_interface_details(Manager *manager, Interface *interface, InterfaceDetails *ret);
int manager_interface_foreign(Manager *manager, Interface *interface, ForeignInfo **ret, size_t *ret_n);
Guard *manager_guard(Manager *manager); /* NULL: there is none */
const KernelOps *manager_kernel_ops(Manager *manager, void **ret_userdata);
