/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "guard-elf.h"
#include "kernel/guard-set.h"
#include "util/digest.h"
#include "util/log.h"

#define FDINFO_MAX 4096

static const char *const guard_technique_table[_GUARD_TECHNIQUE_MAX] = {
        [GUARD_TECHNIQUE_LSM] = "lsm",
        [GUARD_TECHNIQUE_FMOD_RET] = "fmod_ret",
};

DEFINE_STRING_TABLE(guard_technique, GuardTechnique, _GUARD_TECHNIQUE_MAX)

static const char *const guard_map_table[_GUARD_MAP_MAX] = {
        [GUARD_MAP_SETTINGS] = "settings", [GUARD_MAP_COUNTERS] = "counters", [GUARD_MAP_LOSSES] = "losses",
        [GUARD_MAP_ANSWER] = "answer",     [GUARD_MAP_HOOKS] = "hooks",       [GUARD_MAP_LINKS] = "links",
        [GUARD_MAP_IFACES] = "ifaces",     [GUARD_MAP_NAMES] = "names",       [GUARD_MAP_EXES] = "exes",
        [GUARD_MAP_UNITS] = "units",       [GUARD_MAP_USERS] = "users",       [GUARD_MAP_OWN] = "own",
        [GUARD_MAP_SERVICE] = "service",   [GUARD_MAP_EVENTS] = "events",
};

DEFINE_STRING_TABLE(guard_map, GuardMap, _GUARD_MAP_MAX)

/* Hooks of the LSMs that were given other names or arguments in 6.9. */
typedef enum Age {
        ALWAYS,
        BEFORE_6_9,
        SINCE_6_9,
} Age;

/* The programs of bpf/guard.bpf.c, without what their names begin with: "lsm_" or "mod_". Those with an age only keep
 * note of what is ours. */
static const struct {
        const char *name;
        const char *hook;     /* as the kernel's functions are called behind "bpf_lsm_" */
        const char *function; /* and behind "security_" */
        Age age;
} parts[] = {
        { "bpf", "bpf", "bpf", ALWAYS },
        { "bpf_map", "bpf_map", "bpf_map", ALWAYS },
        { "bpf_prog", "bpf_prog", "bpf_prog", ALWAYS },
        { "netlink_send", "netlink_send", "netlink_send", ALWAYS },
        { "inode_unlink", "inode_unlink", "inode_unlink", ALWAYS },
        { "inode_rmdir", "inode_rmdir", "inode_rmdir", ALWAYS },
        { "inode_rename", "inode_rename", "inode_rename", ALWAYS },
        { "sb_umount", "sb_umount", "sb_umount", ALWAYS },
        { "task_kill", "task_kill", "task_kill", ALWAYS },
        { "ptrace_access_check", "ptrace_access_check", "ptrace_access_check", ALWAYS },
        { "bpf_map_create", "bpf_map_create", "bpf_map_create", SINCE_6_9 },
        { "bpf_map_free", "bpf_map_free", "bpf_map_free", SINCE_6_9 },
        { "bpf_prog_load", "bpf_prog_load", "bpf_prog_load", SINCE_6_9 },
        { "bpf_prog_free", "bpf_prog_free", "bpf_prog_free", SINCE_6_9 },
        { "bpf_map_create_old", "bpf_map_alloc_security", "bpf_map_alloc", BEFORE_6_9 },
        { "bpf_map_free_old", "bpf_map_free_security", "bpf_map_free", BEFORE_6_9 },
        { "bpf_prog_load_old", "bpf_prog_alloc_security", "bpf_prog_alloc", BEFORE_6_9 },
        { "bpf_prog_free_old", "bpf_prog_free_security", "bpf_prog_free", BEFORE_6_9 },
};

_Static_assert(ELEMENTSOF(parts) <= GUARD_SET_LINKS_MAX, "a set has room for the links of all programs");

static const char *prefix_of(GuardTechnique technique) {
        return technique == GUARD_TECHNIQUE_LSM ? "lsm_" : "mod_";
}

int guard_set_new(GuardTechnique technique, GuardSet **ret) {
        GuardSet *set = calloc(1, sizeof(GuardSet));

        if (!set)
                return -ENOMEM;
        set->technique = technique;
        for (int i = 0; i < _GUARD_MAP_MAX; i++)
                set->maps[i] = -EBADF;
        *ret = set;
        return 0;
}

