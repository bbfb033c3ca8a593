/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "kernel/guard-events.h"
#include "kernel/guard-fill.h"
#include "kernel/guard-pins.h"
#include "kernel/guard-programs.h"
#include "kernel/libbpf-callbacks.h"
#include "util/file.h"
#include "util/log.h"

#define COMMAND_LINE_MAX 65536
#define WAY_OUT                                                                                                      \
        "start the unit bpfchain-guard-release.service to take it out, or start the kernel with bpfchain.guard=off"

struct GuardPrograms {
        const Kernel *kernel;
        GuardSet *set; /* NULL: nothing of ours is in the kernel */
        GuardEvents *events;
        GuardState state;
        GuardPolicy policy; /* as applied */
        GuardIdentity identity;
        bool looked; /* for what an earlier service left */
        GuardReaderChanged changed;
        void *userdata;
        uint64_t lost_seen;
};

int guard_programs_new(const Kernel *kernel, GuardPrograms **ret) {
        GuardPrograms *programs = calloc(1, sizeof(GuardPrograms));

        if (!programs)
                return -ENOMEM;
        programs->kernel = kernel;
        *ret = programs;
        return 0;
}

GuardPrograms *guard_programs_free(GuardPrograms *programs) {
        if (!programs)
                return NULL;
        guard_events_free(programs->events);
        guard_set_free(programs->set);
        free(programs);
        return NULL;
}

bool guard_programs_parse_command_line(const char *text) {
        static const char word[] = "bpfchain.guard=off";

        while (*text) {
                size_t n;

                text += strspn(text, " \t\n");
                n = strcspn(text, " \t\n");
                if (n == strlen(word) && strncmp(text, word, n) == 0)
                        return true;
                text += n;
        }
        return false;
}

static bool command_line_says_off(void) {
        _cleanup_free_ char *text = NULL;

        return file_read("/proc/cmdline", COMMAND_LINE_MAX, &text, NULL) >= 0 &&
               guard_programs_parse_command_line(text);
}

static void tell_reader(GuardPrograms *programs) {
        if (programs->changed)
                programs->changed(programs->events ? guard_events_fd(programs->events) : -EBADF, programs->userdata);
}

/* The service goes over to another set, or to none. */
static int take_set(GuardPrograms *programs, GuardSet *set) {
        GuardEvents *events = NULL;
        int r;

        if (set) {
                r = guard_events_new(set, &events);
                if (r < 0)
                        return r;
        }
        /* The reader is told before its descriptor is closed. */
        if (programs->events && programs->changed)
                programs->changed(-EBADF, programs->userdata);
        guard_events_free(programs->events);
        guard_set_free(programs->set);
        programs->events = events;
        programs->set = set;
        programs->lost_seen = 0;
        if (set)
                tell_reader(programs);
        return 0;
}

/* Programs of this technique, proven to be called. error says why not. */
static int try_technique(GuardTechnique technique, GuardSet **ret, Error *error) {
        _cleanup_(guard_set_freep) GuardSet *set = NULL;
        int r;

        r = guard_set_load(technique, &set, error);
        if (r < 0)
                return error_ensure(error, r, "the programs can't be loaded");
        r = guard_set_ask(set, GUARD_BPF_ASK_NOTHING, -1);
        if (r < 0)
                return error_set(
                        error, ERROR_NOT_SUPPORTED,
                        technique == GUARD_TECHNIQUE_LSM
                                ? "BPF LSM programs are loaded, but not called (bpf is not in the list of the "
                                  "kernel's active LSMs, lsm= of its command line)"
                                : "programs of the kind \"fmod_ret\" are loaded, but not called");
        r = guard_set_own_all(set);
        if (r < 0)
                return error_ensure(error, r, "the service's own maps and programs can't be told to the guard");
        *ret = TAKE_PTR(set);
        return 0;
}

static int make_set(GuardSet **ret, Error *error) {
        _cleanup_error_ Error lsm = ERROR_INIT, fmod_ret = ERROR_INIT;
        int r;

        r = try_technique(GUARD_TECHNIQUE_LSM, ret, &lsm);
        if (r >= 0)
                return 0;
        r = try_technique(GUARD_TECHNIQUE_FMOD_RET, ret, &fmod_ret);
        if (r >= 0)
                return 0;
        return error_set(error, ERROR_NOT_SUPPORTED, "The guard can't be switched on: %s; %s.", strna(lsm.message),
                         strna(fmod_ret.message));
}

