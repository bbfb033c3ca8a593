/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exchanging chains under traffic, in a network namespace of our own:
 *
 *      XDP program on live frames -> bct-b0 = veth = bct-b1: the chain (XDP or TC) -> clsact filter
 *
 * The first makes as many numbered packets as the machine gives, on one CPU, the last checks which programs they
 * met and drops them. Meanwhile another CPU exchanges the whole chain of eight for another generation of it, again
 * and again. exchange.h says what kinds of chains there are.
 *
 *      {"traffic": {"chain": "xdp", "members": 8, "swaps": …, "seconds": …, "packets": …, "sent": …,
 *                   "lost": …, "wire": …, "mixed": …, "wrong": …, "reordered": …, "seen-generations": …}}
 *
 * packets: what was sent while chains were exchanged.
 * lost: packets that were sent and never checked, and that the wire did not drop: a full ring of the veth, which
 * happens where the receiving side does not get enough of the CPU, is no matter of the chain ("wire").
 */
#include <bpf/bpf.h>
#include <inttypes.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include "exchange.h"
#include "trace.h"
#include "util/clock.h"

#define LEAST_USEC 500000 /* however many exchanges that is */
#define SENDER     "bct-b0"
#define RECEIVER   "bct-b1"

typedef struct Traffic {
        Exchange exchange;
        struct bpf_object *ends; /* traffic.bpf.o */
        int send_fd;
        int pass_link;
} Traffic;

static void run_command(const char *command) {
        int status = system(command);

        if (status != 0)
                die("\"%s\" failed.", command);
}

/* Namespaces of our own, with a bpffs, and the interfaces. */
static void enter_namespaces(void) {
        if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
                die("No namespaces can be made: %s.", strerror(errno));
        if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") < 0)
                die("No bpffs can be mounted: %s.", strerror(errno));
        run_command("ip link set lo up");
        run_command("ip link add " SENDER " type veth peer name " RECEIVER);
        run_command("ip link set " SENDER " up");
        run_command("ip link set " RECEIVER " up");
}

static void load_ends(Traffic *traffic) {
        LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = traffic->exchange.ifindex, .attach_point = BPF_TC_INGRESS);
        LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1);
        const uint32_t constants[] = { if_nametoindex(SENDER), EXCHANGE_MEMBERS };

        traffic->ends = stock_open_all(traffic->exchange.settings, "traffic");
        must(bpf_map__set_initial_value(stock_find_section(traffic->ends, ".rodata"), constants, sizeof(constants)),
             NULL, ".rodata");
        must(bpf_object__load(traffic->ends), NULL, "traffic.bpf.o");
        traffic->send_fd = stock_find_program(traffic->ends, "xdp_send");
        opts.prog_fd = stock_find_program(traffic->ends, "tc_check");
        must(bpf_tc_hook_create(&hook), NULL, "clsact");
        must(bpf_tc_attach(&hook, &opts), NULL, "The checking filter");
}

/* veth takes frames of others only where the receiving side has XDP on. */
static void put_xdp_on(Traffic *traffic) {
        LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = 1U << 2 /* XDP_FLAGS_DRV_MODE */);
        struct bpf_object *edge = stock_open_all(traffic->exchange.settings, "edge");

        must(bpf_object__load(edge), NULL, "edge.bpf.o");
        traffic->pass_link =
                bpf_link_create(stock_find_program(edge, "xdp_empty"), traffic->exchange.ifindex, BPF_XDP, &opts);
        must(traffic->pass_link, NULL, "XDP on a veth");
}

static void prepare(Traffic *traffic) {
        enter_namespaces();
        traffic->exchange.ifindex = (int) if_nametoindex(RECEIVER);
        must(kernel_new(NULL, TC_ATTACH_AUTO, &traffic->exchange.kernel), NULL, "The kernel layer can't start");
        load_ends(traffic);
        if (hook_is_tc(traffic->exchange.hook))
                put_xdp_on(traffic);
        exchange_start(&traffic->exchange);
}

static void read_state(const Traffic *traffic, struct trace_state *ret) {
        const uint32_t key = 0;

        must(bpf_map_lookup_elem(bpf_map__fd(stock_find_section(traffic->ends, ".bss")), &key, ret), NULL, ".bss");
}

