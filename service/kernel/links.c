/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "kernel/link-message.h"
#include "kernel/links.h"
#include "kernel/netlink.h"
#include "util/log.h"

#define DUMPS_AT_ONCE  5   /* tries of a dump that is interrupted, before it is left for later */
#define EVENTS_AT_ONCE 256 /* datagrams of one links_process(), so that a storm does not starve others */
#define DRAIN_MAX      100000
#define DUMP_TIMEOUT   5 /* seconds */

typedef struct Entry {
        LinkRecord record;
        bool marked; /* not seen yet by the dump under way */
} Entry;

struct Links {
        struct nl_sock *events;
        struct nl_sock *requests; /* NULL: to be opened again */
        LinksHandlers handlers;
        Entry *entries; /* by ascending ifindex */
        size_t n_entries;
        LinksStatistics statistics;
        bool needs_resync; /* never dumped, or events lost since */
        bool lost;         /* events were lost since the last good dump */
        bool busy;         /* a handler may be running */
};

int links_new(int receive_buffer, const LinksHandlers *handlers, Links **ret) {
        _cleanup_(links_freep) Links *links = NULL;
        int r;

        links = calloc(1, sizeof(*links));
        if (!links)
                return -ENOMEM;
        links->handlers = *handlers;
        links->needs_resync = true;

        r = netlink_open(NETLINK_ROUTE, receive_buffer, &links->events);
        if (r < 0)
                return r;
        r = netlink_errno(nl_socket_set_nonblocking(links->events));
        if (r < 0)
                return r;
        r = netlink_errno(nl_socket_add_membership(links->events, RTNLGRP_LINK));
        if (r < 0)
                return r;

        *ret = TAKE_PTR(links);
        return 0;
}

Links *links_free(Links *links) {
        if (!links)
                return NULL;
        for (size_t i = 0; i < links->n_entries; i++)
                link_record_done(&links->entries[i].record);
        free(links->entries);
        nl_socket_free(links->events);
        nl_socket_free(links->requests);
        free(links);
        return NULL;
}

int links_fd(const Links *links) {
        return nl_socket_get_fd(links->events);
}

