// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Global functions that say more of their arguments by tags: a context behind a void pointer, and a pointer that is
 * never NULL. Kernel 6.8. */

#include "test.bpf.h"

#define tag(name) __attribute__((btf_decl_tag("arg:" name)))

struct place {
        __u64 value;
        __u64 reserved;
};

__u64 effect;

__noinline int read_length(void *ctx tag("ctx")) {
        struct xdp_md *xdp = ctx;
        __u32 n = xdp->data_end - xdp->data;

        return n < 65536 ? n : 65535;
}

__noinline int keep(struct place *place tag("nonnull"), __u64 value) {
        place->value = value;
        return 0;
}

SEC("xdp")
int xdp_argtags(struct xdp_md *ctx) {
        struct place place = {};

        hit();
        keep(&place, read_length(ctx));
        effect = place.value;
        return answer_xdp();
}
