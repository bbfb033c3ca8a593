/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <sched.h>
#include <sys/mman.h>

#include "kernel/disarm.h"
#include "kernel/fuse.h"
#include "kernel/fused.h"
#include "kernel/simulation.h"

static_assert(SIMULATION_PACKET_MAX <= sizeof(((FuseTrace *) NULL)->data), "a trace has the whole packet");

struct KernelSimulation {
        Hook hook;
        int ifindex; /* packets come from there; 0: from loopback, as the kernel has it */
        KernelFused *fused;
        MapCopies copies;
        int trace_fd;
        FuseTrace *trace; /* mapped, one a slot */
        size_t n_slots;
        int cpu; /* where packets are run, so that values of CPUs go on; -1: anywhere */
};

void kernel_simulation_free(KernelSimulation *simulation) {
        if (!simulation)
                return;
        if (simulation->trace)
                munmap(simulation->trace, simulation->n_slots * sizeof(FuseTrace));
        safe_close(simulation->trace_fd);
        kernel_fused_free(simulation->fused);
        map_copies_done(&simulation->copies);
        free(simulation);
}

/* Stays on one CPU until unpin(). Without effect where that is not allowed. */
static bool pin(int cpu, cpu_set_t *ret_before) {
        cpu_set_t one;

        if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(*ret_before), ret_before) < 0)
                return false;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        return sched_setaffinity(0, sizeof(one), &one) >= 0;
}

static void unpin(bool pinned, const cpu_set_t *before) {
        if (pinned)
                (void) sched_setaffinity(0, sizeof(*before), before);
}

static int make_trace(KernelSimulation *simulation, Error *error) {
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
        void *trace;

        simulation->trace_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bc_trace", sizeof(uint32_t), sizeof(FuseTrace),
                                              (uint32_t) simulation->n_slots, &opts);
        if (simulation->trace_fd < 0)
                return error_set(error, ERROR_FAILED, "The kernel gives no map for the trace of a simulation: %s.",
                                 strerror(errno));
        trace = mmap(NULL, simulation->n_slots * sizeof(FuseTrace), PROT_READ | PROT_WRITE, MAP_SHARED,
                     simulation->trace_fd, 0);
        if (trace == MAP_FAILED)
                return -errno;
        simulation->trace = trace;
        return 0;
}

static int build(KernelSimulation *simulation, const FuseRequest *request, Error *error) {
        _cleanup_(rearm) DisarmedList disarmed = {};
        FuseRequest copy = *request;
        FusedOptions options = {
                .map_fds = (const int *const *) simulation->copies.fds,
                .trace_fd = simulation->trace_fd,
        };
        FusedInfo info;
        int r;

        copy.attachment = NULL;
        copy.counters = COUNTER_LEVEL_OFF;
        r = disarm(request, &simulation->copies, &disarmed);
        if (r >= 0)
                r = fused_build(&copy, &options, &simulation->fused, &info, error);
        if (r < 0 && request->hook == HOOK_XDP &&
            libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_load_bytes, NULL) == 0) {
                error_done(error);
                r = error_set(error, ERROR_NOT_SUPPORTED,
                              "This kernel can't show what XDP programs do to packets: that takes 5.18 or later.");
        }
        return r;
}

int kernel_simulation_new(void *userdata, const FuseRequest *request, KernelSimulation **ret,
                          SimulationOmission **ret_omissions, size_t *ret_n_omissions, Error *error) {
        _cleanup_(kernel_simulation_freep) KernelSimulation *simulation = NULL;
        cpu_set_t before;
        bool pinned;
        int r;

        if (request->n_slots == 0 || request->n_slots > CHAIN_SLOTS_MAX)
                return error_set(error, ERROR_LIMIT_EXCEEDED, "A chain has 1 to %u programs, not %zu.",
                                 CHAIN_SLOTS_MAX, request->n_slots);
        simulation = calloc(1, sizeof(*simulation));
        if (!simulation)
                return -ENOMEM;
        simulation->hook = request->hook;
        simulation->ifindex = request->ifindex;
        simulation->n_slots = request->n_slots;
        simulation->trace_fd = -EBADF;
        simulation->cpu = sched_getcpu();

        /* an LRU hash can be filled only from one CPU */
        pinned = pin(simulation->cpu, &before);
        r = map_copies_make(&simulation->copies, request, error);
        unpin(pinned, &before);
        if (r >= 0)
                r = make_trace(simulation, error);
        if (r >= 0)
                r = build(simulation, request, error);
        if (r < 0)
                return r;

        *ret_omissions = TAKE_PTR(simulation->copies.omissions);
        *ret_n_omissions = simulation->copies.n_omissions;
        simulation->copies.n_omissions = 0;
        *ret = TAKE_PTR(simulation);
        return 0;
}

