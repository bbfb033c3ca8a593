// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A record { sequence, length } for each packet, as long as there is room. */

#include "test.bpf.h"

struct record {
        __u64 sequence;
        __u32 length;
        __u32 reserved;
};

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 64 * 1024);
} records SEC(".maps");

__u64 sequence;

SEC("xdp")
int xdp_ringbuf(struct xdp_md *ctx) {
        struct record *record;

        hit();
        record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
        if (record) {
                record->sequence = __sync_fetch_and_add(&sequence, 1);
                record->length = ctx->data_end - ctx->data;
                record->reserved = 0;
                bpf_ringbuf_submit(record, 0);
        }
        return answer_xdp();
}
