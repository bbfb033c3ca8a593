/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Who may do what the rules keep from others, and telling of who tried. Only reached where one of our hooks or
 * objects is concerned, so that others pay nothing for it.
 */

#include "guard-maps.bpf.h"
#include "who.bpf.h"

#define PID_1         1
#define CGROUP_LEVELS 16

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
        char end[8] = "";

        if (length <= 6 || bpf_probe_read_kernel(end, 7, name + length - 6) < 0)
                return false;
        return end[0] == '.' && end[1] == 's' && end[2] == 'l' && end[3] == 'i' && end[4] == 'c' && end[5] == 'e' &&
               end[6] == '\0';
}

/* The unit of the system's service manager that the current process belongs to: of its cgroup's path from the root,
 * the first part that is no slice. What is below may be made by whom the manager lets (users, containers), and tells
 * nothing. unit: room. The address of a struct kernfs_node, or 0. */
static __noinline __u64 guard_find_unit(struct guard_unit *unit) {
        struct task_struct *task = bpf_get_current_task_btf();
        struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
        struct kernfs_node *found = NULL;

        if (!unit)
                return 0;
        for (int i = 0; i < CGROUP_LEVELS; i++) {
                struct kernfs_node *parent = who_cgroup_parent(node);
                const char *name;
                long n;

                if (!parent)
                        return (__u64) found;
                name = BPF_CORE_READ(node, name);
                n = bpf_probe_read_kernel_str(unit->text, sizeof(unit->text), name);
                if (n > 1 && !guard_is_slice(name, n - 1))
                        found = node;
                node = parent;
        }
        return 0;
}

static __always_inline bool guard_read_unit(struct guard_unit *unit, struct kernfs_node *node) {
        const char *name = BPF_CORE_READ(node, name);

        __builtin_memset(unit, 0, sizeof(*unit));
        return bpf_probe_read_kernel_str(unit->text, sizeof(unit->text), name) > 1;
}

/* The rules that do not hold for that unit, or for a slice that it is in. */
static __noinline __u32 guard_unit_rules(struct guard_unit *unit) {
        struct kernfs_node *node;
        __u32 allowed = 0;

        if (!unit)
                return 0;
        node = (struct kernfs_node *) guard_find_unit(unit);
        for (int i = 0; i < CGROUP_LEVELS && node; i++) {
                __u32 *rules;

                if (!guard_read_unit(unit, node))
                        break;
                rules = bpf_map_lookup_elem(&guard_units, unit);
                allowed |= rules ? *rules : 0;
                node = who_cgroup_parent(node);
        }
        return allowed;
}

static __always_inline bool guard_same_unit(const struct guard_unit *unit, const char *text) {
        for (int i = 0; i < GUARD_BPF_UNIT; i++) {
                if (unit->text[i] != text[i])
                        return false;
                if (text[i] == '\0')
                        return i > 0;
        }
        return false;
}

/* Is the process of the service, by its own word or, where that is still to come, as the main process of its unit?
 * unit: room, for stacks are small. */
static __noinline int guard_is_service(struct guard_unit *unit) {
        struct task_struct *task = bpf_get_current_task_btf();
        struct guard_bpf_settings *settings;
        struct kernfs_node *node;

        if (bpf_task_storage_get(&guard_service, task->group_leader, NULL, 0))
                return 1;
        if (!unit || BPF_CORE_READ(task, real_parent, tgid) != PID_1)
                return 0;
        settings = guard_get_settings();
        node = (struct kernfs_node *) guard_find_unit(unit);
        if (!settings || !node || !guard_read_unit(unit, node))
                return 0;
        return guard_same_unit(unit, settings->service) || guard_same_unit(unit, settings->release);
}

/* The rules that do not hold for the current process. */
static __noinline __u32 guard_allowed(void) {
        struct task_struct *task = bpf_get_current_task_btf();
        struct guard_bpf_settings *settings = guard_get_settings();
        struct guard_bpf_file file = {};
        struct guard_unit unit;
        struct inode *inode;
        __u32 allowed = 0, uid, *rules;

        if (!settings || BPF_CORE_READ(task, tgid) == PID_1 || (BPF_CORE_READ(task, flags) & TASK_KERNEL_THREAD) ||
            guard_is_service(&unit))
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
                allowed |= guard_unit_rules(&unit);
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

static __always_inline void guard_tell(const struct guard_deed *deed, __u32 verdict, bool ask) {
        struct guard_bpf_event *event = bpf_ringbuf_reserve(&guard_events, sizeof(*event), 0);

        if (!event) {
                guard_lose(GUARD_BPF_LOST_EVENTS);
                return;
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
        guard_tell(deed, verdict, ask);
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
