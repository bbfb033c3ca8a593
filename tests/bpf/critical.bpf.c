// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sections that a program must leave on all of its ways: of RCU (kernel 6.2), without preemption (6.10), without
 * interrupts (6.14), and a lock that can fail (6.15). */

#include "test.bpf.h"

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void bpf_preempt_disable(void) __ksym;
extern void bpf_preempt_enable(void) __ksym;
extern void bpf_local_irq_save(unsigned long *flags) __ksym;
extern void bpf_local_irq_restore(unsigned long *flags) __ksym;

struct bpf_res_spin_lock {
        __u32 opaque;
} __attribute__((aligned(4)));

extern int bpf_res_spin_lock(struct bpf_res_spin_lock *lock) __ksym;
extern void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock) __ksym;

struct guarded {
        struct bpf_res_spin_lock lock;
        __u32 count;
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct guarded);
} guarded SEC(".maps");

__u64 effect;

SEC("xdp")
int xdp_rcu(struct xdp_md *ctx) {
        hit();
        bpf_rcu_read_lock();
        effect++;
        bpf_rcu_read_unlock();
        return answer_xdp();
}

SEC("xdp")
int xdp_preempt(struct xdp_md *ctx) {
        hit();
        bpf_preempt_disable();
        effect++;
        bpf_preempt_enable();
        return answer_xdp();
}

SEC("xdp")
int xdp_irq(struct xdp_md *ctx) {
        unsigned long flags;

        hit();
        bpf_local_irq_save(&flags);
        effect++;
        bpf_local_irq_restore(&flags);
        return answer_xdp();
}

SEC("xdp")
int xdp_reslock(struct xdp_md *ctx) {
        __u32 zero = 0;
        struct guarded *g = bpf_map_lookup_elem(&guarded, &zero);

        hit();
        if (!g || bpf_res_spin_lock(&g->lock))
                return XDP_ABORTED;
        effect = ++g->count;
        bpf_res_spin_unlock(&g->lock);
        return answer_xdp();
}
