// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the kernel of the test VM must be able to do for the guard: a BPF LSM program that refuses, and one on the
 * entry of a function of the kernel. Both look for one file by its name.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <linux/errno.h>

#define KEPT "bct-kept"

struct qstr {
        const unsigned char *name;
} __attribute__((preserve_access_index));

struct dentry {
        struct qstr d_name;
} __attribute__((preserve_access_index));

struct inode;

enum { SLOT_LSM, SLOT_FENTRY, SLOT_MAX };

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, SLOT_MAX);
        __type(key, __u32);
        __type(value, __u64);
} probe_hits SEC(".maps");

static __always_inline _Bool is_kept(struct dentry *dentry) {
        const unsigned char *name = dentry->d_name.name;
        char text[sizeof(KEPT)] = {};

        if (bpf_probe_read_kernel_str(text, sizeof(text), name) != sizeof(text))
                return 0;
        return bpf_strncmp(text, sizeof(text), KEPT) == 0;
}

static __always_inline void count(__u32 slot) {
        __u64 *value = bpf_map_lookup_elem(&probe_hits, &slot);

        if (value)
                __sync_fetch_and_add(value, 1);
}

SEC("lsm/inode_unlink")
int BPF_PROG(refuse_unlink, struct inode *dir, struct dentry *dentry, int ret) {
        if (ret || !is_kept(dentry))
                return ret;
        count(SLOT_LSM);
        return -EPERM;
}

SEC("fentry/security_inode_unlink")
int BPF_PROG(see_unlink, struct inode *dir, struct dentry *dentry) {
        if (is_kept(dentry))
                count(SLOT_FENTRY);
        return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
