/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A plan put into practice, twice: as a fused chain, and as programs by themselves between which user space hands on
 * the packet.
 */

#include "plan.h"

typedef enum Outcome {
        OUTCOME_SAME,
        OUTCOME_DIFFERENT,
        OUTCOME_REFUSED,        /* no fused chain, although the programs load by themselves */
        OUTCOME_MEMBER_REFUSED, /* a generated program does not load by itself */
        OUTCOME_STRANDED,       /* user space could not hand on a packet that a program had changed */
        OUTCOME_TROUBLE,        /* no memory and the like */
        _OUTCOME_MAX,
} Outcome;

typedef struct Attempt {
        Outcome outcome;
        char *text; /* what differs, or why it was refused */
        FusedInfo info;
        uint64_t runs; /* of programs by themselves */
        unsigned n_members;
        unsigned n_proceeded; /* packets that came to the last member */
        bool mutated;         /* the fused program was tampered with */
} Attempt;

/* Which of the plan's members and packets take part, a bit each. */
typedef struct Selection {
        uint64_t members;
        uint32_t packets;
} Selection;

#define SELECT_ALL ((Selection){ UINT64_MAX, UINT32_MAX })

/* With `dump` what ran is written there, the fused program as bpftool shows it. */
void chain_try(const Plan *plan, const Selection *selection, FILE *dump, Attempt *ret);
void attempt_done(Attempt *attempt);
