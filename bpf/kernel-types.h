/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Of the kernel's own structures, the members that our programs read, and nothing else: where they lie is looked up
 * in the running kernel's BTF when a program is loaded (CO-RE), so that no vmlinux.h is needed and one object does on
 * all kernels. A suffix behind three underscores tells versions of one structure apart and is not part of its name.
 */

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#ifndef NULL
#define NULL ((void *) 0)
#endif

#include <stdbool.h>

/* Flags of struct task_struct, include/linux/sched.h. */
#define TASK_KERNEL_THREAD 0x00200000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
        __u32 val;
} kuid_t;

typedef struct {
        long long counter;
} atomic64_t;

/* Names, files and file systems */

struct qstr {
        __u32 len;
        const unsigned char *name;
};

struct super_block {
        __u32 s_dev; /* dev_t: major above 20 bits of minor */
        unsigned long s_magic;
};

struct inode {
        struct super_block *i_sb;
        unsigned long i_ino;
        unsigned int i_nlink;
};

struct dentry {
        struct dentry *d_parent;
        struct qstr d_name;
        struct inode *d_inode;
        struct super_block *d_sb;
};

struct vfsmount {
        struct dentry *mnt_root;
        struct super_block *mnt_sb;
};

struct mnt_namespace;

struct mount {
        struct mount *mnt_parent;
        struct dentry *mnt_mountpoint;
        struct vfsmount mnt;
        struct mnt_namespace *mnt_ns;
};

struct path {
        struct vfsmount *mnt;
        struct dentry *dentry;
};

struct file_operations;

struct file {
        const struct file_operations *f_op;
        struct path f_path;
        struct inode *f_inode;
        void *private_data;
};

struct fdtable {
        unsigned int max_fds;
        struct file **fd;
};

struct files_struct {
        struct fdtable *fdt;
};

/* Control groups */

struct kernfs_node {
        struct kernfs_node *__parent; /* since 6.15 */
        const char *name;
        __u64 id;
};

struct kernfs_node___before_6_15 {
        struct kernfs_node___before_6_15 *parent;
};

struct cgroup {
        struct kernfs_node *kn;
};

struct css_set {
        struct cgroup *dfl_cgrp;
};

/* Processes */

struct ns_common {
        unsigned int inum;
};

struct net {
        struct ns_common ns;
};

struct nsproxy {
        struct mnt_namespace *mnt_ns;
        struct net *net_ns;
};

struct cred {
        kuid_t uid;
        kuid_t euid;
};

struct mm_struct {
        unsigned long arg_start;
        unsigned long arg_end;
        struct file *exe_file;
};

struct task_struct {
        unsigned int flags;
        int pid;
        int tgid;
        struct task_struct *real_parent;
        struct task_struct *group_leader;
        struct mm_struct *mm;
        const struct cred *cred;
        kuid_t loginuid; /* where the kernel has auditing */
        __u64 start_boottime;
        char comm[16];
        struct css_set *cgroups;
        struct files_struct *files;
        struct nsproxy *nsproxy;
};

/* Network devices and sockets */

struct net_device {
        int ifindex;
        struct {
                struct net *net;
        } nd_net;
};

struct sock_common {
        struct {
                struct net *net;
        } skc_net;
};

struct sock {
        struct sock_common __sk_common;
        unsigned short sk_protocol;
};

struct sk_buff {
        unsigned int len;
        unsigned int data_len; /* of len, what is not at data */
        unsigned char *data;
};

/* BPF objects */

struct bpf_map {
        __u32 id;
};

struct bpf_prog;

struct bpf_prog_aux {
        __u32 used_map_cnt;
        __u32 id;
        struct bpf_prog *dst_prog; /* of an extension: whose function it replaces */
        struct bpf_map **used_maps;
};

struct bpf_prog {
        enum bpf_prog_type type;
        struct bpf_prog_aux *aux;
};

struct bpf_link {
        __u32 id;
        enum bpf_link_type type;
        struct bpf_prog *prog;
};

#pragma clang attribute pop
