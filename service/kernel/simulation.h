/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A chain that runs packets by BPF_PROG_TEST_RUN over copies of its maps: the operations simulation_* of KernelOps
 * (see model/kernel-ops.h for what they promise). `userdata` is a Kernel.
 *
 * A test run is not always without consequences. A cloned packet (bpf_clone_redirect()) is really sent, so that call
 * is replaced by its success. Programs that change connection tracking do so; this is told as an omission.
 */

#include "model/kernel-ops.h"

int kernel_simulation_new(void *userdata, const FuseRequest *request, KernelSimulation **ret,
                          SimulationOmission **ret_omissions, size_t *ret_n_omissions, Error *error);
int kernel_simulation_run(void *userdata, KernelSimulation *simulation, const void *packet, size_t size,
                          SimulationResult *ret, Error *error);
void kernel_simulation_free(KernelSimulation *simulation);
DEFINE_CLEANUP(KernelSimulation *, kernel_simulation_free)
