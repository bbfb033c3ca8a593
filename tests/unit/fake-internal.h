/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The inside of the fake kernel, shared by fake-kernel.c (programs, failures) and fake-chains.c.
 *
 * Handles are not freed before the FakeKernel is, so that a use after free is an assertion and no accident.
 */

#include "fake-kernel.h"

#define FAKE_MAPS_MAX 8

typedef struct FakeMap {
        char *name;
        uint32_t id;
        unsigned value_size;
        char *contents; /* JSON as it was written last, or NULL */
} FakeMap;

/* The pins of one program's maps. */
typedef struct FakePins {
        char *name;
        bool there;
        FakeMap **maps;
        size_t n_maps;
} FakePins;

struct KernelProgram {
        FakeKernel *fake;
        unsigned n_ref; /* 0: freed */
        char name[80];
        bool loaded; /* else adopted */
        bool committed;
        bool unpinned; /* by somebody */
        bool reject, tc, frags, heavy;
        unsigned instance;
        char *words; /* of the object */
        FakeMap *maps[FAKE_MAPS_MAX];
        bool kept[FAKE_MAPS_MAX];
        char *write[FAKE_MAPS_MAX]; /* contents to be written to kept maps by the commit */
        char *undo_contents[FAKE_MAPS_MAX];
        size_t n_maps;
        KernelProgram *previous; /* no reference: the caller's must last until the commit is for good */
        FakePins undo;
};

typedef struct FakeSlot {
        char name[80];
        unsigned instance;
        uint32_t proceed_on;
        unsigned seat;
} FakeSlot;

/* What a fused program consists of. */
typedef struct FakeContent {
        uint32_t program_id;
        char signature[65];
        CounterLevel counters;
        bool has_rows; /* a map to count in, even where it does not */
        FakeSlot slots[CHAIN_SLOTS_MAX];
        size_t n_slots;
} FakeContent;

struct KernelFused {
        FakeKernel *fake;
        bool alive;
        bool owned; /* by an attachment or as an undo */
        int ifindex;
        Hook hook;
        FakeContent content;
};

/* A link of the kernel with its pin. */
typedef struct FakeLink {
        bool there;
        uint32_t link_id;
        int ifindex;
        Hook hook;
        bool native;
        bool off_hook; /* somebody detached it */
        bool intruded; /* another program is in it */
        bool unpinned;
        uint32_t first; /* program that runs before it, 0: none */
        FakeContent content;
        uint64_t rows[CHAIN_SEATS_MAX][COUNTER_CELLS];
        uint64_t packets; /* that came in while it counted */
        uint64_t runs;    /* of the present program */
} FakeLink;

struct KernelAttachment {
        FakeKernel *fake;
        bool alive;
        FakeLink *link;
        KernelFused *fused; /* NULL: adopted */
};

typedef struct FakeForeign {
        int ifindex;
        Hook hook;
        char holder[64];
        bool there;
} FakeForeign;

#define FAKE_INTERFACES_MAX 512

/* What was done to an interface by KernelOps.interface_set_up(). */
typedef struct FakeAdminState {
        unsigned downs, ups;
} FakeAdminState;

struct FakeKernel {
        FakeAdminState admin[FAKE_INTERFACES_MAX]; /* by ifindex */
        int admin_error;                           /* of the next ones, 0: they work */
        KernelProgram **programs;
        size_t n_programs, live_programs;
        KernelFused **fused;
        size_t n_fused, live_fused;
        KernelAttachment **attachments;
        size_t n_attachments, live_attachments;
        KernelSimulation **simulations;
        size_t n_simulations, live_simulations;
        FakePins **pins;
        size_t n_pins;
        FakeMap **maps;
        size_t n_maps;
        FakeLink **links;
        size_t n_links;
        FakeForeign foreign[16];
        bool no_native[FAKE_INTERFACES_MAX], no_generic[FAKE_INTERFACES_MAX];
        uint32_t next_id;
        bool drops_rows; /* a chain that ceases to count loses its rows */
        bool times_runs; /* sysctl kernel.bpf_stats_enabled */

        unsigned count[_FAKE_OP_MAX];
        char *log;

        unsigned n_any, n_op[_FAKE_OP_MAX];
        unsigned fail_any, fail_nth;
        FakeOp fail_op;
        int fail_error;
        int fail_always[_FAKE_OP_MAX];
        bool fail_silently;
        bool failed;

        unsigned guard_demands;
        char *guard_demand;
        int guard_mode, guard_least, guard_error;
};

/* Within fake and observer no allocation is made to fail (test-memory.c): what they are is not under test. */
extern int fake_quiet;

static inline void fake_quiet_end(int *unused) {
        fake_quiet--;
}

#define FAKE_QUIET int quiet_ __attribute__((cleanup(fake_quiet_end), unused)) = fake_quiet++

void text_add(char **text, const char *format, ...) _printf_(2, 3);
void fake_note(FakeKernel *fake, FakeOp op, const char *format, ...) _printf_(3, 4);
int line_compare(const void *a, const void *b); /* of char ** */
int fake_step(FakeKernel *fake, FakeOp op, Error *error);
FakePins *fake_pins_of(FakeKernel *fake, const char *program);
void fake_pins_clear(FakePins *pins);

int fake_chain_build(void *userdata, const FuseRequest *request, KernelFused **ret, FusedInfo *ret_info,
                     Error *error);
void fake_fused_free(KernelFused *fused);
int fake_chain_commit(void *userdata, ChainCommit *items, size_t n_items);
void fake_chain_rollback(void *userdata, ChainCommit *item);
void fake_chain_release(void *userdata, ChainCommit *item);
int fake_chain_adopt(void *userdata, int ifindex, Hook hook, KernelAttachment **ret, AttachmentInfo *ret_info,
                     char *ret_signature);
int fake_chain_list(void *userdata, int **ret_ifindexes, Hook **ret_hooks, size_t *ret_n);
int fake_chain_inspect(void *userdata, KernelAttachment *attachment, unsigned what, ChainFacts *ret);
int fake_chain_repin(void *userdata, KernelAttachment *attachment, Error *error);
int fake_program_name(void *userdata, uint32_t program_id, char ret[16]);
int fake_chain_check(void *userdata, KernelAttachment *attachment);
void fake_chain_detach(void *userdata, KernelAttachment *attachment);
void fake_attachment_free(KernelAttachment *attachment);
int fake_chain_counters(void *userdata, KernelAttachment *attachment, uint64_t ret[CHAIN_SEATS_MAX][COUNTER_CELLS]);
int fake_chain_run_time(void *userdata, KernelAttachment *attachment, uint64_t *ret_count, uint64_t *ret_nsec);
int fake_simulation_new(void *userdata, const FuseRequest *request, KernelSimulation **ret,
                        SimulationOmission **ret_omissions, size_t *ret_n_omissions, Error *error);
int fake_simulation_run(void *userdata, KernelSimulation *simulation, const void *packet, size_t size,
                        SimulationResult *ret, Error *error);
void fake_simulation_free(KernelSimulation *simulation);