GuardSet *guard_set_free(GuardSet *set) {
        if (!set)
                return NULL;
        for (size_t i = 0; i < set->n_links; i++)
                safe_close(set->links[i].fd);
        for (int i = 0; i < _GUARD_MAP_MAX; i++)
                safe_close(set->maps[i]);
        free(set);
        return NULL;
}

static void object_closep(struct bpf_object **object) {
        bpf_object__close(*object);
}

static void btf_freep(struct btf **btf) {
        btf__free(*btf);
}

/* Is it there, in this kernel? */
static bool has_function(const struct btf *btf, GuardTechnique technique, size_t part) {
        char name[64];

        if (technique == GUARD_TECHNIQUE_LSM)
                snprintf(name, sizeof(name), "bpf_lsm_%s", parts[part].hook);
        else
                snprintf(name, sizeof(name), "security_%s", parts[part].function);
        return btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
}

static bool is_since_6_9(const struct btf *btf) {
        return btf__find_by_name_kind(btf, "security_bpf_map_create", BTF_KIND_FUNC) > 0;
}

static bool is_wanted(const struct btf *btf, GuardTechnique technique, size_t part) {
        switch (parts[part].age) {
        case ALWAYS: break;
        case BEFORE_6_9:
                if (is_since_6_9(btf))
                        return false;
                break;
        case SINCE_6_9:
                if (!is_since_6_9(btf))
                        return false;
                break;
        }
        return has_function(btf, technique, part);
}

static int choose_programs(struct bpf_object *object, GuardTechnique technique, Error *error) {
        _cleanup_(btf_freep) struct btf *btf = btf__load_vmlinux_btf();
        struct bpf_program *program;

        if (!btf)
                return error_set(
                        error, ERROR_NOT_SUPPORTED,
                        "the kernel has no type information (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF)");
        bpf_object__for_each_program(program, object)(void) bpf_program__set_autoload(program, false);
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                char name[48];

                if (!is_wanted(btf, technique, i)) {
                        if (parts[i].age == ALWAYS)
                                return error_set(error, ERROR_NOT_SUPPORTED, "the kernel has no hook \"%s\"",
                                                 parts[i].hook);
                        continue;
                }
                snprintf(name, sizeof(name), "%s%s", prefix_of(technique), parts[i].name);
                program = bpf_object__find_program_by_name(object, name);
                if (program)
                        (void) bpf_program__set_autoload(program, true);
        }
        return 0;
}

static int take_maps(struct bpf_object *object, GuardSet *set) {
        for (int i = 0; i < _GUARD_MAP_MAX; i++) {
                char name[32];

                snprintf(name, sizeof(name), "guard_%s", guard_map_to_string((GuardMap) i));
                set->maps[i] = fcntl(bpf_object__find_map_fd_by_name(object, name), F_DUPFD_CLOEXEC, 3);
                if (set->maps[i] < 0)
                        return -errno;
        }
        return 0;
}

static int attach_programs(struct bpf_object *object, GuardSet *set) {
        struct bpf_program *program;

        bpf_object__for_each_program(program, object) {
                struct bpf_link *link;
                GuardSetLink *entry;

                if (!bpf_program__autoload(program))
                        continue;
                link = bpf_program__attach(program);
                if (!link)
                        return -errno;
                entry = &set->links[set->n_links];
                entry->fd = fcntl(bpf_link__fd(link), F_DUPFD_CLOEXEC, 3);
                (void) bpf_link__destroy(link);
                if (entry->fd < 0)
                        return -errno;
                set->n_links++;
                snprintf(entry->name, sizeof(entry->name), "%s", bpf_program__name(program));
        }
        return 0;
}

static int refused(GuardTechnique technique, int r, Error *error) {
        if (r == -EPERM || r == -EACCES)
                return error_set(
                        error, ERROR_NOT_SUPPORTED,
                        "the kernel refuses BPF programs of the kind \"%s\" (%s; CAP_BPF and CAP_PERFMON are "
                        "needed, and some kernels let in none at all)",
                        guard_technique_to_string(technique), strerror(-r));
        return error_set(error, ERROR_NOT_SUPPORTED,
                         "BPF programs of the kind \"%s\" can't be put into the kernel (%s)",
                         guard_technique_to_string(technique), strerror(-r));
}

