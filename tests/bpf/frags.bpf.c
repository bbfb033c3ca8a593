// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Takes packets that do not fit one page. `bytes` counts all of each packet. */

#include "test.bpf.h"

__u64 bytes;

SEC("xdp.frags")
int xdp_frags(struct xdp_md *ctx) {
        hit();
        __sync_fetch_and_add(&bytes, bpf_xdp_get_buff_len(ctx));
        return answer_xdp();
}
