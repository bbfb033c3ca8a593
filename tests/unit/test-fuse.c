/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The builder of chains, without a kernel: what it makes is run by a small interpreter. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernel/fuse-form.h"
#include "kernel/fuse-plan.h"
#include "kernel/fuse-thread.h"

/* Instructions for members that tests make by hand. */
#define SET(register, value)                                                                                         \
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (register), .imm = (value) }
#define ADD(register, value)                                                                                         \
        { .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (register), .imm = (value) }
#define CALL(offset)                                                                                                 \
        { .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = (offset) }
#define HELPER(id)                                                                                                   \
        { .code = BPF_JMP | BPF_CALL, .imm = (id) }
#define KFUNC(id, module)                                                                                            \
        { .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL, .off = (module), .imm = (id) }
#define MAP(register, index)                                                                                         \
        { .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = (register), .src_reg = BPF_PSEUDO_MAP_FD, .imm = (index) },  \
        {                                                                                                            \
                0                                                                                                    \
        }
#define STORE(register, offset)                                                                                      \
        { .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = (register), .off = (offset) }
#define SKIP_UNLESS(register, value, n)                                                                              \
        { .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = (register), .off = (n), .imm = (value) }
#define EXIT                                                                                                         \
        { .code = BPF_JMP | BPF_EXIT }

static Member *make_member(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n, size_t n_maps) {
        Member *member = calloc(1, sizeof(Member));

        assert_non_null(member);
        member->function = strdup("author.function");
        member->type = type;
        member->insns = malloc(n * sizeof(*insns));
        assert_non_null(member->insns);
        memcpy(member->insns, insns, n * sizeof(*insns));
        member->n_insns = n;
        assert_int_equal(member_scan(member, n_maps), 0);
        return member;
}

#define MEMBER(type, n_maps, ...)                                                                                    \
        make_member(type, (const struct bpf_insn[]){ __VA_ARGS__ },                                                  \
                    sizeof((const struct bpf_insn[]){ __VA_ARGS__ }) / sizeof(struct bpf_insn), n_maps)

#define COUNTERS_FD 1000

/* What each member must find in r1: an XDP packet of 64 bytes, or (len comes first) a TC one of 1000. */
static const uint32_t context_memory[64] = { 1000, 1064 };
#define CONTEXT    ((uint64_t) (uintptr_t) context_memory)
#define LENGTH_XDP 64
#define LENGTH_TC  1000

/* A chain that counts all. */
static FuseInput make_input(Hook hook, const FuseMember *members, size_t n) {
        return (FuseInput){ .hook = hook,
                            .counters = COUNTER_LEVEL_ALL,
                            .counters_fd = COUNTERS_FD,
                            .trace_fd = -EBADF,
                            .slots_fd = -EBADF,
                            .carry_fd = -EBADF,
                            .members = members,
                            .n_members = n };
}

/* Runs a program as the kernel would. Helpers: the look-up in the counters; anything else fails the test. */
typedef struct Machine {
        const FuseOutput *output;
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        bool no_counters;
        unsigned n_calls; /* of functions */
        unsigned depth;
} Machine;

