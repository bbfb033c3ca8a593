/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel/attach.h"
#include "kernel/clsact.h"
#include "kernel/pins.h"
#include "kernel/uapi.h"
#include "kernel/xdp-query.h"
#include "util/log.h"

/*
 * Taking over what an earlier service left. It may have died at any point of a commit:
 *
 * - before the exchange: the program at "programs/…" is attached, what waits under "~" is waste;
 * - after it: the program that waits under "~" is attached; its counters, if they wait as well, go with it;
 * - while a new attachment was being pinned: the link waits under "~", or nothing holds it and it is gone.
 *
 * So the attached program's id decides, and pins are put in order accordingly.
 */

typedef struct Candidate {
        int fd;
        struct bpf_prog_info info;
} Candidate;

static int candidate_read(int fd, Candidate *ret) {
        uint32_t size = sizeof(ret->info);
        int r;

        *ret = (Candidate){ .fd = fd };
        r = bpf_prog_get_info_by_fd(fd, &ret->info, &size);
        return MIN2(r, 0);
}

/* A descriptor of the program with this id: the pinned one, the one that waits, or by its id (which takes
 * CAP_SYS_ADMIN; it is none of ours then, or its pin is lost). *ret_staged: the one that waits. */
static int open_program(const char *path, uint32_t id, Candidate *ret, bool *ret_staged) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        for (int staged = 0; staged <= 1; staged++) {
                safe_close(TAKE_FD(fd));
                fd = pins_open(path, staged);
                if (fd >= 0 && candidate_read(fd, ret) >= 0 && ret->info.id == id) {
                        *ret_staged = staged;
                        TAKE_FD(fd);
                        return 0;
                }
        }

        safe_close(TAKE_FD(fd));
        fd = bpf_prog_get_fd_by_id(id);
        if (fd < 0)
                return fd;
        r = candidate_read(fd, ret);
        if (r < 0)
                return r;
        *ret_staged = false;
        TAKE_FD(fd);
        return 0;
}

/* Has the map the shape of a chain's counters? Another version of the service may have left another one. */
static bool counters_fit(int fd) {
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);

        return bpf_map_get_info_by_fd(fd, &info, &size) >= 0 && info.type == BPF_MAP_TYPE_PERCPU_ARRAY &&
               info.max_entries == 1 && info.value_size == sizeof(uint64_t[CHAIN_SEATS_MAX][COUNTER_CELLS]);
}

/* The maps of a program: descriptors, for which the ids alone would take CAP_SYS_ADMIN, come later. */
static int read_map_ids(int program_fd, uint32_t ids[64], size_t *ret_n) {
        struct bpf_prog_info info = { .nr_map_ids = 64, .map_ids = (uint64_t) (uintptr_t) ids };
        uint32_t size = sizeof(info);
        int r;

        r = bpf_prog_get_info_by_fd(program_fd, &info, &size);
        if (r < 0)
                return r;
        *ret_n = MIN2(info.nr_map_ids, 64U);
        return 0;
}

static bool map_is_one_of(int fd, const uint32_t *ids, size_t n) {
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);

        if (bpf_map_get_info_by_fd(fd, &info, &size) < 0)
                return false;
        for (size_t i = 0; i < n; i++)
                if (ids[i] == info.id)
                        return true;
        return false;
}

/* A map of the chain's own by its pin, if the program uses it, or of this name in the program (which takes
 * CAP_SYS_ADMIN). -ENOENT: there is none. */
static int open_map_of(const char *path, const char *name, const uint32_t *ids, size_t n) {
        int fd;

        fd = pins_open(path, false);
        if (fd >= 0 && map_is_one_of(fd, ids, n))
                return fd;
        safe_close(fd);

        for (size_t i = 0; i < n; i++) {
                struct bpf_map_info map = {};
                uint32_t size = sizeof(map);

                fd = bpf_map_get_fd_by_id(ids[i]);
                if (fd < 0 && fd != -ENOENT)
                        return fd;
                if (fd >= 0 && bpf_map_get_info_by_fd(fd, &map, &size) >= 0 && streq(map.name, name))
                        return fd;
                safe_close(fd);
        }
        return -ENOENT;
}

