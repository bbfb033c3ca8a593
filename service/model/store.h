/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The documents of desired state, in their layers.
 *
 * Documents are DIR/chains.d/NAME.json. A name in /etc overrides the same in /run, and that the one in /usr/lib; an
 * empty file, or a link to /dev/null, masks.
 */

#include "model/paths.h"

typedef enum DocumentState {
        DOCUMENT_STATE_ACTIVE,
        DOCUMENT_STATE_OVERRIDDEN, /* a higher layer has the same name */
        DOCUMENT_STATE_MASKED,     /* empty, or a link to /dev/null */
        DOCUMENT_STATE_FAILED,     /* see `error` */
        _DOCUMENT_STATE_MAX,
        _DOCUMENT_STATE_INVALID = -EINVAL,
} DocumentState;

DECLARE_STRING_TABLE(document_state, DocumentState)

typedef struct StoredDocument {
        char *name;
        char *path;
        Layer layer;
        DocumentState state;
        Document *document; /* when active; when failed, what it was while it was good, or NULL */
        char *error;        /* when failed: a sentence with file, line and column */
} StoredDocument;

typedef struct Store {
        StoredDocument *items; /* by name, then layer, the one in effect last */
        size_t n;
} Store;

void store_done(Store *store);

/* Reads all layers. A bad document is an item that failed; folders that do not exist are empty. `previous` (may be
 * NULL) hands on documents whose file did not change: same text, and objects that still have the same digest.
 * -ENOMEM is the only failure. */
int store_load(const Paths *paths, const Store *previous, Store *ret);

/* Puts a document in the place of one with its name in its layer, in memory: a NULL document takes it out. */
int store_replace(Store *store, Layer layer, const char *name, const char *path, Document *document);

/* Recomputes which documents are overridden. */
void store_settle(Store *store);

/* The item in effect under this name: active, masked or failed, in the highest layer; NULL: none. */
const StoredDocument *store_get(const Store *store, const char *name);

/* Shallow copy: documents are shared. */
int store_copy(const Store *store, Store *ret);

/* What stands at the place of a document: nothing, a file with whatever in it, or a link. */
typedef struct FileImage {
        bool there;
        char *target; /* of the link, or NULL */
        char *text;
        size_t size;
        mode_t mode;
} FileImage;

void file_image_done(FileImage *image);

/* A file that is no document (a folder, a device, something huge) is an error: it is not to be replaced. */
int store_take_image(const Paths *paths, Layer layer, const char *name, FileImage *ret, Error *error);
/* Puts back what stood there. */
int store_put_image(const Paths *paths, Layer layer, const char *name, const FileImage *image, Error *error);

/* Writes or (text NULL) removes a document's file. */
int store_write(const Paths *paths, Layer layer, const char *name, const char *text, Error *error);
