/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kernel/audit-records.h"

/* include/uapi/linux/audit.h; headers of older distributions lack some. */
#define UAPI_AUDIT_SYSCALL        1300
#define UAPI_AUDIT_BPF            1334 /* since 5.5 */
#define UAPI_AUDIT_EVENT_LISTENER 1335 /* since 5.8 */

#define RECORD_MAX     8992 /* AUDIT_MESSAGE_TEXT_MAX and the header, rounded up */
#define EVENTS_AT_ONCE 256  /* so that a storm does not starve others */
#define RECEIVE_BUFFER (512 * 1024)
/* Loads whose system call is yet to come: more than that are never under way. */
#define PENDING 64
/* "audit(1574867053.120:" and, behind the serial number, "): arch=c000003e syscall=". */
#define SERIAL_AT     21
#define SYSCALL_AFTER 25
#define SERIAL_DIGITS 10

struct AuditRecords {
        AuditRecordsHandler handler;
        void *userdata;
        int fd;
        sd_event_source *source;
        bool heard;
        struct {
                uint64_t serial;
                uint32_t program_id;
        } pending[PENDING];
        unsigned next;
};

AuditRecords *audit_records_free(AuditRecords *records) {
        if (!records)
                return NULL;
        sd_event_source_unref(records->source);
        safe_close(records->fd);
        free(records);
        return NULL;
}

/* Decimal digits, with something else behind them. */
static int parse_number(const char *p, uint64_t max, uint64_t *ret, const char **ret_end) {
        uint64_t value = 0;

        if (*p < '0' || *p > '9')
                return -EBADMSG;
        for (; *p >= '0' && *p <= '9'; p++) {
                if (value > (max - (uint64_t) (*p - '0')) / 10)
                        return -EBADMSG;
                value = value * 10 + (uint64_t) (*p - '0');
        }
        *ret = value;
        if (ret_end)
                *ret_end = p;
        return 0;
}

/* Behind " key=". What processes name themselves can't be taken for it: the kernel writes names with blanks or
 * quotes in them as hexadecimal digits. */
static const char *find_field(const char *text, const char *key) {
        size_t n = strlen(key);

        for (const char *p = strchr(text, ' '); p; p = strchr(p + 1, ' '))
                if (strncmp(p + 1, key, n) == 0 && p[1 + n] == '=')
                        return p + n + 2;
        return NULL;
}

static int find_u32(const char *text, const char *key, uint32_t *ret) {
        const char *p = find_field(text, key);
        uint64_t value;
        int r;

        if (!p)
                return -EBADMSG;
        r = parse_number(p, UINT32_MAX, &value, NULL);
        if (r >= 0)
                *ret = (uint32_t) value;
        return r;
}

