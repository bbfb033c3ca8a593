/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/pkt_cls.h>

#include "kernel/fuse-btf.h"
#include "kernel/fuse-count.h"
#include "kernel/fuse-thread.h"

/* Instructions that do not depend on the members, and those that a slot takes at most besides its member's. */
#define ROOT_INSNS_MAX (2 * COUNT_FUNCTION_INSNS + COUNT_BEGIN_INSNS + 32)
#define SLOT_INSNS_MAX (COUNT_HOP_INSNS + COUNT_END_INSNS + 32)

/* As long as a root is shorter, the ends lie behind its slots, out of the way. */
#define NEAR_ENDS_MAX 30000

void fuse_output_done(FuseOutput *output) {
        free(output->insns);
        free(output->func_info);
        free(output->line_info);
        free(output->fd_array);
        btf__free(output->btf);
        *output = (FuseOutput){};
}

/* A program that is being put together. */
typedef struct Build {
        const FuseInput *input;
        FuseOutput *output;
        FuseLayout *layout;
        Code code;
        Root root;
        bool near_ends;
        ThreadTo *threads;               /* of the member that is being copied */
        size_t modules[CHAIN_SLOTS_MAX]; /* where a member's part of fd_array begins */
        size_t calls[CHAIN_SLOTS_MAX];   /* of called members, or of the function that reaches a slot */
        size_t traces[CHAIN_SLOTS_MAX];  /* calls of the function that traces */

        /* Jumps that wait for their targets. */
        size_t *to_next; /* to the next slot */
        size_t n_to_next;
        size_t *to_test; /* to the comparison with the proceed-on set */
        size_t n_to_test;
        size_t *to_end; /* to the end of a slot */
        size_t *to_end_of;
        size_t n_to_end;
        size_t ends_from; /* first of to_end of the present slot */
} Build;

static void build_done(Build *build) {
        free(build->threads);
        free(build->to_next);
        free(build->to_test);
        free(build->to_end);
        free(build->to_end_of);
}

static void wait_for_end(Build *build, size_t jump, size_t slot) {
        build->to_end[build->n_to_end] = jump;
        build->to_end_of[build->n_to_end++] = slot;
}

static void set_jumps(Build *build, size_t *jumps, size_t *n_jumps) {
        for (size_t i = 0; i < *n_jumps; i++)
                set_jump(&build->code, jumps[i], build->code.n);
        *n_jumps = 0;
}

int fuse_fail_verdict(Hook hook) {
        return hook_is_tc(hook) ? TC_ACT_SHOT : XDP_ABORTED;
}

static void end_if(Build *build, size_t i, unsigned condition, unsigned bucket) {
        uint32_t verdict = (uint32_t) verdict_bucket_to_value(build->input->hook, bucket);

        wait_for_end(build, emit_jump_if(&build->code, condition, BPF_REG_0, verdict, 0), i);
}

/* Leads the packet to the next slot where the verdict in w0 is in the set, and else to the end. Sets of one or two
 * verdicts, and those that lack one or two, are compared one by one. An empty set takes the general form, because the
 * verifier refuses a slot that no path leads to. */
static void emit_proceed(Build *build, size_t i) {
        const FuseInput *input = build->input;
        unsigned n_buckets = verdict_buckets(input->hook);
        uint32_t all = (UINT32_C(1) << n_buckets) - 1, other = UINT32_C(1) << (n_buckets - 1);
        uint32_t set = input->members[i].proceed_on & all;
        Code *code = &build->code;

        if (set == all)
                return;
        if (set != 0 && !(set & other) && __builtin_popcount(set) <= 2) {
                unsigned first = (unsigned) __builtin_ctz(set);

                set &= set - 1;
                if (set != 0)
                        build->to_next[build->n_to_next++] = emit_jump_if(
                                code, BPF_JEQ, BPF_REG_0, (uint32_t) verdict_bucket_to_value(input->hook, first), 0);
                end_if(build, i, BPF_JNE, set != 0 ? (unsigned) __builtin_ctz(set) : first);
        } else if ((set & other) && __builtin_popcount(all & ~set) <= 2) {
                for (uint32_t lacks = all & ~set; lacks != 0; lacks &= lacks - 1)
                        end_if(build, i, BPF_JEQ, (unsigned) __builtin_ctz(lacks));
        } else {
                count_bucket(input->hook, code);
                emit_set32(code, BPF_REG_3, set);
                emit(code, BPF_ALU | BPF_RSH | BPF_X, BPF_REG_3, BPF_REG_1, 0, 0);
                emit(code, BPF_ALU | BPF_AND | BPF_K, BPF_REG_3, 0, 0, 1);
                wait_for_end(build, emit_jump_if(code, BPF_JEQ, BPF_REG_3, 0, 0), i);
        }
}

