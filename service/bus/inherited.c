/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "bus/inherited.h"
#include "util/log.h"
#include "util/strv.h"

/* Where a unit names none, systemd gives the descriptor the unit's name. */
static bool name_fits(const char *name, int n) {
        return streq(name, INHERITED_NAME) || streq(name, "bpfchaind.socket") || (n == 1 && streq(name, "unknown"));
}

/* NULL: it does. */
static const char *why_unfit(int fd, const char *name, int n) {
        int flags;

        if (!name_fits(name, n))
                return "its name is not \"" INHERITED_NAME "\"";
        if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
                return "it is no Unix stream socket that listens";
        /* A client that is gone by the time that it is accepted must not stop us. */
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return "it can't be made non-blocking";
        return NULL;
}

int inherited_private_socket(void) {
        _cleanup_strv_ char **names = NULL;
        int found = -EBADF, n;

        n = sd_listen_fds_with_names(true, &names);
        if (n < 0)
                log_warning("What descriptors were handed over can't be told: %s", strerror(-n));
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;
                const char *why = found >= 0 ? "there is one already" : why_unfit(fd, names[i], n);

                if (!why) {
                        found = fd;
                        continue;
                }
                log_warning(
                        "The descriptor %d, \"%.64s\", that was handed over for the private socket is not used: %s",
                        fd, names[i], why);
                safe_close(fd);
        }
        return found;
}
