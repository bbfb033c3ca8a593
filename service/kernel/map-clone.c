/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <sys/mman.h>

#include "kernel/map-clone.h"
#include "kernel/map-info.h"

/* BPF_MAP_TYPE_ARENA, since 6.9; older headers lack it. */
#define MAP_TYPE_ARENA 33

/* Free entries that one CPU takes from an LRU hash at once, evicting others where there are less; LOCAL_FREE_TARGET
 * in kernel/bpf/bpf_lru_list.c. */
#define LRU_FREE_TARGET 128

/* What the kernel keeps with each entry of a hash or trie, about. */
#define ENTRY_OVERHEAD 64.0

/* Of a hash, per entry that it may have: struct bucket, the number rounded up to a power of two. */
#define BUCKET_BYTES 32.0

void map_cloner_done(MapCloner *cloner) {
        for (size_t i = 0; i < cloner->n_sources; i++) {
                btf__free(cloner->sources[i].btf);
                safe_close(cloner->sources[i].fd);
        }
        free(cloner->sources);
        *cloner = (MapCloner){};
}

static int add_source(MapCloner *cloner, MapTypeSource source, const MapTypeSource **ret) {
        MapTypeSource *added = ARRAY_APPEND(cloner->sources, cloner->n_sources);

        if (!added) {
                btf__free(source.btf);
                safe_close(source.fd);
                return -ENOMEM;
        }
        *added = source;
        *ret = added;
        return 0;
}

/* Takes CAP_SYS_ADMIN. */
static int find_source(MapCloner *cloner, uint32_t id, const MapTypeSource **ret) {
        MapTypeSource source = { .id = id };

        for (size_t i = 0; i < cloner->n_sources; i++)
                if (cloner->sources[i].id == id) {
                        *ret = &cloner->sources[i];
                        return 0;
                }

        source.fd = bpf_btf_get_fd_by_id(id);
        if (source.fd < 0)
                return -errno;
        source.btf = btf__load_from_kernel_by_id(id);
        if (!source.btf) {
                int r = -errno;

                safe_close(source.fd);
                return r;
        }
        return add_source(cloner, source, ret);
}

/* A descriptor of the program's types. Negative errno: it has none, or the kernel does not take them. */
static int open_program_types(MapCloner *cloner, const Member *member) {
        MapTypeSource source = { .program = member };
        const MapTypeSource *added;
        const void *data;
        uint32_t size;

        if (!member || !member->btf)
                return -ENODATA;
        if (member->has_types)
                return member->types_fd;
        for (size_t i = 0; i < cloner->n_sources; i++)
                if (cloner->sources[i].program == member)
                        return cloner->sources[i].fd;

        data = btf__raw_data(member->btf, &size);
        if (!data)
                return -ENOMEM;
        source.fd = bpf_btf_load(data, size, NULL);
        if (source.fd < 0)
                return -errno;
        return add_source(cloner, source, &added) < 0 ? -ENOMEM : added->fd;
}

/* Are the types that the program holds the very ones of the map? To the kernel the same types handed to it again are
 * others, which matters where a program puts objects of them into the map. */
static bool has_types_of_map(const Member *member, const MapOriginal *original) {
        struct bpf_btf_info info = {};
        uint32_t size = sizeof(info);

        return member && member->has_types && bpf_btf_get_info_by_fd(member->types_fd, &info, &size) >= 0 &&
               info.id == original->kernel.btf_id;
}

/* The ids of key and value in the program's types. A map that was kept has ids in those of the instance that made it;
 * then its name leads to them. */
static bool find_program_ids(const MapOriginal *original, uint32_t *ret_key, uint32_t *ret_value) {
        const MapInfo *info = original->info;
        MapDefinition definition;

        if (!info->kept) {
                *ret_key = original->kernel.btf_key_type_id;
                *ret_value = original->kernel.btf_value_type_id;
                return true;
        }
        if (map_definition_find(original->program->member->btf, info->name, &definition) < 0 ||
            definition.key_size != info->key_size || definition.value_size != info->value_size)
                return false;
        *ret_key = definition.key_type;
        *ret_value = definition.value_type;
        return true;
}

