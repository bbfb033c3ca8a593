// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packet loads of classic BPF: where the packet is too short they end the program with 0. */

#include "test.bpf.h"

unsigned long long load_byte(void *skb, unsigned long long offset) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long offset) asm("llvm.bpf.load.half");

const volatile __u32 offset = 12;

__u64 effect; /* the two bytes at `offset` of the last packet */

SEC("tc")
int tc_packetload(struct __sk_buff *skb) {
        hit();
        effect = load_half(skb, offset);
        return load_byte(skb, 0) == 0xee ? TC_ACT_SHOT : answer_tc();
}