static uint64_t run_function(Machine *machine, size_t pc, const uint64_t arguments[6]) {
        uint64_t r[11] = {}, frame[64] = {};

        assert_true(++machine->depth < 8);
        for (int i = 1; i <= 5; i++)
                r[i] = arguments[i];
        r[10] = (uint64_t) (uintptr_t) &frame[64];

        for (unsigned steps = 0;; steps++, pc++) {
                const struct bpf_insn *insn = &machine->output->insns[pc];
                uint64_t operand = BPF_SRC(insn->code) == BPF_X ? r[insn->src_reg] : (uint64_t) (int64_t) insn->imm;
                bool jump = false;

                assert_true(steps < 10000);
                assert_true(pc < machine->output->n_insns);
                for (size_t i = 0; i < CHAIN_SLOTS_MAX; i++)
                        if (machine->output->spans[i].end > 0 && pc == machine->output->spans[i].start)
                                assert_true(r[1] == CONTEXT);

                switch (insn->code) {
                case BPF_ALU64 | BPF_MOV | BPF_X:
                case BPF_ALU64 | BPF_MOV | BPF_K: r[insn->dst_reg] = operand; break;
                case BPF_ALU | BPF_MOV | BPF_X:
                case BPF_ALU | BPF_MOV | BPF_K: r[insn->dst_reg] = (uint32_t) operand; break;
                case BPF_ALU64 | BPF_ADD | BPF_X:
                case BPF_ALU64 | BPF_ADD | BPF_K: r[insn->dst_reg] += operand; break;
                case BPF_ALU | BPF_ADD | BPF_K: r[insn->dst_reg] = (uint32_t) (r[insn->dst_reg] + operand); break;
                case BPF_ALU64 | BPF_SUB | BPF_X: r[insn->dst_reg] -= operand; break;
                case BPF_ALU64 | BPF_MUL | BPF_K: r[insn->dst_reg] *= operand; break;
                case BPF_ALU64 | BPF_LSH | BPF_K: r[insn->dst_reg] <<= operand; break;
                case BPF_ALU | BPF_RSH | BPF_X:
                        r[insn->dst_reg] = (uint32_t) r[insn->dst_reg] >> (operand & 31);
                        break;
                case BPF_ALU | BPF_AND | BPF_K: r[insn->dst_reg] = (uint32_t) (r[insn->dst_reg] & operand); break;
                case BPF_LDX | BPF_MEM | BPF_DW:
                        r[insn->dst_reg] = *(uint64_t *) (uintptr_t) (r[insn->src_reg] + (uint64_t) insn->off);
                        break;
                case BPF_LDX | BPF_MEM | BPF_W:
                        r[insn->dst_reg] = *(uint32_t *) (uintptr_t) (r[insn->src_reg] + (uint64_t) insn->off);
                        break;
                case BPF_STX | BPF_MEM | BPF_DW:
                        *(uint64_t *) (uintptr_t) (r[insn->dst_reg] + (uint64_t) insn->off) = r[insn->src_reg];
                        break;
                case BPF_ST | BPF_MEM | BPF_W:
                        *(uint32_t *) (uintptr_t) (r[insn->dst_reg] + (uint64_t) insn->off) = (uint32_t) insn->imm;
                        break;
                case BPF_LD | BPF_IMM | BPF_DW:
                        r[insn->dst_reg] = (uint32_t) insn->imm;
                        pc++;
                        break;
                case BPF_JMP | BPF_JA: jump = true; break;
                case BPF_JMP | BPF_JEQ | BPF_K: jump = r[insn->dst_reg] == operand; break;
                case BPF_JMP | BPF_JNE | BPF_K: jump = r[insn->dst_reg] != operand; break;
                case BPF_JMP32 | BPF_JNE | BPF_K: jump = (uint32_t) r[insn->dst_reg] != (uint32_t) operand; break;
                case BPF_JMP32 | BPF_JEQ | BPF_K: jump = (uint32_t) r[insn->dst_reg] == (uint32_t) operand; break;
                case BPF_JMP32 | BPF_JGT | BPF_K: jump = (uint32_t) r[insn->dst_reg] > (uint32_t) operand; break;
                case BPF_JMP32 | BPF_JLT | BPF_K: jump = (uint32_t) r[insn->dst_reg] < (uint32_t) operand; break;
                case BPF_JMP | BPF_CALL:
                        if (insn->src_reg == BPF_PSEUDO_CALL) {
                                size_t target = pc + 1 + (size_t) (int64_t) insn->imm;

                                machine->n_calls++;
                                for (size_t i = 0; i < CHAIN_SLOTS_MAX; i++)
                                        if (target == machine->output->spans[i].start)
                                                assert_true(r[1] == CONTEXT);
                                r[0] = run_function(machine, target, r);
                        } else {
                                assert_int_equal(insn->imm, BPF_FUNC_map_lookup_elem);
                                assert_int_equal(r[1], COUNTERS_FD);
                                assert_int_equal(*(uint32_t *) (uintptr_t) r[2], 0);
                                r[0] = machine->no_counters ? 0 : (uint64_t) (uintptr_t) machine->counters;
                        }
                        for (int i = 1; i <= 5; i++)
                                r[i] = 0xdeaddeaddeaddeadULL;
                        break;
                case BPF_JMP | BPF_EXIT: machine->depth--; return r[0];
                default: fail_msg("instruction %zu: code %#x", pc, insn->code);
                }
                if (jump)
                        pc += (size_t) (int64_t) insn->off;
        }
}

static int run(Machine *machine, const FuseOutput *output) {
        machine->output = output;
        machine->depth = 0;
        return (int) run_function(machine, 0, (const uint64_t[6]){ 0, CONTEXT });
}

static void mark_reached(const FuseOutput *output, bool *reached, size_t i) {
        while (i < output->n_insns && !reached[i]) {
                const struct bpf_insn *insn = &output->insns[i];
                unsigned class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);
                bool jumps = (class == BPF_JMP || class == BPF_JMP32) && op != BPF_CALL;

                reached[i] = true;
                if (insn_is_wide(insn))
                        reached[++i] = true;
                if (jumps && op == BPF_EXIT)
                        return;
                if (jumps && op != BPF_JA)
                        mark_reached(output, reached, i + 1 + (size_t) (int64_t) insn->off);
                i += 1 + (jumps && op == BPF_JA ? (size_t) (int64_t) insn->off : 0);
        }
}

/* As the kernel's check_cfg(): there is a way to every instruction. */
static void check_reached(const FuseOutput *output) {
        bool *reached = calloc(output->n_insns, sizeof(bool));

        assert_non_null(reached);
        for (size_t i = 0; i < output->n_func_info; i++)
                mark_reached(output, reached, output->func_info[i].insn_off);
        for (size_t i = 0; i < output->n_insns; i++)
                if (!reached[i])
                        fail_msg("no way leads to instruction %zu", i);
        free(reached);
}

/* Every target of a jump or call is an instruction of the program, and the end of each function is an exit. */
static void check_shape(const FuseOutput *output) {
        for (size_t i = 0; i < output->n_insns; i++) {
                const struct bpf_insn *insn = &output->insns[i];
                unsigned class = BPF_CLASS(insn->code);
                int64_t target;

                if (insn_is_wide(insn)) {
                        i++;
                        continue;
                }
                if (class != BPF_JMP && class != BPF_JMP32)
                        continue;
                if (BPF_OP(insn->code) == BPF_EXIT)
                        continue;
                if (BPF_OP(insn->code) == BPF_CALL) {
                        if (insn->src_reg != BPF_PSEUDO_CALL)
                                continue;
                        target = (int64_t) i + insn->imm + 1;
                } else {
                        target = (int64_t) i + insn->off + 1;
                }
                assert_true(target > 0 && target < (int64_t) output->n_insns);
        }
        for (size_t i = 0; i < output->n_func_info; i++) {
                size_t end = i + 1 < output->n_func_info ? output->func_info[i + 1].insn_off : output->n_insns;

                assert_int_equal(output->insns[end - 1].code, BPF_JMP | BPF_EXIT);
        }
        check_reached(output);
}