static void set_types(MapOriginal *original, int fd, const struct btf *btf, uint32_t key_type, uint32_t value_type) {
        original->types_fd = fd;
        original->key_type = key_type;
        original->value_type = value_type;
        original->fields = map_value_fields(btf, value_type);
}

static int find_types(MapCloner *cloner, MapOriginal *original) {
        const struct bpf_map_info *kernel = &original->kernel;
        const Member *member = original->program ? original->program->member : NULL;
        const MapTypeSource *source = NULL;
        uint32_t key = kernel->btf_key_type_id, value = kernel->btf_value_type_id;
        int r;

        if (kernel->btf_id == 0)
                return 0;
        if (has_types_of_map(member, original)) {
                set_types(original, member->types_fd, member->btf, key, value);
                return 0;
        }
        r = find_source(cloner, kernel->btf_id, &source);
        if (r >= 0) {
                set_types(original, source->fd, source->btf, key, value);
        } else if (r != -ENOMEM) {
                r = open_program_types(cloner, member);
                if (r >= 0 && find_program_ids(original, &key, &value))
                        set_types(original, r, member->btf, key, value);
        }
        return r == -ENOMEM ? r : 0;
}

int map_original_init(MapCloner *cloner, const KernelProgram *program, const MapInfo *info, int fd,
                      MapOriginal *ret) {
        MapOriginal original = { .program = program, .info = info, .fd = fd, .types_fd = -EBADF };
        uint32_t size = sizeof(original.kernel);
        int r;

        if (bpf_map_get_info_by_fd(fd, &original.kernel, &size) < 0)
                return -errno;
        r = find_types(cloner, &original);
        if (r < 0)
                return r;
        *ret = original;
        return 0;
}

