/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "function.h"

/* Callers' frames are rounded up so by the verifier. */
#define FRAME_UNIT 32U

/* Bytes of all frames where the kernel needs some for itself (may_goto, loops that bpf_loop() becomes), which is
 * so on the first two levels only, and above a tail call. */
#define STACK_WITH_EXTRAS    (STACK_SIZE - 2 * 64)
#define STACK_WITH_TAIL_CALL 224

static unsigned round_frame(unsigned stack) {
        return (stack + FRAME_UNIT - 1) / FRAME_UNIT * FRAME_UNIT;
}

static Function *function_new(Generator *generator, FunctionKind kind, unsigned level) {
        Function *f;

        if (generator->n_functions == FUNCTIONS_MAX)
                return NULL;
        f = calloc(1, sizeof(Function));
        if (!f)
                return NULL;
        f->insns = calloc(INSNS_MAX, sizeof(struct bpf_insn));
        if (!f->insns) {
                free(f);
                return NULL;
        }
        f->generator = generator;
        f->random = &generator->random;
        f->request = generator->request;
        f->kind = kind;
        f->level = level;
        f->context_register = -1;
        f->usable = REGISTERS;
        if (random_chance(f->random, 45))
                f->usable &= CALLER_SAVED | (uint32_t) random_next(f->random);
        generator->functions[generator->n_functions++] = f;
        return f;
}

static void function_free(Function *f) {
        if (!f)
                return;
        free(f->insns);
        free(f);
}

/* Puts the context, which is in r1, where it stays: in a register that calls keep, or on the stack. */
static void keep_context(Function *f) {
        int kept = random_bit(f->random, f->usable & CALLEE_SAVED);

        if (kept >= 0 && random_chance(f->random, 70)) {
                if ((f->usable & REGISTER(BPF_REG_6)) && random_chance(f->random, 30))
                        kept = BPF_REG_6; /* where classic loads want it */
                f->context_register = kept;
                emit_move(f, (unsigned) f->context_register, BPF_REG_1);
                has_no_number(f, (unsigned) f->context_register);
                return;
        }
        f->context_slot = pick_area(f, 8);
        reserve_area(f, f->context_slot, 8, true);
        emit_store(f, BPF_DW, BPF_REG_10, f->context_slot, BPF_REG_1);
}

/* A pointer that the function was called with, in a register of the caller's: something is done with it at once. */
static void use_argument(Function *f, unsigned argument, unsigned size, bool writable) {
        int pointer = take_pointer(f, CALLEE_SAVED);

        if (pointer < 0)
                return;
        emit_move(f, (unsigned) pointer, argument);
        emit_value_access(f, (unsigned) pointer, size, writable);
        release(f, pointer);
}

/* What must not depend on the order of entries, which is another one in each hash table. */
static void emit_map_callback(Function *f) {
        emit_load(f, BPF_DW, BPF_REG_5, BPF_REG_3, 0);
        emit_load(f, BPF_DW, BPF_REG_0, BPF_REG_4, 0);
        emit(f, BPF_ALU64 | BPF_X | (random_chance(f->random, 50) ? BPF_ADD : BPF_XOR), BPF_REG_0, BPF_REG_5, 0, 0);
        emit_store(f, BPF_DW, BPF_REG_4, 0, BPF_REG_0);
        if (random_chance(f->random, 50)) {
                emit_add(f, BPF_REG_5, random_between(f->random, -9, 9));
                emit_store(f, BPF_DW, BPF_REG_3, 0, BPF_REG_5);
        }
        f->state.numbers = REGISTER(BPF_REG_0) | REGISTER(BPF_REG_5);
}

static void begin(Function *f) {
        unsigned argument = BPF_REG_1;

        switch (f->kind) {
        case FUNCTION_MAIN: f->has_context = true; break;
        case FUNCTION_STATIC:
        case FUNCTION_GLOBAL: break;
        case FUNCTION_LOOP_CALLBACK:
                has_number(f, BPF_REG_1);
                f->pinned = REGISTER(BPF_REG_2);
                use_argument(f, BPF_REG_2, CALLER_AREA, true);
                f->pinned = 0;
                return;
        case FUNCTION_MAP_CALLBACK: emit_map_callback(f); return;
        }

        if (f->has_context)
                argument++;
        if (f->takes_stack)
                argument++;
        f->state.numbers = ((1U << f->n_arguments) - 1) << argument;
        if (f->has_context)
                keep_context(f);
        if (f->takes_stack) {
                f->pinned = REGISTER(argument - 1);
                use_argument(f, argument - 1, CALLER_AREA, true);
                f->pinned = 0;
        }
        if (random_chance(f->random, 50) && (int) f->stack != -f->context_slot) {
                /* the whole frame is in use */
                emit(f, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -(int) f->stack, 1);
                mark_written(f, -(int) f->stack, 8);
        }
}

/* As many instructions as programs rarely have: jumps over them have a long way. */
static void emit_bulk(Function *f, unsigned n) {
        for (unsigned dst; n > 0; n--) {
                dst = pick_target(f, REGISTERS);
                if (f->state.numbers & REGISTER(dst))
                        emit(f, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, (int32_t) n);
                else
                        make_number(f, dst);
        }
}

