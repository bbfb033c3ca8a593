/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names as file names on filesystems that are choosy about them (bpffs takes no dots): each byte outside
 * [A-Za-z0-9-] is written as `_` and two lower-case hexadecimal digits. The empty name is a single `_`. The
 * encoding is one-to-one, and no encoded name begins with `_` and a letter beyond f, which leaves `_new-`,
 * `_old-` and the like to the caller.
 */

#include "util/macros.h"

/* The encoded name; the caller frees it. -ENAMETOOLONG where it would not fit into a file name (255 bytes). */
int name_encode(const char *name, char **ret);

/* The name that was encoded; the caller frees it. -EINVAL where `encoded` is not what name_encode() makes. */
int name_decode(const char *encoded, char **ret);
