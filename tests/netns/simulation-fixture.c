/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>

#include "kernel/map-entries.h"
#include "kernel/map-info.h"
#include "simulation-fixture.h"

int test_simulate(Kernel *kernel, Hook hook, int ifindex, KernelProgram *const *programs, size_t n,
                  const uint32_t *proceed_on, TestSimulation *ret, Error *error) {
        FuseSlot slots[CHAIN_SLOTS_MAX + 1];
        FuseRequest request = test_request(hook, programs, n, proceed_on, slots);

        request.ifindex = ifindex;
        return kernel_ops.simulation_new(kernel, &request, &ret->simulation, &ret->omissions, &ret->n_omissions,
                                         error);
}

TestSimulation must_simulate(Kernel *kernel, Hook hook, int ifindex, KernelProgram *const *programs, size_t n,
                             const uint32_t *proceed_on) {
        TestSimulation simulation = {};
        Error error = ERROR_INIT;

        if (error_ensure(&error, test_simulate(kernel, hook, ifindex, programs, n, proceed_on, &simulation, &error),
                         "simulation") < 0)
                fail_msg("%s\n%s", strna(error.message), strna(error.log));
        assert_non_null(simulation.simulation);
        return simulation;
}

void test_simulation_done(TestSimulation *simulation) {
        kernel_ops.simulation_free(simulation->simulation);
        simulation_omissions_free(simulation->omissions, simulation->n_omissions);
        *simulation = (TestSimulation){};
}

SimulationResult test_simulation_run(const TestSimulation *simulation, const void *packet, size_t size) {
        SimulationResult result = {};
        Error error = ERROR_INIT;

        if (error_ensure(&error,
                         kernel_ops.simulation_run(NULL, simulation->simulation, packet, size, &result, &error),
                         "run") < 0)
                fail_msg("%s", strna(error.message));
        return result;
}

const char *test_omission(const TestSimulation *simulation, const char *program, const char *map) {
        for (size_t i = 0; i < simulation->n_omissions; i++)
                if (streq(simulation->omissions[i].program, program) && streq(simulation->omissions[i].map, map))
                        return simulation->omissions[i].reason;
        return NULL;
}

void assert_no_omissions(const TestSimulation *simulation) {
        if (simulation->n_omissions > 0)
                fail_msg("%s/%s: %s", simulation->omissions[0].program, simulation->omissions[0].map,
                         simulation->omissions[0].reason);
}

uint64_t test_number(const SimulationResult *result, size_t n) {
        const SimulationStep *last;
        uint64_t number;

        assert_true(result->n_steps > 0);
        last = &result->steps[result->n_steps - 1];
        assert_true(14 + 8 * (n + 1) <= last->size);
        memcpy(&number, (const uint8_t *) last->data + 14 + 8 * n, sizeof(number));
        return be64toh(number);
}

int test_map(const KernelProgram *program, const char *map) {
        ssize_t i = kernel_program_find_map(program, map);

        if (i < 0)
                fail_msg("%s has no map %s", program->name, map);
        return program->map_fds[i];
}

typedef struct Dump {
        const MapInfo *info;
        FILE *f;
} Dump;

static int dump(void *userdata, const uint8_t *keys, const uint8_t *values, size_t n) {
        const Dump *d = userdata;

        fwrite(keys, d->info->key_size, n, d->f);
        fwrite(values, map_info_value_bytes(d->info), n, d->f);
        return 0;
}

uint8_t *test_dump(const KernelProgram *program, const char *map, size_t *ret_size) {
        ssize_t i = kernel_program_find_map(program, map);
        Dump d = {};
        char *bytes = NULL;

        assert_true(i >= 0);
        d.info = &program->info.maps[i];
        d.f = open_memstream(&bytes, ret_size);
        assert_non_null(d.f);
        assert_int_equal(map_entries_read(program->map_fds[i], d.info, 0, dump, &d), 0);
        assert_int_equal(fclose(d.f), 0);
        return (uint8_t *) bytes;
}