/* What the kernel checks of function and line information: kernel/bpf/verifier.c, check_btf_info(). */
static void check_info(const FuseOutput *output, size_t n_functions) {
        size_t line = 0;

        assert_int_equal(output->n_func_info, n_functions);
        assert_int_equal(output->func_info[0].insn_off, 0);
        for (size_t i = 0; i < output->n_func_info; i++) {
                const struct btf_type *type = btf__type_by_id(output->btf, output->func_info[i].type_id);

                assert_non_null(type);
                assert_true(btf_is_func(type));
                assert_true(btf_is_func_proto(btf__type_by_id(output->btf, type->type)));
                if (i > 0)
                        assert_true(output->func_info[i].insn_off > output->func_info[i - 1].insn_off);

                while (line < output->n_line_info && output->line_info[line].insn_off < output->func_info[i].insn_off)
                        line++;
                assert_true(line < output->n_line_info);
                assert_int_equal(output->line_info[line].insn_off, output->func_info[i].insn_off);
        }
        for (size_t i = 0; i < output->n_line_info; i++) {
                assert_true(output->line_info[i].insn_off < output->n_insns);
                assert_true(output->insns[output->line_info[i].insn_off].code != 0);
                if (i > 0)
                        assert_true(output->line_info[i].insn_off > output->line_info[i - 1].insn_off);
                assert_non_null(btf__str_by_offset(output->btf, output->line_info[i].line_off));
                assert_true(strlen(btf__str_by_offset(output->btf, output->line_info[i].file_name_off)) > 0);
        }
}

static const char *function_name(const FuseOutput *output, size_t i) {
        return btf__name_by_offset(output->btf, btf__type_by_id(output->btf, output->func_info[i].type_id)->name_off);
}

static enum btf_func_linkage function_linkage(const FuseOutput *output, size_t i) {
        return (enum btf_func_linkage) btf_vlen(btf__type_by_id(output->btf, output->func_info[i].type_id));
}

static enum bpf_prog_type hook_type(Hook hook) {
        return hook_is_tc(hook) ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP;
}

/* Plans with copies, which the members are not changed by. */
static int plan(const FuseInput *input, FusePlan *ret, Error *error) {
        FuseMember members[CHAIN_SLOTS_MAX + 1];
        FuseInput copy = *input;

        memcpy(members, input->members, MIN2(input->n_members, ELEMENTSOF(members)) * sizeof(FuseMember));
        copy.members = members;
        return fuse_plan(&copy, members, ret, error);
}

static void must_build(const FuseInput *input, FuseOutput *output) {
        Error error = ERROR_INIT;
        FusePlan ignored;

        if (plan(input, &ignored, &error) < 0)
                fail_msg("%s", error.message);
        assert_int_equal(fuse_build(input, output), 0);
        check_shape(output);
}

static void test_one_slot(void **state) {
        Member *member = MEMBER(BPF_PROG_TYPE_XDP, 0, SET(0, 2), EXIT);
        FuseMember m = { .name = "one", .member = member, .proceed_on = 1 << 2, .seat = 5, .form = SLOT_FORM_GLOBAL };
        FuseInput input = make_input(HOOK_XDP, &m, 1);
        Machine machine = {};
        FuseOutput output;

        must_build(&input, &output);
        check_info(&output, 3);
        assert_int_equal(run(&machine, &output), 2);
        assert_int_equal(machine.n_calls, 2);
        assert_int_equal(machine.counters[5][2], 1);
        assert_int_equal(machine.counters[5][COUNTER_ENDED + 2], 1);
        assert_int_equal(output.spans[0].end - output.spans[0].start, 2);
        assert_int_equal(output.spans[0].end, output.n_insns);

        assert_string_equal(function_name(&output, 0), "bpfchain_root");
        assert_string_equal(function_name(&output, 2), "author_function");
        assert_int_equal(function_linkage(&output, 2), BTF_FUNC_GLOBAL);
        fuse_output_done(&output);

        m.form = SLOT_FORM_STATIC;
        must_build(&input, &output);
        assert_int_equal(function_linkage(&output, 2), BTF_FUNC_STATIC);
        fuse_output_done(&output);
        member_free(member);
}

/* A chain that has lost its counters lets nothing through unseen. */
static void test_no_counters(void **state) {
        static const struct {
                Hook hook;
                int verdict;
        } hooks[] = { { HOOK_XDP, 0 }, { HOOK_TC_INGRESS, 2 }, { HOOK_TC_EGRESS, 2 } };

        for (size_t i = 0; i < ELEMENTSOF(hooks); i++) {
                Member *member = MEMBER(hook_type(hooks[i].hook), 0, SET(0, 1), EXIT);
                FuseMember m = { .name = "one", .member = member, .form = SLOT_FORM_GLOBAL };
                FuseInput input = make_input(hooks[i].hook, &m, 1);
                Machine machine = { .no_counters = true };
                FuseOutput output;

                must_build(&input, &output);
                assert_int_equal(run(&machine, &output), hooks[i].verdict);
                assert_int_equal(machine.n_calls, 1);
                fuse_output_done(&output);
                member_free(member);
        }
}

