/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A manager with a fake kernel below, folders of its own, and an observer above that keeps a model of what it was
 * told. fx_check() compares all of these; most helpers call it.
 *
 * Documents are written with single quotes for double ones.
 */

#include "fake-kernel.h"
#include "model/guard.h"
#include "model/manager.h"
#include "util/strv.h"

/* What the bus would know by now. */
typedef struct Shadow {
        char **interfaces, **chains, **programs;
        char **maps;       /* "PROGRAM/MAP" */
        char *events;      /* "chain+ eth0/xdp\n…" since the last look */
        uint64_t deadline; /* UINT64_MAX: none */
        unsigned reconcile_wanted;
        unsigned guard_events, guard_reconfigured;
        uint64_t committed, rolled_back_to;
} Shadow;

typedef struct Fixture {
        char *root;
        Paths paths;
        FakeKernel *fake;
        Manager *manager;
        const GuardSettings *guard_settings; /* NULL: there is no guard */
        Guard *guard;
        Shadow shadow;
        LinkRecord links[256];
        size_t n_links;
        uint64_t generation; /* returned by the last change */
        char *report;
        Error error;           /* of the last change */
        ChangeOptions options; /* for the next changes */
        bool holds;            /* an interface, so that there may be a deadline */
        bool totals_unknown;   /* what the manager remembers of them was tampered with */
} Fixture;

/* For cmocka_unit_test_setup_teardown(). */
int fx_set_up(void **state);
int fx_tear_down(void **state);
#define fx_test(f) cmocka_unit_test_setup_teardown(f, fx_set_up, fx_tear_down)

/* Interfaces; told to the manager at once if it runs, and again after a restart. */
void fx_link(Fixture *fx, int ifindex, const char *name);
void fx_altname(Fixture *fx, int ifindex, const char *name);
void fx_unlink(Fixture *fx, int ifindex);

/* Objects lie in LIB/objects. What words mean says fake-kernel.h; NULL removes the file. */
void fx_object(Fixture *fx, const char *name, const char *words);
/* A document's file in its layer; NULL removes it. */
void fx_write(Fixture *fx, Layer layer, const char *name, const char *text);
char *fx_read(Fixture *fx, Layer layer, const char *name); /* NULL: no file; the caller frees */

void fx_start(Fixture *fx);     /* new, load, all links, first reconcile, check */
void fx_start_raw(Fixture *fx); /* new and load only */
void fx_kill(Fixture *fx);      /* as kill -9 does: nothing is said to the kernel */
void fx_reconcile(Fixture *fx);

/* Changes with fx->options; the error is kept in fx->error. They return what the manager does. */
int fx_apply(Fixture *fx, const char *name, const char *text);
int fx_withdraw(Fixture *fx, const char *name);
int fx_reload(Fixture *fx);
/* The same, and it must work. */
void fx_must_apply(Fixture *fx, const char *name, const char *text);
void fx_must_withdraw(Fixture *fx, const char *name);
void fx_must_reload(Fixture *fx);
/* An apply that must fail so. */
void fx_refused(Fixture *fx, const char *name, const char *text, ErrorCode code, const char *sentence);

Chain *fx_chain(Fixture *fx, const char *interface, Hook hook); /* must be there */
/* State and, where something runs, the programs in the kernel: "active deny,limit"; "-": no such chain. */
void fx_expect(Fixture *fx, const char *interface, Hook hook, const char *expected);
void fx_expect_reason(Fixture *fx, const char *interface, Hook hook, const char *text);
/* Figures of a program's slot as users see them. */
uint64_t fx_packets(Fixture *fx, const char *interface, Hook hook, const char *program);
/* Sends n packets that get the same verdict everywhere through the chain. */
void fx_send(Fixture *fx, const char *interface, Hook hook, const char *verdict, uint64_t n);

/* Manager, observer, kernel agree, and nothing prepared is left over. */
void fx_check(Fixture *fx);

/* All that can be seen from outside, as text: tables, documents, problems, files, kernel. The caller frees. */
char *fx_picture(Fixture *fx);
void fx_check_picture(Fixture *fx, const char *before);
void fx_events_clear(Fixture *fx);

/* Text with ' for ", to be freed. */
char *quotes(const char *text);
