// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Globals of many types. For each packet, writes what they hold to `seen` (struct globals_seen), and then adds one to
 * bss_count and data_u32.
 */

#include "globals.h"
#include "test.bpf.h"

enum level {
        LEVEL_LOW = 1,
        LEVEL_MID = 5,
        LEVEL_HIGH = 100000,
};

struct range {
        __u8 low;
        __u32 high;
};

struct settings {
        __u16 port;
        struct range range;
        __u8 mac[6];
};

struct bits {
        __u32 a : 3;
        __u32 b : 12;
        __s32 c : 5;
        __u32 : 4;
        __u32 d : 1;
};

typedef __u32 counter_t;

const volatile __u8 g_u8 = 8;
const volatile __u16 g_u16 = 16;
const volatile __u32 g_u32 = 32;
const volatile __u64 g_u64 = 64;
const volatile __s8 g_s8 = -8;
const volatile __s16 g_s16 = -16;
const volatile __s32 g_s32 = -32;
const volatile __s64 g_s64 = -64;
const volatile bool g_bool = true;
const volatile enum level level = LEVEL_MID;
const volatile char text[16] = "default";
const volatile __u32 list[4] = { 1, 2, 3, 4 };
const volatile struct settings settings = { .port = 53, .range = { 1, 2 }, .mac = { 2, 0, 0, 0, 0, 1 } };
const volatile struct bits bits = { .a = 5, .b = 1000, .c = -3, .d = 1 };
static const volatile counter_t local = 11;

counter_t data_u32 = 7;
char data_text[8] = "data";
volatile __u64 bss_count;
volatile __s16 bss_list[3];

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct globals_seen);
} seen SEC(".maps");

static __always_inline void note(struct globals_seen *s) {
        s->g_u8 = g_u8;
        s->g_u16 = g_u16;
        s->g_u32 = g_u32;
        s->g_u64 = g_u64;
        s->g_s8 = g_s8;
        s->g_s16 = g_s16;
        s->g_s32 = g_s32;
        s->g_s64 = g_s64;
        s->g_bool = g_bool;
        s->level = level;
        for (int i = 0; i < 16; i++)
                s->text[i] = text[i];
        for (int i = 0; i < 4; i++)
                s->list[i] = list[i];
        s->port = settings.port;
        s->range_low = settings.range.low;
        s->range_high = settings.range.high;
        for (int i = 0; i < 6; i++)
                s->mac[i] = settings.mac[i];
        s->bits_a = bits.a;
        s->bits_b = bits.b;
        s->bits_c = bits.c;
        s->bits_d = bits.d;
        s->local = local;
        s->data_u32 = data_u32;
        for (int i = 0; i < 8; i++)
                s->data_text[i] = ((volatile char *) data_text)[i];
        s->bss_count = bss_count;
        for (int i = 0; i < 3; i++)
                s->bss_list[i] = bss_list[i];
}

SEC("xdp")
int xdp_globals(struct xdp_md *ctx) {
        __u32 zero = 0;
        struct globals_seen *s = bpf_map_lookup_elem(&seen, &zero);

        hit();
        if (s)
                note(s);
        bss_count++;
        data_u32++;
        return answer_xdp();
}
