// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Starts work in a kernel thread by the first packet. Kernel 6.10. */

#include "newtypes.h"

extern int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags) __ksym;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned int flags) __ksym;
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback)(void *map, int *key, void *value),
                                    unsigned int flags, void *aux) __ksym;

struct job {
        struct bpf_wq wq;
        __u64 done;
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct job);
} jobs SEC(".maps");

__u64 effect; /* 1 once the work was done */

static int work(void *map, int *key, void *value) {
        __sync_fetch_and_add(&effect, 1);
        return 0;
}

SEC("xdp")
int xdp_workqueue(struct xdp_md *ctx) {
        __u32 zero = 0;
        struct job *job = bpf_map_lookup_elem(&jobs, &zero);

        hit();
        if (job && bpf_wq_init(&job->wq, &jobs, 0) == 0) {
                bpf_wq_set_callback_impl(&job->wq, work, 0, NULL);
                bpf_wq_start(&job->wq, 0);
        }
        return answer_xdp();
}
