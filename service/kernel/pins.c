/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "kernel/pins.h"
#include "util/log.h"

#define BPFFS_DEFAULT "/sys/fs/bpf"

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

static const char *const pin_kind_table[_PIN_KIND_MAX] = {
        [PIN_LINK] = "links",
        [PIN_PROGRAM] = "programs",
        [PIN_COUNTERS] = "counters",
        [PIN_SLOTS] = "slots",
};

DEFINE_STRING_TABLE(pin_kind, PinKind, _PIN_KIND_MAX)

/* 1: on a bpffs, 0: on something else, negative errno: no such folder and the like. */
static int on_bpffs(const char *path) {
        struct statfs fs;

        if (statfs(path, &fs) < 0)
                return -errno;
        return (uint32_t) fs.f_type == BPF_FS_MAGIC;
}

int pins_make_dir(const char *path) {
        struct stat st;

        if (mkdir(path, 0700) >= 0)
                return 0;
        if (errno != EEXIST)
                return -errno;
        if (lstat(path, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0022))
                return -EPERM;
        return 0;
}

/* Makes sure that the folder above ours is on a bpffs. */
static int prepare_parent(const char *dir, Error *error) {
        _cleanup_free_ char *parent = strdup(dir);
        char *slash;
        int r;

        if (!parent)
                return -ENOMEM;
        slash = strrchr(parent, '/');
        if (!slash || slash == parent)
                return error_set(error, ERROR_INVALID_ARGUMENT,
                                 "\"%s\" can't be a folder for pins; name one on a bpffs, such as %s/bpfchain.", dir,
                                 BPFFS_DEFAULT);
        *slash = '\0';

        r = on_bpffs(parent);
        if (r == 0 && streq(parent, BPFFS_DEFAULT)) {
                if (mount("bpf", parent, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
                        return error_set(error, ERROR_FAILED,
                                         "No bpffs is mounted on %s, and mounting one failed: %s. Chains can't be "
                                         "kept without; mount it by hand (mount -t bpf bpf %s).",
                                         parent, strerror(errno), parent);
                log_notice("Mounted a bpffs on %s", parent);
                return 0;
        }
        if (r < 0)
                return error_set(error, ERROR_FAILED,
                                 "The folder %s for pins can't be used: %s. Mount a bpffs there.", parent,
                                 strerror(-r));
        if (r == 0)
                return error_set(error, ERROR_FAILED,
                                 "%s is not on a bpffs, where links must be pinned. Mount one (mount -t bpf bpf %s) "
                                 "or choose a folder that is on one.",
                                 parent, parent);
        return 0;
}

int pins_prepare(Kernel *kernel, Error *error) {
        int r;

        r = on_bpffs(kernel->bpffs_dir);
        if (r <= 0) {
                r = prepare_parent(kernel->bpffs_dir, error);
                if (r < 0)
                        return r;
        }

        r = pins_make_dir(kernel->bpffs_dir);
        for (int kind = 0; r >= 0 && kind < _PIN_KIND_MAX; kind++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s/%s", kernel->bpffs_dir, pin_kind_to_string(kind)) < 0)
                        return -ENOMEM;
                r = pins_make_dir(path);
        }
        if (r == -EPERM)
                return error_set(error, ERROR_FAILED,
                                 "The folder %s for pins, or one in it, can't be made, or belongs to another user or "
                                 "may be written by others. See who made it, and remove it.",
                                 kernel->bpffs_dir);
        if (r < 0)
                return error_set(error, ERROR_FAILED, "The folder %s for pins can't be made: %s.", kernel->bpffs_dir,
                                 strerror(-r));
        return 0;
}

int pins_path(const Kernel *kernel, PinKind kind, int ifindex, Hook hook, char **ret) {
        char *path;

        if (asprintf(&path, "%s/%s/if%d-%s", kernel->bpffs_dir, pin_kind_to_string(kind), ifindex,
                     hook_to_string(hook)) < 0)
                return -ENOMEM;
        *ret = path;
        return 0;
}

int pins_parse_name(const char *name, int *ret_ifindex, Hook *ret_hook) {
        const char *digits = startswith(name, "if");
        char *end;
        long ifindex;
        Hook hook;

        if (!digits || digits[0] < '1' || digits[0] > '9')
                return -EINVAL;
        errno = 0;
        ifindex = strtol(digits, &end, 10);
        if (errno != 0 || ifindex > INT32_MAX || *end != '-')
                return -EINVAL;
        hook = hook_from_string(end + 1);
        if ((int) hook < 0)
                return -EINVAL;

        *ret_ifindex = (int) ifindex;
        *ret_hook = hook;
        return 0;
}

static char *staged_path(const char *path) {
        char *staged;

        return asprintf(&staged, "%s~", path) < 0 ? NULL : staged;
}

int pins_stage(int fd, const char *path) {
        _cleanup_free_ char *staged = staged_path(path);

        if (!staged)
                return -ENOMEM;
        if (unlink(staged) < 0 && errno != ENOENT)
                return -errno;
        return bpf_obj_pin(fd, staged);
}

int pins_finish(const char *path) {
        _cleanup_free_ char *staged = staged_path(path);

        if (!staged)
                return -ENOMEM;
        return rename(staged, path) < 0 ? -errno : 0;
}

int pins_replace(int fd, const char *path) {
        int r;

        r = pins_stage(fd, path);
        if (r < 0)
                return r;
        return pins_finish(path);
}

int pins_open(const char *path, bool staged) {
        _cleanup_free_ char *other = staged ? staged_path(path) : NULL;

        if (staged && !other)
                return -ENOMEM;
        return bpf_obj_get(staged ? other : path);
}

void pins_remove(const char *path) {
        _cleanup_free_ char *staged = staged_path(path);

        (void) unlink(path);
        if (staged)
                (void) unlink(staged);
}

void pins_remove_staged(const Kernel *kernel, int ifindex, Hook hook) {
        for (int kind = 0; kind < _PIN_KIND_MAX; kind++) {
                _cleanup_free_ char *path = NULL, *staged = NULL;

                if (pins_path(kernel, kind, ifindex, hook, &path) < 0)
                        continue;
                staged = staged_path(path);
                if (staged)
                        (void) unlink(staged);
        }
}

void pins_remove_hook(const Kernel *kernel, int ifindex, Hook hook) {
        for (int kind = 0; kind < _PIN_KIND_MAX; kind++) {
                _cleanup_free_ char *path = NULL;

                if (pins_path(kernel, kind, ifindex, hook, &path) >= 0)
                        pins_remove(path);
        }
}
