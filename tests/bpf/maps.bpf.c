// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maps of many types. Each packet leaves a mark in each that a program may write. */

#include "test.bpf.h"

struct point {
        __s32 x;
        __s32 y;
        char tag[8];
};

struct pair {
        __u32 first;
        __u16 second;
        __u16 third;
};

struct prefix_v4 {
        __u32 prefixlen;
        __u8 addr[4];
};

#define MAP(map_name, map_type, n, key_type, value_type)                                                             \
        struct {                                                                                                     \
                __uint(type, map_type);                                                                              \
                __uint(max_entries, n);                                                                              \
                __type(key, key_type);                                                                               \
                __type(value, value_type);                                                                           \
        } map_name SEC(".maps")

MAP(m_hash, BPF_MAP_TYPE_HASH, 128, __u32, __u64);
MAP(m_pairs, BPF_MAP_TYPE_HASH, 16, struct pair, struct point);
MAP(m_array, BPF_MAP_TYPE_ARRAY, 8, __u32, __u64);
MAP(m_points, BPF_MAP_TYPE_ARRAY, 4, __u32, struct point);
MAP(m_lists, BPF_MAP_TYPE_ARRAY, 2, __u32, __u32[4]);
MAP(m_percpu_hash, BPF_MAP_TYPE_PERCPU_HASH, 16, __u32, __u64);
MAP(m_percpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, 4, __u32, struct point);
MAP(m_lru, BPF_MAP_TYPE_LRU_HASH, 64, __u32, __u32);
MAP(m_lru_percpu, BPF_MAP_TYPE_LRU_PERCPU_HASH, 64, __u32, __u32);

struct {
        __uint(type, BPF_MAP_TYPE_LPM_TRIE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __uint(max_entries, 32);
        __type(key, struct prefix_v4);
        __type(value, __u32);
} m_lpm SEC(".maps");

/* Programs may only read it. */
struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(map_flags, BPF_F_RDONLY_PROG);
        __uint(max_entries, 8);
        __type(key, __u32);
        __type(value, __u32);
} m_settings SEC(".maps");

/* The newest max_entries packet lengths; a full one loses its oldest. */
struct {
        __uint(type, BPF_MAP_TYPE_QUEUE);
        __uint(max_entries, 8);
        __type(value, __u32);
} m_queue SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_STACK);
        __uint(max_entries, 8);
        __type(value, __u32);
} m_stack SEC(".maps");

static __always_inline void add(void *map, __u32 key) {
        __u64 *value = bpf_map_lookup_elem(map, &key), one = 1;

        if (value)
                __sync_fetch_and_add(value, 1);
        else
                bpf_map_update_elem(map, &key, &one, BPF_NOEXIST);
}

static __always_inline void add_point(void *map, const void *key) {
        struct point *point = bpf_map_lookup_elem(map, key);
        struct point fresh = { .x = 1, .y = -1, .tag = "point" };

        if (!point) {
                bpf_map_update_elem(map, key, &fresh, BPF_ANY);
                return;
        }
        point->x++;
        point->y--;
}

SEC("xdp")
int xdp_maps(struct xdp_md *ctx) {
        struct bpfchain_cursor cur = bpfchain_xdp_cursor(ctx);
        __u32 key = 1, length = ctx->data_end - ctx->data, *value;
        struct pair pair = { .first = 1, .second = 2, .third = 3 };
        struct iphdr *ip;

        hit();
        add(&m_hash, 1);
        add(&m_array, 1);
        add(&m_percpu_hash, 1);
        add_point(&m_pairs, &pair);
        add_point(&m_points, &key);
        add_point(&m_percpu_array, &key);

        value = bpf_map_lookup_elem(&m_lists, &key);
        if (value)
                for (int i = 0; i < 4; i++)
                        value[i] += i;

        bpf_map_update_elem(&m_lru, &length, &length, BPF_ANY);
        bpf_map_update_elem(&m_lru_percpu, &length, &length, BPF_ANY);
        bpf_map_push_elem(&m_queue, &length, BPF_EXIST);
        bpf_map_push_elem(&m_stack, &length, BPF_EXIST);

        /* m_array[2] counts packets whose source is in m_lpm, m_array[3] those while m_settings has a key 1. */
        if (bpfchain_parse_eth(&cur, NULL) == ETH_P_IP && bpfchain_parse_ipv4(&cur, &ip) >= 0) {
                struct prefix_v4 prefix = { .prefixlen = 32 };

                __builtin_memcpy(prefix.addr, &ip->saddr, sizeof(prefix.addr));
                if (bpf_map_lookup_elem(&m_lpm, &prefix))
                        add(&m_array, 2);
        }
        if (bpf_map_lookup_elem(&m_settings, &key))
                add(&m_array, 3);

        return answer_xdp();
}
