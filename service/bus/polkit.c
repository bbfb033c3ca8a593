/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/polkit.h"

#include <inttypes.h>

#include "bus/errors.h"
#include "util/log.h"

#define ASKED_MAX             64U /* on their way at once that nobody has to answer by hand */
#define ASKED_INTERACTIVE_MAX 32U /* on their way at once that may wait for a password */
#define QUERIES_MAX           4096U
#define CLIENT_QUERIES_MAX    1024U
#define CLIENTS_MAX           384U /* each has a match; dbus-daemon lets a connection have 512 */
#define WEIGHT_MAX            (64U * 1024 * 1024)
#define MESSAGE_WEIGHT        1024U /* what a small message takes */

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

#define POLKIT_ALLOW_USER_INTERACTION 1U

typedef enum QueryState {
        QUERY_WAITING,   /* for its turn */
        QUERY_ASKED,     /* polkit */
        QUERY_ASKED_UID, /* the bus: polkit is not there */
        QUERY_ALLOWED,   /* the message is in the connection's queue again */
        QUERY_REFUSED,   /* the same */
} QueryState;

/* A client of the bus that has questions open. */
typedef struct Client {
        Polkit *polkit;
        char *name; /* its unique name */
        unsigned n_queries;
        sd_bus_slot *match; /* that tells when it goes away */
        struct Client *next;
} Client;

typedef struct Query {
        Polkit *polkit;
        Client *client;
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
        Client *clients;
        size_t n_queries;
        size_t n_clients;
        size_t weight;
        unsigned n_asked, n_asked_interactive;
        uint64_t last_id;
        sd_event_source *sweep; /* when idle: drops answers that no handler came for */
};

static void strings_free(char **strings) {
        for (char **s = strings; s && *s; s++)
                free(*s);
        free(strings);
}

static bool query_is_asked(const Query *query) {
        return query->state == QUERY_ASKED || query->state == QUERY_ASKED_UID;
}

static bool query_is_answered(const Query *query) {
        return query->state == QUERY_ALLOWED || query->state == QUERY_REFUSED;
}

static unsigned *asked_counter(Query *query) {
        return query->interactive ? &query->polkit->n_asked_interactive : &query->polkit->n_asked;
}

static void query_set_state(Query *query, QueryState state) {
        if (query_is_asked(query))
                (*asked_counter(query))--;
        query->state = state;
        if (query_is_asked(query))
                (*asked_counter(query))++;
}

static void client_unref(Client *client) {
        Polkit *polkit = client->polkit;

        if (--client->n_queries > 0)
                return;

        for (Client **c = &polkit->clients; *c; c = &(*c)->next)
                if (*c == client) {
                        *c = client->next;
                        polkit->n_clients--;
                        break;
                }
        sd_bus_slot_unref(client->match);
        free(client->name);
        free(client);
}

static Query *query_free(Query *query) {
        Polkit *polkit = query->polkit;

        query_set_state(query, QUERY_WAITING);
        sd_bus_slot_unref(query->slot);

        *(query->previous ? &query->previous->next : &polkit->first) = query->next;
        *(query->next ? &query->next->previous : &polkit->last) = query->previous;
        polkit->n_queries--;
        polkit->weight -= query->weight;

        client_unref(query->client);
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

static int on_name_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old_owner, *new_owner;
        Client *client = userdata;
        Polkit *polkit = client->polkit;

        /* Clients can send us signals that look like the bus's; sd-bus compares senders with well-known names
         * loosely. */
        if (!streq_ptr(sd_bus_message_get_sender(message), "org.freedesktop.DBus"))
                return 0;
        if (sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) < 0 || !strempty(new_owner) ||
            !streq(name, client->name))
                return 0;

        /* What is allowed already is in the queue, as any other call of a client that did not wait. The client goes
         * with its last query. */
        for (Query *q = polkit->first, *next; q; q = next) {
                next = q->next;
                if (q->client == client && !query_is_answered(q)) {
                        query_cancel(q);
                        query_free(q);
                }
        }
        polkit_ask_waiting(polkit);
        return 0;
}

static int on_match_added(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        if (sd_bus_message_is_method_error(message, NULL))
                log_debug("Can't watch for a client to go away: %s", sd_bus_message_get_error(message)->message);
        return 0;
}

static Client *client_find(Polkit *polkit, const char *name) {
        for (Client *c = polkit->clients; c; c = c->next)
                if (streq(c->name, name))
                        return c;
        return NULL;
}

