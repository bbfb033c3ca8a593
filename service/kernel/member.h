/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A captured program: its final instructions (relocated, subprograms appended) with what the kernel needs to know
 * of them, detached from the object file, its maps and the descriptors of this process. All that a chain is built
 * from; plain data, so that tests can make one by hand.
 */

#include <bpf/btf.h>
#include <linux/bpf.h>

#include "util/macros.h"

/* insn.src_reg of an ldimm64 that names a map, and of a call of a kernel function; include/uapi/linux/bpf.h. */
typedef struct Member {
        char *function; /* as the author called it */
        enum bpf_prog_type type;
        bool frags;
        bool bound;              /* asks the driver about packets, so it is bound to an interface */
        int bound_to;            /* the interface that it was verified for by itself */
        const char *slot_reason; /* why it can neither be inlined nor called, a phrase, static; or NULL */

        /* A reference to a map has the map's index (not a descriptor) in its immediate; a reference to the BTF of
         * a kernel module has 1 + the index in btf_fds where the kernel expects a descriptor or an index. */
        struct bpf_insn *insns;
        size_t n_insns;

        struct btf *btf; /* as the kernel has it; NULL: the object has none, or the kernel took none of it */
        int types_fd;    /* owned, where has_types: btf as the kernel has it. To it the same types in other BTF are
                          * others,    so that what must agree with a map's types needs the very one. */
        bool has_types;
        struct bpf_func_info *func_info; /* one a subprogram, or none at all */
        size_t n_func_info;
        struct bpf_line_info *line_info;
        size_t n_line_info;

        int *btf_fds; /* owned */
        size_t n_btf_fds;

        /* member_scan() */
        uint32_t *subprograms; /* first instructions, ascending; [0] is 0 */
        size_t n_subprograms;
        unsigned n_frames; /* functions that call each other, at most, the main one included; callbacks count as
                              called */
        bool *uses_map;    /* by index of map */
        size_t n_uses_map;
        unsigned n_tail_calls;
        bool refers_to_itself; /* by a call of its main function, or a reference to it */
        bool packet_loads;     /* has BPF_LD_ABS or BPF_LD_IND, which end the function behind the author's back */

        uint32_t main_stack; /* bytes of the main function's frame, UINT32_MAX: not known; from the verifier, and not
                              * less than member_named_stack() */
} Member;

void member_free(Member *member);
DEFINE_CLEANUP(Member *, member_free)

/* Finds subprograms, maps and tail calls in the instructions. n_maps bounds the indexes of maps. -EINVAL where
 * the instructions make no sense. */
int member_scan(Member *member, size_t n_maps);

/* Bytes of the main function's frame that its instructions name. That is more than the verifier says where it left
 * out the saving of registers around calls that change none (bpf_fastcall), which in a larger program it may not. */
uint32_t member_named_stack(const Member *member);

/* Instructions of the main function. */
static inline size_t member_main_insns(const Member *member) {
        return member->n_subprograms > 1 ? member->subprograms[1] : member->n_insns;
}

/* Is this the first half of a 16-byte instruction? */
static inline bool insn_is_wide(const struct bpf_insn *insn) {
        return insn->code == (BPF_LD | BPF_IMM | BPF_DW);
}

static inline bool insn_is_map(const struct bpf_insn *insn) {
        return insn_is_wide(insn) && (insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE);
}

/* A reference to a variable of a kernel module, whose BTF stands in the second half. */
static inline bool insn_is_module_variable(const struct bpf_insn *insn) {
        return insn_is_wide(insn) && insn->src_reg == BPF_PSEUDO_BTF_ID && insn[1].imm != 0;
}

static inline bool insn_is_call(const struct bpf_insn *insn, unsigned kind) {
        return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == kind;
}

/* Does it call a function of the program, or hand its address on? imm is the distance behind the instruction. */
static inline bool insn_calls_function(const struct bpf_insn *insn) {
        return insn_is_call(insn, BPF_PSEUDO_CALL) || (insn_is_wide(insn) && insn->src_reg == BPF_PSEUDO_FUNC);
}

static inline bool insn_is_tail_call(const struct bpf_insn *insn) {
        return insn_is_call(insn, 0) && insn->imm == BPF_FUNC_tail_call;
}
