/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/desired.h"
#include "util/json.h"
#include "util/strv.h"

struct Desired {
        unsigned n_ref;
        Document **documents; /* by name */
        size_t n_documents;
        Table programs; /* ProgramDef */
        char **unreadable;
};

Desired *desired_ref(Desired *desired) {
        desired->n_ref++;
        return desired;
}

Desired *desired_unref(Desired *desired) {
        if (!desired || --desired->n_ref > 0)
                return NULL;
        for (size_t i = 0; i < desired->n_documents; i++)
                document_unref(desired->documents[i]);
        free(desired->documents);
        table_done(&desired->programs);
        strv_free(desired->unreadable);
        free(desired);
        return NULL;
}

void desired_set_unreadable(Desired *desired, char **names) {
        strv_free(desired->unreadable);
        desired->unreadable = names;
}

bool desired_is_unreadable(const Desired *desired, const char *document) {
        return strv_contains(desired->unreadable, document);
}

const char *desired_first_unreadable(const Desired *desired) {
        return desired->unreadable ? desired->unreadable[0] : NULL;
}

Document *const *desired_documents(const Desired *desired, size_t *ret_n) {
        *ret_n = desired->n_documents;
        return desired->documents;
}

Document *desired_get_document(const Desired *desired, const char *name) {
        for (size_t i = 0; i < desired->n_documents; i++)
                if (streq(desired->documents[i]->name, name))
                        return desired->documents[i];
        return NULL;
}

const ProgramDef *desired_get_program(const Desired *desired, const char *name) {
        return table_get(&desired->programs, name);
}

const Table *desired_programs(const Desired *desired) {
        return &desired->programs;
}

static int document_compare(const void *a, const void *b) {
        return strcmp((*(Document *const *) a)->name, (*(Document *const *) b)->name);
}

static void withdraw_programs(Desired *desired, const Document *document, size_t n) {
        for (size_t i = 0; i < n; i++)
                table_remove(&desired->programs, document->programs[i].name);
}

/* Adds all programs of the document or none. */
static int define_programs(Desired *desired, const Document *document, Error *error) {
        for (size_t i = 0; i < document->n_programs; i++) {
                ProgramDef *def = &document->programs[i];
                const ProgramDef *other = table_get(&desired->programs, def->name);
                int r;

                if (other) {
                        r = error_set_at(
                                error, ERROR_NAME_TAKEN, def->where,
                                "program \"%s\" is defined in %s.json already; a name is defined once: remove "
                                "one of the two or give it another name",
                                def->name, other->document->name);
                        withdraw_programs(desired, document, i);
                        document_locate_error(document, error);
                        return r;
                }
                r = table_add(&desired->programs, def);
                if (r < 0) {
                        withdraw_programs(desired, document, i);
                        return r;
                }
        }
        return 0;
}

/* The JSON path of a slot; the caller frees, NULL when out of memory. */
static char *slot_path(const ChainDef *def, size_t slot) {
        _cleanup_free_ char *programs = json_path_member(def->where, "programs");

        return programs ? json_path_index(programs, slot) : NULL;
}

static int undefined_error(const ChainDef *chain, size_t slot, Error *error) {
        _cleanup_free_ char *where = slot_path(chain, slot);
        int r;

        if (!where)
                return -ENOMEM;
        r = error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                         "no document defines a program \"%s\"; define it under \"programs\"",
                         chain->slots[slot].program);
        document_locate_error(chain->document, error);
        return r;
}

/* Is every program that the document's chains use defined somewhere? */
static int check_uses(const Desired *desired, const Document *document, Error *error) {
        for (size_t i = 0; i < document->n_chains; i++) {
                const ChainDef *chain = &document->chains[i];

                for (size_t j = 0; j < chain->n_slots; j++)
                        if (!desired_get_program(desired, chain->slots[j].program))
                                return undefined_error(chain, j, error);
        }
        return 0;
}

