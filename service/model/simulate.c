/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/simulate-internal.h"
#include "model/transaction-internal.h"
#include "util/clock.h"

static void side_done(const Simulation *simulation, SimulateSide *side) {
        if (side->kernel)
                simulation->ops->simulation_free(side->kernel);
        for (size_t i = 0; i < side->n_slots; i++) {
                simulation->ops->program_unref(side->held[i]);
                free(side->programs[i]);
        }
        simulation_omissions_free(side->omissions, side->n_omissions);
}

Simulation *simulation_free(Simulation *simulation) {
        if (!simulation)
                return NULL;
        for (size_t i = 0; i < simulation->n_lanes; i++) {
                SimulateLane *lane = &simulation->lanes[i];

                side_done(simulation, &lane->before);
                side_done(simulation, &lane->after);
                if (lane->stream)
                        fclose(lane->stream);
                free(lane->text);
                free(lane->unknown);
                free(lane->interface);
        }
        free(simulation->plan);
        free(simulation);
        return NULL;
}

static int create(Manager *manager, const SimulateRequest *request, bool plans, Simulation **ret) {
        Simulation *simulation = calloc(1, sizeof(Simulation));

        if (!simulation)
                return -ENOMEM;
        *simulation = (Simulation){
                .ops = manager->ops,
                .kernel = manager->kernel,
                .request = *request,
                .plans = plans,
                .prepare_usec = usec_now(CLOCK_MONOTONIC), /* so far: the beginning */
        };
        simulation->request.chain = NULL; /* the caller's, and only while it is prepared */
        *ret = simulation;
        return 0;
}

static int add_lane(Simulation *simulation, const char *interface, Hook hook, const char *change,
                    SimulateLane **ret) {
        SimulateLane *lane = &simulation->lanes[simulation->n_lanes];

        if (simulation->n_lanes == SIMULATE_CHAINS_MAX)
                return -E2BIG;
        simulation->n_lanes++;
        lane->hook = hook;
        lane->change = change;
        lane->interface = strdup(interface);
        lane->stream = open_memstream(&lane->text, &lane->size);
        if (!lane->interface || !lane->stream)
                return -ENOMEM;
        *ret = lane;
        return 0;
}

/* Makes a form of the chain out of slots whose programs are loaded. */
static int make_side(Simulation *simulation, const SimulateLane *lane, int ifindex, const FuseSlot *slots, size_t n,
                     SimulateSide *side, Error *error) {
        static const char signature[] = "0000000000000000000000000000000000000000000000000000000000000000";
        const FuseRequest request = {
                .interface = lane->interface,
                .ifindex = ifindex,
                .hook = lane->hook,
                .signature = signature,
                .slots = slots,
                .n_slots = n,
                .counters = COUNTER_LEVEL_OFF,
        };
        int r;

        side->there = true;
        for (size_t i = 0; i < n; i++) {
                side->programs[i] = strdup(slots[i].name);
                if (!side->programs[i])
                        return -ENOMEM;
                side->held[i] = simulation->ops->program_ref(slots[i].program);
                side->n_slots++;
        }
        r = simulation->ops->simulation_new(simulation->kernel, &request, &side->kernel, &side->omissions,
                                            &side->n_omissions, error);
        if (r < 0) {
                error_ensure(error, r, "the chain can't be simulated");
                error_prefix(error, "%s/%s: ", lane->interface, hook_to_string(lane->hook));
        }
        return r;
}

static FuseSlot fuse_slot(const Slot *slot, KernelProgram *program, size_t i) {
        return (FuseSlot){
                .program = program,
                .name = slot->program,
                .proceed_on = slot->proceed_on,
                .seat = (unsigned) i,
        };
}

static int fail_unknown(const Chain *chain, const char *program, Error *error) {
        return error_set(error, ERROR_NOT_SUPPORTED,
                         "%s: what runs is an earlier form of %s, which can't be loaded again; simulate the "
                         "document that defines it, or reload",
                         chain->key, program);
}

