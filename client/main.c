/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <locale.h>

#include "client/capture.h"
#include "client/connection.h"
#include "client/verb.h"
#include "client/verbs.h"
#include "config-build.h"
#include "util/clock.h"

static int verb_help(Client *client, int argc, char **argv);

static const Verb verbs[] = {
        { "status", "[INTERFACE|INTERFACE/HOOK...]", 0, -1, verb_status,
          "What runs: interfaces, chains, programs, counters (the default)",
          "Names may be patterns, \"eth*\". Counters are those of the moment.", "See" },
        { "programs", "[PROGRAM...]", 0, -1, verb_programs, "All programs, or all about the named ones" },
        { "interfaces", "[INTERFACE...]", 0, -1, verb_interfaces, "Network interfaces and what is on their hooks" },
        { "maps", "[PROGRAM...]", 0, -1, verb_maps, "Maps of the programs" },
        { "documents", "", 0, 0, verb_documents, "Documents of desired state and where they come from" },
        { "document", "NAME", 1, 1, verb_document, "The text of the document in effect" },
        { "monitor", "", 0, 0, verb_monitor, "Events as they come, until Ctrl-C" },
        { "guard", "[status|log|mode [MODE]|test]", 0, 2, verb_guard,
          "What others did to hooks of chains, who it was, and what is refused",
          "\"status\" (the default) says how the guard stands, what can be seen on this host, and how much was.\n"
          "\"log\" shows the last events, the oldest first; takes --limit.\n"
          "\"mode\" shows the mode, or sets it until the next boot: off, observe, enforce, or settings (as these "
          "say).\nTakes --force: although it locks out more than anybody is likely to want.\n"
          "\"test\" says what the policy would have done to the processes that were seen in the last hours; with\n"
          "--settings=FILE, what that file's would." },
        { "explain", "INTERFACE HOOK --pcap FILE", 1, 2, verb_explain,
          "What becomes of each packet of a capture, program by program",
          "The packets run through the chain as it runs now, over copies of its maps: nothing is sent, counted or "
          "changed.\n"
          "Takes --packet, --filter, --limit, --contents. \"tcpdump -i INTERFACE -w FILE\" makes a capture." },
        { "metrics", "", 0, 0, verb_metrics, "State and counters as OpenMetrics text",
          "Takes --output: the file is exchanged in one piece, and stays as it is when the service does not answer.\n"
          "bpfchain-metrics(7) lists the names; a timer that writes for node_exporter is installed." },
        { "apply", "FILE", 1, 1, verb_apply, "Put a document into effect",
          "FILE may be \"-\", with --name. Takes --name, --runtime, --dry-run, --confirm, --expected-generation.\n"
          "Objects are looked up beside the file first. With --simulate=CAPTURE nothing is put into effect: it says "
          "which\npackets of the capture would fare differently.",
          "Change" },
        { "plan", "FILE", 1, 1, verb_plan, "Verify a document and say what it would change" },
        { "diff", "FILE", 1, 1, verb_diff, "Compare a document with the one in effect, and say what would change" },
        { "withdraw", "NAME", 1, 1, verb_withdraw, "Take a document back" },
        { "confirm", "[GENERATION]", 0, 1, verb_confirm, "Keep what was applied with --confirm" },
        { "rollback", "[GENERATION]", 0, 1, verb_rollback, "Go back to what was wanted before" },
        { "reload", "", 0, 0, verb_reload, "Read all documents again" },
        { "insert", "INTERFACE HOOK PROGRAM [PLACE]", 2, 5, verb_insert, "Put a program into a chain",
          "PLACE is first, last (the default), before:PROGRAM or after:PROGRAM. HOOK is xdp, tc-ingress (or "
          "ingress)\n"
          "or tc-egress (or egress); \"eth0/xdp\" does as well. Edits of a chain make a document of their own,\n"
          "\"edit-INTERFACE-HOOK\": \"bpfchain withdraw\" undoes them all.",
          "Edit a chain" },
        { "move", "INTERFACE HOOK PROGRAM PLACE", 3, 5, verb_move, "Give a program another place" },
        { "remove", "INTERFACE HOOK PROGRAM", 2, 3, verb_remove, "Take a program out of a chain" },
        { "order", "INTERFACE HOOK PROGRAM...", 2, -1, verb_order, "Give a chain another order" },
        { "detach", "INTERFACE HOOK | --all", 0, 2, verb_detach, "Take a chain off its hook and keep it off",
          "With --all, every chain at once, whatever the documents say, until \"bpfchain reload\"." },
        { "attach", "INTERFACE HOOK", 1, 2, verb_attach, "Bring a detached chain back" },
        { "map", "get|set|del|dump PROGRAM MAP [KEY] [VALUE]", 1, -1, verb_map, "Read and write entries of a map",
          "Keys and values are bytes in hexadecimal, in the byte order of the host: \"0a 00 00 01\" or "
          "\"0a000001\".\n"
          "\"map set\" takes --create-only and --replace-only. For a per-CPU map, one value is given to all CPUs.",
          "Maps" },
        { "version", "", 0, 0, verb_version, "Versions of this command and of the service", NULL, "Other" },
        { "help", "[VERB]", 0, 1, verb_help, "This text, or more about a verb" },
};

