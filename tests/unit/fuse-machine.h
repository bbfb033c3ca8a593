/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Runs programs that the builder made as the kernel would, over a packet that is not there: the first words of its
 * context are all that a program sees of it. What the verifier would refuse on the way (registers and stack that
 * nobody wrote, pointers as numbers, addresses of nothing, ways without end) stops it.
 */

#include "kernel/fuse.h"

/* Descriptors that programs know things by. */
#define MACHINE_COUNTERS_FD 1000
#define MACHINE_TRACE_FD    1001
#define MACHINE_CARRY_FD    1002
#define MACHINE_SLOTS_FD    1003

/* Bytes of the packet: by data and data_end for XDP, by len for TC. bpf_xdp_adjust_tail() and bpf_skb_change_tail()
 * take one away, while there are many. */
#define MACHINE_LENGTH_XDP 64
#define MACHINE_LENGTH_TC  1000

#define MACHINE_DEPTH_MAX 16

typedef struct MachineFrame {
        uint64_t values[64];
        uint64_t written;  /* masks of the values */
        uint64_t pointers; /* hold addresses */
} MachineFrame;

typedef struct Machine {
        Hook hook;
        const FuseOutput *slots[FUSE_SLOTS_MAX]; /* the chain's array of programs */
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        bool no_counters; /* they can't be looked up */
        uint64_t carry;
        uint32_t shrunk;   /* bytes that are gone from the packet */
        FuseTrace *traces; /* one a slot */
        size_t n_traces;

        /* What functions of the kernel answer, one after the other; 0 where there is nothing left. */
        const uint32_t *answers;
        size_t n_answers;
        size_t next_answer;

        /* Limits; 0: MACHINE_DEPTH_MAX functions within each other, 50,000 instructions. */
        unsigned depth_max;
        size_t steps_max;

        unsigned n_calls; /* of functions of programs */
        size_t n_steps;
        const char *trap; /* what stopped it, NULL: nothing */
        size_t trap_at;

        uint32_t context[16]; /* struct xdp_md: data, data_end; struct __sk_buff: len */
        unsigned depth;
        MachineFrame frames[MACHINE_DEPTH_MAX];
} Machine;

/* Bytes that the packet has now. */
uint32_t machine_length(const Machine *machine);

/* Runs a program and what it calls; what stays from one packet to the next does. Returns the verdict, which means
 * nothing with `trap` set. */
int machine_run(Machine *machine, const FuseOutput *program);