static int digit_of(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In quotes, or as hexadecimal digits; "(null)" and "?" are nothing. */
static void find_text(const char *text, const char *key, char *ret, size_t size) {
        const char *p = find_field(text, key);
        size_t n = 0;

        ret[0] = '\0';
        if (!p)
                return;
        if (*p == '"') {
                n = strcspn(p + 1, "\"");
                if (p[1 + n] != '"')
                        return;
                n = MIN2(n, size - 1);
                memcpy(ret, p + 1, n);
        } else
                while (n < size - 1 && digit_of(p[0]) >= 0 && digit_of(p[1]) >= 0) {
                        char c = (char) (digit_of(p[0]) << 4 | digit_of(p[1]));

                        ret[n++] = c ? c : ' ';
                        p += 2;
                }
        ret[n] = '\0';
}

static int parse_program(const char *text, AuditRecord *record) {
        const char *op = find_field(text, "op");
        int r = find_u32(text, "prog-id", &record->program_id);

        if (r < 0 || !op)
                return -EBADMSG;
        record->kind = AUDIT_RECORD_PROGRAM_LOADED;
        return startswith(op, "LOAD") ? 1 : 0;
}

static int parse_system_call(const char *text, AuditRecord *record) {
        const char *success = find_field(text, "success");
        Culprit *who = &record->who;
        uint32_t number, pid;

        if (find_u32(text, "syscall", &number) < 0 || find_u32(text, "pid", &pid) < 0 || pid == 0 || pid > INT32_MAX)
                return -EBADMSG;
        if (number != SYS_bpf || (success && !startswith(success, "yes")))
                return 0;
        record->kind = AUDIT_RECORD_SYSTEM_CALL;
        who->pid = (pid_t) pid;
        who->has_uid = find_u32(text, "uid", &who->uid) >= 0;
        who->has_effective_uid = find_u32(text, "euid", &who->effective_uid) >= 0;
        who->has_login_uid = find_u32(text, "auid", &who->login_uid) >= 0 && who->login_uid != UINT32_MAX;
        find_text(text, "comm", who->comm, sizeof(who->comm));
        find_text(text, "exe", who->executable, sizeof(who->executable));
        return 1;
}

int audit_record_parse(unsigned type, const char *text, size_t size, AuditRecord *ret) {
        char copy[RECORD_MAX + 1];
        AuditRecord record = {};
        uint64_t number;
        const char *p;
        int r;

        if (type != UAPI_AUDIT_SYSCALL && type != UAPI_AUDIT_BPF && type != UAPI_AUDIT_EVENT_LISTENER)
                return 0;
        if (size > RECORD_MAX)
                return -EBADMSG;
        memcpy(copy, text, size);
        copy[size] = '\0';

        /* "audit(SECONDS.MILLISECONDS:SERIAL): " */
        p = startswith(copy, "audit(");
        if (!p || parse_number(p, UINT64_MAX, &number, &p) < 0 || *p++ != '.' ||
            parse_number(p, 999, &number, &p) < 0 || *p++ != ':' ||
            parse_number(p, UINT64_MAX, &record.serial, &p) < 0 || !startswith(p, "): "))
                return -EBADMSG;
        p += strlen("):");

        if (type == UAPI_AUDIT_BPF)
                r = parse_program(p, &record);
        else if (type == UAPI_AUDIT_SYSCALL)
                r = parse_system_call(p, &record);
        else {
                record.kind = AUDIT_RECORD_LISTENER;
                r = 1;
        }
        if (r > 0)
                *ret = record;
        return r;
}

static void take_record(AuditRecords *records, const AuditRecord *record) {
        if (!records->heard) {
                records->heard = true;
                records->handler(0, NULL, records->userdata);
        }
        switch (record->kind) {
        case AUDIT_RECORD_LISTENER: break;
        case AUDIT_RECORD_PROGRAM_LOADED:
                records->pending[records->next].serial = record->serial;
                records->pending[records->next].program_id = record->program_id;
                records->next = (records->next + 1) % PENDING;
                break;
        case AUDIT_RECORD_SYSTEM_CALL:
                for (unsigned i = 0; i < PENDING; i++)
                        if (records->pending[i].program_id > 0 && records->pending[i].serial == record->serial) {
                                records->handler(records->pending[i].program_id, &record->who, records->userdata);
                                records->pending[i].program_id = 0;
                        }
                break;
        }
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        AuditRecords *records = userdata;
        union {
                struct nlmsghdr header;
                char bytes[NLMSG_HDRLEN + RECORD_MAX];
        } buffer;

        for (unsigned i = 0; i < EVENTS_AT_ONCE; i++) {
                struct sockaddr_nl from = {};
                socklen_t length = sizeof(from);
                ssize_t n = recvfrom(fd, &buffer, sizeof(buffer), 0, (struct sockaddr *) &from, &length);
                AuditRecord record;

                if (n < 0 && errno == ENOBUFS)
                        continue; /* what was lost is only less complete */
                if (n < 0)
                        break;
                /* Only the kernel has port 0. Its length has counted the header on some kernels and not on others. */
                if (length != sizeof(from) || from.nl_pid != 0 || n < (ssize_t) NLMSG_HDRLEN)
                        continue;
                if (audit_record_parse(buffer.header.nlmsg_type, buffer.bytes + NLMSG_HDRLEN,
                                       (size_t) n - NLMSG_HDRLEN, &record) > 0)
                        take_record(records, &record);
        }
        return 0;
}

/* Accepts the records wanted: those of system calls only where their number is that of bpf(2), which stands at one of
 * ten places, for the serial number in front of it has one to ten digits. */
int audit_records_attach_filter(int fd) {
        enum { HEAD = 5, EACH = 4, TAIL = 2 };
        struct sock_filter code[HEAD + SERIAL_DIGITS * EACH + TAIL];
        char number[16];
        struct sock_fprog program = { .filter = code };
        const unsigned types[] = { UAPI_AUDIT_BPF, UAPI_AUDIT_EVENT_LISTENER, UAPI_AUDIT_SYSCALL };
        unsigned n = 0, accept = ELEMENTSOF(code) - 1;

        /* "=321", as a word, with a blank behind: no architecture has another number of digits. */
        if (snprintf(number, sizeof(number), "=%d ", (int) SYS_bpf) != 5)
                return -EOPNOTSUPP;
        code[n++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type));
        for (unsigned i = 0; i < 2; i++, n++)
                code[n] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons((uint16_t) types[i]),
                                                        (uint8_t) (accept - n - 1), 0);
        code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons((uint16_t) types[2]), 1, 0);
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, 0);
        for (unsigned digits = 1; digits <= SERIAL_DIGITS; digits++) {
                uint32_t word, at = NLMSG_HDRLEN + SERIAL_AT + digits + SYSCALL_AFTER - 1;

                memcpy(&word, number, sizeof(word));
                code[n++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at);
                code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(word), 0, 2);
                code[n++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at + 4);
                code[n] =
                        (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ' ', (uint8_t) (accept - n - 1), 0);
                n++;
        }
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, 0);
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
        program.len = (unsigned short) n;
        return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}

