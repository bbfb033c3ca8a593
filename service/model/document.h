/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A document: one JSON file of desired state, parsed and checked by itself (service/schema has the JSON Schema;
 * bpfchain-document(5) the prose). Immutable and reference counted, so that generations can share it.
 */

#include <json-c/json.h>

#include "model/hook.h"
#include "model/interface.h"
#include "model/kernel-ops.h"
#include "model/restore.h"
#include "util/error.h"

/* Bounds of one document. Larger ones are refused with LimitExceeded. */
#define DOCUMENT_PROGRAMS_MAX   1024
#define DOCUMENT_CHAINS_MAX     1024
#define DOCUMENT_INTERFACES_MAX 256
#define PROGRAM_NAME_MAX        64
#define CHAIN_ORDER_DEFAULT     500

/* Where a document comes from. A later layer overrides an earlier one by name. */
typedef enum Layer {
        LAYER_VENDOR,  /* /usr/lib/bpfchain */
        LAYER_RUNTIME, /* /run/bpfchain */
        LAYER_ADMIN,   /* /etc/bpfchain */
        _LAYER_MAX,
        _LAYER_INVALID = -EINVAL,
} Layer;

DECLARE_STRING_TABLE(layer, Layer)

typedef struct Document Document;

typedef struct ProgramDef {
        char *name;
        Document *document; /* not owned: the document owns this */
        char *where;        /* "programs.deny" */
        char *object;
        char *function;       /* NULL: the object's only one */
        char *type;           /* "xdp", "tc" or NULL */
        char *description;    /* NULL or text */
        json_object *globals; /* NULL or an object */
        json_object *maps;    /* NULL or an object of arrays of entries */
        bool keep_tail_calls; /* its arrays of programs may be filled later */

        /* The object as it was when it was first asked for: see objects_resolve(). A document keeps what it
         * found, so that going back to an earlier generation brings back its very objects; reading the file again
         * makes a new document, which looks anew. */
        char *object_path;
        char *digest;
} ProgramDef;

typedef struct SlotDef {
        char *program;
        uint32_t proceed_on; /* mask of verdict buckets */
} SlotDef;

/* What one document says of the chains of some interfaces: a fragment, to be put together with others. */
typedef struct ChainDef {
        Document *document; /* not owned */
        char *where;        /* "chains[0]" */
        char **interfaces;  /* names or fnmatch(3) globs, NULL-terminated */
        Hook hook;
        AttachMode mode;
        bool mode_set;
        CounterLevel counters;
        bool counters_set;
        RestorePolicy restore; /* whether a chain that somebody pushed off its hook is put back */
        bool restore_set;
        unsigned order;
        SlotDef *slots;
        size_t n_slots;
        char **sequence;  /* NULL-terminated or NULL: in what order the named programs stand */
        char **without;   /* NULL-terminated or NULL: programs of other fragments that are left out */
        bool detached;    /* the chain is kept off its hook */
        bool fail_closed; /* the interface is kept down until the chain runs */
} ChainDef;

struct Document {
        char *name; /* file name without ".json" */
        unsigned n_ref;
        char *path; /* NULL: never stood in a file */
        Layer layer;
        char *text;
        size_t size;
        char *base_directory; /* where relative object names are looked up first, or NULL */
        ProgramDef *programs;
        size_t n_programs;
        ChainDef *chains;
        size_t n_chains;
};

/* Parses and checks. The error's message begins with "NAME.json:LINE:COLUMN: ". A JSON text of more than
 * JSON_DOCUMENT_MAX bytes is LimitExceeded. `path` may be NULL. */
int document_new(const char *name, const char *path, Layer layer, const char *text, size_t size, Document **ret,
                 Error *error);
Document *document_ref(Document *document);
Document *document_unref(Document *document);
DEFINE_CLEANUP(Document *, document_unref)

/* Turns error->where into the front of the message: "edge.json:12:47: programs.deny.object: ". Errors that have no
 * place get "edge.json: " only. Once done, error->where is NULL. */
void document_locate_error(const Document *document, Error *error);

/* A document's name: 1 to 128 characters of [A-Za-z0-9._@:-], the first alphanumeric, without ".json". */
bool document_name_is_valid(const char *name);

/* A program's name: 1 to PROGRAM_NAME_MAX characters of [A-Za-z0-9._-], the first alphanumeric. */
bool program_name_is_valid(const char *name);
