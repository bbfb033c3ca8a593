/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How often a chain's program ran, and how long: the operation chain_run_time of KernelOps (see model/kernel-ops.h
 * for what it promises; `userdata` is a Kernel).
 *
 * The kernel keeps these figures a program, from when it was loaded; so they begin anew with each exchange. Those of
 * the attached program cover the whole chain, whatever it tail-calls.
 */

#include "model/kernel-ops.h"

int kernel_chain_run_time(void *userdata, KernelAttachment *attachment, uint64_t *ret_count, uint64_t *ret_nsec);
