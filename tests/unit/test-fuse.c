/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The builder of chains, without a kernel: what it makes is checked, and run by a small interpreter. */

#include "fuse-fixture.h"

static const char *function_name(const FuseOutput *output, size_t i) {
        return btf__name_by_offset(output->btf, btf__type_by_id(output->btf, output->func_info[i].type_id)->name_off);
}

static enum btf_func_linkage function_linkage(const FuseOutput *output, size_t i) {
        return (enum btf_func_linkage) btf_vlen(btf__type_by_id(output->btf, output->func_info[i].type_id));
}

static void test_one_slot(void **state) {
        Member *member = MEMBER(BPF_PROG_TYPE_XDP, 0, SET(0, 2), EXIT);
        FuseMember m = { .name = "one", .member = member, .proceed_on = 1 << 2, .seat = 5, .form = SLOT_FORM_GLOBAL };
        FuseInput input = make_input(HOOK_XDP, &m, 1);
        Machine machine = {};
        FuseOutput output;

        must_build(&input, &output);
        check_info(&output, 3);
        assert_int_equal(run(&machine, HOOK_XDP, &output), 2);
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
                assert_int_equal(run(&machine, hooks[i].hook, &output), hooks[i].verdict);
                assert_int_equal(machine.n_calls, 1);
                fuse_output_done(&output);
                member_free(member);
        }
}

static void check_set(Hook hook, const FuseMember m[2], unsigned bucket, unsigned last, CounterLevel level) {
        bool proceeds = m[0].proceed_on & (1U << bucket), all = level == COUNTER_LEVEL_ALL,
             verdicts = level >= COUNTER_LEVEL_VERDICTS;
        uint64_t length = hook_is_tc(hook) ? MACHINE_LENGTH_TC : MACHINE_LENGTH_XDP;
        FuseInput input = make_input(hook, m, 2);
        const uint64_t *first, *second;
        Machine machine = {};
        FuseOutput output;

        input.counters = level;
        must_build(&input, &output);
        assert_int_equal(run(&machine, hook, &output), m[proceeds].member->insns[0].imm);
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
                        assert_int_equal(run(&machine, hook, &output), values[i]);
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
        assert_int_equal(run(&machine, HOOK_XDP, &output), 2);
        assert_int_equal(machine.n_calls, 2 + 3);
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(machine.counters[i][2], 1);
                assert_int_equal(machine.counters[i][COUNTER_ENDED + 2], i == 4);
        }
        fuse_output_done(&output);
        member_free(rude);
        member_free(plain);
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
        assert_int_equal(run(&machine, HOOK_XDP, &output), 2);
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

/* Types and lines for CALL(1), EXIT, and a function of two instructions. */
static void give_types(Member *member) {
        struct btf *btf = member->btf = btf__new_empty();
        int type, proto, main_id, sub_id;

        type = btf__add_int(btf, "long", 8, BTF_INT_SIGNED);
        proto = btf__add_func_proto(btf, type);
        main_id = btf__add_func(btf, "main_function", BTF_FUNC_GLOBAL, proto);
        sub_id = btf__add_func(btf, "helper_function", BTF_FUNC_STATIC, proto);
        member->func_info = calloc(2, sizeof(struct bpf_func_info));
        member->func_info[0] = (struct bpf_func_info){ 0, (uint32_t) main_id };
        member->func_info[1] = (struct bpf_func_info){ 2, (uint32_t) sub_id };
        member->n_func_info = 2;
        member->line_info = calloc(3, sizeof(struct bpf_line_info));
        member->line_info[0] = (struct bpf_line_info){ 0, (uint32_t) btf__add_str(btf, "a.c"),
                                                       (uint32_t) btf__add_str(btf, "first"), 1 << 10 };
        member->line_info[1] = (struct bpf_line_info){ 1, member->line_info[0].file_name_off,
                                                       (uint32_t) btf__add_str(btf, "second"), 2 << 10 };
        member->line_info[2] = (struct bpf_line_info){ 2, (uint32_t) btf__add_str(btf, "b.h"),
                                                       (uint32_t) btf__add_str(btf, "third"), 3 << 10 };
        member->n_line_info = 3;
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
        const struct btf_type *context;
        FuseOutput output;

        give_types(with);

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

/* Where a line of the chain's own meets one of the author's, the author's stays. */
static void test_lines(void **state) {
        Member *member = MEMBER(BPF_PROG_TYPE_XDP, 0, CALL(1), EXIT, SET(0, 2), EXIT);
        FuseMember m = { .name = "one", .member = member, .form = SLOT_FORM_INLINED };
        FuseInput input = make_input(HOOK_XDP, &m, 1);
        FuseOutput output;

        give_types(member);
        input.counters = COUNTER_LEVEL_OFF;
        must_build(&input, &output);
        check_info(&output, 2);
        assert_int_equal(output.spans[0].start, 0);
        assert_string_equal(btf__str_by_offset(output.btf, output.line_info[0].line_off), "first");
        assert_string_equal(btf__str_by_offset(output.btf, output.line_info[0].file_name_off), "a.c");
        fuse_output_done(&output);
        member_free(member);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_slot),     cmocka_unit_test(test_no_counters),
                cmocka_unit_test(test_all_sets_xdp), cmocka_unit_test(test_all_sets_tc),
                cmocka_unit_test(test_odd_verdicts), cmocka_unit_test(test_inlined),
                cmocka_unit_test(test_64_slots),     cmocka_unit_test(test_descriptors),
                cmocka_unit_test(test_types),        cmocka_unit_test(test_lines),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
