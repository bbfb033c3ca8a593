/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>

#include "client/agent.h"
#include "client/connection.h"
#include "client/line-diff.h"
#include "client/report.h"
#include "client/simulation.h"
#include "client/snapshot.h"
#include "client/verb.h"
#include "client/verbs.h"
#include "util/clock.h"

/* A document as the command line names it. */
typedef struct Input {
        const char *path; /* as given; "-" is stdin */
        char *name;
        char *directory; /* absolute */
        char *text;
        size_t size;
} Input;

static void input_done(Input *input) {
        free(input->name);
        free(input->directory);
        free(input->text);
}

/* Reads to the end. -EFBIG: more than a document may have. */
static int read_text(int fd, char **ret, size_t *ret_size) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0, allocated = 0;

        for (;;) {
                ssize_t n;

                if (allocated - size < 4096) {
                        size_t wanted = MAX2(allocated * 2, (size_t) 65536);
                        char *grown = realloc(text, wanted + 1);

                        if (!grown)
                                return -ENOMEM;
                        text = grown;
                        allocated = wanted;
                }
                n = read(fd, text + size, allocated - size);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (n == 0)
                        break;
                size += (size_t) n;
                if (size > JSON_DOCUMENT_MAX)
                        return -EFBIG;
        }
        text[size] = 0;
        *ret = TAKE_PTR(text);
        *ret_size = size;
        return 0;
}

static int input_read(Input *input) {
        _cleanup_close_ int fd = -EBADF;
        bool is_stdin = streq(input->path, "-");
        struct stat status;
        size_t valid;
        int r;

        if (is_stdin)
                fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        else
                fd = open(input->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return fail(EXIT_FAILED, "%s: %s.", input->path, strerror(errno));
        if (fstat(fd, &status) >= 0 && S_ISDIR(status.st_mode))
                return fail(EXIT_FAILED,
                            "%s is a folder. Apply its documents one by one, or put them into "
                            "/etc/bpfchain/chains.d and call \"bpfchain reload\".",
                            input->path);

        r = read_text(fd, &input->text, &input->size);
        if (r == -EFBIG)
                return fail(EXIT_FAILED,
                            "%s: larger than a document may be (%u MiB). Split it, and fill large maps "
                            "with \"bpfchain map set\".",
                            input->path, JSON_DOCUMENT_MAX >> 20);
        if (r < 0)
                return fail(EXIT_FAILED, "%s: %s.", input->path, strerror(-r));

        /* D-Bus carries UTF-8 without NUL only, so this can't be left to the service. */
        valid = utf8_check(input->text, input->size);
        if (valid < input->size) {
                JsonPosition position = json_position(input->text, input->size, valid);

                return fail(EXIT_FAILED, "%s:%u:%u: %s. A document is text in UTF-8.", input->path, position.line,
                            position.column, input->text[valid] ? "not UTF-8" : "a NUL character");
        }
        return EXIT_DONE;
}

static int input_name(Input *input, const char *name) {
        input->name = name ? strdup(name) : document_name_of_path(input->path);
        if (!name && streq(input->path, "-"))
                return fail(EXIT_USAGE, "A document from standard input wants a name: --name NAME.");
        if (!input->name)
                return fail(EXIT_USAGE, "\"%s\" gives the document no name; say --name NAME.", input->path);
        return EXIT_DONE;
}

/* The folder of the file, where the service looks for objects first. */
static int input_directory(Input *input) {
        const char *slash = strrchr(input->path, '/');
        _cleanup_free_ char *directory = NULL;

        if (streq(input->path, "-") || !slash)
                directory = strdup(".");
        else
                directory = strndup(input->path, MAX2((size_t) (slash - input->path), (size_t) 1));
        input->directory = directory ? realpath(directory, NULL) : NULL;
        if (!input->directory)
                return fail_errno(errno, "The folder of the document");
        return EXIT_DONE;
}

static int input_init(Input *input, Client *client, const char *path) {
        int status;

        *input = (Input){ .path = path };
        status = input_name(input, client->options.name);
        if (status == EXIT_DONE)
                status = input_directory(input);
        if (status == EXIT_DONE)
                status = input_read(input);
        return status;
}

/* The service calls the document NAME.json; people look for the file that they gave. */
static int fail_document(Client *client, const Input *input, int r, const sd_bus_error *error) {
        _cleanup_free_ char *prefix = NULL;
        const char *message = strempty_to(error->message, "no reason was given"), *rest;
        size_t n;
        bool document;

        if (bus_error_to_status(r, error) != EXIT_FAILED || !error->name || !startswith(error->name, SERVICE_ERROR))
                return client_fail_bus(client, r, error);
        if (asprintf(&prefix, "%s.json:", input->name) < 0)
                return fail_errno(-ENOMEM, "The document");

        rest = streq(input->path, "-") ? NULL : startswith(message, prefix);
        n = strlen(message);
        document = sd_bus_error_has_name(error, SERVICE_ERROR "InvalidDocument");
        return fail(EXIT_FAILED, "%s%s%s%s\nNothing was changed.%s", rest ? input->path : "", rest ? ":" : "",
                    rest ? rest : message, n > 0 && message[n - 1] == '.' ? "" : ".",
                    document ? " See bpfchain-document(5) on what a document may hold." : "");
}

/* D-Bus can't carry a folder that is not named in UTF-8; objects are looked for in all other places then. */
static int add_base_directory(sd_bus_message *call, const Input *input) {
        size_t size = strlen(input->directory);

        return utf8_check(input->directory, size) == size ? options_add(call, "base-directory", "s", input->directory)
                                                          : 0;
}

static int send_document(Client *client, const Input *input, bool plan, uint64_t *ret_generation,
                         json_object **ret_report) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *report;
        char doing[128];
        int r, status;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, plan ? "Plan" : "Apply", &call);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(call, "ss", input->name, input->text);
        if (r >= 0)
                r = options_begin(client, call);
        if (r >= 0)
                r = add_base_directory(call, input);
        if (r >= 0)
                r = options_end(call);
        if (r == -EINVAL)
                return fail(EXIT_USAGE, "\"%s\" is no name for a document; say --name NAME.", input->name);
        if (r < 0)
                return fail_errno(r, "The document");

        snprintf(doing, sizeof(doing), plan ? "Verifying %.80s" : "Verifying and attaching %.80s", input->name);
        r = client_call_error(client, call, doing, &error, &reply);
        if (r < 0)
                return fail_document(client, input, r, &error);
        if (plan)
                r = sd_bus_message_read(reply, "s", &report);
        else
                r = sd_bus_message_read(reply, "ts", ret_generation, &report);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        *ret_report = json_tokener_parse(report);
        if (!json_object_is_type(*ret_report, json_type_object))
                return fail(EXIT_FAILED, "The report of bpfchaind is not what it should be.");
        return EXIT_DONE;
}

