/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the model asks of the kernel layer. The model sees programs, fused chains and attachments as opaque
 * handles; tests put a fake in their place.
 *
 * Life of a change: program_load() and chain_build() prepare (they load into the kernel and touch nothing that
 * packets see or that is pinned); program_commit() and chain_commit() put into effect; program_rollback() and
 * chain_rollback() undo a commit; program_unref() and fused_free() forget what was prepared and not committed.
 *
 * All functions return 0 or a negative errno and fill `error` with a sentence for the user where one is given.
 * ret_ parameters are written on success only.
 */

#include <json-c/json.h>

#include "model/hook.h"
#include "util/error.h"

typedef struct KernelProgram KernelProgram;       /* one loaded program instance with its maps; reference counted */
typedef struct KernelFused KernelFused;           /* one verified fused chain program, attached or not */
typedef struct KernelAttachment KernelAttachment; /* a chain on a hook: link (or filter), counters, pins */
typedef struct KernelSimulation KernelSimulation; /* a fused chain over copies of its maps, on no hook */

/* A chain never has more slots than this; seats are twice as many, so that one chain can be swapped for another
 * that has no program in common with it. */
#define CHAIN_SLOTS_MAX 64
#define CHAIN_SEATS_MAX (2 * CHAIN_SLOTS_MAX)

typedef struct MapInfo {
        char *name; /* as the author wrote it; global data sections by their section's name (".bss") */
        char *type; /* "lpm_trie", libbpf_bpf_map_type_str() */
        char *pin;  /* path of the pin, NULL until committed */
        uint32_t id;
        uint32_t type_number; /* enum bpf_map_type */
        uint32_t key_size;    /* bytes */
        uint32_t value_size;  /* bytes, of one CPU's value */
        uint32_t max_entries;
        uint32_t flags;    /* BPF_F_* */
        uint32_t n_values; /* values behind a key: possible CPUs for per-CPU maps, else 1 */
        bool internal;     /* global data */
        bool frozen;       /* user space can't write (.rodata) */
        bool kept;         /* taken over from the running instance */
} MapInfo;

typedef struct ProgramInfo {
        bool tc;    /* scheduler classifier, else XDP */
        bool frags; /* takes XDP multi-buffer packets */
        char *function;
        char tag[17];            /* the kernel's, of the stand-alone program, hexadecimal */
        uint32_t insns;          /* instructions before verification */
        uint32_t verified_insns; /* instructions that the verifier processed */
        uint32_t states_total;   /* states that the verifier kept, 0 where the kernel does not tell */
        uint32_t stack_depth;    /* bytes, deepest frame, 0 where the kernel does not tell */
        uint64_t load_usec;      /* time that the kernel took to verify and translate it */
        MapInfo *maps;
        size_t n_maps;
} ProgramInfo;

void map_info_done(MapInfo *info);
void program_info_done(ProgramInfo *info);
int program_info_copy(const ProgramInfo *from, ProgramInfo *ret);

typedef struct ProgramRequest {
        const char *name;        /* the administrator's name of it */
        const char *object_path; /* the ELF file to open */
        const char *object_name; /* as the document calls it, for messages */
        const char *function;    /* NULL: the only program of a usable type in the object */
        const char *type;        /* "xdp", "tc" or NULL: by section name */
        json_object *globals;    /* {"variable": value} or NULL */
        json_object *maps;       /* {"map": [{"key":…, "value":…}]} or NULL: initial contents */
        bool keep_tail_calls;    /* also those into arrays of programs that nothing fills yet */
        const char *where;       /* JSON path of the program in its document, for error->where */
        KernelProgram *previous; /* instance whose maps are kept where their definitions agree, or NULL */
        bool same_object;        /* previous came from the same object file: .data and .bss are kept as well */
        bool same_contents;      /* previous had the same `maps`: kept maps need no entries written */
} ProgramRequest;

typedef struct FuseSlot {
        KernelProgram *program; /* loaded, not just adopted */
        const char *name;
        uint32_t proceed_on; /* mask of verdict buckets */
        unsigned seat;       /* row of this program in the chain's counters, below CHAIN_SEATS_MAX */
} FuseSlot;

typedef struct FuseRequest {
        const char *interface;
        int ifindex; /* 0: there is no such interface yet, the chain is only tried */
        Hook hook;
        const char *signature;        /* hexadecimal digest of what the chain consists of; names the fused program */
        const FuseSlot *slots;        /* in order */
        size_t n_slots;               /* 1 .. CHAIN_SLOTS_MAX */
        KernelAttachment *attachment; /* what the chain will replace, so that its counters go on; or NULL */
        SlotForm form_limit; /* for tests: no slot gets an earlier form of the enum; SLOT_FORM_NONE: as is best */
        CounterLevel counters;
} FuseRequest;

