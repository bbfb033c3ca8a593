/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One change of one document, as Apply, Withdraw and the edits of a chain share it.
 */

#include "model/manager-internal.h"

/* Puts the document in the place of the one with its name in that layer (NULL: takes that out), strictly: plan,
 * prepare, write the file, commit; with dry_run it stops before. Options are checked by the caller. ret_report may be
 * NULL; the caller frees. */
int manager_change(Manager *manager, const char *name, Layer layer, Document *document, const ChangeOptions *options,
                   uint64_t *ret_generation, char **ret_report, Error *error);

/* What every change checks first: the service is ready, the generation is the expected one, nothing waits for a
 * confirmation. */
int manager_check_options(Manager *manager, const ChangeOptions *options, Error *error);
