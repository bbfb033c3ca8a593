/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/private.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bus/context.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

/* How long nobody is accepted when that failed for want of something. */
#define PAUSE_USEC (USEC_PER_SEC / 4)

static const char *unique_name(const Connection *connection, char ret[16]) {
        snprintf(ret, 16, ":1.%u", connection->id);
        return ret;
}

/* NULL where nobody has the name. */
static const char *name_owner(const Connection *connection, const char *name) {
        char own[16];

        if (streq(name, BUS_NAME) || streq(name, PRIVATE_UNIQUE_NAME))
                return PRIVATE_UNIQUE_NAME;
        if (streq(name, DRIVER_NAME) || streq(name, unique_name(connection, own)))
                return name;
        return NULL;
}

/* Replies as if the bus itself did. */
static int reply(sd_bus_message *message, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list ap;
        int r;

        r = sd_bus_message_new_method_return(message, &m);
        if (r < 0)
                return r;
        if (!strempty(types)) {
                va_start(ap, types);
                r = sd_bus_message_appendv(m, types, ap);
                va_end(ap);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_set_sender(m, DRIVER_NAME);
        if (r < 0)
                return r;
        return sd_bus_send(NULL, m, NULL);
}

static int fail_no_owner(sd_bus_error *ret_error, const char *name) {
        return sd_bus_error_setf(ret_error, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                                 "Nobody has the name %.255s: this is the private socket of %s.", name, BUS_NAME);
}

static int method_hello(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        char own[16];

        return reply(message, "s", unique_name(userdata, own));
}

/* Signals are sent to all clients, whatever they ask for. */
static int method_match(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return reply(message, NULL);
}

static int method_get_name_owner(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name, *owner;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        owner = name_owner(userdata, name);
        return owner ? reply(message, "s", owner) : fail_no_owner(ret_error, name);
}

static int method_name_has_owner(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        return reply(message, "b", name_owner(userdata, name) != NULL);
}

static int method_list_names(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        char own[16];

        return reply(message, "as", 4, DRIVER_NAME, BUS_NAME, PRIVATE_UNIQUE_NAME, unique_name(userdata, own));
}

static int method_list_activatable_names(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return reply(message, "as", 0);
}

static int method_start_service(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name;
        uint32_t flags;
        int r;

        r = sd_bus_message_read(message, "su", &name, &flags);
        if (r < 0)
                return r;
        return name_owner(userdata, name) ? reply(message, "u", 2U /* it runs already */)
                                          : fail_no_owner(ret_error, name);
}

static int method_get_id(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        char id[SD_ID128_STRING_MAX];
        sd_id128_t bus_id;
        int r;

        r = sd_id128_get_boot(&bus_id);
        if (r < 0)
                return r;
        return reply(message, "s", sd_id128_to_string(bus_id, id));
}

/* All clients are root, and so are we, or they could not have connected. */
static int method_get_unix_user(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        return name_owner(userdata, name) ? reply(message, "u", (uint32_t) geteuid())
                                          : fail_no_owner(ret_error, name);
}

/* For `busctl monitor`: it sees the signals, which is all that there is to see. Like on a bus, it loses its name
 * first, and waits for that. */
static int method_become_monitor(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        Connection *connection = userdata;
        char own[16];
        int r;

        r = reply(message, NULL);
        if (r >= 0)
                r = sd_bus_message_new_signal(connection->bus, &signal, DRIVER_PATH, DRIVER_NAME, "NameLost");
        if (r >= 0)
                r = sd_bus_message_append(signal, "s", unique_name(connection, own));
        if (r >= 0)
                r = sd_bus_message_set_sender(signal, DRIVER_NAME);
        return r < 0 ? r : sd_bus_send(connection->bus, signal, NULL);
}

static const sd_bus_vtable monitoring_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("BecomeMonitor", "asu", NULL, method_become_monitor, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable driver_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Hello", NULL, "s", method_hello, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("AddMatch", "s", NULL, method_match, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RemoveMatch", "s", NULL, method_match, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetNameOwner", "s", "s", method_get_name_owner, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("NameHasOwner", "s", "b", method_name_has_owner, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListNames", NULL, "as", method_list_names, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListActivatableNames", NULL, "as", method_list_activatable_names, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StartServiceByName", "su", "u", method_start_service, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetConnectionUnixUser", "s", "u", method_get_unix_user, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetId", NULL, "s", method_get_id, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* Who does not read the replies does not get to ask for more. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Connection *connection = userdata;

        bus_context_check_connection(connection->context, connection);
        return connection->dead ? 1 : 0;
}

/* What a client sends right behind the authentication is read together with its end, and sd-bus leaves
 * it in its buffer until more comes. GDBus sends Hello like that and would wait for ever; so have sd-bus look again
 * once it runs. */
static int on_connected(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Connection *connection = userdata;

        connection->fresh = true;
        (void) sd_event_source_set_enabled(connection->context->private_socket.kick, SD_EVENT_ONESHOT);
        return 0;
}

static int on_kick(sd_event_source *source, void *userdata) {
        BusContext *context = userdata;

        for (size_t i = 0; i < context->n_connections; i++) {
                Connection *connection = context->connections[i];

                if (!connection->fresh)
                        continue;
                connection->fresh = false;
                while (!connection->dead && sd_bus_process(connection->bus, NULL) > 0)
                        ;
        }
        return 0;
}

int private_add_driver(Connection *connection) {
        int r;

        r = sd_bus_match_signal_async(connection->bus, connection_slot(connection), "org.freedesktop.DBus.Local",
                                      NULL, "org.freedesktop.DBus.Local", "Connected", on_connected, NULL,
                                      connection);
        if (r < 0)
                return r;

        r = sd_bus_add_filter(connection->bus, connection_slot(connection), on_message, connection);
        if (r < 0)
                return r;
        r = sd_bus_add_object_vtable(connection->bus, connection_slot(connection), DRIVER_PATH,
                                     DRIVER_NAME ".Monitoring", monitoring_vtable, connection);
        if (r < 0)
                return r;
        return sd_bus_add_object_vtable(connection->bus, connection_slot(connection), DRIVER_PATH, DRIVER_NAME,
                                        driver_vtable, connection);
}

static unsigned count_clients(const BusContext *context) {
        unsigned n = 0;

        for (size_t i = 0; i < context->n_connections; i++)
                n += context->connections[i] != context->system;
        return n;
}

/* Root may come in; ret_origin says who it is. */
static int check_peer(int fd, char **ret_origin) {
        struct ucred cred = {};
        socklen_t size = sizeof(cred);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
                return -errno;
        if (cred.uid != 0)
                return -EPERM;
        return asprintf(ret_origin, "private client, pid %d", cred.pid) < 0 ? -ENOMEM : 0;
}

static int private_serve(BusContext *context, int client_fd) {
        _cleanup_close_ int fd = client_fd;
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *origin = NULL;
        Connection *connection;
        sd_id128_t id;
        int r;

        r = check_peer(fd, &origin);
        if (r < 0)
                return r;
        if (count_clients(context) >= PRIVATE_CLIENTS_MAX)
                return -EMFILE;

        r = sd_id128_get_boot(&id);
        if (r >= 0)
                r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_description(bus, "private");
        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0)
                return r;
        (void) TAKE_FD(fd);

        r = sd_bus_set_bus_client(bus, false);
        if (r >= 0)
                r = sd_bus_set_server(bus, true, id);
        if (r >= 0)
                r = sd_bus_set_sender(bus, PRIVATE_UNIQUE_NAME);
        if (r >= 0)
                r = sd_bus_set_connected_signal(bus, true);
        if (r >= 0)
                r = bus_context_add_connection(context, bus, &connection);
        if (r < 0)
                return r;

        connection->id = ++context->private_socket.last_id;
        connection->origin = TAKE_PTR(origin);
        r = private_add_driver(connection);
        if (r >= 0)
                r = sd_bus_attach_event(bus, context->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                bus_context_drop_connection(context, connection);
        return r;
}

static int accept_client(int fd) {
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        return client < 0 ? -errno : client;
}

static void reserve_open(PrivateSocket *private_socket) {
        if (private_socket->reserve < 0)
                private_socket->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Takes the client with the descriptor that is kept for this, and closes the connection: better than to let it wait
 * for an answer that does not come. */
static int turn_away(PrivateSocket *private_socket, int fd) {
        int client;

        if (private_socket->reserve < 0)
                return -EMFILE;
        private_socket->reserve = safe_close(private_socket->reserve);
        client = accept_client(fd);
        (void) safe_close(client);
        reserve_open(private_socket);
        return client;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata) {
        PrivateSocket *private_socket = userdata;

        reserve_open(private_socket);
        return sd_event_source_set_enabled(private_socket->source, SD_EVENT_ON);
}

/* A client that can't be accepted stays in the queue of the socket, which would wake us up at once, for ever. */
static void pause_accepting(PrivateSocket *private_socket) {
        int r;

        r = sd_event_source_set_time_relative(private_socket->pause, PAUSE_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(private_socket->pause, SD_EVENT_ONESHOT);
        if (r >= 0)
                r = sd_event_source_set_enabled(private_socket->source, SD_EVENT_OFF);
        if (r < 0)
                log_warning("Can't wait for room for clients on the private socket: %s", strerror(-r));
}

/* What went wrong is said once, until a client is accepted again. */
static void handle_exhaustion(PrivateSocket *private_socket, int fd, int error) {
        int r = error == -EMFILE ? turn_away(private_socket, fd) : error;

        if (!private_socket->exhausted)
                log_warning("Can't accept a client on the private socket: %s; %s.", strerror(-error),
                            r >= 0 ? "it is turned away" : "it has to wait");
        private_socket->exhausted = true;
        if (r < 0 && r != -EAGAIN)
                pause_accepting(private_socket);
}

static int on_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        PrivateSocket *private_socket = &((BusContext *) userdata)->private_socket;
        int client, r;

        client = accept_client(fd);
        if (client == -EAGAIN || client == -EINTR || client == -ECONNABORTED)
                return 0;
        if (client < 0) {
                handle_exhaustion(private_socket, fd, client);
                return 0;
        }
        private_socket->exhausted = false;

        r = private_serve(userdata, client);
        if (r == -EPERM)
                log_debug("A client that is not root was turned away from the private socket.");
        else if (r < 0)
                log_warning("Can't serve a client on the private socket: %s", strerror(-r));
        return 0;
}

/* Does somebody listen there? Then it is not ours to replace. */
static bool socket_is_alive(const struct sockaddr_un *address) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd >= 0 && (connect(fd, (const struct sockaddr *) address, sizeof(*address)) >= 0 || errno == EAGAIN);
}

static int private_bind(const char *path) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *folder = NULL;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct stat st;
        char *slash;
        int r;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);

        folder = strdup(path);
        if (!folder)
                return -ENOMEM;
        slash = strrchr(folder, '/');
        if (slash && slash > folder) {
                *slash = '\0';
                r = mkdir_parents(folder, 0755);
                if (r < 0)
                        return r;
        }

        if (lstat(path, &st) >= 0) {
                if (!S_ISSOCK(st.st_mode) || socket_is_alive(&address))
                        return -EADDRINUSE;
                if (unlink(path) < 0)
                        return -errno;
        }

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        /* The mode of the socket becomes that of the file (unix(7) does not say so, unix_bind() of the kernel does);
         * so it is never open to others, not even for a moment. */
        if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        if (listen(fd, PRIVATE_CLIENTS_MAX) < 0) {
                r = -errno;
                (void) unlink(path);
                return r;
        }
        return TAKE_FD(fd);
}

