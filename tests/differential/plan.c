/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

/* Maps of a chain: mostly below the 64 that one program may use, sometimes more than two programs may. */
#define MAPS_TOGETHER      60
#define MAPS_TOGETHER_MANY 160

/* Instructions that long programs have in addition. */
#define BULK_MAX 3800

/* Tail calls of all programs of a chain together: the kernel lets a packet have 33, of which some may go to slots and
 * segments. A chain of nothing but slots is this long at most. */
#define TAIL_CALLS_TOGETHER 24
#define SLOTS_MAX           20

/* What the programs of a chain may add to a packet together: see Moves. Of the 256 bytes of headroom the kernel keeps
 * some 40 for itself, and packets come with up to PACKET_META_MAX bytes of metadata. */
#define HEAD_ROOM     112
#define META_ROOM     32
#define TAIL_ROOM     320
#define COMPILED_ROOM 16

typedef struct Planning {
        Plan *plan;
        Random random;
        const Features *features;
        bool objects;
        bool all_frags;
        bool large;      /* packets of several pages, so nothing may move */
        bool heads;      /* TC: head or tail are moved, not both */
        bool bulky;      /* the programs are long */
        bool many_maps;  /* more than one program may use */
        size_t n_shared; /* maps that any member may use */
        size_t maps_left;
        unsigned compiled_moves; /* bytes that compiled programs add */
        unsigned tail_calls_left;
} Planning;

void plan_free(Plan *plan) {
        if (!plan)
                return;
        for (size_t i = 0; i < plan->n_members; i++) {
                member_free(plan->members[i].member);
                for (size_t j = 0; j < MEMBER_TARGETS; j++)
                        member_free(plan->members[i].targets[j]);
        }
        free(plan);
}

static size_t pick_length(Random *random) {
        unsigned n = random_below(random, 100);

        if (n < 2)
                return (size_t) random_between(random, 33, CHAIN_SLOTS_MAX);
        if (n < 7)
                return (size_t) random_between(random, 13, 32);
        return (size_t) random_between(random, 1, n < 50 ? 5 : 12);
}

static uint32_t pick_set(Random *random, Hook hook) {
        uint32_t all = (UINT32_C(1) << verdict_buckets(hook)) - 1;

        switch (random_below(random, 10)) {
        case 0: return 0;
        case 1: return all;
        case 2:
        case 3:
        case 4: return UINT32_C(1) << random_below(random, verdict_buckets(hook));
        case 5:
        case 6: return verdict_default_proceed_on(hook) | UINT32_C(1) << random_below(random, verdict_buckets(hook));
        default: return (uint32_t) random_next(random) & all;
        }
}

static void pick_seats(Planning *planning) {
        unsigned seats[CHAIN_SEATS_MAX];

        for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++)
                seats[i] = i;
        for (size_t i = 0; i < planning->plan->n_members; i++) {
                size_t j = i + random_below(&planning->random, (uint32_t) (CHAIN_SEATS_MAX - i));
                unsigned seat = seats[j];

                seats[j] = seats[i];
                planning->plan->members[i].seat = seats[i] = seat;
        }
}

static size_t add_map(Planning *planning) {
        Plan *plan = planning->plan;

        map_spec_make(&planning->random, (unsigned) plan->n_maps, &plan->maps[plan->n_maps]);
        planning->maps_left--;
        return plan->n_maps++;
}

