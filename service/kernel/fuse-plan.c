/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/fuse-plan.h"
#include "kernel/fuse-form.h"

/* What a segment may have of the chain's own: counters, trace, slots, carry; root and the functions that it calls. */
#define OWN_MAPS        4
#define OWN_SUBPROGRAMS 4

static bool member_fits_hook(const FuseInput *chain, const FuseMember *m) {
        return m->member->type == (hook_is_tc(chain->hook) ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP);
}

static int check_member(const FuseInput *chain, const FuseMember *m, Error *error) {
        uint32_t all = (UINT32_C(1) << verdict_buckets(chain->hook)) - 1;

        if (!member_fits_hook(chain, m))
                return error_set(error, ERROR_INCOMPATIBLE,
                                 "Program %s is for %s and can't be in a chain on hook %s.", m->name,
                                 hook_is_tc(chain->hook) ? "XDP" : "TC", hook_to_string(chain->hook));
        if ((m->proceed_on & ~all) != 0)
                return error_set(error, ERROR_INVALID_ARGUMENT,
                                 "The proceed-on set %#x of program %s has verdicts that hook %s does not know.",
                                 m->proceed_on, m->name, hook_to_string(chain->hook));
        if (m->seat >= CHAIN_SEATS_MAX)
                return error_set(error, ERROR_INVALID_ARGUMENT, "Program %s has seat %u; seats end at %u.", m->name,
                                 m->seat, CHAIN_SEATS_MAX - 1);
        return 0;
}

/* A program array takes only programs that agree with the first one, which was the member by itself. */
static int check_frags(const FuseInput *chain, Error *error) {
        const FuseMember *without = NULL;

        for (size_t i = 0; i < chain->n_members && !without; i++)
                if (!chain->members[i].member->frags)
                        without = &chain->members[i];
        for (size_t i = 0; i < chain->n_members && without; i++) {
                const FuseMember *m = &chain->members[i];

                if (m->member->frags && m->member->n_tail_calls > 0)
                        return error_set(error, ERROR_INCOMPATIBLE,
                                         "Program %s takes XDP packets of several buffers and makes tail calls, so "
                                         "its prog_array fits a chain only if all programs in it take such packets. "
                                         "%s does not: compile it for SEC(\"xdp.frags\"), or take one of the two out "
                                         "of the chain.",
                                         m->name, without->name);
        }
        return 0;
}

/* What a segment has so far. */
typedef struct Load {
        uint32_t maps[FUSE_MAPS_MAX]; /* ids */
        size_t n_maps;
        size_t insns;
        size_t subprograms;
        size_t modules;
        uint64_t verified;
} Load;

static bool load_add_map(Load *load, uint32_t id) {
        for (size_t i = 0; i < load->n_maps; i++)
                if (load->maps[i] == id)
                        return true;
        if (load->n_maps >= FUSE_MAPS_MAX - OWN_MAPS)
                return false;
        load->maps[load->n_maps++] = id;
        return true;
}

static bool load_add_maps(Load *load, const FuseMember *m) {
        for (size_t i = 0; i < m->n_maps && i < m->member->n_uses_map; i++)
                if (m->member->uses_map[i] && !load_add_map(load, m->map_ids[i]))
                        return false;
        return true;
}

/* False: there is no room for the member. The verifier's work is estimated by what it was for the members alone; that
 * several inlined ones take more than their sum is found out by trying. */
static bool load_add(Load *load, const FuseMember *m) {
        Load with = *load;

        with.subprograms += 1;
        if (m->form == SLOT_FORM_SLOT) {
                with.insns += 8;
        } else {
                if (!load_add_maps(&with, m))
                        return false;
                with.insns += m->member->n_insns;
                with.subprograms += m->member->n_subprograms;
                with.modules += m->member->n_btf_fds;
                with.verified += m->verified_insns;
        }
        if (with.insns > FUSE_INSNS_MAX / 2 || with.subprograms > FUSE_SUBPROGRAMS_MAX - OWN_SUBPROGRAMS ||
            with.modules > FUSE_MODULES_MAX || with.verified > FUSE_INSNS_MAX * 9 / 10)
                return false;
        *load = with;
        return true;
}

