/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/attach.h"
#include "kernel/fused.h"
#include "kernel/guard-programs.h"
#include "kernel/inspect.h"
#include "kernel/interface-details.h"
#include "kernel/interface-state.h"
#include "kernel/libbpf-callbacks.h"
#include "kernel/map-access.h"
#include "kernel/program.h"
#include "kernel/run-time.h"
#include "kernel/simulation.h"

#define BPFFS_DIR_DEFAULT "/sys/fs/bpf/bpfchain"

int kernel_new(const char *bpffs_dir, TcAttach tc_attach, Kernel **ret) {
        _cleanup_(kernel_freep) Kernel *kernel = NULL;
        size_t n;
        int r;

        /* Above all so that its messages go where ours go. */
        r = libbpf_register();
        if (r < 0)
                return r;

        if (!bpffs_dir)
                bpffs_dir = BPFFS_DIR_DEFAULT;
        n = strlen(bpffs_dir);
        while (n > 1 && bpffs_dir[n - 1] == '/')
                n--;
        if (bpffs_dir[0] != '/' || n < 2)
                return -EINVAL;

        kernel = calloc(1, sizeof(*kernel));
        if (!kernel)
                return -ENOMEM;
        kernel->tc_attach = tc_attach;
        kernel->bpffs_dir = strndup(bpffs_dir, n);
        if (!kernel->bpffs_dir)
                return -ENOMEM;
        r = guard_programs_new(kernel, &kernel->guard_programs);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(kernel);
        return 0;
}

Kernel *kernel_free(Kernel *kernel) {
        if (!kernel)
                return NULL;
        guard_programs_free(kernel->guard_programs);
        json_object_put(kernel->capabilities);
        free(kernel->bpffs_dir);
        free(kernel);
        return NULL;
}

const KernelOps kernel_ops = {
        .program_load = kernel_program_load,
        .program_adopt = kernel_program_adopt,
        .program_commit = kernel_program_commit,
        .program_rollback = kernel_program_rollback,
        .program_is_pinned = kernel_program_is_pinned,
        .program_repin = kernel_program_repin,
        .program_ref = kernel_program_ref,
        .program_unref = kernel_program_unref,
        .program_remove = kernel_program_remove,
        .program_sweep = kernel_program_sweep,
        .map_lookup = kernel_map_lookup,
        .map_update = kernel_map_update,
        .map_delete = kernel_map_delete,
        .map_next_key = kernel_map_next_key,
        .chain_build = kernel_chain_build,
        .fused_free = kernel_fused_free,
        .chain_commit = kernel_chain_commit,
        .chain_rollback = kernel_chain_rollback,
        .chain_release = kernel_chain_release,
        .chain_adopt = kernel_chain_adopt,
        .chain_list = kernel_chain_list,
        .chain_check = kernel_chain_check,
        .chain_inspect = kernel_chain_inspect,
        .chain_repin = kernel_chain_repin,
        .guard_apply = kernel_guard_apply,
        .guard_counters = kernel_guard_counters,
        .program_name = kernel_program_name,
        .chain_detach = kernel_chain_detach,
        .attachment_free = kernel_attachment_free,
        .chain_counters = kernel_chain_counters,
        .chain_run_time = kernel_chain_run_time,
        .simulation_new = kernel_simulation_new,
        .simulation_run = kernel_simulation_run,
        .simulation_free = kernel_simulation_free,
        .interface_details = kernel_interface_details,
        .interface_set_up = kernel_interface_set_up,
        .interface_foreign = kernel_interface_foreign,
};
