// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Gives a connection that does not exist a new timeout: what matters is the call. Kernel 6.0. */

#include "test.bpf.h"

struct nf_conn {
        __u32 mark;
} __attribute__((preserve_access_index));

struct bpf_ct_opts {
        __s32 netns_id;
        __s32 error;
        __u8 l4proto;
        __u8 dir;
        __u8 reserved[2];
};

extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size,
                                         struct bpf_ct_opts *opts, __u32 opts_size) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;
extern int bpf_ct_change_timeout(struct nf_conn *connection, __u32 timeout) __ksym;

SEC("xdp")
int xdp_sim_conntrack(struct xdp_md *ctx) {
        struct bpf_ct_opts opts = { .netns_id = BPF_F_CURRENT_NETNS, .l4proto = IPPROTO_UDP };
        struct bpf_sock_tuple tuple = {};
        struct nf_conn *connection;

        hit();
        connection = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
        if (connection) {
                bpf_ct_change_timeout(connection, 1000);
                bpf_ct_release(connection);
        }
        return answer_xdp();
}