static void check_set(Hook hook, const FuseMember m[2], unsigned bucket, unsigned last, CounterLevel level) {
        bool proceeds = m[0].proceed_on & (1U << bucket), all = level == COUNTER_LEVEL_ALL,
             verdicts = level >= COUNTER_LEVEL_VERDICTS;
        uint64_t length = hook_is_tc(hook) ? LENGTH_TC : LENGTH_XDP;
        FuseInput input = make_input(hook, m, 2);
        const uint64_t *first, *second;
        Machine machine = {};
        FuseOutput output;

        input.counters = level;
        must_build(&input, &output);
        assert_int_equal(run(&machine, &output), m[proceeds].member->insns[0].imm);
        first = machine.counters[m[0].seat];
        second = machine.counters[m[1].seat];
        assert_int_equal(first[bucket], all);
        assert_int_equal(first[COUNTER_SEEN_BYTES], all ? length : 0);
        assert_int_equal(first[COUNTER_ENDED + bucket], verdicts && !proceeds);
        assert_int_equal(first[COUNTER_ENDED_BYTES], verdicts && !proceeds ? length : 0);
        assert_int_equal(second[last], all && proceeds);
        assert_int_equal(second[COUNTER_SEEN_BYTES], all && proceeds ? length : 0);
        assert_int_equal(second[COUNTER_ENDED + last], verdicts && proceeds);
        assert_int_equal(second[COUNTER_ENDED_BYTES], verdicts && proceeds ? length : 0);
        fuse_output_done(&output);
}

/* Each set, each verdict, each level. */
static void check_all_sets(Hook hook, SlotForm first, SlotForm second) {
        unsigned n = verdict_buckets(hook);
        Member *members[VERDICT_BUCKETS] = {};

        for (unsigned i = 0; i < n; i++)
                members[i] =
                        MEMBER(hook_type(hook), 0, SET(0, i + 1 < n ? verdict_bucket_to_value(hook, i) : 1000), EXIT);

        for (uint32_t set = 0; set < 1U << n; set++)
                for (unsigned bucket = 0; bucket < n; bucket++) {
                        unsigned last = (bucket + 1) % n;
                        FuseMember m[] = {
                                { .name = "a",
                                  .member = members[bucket],
                                  .proceed_on = set,
                                  .seat = 7,
                                  .form = first },
                                { .name = "b", .member = members[last], .seat = CHAIN_SEATS_MAX - 1, .form = second },
                        };

                        for (CounterLevel level = 0; level < _COUNTER_LEVEL_MAX; level++)
                                check_set(hook, m, bucket, last, level);
                }
        for (unsigned i = 0; i < n; i++)
                member_free(members[i]);
}

static void test_all_sets_xdp(void **state) {
        check_all_sets(HOOK_XDP, SLOT_FORM_GLOBAL, SLOT_FORM_STATIC);
        check_all_sets(HOOK_XDP, SLOT_FORM_INLINED, SLOT_FORM_INLINED);
        check_all_sets(HOOK_XDP, SLOT_FORM_INLINED, SLOT_FORM_GLOBAL);
}

static void test_all_sets_tc(void **state) {
        check_all_sets(HOOK_TC_EGRESS, SLOT_FORM_GLOBAL, SLOT_FORM_STATIC);
        check_all_sets(HOOK_TC_EGRESS, SLOT_FORM_STATIC, SLOT_FORM_INLINED);
}

/* Verdicts that are no verdicts, and upper halves of r0 that do not count. */
static void test_odd_verdicts(void **state) {
        static const int values[] = { 5, -1, -2, INT32_MIN, INT32_MAX, 9, 100 };

        for (int tc = 0; tc < 2; tc++)
                for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                        Hook hook = tc ? HOOK_TC_INGRESS : HOOK_XDP;
                        unsigned bucket = verdict_buckets(hook) - 1;
                        Member *member = MEMBER(hook_type(hook), 0, SET(0, values[i]), EXIT);
                        FuseMember m = { .name = "odd", .member = member, .form = SLOT_FORM_GLOBAL };
                        FuseInput input = make_input(hook, &m, 1);
                        Machine machine = {};
                        FuseOutput output;

                        if (tc && values[i] >= -1 && values[i] <= 8)
                                bucket = (unsigned) (values[i] + 1);
                        must_build(&input, &output);
                        assert_int_equal(run(&machine, &output), values[i]);
                        assert_int_equal(machine.counters[0][bucket], 1);
                        fuse_output_done(&output);
                        member_free(member);
                }
}

/* Inlined members may do what they like to registers and their stack, exit from wherever they like, and call. */
static void test_inlined(void **state) {
        /* w0 = 2 unless r6, which nobody set, is 77; fills all registers and 24 bytes of stack */
        Member *rude = MEMBER(BPF_PROG_TYPE_XDP, 0, SET(6, 1), SET(7, 2), SET(8, 3), SET(9, 4), STORE(6, -8),
                              STORE(7, -16), STORE(8, -24), SET(0, 2), SKIP_UNLESS(6, 77, 2), SET(0, 1), EXIT,
                              CALL(1), EXIT, SET(0, 2), EXIT);
        Member *plain = MEMBER(BPF_PROG_TYPE_XDP, 0, SET(0, 2), EXIT);
        FuseMember m[] = {
                { .name = "1", .member = rude, .proceed_on = 4, .seat = 0, .form = SLOT_FORM_INLINED },
                { .name = "2", .member = plain, .proceed_on = 4, .seat = 1, .form = SLOT_FORM_GLOBAL },
                { .name = "3", .member = rude, .proceed_on = 4, .seat = 2, .form = SLOT_FORM_INLINED },
                { .name = "4", .member = plain, .proceed_on = 4, .seat = 3, .form = SLOT_FORM_INLINED },
                { .name = "5", .member = rude, .proceed_on = 4, .seat = 4, .form = SLOT_FORM_GLOBAL },
        };
        FuseInput input = make_input(HOOK_XDP, m, 5);
        Machine machine = {};
        FuseOutput output;

        rude->main_stack = 24;
        assert_int_equal(rude->n_subprograms, 2);
        must_build(&input, &output);
        /* root, two members called, three subprograms */
        check_info(&output, 6);
        assert_int_equal(run(&machine, &output), 2);
        assert_int_equal(machine.n_calls, 2 + 3);
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(machine.counters[i][2], 1);
                assert_int_equal(machine.counters[i][COUNTER_ENDED + 2], i == 4);
        }
        fuse_output_done(&output);
        member_free(rude);
        member_free(plain);
}

