/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Edits of a chain that come by the bus. They are kept as a document of their own, "edit-INTERFACE-HOOK": what it
 * adds stands under "programs", what it takes away of other documents under "without", and the order of all, if an
 * edit was about the order, under "sequence". So an edit is as visible as any document, outlives restarts, and is
 * undone by withdrawing it; programs that other documents bring later still find their place. When nothing is left in
 * it, it goes.
 */
#include "model/change.h"
#include "util/encode.h"
#include "util/json.h"
#include "util/strv.h"

/* The highest that there is, see read_chain(). */
#define EDIT_ORDER 65535

typedef struct Edit {
        char *name;      /* of the document */
        Wanted wanted;   /* the chain as it is wanted now */
        char **programs; /* added by the edit */
        char **without;
        char **sequence; /* all programs of the chain in order */
        bool ordered;    /* the order is the edit's, not what the other documents make it */
        bool detached;
        const ChainDef *present;    /* the edit's fragment as it stands, or NULL */
        const ChainDef **fragments; /* of all documents */
        size_t n_fragments;
} Edit;

static void edit_done(Edit *edit) {
        free(edit->name);
        wanted_done(&edit->wanted);
        strv_free(edit->programs);
        strv_free(edit->without);
        strv_free(edit->sequence);
        free(edit->fragments);
}

