/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Builds one program out of the members of a chain. Pure: instructions and types in, instructions and types out;
 * descriptors are only numbers here, nothing is asked of the kernel.
 *
 *   root              keeps context and length of the packet, then a slot for each member
 *     member 0        inlined or called; go on where the proceed-on set has its verdict
 *     member 1
 *     …
 *     join            a tail call of the next segment, where the chain goes on in another program
 *     ends            a packet's way ends here, for each member: count, and return the verdict
 *   functions         that look up counters, that reach slots by tail calls
 *   rest of member 0  the author's program as it was captured: its subprograms if it is inlined, else all of it
 *   rest of member 1
 *   …
 *
 * An inlined member is its main function, copied into the root: its exits become jumps (fuse-thread.h). It finds all
 * registers and, below r10, as much stack as it had alone; what the root keeps lies elsewhere (fuse-root.h).
 *
 * A called member is one function to the verifier, either global, verified once and by itself as it was when it was
 * loaded alone, or static, verified as a part of the root (never one that makes tail calls, see fuse-form.h). What it
 * is called with we declare ourselves (a pointer to the context of the hook), whatever its author called the type.
 *
 * A member in a slot is a program of its own, which the kernel holds in an array. A function of the chain tail-calls
 * it; when it returns, it returns to the root.
 *
 * A root that only calls has no stack of its own. That matters: the kernel allows 512 bytes for all frames of a path
 * of calls together, and a member may use all of them by itself.
 */

#include "kernel/member.h"
#include "model/kernel-ops.h"

typedef struct FuseMember {
        const char *name; /* the administrator's, for line information and messages */
        const Member *member;
        const int *map_fds; /* by index of map */
        const uint32_t *map_ids;
        size_t n_maps;
        uint32_t proceed_on;
        unsigned seat;
        uint32_t arena;          /* id of the arena it uses, 0: none */
        SlotForm form;           /* any but none; see fuse-form.h */
        const char *reason;      /* why it is not inlined, static; or NULL */
        uint32_t verified_insns; /* what the verifier said of it alone, for messages; 0 where it did not */
        uint32_t stack_depth;
} FuseMember;

/* What a simulation gets to see of each slot: an array with one such value a slot, BPF_F_MMAPABLE. */
typedef struct FuseTrace {
        uint32_t seen;      /* 1: the packet came by; the reader sets it back */
        int32_t verdict;    /* what the member returned */
        uint32_t size;      /* bytes that the packet has behind the member */
        uint32_t mark;      /* TC: skb->mark */
        uint8_t data[4096]; /* as much of it as fits; multiple of 8 */
} FuseTrace;

typedef struct FuseInput {
        Hook hook;
        CounterLevel counters;
        int counters_fd; /* -EBADF where nothing is counted */
        int trace_fd;    /* array of FuseTrace for simulations, -EBADF otherwise */
        int carry_fd; /* per-CPU array of one number: the length of the packet on its way to the next segment, -EBADF
                       * where there are no further segments or nothing is counted */
        int slots_fd; /* array of programs for slots and segments, -EBADF where there is neither */
        bool frags;   /* all of the chain's programs take packets of several buffers */
        int ifindex;  /* of the interface that the program is bound to, 0: to none */
        const FuseMember *members;
        size_t n_members;

        /* A segment is a part of a chain that is too much for one program. */
        size_t first;  /* place of members[0] in the chain */
        uint32_t next; /* index in slots_fd of the segment that goes on, 0: none does */
} FuseInput;

/* Where things are in the array of programs. */
#define FUSE_SLOT_INDEX(place)      ((uint32_t) (place)) /* a member, by its place in the chain */
#define FUSE_SEGMENT_INDEX(segment) (CHAIN_SLOTS_MAX + (uint32_t) (segment))
#define FUSE_SLOTS_MAX              (2 * CHAIN_SLOTS_MAX)

/* Where the instructions of one member are in the whole, ends exclusive: its main function, in the root where it was
 * inlined, and the subprograms behind it. */
typedef struct FuseSpan {
        size_t start;
        size_t end;
        size_t subprograms;
        size_t subprograms_end;
} FuseSpan;

static inline bool fuse_span_has(const FuseSpan *span, size_t insn) {
        return (insn >= span->start && insn < span->end) ||
               (insn >= span->subprograms && insn < span->subprograms_end);
}

typedef struct FuseOutput {
        struct bpf_insn *insns;
        size_t n_insns;
        struct btf *btf; /* not in the kernel yet; NULL: there is none, or types_fd is it */
        int types_fd;    /* borrowed; 0: none */
        struct bpf_func_info *func_info;
        size_t n_func_info;
        struct bpf_line_info *line_info;
        size_t n_line_info;
        int *fd_array; /* for calls of functions of kernel modules; borrowed descriptors in allocated memory */
        size_t n_fd_array;
        FuseSpan spans[CHAIN_SLOTS_MAX];
} FuseOutput;

void fuse_output_done(FuseOutput *output);

/* Limits of the kernel that a chain may run into, checked before anything is built. include/linux/bpf.h,
 * include/linux/bpf_verifier.h and kernel/bpf/verifier.c say where they come from. */
#define FUSE_MAPS_MAX        64      /* MAX_USED_MAPS, the chain's own included */
#define FUSE_SUBPROGRAMS_MAX 256     /* BPF_MAX_SUBPROGS, the chain's own included */
#define FUSE_TAIL_CALLS_MAX  33      /* MAX_TAIL_CALL_CNT, per packet; the next one is silently skipped */
#define FUSE_MODULES_MAX     255     /* MAX_KFUNC_BTFS less the kernel's own */
#define FUSE_INSNS_MAX       1000000 /* BPF_COMPLEXITY_LIMIT_INSNS */

/* What a chain answers that can't go on: the packet is dropped, and where the hook has such a verdict, as aborted. */
int fuse_fail_verdict(Hook hook);

/* Builds a segment. The members must have passed fuse_check() and fit one (fuse-plan.h). */
int fuse_build(const FuseInput *input, FuseOutput *ret);

/* Builds a program of the one member as it was captured, for a slot. */
int fuse_build_alone(const FuseMember *member, FuseOutput *ret);