/* Marks for loading what was only adopted. The very same must come of it. */
static int mark_adopted(Transaction *t, const Chain *chain, Error *error) {
        for (size_t i = 0; i < chain->n_slots; i++) {
                const Program *program = manager_get_program(t->manager, chain->slots[i].program);
                ProgramChange *change;

                if (program->captured)
                        continue;
                change = transaction_get_program(t, program->name);
                if (!change)
                        return -ENOMEM;
                if (error_is_set(&change->error)) {
                        error_move(error, &change->error);
                        return error_code_to_errno(error->code);
                }
                if (!streq_ptr(change->signature, program->signature))
                        return fail_unknown(chain, program->name, error);
                change->load = true;
        }
        return 0;
}

/* The slots of what runs. Programs that are loaded for it belong to the transaction. */
static int present_slots(Transaction *t, const Chain *chain, FuseSlot slots[CHAIN_SLOTS_MAX], Error *error) {
        int r;

        if (!transaction_knows_running(t, chain))
                return fail_unknown(chain, "its programs", error);
        r = mark_adopted(t, chain, error);
        if (r >= 0)
                r = transaction_load_programs(t);
        if (r < 0)
                return r;
        for (size_t i = 0; i < chain->n_slots; i++) {
                const Program *program = manager_get_program(t->manager, chain->slots[i].program);
                ProgramChange *change = table_get(&t->programs, chain->slots[i].program);

                if (!program->captured && error_is_set(&change->error)) {
                        error_move(error, &change->error);
                        return error_code_to_errno(error->code);
                }
                slots[i] = fuse_slot(&chain->slots[i], program->captured ? program->kernel : change->kernel, i);
        }
        return 0;
}

/* With a transaction of its own: what runs follows from the present documents, not from the planned one. */
static int make_present(Manager *manager, Simulation *simulation, const SimulateLane *lane, const Chain *chain,
                        SimulateSide *side, Error *error) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        FuseSlot slots[CHAIN_SLOTS_MAX];
        int r;

        r = transaction_new(manager, manager->desired, NULL, &t);
        if (r >= 0)
                r = present_slots(t, chain, slots, error);
        if (r >= 0)
                r = make_side(simulation, lane, chain->ifindex, slots, chain->n_slots, side, error);
        return r;
}

static int make_planned(Transaction *t, Simulation *simulation, const SimulateLane *lane, const Target *target,
                        SimulateSide *side, Error *error) {
        FuseSlot slots[CHAIN_SLOTS_MAX];

        for (size_t i = 0; i < target->n_slots; i++) {
                const ProgramChange *change = table_get(&t->programs, target->slots[i].program);
                const Program *program = manager_get_program(t->manager, target->slots[i].program);

                slots[i] =
                        fuse_slot(&target->slots[i], change && change->kernel ? change->kernel : program->kernel, i);
        }
        return make_side(simulation, lane, target->interface ? target->interface->link.ifindex : 0, slots,
                         target->n_slots, side, error);
}

int simulation_new_chain(Manager *manager, const Chain *chain, const SimulateRequest *request, Simulation **ret,
                         Error *error) {
        _cleanup_(simulation_freep) Simulation *simulation = NULL;
        SimulateLane *lane;
        int r;

        if (!manager->ready)
                return error_set(error, ERROR_BUSY, "the service is still starting; try again in a moment");
        if (!chain->attachment)
                return error_set(error, ERROR_NOT_SUPPORTED,
                                 "nothing runs on %s (%s); simulate the document that asks for it instead",
                                 chain->key, strempty_to(chain->reason, chain_state_to_string(chain->state)));
        r = create(manager, request, false, &simulation);
        if (r >= 0)
                r = add_lane(simulation, chain->interface, chain->hook, "unchanged", &lane);
        if (r >= 0)
                r = make_present(manager, simulation, lane, chain, &lane->before, error);
        if (r < 0)
                return r;
        simulation->prepare_usec = usec_now(CLOCK_MONOTONIC) - simulation->prepare_usec;
        *ret = TAKE_PTR(simulation);
        return 0;
}

