/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <sys/mman.h>

#include "kernel/map-clone.h"
#include "kernel/map-copy.h"
#include "kernel/map-entries.h"
#include "kernel/map-info.h"

/* Types that the headers of older distributions lack. */
#define MAP_TYPE_CGRP_STORAGE 32
#define MAP_TYPE_ARENA        33

typedef struct Copier {
        const FuseRequest *request;
        MapCopies *copies;
        MapCloner cloner;
        Error *error;
} Copier;

/* A map on its way to its copy. */
typedef struct Work {
        Copier *copier;
        const FuseSlot *slot; /* for whose program */
        const char *name;     /* of the map that the program mentions */
        bool inner;           /* it is in that map */
        MapOriginal original;
        int fd;           /* of the copy; borrowed */
        uint64_t n;       /* entries read */
        uint64_t refused; /* of those the copy did not take */
        int refusal;      /* negative errno of the last */
} Work;

static int copy_mentioned(Copier *copier, size_t slot, size_t map, const Work *outer, int *ret_fd);

/* Same things are told once. */
static bool was_omitted(const MapCopies *copies, const SimulationOmission *omission) {
        for (size_t i = 0; i < copies->n_omissions; i++)
                if (streq(copies->omissions[i].program, omission->program) &&
                    streq(copies->omissions[i].map, omission->map) &&
                    streq(copies->omissions[i].reason, omission->reason))
                        return true;
        return false;
}

static int _printf_(2, 3) omit(const Work *work, const char *format, ...) {
        MapCopies *copies = work->copier->copies;
        SimulationOmission omission = { .program = strdup(work->slot->name), .map = strdup(work->name) }, *added;
        _cleanup_free_ char *reason = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&reason, format, ap);
        va_end(ap);
        if (r < 0)
                reason = NULL;
        else if (asprintf(&omission.reason, "%s%s", work->inner ? "in it, " : "", reason) < 0)
                omission.reason = NULL;

        if (omission.program && omission.map && omission.reason && !was_omitted(copies, &omission)) {
                added = ARRAY_APPEND(copies->omissions, copies->n_omissions);
                if (added) {
                        *added = omission;
                        return 0;
                }
        }
        r = omission.program && omission.map && omission.reason ? 0 : -ENOMEM;
        free(omission.program);
        free(omission.map);
        free(omission.reason);
        return r;
}

/* Counts what is about to be made to what the simulation has already. */
static int charge(const Work *work, size_t maps, double bytes) {
        MapCopies *copies = work->copier->copies;
        const MapInfo *info = work->original.info;

        copies->bytes += bytes;
        if (copies->n + maps > MAP_COPIES_MAX)
                return error_set(work->copier->error, ERROR_LIMIT_EXCEEDED,
                                 "A simulation copies at most %u maps, and those %s %s of program %s would be more. "
                                 "Simulate the chain without this program.",
                                 MAP_COPIES_MAX, work->inner ? "in" : "up to", work->name, work->slot->name);
        if (copies->bytes > MAP_COPIES_BYTES_MAX)
                return error_set(work->copier->error, ERROR_LIMIT_EXCEEDED,
                                 "A simulation copies at most %u MiB, and %s %s of program %s, of type %s with room "
                                 "for %u entries, would be more. Lower its max_entries, or simulate the chain "
                                 "without this program.",
                                 MAP_COPIES_BYTES_MAX >> 20, work->inner ? "a map in" : "map", work->name,
                                 work->slot->name, info->type, info->max_entries);
        return 0;
}

static int refuse(const Work *work, int r) {
        if (r == -ENOMEM || error_is_set(work->copier->error))
                return r;
        return error_set(work->copier->error, ERROR_NOT_SUPPORTED,
                         "%s %s of program %s, of type %s, can't be copied for a simulation: %s.",
                         work->inner ? "A map in" : "Map", work->name, work->slot->name, work->original.info->type,
                         strerror(-r));
}

/* The pages of a ring buffer that tell how far its reader and its writers are; kernel/bpf/ringbuf.c. */
static int map_ring(MapCopy *copy) {
        size_t page = (size_t) sysconf(_SC_PAGESIZE);
        void *consumed, *produced;

        consumed = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, copy->fd, 0);
        if (consumed == MAP_FAILED)
                return -errno;
        produced = mmap(NULL, page, PROT_READ, MAP_SHARED, copy->fd, (off_t) page);
        if (produced == MAP_FAILED) {
                munmap(consumed, page);
                return -errno;
        }
        copy->consumed = consumed;
        copy->produced = produced;
        return 0;
}

