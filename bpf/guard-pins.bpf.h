/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Pins, which keep chains and the guard itself over the end of the service, and the service.
 */

#include "guard-judge.bpf.h"

#define BPF_FS_MAGIC 0xcafe4a11
#define PIN_DEPTH    16
#define PARENTS      64
#define TRACE_ATTACH 2 /* PTRACE_MODE_ATTACH, include/linux/ptrace.h */

/* Is it in our folder, or one that our folder is in, or the folder itself? */
static __always_inline bool guard_is_pin(const struct guard_bpf_settings *settings, struct dentry *entry) {
        __u64 inode = BPF_CORE_READ(entry, d_inode, i_ino);

        if (inode == 0)
                return false;
        for (int i = 1; i < GUARD_BPF_FOLDERS && settings->pins[i] != 0; i++)
                if (inode == settings->pins[i])
                        return true;
        for (int i = 0; i < PIN_DEPTH; i++) {
                struct dentry *parent = BPF_CORE_READ(entry, d_parent);

                if (BPF_CORE_READ(entry, d_inode, i_ino) == settings->pins[0])
                        return true;
                if (parent == entry)
                        return false;
                entry = parent;
        }
        return false;
}

static __always_inline int guard_unpin(struct dentry *entry, bool ask) {
        struct guard_deed deed = { .rule = GUARD_BPF_RULE_PINS,
                                   .act = GUARD_BPF_ACT_UNPIN,
                                   .hook = GUARD_BPF_NO_HOOK };
        struct guard_bpf_settings *settings;

        if ((__u32) entry->d_sb->s_magic != BPF_FS_MAGIC)
                return 0;
        settings = guard_get_settings();
        if (!settings || settings->mode == GUARD_BPF_MODE_OFF || settings->pins_device == 0 ||
            BPF_CORE_READ(entry, d_sb, s_dev) != settings->pins_device || !guard_is_pin(settings, entry))
                return 0;
        deed.pin = BPF_CORE_READ(entry, d_name.name);
        return GUARD_JUDGE(&deed, ask);
}

/* The mounts that PID 1 sees: found from the current process upwards, whatever it may look at. */
static __always_inline struct mnt_namespace *guard_first_mounts(void) {
        struct task_struct *task = bpf_get_current_task_btf();

        for (int i = 0; i < PARENTS; i++) {
                if (BPF_CORE_READ(task, tgid) == PID_1)
                        return BPF_CORE_READ(task, nsproxy, mnt_ns);
                task = BPF_CORE_READ(task, real_parent);
        }
        return NULL;
}

static __always_inline int guard_unmount(struct vfsmount *vfsmount, bool ask) {
        struct guard_deed deed = { .rule = GUARD_BPF_RULE_PINS,
                                   .act = GUARD_BPF_ACT_UNMOUNT,
                                   .hook = GUARD_BPF_NO_HOOK };
        struct mount *mount = (void *) vfsmount - bpf_core_field_offset(struct mount, mnt);
        struct guard_bpf_settings *settings;
        struct mnt_namespace *first;

        if ((__u32) BPF_CORE_READ(vfsmount, mnt_sb, s_magic) != BPF_FS_MAGIC)
                return 0;
        settings = guard_get_settings();
        if (!settings || settings->mode == GUARD_BPF_MODE_OFF || settings->pins_device == 0 ||
            BPF_CORE_READ(vfsmount, mnt_sb, s_dev) != settings->pins_device)
                return 0;
        /* Others have copies of it, and put them away when they like. */
        first = guard_first_mounts();
        if (first && BPF_CORE_READ(mount, mnt_ns) != first)
                return 0;
        return GUARD_JUDGE(&deed, ask);
}

static __always_inline bool guard_serves(struct task_struct *task) {
        return bpf_task_storage_get(&guard_service, task->group_leader, NULL, 0) != NULL;
}

/* Only what processes send comes here. */
static __always_inline int guard_signal(struct task_struct *task, int signal, bool ask) {
        struct guard_deed deed = { .rule = GUARD_BPF_RULE_SERVICE,
                                   .act = GUARD_BPF_ACT_SIGNAL,
                                   .hook = GUARD_BPF_NO_HOOK,
                                   .detail = signal };

        if (signal == 0 || !guard_serves(task))
                return 0;
        return GUARD_JUDGE(&deed, ask);
}

static __always_inline int guard_trace(struct task_struct *task, unsigned mode, bool ask) {
        struct guard_deed deed = { .rule = GUARD_BPF_RULE_SERVICE,
                                   .act = GUARD_BPF_ACT_TRACE,
                                   .hook = GUARD_BPF_NO_HOOK };

        if (!(mode & TRACE_ATTACH) || !guard_serves(task))
                return 0;
        return GUARD_JUDGE(&deed, ask);
}
