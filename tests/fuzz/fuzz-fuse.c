/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The input is a chain (fuse-input.h), and decisions on the way from it to programs. Whatever it is: the builder
 * comes to an end, and refuses with a sentence or an errno.
 *
 * Of members that the kernel would take for programs, by their shape, more is demanded: what is built of them has a
 * shape that the kernel takes, and does what they do one after the other, with the same packet, verdicts and
 * counters, whatever their forms and the number of programs that the chain is cut into.
 */

#include <bpf/libbpf.h>

#include "../unit/fuse-check.h"
#include "../unit/fuse-machine.h"
#include "fuse-input.h"
#include "fuzz.h"
#include "kernel/fuse-form.h"
#include "kernel/fuse-plan.h"

#define DEPTH_ALONE 8
#define STEPS_ALONE 30000

#define MUST_BE(what)                                                                                                \
        do {                                                                                                         \
                const char *_wrong = (what);                                                                         \
                if (_wrong)                                                                                          \
                        fprintf(stderr, "%s\n", _wrong);                                                             \
                MUST(!_wrong);                                                                                       \
        } while (0)

typedef struct Case {
        Input input;
        FuseInput chain;
        FusePlan plan;
        FuseOutput segments[CHAIN_SLOTS_MAX];
        FuseOutput alone[INPUT_MEMBERS_MAX];
        bool sound;     /* the kernel would take the members */
        bool described; /* and their types */
} Case;

static void case_done(Case *c) {
        for (size_t i = 0; i < ELEMENTSOF(c->segments); i++)
                fuse_output_done(&c->segments[i]);
        for (size_t i = 0; i < ELEMENTSOF(c->alone); i++)
                fuse_output_done(&c->alone[i]);
        input_done(&c->input);
        free(c);
}

/* Are the references to modules of the kernel such as capture.c makes them? */
static bool knows_modules(const Member *member) {
        for (size_t i = 0; i < member->n_insns; i++) {
                const struct bpf_insn *insn = &member->insns[i];

                if (insn_is_call(insn, BPF_PSEUDO_KFUNC_CALL) && insn->off > (int) member->n_btf_fds)
                        return false;
                if (insn_is_wide(insn) && insn_is_module_variable(insn) && (uint32_t) insn[1].imm > member->n_btf_fds)
                        return false;
                i += insn_is_wide(insn);
        }
        return member->n_btf_fds <= FUSE_MODULES_MAX;
}

/* Does the kernel take the member by itself, as far as its shape tells? */
static bool is_sound(const Member *member) {
        return !fuse_check_code(member->insns, member->n_insns, member->subprograms, member->n_subprograms) &&
               fuse_check_ends(member->insns, member_main_insns(member)) && knows_modules(member);
}

static void check_described(const Member *member, const FuseOutput *output) {
        if (member->btf)
                MUST_BE(fuse_check_info(output->btf, output->insns, output->n_insns, output->func_info,
                                        output->n_func_info, output->line_info, output->n_line_info));
}

static bool build_alone(Case *c) {
        for (size_t i = 0; i < c->input.n_members; i++) {
                const InputMember *from = &c->input.members[i];
                const FuseMember m = { .member = from->member,
                                       .map_fds = from->map_fds,
                                       .map_ids = from->map_ids,
                                       .n_maps = from->n_maps };
                bool sound = is_sound(from->member);
                int r;

                r = fuse_build_alone(&m, &c->alone[i]);
                MUST(r <= 0 && (r == 0 || !sound || !from->described));
                if (r < 0)
                        return false;
                c->sound = c->sound && sound;
                c->described = c->described && from->described;
                if (sound && from->described)
                        check_described(from->member, &c->alone[i]);
        }
        return true;
}