static int client_new(Polkit *polkit, const char *name, Client **ret) {
        _cleanup_free_ char *rule = NULL;
        Client *client;
        int r;

        if (asprintf(&rule,
                     "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                     "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
                     name) < 0)
                return -ENOMEM;

        client = calloc(1, sizeof(Client));
        if (!client)
                return -ENOMEM;
        client->polkit = polkit;
        client->name = strdup(name);
        r = client->name ? sd_bus_add_match_async(polkit->bus, &client->match, rule, on_name_owner_changed,
                                                  on_match_added, client)
                         : -ENOMEM;
        if (r < 0) {
                free(client->name);
                free(client);
                return r;
        }

        client->next = polkit->clients;
        polkit->clients = client;
        polkit->n_clients++;
        *ret = client;
        return 0;
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

/* Is there room for one more question of this client? */
static bool polkit_has_room(const Polkit *polkit, const Client *client, size_t weight) {
        if (polkit->n_queries >= QUERIES_MAX || polkit->weight + weight > WEIGHT_MAX)
                return false;
        return client ? client->n_queries < CLIENT_QUERIES_MAX : polkit->n_clients < CLIENTS_MAX;
}

static int query_new(Polkit *polkit, sd_bus_message *message, const char *action, const PolkitDetail *details,
                     size_t weight, Query **ret, sd_bus_error *ret_error) {
        const char *sender = sd_bus_message_get_sender(message);
        Client *client;
        Query *query;
        int r;

        if (!sender)
                return sd_bus_error_set(ret_error, SD_BUS_ERROR_ACCESS_DENIED, "The call has no sender.");

        client = client_find(polkit, sender);
        if (!polkit_has_room(polkit, client, weight))
                return bus_error_failf(ret_error, ERROR_BUSY,
                                       "Too many calls wait for their authorization. Try again in a moment.");
        if (!client) {
                r = client_new(polkit, sender, &client);
                if (r < 0)
                        return sd_bus_error_set_errno(ret_error, r);
        }
        client->n_queries++;

        query = calloc(1, sizeof(Query));
        if (!query) {
                client_unref(client);
                return sd_bus_error_set_errno(ret_error, -ENOMEM);
        }
        *query = (Query){ .polkit = polkit,
                          .client = client,
                          .message = sd_bus_message_ref(message),
                          .id = ++polkit->last_id,
                          .interactive = sd_bus_message_get_allow_interactive_authorization(message) > 0,
                          .weight = weight,
                          .previous = polkit->last };
        *(polkit->last ? &polkit->last->next : &polkit->first) = query;
        polkit->last = query;
        polkit->n_queries++;
        polkit->weight += weight;

        query->action = strdup(action);
        if (!query->action || details_copy(details, sd_bus_message_get_member(message), &query->details) < 0) {
                query_free(query);
                return sd_bus_error_set_errno(ret_error, -ENOMEM);
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

/* Polkit is not there: whom does the bus say the caller is? */
static int on_uid(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Query *query = userdata;
        Polkit *polkit = query->polkit;
        uint32_t uid;

        if (sd_bus_is_open(polkit->bus) <= 0) {
                query_free(query);
                return 0;
        }
        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "u", &uid) < 0)
                query_refuse(query, SD_BUS_ERROR_ACCESS_DENIED,
                             "polkit does not run, and the bus does not tell who calls.");
        else if (uid == 0)
                query_answer(query, QUERY_ALLOWED);
        else
                query_refuse(query, SD_BUS_ERROR_ACCESS_DENIED,
                             "polkit does not run, so only root may do this (%s). Install and start polkit, or call "
                             "as root.",
                             query->action);
        polkit_ask_waiting(polkit);
        return 0;
}

static void query_ask_uid(Query *query) {
        int r;

        query->slot = sd_bus_slot_unref(query->slot);
        r = sd_bus_call_method_async(query->polkit->bus, &query->slot, "org.freedesktop.DBus",
                                     "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser", on_uid,
                                     query, "s", query->client->name);
        if (r < 0)
                query_refuse(query, SD_BUS_ERROR_ACCESS_DENIED, "polkit does not run: %s", strerror(-r));
        else
                query_set_state(query, QUERY_ASKED_UID);
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
                query_ask_uid(query);
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

        r = sd_bus_message_append(call, "(sa{sv})s", "system-bus-name", 1, "name", "s", query->client->name,
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

static void polkit_ask_waiting(Polkit *polkit) {
        for (Query *q = polkit->first, *next; q; q = next) {
                int r;

                next = q->next;
                if (q->state != QUERY_WAITING)
                        continue;
                if (*asked_counter(q) >= (q->interactive ? ASKED_INTERACTIVE_MAX : ASKED_MAX))
                        continue;
                r = query_ask(q);
                if (r < 0)
                        query_refuse(q, SD_BUS_ERROR_ACCESS_DENIED, "Can't ask polkit: %s", strerror(-r));
        }
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

        r = query_new(polkit, message, action, details, weight + MESSAGE_WEIGHT, &query, ret_error);
        if (r < 0)
                return r;

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
