/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * For tests in C on real interfaces: the test process moves into a new network namespace of its own, which goes
 * with it, so that nothing is left behind and the machine's interfaces are never seen.
 *
 * Include after cmocka.h.
 */

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

#include "util/macros.h"

/* Enters a new namespace with loopback up. Prints why not and exits with 77 (skipped) where that is not allowed. */
static inline void netns_enter(void) {
        if (geteuid() != 0) {
                printf("SKIP: making network namespaces takes root\n");
                exit(77);
        }
        if (unshare(CLONE_NEWNET) < 0) {
                printf("SKIP: no network namespace can be made: %s\n", strerror(errno));
                exit(77);
        }
        if (system("ip link set lo up") != 0) {
                printf("SKIP: the ip command (iproute2) is needed\n");
                exit(77);
        }
}

/* Names in $PLAIN, for commands, a type of interface without a driver of its own worth the name: not all kernels have
 * dummy. */
static inline void netns_choose_plain(void) {
        static const char *const types[] = { "dummy", "ifb", "bridge" };

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                setenv("PLAIN", types[i], 1);
                if (system("ip link add bct-probe type $PLAIN 2>/dev/null && ip link del bct-probe") == 0)
                        return;
        }
        printf("SKIP: this kernel makes none of dummy, ifb and bridge interfaces\n");
        exit(77);
}

/* Runs a shell command; returns its exit status. */
static inline int run_quietly(const char *format, ...) {
        char command[1024];
        va_list ap;
        int status;

        va_start(ap, format);
        vsnprintf(command, sizeof(command), format, ap);
        va_end(ap);
        status = system(command);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The same, and it must succeed. */
#define run(...)                                                                                                     \
        do {                                                                                                         \
                if (run_quietly(__VA_ARGS__) != 0)                                                                   \
                        fail_msg("command failed: " __VA_ARGS__);                                                    \
        } while (0)

/* How many descriptors are open: the same before and after, or something leaks. */
static inline unsigned count_fds(void) {
        _cleanup_closedir_ DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        while (dir && readdir(dir))
                n++;
        return n;
}