static void show_usage(Output *out, const Verb *verb) {
        output_printf(out, STYLE_STRONG, "bpfchain %s", verb->name);
        fprintf(out->stream, "%s%s\n", *verb->arguments ? " " : "", verb->arguments);
}

static int verb_help(Client *client, int argc, char **argv) {
        Output *out = &client->output;

        if (argc > 0) {
                int i = verb_match(argv[0], verbs, ELEMENTSOF(verbs));

                if (i < 0)
                        return fail(EXIT_USAGE, "There is no verb \"%s\". \"bpfchain help\" lists them.", argv[0]);
                show_usage(out, &verbs[i]);
                fprintf(out->stream, "\n%s.\n", verbs[i].summary);
                if (verbs[i].details)
                        fprintf(out->stream, "\n%s\n", verbs[i].details);
                return EXIT_DONE;
        }

        fputs("bpfchain [OPTION...] [VERB] [ARGUMENT...]\n"
              "\nChains of BPF programs on network interfaces: see them, change them.\n",
              out->stream);
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                char usage[64];

                if (verbs[i].group) {
                        fputc('\n', out->stream);
                        output_printf(out, STYLE_STRONG, "%s", verbs[i].group);
                        fputc('\n', out->stream);
                }
                snprintf(usage, sizeof(usage), "%s %s", verbs[i].name, verbs[i].arguments);
                if (strlen(usage) > 37)
                        fprintf(out->stream, "  %s\n  %-37s %s\n", usage, "", verbs[i].summary);
                else
                        fprintf(out->stream, "  %-37s %s\n", usage, verbs[i].summary);
        }
        fputc('\n', out->stream);
        output_text(out, STYLE_STRONG, "Options");
        fputs("\n"
              "      --json[=off|short|pretty]         Results as JSON\n"
              "  -v, --verbose                         Of \"status\": ids, and why programs are not inlined\n"
              "      --no-legend                       No headings and no hints\n"
              "      --no-pager                        No pager for long output\n"
              "      --name=NAME                       Name of the document (default: that of the file)\n"
              "      --dry-run                         Verify everything, change nothing\n"
              "      --confirm=TIME                    Go back unless confirmed within this time (\"30s\")\n"
              "      --runtime                         The change lasts until the next reboot\n"
              "      --expected-generation=GENERATION  Refuse if another generation is running\n"
              "      --create-only, --replace-only     Of \"map set\": the key must be new, must be there\n"
              "      --all                             Of \"detach\": all chains\n"
              "      --pcap=CAPTURE                    Of \"explain\": the packets; \"-\" is standard input\n"
              "      --simulate=CAPTURE                Of \"apply\": which packets would fare differently; no "
              "change\n"
              "      --chain=INTERFACE/HOOK            With --simulate: this chain only\n"
              "      --packet=N[-M], --limit=N         Of a capture: these packets, no more than so many\n"
              "      --filter=EXPRESSION               Of a capture: what pcap-filter(7) lets through\n"
              "      --contents                        Of \"explain\": packets as programs left them\n"
              "      --settings=FILE, --force          Of \"guard\": try this file's policy; set a mode all the "
              "same\n"
              "      --output=FILE                     Of \"metrics\": write to this file\n"
              "      --address=ADDRESS                 Talk to the service at this D-Bus address\n"
              "      --private[=SOCKET]                Talk to it on its private socket\n"
              "  -h, --help                            This text\n"
              "      --version                         Version of this command\n"
              "\n"
              "Verbs may be cut short as long as one meaning is left: \"bpfchain st eth0\".\n"
              "Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by policy, 4 the service is not running.\n"
              "See bpfchain(1), bpfchain-document(5), bpfchain-metrics(7), bpfchaind(8).\n",
              out->stream);
        return EXIT_DONE;
}