int desired_new(Document *const *documents, size_t n_documents, bool lenient, DesiredReject reject, void *userdata,
                Desired **ret, Error *error) {
        _cleanup_(desired_unrefp) Desired *desired = NULL;
        size_t kept;
        int r;

        desired = calloc(1, sizeof(Desired));
        if (!desired)
                return -ENOMEM;
        desired->n_ref = 1;
        desired->documents = calloc(n_documents + 1, sizeof(Document *));
        if (!desired->documents)
                return -ENOMEM;
        for (size_t i = 0; i < n_documents; i++)
                desired->documents[desired->n_documents++] = document_ref(documents[i]);
        qsort(desired->documents, desired->n_documents, sizeof(Document *), document_compare);

        kept = 0;
        for (size_t i = 0; i < desired->n_documents; i++) {
                _cleanup_error_ Error problem = ERROR_INIT;
                Document *document = desired->documents[i];

                r = define_programs(desired, document, &problem);
                if (r >= 0) {
                        desired->documents[kept++] = document;
                        continue;
                }
                if (!lenient || !error_is_set(&problem)) {
                        /* Those in between were moved down already: what is left to unref is [0, kept) and [i, n). */
                        memmove(desired->documents + kept, desired->documents + i,
                                (desired->n_documents - i) * sizeof(Document *));
                        desired->n_documents -= i - kept;
                        error_move(error, &problem);
                        return r;
                }
                if (reject)
                        reject(document, &problem, userdata);
                document_unref(document);
        }
        desired->n_documents = kept;

        /* A chain that uses what nobody defines stays in a lenient state: the chain itself then says why it can't
         * run, and a later document may bring the program. */
        for (size_t i = 0; i < desired->n_documents; i++) {
                _cleanup_error_ Error problem = ERROR_INIT;

                r = check_uses(desired, desired->documents[i], &problem);
                if (r >= 0)
                        continue;
                if (!lenient || !error_is_set(&problem)) {
                        error_move(error, &problem);
                        return r;
                }
                if (reject)
                        reject(desired->documents[i], &problem, userdata);
        }

        *ret = TAKE_PTR(desired);
        return 0;
}

void wanted_done(Wanted *wanted) {
        free(wanted->slots);
        strv_free(wanted->documents);
        *wanted = (Wanted){};
}

typedef struct Fragments {
        const ChainDef **items;
        size_t n;
} Fragments;

static void fragments_done(Fragments *fragments) {
        free(fragments->items);
}

static int fragment_compare(const void *a, const void *b) {
        const ChainDef *x = *(const ChainDef *const *) a, *y = *(const ChainDef *const *) b;
        int c;

        if (x->order != y->order)
                return x->order < y->order ? -1 : 1;
        c = strcmp(x->document->name, y->document->name);
        if (c != 0)
                return c;
        return x < y ? -1 : x > y; /* both in the array of one document */
}

bool chain_def_matches(const ChainDef *def, const LinkRecord *link, Hook hook) {
        if (def->hook != hook)
                return false;
        STRV_FOREACH (pattern, def->interfaces)
                if (link_record_matches(link, *pattern))
                        return true;
        return false;
}

static int collect_fragments(const Desired *desired, const LinkRecord *link, Hook hook, Fragments *fragments) {
        for (size_t i = 0; i < desired->n_documents; i++) {
                const Document *document = desired->documents[i];

                for (size_t j = 0; j < document->n_chains; j++) {
                        const ChainDef **item;

                        if (!chain_def_matches(&document->chains[j], link, hook))
                                continue;
                        item = ARRAY_APPEND(fragments->items, fragments->n);
                        if (!item)
                                return -ENOMEM;
                        *item = &document->chains[j];
                }
        }
        if (fragments->n > 1)
                qsort(fragments->items, fragments->n, sizeof(ChainDef *), fragment_compare);
        return 0;
}

