/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chains that BPF_PROG_TEST_RUN runs: all of them are made first, then measured in rounds, each round in another
 * order, so that what changes about the machine meanwhile meets all of them alike.
 */

#include <bpf/bpf.h>

#include "rounds.h"
#include "run.h"
#include "technique.h"

static double measure_chain(void *item, unsigned packets) {
        const Chain *chain = item;
        uint64_t before[BENCH_N_MAX], started, spent;
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bench_packet, .data_size_in = sizeof(bench_packet),
                    .repeat = (int) packets);

        chain_read(chain, before);
        started = cpu_nsec();
        must(bpf_prog_test_run_opts(chain->fd, &opts), NULL, "BPF_PROG_TEST_RUN");
        spent = cpu_nsec() - started;
        chain_check(chain, before, packets);
        return (double) spent / packets;
}

void bench_run(const Settings *settings, Part part) {
        Stock *stock = stock_new(settings, part == PART_TC ? HOOK_TC_INGRESS : HOOK_XDP, settings_n_max(settings));
        Cell *cells = NULL;
        size_t n_cells = 0;

        for (size_t t = 0; t < n_techniques; t++) {
                const Technique *technique = &techniques[t];

                for (size_t i = 0; technique->runnable && i < (technique->n_max > 0 ? settings->n_counts : 1); i++) {
                        unsigned n = technique->n_max > 0 ? settings->counts[i] : 0;
                        Chain *chain = calloc(1, sizeof(*chain));

                        if (!chain)
                                die("Out of memory.");
                        if (!chain_make(stock, technique, n, chain)) {
                                free(chain);
                                continue;
                        }
                        chain_report(chain, part);
                        *cells_add(&cells, &n_cells) = (Cell){ technique->name, n, chain };
                }
        }
        rounds_measure(settings, part, cells, n_cells, &cells[0], settings->packets, measure_chain);
}

void bench_build(const Settings *settings) {
        Stock *stock = stock_new(settings, HOOK_XDP, settings_n_max(settings));

        for (unsigned round = 0; round < settings->rounds; round++)
                for (size_t i = 0; i < settings->n_counts; i++)
                        chain_time_build(stock, settings->counts[i], round);
}
