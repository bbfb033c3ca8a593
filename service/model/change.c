/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of the desired state: documents are applied and withdrawn, confirmed or rolled back, read again.
 */
#include <inttypes.h>

#include "model/change.h"
#include "model/guard.h"
#include "model/objects.h"
#include "model/transaction.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/log.h"
#include "util/strv.h"

#define CONFIRM_TIMEOUT_MAX USEC_PER_DAY

static const char *origin_of(const ChangeOptions *options) {
        return options->origin ? options->origin : "unknown";
}

int manager_check_options(Manager *manager, const ChangeOptions *options, Error *error) {
        if (!manager->ready)
                return error_set(error, ERROR_BUSY, "the service is still starting; try again in a moment");
        if (options->expects_generation && options->expected_generation != manager->generation)
                return error_set(error, ERROR_STALE_GENERATION,
                                 "generation %" PRIu64 " was expected, %" PRIu64
                                 " is running; look at what changed and try again",
                                 options->expected_generation, manager->generation);
        if (options->confirm_timeout > CONFIRM_TIMEOUT_MAX)
                return error_set(error, ERROR_INVALID_ARGUMENT, "a confirmation can be waited for one day at most");
        if (manager->pending.generation > 0 && !options->dry_run)
                return error_set(error, ERROR_BUSY,
                                 "generation %" PRIu64
                                 " waits for its confirmation; confirm it or roll it back first",
                                 manager->pending.generation);
        return 0;
}

/* A fault between documents that was not there before this change is this change's fault. */
static int check_new_problems(Manager *manager, const Problem *problems, size_t n, Error *error) {
        for (size_t i = 0; i < n; i++) {
                bool known = false;

                for (size_t j = 0; j < manager->n_document_problems && !known; j++)
                        known = streq(manager->document_problems[j].sentence, problems[i].sentence);
                if (!known)
                        return error_set(error,
                                         strstr(problems[i].sentence, "is defined in") ? ERROR_NAME_TAKEN
                                                                                       : ERROR_INVALID_DOCUMENT,
                                         "%s", problems[i].sentence);
        }
        return 0;
}

static const StoredDocument *find_item(const Store *store, Layer layer, const char *name) {
        for (size_t i = 0; i < store->n; i++)
                if (store->items[i].layer == layer && streq(store->items[i].name, name))
                        return &store->items[i];
        return NULL;
}

static int write_document(Manager *manager, const Snapshot *snapshot, const Store *store, Error *error) {
        const StoredDocument *item = find_item(store, snapshot->layer, snapshot->name);
        const Document *document = item ? item->document : NULL;
        int r = 0;

        if (document)
                r = objects_install(manager->paths, document, snapshot->layer, error);
        if (r >= 0)
                r = store_write(manager->paths, snapshot->layer, snapshot->name, document ? document->text : NULL,
                                error);
        return r;
}

/* Takes back what write_files() did, objects that came with the document included. */
static int restore_files(Manager *manager, Snapshot *snapshot, Error *error) {
        const StoredDocument *item = find_item(&snapshot->store, snapshot->layer, snapshot->name);
        int r = 0;

        if (!snapshot->written)
                return 0;
        if (item && item->document)
                r = objects_restore(manager->paths, item->document, snapshot->layer, error);
        if (r >= 0)
                r = store_put_image(manager->paths, snapshot->layer, snapshot->name, &snapshot->image, error);
        return r;
}

/* Writes what a change does to the files, and notes what stood there before. On failure that stands there. */
static int write_files(Manager *manager, Snapshot *snapshot, const Store *to, Error *error) {
        _cleanup_error_ Error ignored = ERROR_INIT;
        int r;

        file_image_done(&snapshot->image);
        r = store_take_image(manager->paths, snapshot->layer, snapshot->name, &snapshot->image, error);
        if (r < 0)
                return r;
        snapshot->written = true;
        r = write_document(manager, snapshot, to, error);
        if (r >= 0)
                return 0;
        if (restore_files(manager, snapshot, &ignored) < 0)
                log_error("The files can't be brought back: %s", strna(ignored.message));
        snapshot->written = false;
        return r;
}

