/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the guard keeps others from, and whom it lets: as the settings say, checked, and asked of a process that was
 * seen. The programs in the kernel decide by the same rules (bpf/guard.bpf.c); this is the part that explains.
 */

#include "model/culprit.h"
#include "util/error.h"
#include "util/json-reader.h"
#include "util/string-table.h"

typedef enum GuardMode {
        GUARD_MODE_OFF,     /* nothing of the guard is in the kernel */
        GUARD_MODE_OBSERVE, /* it tells what it would refuse */
        GUARD_MODE_ENFORCE,
        _GUARD_MODE_MAX,
        _GUARD_MODE_INVALID = -EINVAL,
} GuardMode;

DECLARE_STRING_TABLE(guard_mode, GuardMode)

/* What is kept from others; each counts on its own. */
typedef enum GuardRule {
        GUARD_RULE_LINKS,      /* attach, replace, detach on our hooks by bpf(2) */
        GUARD_RULE_NETLINK,    /* the same by route netlink: XDP, qdiscs, filters */
        GUARD_RULE_INTERFACES, /* move or delete interfaces of ours */
        GUARD_RULE_PINS,       /* remove or rename pins, unmount them */
        GUARD_RULE_OBJECTS,    /* descriptors of our maps that can write, replacing functions of our programs */
        GUARD_RULE_SERVICE,    /* signal or trace the service */
        GUARD_RULE_LOADS,      /* load programs, anywhere on the host: see GuardLoading */
        _GUARD_RULE_MAX,
        _GUARD_RULE_INVALID = -EINVAL,
} GuardRule;

DECLARE_STRING_TABLE(guard_rule, GuardRule)

#define GUARD_RULES_ALL ((UINT32_C(1) << _GUARD_RULE_MAX) - 1)

typedef enum GuardLoading {
        GUARD_LOADING_ANY,        /* everybody may load */
        GUARD_LOADING_NETWORKING, /* only those allowed may load what goes on network hooks: XDP, TC, netfilter, LWT
                                   * and what replaces functions of such; cgroup and tracing programs stay free */
        GUARD_LOADING_NONE,       /* only those allowed may load anything. This takes programs from systemd, too */
        _GUARD_LOADING_MAX,
        _GUARD_LOADING_INVALID = -EINVAL,
} GuardLoading;

DECLARE_STRING_TABLE(guard_loading, GuardLoading)

typedef enum GuardAllowKind {
        GUARD_ALLOW_EXECUTABLE, /* path of the file; what counts is its device and inode */
        GUARD_ALLOW_UNIT,       /* of systemd's system manager, with all below it */
        GUARD_ALLOW_USER,       /* effective user */
        _GUARD_ALLOW_KIND_MAX,
        _GUARD_ALLOW_KIND_INVALID = -EINVAL,
} GuardAllowKind;

DECLARE_STRING_TABLE(guard_allow_kind, GuardAllowKind)

#define GUARD_ALLOW_MAX 64

typedef struct GuardAllow {
        GuardAllowKind kind;
        char text[CULPRIT_TEXT]; /* path, unit or user as written */
        uint32_t uid;            /* of a user */
        uint32_t rules;          /* mask of GuardRule that do not hold for them */
} GuardAllow;

typedef struct GuardPolicy {
        GuardMode mode;
        uint32_t protect; /* mask of GuardRule, GUARD_RULE_LOADS aside */
        GuardLoading loading;
        bool append;        /* others may attach behind a chain on TC hooks, and take that away again */
        bool default_allow; /* see guard_default_allow() */
        bool force;         /* although guard_policy_check() says no */
        GuardAllow allow[GUARD_ALLOW_MAX];
        size_t n_allow;
} GuardPolicy;

#define GUARD_POLICY_DEFAULT                                                                                         \
        ((GuardPolicy){ .protect = GUARD_RULES_ALL & ~(UINT32_C(1) << GUARD_RULE_LOADS),                             \
                        .append = true,                                                                              \
                        .default_allow = true })

/* Those who are let without being named, each with the rules: who moves and deletes interfaces for a living
 * (systemd's networkd, NetworkManager). PID 1 and the kernel itself are let always and are not in here. */
const GuardAllow *guard_default_allow(size_t *ret_n);

/* The keys of "guard" that are the policy's, from an object that holds others as well. Absent ones leave what is
 * there. The error has place and sentence. */
#define GUARD_POLICY_FIELDS_MAX 7
extern const JsonField guard_policy_fields[GUARD_POLICY_FIELDS_MAX];
extern const size_t guard_policy_n_fields;
int guard_policy_read(const JsonReader *reader, GuardPolicy *policy);

/* The same keys with their values, so that guard_policy_read() makes the same of it. NULL: out of memory. */
json_object *guard_policy_to_json(const GuardPolicy *policy);

/* Would it lock out the administrator or systemd? -EPERM and a sentence with the reason and what to do; 0 when not,
 * or when it is forced. */
int guard_policy_check(const GuardPolicy *policy, Error *error);

/* Does it keep off less than its author will think, as it lets who can do anything? A phrase says why. */
bool guard_policy_weakness(const GuardPolicy *policy, char ret[256]);

/* What would become of that process's act under this rule, whatever the mode: true if it would be let. *ret_by (NULL
 * is fine) is the entry that lets it, NULL where the rule does not hold for anybody. */
bool guard_policy_allows(const GuardPolicy *policy, GuardRule rule, const Culprit *who, const GuardAllow **ret_by);