static void give_maps(Planning *planning, PlanMember *m, size_t members_left) {
        Random *random = &planning->random;
        Plan *plan = planning->plan;
        size_t fair = planning->maps_left / members_left, own = random_below(random, 5);

        if (planning->many_maps)
                own = MEMBER_MAPS_MAX;

        for (size_t i = 0; i < planning->n_shared; i++)
                if (random_chance(random, 40))
                        m->maps[m->n_maps++] = i;
        for (own = MIN2(own, fair); own > 0 && m->n_maps < MEMBER_MAPS_MAX - 1; own--)
                m->maps[m->n_maps++] = add_map(planning);

        m->jumps = -1;
        if (planning->tail_calls_left >= TAIL_CALLS_MAX && planning->maps_left > members_left &&
            random_chance(random, 15)) {
                planning->tail_calls_left -= TAIL_CALLS_MAX;
                planning->maps_left--;
                map_spec_make_jumps((unsigned) plan->n_maps, MEMBER_TARGETS, &plan->maps[plan->n_maps]);
                m->jumps = (int) m->n_maps;
                m->maps[m->n_maps++] = plan->n_maps++;
        }
}

static Moves share_of_moves(const Planning *planning) {
        size_t n = planning->plan->n_members;
        Moves moves = {};

        if (planning->large)
                return moves;
        if (hook_is_tc(planning->plan->hook)) {
                if (planning->heads)
                        moves.head = 16;
                else
                        moves.tail = 16;
                return moves;
        }
        /* where there is hardly any for so many programs, none of them gets any */
        moves.head = (unsigned) (HEAD_ROOM / n);
        moves.meta = (unsigned) (META_ROOM / n);
        moves.tail = (unsigned) (TAIL_ROOM / n);
        return moves;
}

static int generate(Planning *planning, PlanMember *m, bool jumps, const char *name, Member **ret) {
        Random *random = &planning->random;
        const Plan *plan = planning->plan;
        MapSpec maps[MEMBER_MAPS_MAX];
        GenerateRequest request = {
                .seed = random_next(random),
                .name = name,
                .hook = plan->hook,
                .frags = planning->all_frags,
                .btf = random_chance(random, 65),
                .features = planning->features,
                .maps = maps,
                .n_maps = m->n_maps,
                .jumps = jumps ? m->jumps : -1,
                .proceed_on = m->proceed_on,
                .proceed_percent = 100 - (unsigned) (60 / MIN2(plan->n_members, (size_t) 12)) - 2,
        };

        for (size_t i = 0; i < m->n_maps; i++)
                maps[i] = plan->maps[m->maps[i]];
        /* an array of programs has but programs of one kind in it */
        if (m->jumps < 0 && !planning->all_frags && !hook_is_tc(plan->hook))
                request.frags = random_chance(random, 10);
        if (jumps || m->jumps < 0)
                request.moves = share_of_moves(planning);
        if (jumps && planning->bulky)
                request.bulk = random_below(random, BULK_MAX);
        request.all_maps = jumps && planning->many_maps;
        return generate_member(&request, ret);
}

static int plan_member(Planning *planning, size_t i) {
        Random *random = &planning->random;
        Plan *plan = planning->plan;
        PlanMember *m = &plan->members[i];
        int r;

        m->proceed_on = pick_set(random, plan->hook);
        m->jumps = -1;
        snprintf(m->name, sizeof(m->name), "member%zu", i);
        if (planning->objects && random_chance(random, 12)) {
                bool moves = !planning->large && planning->compiled_moves + 4 <= COMPILED_ROOM;

                m->compiled =
                        compiled_pick(random, plan->hook, planning->all_frags, moves, planning->tail_calls_left >= 12,
                                      planning->maps_left / (plan->n_members - i) + 2);
        }
        if (m->compiled) {
                planning->maps_left -= MIN2(planning->maps_left, (size_t) m->compiled->n_maps);
                planning->compiled_moves += m->compiled->moves;
                planning->tail_calls_left -= m->compiled->tail_calls;
                m->verdict = random_between(random, -1, 9);
                return 0;
        }

        give_maps(planning, m, plan->n_members - i);
        r = generate(planning, m, true, m->name, &m->member);
        for (size_t j = 0; j < MEMBER_TARGETS && r >= 0 && m->jumps >= 0; j++)
                if (random_chance(random, 40))
                        r = generate(planning, m, false, "target", &m->targets[j]);
        return r;
}