static bool is_lru(uint32_t type) {
        return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static uint32_t clone_flags(uint32_t type, uint32_t flags) {
        flags &= ~(uint32_t) (BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_NUMA_NODE);
        switch (type) {
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_PERCPU_HASH: return flags | BPF_F_NO_PREALLOC;
        case BPF_MAP_TYPE_LRU_HASH:
        case BPF_MAP_TYPE_LRU_PERCPU_HASH: return flags & ~(uint32_t) BPF_F_NO_COMMON_LRU;
        case BPF_MAP_TYPE_DEVMAP:
        case BPF_MAP_TYPE_DEVMAP_HASH: return flags & ~(uint32_t) BPF_F_RDONLY_PROG; /* the kernel adds it */
        default: return flags;
        }
}

/* The address of an arena is that of its first mapping, and stays when the mapping goes. A program can't be loaded
 * before. */
static int place_arena(int fd, const struct bpf_map_info *info) {
        size_t size = (size_t) info->max_entries * (size_t) sysconf(_SC_PAGESIZE);
        void *address;

        if (info->map_extra != 0)
                return 0;
        address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (address == MAP_FAILED)
                return -errno;
        munmap(address, size);
        return 0;
}

int map_clone(const MapOriginal *original, int inner_fd, int *ret) {
        const struct bpf_map_info *info = &original->kernel;
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = clone_flags(info->type, info->map_flags),
                    .map_extra = info->map_extra, .inner_map_fd = inner_fd >= 0 ? (uint32_t) inner_fd : 0);
        uint32_t max_entries = info->max_entries;
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (original->types_fd >= 0) {
                opts.btf_fd = (uint32_t) original->types_fd;
                opts.btf_key_type_id = original->key_type;
                opts.btf_value_type_id = original->value_type;
        }
        if (is_lru(info->type) && max_entries <= UINT32_MAX - LRU_FREE_TARGET)
                max_entries += LRU_FREE_TARGET;

        fd = bpf_map_create((enum bpf_map_type) info->type, info->name[0] ? info->name : NULL, info->key_size,
                            info->value_size, max_entries, &opts);
        if (fd < 0)
                return -errno;
        if (info->type == MAP_TYPE_ARENA) {
                r = place_arena(fd, info);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_FD(fd);
        return 0;
}

/* The kernel compares the number of entries of arrays only, and keeps nothing of this map but its definition. */
static uint32_t inner_entries(const MapDefinition *definition) {
        switch (definition->type) {
        case BPF_MAP_TYPE_RINGBUF:
        case BPF_MAP_TYPE_USER_RINGBUF: return (uint32_t) sysconf(_SC_PAGESIZE);
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_PERCPU_HASH:
        case BPF_MAP_TYPE_LRU_HASH:
        case BPF_MAP_TYPE_LRU_PERCPU_HASH:
        case BPF_MAP_TYPE_LPM_TRIE: return 1;
        default: return MAX2(definition->max_entries, 1U);
        }
}

int map_clone_inner(MapCloner *cloner, const MapOriginal *original, int *ret) {
        const Member *member = original->program ? original->program->member : NULL;
        MapDefinition outer, inner;
        LIBBPF_OPTS(bpf_map_create_opts, opts);
        int fd;

        if (!member || !member->btf || map_definition_find(member->btf, original->info->name, &outer) < 0 ||
            outer.inner == 0 || map_definition_read(member->btf, outer.inner, &inner) < 0)
                return -ENODATA;

        opts.map_flags = clone_flags(inner.type, inner.flags);
        opts.map_extra = inner.map_extra;
        if (map_value_fields(member->btf, inner.value_type) != 0) {
                fd = open_program_types(cloner, member);
                if (fd < 0)
                        return fd;
                opts.btf_fd = (uint32_t) fd;
                opts.btf_key_type_id = inner.key_type;
                opts.btf_value_type_id = inner.value_type;
        }
        fd = bpf_map_create((enum bpf_map_type) inner.type, NULL, inner.key_size, inner.value_size,
                            inner_entries(&inner), &opts);
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

static double round8(size_t n) {
        size_t rounded = (n + 7) / 8 * 8;

        return (double) rounded;
}

double map_clone_entry_bytes(const MapInfo *info) {
        switch (info->type_number) {
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_PERCPU_HASH:
        case BPF_MAP_TYPE_LPM_TRIE:
        case BPF_MAP_TYPE_DEVMAP_HASH:
        case BPF_MAP_TYPE_DEVMAP:
                return ENTRY_OVERHEAD + round8(info->key_size) + (double) map_info_value_bytes(info);
        default: return 0;
        }
}

double map_clone_bytes(const MapInfo *info) {
        double n = info->max_entries, value = round8(map_info_value_bytes(info));

        switch (info->type_number) {
        case BPF_MAP_TYPE_ARRAY:
        case BPF_MAP_TYPE_PERCPU_ARRAY:
        case BPF_MAP_TYPE_QUEUE:
        case BPF_MAP_TYPE_STACK: return n * (value + (map_type_is_per_cpu(info->type_number) ? 8 : 0));
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_PERCPU_HASH:
        case BPF_MAP_TYPE_DEVMAP_HASH:
        case BPF_MAP_TYPE_SOCKHASH: return n * BUCKET_BYTES;
        case BPF_MAP_TYPE_LRU_HASH:
        case BPF_MAP_TYPE_LRU_PERCPU_HASH:
        case BPF_MAP_TYPE_HASH_OF_MAPS:
        case BPF_MAP_TYPE_STACK_TRACE: return n * (BUCKET_BYTES + ENTRY_OVERHEAD + round8(info->key_size) + value);
        case BPF_MAP_TYPE_RINGBUF:
        case BPF_MAP_TYPE_USER_RINGBUF: return n;
        case BPF_MAP_TYPE_LPM_TRIE:
        case MAP_TYPE_ARENA: return 0; /* grow with what is in them */
        default: return n * 8;         /* pointers */
        }
}
