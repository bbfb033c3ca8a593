/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/transaction-internal.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/strv.h"

static int names_of(const Slot *slots, size_t n_slots, char ***ret) {
        _cleanup_strv_ char **names = NULL;

        for (size_t i = 0; i < n_slots; i++)
                if (strv_append(&names, slots[i].program) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(names);
        return 0;
}

/* Does the document that changed have to do with this chain, before or after the change? What it wants may have been
 * refused, so that its fragments count as well as what came of them. */
static bool is_affected(const Transaction *t, const Target *target, const LinkRecord *link) {
        if (!t->document)
                return false;
        if (strv_contains(target->chain->documents, t->document) ||
            desired_document_wants(t->desired, t->document, link, target->hook))
                return true;
        for (size_t i = 0; i < target->wanted.n_slots; i++) {
                const ProgramDef *def = desired_get_program(t->desired, target->wanted.slots[i].program);

                if (def && streq(def->document->name, t->document))
                        return true;
        }
        return false;
}

static int add_target(Transaction *t, Chain *chain, const char *name, Hook hook, const Interface *interface,
                      Target **ret) {
        Target *target = calloc(1, sizeof(Target)), **item;

        if (!target)
                return -ENOMEM;
        target->chain = chain;
        target->interface = interface;
        target->interface_name = strdup(name);
        target->hook = hook;
        if (!chain) {
                target->chain = chain_new(name, hook);
                target->fresh = true;
        }
        item = target->chain && target->interface_name ? ARRAY_APPEND(t->targets, t->n_targets) : NULL;
        if (!item) {
                target_free(t, target);
                return -ENOMEM;
        }
        *item = target;
        target->state_before = target->chain->state;
        target->counters_before = target->chain->counters;
        if (target->chain->attachment && names_of(target->chain->slots, target->chain->n_slots, &target->before) < 0)
                return -ENOMEM;
        *ret = target;
        return 0;
}

void target_free(Transaction *t, Target *target) {
        if (!target)
                return;
        for (unsigned i = 0; target->new_seats && i < CHAIN_SEATS_MAX; i++)
                free(target->new_seats[i].program);
        free(target->new_seats);
        free(target->last_rows);
        if (target->fresh)
                chain_free(target->chain);
        wanted_done(&target->wanted);
        slots_free(target->slots, target->n_slots);
        t->manager->ops->fused_free(target->fused);
        t->manager->ops->fused_free(target->back);
        strv_free(target->before);
        free(target->interface_name);
        error_done(&target->error);
        error_done(&target->commit.error);
        free(target);
}

/* Does the chain run because of a document that can't be read any more? Then it is no sign that nobody wants it. */
static bool asks_unreadable(const Transaction *t, const Chain *chain, Error *error) {
        if (t->goes_back && !strv_contains(t->ran, chain->key))
                return false;
        if (!chain->documents && desired_first_unreadable(t->desired)) {
                error_set(
                        error, ERROR_INVALID_DOCUMENT,
                        "nobody knows which document the chain is from, and %s.json can't be read; it runs on as it "
                        "was until that is mended",
                        desired_first_unreadable(t->desired));
                return true;
        }
        STRV_FOREACH (document, chain->documents)
                if (desired_is_unreadable(t->desired, *document)) {
                        error_set(error, ERROR_INVALID_DOCUMENT,
                                  "%s.json can't be read; the chain runs on as it was until the document is mended",
                                  *document);
                        return true;
                }
        return false;
}

static bool interface_exists(Manager *manager, const char *name) {
        TABLE_FOREACH (Interface, interface, &manager->interfaces)
                if (link_record_matches(&interface->link, name))
                        return true;
        return false;
}

/* Chains of interfaces that are not there are kept for those that a document calls by name; what only a glob matches
 * may never come back, and there is no end of names. One that is an alternative name of another is that other. */
static bool is_waited_for(const Transaction *t, const char *name, Hook hook) {
        return desired_names_interface(t->desired, name, hook) && !interface_exists(t->manager, name);
}

/* Who asks for a chain by name has it, whatever others do to its hook. */
static void hold_back(Transaction *t, Target *target) {
        Chain *chain = target->chain;

        target->to_front = chain->to_front && chain->attachment && chain->info.kind == ATTACH_KIND_TCX_LINK;
        if (!chain->held || target->affected || target->action != TARGET_BUILD ||
            target->interface->link.ifindex != chain->ifindex)
                return;
        target->held = true;
        target->action = TARGET_FAIL;
        (void) error_set(&target->error, ERROR_HOOK_BUSY, "%s", chain->held);
}

static int collect_one(Transaction *t, const char *name, Hook hook, const LinkRecord *link,
                       const Interface *interface) {
        Chain *chain = manager_get_chain(t->manager, name, hook);
        _cleanup_(wanted_done) Wanted wanted = {};
        _cleanup_error_ Error error = ERROR_INIT;
        Target *target;
        int r, q;

        if (!interface && !is_waited_for(t, name, hook))
                q = -ENOENT;
        else
                q = desired_chain(t->desired, link, hook, &wanted, &error);
        if (q == -ENOMEM)
                return q;
        if (q == -ENOENT && !error_is_set(&error) && !chain)
                return 0;

        r = add_target(t, chain, name, hook, interface, &target);
        if (r < 0)
                return r;
        if (chain && chain->attachment)
                (void) asks_unreadable(t, chain, &error);
        if (error_is_set(&error)) {
                target->action = TARGET_FAIL;
                error_move(&target->error, &error);
        } else if (q == -ENOENT)
                target->action = TARGET_REMOVE;
        else {
                target->wanted = wanted;
                wanted = (Wanted){};
                if (target->wanted.detached || target->wanted.n_slots == 0 || t->manager->all_detached)
                        target->action = TARGET_DETACH;
                else
                        target->action = interface ? TARGET_BUILD : TARGET_WAIT;
        }
        target->affected = is_affected(t, target, link);
        hold_back(t, target);
        return 0;
}

static bool is_collected(const Transaction *t, const char *name, Hook hook) {
        for (size_t i = 0; i < t->n_targets; i++)
                if (t->targets[i]->chain->hook == hook && streq(t->targets[i]->chain->interface, name))
                        return true;
        return false;
}

static int collect_absent(const char *name, Hook hook, void *userdata) {
        Transaction *t = userdata;
        LinkRecord link = {};

        if (is_collected(t, name, hook))
                return 0;
        snprintf(link.name, sizeof(link.name), "%s", name);
        return collect_one(t, name, hook, &link, NULL);
}

int transaction_collect(Transaction *t, Error *error) {
        Manager *manager = t->manager;
        int r;

        TABLE_FOREACH (Interface, interface, &manager->interfaces)
                for (Hook hook = 0; hook < _HOOK_MAX; hook++) {
                        r = collect_one(t, interface->name, hook, &interface->link, interface);
                        if (r < 0)
                                return r;
                }
        TABLE_FOREACH (Chain, chain, &manager->chains)
                if (!manager_get_interface(manager, chain->interface)) {
                        LinkRecord link = {};

                        snprintf(link.name, sizeof(link.name), "%s", chain->interface);
                        r = collect_one(t, chain->interface, chain->hook, &link, NULL);
                        if (r < 0)
                                return r;
                }
        return desired_visit_names(t->desired, collect_absent, t);
}

bool target_is_fatal(const Transaction *t, const Target *target) {
        return t->document && target->affected;
}

KernelAttachment *target_attachment(const Target *target) {
        return target->lost ? NULL : target->chain->attachment;
}

typedef struct Rows {
        bool read;
        uint64_t rows[CHAIN_SEATS_MAX][COUNTER_CELLS];
} Rows;

/* What a new seat's row holds already is not its program's. */
static int read_rows(Transaction *t, Target *target, Rows *rows) {
        int r = 0;

        if (!rows->read && target_attachment(target))
                r = t->manager->ops->chain_counters(t->manager->kernel, target_attachment(target), rows->rows);
        rows->read = true;
        if (r < 0 && r != -ENODATA)
                return error_set(&target->error, ERROR_FAILED, "%s: the counters can't be read: %s",
                                 target->chain->key, strerror(-r));
        return 0;
}

void target_read_last_rows(Transaction *t, Target *target) {
        const Chain *chain = target->chain;
        int r;

        if (!target_attachment(target) || target->reattach || chain->counters == COUNTER_LEVEL_OFF ||
            target->wanted.counters != COUNTER_LEVEL_OFF)
                return;
        target->last_rows = calloc(CHAIN_SEATS_MAX, sizeof(*target->last_rows));
        r = target->last_rows
                    ? t->manager->ops->chain_counters(t->manager->kernel, chain->attachment, target->last_rows)
                    : -ENOMEM;
        if (r >= 0)
                return;
        if (r != -ENODATA)
                log_warning("%s: what it has counted can't be read: %s", chain->key, strerror(-r));
        free(target->last_rows);
        target->last_rows = NULL;
}

static int take_seat(Transaction *t, Target *target, const char *program, Rows *rows, unsigned *ret) {
        const Chain *chain = target->chain;
        int r;

        for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++)
                if (chain->seats[i].program && streq(chain->seats[i].program, program)) {
                        *ret = i;
                        return 0;
                }
        r = read_rows(t, target, rows);
        if (r < 0)
                return r;
        if (!target->new_seats)
                target->new_seats = calloc(CHAIN_SEATS_MAX, sizeof(Seat));
        if (!target->new_seats)
                return -ENOMEM;
        for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++) {
                if (chain->seats[i].program || target->new_seats[i].program)
                        continue;
                target->new_seats[i].program = strdup(program);
                if (!target->new_seats[i].program)
                        return -ENOMEM;
                memcpy(target->new_seats[i].base, rows->rows[i], sizeof(target->new_seats[i].base));
                *ret = i;
                return 0;
        }
        return -ENOSPC; /* can't be: there are twice as many as slots */
}

