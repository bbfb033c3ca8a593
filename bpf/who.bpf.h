/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Fills struct who in with the current process. The record must lie in memory that the verifier takes for one piece,
 * such as an event that was reserved in a ring buffer, not on the stack.
 */

#include "kernel-types.h"
#include "who.h"

/* Folders of a path, and mounts that it leads through; what is beyond is cut. */
#define WHO_PATH_PARTS   64
#define WHO_CGROUP_PARTS 32

/* Since 6.12, and for BPF LSM programs only. */
extern struct file *bpf_get_task_exe_file(struct task_struct *task) __weak __ksym;
extern int bpf_path_d_path(struct path *path, char *buf, __u64 buf__sz) __weak __ksym;
extern void bpf_put_file(struct file *file) __weak __ksym;

/* On the way up from a file or a control group. */
struct who_walk {
        __u64 entry; /* struct dentry or struct kernfs_node */
        __u64 mount;
        __u32 at; /* in the text, which is written in front of */
        __u32 whole;
};

struct who_loop {
        struct who *who;
        struct who_walk *walk;
};

/* Puts "/name" in front of what is in the text. The verifier can't know that at + length stays within the text, only
 * that each is below WHO_TEXT; so it must find as much memory behind it, which is never written to. */
static __always_inline bool who_prepend(char *text, struct who_walk *walk, const void *name, __u32 length) {
        __u32 at = walk->at;

        if (length >= WHO_TEXT - 1 || at < length + 1 || at >= WHO_TEXT)
                return false;
        at -= length + 1;
        if (at >= WHO_TEXT)
                return false;
        if (length > 0 && bpf_probe_read_kernel(text + at + 1, length, name) < 0)
                return false;
        text[at] = '/';
        walk->at = at;
        return true;
}

/* The steps of loops are global functions, of which the verifier sees one step, and not each way through all of them.
 * They return 1 at the end. */

__noinline int who_path_step(struct who *who, struct who_walk *walk) {
        struct dentry *dentry, *parent;
        struct mount *mount, *above;

        if (!who || !walk)
                return 1;
        dentry = (struct dentry *) walk->entry;
        mount = (struct mount *) walk->mount;
        parent = BPF_CORE_READ(dentry, d_parent);
        if (dentry == BPF_CORE_READ(mount, mnt.mnt_root) || dentry == parent || !parent) {
                above = BPF_CORE_READ(mount, mnt_parent);
                walk->whole = above == mount || !above;
                walk->entry = (__u64) BPF_CORE_READ(mount, mnt_mountpoint);
                walk->mount = (__u64) above;
                return walk->whole;
        }
        walk->entry = (__u64) parent;
        return !who_prepend(who->exe, walk, BPF_CORE_READ(dentry, d_name.name), BPF_CORE_READ(dentry, d_name.len));
}

static __always_inline struct kernfs_node *who_cgroup_parent(struct kernfs_node *node) {
        if (bpf_core_field_exists(node->__parent))
                return BPF_CORE_READ(node, __parent);
        return (void *) BPF_CORE_READ((struct kernfs_node___before_6_15 *) (void *) node, parent);
}

__noinline int who_cgroup_step(struct who *who, struct who_walk *walk) {
        struct kernfs_node *node, *parent;
        const char *name;
        long n;

        if (!who || !walk)
                return 1;
        node = (struct kernfs_node *) walk->entry;
        parent = who_cgroup_parent(node);
        walk->whole = !parent;
        if (!parent)
                return 1;
        walk->entry = (__u64) parent;
        /* Only to learn the length: the arguments' place is free yet. */
        name = BPF_CORE_READ(node, name);
        n = bpf_probe_read_kernel_str(who->args, WHO_TEXT, name);
        return n <= 1 || !who_prepend(who->cgroup, walk, name, n - 1);
}

static __always_inline long who_is_last(int r) {
        barrier_var(r);
        return r != 0 ? 1 : 0;
}

static long who_each_folder(__u64 index, struct who_loop *loop) {
        return who_is_last(who_path_step(loop->who, loop->walk));
}

static long who_each_cgroup(__u64 index, struct who_loop *loop) {
        return who_is_last(who_cgroup_step(loop->who, loop->walk));
}

/* The names of the folders up to the root of all mounts. It takes no lock, so a path that is renamed in this very
 * moment may come out as one that never was; what counts for decisions is device and inode. */
