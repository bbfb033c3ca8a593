/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/restore.h"

static const char *const restore_policy_table[_RESTORE_POLICY_MAX] = {
        [RESTORE_POLICY_LIMITED] = "limited",
        [RESTORE_POLICY_ALWAYS] = "always",
        [RESTORE_POLICY_NEVER] = "never",
};

DEFINE_STRING_TABLE(restore_policy, RestorePolicy, _RESTORE_POLICY_MAX)

static void count(Restores *restores, uint64_t now) {
        restores->times[restores->n % RESTORE_LIMIT_MAX] = now;
        restores->n++;
        if (restores->n >= 2 * RESTORE_LIMIT_MAX)
                restores->n -= RESTORE_LIMIT_MAX;
}

static unsigned count_since(const Restores *restores, uint64_t since) {
        unsigned kept = MIN2(restores->n, (unsigned) RESTORE_LIMIT_MAX), n = 0;

        for (unsigned i = 0; i < kept; i++)
                n += restores->times[i] >= since;
        return n;
}

bool restores_allow(Restores *restores, RestorePolicy policy, const RestoreLimits *limits, uint64_t now,
                    uint64_t *ret_until) {
        uint64_t since = now > limits->window ? now - limits->window : 0;

        if (policy == RESTORE_POLICY_NEVER) {
                *ret_until = UINT64_MAX;
                return false;
        }
        if (policy == RESTORE_POLICY_ALWAYS) {
                count(restores, now);
                return true;
        }
        /* Peace for twice the last pause, and all is forgotten. */
        if (restores->pause > 0 && now - restores->last > restores->pause * 2 + limits->window)
                *restores = (Restores){};
        restores->last = now;
        if (restores->pause == 0 && count_since(restores, since) < limits->limit) {
                count(restores, now);
                return true;
        }
        restores->pause = restores->pause == 0 ? limits->backoff : MIN2(restores->pause * 2, limits->backoff_max);
        restores->pause = MIN2(restores->pause, limits->backoff_max);
        *ret_until = now + restores->pause;
        return false;
}
