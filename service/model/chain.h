/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A chain: the ordered programs on one hook of one interface, as it runs and as it is wanted.
 *
 * `slots` is what runs now. Counters are read from the kernel by seat: a program keeps its seat while the chain
 * lives, so its figures go on through reorders; `base` is what the seat's row held when the program got it. Each
 * packet's way ends at one seat, so what came into the chain is the sum of what ended in all rows, whoever sat there;
 * what stood in rows that are no more is `retired`.
 */

#include "model/interface.h"
#include "model/kernel-ops.h"
#include "model/restore.h"

typedef struct GuardEvent GuardEvent;

typedef enum ChainState {
        CHAIN_STATE_ACTIVE,   /* runs what is wanted */
        CHAIN_STATE_WAITING,  /* its interface does not exist */
        CHAIN_STATE_DEGRADED, /* an older generation runs, what is wanted could not be put into effect */
        CHAIN_STATE_CONFLICT, /* somebody else holds the hook */
        CHAIN_STATE_FAILED,   /* nothing runs, what is wanted could not be put into effect */
        CHAIN_STATE_DETACHED, /* kept off its hook by the administrator */
        _CHAIN_STATE_MAX,
        _CHAIN_STATE_INVALID = -EINVAL,
} ChainState;

DECLARE_STRING_TABLE(chain_state, ChainState)

typedef struct Slot {
        char *program;
        uint32_t proceed_on;
        unsigned seat;
        SlotForm form;
        char *reason; /* why it is not inlined, a phrase, or NULL */
} Slot;

typedef struct Seat {
        char *program; /* NULL: free */
        uint64_t base[COUNTER_CELLS];
} Seat;

typedef struct SlotCounters {
        uint64_t verdicts[VERDICT_BUCKETS]; /* at the level `all` */
        uint64_t endings[VERDICT_BUCKETS];  /* those verdicts that ended the packet's way */
        uint64_t packets;                   /* seen by the slot, at the level `all` */
        uint64_t bytes;                     /* of those packets, as long as they came into the chain */
        uint64_t ended;                     /* packets whose way ended here */
        uint64_t ended_bytes;               /* of those packets */
} SlotCounters;

typedef struct ChainCounters {
        uint64_t packets; /* that came into the chain; never less than before while the chain is attached */
        uint64_t bytes;
        SlotCounters slots[CHAIN_SLOTS_MAX];
} ChainCounters;

typedef struct Chain {
        char *key; /* "INTERFACE/HOOK" */
        char *interface;
        int ifindex; /* 0 while waiting */
        Hook hook;
        AttachMode mode;
        CounterLevel counters; /* of what runs; of what is wanted when nothing runs */
        char *mode_refusal;    /* why it could not be taken to refused_mode, or NULL */
        AttachMode refused_mode;
        ChainState state;
        char *reason;     /* a sentence, or NULL when active */
        char **documents; /* NULL-terminated names of the documents that ask for it */
        char *signature;  /* of what runs, NULL when nothing does */
        Slot *slots;      /* of what runs; of what is wanted when nothing runs */
        size_t n_slots;
        Seat seats[CHAIN_SEATS_MAX];
        uint64_t retired_packets; /* that came in while the chain had other rows */
        uint64_t retired_bytes;
        KernelAttachment *attachment; /* NULL when nothing runs */
        AttachmentInfo info;
        FusedInfo fused;     /* sizes and times of the last build; zero when adopted */
        uint64_t generation; /* in which it last changed */
        bool restore_set;    /* documents say whether it is put back, else the settings do */
        RestorePolicy restore;
        bool fail_closed;        /* what runs was put on its hook with it, or confirmed with it */
        Restores restores;       /* kept by the guard, as is all below */
        Restores repins;         /* the same of its pins */
        uint64_t repin_at;       /* microseconds, CLOCK_BOOTTIME, when they are put back; 0: they may be at once */
        char *held;              /* why it is not put back now, a sentence; NULL: it may be */
        uint64_t held_until;     /* microseconds, CLOCK_BOOTTIME; UINT64_MAX: until somebody asks for it */
        bool to_front;           /* wants a new place before all others on its hook */
        uint32_t noted;          /* mask of GuardAct that hold now and were told */
        uint32_t noted_program;  /* somebody else's that was told of last */
        GuardEvent *disturbance; /* the last one, or NULL */
} Chain;

/* The table key of a chain; the caller frees. */
char *chain_key(const char *interface, Hook hook);

Chain *chain_new(const char *interface, Hook hook);

/* Frees the model's part; the attachment must be gone or forgotten already. */
void chain_free(Chain *chain);
DEFINE_CLEANUP(Chain *, chain_free)

void slots_free(Slot *slots, size_t n_slots);

/* Frees all seats and forgets what ended at them. */
void chain_free_seats(Chain *chain);
/* The rows begin anew at zero: seats stay with their programs. */
void chain_reset_rows(Chain *chain);
/* So does the chain as a whole, with a new attachment: what ended is forgotten. */
void chain_restart(Chain *chain);
/* The rows will go, and this is the last reading of them: what ended is kept with the chain. */
void chain_retire_rows(Chain *chain, uint64_t rows[CHAIN_SEATS_MAX][COUNTER_CELLS]);

/* Index of the program's slot, or -ENOENT. */
int chain_find_slot(const Chain *chain, const char *program);

/* Derives the figures of a chain and its slots from the kernel's rows (KernelOps.chain_counters()). */
void chain_count(const Chain *chain, uint64_t rows[CHAIN_SEATS_MAX][COUNTER_CELLS], ChainCounters *ret);

/* "native", "generic", "tcx", "clsact", or "" when nothing runs: how the chain sits on its hook. */
const char *chain_mode_in_effect(const Chain *chain);
