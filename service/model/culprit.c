/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/culprit.h"

#define CONTAINER_ID_DIGITS 64

static void take(char *to, size_t size, const char *from, size_t length) {
        length = MIN2(length, size - 1);
        memcpy(to, from, length);
        to[length] = '\0';
}

static bool ends_with(const char *s, size_t length, const char *suffix) {
        size_t n = strlen(suffix);

        return length > n && strncmp(s + length - n, suffix, n) == 0;
}

/* systemd.unit(5): the kinds of units that processes run in. */
static bool is_unit(const char *s, size_t length) {
        return ends_with(s, length, ".service") || ends_with(s, length, ".scope") ||
               ends_with(s, length, ".socket") || ends_with(s, length, ".mount") || ends_with(s, length, ".swap");
}

/* Docker, Podman, containerd and CRI-O name cgroups by the container's id, with or without a word in front and
 * ".scope" behind; LXC and systemd-nspawn by the container's name. */
static bool read_container(Culprit *culprit, const char *s, size_t length) {
        static const char *const prefixes[] = { "lxc.payload.", "machine-" };

        for (size_t i = 0; i + CONTAINER_ID_DIGITS <= length; i++) {
                if (strspn(s + i, "0123456789abcdef") < CONTAINER_ID_DIGITS)
                        continue;
                take(culprit->container, sizeof(culprit->container), s + i, CONTAINER_ID_DIGITS);
                return true;
        }
        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                size_t n = strlen(prefixes[i]);

                if (length <= n || strncmp(s, prefixes[i], n) != 0)
                        continue;
                length -= ends_with(s, length, ".scope") ? n + strlen(".scope") : n;
                take(culprit->container, sizeof(culprit->container), s + n, length);
                return true;
        }
        return false;
}

void culprit_read_cgroup(Culprit *culprit) {
        const char *p = culprit->cgroup;

        culprit->unit[0] = culprit->container[0] = '\0';
        while (*p) {
                size_t length = strcspn(p, "/");

                if (!*culprit->unit && is_unit(p, length))
                        take(culprit->unit, sizeof(culprit->unit), p, length);
                if (!*culprit->container)
                        (void) read_container(culprit, p, length);
                p += length;
                p += *p == '/';
        }
}

char *culprit_describe(const Culprit *culprit) {
        char uid[24] = "";
        char *text;

        if (culprit->pid <= 0)
                return strdup("a process that is not known");
        if (culprit->has_uid)
                snprintf(uid, sizeof(uid), ", uid %u", culprit->uid);
        if (asprintf(&text, "%s (pid %d%s%s%s%s)",
                     strempty_to(culprit->executable, strempty_to(culprit->comm, "a process")), (int) culprit->pid,
                     uid, *culprit->container || *culprit->unit ? ", " : "",
                     *culprit->container ? culprit->container : culprit->unit,
                     culprit->gone ? ", gone by now" : "") < 0)
                return NULL;
        return text;
}