/* The kernel wants an IP header in a packet that says so, before it gives it to a TC program. */
static size_t shortest(const KernelSimulation *simulation, const void *packet, size_t size) {
        uint16_t type;

        if (size < ETH_HLEN || !hook_is_tc(simulation->hook))
                return ETH_HLEN;
        memcpy(&type, (const uint8_t *) packet + 2 * ETH_ALEN, sizeof(type));
        switch (ntohs(type)) {
        case ETH_P_IP: return ETH_HLEN + 20;
        case ETH_P_IPV6: return ETH_HLEN + 40;
        default: return ETH_HLEN;
        }
}

/* One run, as if the packet had come from (or went to) this interface. The kernel refuses what it does not like
 * before it runs anything. */
static int run_from(const KernelSimulation *simulation, int ifindex, const void *packet, size_t size,
                    int *ret_verdict) {
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = (uint32_t) size, .repeat = 1);
        struct xdp_md xdp = { .data_end = (uint32_t) size, .ingress_ifindex = (uint32_t) ifindex };
        struct __sk_buff skb = {
                .ifindex = (uint32_t) ifindex,
                .ingress_ifindex = simulation->hook == HOOK_TC_INGRESS ? (uint32_t) ifindex : 0,
        };

        if (ifindex > 0 && hook_is_tc(simulation->hook)) {
                opts.ctx_in = &skb;
                opts.ctx_size_in = sizeof(skb);
        } else if (ifindex > 0) {
                opts.ctx_in = &xdp;
                opts.ctx_size_in = sizeof(xdp);
        }
        if (bpf_prog_test_run_opts(simulation->fused->program_fd, &opts) < 0)
                return -errno;
        *ret_verdict = (int) opts.retval;
        return 0;
}

/* An interface may be gone, or have no queue to come from. */
static int run(KernelSimulation *simulation, const void *packet, size_t size, int *ret_verdict) {
        int r = run_from(simulation, simulation->ifindex, packet, size, ret_verdict);

        if (simulation->ifindex <= 0 || (r != -ENODEV && r != -EINVAL))
                return r;
        r = run_from(simulation, 0, packet, size, ret_verdict);
        if (r >= 0)
                simulation->ifindex = 0;
        return r;
}

static unsigned bucket_of(Hook hook, int verdict) {
        unsigned other = verdict_buckets(hook) - 1;

        for (unsigned i = 0; i < other; i++)
                if (verdict_bucket_to_value(hook, i) == verdict)
                        return i;
        return other;
}

static void collect(const KernelSimulation *simulation, const void *packet, size_t size, SimulationResult *ret) {
        ret->bucket = bucket_of(simulation->hook, ret->verdict);
        ret->n_steps = 0;
        for (size_t i = 0; i < simulation->n_slots; i++) {
                const FuseTrace *trace = &simulation->trace[i];

                if (!trace->seen)
                        continue;
                ret->steps[ret->n_steps++] = (SimulationStep){
                        .slot = (unsigned) i,
                        .verdict = trace->verdict,
                        .bucket = bucket_of(simulation->hook, trace->verdict),
                        .size = trace->size,
                        .changed = trace->size != size ||
                                   memcmp(trace->data, packet, MIN2(size, sizeof(trace->data))) != 0,
                        .data = trace->data,
                };
                packet = trace->data;
                size = trace->size;
        }
}

int kernel_simulation_run(void *userdata, KernelSimulation *simulation, const void *packet, size_t size,
                          SimulationResult *ret, Error *error) {
        size_t least = shortest(simulation, packet, size);
        SimulationResult result;
        int r, verdict = 0;
        cpu_set_t before;
        bool pinned;

        if (size < least)
                return error_set(error, ERROR_INVALID_ARGUMENT,
                                 "A packet of %zu bytes is too short to be simulated: with this type and hook, the "
                                 "kernel takes none of less than %zu.",
                                 size, least);
        if (size > SIMULATION_PACKET_MAX)
                return error_set(error, ERROR_INVALID_ARGUMENT,
                                 "A packet of %zu bytes is too long to be simulated: %u are possible.", size,
                                 SIMULATION_PACKET_MAX);

        for (size_t i = 0; i < simulation->n_slots; i++)
                simulation->trace[i].seen = 0;
        pinned = pin(simulation->cpu, &before);
        r = run(simulation, packet, size, &verdict);
        unpin(pinned, &before);
        map_copies_drain(&simulation->copies);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return error_set(error, ERROR_FAILED, "The kernel does not run this packet of %zu bytes: %s.", size,
                                 strerror(-r));

        result.verdict = verdict;
        collect(simulation, packet, size, &result);
        if (result.n_steps == 0)
                return error_set(error, ERROR_FAILED, "The simulated chain left no trace of this packet.");
        *ret = result;
        return 0;
}
