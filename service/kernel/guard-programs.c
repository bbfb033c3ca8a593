/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/guard-programs.h"

struct GuardPrograms {
        const Kernel *kernel;
        GuardReaderChanged changed;
        void *userdata;
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
        free(programs);
        return NULL;
}

int kernel_guard_apply(void *userdata, const GuardDemand *demand, GuardState *ret, Error *error) {
        *ret = (GuardState){ .mode = GUARD_MODE_OFF };
        if (demand->policy->mode == GUARD_MODE_OFF)
                return 0;
        snprintf(ret->reason, sizeof(ret->reason), "This kernel lets no BPF LSM programs in");
        return error_set(error, ERROR_NOT_SUPPORTED, "The guard can't be switched on: %s.", ret->reason);
}

int kernel_guard_counters(void *userdata, GuardRuleCounters *ret) {
        memset(ret, 0, _GUARD_RULE_MAX * sizeof(*ret));
        return 0;
}

void guard_programs_set_reader(GuardPrograms *programs, GuardReaderChanged changed, void *userdata) {
        programs->changed = changed;
        programs->userdata = userdata;
        if (changed)
                changed(-EBADF, userdata);
}

int guard_programs_read(GuardPrograms *programs, GuardAttemptHandler handler, void *userdata, uint64_t *ret_lost) {
        *ret_lost = 0;
        return 0;
}

int guard_programs_release(const Kernel *kernel, Error *error) {
        return 0;
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
