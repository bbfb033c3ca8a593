/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TC chains where the kernel keeps them, on ingress of interfaces, where lists of programs can be measured too, which
 * BPF_PROG_TEST_RUN does not run. What the chains are compared with is one empty program on tcx.
 */
#include "pairs.h"
#include "rounds.h"
#include "technique.h"

#define TCX_MAX 63 /* programs on a hook, BPF_MPROG_MAX, less the one that sends packets on */

typedef struct Place {
        const char *name;
        const char *technique;
        bool clsact; /* filters, not tcx links */
} Place;

static const Place places[] = {
        { "empty", "empty", false },
        { "limit", "limit", false },
        { "inlined-off", "inlined-off", false },
        { "inlined", "inlined", false },
        { "inlined-all", "inlined-all", false },
        { "global", "global", false },
        { "slot", "slot", false },
        { "dispatcher", "dispatcher", false },
        { "freplace", "freplace", false },
        { "linked", "linked", false },
        { "linked-clsact", "linked", true },
        { "tcx-list", "list", false },
        { "clsact-list", "list", true },
};

typedef struct Lane {
        Chain chain;
        const Place *place;
        const Pairs *pairs;
        unsigned pair;
} Lane;

static double measure_lane(void *item, unsigned packets) {
        const Lane *lane = item;
        uint64_t before[BENCH_N_MAX], started, spent;
        unsigned sent = MAX2(packets / PAIRS_ROUNDS, 1U);

        chain_read(&lane->chain, before);
        started = cpu_nsec();
        must(pairs_send(lane->pairs, lane->pair, sent), NULL, "BPF_PROG_TEST_RUN with live frames");
        spent = cpu_nsec() - started;
        chain_check(&lane->chain, before, (uint64_t) sent * PAIRS_ROUNDS);
        return (double) spent / ((double) sent * PAIRS_ROUNDS);
}

static void fill_lane(const Lane *lane) {
        const Chain *chain = &lane->chain;
        bool whole = chain->fd >= 0;

        pairs_fill(lane->pairs, lane->pair, whole ? &chain->fd : chain->list, whole ? 1 : chain->n,
                   lane->place->clsact);
}

static void add_lanes(const Stock *stock, const Place *place, Cell **cells, size_t *n_cells) {
        const Technique *technique = technique_find(place->technique);

        for (size_t i = 0; i < (technique->n_max > 0 ? stock->settings->n_counts : 1); i++) {
                unsigned n = technique->n_max > 0 ? stock->settings->counts[i] : 0;
                Lane *lane = calloc(1, sizeof(*lane));

                if (!lane)
                        die("Out of memory.");
                lane->place = place;
                if (!chain_make(stock, technique, n, &lane->chain) ||
                    (!place->clsact && lane->chain.fd < 0 && n > TCX_MAX)) {
                        free(lane);
                        continue;
                }
                *cells_add(cells, n_cells) = (Cell){ place->name, n, lane };
        }
}

/* Pairs come to lanes at random: one may happen to lie better in the machine's caches than another. */
static void spread_pairs(Cell *cells, size_t n_cells, const Pairs *pairs) {
        for (size_t i = 0; i < n_cells; i++) {
                Lane *lane = cells[i].item, *other = cells[(size_t) random() % (i + 1)].item;

                lane->pairs = pairs;
                lane->pair = other->pair;
                other->pair = (unsigned) i;
        }
}

void bench_hook(const Settings *settings) {
        Stock *stock = stock_new(settings, HOOK_TC_INGRESS, settings_n_max(settings));
        Cell *cells = NULL;
        size_t n_cells = 0;
        Pairs pairs;

        for (size_t p = 0; p < ELEMENTSOF(places); p++)
                add_lanes(stock, &places[p], &cells, &n_cells);
        if (!pairs_new(stock, (unsigned) n_cells, &pairs))
                return;
        spread_pairs(cells, n_cells, &pairs);
        for (size_t i = 0; i < n_cells; i++)
                fill_lane(cells[i].item);
        if (pairs_send(&pairs, 0, 1) < 0) {
                note("This kernel makes no packets from BPF_PROG_TEST_RUN (%s), so that nothing can be measured on "
                     "the hook itself.",
                     strerror(errno));
                return;
        }
        rounds_measure(settings, PART_HOOK, cells, n_cells, &cells[0], settings->packets, measure_lane);
}
