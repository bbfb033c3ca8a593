/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The way onto TC hooks for kernels that have no tcx (before 6.6): one cls_bpf filter in direct-action mode on the
 * clsact qdisc, at priority 1 and with a handle of our own, so that it runs before filters that others add without
 * naming a priority. Exchanging its program is one atomic filter replacement.
 *
 * The qdisc is made where there is none, and left when the filter goes: others may have begun to use it, and the
 * kernel has no way to delete it only when it is empty.
 */

#include "model/hook.h"

#define CLSACT_PRIORITY 1
#define CLSACT_HANDLE   0xbc01

/* Adds our filter. -EEXIST: there is one with our priority and handle, -EINVAL among others: priority 1 is taken by a
 * filter of another kind, or there is an ingress qdisc in the place of clsact. */
int clsact_attach(int ifindex, Hook hook, int program_fd);

/* Exchanges the program of our filter, which must have program `expected_id`: -ENOENT, -ESTALE if not. */
int clsact_replace(int ifindex, Hook hook, int program_fd, uint32_t expected_id);

/* The program in the filter with our priority and handle; -ENOENT: no such filter, qdisc or interface. */
int clsact_query(int ifindex, Hook hook, uint32_t *ret_program_id);

/* Removes our filter if it has program `expected_id`: -ENOENT, -ESTALE if not. */
int clsact_detach(int ifindex, Hook hook, uint32_t expected_id);