static void pick_kind(Planning *planning) {
        static const SlotForm forms[] = { SLOT_FORM_NONE,   SLOT_FORM_NONE,   SLOT_FORM_NONE,
                                          SLOT_FORM_GLOBAL, SLOT_FORM_STATIC, SLOT_FORM_SLOT };
        Random *random = &planning->random;
        Plan *plan = planning->plan;

        plan->hook = random_chance(random, 55)   ? HOOK_XDP
                     : random_chance(random, 60) ? HOOK_TC_INGRESS
                                                 : HOOK_TC_EGRESS;
        plan->counters = (CounterLevel) random_below(random, _COUNTER_LEVEL_MAX);
        plan->form_limit = RANDOM_OF(random, forms);
        plan->n_members = pick_length(random);
        if (plan->form_limit == SLOT_FORM_SLOT)
                plan->n_members = MIN2(plan->n_members, (size_t) SLOTS_MAX);
        planning->all_frags = !hook_is_tc(plan->hook) && random_chance(random, 15);
        planning->large = planning->all_frags && random_chance(random, 60);
        planning->heads = random_chance(random, 50);
        planning->bulky = plan->form_limit == SLOT_FORM_NONE && random_chance(random, 2);
        plan->trace = random_chance(random, 15);
        planning->many_maps = random_chance(random, 10);
        planning->maps_left = planning->many_maps ? MAPS_TOGETHER_MANY : MAPS_TOGETHER;
        planning->tail_calls_left =
                plan->form_limit == SLOT_FORM_SLOT ? TAIL_CALLS_TOGETHER - SLOTS_MAX : TAIL_CALLS_TOGETHER;
}

int plan_make(uint64_t seed, const Features *features, bool objects, Plan **ret) {
        _cleanup_(plan_freep) Plan *plan = calloc(1, sizeof(Plan));
        Planning planning = { .plan = plan, .random = { seed }, .features = features, .objects = objects };
        int r;

        if (!plan)
                return -ENOMEM;
        plan->seed = seed;
        (void) random_next(&planning.random);
        pick_kind(&planning);
        pick_seats(&planning);
        planning.n_shared = random_below(&planning.random, 4);
        for (size_t i = 0; i < planning.n_shared; i++)
                add_map(&planning);

        for (size_t i = 0; i < plan->n_members; i++) {
                r = plan_member(&planning, i);
                if (r < 0)
                        return r;
        }
        plan->n_packets = (size_t) random_between(&planning.random, 3, PLAN_PACKETS);
        for (size_t i = 0; i < plan->n_packets; i++)
                packet_make(&planning.random, plan->hook, planning.large,
                            hook_is_tc(plan->hook) ? 0 : PACKET_META_MAX, &plan->packets[i]);
        *ret = TAKE_PTR(plan);
        return 0;
}

void plan_print_member(const Plan *plan, const PlanMember *m, FILE *f) {
        fprintf(f, "%s: %s%s, proceeds on %#x, seat %u\n", m->name, m->compiled ? m->compiled->object : "generated",
                m->member && m->member->btf ? " with BTF" : "", m->proceed_on, m->seat);
        if (m->compiled)
                fprintf(f, "  function %s, verdict %d\n", m->compiled->function, m->verdict);
        for (size_t i = 0; i < m->n_maps; i++)
                fprintf(f, "  map %zu is %s\n", i, plan->maps[m->maps[i]].name);
        if (m->member)
                print_instructions(f, m->member->insns, m->member->n_insns);
        for (size_t i = 0; i < MEMBER_TARGETS; i++)
                if (m->targets[i]) {
                        fprintf(f, "  entry %zu of its program array:\n", i);
                        print_instructions(f, m->targets[i]->insns, m->targets[i]->n_insns);
                }
}

void plan_print(const Plan *plan, FILE *f) {
        for (size_t i = 0; i < plan->n_members; i++)
                plan_print_member(plan, &plan->members[i], f);
}
