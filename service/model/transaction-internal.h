/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The parts of a transaction: changes of programs (transaction-programs.c) and targets, one for each chain that runs
 * or is wanted (transaction-chains.c; transaction-apply.c when all has gone well).
 */

#include "model/transaction.h"
#include "util/digest.h"

typedef struct ProgramChange {
        char *name; /* first, it is the table's key; owned by the definition or by the error's slot */
        ProgramDef *def;
        Program *program; /* the running one, or NULL */
        char signature[DIGEST_HEX_SIZE];
        char contents[DIGEST_HEX_SIZE]; /* empty: the document gives none */
        bool missing;                   /* the file is gone, its kept copy serves */
        bool load;                      /* must be loaded */
        bool needed;                    /* by a chain that goes ahead */
        KernelProgram *kernel;          /* the new instance */
        ProgramInfo info;
        bool committed;
        Error error;
} ProgramChange;

typedef enum TargetAction {
        TARGET_KEEP,   /* runs already what is wanted */
        TARGET_BUILD,  /* to be built and put on its hook */
        TARGET_DETACH, /* wanted, but off its hook */
        TARGET_WAIT,   /* no such interface */
        TARGET_REMOVE, /* nobody wants it */
        TARGET_FAIL,   /* can't be put into effect, see `error` */
} TargetAction;

typedef struct Target {
        Chain *chain;
        bool fresh;           /* not yet in the manager's table */
        char *interface_name; /* the chain may be gone when the report is written */
        Hook hook;
        const Interface *interface;
        Wanted wanted;
        bool affected; /* the changed document has to do with it */
        TargetAction action;
        char signature[DIGEST_HEX_SIZE];
        Slot *slots;
        size_t n_slots;
        Seat *new_seats;                      /* by seat, with program: those taken by this transaction; NULL: none */
        uint64_t (*last_rows)[COUNTER_CELLS]; /* of a chain that will not count any more, or NULL */
        bool changed_by_others;               /* another program is in our link */
        bool held;                            /* the guard leaves the hook to somebody else for now */
        bool to_front;   /* gets a new link before all others on its hook, and then the old one goes */
        bool lost;       /* somebody took the chain off its hook; its attachment is good for nothing */
        bool keeps_mode; /* the mode should change, but not by this transaction */
        bool reattach;   /* the mode changes: off the hook and on again */
        AttachMode mode_before;
        KernelFused *back; /* for a reattachment that fails: what runs now, built once more */
        KernelFused *fused;
        FusedInfo info;
        ChainCommit commit;
        bool done;     /* committed */
        bool touched;  /* the chain was attached anew, though not with what was wanted */
        char **before; /* programs that ran, for the report */
        CounterLevel counters_before;
        ChainState state_before;
        uint64_t commit_usec;
        Error error;
} Target;

struct Transaction {
        Manager *manager;
        Desired *desired;
        char *document;
        bool changed; /* chains or programs, by the commit */
        bool goes_back;
        char *const *ran; /* when it goes back: keys of the chains that ran then */
        Target **targets;
        size_t n_targets;
        Table programs;   /* ProgramChange */
        uint64_t started; /* microseconds, CLOCK_MONOTONIC */
        uint64_t prepared;
        uint64_t finished;
};

/* Programs */

/* The change of a program, made when it is first asked for. Its error is set when it can't be had. NULL: out of
 * memory. */
ProgramChange *transaction_get_program(Transaction *t, const char *name);
void program_change_free(Transaction *t, ProgramChange *change);
/* Loads those that are marked. Failures are noted in the changes. */
int transaction_load_programs(Transaction *t);
/* Pins the maps of those that are needed. One that fails takes the targets along that it is needed for. */
void transaction_commit_programs(Transaction *t);
void transaction_rollback_programs(Transaction *t);
/* Makes the manager's programs those of the desired state. */
int transaction_apply_programs(Transaction *t);

/* Chains */

int transaction_collect(Transaction *t, Error *error);
void target_free(Transaction *t, Target *target);
/* Looks whether the chain is still on its hook. */
void target_check(Transaction *t, Target *target);
/* The attachment that can be worked with, or NULL. */
KernelAttachment *target_attachment(const Target *target);
/* Does the chain run what the manager's programs are now? Not if it was adopted with others, or lagged behind when
 * they were upgraded. */
bool transaction_knows_running(Transaction *t, const Chain *chain);
/* Reads what a chain has counted that is about to stop; to be called just before it does. */
void target_read_last_rows(Transaction *t, Target *target);
/* Slots with seats, and the signature of the whole. */
int target_arrange(Transaction *t, Target *target);
/* Can what the chain runs stay as it is? Sets the action. */
int target_decide(Transaction *t, Target *target);
int target_build(Transaction *t, Target *target);
void target_fail(Target *target, const Error *error);
/* Makes the chain object what the target came to; may free it. */
int target_apply(Transaction *t, Target *target, uint64_t generation);
/* "replaced", "attached", …: what becomes of the chain, as the report calls it; static. */
const char *target_change_word(const Target *target);
/* A strict transaction fails with this target's failure. */
bool target_is_fatal(const Transaction *t, const Target *target);
