/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/guard-bus.h"

#include "bus/context.h"
#include "bus/wire.h"

#define EVENTS_MAX (GUARD_EVENTS_KEPT + GUARD_LOADS_KEPT)

static int append_text(sd_bus_message *message, const char *key, const char *text) {
        return strempty(text) ? 0 : wire_append_entry_string(message, key, text);
}

static int append_who(sd_bus_message *message, const GuardEvent *event) {
        const Culprit *who = &event->who;
        int r = 0;

        if (who->pid > 0)
                r = wire_append_entry_u32(message, "pid", (uint32_t) who->pid);
        if (r >= 0 && who->tid > 0)
                r = wire_append_entry_u32(message, "tid", (uint32_t) who->tid);
        if (r >= 0 && who->has_uid)
                r = wire_append_entry_u32(message, "uid", who->uid);
        if (r >= 0 && who->has_login_uid)
                r = wire_append_entry_u32(message, "login-uid", who->login_uid);

        const struct {
                const char *key, *text;
        } texts[] = {
                { "name", who->comm },       { "executable", who->executable },
                { "command", who->command }, { "cgroup", who->cgroup },
                { "unit", who->unit },       { "container", who->container },
                { "unknown", who->unknown }, { "basis", event->basis },
        };
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(texts); i++)
                r = append_text(message, texts[i].key, texts[i].text);
        if (r >= 0)
                r = sd_bus_message_append(message, "{sv}", "gone", "b", (int) who->gone);
        return r;
}

static int append_who_entry(sd_bus_message *message, const GuardEvent *event) {
        int r;

        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(message, "s", "who");
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'v', "a{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = append_who(message, event);
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
                r = wire_append_entry_string(message, "verdict", "seen");
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
                r = append_who_entry(message, event);
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
                r = guard_get_events(guard, since, max == 0 ? EVENTS_MAX : max, &events, &n);
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

/* Which modes there are besides is for the BPF program to say that keeps others off. */
static int property_mode(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append(reply, "s", "off");
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
                                     streq(property, "Events")    ? statistics->events
                                     : streq(property, "Loads")   ? statistics->loads
                                     : streq(property, "Unloads") ? statistics->unloads
                                     : streq(property, "Dropped") ? statistics->dropped
                                                                  : statistics->missed);
}

static const sd_bus_vtable guard_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("GetEvents", SD_BUS_ARGS("t", since, "u", max), SD_BUS_RESULT("aa{sv}", events),
                                method_get_events, BUS_PUBLIC),
        SD_BUS_PROPERTY("Mode", "s", property_mode, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Sources", "a{sv}", property_sources, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Events", "t", property_figure, 0, BUS_SILENT),
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
