/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Whole files: read with a bound, written so that a reader or a crash sees the old contents or the new ones and
 * nothing between. All functions return 0 or a negative errno and follow symbolic links in folders.
 */

#include <sys/types.h>

#include "util/macros.h"

/* Reads a regular file. A NUL byte is put behind the contents, which the caller frees; ret_size (may be NULL) does
 * not count it. -EFBIG: more than max_size bytes; -EINVAL: not a regular file (folder, device such as /dev/null,
 * FIFO: it is not waited for). */
int file_read(const char *path, size_t max_size, char **ret, size_t *ret_size);

/* Writes to a new file beside `path`, syncs it, moves it to `path`, and syncs the folder. `mode` is taken as it
 * is, without the umask. On failure `path` is as before, with one exception: a failed sync of the folder is
 * reported though the new contents are in place. A symbolic link at `path` is replaced, not followed. */
int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode);

/* Copies a regular file of at most max_size bytes in the same manner. Errors of both functions above. */
int file_copy_atomic(const char *from, const char *to, size_t max_size, mode_t mode);

/* Makes the folder `path` and those above it that are missing, as `mkdir -p`; the umask counts. A folder that is
 * there is fine, whatever its mode; -ENOTDIR: something else is there. */
int mkdir_parents(const char *path, mode_t mode);

/* Removes a file or link; one that is not there is fine. */
int file_remove(const char *path);
