/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What bpf(2) is asked for. Most calls are none of ours and return after a comparison.
 *
 * Descriptors are looked up here and once more by the kernel: a thread that shares the table could put another one in
 * the place between. What comes of that is found by the service, which compares what runs with what should.
 */

#include "guard-judge.bpf.h"

/* Headers of older distributions lack these; include/uapi/linux/bpf.h. */
#define UAPI_XDP            37 /* enum bpf_attach_type */
#define UAPI_TCX_INGRESS    46
#define UAPI_TCX_EGRESS     47
#define UAPI_NETKIT_PRIMARY 54
#define UAPI_NETKIT_PEER    55
#define UAPI_F_REPLACE      (1U << 2)
#define UAPI_F_BEFORE       (1U << 3)
#define UAPI_F_ID           (1U << 5)
#define UAPI_F_LINK         (1U << 13)
#define UAPI_COMMON_ATTRS   (1 << 16) /* flag of the command */

/* enum bpf_prog_type */
#define UAPI_TYPE_SCHED_CLS     3
#define UAPI_TYPE_SCHED_ACT     4
#define UAPI_TYPE_XDP           6
#define UAPI_TYPE_LWT_IN        10
#define UAPI_TYPE_LWT_OUT       11
#define UAPI_TYPE_LWT_XMIT      12
#define UAPI_TYPE_LWT_SEG6LOCAL 19
#define UAPI_TYPE_EXT           28
#define UAPI_TYPE_NETFILTER     32

/* bpf_attr.link_create, and the same by name for BPF_PROG_ATTACH and _DETACH. */
struct guard_link_create {
        __u32 prog_fd;
        __u32 target;
        __u32 attach_type;
        __u32 flags;
        __u32 relative;
};

struct guard_prog_attach {
        __u32 target;
        __u32 prog_fd;
        __u32 attach_type;
        __u32 flags;
        __u32 replace_fd;
        __u32 relative;
};

static __always_inline __u32 guard_read_u32(const void *from) {
        __u32 value = 0;

        (void) bpf_probe_read_kernel(&value, sizeof(value), from);
        return value;
}

/* What the file behind a descriptor of the current process is about. The kind of the file is not asked: what is
 * compared with it, the place or the id of an object of ours, is not found in others but by chance, and then the
 * kernel itself would refuse the call. */
static __always_inline struct file *guard_get_file(__u32 fd) {
        struct task_struct *task = bpf_get_current_task_btf();
        struct fdtable *table = BPF_CORE_READ(task, files, fdt);
        struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

        if (fd >= BPF_CORE_READ(table, max_fds))
                return NULL;
        if (bpf_probe_read_kernel(&file, sizeof(file), files + fd) < 0)
                return NULL;
        return file;
}

static __always_inline void *guard_get_object(__u32 fd) {
        struct file *file = guard_get_file(fd);

        return file ? BPF_CORE_READ(file, private_data) : NULL;
}

static __always_inline bool guard_is_own(const void *object) {
        __u64 key = (__u64) object;

        return object && bpf_map_lookup_elem(&guard_own, &key);
}

static __always_inline void guard_add_own(const void *object) {
        __u64 key = (__u64) object;
        __u32 one = 1;

        if (object && bpf_map_update_elem(&guard_own, &key, &one, 0) < 0)
                guard_lose(GUARD_BPF_LOST_OBJECTS);
}

/* Is the program behind this descriptor? */
static __always_inline bool guard_is_own_program(__u32 fd) {
        struct bpf_prog *program = guard_get_object(fd);

        return program && guard_is_own(BPF_CORE_READ(program, aux));
}

static __always_inline bool guard_same_netns(const struct guard_bpf_settings *settings) {
        struct task_struct *task = bpf_get_current_task_btf();

        return BPF_CORE_READ(task, nsproxy, net_ns, ns.inum) == settings->netns;
}

/* Onto a hook for which many programs can be in line. */
static __always_inline __u32 guard_attach_act(const struct guard_bpf_settings *settings,
                                              const struct guard_bpf_hook *hook, __u32 attach_type, __u32 flags,
                                              __u32 relative) {
        if (attach_type == UAPI_XDP)
                return GUARD_BPF_ACT_ATTACH;
        if (attach_type == UAPI_NETKIT_PEER)
                return GUARD_BPF_ACT_PRECEDE;
        if (attach_type != UAPI_NETKIT_PRIMARY) {
                /* Filters on clsact run behind all of tcx. */
                if (hook->kind == GUARD_BPF_KIND_CLSACT || (flags & UAPI_F_BEFORE))
                        return GUARD_BPF_ACT_PRECEDE;
                if (flags & UAPI_F_REPLACE)
                        return GUARD_BPF_ACT_REPLACE;
                /* Next to another: it can't be told on which side of ours that is. */
                if (relative != 0 || (flags & (UAPI_F_ID | UAPI_F_LINK)))
                        return GUARD_BPF_ACT_PRECEDE;
        }
        return settings->append ? GUARD_BPF_ACT_NONE : GUARD_BPF_ACT_ATTACH;
}

