/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/rtnetlink.h>

#include "kernel/netlink.h"
#include "kernel/tc-events.h"
#include "kernel/tc-message.h"

#define RECEIVE_BUFFER (1024 * 1024)
#define EVENTS_AT_ONCE 256 /* datagrams, so that a storm does not starve others */

struct TcEvents {
        struct nl_sock *socket;
        sd_event_source *source;
        TcEventsHandler handler;
        void *userdata;
        bool reading;
};

TcEvents *tc_events_free(TcEvents *events) {
        if (!events)
                return NULL;
        sd_event_source_unref(events->source);
        nl_socket_free(events->socket);
        free(events);
        return NULL;
}

static int on_message(const struct nlmsghdr *header, size_t size, void *userdata) {
        TcEvents *events = userdata;
        TcFact fact;

        if (tc_message_parse(header, size, &fact) > 0)
                events->handler(&fact, events->userdata);
        return 0;
}

void tc_events_read(TcEvents *events) {
        if (!events || events->reading)
                return;
        events->reading = true;
        for (unsigned i = 0; i < EVENTS_AT_ONCE; i++) {
                int r = netlink_receive(events->socket, on_message, events);

                if (r < 0)
                        events->handler(NULL, events->userdata);
                if (r <= 0)
                        break;
        }
        events->reading = false;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        tc_events_read(userdata);
        return 0;
}

int tc_events_new(sd_event *event, TcEventsHandler handler, void *userdata, const char **ret_reason, TcEvents **ret) {
        _cleanup_(tc_events_freep) TcEvents *events = calloc(1, sizeof(TcEvents));
        int r;

        *ret_reason = "a netlink socket for them can't be opened";
        if (!events)
                return -ENOMEM;
        events->handler = handler;
        events->userdata = userdata;
        r = netlink_open(NETLINK_ROUTE, RECEIVE_BUFFER, &events->socket);
        if (r >= 0)
                r = netlink_errno(nl_socket_set_nonblocking(events->socket));
        if (r >= 0)
                r = netlink_errno(nl_socket_add_membership(events->socket, RTNLGRP_TC));
        if (r >= 0)
                r = sd_event_add_io(event, &events->source, nl_socket_get_fd(events->socket), EPOLLIN, on_readable,
                                    events);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(events->source, "tc-events");
        *ret = TAKE_PTR(events);
        return 0;
}
