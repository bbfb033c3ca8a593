// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Arms a timer by the first packet; it fires once after a millisecond. Kernel 5.15. */

#include "test.bpf.h"

#include <linux/time.h>

struct alarm {
        struct bpf_timer timer;
        __u64 fired;
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct alarm);
} alarms SEC(".maps");

static int fire(void *map, __u32 *key, struct alarm *alarm) {
        __sync_fetch_and_add(&alarm->fired, 1);
        return 0;
}

SEC("xdp")
int xdp_timer(struct xdp_md *ctx) {
        __u32 zero = 0;
        struct alarm *alarm = bpf_map_lookup_elem(&alarms, &zero);

        hit();
        if (alarm && bpf_timer_init(&alarm->timer, &alarms, CLOCK_MONOTONIC) == 0) {
                bpf_timer_set_callback(&alarm->timer, fire);
                bpf_timer_start(&alarm->timer, 1000000, 0);
        }
        return answer_xdp();
}