void manager_tell_deadline(Manager *manager) {
        uint64_t deadline = holdings_deadline(manager);

        if (manager->pending.generation > 0)
                deadline = MIN2(deadline, manager->pending.deadline);
        if (deadline == manager->told_deadline)
                return;
        manager->told_deadline = deadline;
        OBSERVE(manager, deadline_changed, deadline);
}

static void set_deadline(Manager *manager, uint64_t generation, uint64_t timeout) {
        manager->pending = (Pending){};
        if (generation > 0)
                manager->pending = (Pending){ generation, usec_now(CLOCK_BOOTTIME) + timeout };
        manager_tell_deadline(manager);
}

/* The new state is in effect: it becomes the manager's. */
static void adopt_state(Manager *manager, Store *store, Desired **desired, Problem **problems, size_t *n_problems,
                        uint64_t generation, const char *origin) {
        LogFields fields = { .generation = generation };

        store_done(&manager->store);
        manager->store = *store;
        *store = (Store){};
        desired_unref(manager->desired);
        manager->desired = TAKE_PTR(*desired);
        problems_free(manager->document_problems, manager->n_document_problems);
        manager->document_problems = TAKE_PTR(*problems);
        manager->n_document_problems = *n_problems;
        *n_problems = 0;
        manager->generation = generation;
        holdings_update(manager);
        (void) state_save(manager);
        manager_refresh_problems(manager);
        log_with(LOG_INFO, &fields, "Generation %" PRIu64 " is running (%s)", generation, origin);
        OBSERVE(manager, generation_committed, generation, origin);
}

typedef struct Candidate {
        Store store;
        Desired *desired;
        Problem *problems;
        size_t n_problems;
        Transaction *transaction;
} Candidate;

static void candidate_done(Candidate *c) {
        transaction_free(c->transaction);
        store_done(&c->store);
        desired_unref(c->desired);
        problems_free(c->problems, c->n_problems);
}

static int take_snapshot(Manager *manager, const char *name, Layer layer, Snapshot *ret) {
        _cleanup_(snapshot_done) Snapshot snapshot = {};
        int r;

        r = store_copy(&manager->store, &snapshot.store);
        if (r < 0)
                return r;
        snapshot.name = strdup(name);
        if (!snapshot.name)
                return -ENOMEM;
        TABLE_FOREACH (Chain, chain, &manager->chains)
                if (chain->attachment && strv_append(&snapshot.ran, chain->key) < 0)
                        return -ENOMEM;
        snapshot.desired = desired_ref(manager->desired);
        snapshot.generation = manager->generation;
        snapshot.layer = layer;
        *ret = snapshot;
        snapshot = (Snapshot){};
        return 0;
}

