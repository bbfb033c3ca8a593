/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/guard.h"
#include "model/transaction-internal.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/strv.h"

int transaction_new(Manager *manager, Desired *desired, const char *document, Transaction **ret) {
        _cleanup_(transaction_freep) Transaction *t = calloc(1, sizeof(Transaction));

        if (!t)
                return -ENOMEM;
        t->manager = manager;
        t->desired = desired_ref(desired);
        t->started = usec_now(CLOCK_MONOTONIC);
        if (free_and_strdup(&t->document, document) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(t);
        return 0;
}

void transaction_goes_back(Transaction *t, char *const *ran) {
        t->goes_back = true;
        t->ran = ran;
}

Transaction *transaction_free(Transaction *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_targets; i++) {
                if (t->targets[i]->lost && t->finished == 0)
                        manager_want_reconcile(t->manager);
                target_free(t, t->targets[i]);
        }
        free(t->targets);
        TABLE_FOREACH (ProgramChange, change, &t->programs)
                program_change_free(t, change);
        table_done(&t->programs);
        desired_unref(t->desired);
        free(t->document);
        free(t);
        return NULL;
}

/* The first failure that a strict transaction must not swallow becomes the error of the whole. */
static int check_fatal(Transaction *t, Error *error) {
        for (size_t i = 0; i < t->n_targets; i++) {
                Target *target = t->targets[i];

                if (target->action != TARGET_FAIL || !target_is_fatal(t, target))
                        continue;
                for (size_t j = 0; j < target->n_slots; j++) {
                        /* The program's own error has the verifier's log. */
                        ProgramChange *change = table_get(&t->programs, target->slots[j].program);

                        if (change && error_is_set(&change->error)) {
                                error_move(error, &change->error);
                                return error_code_to_errno(error->code);
                        }
                }
                error_move(error, &target->error);
                return error_code_to_errno(error->code);
        }
        return 0;
}

int transaction_prepare(Transaction *t, Error *error) {
        int r;

        /* What others did is seen before it is mended. */
        if (t->manager->guard)
                guard_look(t->manager->guard, GUARD_LOOK_FILTERS, "change");
        r = transaction_collect(t, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < t->n_targets; i++) {
                target_check(t, t->targets[i]);
                r = target_arrange(t, t->targets[i]);
                if (r < 0)
                        return r;
                r = target_decide(t, t->targets[i]);
                if (r == -ENOMEM)
                        return r;
        }
        r = check_fatal(t, error);
        if (r < 0)
                return r;

        r = transaction_load_programs(t);
        if (r < 0)
                return r;
        /* The programs of a changed document are loaded, so verified, even if no interface is there yet to run them.
         */
        for (size_t i = 0; i < t->n_targets; i++) {
                Target *target = t->targets[i];

                if (target->action != TARGET_BUILD && !(target->action == TARGET_WAIT && target->affected))
                        continue;
                r = target_build(t, target);
                if (r == -ENOMEM && !error_is_set(&target->error))
                        return r;
                for (size_t j = 0; r >= 0 && j < target->n_slots; j++)
                        transaction_get_program(t, target->slots[j].program)->needed = true;
        }
        t->prepared = usec_now(CLOCK_MONOTONIC);
        return check_fatal(t, error);
}

bool transaction_changed_anything(const Transaction *t) {
        return t->changed;
}

static void fill_commit(Transaction *t, Target *target) {
        target_read_last_rows(t, target);
        target->commit = (ChainCommit){
                .interface = target->interface->name,
                .ifindex = target->interface->link.ifindex,
                .hook = target->chain->hook,
                .mode = target->keeps_mode ? target->mode_before : target->wanted.mode,
                .fused = target->fused,
                .attachment = target->reattach || target->to_front ? NULL : target_attachment(target),
        };
}

/* What a commit answered, into the target. The fused program belongs to the attachment when it went well. */
static void take_result(Target *target, uint64_t usec) {
        target->commit_usec = usec;
        if (target->commit.result >= 0) {
                target->fused = NULL;
                target->done = true;
                return;
        }
        error_ensure(&target->commit.error, target->commit.result, "the chain can't be attached");
        error_prefix(&target->commit.error, "%s: ", target->chain->key);
        error_move(&target->error, &target->commit.error);
        target->action = TARGET_FAIL;
}

static int commit_chains(Transaction *t) {
        ChainCommit *items _cleanup_free_ = calloc(t->n_targets + 1, sizeof(ChainCommit));
        uint64_t started = usec_now(CLOCK_MONOTONIC);
        size_t n = 0, i = 0;

        if (!items)
                return -ENOMEM;
        for (size_t j = 0; j < t->n_targets; j++)
                if (t->targets[j]->action == TARGET_BUILD && !t->targets[j]->reattach) {
                        fill_commit(t, t->targets[j]);
                        items[n++] = t->targets[j]->commit;
                }
        if (n == 0)
                return 0;

        (void) t->manager->ops->chain_commit(t->manager->kernel, items, n);
        for (size_t j = 0; j < t->n_targets; j++)
                if (t->targets[j]->action == TARGET_BUILD && !t->targets[j]->reattach) {
                        t->targets[j]->commit = items[i++];
                        take_result(t->targets[j], usec_now(CLOCK_MONOTONIC) - started);
                }
        return 0;
}

