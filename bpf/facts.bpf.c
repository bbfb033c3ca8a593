// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What is done to the XDP, tcx and netkit hooks of one network namespace, and to its interfaces: tracing programs at
 * those functions of the kernel that every such change goes through, whoever asks for it and whichever way. They tell
 * and change nothing. Which of the functions a kernel has, and which its compiler has left whole, differs: the
 * service leaves out the programs whose function is not there (service/kernel/hook-facts.c).
 */
#include "kernel-types.h"

#include <linux/errno.h>

#include "facts.h"
#include "who.bpf.h"

#define RING_BYTES (1024 * 1024)

/* include/uapi/linux/bpf.h; headers of older distributions lack them. */
#define UAPI_TCX_INGRESS 46
#define UAPI_F_REPLACE   (1U << 2)
#define UAPI_F_BEFORE    (1U << 3)
/* include/uapi/linux/if_link.h */
#define UAPI_XDP_FLAGS_REPLACE (1U << 4)

const volatile struct facts_settings facts_settings;

/* Records that found no room in the ring. */
__u64 facts_lost;

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, RING_BYTES);
} facts_ring SEC(".maps");

/* What is known of a link before it is detached, when it has a device yet. It is told of once it is done, or who
 * looks at once would find it attached. Where the compiler has put a copy of the releasing function into the
 * detaching one, only the latter is seen, else both are: who comes second finds it told. Ids of links are not given
 * again. */
struct detachment {
        __u32 ifindex;
        __u32 hook; /* enum fact_hook */
        __u32 program_id;
        __u32 told;
};

struct {
        __uint(type, BPF_MAP_TYPE_LRU_HASH);
        __uint(max_entries, 4096);
        __type(key, __u32);
        __type(value, struct detachment);
} facts_detached SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct bpf_xdp_link {
        struct bpf_link link;
        struct net_device *dev;
};

/* That of netkit has the same members. */
struct tcx_link {
        struct bpf_link link;
        struct net_device *dev;
        __u32 location; /* enum bpf_attach_type; since 6.17 a member of the link */
};

struct netkit_link {
        struct bpf_link link;
        struct net_device *dev;
};

struct bpf_link___since_6_17 {
        __u32 attach_type;
};

#pragma clang attribute pop

/* The first members of union bpf_attr for BPF_PROG_ATTACH, BPF_PROG_DETACH and (target and program change places)
 * BPF_LINK_CREATE. */
struct attach_request {
        __u32 target;
        __u32 program;
        __u32 type;
        __u32 flags;
};

static __always_inline bool is_self(void) {
        return (__u32) (bpf_get_current_pid_tgid() >> 32) == facts_settings.self;
}

static __always_inline bool is_our_namespace(struct net *net) {
        return BPF_CORE_READ(net, ns.inum) == facts_settings.netns;
}

static __always_inline bool is_our_device(struct net_device *dev) {
        return dev && is_our_namespace(BPF_CORE_READ(dev, nd_net.net));
}

static __noinline void tell(enum fact_act act, enum fact_hook hook, __u32 ifindex, __u32 program_id, int result) {
        struct task_struct *task = (struct task_struct *) bpf_get_current_task();
        struct fact *fact = bpf_ringbuf_reserve(&facts_ring, sizeof(*fact), 0);

        if (!fact) {
                __sync_fetch_and_add(&facts_lost, 1);
                return;
        }
        fact->boottime = bpf_ktime_get_boot_ns();
        fact->act = act;
        fact->hook = hook;
        fact->ifindex = ifindex;
        fact->program_id = program_id;
        fact->result = result;
        fact->thread = (BPF_CORE_READ(task, flags) & TASK_KERNEL_THREAD) != 0;
        who_fill(&fact->who, task, false);
        bpf_ringbuf_submit(fact, 0);
}

static __always_inline __u32 id_of(struct bpf_prog *program) {
        return program ? BPF_CORE_READ(program, aux, id) : 0;
}

/* Of interfaces */

static __always_inline int on_device(enum fact_act act, struct net_device *dev, int result) {
        if (!is_self() && is_our_device(dev))
                tell(act, FACT_HOOK_NONE, BPF_CORE_READ(dev, ifindex), 0, result);
        return 0;
}

SEC("fentry/__dev_change_net_namespace")
int BPF_PROG(device_move, struct net_device *dev, struct net *net) {
        return net && is_our_namespace(net) ? 0 : on_device(FACT_MOVE, dev, 0);
}

SEC("fexit/netif_change_name")
int BPF_PROG(device_rename, struct net_device *dev, const char *name, int result) {
        return on_device(FACT_RENAME, dev, result);
}

/* Before 6.15. */
SEC("fexit/dev_change_name")
int BPF_PROG(device_rename_older, struct net_device *dev, const char *name, int result) {
        return on_device(FACT_RENAME, dev, result);
}

SEC("fentry/unregister_netdevice_queue")
int BPF_PROG(device_delete, struct net_device *dev) {
        return on_device(FACT_DELETE, dev, 0);
}

