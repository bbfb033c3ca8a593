/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <inttypes.h>

#include "bpf/facts.h"
#include "facts-elf.h"
#include "kernel/hook-facts.h"
#include "kernel/kernel.h"
#include "kernel/libbpf-callbacks.h"
#include "kernel/who.h"
#include "util/log.h"

#define FACTS_AT_ONCE 256 /* so that a storm does not starve others */

/* PROC_PID_INIT_INO of include/linux/proc_ns.h: the namespace in which the kernel's own numbers are valid. */
#define INITIAL_PID_NAMESPACE 0xeffffffcU

/* What must be seen for a kind of hook to be covered. */
enum {
        NEED_XDP = 1 << 0,
        NEED_TCX = 1 << 1,
        NEED_PROGRAMS = 1 << 2,
};

/* The programs of bpf/facts.bpf.c. */
static const struct {
        const char *program;
        const char *function;
        const char *unless; /* this other function exists, which it calls */
        unsigned need;      /* mask */
} parts[] = {
        { "xdp_attach", "dev_xdp_attach", NULL, NEED_XDP },
        { "xdp_link_update", "bpf_xdp_link_update", NULL, NEED_XDP },
        { "xdp_link_release", "bpf_xdp_link_release", NULL, NEED_XDP },
        { "xdp_link_released", "bpf_xdp_link_release", NULL, NEED_XDP },
        { "xdp_link_detach", "bpf_xdp_link_detach", NULL, NEED_XDP },
        { "xdp_link_detached", "bpf_xdp_link_detach", NULL, NEED_XDP },
        { "tcx_attach", "tcx_prog_attach", NULL, NEED_TCX },
        { "tcx_detach", "tcx_prog_detach", NULL, NEED_TCX },
        { "tcx_link_create", "tcx_link_attach", NULL, NEED_TCX },
        { "tcx_link_replace", "tcx_link_update", NULL, NEED_TCX },
        { "tcx_link_go", "tcx_link_release", NULL, NEED_TCX },
        { "tcx_link_gone", "tcx_link_release", NULL, NEED_TCX },
        { "tcx_link_take_off", "tcx_link_detach", NULL, NEED_TCX },
        { "tcx_link_taken_off", "tcx_link_detach", NULL, NEED_TCX },
        { "netkit_attach", "netkit_prog_attach", NULL, 0 },
        { "netkit_detach", "netkit_prog_detach", NULL, 0 },
        { "netkit_link_create", "netkit_link_attach", NULL, 0 },
        { "netkit_link_replace", "netkit_link_update", NULL, 0 },
        { "netkit_link_go", "netkit_link_release", NULL, 0 },
        { "netkit_link_gone", "netkit_link_release", NULL, 0 },
        { "netkit_link_take_off", "netkit_link_detach", NULL, 0 },
        { "netkit_link_taken_off", "netkit_link_detach", NULL, 0 },
        { "device_move", "__dev_change_net_namespace", NULL, 0 },
        { "device_rename", "netif_change_name", NULL, 0 },
        { "device_rename_older", "dev_change_name", "netif_change_name", 0 },
        { "device_delete", "unregister_netdevice_queue", NULL, 0 },
        { "program_event", "perf_event_bpf_event", NULL, NEED_PROGRAMS },
};

struct HookFacts {
        HookFactsHandlers handlers;
        struct bpf_object *object;
        struct bpf_link *links[ELEMENTSOF(parts)];
        int programs[ELEMENTSOF(parts) + 1]; /* descriptors of those attached, which belong to object; then -EBADF */
        struct ring_buffer *ring;
        sd_event_source *source;
        const uint64_t *lost; /* the programs' counter, mapped */
        uint64_t lost_seen;
        unsigned taken; /* in this turn */
};

static void free_btf(struct btf **btf) {
        btf__free(*btf);
}

HookFacts *hook_facts_free(HookFacts *facts) {
        if (!facts)
                return NULL;
        sd_event_source_unref(facts->source);
        for (size_t i = 0; i < ELEMENTSOF(facts->links); i++)
                (void) bpf_link__destroy(facts->links[i]);
        ring_buffer__free(facts->ring);
        bpf_object__close(facts->object);
        free(facts);
        return NULL;
}

static int act_of(const struct fact *record, GuardAct *ret) {
        switch ((enum fact_act) record->act) {
        case FACT_ATTACH: *ret = GUARD_ACT_ATTACH; return 0;
        case FACT_PRECEDE: *ret = GUARD_ACT_PRECEDE; return 0;
        case FACT_REPLACE: *ret = GUARD_ACT_REPLACE; return 0;
        case FACT_DETACH: *ret = GUARD_ACT_DETACH; return 0;
        case FACT_MOVE: *ret = GUARD_ACT_INTERFACE_MOVE; return 0;
        case FACT_RENAME: *ret = GUARD_ACT_INTERFACE_RENAMED; return 0;
        case FACT_DELETE: *ret = GUARD_ACT_INTERFACE_DELETE; return 0;
        case FACT_LOAD:
        case FACT_UNLOAD:
        case FACT_ACT_MAX: break;
        }
        return -EBADMSG;
}

