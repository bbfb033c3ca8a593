/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Has the kernel verify and load a chain's program, and makes sense of a refusal.
 */

#include "kernel/fuse.h"
#include "kernel/verifier-log.h"

typedef struct FuseLoad {
        int program_fd;
        VerifierStats stats;
        size_t n_insns;
        uint64_t build_usec;
        uint64_t load_usec;
} FuseLoad;

/* Builds and loads. A member that is refused as a global function is tried as a static one; `members` (those of
 * input->members, which may be changed so) have the forms that did it at the end. `name` is the kernel's name of the
 * program. Errors: LimitExceeded, VerifierRejected, Incompatible, NotSupported. */
int fuse_load(const FuseInput *input, FuseMember *members, const char *name, FuseLoad *ret, Error *error);
