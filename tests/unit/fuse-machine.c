/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "fuse-machine.h"

#define MAY_GOTO 0xe0

static uint64_t address(const void *p) {
        return (uint64_t) (uintptr_t) p;
}

static uint64_t context(const Machine *machine) {
        return address(machine->context);
}

uint32_t machine_length(const Machine *machine) {
        return (hook_is_tc(machine->hook) ? MACHINE_LENGTH_TC : MACHINE_LENGTH_XDP) - machine->shrunk;
}

static void set_context(Machine *machine) {
        bool tc = hook_is_tc(machine->hook);

        machine->context[0] = tc ? machine_length(machine) : 1000;
        machine->context[1] = tc ? 0 : 1000 + machine_length(machine);
}

/* A function that is being run. */
typedef struct Run {
        Machine *machine;
        const FuseOutput *program;
        MachineFrame *frame;
        size_t pc;
        uint64_t r[11];
        unsigned known;    /* masks of registers: have a value */
        unsigned pointers; /* which is an address */
        bool ended;
        size_t n_spans; /* of the program, at most */
} Run;

static void stop(Run *run, const char *why) {
        if (run->machine->trap)
                return;
        run->machine->trap = why;
        run->machine->trap_at = run->pc;
}

static void set(Run *run, unsigned reg, uint64_t value, bool pointer) {
        if (reg >= 10) {
                stop(run, "writes a register that it can't");
                return;
        }
        run->r[reg] = value;
        run->known |= 1U << reg;
        run->pointers = pointer ? run->pointers | 1U << reg : run->pointers & ~(1U << reg);
}

static bool is_pointer(const Run *run, unsigned reg) {
        return run->pointers & (1U << reg);
}

static uint64_t get(Run *run, unsigned reg) {
        if (reg > 10 || !(run->known & (1U << reg))) {
                stop(run, "reads a register that nobody wrote");
                return 0;
        }
        return run->r[reg];
}

static uint64_t get_number(Run *run, unsigned reg) {
        uint64_t value = get(run, reg);

        if (!run->machine->trap && is_pointer(run, reg))
                stop(run, "takes an address for a number");
        return value;
}

static void lose(Run *run, unsigned mask) {
        run->known &= ~mask;
        run->pointers &= ~mask;
}

/* Memory ----------------------------------------------------------------------------------------------------------
 */

static bool lies_in(uint64_t at, size_t size, const void *memory, size_t room) {
        uint64_t begin = address(memory);

        return memory && at >= begin && at - begin <= room && room - (at - begin) >= size;
}

/* The frame that an address of so many bytes is in, or NULL. */
static MachineFrame *frame_of(Machine *machine, uint64_t at, size_t size) {
        for (unsigned i = 0; i < machine->depth; i++)
                if (lies_in(at, size, machine->frames[i].values, sizeof(machine->frames[i].values)))
                        return &machine->frames[i];
        return NULL;
}

static bool is_data(Machine *machine, uint64_t at, size_t size) {
        return lies_in(at, size, machine->counters, sizeof(machine->counters)) ||
               lies_in(at, size, &machine->carry, sizeof(machine->carry)) ||
               lies_in(at, size, machine->traces, machine->n_traces * sizeof(FuseTrace));
}

static uint64_t load(Run *run, uint64_t at, size_t size, bool *ret_pointer) {
        Machine *machine = run->machine;
        MachineFrame *frame = frame_of(machine, at, size);
        uint64_t value = 0;

        *ret_pointer = false;
        if (at % size != 0) {
                stop(run, "reads across a boundary");
        } else if (frame) {
                uint64_t bit = UINT64_C(1) << (at - address(frame->values)) / 8;

                *ret_pointer = frame->pointers & bit;
                if (!(frame->written & bit))
                        stop(run, "reads stack that nobody wrote");
                else if (*ret_pointer && size != 8)
                        stop(run, "reads a part of an address");
        } else if (!is_data(machine, at, size) &&
                   !(lies_in(at, size, machine->context, sizeof(machine->context)) && size == 4)) {
                stop(run, "reads what is not there");
        }
        if (!machine->trap)
                memcpy(&value, (const void *) (uintptr_t) at, size); /* little-endian, as the tests' machines are */
        return value;
}

