/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Whether a chain that somebody pushed off its hook is put back, and when not again at once: two parties that both
 * put themselves back for ever would keep the machine busy, and packets without either's programs.
 */

#include "util/macros.h"
#include "util/string-table.h"

typedef enum RestorePolicy {
        RESTORE_POLICY_LIMITED, /* so often within some time at once, then after growing pauses */
        RESTORE_POLICY_ALWAYS,
        RESTORE_POLICY_NEVER,
        _RESTORE_POLICY_MAX,
        _RESTORE_POLICY_INVALID = -EINVAL,
} RestorePolicy;

DECLARE_STRING_TABLE(restore_policy, RestorePolicy)

#define RESTORE_LIMIT_MAX 64

typedef struct RestoreLimits {
        unsigned limit;       /* how often at once, 1 .. RESTORE_LIMIT_MAX */
        uint64_t window;      /* microseconds within which that counts */
        uint64_t backoff;     /* the first pause, microseconds; each further one is twice as long */
        uint64_t backoff_max; /* the longest pause, microseconds */
} RestoreLimits;

#define RESTORE_LIMITS_DEFAULT                                                                                       \
        ((RestoreLimits){ .limit = 5, .window = 60000000, .backoff = 10000000, .backoff_max = 300000000 })

/* What happened to one chain. Zero is a good start. */
typedef struct Restores {
        uint64_t times[RESTORE_LIMIT_MAX]; /* of the last ones, a ring */
        unsigned n;                        /* in all, so that times[(n - 1) % …] is the last */
        uint64_t pause;                    /* the present length of a pause, 0: none was needed */
        uint64_t last;                     /* when it was asked for last */
} Restores;

/* May the chain be put back now (microseconds of any steady clock)? If so, it counts. If not, *ret_until is when
 * it may be, UINT64_MAX: never. */
bool restores_allow(Restores *restores, RestorePolicy policy, const RestoreLimits *limits, uint64_t now,
                    uint64_t *ret_until);