/* Programs. The kernel calls this for each of them, with its id, when it is there for use and when it goes. */

#define PROGRAM_LOADED   1 /* PERF_BPF_EVENT_PROG_LOAD, include/uapi/linux/perf_event.h */
#define PROGRAM_UNLOADED 2

SEC("fentry/perf_event_bpf_event")
int BPF_PROG(program_event, struct bpf_prog *program, int type) {
        if (is_self())
                return 0;
        if (type == PROGRAM_LOADED)
                tell(FACT_LOAD, FACT_HOOK_NONE, 0, id_of(program), 0);
        else if (type == PROGRAM_UNLOADED)
                tell(FACT_UNLOAD, FACT_HOOK_NONE, 0, id_of(program), 0);
        return 0;
}

/* XDP */

SEC("fexit/dev_xdp_attach")
int BPF_PROG(xdp_attach, struct net_device *dev, void *extack, struct bpf_xdp_link *link, struct bpf_prog *program,
             struct bpf_prog *expected, __u32 flags, int result) {
        enum fact_act act = FACT_ATTACH;

        if (is_self() || !is_our_device(dev))
                return 0;
        if (link)
                program = BPF_CORE_READ(link, link.prog);
        else if (!program)
                act = FACT_DETACH;
        else if (flags & UAPI_XDP_FLAGS_REPLACE)
                act = FACT_REPLACE;
        tell(act, FACT_HOOK_XDP, BPF_CORE_READ(dev, ifindex), id_of(program), result);
        return 0;
}

static __always_inline struct net_device *xdp_device(struct bpf_link *link) {
        struct bpf_xdp_link *xdp = (struct bpf_xdp_link *) link;

        return BPF_CORE_READ(xdp, dev);
}

SEC("fexit/bpf_xdp_link_update")
int BPF_PROG(xdp_link_update, struct bpf_link *link, struct bpf_prog *program, struct bpf_prog *expected,
             int result) {
        struct net_device *dev = xdp_device(link);

        if (!is_self() && is_our_device(dev))
                tell(FACT_REPLACE, FACT_HOOK_XDP, BPF_CORE_READ(dev, ifindex), id_of(program), result);
        return 0;
}

/* A link that goes lets go of its device, so dev is NULL when nothing is attached any more. */
static __always_inline int before_detach(struct bpf_link *link, struct net_device *dev, enum fact_hook hook) {
        __u32 id = BPF_CORE_READ(link, id);
        struct detachment detachment = { .hook = hook };
        long r;

        if (is_self() || !is_our_device(dev))
                return 0;
        detachment.ifindex = BPF_CORE_READ(dev, ifindex);
        detachment.program_id = id_of(BPF_CORE_READ(link, prog));
        r = bpf_map_update_elem(&facts_detached, &id, &detachment, BPF_NOEXIST);
        if (r < 0 && r != -EEXIST) /* early rather than not at all */
                tell(FACT_DETACH, hook, detachment.ifindex, detachment.program_id, 0);
        return 0;
}

static __always_inline int after_detach(struct bpf_link *link) {
        __u32 id = BPF_CORE_READ(link, id);
        struct detachment *detachment = bpf_map_lookup_elem(&facts_detached, &id);

        if (is_self() || !detachment || detachment->told)
                return 0;
        detachment->told = 1;
        tell(FACT_DETACH, detachment->hook, detachment->ifindex, detachment->program_id, 0);
        return 0;
}

SEC("fentry/bpf_xdp_link_release")
int BPF_PROG(xdp_link_release, struct bpf_link *link) {
        return before_detach(link, xdp_device(link), FACT_HOOK_XDP);
}

SEC("fexit/bpf_xdp_link_release")
int BPF_PROG(xdp_link_released, struct bpf_link *link) {
        return after_detach(link);
}

SEC("fentry/bpf_xdp_link_detach")
int BPF_PROG(xdp_link_detach, struct bpf_link *link) {
        return before_detach(link, xdp_device(link), FACT_HOOK_XDP);
}

SEC("fexit/bpf_xdp_link_detach")
int BPF_PROG(xdp_link_detached, struct bpf_link *link) {
        return after_detach(link);
}

/* tcx and netkit have the same functions */

static __always_inline enum fact_act act_of(__u32 flags) {
        if (flags & UAPI_F_REPLACE)
                return FACT_REPLACE;
        return flags & UAPI_F_BEFORE ? FACT_PRECEDE : FACT_ATTACH;
}

static __always_inline enum fact_hook tcx_hook(__u32 type) {
        return type == UAPI_TCX_INGRESS ? FACT_HOOK_TC_INGRESS : FACT_HOOK_TC_EGRESS;
}

/* Such requests name an interface of the caller's own namespace. */
static __always_inline bool is_our_caller(void) {
        struct task_struct *task = (struct task_struct *) bpf_get_current_task();

        return !is_self() && is_our_namespace(BPF_CORE_READ(task, nsproxy, net_ns));
}

