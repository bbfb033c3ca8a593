/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel/program-loads.h"

/* Room for some 5000 records a CPU, so that a flood is not lost while a chain is built. A power of two. */
#define RING_BYTES (256U * 1024)

typedef struct Ring {
        ProgramLoads *loads;
        int fd;
        struct perf_event_mmap_page *page; /* with the data behind it */
        sd_event_source *source;
} Ring;

struct ProgramLoads {
        ProgramLoadsHandler handler;
        void *userdata;
        size_t page_size;
        Ring *rings;
        size_t n_rings;
        uint8_t record[PERF_RECORD_SIZE_MAX + 1]; /* one that lies around the end of a ring */
};

static void ring_done(Ring *ring, size_t page_size) {
        sd_event_source_unref(ring->source);
        if (ring->page)
                (void) munmap(ring->page, page_size + RING_BYTES);
        safe_close(ring->fd);
}

ProgramLoads *program_loads_free(ProgramLoads *loads) {
        if (!loads)
                return NULL;
        for (size_t i = 0; i < loads->n_rings; i++)
                ring_done(&loads->rings[i], loads->page_size);
        free(loads->rings);
        free(loads);
        return NULL;
}

/* A record in one piece: where it lies, or a copy. */
static const void *whole(ProgramLoads *loads, const uint8_t *data, uint64_t at, size_t size) {
        size_t offset = at & (RING_BYTES - 1), first = MIN2(size, RING_BYTES - offset);

        if (first == size)
                return data + offset;
        memcpy(loads->record, data + offset, first);
        memcpy(loads->record + first, data, size - first);
        return loads->record;
}

/* To the end: the kernel wakes us for what comes, not for what is left. */
static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Ring *ring = userdata;
        ProgramLoads *loads = ring->loads;
        const uint8_t *data = (const uint8_t *) ring->page + loads->page_size;
        uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE), tail = ring->page->data_tail;

        while (tail < head) {
                size_t available = MIN2(head - tail, (uint64_t) PERF_RECORD_SIZE_MAX);
                struct perf_event_header header;
                PerfRecord record = {};
                int n = -EBADMSG;

                if (available >= sizeof(header)) {
                        memcpy(&header, whole(loads, data, tail, sizeof(header)), sizeof(header));
                        if (header.size <= available)
                                n = perf_record_parse(whole(loads, data, tail, header.size), header.size, &record);
                }
                if (n < 0) { /* nothing that the kernel is known to write */
                        tail = head;
                        record = (PerfRecord){ .type = PERF_RECORD_EVENTS_LOST, .lost = 1 };
                } else
                        tail += (unsigned) n;
                if (record.type != PERF_RECORD_OTHER_KIND)
                        loads->handler(&record, loads->userdata);
        }
        __atomic_store_n(&ring->page->data_tail, tail, __ATOMIC_RELEASE);
        return 0;
}

static int ring_open(ProgramLoads *loads, int cpu, sd_event *event, int64_t priority, Ring *ring) {
        struct perf_event_attr attr = {
                .type = PERF_TYPE_SOFTWARE,
                .size = sizeof(attr),
                .config = PERF_COUNT_SW_DUMMY,
                .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU,
                .sample_id_all = 1,
                .bpf_event = 1,
                .watermark = 1, /* a number of events would count samples only */
                .wakeup_watermark = 1,
                .use_clockid = 1,
                .clockid = CLOCK_BOOTTIME,
        };
        void *page;
        int r;

        ring->fd = (int) syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
        if (ring->fd < 0)
                return -errno;
        page = mmap(NULL, loads->page_size + RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
        if (page == MAP_FAILED)
                return -errno;
        ring->page = page;
        r = sd_event_add_io(event, &ring->source, ring->fd, EPOLLIN, on_readable, ring);
        if (r >= 0)
                r = sd_event_source_set_priority(ring->source, priority);
        if (r >= 0)
                (void) sd_event_source_set_description(ring->source, "program-loads");
        return r;
}

static const char *reason_of(int r) {
        switch (r) {
        case -EACCES:
        case -EPERM:
                return "the kernel refuses perf events; they take CAP_PERFMON, and CAP_SYS_ADMIN where sysctl "
                       "kernel.perf_event_paranoid is above 2";
        case -EINVAL: return "this kernel writes no records of BPF programs (before 5.1)";
        case -ENOENT:
        case -ENOSYS: return "this kernel has no perf events";
        default: return "perf events can't be opened";
        }
}

static int open_all(ProgramLoads *loads, sd_event *event, int64_t priority) {
        long n_cpus = sysconf(_SC_NPROCESSORS_CONF);
        int r;

        if (n_cpus < 1)
                return -ENOSYS;
        loads->rings = calloc((size_t) n_cpus, sizeof(Ring));
        if (!loads->rings)
                return -ENOMEM;
        for (int cpu = 0; cpu < n_cpus; cpu++) {
                Ring *ring = &loads->rings[loads->n_rings];

                *ring = (Ring){ .loads = loads, .fd = -EBADF };
                r = ring_open(loads, cpu, event, priority, ring);
                if (r == -ENODEV) /* the CPU is offline */
                        continue;
                loads->n_rings++;
                if (r < 0)
                        return r;
        }
        return loads->n_rings > 0 ? 0 : -ENODEV;
}

int program_loads_new(sd_event *event, int64_t priority, ProgramLoadsHandler handler, void *userdata,
                      const char **ret_reason, ProgramLoads **ret) {
        _cleanup_(program_loads_freep) ProgramLoads *loads = calloc(1, sizeof(ProgramLoads));
        int r = -ENOMEM;

        if (loads) {
                loads->handler = handler;
                loads->userdata = userdata;
                loads->page_size = (size_t) sysconf(_SC_PAGESIZE);
                r = open_all(loads, event, priority);
        }
        if (r < 0) {
                *ret_reason = reason_of(r);
                return r;
        }
        *ret = TAKE_PTR(loads);
        return 0;
}
