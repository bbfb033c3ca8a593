/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A function that is being generated: instructions so far, and what is known of registers and stack at their end.
 * Only what every path has written is read, because that is what the verifier asks for.
 */

#include "generate.h"

#define FUNCTIONS_MAX 6
#define INSNS_MAX     12000 /* of a function */
#define CALLS_MAX     64
#define STACK_SIZE    512

#define EXIT_JUMPS_MAX 16
#define CALLER_AREA    16

#define REGISTER(n)  (1U << (n))
#define REGISTERS    0x3ffU /* all but r10 */
#define CALLER_SAVED 0x03fU
#define CALLEE_SAVED 0x3c0U

/* Instructions that headers of older distributions lack. */
#define INSN_MEMSX 0x80 /* mode of a load that extends the sign, since 6.6 */
#define INSN_JCOND 0xe0 /* may_goto, since 6.9 */

typedef struct Frame {
        uint8_t bytes[STACK_SIZE / 8]; /* a bit a byte; bit i: r10 - 1 - i */
} Frame;

typedef struct State {
        uint32_t numbers; /* registers that hold a number */
        Frame written;    /* bytes that hold (part of) a number */
        bool ended;       /* no path comes here */
} State;

typedef enum FunctionKind {
        FUNCTION_MAIN,
        FUNCTION_STATIC,
        FUNCTION_GLOBAL,
        FUNCTION_LOOP_CALLBACK, /* of bpf_loop(): (index, pointer to caller's stack) */
        FUNCTION_MAP_CALLBACK,  /* of bpf_for_each_map_elem(): (map, key, value, pointer to caller's stack) */
} FunctionKind;

typedef struct Call {
        size_t insn;
        size_t function; /* index in the generator */
} Call;

typedef struct Generator Generator;

typedef struct Function {
        Generator *generator;
        Random *random;
        const GenerateRequest *request;
        FunctionKind kind;
        unsigned level; /* nesting, 0 for main */

        struct bpf_insn *insns;
        size_t n_insns;
        Call calls[CALLS_MAX];
        size_t n_calls;
        State state;

        size_t to_exit[EXIT_JUMPS_MAX]; /* jumps to the exit at the end */
        size_t n_to_exit;
        size_t exit; /* one that jumps may lead back to, or 0 */

        uint32_t usable;      /* the others are not touched at all */
        uint32_t pinned;      /* registers that must not be written: pointers in use, counters of loops */
        uint32_t keep_number; /* registers that must not become pointers */
        Frame reserved;       /* stack that numbers must not be written to */
        unsigned packets;     /* nesting of statements that hold pointers into the packet */
        unsigned loops;       /* nesting */

        bool has_context;
        int context_register; /* -1: on the stack */
        int context_slot;
        unsigned n_arguments; /* numbers that it is called with */
        bool takes_stack;     /* gets a pointer to CALLER_AREA bytes of the caller's stack first */
        int callback_map;     /* index, of FUNCTION_MAP_CALLBACK */

        unsigned stack;      /* bytes of this frame */
        unsigned stack_left; /* for all frames below */
        unsigned stack_need; /* of this frame and those below */
        bool complete;
        bool once; /* adds to the packet: called once, and in no loop */
} Function;

struct Generator {
        const GenerateRequest *request;
        Random random;
        Function *functions[FUNCTIONS_MAX];
        size_t n_functions;
        int statements_left; /* in all functions */
        Moves moves;         /* left */
        unsigned tail_calls_left;
        bool extras; /* use what takes stack behind the program's back */
        bool full;   /* a function ran out of room: the result is of no use */
};

/* Instructions. */

size_t emit(Function *f, unsigned code, unsigned dst, unsigned src, int off, int32_t imm);
size_t emit_wide(Function *f, unsigned dst, unsigned src, int32_t low, int32_t high);

