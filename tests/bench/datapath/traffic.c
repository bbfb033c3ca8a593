/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exchanging chains under traffic, in a network namespace of our own:
 *
 *      XDP program on live frames -> bct-b0 = veth = bct-b1: the chain (XDP or TC) -> clsact filter
 *
 * The first makes as many numbered packets as the machine gives, on one CPU, the last checks which programs they
 * met and drops them. Meanwhile another CPU exchanges the whole chain of eight for another generation of it, again
 * and again: built, verified, put into effect and pinned by the service's own library. For comparison, the programs
 * of the kernel's own tcx list are exchanged, link by link.
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

#include "kernel/attach.h"
#include "kernel/uapi.h"
#include "stock.h"
#include "trace.h"
#include "util/clock.h"
#include "util/json.h"

#define N_MEMBERS   8
#define GENERATIONS 2
#define LEAST_USEC  500000 /* however many exchanges that is */
#define SENDER      "bct-b0"
#define RECEIVER    "bct-b1"

typedef struct Traffic {
        const Settings *settings;
        Hook hook;
        bool list; /* the kernel's own, not ours */
        int ifindex;
        Kernel *kernel;
        struct bpf_object *ends; /* traffic.bpf.o */
        int send_fd;
        int pass_link;

        KernelProgram *programs[GENERATIONS][N_MEMBERS];
        KernelAttachment *attachment;
        int list_fds[GENERATIONS][N_MEMBERS];
        int links[N_MEMBERS];
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

static int load_one(struct bpf_object *object, const char *name) {
        struct bpf_program *p = bpf_object__find_program_by_name(object, name);

        if (!p)
                die("There is no program %s.", name);
        return bpf_program__fd(p);
}

static struct bpf_object *open_object(const Traffic *traffic, const char *name) {
        _cleanup_free_ char *path = NULL;
        struct bpf_object *object;

        if (asprintf(&path, "%s/tests/bench/datapath/%s.bpf.o", traffic->settings->build_dir, name) < 0)
                die("Out of memory.");
        object = bpf_object__open_file(path, NULL);
        if (!object)
                die("%s: %s.", path, strerror(errno));
        return object;
}

static struct bpf_map *find_section(struct bpf_object *object, const char *section) {
        struct bpf_map *map;

        bpf_object__for_each_map(map, object) if (endswith(bpf_map__name(map), section)) return map;
        die("An object has no section %s.", section);
}

/* Both of our objects have two constants of 32 bits, in the order of their source. */
static void set_constants(struct bpf_object *object, uint32_t first, uint32_t second) {
        const uint32_t values[] = { first, second };

        must(bpf_map__set_initial_value(find_section(object, ".rodata"), values, sizeof(values)), NULL, ".rodata");
}

static void load_ends(Traffic *traffic) {
        LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = traffic->ifindex, .attach_point = BPF_TC_INGRESS);
        LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1);

        traffic->ends = open_object(traffic, "traffic");
        set_constants(traffic->ends, if_nametoindex(SENDER), N_MEMBERS);
        must(bpf_object__load(traffic->ends), NULL, "traffic.bpf.o");
        traffic->send_fd = load_one(traffic->ends, "xdp_send");
        opts.prog_fd = load_one(traffic->ends, "tc_check");
        must(bpf_tc_hook_create(&hook), NULL, "clsact");
        must(bpf_tc_attach(&hook, &opts), NULL, "The checking filter");
}

static KernelProgram *load_member(const Traffic *traffic, unsigned i, unsigned generation) {
        _cleanup_free_ char *path = NULL, *name = NULL, *where = NULL, *text = NULL;
        _cleanup_(program_info_done) ProgramInfo info = {};
        _cleanup_json_ json_object *globals = NULL;
        KernelProgram *program = NULL;
        Error error = ERROR_INIT;

        if (asprintf(&path, "%s/tests/bench/datapath/trace.bpf.o", traffic->settings->build_dir) < 0 ||
            asprintf(&name, "member%u", i) < 0 || asprintf(&where, "programs.%s", name) < 0 ||
            asprintf(&text, "{\"id\": %u, \"generation\": %u}", i, generation) < 0)
                die("Out of memory.");
        must(json_parse(text, strlen(text), &globals, NULL, &error), &error, "%s", text);
        ProgramRequest request = {
                .name = name,
                .object_path = path,
                .object_name = "trace.bpf.o",
                .function = hook_is_tc(traffic->hook) ? "tc_trace" : "xdp_trace",
                .globals = globals,
                .where = where,
        };
        must(kernel_program_load(traffic->kernel, &request, &program, &info, &error), &error, "%s", name);
        return program;
}

static int load_list_member(const Traffic *traffic, unsigned i, unsigned generation) {
        struct bpf_object *object = open_object(traffic, "trace");

        set_constants(object, i, generation);
        must(bpf_object__load(object), NULL, "trace.bpf.o");
        return load_one(object, "tc_trace");
}

