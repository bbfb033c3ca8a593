// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A value in which the kernel may keep a pointer; nobody puts one there. Kernel 5.19, clang 15 (older ones lose the
 * tag of the pointer). */

#include "test.bpf.h"

#define KEPT __attribute__((btf_type_tag("kptr_untrusted")))

struct net_device {
        int ifindex;
} __attribute__((preserve_access_index));

struct keeper {
        __u64 number;
        struct net_device KEPT *device;
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct keeper);
} keepers SEC(".maps");

SEC("xdp")
int xdp_sim_kptr(struct xdp_md *ctx) {
        __u32 zero = 0;
        struct keeper *keeper = bpf_map_lookup_elem(&keepers, &zero);

        hit();
        if (!keeper)
                return XDP_ABORTED;
        keeper->number++;
        return keeper->device ? XDP_DROP : answer_xdp();
}
