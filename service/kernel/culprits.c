/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "kernel/culprits.h"
#include "util/clock.h"

#define CULPRITS_KEPT 64
/* A process that was looked at so short a time ago is not read again: one that loads programs without end costs no
 * more than one that loads a few. It may exec within that time, so it is short. */
#define FRESH_USEC (20 * USEC_PER_MSEC)
/* A pid is not given to another process so soon, even where all of them are used up in turn. */
#define REMEMBERED_USEC (2 * USEC_PER_SEC)
#define PROC_TEXT       4096

typedef struct Entry {
        Culprit culprit;
        uint64_t started; /* of the process, clock ticks since boot */
        uint64_t read_at; /* microseconds, CLOCK_MONOTONIC; 0: free */
} Entry;

struct Culprits {
        char *proc;
        Entry entries[CULPRITS_KEPT];
};

int culprits_new(const char *proc, Culprits **ret) {
        _cleanup_(culprits_freep) Culprits *culprits = calloc(1, sizeof(Culprits));

        if (!culprits)
                return -ENOMEM;
        culprits->proc = strdup(proc);
        if (!culprits->proc)
                return -ENOMEM;
        *ret = TAKE_PTR(culprits);
        return 0;
}

Culprits *culprits_free(Culprits *culprits) {
        if (!culprits)
                return NULL;
        free(culprits->proc);
        free(culprits);
        return NULL;
}

static const char *skip_digits(const char *s) {
        return s + strspn(s, "0123456789");
}

int culprits_parse_stat(const char *text, uint64_t *ret_started) {
        /* The name, second field, may hold anything, brackets and blanks too: what counts is the last bracket. The
         * time of start is field 22, proc_pid_stat(5). */
        const char *p = strrchr(text, ')');
        unsigned long long started;

        if (!p)
                return -EBADMSG;
        for (unsigned field = 2; field < 22; field++) {
                p = strchr(p, ' ');
                if (!p)
                        return -EBADMSG;
                p++;
        }
        if (*p < '0' || *p > '9' || skip_digits(p) - p > 20)
                return -EBADMSG;
        errno = 0;
        started = strtoull(p, NULL, 10);
        if (errno != 0)
                return -EBADMSG;
        *ret_started = started;
        return 0;
}

static int parse_u32(const char *p, uint32_t *ret) {
        unsigned long long value;

        if (*p < '0' || *p > '9' || skip_digits(p) - p > 10)
                return -EBADMSG;
        value = strtoull(p, NULL, 10);
        if (value > UINT32_MAX)
                return -EBADMSG;
        *ret = (uint32_t) value;
        return 0;
}

int culprits_parse_uid(const char *status, uint32_t *ret, uint32_t *ret_effective) {
        const char *p = startswith(status, "Uid:");
        uint32_t uid, effective;
        int r;

        if (!p) {
                p = strstr(status, "\nUid:");
                if (!p)
                        return -EBADMSG;
                p += strlen("\nUid:");
        }
        p += strspn(p, " \t");
        r = parse_u32(p, &uid);
        if (r < 0)
                return r;
        p = skip_digits(p);
        r = parse_u32(p + strspn(p, " \t"), &effective);
        if (r < 0)
                return r;
        *ret = uid;
        if (ret_effective)
                *ret_effective = effective;
        return 0;
}

int culprits_parse_cgroup(const char *text, char *ret, size_t size) {
        const char *found = NULL;
        size_t length;

        /* "0::/path" is the unified hierarchy; where systemd still runs on the old ones, its own has the path. */
        for (const char *line = text; *line;) {
                const char *end = line + strcspn(line, "\n");
                const char *path = memchr(line, ':', (size_t) (end - line));
                const char *controllers = path ? path + 1 : NULL;

                path = controllers ? memchr(controllers, ':', (size_t) (end - controllers)) : NULL;
                if (path && path[1] == '/' &&
                    (startswith(controllers, "name=systemd:") ||
                     (startswith(line, "0::") && (!found || end - path > 2))))
                        found = path + 1;
                line = *end ? end + 1 : end;
        }
        if (!found)
                return -EBADMSG;
        length = MIN2(strcspn(found, "\n"), size - 1);
        memcpy(ret, found, length);
        ret[length] = '\0';
        return 0;
}

void culprits_parse_command(const char *text, size_t n, char *ret, size_t size) {
        size_t length = MIN2(n, size - 1);

        while (length > 0 && text[length - 1] == '\0')
                length--;
        for (size_t i = 0; i < length; i++)
                ret[i] = (unsigned char) text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
        ret[length] = '\0';
}

/* A text of the process, with a NUL behind. Bytes read, or a negative errno. */
static ssize_t read_text(const Culprits *culprits, pid_t pid, const char *name, char *buffer, size_t size) {
        _cleanup_close_ int fd = -EBADF;
        char path[CULPRIT_TEXT];
        ssize_t n;

        if (snprintf(path, sizeof(path), "%s/%d/%s", culprits->proc, (int) pid, name) >= (int) sizeof(path))
                return -ENAMETOOLONG;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, buffer, size - 1);
        if (n < 0)
                return -errno;
        buffer[n] = '\0';
        return n;
}

