/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "kernel/map-pins.h"
#include "kernel/pins.h"
#include "util/encode.h"
#include "util/log.h"

/* The folder of a program, or one of those that wait beside it (prefix "_new-", "_old-"). */
static int program_dir(const Kernel *kernel, const char *prefix, const char *program, char **ret) {
        _cleanup_free_ char *encoded = NULL;
        int r;

        r = name_encode(program, &encoded);
        if (r < 0)
                return r;
        if (strlen(prefix) + strlen(encoded) > NAME_MAX)
                return -ENAMETOOLONG;
        return asprintf(ret, "%s/maps/%s%s", kernel->bpffs_dir, prefix, encoded) < 0 ? -ENOMEM : 0;
}

void map_pin_list_done(MapPinList *list) {
        for (size_t i = 0; i < list->n; i++) {
                free(list->pins[i].name);
                free(list->pins[i].path);
                safe_close(list->pins[i].fd);
        }
        free(list->pins);
        *list = (MapPinList){};
}

/* A folder of pins has no folders in it. */
static void remove_dir(const char *path) {
        _cleanup_closedir_ DIR *dir = opendir(path);
        struct dirent *entry;

        if (!dir)
                return;
        while ((entry = readdir(dir)))
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
                        (void) unlinkat(dirfd(dir), entry->d_name, 0);
        (void) rmdir(path);
}

/* Opens one pin. 0: it is no map of ours. */
static int open_pin(const char *dir, const char *file, MapPin *ret) {
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *name = NULL, *path = NULL;
        int r;

        r = name_decode(file, &name);
        if (r == -EINVAL)
                return 0;
        if (r < 0)
                return r;
        if (asprintf(&path, "%s/%s", dir, file) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = bpf_obj_get(path);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        if (bpf_map_get_info_by_fd(fd, &info, &size) < 0)
                return 0; /* a program or a link */

        *ret = (MapPin){ TAKE_PTR(name), TAKE_PTR(path), TAKE_FD(fd) };
        return 1;
}

int map_pins_open(Kernel *kernel, const char *program, MapPinList *ret) {
        _cleanup_(map_pin_list_done) MapPinList list = {};
        _cleanup_free_ char *path = NULL, *old = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *entry;
        int r;

        r = program_dir(kernel, "", program, &path);
        if (r >= 0)
                r = program_dir(kernel, "_old-", program, &old);
        if (r < 0)
                return r;
        dir = opendir(path);
        if (!dir && errno == ENOENT && rename(old, path) >= 0) /* a crash amid exchange_dirs_in_steps() */
                dir = opendir(path);
        if (!dir)
                return -errno;

        while ((entry = readdir(dir))) {
                MapPin pin, *slot;

                r = open_pin(path, entry->d_name, &pin);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                slot = ARRAY_APPEND(list.pins, list.n);
                if (!slot) {
                        free(pin.name);
                        free(pin.path);
                        safe_close(pin.fd);
                        return -ENOMEM;
                }
                *slot = pin;
        }

        *ret = list;
        list = (MapPinList){};
        return 0;
}

/* Kernels before 5.16 can't exchange two folders of a bpffs. */
static int exchange_dirs_in_steps(const Kernel *kernel, const char *program, const char *new, const char *path) {
        _cleanup_free_ char *old = NULL;
        int r;

        r = program_dir(kernel, "_old-", program, &old);
        if (r < 0)
                return r;
        remove_dir(old);
        if (rename(path, old) < 0)
                return -errno;
        if (rename(new, path) < 0) {
                r = -errno;
                (void) rename(old, path);
                return r;
        }
        remove_dir(old);
        return 0;
}

/* Puts folder `new` in the place of `path`, if there is one. */
static int exchange_dirs(const Kernel *kernel, const char *program, const char *new, const char *path) {
        if (renameat2(AT_FDCWD, new, AT_FDCWD, path, RENAME_EXCHANGE) >= 0) {
                remove_dir(new);
                return 0;
        }
        if (errno == ENOENT)
                return rename(new, path) < 0 ? -errno : 0;
        if (errno == EINVAL || errno == ENOSYS)
                return exchange_dirs_in_steps(kernel, program, new, path);
        return -errno;
}

/* Pins the maps in a folder; `ret_paths` are what the pins will be called once the folder is in its place. */
static int fill_dir(const char *new, const char *path, const MapInfo *maps, const int *fds, size_t n,
                    char **ret_paths) {
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *encoded = NULL, *pin = NULL;
                int r;

                r = name_encode(maps[i].name, &encoded);
                if (r < 0)
                        return r;
                if (asprintf(&pin, "%s/%s", new, encoded) < 0) {
                        pin = NULL;
                        return -ENOMEM;
                }
                if (bpf_obj_pin(fds[i], pin) < 0)
                        return -errno;
                if (asprintf(&ret_paths[i], "%s/%s", path, encoded) < 0) {
                        ret_paths[i] = NULL;
                        return -ENOMEM;
                }
        }
        return 0;
}

