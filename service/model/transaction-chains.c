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
        if (target->chain->attachment && names_of(target->chain->slots, target->chain->n_slots, &target->before) < 0)
                return -ENOMEM;
        *ret = target;
        return 0;
}

void target_free(Transaction *t, Target *target) {
        if (!target)
                return;
        if (target->chain)
                for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++)
                        if (target->new_seat[i]) {
                                free(target->chain->seats[i].program);
                                target->chain->seats[i] = (Seat){};
                        }
        if (target->fresh)
                chain_free(target->chain);
        wanted_done(&target->wanted);
        slots_free(target->slots, target->n_slots);
        t->manager->ops->fused_free(target->fused);
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
        STRV_FOREACH(document, chain->documents)
        if (desired_is_unreadable(t->desired, *document)) {
                error_set(error, ERROR_INVALID_DOCUMENT,
                          "%s.json can't be read; the chain runs on as it was until the document is mended",
                          *document);
                return true;
        }
        return false;
}

static bool interface_exists(Manager *manager, const char *name) {
        TABLE_FOREACH(Interface, interface, &manager->interfaces)
        if (link_record_matches(&interface->link, name))
                return true;
        return false;
}

/* Chains of interfaces that are not there are kept for those that a document calls by name; what only a glob matches
 * may never come back, and there is no end of names. One that is an alternative name of another is that other. */
static bool is_waited_for(const Transaction *t, const char *name, Hook hook) {
        return desired_names_interface(t->desired, name, hook) && !interface_exists(t->manager, name);
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

        TABLE_FOREACH(Interface, interface, &manager->interfaces)
        for (Hook hook = 0; hook < _HOOK_MAX; hook++) {
                r = collect_one(t, interface->name, hook, &interface->link, interface);
                if (r < 0)
                        return r;
        }
        TABLE_FOREACH(Chain, chain, &manager->chains)
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

static int take_seat(Transaction *t, Target *target, const char *program, uint64_t (*rows)[VERDICT_BUCKETS],
                     unsigned *ret) {
        Chain *chain = target->chain;

        for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++)
                if (chain->seats[i].program && streq(chain->seats[i].program, program)) {
                        *ret = i;
                        return 0;
                }
        for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++) {
                if (chain->seats[i].program)
                        continue;
                chain->seats[i].program = strdup(program);
                if (!chain->seats[i].program)
                        return -ENOMEM;
                memcpy(chain->seats[i].base, rows[i], sizeof(chain->seats[i].base));
                target->new_seat[i] = true;
                *ret = i;
                return 0;
        }
        return -ENOSPC; /* can't be: there are twice as many as slots */
}

static int sign(Transaction *t, Target *target) {
        Digest digest = {};
        char number[64];
        int r;

        r = digest_init(&digest);
        if (r >= 0)
                r = digest_update_string(&digest, hook_to_string(target->chain->hook));
        for (size_t i = 0; r >= 0 && i < target->n_slots; i++) {
                const Slot *slot = &target->slots[i];
                ProgramChange *change = transaction_get_program(t, slot->program);

                snprintf(number, sizeof(number), "%x %u", slot->proceed_on, slot->seat);
                r = change ? digest_update_string(&digest, slot->program) : -ENOMEM;
                if (r >= 0)
                        r = digest_update_string(&digest, change->signature);
                if (r >= 0)
                        r = digest_update_string(&digest, number);
        }
        if (r >= 0)
                r = digest_final(&digest, target->signature);
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

KernelAttachment *target_attachment(const Target *target) {
        return target->lost ? NULL : target->chain->attachment;
}

int target_arrange(Transaction *t, Target *target) {
        uint64_t(*rows)[VERDICT_BUCKETS] _cleanup_free_ = calloc(CHAIN_SEATS_MAX, sizeof(*rows));
        int r;

        target->slots = calloc(target->wanted.n_slots + 1, sizeof(Slot));
        if (!rows || !target->slots)
                return -ENOMEM;
        if (target_attachment(target))
                (void) manager_chain_counters(t->manager, target->chain, rows);

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
                if (r < 0)
                        return r;
        }
        return target->action == TARGET_BUILD ? sign(t, target) : 0;
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
                if (!target->changed_by_others && mode_fits(target) &&
                    streq_ptr(chain->signature, target->signature)) {
                        target->action = TARGET_KEEP;
                        return 0;
                }
                target->reattach = !mode_fits(target);
        }

        for (size_t i = 0; i < target->n_slots; i++) {
                ProgramChange *change = transaction_get_program(t, target->slots[i].program);
                const Program *program = change->program;

                change->load = change->load || !program || !program->captured ||
                               !streq_ptr(program->signature, change->signature);
        }
        return 0;
}

