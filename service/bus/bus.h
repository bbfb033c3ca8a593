/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The bus layer: serves the manager's objects on the system bus and on a private socket, as dbus/ *.xml says.
 *
 * A BusContext owns the connections. It is the model's observer: what changes is noted, and told from a deferred
 * event, each object at most once; without connections nothing is noted.
 *
 * Because the manager needs its observer when it is made and the context needs the manager, main makes them in this
 * order:
 *
 *         Observer observer = bus_observer;
 *         observer.deadline_changed = on_deadline_changed;    (gets the context; bus_context_userdata())
 *         observer.reconcile_wanted = on_reconcile_wanted;
 *
 *         bus_context_new(event, NULL, capabilities, service, &context);
 *         manager_new(&paths, &kernel_ops, kernel, &observer, context, &manager);
 *         bus_context_set_manager(context, manager);
 *         bus_context_listen_private(context, "/run/bpfchain/private", -EBADF);
 *         bus_context_connect_system(context);
 *
 * and frees the context before the manager. Observer calls are fine at any time in between, and with a NULL context.
 */

#include <json-c/json.h>
#include <systemd/sd-event.h>

#include "model/manager.h"

typedef struct BusContext BusContext;

/* What this kernel and host offer, as a JSON object (a new reference, which the bus layer drops), or NULL. Asked
 * each time that somebody reads Manager.Capabilities. `userdata` is that of bus_context_new(). */
typedef json_object *(*CapabilitiesGetter)(void *userdata);

/* All members but deadline_changed and reconcile_wanted are set; the userdata is the BusContext, or NULL. */
extern const Observer bus_observer;

/* Takes a reference on `event`. `manager` may be NULL at first; it must outlive the context. `capabilities` may be
 * NULL. */
int bus_context_new(sd_event *event, Manager *manager, CapabilitiesGetter capabilities, void *userdata,
                    BusContext **ret);
void bus_context_set_manager(BusContext *context, Manager *manager);
void *bus_context_userdata(BusContext *context);

/* Closes all connections; what is still to be written to the system bus is written first. NULL is fine. */
BusContext *bus_context_free(BusContext *context);
DEFINE_CLEANUP(BusContext *, bus_context_free)

/* Begins to connect to the system bus (or what DBUS_SYSTEM_BUS_ADDRESS says) and to ask for the name; returns at
 * once. When there is no bus, when it refuses, or when it goes away, it is tried again, by itself. */
int bus_context_connect_system(BusContext *context);

/* Serves root on a private socket: one that is made at `path`, mode 0600 (a dead one there is replaced; -EADDRINUSE:
 * somebody listens on it), or `fd`, one that listens already (socket activation). The context owns `fd` from then
 * on, also on failure. */
int bus_context_listen_private(BusContext *context, const char *path, int fd);
