/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <net/if.h>

#include "kernel/map-info.h"
#include "kernel/map-keep.h"
#include "kernel/member-check.h"
#include "kernel/object.h"
#include "kernel/program.h"
#include "util/json.h"

/* What a load works on. */
typedef struct Load {
        const ProgramRequest *request;
        Object *object;
        bool *kept;            /* by index of map */
        MapContents *contents; /* by index of map; where is NULL for maps to which the document gives none */
        bool *given;           /* by index of map: the document gives contents */
        size_t n_maps;
        KernelProgram *program;
} Load;

static void load_done(Load *load) {
        object_free(load->object);
        for (size_t i = 0; load->contents && i < load->n_maps; i++)
                map_contents_done(&load->contents[i]);
        free(load->contents);
        free(load->kept);
        free(load->given);
        kernel_program_unref(load->program);
}

static int find_map(Load *load, const char *name, struct bpf_map **ret) {
        struct bpf_map *map;
        int i = 0;

        object_for_each_map(map, load->object) {
                if (streq(object_map_name(map), name)) {
                        *ret = map;
                        return i;
                }
                i++;
        }
        return -ENOENT;
}

static int parse_contents(Load *load, Error *error) {
        const ProgramRequest *request = load->request;
        _cleanup_free_ char *where = json_path_member(request->where, "maps");

        load->contents = calloc(load->n_maps + 1, sizeof(MapContents));
        load->given = calloc(load->n_maps + 1, sizeof(bool));
        if (!load->contents || !load->given)
                return -ENOMEM;
        if (!request->maps)
                return 0;
        if (!json_object_is_type(request->maps, json_type_object))
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                    "Contents of maps are an object: {\"map\": [{\"key\": …, \"value\": …}]}.");

        json_object_object_foreach (request->maps, name, entries) {
                _cleanup_free_ char *at = json_path_member(where, name), *quoted = NULL;
                struct bpf_map *map = NULL;
                int i = find_map(load, name, &map), r;

                if (i < 0) {
                        quoted = json_quote(name);
                        return error_set_at(error, ERROR_INVALID_DOCUMENT, at, "%s has no map %s.",
                                            request->object_name, strna(quoted));
                }
                if (bpf_map__is_internal(map))
                        return error_set_at(error, ERROR_INVALID_DOCUMENT, at,
                                            "%s holds global variables; set them by \"globals\".", name);
                r = map_contents_parse(map, bpf_object__btf(load->object->bpf), entries, at, &load->contents[i],
                                       error);
                if (r < 0)
                        return r;
                load->given[i] = true;
        }
        return 0;
}

