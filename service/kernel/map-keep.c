/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "kernel/map-info.h"
#include "kernel/map-keep.h"
#include "kernel/map-types.h"
#include "kernel/uapi.h"

/* Flags that only say how user space may use a descriptor, and those that libbpf or the kernel add on their own. */
#define FLAGS_IGNORED (BPF_F_RDONLY | BPF_F_WRONLY)

static uint32_t flags_to_compare(uint32_t type, bool internal, uint32_t flags) {
        flags &= ~(uint32_t) FLAGS_IGNORED;
        if (internal)
                flags &= ~(uint32_t) BPF_F_MMAPABLE;
        if (type == BPF_MAP_TYPE_DEVMAP || type == BPF_MAP_TYPE_DEVMAP_HASH)
                flags &= ~(uint32_t) BPF_F_RDONLY_PROG;
        return flags;
}

/* What libbpf will make of max_entries when it makes the map. */
static uint32_t entries_to_compare(const struct bpf_map *map) {
        uint32_t n = bpf_map__max_entries(map), size;
        int cpus;

        switch (bpf_map__type(map)) {
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
                cpus = libbpf_num_possible_cpus();
                return n == 0 && cpus > 0 ? (uint32_t) cpus : n;
        case BPF_MAP_TYPE_RINGBUF:
        case BPF_MAP_TYPE_USER_RINGBUF:
                for (size = (uint32_t) sysconf(_SC_PAGESIZE); size < n && size <= UINT32_MAX / 2;)
                        size *= 2;
                return size;
        default: return n;
        }
}

static bool definition_agrees(const struct bpf_map *map, const MapInfo *old) {
        bool internal = bpf_map__is_internal(map);

        return old->internal == internal && old->type_number == (uint32_t) bpf_map__type(map) &&
               old->key_size == bpf_map__key_size(map) && old->value_size == bpf_map__value_size(map) &&
               old->max_entries == entries_to_compare(map) &&
               flags_to_compare(old->type_number, internal, old->flags) ==
                       flags_to_compare(old->type_number, internal, bpf_map__map_flags(map));
}

/* Objects of the program's own types, in lists or behind pointers: the kernel tells such types apart by the BTF that
 * they come from, so map and program must have the same one. */
static bool has_own_types(const Object *object, const struct bpf_map *map) {
        const struct btf *btf = bpf_object__btf(object->bpf);
        uint32_t value = bpf_map__btf_value_type_id(map);
        MapDefinition definition;

        if (!btf)
                return false;
        if (value == 0 && map_definition_find(btf, object_map_name(map), &definition) >= 0)
                value = definition.value_type;
        return value != 0 && (map_value_fields(btf, value) & (MAP_FIELD_POINTER | MAP_FIELD_LIST)) != 0;
}

/* The BTF of a map in the kernel. */
static int open_types(int map_fd) {
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);
        int fd;

        if (bpf_map_get_info_by_fd(map_fd, &info, &size) < 0)
                return -errno;
        fd = bpf_btf_get_fd_by_id(info.btf_id);
        return fd < 0 ? -errno : fd;
}

/* Larger arrays of programs are taken for filled ones. */
#define PROG_ARRAY_LOOKED_INTO 4096

static bool prog_array_is_empty(const MapInfo *info, int fd) {
        uint32_t program;

        if (info->frozen)
                return true; /* empty when it was frozen */
        if (info->max_entries > PROG_ARRAY_LOOKED_INTO)
                return false;
        for (uint32_t key = 0; key < info->max_entries; key++)
                if (bpf_map_lookup_elem(fd, &key, &program) >= 0 || errno != ENOENT)
                        return false;
        return true;
}

static bool may_keep(const Object *object, const struct bpf_map *map, const MapInfo *old, int old_fd,
                     const ProgramRequest *request) {
        const char *name = object_map_name(map);
        bool same_object = request->same_object;

        if (!definition_agrees(map, old) || object_fills_prog_array(object, map))
                return false;
        /* A frozen one can't be filled, should that be wanted now, and an empty one is to be frozen, should it not.
         */
        if (old->type_number == BPF_MAP_TYPE_PROG_ARRAY && (old->frozen || !request->keep_tail_calls) &&
            prog_array_is_empty(old, old_fd))
                return false;
        if (!same_object && has_own_types(object, map))
                return false;
        if (bpf_map__is_internal(map))
                return same_object && (startswith(name, ".data") || startswith(name, ".bss"));
        return same_object || !map_type_holds_maps(old->type_number);
}

