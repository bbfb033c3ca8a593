/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What the guard's programs in the kernel (guard.bpf.c) and the service (service/kernel/guard-programs.c) tell each
 * other. Numbers are in host byte order; those that the service has enums for are the same there, which it asserts.
 */

#include <linux/types.h>

#include "who.h"

enum {
        GUARD_BPF_MODE_OFF, /* the programs let everything, and tell nothing */
        GUARD_BPF_MODE_OBSERVE,
        GUARD_BPF_MODE_ENFORCE,
};

enum {
        GUARD_BPF_RULE_LINKS,
        GUARD_BPF_RULE_NETLINK,
        GUARD_BPF_RULE_INTERFACES,
        GUARD_BPF_RULE_PINS,
        GUARD_BPF_RULE_OBJECTS,
        GUARD_BPF_RULE_SERVICE,
        GUARD_BPF_RULE_LOADS,
        GUARD_BPF_RULES,
};

enum {
        GUARD_BPF_LOADING_ANY,
        GUARD_BPF_LOADING_NETWORKING,
        GUARD_BPF_LOADING_NONE,
};

enum {
        GUARD_BPF_REFUSED,
        GUARD_BPF_WOULD_REFUSE,
        GUARD_BPF_ALLOWED,
};

enum {
        GUARD_BPF_ACT_NONE,
        GUARD_BPF_ACT_ATTACH,
        GUARD_BPF_ACT_REPLACE,
        GUARD_BPF_ACT_DETACH,
        GUARD_BPF_ACT_PRECEDE,
        GUARD_BPF_ACT_FILTER_CHANGE,
        GUARD_BPF_ACT_QDISC_CHANGE,
        GUARD_BPF_ACT_INTERFACE_MOVE,
        GUARD_BPF_ACT_INTERFACE_DELETE,
        GUARD_BPF_ACT_UNPIN,
        GUARD_BPF_ACT_UNMOUNT,
        GUARD_BPF_ACT_OPEN_OBJECT,
        GUARD_BPF_ACT_REPLACE_FUNCTION,
        GUARD_BPF_ACT_LOAD_PROGRAM,
        GUARD_BPF_ACT_SIGNAL,
        GUARD_BPF_ACT_TRACE,
        GUARD_BPF_ACT_UNCLEAR,
        GUARD_BPF_ACTS,
};

enum {
        GUARD_BPF_HOOK_XDP,
        GUARD_BPF_HOOK_TC_INGRESS,
        GUARD_BPF_HOOK_TC_EGRESS,
        GUARD_BPF_HOOKS,
};
#define GUARD_BPF_NO_HOOK 0xffffffffU

enum {
        GUARD_BPF_KIND_XDP_LINK = 1,
        GUARD_BPF_KIND_TCX_LINK,
        GUARD_BPF_KIND_CLSACT,
};

#define GUARD_BPF_PIN      64
#define GUARD_BPF_NAME     128 /* of an interface, alternative ones included; with the NUL */
#define GUARD_BPF_UNIT     128
#define GUARD_BPF_FOLDERS  8
#define GUARD_BPF_EXES     1024
#define GUARD_BPF_MANY     16384 /* hooks, links, interfaces, names */
#define GUARD_BPF_OBJECTS  65536
#define GUARD_BPF_RING     (1 << 20)
#define GUARD_BPF_MESSAGES 16384 /* of a netlink request: what 256 KiB can hold */

/* The one element of guard_settings. */
struct guard_bpf_settings {
        __u32 mode;
        __u32 protect; /* mask of rules, GUARD_BPF_RULE_LOADS aside */
        __u32 loading;
        __u32 append;
        __u32 netns;       /* inode number of the namespace that the hooks are in */
        __u32 n_hooks;     /* there is none to defend when 0 */
        __u32 n_users;     /* in guard_users */
        __u32 n_units;     /* in guard_units */
        __u32 pins_device; /* dev_t as in the kernel; 0: no pins to defend */
        __u32 reserved;
        __u64 pins[GUARD_BPF_FOLDERS]; /* inode numbers of our folder and of those above, up to the file system's
                                        * root; 0 ends */
        char service[GUARD_BPF_UNIT];  /* unit that the service is the main process of, empty: none */
        char release[GUARD_BPF_UNIT];  /* unit of the way out */
};

struct guard_bpf_hook_key {
        __u32 ifindex;
        __u32 hook;
};

struct guard_bpf_hook {
        __u32 kind;
        __u32 link_id;
        __u32 program_id;
};

struct guard_bpf_file {
        __u64 inode;
        __u32 device;
        __u32 reserved;
};

struct guard_bpf_counters {
        __u64 refused;
        __u64 would_refuse;
        __u64 allowed;
};

/* Elements of guard_losses. */
enum {
        GUARD_BPF_LOST_EVENTS,  /* that found no room in the ring */
        GUARD_BPF_LOST_OBJECTS, /* of the service, that found no room among those to be defended */
        GUARD_BPF_LOSSES,
};

/* What the service asks of the programs: by a command of bpf(2) that no kernel knows, so that the answer proves that
 * they are called. Who is not the service gets the kernel's. */
#define GUARD_BPF_COMMAND 0x6267
#define GUARD_BPF_MAGIC   0x6472617567636662ULL
#define GUARD_BPF_DONE    76 /* errno that no kernel and no other guard answers with: ENOTUNIQ */

enum {
        GUARD_BPF_ASK_NOTHING,
        GUARD_BPF_ASK_FILE,    /* of a descriptor, into guard_answer */
        GUARD_BPF_OWN_MAP,     /* a descriptor's map is ours */
        GUARD_BPF_OWN_PROGRAM, /* a descriptor's program is, with its maps */
        GUARD_BPF_OWN_LINK,    /* a descriptor's link is, with its program */
};

struct guard_bpf_question {
        __u64 magic;
        __u32 what;
        __u32 fd;
};

struct guard_bpf_event {
        __u64 boottime; /* nanoseconds */
        __u32 rule;
        __u32 verdict;
        __u32 act;
        __u32 ifindex; /* 0: none in particular */
        __u32 hook;    /* or GUARD_BPF_NO_HOOK */
        __u32 object;  /* id, 0: none */
        __u32 detail;  /* by act: enum bpf_cmd, netlink message type, signal, enum bpf_prog_type; 0: nothing */
        __u32 reserved;
        char pin[GUARD_BPF_PIN];
        struct who who;
};
