// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Two numbers that only a lock keeps equal. */

#include "test.bpf.h"

struct account {
        struct bpf_spin_lock lock;
        __u32 reserved;
        __u64 packets;
        __u64 again; /* always equal to packets when read under the lock (BPF_F_LOCK) */
};

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 16);
        __type(key, __u32);
        __type(value, struct account);
} accounts SEC(".maps");

SEC("xdp")
int xdp_spinlock(struct xdp_md *ctx) {
        struct account fresh = {}, *account;
        __u32 key = 0;

        hit();
        account = bpf_map_lookup_elem(&accounts, &key);
        if (!account) {
                bpf_map_update_elem(&accounts, &key, &fresh, BPF_NOEXIST);
                account = bpf_map_lookup_elem(&accounts, &key);
                if (!account)
                        return XDP_ABORTED;
        }

        bpf_spin_lock(&account->lock);
        account->packets++;
        account->again++;
        bpf_spin_unlock(&account->lock);
        return answer_xdp();
}