static int parse_number(const char *option, const char *s, uint64_t *ret) {
        char *end;

        errno = 0;
        *ret = strtoull(s, &end, 10);
        if (*s < '0' || *s > '9' || *end || errno == ERANGE || *ret == 0)
                return fail(EXIT_USAGE, "--%s wants a number above 0, not \"%s\".", option, s);
        return EXIT_DONE;
}

static int parse_json_mode(const char *s, JsonMode *ret) {
        if (!s)
                *ret = isatty(STDOUT_FILENO) ? JSON_MODE_PRETTY : JSON_MODE_SHORT;
        else
                *ret = json_mode_from_string(s);
        return (int) *ret < 0 ? fail(EXIT_USAGE, "--json wants off, short or pretty, not \"%s\".", s) : EXIT_DONE;
}

static int parse_packet(const char *s, Options *options) {
        if (capture_parse_range(s, &options->packet_first, &options->packet_last) < 0)
                return fail(EXIT_USAGE, "--packet wants a number, or two as in \"5-20\", counted from 1; not \"%s\".",
                            s);
        return EXIT_DONE;
}

static int parse_confirm(const char *s, uint64_t *ret) {
        if (usec_from_string(s, ret) < 0 || *ret == 0 || *ret == USEC_INFINITY)
                return fail(EXIT_USAGE, "--confirm wants a time such as \"30s\" or \"2min\", not \"%s\".", s);
        return EXIT_DONE;
}

enum {
        OPTION_VERSION = 256,
        OPTION_JSON,
        OPTION_NO_LEGEND,
        OPTION_NO_PAGER,
        OPTION_NAME,
        OPTION_DRY_RUN,
        OPTION_CONFIRM,
        OPTION_RUNTIME,
        OPTION_EXPECTED,
        OPTION_CREATE_ONLY,
        OPTION_REPLACE_ONLY,
        OPTION_ALL,
        OPTION_OUTPUT,
        OPTION_ADDRESS,
        OPTION_PRIVATE,
        OPTION_PCAP,
        OPTION_PACKET,
        OPTION_FILTER,
        OPTION_LIMIT,
        OPTION_CONTENTS,
        OPTION_SIMULATE,
        OPTION_CHAIN,
        OPTION_FORCE,
        OPTION_SETTINGS,
};

