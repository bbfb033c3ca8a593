// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* All of the 512 bytes of stack, and nearly all of them in two frames of 240. */

#include "test.bpf.h"

__u64 effect;

/* clang wants some of the 512 bytes to stay free, so it does not know of these. */
#define put(at, value) asm volatile("*(u64 *)(r10 - " #at ") = %0" : : "r"(value))
#define get(at, value) asm volatile("%0 = *(u64 *)(r10 - " #at ")" : "=r"(value))

SEC("xdp")
int xdp_stack_full(struct xdp_md *ctx) {
        volatile __u64 slots[56];
        __u64 sum = 0, last = 56;

        hit();
        for (int i = 0; i < 56; i++)
                slots[i] = i;
        put(512, last);
        for (int i = 0; i < 56; i++)
                sum += slots[i];
        get(512, last);
        if (sum + last == 56 * 57 / 2)
                effect++;
        return answer_xdp();
}

static __noinline __u64 keep(__u64 value) {
        put(240, value);
        get(240, value);
        return value;
}

SEC("xdp")
int xdp_stack_frames(struct xdp_md *ctx) {
        __u64 length = ctx->data_end - ctx->data, kept, again;

        hit();
        put(240, length);
        kept = keep(length);
        get(240, again);
        if (kept == length && again == length)
                effect++;
        return answer_xdp();
}
