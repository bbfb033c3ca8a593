// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Objects of a type of the program's own, for all CPUs and for each, that maps keep. Kernel 6.4 to 6.7, clang 15
 * (older ones lose the tags of the pointers). */

#include "test.bpf.h"

#include <bpf/bpf_core_read.h>

extern void *bpf_obj_new_impl(__u64 type, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *object, void *meta) __ksym;
extern void *bpf_percpu_obj_new_impl(__u64 type, void *meta) __ksym;
extern void bpf_percpu_obj_drop_impl(void *object, void *meta) __ksym;

#define KEPT   __attribute__((btf_type_tag("kptr")))
#define PERCPU __attribute__((btf_type_tag("percpu_kptr")))

struct cell {
        __u64 number;
};

struct keeper {
        struct cell KEPT *cell;
};

struct percpu_keeper {
        struct cell PERCPU *cell;
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct keeper);
} keepers SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct percpu_keeper);
} percpu_keepers SEC(".maps");

__u64 effect;

/* Leaves an object in a map and takes out the one that was there. */
SEC("xdp")
int xdp_kptr(struct xdp_md *ctx) {
        struct cell *fresh, *old;
        struct keeper *keeper;
        __u32 zero = 0;

        hit();
        keeper = bpf_map_lookup_elem(&keepers, &zero);
        if (!keeper)
                return XDP_ABORTED;
        fresh = bpf_obj_new_impl(bpf_core_type_id_local(struct cell), NULL);
        if (!fresh)
                return XDP_ABORTED;
        fresh->number = effect + 1;
        old = bpf_kptr_xchg(&keeper->cell, fresh);
        if (old)
                bpf_obj_drop_impl(old, NULL);
        effect++;
        return answer_xdp();
}

SEC("xdp")
int xdp_percpu(struct xdp_md *ctx) {
        struct cell PERCPU *fresh, *old;
        struct percpu_keeper *keeper;
        __u32 zero = 0;

        hit();
        keeper = bpf_map_lookup_elem(&percpu_keepers, &zero);
        if (!keeper)
                return XDP_ABORTED;
        fresh = bpf_percpu_obj_new_impl(bpf_core_type_id_local(struct cell), NULL);
        if (!fresh)
                return XDP_ABORTED;
        old = bpf_kptr_xchg(&keeper->cell, fresh);
        if (old)
                bpf_percpu_obj_drop_impl(old, NULL);
        effect++;
        return answer_xdp();
}
