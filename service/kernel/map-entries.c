/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>

#include "kernel/map-entries.h"
#include "kernel/map-info.h"

/* Bytes that are read at once, and how many entries that may be. Small chunks go through the cache. */
#define CHUNK_BYTES   (256U * 1024)
#define CHUNK_ENTRIES 4096U

/* How often a reading that the kernel broke off is taken up again without having got on. */
#define RETRIES_MAX 16

typedef struct Reader {
        int fd;
        const MapInfo *info;
        uint64_t flags;
        MapEntriesSink sink;
        void *userdata;

        size_t value_size;
        uint32_t capacity; /* entries */
        uint8_t *keys;
        uint8_t *values;
        uint64_t left; /* entries that may still come; for a map that changes faster than it is read */
} Reader;

static void reader_done(Reader *reader) {
        free(reader->keys);
        free(reader->values);
}

static int reader_allocate(Reader *reader, uint32_t capacity) {
        uint8_t *keys = reallocarray(reader->keys, capacity, MAX2(reader->info->key_size, 1U));

        if (!keys)
                return -ENOMEM;
        reader->keys = keys;
        free(reader->values);
        reader->values = calloc(capacity, MAX2(reader->value_size, 1U));
        if (!reader->values)
                return -ENOMEM;
        reader->capacity = capacity;
        return 0;
}

static int reader_init(Reader *reader) {
        size_t entry = reader->info->key_size + reader->value_size;

        reader->left = 2 * (uint64_t) reader->info->max_entries + CHUNK_ENTRIES;
        return reader_allocate(reader, (uint32_t) MAX2(MIN2(CHUNK_BYTES / MAX2(entry, 1U),
                                                            MIN2(reader->info->max_entries, CHUNK_ENTRIES)),
                                                       1U));
}

static int reader_deliver(Reader *reader, size_t n) {
        reader->left -= MIN2(reader->left, n);
        return n > 0 ? reader->sink(reader->userdata, reader->keys, reader->values, n) : 0;
}

/* A hash gives whole buckets, and none at all where one has more entries than there is room for. */
static int reader_grow(Reader *reader) {
        if (reader->capacity > UINT32_MAX / 4 || reader->capacity > 2 * (uint64_t) reader->info->max_entries)
                return -ENOSPC;
        return reader_allocate(reader, reader->capacity * 2);
}

/* -EOPNOTSUPP: there is no reading by batches, nothing was delivered. */
static int read_batches(Reader *reader) {
        LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = reader->flags);
        _cleanup_free_ uint8_t *position = calloc(1, MAX2(reader->info->key_size, (uint32_t) sizeof(uint64_t)));
        bool began = false, end = false;
        unsigned retries = 0;

        if (!position)
                return -ENOMEM;
        while (!end && reader->left > 0) {
                uint32_t n = reader->capacity;
                int r = 0;

                if (bpf_map_lookup_batch(reader->fd, began ? position : NULL, position, reader->keys, reader->values,
                                         &n, &opts) < 0)
                        r = -errno;
                if (r == -ENOENT) {
                        end = true; /* with the last entries, if any */
                } else if (r == -ENOSPC) {
                        r = reader_grow(reader);
                        if (r < 0)
                                return r;
                        continue;
                } else if ((r == -EINTR || r == -EAGAIN) && retries++ < RETRIES_MAX) {
                        continue;
                } else if (r < 0) {
                        return began ? r : -EOPNOTSUPP;
                }

                r = reader_deliver(reader, MIN2(n, reader->capacity));
                if (r < 0)
                        return r;
                began = true;
        }
        return 0;
}

/* Key by key. A key that goes makes the kernel begin again with the first one, hence `left`. */
static int read_singly(Reader *reader) {
        uint32_t key_size = reader->info->key_size;
        _cleanup_free_ uint8_t *key = calloc(1, MAX2(key_size, 1U));
        bool began = false;
        uint64_t steps = reader->left;
        size_t n = 0;
        int r;

        if (!key)
                return -ENOMEM;
        for (; steps > 0 && reader->left > 0; steps--, began = true) {
                if (bpf_map_get_next_key(reader->fd, began ? key : NULL, key) < 0) {
                        if (errno != ENOENT)
                                return -errno;
                        break;
                }
                if (bpf_map_lookup_elem_flags(reader->fd, key, reader->values + n * reader->value_size,
                                              reader->flags) < 0) {
                        if (errno != ENOENT)
                                return -errno;
                        continue; /* gone, or an empty place of an array of maps, devices or programs */
                }
                memcpy(reader->keys + n * key_size, key, key_size);
                if (++n < reader->capacity)
                        continue;
                r = reader_deliver(reader, n);
                if (r < 0)
                        return r;
                n = 0;
        }
        return reader_deliver(reader, n);
}

int map_entries_read(int fd, const MapInfo *info, uint64_t lookup_flags, MapEntriesSink sink, void *userdata) {
        _cleanup_(reader_done) Reader reader = {
                .fd = fd,
                .info = info,
                .flags = lookup_flags,
                .sink = sink,
                .userdata = userdata,
                .value_size = map_info_value_bytes(info),
        };
        int r;

        r = reader_init(&reader);
        if (r < 0)
                return r;
        r = read_batches(&reader);
        if (r == -EOPNOTSUPP)
                r = read_singly(&reader);
        return r;
}

size_t map_entries_write(int fd, const MapInfo *info, const uint8_t *keys, const uint8_t *values, size_t n,
                         int *ret_error) {
        LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = BPF_ANY);
        size_t value_size = map_info_value_bytes(info), refused = 0;
        uint32_t done = (uint32_t) n;

        if (bpf_map_update_batch(fd, keys, values, &done, &opts) >= 0)
                return 0;
        /* up to the first that it refused, or none; writing an entry twice does no harm */
        for (size_t i = 0; i < n; i++)
                if (bpf_map_update_elem(fd, keys + i * info->key_size, values + i * value_size, BPF_ANY) < 0) {
                        *ret_error = -errno;
                        refused++;
                }
        return refused;
}
