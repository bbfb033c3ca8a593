/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What the guard's programs know. The service writes it; strangers can't, for these maps are among those that are
 * defended.
 */

#include "guard.h"
#include "kernel-types.h"

#define GUARD_HASH(name, key_type, value_type, entries)                                                              \
        struct {                                                                                                     \
                __uint(type, BPF_MAP_TYPE_HASH);                                                                     \
                __uint(map_flags, BPF_F_NO_PREALLOC);                                                                \
                __uint(max_entries, entries);                                                                        \
                __type(key, key_type);                                                                               \
                __type(value, value_type);                                                                           \
        } name SEC(".maps")

#define GUARD_ARRAY(name, map_type, value_type, entries)                                                             \
        struct {                                                                                                     \
                __uint(type, map_type);                                                                              \
                __uint(max_entries, entries);                                                                        \
                __type(key, __u32);                                                                                  \
                __type(value, value_type);                                                                           \
        } name SEC(".maps")

struct guard_name {
        char text[GUARD_BPF_NAME];
};

struct guard_unit {
        char text[GUARD_BPF_UNIT] __attribute__((aligned(8)));
};

GUARD_ARRAY(guard_settings, BPF_MAP_TYPE_ARRAY, struct guard_bpf_settings, 1);
GUARD_ARRAY(guard_counters, BPF_MAP_TYPE_PERCPU_ARRAY, struct guard_bpf_counters, GUARD_BPF_RULES);
GUARD_ARRAY(guard_losses, BPF_MAP_TYPE_PERCPU_ARRAY, __u64, GUARD_BPF_LOSSES);
GUARD_ARRAY(guard_answer, BPF_MAP_TYPE_ARRAY, struct guard_bpf_file, 1);

GUARD_HASH(guard_hooks, struct guard_bpf_hook_key, struct guard_bpf_hook, GUARD_BPF_MANY);
GUARD_HASH(guard_links, __u32, struct guard_bpf_hook_key, GUARD_BPF_MANY); /* by id */
GUARD_HASH(guard_ifaces, __u32, __u32, GUARD_BPF_MANY);                    /* by index: mask of hooks */
GUARD_HASH(guard_names, struct guard_name, __u32, GUARD_BPF_MANY);         /* index */

/* Masks of the rules that do not hold for them. */
GUARD_HASH(guard_exes, struct guard_bpf_file, __u32, GUARD_BPF_EXES);
GUARD_HASH(guard_units, struct guard_unit, __u32, GUARD_BPF_EXES);
GUARD_HASH(guard_users, __u32, __u32, GUARD_BPF_EXES);

/* Maps and programs (struct bpf_prog_aux) of ours, by where they lie in the kernel: that is theirs as long as they
 * live, and they are taken out when they go. Ids are taken from them before that. */
GUARD_HASH(guard_own, __u64, __u32, GUARD_BPF_OBJECTS);

/* The processes, by their first threads, that are the service. */
struct {
        __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, int);
        __type(value, __u32);
} guard_service SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, GUARD_BPF_RING);
} guard_events SEC(".maps");

static __always_inline struct guard_bpf_settings *guard_get_settings(void) {
        __u32 zero = 0;

        return bpf_map_lookup_elem(&guard_settings, &zero);
}

static __always_inline void guard_lose(__u32 what) {
        __u64 *lost = bpf_map_lookup_elem(&guard_losses, &what);

        if (lost)
                __sync_fetch_and_add(lost, 1);
}
