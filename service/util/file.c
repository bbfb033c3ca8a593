/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "util/file.h"

#define COPY_CHUNK ((size_t) 64 * 1024)

/* Looks first, so that a device is not opened at all; O_NONBLOCK is for what may have taken its place since. */
static int open_regular(const char *path, int *ret, struct stat *ret_st) {
        _cleanup_close_ int fd = -EBADF;

        if (stat(path, ret_st) < 0)
                return -errno;
        if (!S_ISREG(ret_st->st_mode))
                return -EINVAL;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        if (fstat(fd, ret_st) < 0)
                return -errno;
        if (!S_ISREG(ret_st->st_mode))
                return -EINVAL;
        *ret = TAKE_FD(fd);
        return 0;
}

/* As much as there is, up to `size`; less only at the end of the file. */
static ssize_t read_full(int fd, char *buffer, size_t size) {
        size_t n = 0;

        while (n < size) {
                ssize_t k = read(fd, buffer + n, size - n);

                if (k == 0)
                        break;
                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                n += (size_t) k;
        }
        return (ssize_t) n;
}

static int write_full(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t k = write(fd, data, size);

                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                data += k;
                size -= (size_t) k;
        }
        return 0;
}

int file_read(const char *path, size_t max_size, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *buffer = NULL;
        struct stat st;
        size_t room;
        ssize_t n;
        int r;

        r = open_regular(path, &fd, &st);
        if (r < 0)
                return r;
        if (st.st_size < 0 || (uintmax_t) st.st_size > max_size)
                return -EFBIG;

        /* The size is a hint: files of procfs say 0, and others may grow meanwhile. */
        room = st.st_size > 0 ? (size_t) st.st_size : MIN2(max_size, (size_t) 4096);
        for (size_t done = 0;;) {
                char *grown = realloc(buffer, room + 2); /* one byte to see that there is more, one for the NUL */

                if (!grown)
                        return -ENOMEM;
                buffer = grown;
                n = read_full(fd, buffer + done, room + 1 - done);
                if (n < 0)
                        return (int) n;
                done += (size_t) n;
                if (done <= room) {
                        buffer[done] = '\0';
                        *ret = TAKE_PTR(buffer);
                        if (ret_size)
                                *ret_size = done;
                        return 0;
                }
                if (room >= max_size)
                        return -EFBIG;
                room = room > max_size / 2 ? max_size : room * 2;
        }
}

/* A new file beside the one that it will replace. */
typedef struct Replacement {
        char *path;
        int fd;
} Replacement;

#define REPLACEMENT_INIT ((Replacement){ .fd = -EBADF })

static void replacement_done(Replacement *replacement) {
        if (replacement->path)
                (void) unlink(replacement->path);
        free(replacement->path);
        cleanup_close(&replacement->fd);
}

/* The name begins with a dot and ends in random letters, so that nobody who looks for a suffix takes the file. */
static int replacement_open(Replacement *replacement, const char *path) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        char *temporary;
        int fd;

        if (!*name || streq(name, ".") || streq(name, ".."))
                return -EINVAL;
        if (strlen(path) >= PATH_MAX)
                return -ENAMETOOLONG;
        /* Room is left for what is put around the name. */
        if (asprintf(&temporary, "%.*s.%.*s.XXXXXX", (int) (name - path), path, NAME_MAX - 8, name) < 0)
                return -ENOMEM;
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0) {
                int r = -errno;

                free(temporary);
                return r;
        }
        replacement->path = temporary;
        replacement->fd = fd;
        return 0;
}

static int sync_folder_of(const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *folder = NULL;
        _cleanup_close_ int fd = -EBADF;

        folder = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t) (slash - path));
        if (!folder)
                return -ENOMEM;
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        /* Some file systems can't sync folders, and need not. */
        if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
                return -errno;
        return 0;
}

static int replacement_finish(Replacement *replacement, const char *path, mode_t mode) {
        if (fchmod(replacement->fd, mode) < 0 || fsync(replacement->fd) < 0)
                return -errno;
        if (rename(replacement->path, path) < 0)
                return -errno;
        free(TAKE_PTR(replacement->path));
        return sync_folder_of(path);
}

int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode) {
        _cleanup_(replacement_done) Replacement replacement = REPLACEMENT_INIT;
        int r;

        r = replacement_open(&replacement, path);
        if (r < 0)
                return r;
        r = write_full(replacement.fd, data, size);
        if (r < 0)
                return r;
        return replacement_finish(&replacement, path, mode);
}

int file_copy_atomic(const char *from, const char *to, size_t max_size, mode_t mode) {
        _cleanup_(replacement_done) Replacement replacement = REPLACEMENT_INIT;
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *buffer = NULL;
        size_t total = 0;
        struct stat st;
        ssize_t n;
        int r;

        r = open_regular(from, &fd, &st);
        if (r < 0)
                return r;
        if (st.st_size < 0 || (uintmax_t) st.st_size > max_size)
                return -EFBIG;
        buffer = malloc(COPY_CHUNK);
        if (!buffer)
                return -ENOMEM;
        r = replacement_open(&replacement, to);
        if (r < 0)
                return r;

        do {
                n = read_full(fd, buffer, COPY_CHUNK);
                if (n < 0)
                        return (int) n;
                if ((size_t) n > max_size - total)
                        return -EFBIG;
                total += (size_t) n;
                r = write_full(replacement.fd, buffer, (size_t) n);
                if (r < 0)
                        return r;
        } while (n > 0);
        return replacement_finish(&replacement, to, mode);
}

static int make_folder(const char *path, mode_t mode) {
        struct stat st;
        int r;

        /* Whatever the umask is. */
        if (mkdir(path, mode) >= 0)
                return chmod(path, mode) < 0 ? -errno : 0;
        r = -errno;
        /* A read-only file system and others tell so before they tell that the folder is there. */
        if (stat(path, &st) < 0)
                return r;
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int mkdir_parents(const char *path, mode_t mode) {
        _cleanup_free_ char *copy = NULL;
        int r;

        if (strempty(path))
                return -EINVAL;
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        for (char *p = copy + 1; *p; p++) {
                if (*p != '/' || p[-1] == '/')
                        continue;
                *p = '\0';
                r = make_folder(copy, mode);
                *p = '/';
                if (r < 0)
                        return r;
        }
        return make_folder(copy, mode);
}

int file_remove(const char *path) {
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        return 0;
}