static void emit_end(Build *build, size_t i) {
        count_end(build->input, &build->root, &build->code, build->input->members[i].seat);
}

/* The end of a slot right behind it, for roots that are too long for jumps to their end. What goes on (`falls`: what
 * came to here) jumps over it. */
static void emit_far_end(Build *build, size_t i, bool falls) {
        if (build->n_to_end == build->ends_from)
                return;
        if (falls)
                build->to_next[build->n_to_next++] = emit_jump(&build->code, 0);
        for (; build->n_to_end > build->ends_from; build->n_to_end--)
                set_jump(&build->code, build->to_end[build->n_to_end - 1], build->code.n);
        emit_end(build, i);
}

static void emit_near_ends(Build *build) {
        const FuseInput *input = build->input;

        for (size_t k = 0; k < input->n_members; k++) {
                size_t i = input->n_members - 1 - k, first = SIZE_MAX;

                for (size_t j = 0; j < build->n_to_end; j++) {
                        if (build->to_end_of[j] != i)
                                continue;
                        first = MIN2(first, build->code.n);
                        set_jump(&build->code, build->to_end[j], first);
                }
                if (first != SIZE_MAX)
                        emit_end(build, i);
        }
}

/* Copies a part of a member behind what there is and fills in descriptors. `modules` is where its part of fd_array
 * begins. */
static int append_insns(Code *code, const FuseMember *m, size_t from, size_t to, size_t modules) {
        const Member *member = m->member;
        struct bpf_insn *insns = &code->insns[code->n];
        size_t n = to - from;

        assert(code->room - code->n >= n);
        memcpy(insns, member->insns + from, n * sizeof(struct bpf_insn));
        code->n += n;

        for (size_t i = 0; i < n; i++) {
                struct bpf_insn *insn = &insns[i];

                if (insn_is_map(insn)) {
                        if ((uint32_t) insn->imm >= m->n_maps)
                                return -EINVAL;
                        insn->imm = m->map_fds[insn->imm];
                } else if (insn_is_module_variable(insn)) {
                        if ((uint32_t) insn[1].imm > member->n_btf_fds)
                                return -EINVAL;
                        insn[1].imm = member->btf_fds[insn[1].imm - 1];
                } else if (insn_is_call(insn, BPF_PSEUDO_KFUNC_CALL) && insn->off > 0) {
                        if ((size_t) insn->off > member->n_btf_fds)
                                return -EINVAL;
                        insn->off = (int16_t) (modules + (size_t) insn->off - 1);
                }
                if (insn_is_wide(insn))
                        i++;
        }
        return 0;
}

static void wait_for(Build *build, size_t jump, ThreadTo to, size_t slot) {
        switch (to) {
        case THREAD_STAYS: break;
        case THREAD_NEXT: build->to_next[build->n_to_next++] = jump; break;
        case THREAD_TEST: build->to_test[build->n_to_test++] = jump; break;
        case THREAD_END: wait_for_end(build, jump, slot); break;
        }
}

/* What ends an inlined member's main function ends the member only. Where every verdict is counted or shown, all ways
 * lead by there. Returns whether any leads to the comparison. */
static int turn_exits(Build *build, size_t i) {
        const FuseInput *input = build->input;
        const FuseSpan *span = &build->output->spans[i];
        size_t n = span->end - span->start;
        struct bpf_insn *insns = &build->code.insns[span->start];
        bool leads_on = false;
        int r = 0;

        if (input->counters != COUNTER_LEVEL_ALL && input->trace_fd < 0) {
                bool ends = i + 1 == input->n_members && input->next == 0;

                r = fuse_thread(insns, n, input->hook, ends ? 0 : input->members[i].proceed_on, build->threads);
                if (r < 0)
                        return r;
                /* the verifier refuses a slot that no way leads to */
                for (size_t j = 0; r == 0 && !leads_on && j < n; j++)
                        leads_on = build->threads[j] == THREAD_NEXT;
                leads_on = leads_on || r > 0 || ends;
        }
        for (size_t j = 0; !leads_on && j < n; j++)
                build->threads[j] = insns[j].code == (BPF_JMP | BPF_EXIT) ? THREAD_TEST : THREAD_STAYS;
        r = r > 0 || !leads_on;

        for (size_t j = 0; j < n; j++) {
                if (insns[j].code == (BPF_JMP | BPF_EXIT))
                        insns[j] = (struct bpf_insn){ .code = BPF_JMP | BPF_JA };
                wait_for(build, span->start + j, build->threads[j], i);
                if (insn_is_wide(&insns[j]))
                        j++;
        }
        return r;
}

