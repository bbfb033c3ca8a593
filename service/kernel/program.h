/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One loaded instance of a program with its maps: the operations program_* of KernelOps (see
 * model/kernel-ops.h for what they promise). `userdata` is a Kernel.
 */

#include "kernel/kernel.h"

int kernel_program_load(void *userdata, const ProgramRequest *request, KernelProgram **ret, ProgramInfo *ret_info,
                        Error *error);
int kernel_program_adopt(void *userdata, const char *name, KernelProgram **ret, ProgramInfo *ret_info);
int kernel_program_commit(void *userdata, KernelProgram *program, ProgramInfo *ret_info, Error *error);
void kernel_program_rollback(void *userdata, KernelProgram *program);
KernelProgram *kernel_program_ref(KernelProgram *program);
void kernel_program_unref(KernelProgram *program);
void kernel_program_remove(void *userdata, const char *name);
DEFINE_CLEANUP(KernelProgram *, kernel_program_unref)
