// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Calls nested as deep as the kernel allows, 8 frames, which leaves none for a caller. */

#include "test.bpf.h"

#define LEVEL(n, next)                                                                                               \
        static __noinline int level_##n(struct xdp_md *ctx) {                                                        \
                return next(ctx) + (ctx->data_end > ctx->data ? 0 : n);                                              \
        }

static __noinline int level_8(struct xdp_md *ctx) {
        return ctx->data_end > ctx->data ? answer_xdp() : XDP_ABORTED;
}
LEVEL(7, level_8)
LEVEL(6, level_7)
LEVEL(5, level_6)
LEVEL(4, level_5)
LEVEL(3, level_4)
LEVEL(2, level_3)

SEC("xdp")
int xdp_deepcalls(struct xdp_md *ctx) {
        hit();
        return level_2(ctx);
}

/* One level less: leaves room for one caller. */
SEC("xdp")
int xdp_almost_deepcalls(struct xdp_md *ctx) {
        hit();
        return level_3(ctx);
}
