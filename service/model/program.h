/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A program: one loaded instance of a BPF program with its maps, known by the administrator's name of it.
 *
 * States: defined (in a document, in no chain that needs it loaded), loaded (verified and captured by this
 * service), adopted (its maps were taken over from an earlier service and it runs in a chain; it is loaded again
 * when one of its chains must be built anew), failed (could not be loaded; `error` says why; an older instance may
 * still run in chains).
 */

#include "model/kernel-ops.h"
#include "model/restore.h"

typedef enum ProgramState {
        PROGRAM_STATE_DEFINED,
        PROGRAM_STATE_LOADED,
        PROGRAM_STATE_ADOPTED,
        PROGRAM_STATE_FAILED,
        _PROGRAM_STATE_MAX,
        _PROGRAM_STATE_INVALID = -EINVAL,
} ProgramState;

DECLARE_STRING_TABLE(program_state, ProgramState)

typedef struct Program {
        char *name;
        ProgramState state;
        char *error;           /* why it failed, or NULL */
        char *object;          /* as the document calls it */
        char *object_path;     /* the file that it was found in, or NULL */
        char *function;        /* as the document says, NULL: the object's only one */
        char *document;        /* the document that defines it, or NULL when none does any more */
        char *description;     /* or NULL */
        char *digest;          /* SHA-256 of the object, hexadecimal, of the running instance; NULL if never loaded */
        char *signature;       /* digest of all that makes an instance: object, function, type, globals */
        char *contents;        /* digest of the initial map contents that were written */
        KernelProgram *kernel; /* NULL unless loaded or adopted; an adopted program without maps has none either */
        bool captured;         /* the handle can be fused; an adopted one can't */
        ProgramInfo info;      /* of the running instance */
        uint64_t loaded_at;    /* microseconds, CLOCK_REALTIME, 0: never */
        MapInfo *recorded; /* names and ids only, of the maps that the last service knew; until they are adopted */
        size_t n_recorded;
        bool unpinned;     /* somebody removed its maps' pins, and it was told; kept by the guard, as is all below */
        Restores repins;   /* of these pins */
        uint64_t repin_at; /* microseconds, CLOCK_BOOTTIME, when they are put back; 0: they may be at once */
} Program;

Program *program_new(const char *name);

/* Frees the model's part; the kernel handle must be gone already. */
void program_free(Program *program);
DEFINE_CLEANUP(Program *, program_free)

void program_forget_recorded(Program *program);

/* NULL where the program has no such map. */
const MapInfo *program_get_map(const Program *program, const char *map);