/* Makes the clone and counts it to the copies. */
static int make_clone(Work *work, int inner_fd) {
        MapCopies *copies = work->copier->copies;
        const MapInfo *info = work->original.info;
        _cleanup_close_ int fd = -EBADF;
        MapCopy *copy;
        int r;

        r = map_clone(&work->original, inner_fd, &fd);
        if (r < 0)
                return refuse(work, r);
        copy = ARRAY_APPEND(copies->items, copies->n);
        if (!copy)
                return -ENOMEM;
        *copy = (MapCopy){ .id = info->id, .fd = TAKE_FD(fd) };
        work->fd = copy->fd;
        return info->type_number == BPF_MAP_TYPE_RINGBUF ? map_ring(copy) : 0;
}

/* Devices and CPUs: the second word of a value names a program to run there, where a simulation never gets to. */
static void forget_programs(const MapInfo *info, uint8_t *values, size_t n) {
        if (info->value_size < 2 * sizeof(uint32_t))
                return;
        for (size_t i = 0; i < n; i++)
                memset(values + i * info->value_size + sizeof(uint32_t), 0, sizeof(uint32_t));
}

static int write_entries(void *userdata, const uint8_t *keys, const uint8_t *values, size_t n) {
        Work *work = userdata;
        const MapInfo *info = work->original.info;
        int r;

        r = charge(work, 0, map_clone_entry_bytes(info) * (double) n);
        if (r < 0)
                return r;
        switch (info->type_number) {
        case BPF_MAP_TYPE_DEVMAP:
        case BPF_MAP_TYPE_DEVMAP_HASH:
        case BPF_MAP_TYPE_CPUMAP: forget_programs(info, (uint8_t *) values, n); break;
        }
        work->refused += map_entries_write(work->fd, info, keys, values, n, &work->refusal);
        work->n += n;
        return 0;
}

static int count_entries(void *userdata, const uint8_t *keys, const uint8_t *values, size_t n) {
        *(uint64_t *) userdata += n;
        return 0;
}

/* What the map's type makes of the entries. */
static int tell_losses(Work *work) {
        const MapInfo *info = work->original.info;
        uint64_t left = 0;
        int r = 0;

        if (info->type_number == BPF_MAP_TYPE_LRU_HASH || info->type_number == BPF_MAP_TYPE_LRU_PERCPU_HASH) {
                r = map_entries_read(work->fd, info, 0, count_entries, &left);
                if (r >= 0 && left < work->n)
                        r = omit(work, "least recently used: %" PRIu64 " of %" PRIu64 " entries are missing",
                                 work->n - left, work->n);
        }
        if (r >= 0 && work->refused > 0)
                r = omit(work, "%" PRIu64 " of %" PRIu64 " entries are missing (%s)", work->refused, work->n,
                         strerror(-work->refusal));
        if (r >= 0 && work->n > 0 && (work->original.fields & MAP_FIELD_TIMER))
                r = omit(work, "timers: those of its entries do not run in the simulation");
        if (r >= 0 && work->n > 0 && (work->original.fields & (MAP_FIELD_POINTER | MAP_FIELD_LIST)))
                r = omit(work, "kernel objects: those that its entries hold are missing in the simulation");
        return r;
}

static int copy_entries(Work *work) {
        int r;

        r = make_clone(work, -EBADF);
        if (r < 0)
                return r;
        r = map_entries_read(work->original.fd, work->original.info,
                             work->original.fields & MAP_FIELD_SPIN_LOCK ? BPF_F_LOCK : 0, write_entries, work);
        if (r == -ENOMEM || error_is_set(work->copier->error))
                return r;
        if (r < 0)
                return omit(work, "the simulation has an empty one, since it can't be read%s (%s)",
                            work->n > 0 ? " to its end" : "", strerror(-r));
        return tell_losses(work);
}

/* Keys and ids of what an array or hash holds by reference. */
typedef struct References {
        size_t key_size;
        uint8_t *keys;
        uint32_t *ids;
        size_t n;
} References;

static void references_done(References *references) {
        free(references->keys);
        free(references->ids);
}

static int collect_references(void *userdata, const uint8_t *keys, const uint8_t *values, size_t n) {
        References *references = userdata;
        size_t all = references->n + n;
        uint8_t *new_keys = reallocarray(references->keys, all, references->key_size);
        uint32_t *new_ids;

        if (!new_keys)
                return -ENOMEM;
        references->keys = new_keys;
        new_ids = reallocarray(references->ids, all, sizeof(uint32_t));
        if (!new_ids)
                return -ENOMEM;
        references->ids = new_ids;
        memcpy(new_keys + references->n * references->key_size, keys, n * references->key_size);
        memcpy(new_ids + references->n, values, n * sizeof(uint32_t));
        references->n = all;
        return 0;
}

