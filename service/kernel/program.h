/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One loaded instance of a program with its maps: the operations program_* of KernelOps (see
 * model/kernel-ops.h for what they promise). `userdata` is a Kernel.
 *
 * An instance holds descriptors of its maps, and its captured instructions where it was loaded and not adopted; no
 * program of its own stays in the kernel. From its commit on it also holds what it came in place of, so that the
 * commit can be undone, until nobody else wants that any more.
 */

#include "kernel/globals.h"
#include "kernel/kernel.h"
#include "kernel/map-contents.h"
#include "kernel/member.h"

/* What the commit has to write into a kept map, and what was there. */
typedef struct KeptContents {
        size_t map;
        MapContents contents;
        MapUndo undo;
} KeptContents;

struct KernelProgram {
        unsigned n_ref;
        char *name;
        Member *member;   /* NULL: adopted */
        ProgramInfo info; /* info.maps[i] is map_fds[i] is map i of the member */
        int *map_fds;     /* owned, info.n_maps of them */

        Globals globals; /* as the document sets them; those in kept sections are written by the commit */
        uint8_t **globals_undo;
        KeptContents *kept;
        size_t n_kept;

        bool pinned;              /* committed or adopted, and not rolled back */
        KernelProgram *previous;  /* owned reference; what this instance came, or is to come, in place of */
        KernelProgram *successor; /* not owned: whose commit this instance is held for */
};

int kernel_program_load(void *userdata, const ProgramRequest *request, KernelProgram **ret, ProgramInfo *ret_info,
                        Error *error);
int kernel_program_adopt(void *userdata, const char *name, KernelProgram **ret, ProgramInfo *ret_info);
int kernel_program_commit(void *userdata, KernelProgram *program, ProgramInfo *ret_info, Error *error);
void kernel_program_rollback(void *userdata, KernelProgram *program);
bool kernel_program_is_pinned(void *userdata, KernelProgram *program);
int kernel_program_repin(void *userdata, KernelProgram *program, Error *error);
KernelProgram *kernel_program_ref(KernelProgram *program);
void kernel_program_unref(KernelProgram *program);
void kernel_program_remove(void *userdata, const char *name);
void kernel_program_sweep(void *userdata, bool (*keep)(const char *name, void *keep_userdata), void *keep_userdata);
DEFINE_CLEANUP(KernelProgram *, kernel_program_unref)

/* A program with one reference and nothing in it. -ENOMEM. */
int kernel_program_new(const char *name, KernelProgram **ret);

/* Makes room for maps: info.maps empty, map_fds -EBADF. */
int kernel_program_make_maps(KernelProgram *program, size_t n);

/* Writes to a copy of one of the program's maps what the program's commit would write to the map itself. */
int kernel_program_write_pending(const KernelProgram *program, size_t map, int fd, Error *error);

/* Index of a map by the name that MapInfo gives it, or -ENOENT. */
ssize_t kernel_program_find_map(const KernelProgram *program, const char *map);
