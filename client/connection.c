/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/agent.h"
#include "client/connection.h"
#include "client/spinner.h"
#include "util/clock.h"

int fail(int status, const char *format, ...) {
        _cleanup_free_ char *text = NULL, *clean = NULL;
        bool color = color_allowed(STDERR_FILENO);
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        clean = text ? text_clean(text, true) : NULL;
        fprintf(stderr, "%s%s%s\n", color ? "\033[1;31m" : "", clean ? clean : "Out of memory.",
                color ? "\033[0m" : "");
        return status;
}

int fail_errno(int r, const char *what) {
        return fail(EXIT_FAILED, "%s: %s.", what, strerror(r < 0 ? -r : r));
}

int fail_argument(int r, const char *what) {
        return r == -EINVAL ? fail(EXIT_USAGE, "%s is not text in UTF-8, which all names are.", what)
                            : fail_errno(r, what);
}

static int status_not_running(const char *why) {
        return fail(EXIT_NOT_RUNNING,
                    "bpfchaind can't be reached: %s.\n"
                    "Start it with \"systemctl start bpfchaind\"; \"systemctl status bpfchaind\" shows why it ended.",
                    why);
}

/* The other end is gone, before or after it let us in. */
static int status_hung_up(const Client *client) {
        if (!client->let_in && !client->direct)
                return fail(EXIT_NOT_RUNNING,
                            "Whoever listens at %s closed the connection before anything could be asked.",
                            strempty_to(client->options.address, "the address of the system bus"));
        if (client->let_in)
                return fail(
                        EXIT_NOT_RUNNING,
                        "bpfchaind closed the connection before it answered: it ended, or was started anew.\n"
                        "\"bpfchain status\" shows what is in effect; \"journalctl -u bpfchaind\" what happened.");
        return fail(EXIT_NOT_RUNNING,
                    "bpfchaind closed the connection before anything could be asked. Its private socket is root's, "
                    "and serves 64 at a time;\nit also turns away whom it has no descriptor left for. "
                    "\"journalctl -u bpfchaind\" says which it was.");
}

static bool is_hang_up(int r) {
        return r == -EPIPE || r == -ECONNRESET;
}

static int open_socket(const char *path) {
        _cleanup_close_ int fd = -EBADF;
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* On the private socket there is no bus, so nobody whom to greet, and signals come without asking. Takes over the
 * descriptor. */
static int start_direct(int fd, sd_bus **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd); /* the bus closes it from now on */
        if (r < 0) {
                close(fd);
                return r;
        }
        r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

static int start_address(const char *address, sd_bus **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_address(bus, address);
        if (r < 0)
                return r;
        r = sd_bus_set_bus_client(bus, true);
        if (r < 0)
                return r;
        r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

static int connect_private(Client *client, const char *path) {
        _cleanup_free_ char *why = NULL;
        int fd, r;

        fd = open_socket(path);
        if (fd == -EACCES || fd == -EPERM)
                return fail(EXIT_REFUSED, "%s: %s. The private socket is root's.", path, strerror(-fd));
        client->direct = true;
        r = fd < 0 ? fd : start_direct(fd, &client->bus);
        if (fd >= 0 && is_hang_up(r))
                return status_hung_up(client);
        if (r < 0) {
                if (asprintf(&why, "%s: %s", path, strerror(-r)) < 0) {
                        why = NULL;
                        return fail_errno(-ENOMEM, "Connecting");
                }
                return status_not_running(why);
        }
        return EXIT_DONE;
}

/* Is the service on the bus now? Negative: the bus did not say. */
static int bus_has_service(sd_bus *bus) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r, has;

        r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                               "NameHasOwner", &error, &reply, "s", SERVICE_NAME);
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "b", &has);
        return r < 0 ? r : has;
}

static int connect_default(Client *client) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *why = NULL;
        int fd, r;

        r = sd_bus_open_system(&bus);
        if (r >= 0 && bus_has_service(bus) > 0) {
                client->bus = TAKE_PTR(bus);
                return EXIT_DONE;
        }
        fd = open_socket(PRIVATE_SOCKET);
        if (fd >= 0 && start_direct(fd, &client->bus) >= 0) {
                client->direct = true;
                return EXIT_DONE;
        }
        if (r >= 0) {
                client->bus = TAKE_PTR(bus); /* the first call may start the service */
                return EXIT_DONE;
        }
        if (asprintf(&why, "there is no system bus (%s), and nobody answers on %s (%s)", strerror(-r), PRIVATE_SOCKET,
                     fd < 0 ? strerror(-fd) : "it closed") < 0) {
                why = NULL;
                return fail_errno(-ENOMEM, "Connecting");
        }
        return status_not_running(why);
}

