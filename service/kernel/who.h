/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From the record that our programs in the kernel make of a process (bpf/who.h) to a Culprit. Needs no look at the
 * process, which may be gone.
 */

#include "bpf/who.h"
#include "model/culprit.h"

void who_read(const struct who *who, Culprit *ret);