/* What a kernel that refuses this and that brings about. */
static bool change_plan(Case *c) {
        for (unsigned i = input_byte(&c->input) % 8; i > 0; i--) {
                size_t segment = input_byte(&c->input) % c->plan.n_segments, first = c->plan.starts[segment];
                size_t n = c->plan.starts[segment + 1] - first;
                uint8_t what = input_byte(&c->input);
                FuseMember *members = &c->input.slots[first];

                if (what & 1) {
                        MUST(fuse_plan_split(&c->plan, segment) == (n > 1));
                } else if (fuse_form_retreat(members, n, what & 2 ? &members[(what >> 4) % n] : NULL,
                                             (FuseComplaint) ((what >> 2) % 3), true)) {
                        fuse_form_settle(members, n);
                }
                for (size_t k = 0; k < c->plan.n_segments; k++)
                        MUST(c->plan.starts[k] < c->plan.starts[k + 1]);
                MUST(c->plan.n_segments <= CHAIN_SLOTS_MAX && c->plan.starts[c->plan.n_segments] == c->input.n_slots);
        }
        return true;
}

static bool plan(Case *c) {
        _cleanup_error_ Error error = ERROR_INIT;
        int r;

        c->chain = (FuseInput){
                .hook = c->input.hook,
                .counters = c->input.trace ? COUNTER_LEVEL_OFF : c->input.counters,
                .counters_fd = MACHINE_COUNTERS_FD,
                .trace_fd = c->input.trace ? MACHINE_TRACE_FD : -EBADF,
                .slots_fd = -EBADF,
                .carry_fd = -EBADF,
                .frags = c->input.hook == HOOK_XDP,
                .members = c->input.slots,
                .n_members = c->input.n_slots,
        };
        for (size_t i = 0; i < c->input.n_slots; i++)
                c->chain.frags = c->chain.frags && c->input.slots[i].member->frags;

        r = fuse_plan(&c->chain, c->input.slots, &c->plan, &error);
        if (r >= 0) {
                MUST(r == 0 && !error_is_set(&error));
                (void) change_plan(c);
                r = fuse_plan_check(&c->chain, &c->plan, &error);
        }
        MUST(r <= 0 && error_is_set(&error) == (r < 0));
        if (fuse_plan_needs_slots(&c->chain, &c->plan))
                c->chain.slots_fd = MACHINE_SLOTS_FD;
        if (c->plan.n_segments > 1 && c->chain.counters != COUNTER_LEVEL_OFF)
                c->chain.carry_fd = MACHINE_CARRY_FD;
        return r == 0;
}

static void check_spans(const FuseInput *segment, const FuseOutput *output) {
        for (size_t i = 0; i < segment->n_members; i++) {
                const FuseSpan *span = &output->spans[i];

                if (segment->members[i].form == SLOT_FORM_SLOT) {
                        MUST(span->end == 0 && span->subprograms_end == 0);
                        continue;
                }
                MUST(span->end - span->start == member_main_insns(segment->members[i].member));
                MUST(span->end - span->start + span->subprograms_end - span->subprograms ==
                     segment->members[i].member->n_insns);
                MUST(span->end <= output->n_insns && span->subprograms_end <= output->n_insns);
        }
}

static bool build_segments(Case *c) {
        for (size_t k = 0; k < c->plan.n_segments; k++) {
                FuseInput segment = c->chain;
                FuseOutput *output = &c->segments[k];
                int r;

                segment.first = c->plan.starts[k];
                segment.members += segment.first;
                segment.n_members = c->plan.starts[k + 1] - segment.first;
                segment.next = k + 1 < c->plan.n_segments ? FUSE_SEGMENT_INDEX(k + 1) : 0;
                r = fuse_build(&segment, output);
                MUST(r <= 0 && (r == 0 || !c->sound || !c->described));
                if (r < 0)
                        return false;
                check_spans(&segment, output);
                if (c->sound && c->described) {
                        MUST_BE(fuse_check_shape(output));
                        MUST_BE(fuse_check_info(output->btf, output->insns, output->n_insns, output->func_info,
                                                output->n_func_info, output->line_info, output->n_line_info));
                }
        }
        return true;
}

/* What the chain has to do: run one member after the other. */
typedef struct Expected {
        int verdict;
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        int verdicts[CHAIN_SLOTS_MAX];
        uint32_t lengths[CHAIN_SLOTS_MAX]; /* of the packet behind each slot */
        size_t n_seen;
} Expected;

