// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Version 1, see upgrade.h. */

#include "upgrade.h"

SEC("xdp")
int xdp_upgrade(struct xdp_md *ctx) {
        __u64 *count = upgrade_count(1);

        if (count)
                __sync_fetch_and_add(count, 1);
        return answer_xdp();
}
