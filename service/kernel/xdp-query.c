/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#include "kernel/netlink.h"
#include "kernel/xdp-query.h"

#define ANSWER_TIMEOUT 5 /* seconds */

/* include/uapi/linux/netdev.h, which the headers of older distributions lack. */
#define NETDEV_COMMAND_DEV_GET        1
#define NETDEV_ATTRIBUTE_IFINDEX      1
#define NETDEV_ATTRIBUTE_XDP_FEATURES 3

static int ask(int protocol, int type, const void *request, size_t size, NetlinkHandler handler, void *userdata) {
        _cleanup_nl_socket_ struct nl_sock *sk = NULL;
        int r;

        r = netlink_open(protocol, 0, &sk);
        if (r >= 0)
                r = netlink_set_timeout(sk, ANSWER_TIMEOUT);
        if (r < 0)
                return r;
        return netlink_request(sk, type, request, size, handler, userdata);
}

static uint32_t program_id(struct nlattr **attributes, int type) {
        return attributes[type] && nla_len(attributes[type]) >= (int) sizeof(uint32_t) ? nla_get_u32(attributes[type])
                                                                                       : 0;
}

static int on_link(const struct nlmsghdr *header, size_t size, void *userdata) {
        struct nlattr *attributes[IFLA_MAX + 1], *xdp[IFLA_XDP_MAX + 1];
        XdpPrograms *programs = userdata;
        uint32_t id;

        if (header->nlmsg_type != RTM_NEWLINK ||
            nlmsg_parse((struct nlmsghdr *) header, sizeof(struct ifinfomsg), attributes, IFLA_MAX, NULL) < 0)
                return -EBADMSG;
        if (!attributes[IFLA_XDP])
                return 0;
        if (nla_parse_nested(xdp, IFLA_XDP_MAX, attributes[IFLA_XDP], NULL) < 0)
                return -EBADMSG;

        programs->native = program_id(xdp, IFLA_XDP_DRV_PROG_ID);
        programs->generic = program_id(xdp, IFLA_XDP_SKB_PROG_ID);
        programs->offloaded = program_id(xdp, IFLA_XDP_HW_PROG_ID);

        /* Kernels before 4.19 and, for all we know, drivers' own answers: one id and the mode that it is in. */
        id = program_id(xdp, IFLA_XDP_PROG_ID);
        if (id > 0 && !programs->native && !programs->generic && !programs->offloaded && xdp[IFLA_XDP_ATTACHED])
                switch (nla_get_u8(xdp[IFLA_XDP_ATTACHED])) {
                case XDP_ATTACHED_SKB: programs->generic = id; break;
                case XDP_ATTACHED_HW: programs->offloaded = id; break;
                default: programs->native = id;
                }
        return 0;
}

int xdp_query_programs(int ifindex, XdpPrograms *ret) {
        struct {
                struct ifinfomsg info;
                struct rtattr mask;
                uint32_t filter;
        } request = {
                .info = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex },
                .mask = { .rta_type = IFLA_EXT_MASK, .rta_len = RTA_LENGTH(sizeof(uint32_t)) },
                .filter = RTEXT_FILTER_SKIP_STATS,
        };
        XdpPrograms programs = {};
        int r;

        r = ask(NETLINK_ROUTE, RTM_GETLINK, &request, sizeof(request), on_link, &programs);
        if (r < 0)
                return r;
        *ret = programs;
        return 0;
}

static int on_family(const struct nlmsghdr *header, size_t size, void *userdata) {
        struct nlattr *attributes[CTRL_ATTR_MAX + 1];
        uint16_t *id = userdata;

        if (nlmsg_parse((struct nlmsghdr *) header, GENL_HDRLEN, attributes, CTRL_ATTR_MAX, NULL) < 0 ||
            !attributes[CTRL_ATTR_FAMILY_ID] || nla_len(attributes[CTRL_ATTR_FAMILY_ID]) < (int) sizeof(*id))
                return -EBADMSG;
        *id = nla_get_u16(attributes[CTRL_ATTR_FAMILY_ID]);
        return 0;
}

static int on_device(const struct nlmsghdr *header, size_t size, void *userdata) {
        struct nlattr *attributes[NETDEV_ATTRIBUTE_XDP_FEATURES + 1];
        uint64_t *features = userdata;

        if (nlmsg_parse((struct nlmsghdr *) header, GENL_HDRLEN, attributes, NETDEV_ATTRIBUTE_XDP_FEATURES, NULL) <
                    0 ||
            !attributes[NETDEV_ATTRIBUTE_XDP_FEATURES] ||
            nla_len(attributes[NETDEV_ATTRIBUTE_XDP_FEATURES]) < (int) sizeof(*features))
                return -EBADMSG;
        *features = nla_get_u64(attributes[NETDEV_ATTRIBUTE_XDP_FEATURES]);
        return 0;
}

int xdp_query_features(int ifindex, uint64_t *ret) {
        const struct {
                struct genlmsghdr header;
                struct nlattr attribute;
                char name[8];
        } family = {
                .header = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 },
                .attribute = { .nla_type = CTRL_ATTR_FAMILY_NAME, .nla_len = NLA_HDRLEN + sizeof("netdev") },
                .name = "netdev",
        };
        const struct {
                struct genlmsghdr header;
                struct nlattr attribute;
                uint32_t ifindex;
        } device = {
                .header = { .cmd = NETDEV_COMMAND_DEV_GET, .version = 1 },
                .attribute = { .nla_type = NETDEV_ATTRIBUTE_IFINDEX, .nla_len = NLA_HDRLEN + sizeof(uint32_t) },
                .ifindex = (uint32_t) ifindex,
        };
        uint64_t features = 0;
        uint16_t id = 0;
        int r;

        r = ask(NETLINK_GENERIC, GENL_ID_CTRL, &family, sizeof(family), on_family, &id);
        if (r == -ENOENT)
                return -EOPNOTSUPP;
        if (r >= 0)
                r = ask(NETLINK_GENERIC, id, &device, sizeof(device), on_device, &features);
        if (r < 0)
                return r;
        *ret = features;
        return 0;
}