static void store(Run *run, uint64_t at, size_t size, uint64_t value, bool pointer) {
        Machine *machine = run->machine;
        MachineFrame *frame = frame_of(machine, at, size);

        if (at % size != 0) {
                stop(run, "writes across a boundary");
        } else if (frame) {
                uint64_t bit = UINT64_C(1) << (at - address(frame->values)) / 8;

                if (pointer && size != 8)
                        stop(run, "writes a part of an address");
                frame->written |= bit;
                frame->pointers = pointer ? frame->pointers | bit : frame->pointers & ~bit;
        } else if (!is_data(machine, at, size) || pointer) {
                stop(run, "writes where it can't");
        }
        if (!machine->trap)
                memcpy((void *) (uintptr_t) at, &value, size);
}

static size_t size_of(const struct bpf_insn *insn) {
        switch (BPF_SIZE(insn->code)) {
        case BPF_B: return 1;
        case BPF_H: return 2;
        case BPF_W: return 4;
        default: return 8;
        }
}

static void run_load(Run *run, const struct bpf_insn *insn) {
        bool pointer;
        uint64_t value = load(run, get(run, insn->src_reg) + (uint64_t) insn->off, size_of(insn), &pointer);

        if (BPF_MODE(insn->code) != BPF_MEM)
                stop(run, "unknown load");
        set(run, insn->dst_reg, value, pointer);
}

static void run_atomic(Run *run, const struct bpf_insn *insn) {
        uint64_t at = get(run, insn->dst_reg) + (uint64_t) insn->off, value = get_number(run, insn->src_reg), old;
        bool pointer;

        if (insn->code != (BPF_STX | BPF_ATOMIC | BPF_DW)) {
                stop(run, "unknown store");
                return;
        }
        old = load(run, at, 8, &pointer);
        if (pointer)
                stop(run, "takes an address for a number");
        switch (insn->imm) {
        case BPF_ADD: store(run, at, 8, old + value, false); break;
        case BPF_ADD | BPF_FETCH:
                store(run, at, 8, old + value, false);
                set(run, insn->src_reg, old, false);
                break;
        case BPF_XCHG:
                store(run, at, 8, value, false);
                set(run, insn->src_reg, old, false);
                break;
        case BPF_CMPXCHG:
                if (old == get_number(run, 0))
                        store(run, at, 8, value, false);
                set(run, 0, old, false);
                break;
        default: stop(run, "unknown atomic operation");
        }
}

static void run_store(Run *run, const struct bpf_insn *insn) {
        uint64_t at;

        if (BPF_MODE(insn->code) != BPF_MEM) {
                run_atomic(run, insn);
                return;
        }
        at = get(run, insn->dst_reg) + (uint64_t) insn->off;
        if (BPF_CLASS(insn->code) == BPF_ST)
                store(run, at, size_of(insn), (uint64_t) (int64_t) insn->imm, false);
        else
                store(run, at, size_of(insn), get(run, insn->src_reg), is_pointer(run, insn->src_reg));
}

/* Arithmetic ------------------------------------------------------------------------------------------------------
 */

static uint64_t sign_extended(uint64_t value, int bits) {
        switch (bits) {
        case 8: return (uint64_t) (int8_t) value;
        case 16: return (uint64_t) (int16_t) value;
        case 32: return (uint64_t) (int32_t) value;
        default: return value;
        }
}

