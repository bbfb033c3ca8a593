/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Random programs that the verifier takes. What is generated is a Member as capturing an object file would give it,
 * without a compiler.
 */

#include "kernel/member.h"
#include "maps.h"
#include "model/hook.h"

/* What the running kernel has; programs make use of it. */
typedef struct Features {
        bool v4;       /* instructions of -mcpu=v4 */
        bool may_goto; /* the jump that bounds a loop */
        bool bpf_loop;
        bool xdp_bytes; /* bpf_xdp_load_bytes() and its like */
} Features;

/* How many bytes a program may add to a packet. Room differs between a packet that goes from program to program
 * and one that is handed over by user space, so the programs of a chain together must not run out of it. */
typedef struct Moves {
        unsigned head;
        unsigned meta;
        unsigned tail;
} Moves;

typedef struct GenerateRequest {
        uint64_t seed;
        const char *name;
        Hook hook;
        bool frags;
        bool btf; /* with function information and, sometimes, line information */
        const Features *features;
        const MapSpec *maps; /* map i of the member */
        size_t n_maps;
        int jumps; /* index of the program array in maps, or -1 */
        Moves moves;
        unsigned bulk; /* instructions that only make it longer */
        bool all_maps; /* none of the maps goes unused */
        uint32_t proceed_on;
        unsigned proceed_percent; /* how often the verdict is to be one of that set */
} GenerateRequest;

/* A packet gets a limited number of tail calls from the kernel, for all programs of a chain; of one program: */
#define TAIL_CALLS_MAX 2

/* -ENOMEM, or -ENOSPC where the generator itself went wrong. */
int generate_member(const GenerateRequest *request, Member **ret);

/* One line an instruction. */
void print_instructions(FILE *f, const struct bpf_insn *insns, size_t n);
