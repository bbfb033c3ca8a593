/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/guard-bus.h"

#include "bus/context.h"
#include "bus/options.h"
#include "bus/wire.h"
#include "model/settings.h"
#include "util/json.h"
#include "util/log.h"

#define MODE_AS_CONFIGURED "settings"

static int append_text(sd_bus_message *message, const char *key, const char *text) {
        return strempty(text) ? 0 : wire_append_entry_string(message, key, text);
}

/* basis: NULL where nothing ties the process to an act. */
static int append_who(sd_bus_message *message, const Culprit *who, const char *basis) {
        int r = 0;

        if (who->pid > 0)
                r = wire_append_entry_u32(message, "pid", (uint32_t) who->pid);
        if (r >= 0 && who->tid > 0)
                r = wire_append_entry_u32(message, "tid", (uint32_t) who->tid);
        if (r >= 0 && who->has_uid)
                r = wire_append_entry_u32(message, "uid", who->uid);
        if (r >= 0 && who->has_effective_uid)
                r = wire_append_entry_u32(message, "effective-uid", who->effective_uid);
        if (r >= 0 && who->has_login_uid)
                r = wire_append_entry_u32(message, "login-uid", who->login_uid);

        const struct {
                const char *key, *text;
        } texts[] = {
                { "name", who->comm },       { "executable", who->executable },
                { "command", who->command }, { "cgroup", who->cgroup },
                { "unit", who->unit },       { "container", who->container },
                { "unknown", who->unknown }, { "basis", basis },
        };
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(texts); i++)
                r = append_text(message, texts[i].key, texts[i].text);
        if (r >= 0)
                r = sd_bus_message_append(message, "{sv}", "gone", "b", (int) who->gone);
        return r;
}

static int append_who_entry(sd_bus_message *message, const Culprit *who, const char *basis) {
        int r;

        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(message, "s", "who");
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'v', "a{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = append_who(message, who, basis);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(message);
        return r;
}

static int append_what(sd_bus_message *message, const GuardEvent *event) {
        _cleanup_free_ char *sentence = guard_event_describe(event);
        int r;

        r = wire_append_entry_u64(message, "sequence", event->sequence);
        if (r >= 0)
                r = wire_append_entry_u64(message, "time", event->realtime);
        if (r >= 0)
                r = wire_append_entry_u64(message, "boot-time", event->boottime);
        if (r >= 0)
                r = wire_append_entry_string(message, "what", guard_act_to_string(event->act));
        if (r >= 0)
                r = wire_append_entry_string(message, "verdict", guard_verdict_to_string(event->verdict));
        if (r >= 0)
                r = append_text(message, "rule", guard_rule_to_string((GuardRule) event->rule));
        if (r >= 0)
                r = wire_append_entry_string(message, "outcome", guard_outcome_to_string(event->outcome));
        if (r >= 0)
                r = wire_append_entry_string(message, "source", event->source);
        if (r >= 0)
                r = wire_append_entry_u64(message, "count", event->count);
        if (r >= 0)
                r = append_text(message, "interface", event->interface);
        if (r >= 0 && event->hook >= 0)
                r = append_text(message, "hook", hook_to_string((Hook) event->hook));
        if (r >= 0)
                r = append_text(message, "pin", event->pin);
        if (r >= 0 && event->program_id > 0)
                r = wire_append_entry_u32(message, "program-id", event->program_id);
        if (r >= 0)
                r = append_text(message, "program-name", event->program_name);
        if (r >= 0)
                r = append_text(message, "detail", event->detail);
        return r < 0 ? r : append_text(message, "sentence", sentence);
}

