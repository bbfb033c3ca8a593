/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The parser of records in a perf ring, as far as they tell of BPF programs. Pure. Formats: perf_event_open(2),
 * PERF_RECORD_BPF_EVENT and struct sample_id with PERF_SAMPLE_TID, _TIME and _CPU.
 */

#include <sys/types.h>

#include "util/macros.h"

#define PERF_RECORD_SIZE_MAX 65535 /* the size is 16 bits */

typedef enum PerfRecordType {
        PERF_RECORD_OTHER_KIND,
        PERF_RECORD_PROGRAM_LOADED,
        PERF_RECORD_PROGRAM_UNLOADED,
        PERF_RECORD_EVENTS_LOST,
} PerfRecordType;

typedef struct PerfRecord {
        PerfRecordType type;
        uint32_t program_id;
        pid_t pid, tid;
        uint64_t nsec; /* of the clock that was asked for */
        uint64_t lost; /* records */
} PerfRecord;

/* The record that begins at data, `size` bytes of which may be read. Its length, or -EBADMSG. */
int perf_record_parse(const void *data, size_t size, PerfRecord *ret);
