/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Whether a chain can be built at all, and into how many programs it must be cut: where the kernel's limits of one
 * program are reached, the chain goes on in another one (a segment), reached by a tail call. Pure.
 */

#include "kernel/fuse.h"

typedef struct FusePlan {
        size_t starts[CHAIN_SLOTS_MAX + 1]; /* of segments; the last one's end is behind it */
        size_t n_segments;
} FusePlan;

/* Checks the chain (`chain` with all members) and cuts it. A member that leaves no room for the chain's own maps in
 * any program goes into a slot. Errors: LimitExceeded with figure and limit, Incompatible, InvalidArgument. */
int fuse_plan(const FuseInput *chain, FuseMember *members, FusePlan *ret, Error *error);

/* Cuts a segment in two, since the verifier found it too complex. False: it has one member only. */
bool fuse_plan_split(FusePlan *plan, size_t segment);

/* To be called again when a member went into a slot, or a segment was cut. LimitExceeded. */
int fuse_plan_check(const FuseInput *chain, const FusePlan *plan, Error *error);

/* Does the chain need an array of programs? */
bool fuse_plan_needs_slots(const FuseInput *chain, const FusePlan *plan);
