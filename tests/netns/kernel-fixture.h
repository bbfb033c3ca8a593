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
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include "../bpf/order.h"
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

/* Loads a program named after its function, which is to answer this, or what is neutral. */
#define TEST_NEUTRAL INT32_MIN
KernelProgram *test_load_function(Kernel *kernel, const char *object, const char *function, int verdict);

void test_unref_all(KernelProgram *const *programs, size_t n);

/* A chain of programs that counts all, seats in order, one program more than there may be at most. proceed_on NULL:
 * the default for all. */
FuseRequest test_request(Hook hook, KernelProgram *const *programs, size_t n, const uint32_t *proceed_on,
                         FuseSlot slots[static CHAIN_SLOTS_MAX + 1]);

/* Builds such a chain. */
int test_build(Kernel *kernel, Hook hook, KernelProgram *const *programs, size_t n, const uint32_t *proceed_on,
               KernelFused **ret, FusedInfo *ret_info, Error *error);
KernelFused *must_build(Kernel *kernel, Hook hook, KernelProgram *const *programs, size_t n,
                        const uint32_t *proceed_on, FusedInfo *ret_info);

/* A UDP packet with room for a trace (tests/bpf/order.h). */
typedef struct OrderPacket {
        struct ethhdr eth;
        struct iphdr ip;
        struct udphdr udp;
        struct order_payload order;
} __attribute__((packed)) OrderPacket;

void make_order_packet(OrderPacket *packet);

/* Runs a packet (an empty Ethernet frame where data is NULL) through a chain `repeat` times; returns the verdict. */
int test_run(const KernelFused *fused, const void *data, size_t size, unsigned repeat);

/* Counters of a chain, all CPUs together. */
void test_counters(const KernelFused *fused, uint64_t ret[CHAIN_SEATS_MAX][COUNTER_CELLS]);

/* Sum of all CPUs of entry 0 of the map "hits". */
uint64_t test_hits(Kernel *kernel, KernelProgram *program);

/* Number of descriptors that this process has open. */
unsigned test_count_fds(void);

/* Setup and teardown of a test: every descriptor that it opened must be closed at its end. */
int test_remember_fds(void **state);
int test_compare_fds(void **state);
