/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Chains on their hooks.
 */

#include "kernel/kernel.h"

/* The counters map of an attachment; borrowed, valid as long as the attachment. */
int attachment_counters_fd(const KernelAttachment *attachment);