/* Packets that the veth had no room for; the sending end shows the same ones again. */
static uint64_t wire_drops(void) {
        _cleanup_fclose_ FILE *file = fopen("/proc/thread-self/net/dev", "re");
        unsigned long long drops = 0;
        char line[512], name[64];

        /* name: bytes packets errors dropped … received */
        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, " %63[^:]: %*u %*u %*u %llu", name, &drops) == 2 && streq(name, RECEIVER))
                        return drops;
        die("/proc/net/dev does not show " RECEIVER ".");
}

static void nothing(_unused_ int signal) {
}

/* One call, which a signal ends. */
static void *send_packets(void *userdata) {
        const Traffic *traffic = userdata;
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bench_packet, .data_size_in = sizeof(bench_packet),
                    .repeat = INT32_MAX, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);

        pin_thread(false);
        if (bpf_prog_test_run_opts(traffic->send_fd, &opts) < 0 && errno != EINTR)
                return (void *) (intptr_t) errno;
        return NULL;
}

static pthread_t start_sending(Traffic *traffic) {
        struct trace_state state = {};
        pthread_t thread;
        int r;

        must(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = nothing }, NULL), NULL, "sigaction");
        r = pthread_create(&thread, NULL, send_packets, traffic);
        must(-r, NULL, "A thread can't be started");
        for (unsigned i = 0; i < 500 && state.seen < 10000; i++) {
                usleep(10000);
                read_state(traffic, &state);
        }
        if (state.seen == 0)
                die("No packet went through the chain.");
        return thread;
}

static void stop_sending(pthread_t thread) {
        void *result;

        (void) pthread_kill(thread, SIGUSR1);
        (void) pthread_join(thread, &result);
        must(-(int) (intptr_t) result, NULL, "Packets can't be sent");
        usleep(200000); /* what is on its way */
}

static void report(const Traffic *traffic, unsigned swaps, uint64_t usec, uint32_t packets,
                   const struct trace_state *state) {
        uint64_t wire = wire_drops();

        printf("{\"traffic\": {\"chain\": \"%s\", \"members\": %u, \"swaps\": %u, \"seconds\": %.6f, \"packets\": "
               "%u, \"sent\": %u, "
               "\"lost\": %" PRId64 ", \"wire\": %" PRIu64 ", \"mixed\": %llu, \"wrong\": %llu, \"reordered\": %llu, "
               "\"seen-generations\": %llu}}\n",
               exchange_name(&traffic->exchange), EXCHANGE_MEMBERS, swaps, (double) usec / 1e6, packets, state->sent,
               (int64_t) state->sent - (int64_t) state->seen - (int64_t) wire, wire,
               (unsigned long long) state->mixed, (unsigned long long) state->wrong,
               (unsigned long long) state->reordered, (unsigned long long) state->generations);
        fflush(stdout);
}

static void measure(const Settings *settings, Hook hook, ExchangeKind kind) {
        Traffic traffic = {
                .exchange = { .settings = settings, .kind = kind, .hook = hook, .interface = RECEIVER },
        };
        struct trace_state state;
        uint64_t started, usec;
        unsigned swaps = 0;
        uint32_t packets;
        pthread_t thread;

        prepare(&traffic);
        thread = start_sending(&traffic);
        read_state(&traffic, &state);
        packets = state.sent;
        started = usec_now(CLOCK_MONOTONIC);
        do {
                exchange_to(&traffic.exchange, ++swaps % EXCHANGE_GENERATIONS);
                usec = usec_now(CLOCK_MONOTONIC) - started;
        } while (swaps < settings->swaps || usec < LEAST_USEC);
        read_state(&traffic, &state);
        packets = state.sent - packets;
        stop_sending(thread);
        read_state(&traffic, &state);
        report(&traffic, swaps, usec, packets, &state);
        exchange_end(&traffic.exchange);
}

/* The sender has the first of our CPUs to itself. */
void bench_traffic(const Settings *settings) {
        pin_thread(true);
        measure(settings, HOOK_XDP, EXCHANGE_OURS);
        measure(settings, HOOK_TC_INGRESS, EXCHANGE_OURS);
        measure(settings, HOOK_XDP, EXCHANGE_LINKED);
        measure(settings, HOOK_TC_INGRESS, EXCHANGE_TCX_LIST);
}
