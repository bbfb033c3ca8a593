/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>

#include "kernel/pin-watch.h"
#include "util/strv.h"

#define EVENTS_AT_ONCE 64 /* reads, so that a storm does not starve others */
#define CHANGES        (FAN_DELETE | FAN_MOVED_FROM | FAN_ONDIR)

struct PinWatch {
        PinWatchHandler handler;
        void *userdata;
        char **folders;
        char *tree;   /* or NULL */
        bool missing; /* some did not exist */
        int fanotify; /* -EBADF: not to be had here */
        int inotify;  /* for what fanotify does not tell, that a folder goes or bpffs is unmounted; or for all */
        sd_event_source *sources[2];
};

PinWatch *pin_watch_free(PinWatch *watch) {
        if (!watch)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(watch->sources); i++)
                sd_event_source_unref(watch->sources[i]);
        safe_close(watch->fanotify);
        safe_close(watch->inotify);
        strv_free(watch->folders);
        free(watch->tree);
        free(watch);
        return NULL;
}

bool pin_watch_tells_who(const PinWatch *watch) {
        return watch->fanotify >= 0;
}

/* The name is behind the folder's file handle, fanotify(7). */
static void read_name(const uint8_t *info, size_t length, PinFact *fact) {
        const size_t fixed = sizeof(struct fanotify_event_info_fid) + sizeof(struct file_handle);
        struct file_handle handle;
        size_t at, n;

        if (length < fixed)
                return;
        memcpy(&handle, info + sizeof(struct fanotify_event_info_fid), sizeof(handle));
        if (handle.handle_bytes > length - fixed)
                return;
        at = fixed + handle.handle_bytes;
        n = strnlen((const char *) info + at, MIN2(length - at, sizeof(fact->name) - 1));
        memcpy(fact->name, info + at, n);
        fact->name[n] = '\0';
}

int pin_watch_parse_fanotify(const void *data, size_t size, PinFact *ret, int *ret_fd) {
        struct fanotify_event_metadata meta;
        const uint8_t *p = data;
        PinFact fact = {};
        size_t at;

        if (size < sizeof(meta))
                return -EBADMSG;
        memcpy(&meta, p, sizeof(meta));
        if (meta.vers != FANOTIFY_METADATA_VERSION || meta.event_len < sizeof(meta) || meta.event_len > size ||
            meta.metadata_len < sizeof(meta) || meta.metadata_len > meta.event_len)
                return -EBADMSG;

        fact.pid = MAX2(meta.pid, 0);
        fact.moved = meta.mask & FAN_MOVED_FROM;
        fact.lost = meta.mask & FAN_Q_OVERFLOW;
        for (at = meta.metadata_len; meta.event_len - at >= sizeof(struct fanotify_event_info_header);) {
                struct fanotify_event_info_header header;

                memcpy(&header, p + at, sizeof(header));
                if (header.len < sizeof(header) || header.len > meta.event_len - at)
                        return -EBADMSG;
                if (header.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME)
                        read_name(p + at, header.len, &fact);
                at += header.len;
        }
        *ret = fact;
        *ret_fd = meta.fd >= 0 ? meta.fd : -EBADF;
        return (int) meta.event_len;
}

int pin_watch_parse_inotify(const void *data, size_t size, PinFact *ret) {
        struct inotify_event event;
        PinFact fact = {};
        size_t n;

        if (size < sizeof(event))
                return -EBADMSG;
        memcpy(&event, data, sizeof(event));
        if (event.len > size - sizeof(event))
                return -EBADMSG;
        fact.moved = event.mask & IN_MOVED_FROM;
        fact.grown = event.mask & (IN_CREATE | IN_MOVED_TO);
        fact.lost = event.mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED);
        n = strnlen((const char *) data + sizeof(event), MIN2((size_t) event.len, sizeof(fact.name) - 1));
        memcpy(fact.name, (const char *) data + sizeof(event), n);
        *ret = fact;
        return (int) (sizeof(event) + event.len);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        PinWatch *watch = userdata;
        uint8_t buffer[8192] __attribute__((aligned(8)));

        for (unsigned i = 0; i < EVENTS_AT_ONCE; i++) {
                ssize_t n = read(fd, buffer, sizeof(buffer));

                if (n <= 0)
                        break;
                for (size_t at = 0; at < (size_t) n;) {
                        int carried = -EBADF, r;
                        PinFact fact;

                        r = fd == watch->fanotify
                                    ? pin_watch_parse_fanotify(buffer + at, (size_t) n - at, &fact, &carried)
                                    : pin_watch_parse_inotify(buffer + at, (size_t) n - at, &fact);
                        if (r < 0) {
                                fact = (PinFact){ .lost = true };
                                at = (size_t) n;
                        } else
                                at += (size_t) r;
                        safe_close(carried);
                        watch->handler(&fact, watch->userdata);
                }
        }
        return 0;
}

