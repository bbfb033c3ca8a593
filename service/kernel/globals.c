/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <sys/mman.h>

#include "kernel/globals.h"
#include "kernel/value-btf.h"
#include "util/json.h"
#include "value/value-encode.h"

void globals_done(Globals *globals) {
        for (size_t i = 0; i < globals->n; i++)
                free(globals->items[i].bytes);
        free(globals->items);
        *globals = (Globals){};
}

/* A variable's place, by its name. */
typedef struct Variable {
        const char *section;
        uint32_t id; /* in the BTF */
        size_t offset;
        size_t size;
} Variable;

/* Is this a section whose variables can be set before loading? Not so .maps, .ksyms and .kconfig. */
static bool is_data_section(const char *name) {
        return startswith(name, ".rodata") || startswith(name, ".data") || startswith(name, ".bss");
}

static bool find_variable(const struct btf *btf, const char *name, Variable *ret) {
        for (uint32_t id = 1; btf && id < btf__type_cnt(btf); id++) {
                const struct btf_type *section = btf__type_by_id(btf, id);
                const char *section_name;

                if (!btf_is_datasec(section))
                        continue;
                section_name = strempty_to(btf__name_by_offset(btf, section->name_off), "");
                if (!is_data_section(section_name))
                        continue;

                for (unsigned i = 0; i < btf_vlen(section); i++) {
                        const struct btf_var_secinfo *info = &btf_var_secinfos(section)[i];
                        const struct btf_type *var = btf__type_by_id(btf, info->type);

                        if (!var || !btf_is_var(var) ||
                            !streq(strempty_to(btf__name_by_offset(btf, var->name_off), ""), name))
                                continue;
                        *ret = (Variable){ section_name, info->type, info->offset, info->size };
                        return true;
                }
        }
        return false;
}

static struct bpf_map *find_section_map(const Object *object, const char *section, size_t *ret_index) {
        struct bpf_map *map;
        size_t i = 0;

        object_for_each_map(map, object) {
                if (bpf_map__is_internal(map) && streq(object_map_name(map), section)) {
                        *ret_index = i;
                        return map;
                }
                i++;
        }
        return NULL;
}

static int set_one(Object *object, const char *name, json_object *value, const char *where,
                   const ProgramRequest *request, Globals *globals, Error *error) {
        const struct btf *btf = bpf_object__btf(object->bpf);
        _cleanup_value_type_ const ValueType *type = NULL;
        _cleanup_free_ uint8_t *bytes = NULL;
        _cleanup_free_ char *quoted = json_quote(name);
        struct bpf_map *map;
        Variable variable;
        Global *global;
        size_t index, size;
        uint8_t *data;
        int r;

        if (!btf)
                return error_set_at(error, ERROR_INCOMPATIBLE, where,
                                    "%s has no BTF, so its variables can't be set. Compile it with -g.",
                                    request->object_name);
        if (!find_variable(btf, name, &variable))
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "%s has no global variable %s.",
                                    request->object_name, strna(quoted));

        map = find_section_map(object, variable.section, &index);
        data = map ? bpf_map__initial_value(map, &size) : NULL;
        if (!data || variable.size == 0 || variable.offset > size || variable.size > size - variable.offset)
                return error_set_at(error, ERROR_INCOMPATIBLE, where,
                                    "The variable %s of %s lies in no section that can be set.", strna(quoted),
                                    request->object_name);

        bytes = malloc(variable.size);
        if (!bytes)
                return -ENOMEM;
        r = value_btf_compile(btf, variable.id, 0, (uint32_t) variable.size, &type);
        if (r < 0)
                return r;
        r = value_encode(type, value, where, bytes, variable.size, error);
        if (r < 0)
                return r;
        memcpy(data + variable.offset, bytes, variable.size);

        global = ARRAY_APPEND(globals->items, globals->n);
        if (!global)
                return -ENOMEM;
        *global = (Global){ index, variable.offset, variable.size, TAKE_PTR(bytes) };
        return 0;
}

int globals_set(Object *object, json_object *values, const ProgramRequest *request, Globals *ret, Error *error) {
        _cleanup_free_ char *where = json_path_member(request->where, "globals");
        _cleanup_(globals_done) Globals globals = {};

        if (values && !json_object_is_type(values, json_type_object))
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                    "Globals are an object: {\"variable\": value}.");
        if (values) {
                json_object_object_foreach (values, name, value) {
                        _cleanup_free_ char *at = json_path_member(where, name);
                        int r = set_one(object, name, value, at, request, &globals, error);

                        if (r < 0)
                                return r;
                }
        }

        *ret = globals;
        globals = (Globals){};
        return 0;
}

static void exchange(uint8_t *data, const Global *global, uint8_t *undo) {
        if (undo)
                memcpy(undo, data + global->offset, global->size);
        memcpy(data + global->offset, global->bytes, global->size);
}

/* The only way that does not write the whole section, and with it variables that the program changes meanwhile. */
static int write_mapped(const Global *global, int fd, size_t value_size, uint8_t *undo) {
        uint8_t *data = mmap(NULL, value_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (data == MAP_FAILED)
                return -errno;
        exchange(data, global, undo);
        munmap(data, value_size);
        return 0;
}

int global_write(const Global *global, int fd, void *undo) {
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info), key = 0;
        _cleanup_free_ uint8_t *value = NULL;

        if (bpf_map_get_info_by_fd(fd, &info, &size) < 0)
                return -errno;
        if (global->offset > info.value_size || global->size > info.value_size - global->offset)
                return -EINVAL;
        if ((info.map_flags & BPF_F_MMAPABLE) && write_mapped(global, fd, info.value_size, undo) >= 0)
                return 0;

        value = malloc(info.value_size);
        if (!value)
                return -ENOMEM;
        if (bpf_map_lookup_elem(fd, &key, value) < 0)
                return -errno;
        exchange(value, global, undo);
        return bpf_map_update_elem(fd, &key, value, BPF_ANY) < 0 ? -errno : 0;
}

bool global_equal(const Global *a, const Global *b) {
        return a->map == b->map && a->offset == b->offset && a->size == b->size &&
               memcmp(a->bytes, b->bytes, a->size) == 0;
}
