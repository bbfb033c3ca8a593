/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The guard's programs in the kernel (bpf/guard.bpf.c): loading and attaching them as BPF LSM programs, or where bpf
 * is not among the active LSMs as fmod_ret of security_*(); proving that they are called; what they know of hooks, of
 * our objects and of whom to let; pins that outlive the service; and what they tell.
 *
 * Nothing is in the kernel until a mode other than GUARD_MODE_OFF is demanded, or an earlier service left it there.
 */

#include "kernel/kernel.h"
#include "model/guard.h"

typedef struct GuardPrograms GuardPrograms;

/* kernel: outlives it. Touches nothing yet. */
int guard_programs_new(const Kernel *kernel, GuardPrograms **ret);
/* Pinned programs stay and go on. NULL is fine; returns NULL. */
GuardPrograms *guard_programs_free(GuardPrograms *programs);
DEFINE_CLEANUP(GuardPrograms *, guard_programs_free)

/* Of KernelOps; on kernel->guard_programs. */
int kernel_guard_apply(void *userdata, const GuardDemand *demand, GuardState *ret, Error *error);
int kernel_guard_counters(void *userdata, GuardRuleCounters *ret);

/* changed() is told the descriptor that becomes readable when there is something to read, or a negative number when
 * there is none any more: at once, and whenever the programs come and go. It belongs to programs. */
typedef void (*GuardReaderChanged)(int fd, void *userdata);
void guard_programs_set_reader(GuardPrograms *programs, GuardReaderChanged changed, void *userdata);

/* Hands out what is there, some hundred at most (the descriptor stays readable then). who is as complete as the
 * kernel's record makes it; the handler may look further. lost: of what found no room since the last call. */
typedef void (*GuardAttemptHandler)(const GuardAttempt *attempt, void *userdata);
int guard_programs_read(GuardPrograms *programs, GuardAttemptHandler handler, void *userdata, uint64_t *ret_lost);

/* The way out: takes all that an earlier service left of the guard out of the kernel, whoever calls. Needs no
 * service, and none may run. */
int guard_programs_release(const Kernel *kernel, Error *error);

/* Does the kernel's command line have "bpfchain.guard=off"? Pure, for the text of /proc/cmdline. */
bool guard_programs_parse_command_line(const char *text);
