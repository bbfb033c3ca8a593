/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The maps and programs of a plan in the kernel.
 */

#include "kernel/program.h"
#include "kernel/verifier-log.h"
#include "plan.h"

typedef enum Side {
        SIDE_FUSED,
        SIDE_REFERENCE,
        _SIDE_MAX,
} Side;

typedef struct SideMember {
        const PlanMember *plan;
        int program_fd;            /* of the reference */
        struct bpf_object *object; /* of the reference, owns program_fd: of compiled programs */
        KernelProgram *program;    /* for the fused chain */
        int targets[_SIDE_MAX][MEMBER_TARGETS];
} SideMember;

typedef struct Sides {
        const Plan *plan;
        int maps[_SIDE_MAX][PLAN_MAPS_MAX];
        SideMember members[CHAIN_SLOTS_MAX];
        size_t n_members;
} Sides;

/* Loads all programs of the plan whose bit is set in `members`. `error` gets the verifier's words; -EACCES and
 * -EINVAL mean that it refused one. */
int sides_load(const Plan *plan, uint64_t members, Sides *ret, Error *error);
void sides_done(Sides *sides);

/* Writes the maps that differ to f; returns whether any does. */
bool sides_differ(const Sides *sides, FILE *f);
