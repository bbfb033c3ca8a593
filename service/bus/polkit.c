/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/polkit.h"

#include <inttypes.h>

#include "bus/caller.h"
#include "bus/errors.h"
#include "util/log.h"

/* On their way at once: those that nobody has to answer by hand, and those that may wait for a password, in all and
 * of one user. dbus-daemon lets a connection wait for 128 replies. */
#define ASKED_MAX            64U
#define INTERACTIVE_MAX      32U
#define USER_INTERACTIVE_MAX 8U

/* Open in all and of one user, and the bytes that their messages hold. No user but root may have so much that it
 * takes the room from others. */
#define QUERIES_MAX      4096U
#define USER_CALLERS_MAX 96U
#define USER_QUERIES_MAX 1024U
#define WEIGHT_MAX       (64U * 1024 * 1024)
#define USER_WEIGHT_MAX  (16U * 1024 * 1024)
#define MESSAGE_WEIGHT   1024U /* what a small message takes */

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

#define POLKIT_ALLOW_USER_INTERACTION 1U

typedef enum QueryState {
        QUERY_NONE,    /* counted nowhere */
        QUERY_WAITING, /* for its turn */
        QUERY_ASKED,
        QUERY_ALLOWED, /* the message is in the connection's queue again */
        QUERY_REFUSED, /* the same */
} QueryState;

typedef struct Query {
        Polkit *polkit;
        Caller *caller;
        sd_bus_message *message;
        QueryState state;
        uint64_t id; /* names it to polkit, for cancelling */
        bool interactive;
        size_t weight;
        char *action;
        char **details; /* key, value, …, NULL */
        sd_bus_slot *slot;
        sd_bus_error error;
        struct Query *previous, *next;
} Query;

struct Polkit {
        sd_event *event;
        sd_bus *bus; /* NULL: no system bus */
        Query *first, *last;
        Callers callers;
        size_t n_queries; /* without an answer */
        size_t weight;    /* of them */
        unsigned n_asked, n_interactive;
        uint64_t last_id;
        sd_event_source *sweep; /* when idle: drops answers that no handler came for */
};

static void strings_free(char **strings) {
        for (char **s = strings; s && *s; s++)
                free(*s);
        free(strings);
}

static bool state_is_open(QueryState state) {
        return state == QUERY_WAITING || state == QUERY_ASKED;
}

static bool query_is_answered(const Query *query) {
        return query->state == QUERY_ALLOWED || query->state == QUERY_REFUSED;
}

/* Adds the query to what is counted, or takes it away (sign -1). */
static void query_account(Query *query, int sign) {
        Polkit *polkit = query->polkit;

        if (state_is_open(query->state)) {
                polkit->n_queries += (size_t) sign;
                polkit->weight += (size_t) sign * query->weight;
                query->caller->n_open += (unsigned) sign;
                query->caller->weight += (size_t) sign * query->weight;
        }
        if (query->state == QUERY_ASKED) {
                if (query->interactive) {
                        polkit->n_interactive += (unsigned) sign;
                        query->caller->n_interactive += (unsigned) sign;
                } else
                        polkit->n_asked += (unsigned) sign;
        }
}

static void query_set_state(Query *query, QueryState state) {
        query_account(query, -1);
        query->state = state;
        query_account(query, 1);
}

static Query *query_free(Query *query) {
        Polkit *polkit = query->polkit;

        query_set_state(query, QUERY_NONE);
        sd_bus_slot_unref(query->slot);

        *(query->previous ? &query->previous->next : &polkit->first) = query->next;
        *(query->next ? &query->next->previous : &polkit->last) = query->previous;

        caller_unref(query->caller);
        sd_bus_message_unref(query->message);
        sd_bus_error_free(&query->error);
        strings_free(query->details);
        free(query->action);
        free(query);
        return NULL;
}

static void polkit_ask_waiting(Polkit *polkit);

static void query_format_id(const Query *query, char ret[32]) {
        snprintf(ret, 32, "bpfchain-%" PRIu64, query->id);
}

/* Takes the question back, so that no dialog stays open for a caller that is gone. */
static void query_cancel(Query *query) {
        char id[32];
        int r;

        if (query->state != QUERY_ASKED)
                return;
        query_format_id(query, id);
        r = sd_bus_call_method_async(query->polkit->bus, NULL, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                     "CancelCheckAuthorization", NULL, NULL, "s", id);
        if (r < 0)
                log_debug("Can't cancel a question to polkit: %s", strerror(-r));
}

