/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "chain.h"
#include "kernel/fused.h"
#include "mutate.h"
#include "sides.h"
#include "trace.h"

typedef uint64_t Counters[CHAIN_SEATS_MAX][COUNTER_CELLS];

/* What the chain has to count, kept as bpfchain documents it (model/hook.h), not as the builder does it. */
typedef struct Reference {
        const Sides *sides;
        Counters counters;
        Attempt *attempt;
        Trace *trace; /* what each member did with the packet, NULL: it does not matter */
} Reference;

static unsigned bucket_of(Hook hook, int verdict) {
        if (hook_is_tc(hook))
                return verdict >= -1 && verdict <= 8 ? (unsigned) (verdict + 1) : 10;
        return verdict >= 0 && verdict <= 4 ? (unsigned) verdict : 5;
}

static void count(Reference *reference, unsigned seat, unsigned bucket, bool ended, uint64_t bytes) {
        CounterLevel level = reference->sides->plan->counters;
        uint64_t *row = reference->counters[seat];

        if (level == COUNTER_LEVEL_ALL) {
                row[bucket]++;
                row[COUNTER_SEEN_BYTES] += bytes;
        }
        if (ended && level != COUNTER_LEVEL_OFF) {
                row[COUNTER_ENDED + bucket]++;
                row[COUNTER_ENDED_BYTES] += bytes;
        }
}

/* Hands the packet from program to program. -ESTALE: that can't be done any further. */
static int run_reference(Reference *reference, Packet *packet, int *ret_verdict) {
        const Sides *sides = reference->sides;
        uint64_t bytes = packet->size - packet->meta;

        for (size_t i = 0; i < sides->n_members; i++) {
                const PlanMember *m = sides->members[i].plan;
                bool last = i + 1 == sides->n_members, ended;
                unsigned bucket;
                int r;

                if (!packet_runs(sides->plan->hook, packet))
                        return -ESTALE;
                r = packet_run(sides->members[i].program_fd, sides->plan->hook, packet, ret_verdict);
                if (r < 0)
                        return r;
                reference->attempt->runs++;
                reference->attempt->n_proceeded += last;
                if (reference->trace)
                        trace_step(reference->trace, i, packet, *ret_verdict);
                bucket = bucket_of(sides->plan->hook, *ret_verdict);
                ended = last || !(m->proceed_on & 1U << bucket);
                count(reference, m->seat, bucket, ended, bytes);
                if (ended)
                        return 0;
        }
        return -EINVAL;
}

static bool counters_differ(const Reference *reference, int fd, FILE *f) {
        size_t cpus = (size_t) libbpf_num_possible_cpus();
        _cleanup_free_ Counters *values = calloc(cpus, sizeof(Counters));
        bool differ = false;
        uint32_t key = 0;

        if (!values)
                return true;
        if (fd >= 0 && bpf_map_lookup_elem(fd, &key, values) < 0) {
                fprintf(f, "the counters can't be read: %s\n", strerror(errno));
                return true;
        }
        for (unsigned seat = 0; seat < CHAIN_SEATS_MAX; seat++)
                for (unsigned cell = 0; cell < COUNTER_CELLS; cell++) {
                        uint64_t sum = 0;

                        for (size_t cpu = 0; cpu < cpus; cpu++)
                                sum += values[cpu][seat][cell];
                        if (sum == reference->counters[seat][cell])
                                continue;
                        differ = true;
                        fprintf(f, "counters: seat %u, cell %u: fused %" PRIu64 ", reference %" PRIu64 "\n", seat,
                                cell, sum, reference->counters[seat][cell]);
                }
        return differ;
}

static int build(const Sides *sides, int trace_fd, KernelFused **ret, FusedInfo *ret_info, Error *error) {
        const FusedOptions options = { .trace_fd = trace_fd };
        const Plan *plan = sides->plan;
        FuseSlot slots[CHAIN_SLOTS_MAX] = {};
        FuseRequest request = {
                .interface = "bct-none",
                .ifindex = 1,
                .hook = plan->hook,
                .signature = "0123456789abcdef0123456789abcdef",
                .slots = slots,
                .n_slots = sides->n_members,
                .form_limit = plan->form_limit,
                .counters = plan->counters,
        };

        for (size_t i = 0; i < sides->n_members; i++)
                slots[i] = (FuseSlot){
                        .program = sides->members[i].program,
                        .name = sides->members[i].plan->name,
                        .proceed_on = sides->members[i].plan->proceed_on,
                        .seat = sides->members[i].plan->seat,
                };
        if (trace_fd >= 0)
                return fused_build(&request, &options, ret, ret_info, error);
        return kernel_chain_build(NULL, &request, ret, ret_info, error);
}

