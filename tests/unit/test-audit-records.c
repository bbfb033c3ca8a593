/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "check.h"
#include "kernel/audit-records.h"
#include "util/macros.h"

#define SYSCALL   1300
#define PROCTITLE 1327
#define PROGRAM   1334
#define LISTENER  1335

#define STAMP "audit(1574867053.120:84664): "
#define CALL                                                                                                         \
        STAMP "arch=c000003e syscall=%d success=yes exit=3 a0=5 a1=7ffea484fbe0 a2=70 a3=0 items=0 ppid=7477 "       \
              "pid=12698 auid=1001 uid=0 gid=0 euid=4 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts2 ses=4 "

/* In memory of its exact size, so that a sanitizer or valgrind sees each byte read too many. */
static int parse(unsigned type, const char *text, AuditRecord *ret) {
        size_t n = strlen(text);
        char *copy = malloc(n > 0 ? n : 1);
        int r;

        assert_non_null(copy);
        memcpy(copy, text, n);
        r = audit_record_parse(type, copy, n, ret);
        free(copy);
        return r;
}

static void test_programs(void **state) {
        AuditRecord record;

        assert_int_equal(parse(PROGRAM, STAMP "prog-id=76 op=LOAD", &record), 1);
        assert_int_equal(record.kind, AUDIT_RECORD_PROGRAM_LOADED);
        assert_int_equal(record.serial, 84664);
        assert_int_equal(record.program_id, 76);
        assert_int_equal(parse(PROGRAM, STAMP "prog-id=4294967295 op=LOAD\n", &record), 1);
        assert_int_equal(record.program_id, UINT32_MAX);
        assert_int_equal(parse(PROGRAM, STAMP "prog-id=76 op=UNLOAD", &record), 0);
        assert_int_equal(parse(LISTENER, STAMP "pid=1 uid=0 nl-mcgrp=1 op=connect res=1", &record), 1);
        assert_int_equal(record.kind, AUDIT_RECORD_LISTENER);
        assert_int_equal(parse(PROCTITLE, STAMP "proctitle=\"x\"", &record), 0);
}

static int parse_call(int number, const char *rest, AuditRecord *ret) {
        char text[1024];

        assert_true(snprintf(text, sizeof(text), CALL "%s", number, rest) < (int) sizeof(text));
        return parse(SYSCALL, text, ret);
}

static void test_system_calls(void **state) {
        AuditRecord record;

        assert_int_equal(parse_call(SYS_bpf, "comm=\"bpftool\" exe=\"/usr/sbin/bpftool\" key=(null)", &record), 1);
        assert_int_equal(record.kind, AUDIT_RECORD_SYSTEM_CALL);
        assert_int_equal(record.serial, 84664);
        assert_int_equal(record.who.pid, 12698);
        assert_true(record.who.has_uid && record.who.uid == 0);
        assert_true(record.who.has_effective_uid && record.who.effective_uid == 4);
        assert_true(record.who.has_login_uid && record.who.login_uid == 1001);
        assert_string_equal(record.who.comm, "bpftool");
        assert_string_equal(record.who.executable, "/usr/sbin/bpftool");
        assert_int_equal(parse_call(SYS_bpf + 1, "comm=\"x\"", &record), 0);
        assert_int_equal(parse(SYSCALL, STAMP "arch=c000003e syscall=1 success=yes", &record), -EBADMSG);

        /* "a b pid=1", which the kernel writes as digits for its blanks */
        assert_int_equal(parse_call(SYS_bpf, "comm=6120622070C3A964 exe=2F746D702F612062 pid=1", &record), 1);
        assert_int_equal(record.who.pid, 12698);
        assert_string_equal(record.who.comm, "a b p\xc3\xa9"
                                             "d");
        assert_string_equal(record.who.executable, "/tmp/a b");
        assert_int_equal(parse_call(SYS_bpf, "comm=(null) exe=(null)", &record), 1);
        assert_string_equal(record.who.comm, "");
        assert_int_equal(parse_call(SYS_bpf, "comm=\"never ends", &record), 1);
        assert_string_equal(record.who.comm, "");
}