/* Where the exits of a member lead that returns 1 or 2, or what it has in r6. */
static void check_threads(const struct bpf_insn *insns, size_t n, bool tests, const char *expected) {
        static const char letters[] = {
                [THREAD_STAYS] = '.', [THREAD_NEXT] = 'n', [THREAD_END] = 'e', [THREAD_TEST] = 't'
        };
        ThreadTo to[32];
        char text[33] = {};

        assert_int_equal(fuse_thread(insns, n, HOOK_XDP, 1 << 2, to), tests);
        for (size_t i = 0; i < n; i++)
                text[i] = letters[to[i]];
        assert_string_equal(text, expected);
}

static void test_threads(void **state) {
        const struct bpf_insn constant[] = { SET(0, 2), EXIT };
        const struct bpf_insn unknown[] = { HELPER(7), EXIT };
        /* two exits, of which one verdict goes on */
        const struct bpf_insn two[] = { SKIP_UNLESS(1, 0, 2), SET(0, 2), EXIT, SET(0, 1), EXIT };
        /* one exit, reached with both by jumps only: it stays reachable, and is last, so it is for what goes on */
        const struct bpf_insn shared[] = {
                SET(0, 2), SKIP_UNLESS(1, 0, 2), SET(0, 1), { .code = BPF_JMP | BPF_JA }, EXIT
        };
        /* through another register, over a call, which loses r0 but not r6 */
        const struct bpf_insn moved[] = {
                SET(6, 2), HELPER(7), { .code = BPF_ALU64 | BPF_MOV | BPF_X, .src_reg = 6 }, EXIT
        };
        /* a loop that changes what looks constant */
        const struct bpf_insn loop[] = { SET(0, 0), ADD(0, 1), SKIP_UNLESS(0, 5, -2), EXIT };
        /* a fetch */
        const struct bpf_insn fetch[] = { SET(0, 2),
                                          { .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 10, .imm = BPF_XCHG },
                                          EXIT };

        check_threads(constant, 2, false, ".n");
        check_threads(unknown, 2, true, ".t");
        check_threads(two, 5, false, "..n.e");
        check_threads(shared, 5, false, "...en");
        check_threads(moved, 4, false, "...n");
        check_threads(loop, 4, true, "...t");
        check_threads(fetch, 3, true, "..t");
}

