/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of the bus layer share and nobody else sees: the context, its connections, and the table of
 * object implementations that is registered on each connection.
 */

#include <systemd/sd-bus.h>

#include "bus/bus.h"
#include "bus/changes.h"
#include "bus/counters.h"
#include "bus/object.h"
#include "bus/polkit.h"
#include "bus/private.h"
#include "bus/simulate-bus.h"

#include "bus/errors.h"

#define BUS_NAME "org.bpfchain1"

/* Room for the slots of all object implementations and of what private connections have besides. */
#define CONNECTION_SLOTS_MAX (2 * _OBJECT_KIND_MAX + 8)

typedef struct Connection {
        BusContext *context;
        sd_bus *bus;
        char *origin; /* who is at the other end of a private one, for logs; NULL: the system bus */
        unsigned id;  /* of a private one */
        bool fresh;   /* a private one that has just begun to run */
        bool dead;    /* to be closed from the deferred event */
        sd_bus_slot *slots[CONNECTION_SLOTS_MAX];
        size_t n_slots;
} Connection;

/* Where the next slot of the connection goes. */
sd_bus_slot **connection_slot(Connection *connection);

struct BusContext {
        sd_event *event;
        Manager *manager;
        CapabilitiesGetter capabilities;
        void *userdata;

        Connection **connections; /* all, the system bus among them */
        size_t n_connections;
        sd_event_source *reaper; /* deferred: closes dead connections */

        Connection *system; /* NULL while there is none */
        bool system_wanted;
        unsigned system_failures; /* in a row */
        sd_event_source *system_retry;

        PrivateSocket private_socket;
        Changes changes;
        Counters counters;
        Polkit *polkit;
        SimulateJob *simulations; /* under way */
        char origin[300];         /* see bus_context_origin() */
};

/* Serves all objects on the bus, which is not yet started, and tells when it disconnects. Takes a reference on
 * `bus`. */
int bus_context_add_connection(BusContext *context, sd_bus *bus, Connection **ret);

/* Has the connection closed from the deferred event; nothing is sent to it from now on. */
void bus_context_drop_connection(BusContext *context, Connection *connection);

/* Drops a connection whose other end does not read. */
void bus_context_check_connection(BusContext *context, Connection *connection);

/* "bus client :1.42", "private client, pid 17": who sent the message. Good until control returns to the loop. */
const char *bus_context_origin(BusContext *context, sd_bus_message *message);
