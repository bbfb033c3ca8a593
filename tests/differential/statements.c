/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers, stack, control flow; and the choice of statements. */

#include "function.h"

static const unsigned sizes[] = { BPF_B, BPF_H, BPF_W, BPF_DW };

#define SIZE_BYTES(i) (1U << (i))

#define LOOPS_NESTED 2

static void shift(Function *f, unsigned dst, unsigned class, unsigned operation) {
        if (random_chance(f->random, 30)) {
                /* by a register, of which the lower bits count */
                emit(f, class | operation | BPF_X, dst, pick_number(f, REGISTERS), 0, 0);
                return;
        }
        emit(f, class | operation | BPF_K, dst, 0, 0, random_between(f->random, 0, class == BPF_ALU64 ? 63 : 31));
}

static void swap_bytes(Function *f, unsigned dst) {
        static const int widths[] = { 16, 32, 64 };

        emit(f, BPF_ALU | BPF_END | (random_chance(f->random, 50) ? BPF_TO_BE : BPF_TO_LE), dst, 0, 0,
             RANDOM_OF(f->random, widths));
}

/* Of -mcpu=v4: signed division, moves with sign extension, unconditional swaps. */
static void alu_v4(Function *f, unsigned dst, unsigned class) {
        static const int moves[] = { 8, 16, 32 };

        switch (random_below(f->random, 3)) {
        case 0:
                emit(f, class | (random_chance(f->random, 50) ? BPF_DIV : BPF_MOD) | BPF_K, dst, 0, 1,
                     random_between(f->random, 2, 100));
                break;
        case 1:
                emit(f, class | BPF_MOV | BPF_X, dst, pick_number(f, REGISTERS),
                     moves[random_below(f->random, class == BPF_ALU64 ? 3 : 2)], 0);
                break;
        case 2: emit(f, BPF_ALU64 | BPF_END, dst, 0, 0, 16 << random_below(f->random, 3)); break;
        }
}

void statement_alu(Function *f) {
        static const unsigned operations[] = {
                BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_OR, BPF_AND, BPF_XOR
        };
        static const unsigned shifts[] = { BPF_LSH, BPF_RSH, BPF_ARSH };

        for (int n = random_between(f->random, 1, 4); n > 0; n--) {
                unsigned class = random_chance(f->random, 50) ? BPF_ALU64 : BPF_ALU;
                unsigned dst = pick_target(f, REGISTERS);

                if (!(f->state.numbers & REGISTER(dst)) || random_chance(f->random, 25)) {
                        make_number(f, dst);
                        continue;
                }
                switch (random_below(f->random, 8)) {
                case 0: shift(f, dst, class, RANDOM_OF(f->random, shifts)); break;
                case 1: emit(f, class | BPF_NEG, dst, 0, 0, 0); break;
                case 2: swap_bytes(f, dst); break;
                case 3:
                        if (f->request->features->v4) {
                                alu_v4(f, dst, class);
                                break;
                        }
                        /* fall through */
                case 4:
                        emit(f, class | RANDOM_OF(f->random, operations) | BPF_K, dst, 0, 0,
                             random_between(f->random, 1, INT32_MAX - 1));
                        break;
                default:
                        emit(f, class | RANDOM_OF(f->random, operations) | BPF_X, dst, pick_number(f, REGISTERS), 0,
                             0);
                }
        }
}

/* Somewhere in the frame, aligned to its size; 0: there is no place. */
static int pick_place(Function *f, unsigned bytes, bool written) {
        for (unsigned tries = 0; tries < 10; tries++) {
                int area = pick_area(f, 8), off;

                if (area == 0)
                        return 0;
                off = area + (int) (bytes * random_below(f->random, 8 / bytes));
                if (!written || area_written(f, off, bytes))
                        return off;
        }
        return 0;
}

void statement_stack(Function *f) {
        for (int n = random_between(f->random, 1, 3); n > 0; n--) {
                unsigned size = random_below(f->random, 4);
                bool load = random_chance(f->random, 50);
                int off = pick_place(f, SIZE_BYTES(size), load);
                unsigned dst;

                if (off == 0)
                        continue;
                if (load) {
                        dst = pick_target(f, REGISTERS);
                        emit_load(f, sizes[size], dst, BPF_REG_10, off);
                        has_number(f, dst);
                        continue;
                }
                if (random_chance(f->random, 30))
                        emit(f, BPF_ST | BPF_MEM | sizes[size], BPF_REG_10, 0, off,
                             (int32_t) random_number(f->random));
                else
                        emit_store(f, sizes[size], BPF_REG_10, off, pick_number(f, REGISTERS));
                mark_written(f, off, SIZE_BYTES(size));
        }
}

/* Many slots at once. */
void statement_stack_run(Function *f) {
        unsigned size = 8 * (unsigned) random_between(f->random, 2, 12);
        int off = pick_area(f, size);

        if (off != 0)
                fill_area(f, off, size);
}

