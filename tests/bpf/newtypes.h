/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Types that the kernel knows by their names and that linux/bpf.h declares since 6.2 to 6.10, or never did. Declared
 * here so that objects can be built with older headers: those of the header, if it has any, get other names. To be
 * included in the place of test.bpf.h.
 */

#define bpf_list_head header_bpf_list_head
#define bpf_list_node header_bpf_list_node
#define bpf_rb_root   header_bpf_rb_root
#define bpf_rb_node   header_bpf_rb_node
#define bpf_refcount  header_bpf_refcount
#define bpf_iter_num  header_bpf_iter_num
#define bpf_wq        header_bpf_wq
#include <linux/bpf.h>
#undef bpf_list_head
#undef bpf_list_node
#undef bpf_rb_root
#undef bpf_rb_node
#undef bpf_refcount
#undef bpf_iter_num
#undef bpf_wq

struct bpf_list_head {
        __u64 opaque[2];
} __attribute__((aligned(8)));

struct bpf_list_node {
        __u64 opaque[3];
} __attribute__((aligned(8)));

struct bpf_rb_root {
        __u64 opaque[2];
} __attribute__((aligned(8)));

struct bpf_rb_node {
        __u64 opaque[4];
} __attribute__((aligned(8)));

struct bpf_refcount {
        __u32 opaque[1];
} __attribute__((aligned(4)));

struct bpf_iter_num {
        __u64 opaque[1];
} __attribute__((aligned(8)));

struct bpf_wq {
        __u64 opaque[2];
} __attribute__((aligned(8)));

#include "test.bpf.h"
