/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is decided before a chain is built, without a kernel: forms of members, where their exits lead, segments, and
 * what is refused. */

#include "fuse-fixture.h"
#include "kernel/fuse-form.h"
#include "kernel/fuse-thread.h"

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
        const struct bpf_insn shared[] = { SET(0, 2), SKIP_UNLESS(1, 0, 2), SET(0, 1), SKIP(0), EXIT };
        /* through another register, over a call, which loses r0 but not r6 */
        const struct bpf_insn moved[] = {
                SET(6, 2), HELPER(7), { .code = BPF_ALU64 | BPF_MOV | BPF_X, .src_reg = 6 }, EXIT
        };
        /* a loop that changes what looks constant */
        const struct bpf_insn loop[] = { SET(0, 0), ADD(0, 1), SKIP_UNLESS(0, 5, -2), EXIT };
        /* operations that write what was there before into their source, or into r0 */
        const struct bpf_insn fetch[] = { SET(0, 2), ATOMIC(BPF_XCHG, 0), EXIT };
        const struct bpf_insn fetch_other[] = { SET(6, 2), ATOMIC(BPF_ADD | BPF_FETCH, 6), MOVE(0, 6), EXIT };
        const struct bpf_insn exchange[] = { SET(0, 2), SET(6, 1), ATOMIC(BPF_CMPXCHG, 6), EXIT };
        /* what one of two ways does not know, however it was there before */
        const struct bpf_insn meet[] = { SET(0, 2), SKIP_UNLESS(1, 0, 2), SET(3, 1), SKIP(1), HELPER(7), SET(4, 1),
                                         EXIT };
        const struct bpf_insn meet_other[] = { SET(0, 2), SKIP_UNLESS(1, 0, 1), HELPER(7), SET(4, 1), EXIT };
        /* moves that extend a sign */
        const struct bpf_insn extends[] = { SET(6, 258),
                                            { .code = BPF_ALU64 | BPF_MOV | BPF_X, .src_reg = 6, .off = 8 },
                                            EXIT };

        check_threads(constant, 2, false, ".n");
        check_threads(unknown, 2, true, ".t");
        check_threads(two, 5, false, "..n.e");
        check_threads(shared, 5, false, "...en");
        check_threads(moved, 4, false, "...n");
        check_threads(loop, 4, true, "...t");
        check_threads(fetch, 3, true, "..t");
        check_threads(fetch_other, 4, true, "...t");
        check_threads(exchange, 4, true, "...t");
        check_threads(meet, 7, true, "......t");
        check_threads(meet_other, 5, true, "....t");
        check_threads(extends, 3, true, "..t");
}

/* What may be inlined, and how a chain that is refused goes on. */
static void test_forms(void **state) {
        Member *member = MEMBER(BPF_PROG_TYPE_XDP, 0, SET(0, 2), EXIT);
        Member *calls = MEMBER(BPF_PROG_TYPE_XDP, 0, HELPER(BPF_FUNC_tail_call), SET(0, 2), EXIT);
        Member *loads = MEMBER(BPF_PROG_TYPE_SCHED_CLS, 0, { .code = BPF_LD | BPF_ABS | BPF_W }, EXIT);
        FuseMember m[] = { { .member = member }, { .member = calls }, { .member = loads } };
        Member *itself = MEMBER(BPF_PROG_TYPE_XDP, 0, CALL(-1), EXIT);
        const char *reason;

        assert_int_equal(fuse_form_choose(&(FuseMember){ .member = itself }, &reason), SLOT_FORM_GLOBAL);
        assert_non_null(strstr(reason, "itself"));
        member_free(itself);
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

        m[1].member = member;
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

        m[1].member = calls;
        /* too deep: the deepest first, and only where there are slots */
        m[1].stack_depth = 100;
        m[2].stack_depth = 200;
        assert_false(fuse_form_retreat(m, 3, NULL, FUSE_COMPLAINT_DEEP, false));
        assert_true(fuse_form_retreat(m, 3, NULL, FUSE_COMPLAINT_DEEP, true));
        assert_int_equal(m[2].form, SLOT_FORM_SLOT);
        assert_int_equal(m[1].form, SLOT_FORM_STATIC);

        /* calls too nested: a called one with most of them, whatever its stack; inlined ones are no matter */
        for (size_t i = 0; i < 3; i++)
                m[i].form = i == 2 ? SLOT_FORM_INLINED : SLOT_FORM_GLOBAL;
        member->n_frames = 8;
        calls->n_frames = 2;
        assert_false(fuse_form_retreat(m, 3, NULL, FUSE_COMPLAINT_NESTED, false));
        assert_true(fuse_form_retreat(m, 3, NULL, FUSE_COMPLAINT_NESTED, true));
        assert_int_equal(m[0].form, SLOT_FORM_SLOT);
        assert_int_equal(m[1].form, SLOT_FORM_GLOBAL);
        assert_int_equal(m[2].form, SLOT_FORM_INLINED);

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

        /* a verdict that comes from a tail call is none that the verifier may be sure of */
        m[0] = (FuseMember){ .member = calls, .form = SLOT_FORM_GLOBAL };
        assert_false(fuse_form_retreat(m, 1, &m[0], FUSE_COMPLAINT_MEMBER, false));
        assert_int_equal(m[0].form, SLOT_FORM_GLOBAL);
        assert_true(fuse_form_retreat(m, 1, &m[0], FUSE_COMPLAINT_MEMBER, true));
        fuse_form_settle(m, 1);
        assert_int_equal(m[0].form, SLOT_FORM_SLOT);

        calls->slot_reason = "it has to";
        m[0] = (FuseMember){ .member = calls };
        assert_int_equal(fuse_form_choose(&m[0], &reason), SLOT_FORM_SLOT);
        assert_string_equal(reason, "it has to");

        member_free(member);
        member_free(calls);
        member_free(loads);
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
                              half[] = { EXIT, { .code = BPF_LD | BPF_IMM | BPF_DW } },
                              middle[] = { CALL(1), MAP(1, 0), EXIT };

        check_scan_fails(call, 2, 0);
        check_scan_fails(back, 2, 0);
        check_scan_fails(map, 3, 1);
        check_scan_fails(half, 2, 0);
        check_scan_fails(call, 0, 0);
        check_scan_fails(middle, 4, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_threads),
                cmocka_unit_test(test_forms),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_bad_instructions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
