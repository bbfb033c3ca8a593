/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/program.h"
#include "kernel/map-info.h"
#include "kernel/map-pins.h"

int kernel_program_new(const char *name, KernelProgram **ret) {
        _cleanup_(kernel_program_unrefp) KernelProgram *program = calloc(1, sizeof(KernelProgram));

        if (!program)
                return -ENOMEM;
        program->n_ref = 1;
        program->name = strdup(name);
        if (!program->name)
                return -ENOMEM;
        *ret = TAKE_PTR(program);
        return 0;
}

int kernel_program_make_maps(KernelProgram *program, size_t n) {
        program->info.maps = calloc(n + 1, sizeof(MapInfo));
        program->map_fds = calloc(n + 1, sizeof(int));
        if (!program->info.maps || !program->map_fds)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                program->map_fds[i] = -EBADF;
        program->info.n_maps = n;
        return 0;
}

ssize_t kernel_program_find_map(const KernelProgram *program, const char *map) {
        for (size_t i = 0; i < program->info.n_maps; i++)
                if (streq_ptr(program->info.maps[i].name, map))
                        return (ssize_t) i;
        return -ENOENT;
}

KernelProgram *kernel_program_ref(KernelProgram *program) {
        program->n_ref++;
        return program;
}

/* Forgets how the commit would be undone. */
static void drop_undo(KernelProgram *program) {
        KernelProgram *previous = TAKE_PTR(program->previous);

        for (size_t i = 0; program->globals_undo && i < program->globals.n; i++)
                free(program->globals_undo[i]);
        free(program->globals_undo);
        program->globals_undo = NULL;

        for (size_t i = 0; i < program->n_kept; i++) {
                map_contents_done(&program->kept[i].contents);
                map_undo_done(&program->kept[i].undo);
        }
        free(program->kept);
        program->kept = NULL;
        program->n_kept = 0;

        if (previous && previous->successor == program)
                previous->successor = NULL;
        kernel_program_unref(previous);
}

static void program_free(KernelProgram *program) {
        drop_undo(program);
        for (size_t i = 0; i < program->info.n_maps; i++)
                safe_close(program->map_fds[i]);
        free(program->map_fds);
        program_info_done(&program->info);
        globals_done(&program->globals);
        member_free(program->member);
        free(program->name);
        free(program);
}

void kernel_program_unref(KernelProgram *program) {
        if (!program)
                return;
        if (--program->n_ref == 0)
                program_free(program);
        else if (program->n_ref == 1 && program->successor && program->successor->pinned)
                drop_undo(program->successor); /* only held for a rollback that nobody can ask for any more */
}

int kernel_program_adopt(void *userdata, const char *name, KernelProgram **ret, ProgramInfo *ret_info) {
        _cleanup_(kernel_program_unrefp) KernelProgram *program = NULL;
        _cleanup_(map_pin_list_done) MapPinList list = {};
        int r;

        r = map_pins_open(userdata, name, &list);
        if (r < 0)
                return r;
        r = kernel_program_new(name, &program);
        if (r >= 0)
                r = kernel_program_make_maps(program, list.n);
        if (r < 0)
                return r;

        for (size_t i = 0; i < list.n; i++) {
                MapPin *pin = &list.pins[i];

                r = map_info_read(pin->fd, pin->name, pin->name[0] == '.', &program->info.maps[i]);
                if (r < 0)
                        return r;
                program->info.maps[i].kept = true;
                program->info.maps[i].pin = TAKE_PTR(pin->path);
                program->map_fds[i] = TAKE_FD(pin->fd);
        }
        program->pinned = true;

        r = program_info_copy(&program->info, ret_info);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(program);
        return 0;
}

void kernel_program_remove(void *userdata, const char *name) {
        map_pins_remove(userdata, name);
}

void kernel_program_sweep(void *userdata, bool (*keep)(const char *name, void *keep_userdata), void *keep_userdata) {
        map_pins_sweep(userdata, keep, keep_userdata);
}