static int read_references(Work *work, References *references) {
        int r;

        references->key_size = work->original.info->key_size;
        r = map_entries_read(work->original.fd, work->original.info, 0, collect_references, references);
        if (r == -ENOMEM)
                return r;
        return r < 0 ? omit(work, "the simulation has an empty one, since it can't be read (%s)", strerror(-r)) : 0;
}

static void set_reference(Work *work, const References *references, size_t i, int fd) {
        if (bpf_map_update_elem(work->fd, references->keys + i * references->key_size, &fd, BPF_ANY) < 0) {
                work->refusal = -errno;
                work->refused++;
        }
        work->n++;
}

/* Would running this program leave everything as it is but the packet? TC programs may send packets, and what a
 * program calls can't be had from the kernel; any may write its maps. */
static bool program_is_harmless(int fd, bool tc) {
        uint32_t ids[64] = {};
        struct bpf_prog_info info = { .nr_map_ids = ELEMENTSOF(ids), .map_ids = (uint64_t) (uintptr_t) ids };
        uint32_t size = sizeof(info);

        if (tc || bpf_prog_get_info_by_fd(fd, &info, &size) < 0 || info.nr_map_ids > ELEMENTSOF(ids))
                return false;
        for (size_t i = 0; i < info.nr_map_ids; i++) {
                _cleanup_close_ int map = bpf_map_get_fd_by_id(ids[i]);
                struct bpf_map_info map_info = {};

                size = sizeof(map_info);
                if (map < 0 || bpf_map_get_info_by_fd(map, &map_info, &size) < 0 ||
                    !(map_info.map_flags & BPF_F_RDONLY_PROG))
                        return false;
        }
        return true;
}

/* The copy keeps what is in it as long as its descriptor is open. */
static int copy_programs(Work *work) {
        _cleanup_(references_done) References programs = {};
        size_t harmful = 0, closed = 0;
        int r;

        r = make_clone(work, -EBADF);
        if (r >= 0)
                r = read_references(work, &programs);
        if (r < 0)
                return r;

        for (size_t i = 0; i < programs.n; i++) {
                _cleanup_close_ int fd = bpf_prog_get_fd_by_id(programs.ids[i]);

                if (fd < 0)
                        closed += errno != ENOENT;
                else if (!program_is_harmless(fd, hook_is_tc(work->copier->request->hook)))
                        harmful++;
                else
                        set_reference(work, &programs, i, fd);
        }
        if (harmful > 0)
                r = omit(work,
                         "tail calls: %zu of %zu programs are missing, since they may change what is outside of the "
                         "simulation",
                         harmful, programs.n);
        if (r >= 0 && closed > 0)
                r = omit(work, "tail calls: %zu of %zu programs are missing, since opening them takes CAP_SYS_ADMIN",
                         closed, programs.n);
        return r < 0 ? r : tell_losses(work);
}

/* The slot and map with this id among those of the chain's programs. */
static bool find_map(const FuseRequest *request, uint32_t id, size_t *ret_slot, size_t *ret_map) {
        for (size_t i = 0; i < request->n_slots; i++) {
                const ProgramInfo *info = &request->slots[i].program->info;

                for (size_t j = 0; j < info->n_maps; j++)
                        if (info->maps[j].id == id) {
                                *ret_slot = i;
                                *ret_map = j;
                                return true;
                        }
        }
        return false;
}

static int find_copy(const MapCopies *copies, uint32_t id) {
        for (size_t i = 0; i < copies->n; i++)
                if (copies->items[i].id == id)
                        return copies->items[i].fd;
        return -EBADF;
}

static int copy_contents(Work *work);

/* A map that is known by its id alone; needs CAP_SYS_ADMIN. -ENOENT: it is gone, -EPERM. */
static int copy_by_id(const Work *outer, uint32_t id, int *ret_fd) {
        _cleanup_(map_info_done) MapInfo info = {};
        _cleanup_close_ int fd = bpf_map_get_fd_by_id(id);
        Work work = *outer;
        int r;

        if (fd < 0)
                return -errno;
        r = map_info_read(fd, outer->name, false, &info);
        if (r >= 0)
                r = map_original_init(&outer->copier->cloner, NULL, &info, fd, &work.original);
        if (r < 0)
                return r;
        work.inner = true;
        work.n = work.refused = 0;
        r = copy_contents(&work);
        if (r < 0)
                return r;
        *ret_fd = work.fd;
        return 0;
}

