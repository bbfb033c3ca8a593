// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Dynptrs: to a map's value and to a record of a ring buffer (kernel 5.19), and to a socket buffer (6.4). */

#include "test.bpf.h"

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ret) __ksym;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *p, __u32 offset, void *buffer, __u32 size) __ksym;

struct block {
        __u8 bytes[64];
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct block);
} blocks SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 4096);
} records SEC(".maps");

__u64 effect; /* packets whose number went through both and came back */

SEC("xdp")
int xdp_dynptr(struct xdp_md *ctx) {
        __u64 number = effect + 1, again = 0;
        struct bpf_dynptr memory, record;
        __u32 zero = 0;
        struct block *block = bpf_map_lookup_elem(&blocks, &zero);

        hit();
        if (!block || bpf_dynptr_from_mem(block, sizeof(*block), 0, &memory) < 0)
                return XDP_ABORTED;
        bpf_dynptr_write(&memory, 8, &number, sizeof(number), 0);
        bpf_dynptr_read(&again, sizeof(again), &memory, 8, 0);

        if (bpf_ringbuf_reserve_dynptr(&records, sizeof(number), 0, &record) == 0 && again == number)
                bpf_dynptr_write(&record, 0, &number, sizeof(number), 0);
        bpf_ringbuf_submit_dynptr(&record, 0);
        effect = again;
        return answer_xdp();
}

/* Sets the first byte of the destination address to 0x42. */
SEC("tc")
int tc_dynptr(struct __sk_buff *skb) {
        struct bpf_dynptr packet;
        __u8 buffer[6], *address;

        hit();
        if (bpf_dynptr_from_skb(skb, 0, &packet) < 0)
                return TC_ACT_SHOT;
        address = bpf_dynptr_slice_rdwr(&packet, 0, buffer, sizeof(buffer));
        if (!address)
                return TC_ACT_SHOT;
        address[0] = 0x42;
        if (address == buffer)
                bpf_dynptr_write(&packet, 0, buffer, sizeof(buffer), 0);
        effect++;
        return answer_tc();
}
