/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What libbpf calls while it opens and loads an object: capturing the program, and its own messages. Registration
 * is for the whole process; each thread has one object at a time that the calls are for.
 */

#include "kernel/object.h"

/* Registers all, the first time. */
int libbpf_register(void);

/* To be set around the calls of libbpf that are made for an object, and to NULL after. */
void libbpf_set_current(Object *object);

/* Does the name of a section say that its program takes XDP packets of several buffers? */
bool section_has_frags(const char *section);
