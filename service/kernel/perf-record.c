/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/perf_event.h>

#include "kernel/perf-record.h"

/* struct sample_id, at the end of each record. */
typedef struct SampleId {
        uint32_t pid, tid;
        uint64_t time;
        uint32_t cpu, reserved;
} SampleId;

typedef struct BpfRecord {
        struct perf_event_header header;
        uint16_t type; /* enum perf_bpf_event_type */
        uint16_t flags;
        uint32_t id;
        uint8_t tag[8];
        SampleId sample;
} BpfRecord;

typedef struct LostRecord {
        struct perf_event_header header;
        uint64_t id;
        uint64_t lost;
} LostRecord;

int perf_record_parse(const void *data, size_t size, PerfRecord *ret) {
        struct perf_event_header header;
        PerfRecord record = {};
        LostRecord lost;
        BpfRecord bpf;

        if (size < sizeof(header))
                return -EBADMSG;
        memcpy(&header, data, sizeof(header));
        if (header.size < sizeof(header) || header.size > size || header.size % 8 != 0)
                return -EBADMSG;

        if (header.type == PERF_RECORD_LOST) {
                if (header.size < sizeof(lost))
                        return -EBADMSG;
                memcpy(&lost, data, sizeof(lost));
                record = (PerfRecord){ .type = PERF_RECORD_EVENTS_LOST, .lost = lost.lost };
        } else if (header.type == PERF_RECORD_BPF_EVENT) {
                if (header.size < sizeof(bpf))
                        return -EBADMSG;
                memcpy(&bpf, data, sizeof(bpf));
                if (bpf.type == PERF_BPF_EVENT_PROG_LOAD || bpf.type == PERF_BPF_EVENT_PROG_UNLOAD)
                        record = (PerfRecord){
                                .type = bpf.type == PERF_BPF_EVENT_PROG_LOAD ? PERF_RECORD_PROGRAM_LOADED
                                                                             : PERF_RECORD_PROGRAM_UNLOADED,
                                .program_id = bpf.id,
                                .pid = (pid_t) bpf.sample.pid,
                                .tid = (pid_t) bpf.sample.tid,
                                .nsec = bpf.sample.time,
                        };
        }
        *ret = record;
        return header.size;
}
