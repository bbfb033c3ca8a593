/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The parser of route messages about qdiscs and filters at the hooks that chains use. Pure. Formats:
 * include/uapi/linux/rtnetlink.h, pkt_cls.h.
 */

#include <linux/netlink.h>

#include "model/guard.h"

/* 1: it is about a clsact or ingress qdisc, or a filter there, and ret is filled; 0: about something else; -EBADMSG:
 * it breaks its own lengths. `size` bytes from header may be read. */
int tc_message_parse(const struct nlmsghdr *header, size_t size, TcFact *ret);