/* The signature of a chain. Programs are taken as the transaction wants them, or as they run. */
static int sign(Transaction *t, Hook hook, CounterLevel counters, const Slot *slots, size_t n_slots, bool running,
                char ret[static DIGEST_HEX_SIZE]) {
        Digest digest = {};
        char number[64];
        int r;

        r = digest_init(&digest);
        if (r >= 0)
                r = digest_update_string(&digest, hook_to_string(hook));
        if (r >= 0)
                r = digest_update_string(&digest, counter_level_to_string(counters));
        for (size_t i = 0; r >= 0 && i < n_slots; i++) {
                const Program *program = running ? manager_get_program(t->manager, slots[i].program) : NULL;
                ProgramChange *change = running ? NULL : transaction_get_program(t, slots[i].program);
                const char *signature = program ? program->signature : change ? change->signature : NULL;

                snprintf(number, sizeof(number), "%x %u", slots[i].proceed_on, slots[i].seat);
                r = signature ? digest_update_string(&digest, slots[i].program) : running ? -ENODATA : -ENOMEM;
                if (r >= 0)
                        r = digest_update_string(&digest, signature);
                if (r >= 0)
                        r = digest_update_string(&digest, number);
        }
        if (r >= 0)
                r = digest_final(&digest, ret);
        digest_done(&digest);
        return r;
}

