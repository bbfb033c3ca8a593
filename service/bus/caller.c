/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/caller.h"

#include "util/log.h"

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

static void caller_free(Caller *caller) {
        sd_bus_slot_unref(caller->match);
        sd_bus_slot_unref(caller->call);
        free(caller->name);
        free(caller);
}

Caller *caller_unref(Caller *caller) {
        Callers *callers;

        if (!caller || --caller->n_ref > 0)
                return NULL;

        callers = caller->callers;
        for (Caller **c = &callers->first; *c; c = &(*c)->next)
                if (*c == caller) {
                        *c = caller->next;
                        callers->n--;
                        break;
                }
        caller_free(caller);
        return NULL;
}

/* Runs a handler that may drop the last reference. */
static void caller_tell(Caller *caller, void (*handler)(void *userdata, Caller *caller)) {
        caller->n_ref++;
        handler(caller->callers->handlers.userdata, caller);
        caller_unref(caller);
}

static int on_name_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old_owner, *new_owner;
        Caller *caller = userdata;

        /* Clients can send us signals that look like the bus's; sd-bus compares senders with well-known names
         * loosely. */
        if (!streq_ptr(sd_bus_message_get_sender(message), DRIVER_NAME))
                return 0;
        if (sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) >= 0 && strempty(new_owner) &&
            streq(name, caller->name))
                caller_tell(caller, caller->callers->handlers.gone);
        return 0;
}

static int on_match_added(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        if (sd_bus_message_is_method_error(message, NULL))
                log_debug("Can't watch for a client to go away: %s", sd_bus_message_get_error(message)->message);
        return 0;
}

static int on_uid(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Caller *caller = userdata;
        uint32_t uid;

        caller->known = true;
        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "u", &uid) < 0)
                caller->is_nobody = true;
        else
                caller->uid = uid;
        caller_tell(caller, caller->callers->handlers.known);
        return 0;
}

static int caller_watch(Caller *caller, sd_bus *bus) {
        _cleanup_free_ char *rule = NULL;
        int r;

        if (asprintf(&rule,
                     "type='signal',sender='" DRIVER_NAME "',path='" DRIVER_PATH "',interface='" DRIVER_NAME
                     "',member='NameOwnerChanged',arg0='%s'",
                     caller->name) < 0) {
                rule = NULL;
                return -ENOMEM;
        }
        r = sd_bus_add_match_async(bus, &caller->match, rule, on_name_owner_changed, on_match_added, caller);
        if (r < 0)
                return r;
        return sd_bus_call_method_async(bus, &caller->call, DRIVER_NAME, DRIVER_PATH, DRIVER_NAME,
                                        "GetConnectionUnixUser", on_uid, caller, "s", caller->name);
}

int callers_get(Callers *callers, sd_bus *bus, const char *name, Caller **ret) {
        Caller *caller;
        int r;

        for (caller = callers->first; caller; caller = caller->next)
                if (streq(caller->name, name)) {
                        caller->n_ref++;
                        *ret = caller;
                        return 0;
                }
        if (callers->n >= CALLERS_MAX)
                return -EBUSY;

        caller = calloc(1, sizeof(Caller));
        if (!caller)
                return -ENOMEM;
        *caller = (Caller){ .callers = callers, .n_ref = 1, .name = strdup(name) };
        r = caller->name ? caller_watch(caller, bus) : -ENOMEM;
        if (r < 0) {
                caller_free(caller);
                return r;
        }

        caller->next = callers->first;
        callers->first = caller;
        callers->n++;
        *ret = caller;
        return 0;
}

CallerSum callers_sum(const Callers *callers, uid_t uid) {
        CallerSum sum = {};

        for (const Caller *c = callers->first; c; c = c->next)
                if (c->known && !c->is_nobody && c->uid == uid) {
                        sum.n_callers++;
                        sum.n_open += c->n_open;
                        sum.n_interactive += c->n_interactive;
                        sum.weight += c->weight;
                }
        return sum;
}
