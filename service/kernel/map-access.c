/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>

#include "kernel/map-access.h"
#include "kernel/map-info.h"
#include "kernel/program.h"

/* The kernel's own errno for "not for this kind of map", not part of its installed headers (include/linux/errno.h).
 */
#define KERNEL_ENOTSUPP 524

static int find(const KernelProgram *program, const char *map, const MapInfo **ret_info, int *ret_fd, Error *error) {
        ssize_t i = kernel_program_find_map(program, map);

        if (i < 0)
                return error_set(error, ERROR_NO_SUCH_MAP, "Program %s has no map \"%.64s\".", program->name, map);
        *ret_info = &program->info.maps[i];
        *ret_fd = program->map_fds[i];
        return 0;
}

static int check_key(const MapInfo *info, size_t key_size, Error *error) {
        if (key_size != info->key_size)
                return error_set(error, ERROR_INVALID_ARGUMENT, "A key of map %s has %u bytes, not %zu.", info->name,
                                 info->key_size, key_size);
        return 0;
}

static int check_value(const MapInfo *info, size_t value_size, Error *error) {
        size_t expected = map_info_value_bytes(info);

        if (value_size == expected)
                return 0;
        if (info->n_values > 1 || map_type_is_per_cpu(info->type_number))
                return error_set(error, ERROR_INVALID_ARGUMENT,
                                 "A value of map %s has %zu bytes (%u for each of %u CPUs, padded to 8), not %zu.",
                                 info->name, expected, info->value_size, info->n_values, value_size);
        return error_set(error, ERROR_INVALID_ARGUMENT, "A value of map %s has %zu bytes, not %zu.", info->name,
                         expected, value_size);
}

static int refuse_descriptors(const MapInfo *info, Error *error) {
        return error_set(
                error, ERROR_NOT_SUPPORTED,
                "Map %s of type %s holds programs, maps, sockets or the like by descriptors of the process that "
                "writes it. Write it by way of its pin.",
                info->name, info->type);
}

static int translate(const MapInfo *info, int r, const char *what, Error *error) {
        switch (r) {
        case -ENOMEM: return r;
        case -ENOENT: return error_set(error, ERROR_NO_SUCH_ENTRY, "Map %s has no entry with this key.", info->name);
        case -EEXIST:
                return error_set(error, ERROR_ENTRY_EXISTS, "Map %s has an entry with this key already.", info->name);
        case -E2BIG:
        case -ENOSPC:
                return error_set(error, ERROR_LIMIT_EXCEEDED,
                                 "Map %s is full or has no place for this key; it has %u entries at most.",
                                 info->name, info->max_entries);
        case -EPERM:
        case -EACCES:
                if (info->frozen && info->type_number == BPF_MAP_TYPE_PROG_ARRAY)
                        return error_set(error, ERROR_NOT_SUPPORTED,
                                         "Map %s was empty when its program was loaded, so the program's tail calls "
                                         "were left out, and it stays empty. To fill it later, say "
                                         "\"keep-tail-calls\": true for the program in its document.",
                                         info->name);
                if (info->frozen)
                        return error_set(error, ERROR_NOT_SUPPORTED,
                                         "Map %s holds constants and can't be written. Set them by \"globals\" in "
                                         "the document.",
                                         info->name);
                break;
        case -EINVAL:
                return error_set(error, ERROR_INVALID_ARGUMENT, "Map %s of type %s does not %s: %s.", info->name,
                                 info->type, what, strerror(-r));
        case -EOPNOTSUPP:
        case -KERNEL_ENOTSUPP:
                return error_set(error, ERROR_NOT_SUPPORTED, "Maps of type %s do not %s.", info->type, what);
        }
        return error_set(error, ERROR_FAILED, "Map %s does not %s: %s.", info->name, what, strerror(-r));
}

/* Queues and the like have no keys. */
static const void *key_or_null(const MapInfo *info, const void *key) {
        return info->key_size > 0 ? key : NULL;
}

int kernel_map_lookup(_unused_ void *userdata, KernelProgram *program, const char *map, const void *key,
                      size_t key_size, void *ret_value, size_t value_size, Error *error) {
        const MapInfo *info = NULL;
        int fd = -EBADF, r;

        r = find(program, map, &info, &fd, error);
        if (r >= 0)
                r = check_key(info, key_size, error);
        if (r >= 0)
                r = check_value(info, value_size, error);
        if (r < 0)
                return r;
        if (bpf_map_lookup_elem(fd, key_or_null(info, key), ret_value) < 0)
                return translate(info, -errno, "tell their entries", error);
        return 0;
}

int kernel_map_update(_unused_ void *userdata, KernelProgram *program, const char *map, const void *key,
                      size_t key_size, const void *value, size_t value_size, uint64_t flags, Error *error) {
        const MapInfo *info = NULL;
        int fd = -EBADF, r;

        r = find(program, map, &info, &fd, error);
        if (r >= 0)
                r = check_key(info, key_size, error);
        if (r >= 0)
                r = check_value(info, value_size, error);
        if (r < 0)
                return r;
        if (flags > BPF_EXIST)
                return error_set(error, ERROR_INVALID_ARGUMENT, "An update has no flag %#llx.",
                                 (unsigned long long) flags);
        if (!map_value_is_harmless(info, value))
                return refuse_descriptors(info, error);
        if (bpf_map_update_elem(fd, key_or_null(info, key), value, flags) < 0)
                return translate(info, -errno, "take this entry", error);
        return 0;
}

int kernel_map_delete(_unused_ void *userdata, KernelProgram *program, const char *map, const void *key,
                      size_t key_size, Error *error) {
        const MapInfo *info = NULL;
        int fd = -EBADF, r;

        r = find(program, map, &info, &fd, error);
        if (r >= 0)
                r = check_key(info, key_size, error);
        if (r < 0)
                return r;
        if (map_key_is_descriptor(info->type_number))
                return refuse_descriptors(info, error);
        if (bpf_map_delete_elem(fd, key_or_null(info, key)) < 0) {
                r = -errno;
                /* arrays say so for each key */
                return translate(info, r == -EINVAL ? -EOPNOTSUPP : r, "lose entries", error);
        }
        return 0;
}

int kernel_map_next_key(_unused_ void *userdata, KernelProgram *program, const char *map, const void *key,
                        void *ret_key, size_t key_size, Error *error) {
        const MapInfo *info = NULL;
        int fd = -EBADF, r;

        r = find(program, map, &info, &fd, error);
        if (r >= 0)
                r = check_key(info, key_size, error);
        if (r < 0)
                return r;
        if (info->key_size == 0)
                return error_set(error, ERROR_NOT_SUPPORTED, "Maps of type %s have no keys.", info->type);
        if (bpf_map_get_next_key(fd, key, ret_key) < 0)
                return errno == ENOENT ? -ENOENT : translate(info, -errno, "list their keys", error);
        return 0;
}