/* The array of further programs. Without a descriptor of it here it lives by its pin only. */
static int open_slots(const char *path, int program_fd) {
        uint32_t ids[64] = {};
        size_t n = 0;
        int r;

        r = read_map_ids(program_fd, ids, &n);
        return r < 0 ? r : open_map_of(path, "bc_slots", ids, n);
}

/* The counters. The pin also counts when the program does not use it: a chain that counts nothing now keeps the
 * figures that it had. -ENODATA: it never counted. */
static int open_counters(const char *path, int program_fd) {
        uint32_t ids[64] = {};
        size_t n = 0;
        int fd, r;

        fd = pins_open(path, false);
        if (fd >= 0 && counters_fit(fd))
                return fd;
        safe_close(fd);
        r = read_map_ids(program_fd, ids, &n);
        if (r < 0)
                return r;
        r = open_map_of(path, "bc_counters", ids, n);
        if (r >= 0 && !counters_fit(r)) {
                safe_close(r);
                r = -ENOENT;
        }
        return fd == -ENOENT && r == -ENOENT ? -ENODATA : r;
}

static int fused_from_pins(const Kernel *kernel, int ifindex, Hook hook, uint32_t program_id, KernelFused **ret) {
        _cleanup_(kernel_fused_freep) KernelFused *fused = NULL;
        _cleanup_free_ char *program = NULL, *counters = NULL, *slots = NULL;
        Candidate candidate;
        bool staged;
        int r;

        r = pins_path(kernel, PIN_PROGRAM, ifindex, hook, &program);
        if (r >= 0)
                r = pins_path(kernel, PIN_COUNTERS, ifindex, hook, &counters);
        if (r >= 0)
                r = pins_path(kernel, PIN_SLOTS, ifindex, hook, &slots);
        if (r < 0)
                return r;

        fused = malloc(sizeof(*fused));
        if (!fused)
                return -ENOMEM;
        *fused = (KernelFused){
                .hook = hook, .program_fd = -EBADF, .counters_fd = -EBADF, .slots_fd = -EBADF, .used = true
        };

        r = open_program(program, program_id, &candidate, &staged);
        if (r < 0)
                return r;
        fused->program_fd = candidate.fd;
        fused->program_id = candidate.info.id;
        memcpy(fused->name, candidate.info.name, sizeof(fused->name) - 1);
        for (size_t i = 0; i < BPF_TAG_SIZE; i++)
                snprintf(fused->tag + 2 * i, 3, "%02x", candidate.info.tag[i]);

        if (staged) {
                /* In the order of finish_pins(). Without any waiting they are in place already. */
                (void) pins_finish(counters);
                (void) pins_finish(slots);
                (void) pins_finish(program);
        }
        fused->counters_fd = open_counters(counters, fused->program_fd);
        fused->slots_fd = open_slots(slots, fused->program_fd);
        if (fused->slots_fd == -ENOENT)
                pins_remove(slots); /* the array of a chain that was exchanged for this one, which has none */
        if (fused->counters_fd < 0 && fused->counters_fd != -ENODATA)
                log_warning("The counters of the %s chain on interface %d are lost: %s", hook_to_string(hook),
                            ifindex, strerror(-fused->counters_fd));

        *ret = TAKE_PTR(fused);
        return 0;
}

/* Is the link on the interface of this index in our network namespace, and not on one of another? (The kernel tells
 * the index only, and an interface keeps its links when it moves.) 1: yes, 0: no. */
static int link_is_here(int ifindex, Hook hook, uint32_t link_id, uint32_t program_id, bool *ret_native) {
        uint32_t programs[64] = {}, links[64] = {};
        LIBBPF_OPTS(bpf_prog_query_opts, tcx, .prog_ids = programs, .link_ids = links, .prog_cnt = 64);
        XdpPrograms xdp;
        int r;

        if (hook == HOOK_XDP) {
                r = xdp_query_programs(ifindex, &xdp);
                if (r < 0)
                        return r == -ENODEV ? 0 : r;
                *ret_native = xdp.native == program_id;
                return xdp.native == program_id || xdp.generic == program_id;
        }

        *ret_native = false;
        r = bpf_prog_query_opts(ifindex, hook == HOOK_TC_INGRESS ? UAPI_TCX_INGRESS : UAPI_TCX_EGRESS, &tcx);
        if (r < 0 && r != -ENOSPC)
                return r == -ENODEV ? 0 : r;
        for (size_t i = 0; i < MIN2(tcx.prog_cnt, ELEMENTSOF(links)); i++)
                if (links[i] == link_id)
                        return 1;
        return 0;
}

