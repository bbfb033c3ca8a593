/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The manager's inside, shared by the files that make it up: manager.c (life, look-ups, start), change.c (Apply and
 * its kin), edit.c (edits of a chain), reconcile.c (interfaces), transaction*.c, state.c.
 */

#include "model/holding.h"
#include "model/manager.h"

/* What can be gone back to. */
typedef struct Snapshot {
        Store store;
        Desired *desired; /* NULL: nothing to go back to */
        uint64_t generation;
        char **ran; /* keys of the chains that ran */
        char *name; /* the document whose change led away from here */
        Layer layer;
        bool written;    /* that change stands in the files */
        FileImage image; /* what stood there before, where it is written */
} Snapshot;

void snapshot_done(Snapshot *snapshot);

struct Manager {
        const Paths *paths;
        const KernelOps *ops;
        void *kernel;
        const Observer *observer;
        void *observer_userdata;

        Table interfaces;
        Table chains;
        Table programs;

        Store store; /* documents, those that wait for their confirmation included */
        Desired *desired;
        uint64_t generation;
        Snapshot previous;
        Pending pending;
        uint64_t told_deadline; /* the observer knows of it, UINT64_MAX: none */

        Problem *problems;
        size_t n_problems;
        Problem *document_problems; /* found when the documents were put together */
        size_t n_document_problems;
        Problem *noted; /* by manager_note_problem() */
        size_t n_noted;

        Holdings holdings;

        struct Guard *guard; /* NULL: none */

        bool ready;        /* the first reconcile is done */
        bool all_detached; /* detach --all, until the next reload */
        bool reconcile_wanted;
};

#define OBSERVE(manager, member, ...)                                                                                \
        ({                                                                                                           \
                Manager *_m = (manager);                                                                             \
                if (_m->observer && _m->observer->member)                                                            \
                        _m->observer->member(_m->observer_userdata, ##__VA_ARGS__);                                  \
        })

int problem_add(Problem **problems, size_t *n, Severity severity, const char *where, const char *sentence);
void problems_free(Problem *problems, size_t n);

/* Computes the list of problems anew from documents, chains and programs, and tells the observer. */
void manager_refresh_problems(Manager *manager);

/* Makes the desired state of a store; faults of documents go to `ret_problems`. */
int manager_make_desired(const Store *store, Desired **ret, Problem **ret_problems, size_t *ret_n_problems);

/* Takes chain and kernel attachment apart: off the hook, pins removed. Seats stay, for a new attachment. */
void manager_take_off_hook(Manager *manager, Chain *chain);

/* The same, and frees the seats. The object stays. */
void manager_drop_attachment(Manager *manager, Chain *chain);

/* Asks for manager_reconcile() to be called soon. */
void manager_want_reconcile(Manager *manager);

/* Tells the observer when manager_deadline() is to be called. */
void manager_tell_deadline(Manager *manager);

/* state.c: what runs, in RUN/state.json, so that the next service can adopt it. */
int state_save(Manager *manager);
/* Fills chains and programs with what an earlier service left; a file that is missing or unfit is as none. */
int state_load(Manager *manager);
