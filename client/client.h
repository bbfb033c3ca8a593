/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What every verb gets: the options of the command line, where to write, and the connection to the service, which
 * is opened when a verb first asks for it.
 *
 * A function that returns an "exit status" has told the user already what went wrong (on stderr) when it is not
 * EXIT_DONE; the caller passes it on. Other functions return 0 or a negative errno.
 */

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#include "client/output.h"
#include "util/macros.h"

/* The exit statuses are part of the interface, see bpfchain(1). */
enum {
        EXIT_DONE = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_REFUSED = 3,     /* by policy */
        EXIT_NOT_RUNNING = 4, /* or not to be reached */
};

typedef struct Options {
        JsonMode json;
        bool legend;
        bool verbose;
        bool pager;
        bool runtime;
        bool dry_run;
        bool all;
        bool create_only;      /* map set */
        bool replace_only;     /* map set */
        uint64_t confirm;      /* microseconds, 0: none asked for */
        uint64_t expected;     /* generation, 0: any */
        uint64_t packet_first; /* of a capture, from 1; 0: all */
        uint64_t packet_last;
        uint64_t limit; /* packets, 0: none given */
        bool contents;
        bool force;           /* guard mode */
        const char *settings; /* path of a settings file, of guard test, or NULL */
        const char *pcap;     /* path of a capture, of explain */
        const char *simulate; /* path of a capture, of apply and plan */
        const char *filter;   /* pcap-filter(7), or NULL */
        const char *chain;    /* INTERFACE/HOOK, of --simulate, or NULL */
        const char *name;
        const char *output;  /* path of a file, or NULL */
        const char *address; /* D-Bus address, or NULL */
        const char *private; /* path of the private socket, or NULL */
} Options;

typedef struct Agent Agent;

typedef struct Client {
        Options options;
        Output output;
        sd_bus *bus;
        bool direct;  /* on the private socket: no bus between us and the service */
        bool let_in;  /* the other end took us */
        bool hung_up; /* the last call failed because the other end was gone */
        Agent *agent;
} Client;

/* Says on stderr what went wrong, with a newline, and hands the status back: `return fail(EXIT_USAGE, "…")`. */
int fail(int status, const char *format, ...) _printf_(2, 3);

/* The exit status for a fault of our own, most often lack of memory. */
int fail_errno(int r, const char *what);

/* The same where an argument of the command line could not be put into a message: it is not UTF-8 then (-EINVAL). */
int fail_argument(int r, const char *what);
