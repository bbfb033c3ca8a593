/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What all handles of the kernel layer hang off: the `userdata` of KernelOps.
 */

#include "model/kernel-ops.h"

typedef struct Kernel {
        char *bpffs_dir; /* our folder inside bpffs, absolute, without a slash at the end; may not exist yet */
} Kernel;