int guard_append_event(sd_bus_message *message, const GuardEvent *event) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = append_what(message, event);
        if (r >= 0)
                r = append_who_entry(message, &event->who, event->basis);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int method_get_events(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const GuardEvent **events _cleanup_free_ = NULL;
        BusContext *context = userdata;
        const Guard *guard = manager_guard(context->manager);
        uint64_t since;
        uint32_t max;
        size_t n = 0;
        int r;

        r = sd_bus_message_read(message, "tu", &since, &max);
        if (r < 0)
                return r;
        if (guard)
                r = guard_get_events(guard, since, max == 0 ? GUARD_ALL_KEPT : max, &events, &n);
        if (r >= 0)
                r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = guard_append_event(reply, events[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* Handlers of calls about a guard; there is none in some tests. */
static int require_guard(BusContext *context, Guard **ret, sd_bus_error *ret_error) {
        *ret = manager_guard(context->manager);
        return *ret ? 0 : bus_error_failf(ret_error, ERROR_NOT_SUPPORTED, "This service has no guard.");
}

static int read_mode(const char *word, int *ret, sd_bus_error *ret_error) {
        if (streq(word, MODE_AS_CONFIGURED)) {
                *ret = -1;
                return 0;
        }
        *ret = (int) guard_mode_from_string(word);
        if (*ret >= 0)
                return 0;
        return bus_error_failf(
                ret_error, ERROR_INVALID_ARGUMENT,
                "\"%.64s\" is no mode; those are off, observe, enforce, and settings (what these say).", word);
}

static int method_set_mode(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_error_ Error error = ERROR_INIT;
        BusContext *context = userdata;
        PolkitDetail details[] = { { "mode", NULL }, {} };
        Guard *guard = NULL;
        const char *word;
        Options options;
        int mode = 0, r;

        r = sd_bus_message_read(message, "s", &word);
        if (r < 0)
                return r;
        r = options_read(message, OPTION_FORCE, &options, ret_error);
        if (r >= 0)
                r = read_mode(word, &mode, ret_error);
        if (r < 0)
                return r;
        details[0].value = word;
        r = polkit_check(context->polkit, message, POLKIT_MANAGE_GUARD, details, strlen(word), ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = require_guard(context, &guard, ret_error);
        if (r < 0)
                return r;
        log_notice("The guard's mode is to be %s, says %s", mode < 0 ? "as the settings say" : word,
                   bus_context_origin(context, message));
        r = guard_set_mode(guard, mode, options.force, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "The guard's mode");
        changes_flush(context);
        return sd_bus_reply_method_return(message, NULL);
}

static int append_judgement(sd_bus_message *message, const GuardJudgement *judgement) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = wire_append_entry_string(message, "rule", guard_rule_to_string(judgement->rule));
        if (r >= 0)
                r = wire_append_entry_string(message, "what", guard_act_to_string(judgement->act));
        if (r >= 0)
                r = sd_bus_message_append(message, "{sv}", "allowed", "b", (int) judgement->allowed);
        if (r >= 0)
                r = append_text(message, "by", judgement->by);
        if (r >= 0)
                r = wire_append_entry_u64(message, "count", judgement->count);
        if (r >= 0)
                r = wire_append_entry_u64(message, "first", judgement->first);
        if (r >= 0)
                r = wire_append_entry_u64(message, "last", judgement->last);
        if (r >= 0)
                r = append_who_entry(message, &judgement->who, NULL);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int reply_judgements(sd_bus_message *message, const GuardJudgement *list, size_t n, const char *objection) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_judgement(reply, &list[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = wire_append_string(reply, objection);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* What speaks against it in the mode in which it would refuse, "": nothing. */
static void find_objection(const GuardPolicy *policy, char ret[512]) {
        GuardPolicy enforced = *policy;
        _cleanup_error_ Error error = ERROR_INIT;
        char weakness[256];

        ret[0] = '\0';
        enforced.mode = GUARD_MODE_ENFORCE;
        if (guard_policy_check(&enforced, &error) < 0)
                snprintf(ret, 512, "%s", strna(error.message));
        else if (guard_policy_weakness(&enforced, weakness))
                snprintf(ret, 512, "%s", weakness);
}

static int method_test(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        GuardJudgement *list _cleanup_free_ = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        BusContext *context = userdata;
        GuardSettings settings;
        Guard *guard = NULL;
        char objection[512];
        Options options;
        size_t size, n = 0;
        int r;

        r = options_read(message, OPTION_POLICY, &options, ret_error);
        if (r < 0)
                return r;
        size = options.policy ? strlen(options.policy) : 0;
        if (size > JSON_DOCUMENT_MAX)
                return bus_error_failf(ret_error, ERROR_LIMIT_EXCEEDED,
                                       "The policy has %zu bytes; at most %u are taken.", size, JSON_DOCUMENT_MAX);
        r = polkit_check(context->polkit, message, POLKIT_INSPECT, NULL, size, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = require_guard(context, &guard, ret_error);
        if (r < 0)
                return r;
        settings = *guard_settings(guard);
        if (options.policy)
                r = settings_read_guard(options.policy, size, &settings, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "The policy");
        r = guard_judge(guard, &settings.policy, &list, &n);
        if (r < 0)
                return r;
        find_objection(&settings.policy, objection);
        return reply_judgements(message, list, n, objection);
}

static int property_mode(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        const Guard *guard = manager_guard(context->manager);
        GuardMode mode = GUARD_MODE_OFF;

        if (guard)
                mode = streq(property, "Mode")         ? (GuardMode) guard_state(guard)->mode
                       : streq(property, "ModeWanted") ? guard_mode_wanted(guard, NULL)
                                                       : guard_settings(guard)->policy.mode;
        return sd_bus_message_append(reply, "s", guard_mode_to_string(mode));
}

static int property_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        static const GuardState none = {};
        BusContext *context = userdata;
        const Guard *guard = manager_guard(context->manager);
        const GuardState *state = guard ? guard_state(guard) : &none;

        if (streq(property, "Pinned"))
                return sd_bus_message_append(reply, "b", (int) state->pinned);
        return wire_append_string(reply, streq(property, "Reason") ? state->reason : state->technique);
}

static int property_policy(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        const Guard *guard = manager_guard(context->manager);
        _cleanup_json_ json_object *policy = NULL;

        if (guard) {
                policy = guard_policy_to_json(&guard_settings(guard)->policy);
                if (!policy)
                        return -ENOMEM;
        }
        return wire_append_json(reply, policy);
}

static int append_counters(sd_bus_message *reply, GuardRule rule, const GuardRuleCounters *counters) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sa{st}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", guard_rule_to_string(rule));
        if (r >= 0)
                r = sd_bus_message_append(reply, "a{st}", 3, "refused", counters->refused, "would-refuse",
                                          counters->would_refuse, "allowed", counters->allowed);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_counters(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        GuardRuleCounters counters[_GUARD_RULE_MAX] = {};
        BusContext *context = userdata;
        const Guard *guard = manager_guard(context->manager);
        int r = 0;

        /* Properties are asked for all at once: what can't be read now does not keep the others back. */
        if (guard && guard_rule_counters(guard, counters) < 0)
                memset(counters, 0, sizeof(counters));
        r = sd_bus_message_open_container(reply, 'a', "{sa{st}}");
        for (GuardRule rule = 0; r >= 0 && rule < _GUARD_RULE_MAX; rule++)
                r = append_counters(reply, rule, &counters[rule]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_sources(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        const Guard *guard = manager_guard(context->manager);
        const char *const *names = NULL, *const *reasons = NULL;
        size_t n = guard ? guard_sources(guard, &names, &reasons) : 0;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = wire_append_entry_string(reply, names[i], reasons[i] ? reasons[i] : "available");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_figure(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        static const GuardStatistics none = {};
        BusContext *context = userdata;
        const Guard *guard = manager_guard(context->manager);
        const GuardStatistics *statistics = guard ? guard_statistics(guard) : &none;

        return sd_bus_message_append(reply, "t",
                                     streq(property, "Events")     ? statistics->events
                                     : streq(property, "Attempts") ? statistics->attempts
                                     : streq(property, "Loads")    ? statistics->loads
                                     : streq(property, "Unloads")  ? statistics->unloads
                                     : streq(property, "Dropped")  ? statistics->dropped
                                                                   : statistics->missed);
}

static const sd_bus_vtable guard_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("GetEvents", SD_BUS_ARGS("t", since, "u", max), SD_BUS_RESULT("aa{sv}", events),
                                method_get_events, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("SetMode", SD_BUS_ARGS("s", mode, "a{sv}", options), SD_BUS_NO_RESULT,
                                method_set_mode, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Test", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("aa{sv}", judgements, "s", objection), method_test, BUS_PUBLIC),
        SD_BUS_PROPERTY("Mode", "s", property_mode, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("ModeWanted", "s", property_mode, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("ModeConfigured", "s", property_mode, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Technique", "s", property_state, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Pinned", "b", property_state, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Reason", "s", property_state, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Policy", "a{sv}", property_policy, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Counters", "a{sa{st}}", property_counters, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Sources", "a{sv}", property_sources, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Events", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Attempts", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Loads", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Unloads", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Dropped", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Missed", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_SIGNAL_WITH_ARGS("Event", SD_BUS_ARGS("a{sv}", event), 0),
        SD_BUS_VTABLE_END,
};

const ObjectImplementation guard_implementation = {
        .path = BUS_ROOT "/guard",
        .interface = "org.bpfchain1.Guard",
        .vtable = guard_vtable,
};
