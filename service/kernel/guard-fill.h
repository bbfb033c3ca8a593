/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the guard's programs are told: the hooks to defend, whom to let, and who the service is. The maps are brought
 * from what they hold to what they should, what is new first, so that nothing is undefended meanwhile.
 */

#include "kernel/guard-set.h"
#include "kernel/kernel.h"

/* Who the next service will be known by. */
typedef struct GuardIdentity {
        char unit[GUARD_BPF_UNIT]; /* of systemd's system manager, of which this is the main process; empty: none */
        const char *reason;        /* static: why there is none, a phrase */
} GuardIdentity;

void guard_identity_find(GuardIdentity *ret);

/* The unit of the system manager out of a cgroup's path: its first part that is no slice. -ENOENT: none; -E2BIG: its
 * name is too long to be known by. Pure. */
int guard_identity_parse_unit(const char *cgroup, char ret[GUARD_BPF_UNIT]);

/* Everything but the mode, which is written last. ret_reason gets a sentence about what could not be told, or
 * nothing. */
int guard_fill(const GuardSet *set, const Kernel *kernel, const GuardIdentity *identity, const GuardDemand *demand,
               char *ret_reason, size_t size, Error *error);

/* Only whom the policy allows by executable: a file may have been replaced. 1 when something has changed. */
int guard_fill_executables(const GuardSet *set, const GuardPolicy *policy, char *ret_reason, size_t size);

/* Makes the map hold these entries and no other. keys and values: n of each, in a row; of equal keys the values, then
 * masks of 32 bits, are put together. -E2BIG: there is no room for all; those that fit are in. 1 when something has
 * changed. */
int guard_fill_map(int map, size_t key_size, size_t value_size, const void *keys, const void *values, size_t n);