/* What may be inlined, and how a chain that is refused goes on. */
static void test_forms(void **state) {
        Member *member = MEMBER(BPF_PROG_TYPE_XDP, 0, SET(0, 2), EXIT);
        Member *calls = MEMBER(BPF_PROG_TYPE_XDP, 0, HELPER(BPF_FUNC_tail_call), SET(0, 2), EXIT);
        Member *loads = MEMBER(BPF_PROG_TYPE_SCHED_CLS, 0, { .code = BPF_LD | BPF_ABS | BPF_W }, EXIT);
        FuseMember m[] = { { .member = member }, { .member = calls }, { .member = loads } };
        const char *reason;

        member->main_stack = calls->main_stack = loads->main_stack = 0;
        assert_int_equal(fuse_form_choose(&m[0], &reason), SLOT_FORM_INLINED);
        assert_null(reason);
        assert_int_equal(fuse_form_choose(&m[1], &reason), SLOT_FORM_GLOBAL);
        assert_non_null(strstr(reason, "tail calls"));
        assert_int_equal(fuse_form_choose(&m[2], &reason), SLOT_FORM_GLOBAL);
        assert_non_null(strstr(reason, "classic"));

        m[0].verified_insns = FUSE_INLINE_COST_MAX + 1;
        assert_int_equal(fuse_form_choose(&m[0], &reason), SLOT_FORM_GLOBAL);
        m[0].verified_insns = FUSE_INLINE_COST_MAX;
        assert_int_equal(fuse_form_choose(&m[0], &reason), SLOT_FORM_INLINED);
        member->main_stack = FUSE_INLINE_STACK_MAX + 8;
        assert_int_equal(fuse_form_choose(&m[0], &reason), SLOT_FORM_GLOBAL);
        member->main_stack = UINT32_MAX;
        assert_int_equal(fuse_form_choose(&m[0], &reason), SLOT_FORM_GLOBAL);

        m[0].form = m[1].form = SLOT_FORM_INLINED;
        m[2].form = SLOT_FORM_STATIC;
        assert_true(fuse_form_retreat(m, 3, &m[1], FUSE_COMPLAINT_MEMBER, false));
        assert_int_equal(m[1].form, SLOT_FORM_GLOBAL);
        assert_true(fuse_form_retreat(m, 3, &m[1], FUSE_COMPLAINT_MEMBER, false));
        assert_int_equal(m[1].form, SLOT_FORM_STATIC);
        assert_int_equal(m[0].form, SLOT_FORM_INLINED);
        assert_true(fuse_form_retreat(m, 3, NULL, FUSE_COMPLAINT_COMPLEX, false));
        assert_int_equal(m[0].form, SLOT_FORM_GLOBAL);
        assert_false(fuse_form_retreat(m, 3, &m[0], FUSE_COMPLAINT_COMPLEX, true));
        assert_true(fuse_form_retreat(m, 3, &m[0], FUSE_COMPLAINT_MEMBER, false));
        assert_false(fuse_form_retreat(m, 3, &m[0], FUSE_COMPLAINT_MEMBER, false));
        assert_false(fuse_form_retreat(m, 3, NULL, FUSE_COMPLAINT_MEMBER, true));
        assert_true(fuse_form_retreat(m, 3, &m[0], FUSE_COMPLAINT_MEMBER, true));
        assert_int_equal(m[0].form, SLOT_FORM_SLOT);
        assert_false(fuse_form_retreat(m, 3, &m[0], FUSE_COMPLAINT_MEMBER, true));

        /* too deep: the deepest first, and only where there are slots */
        m[1].stack_depth = 100;
        m[2].stack_depth = 200;
        assert_false(fuse_form_retreat(m, 3, NULL, FUSE_COMPLAINT_DEEP, false));
        assert_true(fuse_form_retreat(m, 3, NULL, FUSE_COMPLAINT_DEEP, true));
        assert_int_equal(m[2].form, SLOT_FORM_SLOT);
        assert_int_equal(m[1].form, SLOT_FORM_STATIC);

        /* what members exclude each other from */
        for (size_t i = 0; i < 3; i++)
                m[i] = (FuseMember){ .member = member, .form = SLOT_FORM_INLINED };
        m[0].arena = m[2].arena = 7;
        member->main_stack = FUSE_INLINE_STACK_TAIL_CALL_MAX + 8;
        fuse_form_settle(m, 3);
        assert_int_equal(m[0].form, SLOT_FORM_INLINED);
        assert_int_equal(m[2].form, SLOT_FORM_INLINED);
        m[2].arena = 8;
        fuse_form_settle(m, 3);
        assert_int_equal(m[2].form, SLOT_FORM_SLOT);
        assert_int_equal(m[0].form, SLOT_FORM_GLOBAL);

        calls->slot_reason = "it has to";
        m[0] = (FuseMember){ .member = calls };
        assert_int_equal(fuse_form_choose(&m[0], &reason), SLOT_FORM_SLOT);
        assert_string_equal(reason, "it has to");

        member_free(member);
        member_free(calls);
        member_free(loads);
}

static void test_64_slots(void **state) {
        Member *member = MEMBER(BPF_PROG_TYPE_XDP, 0, SET(0, 2), CALL(1), EXIT, SET(0, 2), EXIT);
        FuseMember m[CHAIN_SLOTS_MAX];
        FuseInput input = make_input(HOOK_XDP, m, CHAIN_SLOTS_MAX);
        Machine machine = {};
        FuseOutput output;

        assert_int_equal(member->n_subprograms, 2);
        for (unsigned i = 0; i < CHAIN_SLOTS_MAX; i++)
                m[i] = (FuseMember){ .name = "many",
                                     .member = member,
                                     .proceed_on = 0x14,
                                     .seat = 2 * i + 1,
                                     .form = SLOT_FORM_GLOBAL };
        must_build(&input, &output);
        check_info(&output, 2 + 2 * CHAIN_SLOTS_MAX);
        assert_int_equal(run(&machine, &output), 2);
        assert_int_equal(machine.n_calls, 1 + 2 * CHAIN_SLOTS_MAX);
        for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++) {
                assert_int_equal(machine.counters[i][2], i % 2);
                assert_int_equal(machine.counters[i][COUNTER_ENDED + 2], i == CHAIN_SEATS_MAX - 1);
        }
        for (unsigned i = 1; i < CHAIN_SLOTS_MAX; i++)
                assert_int_equal(output.spans[i].start, output.spans[i - 1].subprograms_end);
        fuse_output_done(&output);
        member_free(member);
}

/* Indexes of maps and modules become descriptors. */
static void test_descriptors(void **state) {
        Member *a = MEMBER(BPF_PROG_TYPE_XDP, 3, MAP(1, 2), MAP(1, 0), KFUNC(77, 2), KFUNC(78, 0), SET(0, 2), EXIT);
        Member *b = MEMBER(BPF_PROG_TYPE_XDP, 1, MAP(1, 0), KFUNC(79, 1), SET(0, 2), EXIT);
        int fds_a[] = { 10, 11, 12 }, fds_b[] = { 20 };
        uint32_t ids[] = { 1, 2, 3 };
        FuseMember m[] = {
                { .name = "a", .member = a, .map_fds = fds_a, .map_ids = ids, .n_maps = 3, .form = SLOT_FORM_GLOBAL },
                { .name = "b", .member = b, .map_fds = fds_b, .map_ids = ids, .n_maps = 1, .form = SLOT_FORM_GLOBAL },
        };
        FuseInput input = make_input(HOOK_XDP, m, 2);
        FuseOutput output;
        const struct bpf_insn *insns;

        /* descriptors that do not exist, so that nothing is closed by member_free() */
        a->btf_fds = calloc(2, sizeof(int));
        a->btf_fds[0] = -30;
        a->btf_fds[1] = -31;
        a->n_btf_fds = 2;
        b->btf_fds = calloc(1, sizeof(int));
        b->btf_fds[0] = -32;
        b->n_btf_fds = 1;
        assert_true(a->uses_map[0] && !a->uses_map[1] && a->uses_map[2]);

        must_build(&input, &output);
        insns = &output.insns[output.spans[0].start];
        assert_int_equal(insns[0].imm, 12);
        assert_int_equal(insns[2].imm, 10);
        assert_int_equal(insns[4].off, 2);
        assert_int_equal(insns[5].off, 0);
        insns = &output.insns[output.spans[1].start];
        assert_int_equal(insns[0].imm, 20);
        assert_int_equal(insns[2].off, 3);
        assert_int_equal(output.n_fd_array, 4);
        assert_int_equal(output.fd_array[0], 0);
        assert_int_equal(output.fd_array[2], -31);
        assert_int_equal(output.fd_array[3], -32);
        fuse_output_done(&output);
        member_free(a);
        member_free(b);
}