int map_pins_replace(Kernel *kernel, const char *program, MapInfo *maps, const int *fds, size_t n, Error *error) {
        _cleanup_free_ char *all = NULL, *path = NULL, *new = NULL;
        _cleanup_free_ char **paths = calloc(n + 1, sizeof(char *));
        int r;

        if (!paths)
                return -ENOMEM;
        r = pins_prepare(kernel, error);
        if (r >= 0)
                r = asprintf(&all, "%s/maps", kernel->bpffs_dir) < 0 ? -ENOMEM : pins_make_dir(all);
        if (r >= 0)
                r = program_dir(kernel, "", program, &path);
        if (r >= 0)
                r = program_dir(kernel, "_new-", program, &new);
        if (r < 0)
                goto finish;

        remove_dir(new);
        r = pins_make_dir(new);
        if (r >= 0)
                r = fill_dir(new, path, maps, fds, n, paths);
        if (r >= 0)
                r = exchange_dirs(kernel, program, new, path);
        if (r < 0) {
                remove_dir(new);
                goto finish;
        }

        for (size_t i = 0; i < n; i++) {
                free(maps[i].pin);
                maps[i].pin = TAKE_PTR(paths[i]);
        }

finish:
        for (size_t i = 0; i < n; i++)
                free(paths[i]);
        if (r == -ENAMETOOLONG)
                return error_set(error, ERROR_LIMIT_EXCEEDED,
                                 "The name of program %.64s or of one of its maps is too long for a file name, of "
                                 "255 bytes with "
                                 "special characters counting three each.",
                                 program);
        if (r < 0 && r != -ENOMEM)
                return error_set(error, ERROR_FAILED, "The maps of program %s can't be pinned below %s: %s.", program,
                                 kernel->bpffs_dir, strerror(-r));
        return r;
}

void map_pins_remove(Kernel *kernel, const char *program) {
        static const char *const prefixes[] = { "", "_new-", "_old-" };

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                _cleanup_free_ char *path = NULL;

                if (program_dir(kernel, prefixes[i], program, &path) >= 0)
                        remove_dir(path);
        }
}

void map_pins_sweep(Kernel *kernel, bool (*keep)(const char *name, void *userdata), void *userdata) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_free_ char *path = NULL;
        struct dirent *entry;

        if (asprintf(&path, "%s/maps", kernel->bpffs_dir) < 0) {
                path = NULL;
                return;
        }
        dir = opendir(path);
        if (!dir)
                return;
        while ((entry = readdir(dir))) {
                _cleanup_free_ char *name = NULL;

                if (entry->d_name[0] == '.' || name_decode(entry->d_name, &name) < 0 || keep(name, userdata))
                        continue;
                log_info("Removing the maps pinned for %s, which no document defines", name);
                map_pins_remove(kernel, name);
        }
}
