/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A source of the guard: what is removed from, or renamed in, the folders of our pins. By fanotify, which tells the
 * process (bpffs takes it since kernel 6.6 or so; it takes CAP_SYS_ADMIN), else by inotify, which does not and takes
 * no right.
 */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "util/macros.h"

typedef struct PinWatch PinWatch;

typedef struct PinFact {
        pid_t pid;      /* who, 0: not told */
        char name[256]; /* of the pin in its folder, empty: not told, or a whole folder */
        bool moved;     /* renamed, or moved away */
        bool lost;      /* events were lost, or a folder is gone: look at all pins */
        bool grown;     /* a folder has come: pin_watch_refresh() */
} PinFact;

/* Own changes are told as well; who is ourselves then, where it is told. */
typedef void (*PinWatchHandler)(const PinFact *fact, void *userdata);

/* folders: NULL-terminated paths, copied; one that does not exist is passed over. tree: the same of one whose folders
 * are watched too, as they come and go, or NULL. */
int pin_watch_new(sd_event *event, char *const *folders, const char *tree, PinWatchHandler handler, void *userdata,
                  const char **ret_reason, PinWatch **ret);
PinWatch *pin_watch_free(PinWatch *watch); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(PinWatch *, pin_watch_free)

/* Is the process told? */
bool pin_watch_tells_who(const PinWatch *watch);

/* Are there folders that did not exist when it was tried last? */
bool pin_watch_misses_some(const PinWatch *watch);

/* Folders that were made anew are watched; to be called when one had gone or come. */
void pin_watch_refresh(PinWatch *watch);

/* The pure parsers of what is read from the two. The length of the first event in data (aligned to eight bytes), with
 * ret filled, or -EBADMSG. A descriptor that comes with an event of fanotify is the caller's to close: *ret_fd, else
 * -EBADF. */
int pin_watch_parse_fanotify(const void *data, size_t size, PinFact *ret, int *ret_fd);
int pin_watch_parse_inotify(const void *data, size_t size, PinFact *ret);
