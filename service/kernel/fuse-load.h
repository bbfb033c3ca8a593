/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Has the kernel verify and load a chain's program, and makes sense of a refusal.
 */

#include "kernel/fuse.h"
#include "kernel/verifier-log.h"

typedef struct FuseLoad {
        int program_fd;
        uint32_t verified_insns;
        size_t n_insns;
        uint64_t build_usec;
        uint64_t load_usec;
} FuseLoad;

/* What to do when the kernel refused a segment. */
typedef enum FuseRetry {
        FUSE_RETRY_NONE,
        FUSE_RETRY_FORMS, /* a member has another form now */
        FUSE_RETRY_SPLIT, /* it is too complex, whatever the forms: cut it in two */
} FuseRetry;

/* Builds and loads a segment once. `members` are those of input->members: where the kernel refuses one as it is, it
 * gets its next form (fuse-form.h), and *ret_retry says so; then `error` is unset. `name` is the kernel's name of the
 * program. Figures are added to what `load` has. Errors: LimitExceeded, VerifierRejected, Incompatible,
 * NotSupported. */
int fuse_load(const FuseInput *input, FuseMember *members, const char *name, FuseLoad *load, FuseRetry *ret_retry,
              Error *error);

/* Loads a member as a program of its own, for a slot of the chain. */
int fuse_load_alone(const FuseInput *input, const FuseMember *member, FuseLoad *load, Error *error);