static void read_executable(const Culprits *culprits, Culprit *culprit) {
        char path[CULPRIT_TEXT];
        ssize_t n;

        if (snprintf(path, sizeof(path), "%s/%d/exe", culprits->proc, (int) culprit->pid) >= (int) sizeof(path))
                return;
        n = readlink(path, culprit->executable, sizeof(culprit->executable) - 1);
        if (n < 0 && errno == EACCES)
                snprintf(culprit->unknown, sizeof(culprit->unknown),
                         "the executable: reading it takes CAP_SYS_PTRACE");
        culprit->executable[MAX2(n, 0)] = '\0';
}

static bool is_alive(const Culprits *culprits, pid_t pid, uint64_t *ret_started) {
        char text[PROC_TEXT];

        return read_text(culprits, pid, "stat", text, sizeof(text)) > 0 &&
               culprits_parse_stat(text, ret_started) >= 0;
}

/* Everything; a process that ends meanwhile leaves the rest empty. */
static void read_process(const Culprits *culprits, Culprit *culprit) {
        char text[PROC_TEXT];
        ssize_t n;

        read_executable(culprits, culprit);
        n = read_text(culprits, culprit->pid, "cmdline", text, sizeof(text));
        if (n > 0)
                culprits_parse_command(text, (size_t) n, culprit->command, sizeof(culprit->command));
        n = read_text(culprits, culprit->pid, "comm", culprit->comm, sizeof(culprit->comm));
        if (n > 0)
                culprit->comm[strcspn(culprit->comm, "\n")] = '\0';
        if (read_text(culprits, culprit->pid, "status", text, sizeof(text)) > 0)
                culprit->has_uid = culprit->has_effective_uid =
                        culprits_parse_uid(text, &culprit->uid, &culprit->effective_uid) >= 0;
        if (read_text(culprits, culprit->pid, "loginuid", text, sizeof(text)) > 0)
                culprit->has_login_uid =
                        parse_u32(text, &culprit->login_uid) >= 0 && culprit->login_uid != UINT32_MAX;
        if (read_text(culprits, culprit->pid, "cgroup", text, sizeof(text)) > 0 &&
            culprits_parse_cgroup(text, culprit->cgroup, sizeof(culprit->cgroup)) >= 0)
                culprit_read_cgroup(culprit);
        if (!*culprit->executable && !*culprit->unknown)
                snprintf(culprit->unknown, sizeof(culprit->unknown),
                         "the executable: the process had ended before it could be read, or is the kernel's own");
}

static Entry *find(Culprits *culprits, pid_t pid) {
        for (size_t i = 0; i < CULPRITS_KEPT; i++)
                if (culprits->entries[i].read_at > 0 && culprits->entries[i].culprit.pid == pid)
                        return &culprits->entries[i];
        return NULL;
}

static Entry *oldest(Culprits *culprits) {
        Entry *entry = &culprits->entries[0];

        for (size_t i = 1; i < CULPRITS_KEPT; i++)
                if (culprits->entries[i].read_at < entry->read_at)
                        entry = &culprits->entries[i];
        return entry;
}

void culprits_look(Culprits *culprits, pid_t pid, pid_t tid, Culprit *ret) {
        uint64_t now = usec_now(CLOCK_MONOTONIC), started = 0;
        Entry *entry;

        *ret = (Culprit){ .pid = MAX2(pid, 0), .tid = tid };
        if (pid <= 0) {
                snprintf(ret->unknown, sizeof(ret->unknown), "nothing on this host tells who it was");
                return;
        }
        entry = find(culprits, pid);
        if (entry && now - entry->read_at < FRESH_USEC) {
                *ret = entry->culprit;
                ret->tid = tid;
                return;
        }
        if (!is_alive(culprits, pid, &started)) {
                if (entry && now - entry->read_at < REMEMBERED_USEC)
                        *ret = entry->culprit;
                else
                        snprintf(ret->unknown, sizeof(ret->unknown),
                                 "all but the pid: the process had ended before it could be looked at");
                ret->tid = tid;
                ret->gone = true;
                return;
        }

        read_process(culprits, ret);
        if (!*ret->comm && entry && entry->started == started)
                *ret = entry->culprit; /* it ended while it was read */
        else if (!*ret->comm)
                ret->gone = true;
        if (!entry)
                entry = oldest(culprits);
        *entry = (Entry){ .culprit = *ret, .started = started, .read_at = now };
}

static void fill(char *to, size_t size, const char *from) {
        if (!*to)
                snprintf(to, size, "%s", from);
}

void culprits_complete(Culprits *culprits, Culprit *who) {
        uint64_t started;
        Culprit seen;

        if (who->pid <= 0)
                return;
        who->gone = !is_alive(culprits, who->pid, &started);
        if (who->gone || (*who->executable && *who->command && *who->cgroup))
                return;
        culprits_look(culprits, who->pid, who->tid, &seen);
        who->gone = seen.gone;
        /* It may be another program by now. */
        if (*who->executable && !streq(who->executable, seen.executable))
                return;
        fill(who->executable, sizeof(who->executable), seen.executable);
        fill(who->comm, sizeof(who->comm), seen.comm);
        fill(who->command, sizeof(who->command), seen.command);
        if (!*who->cgroup) {
                fill(who->cgroup, sizeof(who->cgroup), seen.cgroup);
                culprit_read_cgroup(who);
        }
        if (*who->executable)
                snprintf(who->unknown, sizeof(who->unknown), "%s", seen.unknown);
}
