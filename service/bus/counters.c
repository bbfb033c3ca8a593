/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/counters.h"

#include "util/log.h"

typedef struct CachedCounters {
        char *key; /* of the chain */
        ChainFigures figures;
} CachedCounters;

void counters_clear(Counters *counters) {
        TABLE_FOREACH (CachedCounters, cached, &counters->chains) {
                free(cached->key);
                free(cached);
        }
        counters->chains.n = 0;
}

void counters_done(Counters *counters) {
        counters_clear(counters);
        table_done(&counters->chains);
}

static void counters_read(Manager *manager, Chain *chain, CachedCounters *cached) {
        int r;

        r = manager_read_chain_counters(manager, chain, &cached->figures.counters);
        if (r < 0 && r != -ENODATA)
                log_debug("Can't read the counters of %s: %s", chain->key, strerror(-r));
        cached->figures.counted = r >= 0;
        r = manager_read_run_time(manager, chain, &cached->figures.run_count, &cached->figures.run_nsec);
        if (r < 0 && r != -ENODATA)
                log_debug("Can't read the run time of %s: %s", chain->key, strerror(-r));
}

const ChainFigures *counters_get(Counters *counters, sd_event *event, Manager *manager, Chain *chain) {
        CachedCounters *cached;
        uint64_t iteration = 0;

        if (sd_event_get_iteration(event, &iteration) < 0 || iteration != counters->iteration) {
                counters_clear(counters);
                counters->iteration = iteration;
        }

        cached = table_get(&counters->chains, chain->key);
        if (cached)
                return &cached->figures;

        cached = calloc(1, sizeof(CachedCounters));
        if (!cached)
                return NULL;
        cached->key = strdup(chain->key);
        if (!cached->key || table_add(&counters->chains, cached) < 0) {
                free(cached->key);
                free(cached);
                return NULL;
        }
        counters_read(manager, chain, cached);
        return &cached->figures;
}