/* With the method's name as "operation" besides. */
static int details_copy(const PolkitDetail *details, const char *operation, char ***ret) {
        size_t n = 0, i = 0;
        char **copy;

        while (details && details[n].key)
                n++;
        copy = calloc(2 * (n + 1) + 1, sizeof(char *));
        if (!copy)
                return -ENOMEM;

        for (size_t d = 0; d <= n; d++) {
                PolkitDetail detail = d < n ? details[d] : (PolkitDetail){ "operation", operation };

                if (!detail.value)
                        continue;
                copy[i] = strdup(detail.key);
                copy[i + 1] = copy[i] ? strdup(detail.value) : NULL;
                if (!copy[i + 1]) {
                        strings_free(copy);
                        return -ENOMEM;
                }
                i += 2;
        }
        *ret = copy;
        return 0;
}

/* Is there room for so many queries of that weight more? */
static bool polkit_has_room(const Polkit *polkit, const Caller *caller, unsigned n, size_t weight) {
        CallerSum sum = { .n_callers = 1, .n_open = caller->n_open, .weight = caller->weight };

        if (polkit->n_queries + n > QUERIES_MAX || polkit->weight + weight > WEIGHT_MAX)
                return false;
        if (caller->known && !caller->is_nobody) {
                if (caller->uid == 0)
                        return true;
                sum = callers_sum(&polkit->callers, caller->uid);
        }
        return sum.n_callers <= USER_CALLERS_MAX && sum.n_open + n <= USER_QUERIES_MAX &&
               sum.weight + weight <= USER_WEIGHT_MAX;
}

static int query_new(Polkit *polkit, sd_bus_message *message, Caller *caller, const char *action,
                     const PolkitDetail *details, size_t weight, Query **ret) {
        Query *query = calloc(1, sizeof(Query));

        if (!query)
                return -ENOMEM;
        *query = (Query){ .polkit = polkit,
                          .caller = caller,
                          .message = sd_bus_message_ref(message),
                          .id = ++polkit->last_id,
                          .interactive = sd_bus_message_get_allow_interactive_authorization(message) > 0,
                          .weight = weight,
                          .previous = polkit->last };
        caller->n_ref++;
        *(polkit->last ? &polkit->last->next : &polkit->first) = query;
        polkit->last = query;
        query_set_state(query, QUERY_WAITING);

        query->action = strdup(action);
        if (!query->action || details_copy(details, sd_bus_message_get_member(message), &query->details) < 0) {
                query_free(query);
                return -ENOMEM;
        }
        *ret = query;
        return 0;
}

/* The message goes back into the queue; its handler comes for the answer. */
static void query_answer(Query *query, QueryState state) {
        int r;

        query_set_state(query, state);
        query->slot = sd_bus_slot_unref(query->slot);

        r = sd_bus_message_rewind(query->message, true);
        if (r >= 0)
                r = sd_bus_enqueue_for_read(query->polkit->bus, query->message);
        if (r < 0) {
                log_warning("Can't take up a call after its authorization: %s", strerror(-r));
                (void) sd_bus_reply_method_errno(query->message, r, NULL);
                query_free(query);
                return;
        }
        (void) sd_event_source_set_enabled(query->polkit->sweep, SD_EVENT_ONESHOT);
}

static void query_refuse(Query *query, const char *name, const char *format, ...) _printf_(3, 4);
static void query_refuse(Query *query, const char *name, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) sd_bus_error_setfv(&query->error, name, format, ap);
        va_end(ap);
        query_answer(query, QUERY_REFUSED);
}

/* Polkit is not there. */
static void query_decide_by_uid(Query *query) {
        if (query->caller->uid == 0)
                query_answer(query, QUERY_ALLOWED);
        else
                query_refuse(query, SD_BUS_ERROR_ACCESS_DENIED,
                             "polkit does not run, so only root may do this (%s). Install and start polkit, or call "
                             "as root.",
                             query->action);
}

static void query_refuse_busy(Query *query) {
        query_refuse(query, BUS_ERROR_PREFIX "Busy",
                     "Too many calls wait for their authorization. Try again in a moment.");
}

/* Is this the bus saying that there is no polkit, rather than polkit saying something? */
static bool error_is_no_polkit(sd_bus_message *reply, const sd_bus_error *error) {
        static const char *const names[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN,          SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                SD_BUS_ERROR_FILE_NOT_FOUND,           "org.freedesktop.systemd1.NoSuchUnit",
                "org.freedesktop.systemd1.UnitMasked", "org.freedesktop.systemd1.LoadFailed",
        };

        if (!streq_ptr(sd_bus_message_get_sender(reply), "org.freedesktop.DBus"))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (sd_bus_error_has_name(error, names[i]))
                        return true;
        return startswith(error->name, "org.freedesktop.DBus.Error.Spawn.");
}

