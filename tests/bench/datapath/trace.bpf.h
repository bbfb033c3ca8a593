/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The work of a member that puts its id and generation into packets with a trace. */

#include "body.bpf.h"
#include "trace.h"

const volatile __u32 id = 0;
const volatile __u32 generation = 0;

static __always_inline void append(void *data, void *end) {
        struct trace_packet *packet = data;
        struct trace_entry *entry;
        __u32 i;

        if ((void *) (packet + 1) > end || packet->protocol != bpf_htons(TRACE_PROTOCOL))
                return;
        i = packet->count;
        if (i >= TRACE_MAX)
                return;
        entry = &packet->entries[i];
        if ((void *) (entry + 1) > end) /* for the verifier */
                return;
        entry->id = id;
        entry->generation = generation;
        packet->count = i + 1;
}