static uint64_t compute(Run *run, const struct bpf_insn *insn, uint64_t a, uint64_t b) {
        unsigned bits = BPF_CLASS(insn->code) == BPF_ALU64 ? 63 : 31;

        switch (BPF_OP(insn->code)) {
        case BPF_ADD: return a + b;
        case BPF_SUB: return a - b;
        case BPF_MUL: return a * b;
        case BPF_DIV:
                if (bits == 31)
                        return (uint32_t) b == 0 ? 0 : (uint32_t) a / (uint32_t) b;
                return b == 0 ? 0 : a / b;
        case BPF_OR: return a | b;
        case BPF_AND: return a & b;
        case BPF_XOR: return a ^ b;
        case BPF_LSH: return a << (b & bits);
        case BPF_RSH: return (bits == 31 ? (uint32_t) a : a) >> (b & bits);
        default: stop(run, "unknown operation"); return 0;
        }
}

static void run_alu(Run *run, const struct bpf_insn *insn) {
        bool wide = BPF_CLASS(insn->code) == BPF_ALU64, by_register = BPF_SRC(insn->code) == BPF_X;
        bool moves = BPF_OP(insn->code) == BPF_MOV, pointer = false;
        uint64_t b = by_register ? get(run, insn->src_reg) : (uint64_t) (int64_t) insn->imm, value;

        if (moves) {
                pointer = by_register && is_pointer(run, insn->src_reg);
                value = by_register ? sign_extended(b, insn->off) : b;
                if (pointer && (!wide || insn->off != 0))
                        stop(run, "takes an address for a number");
        } else {
                bool adds = BPF_OP(insn->code) == BPF_ADD, one = is_pointer(run, insn->dst_reg),
                     other = by_register && is_pointer(run, insn->src_reg);

                /* addresses grow and shrink by numbers */
                pointer = one || other;
                if (pointer && (!wide || (one && other) || (!adds && (other || BPF_OP(insn->code) != BPF_SUB))))
                        stop(run, "takes an address for a number");
                value = compute(run, insn, get(run, insn->dst_reg), b);
        }
        set(run, insn->dst_reg, wide ? value : (uint32_t) value, pointer);
}

/* Ways ------------------------------------------------------------------------------------------------------------
 */

static bool compare(Run *run, const struct bpf_insn *insn) {
        bool by_register = BPF_SRC(insn->code) == BPF_X, wide = BPF_CLASS(insn->code) == BPF_JMP;
        uint64_t a = get(run, insn->dst_reg), b;

        if (BPF_OP(insn->code) == MAY_GOTO)
                return false;
        b = by_register ? get_number(run, insn->src_reg) : (uint64_t) (int64_t) insn->imm;
        /* of addresses only that there is one may be asked */
        if (is_pointer(run, insn->dst_reg) &&
            (!wide || by_register || b != 0 || (BPF_OP(insn->code) != BPF_JEQ && BPF_OP(insn->code) != BPF_JNE)))
                stop(run, "takes an address for a number");
        if (!wide) {
                a = (uint32_t) a;
                b = (uint32_t) b;
        }
        switch (BPF_OP(insn->code)) {
        case BPF_JEQ: return a == b;
        case BPF_JNE: return a != b;
        case BPF_JGT: return a > b;
        case BPF_JGE: return a >= b;
        case BPF_JLT: return a < b;
        case BPF_JLE: return a <= b;
        case BPF_JSET: return a & b;
        case BPF_JSGT: return wide ? (int64_t) a > (int64_t) b : (int32_t) a > (int32_t) b;
        case BPF_JSLT: return wide ? (int64_t) a < (int64_t) b : (int32_t) a < (int32_t) b;
        default: stop(run, "unknown comparison"); return false;
        }
}

static uint64_t run_function(Machine *machine, const FuseOutput *program, size_t pc, const uint64_t arguments[6],
                             unsigned known, unsigned pointers, bool *ret_pointer);

/* Is this where a called member, or one that is a program of its own, begins? */
static bool is_entry(const FuseOutput *program, size_t pc) {
        for (size_t i = 0; i < CHAIN_SLOTS_MAX; i++)
                if (program->spans[i].end > 0 && program->spans[i].start == pc)
                        return true;
        return false;
}