void target_check(Transaction *t, Target *target) {
        Chain *chain = target->chain;
        int r;

        if (!chain->attachment)
                return;
        r = t->manager->ops->chain_check(t->manager->kernel, chain->attachment);
        if (r == -ENOENT)
                target->lost = true;
        else if (r == -ESTALE)
                target->changed_by_others = true;
        else if (r < 0)
                log_warning("%s: it can't be told whether it is on its hook: %s", chain->key, strerror(-r));
}

int target_arrange(Transaction *t, Target *target) {
        Rows *rows _cleanup_free_ = calloc(1, sizeof(Rows));
        int r;

        target->slots = calloc(target->wanted.n_slots + 1, sizeof(Slot));
        if (!rows || !target->slots)
                return -ENOMEM;

        for (size_t i = 0; i < target->wanted.n_slots; i++) {
                const WantedSlot *wanted = &target->wanted.slots[i];
                Slot *slot = &target->slots[i];

                *slot = (Slot){ .program = strdup(wanted->program), .proceed_on = wanted->proceed_on };
                if (!slot->program)
                        return -ENOMEM;
                target->n_slots++;
                if (target->action != TARGET_BUILD)
                        continue;
                r = take_seat(t, target, slot->program, rows, &slot->seat);
                if (r < 0 && error_is_set(&target->error))
                        target->action = TARGET_FAIL;
                else if (r < 0)
                        return r;
        }
        if (target->action != TARGET_BUILD)
                return 0;
        return sign(t, target->hook, target->wanted.counters, target->slots, target->n_slots, false,
                    target->signature);
}