/* Calls of subprograms, and references to them, out of an inlined main function: the distance to them has grown. */
static void aim_at_subprograms(Code *code, const FuseSpan *span) {
        int32_t growth = (int32_t) (span->subprograms - span->end);

        for (size_t i = span->start; i < span->end; i++) {
                struct bpf_insn *insn = &code->insns[i];

                if (insn_calls_function(insn))
                        insn->imm += growth;
                if (insn_is_wide(insn))
                        i++;
        }
}

/* Appends the BTF descriptors of a member's kernel modules; [0] stands for the kernel's own. Returns where they
 * begin. */
static ssize_t append_modules(FuseOutput *output, const Member *member) {
        size_t start = output->n_fd_array > 0 ? output->n_fd_array : 1;
        int *array;

        if (member->n_btf_fds == 0)
                return (ssize_t) start;
        array = reallocarray(output->fd_array, output->n_fd_array + member->n_btf_fds + 1, sizeof(int));
        if (!array)
                return -ENOMEM;
        output->fd_array = array;
        if (output->n_fd_array == 0)
                array[output->n_fd_array++] = 0;
        memcpy(array + output->n_fd_array, member->btf_fds, member->n_btf_fds * sizeof(int));
        output->n_fd_array += member->n_btf_fds;
        return (ssize_t) start;
}

static void emit_context(Build *build, size_t i) {
        /* the first slot finds it where the kernel put it, unless something was called before */
        if (i == 0 && build->input->counters == COUNTER_LEVEL_OFF)
                return;
        emit_move(&build->code, BPF_REG_1, root_get(&build->root, &build->code, ROOT_CONTEXT, BPF_REG_1));
}

/* The member itself. Afterwards its verdict is in r0, on the ways that lead here; returns whether any does. */
static int build_body(Build *build, size_t i) {
        const FuseMember *m = &build->input->members[i];
        FuseSpan *span = &build->output->spans[i];
        int r;

        emit_context(build, i);
        if (m->form != SLOT_FORM_INLINED) {
                build->calls[i] = emit_call(&build->code);
                return true;
        }

        span->start = build->code.n;
        r = append_insns(&build->code, m, 0, member_main_insns(m->member), build->modules[i]);
        if (r < 0)
                return r;
        span->end = build->code.n;
        return turn_exits(build, i);
}

static void emit_trace(Build *build, size_t i) {
        Code *code = &build->code;

        emit_move32(code, BPF_REG_2, BPF_REG_0);
        emit_move(code, BPF_REG_1, root_get(&build->root, code, ROOT_CONTEXT, BPF_REG_1));
        emit_set32(code, BPF_REG_3, (uint32_t) (build->input->first + i));
        build->traces[i] = emit_call(code);
}

static int build_slot(Build *build, size_t i) {
        const FuseInput *input = build->input;
        bool last = i + 1 == input->n_members;
        int r;

        build->layout->slot_starts[i] = build->code.n;
        build->ends_from = build->n_to_end;
        r = build_body(build, i);
        if (r < 0)
                return r;
        build->layout->slot_ends[i] = build->code.n;
        set_jumps(build, build->to_test, &build->n_to_test);
        if (r > 0) {
                if (input->trace_fd >= 0)
                        emit_trace(build, i);
                if (input->counters == COUNTER_LEVEL_ALL)
                        count_hop(input, &build->root, &build->code, input->members[i].seat);
                if (!last || input->next > 0)
                        emit_proceed(build, i);
                else if (!build->near_ends || build->n_to_end > build->ends_from)
                        wait_for_end(build, emit_jump(&build->code, 0), i);
                else
                        emit_end(build, i);
        }
        if (!build->near_ends)
                emit_far_end(build, i, r > 0 && !(last && input->next == 0));
        set_jumps(build, build->to_next, &build->n_to_next);
        return 0;
}

