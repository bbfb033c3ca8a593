/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bpfchaind: wires the model to kernel, bus and systemd. Everything that thinks is elsewhere.
 */
#include <ctype.h>
#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "config-build.h"

#include "bus/bus.h"
#include "bus/inherited.h"
#include "kernel/guard-programs.h"
#include "kernel/kernel.h"
#include "kernel/links.h"
#include "kernel/pins.h"
#include "kernel/sources.h"
#include "model/guard.h"
#include "model/settings.h"
#include "util/clock.h"
#include "util/log.h"

#define LINKS_RETRY_USEC USEC_PER_SEC

typedef struct Arguments {
        const char *root;
        const char *bpffs;
        const char *socket;
        bool system_bus;
        bool prepare;  /* only make the folder for pins */
        bool release;  /* only take the guard out of the kernel */
        int log_level; /* -1: as the settings say */
} Arguments;

typedef struct Service {
        Paths paths;
        Settings settings;
        Error settings_error; /* why they are left as they are by default, or not set */
        sd_event *event;
        Kernel *kernel;
        Links *links;
        Manager *manager;
        Guard *guard;
        Sources *sources; /* NULL until there is something to watch */
        BusContext *bus;
        Observer observer;
        sd_event_source *reconcile;
        sd_event_source *deadline;
        sd_event_source *links_retry;
        char *status;         /* that systemd was told last */
        char *reload_failure; /* of the last SIGHUP, NULL: it went well */
} Service;

static void service_done(Service *service) {
        sd_event_source_unref(service->reconcile);
        sd_event_source_unref(service->deadline);
        sd_event_source_unref(service->links_retry);
        sources_free(service->sources);
        bus_context_free(service->bus);
        guard_free(service->guard);
        links_free(service->links);
        manager_free(service->manager);
        kernel_free(service->kernel);
        sd_event_unref(service->event);
        paths_done(&service->paths);
        error_done(&service->settings_error);
        free(service->status);
        free(service->reload_failure);
}

/* The first problem, for whoever looks at "systemctl status". */
static char *describe_problems(const Service *service) {
        const Problem *problems;
        size_t n = 0;
        char *text;

        if (service->reload_failure)
                return asprintf(&text, "; the last reload failed: %.400s", service->reload_failure) < 0 ? NULL : text;
        problems = manager_problems(service->manager, &n);
        if (n == 0)
                return strdup("");
        return asprintf(&text, "; %s: %.400s", problems[0].where, problems[0].sentence) < 0 ? NULL : text;
}

/* Only what is new is told: a manager that is slow to read makes the sender wait. */
static void notify_status(Service *service) {
        _cleanup_free_ char *status = NULL, *problems = describe_problems(service);
        size_t n_active = 0, n_problems = 0;

        TABLE_FOREACH (Chain, chain, manager_chains(service->manager))
                n_active += chain->attachment != NULL;
        (void) manager_problems(service->manager, &n_problems);
        if (asprintf(&status, "Generation %llu, %zu chains running, %zu programs, %zu problems%s",
                     (unsigned long long) manager_generation(service->manager), n_active,
                     manager_programs(service->manager)->n, n_problems, problems ? problems : "") < 0) {
                status = NULL;
                return;
        }
        /* A line is a field, and systemd takes no text with a character that was cut in two. */
        for (char *p = status; *p; p++)
                if (!isascii((unsigned char) *p) || iscntrl((unsigned char) *p))
                        *p = '?';
        if (streq_ptr(service->status, status))
                return;
        (void) sd_notifyf(false, "STATUS=%s", status);
        free(service->status);
        service->status = TAKE_PTR(status);
}

/* From the model: something that the text tells may be another now. */
static void on_manager_changed(void *userdata) {
        Service *service = bus_context_userdata(userdata);

        bus_observer.manager_changed(userdata);
        if (service->manager)
                notify_status(service);
}

/* From the model: reconcile soon, once, when all events that are waiting have been read. */

static int on_reconcile(sd_event_source *source, void *userdata) {
        Service *service = userdata;

        sources_before_reconcile(service->sources);
        (void) manager_reconcile(service->manager);
        sources_after_reconcile(service->sources);
        notify_status(service);
        return 0;
}

static void on_reconcile_wanted(void *userdata) {
        Service *service = bus_context_userdata(userdata);

        if (service->reconcile)
                (void) sd_event_source_set_enabled(service->reconcile, SD_EVENT_ONESHOT);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Service *service = userdata;

        manager_deadline(service->manager);
        return 0;
}