static int stranger(Error *error) {
        return error_set(
                error, ERROR_FAILED,
                "The guard of an earlier bpfchaind is in the kernel and takes this one for a stranger, since "
                "it was not started by systemd as that one was. Start it so; or " WAY_OUT ".");
}

/* What an earlier service left, once. */
static int adopt(GuardPrograms *programs, Error *error) {
        _cleanup_(guard_set_freep) GuardSet *set = NULL;
        bool others = false;
        int r;

        if (programs->looked)
                return 0;
        r = guard_pins_adopt(programs->kernel, &set, &others);
        if (r >= 0)
                r = guard_set_register(set);
        if (r == -EPERM)
                return stranger(error);
        if (r >= 0)
                r = guard_set_ask(set, GUARD_BPF_ASK_NOTHING, -1);
        if (r >= 0)
                r = take_set(programs, set);
        if (r >= 0) {
                TAKE_PTR(set);
                programs->state.technique = guard_technique_to_string(programs->set->technique);
                programs->state.pinned = true;
        } else if (others)
                log_notice("The pinned guard is of another version or not whole; it is replaced");
        programs->looked = true;
        return 0;
}

static int switch_off(GuardPrograms *programs, Error *error) {
        int r;

        r = guard_pins_remove(programs->kernel);
        if (r == -EPERM || r == -EACCES)
                return stranger(error);
        if (r < 0)
                return error_ensure(error, r, "The guard's pins can't be removed");
        r = take_set(programs, NULL);
        if (r < 0)
                return r;
        programs->state = (GuardState){ .mode = GUARD_MODE_OFF };
        return 0;
}

/* Pins that did not come about leave a guard that ends with us, which the state says; and so does one that would not
 * know the next service. */
static void keep(GuardPrograms *programs, const GuardSet *set, GuardState *state) {
        int r;

        if (programs->identity.reason) {
                if (state->pinned)
                        (void) guard_pins_remove(programs->kernel);
                state->pinned = false;
                return;
        }
        if (state->pinned)
                return;
        r = guard_pins_keep(programs->kernel, set);
        state->pinned = r >= 0;
        if (r < 0 && !*state->reason)
                snprintf(state->reason, sizeof(state->reason),
                         "The guard ends with the service, for it can't be pinned below %s: %s.",
                         programs->kernel->bpffs_dir, strerror(-r));
}

/* Sums up what all processors counted. */
static int read_counters(const GuardSet *set, GuardMap map, uint32_t key, size_t n, uint64_t *ret) {
        int n_cpus = libbpf_num_possible_cpus(), r;
        _cleanup_free_ uint64_t *values = NULL;

        if (n_cpus < 0)
                return n_cpus;
        values = calloc((size_t) n_cpus * n, sizeof(*values));
        if (!values)
                return -ENOMEM;
        r = bpf_map_lookup_elem(set->maps[map], &key, values);
        if (r < 0)
                return r;
        memset(ret, 0, n * sizeof(*ret));
        for (size_t i = 0; i < (size_t) n_cpus * n; i++)
                ret[i % n] += values[i];
        return 0;
}

/* Less than it could be, in the order of what it means, where there is nothing worse to say. */
static void explain(const GuardPrograms *programs, const GuardSet *set, GuardState *state) {
        uint64_t lost = 0;

        if (*state->reason)
                return;
        (void) read_counters(set, GUARD_MAP_LOSSES, GUARD_BPF_LOST_OBJECTS, 1, &lost);
        if (lost > 0)
                snprintf(state->reason, sizeof(state->reason),
                         "%" PRIu64 " maps and programs of the service found no room among those that are defended.",
                         lost);
        else if (!state->pinned && programs->identity.reason)
                snprintf(state->reason, sizeof(state->reason),
                         "The guard ends with the service, for the next one could not be known again: %s.",
                         programs->identity.reason);
        else if (set->technique == GUARD_TECHNIQUE_FMOD_RET)
                snprintf(
                        state->reason, sizeof(state->reason),
                        "The guard works by fmod_ret, for BPF LSM programs are not called (bpf is not in the list of "
                        "the kernel's active LSMs).");
}