bool fuse_plan_needs_slots(const FuseInput *chain, const FusePlan *plan) {
        if (plan->n_segments > 1)
                return true;
        for (size_t i = 0; i < chain->n_members; i++)
                if (chain->members[i].form == SLOT_FORM_SLOT)
                        return true;
        return false;
}

static int check_tail_calls(const FuseInput *chain, const FusePlan *plan, Error *error) {
        size_t members = 0, n_callers = 0, slots = 0, joins = plan->n_segments - 1;

        for (size_t i = 0; i < chain->n_members; i++) {
                members += chain->members[i].member->n_tail_calls;
                n_callers += chain->members[i].member->n_tail_calls > 0;
                slots += chain->members[i].form == SLOT_FORM_SLOT;
        }
        if (members + slots + joins <= FUSE_TAIL_CALLS_MAX)
                return 0;
        return error_set(
                error, ERROR_LIMIT_EXCEEDED,
                "This chain takes %zu tail calls: %zu programs of it make some, at %zu places together, %zu "
                "programs can only be reached by one, and %zu join the parts of a chain that is too much for "
                "one program. A packet gets %u tail calls from the kernel and the next ones would be skipped "
                "silently. Take programs out of the chain.",
                members + slots + joins, n_callers, members, slots, joins, FUSE_TAIL_CALLS_MAX);
}

static int check_bound(const FuseInput *chain, const FusePlan *plan, Error *error) {
        const char *bound = NULL;

        for (size_t i = 0; i < chain->n_members && !bound; i++)
                if (chain->members[i].member->bound)
                        bound = chain->members[i].name;
        if (!bound || !fuse_plan_needs_slots(chain, plan))
                return 0;
        return error_set(
                error, ERROR_INCOMPATIBLE,
                "Program %s asks the driver about packets, so the chain's program is bound to the interface, "
                "and the kernel puts no such program into an array. But this chain has programs that can "
                "only be reached by tail calls, or is too long for one program. Take programs out of it.",
                bound);
}

int fuse_plan_check(const FuseInput *chain, const FusePlan *plan, Error *error) {
        int r;

        r = check_tail_calls(chain, plan, error);
        return r < 0 ? r : check_bound(chain, plan, error);
}

int fuse_plan(const FuseInput *chain, FuseMember *members, FusePlan *ret, Error *error) {
        FusePlan plan = { .n_segments = 1 };
        Load load = {};
        int r;

        if (chain->n_members == 0)
                return error_set(error, ERROR_INVALID_ARGUMENT, "A chain has at least one program.");
        if (chain->n_members > CHAIN_SLOTS_MAX)
                return error_set(error, ERROR_LIMIT_EXCEEDED, "This chain has %zu programs; a chain has %u at most.",
                                 chain->n_members, CHAIN_SLOTS_MAX);

        for (size_t i = 0; i < chain->n_members; i++) {
                r = check_member(chain, &members[i], error);
                if (r < 0)
                        return r;
        }
        r = check_frags(chain, error);
        if (r < 0)
                return r;

        fuse_form_settle(members, chain->n_members);
        for (size_t i = 0; i < chain->n_members; i++) {
                Load alone = {};

                if (!load_add(&alone, &members[i]) && members[i].form != SLOT_FORM_SLOT) {
                        members[i].form = SLOT_FORM_SLOT;
                        members[i].reason = "it is so large that the chain's own needs find no room beside it";
                }
                if (load_add(&load, &members[i]))
                        continue;
                plan.starts[plan.n_segments++] = i;
                load = (Load){};
                (void) load_add(&load, &members[i]);
        }
        plan.starts[plan.n_segments] = chain->n_members;

        r = fuse_plan_check(chain, &plan, error);
        if (r < 0)
                return r;
        *ret = plan;
        return 0;
}

bool fuse_plan_split(FusePlan *plan, size_t segment) {
        size_t n = plan->starts[segment + 1] - plan->starts[segment];

        if (n < 2)
                return false;
        memmove(&plan->starts[segment + 2], &plan->starts[segment + 1],
                (plan->n_segments - segment) * sizeof(plan->starts[0]));
        plan->starts[segment + 1] = plan->starts[segment] + n / 2;
        plan->n_segments++;
        return true;
}