/* A store and a load whose place depends on a number. */
void statement_stack_variable(Function *f) {
        int off = pick_area(f, 32), pointer, index;
        unsigned dst;

        if (off == 0 || !area_written(f, off, 32))
                return;
        index = take_pointer(f, REGISTERS);
        pointer = index < 0 ? -1 : take_pointer(f, REGISTERS);
        if (pointer >= 0) {
                emit_move(f, (unsigned) index, pick_number(f, REGISTERS));
                emit(f, BPF_ALU64 | BPF_AND | BPF_K, (unsigned) index, 0, 0, 0x18);
                emit_stack_address(f, (unsigned) pointer, off);
                emit(f, BPF_ALU64 | BPF_ADD | BPF_X, (unsigned) pointer, (unsigned) index, 0, 0);
                emit_store(f, BPF_DW, (unsigned) pointer, 0, pick_number(f, REGISTERS));
                dst = pick_target(f, REGISTERS);
                emit_load(f, BPF_DW, dst, (unsigned) pointer, 0);
                has_number(f, dst);
        }
        release(f, pointer);
        release(f, index);
}

/* Of the context, a number. */
static int plain_field(const Function *f) {
        return hook_is_tc(f->request->hook) ? (int) offsetof(struct __sk_buff, len)
                                            : (int) offsetof(struct xdp_md, rx_queue_index);
}

/* The context goes over the stack and back. */
void statement_spill(Function *f) {
        int off = pick_area(f, 8), pointer;

        if (off == 0 || !f->has_context)
                return;
        pointer = take_pointer(f, REGISTERS);
        if (pointer < 0)
                return;
        emit_context(f, (unsigned) pointer);
        emit_store(f, BPF_DW, BPF_REG_10, off, (unsigned) pointer);
        reserve_area(f, off, 8, true);
        emit_block(f, 1);
        reserve_area(f, off, 8, false);
        if (f->state.ended)
                return release(f, pointer);
        emit_load(f, BPF_DW, (unsigned) pointer, BPF_REG_10, off);
        emit_load(f, BPF_W, (unsigned) pointer, (unsigned) pointer, plain_field(f));
        release(f, pointer);
        has_number(f, (unsigned) pointer);
        emit(f, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, off, 0);
        mark_written(f, off, 8);
}

size_t emit_random_jump(Function *f) {
        static const unsigned conditions[] = { BPF_JEQ,  BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
                                               BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET };
        unsigned class = random_chance(f->random, 50) ? BPF_JMP : BPF_JMP32;
        unsigned condition = RANDOM_OF(f->random, conditions), left = pick_number(f, REGISTERS);
        unsigned right = pick_number(f, REGISTERS);

        if (random_chance(f->random, 70))
                return emit(f, class | condition | BPF_K, left, 0, 0, (int32_t) random_number(f->random));
        return emit(f, class | condition | BPF_X, left, right, 0, 0);
}

void statement_if(Function *f) {
        size_t otherwise = emit_random_jump(f), end;
        State before = f->state, first;

        emit_block(f, (unsigned) random_between(f->random, 1, 3));
        if (random_chance(f->random, 50)) {
                aim_here(f, otherwise);
                f->state = merge_states(&f->state, &before);
                return;
        }
        first = f->state;
        end = first.ended ? 0 : emit(f, BPF_JMP | BPF_JA, 0, 0, 0, 0);
        aim_here(f, otherwise);
        f->state = before;
        emit_block(f, (unsigned) random_between(f->random, 1, 3));
        if (!first.ended)
                aim_here(f, end);
        f->state = merge_states(&f->state, &first);
}

void statement_loop(Function *f) {
        bool calls = may_call(f) && random_chance(f->random, 50);
        bool bounded =
                f->request->features->may_goto && may_use_extras(f) && f->loops == 0 && random_chance(f->random, 10);
        uint32_t pinned = f->pinned, keep_number = f->keep_number;
        int counter = f->loops < LOOPS_NESTED ? take_pointer(f, calls ? CALLEE_SAVED : REGISTERS) : -1;
        State head;
        size_t top, leave = 0;

        if (counter < 0)
                return;
        emit_set(f, (unsigned) counter, random_between(f->random, 1, 5));
        f->keep_number |= f->state.numbers & (calls ? CALLEE_SAVED : REGISTERS);
        f->state.numbers = f->keep_number | REGISTER(counter);
        head = f->state;

        top = f->n_insns;
        if (bounded)
                leave = emit(f, BPF_JMP | INSN_JCOND, 0, 0, 0, 0);
        /* a bounded one has none within, which would be much work for the verifier */
        f->loops += bounded ? LOOPS_NESTED : 1;
        emit_block(f, (unsigned) random_between(f->random, 1, 3));
        f->loops -= bounded ? LOOPS_NESTED : 1;
        if (!f->state.ended) {
                emit_add(f, (unsigned) counter, -1);
                emit(f, BPF_JMP | BPF_JNE | BPF_K, (unsigned) counter, 0, (int) top - (int) f->n_insns - 1, 0);
        }
        if (bounded) {
                aim_here(f, leave);
                f->state = merge_states(&f->state, &head);
        }
        f->pinned = pinned;
        f->keep_number = keep_number;
}