/* Whether the present attachment serves the wanted mode. */
static bool mode_fits(const Target *target) {
        const Chain *chain = target->chain;

        if (!target_attachment(target) || hook_is_tc(chain->hook))
                return true;
        switch (target->wanted.mode) {
        case ATTACH_MODE_BEST: return true;
        case ATTACH_MODE_NATIVE: return chain->info.native;
        case ATTACH_MODE_GENERIC: return !chain->info.native;
        case _ATTACH_MODE_MAX:
        case _ATTACH_MODE_INVALID: break;
        }
        return true;
}

bool transaction_knows_running(Transaction *t, const Chain *chain) {
        char signature[DIGEST_HEX_SIZE];

        return sign(t, chain->hook, chain->counters, chain->slots, chain->n_slots, true, signature) >= 0 &&
               streq_ptr(chain->signature, signature);
}

/* Could what runs be built once more, to come back to it? Not if it was adopted with programs that are others now. */
static bool can_come_back(Transaction *t, const Target *target) {
        const Chain *chain = target->chain;

        if (!transaction_knows_running(t, chain))
                return false;
        for (size_t i = 0; i < chain->n_slots; i++) {
                const Program *program = manager_get_program(t->manager, chain->slots[i].program);
                ProgramChange *change = table_get(&t->programs, chain->slots[i].program);

                if (program->captured)
                        continue;
                if (!change || error_is_set(&change->error) || !streq(change->signature, program->signature))
                        return false;
                change->load = true;
        }
        return true;
}

static bool was_refused(const Target *target) {
        return target->chain->mode_refusal && target->chain->refused_mode == target->wanted.mode;
}

/* A new mode takes the chain off its hook for a moment. That is not done over and over again where it was refused,
 * and not without a way back: then what runs is exchanged first, and the mode changes the next time. */
static void decide_mode(Transaction *t, Target *target) {
        if (mode_fits(target))
                return;
        target->mode_before = target->chain->info.native ? ATTACH_MODE_NATIVE : ATTACH_MODE_GENERIC;
        target->reattach = (target->affected || !was_refused(target)) && can_come_back(t, target);
        target->keeps_mode = !target->reattach;
}

int target_decide(Transaction *t, Target *target) {
        Chain *chain = target->chain;
        Error *error = &target->error;

        if (target->action != TARGET_BUILD && !(target->action == TARGET_WAIT && target->affected))
                return 0;

        for (size_t i = 0; i < target->n_slots; i++) {
                ProgramChange *change = transaction_get_program(t, target->slots[i].program);

                if (!change)
                        return -ENOMEM;
                if (!error_is_set(&change->error))
                        continue;
                target->action = TARGET_FAIL;
                return error_set(error, change->error.code, "%s", strna(change->error.message));
        }

        if (target->action == TARGET_BUILD && target_attachment(target)) {
                bool same = !target->changed_by_others && !target->to_front &&
                            streq_ptr(chain->signature, target->signature);

                if (same && mode_fits(target)) {
                        target->action = TARGET_KEEP;
                        return 0;
                }
                decide_mode(t, target);
                if (same && target->keeps_mode && was_refused(target)) {
                        target->action = TARGET_FAIL;
                        return error_set(error, ERROR_NOT_SUPPORTED, "%s", chain->mode_refusal);
                }
        }

        for (size_t i = 0; i < target->n_slots; i++) {
                ProgramChange *change = transaction_get_program(t, target->slots[i].program);
                const Program *program = change->program;

                change->load = change->load || !program || !program->captured ||
                               !streq_ptr(program->signature, change->signature);
        }
        return 0;
}