int manager_change(Manager *manager, const char *name, Layer layer, Document *document, const ChangeOptions *options,
                   uint64_t *ret_generation, char **ret_report, Error *error) {
        _cleanup_(candidate_done) Candidate c = {};
        _cleanup_(snapshot_done) Snapshot snapshot = {};
        _cleanup_free_ char *path = NULL, *report = NULL;
        uint64_t generation = manager->generation + 1;
        int r;

        path = paths_document(manager->paths, layer, name);
        if (!path)
                return -ENOMEM;
        r = store_copy(&manager->store, &c.store);
        if (r >= 0)
                r = store_replace(&c.store, layer, name, path, document);
        if (r < 0)
                return r;
        if (document && store_get(&c.store, name)->document != document)
                return error_set(
                        error, ERROR_INVALID_ARGUMENT,
                        "%s overrides a document of this name in %s; apply it without the runtime option, or "
                        "under another name",
                        store_get(&c.store, name)->path, paths_layer(manager->paths, layer));
        r = manager_make_desired(&c.store, &c.desired, &c.problems, &c.n_problems);
        if (r >= 0)
                r = check_new_problems(manager, c.problems, c.n_problems, error);
        if (r >= 0)
                r = transaction_new(manager, c.desired, name, &c.transaction);
        if (r >= 0)
                r = transaction_prepare(c.transaction, error);
        if (r < 0)
                return r;

        if (options->dry_run) {
                *ret_generation = manager->generation;
                if (options->prepared) {
                        r = options->prepared(c.transaction, options->prepared_userdata, error);
                        if (r < 0)
                                return r;
                }
                if (ret_report) {
                        *ret_report = transaction_report(c.transaction, manager->generation, true);
                        return *ret_report ? 0 : -ENOMEM;
                }
                return 0;
        }

        r = take_snapshot(manager, name, layer, &snapshot);
        if (r < 0)
                return r;
        if (options->confirm_timeout == 0) {
                r = write_files(manager, &snapshot, &c.store, error);
                if (r < 0)
                        return r;
        }
        r = transaction_commit(c.transaction, generation, error);
        if (r < 0) {
                _cleanup_error_ Error ignored = ERROR_INIT;

                if (restore_files(manager, &snapshot, &ignored) < 0)
                        log_error("The files can't be brought back: %s", strna(ignored.message));
                return r;
        }
        report = transaction_report(c.transaction, generation, false);

        snapshot_done(&manager->previous);
        manager->previous = snapshot;
        snapshot = (Snapshot){};
        set_deadline(manager, options->confirm_timeout > 0 ? generation : 0, options->confirm_timeout);
        adopt_state(manager, &c.store, &c.desired, &c.problems, &c.n_problems, generation, origin_of(options));
        *ret_generation = generation;
        if (ret_report)
                *ret_report = TAKE_PTR(report);
        return 0;
}

int manager_apply(Manager *manager, const char *name, const char *text, const ChangeOptions *options,
                  uint64_t *ret_generation, char **ret_report, Error *error) {
        _cleanup_(document_unrefp) Document *document = NULL;
        Layer layer = options->runtime ? LAYER_RUNTIME : LAYER_ADMIN;
        _cleanup_free_ char *path = NULL;
        int r;

        if (!document_name_is_valid(name))
                return error_set(
                        error, ERROR_INVALID_ARGUMENT,
                        "\"%s\" is no document name: use letters, digits and '._@:-', beginning with a letter "
                        "or digit, without \".json\"",
                        name);
        if (options->base_directory && options->base_directory[0] != '/')
                return error_set(error, ERROR_INVALID_ARGUMENT, "base-directory is to be an absolute path");
        r = manager_check_options(manager, options, error);
        if (r < 0)
                return r;
        path = paths_document(manager->paths, layer, name);
        if (!path)
                return -ENOMEM;
        r = document_new(name, path, layer, text, strlen(text), &document, error);
        if (r >= 0)
                r = free_and_strdup(&document->base_directory, options->base_directory);
        if (r < 0)
                return r;
        return manager_change(manager, name, layer, document, options, ret_generation, ret_report, error);
}

int manager_withdraw(Manager *manager, const char *name, const ChangeOptions *options, uint64_t *ret_generation,
                     Error *error) {
        const StoredDocument *item = store_get(&manager->store, name);
        int r;

        r = manager_check_options(manager, options, error);
        if (r < 0)
                return r;
        if (!item)
                return error_set(error, ERROR_NO_SUCH_DOCUMENT,
                                 "there is no document \"%s\"; \"bpfchain documents\" lists them", name);
        if (item->layer == LAYER_VENDOR)
                return error_set(error, ERROR_NOT_SUPPORTED,
                                 "%s came with a package; mask it with an empty file of the same name in %s/chains.d "
                                 "and reload",
                                 item->path, manager->paths->etc);
        return manager_change(manager, item->name, item->layer, NULL, options, ret_generation, NULL, error);
}

