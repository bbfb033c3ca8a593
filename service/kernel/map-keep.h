/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which maps of a running instance a new one takes over.
 */

#include "kernel/object.h"
#include "kernel/program.h"

/* Takes over the maps of request->previous whose definitions agree: type, sizes, number of entries, flags. Always
 * new are constants (.rodata, .kconfig), because their values may have changed, and prog_arrays that the object
 * fills, because loading would change what runs; other global data, maps of maps, and maps with objects of the
 * program's own types are kept only out of the same object, because a definition tells too little of them. ret_kept
 * has a flag for each map of the object in order; the caller frees it. */
int map_keep(Object *object, const ProgramRequest *request, bool **ret_kept);

/* Refuses maps that would take more than half of the machine's memory as soon as they are made: the kernel would try,
 * and starve all else. LimitExceeded. */
int map_check_sizes(const Object *object, const bool *kept, const ProgramRequest *request, Error *error);

/* Refuses arenas whose place, which their author chose, is not free in this process: libbpf would map them over what
 * is there. Incompatible. */
int map_check_places(const Object *object, const bool *kept, const ProgramRequest *request, Error *error);
