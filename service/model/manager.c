/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/guard.h"
#include "model/manager-internal.h"
#include "model/objects.h"
#include "util/log.h"
#include "util/strv.h"

static const char *const severity_table[_SEVERITY_MAX] = {
        [SEVERITY_WARNING] = "warning",
        [SEVERITY_ERROR] = "error",
};

DEFINE_STRING_TABLE(severity, Severity, _SEVERITY_MAX)

int problem_add(Problem **problems, size_t *n, Severity severity, const char *where, const char *sentence) {
        Problem *problem = ARRAY_APPEND(*problems, *n);

        if (!problem)
                return -ENOMEM;
        *problem = (Problem){ severity, strdup(where), strdup(strna(sentence)) };
        return problem->where && problem->sentence ? 0 : -ENOMEM;
}

void problems_free(Problem *problems, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(problems[i].where);
                free(problems[i].sentence);
        }
        free(problems);
}

void snapshot_done(Snapshot *snapshot) {
        store_done(&snapshot->store);
        desired_unref(snapshot->desired);
        file_image_done(&snapshot->image);
        strv_free(snapshot->ran);
        free(snapshot->name);
        *snapshot = (Snapshot){};
}

int manager_new(const Paths *paths, const KernelOps *ops, void *ops_userdata, const Observer *observer,
                void *observer_userdata, Manager **ret) {
        Manager *manager = calloc(1, sizeof(Manager));

        if (!manager)
                return -ENOMEM;
        manager->paths = paths;
        manager->ops = ops;
        manager->kernel = ops_userdata;
        manager->observer = observer;
        manager->observer_userdata = observer_userdata;
        manager->told_deadline = UINT64_MAX;
        *ret = manager;
        return 0;
}

Manager *manager_free(Manager *manager) {
        if (!manager)
                return NULL;
        TABLE_FOREACH (Chain, chain, &manager->chains) {
                manager->ops->attachment_free(chain->attachment);
                chain_free(chain);
        }
        TABLE_FOREACH (Program, program, &manager->programs) {
                manager->ops->program_unref(program->kernel);
                program_free(program);
        }
        TABLE_FOREACH (Interface, interface, &manager->interfaces) {
                link_record_done(&interface->link);
                free(interface->name);
                free(interface);
        }
        table_done(&manager->chains);
        table_done(&manager->programs);
        table_done(&manager->interfaces);
        holdings_done(&manager->holdings);
        store_done(&manager->store);
        desired_unref(manager->desired);
        snapshot_done(&manager->previous);
        problems_free(manager->problems, manager->n_problems);
        problems_free(manager->document_problems, manager->n_document_problems);
        problems_free(manager->noted, manager->n_noted);
        free(manager);
        return NULL;
}

typedef struct Rejections {
        Problem *problems;
        size_t n;
        int r;
} Rejections;

static void reject(const Document *document, Error *error, void *userdata) {
        Rejections *rejections = userdata;
        int r;

        r = problem_add(&rejections->problems, &rejections->n, SEVERITY_ERROR, document->name, error->message);
        if (r < 0)
                rejections->r = r;
}

int manager_make_desired(const Store *store, Desired **ret, Problem **ret_problems, size_t *ret_n_problems) {
        Document **documents _cleanup_free_ = calloc(store->n + 1, sizeof(Document *));
        _cleanup_strv_ char **unreadable = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        Rejections rejections = {};
        size_t n = 0;
        int r;

        if (!documents)
                return -ENOMEM;
        for (size_t i = 0; i < store->n; i++) {
                const StoredDocument *item = &store->items[i];

                /* A document that was good before goes on as it was, see keep_good_ones(). */
                if (item->document && (item->state == DOCUMENT_STATE_ACTIVE || item->state == DOCUMENT_STATE_FAILED))
                        documents[n++] = item->document;
                else if (item->state == DOCUMENT_STATE_FAILED && strv_append(&unreadable, item->name) < 0)
                        return -ENOMEM;
        }

        r = desired_new(documents, n, true, reject, &rejections, ret, &error);
        if (r >= 0 && rejections.r < 0) {
                *ret = desired_unref(*ret);
                r = rejections.r;
        }
        if (r < 0) {
                problems_free(rejections.problems, rejections.n);
                return r;
        }
        desired_set_unreadable(*ret, TAKE_PTR(unreadable));
        *ret_problems = rejections.problems;
        *ret_n_problems = rejections.n;
        return 0;
}

