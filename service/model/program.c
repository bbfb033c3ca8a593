/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/program.h"

static const char *const program_state_table[_PROGRAM_STATE_MAX] = {
        [PROGRAM_STATE_DEFINED] = "defined",
        [PROGRAM_STATE_LOADED] = "loaded",
        [PROGRAM_STATE_ADOPTED] = "adopted",
        [PROGRAM_STATE_FAILED] = "failed",
};

DEFINE_STRING_TABLE(program_state, ProgramState, _PROGRAM_STATE_MAX)

Program *program_new(const char *name) {
        Program *program = calloc(1, sizeof(Program));

        if (program && !(program->name = strdup(name))) {
                free(program);
                return NULL;
        }
        return program;
}

void program_forget_recorded(Program *program) {
        for (size_t i = 0; i < program->n_recorded; i++)
                map_info_done(&program->recorded[i]);
        free(program->recorded);
        program->recorded = NULL;
        program->n_recorded = 0;
}

void program_free(Program *program) {
        if (!program)
                return;
        program_forget_recorded(program);
        free(program->name);
        free(program->error);
        free(program->object);
        free(program->object_path);
        free(program->function);
        free(program->document);
        free(program->description);
        free(program->digest);
        free(program->signature);
        free(program->contents);
        program_info_done(&program->info);
        free(program);
}

const MapInfo *program_get_map(const Program *program, const char *map) {
        for (size_t i = 0; i < program->info.n_maps; i++)
                if (streq(program->info.maps[i].name, map))
                        return &program->info.maps[i];
        return NULL;
}
