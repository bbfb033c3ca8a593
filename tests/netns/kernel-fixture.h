/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of the kernel layer share: a bpffs of their own, and short ways to load programs, build chains and
 * run packets through them (BPF_PROG_TEST_RUN).
 */

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernel/fused.h"
#include "kernel/map-access.h"
#include "kernel/program.h"
#include "util/json.h"

/* Mounts a bpffs of our own on a new folder; `state` is a Kernel then. Skips all when not root. */
int kernel_fixture_setup(void **state);
int kernel_fixture_teardown(void **state);

/* What to load. `object` is a name in tests/bpf ("verdict") or the path of a file. */
typedef struct TestProgram {
        const char *name;
        const char *object;
        const char *function;
        const char *type;
        const char *globals; /* JSON */
        const char *maps;    /* JSON */
        KernelProgram *previous;
        bool same_object;
        bool same_contents;
        bool keep_tail_calls;
} TestProgram;

/* The result of program_load(); error may be looked at where it fails. ret_info may be NULL. */
int test_load(Kernel *kernel, const TestProgram *what, KernelProgram **ret, ProgramInfo *ret_info, Error *error);

/* The same, failing the test with the error's text. */
KernelProgram *must_load(Kernel *kernel, const TestProgram *what);

/* Builds a chain of programs, seats in order. proceed_on NULL: the default for all. */
int test_build(Kernel *kernel, Hook hook, KernelProgram *const *programs, size_t n, const uint32_t *proceed_on,
               KernelFused **ret, FusedInfo *ret_info, Error *error);
KernelFused *must_build(Kernel *kernel, Hook hook, KernelProgram *const *programs, size_t n,
                        const uint32_t *proceed_on, FusedInfo *ret_info);

/* Runs a packet (an empty Ethernet frame where data is NULL) through a chain `repeat` times; returns the verdict. */
int test_run(const KernelFused *fused, const void *data, size_t size, unsigned repeat);

/* Counters of a chain, all CPUs together. */
void test_counters(const KernelFused *fused, uint64_t ret[CHAIN_SEATS_MAX][COUNTER_CELLS]);

/* Sum of all CPUs of entry 0 of the map "hits". */
uint64_t test_hits(Kernel *kernel, KernelProgram *program);

/* Number of descriptors that this process has open. */
unsigned test_count_fds(void);
