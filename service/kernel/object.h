/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An object file as libbpf opened it, with the one program in it that is wanted. After object_load() the program
 * and its maps are in the kernel and the program is captured; object_free() closes all but the capture, so whoever
 * wants the maps duplicates their descriptors before.
 */

#include <bpf/libbpf.h>

#include "kernel/member.h"
#include "kernel/verifier-log.h"
#include "model/kernel-ops.h"

/* An object file larger than this is refused. */
#define OBJECT_SIZE_MAX (64U * 1024 * 1024)

typedef struct Object {
        struct bpf_object *bpf;
        struct bpf_program *program;
        enum bpf_prog_type type;
        bool frags;
        int types_fd;   /* BTF of kept maps, if the program must have that very one, else -EBADF; owned */
        unsigned bound; /* index of the interface that it is to be loaded for, before object_load(); 0: for none */

        /* out of object_load() */
        Member *member;
        VerifierStats stats;
        uint64_t load_usec;

        char *log;      /* of the verifier */
        char *messages; /* warnings of libbpf, bounded */

        /* what the callbacks saw */
        const struct bpf_program *last; /* the program that was loaded last, or failed to */
        uint64_t started;               /* when that was, CLOCK_MONOTONIC */
        int capture_error;
} Object;

/* Opens the object, finds the program and decides on its type. Nothing is in the kernel yet. Errors:
 * NoSuchProgram, Incompatible, InvalidDocument, LimitExceeded. */
int object_open(const ProgramRequest *request, Object **ret, Error *error);

/* Loads maps and program. With `full_log` the verifier tells all, which makes it much slower; without it, -EAGAIN
 * (error unset) asks for opening and loading the object again with it, for a message that helps. Errors:
 * VerifierRejected, LimitExceeded, NotSupported, Incompatible. */
int object_load(Object *object, const ProgramRequest *request, bool full_log, Error *error);

void object_free(Object *object);
DEFINE_CLEANUP(Object *, object_free)

/* The maps of an object that loading makes, in the order in which a captured program counts them. */
struct bpf_map *object_next_map(const struct bpf_object *object, const struct bpf_map *previous);

#define object_for_each_map(map, object)                                                                             \
        for (map = object_next_map((object)->bpf, NULL); map; map = object_next_map((object)->bpf, map))

/* Has the object declared what is in its prog_arrays? Then loading fills them, and they can't be kept maps. */
bool object_fills_prog_array(const Object *object, const struct bpf_map *map);

/* Name of a map as the author wrote it, or of the section for global data. */
const char *object_map_name(const struct bpf_map *map);
