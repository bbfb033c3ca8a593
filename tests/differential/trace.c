/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <sys/mman.h>

#include "kernel/fuse.h"
#include "trace.h"

struct Trace {
        int fd;
        FuseTrace *shown; /* mapped, one a slot */
        FuseTrace *wanted;
        size_t n_slots;
};

int trace_new(size_t n_slots, Trace **ret) {
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
        _cleanup_(trace_freep) Trace *trace = calloc(1, sizeof(Trace));
        void *shown;

        if (!trace)
                return -ENOMEM;
        trace->n_slots = n_slots;
        trace->fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "trace", sizeof(uint32_t), sizeof(FuseTrace),
                                   (uint32_t) n_slots, &opts);
        if (trace->fd < 0)
                return -errno;
        shown = mmap(NULL, n_slots * sizeof(FuseTrace), PROT_READ | PROT_WRITE, MAP_SHARED, trace->fd, 0);
        if (shown == MAP_FAILED)
                return -errno;
        trace->shown = shown;
        trace->wanted = calloc(n_slots, sizeof(FuseTrace));
        if (!trace->wanted)
                return -ENOMEM;
        *ret = TAKE_PTR(trace);
        return 0;
}

void trace_free(Trace *trace) {
        if (!trace)
                return;
        if (trace->shown)
                munmap(trace->shown, trace->n_slots * sizeof(FuseTrace));
        safe_close(trace->fd);
        free(trace->wanted);
        free(trace);
}

int trace_fd(const Trace *trace) {
        return trace->fd;
}

void trace_begin(Trace *trace) {
        for (size_t i = 0; i < trace->n_slots; i++)
                trace->shown[i].seen = trace->wanted[i].seen = 0;
}

void trace_step(Trace *trace, size_t slot, const Packet *packet, int verdict) {
        FuseTrace *wanted = &trace->wanted[slot];

        wanted->seen = 1;
        wanted->verdict = verdict;
        wanted->size = packet->size - packet->meta;
        wanted->mark = packet->mark;
        memcpy(wanted->data, packet->bytes + packet->meta, MIN2(wanted->size, sizeof(wanted->data)));
}

bool trace_differs(const Trace *trace, Hook hook, FILE *f) {
        for (size_t i = 0; i < trace->n_slots; i++) {
                const FuseTrace *a = &trace->shown[i], *b = &trace->wanted[i];

                if (a->seen != b->seen) {
                        fprintf(f, "trace: slot %zu: fused seen %u, reference %u\n", i, a->seen, b->seen);
                        return true;
                }
                if (!a->seen)
                        continue;
                if (a->verdict != b->verdict || a->size != b->size || (hook_is_tc(hook) && a->mark != b->mark)) {
                        fprintf(f, "trace: slot %zu: fused verdict %d, %u bytes, mark %#x, reference %d, %u, %#x\n",
                                i, a->verdict, a->size, a->mark, b->verdict, b->size, b->mark);
                        return true;
                }
                if (memcmp(a->data, b->data, MIN2(a->size, sizeof(a->data))) != 0) {
                        fprintf(f, "trace: slot %zu: other bytes in the packet\n", i);
                        return true;
                }
        }
        return false;
}