/* Types and lines of a member that has some, beside one that has none. */
static void test_types(void **state) {
        Member *with = MEMBER(BPF_PROG_TYPE_SCHED_CLS, 0, CALL(1), EXIT, SET(0, -1), EXIT);
        Member *without = MEMBER(BPF_PROG_TYPE_SCHED_CLS, 0, CALL(1), EXIT, SET(0, -1), EXIT);
        FuseMember m[] = {
                { .name = "without", .member = without, .proceed_on = 1, .form = SLOT_FORM_GLOBAL },
                { .name = "with", .member = with, .proceed_on = 1, .seat = 1, .form = SLOT_FORM_GLOBAL },
        };
        FuseInput input = make_input(HOOK_TC_INGRESS, m, 2);
        struct btf *btf = btf__new_empty();
        int type, proto, main_id, sub_id;
        const struct btf_type *context;
        FuseOutput output;

        type = btf__add_int(btf, "long", 8, BTF_INT_SIGNED);
        proto = btf__add_func_proto(btf, type);
        main_id = btf__add_func(btf, "main_function", BTF_FUNC_GLOBAL, proto);
        sub_id = btf__add_func(btf, "helper_function", BTF_FUNC_STATIC, proto);
        with->btf = btf;
        with->func_info = calloc(2, sizeof(struct bpf_func_info));
        with->func_info[0] = (struct bpf_func_info){ 0, (uint32_t) main_id };
        with->func_info[1] = (struct bpf_func_info){ 2, (uint32_t) sub_id };
        with->n_func_info = 2;
        with->line_info = calloc(3, sizeof(struct bpf_line_info));
        with->line_info[0] = (struct bpf_line_info){ 0, (uint32_t) btf__add_str(btf, "a.c"),
                                                     (uint32_t) btf__add_str(btf, "first"), 1 << 10 };
        with->line_info[1] = (struct bpf_line_info){ 1, with->line_info[0].file_name_off,
                                                     (uint32_t) btf__add_str(btf, "second"), 2 << 10 };
        with->line_info[2] = (struct bpf_line_info){ 2, (uint32_t) btf__add_str(btf, "b.h"),
                                                     (uint32_t) btf__add_str(btf, "third"), 3 << 10 };
        with->n_line_info = 3;

        must_build(&input, &output);
        check_info(&output, 6);
        assert_string_equal(function_name(&output, 2), "author_function");
        assert_string_equal(function_name(&output, 3), "author_function_1");
        assert_string_equal(function_name(&output, 4), "author_function");
        assert_string_equal(function_name(&output, 5), "helper_function");
        assert_int_equal(function_linkage(&output, 5), BTF_FUNC_STATIC);

        context = btf__type_by_id(output.btf, output.func_info[4].type_id);
        context = btf__type_by_id(output.btf, context->type);
        assert_int_equal(btf_vlen(context), 1);
        context = btf__type_by_id(output.btf, btf_params(context)[0].type);
        assert_true(btf_is_ptr(context));
        context = btf__type_by_id(output.btf, context->type);
        assert_string_equal(btf__name_by_offset(output.btf, context->name_off), "__sk_buff");

        for (size_t i = 0; i < 3; i++) {
                const struct bpf_line_info *line = &output.line_info[output.n_line_info - 3 + i];

                assert_int_equal(line->insn_off, output.spans[1].start + i);
                assert_string_equal(btf__str_by_offset(output.btf, line->line_off),
                                    ((const char *const[]){ "first", "second", "third" })[i]);
                assert_string_equal(btf__str_by_offset(output.btf, line->file_name_off), i < 2 ? "a.c" : "b.h");
                assert_int_equal(line->line_col, (i + 1) << 10);
        }
        fuse_output_done(&output);
        member_free(with);
        member_free(without);
}

static void check_refusal(const FuseInput *input, ErrorCode code, const char *word) {
        Error error = ERROR_INIT;
        FusePlan ignored;

        assert_int_equal(plan(input, &ignored, &error), error_code_to_errno(code));
        assert_int_equal(error.code, code);
        if (!strstr(error.message, word))
                fail_msg("\"%s\" lacks \"%s\"", error.message, word);
        error_done(&error);
}

