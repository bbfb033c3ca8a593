/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Authorization. A handler calls polkit_check() after it read its arguments and before it looks anything up:
 *
 *         r = polkit_check(context->polkit, message, POLKIT_CONFIGURE, details, 0, ret_error);
 *         if (r <= 0)
 *                 return r < 0 ? r : 1;
 *
 * The first time, a question goes to polkit and the handler ends. With the answer the message is put back into the
 * connection's queue, so that the handler begins anew and everything is looked up afresh; polkit_check() then gives
 * the answer, once. Nothing is remembered from one message to the next (polkit itself keeps authorizations).
 *
 * Clients on the private socket are root, and are not asked. On the system bus polkit is always asked. When it is not
 * there (and can't be activated), root is allowed and everybody else is refused.
 *
 * Anyone may send, so everything is bounded, in all and for each user: questions on their way, questions waiting for
 * their turn, and the bytes that the waiting messages hold. Beyond a bound the call gets Error.Busy. Those that may
 * ask the user for a password have a bound of their own, so that open dialogs don't hold up the rest.
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "util/macros.h"

#define POLKIT_INSPECT       "org.bpfchain1.inspect"
#define POLKIT_READ_MAPS     "org.bpfchain1.read-maps"
#define POLKIT_WRITE_MAPS    "org.bpfchain1.write-maps"
#define POLKIT_MANAGE_CHAINS "org.bpfchain1.manage-chains"
#define POLKIT_MANAGE_GUARD  "org.bpfchain1.manage-guard"
#define POLKIT_CONFIGURE     "org.bpfchain1.configure"

typedef struct Polkit Polkit;

int polkit_new(sd_event *event, Polkit **ret);
Polkit *polkit_free(Polkit *polkit);
DEFINE_CLEANUP(Polkit *, polkit_free)

/* Messages of this connection are asked about, over it. NULL: it is gone, and all questions with it. */
void polkit_set_bus(Polkit *polkit, sd_bus *bus);

typedef struct PolkitDetail {
        const char *key;
        const char *value; /* NULL: left out */
} PolkitDetail;

/* details: ended by one without a key, or NULL; "operation", the name of the method, comes by itself. weight: bytes
 * that the message holds (long strings). Returns 1: allowed; 0: asked, or the message is for nobody any more: the
 * handler returns 1 without replying; negative: refused, and ret_error is set. */
int polkit_check(Polkit *polkit, sd_bus_message *message, const char *action, const PolkitDetail *details,
                 size_t weight, sd_bus_error *ret_error);

/* Questions that are open, for tests and logs. */
size_t polkit_pending(const Polkit *polkit);