/* Other characters than these are encoded, with '_', which is why it is not among them: names stay different. */
static char *edit_name(const Chain *chain) {
        _cleanup_free_ char *encoded = NULL;
        const char *interface = chain->interface;
        char *name;

        if (strspn(interface, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.@-") !=
            strlen(interface)) {
                if (name_encode(interface, &encoded) < 0)
                        return NULL;
                interface = encoded;
        }
        return asprintf(&name, "edit-%s-%s", interface, hook_to_string(chain->hook)) < 0 ? NULL : name;
}

static int edit_begin(Manager *manager, const Chain *chain, const ChangeOptions *options, Edit *edit, Error *error) {
        const Interface *interface = manager_get_interface(manager, chain->interface);
        LinkRecord link = {};
        const Document *document;
        int r;

        r = manager_check_options(manager, options, error);
        if (r < 0)
                return r;
        edit->name = edit_name(chain);
        if (!edit->name)
                return -ENOMEM;
        snprintf(link.name, sizeof(link.name), "%s", chain->interface);
        r = desired_chain(manager->desired, interface ? &interface->link : &link, chain->hook, &edit->wanted, error);
        if (r >= 0)
                r = desired_fragments(manager->desired, interface ? &interface->link : &link, chain->hook,
                                      &edit->fragments, &edit->n_fragments);
        if (r == -ENOENT && !error_is_set(error))
                return error_set(error, ERROR_NO_SUCH_CHAIN, "no document wants a chain on %s; apply one first",
                                 chain->key);
        if (r < 0)
                return r;

        document = desired_get_document(manager->desired, edit->name);
        for (size_t i = 0; document && i < document->n_chains; i++)
                edit->present = &document->chains[i];
        for (size_t i = 0; edit->present && i < edit->present->n_slots; i++)
                if (strv_append(&edit->programs, edit->present->slots[i].program) < 0)
                        return -ENOMEM;
        if (edit->present) {
                edit->detached = edit->present->detached;
                edit->ordered = edit->present->sequence;
                r = strv_copy(edit->present->without, &edit->without);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < edit->wanted.n_slots; i++)
                if (strv_append(&edit->sequence, edit->wanted.slots[i].program) < 0)
                        return -ENOMEM;
        return 0;
}

static bool is_empty(char *const *names) {
        return !names || !*names;
}

static json_object *names_json(char *const *names) {
        json_object *array = json_object_new_array();

        STRV_FOREACH (name, names)
                json_object_array_add(array, json_object_new_string(*name));
        return array;
}

/* A program that the edit added earlier keeps its proceed-on set. */
static json_object *slot_json(const Edit *edit, const char *program, Hook hook) {
        for (size_t i = 0; edit->present && i < edit->present->n_slots; i++) {
                const SlotDef *slot = &edit->present->slots[i];
                json_object *o, *verdicts;

                if (!streq(slot->program, program) || slot->proceed_on == verdict_default_proceed_on(hook))
                        continue;
                o = json_object_new_object();
                verdicts = json_object_new_array();
                for (unsigned b = 0; b + 1 < verdict_buckets(hook); b++)
                        if (slot->proceed_on & (UINT32_C(1) << b))
                                json_object_array_add(verdicts,
                                                      json_object_new_string(verdict_bucket_to_string(hook, b)));
                json_object_object_add(o, "use", json_object_new_string(program));
                json_object_object_add(o, "proceed-on", verdicts);
                return o;
        }
        return json_object_new_string(program);
}

/* An interface's name so that it is no pattern for others. */
static json_object *interface_json(const char *name) {
        char escaped[2 * IFNAMSIZ + 1], *p = escaped;

        for (; *name && p < escaped + 2 * IFNAMSIZ - 1; name++) {
                if (strchr("*?[\\", *name))
                        *p++ = '\\';
                *p++ = *name;
        }
        *p = 0;
        return json_object_new_string(escaped);
}

static json_object *edit_json(const Edit *edit, const Chain *chain) {
        json_object *root = json_object_new_object(), *chains = json_object_new_array();
        json_object *o = json_object_new_object(), *interfaces = json_object_new_array();
        json_object *programs = json_object_new_array();

        json_object_object_add(root, "description",
                               json_object_new_string("Edits of this chain made on the bus. Withdraw to undo them."));
        json_object_object_add(root, "chains", chains);
        json_object_array_add(chains, o);
        json_object_array_add(interfaces, interface_json(chain->interface));
        json_object_object_add(o, "interfaces", interfaces);
        json_object_object_add(o, "hook", json_object_new_string(hook_to_string(chain->hook)));
        json_object_object_add(o, "order", json_object_new_int(EDIT_ORDER));
        STRV_FOREACH (program, edit->programs)
                json_object_array_add(programs, slot_json(edit, *program, chain->hook));
        json_object_object_add(o, "programs", programs);
        if (edit->present && edit->present->counters_set)
                json_object_object_add(o, "counters",
                                       json_object_new_string(counter_level_to_string(edit->present->counters)));
        if (edit->present && edit->present->restore_set)
                json_object_object_add(o, "restore",
                                       json_object_new_string(restore_policy_to_string(edit->present->restore)));
        if (edit->present && edit->present->fail_closed)
                json_object_object_add(o, "fail-closed", json_object_new_boolean(true));
        if (edit->ordered)
                json_object_object_add(o, "sequence", names_json(edit->sequence));
        if (!is_empty(edit->without))
                json_object_object_add(o, "without", names_json(edit->without));
        if (edit->detached)
                json_object_object_add(o, "detached", json_object_new_boolean(true));
        return root;
}

/* Is the edit's document, now empty, to be withdrawn? Not if it hides another one, whose edits would come back; and
 * one that stays after a reboot is not withdrawn until then. */
static bool can_go(Manager *manager, const Edit *edit, const ChangeOptions *options) {
        size_t n = 0;

        for (size_t i = 0; i < manager->store.n; i++)
                if (streq(manager->store.items[i].name, edit->name)) {
                        n++;
                        if (options->runtime && manager->store.items[i].layer != LAYER_RUNTIME)
                                return false;
                }
        return n <= 1;
}

/* What somebody wrote into the edit's document by hand counts as well. */
static bool has_something(const Edit *edit) {
        return !is_empty(edit->programs) || !is_empty(edit->without) || edit->ordered || edit->detached ||
               (edit->present && (edit->present->counters_set || edit->present->fail_closed));
}

static int edit_finish(Manager *manager, Edit *edit, const Chain *chain, const ChangeOptions *options,
                       uint64_t *ret_generation, Error *error) {
        _cleanup_json_ json_object *root = edit_json(edit, chain);
        _cleanup_free_ char *text = NULL;
        const char *json;

        if (!has_something(edit) && can_go(manager, edit, options)) {
                if (edit->present)
                        return manager_withdraw(manager, edit->name, options, ret_generation, error);
                *ret_generation = manager->generation;
                return 0;
        }

        json = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE);
        if (!json || asprintf(&text, "%s\n", json) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return manager_apply(manager, edit->name, text, options, ret_generation, NULL, error);
}

static int no_such_slot(const Chain *chain, const char *program, char *const *present, Error *error) {
        _cleanup_free_ char *names = strv_join(present, ", ");

        return error_set(error, ERROR_NO_SUCH_PROGRAM, "\"%s\" is not in the chain %s, which has: %s", program,
                         chain->key, strempty_to(names, "no program"));
}

/* Where in the sequence (which does not hold the program itself) the anchor is. */
static int find_anchor(const Chain *chain, const char *anchor, char *const *sequence, size_t *ret, Error *error) {
        const char *before = startswith(anchor, "before:"), *after = startswith(anchor, "after:");
        int i;

        if (streq(anchor, "first")) {
                *ret = 0;
                return 0;
        }
        if (streq(anchor, "last") || streq(anchor, "")) {
                *ret = strv_length(sequence);
                return 0;
        }
        if (!before && !after)
                return error_set(error, ERROR_INVALID_ARGUMENT,
                                 "\"%s\" is no anchor: use \"first\", \"last\", \"before:NAME\" or \"after:NAME\"",
                                 anchor);
        i = strv_find(sequence, before ? before : after);
        if (i < 0)
                return no_such_slot(chain, before ? before : after, sequence, error);
        *ret = (size_t) i + (after ? 1 : 0);
        return 0;
}

static bool is_own(const Edit *edit, const ChainDef *fragment) {
        return streq(fragment->document->name, edit->name);
}

static int check_left_out(const Edit *edit, const Chain *chain, const char *program, Error *error) {
        for (size_t i = 0; i < edit->n_fragments; i++)
                if (!is_own(edit, edit->fragments[i]) && strv_contains(edit->fragments[i]->without, program))
                        return error_set(error, ERROR_NOT_SUPPORTED,
                                         "%s.json leaves \"%s\" out of %s; change \"without\" there",
                                         edit->fragments[i]->document->name, program, chain->key);
        return 0;
}

/* Is it enough that the edit no longer leaves the program out? */
static bool is_put_by_others(const Edit *edit, const char *program) {
        for (size_t i = 0; i < edit->n_fragments; i++)
                for (size_t j = 0; !is_own(edit, edit->fragments[i]) && j < edit->fragments[i]->n_slots; j++)
                        if (streq(edit->fragments[i]->slots[j].program, program))
                                return true;
        return false;
}

/* Do the programs of the edit come last by themselves? */
static bool stands_last(const Edit *edit) {
        for (size_t i = 0; i < edit->n_fragments; i++)
                if (!is_own(edit, edit->fragments[i]) && edit->fragments[i]->order >= EDIT_ORDER)
                        return false;
        return !edit->present || edit->present->order == EDIT_ORDER;
}

int manager_chain_insert(Manager *manager, Chain *chain, const char *program, const char *anchor,
                         const ChangeOptions *options, uint64_t *ret_generation, Error *error) {
        _cleanup_(edit_done) Edit edit = {};
        size_t place = 0;
        int r;

        r = edit_begin(manager, chain, options, &edit, error);
        if (r < 0)
                return r;
        if (!desired_get_program(manager->desired, program))
                return error_set(error, ERROR_NO_SUCH_PROGRAM,
                                 "no document defines a program \"%s\"; \"bpfchain programs\" lists them", program);
        if (strv_contains(edit.sequence, program))
                return error_set(error, ERROR_ENTRY_EXISTS, "\"%s\" is in the chain %s already; move it instead",
                                 program, chain->key);
        r = find_anchor(chain, anchor, edit.sequence, &place, error);
        if (r >= 0)
                r = check_left_out(&edit, chain, program, error);
        if (r < 0)
                return r;
        if (place < strv_length(edit.sequence) || !stands_last(&edit) || strv_contains(edit.without, program))
                edit.ordered = true;
        r = strv_insert(&edit.sequence, place, program);
        strv_remove(edit.without, program);
        if (r >= 0 && !is_put_by_others(&edit, program))
                r = strv_append(&edit.programs, program);
        if (r < 0)
                return r;
        return edit_finish(manager, &edit, chain, options, ret_generation, error);
}

int manager_chain_move(Manager *manager, Chain *chain, const char *program, const char *anchor,
                       const ChangeOptions *options, uint64_t *ret_generation, Error *error) {
        _cleanup_(edit_done) Edit edit = {};
        size_t place = 0;
        int r;

        r = edit_begin(manager, chain, options, &edit, error);
        if (r < 0)
                return r;
        if (!strv_contains(edit.sequence, program))
                return no_such_slot(chain, program, edit.sequence, error);
        edit.ordered = true;
        strv_remove(edit.sequence, program);
        r = find_anchor(chain, anchor, edit.sequence, &place, error);
        if (r >= 0)
                r = strv_insert(&edit.sequence, place, program);
        if (r < 0)
                return r;
        return edit_finish(manager, &edit, chain, options, ret_generation, error);
}

int manager_chain_remove(Manager *manager, Chain *chain, const char *program, const ChangeOptions *options,
                         uint64_t *ret_generation, Error *error) {
        _cleanup_(edit_done) Edit edit = {};
        int r;

        r = edit_begin(manager, chain, options, &edit, error);
        if (r < 0)
                return r;
        if (!strv_contains(edit.sequence, program))
                return no_such_slot(chain, program, edit.sequence, error);
        strv_remove(edit.sequence, program);
        if (strv_contains(edit.programs, program))
                strv_remove(edit.programs, program);
        else
                r = strv_append(&edit.without, program);
        if (r < 0)
                return r;
        return edit_finish(manager, &edit, chain, options, ret_generation, error);
}

int manager_chain_set_order(Manager *manager, Chain *chain, char *const *programs, const ChangeOptions *options,
                            uint64_t *ret_generation, Error *error) {
        _cleanup_(edit_done) Edit edit = {};
        int r;

        r = edit_begin(manager, chain, options, &edit, error);
        if (r < 0)
                return r;
        STRV_FOREACH (program, programs) {
                if (!strv_contains(edit.sequence, *program))
                        return no_such_slot(chain, *program, edit.sequence, error);
                if (strv_find(programs, *program) != (int) (program - programs))
                        return error_set(error, ERROR_INVALID_ARGUMENT, "\"%s\" is named twice", *program);
        }
        STRV_FOREACH (program, edit.sequence)
                if (!strv_contains(programs, *program))
                        return error_set(
                                error, ERROR_INVALID_ARGUMENT,
                                "\"%s\" is missing: the order has to name every program of %s once; remove it "
                                "first if it is to go",
                                *program, chain->key);
        edit.ordered = true;
        strv_free(TAKE_PTR(edit.sequence));
        r = strv_copy(programs, &edit.sequence);
        if (r < 0)
                return r;
        return edit_finish(manager, &edit, chain, options, ret_generation, error);
}

int manager_chain_set_detached(Manager *manager, Chain *chain, bool detached, const ChangeOptions *options,
                               uint64_t *ret_generation, Error *error) {
        _cleanup_(edit_done) Edit edit = {};
        int r;

        r = edit_begin(manager, chain, options, &edit, error);
        if (r < 0)
                return r;
        if (!detached && edit.wanted.detached && !edit.detached) {
                _cleanup_free_ char *names = strv_join(edit.wanted.documents, ", ");

                return error_set(error, ERROR_NOT_SUPPORTED,
                                 "a document keeps %s off its hook (one of: %s); change \"detached\" there",
                                 chain->key, strna(names));
        }
        if (!detached && manager->all_detached)
                return error_set(error, ERROR_NOT_SUPPORTED, "all chains were detached; reload to attach them again");
        edit.detached = detached;
        return edit_finish(manager, &edit, chain, options, ret_generation, error);
}