void target_fail(Target *target, const Error *error) {
        target->action = TARGET_FAIL;
        (void) error_set(&target->error, error->code, "%s", strna(error->message));
}

/* Has the kernel layer put slots together. back: with programs and counters as they run. */
static int build(Transaction *t, Target *target, const Slot *slots, size_t n_slots, const char *signature, bool back,
                 KernelFused **ret, FusedInfo *ret_info) {
        const Manager *manager = t->manager;
        FuseSlot fuse[CHAIN_SLOTS_MAX] = {};
        FuseRequest request = {
                .interface = target->chain->interface,
                .ifindex = target->interface ? target->interface->link.ifindex : 0,
                .hook = target->hook,
                .signature = signature,
                .slots = fuse,
                .n_slots = n_slots,
                .attachment = target->reattach ? NULL : target_attachment(target),
                .counters = back ? target->chain->counters : target->wanted.counters,
        };
        int r;

        for (size_t i = 0; i < n_slots; i++) {
                const ProgramChange *change = table_get(&t->programs, slots[i].program);
                const Program *program = manager_get_program(t->manager, slots[i].program);
                bool fresh = change && change->kernel && !(back && program->captured);

                fuse[i] = (FuseSlot){
                        .program = fresh ? change->kernel : program->kernel,
                        .name = slots[i].program,
                        .proceed_on = slots[i].proceed_on,
                        .seat = target->action == TARGET_WAIT ? (unsigned) i : slots[i].seat,
                };
        }
        r = manager->ops->chain_build(manager->kernel, &request, ret, ret_info, &target->error);
        if (r < 0) {
                error_ensure(&target->error, r, "the chain can't be built");
                error_prefix(&target->error, "%s: ", target->chain->key);
                target->action = TARGET_FAIL;
        }
        return r;
}

static int check_loaded(Transaction *t, Target *target, const Slot *slots, size_t n_slots) {
        for (size_t i = 0; i < n_slots; i++) {
                const ProgramChange *change = table_get(&t->programs, slots[i].program);

                if (change && error_is_set(&change->error)) {
                        target_fail(target, &change->error);
                        return error_code_to_errno(change->error.code);
                }
        }
        return 0;
}

/* A chain that has to wait for its interface is built all the same, and dropped: who asks for what can't run is told
 * so now, and not when nobody looks any more. */
static int try_build(Transaction *t, Target *target) {
        static const char signature[] = "0000000000000000000000000000000000000000000000000000000000000000";
        KernelFused *fused = NULL;
        FusedInfo ignored = {};
        int r;

        r = build(t, target, target->slots, target->n_slots, signature, false, &fused, &ignored);
        t->manager->ops->fused_free(fused);
        return r;
}

int target_build(Transaction *t, Target *target) {
        Chain *chain = target->chain;
        FusedInfo ignored;
        int r;

        r = check_loaded(t, target, target->slots, target->n_slots);
        if (r >= 0 && target->reattach)
                r = check_loaded(t, target, chain->slots, chain->n_slots);
        if (r >= 0 && target->action == TARGET_WAIT)
                return try_build(t, target);
        if (r < 0 || target->action != TARGET_BUILD)
                return r;

        r = build(t, target, target->slots, target->n_slots, target->signature, false, &target->fused, &target->info);
        if (r >= 0 && target->reattach)
                r = build(t, target, chain->slots, chain->n_slots, chain->signature, true, &target->back, &ignored);
        if (r < 0)
                return r;
        for (size_t i = 0; i < target->n_slots; i++) {
                target->slots[i].form = target->info.forms[i];
                r = free_and_strdup(&target->slots[i].reason, target->info.reasons[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}
