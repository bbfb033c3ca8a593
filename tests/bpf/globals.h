/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* What globals.bpf.c tells of the globals that it sees. */

#include <linux/types.h>

/* Entry 0 of its array map `seen`. */
struct globals_seen {
        __u8 g_u8;
        __u16 g_u16;
        __u32 g_u32;
        __u64 g_u64;
        __s8 g_s8;
        __s16 g_s16;
        __s32 g_s32;
        __s64 g_s64;
        __u8 g_bool;
        __u32 level;
        char text[16];
        __u32 list[4];
        __u16 port;
        __u8 range_low;
        __u32 range_high;
        __u8 mac[6];
        __u32 bits_a;
        __u32 bits_b;
        __s32 bits_c;
        __u32 bits_d;
        __u32 local;
        __u32 data_u32;
        char data_text[8];
        __u64 bss_count;
        __s16 bss_list[3];
};