static int switch_on(GuardPrograms *programs, const GuardDemand *demand, Error *error) {
        _cleanup_(guard_set_freep) GuardSet *made = NULL;
        GuardState state = { .mode = (int) demand->policy->mode };
        const GuardSet *set = programs->set;
        int r;

        if (!set) {
                r = make_set(&made, error);
                if (r < 0)
                        return r;
                set = made;
        }
        r = guard_fill(set, programs->kernel, &programs->identity, demand, state.reason, sizeof(state.reason), error);
        if (r < 0)
                return r;
        state.technique = guard_technique_to_string(set->technique);
        state.pinned = !made && programs->state.pinned;
        keep(programs, set, &state);
        explain(programs, set, &state);
        if (made) {
                r = take_set(programs, made);
                if (r < 0)
                        return r;
                TAKE_PTR(made);
        }
        programs->state = state;
        programs->policy = *demand->policy;
        return 0;
}

int kernel_guard_apply(void *userdata, const GuardDemand *demand, GuardState *ret, Error *error) {
        GuardPrograms *programs = ((const Kernel *) userdata)->guard_programs;
        int r;

        if (!programs->looked)
                guard_identity_find(&programs->identity);
        if (demand->policy->mode == GUARD_MODE_OFF)
                r = switch_off(programs, error);
        else if (command_line_says_off()) {
                r = switch_off(programs, error);
                if (r >= 0)
                        r = error_set(error, ERROR_NOT_SUPPORTED,
                                      "The guard stays off: the kernel's command line has bpfchain.guard=off.");
        } else {
                r = adopt(programs, error);
                if (r >= 0)
                        r = switch_on(programs, demand, error);
        }
        *ret = programs->state;
        if (r < 0 && error_is_set(error))
                snprintf(ret->reason, sizeof(ret->reason), "%s", error->message);
        return r;
}

int kernel_guard_counters(void *userdata, GuardRuleCounters *ret) {
        const GuardPrograms *programs = ((const Kernel *) userdata)->guard_programs;

        memset(ret, 0, _GUARD_RULE_MAX * sizeof(*ret));
        for (uint32_t i = 0; programs->set && i < _GUARD_RULE_MAX; i++) {
                uint64_t sums[3];
                int r;

                r = read_counters(programs->set, GUARD_MAP_COUNTERS, i, ELEMENTSOF(sums), sums);
                if (r < 0)
                        return r;
                ret[i] = (GuardRuleCounters){ .refused = sums[0], .would_refuse = sums[1], .allowed = sums[2] };
        }
        return 0;
}

void guard_programs_set_reader(GuardPrograms *programs, GuardReaderChanged changed, void *userdata) {
        programs->changed = changed;
        programs->userdata = userdata;
        tell_reader(programs);
}

typedef struct Reading {
        GuardPrograms *programs;
        GuardAttemptHandler handler;
        void *userdata;
        bool let_by_path; /* one was refused whose path is let: it was put in the place of the file that we know */
} Reading;

static void on_attempt(const GuardAttempt *attempt, void *userdata) {
        Reading *reading = userdata;
        const GuardPolicy *policy = &reading->programs->policy;

        for (size_t i = 0; i < policy->n_allow && attempt->verdict != GUARD_VERDICT_ALLOWED; i++)
                if (policy->allow[i].kind == GUARD_ALLOW_EXECUTABLE &&
                    streq(policy->allow[i].text, attempt->who.executable) &&
                    (policy->allow[i].rules & UINT32_C(1) << attempt->rule))
                        reading->let_by_path = true;
        reading->handler(attempt, reading->userdata);
}

int guard_programs_read(GuardPrograms *programs, GuardAttemptHandler handler, void *userdata, uint64_t *ret_lost) {
        Reading reading = { .programs = programs, .handler = handler, .userdata = userdata };
        char reason[256] = "";
        uint64_t lost = 0;
        int r;

        *ret_lost = 0;
        if (!programs->set)
                return 0;
        r = guard_events_read(programs->events, on_attempt, &reading);
        if (r < 0)
                return r;
        if (reading.let_by_path)
                (void) guard_fill_executables(programs->set, &programs->policy, reason, sizeof(reason));
        if (read_counters(programs->set, GUARD_MAP_LOSSES, GUARD_BPF_LOST_EVENTS, 1, &lost) >= 0) {
                *ret_lost = lost - programs->lost_seen;
                programs->lost_seen = lost;
        }
        return 0;
}

int guard_programs_release(const Kernel *kernel, Error *error) {
        int r;

        r = guard_pins_remove(kernel);
        if (r == -EPERM || r == -EACCES)
                return error_set(error, ERROR_FAILED,
                                 "The guard keeps its pins from this process. To take it out of the kernel, " WAY_OUT
                                 ".");
        return error_ensure(error, r, "The guard's pins can't be removed");
}