/* The chain goes on in another program. That the tail call comes back means that the packet has had as many as the
 * kernel allows. */
static void emit_join(Build *build) {
        const FuseInput *input = build->input;
        Code *code = &build->code;
        size_t last = input->n_members - 1;

        if (input->next == 0)
                return;
        build->layout->join = code->n;
        count_carry(input, &build->root, code);
        emit_move(code, BPF_REG_1, root_get(&build->root, code, ROOT_CONTEXT, BPF_REG_1));
        emit_map(code, BPF_REG_2, input->slots_fd);
        emit_set32(code, BPF_REG_3, input->next);
        emit_helper(code, BPF_FUNC_tail_call);
        emit_set32(code, BPF_REG_0, (uint32_t) fuse_fail_verdict(input->hook));
        emit_end(build, last);
}

static size_t begin_function(Build *build, FuseProto proto, bool global, const char *name, const char *line) {
        FuseFunction *function = &build->layout->functions[build->layout->n_functions++];

        *function = (FuseFunction){ .insn = build->code.n, .proto = proto, .global = global, .line = line };
        snprintf(function->name, sizeof(function->name), "%s", name);
        return build->code.n;
}

/* The functions that the root calls, behind it. */
static void build_functions(Build *build, size_t counters_call) {
        const FuseInput *input = build->input;
        Code *code = &build->code;
        size_t start;

        if (counters_call != 0) {
                start = begin_function(build, FUSE_PROTO_PLAIN, false, "bpfchain_counters", "counters of this CPU");
                set_call(code, counters_call, start);
                count_emit_counters(input, code);
        }
        if (input->trace_fd >= 0) {
                start = begin_function(build, FUSE_PROTO_TRACE, true, "bpfchain_trace", "show the packet");
                for (size_t i = 0; i < input->n_members; i++)
                        set_call(code, build->traces[i], start);
                count_emit_trace(input, code);
        }
        /* Global ones. Of a static one the verifier of most kernels follows the way only on which the tail call
         * fails, so that it would know the verdict, and leave out what the chain does with others. */
        for (size_t i = 0; i < input->n_members; i++) {
                char name[32];

                if (input->members[i].form != SLOT_FORM_SLOT)
                        continue;
                snprintf(name, sizeof(name), "bpfchain_slot_%zu", input->first + i + 1);
                start = begin_function(build, FUSE_PROTO_ENTRY, true, name, "tail call of a slot's program");
                set_call(code, build->calls[i], start);
                emit_map(code, BPF_REG_2, input->slots_fd);
                emit_set32(code, BPF_REG_3, FUSE_SLOT_INDEX(input->first + i));
                emit_helper(code, BPF_FUNC_tail_call);
                emit_set32(code, BPF_REG_0, (uint32_t) fuse_fail_verdict(input->hook));
                emit_exit(code);
        }
}

static int build_root(Build *build) {
        const FuseInput *input = build->input;
        Code *code = &build->code;
        size_t counters_call;
        int r;

        root_put(&build->root, code, ROOT_CONTEXT, BPF_REG_1);
        count_begin(input, &build->root, code, &counters_call);
        for (size_t i = 0; i < input->n_members; i++) {
                r = build_slot(build, i);
                if (r < 0)
                        return r;
        }
        emit_join(build);
        if (build->near_ends)
                emit_near_ends(build);
        build_functions(build, counters_call);
        return 0;
}

/* What of a member comes behind the root. */
static int build_rest(Build *build, size_t i) {
        const FuseMember *m = &build->input->members[i];
        FuseSpan *span = &build->output->spans[i];
        size_t n_main = member_main_insns(m->member);
        int r;

        if (m->form == SLOT_FORM_SLOT)
                return 0;
        if (m->form != SLOT_FORM_INLINED) {
                span->start = build->code.n;
                set_call(&build->code, build->calls[i], build->code.n);
                r = append_insns(&build->code, m, 0, n_main, build->modules[i]);
                if (r < 0)
                        return r;
                span->end = build->code.n;
        }
        span->subprograms = build->code.n;
        r = append_insns(&build->code, m, n_main, m->member->n_insns, build->modules[i]);
        span->subprograms_end = build->code.n;
        aim_at_subprograms(&build->code, span);
        return r;
}

