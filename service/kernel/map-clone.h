/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Empty maps of the same definition as others: type, sizes, flags, and the types of keys and values, without which
 * programs could not use spin locks, timers and the like in them.
 *
 * In some flags the clone differs, none of which a program can tell: user space may read and write it, a hash takes
 * memory only for entries that it has, and an LRU hash keeps one list for all CPUs, with so much more room that one
 * CPU can fill it with what it had.
 */

#include <bpf/btf.h>
#include <linux/bpf.h>

#include "kernel/map-types.h"
#include "kernel/program.h"

/* Types that the kernel handed to us by their id, or that a program was loaded with, handed to it once more. */
typedef struct MapTypeSource {
        uint32_t id;           /* 0: of a program */
        const Member *program; /* borrowed */
        struct btf *btf;       /* owned, for an id */
        int fd;                /* owned */
} MapTypeSource;

typedef struct MapCloner {
        MapTypeSource *sources;
        size_t n_sources;
} MapCloner;

void map_cloner_done(MapCloner *cloner);

/* A map that is to be cloned. */
typedef struct MapOriginal {
        const KernelProgram *program; /* whose map it is; NULL: it was found by its id */
        const MapInfo *info;
        int fd;
        struct bpf_map_info kernel; /* the kernel's word for info */

        /* map_original_init() */
        int types_fd; /* borrowed from the program or the cloner, -EBADF: no types */
        uint32_t key_type;
        uint32_t value_type;
        unsigned fields; /* MapFields of the value */
} MapOriginal;

/* Reads the kernel's figures and finds the types. */
int map_original_init(MapCloner *cloner, const KernelProgram *program, const MapInfo *info, int fd, MapOriginal *ret);

/* The clone. inner_fd: a map like those that it holds, -EBADF: it holds none. */
int map_clone(const MapOriginal *original, int inner_fd, int *ret);

/* A map like those that the original, a map of maps, was defined for; to be closed when the clone is made. -ENODATA:
 * the types do not tell. */
int map_clone_inner(MapCloner *cloner, const MapOriginal *original, int *ret);

/* Bytes that the kernel takes for a clone at once, about; and for each entry that is written to it. */
double map_clone_bytes(const MapInfo *info);
double map_clone_entry_bytes(const MapInfo *info);
