/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse-input.h"
#include "fuzz.h"
#include "kernel/fuse-form.h"

#define INSNS_MAX       20000  /* of a member */
#define CHAIN_INSNS_MAX 150000 /* of all slots */
#define MAP_FD_FIRST    2000

uint8_t input_byte(Input *input) {
        if (input->size == 0)
                return 0;
        input->size--;
        return *input->data++;
}

static int8_t signed_byte(Input *input) {
        return (int8_t) input_byte(input);
}

static uint32_t word(Input *input) {
        uint32_t value = 0;

        for (unsigned i = 0; i < 4; i++)
                value |= (uint32_t) input_byte(input) << 8 * i;
        return value;
}

/* A number that is small mostly. */
static int32_t number(Input *input) {
        int8_t value = signed_byte(input);

        return value == INT8_MIN ? (int32_t) word(input) : value;
}

/* Members ---------------------------------------------------------------------------------------------------------
 */

#define FUNCTIONS_MAX 8

typedef struct Maker {
        Input *input;
        InputMember *to;
        struct bpf_insn *insns;
        size_t n;
        size_t room;
        bool tame;
        /* of tame members: */
        unsigned registers;               /* mask of those that hold numbers */
        size_t starts[FUNCTIONS_MAX + 1]; /* of functions */
        size_t n_functions;
        size_t n_wanted; /* functions */
} Maker;

static void add(Maker *maker, unsigned code, unsigned dst, unsigned src, int off, int32_t imm) {
        if (maker->n >= INSNS_MAX)
                return;
        if (maker->n >= maker->room) {
                maker->room = 2 * maker->room + 64;
                maker->insns = reallocarray(maker->insns, maker->room, sizeof(struct bpf_insn));
                MUST(maker->insns);
        }
        maker->insns[maker->n++] = (struct bpf_insn){
                .code = (uint8_t) code, .dst_reg = dst & 15, .src_reg = src & 15, .off = (int16_t) off, .imm = imm
        };
}

static void add_wide(Maker *maker, unsigned dst, unsigned src, int32_t low, int32_t high) {
        if (maker->n + 2 > INSNS_MAX)
                return;
        add(maker, BPF_LD | BPF_IMM | BPF_DW, dst, src, 0, low);
        add(maker, 0, 0, 0, 0, high);
}

/* A register: all that there are, of tame members one that holds a number. */
static unsigned reg(Maker *maker) {
        unsigned value = input_byte(maker->input);

        if (!maker->tame)
                return value % 16;
        while (!(maker->registers & (1U << value % 10)))
                value++;
        return value % 10;
}

/* How far a jump leads. Tame members have theirs led elsewhere, but for jumps of 1 or 2 instructions. */
static int jump(Maker *maker) {
        int off = (int16_t) number(maker->input);

        return maker->tame && (off == 1 || off == 2) ? off + 2 : off;
}

static int stack_offset(Maker *maker) {
        static const int places[] = { -8, -16, -24, -64, -200, -440, -480, -512 };
        uint8_t which = input_byte(maker->input);

        return maker->tame || which < ELEMENTSOF(places) ? places[which % ELEMENTSOF(places)] : (int8_t) which;
}

static unsigned comparison(Maker *maker) {
        static const unsigned ops[] = { BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JLT, BPF_JSGT, BPF_JSLT, BPF_JSET, BPF_JGE };

        return ops[input_byte(maker->input) % ELEMENTSOF(ops)] | (input_byte(maker->input) & 1 ? BPF_JMP : BPF_JMP32);
}

/* Tame members reach what is behind an exit or a jump: another jump leads over it. */
static void add_way_round(Maker *maker) {
        if (maker->tame)
                add(maker, BPF_JMP | BPF_JEQ | BPF_K, reg(maker), 0, 1, number(maker->input));
}

static void add_call(Maker *maker) {
        static const int32_t helpers[] = { BPF_FUNC_get_prandom_u32, BPF_FUNC_xdp_adjust_tail, BPF_FUNC_tail_call,
                                           BPF_FUNC_get_smp_processor_id };
        uint8_t which = input_byte(maker->input);

        if (which == UINT8_MAX)
                add(maker, BPF_JMP | BPF_CALL, 0, 0, 0, (int32_t) word(maker->input));
        else
                add(maker, BPF_JMP | BPF_CALL, 0, 0, 0, helpers[which % ELEMENTSOF(helpers)]);
}