int client_connect(Client *client) {
        const Options *options = &client->options;
        const char *path = getenv("BPFCHAIN_SOCKET");
        _cleanup_free_ char *why = NULL;
        int r;

        if (client->bus)
                return EXIT_DONE;
        if (options->private)
                return connect_private(client, options->private);
        if (!options->address)
                return strempty(path) ? connect_default(client) : connect_private(client, path);

        r = strchr(options->address, ':') ? start_address(options->address, &client->bus) : -EINVAL;
        if (r >= 0)
                return EXIT_DONE;
        if (r == -EINVAL)
                return fail(EXIT_USAGE, "\"%s\" is no D-Bus address; one looks like \"unix:path=/run/…\".",
                            options->address);
        if (asprintf(&why, "%s: %s", options->address, strerror(-r)) < 0) {
                why = NULL;
                return fail_errno(-ENOMEM, "Connecting");
        }
        return status_not_running(why);
}

void client_disconnect(Client *client) {
        client->agent = agent_free(client->agent);
        client->bus = sd_bus_flush_close_unref(client->bus);
}

int bus_error_to_status(int r, const sd_bus_error *error) {
        static const char *const refused[] = {
                SD_BUS_ERROR_ACCESS_DENIED,
                SD_BUS_ERROR_AUTH_FAILED,
                SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
        };
        static const char *const away[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,        SD_BUS_ERROR_DISCONNECTED,
                SD_BUS_ERROR_NO_SERVER,       "org.freedesktop.systemd1.NoSuchUnit",
        };

        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (sd_bus_error_has_name(error, refused[i]))
                        return EXIT_REFUSED;
        for (size_t i = 0; i < ELEMENTSOF(away); i++)
                if (sd_bus_error_has_name(error, away[i]))
                        return EXIT_NOT_RUNNING;
        if (error->name && startswith(error->name, "org.freedesktop.DBus.Error.Spawn."))
                return EXIT_NOT_RUNNING;
        /* Errors of the connection itself; sd-bus makes an error of the errno in some versions. */
        switch (r < 0 ? -r : 0) {
        case ECONNRESET:
        case ECONNREFUSED:
        case ECONNABORTED:
        case ENOTCONN:
        case EPIPE:
        case ESHUTDOWN: return EXIT_NOT_RUNNING;
        case EACCES:
        case EPERM: return strempty(error->name) ? EXIT_REFUSED : EXIT_FAILED;
        }
        return EXIT_FAILED;
}

/* Messages of the service begin with a name or with a word; the latter gets its capital as any sentence. */
static char *sentence_new(const char *message) {
        char *sentence = strdup(message);
        size_t n;

        if (!sentence)
                return NULL;
        n = strspn(sentence, "abcdefghijklmnopqrstuvwxyz");
        if (n > 0 && sentence[n] == ' ')
                sentence[0] = (char) (sentence[0] - 'a' + 'A');
        for (n = strlen(sentence); n > 0 && (sentence[n - 1] == '.' || sentence[n - 1] == '\n'); n--)
                sentence[n - 1] = 0;
        return sentence;
}

/* The reply was never sent: sd-bus makes up one, and a bus does, when the other end is gone. */
static bool error_is_silence(int r, const sd_bus_error *error) {
        return sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY) ||
               sd_bus_error_has_name(error, SD_BUS_ERROR_TIMEOUT) || (r == -ETIMEDOUT && strempty(error->name));
}