static inline size_t emit_move(Function *f, unsigned dst, unsigned src) {
        return emit(f, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static inline size_t emit_set(Function *f, unsigned dst, int32_t value) {
        return emit(f, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}

static inline size_t emit_add(Function *f, unsigned dst, int32_t value) {
        return emit(f, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, value);
}

static inline size_t emit_load(Function *f, unsigned size, unsigned dst, unsigned src, int off) {
        return emit(f, BPF_LDX | BPF_MEM | size, dst, src, off, 0);
}

static inline size_t emit_store(Function *f, unsigned size, unsigned dst, int off, unsigned src) {
        return emit(f, BPF_STX | BPF_MEM | size, dst, src, off, 0);
}

/* r10 + off into a register. */
void emit_stack_address(Function *f, unsigned dst, int off);

/* Jumps are aimed at what comes next. */
void aim_here(Function *f, size_t jump);

/* A call of a helper: afterwards r0 has a number (or what the caller knows better) and r1 to r5 nothing. */
void emit_helper(Function *f, int helper);

/* Registers. */

/* A register that has a number; one is set where none has. */
unsigned pick_number(Function *f, uint32_t among);

/* A register to write a number to. */
unsigned pick_target(Function *f, uint32_t among);

/* How many registers may be written to. Pointers leave some to calculate with. */
unsigned free_registers(const Function *f);
#define REGISTERS_LEFT 2

/* A register for a pointer; it has no number any more and is pinned until release(). -1: there is none. */
int take_pointer(Function *f, uint32_t among);
void release(Function *f, int pointer);

/* Any number into a register of `among`, new or out of another one. */
void make_number(Function *f, unsigned dst);

static inline void has_number(Function *f, unsigned n) {
        f->state.numbers |= REGISTER(n);
}

static inline void has_no_number(Function *f, unsigned n) {
        f->state.numbers &= ~REGISTER(n);
}

/* May it use what takes stack behind its back? */
static inline bool may_use_extras(const Function *f) {
        return f->generator->extras && f->level <= 1;
}

/* May helpers and functions be called, that is, are r0 to r5 free, and no pointers into the packet in use? */
bool may_call(const Function *f);

/* The context into a register. */
void emit_context(Function *f, unsigned dst);

/* Stack. Offsets are those from r10, negative. */

/* An area of `size` bytes, aligned to 8, that nothing is reserved in; 0 where there is none. */
int pick_area(Function *f, unsigned size);

void reserve_area(Function *f, int off, unsigned size, bool reserve);
void mark_written(Function *f, int off, unsigned size);
bool area_written(const Function *f, int off, unsigned size);

/* Writes numbers to all of an area whose size is a multiple of 4. */
void fill_area(Function *f, int off, unsigned size);

/* Control flow. */

State merge_states(const State *a, const State *b);

/* A conditional jump that depends on numbers; returns it for aim_here(). */
size_t emit_random_jump(Function *f);

/* Ends the function here with a verdict, or whatever it returns. */
void emit_ending(Function *f);

/* Ends it here, and lets all jumps to the end come out here. To be called once, and last. */
void emit_last_ending(Function *f);

/* Up to `n` random statements. */
void emit_block(Function *f, unsigned n);

/* Statements. Each leaves the state true, and does nothing where it can't be. */

void statement_alu(Function *f);
void statement_stack(Function *f);
void statement_stack_run(Function *f);
void statement_stack_variable(Function *f);
void statement_spill(Function *f);
void statement_if(Function *f);
void statement_loop(Function *f);
void statement_return(Function *f);
void statement_early_exit(Function *f);

void statement_packet(Function *f);
void statement_packet_bytes(Function *f);
void statement_context(Function *f);
void statement_metadata(Function *f);
void statement_move_head(Function *f);
void statement_move_meta(Function *f);
void statement_move_tail(Function *f);
void statement_classic_load(Function *f);
void statement_checksum(Function *f);

void statement_map_lookup(Function *f);
void statement_all_maps(Function *f);
void statement_map_update(Function *f);
void statement_map_delete(Function *f);
void statement_queue(Function *f);
void statement_global(Function *f);

void statement_helper(Function *f);
void statement_call(Function *f);
void statement_bpf_loop(Function *f);
void statement_for_each(Function *f);
void statement_tail_call(Function *f);

/* Reads, writes or both of a value that a register points at. `writable` is false for constants. */
void emit_value_access(Function *f, unsigned pointer, unsigned value_size, bool writable);

/* A member's map of one of the types, at random; -1: none. */
#define TYPE(type) (UINT64_C(1) << (type))
int pick_map(Function *f, uint64_t types, bool global);

/* Builds BTF and the records for the member's functions, whose first instructions are in starts. */
int make_types(Generator *generator, Member *member, const uint32_t *starts);

/* A new function of this kind, complete; NULL where there is no room for one. `map` is that of a map callback. */
Function *generate_function(Function *caller, FunctionKind kind, int map);

/* Emits the call of a function, or the loading of its address. */
void emit_call(Function *f, const Function *callee);
void emit_function_address(Function *f, unsigned dst, const Function *callee);
