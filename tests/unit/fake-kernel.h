/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A kernel layer of plain memory behind KernelOps, for tests of the model without privileges.
 *
 * What the kernel itself would hold (links, map pins, counters) lives in the FakeKernel and outlives a manager that
 * is freed without detaching; so a kill and a restart are manager_free() and another manager. What the service holds
 * (programs, fused chains, attachments) are handles, whose misuse is asserted: use after free, a commit of what is
 * committed, a fused program used twice, seats taken twice, and so on.
 *
 * What an object "contains" are words in the file: "map:NAME" or "map:NAME:SIZE" for each map, "tc", "frags",
 * "reject" (by the verifier), "heavy" (chains with it are over a limit). What
 * fake-simulation.c makes of more words is told there.
 */

#include "check.h"
#include "model/kernel-ops.h"

typedef enum FakeOp {
        FAKE_PROGRAM_LOAD,
        FAKE_PROGRAM_ADOPT,
        FAKE_PROGRAM_COMMIT,
        FAKE_CHAIN_BUILD,
        FAKE_CHAIN_COMMIT, /* each item of a call counts */
        FAKE_CHAIN_ADOPT,
        FAKE_CHAIN_LIST,
        FAKE_CHAIN_CHECK,
        FAKE_CHAIN_COUNTERS,
        FAKE_SIMULATION_NEW,
        FAKE_SIMULATION_RUN, /* not logged */
        _FAKE_OP_FALLIBLE,
        /* These can't fail, they are only counted and logged. */
        FAKE_PROGRAM_ROLLBACK = _FAKE_OP_FALLIBLE,
        FAKE_PROGRAM_REMOVE,
        FAKE_CHAIN_ROLLBACK,
        FAKE_CHAIN_RELEASE,
        FAKE_CHAIN_DETACH,
        _FAKE_OP_MAX,
} FakeOp;

typedef struct FakeKernel FakeKernel;

extern const KernelOps fake_kernel_ops; /* userdata: the FakeKernel */

FakeKernel *fake_kernel_new(void);

/* Asserts that no handle is left. */
void fake_kernel_free(FakeKernel *fake);

/* Failures. The n-th call (from 1, counted from here) of the operation, or of all that can fail together, fails
 * once with this errno; with `silently` the error is left unset where there is one. n = 0: none fails. */
void fake_fail(FakeKernel *fake, FakeOp op, unsigned n, int error, bool silently);
void fake_fail_any(FakeKernel *fake, unsigned n, int error, bool silently);
/* All calls of the operation fail from now on; 0: no more. */
void fake_fail_always(FakeKernel *fake, FakeOp op, int error);
/* Did the failure asked for last come to pass? */
bool fake_failed(const FakeKernel *fake);

/* The world around. */
void fake_set_foreign(FakeKernel *fake, int ifindex, Hook hook, const char *holder); /* NULL: the hook is free */
void fake_set_no_native(FakeKernel *fake, int ifindex, bool no_native);
void fake_set_no_generic(FakeKernel *fake, int ifindex, bool no_generic);
/* Somebody takes our link off its hook; the interface goes (its links with it); another program is put into our link
 * (or ours again). */
void fake_take_off(FakeKernel *fake, int ifindex, Hook hook);
void fake_interface_gone(FakeKernel *fake, int ifindex);
void fake_intrude(FakeKernel *fake, int ifindex, Hook hook, bool intrude);
/* Somebody removes its pins; puts a program before it (0: takes that away). */
void fake_unpin(FakeKernel *fake, int ifindex, Hook hook);
/* The same of a program's maps. */
void fake_unpin_maps(KernelProgram *program);
void fake_precede(FakeKernel *fake, int ifindex, Hook hook, uint32_t program_id);
/* The guard's part of the kernel: how often something was demanded of it, what last ("enforce 2 xdp link 7 …", with a
 * line for each name), and with which error it refuses the modes from `least` on (0: it does not). */
unsigned fake_guard_demands(const FakeKernel *fake);
const char *fake_guard_demand(const FakeKernel *fake);
void fake_guard_refuse(FakeKernel *fake, int least, int error);
/* How often an interface was set down and up; further ones fail with this errno (0: they work). */
unsigned fake_set_downs(const FakeKernel *fake, int ifindex);
unsigned fake_set_ups(const FakeKernel *fake, int ifindex);
void fake_fail_admin(FakeKernel *fake, int error);
/* Rows of the chain that is attached there. */
uint64_t *fake_counters(FakeKernel *fake, int ifindex, Hook hook, unsigned seat);
/* The seats in their order on a hook: what packets would pass, each counted as `verdict` in its row, as the level of
 * the chain has it. */
void fake_run_packets(FakeKernel *fake, int ifindex, Hook hook, unsigned bucket, uint64_t n);
#define FAKE_PACKET_BYTES 100
/* Packets that came into the chain that is attached there while it counted. */
uint64_t fake_packets(FakeKernel *fake, int ifindex, Hook hook);
/* A chain that is exchanged for one that does not count loses its rows, or keeps them (as at first). */
void fake_drop_rows(FakeKernel *fake, bool drop);
/* The kernel keeps run time statistics, or does not (as at first). A run takes FAKE_RUN_NSEC. */
void fake_time_runs(FakeKernel *fake, bool times);
#define FAKE_RUN_NSEC 42

/* All that outlives the service, as text, in a fixed order: links with ids and slots, map pins with ids and contents.
 * The caller frees. */
char *fake_dump(FakeKernel *fake);
/* "deny,limit" of the chain that packets run through; NULL where none is. The caller frees. */
char *fake_chain(FakeKernel *fake, int ifindex, Hook hook);
uint32_t fake_link_id(FakeKernel *fake, int ifindex, Hook hook);              /* 0: none */
uint32_t fake_link_program_id(FakeKernel *fake, int ifindex, Hook hook);      /* 0: none */
uint32_t fake_map_id(FakeKernel *fake, const char *program, const char *map); /* pinned; 0: none */
const char *fake_map_contents(FakeKernel *fake, const char *program, const char *map);

/* Calls since fake_log_clear(), a line each: "chain_commit 2 xdp new deny,limit". */
const char *fake_log(const FakeKernel *fake);
void fake_log_clear(FakeKernel *fake);
unsigned fake_count(const FakeKernel *fake, FakeOp op);

/* Handles that live, to find what was prepared and never let go. */
unsigned fake_live_programs(const FakeKernel *fake);
unsigned fake_live_fused(const FakeKernel *fake);
unsigned fake_live_attachments(const FakeKernel *fake);
unsigned fake_live_simulations(const FakeKernel *fake);