static int listen_to_records(int fd) {
        int group = AUDIT_NLGRP_READLOG;

        return setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0 ? -errno : 0;
}

/* A host that audits records who listens, which tells that it does. Whether the record of our own listening comes to
 * us is a matter of chance; that of a second listener, for a moment, does. */
static void ask_for_a_sign(void) {
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);

        if (fd >= 0)
                (void) listen_to_records(fd);
}

static int open_socket(AuditRecords *records, const char **ret_reason) {
        struct sockaddr_nl address = { .nl_family = AF_NETLINK };
        int size = RECEIVE_BUFFER, r;

        *ret_reason = "this kernel has no auditing";
        records->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_AUDIT);
        if (records->fd < 0)
                return -errno;
        (void) setsockopt(records->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        *ret_reason = "the kernel does not take a filter of its records";
        r = audit_records_attach_filter(records->fd);
        if (r < 0)
                return r;
        *ret_reason = "a socket for its records can't be bound";
        if (bind(records->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        *ret_reason = "the kernel's audit records take CAP_AUDIT_READ";
        r = listen_to_records(records->fd);
        if (r >= 0)
                ask_for_a_sign();
        return r;
}

int audit_records_new(sd_event *event, AuditRecordsHandler handler, void *userdata, const char **ret_reason,
                      AuditRecords **ret) {
        _cleanup_(audit_records_freep) AuditRecords *records = calloc(1, sizeof(AuditRecords));
        int r;

        *ret_reason = "out of memory";
        if (!records)
                return -ENOMEM;
        *records = (AuditRecords){ .handler = handler, .userdata = userdata, .fd = -EBADF };
        r = open_socket(records, ret_reason);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &records->source, records->fd, EPOLLIN, on_readable, records);
        /* Behind what it completes. */
        if (r >= 0)
                r = sd_event_source_set_priority(records->source, SD_EVENT_PRIORITY_IDLE + 1);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(records->source, "audit-records");
        *ret = TAKE_PTR(records);
        return 0;
}