static int collect_guard_problems(const Guard *guard, Problem **problems, size_t *n) {
        const char *problem, *weakness;
        bool is_error = false;
        int r = 0;

        if (!guard)
                return 0;
        problem = guard_problem(guard, &is_error);
        weakness = guard_weakness(guard);
        if (problem)
                r = problem_add(problems, n, is_error ? SEVERITY_ERROR : SEVERITY_WARNING, "guard", problem);
        if (r >= 0 && weakness)
                r = problem_add(problems, n, SEVERITY_WARNING, "guard", weakness);
        return r;
}

static int collect_problems(Manager *manager, Problem **problems, size_t *n) {
        int r = collect_guard_problems(manager->guard, problems, n);

        for (size_t i = 0; r >= 0 && i < manager->n_noted; i++)
                r = problem_add(problems, n, manager->noted[i].severity, manager->noted[i].where,
                                manager->noted[i].sentence);
        for (size_t i = 0; r >= 0 && i < manager->store.n; i++)
                if (manager->store.items[i].state == DOCUMENT_STATE_FAILED)
                        r = problem_add(problems, n, SEVERITY_ERROR, manager->store.items[i].name,
                                        manager->store.items[i].error);
        for (size_t i = 0; r >= 0 && i < manager->n_document_problems; i++)
                r = problem_add(problems, n, manager->document_problems[i].severity,
                                manager->document_problems[i].where, manager->document_problems[i].sentence);
        TABLE_FOREACH (Program, program, &manager->programs)
                if (r >= 0 && program->state == PROGRAM_STATE_FAILED)
                        r = problem_add(problems, n, SEVERITY_ERROR, program->name, program->error);
        TABLE_FOREACH (Chain, chain, &manager->chains)
                if (r >= 0 && (chain->state == CHAIN_STATE_DEGRADED || chain->state == CHAIN_STATE_CONFLICT ||
                               chain->state == CHAIN_STATE_FAILED))
                        r = problem_add(problems, n, SEVERITY_ERROR, chain->key, chain->reason);
        return r;
}

void manager_refresh_problems(Manager *manager) {
        Problem *problems = NULL;
        size_t n = 0;

        /* What is guarded follows what runs. */
        if (manager->guard)
                guard_update(manager->guard);
        if (collect_problems(manager, &problems, &n) < 0) {
                problems_free(problems, n);
                return;
        }
        problems_free(manager->problems, manager->n_problems);
        manager->problems = problems;
        manager->n_problems = n;
        OBSERVE(manager, manager_changed);
}

int manager_note_problem(Manager *manager, Severity severity, const char *where, const char *sentence) {
        int r = 0;

        for (size_t i = 0; i < manager->n_noted; i++)
                if (streq(manager->noted[i].where, where)) {
                        free(manager->noted[i].where);
                        free(manager->noted[i].sentence);
                        manager->noted[i] = manager->noted[--manager->n_noted];
                        break;
                }
        if (sentence)
                r = problem_add(&manager->noted, &manager->n_noted, severity, where, sentence);

        if (r >= 0)
                manager_refresh_problems(manager);
        return r;
}

int manager_load(Manager *manager) {
        int r;

        r = state_load(manager);
        if (r < 0)
                return r;
        r = store_load(manager->paths, NULL, &manager->store);
        if (r < 0)
                return r;
        for (size_t i = 0; i < manager->store.n; i++)
                if (manager->store.items[i].state == DOCUMENT_STATE_FAILED) {
                        LogFields fields = { .document = manager->store.items[i].name };

                        log_with(LOG_ERR, &fields, "%s", strna(manager->store.items[i].error));
                }
        r = manager_make_desired(&manager->store, &manager->desired, &manager->document_problems,
                                 &manager->n_document_problems);
        if (r < 0)
                return r;
        if (manager->generation == 0)
                manager->generation = 1;
        return 0;
}

void manager_take_off_hook(Manager *manager, Chain *chain) {
        if (chain->attachment)
                manager->ops->chain_detach(manager->kernel, TAKE_PTR(chain->attachment));
        chain->info = (AttachmentInfo){};
        chain->fused = (FusedInfo){};
        (void) free_and_strdup(&chain->signature, NULL);
}

