/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the guard's sources read. The first byte says what the rest is: 'p' records of a perf ring, 't' a datagram of
 * netlink messages about qdiscs and filters, 'f' and 'i' what fanotify and inotify gave, 's', 'u', 'g' and 'c' texts
 * of /proc (stat, status, cgroup, cmdline).
 */

#include "fuzz.h"
#include "kernel/culprits.h"
#include "kernel/perf-record.h"
#include "kernel/pin-watch.h"
#include "kernel/tc-message.h"

static void check_text(const char *text, size_t size) {
        MUST(strnlen(text, size) < size);
}

static void fuzz_perf(const uint8_t *data, size_t size) {
        for (size_t at = 0; at < size;) {
                PerfRecord record;
                int n = perf_record_parse(data + at, size - at, &record);

                MUST(n == -EBADMSG || (n >= 8 && (size_t) n <= size - at));
                if (n < 0)
                        break;
                MUST(record.type <= PERF_RECORD_EVENTS_LOST);
                at += (size_t) n;
        }
}

static void fuzz_tc(const uint8_t *data, size_t size) {
        for (size_t at = 0; at + sizeof(struct nlmsghdr) <= size;) {
                const struct nlmsghdr *header = (const struct nlmsghdr *) (data + at);
                TcFact fact;
                int r = tc_message_parse(header, size - at, &fact);

                MUST(r == -EBADMSG || r == 0 || r == 1);
                if (r == 1) {
                        MUST(fact.ifindex > 0);
                        MUST(!fact.filter || fact.hook == HOOK_TC_INGRESS || fact.hook == HOOK_TC_EGRESS);
                        check_text(fact.kind, sizeof(fact.kind));
                }
                at += MAX2(NLMSG_ALIGN(header->nlmsg_len), sizeof(struct nlmsghdr));
        }
}

static void fuzz_pins(const uint8_t *data, size_t size, bool fanotify) {
        for (size_t at = 0; at < size;) {
                PinFact fact;
                int fd = -EBADF;
                int n = fanotify ? pin_watch_parse_fanotify(data + at, size - at, &fact, &fd)
                                 : pin_watch_parse_inotify(data + at, size - at, &fact);

                MUST(n == -EBADMSG || (n > 0 && (size_t) n <= size - at));
                if (n < 0)
                        break;
                check_text(fact.name, sizeof(fact.name));
                MUST(fact.pid >= 0);
                at += (size_t) n;
        }
}

static void fuzz_text(char kind, const char *text, size_t size) {
        Culprit culprit = {};
        uint64_t started;
        uint32_t uid, effective;

        switch (kind) {
        case 's': (void) culprits_parse_stat(text, &started); break;
        case 'u': (void) culprits_parse_uid(text, &uid, &effective); break;
        case 'c':
                culprits_parse_command(text, size, culprit.command, sizeof(culprit.command));
                check_text(culprit.command, sizeof(culprit.command));
                for (const char *p = culprit.command; *p; p++)
                        MUST((unsigned char) *p >= ' ');
                break;
        case 'g':
                if (culprits_parse_cgroup(text, culprit.cgroup, sizeof(culprit.cgroup)) < 0)
                        break;
                check_text(culprit.cgroup, sizeof(culprit.cgroup));
                MUST(culprit.cgroup[0] == '/');
                culprit_read_cgroup(&culprit);
                check_text(culprit.unit, sizeof(culprit.unit));
                check_text(culprit.container, sizeof(culprit.container));
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *text;
        uint8_t *buffer;

        if (size < 1)
                return 0;
        /* Aligned, and with its exact size, so that a sanitizer sees each byte read beyond. */
        buffer = malloc(MAX2(size - 1, (size_t) 1));
        text = malloc(size);
        MUST(buffer && text);
        memcpy(buffer, data + 1, size - 1);
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        switch (data[0]) {
        case 'p': fuzz_perf(buffer, size - 1); break;
        case 't': fuzz_tc(buffer, size - 1); break;
        case 'f': fuzz_pins(buffer, size - 1, true); break;
        case 'i': fuzz_pins(buffer, size - 1, false); break;
        default: fuzz_text((char) data[0], text, size - 1);
        }
        free(buffer);
        free(text);
        return 0;
}
