// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Globals in sections of their own, which libbpf makes into maps named after the section. */

#include "test.bpf.h"

SEC(".rodata.limits") const volatile __u32 limit = 3;
SEC(".data.state") __u32 state = 1;
SEC(".bss.scratch") __u64 scratch;

SEC("xdp")
int xdp_datasections(struct xdp_md *ctx) {
        hit();
        if (state < limit)
                state++;
        scratch += state;
        return answer_xdp();
}
