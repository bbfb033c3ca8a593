/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>

#include "kernel/libbpf-callbacks.h"
#include "kernel/object.h"
#include "util/file.h"
#include "util/json.h"

/* What a program is for a chain. */
typedef enum Usability {
        USABLE,
        USABLE_AS_TOLD,  /* only because the document says so, its section tells nothing or something else */
        TYPE_UNKNOWN,    /* by its section; the document may tell */
        TYPE_OTHER_HOOK, /* XDP or TC, but the document says the other */
        TYPE_FOREIGN,    /* for none of our hooks */
} Usability;

static enum bpf_prog_type type_from_string(const char *type) {
        return !type ? BPF_PROG_TYPE_UNSPEC : streq(type, "xdp") ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS;
}

static const char *type_to_string(enum bpf_prog_type type) {
        return type == BPF_PROG_TYPE_XDP         ? "xdp"
               : type == BPF_PROG_TYPE_SCHED_CLS ? "tc"
                                                 : strna(libbpf_bpf_prog_type_str(type));
}

/* The type of a program: by its section where libbpf knows it, else by what the document says, else by how the
 * section's name begins. */
static Usability program_usability(const struct bpf_program *program, const char *type,
                                   enum bpf_prog_type *ret_type) {
        enum bpf_prog_type wanted = type_from_string(type), found = bpf_program__type(program);
        enum bpf_attach_type attach = bpf_program__expected_attach_type(program);
        const char *section = bpf_program__section_name(program);

        section += *section == '?';
        *ret_type = found;
        switch (found) {
        case BPF_PROG_TYPE_XDP:
                if (attach != BPF_XDP)
                        return TYPE_FOREIGN;
                return wanted == BPF_PROG_TYPE_UNSPEC || wanted == found ? USABLE : TYPE_OTHER_HOOK;
        case BPF_PROG_TYPE_SCHED_CLS:
                return wanted == BPF_PROG_TYPE_UNSPEC || wanted == found ? USABLE : TYPE_OTHER_HOOK;
        case BPF_PROG_TYPE_UNSPEC:
                if (startswith(section, "xdp"))
                        found = BPF_PROG_TYPE_XDP;
                else if (startswith(section, "tc") || startswith(section, "classifier"))
                        found = BPF_PROG_TYPE_SCHED_CLS;
                *ret_type = wanted != BPF_PROG_TYPE_UNSPEC ? wanted : found;
                if (*ret_type == BPF_PROG_TYPE_UNSPEC)
                        return TYPE_UNKNOWN;
                return *ret_type == found ? USABLE : USABLE_AS_TOLD;
        default: return TYPE_FOREIGN;
        }
}

/* Names of the programs in the object, for messages; at most so many. */
static char *list_programs(const Object *object, const char *type, Usability worst) {
        _cleanup_free_ char *text = NULL;
        struct bpf_program *program;
        unsigned n = 0;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        bpf_object__for_each_program(program, object->bpf) {
                enum bpf_prog_type t;
                Usability u = program_usability(program, type, &t);

                if (u > worst)
                        continue;
                if (n++ < 16)
                        fprintf(f, "%s%.64s (%.64s)", n > 1 ? ", " : "", bpf_program__name(program),
                                bpf_program__section_name(program));
        }
        if (n > 16)
                fprintf(f, " and %u more", n - 16);
        if (fclose(f) != 0 || !text)
                return NULL;
        text_make_printable(text);
        return n > 0 ? TAKE_PTR(text) : strdup("none");
}

static int refuse_type(const ProgramRequest *request, const struct bpf_program *program, Usability usability,
                       Error *error) {
        const char *section = bpf_program__section_name(program), *name = bpf_program__name(program);
        _cleanup_free_ char *where = json_path_member(request->where, "type");

        switch (usability) {
        case TYPE_UNKNOWN:
                return error_set_at(
                        error, ERROR_INCOMPATIBLE, request->where,
                        "The section \"%.64s\" of function %.64s in %s does not tell whether it is for XDP "
                        "or TC. Add \"type\": \"xdp\" or \"type\": \"tc\".",
                        section, name, request->object_name);
        case TYPE_OTHER_HOOK:
                return error_set_at(error, ERROR_INCOMPATIBLE, where,
                                    "The section \"%.64s\" makes function %.64s in %s a program for %s, the document "
                                    "says \"%s\". Leave \"type\" out or choose another function.",
                                    section, name, request->object_name, type_to_string(bpf_program__type(program)),
                                    request->type);
        case TYPE_FOREIGN:
        case USABLE:
        case USABLE_AS_TOLD: break;
        }
        return error_set_at(
                error, ERROR_INCOMPATIBLE, request->where,
                "Function %.64s in %s is in section \"%.64s\" (type %s), which goes on none of the hooks xdp, "
                "tc-ingress and tc-egress.",
                name, request->object_name, section, type_to_string(bpf_program__type(program)));
}

