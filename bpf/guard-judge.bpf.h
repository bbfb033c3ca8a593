/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Who may do what the rules keep from others, and telling of who tried. Only reached where one of our hooks or
 * objects is concerned, so that others pay nothing for it.
 */

#include "guard-maps.bpf.h"
#include "who.bpf.h"

#define PID_1         1
#define CGROUP_LEVELS 64

/* In a mask of rules: the service, PID 1 or the kernel, of whom nothing is told. */
#define GUARD_TRUSTED (1U << 31)

/* What somebody is about to do. */
struct guard_deed {
        __u32 rule;
        __u32 act;
        __u32 ifindex;
        __u32 hook;
        __u32 object;
        __u32 detail;
        const unsigned char *pin; /* text in the kernel, or NULL */
};

/* Does the name end with ".slice"? length: without NUL. */
static __always_inline bool guard_is_slice(const char *name, long length) {
        const union {
                char text[8];
                __u64 number;
        } slice = { .text = ".slice" };
        __u64 end = 0;

        return length > 6 && bpf_probe_read_kernel(&end, 7, name + length - 6) == 0 && end == slice.number;
}

/* On the way up from the control group of the current process. */
struct guard_walk {
        __u64 node;
        __u64 found;   /* the last node that is no slice */
        __u32 allowed; /* mask of rules */
        __u32 whole;
};

/* Steps have a copy of their own of the name: stacks are small, and a key has to be on them. */

__noinline int guard_find_step(struct guard_walk *walk) {
        struct kernfs_node *node, *parent;
        struct guard_unit unit;
        const char *name;
        long n;

        if (!walk)
                return 1;
        node = (struct kernfs_node *) walk->node;
        parent = who_cgroup_parent(node);
        walk->whole = !parent;
        if (!parent)
                return 1;
        name = BPF_CORE_READ(node, name);
        n = bpf_probe_read_kernel_str(unit.text, sizeof(unit.text), name);
        if (n > 1 && !guard_is_slice(name, n - 1))
                walk->found = walk->node;
        walk->node = (__u64) parent;
        return 0;
}

static __always_inline bool guard_read_unit(struct guard_unit *unit, struct kernfs_node *node) {
        const char *name = BPF_CORE_READ(node, name);

        __builtin_memset(unit, 0, sizeof(*unit));
        return bpf_probe_read_kernel_str(unit->text, sizeof(unit->text), name) > 1;
}

__noinline int guard_rules_step(struct guard_walk *walk) {
        struct kernfs_node *node;
        struct guard_unit unit;
        __u32 *rules;

        if (!walk)
                return 1;
        node = (struct kernfs_node *) walk->node;
        if (!node || !guard_read_unit(&unit, node))
                return 1;
        rules = bpf_map_lookup_elem(&guard_units, &unit);
        walk->allowed |= rules ? *rules : 0;
        walk->node = (__u64) who_cgroup_parent(node);
        return 0;
}

static long guard_each_find(__u64 index, struct guard_walk *walk) {
        return who_is_last(guard_find_step(walk));
}

static long guard_each_rules(__u64 index, struct guard_walk *walk) {
        return who_is_last(guard_rules_step(walk));
}

/* The unit of the system's service manager that the current process belongs to: of its cgroup's path from the root,
 * the first part that is no slice. What is below may be made by whom the manager lets (users, containers), and tells
 * nothing. */
static __always_inline struct kernfs_node *guard_find_unit(void) {
        struct task_struct *task = bpf_get_current_task_btf();
        struct guard_walk walk = { .node = (__u64) BPF_CORE_READ(task, cgroups, dfl_cgrp, kn) };

        bpf_loop(CGROUP_LEVELS, guard_each_find, &walk, 0);
        return walk.whole ? (struct kernfs_node *) walk.found : NULL;
}

/* The rules that do not hold for that unit, or for a slice that it is in. */
static __noinline __u32 guard_unit_rules(void) {
        struct guard_walk walk = { .node = (__u64) guard_find_unit() };

        bpf_loop(CGROUP_LEVELS, guard_each_rules, &walk, 0);
        return walk.allowed;
}

/* Both are filled up with NUL bytes. */
static __always_inline bool guard_same_unit(const struct guard_unit *unit, const char *text) {
        const __u64 *one = (const __u64 *) unit->text, *other = (const __u64 *) text;

        for (int i = 0; i < GUARD_BPF_UNIT / 8; i++)
                if (one[i] != other[i])
                        return false;
        return unit->text[0] != '\0';
}

static __noinline int guard_is_service_unit(struct kernfs_node *node) {
        struct guard_bpf_settings *settings = guard_get_settings();
        struct guard_unit unit;

        if (!settings || !node || !guard_read_unit(&unit, node))
                return 0;
        return guard_same_unit(&unit, settings->service) || guard_same_unit(&unit, settings->release);
}

/* Is the process of the service, by its own word or, where that is still to come, as the main process of its unit? */
static __noinline int guard_is_service(void) {
        struct task_struct *task = bpf_get_current_task_btf();

        if (bpf_task_storage_get(&guard_service, task->group_leader, NULL, 0))
                return 1;
        return BPF_CORE_READ(task, real_parent, tgid) == PID_1 && guard_is_service_unit(guard_find_unit());
}

