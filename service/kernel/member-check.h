/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Programs that would not do in a chain what they do by themselves.
 */

#include "kernel/object.h"

/* Looks for calls of kernel functions that end or mean something else within a larger program: bpf_throw() would end
 * the whole chain, and objects allocated by local types (bpf_obj_new() and the graphs made of them) need the
 * program's own BTF. To be called with a loaded object. Errors: NotSupported. */
int member_check(const Object *object, const ProgramRequest *request, Error *error);
