// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allocates an object of a type of its own. Kernel 6.2. */

#include "test.bpf.h"

#include <bpf/bpf_core_read.h>

struct note {
        __u64 a;
        __u64 b;
};

extern void *bpf_obj_new_impl(__u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *object, void *meta) __ksym;

SEC("xdp")
int xdp_allocate(struct xdp_md *ctx) {
        struct note *note = bpf_obj_new_impl(bpf_core_type_id_local(struct note), NULL);

        hit();
        if (note)
                bpf_obj_drop_impl(note, NULL);
        return answer_xdp();
}
