/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <pthread.h>

#include "kernel/capture.h"
#include "kernel/libbpf-callbacks.h"
#include "util/clock.h"
#include "util/log.h"

#define MESSAGES_MAX 4096U

/* libbpf calls back without a pointer of ours, so this one is set around its calls. */
static _Thread_local Object *current;

void libbpf_set_current(Object *object) {
        current = object;
}

bool section_has_frags(const char *section) {
        return startswith(section + (*section == '?'), "xdp.frags") != NULL;
}

/* libbpf calls this when a program is complete and about to be loaded. All programs of an object are loaded with
 * the attach type that the chain will have, because a prog_array takes only programs that agree with the first
 * one in it. For TC that is none: such programs go on tcx and on clsact. */
static int prepare_load(struct bpf_program *program, struct bpf_prog_load_opts *opts, _unused_ long cookie) {
        Object *object = current;

        if (bpf_program__type(program) == BPF_PROG_TYPE_XDP) {
                opts->expected_attach_type = BPF_XDP;
                if (section_has_frags(bpf_program__section_name(program)))
                        opts->prog_flags |= BPF_F_XDP_HAS_FRAGS;
        } else {
                opts->expected_attach_type = 0;
        }

        if (!object)
                return 0;
        if (object->types_fd >= 0)
                opts->prog_btf_fd = (uint32_t) object->types_fd;
        if (object->last == object->program)
                object->load_usec = usec_now(CLOCK_MONOTONIC) - object->started;
        object->last = program;
        object->started = usec_now(CLOCK_MONOTONIC);
        if (object->program == program)
                object->capture_error = capture_member(program, opts, &object->member);
        return object->capture_error;
}

static int print_message(enum libbpf_print_level level, const char *format, va_list ap) {
        Object *object = current;
        char line[1024], *joined;
        size_t n;

        if (level > LIBBPF_WARN)
                return 0;
        vsnprintf(line, sizeof(line), format, ap);
        text_make_printable(line);
        n = strlen(line);
        while (n > 0 && line[n - 1] == '\n')
                line[--n] = '\0';

        if (!object) {
                log_debug("%s", line);
                return 0;
        }
        /* the verifier's log is had from elsewhere */
        if (strstr(line, "BEGIN PROG LOAD LOG") || strlen(strempty_to(object->messages, "")) + n > MESSAGES_MAX)
                return 0;
        if (asprintf(&joined, "%s%s%s", strempty_to(object->messages, ""), object->messages ? "; " : "",
                     startswith(line, "libbpf: ") ? line + strlen("libbpf: ") : line) >= 0) {
                free(object->messages);
                object->messages = joined;
        }
        return 0;
}

/* Sections of which libbpf knows that their programs go on our hooks. Those for the inner points of XDP (devmap,
 * cpumap) are left to libbpf, so that they can be told apart. */
static const struct {
        const char *section;
        enum bpf_prog_type type;
} known_sections[] = {
        { "xdp", BPF_PROG_TYPE_XDP },
        { "xdp.frags", BPF_PROG_TYPE_XDP },
        { "tc", BPF_PROG_TYPE_SCHED_CLS },
        { "tc/ingress", BPF_PROG_TYPE_SCHED_CLS },
        { "tc/egress", BPF_PROG_TYPE_SCHED_CLS },
        { "tcx/ingress", BPF_PROG_TYPE_SCHED_CLS },
        { "tcx/egress", BPF_PROG_TYPE_SCHED_CLS },
        { "classifier", BPF_PROG_TYPE_SCHED_CLS },
};

static int register_result;

/* Registration is for the whole process and for good. */
static void register_handlers(void) {
        LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = prepare_load);

        libbpf_set_print(print_message);
        /* libbpf would look for a BPF token on bpffs each time; this service has capabilities of its own */
        (void) setenv("LIBBPF_BPF_TOKEN_PATH", "", 1);
        for (size_t i = 0; i < ELEMENTSOF(known_sections) && register_result >= 0; i++)
                register_result = libbpf_register_prog_handler(
                        known_sections[i].section, known_sections[i].type,
                        known_sections[i].type == BPF_PROG_TYPE_XDP ? BPF_XDP : 0, &opts);
        if (register_result >= 0)
                register_result = libbpf_register_prog_handler(NULL, BPF_PROG_TYPE_UNSPEC, 0, &opts);
}

int libbpf_register(void) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        pthread_once(&once, register_handlers);
        return MIN2(register_result, 0);
}