/* Index of the entry, or where it would have to be put. */
static size_t entry_position(const Links *links, int ifindex) {
        size_t low = 0, high = links->n_entries;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (links->entries[middle].record.ifindex < ifindex)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static Entry *entry_get(const Links *links, int ifindex) {
        size_t i = entry_position(links, ifindex);

        return i < links->n_entries && links->entries[i].record.ifindex == ifindex ? &links->entries[i] : NULL;
}

/* Takes over what the record holds, on success. */
static int entry_add(Links *links, LinkRecord *record) {
        size_t i = entry_position(links, record->ifindex);
        Entry *grown;

        grown = array_grow(links->entries, links->n_entries, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        links->entries = grown;

        memmove(&grown[i + 1], &grown[i], (links->n_entries - i) * sizeof(*grown));
        grown[i] = (Entry){ .record = *record };
        links->n_entries++;
        *record = (LinkRecord){};
        return 0;
}

static void entry_remove(Links *links, Entry *entry) {
        size_t i = entry - links->entries;

        link_record_done(&entry->record);
        memmove(entry, entry + 1, (links->n_entries - i - 1) * sizeof(*entry));
        links->n_entries--;
}

static int link_present(Links *links, LinkRecord *record) {
        int ifindex = record->ifindex, r;
        Entry *entry = entry_get(links, ifindex);

        if (!entry) {
                r = entry_add(links, record);
                if (r < 0)
                        return r;
                if (links->handlers.appeared)
                        links->handlers.appeared(&entry_get(links, ifindex)->record, links->handlers.userdata);
                return 0;
        }

        entry->marked = false;
        if (link_record_equal(&entry->record, record))
                return 0;
        link_record_done(&entry->record);
        entry->record = *record;
        *record = (LinkRecord){};
        if (links->handlers.changed)
                links->handlers.changed(&entry->record, links->handlers.userdata);
        return 0;
}

static void link_gone(Links *links, int ifindex) {
        Entry *entry = entry_get(links, ifindex);

        if (!entry)
                return;
        entry_remove(links, entry);
        if (links->handlers.vanished)
                links->handlers.vanished(ifindex, links->handlers.userdata);
}

static int on_message(const struct nlmsghdr *header, size_t size, void *userdata) {
        _cleanup_(link_record_done) LinkRecord record = {};
        Links *links = userdata;
        int r;

        r = link_message_parse(header, size, &record);
        if (r == -EBADMSG) {
                /* Nothing that the kernel is known to send: an interface less is better than none at all. */
                links->statistics.malformed++;
                log_debug("Ignored a malformed route message of type %u, %u bytes", header->nlmsg_type,
                          header->nlmsg_len);
                return 0;
        }
        if (r <= 0)
                return r;

        links->statistics.messages++;
        if (r == LINK_MESSAGE_PRESENT)
                return link_present(links, &record);
        link_gone(links, record.ifindex);
        return 0;
}

/* Throws away the events that wait: the dump that follows is newer than they are. While the queue is not empty after
 * an overrun the kernel adds nothing to it, so this ends; the bound is for a storm that sets in anew each time. */
static void drain(Links *links) {
        char byte;

        for (unsigned i = 0; i < DRAIN_MAX; i++) {
                ssize_t n = recv(links_fd(links), &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC);

                if (n < 0 && errno != ENOBUFS && errno != EINTR)
                        return;
        }
}

static int dump_once(Links *links) {
        struct {
                struct ifinfomsg info;
                struct rtattr mask;
                uint32_t filter;
        } request = {
                .info.ifi_family = AF_UNSPEC,
                .mask = { .rta_type = IFLA_EXT_MASK, .rta_len = RTA_LENGTH(sizeof(uint32_t)) },
                .filter = RTEXT_FILTER_SKIP_STATS,
        };
        int r;

        if (!links->requests) {
                r = netlink_open(NETLINK_ROUTE, 0, &links->requests);
                if (r < 0)
                        return r;
                r = netlink_set_timeout(links->requests, DUMP_TIMEOUT);
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < links->n_entries; i++)
                links->entries[i].marked = true;

        r = netlink_dump(links->requests, RTM_GETLINK, &request, sizeof(request), on_message, links);
        if (r < 0 && r != -ESTALE) {
                /* The rest of the answer may still come: don't take it for that to the next request. */
                nl_socket_free(links->requests);
                links->requests = NULL;
        }
        return r;
}

static void sweep(Links *links) {
        for (size_t i = links->n_entries; i-- > 0;)
                if (links->entries[i].marked)
                        link_gone(links, links->entries[i].record.ifindex);
}

static int resync(Links *links) {
        bool lost = links->lost;
        int r = 0;

        for (unsigned i = 0; i < DUMPS_AT_ONCE; i++) {
                r = dump_once(links);
                if (r != -ESTALE)
                        break;
                links->statistics.interrupted++;
        }
        if (r == -ESTALE)
                return -EAGAIN;
        if (r < 0)
                return r;

        sweep(links);
        links->statistics.dumps++;
        links->needs_resync = links->lost = false;
        if (lost && links->handlers.resynced)
                links->handlers.resynced(links->handlers.userdata);
        return 0;
}

int links_resync(Links *links) {
        int r;

        assert(!links->busy);
        links->busy = true;
        links->needs_resync = true;
        r = resync(links);
        links->busy = false;
        return r;
}

static int process(Links *links) {
        for (unsigned i = 0; i < EVENTS_AT_ONCE; i++) {
                int r = netlink_receive(links->events, on_message, links);

                if (r == -ENOBUFS || r == -ENOMEM) {
                        links->statistics.overruns++;
                        links->needs_resync = links->lost = true;
                        drain(links);
                        return resync(links);
                }
                if (r <= 0)
                        return r;
        }
        return 0;
}

int links_process(Links *links) {
        int r;

        assert(!links->busy);
        links->busy = true;
        r = process(links);
        links->busy = false;
        return r;
}

bool links_needs_retry(const Links *links) {
        return links->needs_resync;
}

const LinkRecord *links_get(const Links *links, int ifindex) {
        const Entry *entry = entry_get(links, ifindex);

        return entry ? &entry->record : NULL;
}

size_t links_count(const Links *links) {
        return links->n_entries;
}

const LinksStatistics *links_statistics(const Links *links) {
        return &links->statistics;
}
