// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reads what the network card says of a packet. Such a program is bound to the interface that it is loaded for.
 * Kernel 6.3. */

#include "test.bpf.h"

extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *timestamp) __ksym;

__u64 effect;

SEC("xdp")
int xdp_bound(struct xdp_md *ctx) {
        __u64 timestamp = 0;

        hit();
        if (bpf_xdp_metadata_rx_timestamp(ctx, &timestamp) == 0)
                effect++;
        return answer_xdp();
}
