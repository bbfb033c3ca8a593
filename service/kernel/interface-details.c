/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kernel/attach.h"
#include "kernel/foreign.h"
#include "kernel/interface-details.h"
#include "kernel/xdp-query.h"

int interface_driver(const char *name, char ret[32]) {
        /* Any socket does, and this family the unit allows. */
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
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

int kernel_interface_details(void *userdata, int ifindex, const char *name, InterfaceDetails *ret) {
        InterfaceDetails details = {};
        char current[IF_NAMESIZE];

        /* The name may be out of date by the time that somebody looks. */
        if (!if_indextoname(ifindex, current))
                return -ENODEV;
        (void) interface_driver(current, details.driver);

        details.xdp_features_known = xdp_query_features(ifindex, &details.xdp_features) >= 0;

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
