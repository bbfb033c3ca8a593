// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Open-coded iterators. Kernel 6.4. */

#include "newtypes.h"

__u64 effect; /* each packet adds 0 + 1 + … + 99 */

static __always_inline void count_up(void) {
        __u64 sum = 0;
        int i;

        bpf_for(i, 0, 100) sum += i;
        effect += sum;
}

SEC("xdp")
int xdp_iterators(struct xdp_md *ctx) {
        hit();
        count_up();
        return answer_xdp();
}

SEC("tc")
int tc_iterators(struct __sk_buff *skb) {
        hit();
        count_up();
        return answer_tc();
}