/* False: it does not end, or does what the verifier would not let it do. */
static bool expect(Case *c, Machine *machine, Expected *ret) {
        uint64_t length = hook_is_tc(c->chain.hook) ? MACHINE_LENGTH_TC : MACHINE_LENGTH_XDP;

        for (size_t i = 0; i < c->input.n_slots; i++) {
                const FuseMember *m = &c->input.slots[i];
                uint64_t *row = ret->counters[m->seat];
                unsigned bucket;

                machine->depth_max = DEPTH_ALONE;
                machine->steps_max = STEPS_ALONE;
                ret->verdict = machine_run(machine, &c->alone[c->input.slot_members[i] - c->input.members]);
                if (machine->trap)
                        return false;
                ret->verdicts[ret->n_seen] = ret->verdict;
                ret->lengths[ret->n_seen++] = machine_length(machine);
                bucket = verdict_bucket_of(c->chain.hook, ret->verdict);
                if (c->chain.counters == COUNTER_LEVEL_ALL) {
                        row[bucket]++;
                        row[COUNTER_SEEN_BYTES] += length;
                }
                if (i + 1 < c->input.n_slots && (m->proceed_on & (1U << bucket)))
                        continue;
                if (c->chain.counters != COUNTER_LEVEL_OFF) {
                        row[COUNTER_ENDED + bucket]++;
                        row[COUNTER_ENDED_BYTES] += length;
                }
                break;
        }
        return true;
}

static Machine *new_machine(const Case *c) {
        Machine *machine = calloc(1, sizeof(Machine));

        MUST(machine);
        machine->hook = c->chain.hook;
        machine->answers = c->input.answers;
        machine->n_answers = ELEMENTSOF(c->input.answers);
        return machine;
}

static void check_traces(const Machine *machine, const Expected *expected) {
        for (size_t i = 0; i < machine->n_traces; i++) {
                const FuseTrace *trace = &machine->traces[i];

                MUST(trace->seen == (i < expected->n_seen));
                if (trace->seen) {
                        MUST(trace->verdict == expected->verdicts[i]);
                        MUST(trace->size == expected->lengths[i]);
                        MUST(trace->data[trace->size - 1] == 0xab && trace->data[trace->size] == 0);
                }
        }
}

static void run(Case *c) {
        Machine *machine = new_machine(c);
        Expected *expected = calloc(1, sizeof(Expected));
        int verdict;

        MUST(expected);
        if (!expect(c, machine, expected)) {
                free(machine);
                free(expected);
                return;
        }
        free(machine);

        machine = new_machine(c);
        machine->steps_max = (STEPS_ALONE + 200) * c->input.n_slots + 2000;
        for (size_t i = 0; i < c->input.n_slots; i++)
                if (c->input.slots[i].form == SLOT_FORM_SLOT)
                        machine->slots[FUSE_SLOT_INDEX(i)] = &c->alone[c->input.slot_members[i] - c->input.members];
        for (size_t k = 1; k < c->plan.n_segments; k++)
                machine->slots[FUSE_SEGMENT_INDEX(k)] = &c->segments[k];
        if (c->input.trace) {
                machine->n_traces = c->input.n_slots;
                machine->traces = calloc(machine->n_traces, sizeof(FuseTrace));
                MUST(machine->traces);
        }

        verdict = machine_run(machine, &c->segments[0]);
        if (machine->trap)
                fprintf(stderr, "instruction %zu %s\n", machine->trap_at, machine->trap);
        MUST(!machine->trap);
        MUST(verdict == expected->verdict);
        MUST(memcmp(machine->counters, expected->counters, sizeof(expected->counters)) == 0);
        check_traces(machine, expected);
        free(machine->traces);
        free(machine);
        free(expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Case *c = calloc(1, sizeof(Case));
        int r = 0;

        MUST(c);
        (void) libbpf_set_print(NULL);
        input_read(&c->input, data, size);
        for (size_t i = 0; i < c->input.n_members && r >= 0; i++) {
                r = c->input.members[i].scanned;
                MUST(r == 0 || r == -EINVAL);
        }
        c->sound = c->described = true;
        if (r >= 0 && build_alone(c) && plan(c) && build_segments(c) && c->sound && c->described)
                run(c);
        case_done(c);
        return 0;
}