int target_build(Transaction *t, Target *target) {
        const Manager *manager = t->manager;
        FuseSlot slots[CHAIN_SLOTS_MAX] = {};
        FuseRequest request = {
                .interface = target->chain->interface,
                .ifindex = target->interface ? target->interface->link.ifindex : 0,
                .hook = target->chain->hook,
                .signature = target->signature,
                .slots = slots,
                .n_slots = target->n_slots,
                .attachment = target->reattach ? NULL : target_attachment(target),
        };
        int r;

        for (size_t i = 0; i < target->n_slots; i++) {
                ProgramChange *change = transaction_get_program(t, target->slots[i].program);

                if (error_is_set(&change->error)) {
                        target->action = TARGET_FAIL;
                        return error_set(&target->error, change->error.code, "%s", strna(change->error.message));
                }
                slots[i] = (FuseSlot){
                        .program = change->kernel    ? change->kernel
                                   : change->program ? change->program->kernel
                                                     : NULL,
                        .name = target->slots[i].program,
                        .proceed_on = target->slots[i].proceed_on,
                        .seat = target->slots[i].seat,
                };
        }
        if (target->action != TARGET_BUILD)
                return 0;

        r = manager->ops->chain_build(manager->kernel, &request, &target->fused, &target->info, &target->error);
        if (r < 0) {
                error_ensure(&target->error, r, "the chain can't be built");
                error_prefix(&target->error, "%s: ", target->chain->key);
                target->action = TARGET_FAIL;
                return r;
        }
        for (size_t i = 0; i < target->n_slots; i++)
                target->slots[i].form = target->info.forms[i];
        return 0;
}

static void free_seats(Chain *chain) {
        for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++) {
                Seat *seat = &chain->seats[i];

                if (!seat->program || chain_find_slot(chain, seat->program) >= 0)
                        continue;
                free(seat->program);
                *seat = (Seat){};
        }
}

static void take_slots(Chain *chain, Target *target) {
        slots_free(chain->slots, chain->n_slots);
        chain->slots = TAKE_PTR(target->slots);
        chain->n_slots = target->n_slots;
        target->n_slots = 0;
}

static int apply_built(Manager *manager, Target *target, uint64_t generation) {
        Chain *chain = target->chain;

        chain->attachment = target->commit.attachment;
        chain->info = target->commit.info;
        chain->ifindex = target->commit.ifindex;
        chain->fused = target->info;
        chain->mode = target->wanted.mode;
        chain->generation = generation;
        take_slots(chain, target);
        memset(target->new_seat, 0, sizeof(target->new_seat));
        free_seats(chain);
        if (target->commit.created)
                for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++)
                        memset(chain->seats[i].base, 0, sizeof(chain->seats[i].base));
        return free_and_strdup(&chain->signature, target->signature);
}

static ChainState state_after(const Target *target) {
        switch (target->action) {
        case TARGET_KEEP:
        case TARGET_BUILD: return CHAIN_STATE_ACTIVE;
        case TARGET_DETACH: return CHAIN_STATE_DETACHED;
        case TARGET_WAIT: return CHAIN_STATE_WAITING;
        case TARGET_FAIL:
                if (target->chain->attachment)
                        return CHAIN_STATE_DEGRADED;
                return target->error.code == ERROR_HOOK_BUSY ? CHAIN_STATE_CONFLICT : CHAIN_STATE_FAILED;
        case TARGET_REMOVE: break;
        }
        return CHAIN_STATE_DETACHED;
}