static int open_link(const Kernel *kernel, int ifindex, Hook hook) {
        _cleanup_free_ char *path = NULL;
        int fd, r;

        r = pins_path(kernel, PIN_LINK, ifindex, hook, &path);
        if (r < 0)
                return r;
        fd = pins_open(path, false);
        if (fd != -ENOENT)
                return fd;

        fd = pins_open(path, true);
        if (fd >= 0)
                (void) pins_finish(path);
        return fd;
}

/* A link with program and counters; -ENOENT as in the contract, the pins are removed then. */
static int adopt_link(const Kernel *kernel, int link_fd, KernelAttachment *attachment) {
        int ifindex, r;
        uint32_t program_id;

        r = attachment_read_link(link_fd, attachment->hook, &ifindex, &attachment->link_id, &program_id);
        if (r == -EMEDIUMTYPE) {
                log_warning("The pin of the %s chain on interface %d is a link of another kind; ignored",
                            hook_to_string(attachment->hook), attachment->ifindex);
                return -ENOENT;
        }
        if (r < 0)
                return r;

        r = ifindex == attachment->ifindex;
        if (r > 0)
                r = link_is_here(ifindex, attachment->hook, attachment->link_id, program_id, &attachment->native);
        if (r < 0)
                return r;
        if (r == 0) {
                log_info("The %s chain pinned for interface %d is on it no more; its pins are removed",
                         hook_to_string(attachment->hook), attachment->ifindex);
                pins_remove_hook(kernel, attachment->ifindex, attachment->hook);
                return -ENOENT;
        }

        attachment->kind = attachment->hook == HOOK_XDP ? ATTACH_KIND_XDP_LINK : ATTACH_KIND_TCX_LINK;
        return fused_from_pins(kernel, attachment->ifindex, attachment->hook, program_id, &attachment->fused);
}

/* A filter: ours if it is at our handle and has the program that is pinned. */
static int adopt_clsact(const Kernel *kernel, KernelAttachment *attachment) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int pinned = -EBADF, waiting = -EBADF;
        Candidate candidate = {};
        uint32_t id;
        int r;

        r = pins_path(kernel, PIN_PROGRAM, attachment->ifindex, attachment->hook, &path);
        if (r < 0)
                return r;
        pinned = pins_open(path, false);
        waiting = pins_open(path, true);
        if (pinned == -ENOENT && waiting == -ENOENT)
                pins_remove_hook(kernel, attachment->ifindex, attachment->hook); /* counters that were pinned first */
        if (pinned < 0 && waiting < 0)
                return pinned;

        r = hook_is_tc(attachment->hook) ? clsact_query(attachment->ifindex, attachment->hook, &id) : -ENOENT;
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == -ENOENT ||
            !((pinned >= 0 && candidate_read(pinned, &candidate) >= 0 && candidate.info.id == id) ||
              (waiting >= 0 && candidate_read(waiting, &candidate) >= 0 && candidate.info.id == id))) {
                pins_remove_hook(kernel, attachment->ifindex, attachment->hook);
                return -ENOENT;
        }

        attachment->kind = ATTACH_KIND_CLSACT;
        return fused_from_pins(kernel, attachment->ifindex, attachment->hook, id, &attachment->fused);
}

/* The digits of the signature in a fused program's name; empty where the program is none of ours, so that it differs
 * from any chain that is wanted. */
static void signature_from_name(const char *name, char *ret) {
        const char *digits = startswith(name, FUSED_NAME_PREFIX);

        *ret = '\0';
        if (digits && strspn(digits, "0123456789abcdef") == strlen(digits))
                strcpy(ret, digits);
}

