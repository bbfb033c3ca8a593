/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "kernel/guard-pins.h"
#include "kernel/pins.h"
#include "util/log.h"

#define FOLDER        "guard"
#define NAME_MAX_SIZE 64

static char *join(const char *folder, const char *prefix, const char *name) {
        char *path;

        return asprintf(&path, "%s/%s%s", folder, prefix, name) < 0 ? NULL : path;
}

static int name_of(GuardTechnique technique, char ret[NAME_MAX_SIZE]) {
        char version[17];
        int r;

        r = guard_set_version(version);
        if (r < 0)
                return r;
        snprintf(ret, NAME_MAX_SIZE, "%s-%s", guard_technique_to_string(technique), version);
        return 0;
}

static bool is_entry(const struct dirent *entry) {
        return !streq(entry->d_name, ".") && !streq(entry->d_name, "..");
}

/* A set's folder with the pins in it. */
static int remove_set(const char *path) {
        _cleanup_closedir_ DIR *folder = opendir(path);
        int result = 0;

        if (!folder)
                return errno == ENOENT ? 0 : -errno;
        for (const struct dirent *entry; (entry = readdir(folder));)
                if (is_entry(entry) && unlinkat(dirfd(folder), entry->d_name, 0) < 0 && errno != ENOENT)
                        result = -errno;
        if (result >= 0 && rmdir(path) < 0 && errno != ENOENT)
                result = -errno;
        return result;
}

/* keep: name of the set that stays, or NULL. */
static int remove_sets(const char *path, const char *keep) {
        _cleanup_closedir_ DIR *folder = opendir(path);
        int result = 0, r;

        if (!folder)
                return errno == ENOENT ? 0 : -errno;
        for (const struct dirent *entry; (entry = readdir(folder));) {
                _cleanup_free_ char *set = NULL;

                if (!is_entry(entry) || (keep && streq(entry->d_name, keep)))
                        continue;
                set = join(path, "", entry->d_name);
                if (!set)
                        return -ENOMEM;
                r = remove_set(set);
                if (r < 0)
                        result = r;
        }
        return result;
}

static int pin(const char *folder, const char *prefix, const char *name, int fd) {
        _cleanup_free_ char *path = join(folder, prefix, name);

        if (!path)
                return -ENOMEM;
        return bpf_obj_pin(fd, path);
}

static int pin_set(const char *path, const GuardSet *set) {
        int r;

        r = pins_make_dir(path);
        for (int i = 0; i < _GUARD_MAP_MAX && r >= 0; i++)
                r = pin(path, "map-", guard_map_to_string((GuardMap) i), set->maps[i]);
        for (size_t i = 0; i < set->n_links && r >= 0; i++)
                r = pin(path, "link-", set->links[i].name, set->links[i].fd);
        return r;
}

int guard_pins_keep(const Kernel *kernel, const GuardSet *set) {
        _cleanup_free_ char *folder = join(kernel->bpffs_dir, "", FOLDER), *path = NULL, *staged = NULL;
        char name[NAME_MAX_SIZE];
        int r;

        if (!folder)
                return -ENOMEM;
        r = name_of(set->technique, name);
        if (r < 0)
                return r;
        path = join(folder, "", name);
        staged = join(folder, name, "~");
        if (!path || !staged)
                return -ENOMEM;

        r = pins_make_dir(folder);
        if (r >= 0)
                r = remove_set(staged);
        if (r >= 0)
                r = pin_set(staged, set);
        /* What may be there of the same name was not whole. */
        if (r >= 0)
                r = remove_set(path);
        if (r >= 0 && rename(staged, path) < 0)
                r = -errno;
        if (r < 0) {
                (void) remove_set(staged);
                return r;
        }
        r = remove_sets(folder, name);
        if (r < 0)
                log_warning("Pins of an earlier guard can't be removed from %s: %s", folder, strerror(-r));
        return 0;
}

static int take_pin(const char *path, const char *name, GuardSet *set) {
        _cleanup_free_ char *pin_path = join(path, "", name);
        _cleanup_close_ int fd = -EBADF;
        const char *rest;

        if (!pin_path)
                return -ENOMEM;
        fd = bpf_obj_get(pin_path);
        if (fd < 0)
                return fd;
        rest = startswith(name, "map-");
        if (rest) {
                GuardMap map = guard_map_from_string(rest);

                if ((int) map >= 0 && set->maps[map] < 0)
                        set->maps[map] = TAKE_FD(fd);
                return 0;
        }
        rest = startswith(name, "link-");
        if (rest && set->n_links < GUARD_SET_LINKS_MAX) {
                GuardSetLink *link = &set->links[set->n_links++];

                snprintf(link->name, sizeof(link->name), "%s", rest);
                link->fd = TAKE_FD(fd);
        }
        return 0;
}

static int open_set(const char *path, GuardTechnique technique, GuardSet **ret) {
        _cleanup_closedir_ DIR *folder = opendir(path);
        _cleanup_(guard_set_freep) GuardSet *set = NULL;
        int r;

        if (!folder)
                return -errno;
        r = guard_set_new(technique, &set);
        if (r < 0)
                return r;
        for (const struct dirent *entry; (entry = readdir(folder));) {
                if (!is_entry(entry))
                        continue;
                r = take_pin(path, entry->d_name, set);
                if (r < 0)
                        return r;
        }
        if (!guard_set_is_whole(set))
                return -ENOENT;
        *ret = TAKE_PTR(set);
        return 0;
}

int guard_pins_adopt(const Kernel *kernel, GuardSet **ret, bool *ret_others) {
        _cleanup_free_ char *folder = join(kernel->bpffs_dir, "", FOLDER);
        int r;

        if (!folder)
                return -ENOMEM;
        *ret_others = guard_pins_exist(kernel);
        for (int i = 0; i < _GUARD_TECHNIQUE_MAX; i++) {
                _cleanup_free_ char *path = NULL;
                char name[NAME_MAX_SIZE];

                r = name_of((GuardTechnique) i, name);
                if (r < 0)
                        return r;
                path = join(folder, "", name);
                if (!path)
                        return -ENOMEM;
                r = open_set(path, (GuardTechnique) i, ret);
                if (r != -ENOENT)
                        return r;
        }
        return -ENOENT;
}

int guard_pins_remove(const Kernel *kernel) {
        _cleanup_free_ char *folder = join(kernel->bpffs_dir, "", FOLDER);
        int r;

        if (!folder)
                return -ENOMEM;
        r = remove_sets(folder, NULL);
        if (r >= 0 && rmdir(folder) < 0 && errno != ENOENT)
                r = -errno;
        return r;
}

bool guard_pins_exist(const Kernel *kernel) {
        _cleanup_free_ char *path = join(kernel->bpffs_dir, "", FOLDER);
        _cleanup_closedir_ DIR *folder = path ? opendir(path) : NULL;

        for (const struct dirent *entry; folder && (entry = readdir(folder));)
                if (is_entry(entry))
                        return true;
        return false;
}
