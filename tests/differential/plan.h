/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A chain that is to be tried, and packets for it: all that follows from a seed.
 */

#include "compiled.h"
#include "generate.h"
#include "model/kernel-ops.h"
#include "packets.h"

#define PLAN_MAPS_MAX   200
#define MEMBER_MAPS_MAX 12
#define MEMBER_TARGETS  3
#define PLAN_PACKETS    8

typedef struct PlanMember {
        char name[24];
        const Compiled *compiled;     /* NULL: generated */
        int verdict;                  /* what a compiled one is told to answer */
        Member *member;               /* NULL: compiled */
        size_t maps[MEMBER_MAPS_MAX]; /* by index of map: which of the plan's */
        size_t n_maps;
        int jumps;                       /* index of the program array, -1: none */
        Member *targets[MEMBER_TARGETS]; /* what is in the program array; NULL: nothing */
        uint32_t proceed_on;
        unsigned seat;
} PlanMember;

typedef struct Plan {
        uint64_t seed;
        Hook hook;
        CounterLevel counters;
        SlotForm form_limit;
        bool trace; /* what simulations see of each slot is compared, too */
        MapSpec maps[PLAN_MAPS_MAX];
        size_t n_maps;
        PlanMember members[CHAIN_SLOTS_MAX];
        size_t n_members;
        Packet packets[PLAN_PACKETS];
        size_t n_packets;
} Plan;

/* `objects`: may compiled programs be in it? */
int plan_make(uint64_t seed, const Features *features, bool objects, Plan **ret);
void plan_free(Plan *plan);
DEFINE_CLEANUP(Plan *, plan_free)

void plan_print(const Plan *plan, FILE *f);
void plan_print_member(const Plan *plan, const PlanMember *m, FILE *f);
