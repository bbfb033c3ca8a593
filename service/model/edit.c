/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Edits of a chain that come by the bus. They are kept as a document of their own, "edit-INTERFACE-HOOK": what it
 * adds stands under "programs", what it takes away of other documents under "without", and the order of all under
 * "sequence". So an edit is as visible as any document, outlives restarts, and is undone by withdrawing it; programs
 * that other documents bring later still find their place.
 */
#include "model/change.h"
#include "util/encode.h"
#include "util/json.h"
#include "util/strv.h"

typedef struct Edit {
        char *name;      /* of the document */
        Wanted wanted;   /* the chain as it is wanted now */
        char **programs; /* added by the edit */
        char **without;
        char **sequence;
        bool detached;
        const ChainDef *present; /* the edit's fragment as it stands, or NULL */
} Edit;

static void edit_done(Edit *edit) {
        free(edit->name);
        wanted_done(&edit->wanted);
        strv_free(edit->programs);
        strv_free(edit->without);
        strv_free(edit->sequence);
}

static char *edit_name(const Chain *chain) {
        _cleanup_free_ char *encoded = NULL;
        const char *interface = chain->interface;
        char *name;

        if (strspn(interface, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-") !=
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
                r = strv_copy(edit->present->without, &edit->without);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < edit->wanted.n_slots; i++)
                if (strv_append(&edit->sequence, edit->wanted.slots[i].program) < 0)
                        return -ENOMEM;
        return 0;
}

static json_object *names_json(char *const *names) {
        json_object *array = json_object_new_array();

        STRV_FOREACH(name, names)
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

static json_object *edit_json(const Edit *edit, const Chain *chain) {
        json_object *root = json_object_new_object(), *chains = json_object_new_array();
        json_object *o = json_object_new_object(), *interfaces = json_object_new_array();
        json_object *programs = json_object_new_array();

        json_object_object_add(root, "description",
                               json_object_new_string("Edits of this chain made on the bus. Withdraw to undo them."));
        json_object_object_add(root, "chains", chains);
        json_object_array_add(chains, o);
        json_object_array_add(interfaces, json_object_new_string(chain->interface));
        json_object_object_add(o, "interfaces", interfaces);
        json_object_object_add(o, "hook", json_object_new_string(hook_to_string(chain->hook)));
        json_object_object_add(o, "order", json_object_new_int(65535));
        STRV_FOREACH(program, edit->programs)
        json_object_array_add(programs, slot_json(edit, *program, chain->hook));
        json_object_object_add(o, "programs", programs);
        json_object_object_add(o, "sequence", names_json(edit->sequence));
        if (edit->without && *edit->without)
                json_object_object_add(o, "without", names_json(edit->without));
        if (edit->detached)
                json_object_object_add(o, "detached", json_object_new_boolean(true));
        return root;
}

static int edit_finish(Manager *manager, Edit *edit, const Chain *chain, const ChangeOptions *options,
                       uint64_t *ret_generation, Error *error) {
        _cleanup_json_ json_object *root = edit_json(edit, chain);
        _cleanup_free_ char *text = NULL;
        const char *json;

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
        if (r < 0)
                return r;
        r = strv_insert(&edit.sequence, place, program);
        if (r >= 0 && strv_contains(edit.without, program))
                strv_remove(edit.without, program);
        else if (r >= 0)
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
        STRV_FOREACH(program, programs) {
                if (!strv_contains(edit.sequence, *program))
                        return no_such_slot(chain, *program, edit.sequence, error);
                if (strv_find(programs, *program) != (int) (program - programs))
                        return error_set(error, ERROR_INVALID_ARGUMENT, "\"%s\" is named twice", *program);
        }
        STRV_FOREACH(program, edit.sequence)
        if (!strv_contains(programs, *program))
                return error_set(error, ERROR_INVALID_ARGUMENT,
                                 "\"%s\" is missing: the order has to name every program of %s once; remove it "
                                 "first if it is to go",
                                 *program, chain->key);
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
        edit.detached = detached;
        if (!detached && !edit.programs && !edit.without && edit.present && !edit.present->sequence)
                return manager_withdraw(manager, edit.name, options, ret_generation, error);
        return edit_finish(manager, &edit, chain, options, ret_generation, error);
}
