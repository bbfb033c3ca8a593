/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service's source of facts (kernel/hook-facts.h) tells, for test-hook-facts.py: a JSON object a line, first
 * {"complete": …} or {"reason": …}, then one for each fact, or for {"lost": true}. With "count" as an argument facts
 * are only counted; with "programs" those about programs are told as well; with "audit" it is the source of audit
 * records (kernel/audit-records.h), with {"audits": true} and an object for each program loaded. At the end of
 * standard input: {"facts": …, "lost": …}.
 */
#include <json-c/json.h>
#include <time.h>

#include "kernel/audit-records.h"
#include "kernel/hook-facts.h"
#include "util/clock.h"

typedef struct Watch {
        bool count_only;
        int64_t facts, lost;
} Watch;

static void print(json_object *object) {
        puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
        fflush(stdout);
        json_object_put(object);
}

static void add_int(json_object *object, const char *key, int64_t value) {
        json_object_object_add(object, key, json_object_new_int64(value));
}

static void add_text(json_object *object, const char *key, const char *value) {
        json_object_object_add(object, key, json_object_new_string(value ? value : ""));
}

static void add_who(json_object *object, const Culprit *who) {
        add_int(object, "pid", who->pid);
        add_int(object, "uid", who->has_uid ? (int64_t) who->uid : -1);
        add_int(object, "login-uid", who->has_login_uid ? (int64_t) who->login_uid : -1);
        add_text(object, "comm", who->comm);
        add_text(object, "executable", who->executable);
        add_text(object, "command", who->command);
        add_text(object, "cgroup", who->cgroup);
        add_text(object, "unit", who->unit);
        add_text(object, "unknown", who->unknown);
}

static void on_fact(const GuardFact *fact, void *userdata) {
        Watch *watch = userdata;
        json_object *object;

        watch->facts += fact ? 1 : 0;
        watch->lost += fact ? 0 : 1;
        if (watch->count_only)
                return;
        object = json_object_new_object();
        if (!fact) {
                json_object_object_add(object, "lost", json_object_new_boolean(true));
                print(object);
                return;
        }
        add_text(object, "act", guard_act_to_string(fact->act));
        add_int(object, "ifindex", fact->ifindex);
        add_text(object, "hook", fact->hook < 0 ? "" : hook_to_string((Hook) fact->hook));
        add_int(object, "program", fact->program_id);
        add_int(object, "result", fact->result);
        add_int(object, "time", (int64_t) fact->boottime);
        add_int(object, "told", (int64_t) usec_now(CLOCK_BOOTTIME));
        add_who(object, &fact->who);
        print(object);
}

static void on_program(const ProgramFact *fact, void *userdata) {
        json_object *object = json_object_new_object();

        add_text(object, "act", fact->loaded ? "program-loaded" : "program-unloaded");
        add_int(object, "program", fact->program_id);
        add_who(object, &fact->who);
        print(object);
}

static void on_audit(uint32_t program_id, const Culprit *who, void *userdata) {
        Watch *watch = userdata;
        json_object *object = json_object_new_object();

        watch->facts++;
        if (who) {
                add_int(object, "program", program_id);
                add_who(object, who);
        } else
                json_object_object_add(object, "audits", json_object_new_boolean(true));
        print(object);
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata) {
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* What is told already is still taken. */
static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        char buffer[64];

        if (read(fd, buffer, sizeof(buffer)) > 0)
                return 0;
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return sd_event_add_time_relative(sd_event_source_get_event(source), NULL, CLOCK_MONOTONIC, USEC_PER_SEC / 2,
                                          0, on_end, NULL);
}

int main(int argc, char **argv) {
        Watch watch = { .count_only = argc > 1 && streq(argv[1], "count") };
        json_object *object = json_object_new_object();
        _cleanup_(audit_records_freep) AuditRecords *audit = NULL;
        _cleanup_(hook_facts_freep) HookFacts *facts = NULL;
        bool audits = argc > 1 && streq(argv[1], "audit"), programs = argc > 1 && streq(argv[1], "programs");
        const HookFactsHandlers handlers = { on_fact, programs ? on_program : NULL, &watch };
        HookFactsCoverage coverage = {};
        const char *reason = NULL;
        sd_event *event = NULL;
        int r;

        if (!object || sd_event_default(&event) < 0 ||
            sd_event_add_io(event, NULL, STDIN_FILENO, EPOLLIN, on_input, NULL) < 0)
                return EXIT_FAILURE;
        r = audits ? audit_records_new(event, on_audit, &watch, &reason, &audit)
                   : hook_facts_new(event, &handlers, &coverage, &reason, &facts);
        if (r < 0) {
                add_text(object, "reason", reason);
                add_text(object, "error", strerror(-r));
                print(object);
                return EXIT_SUCCESS;
        }
        json_object_object_add(object, "complete", json_object_new_boolean(coverage.complete));
        print(object);
        r = sd_event_loop(event);
        facts = hook_facts_free(facts);
        audit = audit_records_free(audit);
        object = json_object_new_object();
        add_int(object, "facts", watch.facts);
        add_int(object, "lost", watch.lost);
        print(object);
        sd_event_unref(event);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