/* A netkit device's own programs run for packets that leave by it behind tcx, and for those that its peer sends
 * before they arrive. */
static __always_inline __u32 guard_hook_of(__u32 attach_type) {
        switch (attach_type) {
        case UAPI_XDP: return GUARD_BPF_HOOK_XDP;
        case UAPI_TCX_INGRESS:
        case UAPI_NETKIT_PEER: return GUARD_BPF_HOOK_TC_INGRESS;
        case UAPI_TCX_EGRESS:
        case UAPI_NETKIT_PRIMARY: return GUARD_BPF_HOOK_TC_EGRESS;
        default: return GUARD_BPF_NO_HOOK;
        }
}

/* Is the hook of one of ours in our namespace? */
static __always_inline struct guard_bpf_hook *guard_find_hook(const struct guard_bpf_settings *settings,
                                                              __u32 ifindex, __u32 attach_type) {
        struct guard_bpf_hook_key key = { .ifindex = ifindex, .hook = guard_hook_of(attach_type) };

        if (settings->n_hooks == 0 || key.hook == GUARD_BPF_NO_HOOK || !guard_same_netns(settings))
                return NULL;
        return bpf_map_lookup_elem(&guard_hooks, &key);
}

/* A program that replaces functions of another: of which, as it was loaded or as it is to be attached. */
static __always_inline struct bpf_prog_aux *guard_find_target(__u32 prog_fd, __u32 target_fd) {
        struct bpf_prog *program = guard_get_object(prog_fd), *target;

        if (!program || BPF_CORE_READ(program, type) != UAPI_TYPE_EXT)
                return NULL;
        target = target_fd > 0 ? guard_get_object(target_fd) : BPF_CORE_READ(program, aux, dst_prog);
        return target ? BPF_CORE_READ(target, aux) : NULL;
}

static __always_inline void guard_on_function(struct guard_deed *deed, __u32 prog_fd, __u32 target_fd) {
        struct bpf_prog_aux *target = guard_find_target(prog_fd, target_fd);

        if (!guard_is_own(target))
                return;
        deed->rule = GUARD_BPF_RULE_OBJECTS;
        deed->act = GUARD_BPF_ACT_REPLACE_FUNCTION;
        deed->object = BPF_CORE_READ(target, id);
}

static __always_inline void guard_on_link_create(const struct guard_bpf_settings *settings, struct guard_deed *deed,
                                                 const void *attr) {
        struct guard_link_create create = {};
        struct guard_bpf_hook *hook;

        (void) bpf_probe_read_kernel(&create, sizeof(create), attr);
        hook = guard_find_hook(settings, create.target, create.attach_type);
        if (!hook) {
                guard_on_function(deed, create.prog_fd, create.target);
                return;
        }
        deed->rule = GUARD_BPF_RULE_LINKS;
        deed->ifindex = create.target;
        deed->hook = guard_hook_of(create.attach_type);
        deed->object = hook->link_id;
        deed->act = guard_attach_act(settings, hook, create.attach_type, create.flags, create.relative);
}

static __always_inline void guard_on_prog_attach(const struct guard_bpf_settings *settings, struct guard_deed *deed,
                                                 const void *attr, bool detach) {
        struct guard_prog_attach attach = {};
        struct guard_bpf_hook *hook;

        (void) bpf_probe_read_kernel(&attach, sizeof(attach), attr);
        hook = guard_find_hook(settings, attach.target, attach.attach_type);
        if (!hook)
                return;
        deed->rule = GUARD_BPF_RULE_LINKS;
        deed->ifindex = attach.target;
        deed->hook = guard_hook_of(attach.attach_type);
        deed->object = hook->link_id;
        if (!detach)
                deed->act = guard_attach_act(settings, hook, attach.attach_type, attach.flags, attach.relative);
        else if (!settings->append || guard_is_own_program(attach.prog_fd))
                deed->act = GUARD_BPF_ACT_DETACH;
        /* Others are let take their own away; what a link holds, the kernel does not take away so. */
}

