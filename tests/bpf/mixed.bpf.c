// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* An XDP program in company: a tracepoint program of the same object, which must not get in the way. */

#include "test.bpf.h"

__u64 tracepoint_hits;

SEC("tracepoint/syscalls/sys_enter_getpid")
int tp_mixed(void *ctx) {
        __sync_fetch_and_add(&tracepoint_hits, 1);
        return 0;
}

SEC("xdp")
int xdp_mixed(struct xdp_md *ctx) {
        hit();
        return answer_xdp();
}