static void on_guard_reconfigured(void *userdata) {
        Service *service = bus_context_userdata(userdata);

        sources_reconfigure(service->sources);
}

static void on_deadline_changed(void *userdata, uint64_t deadline) {
        Service *service = bus_context_userdata(userdata);

        if (deadline == UINT64_MAX) {
                (void) sd_event_source_set_enabled(service->deadline, SD_EVENT_OFF);
                return;
        }
        (void) sd_event_source_set_time(service->deadline, deadline);
        (void) sd_event_source_set_enabled(service->deadline, SD_EVENT_ONESHOT);
}

/* From netlink */

static void on_link(const LinkRecord *record, void *userdata) {
        Service *service = userdata;

        if (manager_link_changed(service->manager, record) < 0)
                log_error("Out of memory while following interface %s", record->name);
        sources_link_event(service->sources);
}

static void on_link_vanished(int ifindex, void *userdata) {
        Service *service = userdata;

        manager_link_vanished(service->manager, ifindex);
        sources_link_event(service->sources);
}

static void on_links_resynced(void *userdata) {
        Service *service = userdata;

        (void) sd_event_source_set_enabled(service->reconcile, SD_EVENT_ONESHOT);
}

static void check_links(Service *service, int r) {
        if (r < 0 && r != -EAGAIN)
                log_warning("Interfaces can't be followed: %s; trying again", strerror(-r));
        if (r < 0 || links_needs_retry(service->links)) {
                (void) sd_event_source_set_time_relative(service->links_retry, LINKS_RETRY_USEC);
                (void) sd_event_source_set_enabled(service->links_retry, SD_EVENT_ONESHOT);
        }
}

static int on_links_readable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Service *service = userdata;

        check_links(service, links_process(service->links));
        return 0;
}

static int on_links_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Service *service = userdata;

        check_links(service, links_resync(service->links));
        return 0;
}

/* From systemd and the administrator */

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        const ChangeOptions options = { .origin = "SIGHUP" };
        _cleanup_error_ Error error = ERROR_INIT;
        Service *service = userdata;
        uint64_t generation;
        int r;

        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long) usec_now(CLOCK_MONOTONIC));
        r = manager_reload(service->manager, &options, &generation, &error);
        (void) free_and_strdup(&service->reload_failure, r >= 0          ? NULL
                                                         : error.message ? error.message
                                                                         : strerror(-r));
        if (r < 0)
                log_error("Reload failed: %s", error.message ? error.message : strerror(-r));
        /* The text first: who waits for the end of the reload finds it. */
        notify_status(service);
        (void) sd_notify(false, "READY=1");
        return 0;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        log_info("Stopping; chains run on");
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

static json_object *get_capabilities(void *userdata) {
        Service *service = userdata;
        json_object *capabilities = NULL;

        return kernel_capabilities(service->kernel, &capabilities) < 0 ? NULL : capabilities;
}

static int add_signals(Service *service) {
        static const struct {
                int signal;
                sd_event_signal_handler_t handler;
        } signals[] = { { SIGTERM, on_stop }, { SIGINT, on_stop }, { SIGHUP, on_reload } };
        sigset_t mask;

        sigemptyset(&mask);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                sigaddset(&mask, signals[i].signal);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                int r;

                r = sd_event_add_signal(service->event, NULL, signals[i].signal, signals[i].handler, service);
                if (r < 0)
                        return r;
        }
        (void) signal(SIGPIPE, SIG_IGN);
        return 0;
}