static void call_function(Run *run, size_t target) {
        bool pointer, entry = is_entry(run->program, target);
        uint64_t value;

        run->machine->n_calls++;
        if (entry && run->program->n_func_info > 1 && run->r[1] != context(run->machine))
                stop(run, "a member is called with something else than the context");
        value = run_function(run->machine, run->program, target, run->r, run->known & (entry ? 2 : 0x3e),
                             run->pointers & 0x3e, &pointer);
        lose(run, 0x3e);
        set(run, 0, value, pointer);
}

static uint64_t answer(Machine *machine) {
        if (machine->next_answer < machine->n_answers)
                return machine->answers[machine->next_answer++];
        return 0;
}

/* The value of a map of the chain's own, or 0. */
static uint64_t look_up(Run *run) {
        Machine *machine = run->machine;
        bool pointer;
        uint32_t key = (uint32_t) load(run, get(run, 2), 4, &pointer);

        switch (get(run, 1)) {
        case MACHINE_COUNTERS_FD: return key > 0 || machine->no_counters ? 0 : address(machine->counters);
        case MACHINE_CARRY_FD: return key > 0 ? 0 : address(&machine->carry);
        case MACHINE_TRACE_FD: return key >= machine->n_traces ? 0 : address(&machine->traces[key]);
        default: stop(run, "looks up in an unknown map"); return 0;
        }
}

static void tail_call(Run *run) {
        Machine *machine = run->machine;
        uint64_t slot = get_number(run, 3);

        if (get(run, 1) != context(machine))
                stop(run, "a tail call with something else than the context");
        if (get(run, 2) == MACHINE_SLOTS_FD && slot < FUSE_SLOTS_MAX && machine->slots[slot] && !machine->trap) {
                uint64_t value;
                bool pointer;

                /* in the place of the function that calls */
                run->ended = true;
                machine->depth--;
                value = run_function(machine, machine->slots[slot], 0, run->r, 2, run->pointers & 2, &pointer);
                machine->depth++;
                set(run, 0, value, pointer);
                return;
        }
        lose(run, 0x3f);
}

static void load_bytes(Run *run) {
        uint64_t length = get_number(run, 4);

        if (get(run, 1) != context(run->machine) || get_number(run, 2) != 0 || length == 0)
                stop(run, "loads bytes from nowhere");
        for (uint64_t i = 0; i < length && !run->machine->trap; i++)
                store(run, get(run, 3) + i, 1, 0xab, false);
        lose(run, 0x3e);
        set(run, 0, 0, false);
}

static void call_helper(Run *run, int32_t helper) {
        uint64_t value;

        switch (helper) {
        case BPF_FUNC_map_lookup_elem:
                value = look_up(run);
                lose(run, 0x3e);
                set(run, 0, value, true);
                break;
        case BPF_FUNC_tail_call: tail_call(run); break;
        case BPF_FUNC_xdp_get_buff_len:
                if (get(run, 1) != context(run->machine) || run->machine->hook != HOOK_XDP)
                        stop(run, "asks for the length of something else than the packet");
                lose(run, 0x3e);
                set(run, 0, machine_length(run->machine), false);
                break;
        case BPF_FUNC_skb_load_bytes:
        case BPF_FUNC_xdp_load_bytes: load_bytes(run); break;
        case BPF_FUNC_skb_change_tail:
        case BPF_FUNC_xdp_adjust_tail:
                run->machine->shrunk += run->machine->shrunk < 32;
                set_context(run->machine);
                lose(run, 0x3e);
                set(run, 0, 0, false);
                break;
        default: lose(run, 0x3e); set(run, 0, answer(run->machine), false);
        }
}

