// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A section name that tells nothing: whoever loads this must say that it is XDP. */

#include "test.bpf.h"

SEC("myprog")
int unknown_xdp(struct xdp_md *ctx) {
        hit();
        return ctx->data_end > ctx->data ? answer_xdp() : XDP_ABORTED;
}
