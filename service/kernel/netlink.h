/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Route netlink sockets and the one place where libnl's error numbers become errno.
 *
 * A socket belongs to the network namespace of the thread that opens it and stays there.
 */

#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include "util/macros.h"

static inline void cleanup_nl_socket(struct nl_sock **sk) {
        if (*sk)
                nl_socket_free(*sk);
}

static inline void cleanup_nl_message(struct nl_msg **msg) {
        if (*msg)
                nlmsg_free(*msg);
}

#define _cleanup_nl_socket_  _cleanup_(cleanup_nl_socket)
#define _cleanup_nl_message_ _cleanup_(cleanup_nl_message)

/* A negative errno for a negative libnl code; zero and above are returned as they are. An overrun (ENOBUFS) can't
 * be told from a lack of memory, libnl has one code for both: -ENOBUFS means either, and that messages may be
 * lost. An interrupted dump is -ESTALE. */
int netlink_errno(int code);

/* Opens and connects a socket of a netlink protocol (NETLINK_ROUTE, ...). receive_buffer is in bytes, as for
 * SO_RCVBUF (the kernel doubles it and has a lower bound), 0 for libnl's default; it is forced above
 * net.core.rmem_max where the process may. */
int netlink_open(int protocol, int receive_buffer, struct nl_sock **ret);

/* Makes a blocking socket give up after some seconds with -EAGAIN, should an answer never come. */
int netlink_set_timeout(struct nl_sock *sk, unsigned seconds);

typedef int (*NetlinkHandler)(const struct nlmsghdr *header, size_t size, void *userdata);

/* Sends a dump request (the payload behind the header) and calls the handler for each message of the answer. A
 * negative value from the handler ends the dump after its last message and is returned. -ESTALE: the answer is
 * inconsistent (NLM_F_DUMP_INTR), ask again; the handler has seen messages all the same. */
int netlink_dump(struct nl_sock *sk, int type, const void *payload, size_t size, NetlinkHandler handler,
                 void *userdata);

/* Sends a request that is answered by one message or an error. */
int netlink_request(struct nl_sock *sk, int type, const void *payload, size_t size, NetlinkHandler handler,
                    void *userdata);

/* Receives one datagram from a non-blocking socket that listens to groups, and calls the handler for each message
 * in it that the kernel sent. Returns 1 when something was received, 0 when there is nothing, -ENOBUFS when
 * messages were lost. */
int netlink_receive(struct nl_sock *sk, NetlinkHandler handler, void *userdata);
