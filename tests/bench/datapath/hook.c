/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TC chains on the ingress hook of an interface, where lists of programs can be measured too, which
 * BPF_PROG_TEST_RUN does not run. Behind each chain a program drops the packet; one that only does that is what the
 * others are compared with.
 *
 * Each chain sits on the loopback of a network namespace of its own. Packets come from BPF_PROG_TEST_RUN of an XDP
 * program with live frames: the kernel makes packets, and those that the program passes go up the stack as if the
 * interface had received them, all of it in the calling thread, so that its CPU time is all that they cost.
 */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kernel/uapi.h"
#include "rounds.h"
#include "technique.h"

#define LOOPBACK 1  /* its index */
#define TCX_MAX  64 /* programs on a hook, BPF_MPROG_MAX */
#define BATCH    64 /* packets that the kernel makes at a time */

typedef struct Place {
        const char *name;
        const char *technique; /* NULL: only the dropping program */
        bool clsact;           /* filters, not tcx links */
} Place;

static const Place places[] = {
        { "drop", NULL, false },
        { "limit", "limit", false },
        { "inlined-off", "inlined-off", false },
        { "inlined", "inlined", false },
        { "global", "global", false },
        { "static", "static", false },
        { "dispatcher", "dispatcher", false },
        { "freplace", "freplace", false },
        { "linked", "linked", false },
        { "linked-clsact", "linked", true },
        { "tcx-list", "list", false },
        { "clsact-list", "list", true },
};

typedef struct Lane {
        Chain chain;
        bool has_chain;
        int namespace;
        int pass_fd;
} Lane;

static int enter_new_namespace(void) {
        struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
        _cleanup_close_ int fd = -EBADF;
        int namespace;

        if (unshare(CLONE_NEWNET) < 0)
                die("No network namespace can be made: %s.", strerror(errno));
        namespace = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (namespace < 0 || fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
                die("The loopback of a new network namespace can't be set up: %s.", strerror(errno));
        return namespace;
}

/* Links belong to the process from now on. */
static void put_on_tcx(const Place *place, const int *programs, size_t n) {
        for (size_t i = 0; i < n; i++)
                must(bpf_link_create(programs[i], LOOPBACK, UAPI_TCX_INGRESS, NULL), NULL, "%s: program %zu of %zu",
                     place->name, i, n);
}

static void put_on_clsact(const Place *place, const int *programs, size_t n) {
        LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = LOOPBACK, .attach_point = BPF_TC_INGRESS);

        must(bpf_tc_hook_create(&hook), NULL, "%s: clsact", place->name);
        for (size_t i = 0; i < n; i++) {
                LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = programs[i], .handle = 1, .priority = (uint32_t) i + 1);

                must(bpf_tc_attach(&hook, &opts), NULL, "%s: filter %zu of %zu", place->name, i, n);
        }
}

static bool fill_lane(const Stock *stock, const Place *place, unsigned n, Lane *lane) {
        int programs[BENCH_N_MAX + 1];
        size_t n_programs = 0;

        lane->pass_fd = stock->pass_fd;
        lane->has_chain = place->technique != NULL;
        if (lane->has_chain) {
                if (!chain_make(stock, technique_find(place->technique), n, &lane->chain))
                        return false;
                if (lane->chain.fd >= 0)
                        programs[n_programs++] = lane->chain.fd;
                for (unsigned i = 0; lane->chain.fd < 0 && i < n; i++)
                        programs[n_programs++] = lane->chain.list[i];
        }
        programs[n_programs++] = stock->drop_fd;
        if (!place->clsact && n_programs > TCX_MAX)
                return false;

        lane->namespace = enter_new_namespace();
        if (place->clsact)
                put_on_clsact(place, programs, n_programs);
        else
                put_on_tcx(place, programs, n_programs);
        return true;
}

static int send_packets(const Lane *lane, unsigned n) {
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bench_packet, .data_size_in = sizeof(bench_packet),
                    .repeat = (int) n, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);

        if (setns(lane->namespace, CLONE_NEWNET) < 0)
                die("A network namespace can't be entered: %s.", strerror(errno));
        return bpf_prog_test_run_opts(lane->pass_fd, &opts);
}

static double measure_lane(void *item, unsigned packets) {
        const Lane *lane = item;
        uint64_t before[BENCH_N_MAX], started, spent;

        if (lane->has_chain)
                chain_read(&lane->chain, before);
        started = cpu_nsec();
        must(send_packets(lane, packets), NULL, "BPF_PROG_TEST_RUN with live frames");
        spent = cpu_nsec() - started;
        if (lane->has_chain)
                chain_check(&lane->chain, before, packets);
        return (double) spent / packets;
}

void bench_hook(const Settings *settings) {
        Stock *stock = stock_new(settings, HOOK_TC_INGRESS, settings_n_max(settings));
        Cell *cells = NULL;
        size_t n_cells = 0;

        for (size_t p = 0; p < ELEMENTSOF(places); p++)
                for (size_t i = 0; i < (places[p].technique ? settings->n_counts : 1); i++) {
                        unsigned n = places[p].technique ? settings->counts[i] : 0;
                        Lane *lane = calloc(1, sizeof(*lane));

                        if (!lane)
                                die("Out of memory.");
                        if (!fill_lane(stock, &places[p], n, lane)) {
                                free(lane);
                                continue;
                        }
                        *cells_add(&cells, &n_cells) = (Cell){ places[p].name, n, lane };
                }

        if (send_packets(cells[0].item, 1) < 0) {
                note("This kernel makes no packets from BPF_PROG_TEST_RUN (%s), so that nothing can be measured on "
                     "the hook itself.",
                     strerror(errno));
                return;
        }
        /* each costs several times what one of the others does */
        rounds_measure(settings, PART_HOOK, cells, n_cells, &cells[0], MAX2(settings->packets / 2, 1U), measure_lane);
}