int guard_set_load(GuardTechnique technique, GuardSet **ret, Error *error) {
        LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "guard");
        _cleanup_(object_closep) struct bpf_object *object = NULL;
        _cleanup_(guard_set_freep) GuardSet *set = NULL;
        int r;

        r = guard_set_new(technique, &set);
        if (r < 0)
                return r;
        object = bpf_object__open_mem(guard_elf, sizeof(guard_elf), &opts);
        if (!object)
                return -errno;
        r = choose_programs(object, technique, error);
        if (r < 0)
                return r;
        r = bpf_object__load(object);
        if (r < 0)
                return refused(technique, r, error);
        r = take_maps(object, set);
        if (r >= 0)
                r = guard_set_register(set);
        if (r < 0)
                return r;
        r = attach_programs(object, set);
        if (r < 0)
                return refused(technique, r, error);
        *ret = TAKE_PTR(set);
        return 0;
}

int guard_set_register(const GuardSet *set) {
        _cleanup_close_ int fd = (int) syscall(SYS_pidfd_open, getpid(), 0);
        uint32_t one = 1;

        if (fd < 0)
                return -errno;
        return bpf_map_update_elem(set->maps[GUARD_MAP_SERVICE], &fd, &one, BPF_ANY);
}

int guard_set_ask(const GuardSet *set, uint32_t what, int fd) {
        struct guard_bpf_question question = {
                .magic = GUARD_BPF_MAGIC,
                .what = what,
                .fd = (uint32_t) fd,
        };

        if (syscall(SYS_bpf, GUARD_BPF_COMMAND, &question, sizeof(question)) >= 0)
                return -ENXIO;
        return errno == GUARD_BPF_DONE ? 0 : -ENXIO;
}

int guard_set_identify(const GuardSet *set, const char *path, struct guard_bpf_file *ret) {
        _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
        uint32_t zero = 0;
        int r;

        if (fd < 0)
                return -errno;
        r = guard_set_ask(set, GUARD_BPF_ASK_FILE, fd);
        if (r < 0)
                return r;
        return bpf_map_lookup_elem(set->maps[GUARD_MAP_ANSWER], &zero, ret);
}

/* What a descriptor is of, as its text in /proc/self/fdinfo says. */
static uint32_t own_kind(int folder, const char *name) {
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
        char text[FDINFO_MAX];
        ssize_t n;

        if (fd < 0)
                return GUARD_BPF_ASK_NOTHING;
        n = read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return GUARD_BPF_ASK_NOTHING;
        text[n] = '\0';
        /* A link tells of its program as well. */
        if (strstr(text, "\nlink_type:"))
                return GUARD_BPF_OWN_LINK;
        if (strstr(text, "\nmap_type:"))
                return GUARD_BPF_OWN_MAP;
        if (strstr(text, "\nprog_type:"))
                return GUARD_BPF_OWN_PROGRAM;
        return GUARD_BPF_ASK_NOTHING;
}

int guard_set_own_all(const GuardSet *set) {
        _cleanup_closedir_ DIR *folder = opendir("/proc/self/fdinfo");
        int r;

        if (!folder)
                return -errno;
        for (const struct dirent *entry; (entry = readdir(folder));) {
                uint32_t kind;

                if (entry->d_name[0] == '.')
                        continue;
                kind = own_kind(dirfd(folder), entry->d_name);
                if (kind == GUARD_BPF_ASK_NOTHING)
                        continue;
                r = guard_set_ask(set, kind, atoi(entry->d_name));
                if (r < 0)
                        return r;
        }
        return 0;
}

bool guard_set_is_whole(const GuardSet *set) {
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                bool found = parts[i].age != ALWAYS;

                for (size_t k = 0; k < set->n_links && !found; k++)
                        found = streq_ptr(startswith(set->links[k].name, prefix_of(set->technique)), parts[i].name);
                if (!found)
                        return false;
        }
        for (int i = 0; i < _GUARD_MAP_MAX; i++)
                if (set->maps[i] < 0)
                        return false;
        return true;
}

int guard_set_version(char ret[17]) {
        char digest[DIGEST_HEX_SIZE];
        int r;

        r = digest_memory(guard_elf, sizeof(guard_elf), digest);
        if (r < 0)
                return r;
        memcpy(ret, digest, 16);
        ret[16] = '\0';
        return 0;
}
