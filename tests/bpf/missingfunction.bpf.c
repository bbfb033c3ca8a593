// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Calls a function that no kernel has. */

#include "test.bpf.h"

extern int bct_no_such_function(struct xdp_md *ctx) __ksym;

SEC("xdp")
int xdp_missingfunction(struct xdp_md *ctx) {
        hit();
        return bct_no_such_function(ctx);
}