int client_fail_bus(Client *client, int r, const sd_bus_error *error) {
        _cleanup_free_ char *message = sentence_new(strempty_to(error->message, strerror(r < 0 ? -r : EIO)));
        int status = bus_error_to_status(r, error);

        if (!message)
                return fail_errno(-ENOMEM, "The error");
        if (client->hung_up && (status == EXIT_NOT_RUNNING || error_is_silence(r, error)))
                return status_hung_up(client);
        switch (status) {
        case EXIT_REFUSED:
                /* The service says what to do itself; the bus does not. */
                return fail(status, "Refused: %s.%s", message,
                            strstr(message, ". ") ? ""
                                                  : " Run it as root, or see bpfchain(1) on giving single "
                                                    "rights to others.");
        case EXIT_NOT_RUNNING: return status_not_running(strempty_to(message, "the connection broke"));
        }
        if (error_is_silence(r, error))
                return fail(EXIT_FAILED, "bpfchaind did not answer in time. \"bpfchain status\" shows what is in "
                                         "effect; \"journalctl -u bpfchaind\" what it is at.");
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_METHOD) ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_PROPERTY))
                return fail(EXIT_FAILED,
                            "%s. This bpfchaind is of another version than this bpfchain; "
                            "\"bpfchain version\" shows both.",
                            message);
        return fail(EXIT_FAILED, "%s.", message);
}

int client_new_call(Client *client, const char *path, const char *interface, const char *member,
                    sd_bus_message **ret) {
        int r, status;

        status = client_connect(client);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_new_method_call(client->bus, ret, SERVICE_NAME, path, interface, member);
        if (r < 0)
                return fail_errno(r, member);
        r = sd_bus_message_set_allow_interactive_authorization(*ret, true);
        if (r < 0)
                return fail_errno(r, member);
        return EXIT_DONE;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        sd_bus_message **slot = userdata;

        *slot = sd_bus_message_ref(reply);
        return 1;
}

int client_call_error(Client *client, sd_bus_message *call, const char *doing, sd_bus_error *error,
                      sd_bus_message **ret_reply) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        Spinner spinner = spinner_begin(client->options.json == JSON_MODE_OFF && !client->agent ? doing : NULL);
        uint64_t started = usec_now(CLOCK_MONOTONIC);
        int r;

        r = sd_bus_call_async(client->bus, NULL, call, on_reply, &reply, CALL_TIMEOUT);
        while (r >= 0 && !reply) {
                client->let_in = client->let_in || sd_bus_is_ready(client->bus) > 0;
                r = sd_bus_process(client->bus, NULL);
                if (r == 0 && !reply) {
                        spinner_turn(&spinner);
                        r = sd_bus_wait(client->bus, doing ? SPINNER_INTERVAL : UINT64_MAX);
                        if (r == -EINTR)
                                r = 0;
                }
        }
        spinner_end(&spinner);
        /* A bus says "no reply" at once when the service leaves it, and at the end of the time when it is silent. */
        client->hung_up = sd_bus_is_open(client->bus) <= 0 ||
                          (reply && sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NO_REPLY) &&
                           usec_now(CLOCK_MONOTONIC) - started < CALL_TIMEOUT);
        if (r < 0)
                return sd_bus_error_is_set(error) ? r : (sd_bus_error_set_errno(error, r), r);

        if (sd_bus_message_is_method_error(reply, NULL)) {
                r = sd_bus_error_copy(error, sd_bus_message_get_error(reply));
                return r < 0 ? r : -EIO;
        }
        if (ret_reply)
                *ret_reply = TAKE_PTR(reply);
        return 0;
}

int client_call(Client *client, sd_bus_message *call, const char *doing, sd_bus_message **ret_reply) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = client_call_error(client, call, doing, &error, ret_reply);
        return r < 0 ? client_fail_bus(client, r, &error) : EXIT_DONE;
}

int options_add(sd_bus_message *call, const char *name, const char *type, ...) {
        va_list ap;
        int r;

        r = sd_bus_message_open_container(call, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'v', type);
        if (r >= 0) {
                va_start(ap, type);
                r = sd_bus_message_appendv(call, type, ap);
                va_end(ap);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        return r;
}

int options_begin(Client *client, sd_bus_message *call) {
        const Options *options = &client->options;
        int r;

        agent_start(client);
        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && options->runtime)
                r = options_add(call, "runtime", "b", 1);
        if (r >= 0 && options->dry_run)
                r = options_add(call, "dry-run", "b", 1);
        if (r >= 0 && options->confirm > 0)
                r = options_add(call, "confirm-timeout", "t", options->confirm);
        if (r >= 0 && options->expected > 0)
                r = options_add(call, "expected-generation", "t", options->expected);
        return r;
}

int options_end(sd_bus_message *call) {
        return sd_bus_message_close_container(call);
}