static void query_refuse_by_polkit(Query *query, bool challenge, bool dismissed) {
        if (dismissed)
                query_refuse(query, SD_BUS_ERROR_ACCESS_DENIED,
                             "The password dialog was dismissed (polkit action %s).", query->action);
        else if (challenge && !query->interactive)
                query_refuse(query, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                             "The polkit action %s needs a password here. Call with interactive authorization "
                             "allowed, or as root.",
                             query->action);
        else
                query_refuse(
                        query, SD_BUS_ERROR_ACCESS_DENIED,
                        "polkit refused the action %s. Call as root, or have the administrator add a rule for it "
                        "in /etc/polkit-1/rules.d.",
                        query->action);
}

static int on_authorization(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        int authorized = false, challenge = false;
        const sd_bus_error *error;
        Query *query = userdata;
        Polkit *polkit = query->polkit;
        const char *key, *value;
        bool dismissed = false;
        int r;

        /* The bus went away: nobody is left to answer to. */
        if (sd_bus_is_open(polkit->bus) <= 0) {
                query_free(query);
                return 0;
        }

        error = sd_bus_message_get_error(reply);
        if (error && error_is_no_polkit(reply, error)) {
                query_decide_by_uid(query);
                polkit_ask_waiting(polkit);
                return 0;
        }

        r = error ? -EIO : sd_bus_message_enter_container(reply, 'r', "bba{ss}");
        if (r > 0)
                r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
        if (r > 0)
                r = sd_bus_message_enter_container(reply, 'a', "{ss}");
        while (r > 0) {
                r = sd_bus_message_read(reply, "{ss}", &key, &value);
                if (r > 0 && streq(key, "polkit.dismissed"))
                        dismissed = true;
        }

        if (r < 0) {
                log_warning("polkit does not answer a question on %s: %s", query->action,
                            error ? strna(error->message) : strerror(-r));
                query_refuse(
                        query, SD_BUS_ERROR_ACCESS_DENIED,
                        "polkit did not answer the question whether the action %s is allowed: %s. Try again; see "
                        "the journal of polkit.",
                        query->action, error ? strna(error->message) : strerror(-r));
        } else if (authorized)
                query_answer(query, QUERY_ALLOWED);
        else
                query_refuse_by_polkit(query, challenge, dismissed);

        polkit_ask_waiting(polkit);
        return 0;
}

