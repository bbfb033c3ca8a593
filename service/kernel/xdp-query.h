/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What an interface tells of XDP. libbpf's bpf_xdp_query() dumps all interfaces to find one; this asks for the one.
 */

#include "util/macros.h"

typedef struct XdpPrograms {
        uint32_t native; /* program ids, 0: none */
        uint32_t generic;
        uint32_t offloaded;
} XdpPrograms;

/* The programs on an interface of the present network namespace, whether by netlink or by link. -ENODEV. */
int xdp_query_programs(int ifindex, XdpPrograms *ret);

/* Features (NETDEV_XDP_ACT_*, include/uapi/linux/netdev.h). -EOPNOTSUPP: the kernel does not tell, that is the
 * generic netlink family "netdev" of 6.3 is not there; -ENODEV. */
int xdp_query_features(int ifindex, uint64_t *ret);
