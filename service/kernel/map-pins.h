/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the maps of programs live on without us: <bpffs_dir>/maps/<program>/<map>, names encoded (util/encode.h).
 * The pins of a program change all at once: a folder with the new ones is made beside and takes the place of the old
 * one. A crash leaves the old folder or the new one, and perhaps one that begins with `_`, which the next change
 * clears away.
 */

#include "kernel/kernel.h"

typedef struct MapPin {
        char *name; /* of the map */
        char *path;
        int fd;
} MapPin;

typedef struct MapPinList {
        MapPin *pins;
        size_t n;
} MapPinList;

void map_pin_list_done(MapPinList *list);

/* Opens the pinned maps of a program. -ENOENT: there is no folder of it. */
int map_pins_open(Kernel *kernel, const char *program, MapPinList *ret);

/* Pins these maps, and no others, for a program. On success each MapInfo.pin is set; on failure what was pinned
 * before still is. */
int map_pins_replace(Kernel *kernel, const char *program, MapInfo *maps, const int *fds, size_t n, Error *error);

/* Removes the pins of all programs that keep() does not know; what is no folder of ours stays. */
void map_pins_sweep(Kernel *kernel, bool (*keep)(const char *name, void *userdata), void *userdata);

/* Removes the pins of a program; having none is fine. */
void map_pins_remove(Kernel *kernel, const char *program);
