/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/kernel-ops.h"

void map_info_done(MapInfo *info) {
        free(info->name);
        free(info->type);
        free(info->pin);
        *info = (MapInfo){};
}

void program_info_done(ProgramInfo *info) {
        for (size_t i = 0; i < info->n_maps; i++)
                map_info_done(&info->maps[i]);
        free(info->maps);
        free(info->function);
        *info = (ProgramInfo){};
}

static int map_info_copy(const MapInfo *from, MapInfo *ret) {
        MapInfo copy = *from;

        copy.name = copy.type = copy.pin = NULL;
        if (free_and_strdup(&copy.name, from->name) < 0 || free_and_strdup(&copy.type, from->type) < 0 ||
            free_and_strdup(&copy.pin, from->pin) < 0) {
                map_info_done(&copy);
                return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

int program_info_copy(const ProgramInfo *from, ProgramInfo *ret) {
        _cleanup_(program_info_done) ProgramInfo copy = *from;

        copy.function = NULL;
        copy.n_maps = 0;
        copy.maps = calloc(from->n_maps > 0 ? from->n_maps : 1, sizeof(MapInfo));
        if (!copy.maps || free_and_strdup(&copy.function, from->function) < 0)
                return -ENOMEM;
        for (; copy.n_maps < from->n_maps; copy.n_maps++)
                if (map_info_copy(&from->maps[copy.n_maps], &copy.maps[copy.n_maps]) < 0)
                        return -ENOMEM;

        *ret = copy;
        copy = (ProgramInfo){};
        return 0;
}

void simulation_omissions_free(SimulationOmission *omissions, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(omissions[i].program);
                free(omissions[i].map);
                free(omissions[i].reason);
        }
        free(omissions);
}
