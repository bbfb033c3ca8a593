/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the guard looks at, see KernelOps; `userdata` is a Kernel. */

#include "kernel/kernel.h"

int kernel_chain_inspect(void *userdata, KernelAttachment *attachment, unsigned what, ChainFacts *ret);
int kernel_chain_repin(void *userdata, KernelAttachment *attachment, Error *error);
int kernel_program_name(void *userdata, uint32_t program_id, char ret[16]);