static int hook_of(const struct fact *record) {
        switch ((enum fact_hook) record->hook) {
        case FACT_HOOK_XDP: return HOOK_XDP;
        case FACT_HOOK_TC_INGRESS: return HOOK_TC_INGRESS;
        case FACT_HOOK_TC_EGRESS: return HOOK_TC_EGRESS;
        case FACT_HOOK_NONE:
        case FACT_HOOK_NETKIT:
        case FACT_HOOK_MAX: break;
        }
        return _HOOK_INVALID;
}

static void who_of(const struct fact *record, Culprit *ret) {
        if (!record->thread) {
                who_read(&record->who, ret);
                return;
        }
        /* Of whom nothing but a name is known that would mislead. */
        snprintf(ret->unknown, sizeof(ret->unknown),
                 "who it was: the kernel did it by itself, or later for somebody (%.*s)",
                 (int) strnlen(record->who.comm, sizeof(record->who.comm)), record->who.comm);
}

int hook_facts_parse_program(const void *data, size_t size, ProgramFact *ret) {
        const struct fact *record = data;
        ProgramFact fact;

        if (size < sizeof(*record) || (record->act != FACT_LOAD && record->act != FACT_UNLOAD))
                return -EBADMSG;
        fact = (ProgramFact){
                .loaded = record->act == FACT_LOAD,
                .program_id = record->program_id,
                .boottime = record->boottime / 1000,
        };
        who_of(record, &fact.who);
        *ret = fact;
        return 0;
}

int hook_facts_parse(const void *data, size_t size, GuardFact *ret) {
        const struct fact *record = data;
        GuardFact fact;
        int r;

        if (size < sizeof(*record) || record->ifindex > INT32_MAX)
                return -EBADMSG;
        fact = (GuardFact){
                .ifindex = (int) record->ifindex,
                .hook = hook_of(record),
                .program_id = record->program_id,
                .result = MIN2(record->result, 0), /* of a link its descriptor */
                .boottime = record->boottime / 1000,
        };
        r = act_of(record, &fact.act);
        if (r < 0)
                return r;
        who_of(record, &fact.who);
        *ret = fact;
        return 0;
}

/* What found no room, and what a program did not see: it is not run for a task that comes upon the function while it
 * runs for another on the same CPU that had to wait. */
static uint64_t count_lost(const HookFacts *facts) {
        uint64_t lost = __atomic_load_n(facts->lost, __ATOMIC_RELAXED);

        for (size_t i = 0; i < ELEMENTSOF(facts->programs) && facts->programs[i] >= 0; i++) {
                struct bpf_prog_info info = {};
                uint32_t size = sizeof(info);

                if (bpf_prog_get_info_by_fd(facts->programs[i], &info, &size) >= 0)
                        lost += info.recursion_misses;
        }
        return lost;
}

static void tell_lost(HookFacts *facts) {
        uint64_t lost = count_lost(facts);

        for (; facts->lost_seen < lost; facts->lost_seen++)
                facts->handlers.fact(NULL, facts->handlers.userdata);
}

static int on_record(void *context, void *data, size_t size) {
        HookFacts *facts = context;
        ProgramFact program;
        GuardFact fact;

        if (hook_facts_parse_program(data, size, &program) >= 0)
                facts->handlers.program(&program, facts->handlers.userdata);
        else if (hook_facts_parse(data, size, &fact) >= 0)
                facts->handlers.fact(&fact, facts->handlers.userdata);
        else
                facts->handlers.fact(NULL, facts->handlers.userdata);
        /* An error ends the turn behind this record; the descriptor stays readable. */
        return ++facts->taken >= FACTS_AT_ONCE ? -EAGAIN : 0;
}

void hook_facts_read(HookFacts *facts) {
        if (!facts)
                return;
        facts->taken = 0;
        (void) ring_buffer__consume(facts->ring);
        tell_lost(facts);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        hook_facts_read(userdata);
        return 0;
}

/* The programs whose function the kernel lacks, or that are not wanted, are left out. */
static int choose_programs(struct bpf_object *object, unsigned unwanted, unsigned *ret_missing) {
        _cleanup_(free_btf) struct btf *btf = btf__load_vmlinux_btf();
        unsigned missing = 0;

        if (!btf)
                return -ENOENT;
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                struct bpf_program *program = bpf_object__find_program_by_name(object, parts[i].program);
                bool present = btf__find_by_name_kind(btf, parts[i].function, BTF_KIND_FUNC) > 0;
                bool wanted = !(parts[i].need & unwanted);
                bool other = parts[i].unless && btf__find_by_name_kind(btf, parts[i].unless, BTF_KIND_FUNC) > 0;

                assert(program);
                if (!present)
                        missing |= parts[i].need;
                (void) bpf_program__set_autoload(program, present && !other && wanted);
        }
        *ret_missing = missing | unwanted;
        return 0;
}

