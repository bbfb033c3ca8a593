/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "client/connection.h"
#include "client/verbs.h"
#include "util/file.h"

/* A scraper that looks at any moment finds the old text or the new one, whole. What is no file is left alone: a new
 * one would take its place, and the place of a device or a link is no place for it. */
static int write_metrics(const char *path, const char *text) {
        struct stat st;
        int r;

        if (lstat(path, &st) >= 0 && !S_ISREG(st.st_mode))
                return fail(EXIT_FAILED,
                            "%s is there and is no regular file, so it is left alone. Name a file for --output, or "
                            "leave the option out to have the text on standard output.",
                            path);
        r = file_write_atomic(path, text, strlen(text), 0644);
        if (r < 0)
                return fail(EXIT_FAILED,
                            "%s can't be written: %s. Its folder must be there, and this user must be able to write "
                            "to it.",
                            path, strerror(-r));
        return EXIT_DONE;
}

static int get_metrics(Client *client, sd_bus_message **ret_reply, const char **ret_text) {
        _cleanup_message_ sd_bus_message *call = NULL;
        int r, status;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "GetMetrics", &call);
        if (status != EXIT_DONE)
                return status;
        /* A service that was stopped is not started by somebody who measures every half a minute. */
        r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_message_append(call, "a{sv}", 0);
        if (r < 0)
                return fail_errno(r, "GetMetrics");
        status = client_call(client, call, NULL, ret_reply);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_read(*ret_reply, "s", ret_text);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        if (!endswith(*ret_text, "# EOF\n"))
                return fail(EXIT_FAILED, "What bpfchaind sent has no end; nothing was written. \"bpfchain version\" "
                                         "shows whether both are of one version.");
        return EXIT_DONE;
}

int verb_metrics(Client *client, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        const char *text, *path = client->options.output;
        int status;

        if (client->options.json != JSON_MODE_OFF)
                return fail(EXIT_USAGE, "Metrics are text that monitoring systems read, and have no form in JSON; "
                                        "\"bpfchain --json status\" has the same figures.");
        if (path && (!*path || endswith(path, "/")))
                return fail(EXIT_USAGE, "--output wants the name of a file, not \"%s\".", path);
        status = get_metrics(client, &reply, &text);
        if (status != EXIT_DONE)
                return status;
        if (path)
                return write_metrics(path, text);
        if (client->output.terminal)
                output_text(&client->output, STYLE_NONE, text);
        else
                fputs(text, client->output.stream);
        return EXIT_DONE;
}
