/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An interface set up or down, as ip(8) does.
 */

#include <stdbool.h>

/* Of KernelOps; takes CAP_NET_ADMIN. -ENODEV: there is none of this number in the network namespace of the service.
 */
int kernel_interface_set_up(void *userdata, int ifindex, bool up);