static __always_inline void who_read_path(struct who *who, struct file *file) {
        struct vfsmount *vfsmount = BPF_CORE_READ(file, f_path.mnt);
        struct who_walk walk = {
                .entry = (__u64) BPF_CORE_READ(file, f_path.dentry),
                .mount = (__u64) ((void *) vfsmount - bpf_core_field_offset(struct mount, mnt)),
                .at = WHO_TEXT - 1,
        };
        struct who_loop loop = { .who = who, .walk = &walk };

        who->exe[WHO_TEXT - 1] = '\0';
        bpf_loop(WHO_PATH_PARTS, who_each_folder, &loop, 0);
        who->exe_at = walk.at;
        who->exe_cut = !walk.whole;
}

/* As the process sees it itself, where the kernel lets us ask; only in BPF LSM programs, and not where a lock of the
 * current task is held. */
static __always_inline bool who_ask_path(struct who *who, struct task_struct *task) {
        struct file *file;
        int r;

        if (!bpf_ksym_exists(bpf_get_task_exe_file) || !bpf_ksym_exists(bpf_path_d_path) ||
            !bpf_ksym_exists(bpf_put_file))
                return false;
        file = bpf_get_task_exe_file(task);
        if (!file)
                return false;
        r = bpf_path_d_path(&file->f_path, who->exe, WHO_TEXT);
        bpf_put_file(file);
        who->exe_at = 0;
        return r > 0;
}

/* ask: see who_ask_path(); it must be known when the program is compiled. */
static __always_inline void who_read_exe(struct who *who, struct task_struct *task, bool ask) {
        struct file *file = BPF_CORE_READ(task, mm, exe_file);
        struct inode *inode = BPF_CORE_READ(file, f_inode);

        who->exe_at = WHO_TEXT - 1;
        who->exe[WHO_TEXT - 1] = '\0';
        if (!inode)
                return;
        who->exe_device = BPF_CORE_READ(inode, i_sb, s_dev);
        who->exe_inode = BPF_CORE_READ(inode, i_ino);
        who->exe_deleted = BPF_CORE_READ(inode, i_nlink) == 0;
        if (!ask || !who_ask_path(who, task))
                who_read_path(who, file);
}

static __always_inline void who_read_cgroup(struct who *who, struct task_struct *task) {
        struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
        struct who_walk walk = { .entry = (__u64) node, .at = WHO_TEXT - 1 };
        struct who_loop loop = { .who = who, .walk = &walk };

        who->cgroup[WHO_TEXT - 1] = '\0';
        who->cgroup_id = BPF_CORE_READ(node, id);
        bpf_loop(WHO_CGROUP_PARTS, who_each_cgroup, &loop, 0);
        who->cgroup_at = walk.at;
        who->cgroup_cut = !walk.whole;
}

/* The process may have paged them out: then the first one alone, or nothing. */
static __always_inline void who_read_args(struct who *who, struct task_struct *task) {
        unsigned long start = BPF_CORE_READ(task, mm, arg_start);
        unsigned long end = BPF_CORE_READ(task, mm, arg_end);
        __u64 size = end - start;

        who->args_size = 0;
        who->args[0] = who->args[WHO_TEXT - 1] = '\0';
        if (start == 0 || end <= start)
                return;
        if (size > WHO_TEXT - 1)
                size = WHO_TEXT - 1;
        if (bpf_probe_read_user(who->args, size, (void *) start) == 0) {
                who->args_size = size;
                return;
        }
        long n = bpf_probe_read_user_str(who->args, WHO_TEXT, (void *) start);

        if (n > 0 && n < WHO_TEXT)
                who->args_size = n;
        else
                who->args[0] = '\0';
}

static __always_inline void who_fill(struct who *who, struct task_struct *task, bool ask) {
        struct task_struct *parent = BPF_CORE_READ(task, real_parent);

        who->tgid = BPF_CORE_READ(task, tgid);
        who->tid = BPF_CORE_READ(task, pid);
        who->parent = BPF_CORE_READ(parent, tgid);
        who->uid = BPF_CORE_READ(task, cred, uid.val);
        who->euid = BPF_CORE_READ(task, cred, euid.val);
        who->login_uid = WHO_NO_LOGIN_UID;
        if (bpf_core_field_exists(task->loginuid))
                who->login_uid = BPF_CORE_READ(task, loginuid.val);
        who->netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
        who->started = BPF_CORE_READ(task, group_leader, start_boottime);
        who->exe_device = 0;
        who->exe_inode = 0;
        who->exe_cut = who->exe_deleted = 0;
        __builtin_memset(who->reserved, 0, sizeof(who->reserved));
        BPF_CORE_READ_INTO(&who->comm, task, comm);
        BPF_CORE_READ_INTO(&who->parent_comm, parent, comm);
        who_read_exe(who, task, ask);
        who_read_cgroup(who, task);
        who_read_args(who, task);
}
