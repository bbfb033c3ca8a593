/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Records that the kernel, or our programs in it, write about others. The first byte says what the rest is: 'b', 's'
 * and 'l' texts of audit records (of programs, system calls, listeners), 'f' a record of bpf/facts.bpf.c.
 */

#include "bpf/facts.h"
#include "fuzz.h"
#include "kernel/audit-records.h"
#include "kernel/hook-facts.h"

static void check_text(const char *text, size_t size) {
        MUST(strnlen(text, size) < size);
}

static void check_culprit(const Culprit *who) {
        check_text(who->comm, sizeof(who->comm));
        check_text(who->executable, sizeof(who->executable));
        check_text(who->command, sizeof(who->command));
        check_text(who->cgroup, sizeof(who->cgroup));
        check_text(who->unit, sizeof(who->unit));
        check_text(who->container, sizeof(who->container));
        check_text(who->unknown, sizeof(who->unknown));
}

static void fuzz_audit(unsigned type, const uint8_t *data, size_t size) {
        AuditRecord record;
        int r = audit_record_parse(type, (const char *) data, size, &record);

        MUST(r == -EBADMSG || r == 0 || r == 1);
        if (r < 1)
                return;
        MUST(record.kind <= AUDIT_RECORD_LISTENER);
        MUST(record.kind != AUDIT_RECORD_SYSTEM_CALL || record.who.pid > 0);
        check_culprit(&record.who);
}

static void fuzz_fact(const uint8_t *data, size_t size) {
        /* A short input stands for a record that is filled by going through it again and again. */
        struct fact record;
        ProgramFact program;
        GuardFact fact;

        MUST(hook_facts_parse(data, MIN2(size, sizeof(record) - 1), &fact) == -EBADMSG);
        if (size == 0)
                return;
        for (size_t i = 0; i < sizeof(record); i++)
                ((uint8_t *) &record)[i] = data[i % size];
        if (hook_facts_parse_program(&record, sizeof(record), &program) >= 0) {
                MUST(hook_facts_parse(&record, sizeof(record), &fact) == -EBADMSG);
                check_culprit(&program.who);
                return;
        }
        if (hook_facts_parse(&record, sizeof(record), &fact) < 0)
                return;
        MUST(fact.act >= 0 && fact.act < _GUARD_ACT_MAX);
        MUST(fact.hook < _HOOK_MAX);
        MUST(fact.ifindex >= 0 && fact.result <= 0);
        check_culprit(&fact.who);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t *buffer;

        if (size < 1)
                return 0;
        /* Aligned, and with its exact size, so that a sanitizer sees each byte read beyond. */
        buffer = malloc(MAX2(size - 1, (size_t) 1));
        MUST(buffer);
        memcpy(buffer, data + 1, size - 1);
        switch (data[0]) {
        case 'b': fuzz_audit(1334, buffer, size - 1); break;
        case 's': fuzz_audit(1300, buffer, size - 1); break;
        case 'l': fuzz_audit(1335, buffer, size - 1); break;
        case 'f': fuzz_fact(buffer, size - 1); break;
        }
        free(buffer);
        return 0;
}