/* The rules that do not hold for the current process. */
static __noinline __u32 guard_allowed(void) {
        struct task_struct *task = bpf_get_current_task_btf();
        struct guard_bpf_settings *settings = guard_get_settings();
        struct guard_bpf_file file = {};
        struct inode *inode;
        __u32 allowed = 0, uid, *rules;

        if (!settings || BPF_CORE_READ(task, tgid) == PID_1 || (BPF_CORE_READ(task, flags) & TASK_KERNEL_THREAD) ||
            guard_is_service())
                return GUARD_TRUSTED;

        inode = BPF_CORE_READ(task, mm, exe_file, f_inode);
        if (inode) {
                file.inode = BPF_CORE_READ(inode, i_ino);
                file.device = BPF_CORE_READ(inode, i_sb, s_dev);
                rules = bpf_map_lookup_elem(&guard_exes, &file);
                allowed |= rules ? *rules : 0;
        }
        if (settings->n_users > 0) {
                uid = BPF_CORE_READ(task, cred, euid.val);
                rules = bpf_map_lookup_elem(&guard_users, &uid);
                allowed |= rules ? *rules : 0;
        }
        if (settings->n_units > 0)
                allowed |= guard_unit_rules();
        return allowed;
}

static __always_inline void guard_count(__u32 rule, __u32 verdict) {
        struct guard_bpf_counters *counters = bpf_map_lookup_elem(&guard_counters, &rule);

        if (!counters)
                return;
        if (verdict == GUARD_BPF_REFUSED)
                __sync_fetch_and_add(&counters->refused, 1);
        else if (verdict == GUARD_BPF_WOULD_REFUSE)
                __sync_fetch_and_add(&counters->would_refuse, 1);
        else
                __sync_fetch_and_add(&counters->allowed, 1);
}

static __always_inline int guard_tell_body(const struct guard_deed *deed, __u32 verdict, bool ask) {
        struct guard_bpf_event *event = bpf_ringbuf_reserve(&guard_events, sizeof(*event), 0);

        if (!event) {
                guard_lose(GUARD_BPF_LOST_EVENTS);
                return 0;
        }
        event->boottime = bpf_ktime_get_boot_ns();
        event->rule = deed->rule;
        event->verdict = verdict;
        event->act = deed->act;
        event->ifindex = deed->ifindex;
        event->hook = deed->hook;
        event->object = deed->object;
        event->detail = deed->detail;
        event->reserved = 0;
        event->pin[0] = '\0';
        if (deed->pin)
                (void) bpf_probe_read_kernel_str(event->pin, sizeof(event->pin), deed->pin);
        who_fill(&event->who, bpf_get_current_task_btf(), ask);
        bpf_ringbuf_submit(event, 0);
        return 0;
}

static __noinline int guard_tell_asking(const struct guard_deed *deed, __u32 verdict) {
        return guard_tell_body(deed, verdict, true);
}

static __noinline int guard_tell_plain(const struct guard_deed *deed, __u32 verdict) {
        return guard_tell_body(deed, verdict, false);
}

static __always_inline int guard_judge_body(const struct guard_deed *deed, bool ask) {
        struct guard_bpf_settings *settings = guard_get_settings();
        __u32 allowed, verdict;

        if (!settings || settings->mode == GUARD_BPF_MODE_OFF)
                return 0;
        if (deed->rule != GUARD_BPF_RULE_LOADS && !(settings->protect & (1U << (deed->rule & 31))))
                return 0;
        allowed = guard_allowed();
        if (allowed & GUARD_TRUSTED)
                return 0;
        if (allowed & (1U << (deed->rule & 31)))
                verdict = GUARD_BPF_ALLOWED;
        else if (settings->mode == GUARD_BPF_MODE_ENFORCE)
                verdict = GUARD_BPF_REFUSED;
        else
                verdict = GUARD_BPF_WOULD_REFUSE;
        guard_count(deed->rule, verdict);
        (void) (ask ? guard_tell_asking(deed, verdict) : guard_tell_plain(deed, verdict));
        return verdict == GUARD_BPF_REFUSED ? -1 /* EPERM */ : 0;
}

/* For BPF LSM programs, which may ask the kernel for the path of an executable. These are global functions, as are
 * others that do much: the verifier looks at those once, not at each call. */
__noinline int guard_judge_asking(const struct guard_deed *deed) {
        return deed ? guard_judge_body(deed, true) : 0;
}

__noinline int guard_judge_plain(const struct guard_deed *deed) {
        return deed ? guard_judge_body(deed, false) : 0;
}

/* The verifier wants to see that nothing but an errno comes of it. */
static __always_inline int guard_as_errno(int r) {
        barrier_var(r);
        return r != 0 ? -1 /* EPERM */ : 0;
}

#define GUARD_JUDGE(deed, ask) guard_as_errno((ask) ? guard_judge_asking(deed) : guard_judge_plain(deed))