typedef struct Planned {
        Simulation *simulation;
        const char *chain;
} Planned;

/* Chains that go on as they are only count when they are asked for by name. */
static bool is_wanted(const Target *target, const char *chain) {
        if (chain && !streq(target->chain->key, chain))
                return false;
        switch (target->action) {
        case TARGET_BUILD: return true;
        case TARGET_WAIT: return target->affected;
        case TARGET_DETACH:
        case TARGET_REMOVE: return target_attachment(target);
        case TARGET_KEEP: return chain;
        case TARGET_FAIL: return chain && target_attachment(target);
        }
        return false;
}

/* Where what runs can't be had any more, the new form is run all the same, and compared with nothing. */
static int try_present(Transaction *t, Simulation *simulation, SimulateLane *lane, const Chain *chain, Error *error) {
        _cleanup_error_ Error why = ERROR_INIT;
        int r;

        r = make_present(t->manager, simulation, lane, chain, &lane->before, &why);
        if (r >= 0)
                return r;
        if (why.code == ERROR_NOT_SUPPORTED && !lane->before.there) {
                lane->unknown = TAKE_PTR(why.message);
                return 0;
        }
        if (error_is_set(&why))
                error_move(error, &why);
        return r;
}

static int add_target(Transaction *t, Simulation *simulation, const Target *target, Error *error) {
        const Chain *chain = target->chain;
        bool stays = target->action == TARGET_KEEP || target->action == TARGET_FAIL;
        SimulateLane *lane;
        int r;

        if (simulation->n_lanes == SIMULATE_CHAINS_MAX)
                return error_set(error, ERROR_LIMIT_EXCEEDED,
                                 "more than %d chains would change; simulate one at a time (option \"chain\")",
                                 SIMULATE_CHAINS_MAX);
        r = add_lane(simulation, chain->interface, chain->hook, target_change_word(target), &lane);
        if (r >= 0 && target_attachment(target))
                r = try_present(t, simulation, lane, chain, error);
        if (r >= 0 && (target->action == TARGET_BUILD || target->action == TARGET_WAIT))
                r = make_planned(t, simulation, lane, target, &lane->after, error);
        if (r >= 0)
                lane->same = stays;
        return r;
}

static int see_prepared(Transaction *t, void *userdata, Error *error) {
        Planned *planned = userdata;
        bool found = false;
        int r;

        for (size_t i = 0; i < t->n_targets; i++) {
                const Target *target = t->targets[i];

                found = found || (planned->chain && streq(target->chain->key, planned->chain));
                if (!is_wanted(target, planned->chain))
                        continue;
                r = add_target(t, planned->simulation, target, error);
                if (r < 0)
                        return r;
        }
        if (planned->chain && !found)
                return error_set(error, ERROR_NO_SUCH_CHAIN,
                                 "there is no chain \"%.64s\", neither now nor by this document", planned->chain);
        return 0;
}

int simulation_new_document(Manager *manager, const char *name, const char *text, const ChangeOptions *options,
                            const SimulateRequest *request, Simulation **ret, Error *error) {
        _cleanup_(simulation_freep) Simulation *simulation = NULL;
        Planned planned = { .chain = request->chain };
        ChangeOptions dry = *options;
        uint64_t generation;
        int r;

        r = create(manager, request, true, &simulation);
        if (r < 0)
                return r;
        planned.simulation = simulation;
        dry.dry_run = true;
        dry.prepared = see_prepared;
        dry.prepared_userdata = &planned;
        r = manager_apply(manager, name, text, &dry, &generation, &simulation->plan, error);
        if (r < 0)
                return r;
        simulation->prepare_usec = usec_now(CLOCK_MONOTONIC) - simulation->prepare_usec;
        *ret = TAKE_PTR(simulation);
        return 0;
}
