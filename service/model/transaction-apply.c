/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After a commit: the manager's chains become what the targets came to.
 */
#include "model/transaction-internal.h"
#include "util/log.h"
#include "util/strv.h"

/* Seats get the programs that the transaction gave them; those whose programs left are free. */
static void take_seats(Chain *chain, Target *target) {
        for (unsigned i = 0; i < CHAIN_SEATS_MAX; i++) {
                Seat *seat = &chain->seats[i], *fresh = target->new_seats ? &target->new_seats[i] : NULL;

                if (fresh && fresh->program) {
                        *seat = *fresh;
                        fresh->program = NULL;
                } else if (seat->program && chain_find_slot(chain, seat->program) < 0) {
                        free(seat->program);
                        *seat = (Seat){};
                }
        }
        if (target->commit.created && !target->to_front)
                chain_restart(chain);
}

/* A chain that does not count any more may have lost its rows. */
static void settle_rows(Manager *manager, Target *target) {
        uint64_t(*rows)[COUNTER_CELLS] _cleanup_free_ = NULL;
        Chain *chain = target->chain;

        if (!target->last_rows)
                return;
        rows = calloc(CHAIN_SEATS_MAX, sizeof(*rows));
        if (rows && manager->ops->chain_counters(manager->kernel, chain->attachment, rows) == -ENODATA)
                chain_retire_rows(chain, target->last_rows);
}

static void take_slots(Chain *chain, Target *target) {
        slots_free(chain->slots, chain->n_slots);
        chain->slots = TAKE_PTR(target->slots);
        chain->n_slots = target->n_slots;
        target->n_slots = 0;
}

static int apply_built(Manager *manager, Target *target, uint64_t generation) {
        Chain *chain = target->chain;

        /* The new link took over the pins already. */
        if (target->to_front && chain->attachment && chain->attachment != target->commit.attachment)
                manager->ops->chain_detach(manager->kernel, chain->attachment);
        chain->to_front = false;
        chain->attachment = target->commit.attachment;
        chain->info = target->commit.info;
        chain->ifindex = target->commit.ifindex;
        chain->fused = target->info;
        chain->counters = target->wanted.counters;
        chain->generation = generation;
        take_slots(chain, target);
        take_seats(chain, target);
        settle_rows(manager, target);
        return free_and_strdup(&chain->signature, target->signature);
}

static ChainState state_after(const Target *target) {
        switch (target->action) {
        case TARGET_KEEP:
        case TARGET_BUILD: return CHAIN_STATE_ACTIVE;
        case TARGET_DETACH: return CHAIN_STATE_DETACHED;
        case TARGET_WAIT: return CHAIN_STATE_WAITING;
        case TARGET_FAIL:
                if (target->held)
                        return CHAIN_STATE_CONFLICT;
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

static void log_state(const Chain *chain, const Error *error) {
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
}

static void remove_chain(Manager *manager, Chain *chain) {
        LogFields fields = { .interface = chain->interface, .hook = hook_to_string(chain->hook) };

        log_with(LOG_INFO, &fields, "%s: removed", chain->key);
        manager_drop_attachment(manager, chain);
        OBSERVE(manager, chain_removed, chain);
        table_remove(&manager->chains, chain->key);
        chain_free(chain);
}

/* Notes whether the new mode was refused, so that it is not tried on each occasion. */
static int note_mode(Target *target) {
        Chain *chain = target->chain;

        if (target->keeps_mode)
                return 0;
        if (target->action != TARGET_FAIL)
                return free_and_strdup(&chain->mode_refusal, NULL);
        if (!target->reattach)
                return 0;
        chain->refused_mode = target->wanted.mode;
        return free_and_strdup(&chain->mode_refusal, target->error.message);
}

static bool same_slots(const Chain *chain, const Target *target) {
        if (chain->n_slots != target->n_slots)
                return false;
        for (size_t i = 0; i < chain->n_slots; i++)
                if (!streq(chain->slots[i].program, target->slots[i].program) ||
                    chain->slots[i].proceed_on != target->slots[i].proceed_on)
                        return false;
        return true;
}

/* Does the chain look different afterwards? Asked when what runs has been settled, and before the rest is. */
static bool looks_different(const Target *target, ChainState state, const char *reason) {
        const Chain *chain = target->chain;

        return target->fresh || target->touched || target->action == TARGET_BUILD || chain->state != state ||
               !streq_ptr(chain->reason, reason) ||
               chain->ifindex != (target->interface ? target->interface->link.ifindex : 0) ||
               (!chain->attachment && !same_slots(chain, target)) ||
               (target->wanted.documents && !chain->attachment && chain->counters != target->wanted.counters) ||
               (target->wanted.documents &&
                (chain->mode != target->wanted.mode || !strv_equal(chain->documents, target->wanted.documents)));
}

/* The description of the chain, when what runs has been settled. */
static int describe(Target *target, ChainState state, const char *reason) {
        Chain *chain = target->chain;

        if (!chain->attachment) {
                chain_free_seats(chain);
                take_slots(chain, target);
        }
        chain->ifindex = target->interface ? target->interface->link.ifindex : 0;
        if (target->wanted.documents) {
                chain->restore = target->wanted.restore;
                chain->restore_set = target->wanted.restore_set;
                chain->mode = target->wanted.mode;
                if (!chain->attachment)
                        chain->counters = target->wanted.counters;
                strv_free(chain->documents);
                chain->documents = TAKE_PTR(target->wanted.documents); /* the slots stay, for the report */
        }
        chain->state = state;
        return free_and_strdup(&chain->reason, reason);
}

int target_apply(Transaction *t, Target *target, uint64_t generation) {
        Manager *manager = t->manager;
        Chain *chain = target->chain;
        const char *reason;
        ChainState state;
        bool different, news;
        int r = 0, q;

        if (target->action == TARGET_REMOVE) {
                if (!target->fresh)
                        remove_chain(manager, chain);
                target->chain = NULL;
                t->changed = true;
                return 0;
        }

        if (target->action == TARGET_BUILD)
                r = apply_built(manager, target, generation);
        else if (target->action != TARGET_KEEP && target->action != TARGET_FAIL) {
                if (chain->attachment)
                        chain->generation = generation;
                manager_drop_attachment(manager, chain);
        }
        if (target->action == TARGET_FAIL)
                chain->to_front = false;
        else /* the chain is there again, or nobody quarrels any more */
                (void) free_and_strdup(&chain->held, NULL);
        q = note_mode(target);
        r = r < 0 ? r : q;
        if (target->keeps_mode && target->action == TARGET_BUILD)
                manager_want_reconcile(manager);

        if (target->action == TARGET_BUILD || target->action == TARGET_KEEP)
                chain->fail_closed = target->wanted.fail_closed;
        else if (!chain->attachment)
                chain->fail_closed = false;
        state = state_after(target);
        reason = reason_after(t, target);
        different = looks_different(target, state, reason);
        news = target->fresh || target->action == TARGET_BUILD || chain->state != state ||
               !streq_ptr(chain->reason, reason);
        q = describe(target, state, reason);
        r = r < 0 ? r : q;
        if (news)
                log_state(chain, &target->error);

        t->changed = t->changed || different;
        if (target->fresh) {
                q = table_add(&manager->chains, chain);
                if (q < 0)
                        return q;
                target->fresh = false;
                OBSERVE(manager, chain_added, chain);
        } else if (different)
                OBSERVE(manager, chain_changed, chain);
        if (chain->state == CHAIN_STATE_CONFLICT && news)
                OBSERVE(manager, chain_conflict, chain);
        return r;
}
