// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Takes nearly all of the 512 bytes of stack: 496, which leaves 16 to a caller. */

#include "test.bpf.h"

SEC("xdp")
int xdp_bigstack(struct xdp_md *ctx) {
        volatile __u64 slots[61];
        __u64 sum = 0;

        hit();
        for (int i = 0; i < 61; i++)
                slots[i] = i;
        for (int i = 0; i < 61; i++)
                sum += slots[i];
        return sum == 60 * 61 / 2 ? answer_xdp() : XDP_ABORTED;
}
