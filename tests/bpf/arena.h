/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* The body of the arena objects. ARENA_START: where user space is to map it, below 4 GiB
 * since older compilers write no larger numbers into type information. The count is at its byte 64. */

#include "test.bpf.h"

#define MAP_TYPE_ARENA 33 /* enum bpf_map_type, since 6.9 */

struct {
        __uint(type, MAP_TYPE_ARENA);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 4); /* pages */
        __ulong(map_extra, ARENA_START);
} arena SEC(".maps");

__u64 effect; /* the count in the arena */

/* The pointer for the kernel that belongs to a pointer for user space: addr_space_cast(r, 0, 1), by hand, since
 * assemblers know it from clang 19 on only. */
#define cast(p)                                                                                                      \
        ({                                                                                                           \
                register void *r1_ asm("r1") = (p);                                                                  \
                asm volatile(".byte 0xbf, 0x11\n.short 1\n.long 1" : "+r"(r1_));                                     \
                r1_;                                                                                                 \
        })

static __always_inline void count(void) {
        __u64 *cell;

        asm volatile("" : : "r"(&arena)); /* the kernel must find the map in the program */
        cell = cast((void *) (ARENA_START + 64));
        *cell += 1;
        effect = *cell;
}

SEC("xdp")
int xdp_arena(struct xdp_md *ctx) {
        hit();
        count();
        return answer_xdp();
}

SEC("tc")
int tc_arena(struct __sk_buff *skb) {
        hit();
        count();
        return answer_tc();
}