static void test_nobody_logged_in(void **state) {
        AuditRecord record;
        char text[512];

        assert_true(snprintf(text, sizeof(text), STAMP "arch=c000003e syscall=%d pid=5 auid=4294967295 uid=7",
                             (int) SYS_bpf) < (int) sizeof(text));
        assert_int_equal(parse(SYSCALL, text, &record), 1);
        assert_false(record.who.has_login_uid);
        assert_true(record.who.has_uid && record.who.uid == 7);
        /* a call that failed loaded nothing */
        assert_true(snprintf(text, sizeof(text), STAMP "arch=c000003e syscall=%d success=no pid=5", (int) SYS_bpf) <
                    (int) sizeof(text));
        assert_int_equal(parse(SYSCALL, text, &record), 0);
}

static void test_long_names_are_cut(void **state) {
        AuditRecord record;
        char rest[900] = "exe=\"";

        memset(rest + 5, '/', 700);
        strcpy(rest + 705, "\"");
        assert_int_equal(parse_call(SYS_bpf, rest, &record), 1);
        assert_int_equal(strlen(record.who.executable), sizeof(record.who.executable) - 1);
        memcpy(rest, "exe=2", 5);
        memset(rest + 5, 'F', 801);
        rest[806] = '\0';
        assert_int_equal(parse_call(SYS_bpf, rest, &record), 1);
        assert_int_equal(strlen(record.who.executable), sizeof(record.who.executable) - 1);
}

static void test_what_the_kernel_would_not_write(void **state) {
        static const char *const texts[] = {
                "",
                "audit(",
                "audit(1.5:7",
                "audit(1.5:7)",
                "audit(1.1000:7): prog-id=1 op=LOAD",
                "audit(x.5:7): prog-id=1 op=LOAD",
                "audit(1.5:99999999999999999999): prog-id=1 op=LOAD",
                "audit(1.5:7): prog-id=4294967296 op=LOAD",
                "audit(1.5:7): prog-id=-1 op=LOAD",
                "audit(1.5:7): prog-id=1",
                "audit(1.5:7): xprog-id=1 op=LOAD",
                "audit(1.5:7): prog-id= op=LOAD",
        };
        static char large[9001];
        AuditRecord record;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                assert_int_equal(parse(PROGRAM, texts[i], &record), -EBADMSG);
        memset(large, 'a', sizeof(large) - 1);
        assert_int_equal(parse(PROGRAM, large, &record), -EBADMSG);
}

/* What goes through the filter, of one datagram. */
static bool passes(int *pair, unsigned type, const char *text) {
        struct {
                struct nlmsghdr header;
                char text[1024];
        } message = { .header = { .nlmsg_type = (uint16_t) type } }, answer;
        size_t n = strlen(text);

        memcpy(message.text, text, n);
        assert_true(send(pair[0], &message, NLMSG_HDRLEN + n, 0) >= 0 || errno == EPERM);
        return recv(pair[1], &answer, sizeof(answer), MSG_DONTWAIT) > 0;
}

static void test_filter(void **state) {
        char text[512];
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(audit_records_attach_filter(pair[1]), 0);
        assert_true(passes(pair, PROGRAM, STAMP "prog-id=76 op=LOAD"));
        assert_true(passes(pair, LISTENER, STAMP "pid=1"));
        assert_false(passes(pair, PROCTITLE, STAMP "proctitle=\"x\""));
        assert_false(passes(pair, 1400, STAMP "avc: denied"));
        assert_false(passes(pair, SYSCALL, ""));
        for (uint64_t serial = 1; serial <= UINT32_MAX; serial *= 10) {
                assert_true(snprintf(text, sizeof(text),
                                     "audit(1574867053.120:%llu): arch=c000003e syscall=%d success=yes",
                                     (unsigned long long) serial, (int) SYS_bpf) > 0);
                assert_true(passes(pair, SYSCALL, text));
                assert_true(snprintf(text, sizeof(text),
                                     "audit(1574867053.120:%llu): arch=c000003e syscall=%d success=yes",
                                     (unsigned long long) serial, (int) SYS_bpf - 1) > 0);
                assert_false(passes(pair, SYSCALL, text));
                assert_true(snprintf(text, sizeof(text),
                                     "audit(1574867053.120:%llu): arch=c000003e syscall=%d0 success=no",
                                     (unsigned long long) serial, (int) SYS_bpf) > 0);
                assert_false(passes(pair, SYSCALL, text));
        }
        close(pair[0]);
        close(pair[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_programs),
                cmocka_unit_test(test_system_calls),
                cmocka_unit_test(test_nobody_logged_in),
                cmocka_unit_test(test_long_names_are_cut),
                cmocka_unit_test(test_what_the_kernel_would_not_write),
                cmocka_unit_test(test_filter),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
