/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Desired state: a set of documents, and the chains and programs that follow from it. Immutable once made and
 * reference counted; a generation is one of these.
 */

#include "model/chain.h"
#include "model/document.h"
#include "model/interface.h"
#include "util/table.h"

typedef struct Desired Desired;

/* Takes references on the documents. Checks what no document can check alone: program names defined twice,
 * programs used and not defined. `lenient`: a document that breaks such a rule is left out and told to `reject`
 * (which may be NULL), later documents first; else the first such fault is the error. */
typedef void (*DesiredReject)(const Document *document, Error *error, void *userdata);
int desired_new(Document *const *documents, size_t n_documents, bool lenient, DesiredReject reject, void *userdata,
                Desired **ret, Error *error);
Desired *desired_ref(Desired *desired);
Desired *desired_unref(Desired *desired);
DEFINE_CLEANUP(Desired *, desired_unref)

/* Documents that could not be read at all: chains that run because of them are left as they are. Takes `names`. */
void desired_set_unreadable(Desired *desired, char **names);
bool desired_is_unreadable(const Desired *desired, const char *document);
const char *desired_first_unreadable(const Desired *desired); /* NULL: all can be read */

/* Documents in order of names. */
Document *const *desired_documents(const Desired *desired, size_t *ret_n);
Document *desired_get_document(const Desired *desired, const char *name);
const ProgramDef *desired_get_program(const Desired *desired, const char *name);
const Table *desired_programs(const Desired *desired); /* of ProgramDef, by name */

typedef struct WantedSlot {
        const char *program; /* owned by the document */
        uint32_t proceed_on;
        const ChainDef *from;
        size_t from_slot; /* index in from->slots */
} WantedSlot;

/* The chain that documents want on a hook of an interface. */
typedef struct Wanted {
        WantedSlot *slots;
        size_t n_slots;
        AttachMode mode;
        CounterLevel counters; /* the most detailed that a fragment names */
        bool counters_set;     /* one does; else it is the default */
        RestorePolicy restore; /* the most cautious that a fragment names: never, limited, always */
        bool restore_set;
        bool detached;
        bool fail_closed; /* a fragment says so */
        char **documents; /* NULL-terminated names, in order, none twice */
} Wanted;

void wanted_done(Wanted *wanted);

/* Puts the fragments together: by `order`, then document name, then place in the document; `without` takes out,
 * `sequence` lets the programs that it names change places among themselves. -ENOENT: no document wants a chain
 * there. A program twice in a chain, or too many slots, is an error that names the documents. */
int desired_chain(const Desired *desired, const LinkRecord *link, Hook hook, Wanted *ret, Error *error);

/* The fragments that make up the chain, in order. The caller frees the array; NULL and 0 where there is none. */
int desired_fragments(const Desired *desired, const LinkRecord *link, Hook hook, const ChainDef ***ret,
                      size_t *ret_n);

/* Is the fragment one of this hook of the interface? */
bool chain_def_matches(const ChainDef *def, const LinkRecord *link, Hook hook);

/* Does the document have a fragment for this hook of the interface? */
bool desired_document_wants(const Desired *desired, const char *document, const LinkRecord *link, Hook hook);

/* Does a chain of any document call the interface by its name, and not by a glob? */
bool desired_names_interface(const Desired *desired, const char *interface, Hook hook);

/* Calls visit for each plain interface name (no glob) that a chain names, with its hook; the same pair may come
 * more than once. */
typedef int (*DesiredVisitor)(const char *interface, Hook hook, void *userdata);
int desired_visit_names(const Desired *desired, DesiredVisitor visit, void *userdata);
