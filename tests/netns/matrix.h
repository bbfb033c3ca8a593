/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The feature matrix: what programs may use, in which forms such a program gets into a chain, and what it must have
 * done there. matrix.c runs a row in all its forms and places, matrix-table.c has the rows, bpf/FORMS.md tells
 * authors the same (a test compares the two).
 */

#include "../bpf/packet.h"
#include "kernel-fixture.h"

/* Interfaces of the tests' network namespace: a veth pair, up, with MATRIX_ADDRESS/24 at the first end. */
#define MATRIX_DEVICE    "bct-a"
#define MATRIX_PEER      "bct-b"
#define MATRIX_ADDRESS   "198.51.100.1"
#define MATRIX_NEIGHBOUR "198.51.100.2" /* 02:00:00:00:00:99 */
#define MATRIX_ARENA_A   0x40000000     /* where the arenas of arena-a.bpf.c and arena-b.bpf.c are to be mapped */
#define MATRIX_ARENA_B   0x50000000
#define MATRIX_PORT      4242 /* of the packets, UDP */

/* One packet through one chain. */
typedef struct MatrixRun {
        Kernel *kernel;
        KernelProgram *program; /* that has the feature */
        Packet in;
        Packet out;
        struct __sk_buff skb; /* TC: fields of the buffer behind the chain */
        int fd;               /* for prepare(), closed after the run; -EBADF */
        void *memory;         /* likewise, munmap()ed */
        size_t memory_size;
} MatrixRun;

/* The forms that a member gets, one letter for each first form that is allowed (FuseRequest.form_limit): any, global,
 * static, slot. I inlined, G global, S static, L slot, - refused. */
typedef char MatrixForms[5];

typedef struct MatrixRow {
        const char *feature; /* as bpf/FORMS.md calls it; NULL: a variant of the row above */
        const char *object;
        const char *function;
        Hook hook;
        const char *globals; /* JSON; %u is the index of MATRIX_DEVICE */
        const char *maps;    /* JSON */
        const char *type;    /* where the section does not tell */
        MatrixForms forms;
        const char *reason;   /* a part of the reason why it is not inlined at best */
        const char *refusal;  /* a part of the message where it is refused */
        const char *company;  /* object of the programs around it; NULL: verdict */
        char company_form;    /* of the programs around it, at best, where that is not I */
        bool keep_tail_calls; /* the document says so */
        bool ends;            /* its verdict ends the packet's way */
        int verdict;          /* if it does; else the neutral one */
        const char *variable; /* global that a packet changes; NULL: effect */
        uint64_t effect;      /* what the variable is after one packet */
        void (*prepare)(MatrixRun *run);
        void (*check)(MatrixRun *run);
} MatrixRow;

/* Ends with a row without an object. */
extern const MatrixRow matrix_table[];

/* Runs the row: each form, behind nothing and behind a leader, before a follower. Skips (cmocka) what this kernel
 * doesn't take at all. */
void matrix_run(Kernel *kernel, const MatrixRow *row);

/* Makes the namespace for all rows and enters it; exits with 77 where that can't be. */
void matrix_enter_namespace(void);

/* The value of a global variable of a program, of up to 8 bytes. */
uint64_t matrix_variable(KernelProgram *program, const char *name);

/* Loads a program of tests/bpf, or fails the test. */
KernelProgram *matrix_load(Kernel *kernel, const MatrixRow *row);

/* Why the kernel does not take this program by itself, without any of our code: static, NULL where it does. */
const char *matrix_probe(const char *object, const char *function, Hook hook);

/* Loads any program, named after its function. */
KernelProgram *matrix_load_program(Kernel *kernel, const char *object, const char *function, const char *globals);

/* A packet as of matrix_packet(), with room for a trace (tests/bpf/order.h). */
void matrix_traced_packet(Packet *ret);

/* The trace must be this one. */
void matrix_check_trace(const Packet *packet, const uint8_t *ids, size_t n);

/* Builds a chain of programs, all counted, seats in order; default proceed-on sets. */
int matrix_build(Kernel *kernel, Hook hook, KernelProgram *const *programs, size_t n, SlotForm limit,
                 KernelFused **ret, FusedInfo *ret_info, Error *error);

/* A valid UDP datagram over IPv4 to MATRIX_NEIGHBOUR, checksum of the header included. */
void matrix_packet(Packet *ret);

/* Sends the packet of the run through the chain; returns the verdict. */
int matrix_send(MatrixRun *run, const KernelFused *fused);

/* The letter of a form in MatrixForms. */
char matrix_form_letter(SlotForm form);
