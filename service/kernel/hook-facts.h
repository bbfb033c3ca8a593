/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is done to XDP, tcx and netkit hooks of our network namespace, and to its interfaces (moved, renamed,
 * deleted), as it is done, with who did it: from programs at functions of the kernel that every such change goes
 * through (bpf/facts.bpf.c, fentry and fexit). They refuse nothing, cost nothing elsewhere, and go with the service.
 * Which functions there are differs between kernels, so each is tried. Our own acts are not told. Programs that
 * others load are told as well, where the caller has nothing cheaper for that.
 *
 * Needs CAP_BPF and CAP_PERFMON, and a kernel that lets tracing programs in.
 */

#include <systemd/sd-event.h>

#include "model/guard.h"

typedef struct HookFacts HookFacts;

/* fact is NULL when some were lost. who is as complete as the kernel's record makes it. */
typedef void (*HookFactHandler)(const GuardFact *fact, void *userdata);

/* A program was loaded or unloaded. */
typedef struct ProgramFact {
        bool loaded;
        uint32_t program_id;
        uint64_t boottime; /* microseconds */
        Culprit who;       /* of an unloaded one: whoever held it last, or the kernel */
} ProgramFact;

typedef struct HookFactsHandlers {
        HookFactHandler fact;
        void (*program)(const ProgramFact *fact, void *userdata); /* NULL: programs are not told of */
        void *userdata;
} HookFactsHandlers;

/* What comes this way on this kernel. */
typedef struct HookFactsCoverage {
        bool complete; /* every change to a link or program on XDP and tcx hooks */
        bool programs; /* every load of a program */
} HookFactsCoverage;

/* On failure *ret_reason is a static phrase: what is not to be had, and why. handlers are copied. */
int hook_facts_new(sd_event *event, const HookFactsHandlers *handlers, HookFactsCoverage *ret_coverage,
                   const char **ret_reason, HookFacts **ret);
HookFacts *hook_facts_free(HookFacts *facts); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(HookFacts *, hook_facts_free)

/* Hands out what is there, some hundred at most, so that a look that something else has caused knows who did it. NULL
 * is fine. */
void hook_facts_read(HookFacts *facts);

/* The pure part: a record of the programs' ring, aligned to eight bytes. -EBADMSG: nothing that they would write. */
int hook_facts_parse(const void *data, size_t size, GuardFact *ret);
int hook_facts_parse_program(const void *data, size_t size, ProgramFact *ret);
