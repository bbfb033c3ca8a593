/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "kernel/interface-state.h"
#include "kernel/netlink.h"

#define ANSWER_SECONDS 5

static int on_answer(const struct nlmsghdr *header, size_t size, void *userdata) {
        return 0;
}

int kernel_interface_set_up(void *userdata, int ifindex, bool up) {
        const struct ifinfomsg request = {
                .ifi_family = AF_UNSPEC,
                .ifi_index = ifindex,
                .ifi_change = IFF_UP,
                .ifi_flags = up ? IFF_UP : 0,
        };
        _cleanup_nl_socket_ struct nl_sock *sk = NULL;
        int r;

        r = netlink_open(NETLINK_ROUTE, 0, &sk);
        if (r >= 0)
                r = netlink_set_timeout(sk, ANSWER_SECONDS);
        /* RTM_SETLINK makes no interface where there is none. */
        return r < 0 ? r : netlink_request(sk, RTM_SETLINK, &request, sizeof(request), on_answer, NULL);
}