/* What most programs are made of: a question, and an answer. */
static void add_answer(Maker *maker) {
        add(maker, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32);
        add(maker, BPF_JMP | BPF_JNE | BPF_K, 0, 0, 2, number(maker->input));
        add(maker, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, number(maker->input));
        add(maker, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void add_tail_call(Maker *maker) {
        add_wide(maker, 2, BPF_PSEUDO_MAP_FD, maker->to->n_maps > 0 ? 0 : 1, 0);
        add(maker, BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, number(maker->input));
        add(maker, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call);
}

static void add_copies(Maker *maker) {
        size_t n = (size_t) (input_byte(maker->input) + 1) * 64;
        struct bpf_insn insn = { .code = BPF_ALU64 | BPF_MOV | BPF_K };

        if (!maker->tame && maker->n > 0)
                insn = maker->insns[maker->n - 1];
        for (; n > 0 && maker->n + 400 < INSNS_MAX; n--)
                add(maker, insn.code, insn.dst_reg, insn.src_reg, insn.off, insn.imm);
}

static void set_registers(Maker *maker) {
        for (unsigned i = 0; i < 10; i++)
                if (maker->registers & (1U << i))
                        add(maker, BPF_ALU64 | BPF_MOV | BPF_K, i, 0, 0, (int32_t) i - 1);
}

/* What tame members do with their context they do first. */
static void use_context(Maker *maker) {
        unsigned what = input_byte(maker->input);

        if (what & 1)
                add(maker, BPF_LDX | BPF_MEM | BPF_W, 0, 1, 4 * (what >> 6), 0);
        if (what & 2)
                add_tail_call(maker);
}

/* The begin of a function is the end of the one before. */
static void add_function(Maker *maker) {
        if (!maker->tame || maker->n_functions == maker->n_wanted || maker->n + 40 > INSNS_MAX)
                return;
        add(maker, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
        maker->starts[maker->n_functions++] = maker->n;
        set_registers(maker);
}

static void add_raw(Maker *maker) {
        uint8_t code = input_byte(maker->input), registers = input_byte(maker->input);

        if (maker->tame)
                return;
        add(maker, code, registers, registers >> 4, (int16_t) number(maker->input), number(maker->input));
}

static void add_stack_load(Maker *maker) {
        int off = stack_offset(maker);

        if (maker->tame)
                add(maker, BPF_STX | BPF_MEM | BPF_DW, 10, reg(maker), off, 0);
        add(maker, BPF_LDX | BPF_MEM | BPF_DW, reg(maker), 10, off, 0);
}

static void add_atomic(Maker *maker) {
        static const int32_t operations[] = { BPF_ADD, BPF_ADD | BPF_FETCH, BPF_XCHG, BPF_CMPXCHG };
        int off = stack_offset(maker);

        if (maker->tame)
                add(maker, BPF_STX | BPF_MEM | BPF_DW, 10, reg(maker), off, 0);
        add(maker, BPF_STX | BPF_ATOMIC | BPF_DW, 10, reg(maker), off, operations[input_byte(maker->input) % 4]);
}

/* Tame members do nothing with what they refer to. */
static void add_reference(Maker *maker, unsigned kind, int32_t low, int32_t high) {
        unsigned dst = reg(maker);

        add_wide(maker, dst, kind, low, high);
        if (maker->tame)
                add(maker, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, 1);
}

static void add_insn(Maker *maker) {
        Input *input = maker->input;
        uint32_t maps = (uint32_t) maker->to->n_maps, modules = (uint32_t) maker->to->member->n_btf_fds;

        switch (input_byte(input) % 28) {
        case 0: add_answer(maker); break;
        case 1: add(maker, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, number(input)); break;
        case 2:
                add_way_round(maker);
                add(maker, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
                break;
        case 3:
                add_way_round(maker);
                add(maker, BPF_JMP | BPF_JA, 0, 0, jump(maker), 0);
                break;
        case 4: add(maker, comparison(maker) | BPF_K, reg(maker), 0, jump(maker), number(input)); break;
        case 5: add(maker, comparison(maker) | BPF_X, reg(maker), reg(maker), jump(maker), 0); break;
        case 6: add(maker, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, number(input)); break;
        case 7: add_call(maker); break;
        case 8: add_function(maker); break;
        case 9: add(maker, BPF_ALU64 | BPF_MOV | BPF_K, reg(maker), 0, 0, number(input)); break;
        case 10: add(maker, BPF_ALU64 | BPF_MOV | BPF_X, reg(maker), reg(maker), 0, 0); break;
        case 11: add(maker, BPF_ALU | BPF_MOV | BPF_X, reg(maker), reg(maker), input_byte(input) % 3 * 8, 0); break;
        case 12: add(maker, BPF_ALU | BPF_ADD | BPF_K, reg(maker), 0, 0, number(input)); break;
        case 13: add(maker, BPF_ALU64 | (input_byte(input) & 0x70) | BPF_X, reg(maker), reg(maker), 0, 0); break;
        case 14: add(maker, BPF_STX | BPF_MEM | BPF_DW, 10, reg(maker), stack_offset(maker), 0); break;
        case 15: add_stack_load(maker); break;
        case 16:
                if (!maker->tame)
                        add(maker, BPF_LDX | BPF_MEM | BPF_W, reg(maker), 1, 4 * (input_byte(input) % 4), 0);
                break;
        case 17: add_atomic(maker); break;
        case 18: add_reference(maker, BPF_PSEUDO_MAP_FD, maps ? input_byte(input) % maps : 0, 0); break;
        case 19: add_reference(maker, BPF_PSEUDO_FUNC, number(input), 0); break;
        case 20: add_wide(maker, reg(maker), 0, number(input), number(input)); break;
        case 21: add_reference(maker, BPF_PSEUDO_BTF_ID, number(input), (int32_t) (modules > 0)); break;
        case 22:
                add(maker, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL,
                    modules ? input_byte(input) % (modules + 1) : 0, number(input));
                break;
        case 23: add_copies(maker); break;
        case 24: add(maker, BPF_JMP | 0xe0, 0, 0, jump(maker), 0); break;
        case 25:
                if (!maker->tame)
                        add_tail_call(maker);
                break;
        case 26:
                if (!maker->tame)
                        add(maker, BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 0);
                break;
        case 27: add_raw(maker); break;
        }
}

/* Functions call those behind them only. */
static void tame_reference(const Maker *maker, size_t f, size_t i) {
        struct bpf_insn *insn = &maker->insns[i];
        size_t n_behind = maker->n_functions - f - 1;

        if (n_behind > 0)
                insn->imm = (int32_t) (maker->starts[f + 1 + ((uint32_t) insn->imm - 1) % n_behind] - i - 1);
        else if (insn_is_wide(insn))
                insn->src_reg = 0;
        else
                *insn = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = insn->imm };
}

static void tame_jump(const Maker *maker, size_t start, size_t end, size_t i) {
        struct bpf_insn *insn = &maker->insns[i];
        size_t to = start + (i - start + (uint16_t) insn->off) % (end - start);
        int64_t off;

        if (insn->off == 1 || insn->off == 2 || i + 1 == end)
                return;
        if (to <= i && insn->off % 8 != 0)
                to = i + 1 + (to - start) % (end - i - 1); /* loops are few */
        if (to > start && insn_is_wide(&maker->insns[to - 1]))
                to--;
        off = (int64_t) to - (int64_t) i - 1;
        insn->off = off == (int16_t) off ? (int16_t) off : 0;
}

/* Leads the jumps and calls of a tame member to where there is something. */
static void tame(Maker *maker) {
        maker->starts[maker->n_functions] = maker->n;
        for (size_t f = 0; f < maker->n_functions; f++) {
                size_t start = maker->starts[f], end = maker->starts[f + 1];

                for (size_t i = start; i < end; i++) {
                        struct bpf_insn *insn = &maker->insns[i];
                        unsigned class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

                        if (insn_is_call(insn, BPF_PSEUDO_CALL) ||
                            (insn_is_wide(insn) && insn->src_reg == BPF_PSEUDO_FUNC))
                                tame_reference(maker, f, i);
                        else if ((class == BPF_JMP || class == BPF_JMP32) && op != BPF_CALL && op != BPF_EXIT)
                                tame_jump(maker, start, end, i);
                        i += insn_is_wide(insn);
                }
        }
}

/* What the bytes say is the middle; the main function of a tame one calls all others first. */
static void make_insns(Maker *maker) {
        Input *input = maker->input;
        size_t n = (size_t) input_byte(input) + 1;
        uint8_t what = input_byte(input);

        if (maker->tame) {
                maker->n_wanted = 1 + what % FUNCTIONS_MAX;
                maker->registers = 1 | (unsigned) (what >> 3) << 5;
                maker->starts[maker->n_functions++] = 0;
                use_context(maker);
                for (size_t i = 1; i < maker->n_wanted; i++)
                        add(maker, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, (int32_t) i);
                set_registers(maker);
        }
        for (size_t i = 0; i < n && input->size > 0 && maker->n + 400 < INSNS_MAX; i++)
                add_insn(maker);
        while (maker->tame && maker->n_functions < maker->n_wanted)
                add_function(maker);
        if (maker->tame || !(what & 1)) {
                add(maker, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, number(input));
                add(maker, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
        }
        if (maker->tame)
                tame(maker);
}

/* What the main function has of stack, as the verifier would say. */
static uint32_t stack_of(const Member *member) {
        int lowest = 0;

        for (size_t i = 0; i < member_main_insns(member); i++) {
                const struct bpf_insn *insn = &member->insns[i];
                unsigned class = BPF_CLASS(insn->code);
                unsigned base = class == BPF_LDX ? insn->src_reg : insn->dst_reg;

                if ((class == BPF_LDX || class == BPF_STX || class == BPF_ST) && base == BPF_REG_10)
                        lowest = MIN2(lowest, (int) insn->off);
                i += insn_is_wide(insn);
        }
        return (uint32_t) -lowest;
}

/* Types and records -----------------------------------------------------------------------------------------------
 */

static void make_good_types(Member *member) {
        struct btf *btf = member->btf = btf__new_empty();
        int type = btf__add_int(btf, "int", 4, BTF_INT_SIGNED), proto = btf__add_func_proto(btf, type);
        int file = btf__add_str(btf, "author.c");

        member->func_info = calloc(member->n_subprograms, sizeof(struct bpf_func_info));
        member->line_info = calloc(2 * member->n_subprograms, sizeof(struct bpf_line_info));
        MUST(proto > 0 && file >= 0 && member->func_info && member->line_info);
        for (size_t i = 0; i < member->n_subprograms; i++) {
                uint32_t start = member->subprograms[i];
                size_t end = i + 1 < member->n_subprograms ? member->subprograms[i + 1] : member->n_insns;
                char name[32];

                snprintf(name, sizeof(name), "f%zu", i);
                member->func_info[member->n_func_info++] = (struct bpf_func_info){
                        start, (uint32_t) btf__add_func(btf, name, i % 2 ? BTF_FUNC_STATIC : BTF_FUNC_GLOBAL, proto)
                };
                member->line_info[member->n_line_info++] =
                        (struct bpf_line_info){ start, (uint32_t) file, (uint32_t) btf__add_str(btf, name), 1 << 10 };
                if (end - start > 2 && member->insns[start + 1].code != 0)
                        member->line_info[member->n_line_info++] =
                                (struct bpf_line_info){ start + 1, (uint32_t) file,
                                                        (uint32_t) btf__add_str(btf, "next"), 2 << 10 };
        }
}

static void make_bad_types(Input *input, Member *member) {
        unsigned what = input_byte(input);

        if (!member->btf)
                make_good_types(member);
        if (what & 1)
                member->n_func_info -= MIN2(member->n_func_info, 1U);
        if (what & 2)
                member->n_line_info = input_byte(input) % (member->n_line_info + 1);
        if (what & 4)
                for (size_t i = 0; i < member->n_func_info; i++)
                        member->func_info[i] =
                                (struct bpf_func_info){ (uint32_t) number(input), (uint32_t) number(input) };
        if (what & 8)
                for (size_t i = 0; i < member->n_line_info; i++)
                        member->line_info[i] =
                                (struct bpf_line_info){ (uint32_t) number(input), (uint32_t) number(input),
                                                        (uint32_t) number(input), 0 };
        if (what & 16) {
                /* types that refer to others of this or no number */
                (void) btf__add_ptr(member->btf, number(input));
                (void) btf__add_func(member->btf, "odd", BTF_FUNC_GLOBAL, number(input));
                (void) btf__add_func_proto(member->btf, number(input));
                (void) btf__add_typedef(member->btf, "odd_t", number(input));
        }
        if (what & 32) {
                btf__free(member->btf);
                member->btf = NULL;
        }
}

static void make_member(Input *input, InputMember *to) {
        uint8_t flags = input_byte(input), more = input_byte(input);
        Maker maker = { .input = input, .to = to, .tame = flags & 1 };
        Member *member = to->member = calloc(1, sizeof(Member));

        MUST(member);
        member->function = strdup(more & 1 ? "author" : more & 2 ? "1 f.\x80" : "");
        member->type = hook_is_tc(input->hook) != (more >= 250) ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP;
        member->frags = flags & 2;
        member->bound = more >= 240 && more < 250;
        member->slot_reason = more >= 220 && more < 240 ? "it is told to" : NULL;
        to->n_maps = input_byte(input) % (INPUT_MAPS_MAX + 1);
        member->n_btf_fds = flags & 4 ? input_byte(input) % 300 : 0;
        member->btf_fds = calloc(member->n_btf_fds + 1, sizeof(int));
        MUST(member->function && member->btf_fds);
        for (size_t i = 0; i < member->n_btf_fds; i++)
                member->btf_fds[i] = -1 - (int) i; /* nothing that can be closed */
        for (size_t i = 0; i < to->n_maps; i++) {
                to->map_fds[i] = MAP_FD_FIRST + (int) i;
                to->map_ids[i] = input_byte(input);
        }
        to->arena = flags & 8 ? input_byte(input) : 0;
        to->verified_insns = flags & 16 ? (uint32_t) input_byte(input) << 12 : 100;
        to->stack_depth = input_byte(input) * 2U;

        make_insns(&maker);
        member->insns = maker.insns;
        member->n_insns = maker.n;
        to->described = true;
        to->scanned = member_scan(member, to->n_maps);
        if (to->scanned < 0)
                return;
        member->main_stack = flags & 32 ? UINT32_MAX : stack_of(member);
        if (flags & 64)
                make_good_types(member);
        else if (flags & 128) {
                make_bad_types(input, member);
                to->described = false;
        }
}

/* The whole -------------------------------------------------------------------------------------------------------
 */

static void make_slot(Input *input, size_t i) {
        static const char *const names[] = { "a", "",
                                             "a name of many characters that nobody would take for his program",
                                             "\xff%n\"" };
        InputMember *from = &input->members[input_byte(input) % input->n_members];
        uint8_t form = input_byte(input);
        FuseMember *m = &input->slots[i];

        input->slot_members[i] = from;
        *m = (FuseMember){ .name = names[form >> 6],
                           .member = from->member,
                           .map_fds = from->map_fds,
                           .map_ids = from->map_ids,
                           .n_maps = from->n_maps,
                           .proceed_on = input_byte(input) | (uint32_t) input_byte(input) << 8,
                           .seat = input_byte(input),
                           .arena = from->arena,
                           .verified_insns = from->verified_insns,
                           .stack_depth = from->stack_depth };
        if ((form & 28) != 28)
                m->seat %= CHAIN_SEATS_MAX;
        if ((form & 44) != 44)
                m->proceed_on &= (UINT32_C(1) << verdict_buckets(input->hook)) - 1;
        m->form = fuse_form_choose(m, &m->reason);
        m->form = MAX2(m->form, SLOT_FORM_INLINED + form % 4);
}

void input_read(Input *input, const uint8_t *data, size_t size) {
        uint8_t what;
        size_t n, n_insns = 0;

        *input = (Input){ .data = data, .size = size };
        what = input_byte(input);
        input->hook = what % 3;
        input->counters = (what >> 2) % 3;
        input->trace = (what & 0x30) == 0x30;
        for (size_t i = 0; i < ELEMENTSOF(input->answers); i++)
                input->answers[i] = (uint32_t) (int8_t) (i < 8 ? input_byte(input) : (uint8_t) (i * 5));
        input->n_members = 1 + input_byte(input) % INPUT_MEMBERS_MAX;
        for (size_t i = 0; i < input->n_members; i++)
                make_member(input, &input->members[i]);

        n = 1 + input_byte(input) % (what & 0x40 ? CHAIN_SLOTS_MAX : 8);
        for (size_t i = 0; i < n; i++) {
                make_slot(input, i);
                n_insns += input->slots[i].member->n_insns;
                if (n_insns > CHAIN_INSNS_MAX && i > 0)
                        break;
                input->n_slots++;
        }
}

void input_done(Input *input) {
        for (size_t i = 0; i < input->n_members; i++)
                member_free(input->members[i].member);
}