static int copy_inner(const Work *outer, uint32_t id, int *ret_fd) {
        Copier *copier = outer->copier;
        size_t slot, map;
        int fd;

        if (find_map(copier->request, id, &slot, &map))
                return copy_mentioned(copier, slot, map, outer, ret_fd);
        fd = find_copy(copier->copies, id);
        if (fd < 0)
                return copy_by_id(outer, id, ret_fd);
        *ret_fd = fd;
        return 0;
}

/* The copies of what is in the map; -EBADF for those that are gone or can't be opened. */
static int copy_inners(Work *work, const References *maps, int *fds) {
        size_t closed = 0;

        for (size_t i = 0; i < maps->n; i++) {
                int r = copy_inner(work, maps->ids[i], &fds[i]);

                if (r == -EPERM && !error_is_set(work->copier->error))
                        closed++;
                else if (r < 0 && (r != -ENOENT || error_is_set(work->copier->error)))
                        return r;
        }
        return closed > 0
                       ? omit(work, "%zu of the %zu maps in it are missing, since opening them takes CAP_SYS_ADMIN",
                              closed, maps->n)
                       : 0;
}

/* All at once: for each write to a map of maps the kernel waits until no program uses what was there. Moves what is
 * to be written to the front. */
static void write_maps(Work *work, References *maps, int *fds) {
        size_t n = 0;

        for (size_t i = 0; i < maps->n; i++) {
                if (fds[i] < 0)
                        continue;
                memmove(maps->keys + n * maps->key_size, maps->keys + i * maps->key_size, maps->key_size);
                fds[n++] = fds[i];
        }
        if (n > 0)
                work->refused += map_entries_write(work->fd, work->original.info, maps->keys, (const uint8_t *) fds,
                                                   n, &work->refusal);
        work->n += n;
}

static int copy_maps(Work *work) {
        _cleanup_(references_done) References maps = {};
        _cleanup_close_ int definition = -EBADF;
        _cleanup_free_ int *fds = NULL;
        int inner = -EBADF, r;

        r = read_references(work, &maps);
        if (r < 0)
                return r;
        fds = malloc((maps.n + 1) * sizeof(int));
        if (!fds)
                return -ENOMEM;
        for (size_t i = 0; i < maps.n; i++)
                fds[i] = -EBADF;
        r = copy_inners(work, &maps, fds);
        if (r < 0)
                return r;

        for (size_t i = 0; i < maps.n && inner < 0; i++)
                inner = fds[i];
        if (inner < 0) {
                r = map_clone_inner(&work->copier->cloner, &work->original, &definition);
                if (r < 0)
                        return refuse(work, r);
                inner = definition;
        }
        r = make_clone(work, inner);
        if (r < 0)
                return r;
        write_maps(work, &maps, fds);
        return tell_losses(work);
}

/* Queues and stacks show only what is next. */
static int copy_queue(Work *work) {
        _cleanup_free_ void *value = malloc(work->original.info->value_size);
        int r;

        if (!value)
                return -ENOMEM;
        r = make_clone(work, -EBADF);
        if (r < 0 || (bpf_map_lookup_elem(work->original.fd, NULL, value) < 0 && errno == ENOENT))
                return r;
        return omit(work, "%s: the simulation has an empty one", work->original.info->type);
}

/* What the simulation has in place of what can't be read. */
static const char *describe_empty(uint32_t type) {
        switch (type) {
        case BPF_MAP_TYPE_RINGBUF: return "ring buffer: the simulation has an empty one, which nobody reads";
        case BPF_MAP_TYPE_USER_RINGBUF: return "ring buffer: the simulation has an empty one, which nobody writes";
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY: return "events: nobody listens in the simulation, sending one fails";
        case BPF_MAP_TYPE_XSKMAP:
        case BPF_MAP_TYPE_SOCKMAP:
        case BPF_MAP_TYPE_SOCKHASH:
        case BPF_MAP_TYPE_REUSEPORT_SOCKARRAY: return "sockets: the simulation has none";
        case BPF_MAP_TYPE_CGROUP_ARRAY: return "cgroups: the simulation has none";
        case BPF_MAP_TYPE_BLOOM_FILTER: return "Bloom filter: the simulation has one that knows no value";
        case MAP_TYPE_ARENA: return "arena: the simulation has an empty one";
        case BPF_MAP_TYPE_SK_STORAGE:
        case BPF_MAP_TYPE_INODE_STORAGE:
        case BPF_MAP_TYPE_TASK_STORAGE:
        case MAP_TYPE_CGRP_STORAGE: return "storage: the simulation begins without any";
        default: return "the simulation has an empty one";
        }
}