/* Endings. */

static int pick_verdict(Function *f) {
        static const int others_xdp[] = { 5, 6, 100, -1, INT32_MAX, INT32_MIN, 256 + 2 };
        static const int others_tc[] = { 9, 10, -2, 100, INT32_MAX, INT32_MIN, 256 };
        const GenerateRequest *request = f->request;
        unsigned n = verdict_buckets(request->hook);
        uint32_t among = (1U << n) - 1;
        unsigned bucket;

        if (request->proceed_on != 0 && random_chance(f->random, request->proceed_percent))
                among = request->proceed_on;
        bucket = (unsigned) random_bit(f->random, among);
        if (bucket < n - 1)
                return hook_is_tc(request->hook) ? (int) bucket - 1 : (int) bucket;
        return hook_is_tc(request->hook) ? RANDOM_OF(f->random, others_tc) : RANDOM_OF(f->random, others_xdp);
}

/* The kernel takes the lower half of r0. */
static void emit_verdict(Function *f, unsigned dst) {
        int verdict = pick_verdict(f);

        switch (random_below(f->random, 4)) {
        case 0: emit_wide(f, dst, 0, verdict, (int32_t) random_next(f->random)); break;
        case 1: emit(f, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, verdict); break;
        default: emit_set(f, dst, verdict);
        }
        has_number(f, dst);
}

/* One verdict or another, by whatever numbers there are. It may be made up in another register. */
static void emit_choice(Function *f) {
        uint32_t pinned = f->pinned;
        unsigned dst = random_chance(f->random, 60) ? BPF_REG_0 : pick_target(f, REGISTERS);
        size_t jump;

        emit_verdict(f, dst);
        f->pinned |= REGISTER(dst);
        jump = emit_random_jump(f);
        f->pinned = pinned;
        if (random_chance(f->random, 80))
                emit_verdict(f, dst);
        else
                emit_add(f, dst, 1);
        aim_here(f, jump);
        if (dst != BPF_REG_0)
                emit(f, (random_chance(f->random, 50) ? BPF_ALU : BPF_ALU64) | BPF_MOV | BPF_X, BPF_REG_0, dst, 0, 0);
}

static void emit_computed(Function *f) {
        unsigned n = pick_number(f, REGISTERS);

        if (n != BPF_REG_0)
                emit_move(f, BPF_REG_0, n);
        if (random_chance(f->random, 70))
                emit(f, BPF_ALU | (random_chance(f->random, 50) ? BPF_AND : BPF_MOD) | BPF_K, BPF_REG_0, 0, 0,
                     random_between(f->random, 1, 7));
}

static void emit_redirect(Function *f) {
        emit_set(f, BPF_REG_1, random_between(f->random, 1, 3));
        emit_set(f, BPF_REG_2, 0);
        emit_helper(f, BPF_FUNC_redirect);
}

/* Puts into r0 what the function returns. */
static void emit_result(Function *f) {
        bool stray = random_chance(f->random, f->request->proceed_percent) ? false : random_chance(f->random, 30);

        switch (f->kind) {
        case FUNCTION_MAIN:
                if (stray && may_call(f) && random_chance(f->random, 40))
                        emit_redirect(f);
                else if (stray)
                        emit_computed(f);
                else if (random_chance(f->random, 40))
                        emit_choice(f);
                else
                        emit_verdict(f, BPF_REG_0);
                break;
        case FUNCTION_STATIC:
        case FUNCTION_GLOBAL:
                if (random_chance(f->random, 50))
                        emit_move(f, BPF_REG_0, pick_number(f, REGISTERS));
                else
                        emit_set(f, BPF_REG_0, (int32_t) random_number(f->random));
                break;
        case FUNCTION_LOOP_CALLBACK: emit_set(f, BPF_REG_0, random_chance(f->random, 20)); break;
        case FUNCTION_MAP_CALLBACK: emit_set(f, BPF_REG_0, 0); break;
        }
}

