/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What the programs of facts.bpf.c tell the service, one record in their ring for each thing done.
 */

#include "who.h"

enum fact_act {
        FACT_ATTACH,
        FACT_PRECEDE, /* attach, in front of what there is */
        FACT_REPLACE,
        FACT_DETACH,
        FACT_MOVE, /* the interface, to another namespace: about to be done */
        FACT_RENAME,
        FACT_DELETE, /* the interface: about to be done */
        FACT_LOAD,   /* a program, whatever for */
        FACT_UNLOAD,
        FACT_ACT_MAX,
};

enum fact_hook {
        FACT_HOOK_NONE,
        FACT_HOOK_XDP,
        FACT_HOOK_TC_INGRESS,
        FACT_HOOK_TC_EGRESS,
        FACT_HOOK_NETKIT,
        FACT_HOOK_MAX,
};

/* Set by the service before it loads the programs. */
struct facts_settings {
        __u32 netns; /* inode number of the network namespace whose hooks are told of */
        __u32 self;  /* the service's process, whose acts are not told */
};

struct fact {
        __u64 boottime; /* nanoseconds */
        __u32 act;      /* enum fact_act */
        __u32 hook;     /* enum fact_hook */
        __u32 ifindex;
        __u32 program_id; /* 0: none, or not known */
        __s32 result;     /* 0 or negative errno */
        __u32 thread;     /* of the kernel: nobody's own act */
        struct who who;
};