static void set_globals(struct bpf_object *object, uint32_t netns) {
        struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
        struct facts_settings *settings;
        size_t size = 0;

        settings = map ? bpf_map__initial_value(map, &size) : NULL;
        assert(settings && size == sizeof(*settings));
        *settings = (struct facts_settings){ .netns = netns, .self = (uint32_t) getpid() };
}

/* As many as can be. */
static int attach(HookFacts *facts, unsigned *missing) {
        unsigned attached = 0;
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(facts->programs); i++)
                facts->programs[i] = -EBADF;

        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                struct bpf_program *program = bpf_object__find_program_by_name(facts->object, parts[i].program);

                if (bpf_program__fd(program) < 0)
                        continue;
                facts->links[i] = bpf_program__attach(program);
                if (facts->links[i]) {
                        facts->programs[attached++] = bpf_program__fd(program);
                        continue;
                }
                r = -errno;
                log_debug("Changes to hooks can't be seen at %s(): %s", parts[i].function, strerror(errno));
                *missing |= parts[i].need;
        }
        return attached > 0 ? 0 : r < 0 ? r : -ENOENT;
}

static int read_ring(HookFacts *facts, sd_event *event) {
        struct bpf_map *ring = bpf_object__find_map_by_name(facts->object, "facts_ring");
        struct bpf_map *globals = bpf_object__find_map_by_name(facts->object, ".bss");
        size_t size;
        int r;

        assert(ring && globals);
        facts->lost = bpf_map__initial_value(globals, &size);
        assert(facts->lost && size == sizeof(*facts->lost));
        facts->ring = ring_buffer__new(bpf_map__fd(ring), on_record, facts, NULL);
        if (!facts->ring)
                return -errno;
        r = sd_event_add_io(event, &facts->source, ring_buffer__epoll_fd(facts->ring), EPOLLIN, on_readable, facts);
        if (r >= 0)
                (void) sd_event_source_set_description(facts->source, "hook-facts");
        return r;
}

/* The number of a namespace of ours, as the link's text tells it ("net:[4026531840]"): what it points to is of a file
 * system that security policies may keep from us. */
static int read_namespace(const char *name, uint32_t *ret) {
        char path[64], text[64];
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
        n = readlink(path, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        return sscanf(text, "%*[a-z]:[%" SCNu32 "]", ret) == 1 ? 0 : -EBADMSG;
}

static int load(HookFacts *facts, sd_event *event, HookFactsCoverage *ret_coverage, const char **ret_reason) {
        LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "bc_facts");
        uint32_t pids = 0, net = 0;
        unsigned missing = 0;
        int r;

        *ret_reason = "our namespaces can't be read in /proc/self/ns";
        r = read_namespace("pid", &pids);
        if (r >= 0)
                r = read_namespace("net", &net);
        if (r < 0)
                return r;
        if (pids != INITIAL_PID_NAMESPACE) {
                *ret_reason = "the service is in a PID namespace, and the kernel's programs tell by the numbers of "
                              "the initial one";
                return -EOPNOTSUPP;
        }
        *ret_reason = "the kernel refuses tracing programs (fentry, fexit); they take CAP_BPF and CAP_PERFMON";
        r = kernel_has_tracing();
        if (r < 0)
                return r;

        *ret_reason = "the programs can't be opened";
        facts->object = bpf_object__open_mem(facts_elf, sizeof(facts_elf), &opts);
        if (!facts->object)
                return -errno;
        *ret_reason = "the kernel has no BTF of its own (CONFIG_DEBUG_INFO_BTF)";
        r = choose_programs(facts->object, facts->handlers.program ? 0 : NEED_PROGRAMS, &missing);
        if (r < 0)
                return r;
        set_globals(facts->object, net);
        *ret_reason = "the kernel does not take the programs";
        r = bpf_object__load(facts->object);
        if (r < 0)
                return r;
        *ret_reason = "the programs' ring can't be read";
        r = read_ring(facts, event);
        if (r < 0)
                return r;
        *ret_reason = "the kernel does not let the programs be attached to its functions";
        r = attach(facts, &missing);
        if (r < 0)
                return r;
        *ret_coverage = (HookFactsCoverage){
                .complete = !(missing & NEED_XDP) && (!(missing & NEED_TCX) || kernel_has_tcx() < 0),
                .programs = !(missing & NEED_PROGRAMS),
        };
        return 0;
}

int hook_facts_new(sd_event *event, const HookFactsHandlers *handlers, HookFactsCoverage *ret_coverage,
                   const char **ret_reason, HookFacts **ret) {
        _cleanup_(hook_facts_freep) HookFacts *facts = calloc(1, sizeof(HookFacts));
        int r;

        *ret_reason = "out of memory";
        if (!facts)
                return -ENOMEM;
        facts->handlers = *handlers;
        *ret_reason = "libbpf can't be set up";
        r = libbpf_register();
        if (r >= 0)
                r = load(facts, event, ret_coverage, ret_reason);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(facts);
        return 0;
}
