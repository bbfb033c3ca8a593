/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A chain of eight members on an interface, in two generations, to be exchanged for one another while packets come.
 */

#include "stock.h"

#define EXCHANGE_MEMBERS     8
#define EXCHANGE_GENERATIONS 2

typedef enum ExchangeKind {
        EXCHANGE_OURS,     /* built, verified, put into effect and pinned by the service's own library */
        EXCHANGE_TCX_LIST, /* the kernel's list of programs, link by link */
        EXCHANGE_LINKED,   /* linked tail calls, slot by slot, as L3AF does */
} ExchangeKind;

typedef struct Exchange {
        const Settings *settings;
        ExchangeKind kind;
        Hook hook;
        const char *interface;
        int ifindex;

        Kernel *kernel;
        KernelProgram *programs[EXCHANGE_GENERATIONS][EXCHANGE_MEMBERS];
        KernelAttachment *attachment;

        int fds[EXCHANGE_GENERATIONS][EXCHANGE_MEMBERS];
        int next[EXCHANGE_GENERATIONS][EXCHANGE_MEMBERS]; /* maps with the program behind a linked one … */
        int root_next;                                    /* … and with the first */
        int links[EXCHANGE_MEMBERS];                      /* of the list, or the root's */
} Exchange;

/* Loads all members and puts generation 0 on the hook. For the first fields, and `kernel`, the caller cares. */
void exchange_start(Exchange *exchange);

void exchange_to(Exchange *exchange, unsigned generation);

/* Takes the chain off the hook. The rest belongs to the process. */
void exchange_end(Exchange *exchange);

const char *exchange_name(const Exchange *exchange);
