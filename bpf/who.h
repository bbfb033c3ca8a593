/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Who did something, as our programs in the kernel note it in the process's own context: a record that is part of
 * their events. bpf/who.bpf.h fills it in, service/kernel/who.h reads it.
 */

#include <linux/types.h>

#define WHO_TEXT         256
#define WHO_NO_LOGIN_UID 0xffffffffU

struct who {
        __u32 tgid; /* the process; in the initial namespace, as all numbers here */
        __u32 tid;
        __u32 parent;
        __u32 uid;        /* real */
        __u32 euid;       /* effective */
        __u32 login_uid;  /* WHO_NO_LOGIN_UID: nobody logged in, or the kernel does not tell */
        __u32 netns;      /* inode number of the network namespace */
        __u32 exe_device; /* of the executable; dev_t as in the kernel: major << 20 | minor */
        __u64 exe_inode;  /* 0: it has none, being a thread of the kernel, or on its way out */
        __u64 started;    /* the process, nanoseconds, CLOCK_BOOTTIME */
        __u64 cgroup_id;  /* in the unified hierarchy, 0: none */
        __u16 args_size;  /* bytes of args, below WHO_TEXT; parted by NUL bytes, cut at the end */
        __u16 exe_at;     /* the path begins at exe[exe_at] */
        __u16 cgroup_at;  /* the path begins at cgroup[cgroup_at], in the unified hierarchy; empty: its root */
        __u8 exe_cut;     /* the beginning of the path is missing */
        __u8 exe_deleted; /* the file has no name any more; " (deleted)" may be behind the path */
        __u8 cgroup_cut;  /* the beginning of the path is missing */
        __u8 reserved[7];
        char comm[16];
        char parent_comm[16];
        /* With NUL bytes at their ends. In this order, args last: see who_prepend(). */
        char exe[WHO_TEXT];
        char cgroup[WHO_TEXT];
        char args[WHO_TEXT];
};
