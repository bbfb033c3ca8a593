/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A transaction takes what runs to a new desired state:
 *
 *   prepare  what differs; loads programs and builds chains. Packets and pins see nothing of it.
 *   commit   exchanges the chains atomically; what fails is undone.
 *
 * Strict transactions (a document was applied, withdrawn or edited) fail as a whole when a chain that the document
 * has to do with fails. Everything else is lenient: a chain that fails stays as it is, and says why.
 */

#include "model/manager-internal.h"

/* `document`: name of the document that changed, for a strict transaction; NULL: lenient. References are taken. */
int transaction_new(Manager *manager, Desired *desired, const char *document, Transaction **ret);

/* Undoes what was prepared and not committed. NULL is fine. */
Transaction *transaction_free(Transaction *transaction);
DEFINE_CLEANUP(Transaction *, transaction_free)

/* The transaction goes back to a state in which just these chains (keys) ran: others are not left running because a
 * document can't be read. The array must outlive the transaction. */
void transaction_goes_back(Transaction *transaction, char *const *ran);

int transaction_prepare(Transaction *transaction, Error *error);

/* `generation` is what the chains that change get. After success the manager's chains and programs are the new ones
 * and the observer was told; the desired state of the manager is the caller's to set. */
int transaction_commit(Transaction *transaction, uint64_t generation, Error *error);

/* Did chains or programs change? Good after commit. */
bool transaction_changed_anything(const Transaction *transaction);

/* The report of Apply and Plan, as JSON text; the caller frees, NULL when out of memory. */
char *transaction_report(const Transaction *transaction, uint64_t generation, bool dry_run);