static int add_sources(Service *service) {
        int r;

        r = sd_event_add_defer(service->event, &service->reconcile, on_reconcile, service);
        if (r >= 0)
                r = sd_event_source_set_enabled(service->reconcile, SD_EVENT_OFF);
        /* Behind the netlink socket: when many interfaces come at once, they are handled at once. */
        if (r >= 0)
                r = sd_event_source_set_priority(service->reconcile, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_add_time(service->event, &service->deadline, CLOCK_BOOTTIME, UINT64_MAX, USEC_PER_MSEC,
                                      on_deadline, service);
        if (r >= 0)
                r = sd_event_source_set_enabled(service->deadline, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(service->event, &service->links_retry, CLOCK_MONOTONIC, UINT64_MAX, 0,
                                      on_links_retry, service);
        if (r >= 0)
                r = sd_event_source_set_enabled(service->links_retry, SD_EVENT_OFF);
        return r;
}

static int open_links(Service *service) {
        const LinksHandlers handlers = {
                .appeared = on_link,
                .changed = on_link,
                .vanished = on_link_vanished,
                .resynced = on_links_resynced,
                .userdata = service,
        };
        int buffer = LINKS_RECEIVE_BUFFER_DEFAULT, r;

        if (service->settings.netlink_receive_buffer > 0)
                buffer = (int) service->settings.netlink_receive_buffer;
        r = links_new(buffer, &handlers, &service->links);
        if (r < 0)
                return r;
        r = sd_event_add_io(service->event, NULL, links_fd(service->links), EPOLLIN, on_links_readable, service);
        if (r < 0)
                return r;
        check_links(service, links_resync(service->links));
        return 0;
}

static int open_bus(Service *service, const Arguments *arguments) {
        _cleanup_free_ char *path = NULL;
        int r;

        if (!arguments->socket && asprintf(&path, "%s/private", service->paths.run) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = bus_context_listen_private(service->bus, arguments->socket ? arguments->socket : path,
                                       inherited_private_socket());
        if (r < 0) {
                log_error("The private socket %s can't be opened: %s", arguments->socket ? arguments->socket : path,
                          r == -EADDRINUSE ? "another bpfchaind listens on it" : strerror(-r));
                return r;
        }
        return arguments->system_bus ? bus_context_connect_system(service->bus) : 0;
}

/* Each chain takes some four descriptors. The usual soft limit of 1024 is for programs that call select(2). */
static void raise_descriptor_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
                return;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                log_warning("The limit of open files can't be raised: %s", strerror(errno));
}

static void load_settings(Service *service, const Arguments *arguments) {
        int level = arguments->log_level;

        service->settings = SETTINGS_INIT;
        if (settings_load(&service->paths, &service->settings, &service->settings_error) < 0) {
                log_error("Settings are left as they are by default: %s", strna(service->settings_error.message));
                service->settings.guard.unread = true;
        }
        if (level < 0)
                level = service->settings.log_level >= 0 ? service->settings.log_level : LOG_INFO;
        log_open(level);
}

/* Somebody wanted something that is not so, and does not read the log. */
static int note_settings(Service *service) {
        _cleanup_free_ char *sentence = NULL;

        if (!error_is_set(&service->settings_error))
                return 0;
        if (asprintf(&sentence,
                     "%s; all settings are as by default, and the guard's policy as it was before the service was "
                     "started, until this is mended and bpfchaind started anew",
                     strna(service->settings_error.message)) < 0) {
                sentence = NULL;
                return -ENOMEM;
        }
        return manager_note_problem(service->manager, SEVERITY_ERROR, "settings", sentence);
}

/* Outside of the unit's mount namespace, in which the folder has to be there already to be writable. */
/* What takes no service. */
static int act_once(const Arguments *arguments) {
        _cleanup_(kernel_freep) Kernel *kernel = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        int r;

        r = kernel_new(arguments->bpffs, SETTINGS_INIT.tc_attach, &kernel);
        if (r >= 0)
                r = arguments->release ? guard_programs_release(kernel, &error) : pins_prepare(kernel, &error);
        if (r < 0)
                log_error("%s", error.message ? error.message : strerror(-r));
        return r;
}

static int run(const Arguments *arguments) {
        _cleanup_(service_done) Service service = {};
        _cleanup_error_ Error error = ERROR_INIT;
        uint64_t started = usec_now(CLOCK_MONOTONIC);
        int r;

        r = paths_init(&service.paths, arguments->root);
        if (r < 0)
                return r;
        load_settings(&service, arguments);
        raise_descriptor_limit();

        r = sd_event_new(&service.event);
        if (r >= 0)
                r = add_signals(&service);
        if (r >= 0)
                r = add_sources(&service);
        if (r >= 0)
                r = kernel_new(arguments->bpffs, service.settings.tc_attach, &service.kernel);
        if (r < 0)
                return r;
        r = pins_prepare(service.kernel, &error);
        if (r < 0) {
                log_error("%s", error.message ? error.message : strerror(-r));
                return r;
        }

        service.observer = bus_observer;
        service.observer.reconcile_wanted = on_reconcile_wanted;
        service.observer.deadline_changed = on_deadline_changed;
        service.observer.guard_reconfigured = on_guard_reconfigured;
        service.observer.manager_changed = on_manager_changed;
        r = bus_context_new(service.event, NULL, get_capabilities, &service, &service.bus);
        if (r >= 0)
                r = manager_new(&service.paths, &kernel_ops, service.kernel, &service.observer, service.bus,
                                &service.manager);
        if (r < 0)
                return r;
        bus_context_set_manager(service.bus, service.manager);

        r = guard_new(service.manager, &service.settings.guard, &service.guard);
        if (r >= 0)
                r = note_settings(&service);
        if (r >= 0)
                r = manager_load(service.manager);
        if (r >= 0)
                r = open_links(&service);
        if (r >= 0) {
                (void) manager_reconcile(service.manager);
                r = sources_new(service.event, service.kernel, service.guard, &service.sources);
        }
        if (r >= 0)
                r = open_bus(&service, arguments);
        if (r < 0)
                return r;

        (void) sd_event_set_watchdog(service.event, true);
        (void) sd_notify(false, "READY=1");
        notify_status(&service);
        log_info("bpfchaind %s is ready after %.1f ms", BPFCHAIN_VERSION,
                 (double) (usec_now(CLOCK_MONOTONIC) - started) / (double) USEC_PER_MSEC);
        r = sd_event_loop(service.event);
        (void) sd_notify(false, "STOPPING=1");
        return r;
}

static void help(void) {
        printf("bpfchaind [OPTIONS]\n\n"
               "Shares the BPF hooks of network interfaces between programs. See bpfchaind(8).\n\n"
               "  -h --help             Show this\n"
               "     --version          Show the version\n"
               "     --root=DIR         Keep all folders (/etc, /run, /usr/lib, /var/lib) below DIR\n"
               "     --bpffs=DIR        Our folder in a BPF file system (default /sys/fs/bpf/bpfchain)\n"
               "     --socket=PATH      The private socket (default /run/bpfchain/private)\n"
               "     --prepare          Only make the folder for pins\n"
               "     --release-guard    Only take the guard of an earlier bpfchaind out of the kernel\n"
               "     --bus=system|none  Whether to appear on the system bus (default system)\n"
               "     --log-level=LEVEL  error, warning, notice, info or debug\n");
}

static int parse_level(const char *s) {
        static const char *const levels[] = { "error", "warning", "notice", "info", "debug" };

        for (size_t i = 0; i < ELEMENTSOF(levels); i++)
                if (streq(levels[i], s))
                        return LOG_ERR + (int) i;
        return -EINVAL;
}

/* 1: go on, 0: done, negative: wrong usage. */
static int parse_arguments(int argc, char **argv, Arguments *arguments) {
        enum { ARG_VERSION = 256, ARG_ROOT, ARG_BPFFS, ARG_SOCKET, ARG_BUS, ARG_LOG_LEVEL, ARG_PREPARE, ARG_RELEASE };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "root", required_argument, NULL, ARG_ROOT },
                { "bpffs", required_argument, NULL, ARG_BPFFS },
                { "socket", required_argument, NULL, ARG_SOCKET },
                { "bus", required_argument, NULL, ARG_BUS },
                { "log-level", required_argument, NULL, ARG_LOG_LEVEL },
                { "prepare", no_argument, NULL, ARG_PREPARE },
                { "release-guard", no_argument, NULL, ARG_RELEASE },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h': help(); return 0;
                case ARG_VERSION: printf("bpfchaind %s\n", BPFCHAIN_VERSION); return 0;
                case ARG_ROOT: arguments->root = optarg; break;
                case ARG_BPFFS: arguments->bpffs = optarg; break;
                case ARG_SOCKET: arguments->socket = optarg; break;
                case ARG_PREPARE: arguments->prepare = true; break;
                case ARG_RELEASE: arguments->release = true; break;
                case ARG_BUS:
                        if (!streq(optarg, "system") && !streq(optarg, "none")) {
                                fprintf(stderr, "--bus= takes \"system\" or \"none\", not \"%s\"\n", optarg);
                                return -EINVAL;
                        }
                        arguments->system_bus = streq(optarg, "system");
                        break;
                case ARG_LOG_LEVEL:
                        arguments->log_level = parse_level(optarg);
                        if (arguments->log_level < 0) {
                                fprintf(stderr, "--log-level= takes error, warning, notice, info or debug\n");
                                return -EINVAL;
                        }
                        break;
                default: return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "bpfchaind takes no arguments; see --help\n");
                return -EINVAL;
        }
        return 1;
}

int main(int argc, char **argv) {
        Arguments arguments = { .system_bus = true, .log_level = -1 };
        int r;

        log_open(LOG_INFO);
        r = parse_arguments(argc, argv, &arguments);
        if (r <= 0)
                return r < 0 ? 2 : 0;
        r = arguments.prepare || arguments.release ? act_once(&arguments) : run(&arguments);
        if (r < 0)
                log_error("bpfchaind gives up: %s", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