static const char *reason_after(const Transaction *t, const Target *target) {
        switch (target->action) {
        case TARGET_KEEP:
        case TARGET_BUILD:
        case TARGET_REMOVE: return NULL;
        case TARGET_DETACH:
                return t->manager->all_detached      ? "all chains were detached; reload to attach them"
                       : target->wanted.n_slots == 0 ? "no program is in it"
                                                     : "kept off its hook by a document; attach it to undo that";
        case TARGET_WAIT: return "there is no such interface";
        case TARGET_FAIL: return strna(target->error.message);
        }
        return NULL;
}

static void log_state(const Chain *chain, ChainState before, const Error *error) {
        LogFields fields = { .interface = chain->interface,
                             .hook = hook_to_string(chain->hook),
                             .detail = error->log };
        int level = LOG_INFO;

        switch (chain->state) {
        case CHAIN_STATE_ACTIVE:
        case CHAIN_STATE_DETACHED:
        case CHAIN_STATE_WAITING: break;
        case CHAIN_STATE_CONFLICT: level = LOG_WARNING; break;
        case CHAIN_STATE_DEGRADED:
        case CHAIN_STATE_FAILED: level = LOG_ERR; break;
        case _CHAIN_STATE_MAX:
        case _CHAIN_STATE_INVALID: break;
        }
        log_with(level, &fields, "%s: %s%s%s", chain->key, chain_state_to_string(chain->state),
                 chain->reason ? ": " : "", chain->reason ? chain->reason : "");
        (void) before;
}

static void remove_chain(Manager *manager, Chain *chain) {
        LogFields fields = { .interface = chain->interface, .hook = hook_to_string(chain->hook) };

        log_with(LOG_INFO, &fields, "%s: removed", chain->key);
        manager_drop_attachment(manager, chain);
        OBSERVE(manager, chain_removed, chain);
        table_remove(&manager->chains, chain->key);
        chain_free(chain);
}

int target_apply(Transaction *t, Target *target, uint64_t generation) {
        Manager *manager = t->manager;
        Chain *chain = target->chain;
        const char *reason;
        bool told;
        int r = 0;

        if (target->action == TARGET_REMOVE) {
                if (!target->fresh)
                        remove_chain(manager, chain);
                target->chain = NULL;
                return 0;
        }

        if (target->action == TARGET_BUILD)
                r = apply_built(manager, target, generation);
        else if (target->action != TARGET_KEEP && target->action != TARGET_FAIL)
                manager_drop_attachment(manager, chain);
        if (r < 0)
                return r;

        if (!chain->attachment) {
                chain_free_seats(chain);
                take_slots(chain, target);
        }
        chain->ifindex = target->interface ? target->interface->link.ifindex : 0;
        if (target->wanted.documents) {
                strv_free(chain->documents);
                chain->documents = TAKE_PTR(target->wanted.documents); /* the slots stay, for the report */
        }
        reason = reason_after(t, target);
        told = target->fresh || target->action == TARGET_BUILD || chain->state != state_after(target) ||
               !streq_ptr(chain->reason, reason);
        chain->state = state_after(target);
        r = free_and_strdup(&chain->reason, reason);
        if (told)
                log_state(chain, target->state_before, &target->error);

        if (target->fresh) {
                r = table_add(&manager->chains, chain);
                if (r < 0)
                        return r;
                target->fresh = false;
                OBSERVE(manager, chain_added, chain);
        } else
                OBSERVE(manager, chain_changed, chain);
        if (chain->state == CHAIN_STATE_CONFLICT && told)
                OBSERVE(manager, chain_conflict, chain);
        return r;
}
