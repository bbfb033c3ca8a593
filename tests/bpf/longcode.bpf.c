// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A main function of more than 20,000 instructions without a branch: too long for the jumps of an inlined program,
 * and quickly verified. */

#include "test.bpf.h"

#define STEP                                                                                                         \
        do {                                                                                                         \
                sum = sum * 31 + 7;                                                                                  \
                asm volatile("" : "+r"(sum));                                                                        \
        } while (0)
#define STEPS_10                                                                                                     \
        STEP;                                                                                                        \
        STEP;                                                                                                        \
        STEP;                                                                                                        \
        STEP;                                                                                                        \
        STEP;                                                                                                        \
        STEP;                                                                                                        \
        STEP;                                                                                                        \
        STEP;                                                                                                        \
        STEP;                                                                                                        \
        STEP
#define STEPS_100                                                                                                    \
        STEPS_10;                                                                                                    \
        STEPS_10;                                                                                                    \
        STEPS_10;                                                                                                    \
        STEPS_10;                                                                                                    \
        STEPS_10;                                                                                                    \
        STEPS_10;                                                                                                    \
        STEPS_10;                                                                                                    \
        STEPS_10;                                                                                                    \
        STEPS_10;                                                                                                    \
        STEPS_10
#define STEPS_1000                                                                                                   \
        STEPS_100;                                                                                                   \
        STEPS_100;                                                                                                   \
        STEPS_100;                                                                                                   \
        STEPS_100;                                                                                                   \
        STEPS_100;                                                                                                   \
        STEPS_100;                                                                                                   \
        STEPS_100;                                                                                                   \
        STEPS_100;                                                                                                   \
        STEPS_100;                                                                                                   \
        STEPS_100
#define STEPS_10000                                                                                                  \
        STEPS_1000;                                                                                                  \
        STEPS_1000;                                                                                                  \
        STEPS_1000;                                                                                                  \
        STEPS_1000;                                                                                                  \
        STEPS_1000;                                                                                                  \
        STEPS_1000;                                                                                                  \
        STEPS_1000;                                                                                                  \
        STEPS_1000;                                                                                                  \
        STEPS_1000;                                                                                                  \
        STEPS_1000

__u64 effect; /* what comes of 10,000 steps from the packet's length */

SEC("xdp")
int xdp_longcode(struct xdp_md *ctx) {
        __u64 sum = ctx->data_end - ctx->data;

        hit();
        STEPS_10000;
        effect = sum;
        return answer_xdp();
}
