// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Writes into the packet, behind its Ethernet header, how maps without keys answer: four signed numbers, of the queue
 * (0: it had something, its first number), the stack, the Bloom filter (0: it knows 7) and the ring buffer (0: there
 * was room).
 */

#include "test.bpf.h"

struct {
        __uint(type, BPF_MAP_TYPE_QUEUE);
        __uint(max_entries, 8);
        __type(value, __u64);
} queue SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_STACK);
        __uint(max_entries, 8);
        __type(value, __u64);
} stack SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
        __uint(max_entries, 8);
        __type(value, __u64);
} filter SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 4096);
} ring SEC(".maps");

enum { N_ANSWERS = 4 };

SEC("xdp")
int xdp_sim_streams(struct xdp_md *ctx) {
        __be64 *to = (void *) (long) ctx->data + sizeof(struct ethhdr);
        __u64 value = 0, event[16] = { 1 };

        hit();
        if ((void *) (to + N_ANSWERS) > (void *) (long) ctx->data_end)
                return XDP_ABORTED;
        to[0] = bpf_cpu_to_be64(bpf_map_pop_elem(&queue, &value));
        to[1] = bpf_cpu_to_be64(bpf_map_pop_elem(&stack, &value));
        value = 7;
        to[2] = bpf_cpu_to_be64(bpf_map_peek_elem(&filter, &value));
        to[3] = bpf_cpu_to_be64(bpf_ringbuf_output(&ring, event, sizeof(event), 0));
        return answer_xdp();
}