typedef struct FusedInfo {
        uint32_t program_id;
        char tag[17];
        SlotForm forms[CHAIN_SLOTS_MAX];
        const char *reasons[CHAIN_SLOTS_MAX]; /* static: why a slot is not inlined, a phrase; NULL where it is */
        unsigned n_segments; /* programs that the chain was split into, joined by tail calls; 1 mostly */
        uint32_t insns;
        uint32_t verified_insns;
        uint64_t build_usec; /* putting together */
        uint64_t load_usec;  /* verification and translation */
} FusedInfo;

typedef struct AttachmentInfo {
        AttachKind kind;
        bool native;         /* XDP: in the driver */
        uint32_t link_id;    /* 0 for clsact */
        uint32_t program_id; /* the fused program that is attached */
} AttachmentInfo;

/* What is to be looked at besides the link. */
enum {
        INSPECT_FILTER = 1 << 0, /* of clsact, which takes a message to the kernel */
        INSPECT_PINS = 1 << 1,
};

/* How a chain stands on its hook. */
typedef struct ChainFacts {
        int ifindex;            /* what the link is on, 0: nothing any more. An interface takes it along into another
                                 * network namespace. Of a filter that is gone: 0 */
        uint32_t program_id;    /* in the link or filter */
        bool own;               /* that is the chain's */
        bool pinned;            /* all that is to be; true when not looked at */
        uint32_t first_program; /* that runs before ours on a tcx hook, 0: none */
} ChainFacts;

/* One chain of a commit. On input `attachment` is the present one (its program is exchanged atomically) or NULL
 * (a new one is made). On success `attachment` is set and `fused` belongs to it; what was there before is kept in
 * `undo` until chain_release(). */
typedef struct ChainCommit {
        const char *interface;
        int ifindex;
        Hook hook;
        AttachMode mode;
        KernelFused *fused;
        KernelAttachment *attachment;
        AttachmentInfo info; /* out */
        bool created;        /* out: the attachment is new */
        KernelFused *undo;   /* out: the fused program that was exchanged */
        int result;          /* out: 0 or negative errno */
        Error error;         /* out; ERROR_HOOK_BUSY names the holder */
} ChainCommit;

/* In what a simulation differs from the chain that packets meet: what it could not copy, or does not do. */
typedef struct SimulationOmission {
        char *program; /* the administrator's name */
        char *map;     /* "": it is about the program itself */
        char *reason;  /* a phrase: what the simulation has in its place */
} SimulationOmission;

/* The longest packet that can be simulated: what fits a page of 4096 bytes beside the headroom (256) and the kernel's
 * own record (320) that XDP packets have (net/bpf/test_run.c; for TC it takes 3712). Longer ones would reach XDP
 * programs in pieces. */
#define SIMULATION_PACKET_MAX 3520 /* bytes */

/* A packet after one slot, in the order of the chain. */
typedef struct SimulationStep {
        unsigned slot;
        int verdict;      /* what the program returned */
        unsigned bucket;  /* of the verdict */
        uint32_t size;    /* bytes that the packet has now */
        bool changed;     /* the program changed its length or contents */
        const void *data; /* min(size, SIMULATION_PACKET_MAX) bytes; borrowed until the next run */
} SimulationStep;

/* Where a packet went. The last step's slot ended its way. */
typedef struct SimulationResult {
        int verdict; /* of the chain */
        unsigned bucket;
        SimulationStep steps[CHAIN_SLOTS_MAX];
        size_t n_steps;
} SimulationResult;

/* What sits on an interface's hook and is not ours. */
typedef struct ForeignInfo {
        Hook hook;
        char kind[16]; /* "xdp", "tcx", "clsact" */
        uint32_t program_id;
        char name[16]; /* kernel's name of the program, may be empty */
        char tag[17];
} ForeignInfo;

typedef struct InterfaceDetails {
        char driver[32];       /* ethtool's name of the driver, empty if unknown */
        uint64_t xdp_features; /* NETDEV_XDP_ACT_*, include/uapi/linux/netdev.h */
        bool xdp_features_known;
} InterfaceDetails;

void simulation_omissions_free(SimulationOmission *omissions, size_t n);

/* A hook with a chain of ours on it. */
typedef struct GuardHook {
        int ifindex;
        Hook hook;
        AttachKind kind;
        uint32_t link_id;    /* 0 for clsact */
        uint32_t program_id; /* the chain's */
} GuardHook;

/* What an interface with such a hook is called, one for each of its names. */
typedef struct GuardName {
        int ifindex;
        const char *name;
} GuardName;

