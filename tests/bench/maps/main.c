/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What bench-maps.py measures, one thing a run:
 *
 *   bench-maps fill PIN N      makes entries in the pinned map "flows" of tests/bpf/values.bpf.c
 *   bench-maps copy PIN        reads all entries with libbpf's batches and copies their bytes, nothing else
 *   bench-maps print PIN       reads all and writes them to the standard output as JSON, a line each
 *   bench-maps rows PIN        the same in the notation of tables
 *
 * On the standard error a line: entries, bytes.
 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <inttypes.h>

#include "kernel/map-entries.h"
#include "kernel/map-info.h"
#include "kernel/value-btf.h"
#include "util/file.h"
#include "value/value-print.h"

#define CHUNK 4096U
#define FLUSH ((size_t) 256 * 1024)

/* As in tests/bpf/values.bpf.c. */
typedef struct Flow {
        uint8_t source[4];
        uint8_t destination[4];
        uint16_t source_port;
        uint16_t destination_port;
        uint8_t protocol;
        uint8_t reserved[3];
} Flow;

typedef struct Counters {
        uint64_t packets;
        uint64_t bytes;
        uint64_t first_seen;
        uint64_t last_seen;
} Counters;

static void make_entry(uint32_t i, Flow *flow, Counters *counters) {
        *flow = (Flow){
                .source = { 10, (uint8_t) (i >> 16), (uint8_t) (i >> 8), (uint8_t) i },
                .destination = { 203, 0, 113, (uint8_t) (i * 7) },
                .source_port = htons((uint16_t) (1024 + i % 60000)),
                .destination_port = htons(i % 3 ? 443 : 53),
                .protocol = i % 3 ? 6 : 17,
        };
        *counters = (Counters){
                .packets = i % 100000,
                .bytes = i * UINT64_C(1500),
                .first_seen = UINT64_C(12345678901234) + i,
                .last_seen = UINT64_C(12345678901234) + i * UINT64_C(1000003),
        };
}

static int fill(int fd, const char *count) {
        Flow *flows = calloc(CHUNK, sizeof(*flows));
        Counters *counters = calloc(CHUNK, sizeof(*counters));
        uint32_t n = (uint32_t) strtoul(count, NULL, 10), done = 0;
        int r = flows && counters ? 0 : -ENOMEM;

        while (done < n && r >= 0) {
                uint32_t k = MIN2(CHUNK, n - done);

                for (uint32_t i = 0; i < k; i++)
                        make_entry(done + i, &flows[i], &counters[i]);
                if (bpf_map_update_batch(fd, flows, counters, &k, NULL) < 0)
                        r = -errno;
                done += k;
        }
        free(flows);
        free(counters);
        fprintf(stderr, "%u entries\n", done);
        return r;
}

/* The least that reading can be. */
static int copy(int fd) {
        static Flow flows[CHUNK], kept_flows[CHUNK];
        static Counters counters[CHUNK], kept_counters[CHUNK];
        uint64_t position = 0, entries = 0;
        bool began = false, end = false;

        while (!end) {
                uint32_t n = CHUNK;

                if (bpf_map_lookup_batch(fd, began ? &position : NULL, &position, flows, counters, &n, NULL) < 0) {
                        if (errno != ENOENT)
                                return -errno;
                        end = true;
                }
                memcpy(kept_flows, flows, n * sizeof(*flows));
                memcpy(kept_counters, counters, n * sizeof(*counters));
                __asm__ volatile("" ::: "memory");
                entries += n;
                began = true;
        }
        fprintf(stderr, "%" PRIu64 " entries %" PRIu64 " bytes\n", entries,
                entries * (sizeof(Flow) + sizeof(Counters)));
        return 0;
}

typedef struct Output {
        ValuePrinter *key;
        ValuePrinter *value;
        size_t key_size;
        size_t value_size;
        Buffer buffer;
        uint64_t entries;
        uint64_t bytes;
} Output;

static int flush(Output *output) {
        size_t done = 0;

        while (done < output->buffer.size) {
                ssize_t n = write(STDOUT_FILENO, output->buffer.data + done, output->buffer.size - done);

                if (n < 0)
                        return -errno;
                done += (size_t) n;
        }
        output->bytes += done;
        output->buffer.size = 0;
        return 0;
}

static int sink(void *userdata, const uint8_t *keys, const uint8_t *values, size_t n) {
        Output *output = userdata;
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++) {
                r = value_print(output->key, keys + i * output->key_size, &output->buffer);
                if (r >= 0)
                        r = value_print(output->value, values + i * output->value_size, &output->buffer);
                if (r >= 0 && output->buffer.size >= FLUSH)
                        r = flush(output);
        }
        output->entries += n;
        return r;
}

static int describe(const struct bpf_map_info *info, ValueStyle style, Output *output) {
        const char *before = style == VALUE_STYLE_JSON ? "{\"key\":" : NULL,
                   *between = style == VALUE_STYLE_JSON ? ",\"value\":" : "\t",
                   *after = style == VALUE_STYLE_JSON ? "}\n" : "\n";
        struct btf *btf = btf__load_from_kernel_by_id(info->btf_id);
        _cleanup_value_btf_ ValueBtf *values = NULL;
        _cleanup_value_map_ ValueMap map = {};
        int r;

        if (!btf)
                return -errno;
        r = value_btf_new(btf, &values);
        if (r >= 0)
                r = value_btf_map(values, info->name, info->type, info->btf_key_type_id, info->key_size,
                                  info->btf_value_type_id, info->value_size, &map);
        if (r >= 0)
                r = value_printer_new(map.key, style, before, between, &output->key);
        if (r >= 0)
                r = value_printer_new(map.value, style, NULL, after, &output->value);
        btf__free(btf);
        return r;
}

static int print(int fd, ValueStyle style) {
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);
        Output output = {};
        MapInfo map = {};
        int r;

        if (bpf_map_get_info_by_fd(fd, &info, &size) < 0)
                return -errno;
        r = map_info_read(fd, info.name, false, &map);
        if (r >= 0)
                r = describe(&info, style, &output);
        output.key_size = info.key_size;
        output.value_size = info.value_size;
        if (r >= 0)
                r = map_entries_read(fd, &map, 0, sink, &output);
        if (r >= 0)
                r = flush(&output);
        fprintf(stderr, "%" PRIu64 " entries %" PRIu64 " bytes\n", output.entries, output.bytes);
        map_info_done(&map);
        value_printer_free(output.key);
        value_printer_free(output.value);
        buffer_done(&output.buffer);
        return r;
}

int main(int argc, char **argv) {
        _cleanup_close_ int fd = -EBADF;
        int r = -EINVAL;

        if (argc < 3)
                return 2;
        fd = bpf_obj_get(argv[2]);
        if (fd < 0) {
                perror(argv[2]);
                return 1;
        }
        if (streq(argv[1], "fill") && argc == 4)
                r = fill(fd, argv[3]);
        else if (streq(argv[1], "copy"))
                r = copy(fd);
        else if (streq(argv[1], "print"))
                r = print(fd, VALUE_STYLE_JSON);
        else if (streq(argv[1], "rows"))
                r = print(fd, VALUE_STYLE_ARGUMENT);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
        return r < 0;
}