/* The last word: what is in effect now and what to do next. */
static void show_outcome(Client *client, uint64_t generation, int n_changes) {
        Output *out = &client->output;
        char buffer[USEC_STRING_SIZE];

        if (n_changes == 0)
                output_printf(out, STYLE_NONE, "Nothing to change. Generation %" PRIu64 " is running.\n", generation);
        else if (client->options.confirm > 0)
                output_printf(out, STYLE_WARNING,
                              "Generation %" PRIu64 " is running. Confirm with \"bpfchain confirm %" PRIu64
                              "\" within %s, or the generation before comes back.\n",
                              generation, generation, usec_to_string(client->options.confirm, buffer));
        else
                output_printf(out, STYLE_NONE, "Generation %" PRIu64 " is running%s.\n", generation,
                              client->options.runtime ? " until the next reboot" : "");
}

static int apply(Client *client, const char *path, bool plan) {
        _cleanup_(input_done) Input input = {};
        _cleanup_json_ json_object *report = NULL;
        uint64_t generation = 0;
        int n, status;

        status = input_init(&input, client, path);
        if (status == EXIT_DONE)
                status = send_document(client, &input, plan, &generation, &report);
        if (status != EXIT_DONE)
                return status;

        if (client->options.json != JSON_MODE_OFF) {
                output_json(&client->output, client->options.json, report);
                return EXIT_DONE;
        }
        n = report_show(client, report, true);
        if (n < 0)
                return fail_errno(n, "The report");
        if (!plan)
                show_outcome(client, generation, n);
        else if (n == 0)
                output_printf(&client->output, STYLE_NONE, "Nothing would change.\n");
        else
                output_printf(&client->output, STYLE_NONE,
                              "Nothing was changed: this was a trial. \"bpfchain apply %s\" does it.\n", path);
        return EXIT_DONE;
}

static int send_simulation(Client *client, const Input *input, const Capture *capture, json_object **ret_report) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int r, status;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "Simulate", &call);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(call, "ss", input->name, input->text);
        if (r >= 0)
                r = simulation_append_packets(call, capture);
        if (r >= 0)
                r = options_begin(client, call);
        if (r >= 0)
                r = add_base_directory(call, input);
        if (r >= 0 && client->options.contents)
                r = options_add(call, "contents", "b", 1);
        if (r >= 0 && client->options.chain)
                r = options_add(call, "chain", "s", client->options.chain);
        if (r >= 0)
                r = options_end(call);
        if (r < 0)
                return fail_argument(r, "A name");
        r = client_call_error(client, call, "Simulating", &error, &reply);
        if (r < 0)
                return fail_document(client, input, r, &error);
        return simulation_read_report(reply, capture, ret_report);
}

