// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Redirects by the map that the packet's byte behind the Ethernet header chooses; where there is no entry, drops. */

#include "test.bpf.h"

#define DEFINE(name, kind, size)                                                                                     \
        struct {                                                                                                     \
                __uint(type, kind);                                                                                  \
                __uint(max_entries, 4);                                                                              \
                __uint(key_size, sizeof(__u32));                                                                     \
                __uint(value_size, size);                                                                            \
        } name SEC(".maps")

DEFINE(devices, BPF_MAP_TYPE_DEVMAP, 4);
DEFINE(devices_programs, BPF_MAP_TYPE_DEVMAP, 8);
DEFINE(devices_hash, BPF_MAP_TYPE_DEVMAP_HASH, 8);
DEFINE(cpus, BPF_MAP_TYPE_CPUMAP, 8);
DEFINE(sockets, BPF_MAP_TYPE_XSKMAP, 4);

SEC("xdp")
int xdp_sim_devices(struct xdp_md *ctx) {
        __u8 *which = (void *) (long) ctx->data + sizeof(struct ethhdr);

        hit();
        if ((void *) (which + 1) > (void *) (long) ctx->data_end)
                return XDP_ABORTED;
        switch (*which) {
        case 0: return bpf_redirect_map(&devices, 1, XDP_DROP);
        case 1: return bpf_redirect_map(&devices_programs, 1, XDP_DROP);
        case 2: return bpf_redirect_map(&devices_hash, 1, XDP_DROP);
        case 3: return bpf_redirect_map(&cpus, 1, XDP_DROP);
        case 4: return bpf_redirect_map(&sockets, 1, XDP_DROP);
        default: return answer_xdp();
        }
}
