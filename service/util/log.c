/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "log.h"

enum { TARGET_STDERR, TARGET_JOURNAL, TARGET_NONE };

static int log_level = LOG_INFO;
static int log_target = TARGET_STDERR;

/* systemd tells by JOURNAL_STREAM=device:inode which stream leads to the journal; see systemd.exec(5). */
static bool stderr_is_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        unsigned long long dev, ino;
        struct stat st;

        if (!e || sscanf(e, "%llu:%llu", &dev, &ino) != 2 || fstat(STDERR_FILENO, &st) < 0)
                return false;
        return st.st_dev == dev && st.st_ino == ino;
}

void log_open(int max_level) {
        log_level = max_level;
        log_target = stderr_is_journal() ? TARGET_JOURNAL : TARGET_STDERR;
}

int log_max_level(void) {
        return log_level;
}

void log_close(void) {
        log_target = TARGET_NONE;
}

typedef struct FieldList {
        struct iovec iov[24];
        int n;
} FieldList;

static void field_list_done(FieldList *list) {
        for (int i = 0; i < list->n; i++)
                free(list->iov[i].iov_base);
}

static void field_add(FieldList *list, const char *name, const char *value) {
        char *text;
        int n;

        if (!value || (size_t) list->n >= ELEMENTSOF(list->iov))
                return;
        n = asprintf(&text, "%s=%s", name, value);
        if (n < 0)
                return;
        list->iov[list->n++] = (struct iovec){ text, (size_t) n };
}

static void log_to_journal(int level, const LogFields *fields, const char *message) {
        _cleanup_(field_list_done) FieldList list = {};
        char number[24];

        snprintf(number, sizeof(number), "%d", level);
        field_add(&list, "MESSAGE", message);
        field_add(&list, "PRIORITY", number);
        field_add(&list, "SYSLOG_IDENTIFIER", "bpfchaind");
        if (fields) {
                field_add(&list, "BPFCHAIN_INTERFACE", fields->interface);
                field_add(&list, "BPFCHAIN_HOOK", fields->hook);
                field_add(&list, "BPFCHAIN_PROGRAM", fields->program);
                field_add(&list, "BPFCHAIN_DOCUMENT", fields->document);
                field_add(&list, "BPFCHAIN_DETAIL", fields->detail);
                field_add(&list, "MESSAGE_ID", fields->message_id);
                field_add(&list, "BPFCHAIN_ACT", fields->act);
                field_add(&list, "BPFCHAIN_VERDICT", fields->verdict);
                field_add(&list, "BPFCHAIN_RULE", fields->rule);
                field_add(&list, "BPFCHAIN_SOURCE", fields->source);
                field_add(&list, "BPFCHAIN_PROGRAM_ID", fields->program_id);
                field_add(&list, "BPFCHAIN_CULPRIT_PID", fields->culprit_pid);
                field_add(&list, "BPFCHAIN_CULPRIT_UID", fields->culprit_uid);
                field_add(&list, "BPFCHAIN_CULPRIT_EXE", fields->culprit_executable);
                field_add(&list, "BPFCHAIN_CULPRIT_UNIT", fields->culprit_unit);
                if (fields->generation > 0) {
                        snprintf(number, sizeof(number), "%llu", (unsigned long long) fields->generation);
                        field_add(&list, "BPFCHAIN_GENERATION", number);
                }
        }
        (void) sd_journal_sendv(list.iov, list.n);
}

void log_internal(int level, const LogFields *fields, const char *format, ...) {
        _cleanup_free_ char *message = NULL;
        int saved = errno;
        va_list ap;
        int r;

        if (level > log_level || log_target == TARGET_NONE)
                return;

        va_start(ap, format);
        r = vasprintf(&message, format, ap);
        va_end(ap);
        if (r < 0) {
                message = NULL;
                return;
        }

        if (log_target == TARGET_JOURNAL)
                log_to_journal(level, fields, message);
        else
                fprintf(stderr, "%s\n", message);
        errno = saved;
}