static int choose_named(Object *object, const ProgramRequest *request, Error *error) {
        _cleanup_free_ char *where = json_path_member(request->where, "function"), *list = NULL;
        Usability usability;

        object->program = bpf_object__find_program_by_name(object->bpf, request->function);
        if (!object->program) {
                list = list_programs(object, NULL, TYPE_FOREIGN);
                return error_set_at(error, ERROR_NO_SUCH_PROGRAM, where, "%s has no program %.64s. It has: %s.",
                                    request->object_name, request->function, strna(list));
        }
        usability = program_usability(object->program, request->type, &object->type);
        if (usability > USABLE_AS_TOLD)
                return refuse_type(request, object->program, usability, error);
        return 0;
}

/* Counts the programs of this usability and remembers the last one. */
static unsigned find_programs(Object *object, const char *type, Usability usability) {
        struct bpf_program *program;
        unsigned n = 0;

        bpf_object__for_each_program(program, object->bpf) {
                enum bpf_prog_type t;

                if (program_usability(program, type, &t) != usability)
                        continue;
                object->program = program;
                object->type = t;
                n++;
        }
        return n;
}

/* The only program of a usable type; those that need the document's word count only where there are no others. */
static int choose_only(Object *object, const ProgramRequest *request, Error *error) {
        _cleanup_free_ char *list = NULL;
        Usability usability = USABLE;
        unsigned n;

        n = find_programs(object, request->type, usability);
        if (n == 0)
                n = find_programs(object, request->type, usability = USABLE_AS_TOLD);
        if (n == 1)
                return 0;

        list = list_programs(object, request->type, n > 1 ? usability : TYPE_FOREIGN);
        if (n > 1)
                return error_set_at(error, ERROR_INVALID_DOCUMENT, request->where,
                                    "%s has %u programs: %s. Name one of them by \"function\".", request->object_name,
                                    n, strna(list));
        return error_set_at(error, ERROR_NO_SUCH_PROGRAM, request->where, "%s has no program for %s. It has: %s.%s",
                            request->object_name, request->type ? request->type : "XDP or TC", strna(list),
                            find_programs(object, request->type, TYPE_UNKNOWN) > 0
                                    ? " Add \"type\" if the section does not tell it."
                                    : "");
}

static int choose_program(Object *object, const ProgramRequest *request, Error *error) {
        int r = request->function ? choose_named(object, request, error) : choose_only(object, request, error);

        if (r < 0)
                return r;
        object->frags =
                object->type == BPF_PROG_TYPE_XDP && section_has_frags(bpf_program__section_name(object->program));
        return 0;
}

struct bpf_map *object_next_map(const struct bpf_object *object, const struct bpf_map *previous) {
        struct bpf_map *map;

        for (map = bpf_object__next_map(object, previous); map && !bpf_map__autocreate(map);)
                map = bpf_object__next_map(object, map);
        return map;
}

const char *object_map_name(const struct bpf_map *map) {
        const char *name = bpf_map__name(map), *dot;

        /* libbpf calls ".bss" "object.bss", and we give objects a name without dots */
        if (bpf_map__is_internal(map) && (dot = strchr(name, '.')))
                return dot;
        return name;
}

