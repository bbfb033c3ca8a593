/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>

#include "kernel/capture.h"
#include "kernel/fuse.h"
#include "kernel/libbpf-callbacks.h"
#include "kernel/object.h"
#include "kernel/uapi.h"
#include "util/clock.h"

/* What the verifier said of the program by itself. */
static int refuse(const Object *object, const ProgramRequest *request, int r, Error *error) {
        const char *function = bpf_program__name(object->last);
        _cleanup_free_ char *summary = verifier_log_summary(object->log);

        if (verifier_log_too_complex(object->log))
                r = error_set_at(error, ERROR_LIMIT_EXCEEDED, request->where,
                                 "%.64s in %s is too complex: the verifier gave up after %u instructions (%s).",
                                 function, request->object_name, FUSE_INSNS_MAX, strna(summary));
        else if (verifier_log_has_reason(object->log))
                r = error_set_at(error, ERROR_VERIFIER_REJECTED, request->where,
                                 "The verifier refuses %.64s in %s: %s.", function, request->object_name,
                                 strna(summary));
        else if (r == -EPERM)
                r = error_set_at(error, ERROR_NOT_SUPPORTED, request->where,
                                 "The kernel does not let this service load %.64s in %s (%s). It may lack "
                                 "capabilities, or a security module may forbid it.",
                                 function, request->object_name, strerror(-r));
        else
                r = error_set_at(error, ERROR_VERIFIER_REJECTED, request->where,
                                 "The kernel refuses to load %.64s in %s: %s (%s).", function, request->object_name,
                                 strerror(-r), strempty_to(object->messages, "it does not say why"));

        if (verifier_log_has_reason(object->log) && !error->log)
                error->log = verifier_log_copy(object->log);
        return r;
}

/* What went wrong before the verifier saw the program. */
static int refuse_early(const Object *object, const ProgramRequest *request, int r, Error *error) {
        if (r == -ENOMEM)
                return r;
        if (r == -EPERM)
                return error_set_at(error, ERROR_NOT_SUPPORTED, request->where,
                                    "The kernel does not let this service load %s: %s (%s).", request->object_name,
                                    strerror(-r), strempty_to(object->messages, "no details"));
        return error_set_at(error, ERROR_INCOMPATIBLE, request->where, "%s does not fit this kernel: %s.",
                            request->object_name, strempty_to(object->messages, strerror(-r)));
}

/* The chosen program gets a log for its figures; with full_log all get it, for a refusal, which is the end of loading
 * and so the last one who writes. */
static int prepare_logs(Object *object, bool full_log) {
        size_t size = full_log ? VERIFIER_LOG_ROOM : VERIFIER_LOG_STATS_ROOM;
        struct bpf_program *program;
        int r;

        object->log = malloc(size);
        if (!object->log)
                return -ENOMEM;
        object->log[0] = '\0';

        bpf_object__for_each_program(program, object->bpf) {
                if (!full_log && program != object->program)
                        continue;
                r = bpf_program__set_log_level(program, VERIFIER_LOG_STATS | (full_log ? VERIFIER_LOG_FULL : 0));
                if (r >= 0)
                        r = bpf_program__set_log_buf(program, object->log, size);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int prepare_bound(Object *object) {
        int r;

        if (object->bound == 0)
                return 0;
        r = bpf_program__set_flags(object->program, bpf_program__flags(object->program) | UAPI_XDP_DEV_BOUND_ONLY);
        bpf_program__set_ifindex(object->program, object->bound);
        return r;
}

int object_load(Object *object, const ProgramRequest *request, bool full_log, Error *error) {
        int r;

        r = prepare_logs(object, full_log);
        if (r >= 0)
                r = prepare_bound(object);
        if (r < 0)
                return r;

        libbpf_set_current(object);
        r = bpf_object__load(object->bpf);
        libbpf_set_current(NULL);

        if (object->capture_error < 0)
                return object->capture_error;
        if (r < 0 && !object->last)
                return refuse_early(object, request, r, error);
        if (r < 0 && !full_log)
                return -EAGAIN;
        if (r < 0)
                return refuse(object, request, r, error);

        if (object->last == object->program)
                object->load_usec = usec_now(CLOCK_MONOTONIC) - object->started;
        verifier_log_stats(object->log, &object->stats);
        return capture_maps(object->bpf, object->member);
}
