// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Under a licence that the kernel takes for not compatible with the GPL: xdp_gplonly calls a helper that it may not.
 */

#include "bpfchain.bpf.h"

SEC("xdp")
int xdp_proprietary(struct xdp_md *ctx) {
        return ctx->data_end > ctx->data ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int xdp_gplonly(struct xdp_md *ctx) {
        static const char text[] = "hello";

        bpf_trace_printk(text, sizeof(text));
        return XDP_PASS;
}

char LICENSE[] SEC("license") = "Proprietary";