static void exchange_list(Traffic *traffic, unsigned generation) {
        for (unsigned i = 0; i < N_MEMBERS; i++)
                if (traffic->links[i] < 0) {
                        traffic->links[i] = bpf_link_create(traffic->list_fds[generation][i], traffic->ifindex,
                                                            UAPI_TCX_INGRESS, NULL);
                        must(traffic->links[i], NULL, "A tcx link");
                } else
                        must(bpf_link_update(traffic->links[i], traffic->list_fds[generation][i], NULL), NULL,
                             "An exchange in the tcx list");
}

/* Builds and puts into effect, as the service does. */
static void exchange_chain(Traffic *traffic, unsigned generation) {
        FuseSlot slots[N_MEMBERS];
        FuseRequest request = {
                .interface = RECEIVER,
                .ifindex = traffic->ifindex,
                .hook = traffic->hook,
                .signature = generation ? "11111111111111" : "00000000000000",
                .slots = slots,
                .n_slots = N_MEMBERS,
                .attachment = traffic->attachment,
        };
        ChainCommit item = {
                .interface = RECEIVER,
                .ifindex = traffic->ifindex,
                .hook = traffic->hook,
                .mode = hook_is_tc(traffic->hook) ? ATTACH_MODE_BEST : ATTACH_MODE_NATIVE,
                .attachment = traffic->attachment,
        };
        Error error = ERROR_INIT;
        FusedInfo info;

        for (unsigned i = 0; i < N_MEMBERS; i++) {
                KernelProgram *program = traffic->programs[generation][i];

                slots[i] = (FuseSlot){
                        .program = program,
                        .name = program->name,
                        .proceed_on = verdict_default_proceed_on(traffic->hook),
                        .seat = i,
                };
        }
        must(kernel_chain_build(traffic->kernel, &request, &item.fused, &info, &error), &error, "Building");
        must(kernel_chain_commit(traffic->kernel, &item, 1), &item.error, "Exchanging");
        kernel_chain_release(traffic->kernel, &item);
        traffic->attachment = item.attachment;
}

static void exchange(Traffic *traffic, unsigned generation) {
        if (traffic->list)
                exchange_list(traffic, generation);
        else
                exchange_chain(traffic, generation);
}

/* veth takes frames of others only where the receiving side has XDP on. */
static void prepare(Traffic *traffic) {
        struct bpf_object *edge;

        enter_namespaces();
        traffic->ifindex = (int) if_nametoindex(RECEIVER);
        must(kernel_new(NULL, TC_ATTACH_AUTO, &traffic->kernel), NULL, "The kernel layer can't start");
        load_ends(traffic);
        traffic->pass_link = -EBADF;
        if (hook_is_tc(traffic->hook)) {
                LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = 1U << 2 /* XDP_FLAGS_DRV_MODE */);

                edge = open_object(traffic, "edge");
                must(bpf_object__load(edge), NULL, "edge.bpf.o");
                traffic->pass_link = bpf_link_create(load_one(edge, "xdp_empty"), traffic->ifindex, BPF_XDP, &opts);
                must(traffic->pass_link, NULL, "XDP on a veth");
        }
        for (unsigned g = 0; g < GENERATIONS; g++)
                for (unsigned i = 0; i < N_MEMBERS; i++) {
                        traffic->links[i] = -EBADF;
                        if (traffic->list)
                                traffic->list_fds[g][i] = load_list_member(traffic, i, g);
                        else
                                traffic->programs[g][i] = load_member(traffic, i, g);
                }
        exchange(traffic, 0);
}

static void read_state(const Traffic *traffic, struct trace_state *ret) {
        const uint32_t key = 0;

        must(bpf_map_lookup_elem(bpf_map__fd(find_section(traffic->ends, ".bss")), &key, ret), NULL, ".bss");
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
               traffic->list ? "tcx-list" : hook_to_string(traffic->hook), N_MEMBERS, swaps, (double) usec / 1e6,
               packets, state->sent, (int64_t) state->sent - (int64_t) state->seen - (int64_t) wire, wire,
               (unsigned long long) state->mixed, (unsigned long long) state->wrong,
               (unsigned long long) state->reordered, (unsigned long long) state->generations);
        fflush(stdout);
}

static void measure(const Settings *settings, Hook hook, bool list) {
        Traffic traffic = { .settings = settings, .hook = hook, .list = list };
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
                exchange(&traffic, ++swaps % GENERATIONS);
                usec = usec_now(CLOCK_MONOTONIC) - started;
        } while (swaps < settings->swaps || usec < LEAST_USEC);
        read_state(&traffic, &state);
        packets = state.sent - packets;
        stop_sending(thread);
        read_state(&traffic, &state);
        report(&traffic, swaps, usec, packets, &state);
        if (traffic.attachment)
                kernel_chain_detach(traffic.kernel, traffic.attachment);
}

void bench_traffic(const Settings *settings) {
        measure(settings, HOOK_XDP, false);
        measure(settings, HOOK_TC_INGRESS, false);
        measure(settings, HOOK_TC_INGRESS, true);
}