static __always_inline void guard_on_link(struct guard_deed *deed, const void *attr, __u32 act) {
        struct bpf_link *link = guard_get_object(guard_read_u32(attr));
        struct guard_bpf_hook_key *key;
        __u32 id;

        if (!link)
                return;
        id = BPF_CORE_READ(link, id);
        key = bpf_map_lookup_elem(&guard_links, &id);
        if (!key)
                return;
        deed->rule = GUARD_BPF_RULE_LINKS;
        deed->ifindex = key->ifindex;
        deed->hook = key->hook;
        deed->object = id;
        deed->act = act;
}

static __always_inline bool guard_is_networking(__u32 type) {
        switch (type) {
        case UAPI_TYPE_SCHED_CLS:
        case UAPI_TYPE_SCHED_ACT:
        case UAPI_TYPE_XDP:
        case UAPI_TYPE_LWT_IN:
        case UAPI_TYPE_LWT_OUT:
        case UAPI_TYPE_LWT_XMIT:
        case UAPI_TYPE_LWT_SEG6LOCAL:
        case UAPI_TYPE_NETFILTER: return true;
        default: return false;
        }
}

static __always_inline void guard_on_prog_load(const struct guard_bpf_settings *settings, struct guard_deed *deed,
                                               const union bpf_attr *attr) {
        __u32 type = guard_read_u32(&attr->prog_type);
        struct bpf_prog *target = NULL;
        bool networking = guard_is_networking(type);

        if (type == UAPI_TYPE_EXT) {
                target = guard_get_object(guard_read_u32(&attr->attach_prog_fd));
                networking = !target || guard_is_networking(BPF_CORE_READ(target, type));
        }
        if (target && guard_is_own(BPF_CORE_READ(target, aux))) {
                deed->rule = GUARD_BPF_RULE_OBJECTS;
                deed->act = GUARD_BPF_ACT_REPLACE_FUNCTION;
                deed->object = BPF_CORE_READ(target, aux, id);
        } else if (settings->loading == GUARD_BPF_LOADING_NONE ||
                   (settings->loading == GUARD_BPF_LOADING_NETWORKING && networking)) {
                deed->rule = GUARD_BPF_RULE_LOADS;
                deed->act = GUARD_BPF_ACT_LOAD_PROGRAM;
                deed->detail = type;
        }
}

#define GUARD_OWN_MAPS 64 /* MAX_USED_MAPS of the kernel */

/* The maps of a program. */
struct guard_maps {
        __u64 maps; /* struct bpf_map ** */
        __u64 own;  /* the first that is ours */
        __u32 n;
        __u32 add; /* make all ours */
};

__noinline int guard_map_step(struct guard_maps *in, __u32 index) {
        struct bpf_map *map = NULL;

        if (!in || index >= in->n ||
            bpf_probe_read_kernel(&map, sizeof(map), (struct bpf_map **) in->maps + index) < 0)
                return 1;
        if (in->add) {
                guard_add_own(map);
                return 0;
        }
        if (!guard_is_own(map))
                return 0;
        in->own = (__u64) map;
        return 1;
}

static long guard_each_map(__u64 index, struct guard_maps *in) {
        return who_is_last(guard_map_step(in, index));
}

static __always_inline struct bpf_map *guard_go_through_maps(struct bpf_prog_aux *aux, bool add) {
        struct guard_maps in = {
                .maps = (__u64) BPF_CORE_READ(aux, used_maps),
                .n = BPF_CORE_READ(aux, used_map_cnt),
                .add = add,
        };

        bpf_loop(GUARD_OWN_MAPS, guard_each_map, &in, 0);
        return (struct bpf_map *) in.own;
}

static __always_inline void guard_add_own_program(struct bpf_prog_aux *aux) {
        guard_add_own(aux);
        (void) guard_go_through_maps(aux, true);
}

static __always_inline void guard_answer_file(__u32 fd) {
        struct file *opened = guard_get_file(fd);
        struct inode *inode = BPF_CORE_READ(opened, f_inode);
        struct guard_bpf_file file = {};
        __u32 zero = 0;

        file.inode = BPF_CORE_READ(inode, i_ino);
        file.device = BPF_CORE_READ(inode, i_sb, s_dev);
        (void) bpf_map_update_elem(&guard_answer, &zero, &file, 0);
}