static __always_inline int on_program(const void *attr, struct bpf_prog *program, bool attach, bool netkit,
                                      int result) {
        struct attach_request request;

        if (!is_our_caller() || bpf_probe_read_kernel(&request, sizeof(request), attr) < 0)
                return 0;
        tell(attach ? act_of(request.flags) : FACT_DETACH, netkit ? FACT_HOOK_NETKIT : tcx_hook(request.type),
             request.target, id_of(program), result);
        return 0;
}

static __always_inline int on_link(const void *attr, struct bpf_prog *program, bool netkit, int result) {
        struct attach_request request;

        if (!is_our_caller() || bpf_probe_read_kernel(&request, sizeof(request), attr) < 0)
                return 0;
        tell(act_of(request.flags), netkit ? FACT_HOOK_NETKIT : tcx_hook(request.type), request.program,
             id_of(program), result);
        return 0;
}

static __always_inline struct net_device *tcx_device(struct bpf_link *link) {
        struct tcx_link *tcx = (struct tcx_link *) link;

        return BPF_CORE_READ(tcx, dev);
}

static __always_inline enum fact_hook tcx_link_hook(struct bpf_link *link) {
        struct tcx_link *tcx = (struct tcx_link *) link;
        struct bpf_link___since_6_17 *newer = (void *) link;

        return tcx_hook(bpf_core_field_exists(tcx->location) ? BPF_CORE_READ(tcx, location)
                                                             : BPF_CORE_READ(newer, attach_type));
}

static __always_inline struct net_device *netkit_device(struct bpf_link *link) {
        struct netkit_link *netkit = (struct netkit_link *) link;

        return BPF_CORE_READ(netkit, dev);
}

static __always_inline int on_update(struct net_device *dev, struct bpf_prog *program, enum fact_hook hook,
                                     int result) {
        if (!is_self() && is_our_device(dev))
                tell(FACT_REPLACE, hook, BPF_CORE_READ(dev, ifindex), id_of(program), result);
        return 0;
}

SEC("fexit/tcx_prog_attach")
int BPF_PROG(tcx_attach, const void *attr, struct bpf_prog *program, int result) {
        return on_program(attr, program, true, false, result);
}

SEC("fexit/tcx_prog_detach")
int BPF_PROG(tcx_detach, const void *attr, struct bpf_prog *program, int result) {
        return on_program(attr, program, false, false, result);
}

SEC("fexit/tcx_link_attach")
int BPF_PROG(tcx_link_create, const void *attr, struct bpf_prog *program, int result) {
        return on_link(attr, program, false, result);
}

SEC("fexit/tcx_link_update")
int BPF_PROG(tcx_link_replace, struct bpf_link *link, struct bpf_prog *program, struct bpf_prog *expected,
             int result) {
        return on_update(tcx_device(link), program, tcx_link_hook(link), result);
}

SEC("fentry/tcx_link_release")
int BPF_PROG(tcx_link_go, struct bpf_link *link) {
        return before_detach(link, tcx_device(link), tcx_link_hook(link));
}

SEC("fexit/tcx_link_release")
int BPF_PROG(tcx_link_gone, struct bpf_link *link) {
        return after_detach(link);
}

SEC("fentry/tcx_link_detach")
int BPF_PROG(tcx_link_take_off, struct bpf_link *link) {
        return before_detach(link, tcx_device(link), tcx_link_hook(link));
}

SEC("fexit/tcx_link_detach")
int BPF_PROG(tcx_link_taken_off, struct bpf_link *link) {
        return after_detach(link);
}

SEC("fexit/netkit_prog_attach")
int BPF_PROG(netkit_attach, const void *attr, struct bpf_prog *program, int result) {
        return on_program(attr, program, true, true, result);
}

SEC("fexit/netkit_prog_detach")
int BPF_PROG(netkit_detach, const void *attr, struct bpf_prog *program, int result) {
        return on_program(attr, program, false, true, result);
}

SEC("fexit/netkit_link_attach")
int BPF_PROG(netkit_link_create, const void *attr, struct bpf_prog *program, int result) {
        return on_link(attr, program, true, result);
}

SEC("fexit/netkit_link_update")
int BPF_PROG(netkit_link_replace, struct bpf_link *link, struct bpf_prog *program, struct bpf_prog *expected,
             int result) {
        return on_update(netkit_device(link), program, FACT_HOOK_NETKIT, result);
}

SEC("fentry/netkit_link_release")
int BPF_PROG(netkit_link_go, struct bpf_link *link) {
        return before_detach(link, netkit_device(link), FACT_HOOK_NETKIT);
}

SEC("fexit/netkit_link_release")
int BPF_PROG(netkit_link_gone, struct bpf_link *link) {
        return after_detach(link);
}

SEC("fentry/netkit_link_detach")
int BPF_PROG(netkit_link_take_off, struct bpf_link *link) {
        return before_detach(link, netkit_device(link), FACT_HOOK_NETKIT);
}

SEC("fexit/netkit_link_detach")
int BPF_PROG(netkit_link_taken_off, struct bpf_link *link) {
        return after_detach(link);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