static void complete(Function *f, unsigned n_statements) {
        begin(f);
        if (f->kind == FUNCTION_MAIN)
                emit_bulk(f, f->request->bulk);
        if (f->kind == FUNCTION_MAIN && f->request->all_maps)
                statement_all_maps(f);
        if (f->kind != FUNCTION_MAP_CALLBACK)
                emit_block(f, n_statements);
        emit_last_ending(f);
        f->stack_need += round_frame(f->stack);
        f->complete = true;
}

Function *generate_function(Function *caller, FunctionKind kind, int map) {
        Generator *generator = caller->generator;
        Random *random = &generator->random;
        Function *f;
        unsigned most = MIN2(caller->stack_left, 160U);

        if (most < FRAME_UNIT || caller->level >= 3)
                return NULL;
        f = function_new(generator, kind, caller->level + 1);
        if (!f)
                return NULL;

        f->stack = 8 * (unsigned) random_between(random, 4, (int) most / 8);
        f->stack_left = caller->stack_left - round_frame(f->stack);
        f->callback_map = map;
        if (kind == FUNCTION_STATIC || kind == FUNCTION_GLOBAL) {
                f->has_context = caller->has_context && random_chance(random, 60);
                f->takes_stack = kind == FUNCTION_STATIC && random_chance(random, 30);
                f->n_arguments = (unsigned) random_between(random, 0, 5 - f->has_context - f->takes_stack);
        }
        complete(f, (unsigned) random_between(random, 1, kind == FUNCTION_LOOP_CALLBACK ? 2 : 5));
        return f;
}

static unsigned pick_stack(Generator *generator) {
        Random *random = &generator->random;
        unsigned stack = 8 * (unsigned) random_between(random, 8, 24);

        if (generator->request->jumps >= 0)
                return MIN2(stack, STACK_WITH_TAIL_CALL);
        switch (random_below(random, 10)) {
        case 0: generator->extras = false; return STACK_SIZE;
        case 1:
        case 2:
        case 3: stack = 8 * (unsigned) random_between(random, 24, STACK_WITH_EXTRAS / 8); break;
        }
        return stack;
}

static int generate_functions(Generator *generator) {
        Random *random = &generator->random;
        unsigned stack = pick_stack(generator), n_statements;
        Function *f = function_new(generator, FUNCTION_MAIN, 0);

        if (!f)
                return -ENOMEM;
        f->stack = random_chance(random, 30) ? stack : 8 * (unsigned) random_between(random, 6, (int) stack / 8);
        f->stack_left = (stack > round_frame(f->stack) ? stack - round_frame(f->stack) : 0) / FRAME_UNIT * FRAME_UNIT;
        n_statements = (unsigned) random_between(random, 1, random_chance(random, 20) ? 40 : 10);
        generator->statements_left = 3 * (int) n_statements;
        complete(f, n_statements);
        return generator->full ? -ENOSPC : 0;
}

/* Puts the functions behind one another and aims the calls. `starts` has room for FUNCTIONS_MAX. */
static int join_functions(const Generator *generator, Member *member, uint32_t *starts) {
        for (size_t i = 0; i < generator->n_functions; i++) {
                starts[i] = (uint32_t) member->n_insns;
                member->n_insns += generator->functions[i]->n_insns;
        }
        member->insns = calloc(member->n_insns, sizeof(struct bpf_insn));
        if (!member->insns)
                return -ENOMEM;

        for (size_t i = 0; i < generator->n_functions; i++) {
                const Function *f = generator->functions[i];

                memcpy(member->insns + starts[i], f->insns, f->n_insns * sizeof(struct bpf_insn));
                for (size_t j = 0; j < f->n_calls; j++) {
                        size_t insn = starts[i] + f->calls[j].insn;

                        member->insns[insn].imm = (int32_t) starts[f->calls[j].function] - (int32_t) insn - 1;
                }
        }
        return 0;
}

static int make_member(Generator *generator, Member **ret) {
        const GenerateRequest *request = generator->request;
        _cleanup_(member_freep) Member *member = calloc(1, sizeof(Member));
        uint32_t starts[FUNCTIONS_MAX];
        int r;

        if (!member)
                return -ENOMEM;
        member->type = hook_is_tc(request->hook) ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP;
        member->frags = request->frags;
        member->main_stack = UINT32_MAX;
        member->function = strdup(request->name);
        if (!member->function)
                return -ENOMEM;
        r = join_functions(generator, member, starts);
        if (r >= 0 && request->btf)
                r = make_types(generator, member, starts);
        if (r >= 0)
                r = member_scan(member, request->n_maps);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(member);
        return 0;
}

int generate_member(const GenerateRequest *request, Member **ret) {
        Generator generator = {
                .request = request,
                .random = { request->seed },
                .moves = request->moves,
                .tail_calls_left = TAIL_CALLS_MAX,
                .extras = true,
        };
        int r;

        r = generate_functions(&generator);
        if (r >= 0)
                r = make_member(&generator, ret);
        for (size_t i = 0; i < generator.n_functions; i++)
                function_free(generator.functions[i]);
        return r;
}

void print_instructions(FILE *f, const struct bpf_insn *insns, size_t n) {
        for (size_t i = 0; i < n; i++)
                fprintf(f, "  %4zu: code %02x dst r%u src r%u off %d imm %d\n", i, insns[i].code, insns[i].dst_reg,
                        insns[i].src_reg, insns[i].off, insns[i].imm);
}