int map_keep(Object *object, const ProgramRequest *request, bool **ret_kept) {
        const KernelProgram *previous = request->previous;
        _cleanup_free_ bool *kept = NULL;
        struct bpf_map *map;
        size_t n = 0;

        object_for_each_map(map, object) n++;
        kept = calloc(n + 1, sizeof(bool));
        if (!kept)
                return -ENOMEM;

        n = 0;
        object_for_each_map(map, object) {
                ssize_t i = previous ? kernel_program_find_map(previous, object_map_name(map)) : -ENOENT;

                if (i >= 0 && may_keep(object, map, &previous->info.maps[i], previous->map_fds[i], request)) {
                        int r = bpf_map__reuse_fd(map, previous->map_fds[i]);

                        if (r < 0)
                                return r;
                        kept[n] = true;
                        if (object->types_fd < 0 && has_own_types(object, map)) {
                                object->types_fd = open_types(previous->map_fds[i]);
                                if (object->types_fd < 0)
                                        return object->types_fd;
                        }
                }
                n++;
        }

        *ret_kept = TAKE_PTR(kept);
        return 0;
}

/* Bytes that the kernel takes for a map at once, about; 0 for kinds that grow with their entries. */
static double map_estimate_bytes(const struct bpf_map *map) {
        uint32_t type = (uint32_t) bpf_map__type(map);
        double entry = bpf_map__key_size(map) + ((bpf_map__value_size(map) + 7) & ~7U);

        if (bpf_map__map_flags(map) & BPF_F_NO_PREALLOC)
                return 0;
        if (type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_USER_RINGBUF)
                return bpf_map__max_entries(map);
        if (map_type_is_per_cpu(type))
                entry *= MAX2(libbpf_num_possible_cpus(), 1);
        return entry * bpf_map__max_entries(map);
}

int map_check_sizes(const Object *object, const bool *kept, const ProgramRequest *request, Error *error) {
        double sum = 0, largest = 0, limit;
        const char *largest_name = "";
        struct sysinfo system = {};
        struct bpf_map *map;
        size_t i = 0;

        if (sysinfo(&system) < 0)
                return -errno;
        limit = (double) system.totalram * system.mem_unit / 2;

        object_for_each_map(map, object) {
                double bytes = kept[i++] ? 0 : map_estimate_bytes(map);

                sum += bytes;
                if (bytes > largest) {
                        largest = bytes;
                        largest_name = object_map_name(map);
                }
        }
        if (sum <= limit)
                return 0;
        return error_set_at(
                error, ERROR_LIMIT_EXCEEDED, request->where,
                "The maps of %s would take %.0f MiB at once, %.64s most of it, which is more than half of this "
                "machine's memory. Lower max_entries, or use BPF_F_NO_PREALLOC.",
                request->object_name, sum / (1 << 20), largest_name);
}

int map_check_places(const Object *object, const bool *kept, const ProgramRequest *request, Error *error) {
        struct bpf_map *map;
        size_t i = 0;

        object_for_each_map(map, object) {
                size_t size = (size_t) bpf_map__max_entries(map) * (size_t) sysconf(_SC_PAGESIZE);
                uint64_t place = bpf_map__map_extra(map);
                void *probe;

                if (kept[i++] || bpf_map__type(map) != UAPI_MAP_TYPE_ARENA || place == 0 || size == 0)
                        continue;
                probe = mmap((void *) (uintptr_t) place, size, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
                if (probe != MAP_FAILED) {
                        munmap(probe, size);
                        continue;
                }
                return error_set_at(error, ERROR_INCOMPATIBLE, request->where,
                                    "Map %.64s of %s is an arena that is to be at address %#" PRIx64
                                    ", where this service can't have it (%s). Give it another address, or none "
                                    "(map_extra).",
                                    object_map_name(map), request->object_name, place, strerror(errno));
        }
        return 0;
}
