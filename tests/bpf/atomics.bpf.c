// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Atomic instructions that return what was there before. Kernel 5.12; -mcpu=v3 and later. */

#include "test.bpf.h"

__u64 effect;
__u64 cell = 5;
__u32 half;

SEC("xdp")
int xdp_atomics(struct xdp_md *ctx) {
        __u64 before = __sync_fetch_and_add(&cell, 2), seen;

        hit();
        seen = __sync_val_compare_and_swap(&cell, before + 2, before + 10);
        if (seen != before + 2)
                return XDP_ABORTED;
        seen = __sync_lock_test_and_set(&cell, 5);
        if (seen != before + 10)
                return XDP_ABORTED;
        __sync_fetch_and_or(&half, 0x10);
        __sync_fetch_and_xor(&half, 0x11);
        __sync_fetch_and_add(&effect, 1);
        return answer_xdp();
}
