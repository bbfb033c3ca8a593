/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the guard's sources read. The first byte says what the rest is: 'p' records of a perf ring, 't' a datagram of
 * netlink messages about qdiscs and filters, 'f' and 'i' what fanotify and inotify gave, 's', 'u', 'g' and 'c' texts
 * of /proc (stat, status, cgroup, cmdline), 'a' events of the guard's programs, which the model is told of, 'j' a
 * policy.
 */

#include "fuzz.h"
#include "kernel/culprits.h"
#include "kernel/guard-events.h"
#include "kernel/perf-record.h"
#include "kernel/pin-watch.h"
#include "kernel/tc-message.h"
#include "model/manager.h"
#include "model/settings.h"
#include "util/log.h"

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

static int no_name(void *userdata, uint32_t program_id, char ret[16]) {
        return -ENOENT;
}

static const KernelOps ops = { .program_name = no_name };

static Manager *make_manager(void) {
        Manager *manager = NULL;

        log_close();
        MUST(manager_new(NULL, &ops, NULL, NULL, NULL, &manager) >= 0);
        return manager;
}

static void check_events(Guard *guard, uint64_t told) {
        const GuardEvent **events _cleanup_free_ = NULL;
        GuardPolicy policy = GUARD_POLICY_DEFAULT;
        GuardJudgement *list _cleanup_free_ = NULL;
        uint64_t counted = 0;
        size_t n;

        MUST(guard_get_events(guard, 0, SIZE_MAX, &events, &n) >= 0);
        MUST(n <= GUARD_ALL_KEPT);
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *text = guard_event_describe(events[i]);

                MUST(text && *text);
                check_text(events[i]->detail, sizeof(events[i]->detail));
                check_text(events[i]->pin, sizeof(events[i]->pin));
                counted += events[i]->count;
        }
        MUST(guard_statistics(guard)->attempts == told && counted <= told);
        policy.loading = GUARD_LOADING_NETWORKING;
        MUST(guard_judge(guard, &policy, &list, &n) >= 0);
        for (size_t i = 0; i < n; i++)
                check_text(list[i].by, sizeof(list[i].by));
}

static void fuzz_attempts(const uint8_t *data, size_t size) {
        Manager *manager = make_manager();
        Guard *guard = NULL;
        uint64_t told = 0;

        MUST(guard_new(manager, &GUARD_SETTINGS_DEFAULT, &guard) >= 0);
        for (size_t at = 0; at < size; at += sizeof(struct guard_bpf_event)) {
                struct guard_bpf_event event;
                GuardAttempt attempt;
                size_t length = MIN2(size - at, sizeof(event));

                memcpy(&event, data + at, length);
                if (guard_events_parse(&event, length, &attempt) < 0)
                        continue;
                MUST(length == sizeof(event));
                check_text(attempt.pin, sizeof(attempt.pin));
                check_text(attempt.who.executable, sizeof(attempt.who.executable));
                check_text(attempt.who.command, sizeof(attempt.who.command));
                guard_note_attempt(guard, &attempt);
                told++;
        }
        check_events(guard, told);
        guard_free(guard);
        manager_free(manager);
}

/* What is taken stays what it is when it is written down and read again. */
static void fuzz_policy(const char *text, size_t size) {
        GuardSettings settings = {}, again = {};
        _cleanup_error_ Error error = ERROR_INIT, other = ERROR_INIT;
        _cleanup_json_ json_object *value = NULL;
        const char *written;
        char weakness[256];

        if (settings_read_guard(text, size, &settings, &error) < 0) {
                MUST(error_is_set(&error) && *error.message);
                return;
        }
        MUST(settings.policy.n_allow <= GUARD_ALLOW_MAX);
        value = guard_policy_to_json(&settings.policy);
        MUST(value);
        written = json_object_to_json_string(value);
        MUST(settings_read_guard(written, strlen(written), &again, &other) >= 0);
        MUST(again.policy.protect == settings.policy.protect && again.policy.n_allow == settings.policy.n_allow);
        for (size_t i = 0; i < again.policy.n_allow; i++)
                MUST(again.policy.allow[i].kind == settings.policy.allow[i].kind &&
                     again.policy.allow[i].rules == settings.policy.allow[i].rules &&
                     again.policy.allow[i].uid == settings.policy.allow[i].uid);
        (void) guard_policy_check(&settings.policy, &other);
        if (guard_policy_weakness(&settings.policy, weakness))
                check_text(weakness, sizeof(weakness));
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
        case 'a': fuzz_attempts(buffer, size - 1); break;
        case 'j': fuzz_policy(text, size - 1); break;
        default: fuzz_text((char) data[0], text, size - 1);
        }
        free(buffer);
        free(text);
        return 0;
}