/* What ran before comes back to the hook in its old mode. Counters begin anew with the attachment. */
static void come_back(Transaction *t, Target *target) {
        Manager *manager = t->manager;
        Chain *chain = target->chain;
        ChainCommit commit = {
                .interface = target->interface->name,
                .ifindex = target->interface->link.ifindex,
                .hook = chain->hook,
                .mode = target->mode_before,
                .fused = target->back,
        };

        target->touched = true;
        (void) manager->ops->chain_commit(manager->kernel, &commit, 1);
        if (commit.result < 0) {
                log_error("%s: the chain can't be attached as it was before: %s", chain->key,
                          commit.error.message ? commit.error.message : strerror(-commit.result));
                error_done(&commit.error);
                manager_drop_attachment(manager, chain);
                return;
        }
        target->back = NULL;
        manager->ops->chain_release(manager->kernel, &commit);
        chain->attachment = commit.attachment;
        chain->info = commit.info;
        chain_restart(chain);
}

/* A change of the XDP mode can't be atomic: one link has one mode. The chain goes off the hook and on again; where
 * the new mode is refused, it comes back in the old one. */
static void commit_reattached(Transaction *t, Target *target) {
        const KernelOps *ops = t->manager->ops;
        uint64_t started = usec_now(CLOCK_MONOTONIC);

        ops->chain_detach(t->manager->kernel, TAKE_PTR(target->chain->attachment));
        fill_commit(t, target);
        (void) ops->chain_commit(t->manager->kernel, &target->commit, 1);
        take_result(target, usec_now(CLOCK_MONOTONIC) - started);
        if (!target->done)
                come_back(t, target);
}

static bool is_conflict(const Target *target) {
        return target->error.code == ERROR_HOOK_BUSY && !target->chain->attachment;
}

/* What is left of chains that somebody took off their hooks goes: its pins would be in the way of new ones. */
static void drop_lost(Transaction *t) {
        for (size_t i = 0; i < t->n_targets; i++) {
                Target *target = t->targets[i];

                if (!target->lost)
                        continue;
                log_notice("%s: somebody took it off its hook", target->chain->key);
                manager_take_off_hook(t->manager, target->chain);
        }
}

/* After a failure: the chain is not put back by this transaction, so it says what is. */
static void tell_lost(Transaction *t, Target *target, const char *reason) {
        Chain *chain = target->chain;

        manager_drop_attachment(t->manager, chain);
        chain->state = CHAIN_STATE_FAILED;
        (void) free_and_strdup(&chain->reason, reason);
        OBSERVE(t->manager, chain_changed, chain);
}

static void rollback(Transaction *t) {
        for (size_t i = t->n_targets; i > 0; i--) {
                Target *target = t->targets[i - 1];

                if (!target->done)
                        continue;
                t->manager->ops->chain_rollback(t->manager->kernel, &target->commit);
                target->fused = target->commit.fused;
                target->done = false;
                if (target->reattach)
                        come_back(t, target);
                /* The pins were the new link's, and went with it. */
                if (target->to_front && target->chain->attachment) {
                        _cleanup_error_ Error error = ERROR_INIT;

                        if (t->manager->ops->chain_repin(t->manager->kernel, target->chain->attachment, &error) < 0)
                                log_warning("%s: %s", target->chain->key, strna(error.message));
                }
        }
        for (size_t i = 0; i < t->n_targets; i++) {
                Target *target = t->targets[i];

                if (target->lost || (target->touched && !target->chain->attachment))
                        tell_lost(t, target,
                                  target->lost ? "somebody took it off its hook; it will be put back"
                                               : "it could not be attached as it was before; reload");
                else if (target->touched)
                        OBSERVE(t->manager, chain_changed, target->chain);
        }
        transaction_rollback_programs(t);
}

static int check_committed(Transaction *t, Error *error) {
        for (size_t i = 0; i < t->n_targets; i++) {
                Target *target = t->targets[i];

                if (target->action != TARGET_FAIL || !target_is_fatal(t, target) || is_conflict(target))
                        continue;
                error_move(error, &target->error);
                return error_code_to_errno(error->code);
        }
        return 0;
}

static int apply(Transaction *t, uint64_t generation) {
        int r = 0, q;

        for (size_t i = 0; i < t->n_targets; i++)
                if (t->targets[i]->done)
                        t->manager->ops->chain_release(t->manager->kernel, &t->targets[i]->commit);
        for (size_t i = 0; i < t->n_targets; i++) {
                q = target_apply(t, t->targets[i], generation);
                r = r < 0 ? r : q;
        }
        q = transaction_apply_programs(t);
        return r < 0 ? r : q;
}

int transaction_commit(Transaction *t, uint64_t generation, Error *error) {
        int r;

        drop_lost(t);
        transaction_commit_programs(t);
        r = check_fatal(t, error);
        if (r >= 0)
                r = commit_chains(t);
        if (r >= 0)
                r = check_committed(t, error);
        for (size_t i = 0; r >= 0 && i < t->n_targets; i++) {
                if (t->targets[i]->action != TARGET_BUILD || !t->targets[i]->reattach)
                        continue;
                commit_reattached(t, t->targets[i]);
                r = check_committed(t, error);
        }
        if (r < 0) {
                rollback(t);
                return r;
        }

        /* From here on nothing goes back: what remains is to write down what is. */
        r = apply(t, generation);
        t->finished = usec_now(CLOCK_MONOTONIC);
        return r;
}
