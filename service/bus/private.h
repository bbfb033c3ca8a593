/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The private socket: the same objects for root, without a bus. Each client is a connection of its own.
 *
 * Tools that expect a message bus at the other end (busctl, gdbus) say Hello first and ask for names; the answers are
 * given by an object at /org/freedesktop/DBus. Signals go to every client. One that does not read what it is sent is
 * dropped.
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "util/macros.h"

typedef struct BusContext BusContext;
typedef struct Connection Connection;

/* Unique name of the service on private connections, where there is no bus to give one. */
#define PRIVATE_UNIQUE_NAME ":1.0"

#define PRIVATE_CLIENTS_MAX 64
/* Messages to a client that it has not read. */
#define PRIVATE_QUEUE_MAX 4096

typedef struct PrivateSocket {
        char *path; /* to be removed at the end, or NULL */
        sd_event_source *source;
        sd_event_source *kick;  /* deferred, see on_connected() */
        sd_event_source *pause; /* ends the time in which nobody is accepted */
        int reserve;            /* a descriptor to let go of when there is none left, -EBADF: none */
        bool exhausted;         /* clients can't be accepted, and that was said */
        unsigned last_id;
} PrivateSocket;

#define PRIVATE_SOCKET_INIT ((PrivateSocket){ .reserve = -EBADF })

void private_socket_done(PrivateSocket *private_socket);

/* org.freedesktop.DBus at /org/freedesktop/DBus of a private connection. */
int private_add_driver(Connection *connection);