static int query_append(const Query *query, sd_bus_message *call) {
        char id[32];
        int r;

        r = sd_bus_message_append(call, "(sa{sv})s", "system-bus-name", 1, "name", "s", query->caller->name,
                                  query->action);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(call, 'a', "{ss}");
        if (r < 0)
                return r;
        for (char **d = query->details; *d; d += 2) {
                r = sd_bus_message_append(call, "{ss}", d[0], d[1]);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(call);
        if (r < 0)
                return r;

        query_format_id(query, id);
        return sd_bus_message_append(call, "us", query->interactive ? POLKIT_ALLOW_USER_INTERACTION : 0U, id);
}

static int query_ask(Query *query) {
        sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(query->polkit->bus, &call, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CheckAuthorization");
        if (r >= 0)
                r = query_append(query, call);
        /* People take their time to type a password. */
        if (r >= 0)
                r = sd_bus_call_async(query->polkit->bus, &query->slot, call, on_authorization, query,
                                      query->interactive ? UINT64_MAX : 0);
        sd_bus_message_unref(call);
        if (r >= 0)
                query_set_state(query, QUERY_ASKED);
        return r;
}

static bool query_has_its_turn(const Query *query) {
        const Polkit *polkit = query->polkit;

        if (query->state != QUERY_WAITING || !query->caller->known)
                return false;
        if (!query->interactive)
                return polkit->n_asked < ASKED_MAX;
        return polkit->n_interactive < INTERACTIVE_MAX &&
               callers_sum(&polkit->callers, query->caller->uid).n_interactive < USER_INTERACTIVE_MAX;
}

static void polkit_ask_waiting(Polkit *polkit) {
        for (Query *q = polkit->first, *next; q; q = next) {
                int r;

                next = q->next;
                if (!query_has_its_turn(q))
                        continue;
                r = query_ask(q);
                if (r < 0)
                        query_refuse(q, SD_BUS_ERROR_ACCESS_DENIED, "Can't ask polkit: %s", strerror(-r));
        }
}

/* Now that the user is known: are these calls within what one user may have open? The last ones have to go. */
static void on_caller_known(void *userdata, Caller *caller) {
        Polkit *polkit = userdata;

        for (Query *q = polkit->last, *previous; q; q = previous) {
                previous = q->previous;
                if (q->caller != caller || q->state != QUERY_WAITING)
                        continue;
                if (sd_bus_is_open(polkit->bus) <= 0)
                        query_free(q);
                else if (caller->is_nobody)
                        query_refuse(q, SD_BUS_ERROR_ACCESS_DENIED, "The bus does not tell who calls.");
                else if (!polkit_has_room(polkit, caller, 0, 0))
                        query_refuse_busy(q);
        }
        polkit_ask_waiting(polkit);
}

/* What is answered already is in the queue, as any other call of a client that did not wait. */
static void on_caller_gone(void *userdata, Caller *caller) {
        Polkit *polkit = userdata;

        for (Query *q = polkit->first, *next; q; q = next) {
                next = q->next;
                if (q->caller == caller && !query_is_answered(q)) {
                        query_cancel(q);
                        query_free(q);
                }
        }
        polkit_ask_waiting(polkit);
}

/* The answer, once: the query ends here. */
static int query_take(Query *query, const char *action, sd_bus_error *ret_error) {
        int r;

        if (query->state == QUERY_ALLOWED)
                r = streq(query->action, action) ? 1
                                                 : sd_bus_error_set(ret_error, SD_BUS_ERROR_ACCESS_DENIED,
                                                                    "The call changed its meaning.");
        else {
                (void) sd_bus_error_move(ret_error, &query->error);
                r = -EACCES;
        }
        query_free(query);
        return r;
}

int polkit_check(Polkit *polkit, sd_bus_message *message, const char *action, const PolkitDetail *details,
                 size_t weight, sd_bus_error *ret_error) {
        Caller *caller = NULL;
        const char *sender;
        Query *query;
        int r;

        /* At the server's end there is only the private socket, which let nobody but root in. A connection that is
         * neither that nor the present bus is about to be closed. */
        if (sd_bus_is_server(sd_bus_message_get_bus(message)) > 0)
                return 1;
        if (!polkit->bus || sd_bus_message_get_bus(message) != polkit->bus)
                return sd_bus_error_set(ret_error, SD_BUS_ERROR_ACCESS_DENIED, "The service is leaving this bus.");

        for (Query *q = polkit->first; q; q = q->next)
                if (q->message == message)
                        return query_is_answered(q) ? query_take(q, action, ret_error) : 0;

        sender = sd_bus_message_get_sender(message);
        if (!sender)
                return sd_bus_error_set(ret_error, SD_BUS_ERROR_ACCESS_DENIED, "The call has no sender.");
        r = callers_get(&polkit->callers, polkit->bus, sender, &caller);
        if (r >= 0 && !polkit_has_room(polkit, caller, 1, weight + MESSAGE_WEIGHT))
                r = -EBUSY;
        if (r >= 0)
                r = query_new(polkit, message, caller, action, details, weight + MESSAGE_WEIGHT, &query);
        caller_unref(caller);
        if (r == -EBUSY)
                return bus_error_failf(ret_error, ERROR_BUSY,
                                       "Too many calls wait for their authorization. Try again in a moment.");
        if (r < 0)
                return sd_bus_error_set_errno(ret_error, r);

        polkit_ask_waiting(polkit);
        return 0;
}

size_t polkit_pending(const Polkit *polkit) {
        return polkit->n_queries;
}

/* Runs when the connection's queue is empty: a message whose object went away in the meantime got its error before a
 * handler could come for the answer. */
static int on_sweep(sd_event_source *source, void *userdata) {
        Polkit *polkit = userdata;

        for (Query *q = polkit->first, *next; q; q = next) {
                next = q->next;
                if (query_is_answered(q))
                        query_free(q);
        }
        return 0;
}

void polkit_set_bus(Polkit *polkit, sd_bus *bus) {
        if (polkit->bus == bus)
                return;
        while (polkit->first)
                query_free(polkit->first);
        sd_bus_unref(polkit->bus);
        polkit->bus = sd_bus_ref(bus);
}

int polkit_new(sd_event *event, Polkit **ret) {
        _cleanup_(polkit_freep) Polkit *polkit = calloc(1, sizeof(Polkit));
        int r;

        if (!polkit)
                return -ENOMEM;
        polkit->event = sd_event_ref(event);
        polkit->callers.handlers = (CallerHandlers){
                .known = on_caller_known,
                .gone = on_caller_gone,
                .userdata = polkit,
        };

        r = sd_event_add_defer(event, &polkit->sweep, on_sweep, polkit);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(polkit->sweep, "polkit-sweep");
        r = sd_event_source_set_priority(polkit->sweep, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(polkit->sweep, SD_EVENT_OFF);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(polkit);
        return 0;
}

Polkit *polkit_free(Polkit *polkit) {
        if (!polkit)
                return NULL;
        polkit_set_bus(polkit, NULL);
        sd_event_source_unref(polkit->sweep);
        sd_event_unref(polkit->event);
        free(polkit);
        return NULL;
}
