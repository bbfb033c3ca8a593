/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The interfaces of the network namespace that the service runs in, as the kernel tells of them.
 *
 * Events come on one socket, dumps are asked on another, and one parser serves both. When events were lost
 * (overrun) or a dump was inconsistent, all interfaces are marked, dumped again, and those that stayed marked are
 * gone. There is no event loop in here: the caller waits until links_fd() is readable and calls links_process().
 *
 * The kernel sends no event for some changes: alternative names of an interface that is down, and the peer of a veth
 * (record.lower) that was just made or moved away. They show in the next event of the interface or the next dump.
 */

#include "model/interface.h"

typedef struct Links Links;

/* Called from links_resync() and links_process() only. They must not call either, nor links_free(). A record is
 * valid during the call. Any may be NULL. */
typedef struct LinksHandlers {
        void (*appeared)(const LinkRecord *record, void *userdata);
        void (*changed)(const LinkRecord *record, void *userdata); /* something in the record differs */
        void (*vanished)(int ifindex, void *userdata);             /* deleted, or moved to another namespace */

        /* Events had been lost, and all is known again. In between an interface may have been replaced by
         * another of the same index and name, so that nothing above was called: look at attachments again. */
        void (*resynced)(void *userdata);
        void *userdata;
} LinksHandlers;

/* What happened so far; for logs and tests. */
typedef struct LinksStatistics {
        uint64_t messages;    /* about interfaces, from dumps and events */
        uint64_t malformed;   /* that could not be parsed and were left out */
        uint64_t overruns;    /* events were lost */
        uint64_t interrupted; /* dumps that were inconsistent */
        uint64_t dumps;       /* consistent ones */
} LinksStatistics;

/* Room for the events of some thousand interfaces; memory is only used while they wait. */
#define LINKS_RECEIVE_BUFFER_DEFAULT (2 * 1024 * 1024)

/* Opens both sockets in the present network namespace and listens; call links_resync() next. receive_buffer is
 * that of the event socket in bytes, handlers are copied. */
int links_new(int receive_buffer, const LinksHandlers *handlers, Links **ret);
Links *links_free(Links *links); /* NULL is fine; calls no handler; returns NULL */
DEFINE_CLEANUP(Links *, links_free)

/* Readable when there is something for links_process(). Belongs to links. */
int links_fd(const Links *links);

/* Dumps all interfaces and tells the differences. Interrupted dumps are repeated a few times at once. -EAGAIN: the
 * interfaces change faster than they can be dumped; links_needs_retry() is true then. */
int links_resync(Links *links);

/* Handles what has come in, at most some hundred messages at a time (the descriptor stays readable then). An
 * overrun leads to links_resync(); -EAGAIN as there, anything else negative is a fault of the socket. */
int links_process(Links *links);

/* Is what is known incomplete? Call links_resync() again in a moment, a second or so. */
bool links_needs_retry(const Links *links);

/* The present record of an interface or NULL; valid until the next call that is not const. */
const LinkRecord *links_get(const Links *links, int ifindex);
size_t links_count(const Links *links);
const LinksStatistics *links_statistics(const Links *links);
