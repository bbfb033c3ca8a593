/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The object files that documents name.
 *
 * An object that was asked for is copied to STATE/objects, under its SHA-256, and loaded from there: so a chain can
 * be built again from the very bytes that were verified, whatever happened to the file since, and an earlier
 * generation brings back its very objects.
 */

#include "model/paths.h"

#define OBJECT_SIZE_MAX (32 * 1024 * 1024) /* bytes */

/* Finds the object of a program, keeps it, and notes digest and path of the kept copy in the definition; does
 * nothing when that was done before. Absolute names are taken as they are; others are looked for in the document's
 * base directory, in LAYER/objects/DOCUMENT/ and in objects/ of /etc, /run and /usr/lib. With `last_digest` (may be
 * NULL) a missing file is replaced by the kept copy of that digest, and *ret_missing is set. */
int objects_resolve(const Paths *paths, ProgramDef *def, const char *last_digest, bool *ret_missing, Error *error);

/* Are the files that the document's programs name still those that were resolved? */
bool objects_unchanged(const Paths *paths, const Document *document);

/* Copies what the document found in its base directory to LAYER/objects/NAME/, where it is found from then on. */
int objects_install(const Paths *paths, const Document *document, Layer layer, Error *error);

/* The other way: where another object lies in LAYER/objects/NAME/ now than the document was made with, its own comes
 * back. */
int objects_restore(const Paths *paths, const Document *document, Layer layer, Error *error);

/* Removes kept objects for which `wanted` says no. */
void objects_sweep(const Paths *paths, bool (*wanted)(const char *digest, void *userdata), void *userdata);
