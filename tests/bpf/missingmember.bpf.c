// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reads a member of a kernel's struct that no kernel has. */

#include "test.bpf.h"

#include <bpf/bpf_core_read.h>

struct task_struct {
        int bct_no_such_member;
} __attribute__((preserve_access_index));

SEC("xdp")
int xdp_missingmember(struct xdp_md *ctx) {
        struct task_struct *task = (void *) bpf_get_current_task();

        hit();
        return BPF_CORE_READ(task, bct_no_such_member) ? XDP_DROP : answer_xdp();
}