/* What the guard's programs in the kernel are to do. */
typedef struct GuardDemand {
        const struct GuardPolicy *policy;
        const GuardHook *hooks;
        size_t n_hooks;
        const GuardName *names;
        size_t n_names;
} GuardDemand;

/* How the guard stands in the kernel. */
typedef struct GuardState {
        int mode;              /* GuardMode in effect */
        const char *technique; /* static: "lsm", "fmod_ret"; NULL: nothing is there */
        bool pinned;           /* stays when the service ends, and knows the next one */
        char reason[256]; /* a sentence: why it is not as demanded, or less than it could be; empty: nothing to say */
} GuardState;

struct GuardRuleCounters;

typedef struct KernelOps {
        /* Opens the object, makes its maps or keeps those of the previous instance, writes globals and, into new
         * maps, the initial contents, has the program verified by itself and captures it. Nothing is pinned.
         * Errors: VerifierRejected (error->log has the log), InvalidDocument with a place, Incompatible (not for
         * any hook), NoSuchProgram (no such function in the object). */
        int (*program_load)(void *userdata, const ProgramRequest *request, KernelProgram **ret, ProgramInfo *ret_info,
                            Error *error);

        /* Takes over the maps that an earlier service pinned for the program `name`. The result serves map access
         * and as `previous` of a load; it can't be fused. -ENOENT: nothing is pinned. */
        int (*program_adopt)(void *userdata, const char *name, KernelProgram **ret, ProgramInfo *ret_info);

        /* Pins the maps of the instance in the place of those of the previous one, and writes the contents that
         * the document gives to kept maps. ret_info has the pins then. */
        int (*program_commit)(void *userdata, KernelProgram *program, ProgramInfo *ret_info, Error *error);

        /* Undoes program_commit(): the previous instance's pins and the contents are as before. */
        void (*program_rollback)(void *userdata, KernelProgram *program);

        /* Are the maps of a program in effect pinned in their places? What can't be told counts as yes. Only looks.
         */
        bool (*program_is_pinned)(void *userdata, KernelProgram *program);

        /* Pins them all anew. */
        int (*program_repin)(void *userdata, KernelProgram *program, Error *error);

        KernelProgram *(*program_ref)(KernelProgram *program);
        void (*program_unref)(KernelProgram *program); /* NULL is fine */

        /* Removes the pins of a program that is no longer wanted. */
        void (*program_remove)(void *userdata, const char *name);

        /* Removes the pins of all programs that keep() does not know: of what was never put into effect, since the
         * service died before. */
        void (*program_sweep)(void *userdata, bool (*keep)(const char *name, void *keep_userdata),
                              void *keep_userdata);

        /* Raw map access. Sizes are those of MapInfo; a value has n_values * round_up(value_size, 8) bytes for
         * per-CPU maps (bpf(2)). Errors: NoSuchMap, NoSuchEntry, EntryExists, NotSupported, InvalidArgument.
         * flags: BPF_ANY, BPF_NOEXIST, BPF_EXIST. */
        int (*map_lookup)(void *userdata, KernelProgram *program, const char *map, const void *key, size_t key_size,
                          void *ret_value, size_t value_size, Error *error);
        int (*map_update)(void *userdata, KernelProgram *program, const char *map, const void *key, size_t key_size,
                          const void *value, size_t value_size, uint64_t flags, Error *error);
        int (*map_delete)(void *userdata, KernelProgram *program, const char *map, const void *key, size_t key_size,
                          Error *error);
        /* The key after `key` (NULL: the first). -ENOENT without error set: there is none. */
        int (*map_next_key)(void *userdata, KernelProgram *program, const char *map, const void *key, void *ret_key,
                            size_t key_size, Error *error);

        /* Fuses and verifies a chain; attached to nothing yet. Errors: LimitExceeded with figure and limit,
         * VerifierRejected, Incompatible (XDP program on a TC hook, ...), NotSupported. */
        int (*chain_build)(void *userdata, const FuseRequest *request, KernelFused **ret, FusedInfo *ret_info,
                           Error *error);
        void (*fused_free)(KernelFused *fused); /* NULL is fine */

        /* Puts all chains into effect, each atomically, in parallel where that is quicker. Every item gets a
         * result; a failed one has changed nothing. Returns 0 if all succeeded, else the first failure. */
        int (*chain_commit)(void *userdata, ChainCommit *items, size_t n_items);

        /* Undoes one committed item: the old program comes back, or a new attachment goes; then
         * item->attachment is the old one or NULL, and item->fused is free-standing again. */
        void (*chain_rollback)(void *userdata, ChainCommit *item);

        /* Lets go of what chain_commit() kept for undoing. */
        void (*chain_release)(void *userdata, ChainCommit *item);

        /* Takes over the attachment that an earlier service pinned. -ENOENT: there is none (a link whose
         * interface is gone counts as none and is unpinned). ret_signature (65 bytes) gets as much of the
         * signature as the fused program's name tells (at least 10 digits). */
        int (*chain_adopt)(void *userdata, int ifindex, Hook hook, KernelAttachment **ret, AttachmentInfo *ret_info,
                           char *ret_signature);

        /* The (ifindex, hook) pairs for which an attachment is pinned; the caller frees the array. */
        int (*chain_list)(void *userdata, int **ret_ifindexes, Hook **ret_hooks, size_t *ret_n);

        /* Reads link or filter again: is it still on this hook, with our program? -ENOENT: detached,
         * -ESTALE: another program is in it. */
        int (*chain_check)(void *userdata, KernelAttachment *attachment);

        /* The same in more detail, for the guard: only looks. `what` is a mask of INSPECT_*. */
        int (*chain_inspect)(void *userdata, KernelAttachment *attachment, unsigned what, ChainFacts *ret);

        /* Pins anew whatever of the attachment is not pinned. */
        int (*chain_repin)(void *userdata, KernelAttachment *attachment, Error *error);

        /* Makes the guard as demanded, without a moment in which less is guarded than before or after. The first
         * demand takes over what an earlier service left. On failure all is as before; ret is filled nevertheless.
         * May be NULL: there is none. Errors: NotSupported with what the kernel lacks. */
        int (*guard_apply)(void *userdata, const GuardDemand *demand, GuardState *ret, Error *error);

        /* By GuardRule, for _GUARD_RULE_MAX of them. */
        int (*guard_counters)(void *userdata, struct GuardRuleCounters *ret);

        /* The kernel's name of a program, empty where it has none; negative where it may not be known. */
        int (*program_name)(void *userdata, uint32_t program_id, char ret[16]);

        /* Takes the chain off its hook and removes its pins, counters included. Frees the attachment. */
        void (*chain_detach)(void *userdata, KernelAttachment *attachment);

        /* Forgets the attachment without touching the kernel: packets go on through it. NULL is fine. */
        void (*attachment_free)(KernelAttachment *attachment);

        /* Sums of all CPUs, one row of COUNTER_CELLS a seat. */
        int (*chain_counters)(void *userdata, KernelAttachment *attachment,
                              uint64_t ret[CHAIN_SEATS_MAX][COUNTER_CELLS]);

        /* How often the attached program ran, and how long in all (nanoseconds, on all CPUs), while the kernel kept
         * such statistics (sysctl kernel.bpf_stats_enabled); -ENODATA: it does not keep them now. */
        int (*chain_run_time)(void *userdata, KernelAttachment *attachment, uint64_t *ret_count, uint64_t *ret_nsec);

        /* Prepares a chain, as chain_build() would build it, over copies of its programs' maps, so that packets can
         * be run through it without a trace. ret_omissions (freed with simulation_omissions_free()) lists what
         * could not be copied. Errors: as of chain_build(), LimitExceeded (more to copy than a simulation may) and
         * NotSupported. */
        int (*simulation_new)(void *userdata, const FuseRequest *request, KernelSimulation **ret,
                              SimulationOmission **ret_omissions, size_t *ret_n_omissions, Error *error);

        /* Runs one packet (Ethernet header first). The copies of the maps keep what it did, so that packets are
         * simulated in their order; time passes as it does, not as in a capture. Errors: InvalidArgument (shorter
         * than an Ethernet header, or for TC shorter than the IP header that it says it has; longer than
         * SIMULATION_PACKET_MAX): such a packet was not run, the next one can be. */
        int (*simulation_run)(void *userdata, KernelSimulation *simulation, const void *packet, size_t size,
                              SimulationResult *ret, Error *error);
        void (*simulation_free)(KernelSimulation *simulation); /* NULL is fine */

        /* Driver and features of an interface; asked when somebody looks. */
        int (*interface_details)(void *userdata, int ifindex, const char *name, InterfaceDetails *ret);

        /* Sets an interface up or down. -ENODEV: it is gone. */
        int (*interface_set_up)(void *userdata, int ifindex, bool up);

        /* Foreign programs on the hooks of an interface; the caller frees the array. `own` are our attachments
         * there (n_own may be 0). */
        int (*interface_foreign)(void *userdata, int ifindex, KernelAttachment *const *own, size_t n_own,
                                 ForeignInfo **ret, size_t *ret_n);
} KernelOps;