static int simulate(Client *client, const char *path) {
        _cleanup_(capture_done) Capture capture = {};
        _cleanup_(input_done) Input input = {};
        _cleanup_json_ json_object *report = NULL;
        int r, status;

        if (streq(path, "-") && streq(client->options.simulate, "-"))
                return fail(EXIT_USAGE, "Standard input can be the document or the capture, not both.");
        status = input_init(&input, client, path);
        if (status == EXIT_DONE)
                status = simulation_read_capture(client, client->options.simulate, &capture);
        if (status == EXIT_DONE)
                status = send_simulation(client, &input, &capture, &report);
        if (status != EXIT_DONE)
                return status;

        if (client->options.json != JSON_MODE_OFF) {
                output_json(&client->output, client->options.json, report);
                return EXIT_DONE;
        }
        r = report_show(client, json_member(report, "plan"), true);
        if (r >= 0)
                r = simulation_show_chains(client, report, &capture);
        if (r < 0)
                return fail_errno(r, "The report");
        output_printf(&client->output, STYLE_NONE,
                      "Nothing was changed: this was a simulation. \"bpfchain apply %s\" "
                      "puts it into effect.\n",
                      path);
        return EXIT_DONE;
}

int verb_plan(Client *client, int argc, char **argv) {
        client->options.dry_run = false; /* implied */
        return client->options.simulate ? simulate(client, argv[0]) : apply(client, argv[0], true);
}

int verb_apply(Client *client, int argc, char **argv) {
        return client->options.dry_run || client->options.simulate ? verb_plan(client, argc, argv)
                                                                   : apply(client, argv[0], false);
}

/* The document in effect; NULL where there is none of this name. */
static int get_document(Client *client, const char *name, char **ret) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *text;
        int r, status;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "GetDocument", &call);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(call, "s", name);
        if (r < 0)
                return fail_argument(r, "The document's name");
        r = client_call_error(client, call, NULL, &error, &reply);
        if (r < 0 && sd_bus_error_has_name(&error, SERVICE_ERROR "NoSuchDocument")) {
                *ret = NULL;
                return EXIT_DONE;
        }
        if (r < 0)
                return client_fail_bus(client, r, &error);
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        *ret = strdup(text);
        return *ret ? EXIT_DONE : fail_errno(-ENOMEM, "The document");
}

static int show_diff_json(Client *client, const Input *input, const char *present, json_object *report) {
        _cleanup_json_ json_object *result = json_object_new_object();

        if (!result || json_add(result, "document", json_object_new_string(input->name)) < 0 ||
            json_add(result, "differs", json_object_new_boolean(!present || !streq(present, input->text))) < 0 ||
            json_add(result, "present", present ? json_object_new_string(present) : NULL) < 0 ||
            json_add(result, "report", json_object_get(report)) < 0)
                return fail_errno(-ENOMEM, "The result");
        output_json(&client->output, client->options.json, result);
        return EXIT_DONE;
}

int verb_diff(Client *client, int argc, char **argv) {
        _cleanup_(input_done) Input input = {};
        _cleanup_json_ json_object *report = NULL;
        _cleanup_free_ char *present = NULL, *label = NULL;
        Output *out = &client->output;
        int differs, n, status;

        client->options.dry_run = false; /* Plan() implies it */
        status = input_init(&input, client, argv[0]);
        if (status == EXIT_DONE)
                status = get_document(client, input.name, &present);
        if (status == EXIT_DONE)
                status = send_document(client, &input, true, NULL, &report);
        if (status != EXIT_DONE)
                return status;
        if (client->options.json != JSON_MODE_OFF)
                return show_diff_json(client, &input, present, report);

        if (asprintf(&label, present ? "%s (in effect)" : "%s (not there yet)", input.name) < 0) {
                label = NULL;
                return fail_errno(-ENOMEM, "The result");
        }
        differs = line_diff_show(out, label, strempty_to(present, ""), input.path, input.text);
        if (differs < 0)
                return fail_errno(differs, "The comparison");
        if (differs > 0)
                fputc('\n', out->stream);
        n = report_show(client, report, false);
        if (n < 0)
                return fail_errno(n, "The report");
        if (n == 0)
                output_printf(out, STYLE_NONE,
                              differs > 0 ? "The text differs, but no chain or program would change.\n"
                                          : "Nothing would change.\n");
        return EXIT_DONE;
}
