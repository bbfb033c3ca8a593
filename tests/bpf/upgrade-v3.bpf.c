// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Version 3, see upgrade.h. */

#include <linux/types.h>

struct counts {
        __u64 packets;
        __u64 bytes;
};

#define COUNTER_VALUE struct counts
#include "upgrade.h"

SEC("xdp")
int xdp_upgrade(struct xdp_md *ctx) {
        struct counts *count = upgrade_count(3);

        if (count) {
                __sync_fetch_and_add(&count->packets, 1);
                __sync_fetch_and_add(&count->bytes, ctx->data_end - ctx->data);
        }
        return answer_xdp();
}
