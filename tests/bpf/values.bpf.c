// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Types of all kinds, annotated and not, in maps and sections: what tests/data/map-vectors and bench-maps use. The
 * program itself does nothing.
 */

#include "bpfchain.bpf.h"

enum color {
        COLOR_RED,
        COLOR_GREEN,
        COLOR_BLUE = 7,
};

enum balance {
        BALANCE_BELOW = -1,
        BALANCE_EVEN,
        BALANCE_ABOVE,
};

enum access {
        ACCESS_READ = 1,
        ACCESS_WRITE = 2,
        ACCESS_BOTH = 3,
        ACCESS_ADMIN = 0x100,
};

enum wide {
        WIDE_ONE = 1,
        WIDE_LARGE = 0xffffffff00000001ULL,
};

struct numbers {
        __u8 u8;
        __s8 s8;
        __u16 u16;
        __s16 s16;
        __u32 u32;
        __s32 s32;
        __u64 u64;
        __s64 s64;
        unsigned __int128 u128;
        __int128 s128;
        bool yes;
        char letter;
        enum color color;
        enum balance balance;
        enum wide wide;
};

struct network {
        __be16 be16;
        __be32 be32;
        __be64 be64;
        __u32 v4 BPFCHAIN_FORMAT("ipv4");
        __u8 v4_bytes[4] BPFCHAIN_FORMAT("ipv4");
        __u8 v6[16] BPFCHAIN_FORMAT("ipv6");
        __u32 v6_words[4] BPFCHAIN_FORMAT("ipv6");
        __u8 mac[6] BPFCHAIN_FORMAT("mac");
        __u16 port BPFCHAIN_FORMAT("port");
        __u8 protocol BPFCHAIN_FORMAT("protocol");
        struct in6_addr address;
};

struct annotated {
        __u64 seen BPFCHAIN_UNIT("ns") BPFCHAIN_DESCRIPTION("When a packet was seen last.");
        __u64 volume BPFCHAIN_FORMAT("bytes") BPFCHAIN_ROLE("stats");
        __u32 cookie BPFCHAIN_FORMAT("hex");
        enum access access BPFCHAIN_FORMAT("flags");
        __u16 rights BPFCHAIN_FORMAT("flags:access");
        __u16 hue BPFCHAIN_FORMAT("enum:color") BPFCHAIN_DEFAULT("\"COLOR_GREEN\"");
        __u8 label[4] BPFCHAIN_FORMAT("text");
        char key[4] BPFCHAIN_FORMAT("hex");
        __u32 secret BPFCHAIN_HIDDEN;
        __u32 wrong BPFCHAIN_FORMAT("mac"); /* which does not fit, so it is none */
        __u16 ports[2] BPFCHAIN_FORMAT("port");
};

struct arrays {
        char text[8];
        __u8 bytes[3];
        __s8 small[3];
        __u16 numbers[3];
        __u8 matrix[2][3];
        char names[2][4];
        enum color colors[2];
};

struct inner {
        __u16 a;
        __u16 b;
};

struct nested {
        struct inner inner;
        struct inner list[2];
        union {
                __u32 word;
                __u16 halves[2];
                struct {
                        __u8 low;
                        __u8 high;
                };
        };
        struct {
                __u32 x;
                __u32 y;
        } point;
        union {
                __u64 one;
                struct inner two;
        } either;
};

struct bits {
        __u32 low : 3;
        __s32 middle : 10;
        bool flag : 1;
        enum color color : 4;
        __u32 high : 14;
        __u64 wide : 40;
};

struct kernel_fields {
        struct bpf_spin_lock lock;
        __u32 count;
        void *pointer;
        __u64 rest;
};

struct lpm_v4 {
        __u32 prefixlen;
        __u8 addr[4];
};

struct lpm_tenant {
        __u32 prefixlen;
        __u32 tenant;
        __be32 addr;
};

struct lpm_name {
        __u32 prefixlen;
        char name[8];
};

struct flow {
        __u8 source[4] BPFCHAIN_FORMAT("ipv4");
        __u8 destination[4] BPFCHAIN_FORMAT("ipv4");
        __u16 source_port BPFCHAIN_FORMAT("port");
        __u16 destination_port BPFCHAIN_FORMAT("port");
        __u8 protocol BPFCHAIN_FORMAT("protocol");
        __u8 reserved[3] BPFCHAIN_HIDDEN;
};

struct counters {
        __u64 packets BPFCHAIN_UNIT("packets");
        __u64 bytes BPFCHAIN_UNIT("bytes");
        __u64 first_seen BPFCHAIN_UNIT("ns");
        __u64 last_seen BPFCHAIN_UNIT("ns");
};

struct drop {
        __u64 time BPFCHAIN_UNIT("ns");
        __u32 reason;
};

#define ARRAY_OF(name, type_of_value)                                                                                \
        struct {                                                                                                     \
                __uint(type, BPF_MAP_TYPE_ARRAY);                                                                    \
                __uint(max_entries, 4);                                                                              \
                __type(key, __u32);                                                                                  \
                __type(value, type_of_value);                                                                        \
        } name SEC(".maps")

ARRAY_OF(map_numbers, struct numbers);
ARRAY_OF(map_network, struct network);
ARRAY_OF(map_annotated, struct annotated);
ARRAY_OF(map_arrays, struct arrays);
ARRAY_OF(map_nested, struct nested);
ARRAY_OF(map_bits, struct bits);
ARRAY_OF(map_kernel, struct kernel_fields);

#define TRIE_OF(name, type_of_key)                                                                                   \
        struct {                                                                                                     \
                __uint(type, BPF_MAP_TYPE_LPM_TRIE);                                                                 \
                __uint(map_flags, BPF_F_NO_PREALLOC);                                                                \
                __uint(max_entries, 16);                                                                             \
                __type(key, type_of_key);                                                                            \
                __type(value, __u32);                                                                                \
        } name SEC(".maps")

TRIE_OF(trie_v4, struct lpm_v4)
BPFCHAIN_ROLE("config") BPFCHAIN_DESCRIPTION("Who may not come in.") BPFCHAIN_FORMAT("enum:color");
TRIE_OF(trie_tenant, struct lpm_tenant);
TRIE_OF(trie_name, struct lpm_name);

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 1048576);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, struct flow);
        __type(value, struct counters);
} flows SEC(".maps") BPFCHAIN_ROLE("stats");

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
        __uint(max_entries, 16);
        __type(key, __u32);
        __type(value, struct counters);
} percpu SEC(".maps") BPFCHAIN_KEY_FORMAT("ipv4");

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 4096);
} drops SEC(".maps") BPFCHAIN_ROLE("events");
BPFCHAIN_EVENT(drops, struct drop);

const volatile __u64 rate BPFCHAIN_UNIT("packets/s") BPFCHAIN_DEFAULT("1000") = 1000;
const volatile struct inner pair = { 1, 2 };
const volatile char title[8] = "values";
const volatile __u32 gateway BPFCHAIN_FORMAT("ipv4") = 0;

SEC("xdp")
int values(struct xdp_md *ctx) {
        __u32 zero = 0;
        struct numbers *numbers = bpf_map_lookup_elem(&map_numbers, &zero);

        return numbers && numbers->u64 == rate + pair.a + gateway + title[0] ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