static void test_limits(void **state) {
        Member *plain = MEMBER(BPF_PROG_TYPE_XDP, 0, SET(0, 2), EXIT);
        Member *tail = MEMBER(BPF_PROG_TYPE_XDP, 0, HELPER(BPF_FUNC_tail_call), HELPER(BPF_FUNC_tail_call),
                              HELPER(BPF_FUNC_tail_call), SET(0, 2), EXIT);
        Member *functions = MEMBER(BPF_PROG_TYPE_XDP, 0, CALL(3), CALL(3), CALL(3), EXIT, EXIT, EXIT, EXIT);
        Member *maps = MEMBER(BPF_PROG_TYPE_XDP, 3, MAP(1, 0), MAP(1, 1), SET(0, 2), EXIT);
        FuseMember m[CHAIN_SLOTS_MAX + 1] = {};
        uint32_t ids[CHAIN_SLOTS_MAX][3];
        int fds[3] = {};
        FusePlan cut;
        FuseInput input = make_input(HOOK_XDP, m, 0);
        Error error = ERROR_INIT;

        assert_int_equal(tail->n_tail_calls, 3);
        assert_int_equal(functions->n_subprograms, 4);

        check_refusal(&input, ERROR_INVALID_ARGUMENT, "at least one");
        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                m[i] = (FuseMember){ .name = "plain", .member = plain };
        input.n_members = CHAIN_SLOTS_MAX + 1;
        check_refusal(&input, ERROR_LIMIT_EXCEEDED, "65 programs");
        input.n_members = 1;
        assert_int_equal(plan(&input, &cut, &error), 0);
        m[0].proceed_on = 1 << 6;
        check_refusal(&input, ERROR_INVALID_ARGUMENT, "0x40");
        m[0].proceed_on = 1 << 5;
        assert_int_equal(plan(&input, &cut, &error), 0);
        m[0].seat = CHAIN_SEATS_MAX;
        check_refusal(&input, ERROR_INVALID_ARGUMENT, "seat 128");
        m[0].seat = 0;
        input.hook = HOOK_TC_EGRESS;
        check_refusal(&input, ERROR_INCOMPATIBLE, "tc-egress");
        input.hook = HOOK_XDP;

        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                m[i].member = tail;
        input.n_members = 11;
        assert_int_equal(plan(&input, &cut, &error), 0);
        input.n_members = 12;
        check_refusal(&input, ERROR_LIMIT_EXCEEDED, "at 36 places");

        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                m[i].member = functions;
        input.n_members = 50;
        assert_int_equal(plan(&input, &cut, &error), 0);
        assert_int_equal(cut.n_segments, 1);
        input.n_members = 64;
        assert_int_equal(plan(&input, &cut, &error), 0);
        assert_int_equal(cut.n_segments, 2);

        /* what is not referred to does not count, and what is shared counts once */
        for (uint32_t i = 0; i < CHAIN_SLOTS_MAX; i++) {
                memcpy(ids[i], (uint32_t[]){ 1, i + 2, 1000 + i }, sizeof(ids[i]));
                m[i] = (FuseMember){ .name = "maps", .member = maps, .map_fds = fds, .map_ids = ids[i], .n_maps = 3 };
        }
        input.n_members = 59;
        assert_int_equal(plan(&input, &cut, &error), 0);
        assert_int_equal(cut.n_segments, 1);
        input.n_members = 64;
        assert_int_equal(plan(&input, &cut, &error), 0);
        assert_int_equal(cut.n_segments, 2);
        assert_int_equal(cut.starts[1], 59);
        assert_int_equal(cut.starts[2], 64);
        assert_true(fuse_plan_split(&cut, 0));
        assert_int_equal(cut.n_segments, 3);
        assert_int_equal(cut.starts[1], 29);
        assert_int_equal(cut.starts[2], 59);
        assert_int_equal(cut.starts[3], 64);

        /* tail calls that reach slots and segments count as well */
        for (size_t i = 0; i < CHAIN_SLOTS_MAX; i++)
                m[i] = (FuseMember){ .name = "slot", .member = plain, .form = SLOT_FORM_SLOT };
        input.n_members = 33;
        assert_int_equal(plan(&input, &cut, &error), 0);
        assert_true(fuse_plan_needs_slots(&input, &cut));
        input.n_members = 34;
        check_refusal(&input, ERROR_LIMIT_EXCEEDED, "34 tail calls");
        plain->bound = true;
        input.n_members = 2;
        check_refusal(&input, ERROR_INCOMPATIBLE, "bound to the interface");

        member_free(plain);
        member_free(tail);
        member_free(functions);
        member_free(maps);
}

static void check_scan_fails(const struct bpf_insn *insns, size_t n, size_t n_maps) {
        Member member = { .insns = (struct bpf_insn *) insns, .n_insns = n };

        assert_int_equal(member_scan(&member, n_maps), -EINVAL);
        free(member.uses_map);
        free(member.subprograms);
}

static void test_bad_instructions(void **state) {
        const struct bpf_insn call[] = { CALL(5), EXIT }, back[] = { CALL(-3), EXIT }, map[] = { MAP(1, 1), EXIT },
                              half[] = { EXIT, { .code = BPF_LD | BPF_IMM | BPF_DW } };

        check_scan_fails(call, 2, 0);
        check_scan_fails(back, 2, 0);
        check_scan_fails(map, 3, 1);
        check_scan_fails(half, 2, 0);
        check_scan_fails(call, 0, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_slot),
                cmocka_unit_test(test_no_counters),
                cmocka_unit_test(test_all_sets_xdp),
                cmocka_unit_test(test_all_sets_tc),
                cmocka_unit_test(test_odd_verdicts),
                cmocka_unit_test(test_inlined),
                cmocka_unit_test(test_threads),
                cmocka_unit_test(test_forms),
                cmocka_unit_test(test_64_slots),
                cmocka_unit_test(test_descriptors),
                cmocka_unit_test(test_types),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_bad_instructions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