/* Descriptors and figures of the maps that now exist. */
static int take_maps(Load *load) {
        KernelProgram *program = load->program;
        struct bpf_map *map;
        size_t i = 0;
        int r;

        r = kernel_program_make_maps(program, load->n_maps);
        if (r < 0)
                return r;
        object_for_each_map(map, load->object) {
                MapInfo *info = &program->info.maps[i];

                program->map_fds[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
                if (program->map_fds[i] < 0)
                        return -errno;
                r = map_info_read(program->map_fds[i], object_map_name(map), bpf_map__is_internal(map), info);
                if (r < 0)
                        return r;
                info->kept = load->kept[i];
                i++;
        }
        return 0;
}

/* New maps are written now; contents of kept ones wait for the commit, unless they were given before. */
static int write_contents(Load *load, Error *error) {
        KernelProgram *program = load->program;

        for (size_t i = 0; i < load->n_maps; i++) {
                MapContents *contents = &load->contents[i];
                KeptContents *kept;
                int r;

                if (!contents->where)
                        continue;
                if (!load->kept[i]) {
                        r = map_contents_write(contents, program->map_fds[i], &program->info.maps[i], NULL, error);
                        if (r < 0)
                                return r;
                } else if (!load->request->same_contents) {
                        kept = ARRAY_APPEND(program->kept, program->n_kept);
                        if (!kept)
                                return -ENOMEM;
                        *kept = (KeptContents){ .map = i, .contents = *contents };
                        *contents = (MapContents){};
                }
        }
        return 0;
}

static int describe(Load *load) {
        KernelProgram *program = load->program;
        Object *object = load->object;
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(info);

        if (bpf_prog_get_info_by_fd(bpf_program__fd(object->program), &info, &size) < 0)
                return -errno;
        for (size_t i = 0; i < BPF_TAG_SIZE; i++)
                snprintf(program->info.tag + 2 * i, 3, "%02x", info.tag[i]);

        program->info.tc = object->type == BPF_PROG_TYPE_SCHED_CLS;
        program->info.frags = object->frags;
        program->info.insns = (uint32_t) object->member->n_insns;
        program->info.verified_insns = MAX2(info.verified_insns, object->stats.insns);
        program->info.states_total = object->stats.states_total;
        program->info.stack_depth = object->stats.stack_depth;
        program->info.load_usec = object->load_usec;
        program->member = TAKE_PTR(object->member);
        program->member->main_stack = MAX2(object->stats.main_stack, member_named_stack(program->member));
        return free_and_strdup(&program->info.function, program->member->function);
}

static int elide_tail_calls(Load *load) {
        KernelProgram *program = load->program;
        _cleanup_free_ bool *fills = calloc(load->n_maps + 1, sizeof(bool));
        struct bpf_map *map;
        size_t i = 0;

        if (!fills)
                return -ENOMEM;
        if (load->request->keep_tail_calls)
                return 0;
        object_for_each_map(map, load->object) {
                fills[i] = load->kept[i] || load->given[i] || object_fills_prog_array(load->object, map);
                i++;
        }
        return member_elide_tail_calls(program->member, program->map_fds, &program->info, fills);
}

static int load_object(Load *load, bool full_log, unsigned bound, Error *error) {
        const ProgramRequest *request = load->request;
        struct bpf_map *map;
        int r;

        r = kernel_program_new(request->name, &load->program);
        if (r >= 0)
                r = object_open(request, &load->object, error);
        if (r < 0)
                return r;
        load->object->bound = bound;
        object_for_each_map(map, load->object) load->n_maps++;

        r = map_keep(load->object, request, &load->kept);
        if (r >= 0)
                r = map_check_sizes(load->object, load->kept, request, error);
        if (r >= 0)
                r = map_check_places(load->object, load->kept, request, error);
        if (r >= 0)
                r = globals_set(load->object, request->globals, request, &load->program->globals, error);
        if (r >= 0)
                r = parse_contents(load, error);
        if (r >= 0)
                r = object_load(load->object, request, full_log, error);
        if (r >= 0)
                r = member_check(load->object->member, bpf_object__btf(load->object->bpf));
        if (r >= 0)
                r = take_maps(load);
        if (r >= 0)
                r = write_contents(load, error);
        if (r >= 0)
                r = describe(load);
        if (r >= 0)
                r = elide_tail_calls(load);
        return r;
}

/* A program that asks the driver about packets is loaded for an interface. By itself it is loaded only to be verified
 * and captured, so the first one will do whose driver knows of XDP. */
static int load_bound(Load *load, Error *error) {
        const ProgramRequest *request = load->request;
        struct if_nameindex *interfaces = if_nameindex();
        int r = -EOPNOTSUPP;

        for (struct if_nameindex *i = interfaces; i && i->if_index != 0 && r == -EOPNOTSUPP; i++) {
                error_done(error);
                load_done(load);
                *load = (Load){ .request = request };
                r = load_object(load, true, i->if_index, error);
                if (r < 0 && error->code == ERROR_VERIFIER_REJECTED && !error->log)
                        r = -EOPNOTSUPP; /* the kernel does not say more */
        }
        if_freenameindex(interfaces);
        if (r != -EOPNOTSUPP)
                return r;
        error_done(error);
        return error_set_at(error, ERROR_NOT_SUPPORTED, request->where,
                            "%s asks the driver about packets (bpf_xdp_metadata_*()), and there is no interface here "
                            "whose driver knows of XDP.",
                            request->object_name);
}

int kernel_program_load(void *userdata, const ProgramRequest *request, KernelProgram **ret, ProgramInfo *ret_info,
                        Error *error) {
        _cleanup_(load_done) Load load = { .request = request };
        KernelProgram *program;
        int r;

        r = load_object(&load, false, 0, error);
        if (r == -EAGAIN && !error_is_set(error)) {
                load_done(&load);
                load = (Load){ .request = request };
                r = load_object(&load, true, 0, error);
        }
        if (r < 0 && error->log && verifier_log_wants_device(error->log))
                r = load_bound(&load, error);
        if (r >= 0)
                r = program_info_copy(&load.program->info, ret_info);
        if (r < 0)
                return r;

        program = TAKE_PTR(load.program);
        if (request->previous)
                program->previous = kernel_program_ref(request->previous);
        *ret = program;
        return 0;
}
