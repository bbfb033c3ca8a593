/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/connection.h"
#include "client/verb.h"
#include "client/verbs.h"

int client_get_chain(Client *client, const char *interface, const char *hook, char **ret) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        const char *path;
        int r, status;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "GetChain", &call);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(call, "ss", interface, hook);
        if (r < 0)
                return fail_argument(r, "The chain's name");
        status = client_call(client, call, NULL, &reply);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        *ret = strdup(path);
        return *ret ? EXIT_DONE : fail_errno(-ENOMEM, "The chain's name");
}

/* Takes the chain off the front of the arguments and begins a call of one of its methods. */
static int begin_edit(Client *client, const char *member, int *argc, char ***argv, char **ret_interface,
                      const char **ret_hook, sd_bus_message **ret_call) {
        _cleanup_free_ char *path = NULL;
        int status;

        status = take_hook(argc, argv, ret_interface, ret_hook);
        if (status == EXIT_DONE)
                status = client_get_chain(client, *ret_interface, *ret_hook, &path);
        if (status == EXIT_DONE)
                status = client_new_call(client, path, INTERFACE_CHAIN, member, ret_call);
        return status;
}

static int end_edit(Client *client, sd_bus_message *call, sd_bus_message **ret_reply) {
        int r;

        r = options_begin(client, call);
        if (r >= 0)
                r = options_end(call);
        if (r < 0)
                return fail_errno(r, "The call");
        return client_call(client, call, "Building the chain", ret_reply);
}

/* "first", "last", "before:NAME", "after:NAME", also in two words; NULL arguments mean "last". */
static int parse_anchor(int argc, char **argv, char **ret) {
        static const char *const words[] = { "first", "last", "before", "after" };
        const char *name = NULL;
        _cleanup_free_ char *word = NULL;
        int i;

        if (argc == 0) {
                *ret = strdup("last");
                return *ret ? EXIT_DONE : fail_errno(-ENOMEM, "The place");
        }
        word = strdup(argv[0]);
        if (!word)
                return fail_errno(-ENOMEM, "The place");
        if (strchr(word, ':')) {
                char *colon = strchr(word, ':');

                *colon = 0;
                name = colon + 1;
        } else if (argc > 1)
                name = argv[1];
        i = word_match(word, words, ELEMENTSOF(words));
        if (i < 0 || (i < 2) == (name != NULL) || (name && !*name) || argc > (strchr(argv[0], ':') || i < 2 ? 1 : 2))
                return fail(EXIT_USAGE,
                            "\"%s%s%s\" is no place in a chain. There are first, last, before:NAME and "
                            "after:NAME.",
                            argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
        if (asprintf(ret, "%s%s%s", words[i], name ? ":" : "", strempty_to(name, "")) < 0)
                return fail_errno(-ENOMEM, "The place");
        return EXIT_DONE;
}

static int place(Client *client, const char *member, const char *done, bool anchor_wanted, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_free_ char *interface = NULL, *anchor = NULL;
        const char *hook, *program;
        int r, status;

        status = begin_edit(client, member, &argc, &argv, &interface, &hook, &call);
        if (status != EXIT_DONE)
                return status;
        if (argc < 1)
                return fail(EXIT_USAGE, "A program is wanted behind the hook; \"bpfchain programs\" lists them.");
        program = argv[0];
        if (argc < 2 && anchor_wanted)
                return fail(EXIT_USAGE,
                            "A place is wanted behind the program: first, last, before:NAME or after:NAME.");
        status = parse_anchor(argc - 1, argv + 1, &anchor);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(call, "ss", program, anchor);
        if (r < 0)
                return fail_argument(r, "The program's name");
        status = end_edit(client, call, &reply);
        if (status != EXIT_DONE)
                return status;
        return client_show_generation(client, reply, "%s %s %s/%s.", program, done, interface, hook);
}

int verb_insert(Client *client, int argc, char **argv) {
        return place(client, "Insert", "is in", false, argc, argv);
}

int verb_move(Client *client, int argc, char **argv) {
        return place(client, "Move", "has its new place in", true, argc, argv);
}

int verb_remove(Client *client, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_free_ char *interface = NULL;
        const char *hook;
        int r, status;

        status = begin_edit(client, "Remove", &argc, &argv, &interface, &hook, &call);
        if (status != EXIT_DONE)
                return status;
        if (argc != 1)
                return fail(EXIT_USAGE, "One program is wanted behind the hook; \"bpfchain status\" shows them.");
        r = sd_bus_message_append(call, "s", argv[0]);
        if (r < 0)
                return fail_argument(r, "The program's name");
        status = end_edit(client, call, &reply);
        if (status != EXIT_DONE)
                return status;
        return client_show_generation(client, reply, "%s is no longer in %s/%s.", argv[0], interface, hook);
}

int verb_order(Client *client, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_free_ char *interface = NULL;
        const char *hook;
        int r, status;

        status = begin_edit(client, "SetOrder", &argc, &argv, &interface, &hook, &call);
        if (status != EXIT_DONE)
                return status;
        if (argc < 1)
                return fail(EXIT_USAGE, "All programs of the chain are wanted behind the hook, in their new order.");
        r = sd_bus_message_append_strv(call, argv);
        if (r < 0)
                return fail_argument(r, "The programs' names");
        status = end_edit(client, call, &reply);
        if (status != EXIT_DONE)
                return status;
        return client_show_generation(client, reply, "%s/%s has its new order.", interface, hook);
}

static int detach_all(Client *client) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        int status;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "DetachAll", &call);
        if (status == EXIT_DONE)
                status = end_edit(client, call, &reply);
        if (status != EXIT_DONE)
                return status;
        return client_show_generation(client, reply,
                                      "All chains are off their hooks; \"bpfchain reload\" brings them back.");
}

static int switch_chain(Client *client, const char *member, const char *done, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_free_ char *interface = NULL;
        const char *hook;
        int status;

        status = begin_edit(client, member, &argc, &argv, &interface, &hook, &call);
        if (status != EXIT_DONE)
                return status;
        if (argc > 0)
                return fail(EXIT_USAGE, "\"%s\" is too much behind the hook.", argv[0]);
        status = end_edit(client, call, &reply);
        if (status != EXIT_DONE)
                return status;
        return client_show_generation(client, reply, "%s/%s is %s.", interface, hook, done);
}

int verb_detach(Client *client, int argc, char **argv) {
        if (client->options.all)
                return argc == 0 ? detach_all(client)
                                 : fail(EXIT_USAGE, "--all takes all chains off; \"%s\" is too much.", argv[0]);
        return switch_chain(client, "Detach", "off its hook, until \"bpfchain attach\" brings it back", argc, argv);
}

int verb_attach(Client *client, int argc, char **argv) {
        return switch_chain(client, "Attach", "on its hook", argc, argv);
}