/* Returns an exit status; with *ret_done there is nothing more to do. */
static int parse_options(int argc, char **argv, Options *options, bool *ret_help, bool *ret_done) {
        static const struct option table[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPTION_VERSION },
                { "json", optional_argument, NULL, OPTION_JSON },
                { "no-legend", no_argument, NULL, OPTION_NO_LEGEND },
                { "verbose", no_argument, NULL, 'v' },
                { "no-pager", no_argument, NULL, OPTION_NO_PAGER },
                { "name", required_argument, NULL, OPTION_NAME },
                { "dry-run", no_argument, NULL, OPTION_DRY_RUN },
                { "confirm", required_argument, NULL, OPTION_CONFIRM },
                { "runtime", no_argument, NULL, OPTION_RUNTIME },
                { "expected-generation", required_argument, NULL, OPTION_EXPECTED },
                { "create-only", no_argument, NULL, OPTION_CREATE_ONLY },
                { "replace-only", no_argument, NULL, OPTION_REPLACE_ONLY },
                { "all", no_argument, NULL, OPTION_ALL },
                { "output", required_argument, NULL, OPTION_OUTPUT },
                { "address", required_argument, NULL, OPTION_ADDRESS },
                { "private", optional_argument, NULL, OPTION_PRIVATE },
                { "pcap", required_argument, NULL, OPTION_PCAP },
                { "packet", required_argument, NULL, OPTION_PACKET },
                { "filter", required_argument, NULL, OPTION_FILTER },
                { "limit", required_argument, NULL, OPTION_LIMIT },
                { "contents", no_argument, NULL, OPTION_CONTENTS },
                { "simulate", required_argument, NULL, OPTION_SIMULATE },
                { "chain", required_argument, NULL, OPTION_CHAIN },
                { "force", no_argument, NULL, OPTION_FORCE },
                { "settings", required_argument, NULL, OPTION_SETTINGS },
                { 0 },
        };
        int c, status = EXIT_DONE;

        while (status == EXIT_DONE && (c = getopt_long(argc, argv, "hv", table, NULL)) >= 0)
                switch (c) {
                case 'h': *ret_help = true; break;
                case 'v': options->verbose = true; break;
                case OPTION_VERSION:
                        puts("bpfchain " BPFCHAIN_VERSION);
                        *ret_done = true;
                        return EXIT_DONE;
                case OPTION_JSON: status = parse_json_mode(optarg, &options->json); break;
                case OPTION_NO_LEGEND: options->legend = false; break;
                case OPTION_NO_PAGER: options->pager = false; break;
                case OPTION_NAME: options->name = optarg; break;
                case OPTION_DRY_RUN: options->dry_run = true; break;
                case OPTION_CONFIRM: status = parse_confirm(optarg, &options->confirm); break;
                case OPTION_RUNTIME: options->runtime = true; break;
                case OPTION_EXPECTED: status = parse_number("expected-generation", optarg, &options->expected); break;
                case OPTION_CREATE_ONLY: options->create_only = true; break;
                case OPTION_REPLACE_ONLY: options->replace_only = true; break;
                case OPTION_ALL: options->all = true; break;
                case OPTION_OUTPUT: options->output = optarg; break;
                case OPTION_ADDRESS: options->address = optarg; break;
                case OPTION_PRIVATE: options->private = optarg ? optarg : PRIVATE_SOCKET; break;
                case OPTION_PCAP: options->pcap = optarg; break;
                case OPTION_PACKET: status = parse_packet(optarg, options); break;
                case OPTION_FILTER: options->filter = optarg; break;
                case OPTION_LIMIT: status = parse_number("limit", optarg, &options->limit); break;
                case OPTION_CONTENTS: options->contents = true; break;
                case OPTION_SIMULATE: options->simulate = optarg; break;
                case OPTION_CHAIN: options->chain = optarg; break;
                case OPTION_FORCE: options->force = true; break;
                case OPTION_SETTINGS: options->settings = optarg; break;
                case '?': return fail(EXIT_USAGE, "\"bpfchain help\" lists the options.");
                }
        if (status == EXIT_DONE && options->address && options->private)
                return fail(EXIT_USAGE, "--address and --private are two ways to the same service; choose one.");
        return status;
}

static int run_verb(Client *client, int argc, char **argv) {
        const Verb *verb = &verbs[0];
        int i = 0;

        if (argc > 0) {
                i = verb_match(argv[0], verbs, ELEMENTSOF(verbs));
                if (i == -EEXIST)
                        return fail(EXIT_USAGE,
                                    "\"%s\" may be cut short less: several verbs begin so. "
                                    "\"bpfchain help\" lists them.",
                                    argv[0]);
                if (i < 0)
                        return fail(EXIT_USAGE, "There is no verb \"%s\". \"bpfchain help\" lists them.", argv[0]);
                verb = &verbs[i];
                argc--;
                argv++;
        }
        if (argc < verb->min || (verb->max >= 0 && argc > verb->max))
                return fail(EXIT_USAGE, "\"bpfchain %s\" takes %s%s. See \"bpfchain help %s\".", verb->name,
                            *verb->arguments ? "" : "no arguments", verb->arguments, verb->name);
        return verb->run(client, argc, argv);
}

int main(int argc, char **argv) {
        Client client = { .options = { .legend = true, .pager = true } };
        bool help = false, done = false;
        int r, status;

        setlocale(LC_CTYPE, "");
        status = parse_options(argc, argv, &client.options, &help, &done);
        if (status != EXIT_DONE || done)
                return status;
        r = output_init(&client.output, client.options.pager && client.options.json == JSON_MODE_OFF);
        if (r < 0)
                return fail_errno(r, "The output");

        argc -= optind;
        argv += optind;
        status = help ? verb_help(&client, MIN2(argc, 1), argv) : run_verb(&client, argc, argv);
        client_disconnect(&client);

        /* What was found out before something failed is worth showing too, but half a JSON text is none. */
        if (status != EXIT_DONE && client.options.json != JSON_MODE_OFF) {
                output_done(&client.output);
                return status;
        }
        r = output_finish(&client.output);
        if (r < 0 && status == EXIT_DONE)
                status = fail_errno(r, "Writing the output");
        return status;
}