static bool is_left_out(const Fragments *fragments, const char *program) {
        for (size_t i = 0; i < fragments->n; i++)
                if (strv_contains(fragments->items[i]->without, program))
                        return true;
        return false;
}

static int find_wanted(const Wanted *wanted, const char *program) {
        for (size_t i = 0; i < wanted->n_slots; i++)
                if (streq(wanted->slots[i].program, program))
                        return (int) i;
        return -ENOENT;
}

static int add_slots(Wanted *wanted, const ChainDef *def, const Fragments *fragments, const char *name,
                     Error *error) {
        for (size_t i = 0; i < def->n_slots; i++) {
                const SlotDef *slot = &def->slots[i];
                WantedSlot *w;
                int other;

                if (is_left_out(fragments, slot->program))
                        continue;
                other = find_wanted(wanted, slot->program);
                if (other >= 0) {
                        _cleanup_free_ char *where = slot_path(def, i);
                        const ChainDef *first = wanted->slots[other].from;
                        int r;

                        if (!where)
                                return -ENOMEM;
                        r = error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                         "\"%s\" is put on %s twice, by %s.json (%s) already; a program stands in a "
                                         "chain once: remove one, or define it under another name as well",
                                         slot->program, name, first->document->name, first->where);
                        document_locate_error(def->document, error);
                        return r;
                }
                if (wanted->n_slots >= CHAIN_SLOTS_MAX)
                        return error_set(error, ERROR_LIMIT_EXCEEDED,
                                         "the documents together put more than %d programs on %s; a chain can't have "
                                         "more",
                                         CHAIN_SLOTS_MAX, name);
                w = ARRAY_APPEND(wanted->slots, wanted->n_slots);
                if (!w)
                        return -ENOMEM;
                *w = (WantedSlot){ slot->program, slot->proceed_on, def, i };
        }
        return 0;
}

/* The programs that `sequence` names take, among the places that they hold, the order in which it names them.
 * Those that are not in the chain are passed over, and programs that came later stay where they are. */
static void apply_sequence(Wanted *wanted, char *const *sequence) {
        WantedSlot sorted[CHAIN_SLOTS_MAX];
        size_t n = 0, next = 0;
        bool named[CHAIN_SLOTS_MAX] = {};

        STRV_FOREACH (program, sequence) {
                int i = find_wanted(wanted, *program);

                if (i < 0 || named[i] || n >= CHAIN_SLOTS_MAX)
                        continue;
                named[i] = true;
                sorted[n++] = wanted->slots[i];
        }
        for (size_t i = 0; i < wanted->n_slots && next < n; i++)
                if (named[i])
                        wanted->slots[i] = sorted[next++];
}

static RestorePolicy more_cautious(RestorePolicy a, RestorePolicy b) {
        if (a == RESTORE_POLICY_NEVER || b == RESTORE_POLICY_NEVER)
                return RESTORE_POLICY_NEVER;
        return a == RESTORE_POLICY_LIMITED || b == RESTORE_POLICY_LIMITED ? RESTORE_POLICY_LIMITED
                                                                          : RESTORE_POLICY_ALWAYS;
}

static int merge_fragment(Wanted *wanted, const ChainDef *def, const Fragments *fragments, const char *name,
                          const ChainDef **mode_from, Error *error) {
        int r;

        r = add_slots(wanted, def, fragments, name, error);
        if (r < 0)
                return r;

        if (def->mode_set) {
                if (*mode_from && (*mode_from)->mode != def->mode) {
                        _cleanup_free_ char *where = json_path_member(def->where, "mode");

                        if (!where)
                                return -ENOMEM;
                        r = error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                         "%s wants mode \"%s\" on %s, %s.json wants \"%s\"; a chain has one mode",
                                         def->document->name, attach_mode_to_string(def->mode), name,
                                         (*mode_from)->document->name, attach_mode_to_string((*mode_from)->mode));
                        document_locate_error(def->document, error);
                        return r;
                }
                wanted->mode = def->mode;
                *mode_from = def;
        }
        if (def->counters_set) {
                wanted->counters = wanted->counters_set ? MAX2(wanted->counters, def->counters) : def->counters;
                wanted->counters_set = true;
        }
        if (def->restore_set) {
                wanted->restore = wanted->restore_set ? more_cautious(wanted->restore, def->restore) : def->restore;
                wanted->restore_set = true;
        }
        wanted->detached = wanted->detached || def->detached;
        wanted->fail_closed = wanted->fail_closed || def->fail_closed;
        if (!strv_contains(wanted->documents, def->document->name))
                return strv_append(&wanted->documents, def->document->name);
        return 0;
}