/* One packet both ways. */
static Outcome compare_runs(Reference *reference, const KernelFused *fused, size_t n, FILE *f) {
        const Plan *plan = reference->sides->plan;
        Packet a = plan->packets[n], b = plan->packets[n];
        int verdict_a = 0, verdict_b = 0, r;

        if (reference->trace)
                trace_begin(reference->trace);
        r = packet_run(fused->program_fd, plan->hook, &a, &verdict_a);
        if (r < 0) {
                fprintf(f, "packet %zu: the fused chain can't be run: %s\n", n, strerror(-r));
                return OUTCOME_DIFFERENT;
        }
        r = run_reference(reference, &b, &verdict_b);
        if (r == -ESTALE)
                return OUTCOME_STRANDED;
        if (r < 0) {
                fprintf(f, "packet %zu: a program can't be run: %s\n", n, strerror(-r));
                return OUTCOME_DIFFERENT;
        }
        if (verdict_a != verdict_b) {
                fprintf(f, "packet %zu: verdict: fused %d, reference %d\n", n, verdict_a, verdict_b);
                return OUTCOME_DIFFERENT;
        }
        if (packets_differ(&a, &b, f) || (reference->trace && trace_differs(reference->trace, plan->hook, f))) {
                fprintf(f, "this was packet %zu\n", n);
                return OUTCOME_DIFFERENT;
        }
        return OUTCOME_SAME;
}

static void compare(Reference *reference, const KernelFused *fused, uint32_t packets, FILE *f) {
        Attempt *attempt = reference->attempt;

        attempt->outcome = OUTCOME_SAME;
        for (size_t i = 0; i < reference->sides->plan->n_packets; i++) {
                Outcome outcome = OUTCOME_SAME;

                if (packets & UINT32_C(1) << i)
                        outcome = compare_runs(reference, fused, i, f);
                if (outcome != OUTCOME_SAME)
                        attempt->outcome = outcome;
                if (outcome == OUTCOME_STRANDED)
                        return; /* from here on maps and counters differ */
        }
        if (sides_differ(reference->sides, f))
                attempt->outcome = OUTCOME_DIFFERENT;
        if (counters_differ(reference, fused->counters_fd, f))
                attempt->outcome = OUTCOME_DIFFERENT;
}

static void dump_fused(const KernelFused *fused, FILE *dump) {
        char command[96], line[512];
        FILE *f;

        snprintf(command, sizeof(command), "bpftool prog dump xlated id %u 2>/dev/null || echo no bpftool",
                 fused->program_id);
        f = popen(command, "r");
        if (!f)
                return;
        fprintf(dump, "fused program:\n");
        while (fgets(line, sizeof(line), f))
                fputs(line, dump);
        (void) pclose(f);
}

static void dump_members(const Sides *sides, const FusedInfo *info, FILE *dump) {
        for (size_t i = 0; i < sides->n_members; i++) {
                const SlotForm form = info->forms[i];

                plan_print_member(sides->plan, sides->members[i].plan, dump);
                fprintf(dump, "  form %s (%s)\n", form < _SLOT_FORM_MAX ? slot_form_to_string(form) : "none",
                        strna(info->reasons[i]));
        }
}

static void try_with(const Sides *sides, const Selection *selection, FILE *dump, FILE *f, Attempt *attempt) {
        _cleanup_free_ Reference *reference = calloc(1, sizeof(Reference));
        _cleanup_(kernel_fused_freep) KernelFused *fused = NULL;
        _cleanup_(trace_freep) Trace *trace = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        int r;

        if (!reference || (sides->plan->trace && trace_new(sides->n_members, &trace) < 0))
                return;
        reference->sides = sides;
        reference->attempt = attempt;
        reference->trace = trace;

        mutation_begin();
        r = build(sides, trace ? trace_fd(trace) : -EBADF, &fused, &attempt->info, &error);
        attempt->mutated = mutation_end();
        if (r < 0) {
                attempt->outcome = r == -ENOMEM ? OUTCOME_TROUBLE : OUTCOME_REFUSED;
                fprintf(f, "%s", error.message ? error.message : strerror(-r));
                if (dump)
                        dump_members(sides, &attempt->info, dump);
                if (dump && error.log)
                        fprintf(dump, "verifier:\n%s\n", error.log);
                return;
        }
        if (dump) {
                dump_members(sides, &attempt->info, dump);
                dump_fused(fused, dump);
        }
        compare(reference, fused, selection->packets, f);
}

void chain_try(const Plan *plan, const Selection *selection, FILE *dump, Attempt *ret) {
        Sides *sides = malloc(sizeof(Sides));
        _cleanup_error_ Error error = ERROR_INIT;
        size_t size = 0;
        FILE *f;
        int r;

        *ret = (Attempt){ .outcome = OUTCOME_TROUBLE };
        f = open_memstream(&ret->text, &size);
        if (!f || !sides) {
                free(sides);
                if (f)
                        fclose(f);
                return;
        }

        r = sides_load(plan, selection->members, sides, &error);
        ret->n_members = (unsigned) sides->n_members;
        if (r < 0) {
                ret->outcome = error.code == ERROR_VERIFIER_REJECTED ? OUTCOME_MEMBER_REFUSED : OUTCOME_TROUBLE;
                fprintf(f, "%s", error.message ? error.message : strerror(-r));
                if (dump && sides->n_members > 0 && sides->members[sides->n_members - 1].plan->member)
                        dump_members(sides, &ret->info, dump);
                if (dump && error.log)
                        fprintf(dump, "verifier:\n%s\n", error.log);
        } else {
                try_with(sides, selection, dump, f, ret);
        }
        sides_done(sides);
        free(sides);
        fclose(f);
}

void attempt_done(Attempt *attempt) {
        free(attempt->text);
        *attempt = (Attempt){};
}