/* Finds the definition of a map in ".maps" and tells whether it has the member `values`. */
bool object_fills_prog_array(const Object *object, const struct bpf_map *map) {
        const struct btf *btf = bpf_object__btf(object->bpf);
        const struct btf_type *section, *type;
        int id;

        if (bpf_map__type(map) != BPF_MAP_TYPE_PROG_ARRAY || !btf)
                return false;
        id = btf__find_by_name_kind(btf, ".maps", BTF_KIND_DATASEC);
        if (id < 0)
                return false;

        section = btf__type_by_id(btf, (uint32_t) id);
        for (unsigned i = 0; i < btf_vlen(section); i++) {
                const struct btf_type *var = btf__type_by_id(btf, btf_var_secinfos(section)[i].type);
                int type_id;

                if (!var || !btf_is_var(var) ||
                    !streq(strempty_to(btf__name_by_offset(btf, var->name_off), ""), bpf_map__name(map)))
                        continue;
                type_id = btf__resolve_type(btf, var->type);
                type = type_id < 0 ? NULL : btf__type_by_id(btf, (uint32_t) type_id);
                for (unsigned j = 0; type && btf_is_struct(type) && j < btf_vlen(type); j++)
                        if (streq(strempty_to(btf__name_by_offset(btf, btf_members(type)[j].name_off), ""), "values"))
                                return true;
        }
        return false;
}

/* Only the chosen program is loaded, and where the object fills prog_arrays all others of its type that may be in
 * them. Nothing pins itself. */
static int restrict_loading(Object *object) {
        bool fills = false;
        struct bpf_program *program;
        struct bpf_map *map;
        int r;

        bpf_object__for_each_map(map, object->bpf) {
                fills = fills || object_fills_prog_array(object, map);
                r = bpf_map__set_pin_path(map, NULL);
                if (r >= 0 && bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
                        r = bpf_map__set_autocreate(map, false);
                if (r < 0)
                        return r;
        }

        bpf_object__for_each_program(program, object->bpf) {
                bool chosen = program == object->program;

                if (chosen && bpf_program__type(program) != object->type)
                        bpf_program__set_type(program, object->type);
                r = bpf_program__set_autoload(program, chosen || (fills && bpf_program__autoload(program) &&
                                                                  bpf_program__type(program) == object->type));
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The kernel's names of global data begin with the object's name; libbpf takes 7 characters of it at most. */
static void make_object_name(const char *program, char ret[static 16]) {
        size_t n = 0;

        for (; program[n] && n < 15; n++) {
                char c = program[n];

                ret[n] = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
        }
        ret[n] = '\0';
        if (n == 0)
                strcpy(ret, "_");
}

static int read_object(const ProgramRequest *request, char **ret, size_t *ret_size, Error *error) {
        _cleanup_free_ char *where = json_path_member(request->where, "object");
        int r;

        r = file_read(request->object_path, OBJECT_SIZE_MAX, ret, ret_size);
        switch (r) {
        case -EFBIG:
                return error_set_at(error, ERROR_LIMIT_EXCEEDED, where, "%s is larger than %u MiB.",
                                    request->object_name, OBJECT_SIZE_MAX >> 20);
        case -EINVAL:
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "%s is not a regular file.",
                                    request->object_name);
        case -ENOMEM: return r;
        }
        if (r < 0)
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "Can't read %s: %s", request->object_name,
                                    strerror(-r));
        return 0;
}

int object_open(const ProgramRequest *request, Object **ret, Error *error) {
        _cleanup_(object_freep) Object *object = NULL;
        _cleanup_free_ char *data = NULL;
        char name[16];
        size_t size;
        LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);
        int r;

        r = libbpf_register();
        if (r < 0)
                return r;
        r = read_object(request, &data, &size, error);
        if (r < 0)
                return r;
        object = calloc(1, sizeof(Object));
        if (!object)
                return -ENOMEM;
        object->types_fd = -EBADF;

        make_object_name(request->name, name);
        libbpf_set_current(object);
        object->bpf = bpf_object__open_mem(data, size, &opts);
        r = object->bpf ? 0 : -errno;
        libbpf_set_current(NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                _cleanup_free_ char *where = json_path_member(request->where, "object");

                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "%s is no usable BPF object (%s).",
                                    request->object_name, strempty_to(object->messages, strerror(-r)));
        }

        r = choose_program(object, request, error);
        if (r >= 0)
                r = restrict_loading(object);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(object);
        return 0;
}

void object_free(Object *object) {
        if (!object)
                return;
        libbpf_set_current(object); /* for messages */
        bpf_object__close(object->bpf);
        libbpf_set_current(NULL);
        member_free(object->member);
        safe_close(object->types_fd);
        free(object->log);
        free(object->messages);
        free(object);
}
