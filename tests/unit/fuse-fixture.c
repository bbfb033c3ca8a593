/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse-fixture.h"
#include "fuse-check.h"

Member *fixture_member(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n, size_t n_maps) {
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

enum bpf_prog_type hook_type(Hook hook) {
        return hook_is_tc(hook) ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP;
}

FuseInput make_input(Hook hook, const FuseMember *members, size_t n) {
        return (FuseInput){ .hook = hook,
                            .counters = COUNTER_LEVEL_ALL,
                            .counters_fd = MACHINE_COUNTERS_FD,
                            .trace_fd = -EBADF,
                            .slots_fd = MACHINE_SLOTS_FD,
                            .carry_fd = -EBADF,
                            .members = members,
                            .n_members = n };
}

int plan(const FuseInput *input, FusePlan *ret, Error *error) {
        FuseMember members[CHAIN_SLOTS_MAX + 1];
        FuseInput copy = *input;

        memcpy(members, input->members, MIN2(input->n_members, ELEMENTSOF(members)) * sizeof(FuseMember));
        copy.members = members;
        return fuse_plan(&copy, members, ret, error);
}

void must_build(const FuseInput *input, FuseOutput *output) {
        Error error = ERROR_INIT;
        const char *wrong;
        FusePlan ignored;

        if (plan(input, &ignored, &error) < 0)
                fail_msg("%s", error.message);
        assert_int_equal(fuse_build(input, output), 0);
        wrong = fuse_check_shape(output);
        if (wrong)
                fail_msg("%s", wrong);
}

void check_info(const FuseOutput *output, size_t n_functions) {
        const char *wrong = fuse_check_info(output->btf, output->insns, output->n_insns, output->func_info,
                                            output->n_func_info, output->line_info, output->n_line_info);

        if (wrong)
                fail_msg("%s", wrong);
        assert_int_equal(output->n_func_info, n_functions);
}

int run(Machine *machine, Hook hook, const FuseOutput *output) {
        int verdict;

        machine->hook = hook;
        verdict = machine_run(machine, output);
        if (machine->trap)
                fail_msg("instruction %zu %s", machine->trap_at, machine->trap);
        return verdict;
}