/* Makes room for all that may come. */
static int build_prepare(Build *build) {
        const FuseInput *input = build->input;
        size_t n_root = ROOT_INSNS_MAX, n_inlined = 1, jumps, longest = 1;

        build->code.room = ROOT_INSNS_MAX;
        for (size_t i = 0; i < input->n_members; i++) {
                const FuseMember *m = &input->members[i];
                size_t n_main = member_main_insns(m->member);
                ssize_t modules;

                build->code.room += SLOT_INSNS_MAX;
                n_root += SLOT_INSNS_MAX;
                if (m->form == SLOT_FORM_SLOT)
                        continue;
                modules = append_modules(build->output, m->member);
                if (modules < 0)
                        return (int) modules;
                build->modules[i] = (size_t) modules;
                build->code.room += m->member->n_insns;
                if (m->form == SLOT_FORM_INLINED) {
                        n_root += n_main;
                        n_inlined += n_main;
                        longest = MAX2(longest, n_main);
                }
        }
        build->near_ends = n_root <= NEAR_ENDS_MAX;

        jumps = n_inlined + 4 * input->n_members;
        build->threads = calloc(longest, sizeof(ThreadTo));
        build->to_next = calloc(jumps, sizeof(size_t));
        build->to_test = calloc(jumps, sizeof(size_t));
        build->to_end = calloc(jumps, sizeof(size_t));
        build->to_end_of = calloc(jumps, sizeof(size_t));
        build->output->insns = build->code.insns = calloc(build->code.room, sizeof(struct bpf_insn));
        return build->threads && build->to_next && build->to_test && build->to_end && build->to_end_of &&
                               build->code.insns
                       ? 0
                       : -ENOMEM;
}

static int build_insns(const FuseInput *input, FuseLayout *layout, FuseOutput *output) {
        _cleanup_(build_done) Build build = {
                .input = input,
                .output = output,
                .layout = layout,
                .root = root_layout(input),
        };
        int r;

        r = build_prepare(&build);
        if (r >= 0)
                r = build_root(&build);
        for (size_t i = 0; i < input->n_members && r >= 0; i++)
                r = build_rest(&build, i);
        output->n_insns = build.code.n;
        return r;
}

int fuse_build(const FuseInput *input, FuseOutput *ret) {
        _cleanup_(fuse_output_done) FuseOutput output = {};
        FuseLayout layout = {};
        int r;

        r = build_insns(input, &layout, &output);
        if (r >= 0)
                r = fuse_btf_build(input, &layout, &output);
        if (r < 0)
                return r;

        *ret = output;
        output = (FuseOutput){};
        return 0;
}

static void *copy_array(const void *from, size_t n, size_t size) {
        void *copy = calloc(MAX2(n, 1U), size);

        if (copy && n > 0)
                memcpy(copy, from, n * size);
        return copy;
}

int fuse_build_alone(const FuseMember *m, FuseOutput *ret) {
        _cleanup_(fuse_output_done) FuseOutput output = {};
        const Member *member = m->member;
        Code code = { .room = member->n_insns };
        ssize_t modules;
        int r;

        modules = append_modules(&output, member);
        if (modules < 0)
                return (int) modules;
        output.insns = code.insns = calloc(code.room, sizeof(struct bpf_insn));
        output.func_info = copy_array(member->func_info, member->n_func_info, sizeof(struct bpf_func_info));
        output.line_info = copy_array(member->line_info, member->n_line_info, sizeof(struct bpf_line_info));
        if (!output.insns || !output.func_info || !output.line_info)
                return -ENOMEM;
        r = append_insns(&code, m, 0, member->n_insns, (size_t) modules);
        if (r < 0)
                return r;
        output.n_insns = code.n;
        output.spans[0] = (FuseSpan){ .end = code.n };

        if (member->btf) {
                output.n_func_info = member->n_func_info;
                output.n_line_info = member->n_line_info;
        }
        if (member->has_types) {
                output.types_fd = member->types_fd;
        } else if (member->btf) {
                const void *data;
                uint32_t size;

                data = btf__raw_data(member->btf, &size);
                output.btf = data ? btf__new(data, size) : NULL;
                if (!output.btf)
                        return -ENOMEM;
        }
        *ret = output;
        output = (FuseOutput){};
        return 0;
}
