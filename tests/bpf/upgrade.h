/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Three versions of one program. `state` is the same in all. v1 adds 1 to `counter` for each packet, v2 adds 100 and
 * has a map `extra`; they agree on `counter`. v3's `counter` has a value of another size and cannot be kept.
 */

#include "test.bpf.h"

struct upgrade_state {
        __u64 packets;
        __u32 version; /* of the last program that wrote */
        __u32 reserved;
};

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 16);
        __type(key, __u32);
        __type(value, struct upgrade_state);
} state SEC(".maps");

#ifndef COUNTER_VALUE
#define COUNTER_VALUE __u64
#endif

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, COUNTER_VALUE);
} counter SEC(".maps");

/* Kept when the same object is loaded again, not across versions. */
__u64 packets_of_this_object;

static __always_inline COUNTER_VALUE *upgrade_count(__u32 version) {
        struct upgrade_state fresh = { .packets = 1, .version = version }, *s;
        __u32 zero = 0;

        hit();
        __sync_fetch_and_add(&packets_of_this_object, 1);

        s = bpf_map_lookup_elem(&state, &zero);
        if (s) {
                __sync_fetch_and_add(&s->packets, 1);
                s->version = version;
        } else
                bpf_map_update_elem(&state, &zero, &fresh, BPF_ANY);

        return bpf_map_lookup_elem(&counter, &zero);
}