/* Fragments that only order, leave out or detach do not make a chain: there must be something for them to act on. */
static bool names_programs(const Fragments *fragments) {
        for (size_t i = 0; i < fragments->n; i++)
                if (fragments->items[i]->n_slots > 0)
                        return true;
        return false;
}

int desired_chain(const Desired *desired, const LinkRecord *link, Hook hook, Wanted *ret, Error *error) {
        _cleanup_(fragments_done) Fragments fragments = {};
        _cleanup_(wanted_done) Wanted wanted = {};
        _cleanup_free_ char *name = NULL;
        const ChainDef *mode_from = NULL;
        int r;

        r = collect_fragments(desired, link, hook, &fragments);
        if (r < 0)
                return r;
        if (!names_programs(&fragments))
                return -ENOENT;

        name = chain_key(link->name, hook);
        if (!name)
                return -ENOMEM;
        for (size_t i = 0; i < fragments.n; i++) {
                r = merge_fragment(&wanted, fragments.items[i], &fragments, name, &mode_from, error);
                if (r < 0)
                        return r;
        }
        if (!wanted.counters_set)
                wanted.counters = COUNTER_LEVEL_DEFAULT;
        for (size_t i = 0; i < fragments.n; i++)
                apply_sequence(&wanted, fragments.items[i]->sequence);

        *ret = wanted;
        wanted = (Wanted){};
        return 0;
}

int desired_fragments(const Desired *desired, const LinkRecord *link, Hook hook, const ChainDef ***ret,
                      size_t *ret_n) {
        _cleanup_(fragments_done) Fragments fragments = {};
        int r;

        r = collect_fragments(desired, link, hook, &fragments);
        if (r < 0)
                return r;
        *ret_n = fragments.n;
        *ret = TAKE_PTR(fragments.items);
        return 0;
}

bool desired_document_wants(const Desired *desired, const char *document, const LinkRecord *link, Hook hook) {
        const Document *d = desired_get_document(desired, document);

        for (size_t i = 0; d && i < d->n_chains; i++)
                if (chain_def_matches(&d->chains[i], link, hook))
                        return true;
        return false;
}

static bool is_plain_name(const char *pattern) {
        return !strpbrk(pattern, "*?[\\") && strlen(pattern) < IFNAMSIZ;
}

bool desired_names_interface(const Desired *desired, const char *interface, Hook hook) {
        for (size_t i = 0; i < desired->n_documents; i++)
                for (size_t j = 0; j < desired->documents[i]->n_chains; j++) {
                        const ChainDef *def = &desired->documents[i]->chains[j];

                        if (def->hook == hook && is_plain_name(interface) &&
                            strv_contains(def->interfaces, interface))
                                return true;
                }
        return false;
}

int desired_visit_names(const Desired *desired, DesiredVisitor visit, void *userdata) {
        for (size_t i = 0; i < desired->n_documents; i++)
                for (size_t j = 0; j < desired->documents[i]->n_chains; j++) {
                        const ChainDef *def = &desired->documents[i]->chains[j];

                        STRV_FOREACH (pattern, def->interfaces) {
                                int r;

                                if (!is_plain_name(*pattern))
                                        continue;
                                r = visit(*pattern, def->hook, userdata);
                                if (r < 0)
                                        return r;
                        }
                }
        return 0;
}