/* A mark on what is marked already changes nothing. What does not exist is passed over. */
static int mark_folder(PinWatch *watch, const char *folder, uint32_t inotify) {
        unsigned flags = FAN_MARK_ADD | FAN_MARK_ONLYDIR | FAN_MARK_DONT_FOLLOW;
        int r = 0;

        if (watch->fanotify >= 0 && fanotify_mark(watch->fanotify, flags, CHANGES, AT_FDCWD, folder) < 0)
                r = -errno;
        /* Folders that only fanotify sees to take no watch of inotify, which tells when they go whoever did it. */
        if (watch->fanotify < 0)
                inotify |= IN_DELETE | IN_MOVED_FROM;
        if (r >= 0 && inotify != 0 &&
            inotify_add_watch(watch->inotify, folder, inotify | IN_ONLYDIR | IN_DONT_FOLLOW) < 0)
                r = -errno;
        if (r != -ENOENT)
                return r;
        watch->missing = true;
        return 0;
}

static int mark_tree(PinWatch *watch) {
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *entry;
        int r;

        r = mark_folder(watch, watch->tree, IN_DELETE_SELF | IN_MOVE_SELF | IN_CREATE | IN_MOVED_TO);
        if (r < 0)
                return r;
        dir = opendir(watch->tree);
        while (dir && (entry = readdir(dir))) {
                _cleanup_free_ char *path = NULL;

                if (entry->d_name[0] == '.' || entry->d_name[0] == '_' || entry->d_type != DT_DIR)
                        continue; /* about to take another's place, or to go */
                if (asprintf(&path, "%s/%s", watch->tree, entry->d_name) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = mark_folder(watch, path, 0);
                if (r < 0 && r != -ENOTDIR)
                        return r;
        }
        return 0;
}

static int mark_folders(PinWatch *watch) {
        watch->missing = false;
        STRV_FOREACH (folder, watch->folders) {
                int r = mark_folder(watch, *folder, IN_DELETE_SELF | IN_MOVE_SELF);

                if (r < 0)
                        return r;
        }
        return watch->tree ? mark_tree(watch) : 0;
}

bool pin_watch_misses_some(const PinWatch *watch) {
        return watch->missing;
}

void pin_watch_refresh(PinWatch *watch) {
        (void) mark_folders(watch);
}

static int open_both(PinWatch *watch, sd_event *event) {
        int r;

        watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (watch->inotify < 0)
                return -errno;
        /* Without CAP_SYS_ADMIN there would be one as well, which tells no pids. Unlimited marks are not needed: they
         * are refused then. */
        watch->fanotify = fanotify_init(
                FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_UNLIMITED_MARKS | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
        r = mark_folders(watch);
        if (r < 0 && watch->fanotify >= 0) {
                watch->fanotify = safe_close(watch->fanotify);
                r = mark_folders(watch);
        }
        if (r >= 0)
                r = sd_event_add_io(event, &watch->sources[0], watch->inotify, EPOLLIN, on_readable, watch);
        if (r >= 0 && watch->fanotify >= 0)
                r = sd_event_add_io(event, &watch->sources[1], watch->fanotify, EPOLLIN, on_readable, watch);
        return r;
}

int pin_watch_new(sd_event *event, char *const *folders, const char *tree, PinWatchHandler handler, void *userdata,
                  const char **ret_reason, PinWatch **ret) {
        _cleanup_(pin_watch_freep) PinWatch *watch = calloc(1, sizeof(PinWatch));
        int r;

        *ret_reason = "neither fanotify nor inotify can watch the folders of the pins";
        if (!watch)
                return -ENOMEM;
        *watch = (PinWatch){ .handler = handler, .userdata = userdata, .fanotify = -EBADF, .inotify = -EBADF };
        STRV_FOREACH (folder, folders)
                if (strv_append(&watch->folders, *folder) < 0)
                        return -ENOMEM;
        if (tree) {
                watch->tree = strdup(tree);
                if (!watch->tree)
                        return -ENOMEM;
        }
        r = open_both(watch, event);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(watch);
        return 0;
}