int kernel_chain_adopt(void *userdata, int ifindex, Hook hook, KernelAttachment **ret, AttachmentInfo *ret_info,
                       char *ret_signature) {
        _cleanup_(kernel_attachment_freep) KernelAttachment *attachment = NULL;
        const Kernel *kernel = userdata;
        int r;

        attachment = malloc(sizeof(*attachment));
        if (!attachment)
                return -ENOMEM;
        *attachment = (KernelAttachment){ .ifindex = ifindex, .hook = hook, .link_fd = -EBADF };

        attachment->link_fd = open_link(kernel, ifindex, hook);
        if (attachment->link_fd >= 0)
                r = adopt_link(kernel, attachment->link_fd, attachment);
        else if (attachment->link_fd == -ENOENT)
                r = adopt_clsact(kernel, attachment);
        else
                r = attachment->link_fd;
        if (r < 0)
                return r;

        /* What still waits is of a commit that was not made. */
        pins_remove_staged(kernel, ifindex, hook);
        signature_from_name(attachment->fused->name, ret_signature);
        attachment_info(attachment, ret_info);
        *ret = TAKE_PTR(attachment);
        return 0;
}

typedef struct Pair {
        int ifindex;
        Hook hook;
} Pair;

static int pair_compare(const void *a, const void *b) {
        const Pair *x = a, *y = b;

        return x->ifindex != y->ifindex ? (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex)
                                        : (int) x->hook - (int) y->hook;
}

static int list_dir(const Kernel *kernel, PinKind kind, Pair **pairs, size_t *n_pairs) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_free_ char *path = NULL;
        struct dirent *entry;

        if (asprintf(&path, "%s/%s", kernel->bpffs_dir, pin_kind_to_string(kind)) < 0)
                return -ENOMEM;
        dir = opendir(path);
        if (!dir)
                return errno == ENOENT ? 0 : -errno;

        while ((entry = readdir(dir))) {
                size_t length = strlen(entry->d_name);
                Pair pair, *added;

                if (length > 0 && entry->d_name[length - 1] == '~')
                        entry->d_name[length - 1] = '\0';
                if (pins_parse_name(entry->d_name, &pair.ifindex, &pair.hook) < 0)
                        continue;
                added = ARRAY_APPEND(*pairs, *n_pairs);
                if (!added)
                        return -ENOMEM;
                *added = pair;
        }
        return 0;
}

int kernel_chain_list(void *userdata, int **ret_ifindexes, Hook **ret_hooks, size_t *ret_n) {
        _cleanup_free_ Pair *pairs = NULL;
        _cleanup_free_ int *ifindexes = NULL;
        _cleanup_free_ Hook *hooks = NULL;
        size_t n_pairs = 0, n = 0;
        int r;

        /* A link is pinned under links, a filter has its program only; counters alone are of a change that was never
         * made. */
        r = list_dir(userdata, PIN_LINK, &pairs, &n_pairs);
        if (r >= 0)
                r = list_dir(userdata, PIN_PROGRAM, &pairs, &n_pairs);
        if (r >= 0)
                r = list_dir(userdata, PIN_COUNTERS, &pairs, &n_pairs);
        if (r < 0)
                return r;

        ifindexes = calloc(MAX2(n_pairs, 1U), sizeof(*ifindexes));
        hooks = calloc(MAX2(n_pairs, 1U), sizeof(*hooks));
        if (!ifindexes || !hooks)
                return -ENOMEM;
        if (n_pairs > 0)
                qsort(pairs, n_pairs, sizeof(*pairs), pair_compare);
        for (size_t i = 0; i < n_pairs; i++) {
                if (i > 0 && pair_compare(&pairs[i - 1], &pairs[i]) == 0)
                        continue;
                ifindexes[n] = pairs[i].ifindex;
                hooks[n++] = pairs[i].hook;
        }

        *ret_ifindexes = TAKE_PTR(ifindexes);
        *ret_hooks = TAKE_PTR(hooks);
        *ret_n = n;
        return 0;
}
