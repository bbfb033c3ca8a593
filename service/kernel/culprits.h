/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Looks processes up in /proc, at once when an event names one, and remembers the last ones: who did something is
 * mostly gone a moment later, and often did something else just before.
 *
 * What is read needs no right, but for the executable of other users' processes (CAP_SYS_PTRACE).
 */

#include "model/culprit.h"

typedef struct Culprits Culprits;

/* proc: "/proc", copied. */
int culprits_new(const char *proc, Culprits **ret);
Culprits *culprits_free(Culprits *culprits); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(Culprits *, culprits_free)

/* Always fills ret, as far as it can; pid <= 0 gives one of whom nothing is known. */
void culprits_look(Culprits *culprits, pid_t pid, pid_t tid, Culprit *ret);

/* Fills in what the kernel's record of a process lacks, where that still lives, and says whether it does; what the
 * record has stays, for that is of the moment of the act. */
void culprits_complete(Culprits *culprits, Culprit *who);

/* The pure parts, for texts of /proc; they take any bytes. Those that return int give -EBADMSG for what the kernel
 * would not write. */
int culprits_parse_stat(const char *text, uint64_t *ret_started); /* clock ticks since boot */
/* ret_effective may be NULL. */
int culprits_parse_uid(const char *status, uint32_t *ret, uint32_t *ret_effective);
int culprits_parse_cgroup(const char *text, char *ret, size_t size);
/* Arguments are parted by NUL there. */
void culprits_parse_command(const char *text, size_t n, char *ret, size_t size);
