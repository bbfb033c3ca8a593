/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a member would not do in a chain as it does by itself, and what can be done about that.
 */

#include "kernel/object.h"
#include "kernel/program.h"

/* Looks for calls of kernel functions that end or mean something else within a larger program, and says so in
 * member->slot_reason: bpf_throw() would end the whole chain, and objects of local types (bpf_obj_new() and the
 * graphs made of them) need the program's own BTF. To be called with a loaded object. */
int member_check(Member *member, const struct btf *object_btf);

/* Leaves out the tail calls of a member that can lead nowhere, now and for ever: all of its prog_arrays are new and
 * empty, and are frozen here, so that nobody can fill them. Programs that were written to be chained by tail calls
 * carry such calls, and could not be inlined with them. `fills` tells by index of map which of them has or gets
 * contents, or is a kept one. */
int member_elide_tail_calls(Member *member, const int *map_fds, ProgramInfo *info, const bool *fills);
