/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who did something: what could be learned of a process, in a record of fixed size, so that many can be kept without
 * any allocation. Texts that were longer are cut; bytes that are no printable ASCII or UTF-8 stay as they are (who
 * shows them makes them valid).
 */

#include <sys/types.h>

#include "util/macros.h"

#define CULPRIT_TEXT 256

typedef struct Culprit {
        pid_t pid; /* 0: not even that is known */
        pid_t tid;
        bool has_uid;
        uint32_t uid; /* real */
        bool has_effective_uid;
        uint32_t effective_uid;
        bool has_login_uid;
        uint32_t login_uid; /* who logged in, whatever they became since */
        char comm[64];
        char executable[CULPRIT_TEXT];
        char command[CULPRIT_TEXT]; /* arguments, parted by blanks */
        char cgroup[CULPRIT_TEXT];
        char unit[128];      /* of systemd, from the cgroup's path */
        char container[128]; /* id or name, from the cgroup's path */
        bool gone;           /* it had ended when it was looked at; what is here was learned before */
        char unknown[128];   /* what is not known, and why; a phrase, empty: nothing */
} Culprit;

/* Fills unit and container from the cgroup's path. */
void culprit_read_cgroup(Culprit *culprit);

/* "bpftool (pid 4711, uid 0, docker-….scope)", or "nobody knows whom"; the caller frees, NULL: out of memory. */
char *culprit_describe(const Culprit *culprit);