static void run_jump(Run *run, const struct bpf_insn *insn) {
        switch (insn->code) {
        case BPF_JMP | BPF_EXIT: run->ended = true; return;
        case BPF_JMP | BPF_JA: run->pc += (size_t) (int64_t) insn->off; return;
        case BPF_JMP32 | BPF_JA: run->pc += (size_t) (int64_t) insn->imm; return;
        case BPF_JMP | BPF_CALL:
                if (insn->src_reg == BPF_PSEUDO_CALL)
                        call_function(run, run->pc + 1 + (size_t) (int64_t) insn->imm);
                else if (insn->src_reg == 0)
                        call_helper(run, insn->imm);
                else
                        call_helper(run, -1);
                return;
        }
        if (compare(run, insn))
                run->pc += (size_t) (int64_t) insn->off;
}

static void run_wide(Run *run, const struct bpf_insn *insn) {
        if (!insn_is_wide(insn)) {
                stop(run, "unknown load");
                return;
        }
        if (insn->src_reg == 0)
                set(run, insn->dst_reg, (uint32_t) insn->imm | (uint64_t) (uint32_t) insn[1].imm << 32, false);
        else
                set(run, insn->dst_reg, (uint32_t) insn->imm, true);
        run->pc++;
}

static void step(Run *run, const struct bpf_insn *insn) {
        switch (BPF_CLASS(insn->code)) {
        case BPF_LD: run_wide(run, insn); break;
        case BPF_LDX: run_load(run, insn); break;
        case BPF_ST:
        case BPF_STX: run_store(run, insn); break;
        case BPF_ALU:
        case BPF_ALU64: run_alu(run, insn); break;
        default: run_jump(run, insn);
        }
}

/* An inlined member must find the context where it began alone. */
static void check_arrival(Run *run, size_t from) {
        for (size_t i = 0; i < run->n_spans; i++) {
                const FuseSpan *span = &run->program->spans[i];

                if (span->end > 0 && span->start == run->pc && !(from >= span->start && from < span->end) &&
                    run->r[1] != context(run->machine))
                        stop(run, "a member begins with something else than the context");
        }
}

static uint64_t run_function(Machine *machine, const FuseOutput *program, size_t pc, const uint64_t arguments[6],
                             unsigned known, unsigned pointers, bool *ret_pointer) {
        Run run = { .machine = machine,
                    .program = program,
                    .pc = pc,
                    .known = known | 1U << 10,
                    .pointers = pointers | 1U << 10 };
        size_t from = SIZE_MAX;

        *ret_pointer = false;
        for (size_t i = 0; i < CHAIN_SLOTS_MAX; i++)
                if (program->spans[i].end > 0)
                        run.n_spans = i + 1;
        if (machine->depth >= (machine->depth_max > 0 ? machine->depth_max : MACHINE_DEPTH_MAX)) {
                stop(&run, "calls too deep");
                return 0;
        }
        run.frame = &machine->frames[machine->depth++];
        run.frame->written = run.frame->pointers = 0;
        memcpy(run.r, arguments, 6 * sizeof(uint64_t));
        run.r[10] = address(&run.frame->values[ELEMENTSOF(run.frame->values)]);

        while (!run.ended && !machine->trap) {
                if (run.pc >= program->n_insns) {
                        stop(&run, "runs out of the program");
                        break;
                }
                if (++machine->n_steps > (machine->steps_max > 0 ? machine->steps_max : 50000)) {
                        stop(&run, "takes too long");
                        break;
                }
                check_arrival(&run, from);
                from = run.pc;
                step(&run, &program->insns[run.pc]);
                run.pc++;
        }
        machine->depth--;
        if (machine->trap)
                return 0;
        *ret_pointer = is_pointer(&run, 0);
        return get(&run, 0);
}

int machine_run(Machine *machine, const FuseOutput *program) {
        const uint64_t arguments[6] = { 0, context(machine) };
        uint64_t value;
        bool pointer;

        set_context(machine);
        machine->depth = 0;
        machine->n_steps = 0;
        machine->trap = NULL;
        value = run_function(machine, program, 0, arguments, 2, 2, &pointer);
        if (pointer && !machine->trap)
                machine->trap = "answers with an address";
        return (int) (uint32_t) value;
}
