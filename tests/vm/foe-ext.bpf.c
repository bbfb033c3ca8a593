// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A function of somebody else's in place of one of a program that runs. */

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("freplace")
int foe_function(struct xdp_md *ctx) {
        return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