/* Compilers give a function one exit, to which everything jumps; others have many. */
void emit_ending(Function *f) {
        emit_result(f);
        f->state.ended = true;
        if (f->n_to_exit < EXIT_JUMPS_MAX && random_chance(f->random, 40)) {
                f->to_exit[f->n_to_exit++] = emit(f, BPF_JMP | BPF_JA, 0, 0, 0, 0);
        } else if (f->exit != 0 && random_chance(f->random, 30)) {
                int32_t back = (int32_t) f->exit - (int32_t) f->n_insns - 1;

                if (f->request->features->v4 && random_chance(f->random, 30))
                        emit(f, BPF_JMP32 | BPF_JA, 0, 0, 0, back);
                else
                        emit(f, BPF_JMP | BPF_JA, 0, 0, back, 0);
        } else {
                f->exit = emit(f, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
        }
}

void emit_last_ending(Function *f) {
        if (!f->state.ended)
                emit_result(f);
        else if (f->n_to_exit == 0)
                return;
        for (size_t i = 0; i < f->n_to_exit; i++)
                aim_here(f, f->to_exit[i]);
        emit(f, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
        f->state.ended = true;
}

/* A verdict, and perhaps the end with it. */
void statement_early_exit(Function *f) {
        if ((f->pinned & REGISTER(BPF_REG_0)) || f->kind != FUNCTION_MAIN || f->n_to_exit == EXIT_JUMPS_MAX)
                return;
        if (random_chance(f->random, 60))
                emit_verdict(f, BPF_REG_0);
        else
                emit_choice(f);
        f->to_exit[f->n_to_exit++] = emit_random_jump(f);
}

void statement_return(Function *f) {
        size_t jump = emit_random_jump(f);
        State before = f->state;

        emit_ending(f);
        aim_here(f, jump);
        f->state = before;
}

/* The choice. */

enum {
        FOR_ALL = 0,
        FOR_XDP = 1,
        FOR_TC = 2,
        FOR_CONTEXT = 4, /* needs one */
        FOR_CALLS = 8,   /* needs r0 to r5 */
        FOR_BTF = 16,
};

static const struct {
        void (*emit)(Function *f);
        unsigned weight;
        unsigned needs;
} statements[] = {
        { statement_alu, 12, FOR_ALL },
        { statement_stack, 8, FOR_ALL },
        { statement_stack_run, 3, FOR_ALL },
        { statement_stack_variable, 3, FOR_ALL },
        { statement_spill, 2, FOR_CONTEXT },
        { statement_if, 8, FOR_ALL },
        { statement_loop, 3, FOR_ALL },
        { statement_return, 3, FOR_ALL },
        { statement_early_exit, 3, FOR_ALL },
        { statement_packet, 12, FOR_CONTEXT },
        { statement_packet_bytes, 4, FOR_CONTEXT | FOR_CALLS },
        { statement_context, 5, FOR_CONTEXT },
        { statement_metadata, 3, FOR_XDP | FOR_CONTEXT },
        { statement_move_head, 4, FOR_CONTEXT | FOR_CALLS },
        { statement_move_meta, 3, FOR_XDP | FOR_CONTEXT | FOR_CALLS },
        { statement_move_tail, 4, FOR_CONTEXT | FOR_CALLS },
        { statement_classic_load, 2, FOR_TC | FOR_CONTEXT | FOR_CALLS },
        { statement_checksum, 2, FOR_CALLS },
        { statement_map_lookup, 14, FOR_CALLS },
        { statement_map_update, 6, FOR_CALLS },
        { statement_map_delete, 2, FOR_CALLS },
        { statement_queue, 2, FOR_CALLS },
        { statement_global, 7, FOR_ALL },
        { statement_helper, 4, FOR_CALLS },
        { statement_call, 8, FOR_CALLS },
        { statement_bpf_loop, 2, FOR_CALLS | FOR_BTF },
        { statement_for_each, 3, FOR_CALLS | FOR_BTF },
        { statement_tail_call, 6, FOR_CONTEXT | FOR_CALLS },
};

static bool fits(const Function *f, unsigned needs) {
        bool tc = hook_is_tc(f->request->hook);

        if (((needs & FOR_XDP) && tc) || ((needs & FOR_TC) && !tc))
                return false;
        if ((needs & FOR_CONTEXT) && !f->has_context)
                return false;
        if ((needs & FOR_CALLS) && !may_call(f))
                return false;
        return !(needs & FOR_BTF) || f->request->btf;
}

static void emit_statement(Function *f) {
        unsigned sum = 0, n;

        for (size_t i = 0; i < ELEMENTSOF(statements); i++)
                sum += fits(f, statements[i].needs) ? statements[i].weight : 0;
        n = random_below(f->random, sum);
        for (size_t i = 0; i < ELEMENTSOF(statements); i++) {
                if (!fits(f, statements[i].needs))
                        continue;
                if (n < statements[i].weight)
                        return statements[i].emit(f);
                n -= statements[i].weight;
        }
}

void emit_block(Function *f, unsigned n) {
        for (; n > 0 && !f->state.ended && f->generator->statements_left > 0; n--) {
                f->generator->statements_left--;
                emit_statement(f);
        }
}