static int copy_contents(Work *work) {
        uint32_t type = work->original.info->type_number;
        int r;

        r = charge(work, 1, map_clone_bytes(work->original.info));
        if (r < 0)
                return r;
        switch (type) {
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_PERCPU_HASH:
        case BPF_MAP_TYPE_LRU_HASH:
        case BPF_MAP_TYPE_LRU_PERCPU_HASH:
        case BPF_MAP_TYPE_ARRAY:
        case BPF_MAP_TYPE_PERCPU_ARRAY:
        case BPF_MAP_TYPE_LPM_TRIE:
        case BPF_MAP_TYPE_DEVMAP:
        case BPF_MAP_TYPE_DEVMAP_HASH:
        case BPF_MAP_TYPE_CPUMAP: r = copy_entries(work); break;
        case BPF_MAP_TYPE_PROG_ARRAY: r = copy_programs(work); break;
        case BPF_MAP_TYPE_ARRAY_OF_MAPS:
        case BPF_MAP_TYPE_HASH_OF_MAPS: r = copy_maps(work); break;
        case BPF_MAP_TYPE_QUEUE:
        case BPF_MAP_TYPE_STACK: r = copy_queue(work); break;
        default:
                r = make_clone(work, -EBADF);
                if (r >= 0)
                        r = omit(work, "%s", describe_empty(type));
        }
        /* before a program is loaded with it: the verifier reads what can't change any more */
        if (r >= 0 && work->original.info->frozen && bpf_map_freeze(work->fd) < 0)
                r = refuse(work, -errno);
        return r;
}

/* A map of one of the chain's programs; `outer`: it is in this one. */
static int copy_mentioned(Copier *copier, size_t slot, size_t map, const Work *outer, int *ret_fd) {
        KernelProgram *program = copier->request->slots[slot].program;
        const MapInfo *info = &program->info.maps[map];
        Work work = {
                .copier = copier,
                .slot = outer ? outer->slot : &copier->request->slots[slot],
                .name = outer ? outer->name : info->name,
                .inner = outer != NULL,
                .fd = find_copy(copier->copies, info->id),
        };
        int r;

        if (work.fd < 0) {
                r = map_original_init(&copier->cloner, program, info, program->map_fds[map], &work.original);
                if (r >= 0)
                        r = copy_contents(&work);
                if (r < 0)
                        return r;
        }
        r = kernel_program_write_pending(program, map, work.fd, copier->error);
        if (r < 0)
                return r;
        *ret_fd = work.fd;
        return 0;
}

static int copy_slot(Copier *copier, size_t slot) {
        const KernelProgram *program = copier->request->slots[slot].program;
        size_t n = program->info.n_maps;
        int *fds, r;

        if (!program->member)
                return 0;
        fds = copier->copies->fds[slot] = calloc(n + 1, sizeof(int));
        if (!fds)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                fds[i] = program->map_fds[i];
                if (i >= program->member->n_uses_map || !program->member->uses_map[i])
                        continue;
                r = copy_mentioned(copier, slot, i, NULL, &fds[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

int map_copies_make(MapCopies *copies, const FuseRequest *request, Error *error) {
        Copier copier = { .request = request, .copies = copies, .error = error };
        int r = 0;

        for (size_t i = 0; i < MIN2(request->n_slots, (size_t) CHAIN_SLOTS_MAX) && r >= 0; i++)
                r = copy_slot(&copier, i);
        map_cloner_done(&copier.cloner);
        return r;
}

void map_copies_done(MapCopies *copies) {
        size_t page = (size_t) sysconf(_SC_PAGESIZE);

        for (size_t i = 0; i < copies->n; i++) {
                MapCopy *copy = &copies->items[i];

                if (copy->consumed) {
                        munmap(copy->consumed, page);
                        munmap(copy->produced, page);
                }
                safe_close(copy->fd);
        }
        free(copies->items);
        for (size_t i = 0; i < CHAIN_SLOTS_MAX; i++)
                free(copies->fds[i]);
        simulation_omissions_free(copies->omissions, copies->n_omissions);
        *copies = (MapCopies){};
}

void map_copies_drain(const MapCopies *copies) {
        for (size_t i = 0; i < copies->n; i++) {
                MapCopy *copy = &copies->items[i];

                if (copy->consumed)
                        __atomic_store_n(copy->consumed, __atomic_load_n(copy->produced, __ATOMIC_ACQUIRE),
                                         __ATOMIC_RELEASE);
        }
}
