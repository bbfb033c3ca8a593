/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>

#include "kernel/map-pins.h"
#include "kernel/pins.h"
#include "kernel/program.h"
#include "util/log.h"

/* Did the previous instance set the variable to the same value? Then what the program made of it since stays. */
static bool global_was_same(const KernelProgram *program, const Global *global) {
        const KernelProgram *previous = program->previous;

        for (size_t i = 0; previous && i < previous->globals.n; i++)
                if (global_equal(&previous->globals.items[i], global))
                        return true;
        return false;
}

/* Variables in sections that were kept. */
static int write_globals(KernelProgram *program) {
        Globals *globals = &program->globals;

        if (program->globals_undo)
                return 0;
        program->globals_undo = calloc(globals->n + 1, sizeof(uint8_t *));
        if (!program->globals_undo)
                return -ENOMEM;

        for (size_t i = 0; i < globals->n; i++) {
                const Global *global = &globals->items[i];
                _cleanup_free_ uint8_t *undo = NULL;
                int r;

                if (!program->info.maps[global->map].kept || global_was_same(program, global))
                        continue;
                undo = malloc(global->size);
                if (!undo)
                        return -ENOMEM;
                r = global_write(global, program->map_fds[global->map], undo);
                if (r < 0)
                        return r;
                program->globals_undo[i] = TAKE_PTR(undo);
        }
        return 0;
}

static int write_contents(KernelProgram *program, Error *error) {
        for (size_t i = 0; i < program->n_kept; i++) {
                KeptContents *kept = &program->kept[i];
                int r;

                if (kept->undo.keys)
                        continue;
                r = map_contents_write(&kept->contents, program->map_fds[kept->map], &program->info.maps[kept->map],
                                       &kept->undo, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

int kernel_program_write_pending(const KernelProgram *program, size_t map, int fd, Error *error) {
        int r;

        if (program->pinned || !program->info.maps[map].kept)
                return 0;
        for (size_t i = 0; !program->globals_undo && i < program->globals.n; i++) {
                const Global *global = &program->globals.items[i];

                if (global->map != map || global_was_same(program, global))
                        continue;
                r = global_write(global, fd, NULL);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < program->n_kept; i++) {
                const KeptContents *kept = &program->kept[i];

                if (kept->map != map || kept->undo.keys)
                        continue;
                r = map_contents_write(&kept->contents, fd, &program->info.maps[map], NULL, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Puts variables and entries back. They can be written again by another commit. */
static void restore_values(KernelProgram *program) {
        for (size_t i = program->n_kept; i-- > 0;) {
                KeptContents *kept = &program->kept[i];

                map_undo_restore(&kept->undo, program->map_fds[kept->map]);
                map_undo_done(&kept->undo);
        }

        for (size_t i = program->globals.n; program->globals_undo && i-- > 0;) {
                Global global = program->globals.items[i];

                global.bytes = program->globals_undo[i];
                if (global.bytes)
                        (void) global_write(&global, program->map_fds[global.map], NULL);
                free(global.bytes);
        }
        free(program->globals_undo);
        program->globals_undo = NULL;
}

int kernel_program_commit(void *userdata, KernelProgram *program, ProgramInfo *ret_info, Error *error) {
        _cleanup_(program_info_done) ProgramInfo info = {};
        int r;

        r = write_globals(program);
        if (r >= 0)
                r = write_contents(program, error);
        if (r >= 0)
                r = map_pins_replace(userdata, program->name, program->info.maps, program->map_fds,
                                     program->info.n_maps, error);
        if (r < 0) {
                restore_values(program);
                return r;
        }
        program->pinned = true;
        if (program->previous)
                program->previous->successor = program;

        r = program_info_copy(&program->info, &info);
        if (r < 0) {
                kernel_program_rollback(userdata, program);
                return r;
        }
        *ret_info = info;
        info = (ProgramInfo){};
        return 0;
}

void kernel_program_rollback(void *userdata, KernelProgram *program) {
        KernelProgram *previous = program->previous;

        if (!program->pinned)
                return;
        program->pinned = false;
        restore_values(program);

        if (previous && previous->pinned) {
                _cleanup_error_ Error error = ERROR_INIT;
                int r;

                r = map_pins_replace(userdata, previous->name, previous->info.maps, previous->map_fds,
                                     previous->info.n_maps, &error);
                if (error_ensure(&error, r, "the maps can't be pinned") < 0)
                        log_error("Program %s can't be put back: %s", program->name, error.message);
        } else {
                map_pins_remove(userdata, program->name);
        }

        for (size_t i = 0; i < program->info.n_maps; i++)
                (void) free_and_strdup(&program->info.maps[i].pin, NULL);
}

bool kernel_program_is_pinned(void *userdata, KernelProgram *program) {
        for (size_t i = 0; program->pinned && i < program->info.n_maps; i++) {
                const MapInfo *map = &program->info.maps[i];
                _cleanup_close_ int fd = -EBADF;
                struct bpf_map_info info = {};
                uint32_t size = sizeof(info);

                if (!map->pin || program->map_fds[i] < 0)
                        continue;
                fd = pins_open(map->pin, false);
                if (fd == -ENOENT || fd == -ENOTDIR || fd == -EINVAL)
                        return false;
                if (fd >= 0 && bpf_map_get_info_by_fd(fd, &info, &size) >= 0 && info.id != map->id)
                        return false;
        }
        return true;
}

int kernel_program_repin(void *userdata, KernelProgram *program, Error *error) {
        return map_pins_replace(userdata, program->name, program->info.maps, program->map_fds, program->info.n_maps,
                                error);
}
