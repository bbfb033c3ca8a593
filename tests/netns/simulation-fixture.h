/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For the tests of simulations: preparing one, running packets, and writing the maps of programs. */

#include "kernel-fixture.h"
#include "kernel/simulation.h"

typedef struct TestSimulation {
        KernelSimulation *simulation;
        SimulationOmission *omissions;
        size_t n_omissions;
} TestSimulation;

/* Simulates a chain of these programs. proceed_on NULL: the default for all. ifindex 0: of no interface. */
int test_simulate(Kernel *kernel, Hook hook, int ifindex, KernelProgram *const *programs, size_t n,
                  const uint32_t *proceed_on, TestSimulation *ret, Error *error);
TestSimulation must_simulate(Kernel *kernel, Hook hook, int ifindex, KernelProgram *const *programs, size_t n,
                             const uint32_t *proceed_on);
void test_simulation_done(TestSimulation *simulation);

/* Runs one packet, which must succeed. */
SimulationResult test_simulation_run(const TestSimulation *simulation, const void *packet, size_t size);

/* The reason of the omission of this map (NULL where there is none), and that none is told. */
const char *test_omission(const TestSimulation *simulation, const char *program, const char *map);
void assert_no_omissions(const TestSimulation *simulation);

/* The n-th big-endian number behind the Ethernet header of what the last slot left. */
uint64_t test_number(const SimulationResult *result, size_t n);

/* The descriptor of a program's map. */
int test_map(const KernelProgram *program, const char *map);

/* All that is in a map, in the order that the kernel gives; the caller frees. */
uint8_t *test_dump(const KernelProgram *program, const char *map, size_t *ret_size);