int bus_context_listen_private(BusContext *context, const char *path, int listening_fd) {
        _cleanup_close_ int fd = listening_fd;
        PrivateSocket *private_socket = &context->private_socket;
        int r;

        if (private_socket->kick)
                return -EALREADY;

        if (fd < 0) {
                fd = private_bind(path);
                if (fd < 0)
                        return fd;
                private_socket->path = strdup(path);
                if (!private_socket->path)
                        return -ENOMEM;
        }

        r = sd_event_add_defer(context->event, &private_socket->kick, on_kick, context);
        if (r >= 0)
                r = sd_event_source_set_enabled(private_socket->kick, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(context->event, &private_socket->pause, CLOCK_MONOTONIC, PAUSE_USEC, 0,
                                               on_pause_over, private_socket);
        if (r >= 0)
                r = sd_event_source_set_enabled(private_socket->pause, SD_EVENT_OFF);
        if (r < 0)
                return r;
        reserve_open(private_socket);
        r = sd_event_add_io(context->event, &private_socket->source, fd, EPOLLIN, on_accept, context);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(private_socket->source, "private-socket");
        r = sd_event_source_set_io_fd_own(private_socket->source, true);
        if (r < 0)
                return r;
        (void) TAKE_FD(fd);
        return 0;
}

void private_socket_done(PrivateSocket *private_socket) {
        private_socket->source = sd_event_source_unref(private_socket->source);
        private_socket->kick = sd_event_source_unref(private_socket->kick);
        private_socket->pause = sd_event_source_unref(private_socket->pause);
        private_socket->reserve = safe_close(private_socket->reserve);
        if (private_socket->path)
                (void) unlink(private_socket->path);
        free(private_socket->path);
        private_socket->path = NULL;
}
