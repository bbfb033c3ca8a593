// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Writes into the packet, behind its Ethernet header, what it finds in a map of each kind, and changes that: a number
 * in all of them, 0 where there is no entry. Key of hashes: 7.
 */

#include "test.bpf.h"

struct lpm_key {
        __u32 prefixlen;
        __u8 address[4];
};

struct locked {
        struct bpf_spin_lock lock;
        __u32 reserved;
        __u64 number;
};

#define DEFINE(name, kind, n)                                                                                        \
        struct {                                                                                                     \
                __uint(type, kind);                                                                                  \
                __uint(max_entries, n);                                                                              \
                __type(key, __u32);                                                                                  \
                __type(value, __u64);                                                                                \
        } name SEC(".maps")

DEFINE(array, BPF_MAP_TYPE_ARRAY, 8);
DEFINE(percpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, 8);
DEFINE(hash, BPF_MAP_TYPE_HASH, 1000);
DEFINE(percpu_hash, BPF_MAP_TYPE_PERCPU_HASH, 100);
DEFINE(lru, BPF_MAP_TYPE_LRU_HASH, 1000);
DEFINE(percpu_lru, BPF_MAP_TYPE_LRU_PERCPU_HASH, 100);

struct {
        __uint(type, BPF_MAP_TYPE_LRU_HASH);
        __uint(map_flags, BPF_F_NO_COMMON_LRU);
        __uint(max_entries, 1000);
        __type(key, __u32);
        __type(value, __u64);
} separate_lru SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_LPM_TRIE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __uint(max_entries, 100);
        __type(key, struct lpm_key);
        __type(value, __u64);
} trie SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 100);
        __type(key, __u32);
        __type(value, struct locked);
} locked_hash SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 8);
        __type(key, __u32);
        __type(value, struct locked);
} locked_array SEC(".maps");

struct inner_array {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 4);
        __type(key, __u32);
        __type(value, __u64);
};

struct inner_hash {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 16);
        __type(key, __u32);
        __type(value, struct locked);
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
        __uint(max_entries, 4);
        __type(key, __u32);
        __array(values, struct inner_array);
} array_of_maps SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
        __uint(max_entries, 4);
        __type(key, __u32);
        __array(values, struct inner_hash);
} hash_of_maps SEC(".maps");

__u64 in_data = 1;
__u64 in_bss;
const volatile __u64 in_rodata = 77;
const volatile __u32 last = 14; /* the verifier must know this number */

enum { N_VALUES = 15 };

static __always_inline void take(__be64 *to, __u64 *value) {
        if (!value)
                return;
        *to = bpf_cpu_to_be64(*value);
        *value += 1;
}

static __always_inline void take_locked(__be64 *to, struct locked *value) {
        if (!value)
                return;
        bpf_spin_lock(&value->lock);
        *to = bpf_cpu_to_be64(value->number);
        value->number += 1;
        bpf_spin_unlock(&value->lock);
}

static __always_inline void look(__be64 *to) {
        struct lpm_key address = { 32, { 10, 1, 2, 3 } };
        __u32 three = 3, seven = 7, one = 1;
        void *inner;

        for (int i = 0; i < N_VALUES; i++)
                to[i] = 0;
        take(&to[0], bpf_map_lookup_elem(&array, &three));
        take(&to[1], bpf_map_lookup_elem(&percpu_array, &three));
        take(&to[2], bpf_map_lookup_elem(&hash, &seven));
        take(&to[3], bpf_map_lookup_elem(&percpu_hash, &seven));
        take(&to[4], bpf_map_lookup_elem(&lru, &seven));
        take(&to[5], bpf_map_lookup_elem(&percpu_lru, &seven));
        take(&to[6], bpf_map_lookup_elem(&separate_lru, &seven));
        take(&to[7], bpf_map_lookup_elem(&trie, &address));
        take_locked(&to[8], bpf_map_lookup_elem(&locked_hash, &seven));
        take_locked(&to[9], bpf_map_lookup_elem(&locked_array, &three));
        inner = bpf_map_lookup_elem(&array_of_maps, &one);
        if (inner)
                take(&to[10], bpf_map_lookup_elem(inner, &three));
        inner = bpf_map_lookup_elem(&hash_of_maps, &seven);
        if (inner)
                take_locked(&to[11], bpf_map_lookup_elem(inner, &seven));
        take(&to[12], &in_data);
        take(&to[13], &in_bss);
        to[last] = bpf_cpu_to_be64(in_rodata);
}

SEC("xdp")
int xdp_sim_values(struct xdp_md *ctx) {
        __be64 *to = (void *) (long) ctx->data + sizeof(struct ethhdr);

        hit();
        if ((void *) (to + N_VALUES) > (void *) (long) ctx->data_end)
                return XDP_ABORTED;
        look(to);
        return answer_xdp();
}

SEC("tc")
int tc_sim_values(struct __sk_buff *skb) {
        __be64 *to;

        hit();
        if (bpf_skb_pull_data(skb, sizeof(struct ethhdr) + N_VALUES * sizeof(__be64)) < 0)
                return TC_ACT_SHOT;
        to = (void *) (long) skb->data + sizeof(struct ethhdr);
        if ((void *) (to + N_VALUES) > (void *) (long) skb->data_end)
                return TC_ACT_SHOT;
        look(to);
        return answer_tc();
}