/* The service asks, and proves thereby that this program is called. */
static __noinline int guard_on_question(const union bpf_attr *attr) {
        struct task_struct *task = bpf_get_current_task_btf();
        struct guard_bpf_question question = {};
        struct bpf_prog *program;
        struct bpf_link *link;

        if (!bpf_task_storage_get(&guard_service, task->group_leader, NULL, 0))
                return 0;
        (void) bpf_probe_read_kernel(&question, sizeof(question), attr);
        if (question.magic != GUARD_BPF_MAGIC)
                return 0;
        switch (question.what) {
        case GUARD_BPF_ASK_FILE: guard_answer_file(question.fd); break;
        case GUARD_BPF_OWN_MAP: guard_add_own(guard_get_object(question.fd)); break;
        case GUARD_BPF_OWN_PROGRAM:
                program = guard_get_object(question.fd);
                guard_add_own_program(BPF_CORE_READ(program, aux));
                break;
        case GUARD_BPF_OWN_LINK:
                link = guard_get_object(question.fd);
                guard_add_own_program(BPF_CORE_READ(link, prog, aux));
                break;
        }
        return -GUARD_BPF_DONE;
}

static __always_inline int guard_bpf(int command, const union bpf_attr *attr, bool ask) {
        struct guard_deed deed = { .hook = GUARD_BPF_NO_HOOK };
        struct guard_bpf_settings *settings;

        command &= ~UAPI_COMMON_ATTRS;
        switch (command) {
        case BPF_PROG_LOAD:
        case BPF_PROG_ATTACH:
        case BPF_PROG_DETACH:
        case BPF_RAW_TRACEPOINT_OPEN:
        case BPF_LINK_CREATE:
        case BPF_LINK_UPDATE:
        case BPF_LINK_DETACH: break;
        case GUARD_BPF_COMMAND: return guard_on_question(attr);
        default: return 0;
        }
        settings = guard_get_settings();
        if (!settings || settings->mode == GUARD_BPF_MODE_OFF)
                return 0;
        deed.detail = command;
        switch (command) {
        case BPF_PROG_LOAD: guard_on_prog_load(settings, &deed, attr); break;
        case BPF_PROG_ATTACH: guard_on_prog_attach(settings, &deed, attr, false); break;
        case BPF_PROG_DETACH: guard_on_prog_attach(settings, &deed, attr, true); break;
        case BPF_RAW_TRACEPOINT_OPEN:
                guard_on_function(&deed, guard_read_u32(&attr->raw_tracepoint.prog_fd), 0);
                break;
        case BPF_LINK_CREATE: guard_on_link_create(settings, &deed, attr); break;
        case BPF_LINK_UPDATE: guard_on_link(&deed, attr, GUARD_BPF_ACT_REPLACE); break;
        case BPF_LINK_DETACH: guard_on_link(&deed, attr, GUARD_BPF_ACT_DETACH); break;
        }
        return deed.act != GUARD_BPF_ACT_NONE ? GUARD_JUDGE(&deed, ask) : 0;
}

/* A descriptor of a map is about to be given out. */
static __always_inline int guard_map(struct bpf_map *map, unsigned mode, bool ask) {
        struct guard_deed deed = { .rule = GUARD_BPF_RULE_OBJECTS,
                                   .act = GUARD_BPF_ACT_OPEN_OBJECT,
                                   .hook = GUARD_BPF_NO_HOOK };

        if (!(mode & 2 /* FMODE_WRITE */) || !guard_is_own(map))
                return 0;
        deed.object = BPF_CORE_READ(map, id);
        return GUARD_JUDGE(&deed, ask);
}

/* Of a program. One that uses a map of ours without being ours can write to it, though its loader had only a
 * descriptor to read with. */
static __always_inline int guard_prog(struct bpf_prog *program, bool ask) {
        struct guard_deed deed = { .rule = GUARD_BPF_RULE_OBJECTS,
                                   .act = GUARD_BPF_ACT_OPEN_OBJECT,
                                   .hook = GUARD_BPF_NO_HOOK };
        struct bpf_prog_aux *aux = BPF_CORE_READ(program, aux);
        struct bpf_map *map;

        if (BPF_CORE_READ(aux, used_map_cnt) == 0 || guard_is_own(aux))
                return 0;
        map = guard_go_through_maps(aux, false);
        if (!map)
                return 0;
        deed.object = BPF_CORE_READ(map, id);
        return GUARD_JUDGE(&deed, ask);
}

/* A map or program (its struct bpf_prog_aux) is made: ours, when the service does it. */
static __always_inline int guard_made(const void *object) {
        if (guard_is_service())
                guard_add_own(object);
        return 0;
}

static __always_inline int guard_goes(const void *object) {
        __u64 key = (__u64) object;

        (void) bpf_map_delete_elem(&guard_own, &key);
        return 0;
}
