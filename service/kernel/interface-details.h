/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is asked about an interface when somebody looks at it: the operations interface_details and interface_foreign
 * of KernelOps (see model/kernel-ops.h). `userdata` is a Kernel.
 */

#include "kernel/kernel.h"

/* ethtool's name of the driver behind an interface; -EOPNOTSUPP: it has none. */
int interface_driver(const char *name, char ret[32]);

int kernel_interface_details(void *userdata, int ifindex, const char *name, InterfaceDetails *ret);
int kernel_interface_foreign(void *userdata, int ifindex, KernelAttachment *const *own, size_t n_own,
                             ForeignInfo **ret, size_t *ret_n);
