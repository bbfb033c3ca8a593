/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What sits on the hooks of an interface, whoever put it there.
 */

#include "kernel/kernel.h"

/* All programs on the hooks of an interface but those with the ids in `own`; the caller frees the array. A program
 * whose details may not be read (that takes CAP_SYS_ADMIN) has an id only. A query that this kernel does not offer
 * counts as empty. */
int foreign_list(int ifindex, const uint32_t *own, size_t n_own, ForeignInfo **ret, size_t *ret_n);

/* A sentence part that names who holds the XDP hook of an interface ('program 45 "xdp_pass" (tag …) by link 7 in
 * native mode') and the command that takes it off. Both are set or neither; -ENOENT: nobody holds it. The caller
 * frees. */
int foreign_xdp_holder(int ifindex, const char *interface, char **ret_who, char **ret_remedy);

/* 'program 45 "xdp_pass" (tag …)' as far as it may be read; NULL when out of memory. */
char *foreign_describe_program(uint32_t program_id);

/* The id of the link that holds a program on an interface, 0 if there is none or it may not be known. link_type is
 * UAPI_LINK_TYPE_*. */
uint32_t foreign_find_link(int ifindex, unsigned link_type, uint32_t program_id);