static int check_pending(Manager *manager, uint64_t generation, Error *error) {
        if (manager->pending.generation == 0)
                return error_set(error, ERROR_NOTHING_TO_CONFIRM, "no generation waits for a confirmation");
        if (manager->pending.generation != generation)
                return error_set(error, ERROR_STALE_GENERATION,
                                 "generation %" PRIu64 " waits for its confirmation, not %" PRIu64,
                                 manager->pending.generation, generation);
        return 0;
}

int manager_confirm(Manager *manager, uint64_t generation, Error *error) {
        int r;

        r = check_pending(manager, generation, error);
        if (r >= 0)
                r = write_files(manager, &manager->previous, &manager->store, error);
        if (r < 0)
                return r;
        set_deadline(manager, 0, 0);
        log_info("Generation %" PRIu64 " was confirmed", generation);
        OBSERVE(manager, manager_changed);
        return 0;
}

static int go_back(Manager *manager, const char *reason, uint64_t *ret_generation, Error *error) {
        _cleanup_(candidate_done) Candidate c = {};
        uint64_t from = manager->generation, to = manager->generation + 1;
        int r;

        r = store_copy(&manager->previous.store, &c.store);
        if (r >= 0)
                r = manager_make_desired(&c.store, &c.desired, &c.problems, &c.n_problems);
        if (r >= 0)
                r = transaction_new(manager, c.desired, NULL, &c.transaction);
        if (r < 0)
                return r;
        transaction_goes_back(c.transaction, manager->previous.ran);
        r = transaction_prepare(c.transaction, error);
        if (r < 0)
                return r;
        r = restore_files(manager, &manager->previous, error);
        if (r >= 0)
                r = transaction_commit(c.transaction, to, error);
        if (r < 0) {
                _cleanup_error_ Error ignored = ERROR_INIT;

                if (manager->previous.written &&
                    write_document(manager, &manager->previous, &manager->store, &ignored) < 0)
                        log_error("The files can't be brought forward again: %s", strna(ignored.message));
                return r;
        }

        set_deadline(manager, 0, 0);
        snapshot_done(&manager->previous);
        log_notice("Generation %" PRIu64 " was rolled back: %s", from, reason);
        adopt_state(manager, &c.store, &c.desired, &c.problems, &c.n_problems, to, "rollback");
        OBSERVE(manager, generation_rolled_back, from, to, reason);
        *ret_generation = to;
        return 0;
}

int manager_rollback(Manager *manager, uint64_t generation, uint64_t *ret_generation, Error *error) {
        if (!manager->previous.desired)
                return error_set(error, ERROR_NOTHING_TO_CONFIRM,
                                 "there is nothing to go back to: the last change came from files");
        if (generation != manager->generation)
                return error_set(error, ERROR_STALE_GENERATION,
                                 "generation %" PRIu64 " is running; only the running one can be rolled back",
                                 manager->generation);
        return go_back(manager, "it was asked for", ret_generation, error);
}

void manager_deadline(Manager *manager) {
        _cleanup_error_ Error error = ERROR_INIT;
        uint64_t generation;
        int r;

        manager->told_deadline = UINT64_MAX; /* the timer is off now */
        holdings_update(manager);
        if (manager->pending.generation == 0 || usec_now(CLOCK_BOOTTIME) < manager->pending.deadline)
                return;
        r = go_back(manager, "it was not confirmed in time", &generation, &error);
        if (r < 0) {
                log_error("Generation %" PRIu64 " was not confirmed and can't be rolled back: %s; trying again",
                          manager->pending.generation, error.message ? error.message : strerror(-r));
                set_deadline(manager, manager->pending.generation, 5 * USEC_PER_SEC);
        }
}

static bool digest_in_use(const char *digest, void *userdata) {
        Manager *manager = userdata;

        TABLE_FOREACH (Program, program, &manager->programs)
                if (streq_ptr(program->digest, digest))
                        return true;
        for (size_t i = 0; i < manager->store.n; i++)
                for (size_t j = 0;
                     manager->store.items[i].document && j < manager->store.items[i].document->n_programs; j++)
                        if (streq_ptr(manager->store.items[i].document->programs[j].digest, digest))
                                return true;
        return false;
}

