/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kernel/attach.h"
#include "kernel/foreign.h"
#include "kernel/interface-details.h"
#include "kernel/netlink.h"

#define GENL_TIMEOUT 5 /* seconds */

int interface_driver(const char *name, char ret[32]) {
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
        struct ifreq request = { .ifr_data = (void *) &info };

        if (fd < 0)
                return -errno;
        if (strlen(name) >= sizeof(request.ifr_name))
                return -EINVAL;
        strcpy(request.ifr_name, name);
        if (ioctl(fd, SIOCETHTOOL, &request) < 0)
                return -errno;

        snprintf(ret, 32, "%.31s", info.driver);
        return 0;
}

static int on_family(const struct nlmsghdr *header, size_t size, void *userdata) {
        *(bool *) userdata = true;
        return 0;
}

bool interface_features_told(void) {
        _cleanup_nl_socket_ struct nl_sock *sk = NULL;
        struct {
                struct genlmsghdr header;
                struct nlattr attribute;
                char name[8];
        } request = {
                .header = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 },
                .attribute = { .nla_type = CTRL_ATTR_FAMILY_NAME, .nla_len = NLA_HDRLEN + sizeof("netdev") },
                .name = "netdev",
        };
        bool found = false;

        if (netlink_open(NETLINK_GENERIC, 0, &sk) < 0 || netlink_set_timeout(sk, GENL_TIMEOUT) < 0)
                return false;
        return netlink_request(sk, GENL_ID_CTRL, &request, sizeof(request), on_family, &found) >= 0 && found;
}

int kernel_interface_details(void *userdata, int ifindex, const char *name, InterfaceDetails *ret) {
        LIBBPF_OPTS(bpf_xdp_query_opts, opts);
        InterfaceDetails details = {};
        char current[IF_NAMESIZE];

        /* The name may be out of date by the time that somebody looks. */
        if (!if_indextoname(ifindex, current))
                return -ENODEV;
        (void) interface_driver(current, details.driver);

        if (bpf_xdp_query(ifindex, 0, &opts) >= 0) {
                details.xdp_features = opts.feature_flags;
                details.xdp_features_known = opts.feature_flags != 0 || interface_features_told();
        }

        *ret = details;
        return 0;
}

int kernel_interface_foreign(void *userdata, int ifindex, KernelAttachment *const *own, size_t n_own,
                             ForeignInfo **ret, size_t *ret_n) {
        uint32_t ids[_HOOK_MAX];
        size_t n = 0;

        for (size_t i = 0; i < n_own && n < ELEMENTSOF(ids); i++)
                if (own[i])
                        ids[n++] = own[i]->fused->program_id;
        return foreign_list(ifindex, ids, n, ret, ret_n);
}