void manager_drop_attachment(Manager *manager, Chain *chain) {
        manager_take_off_hook(manager, chain);
        chain_free_seats(chain);
        for (size_t i = 0; i < chain->n_slots; i++)
                chain->slots[i].form = SLOT_FORM_NONE;
}

Interface *manager_get_interface(Manager *manager, const char *name) {
        return table_get(&manager->interfaces, name);
}

Chain *manager_get_chain(Manager *manager, const char *interface, Hook hook) {
        _cleanup_free_ char *key = chain_key(interface, hook);

        return key ? table_get(&manager->chains, key) : NULL;
}

Program *manager_get_program(Manager *manager, const char *name) {
        return table_get(&manager->programs, name);
}

const Table *manager_interfaces(Manager *manager) {
        return &manager->interfaces;
}

const Table *manager_chains(Manager *manager) {
        return &manager->chains;
}

const Table *manager_programs(Manager *manager) {
        return &manager->programs;
}

uint64_t manager_generation(Manager *manager) {
        return manager->generation;
}

const char *manager_state(Manager *manager) {
        if (!manager->ready)
                return "starting";
        for (size_t i = 0; i < manager->n_problems; i++)
                if (manager->problems[i].severity == SEVERITY_ERROR)
                        return "degraded";
        return "running";
}

Pending manager_pending(Manager *manager) {
        return manager->pending;
}

const Problem *manager_problems(Manager *manager, size_t *ret_n) {
        *ret_n = manager->n_problems;
        return manager->problems;
}

int manager_visit_documents(Manager *manager, DocumentVisitor visit, void *userdata) {
        for (size_t i = 0; i < manager->store.n; i++) {
                const StoredDocument *item = &manager->store.items[i];
                int r;

                DocumentState state = item->state;

                /* Good by itself, but left out because of another one. */
                if (state == DOCUMENT_STATE_ACTIVE && manager->desired &&
                    desired_get_document(manager->desired, item->name) != item->document)
                        state = DOCUMENT_STATE_FAILED;
                r = visit(item->name, item->path, state, state == DOCUMENT_STATE_OVERRIDDEN, userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}

const char *manager_get_document(Manager *manager, const char *name) {
        const StoredDocument *item = store_get(&manager->store, name);

        return item && item->document ? item->document->text : NULL;
}

int manager_read_chain_counters(Manager *manager, Chain *chain, ChainCounters *ret) {
        uint64_t(*rows)[COUNTER_CELLS] _cleanup_free_ = NULL;
        int r;

        if (!chain->attachment || chain->counters == COUNTER_LEVEL_OFF)
                return -ENODATA;
        rows = calloc(CHAIN_SEATS_MAX, sizeof(*rows));
        if (!rows)
                return -ENOMEM;
        r = manager->ops->chain_counters(manager->kernel, chain->attachment, rows);
        if (r < 0)
                return r;
        chain_count(chain, rows, ret);
        return 0;
}

int manager_read_run_time(Manager *manager, Chain *chain, uint64_t *ret_count, uint64_t *ret_nsec) {
        if (!chain->attachment)
                return -ENODATA;
        return manager->ops->chain_run_time(manager->kernel, chain->attachment, ret_count, ret_nsec);
}

int manager_interface_details(Manager *manager, Interface *interface, InterfaceDetails *ret) {
        return manager->ops->interface_details(manager->kernel, interface->link.ifindex, interface->name, ret);
}

int manager_interface_foreign(Manager *manager, Interface *interface, ForeignInfo **ret, size_t *ret_n) {
        KernelAttachment *own[_HOOK_MAX];
        size_t n = 0;

        for (Hook hook = 0; hook < _HOOK_MAX; hook++) {
                Chain *chain = manager_get_chain(manager, interface->name, hook);

                if (chain && chain->attachment)
                        own[n++] = chain->attachment;
        }
        return manager->ops->interface_foreign(manager->kernel, interface->link.ifindex, own, n, ret, ret_n);
}

const KernelOps *manager_kernel_ops(Manager *manager, void **ret_userdata) {
        *ret_userdata = manager->kernel;
        return manager->ops;
}

Guard *manager_guard(Manager *manager) {
        return manager->guard;
}
