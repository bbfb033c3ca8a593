/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/who.h"
#include "kernel/culprits.h"

#define DELETED " (deleted)"

_Static_assert(WHO_TEXT <= CULPRIT_TEXT, "texts of the kernel's record fit");

/* A text that stands at the end of its place, or begins there. */
static void read_text(const char *text, size_t at, bool cut, char *ret, size_t size) {
        if (at >= WHO_TEXT)
                at = WHO_TEXT - 1;
        snprintf(ret, size, "%s%.*s", cut ? "…" : "", (int) strnlen(text + at, WHO_TEXT - at), text + at);
}

static void strip_deleted(char *path) {
        size_t n = strlen(path), suffix = strlen(DELETED);

        if (n > suffix && streq(path + n - suffix, DELETED))
                path[n - suffix] = '\0';
}

void who_read(const struct who *who, Culprit *ret) {
        *ret = (Culprit){
                .pid = (pid_t) who->tgid,
                .tid = (pid_t) who->tid,
                .has_uid = true,
                .uid = who->uid,
                .has_effective_uid = true,
                .effective_uid = who->euid,
                .has_login_uid = who->login_uid != WHO_NO_LOGIN_UID,
                .login_uid = who->login_uid,
        };
        memcpy(ret->comm, who->comm, sizeof(who->comm) - 1);

        read_text(who->exe, who->exe_at, who->exe_cut, ret->executable, sizeof(ret->executable));
        if (who->exe_deleted)
                strip_deleted(ret->executable);
        if (!*ret->executable)
                snprintf(ret->unknown, sizeof(ret->unknown),
                         "the executable: it is a thread of the kernel, or was about to end");

        read_text(who->cgroup, who->cgroup_at, who->cgroup_cut, ret->cgroup, sizeof(ret->cgroup));
        if (!*ret->cgroup)
                snprintf(ret->cgroup, sizeof(ret->cgroup), "/");
        culprit_read_cgroup(ret);
        culprits_parse_command(who->args, MIN2((size_t) who->args_size, (size_t) WHO_TEXT - 1), ret->command,
                               sizeof(ret->command));
}