static void log_failed_documents(const Store *store) {
        for (size_t i = 0; i < store->n; i++)
                if (store->items[i].state == DOCUMENT_STATE_FAILED) {
                        LogFields fields = { .document = store->items[i].name };

                        log_with(LOG_ERR, &fields, "%s", strna(store->items[i].error));
                }
}

/* A document that was good and is bad now goes on as it was: what an administrator mistypes does not take chains
 * off their hooks. After a restart only the file is there, and its chains are kept as they run, see start. */
static int keep_good_ones(Manager *manager, Store *store) {
        for (size_t i = 0; i < store->n; i++) {
                StoredDocument *item = &store->items[i];

                if (item->state != DOCUMENT_STATE_FAILED)
                        continue;
                for (size_t j = 0; j < manager->store.n; j++) {
                        const StoredDocument *old = &manager->store.items[j];

                        if (old->document && old->layer == item->layer && streq(old->name, item->name))
                                item->document = document_ref(old->document);
                }
        }
        return 0;
}

/* Modes that were refused are tried again, and so are hooks that were left to others. */
static void forget_refusals(Manager *manager) {
        TABLE_FOREACH (Chain, chain, &manager->chains) {
                (void) free_and_strdup(&chain->mode_refusal, NULL);
                (void) free_and_strdup(&chain->held, NULL);
                chain->restores = (Restores){};
        }
}

int manager_reload(Manager *manager, const ChangeOptions *options, uint64_t *ret_generation, Error *error) {
        _cleanup_(candidate_done) Candidate c = {};
        uint64_t generation = manager->generation + 1;
        bool was_detached = manager->all_detached;
        int r;

        r = manager_check_options(manager, options, error);
        if (r >= 0)
                r = store_load(manager->paths, &manager->store, &c.store);
        if (r >= 0)
                r = keep_good_ones(manager, &c.store);
        if (r >= 0)
                r = manager_make_desired(&c.store, &c.desired, &c.problems, &c.n_problems);
        if (r >= 0)
                r = transaction_new(manager, c.desired, NULL, &c.transaction);
        if (r < 0)
                return r;
        log_failed_documents(&c.store);
        manager->all_detached = false;
        if (!options->dry_run)
                forget_refusals(manager);
        r = transaction_prepare(c.transaction, error);
        if (r >= 0 && options->dry_run) {
                manager->all_detached = was_detached;
                *ret_generation = manager->generation;
                return 0;
        }
        if (r >= 0)
                r = transaction_commit(c.transaction, generation, error);
        if (r < 0) {
                manager->all_detached = was_detached;
                return r;
        }
        snapshot_done(&manager->previous);
        if (manager->guard)
                (void) guard_reload_settings(manager->guard);
        adopt_state(manager, &c.store, &c.desired, &c.problems, &c.n_problems, generation, origin_of(options));
        objects_sweep(manager->paths, digest_in_use, manager);
        *ret_generation = generation;
        return 0;
}

int manager_detach_all(Manager *manager, const ChangeOptions *options, uint64_t *ret_generation, Error *error) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        uint64_t generation = manager->generation + 1;
        int r;

        r = manager_check_options(manager, options, error);
        if (r < 0)
                return r;
        if (options->dry_run) {
                *ret_generation = manager->generation;
                return 0;
        }
        manager->all_detached = true;
        r = transaction_new(manager, manager->desired, NULL, &t);
        if (r >= 0)
                r = transaction_prepare(t, error);
        if (r >= 0)
                r = transaction_commit(t, generation, error);
        if (r < 0) {
                manager->all_detached = false;
                return r;
        }
        snapshot_done(&manager->previous);
        manager->generation = generation;
        holdings_update(manager);
        (void) state_save(manager);
        manager_refresh_problems(manager);
        OBSERVE(manager, generation_committed, generation, origin_of(options));
        *ret_generation = generation;
        return 0;
}
