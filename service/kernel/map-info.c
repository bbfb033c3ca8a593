/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel/map-info.h"

/* BPF_MAP_TYPE_CGRP_STORAGE, since 6.2; older headers lack it. */
#define MAP_TYPE_CGRP_STORAGE 32

bool map_type_is_per_cpu(uint32_t type) {
        return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
               type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

bool map_type_holds_maps(uint32_t type) {
        return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

bool map_key_is_descriptor(uint32_t type) {
        return type == BPF_MAP_TYPE_SK_STORAGE || type == BPF_MAP_TYPE_INODE_STORAGE ||
               type == BPF_MAP_TYPE_TASK_STORAGE || type == MAP_TYPE_CGRP_STORAGE;
}

bool map_type_takes_descriptors(uint32_t type) {
        if (map_key_is_descriptor(type))
                return true;
        switch (type) {
        case BPF_MAP_TYPE_PROG_ARRAY:
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
        case BPF_MAP_TYPE_CGROUP_ARRAY:
        case BPF_MAP_TYPE_ARRAY_OF_MAPS:
        case BPF_MAP_TYPE_HASH_OF_MAPS:
        case BPF_MAP_TYPE_SOCKMAP:
        case BPF_MAP_TYPE_SOCKHASH:
        case BPF_MAP_TYPE_REUSEPORT_SOCKARRAY:
        case BPF_MAP_TYPE_XSKMAP:
        case BPF_MAP_TYPE_STRUCT_OPS: return true;
        default: return false;
        }
}

bool map_value_is_harmless(const MapInfo *info, const void *value) {
        int32_t fd;

        switch (info->type_number) {
        case BPF_MAP_TYPE_DEVMAP:
        case BPF_MAP_TYPE_DEVMAP_HASH:
        case BPF_MAP_TYPE_CPUMAP:
                /* struct bpf_devmap_val, struct bpf_cpumap_val: the descriptor is the second word, if there is one */
                if (info->value_size < 8)
                        return true;
                memcpy(&fd, (const uint8_t *) value + 4, sizeof(fd));
                return fd <= 0;
        default: return !map_type_takes_descriptors(info->type_number);
        }
}

size_t map_info_value_bytes(const MapInfo *info) {
        if (map_type_is_per_cpu(info->type_number))
                return (((size_t) info->value_size + 7) & ~(size_t) 7) * info->n_values;
        return info->value_size;
}

/* Only /proc tells whether a map is frozen. */
static bool map_is_frozen(int fd) {
        _cleanup_fclose_ FILE *f = NULL;
        char path[64], line[128];

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        f = fopen(path, "re");
        if (!f)
                return false;
        while (fgets(line, sizeof(line), f)) {
                const char *value = startswith(line, "frozen:");

                if (value)
                        return atoi(value) != 0;
        }
        return false;
}

int map_info_read(int fd, const char *name, bool internal, MapInfo *ret) {
        _cleanup_(map_info_done) MapInfo info = {};
        struct bpf_map_info kernel_info = {};
        uint32_t size = sizeof(kernel_info);
        const char *type;
        int r, n_values = 1;

        if (bpf_map_get_info_by_fd(fd, &kernel_info, &size) < 0)
                return -errno;
        if (map_type_is_per_cpu(kernel_info.type)) {
                n_values = libbpf_num_possible_cpus();
                if (n_values < 0)
                        return n_values;
        }

        info.id = kernel_info.id;
        info.type_number = kernel_info.type;
        info.key_size = kernel_info.key_size;
        info.value_size = kernel_info.value_size;
        info.max_entries = kernel_info.max_entries;
        info.flags = kernel_info.map_flags;
        info.n_values = (uint32_t) n_values;
        info.internal = internal;
        info.frozen = map_is_frozen(fd);

        type = libbpf_bpf_map_type_str(kernel_info.type);
        if (type)
                r = free_and_strdup(&info.type, type);
        else
                r = asprintf(&info.type, "type-%u", kernel_info.type) < 0 ? -ENOMEM : 0;
        if (r >= 0)
                r = free_and_strdup(&info.name, name);
        if (r < 0)
                return r;

        *ret = info;
        info = (MapInfo){};
        return 0;
}
