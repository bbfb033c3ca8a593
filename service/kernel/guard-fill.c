/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kernel/culprits.h"
#include "kernel/guard-fill.h"
#include "util/file.h"
#include "util/log.h"

#define RELEASE_UNIT "bpfchain-guard-release.service"
#define CGROUP_MAX   4096
#define PID_1        1

/* PROC_PID_INIT_INO of include/linux/proc_ns.h: the namespace in which the kernel's own numbers are valid. */
#define INITIAL_PID_NAMESPACE 0xeffffffcU

_Static_assert((int) GUARD_MODE_OFF == GUARD_BPF_MODE_OFF && (int) GUARD_MODE_OBSERVE == GUARD_BPF_MODE_OBSERVE &&
                       (int) GUARD_MODE_ENFORCE == GUARD_BPF_MODE_ENFORCE,
               "modes");
_Static_assert((int) GUARD_LOADING_ANY == GUARD_BPF_LOADING_ANY &&
                       (int) GUARD_LOADING_NETWORKING == GUARD_BPF_LOADING_NETWORKING &&
                       (int) GUARD_LOADING_NONE == GUARD_BPF_LOADING_NONE,
               "loading");
_Static_assert((int) HOOK_XDP == GUARD_BPF_HOOK_XDP && (int) HOOK_TC_INGRESS == GUARD_BPF_HOOK_TC_INGRESS &&
                       (int) HOOK_TC_EGRESS == GUARD_BPF_HOOK_TC_EGRESS && (int) _HOOK_MAX == GUARD_BPF_HOOKS,
               "hooks");
_Static_assert((int) ATTACH_KIND_XDP_LINK == GUARD_BPF_KIND_XDP_LINK &&
                       (int) ATTACH_KIND_TCX_LINK == GUARD_BPF_KIND_TCX_LINK &&
                       (int) ATTACH_KIND_CLSACT == GUARD_BPF_KIND_CLSACT,
               "kinds");

int guard_identity_parse_unit(const char *cgroup, char ret[GUARD_BPF_UNIT]) {
        while (*cgroup) {
                size_t n;

                cgroup += strspn(cgroup, "/");
                n = strcspn(cgroup, "/");
                if (n > strlen(".slice") && strncmp(cgroup + n - strlen(".slice"), ".slice", strlen(".slice")) == 0) {
                        cgroup += n;
                        continue;
                }
                if (n == 0)
                        return -ENOENT;
                if (n >= GUARD_BPF_UNIT)
                        return -E2BIG;
                memcpy(ret, cgroup, n);
                ret[n] = '\0';
                return 0;
        }
        return -ENOENT;
}

void guard_identity_find(GuardIdentity *ret) {
        _cleanup_free_ char *text = NULL;
        char path[CGROUP_MAX];
        struct stat st;

        *ret = (GuardIdentity){};
        if (getppid() != PID_1) {
                ret->reason = "it is not the main process of a unit of systemd";
                return;
        }
        if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != INITIAL_PID_NAMESPACE) {
                ret->reason = "it runs in a PID namespace of its own";
                return;
        }
        if (file_read("/proc/self/cgroup", CGROUP_MAX, &text, NULL) < 0 ||
            culprits_parse_cgroup(text, path, sizeof(path)) < 0 || guard_identity_parse_unit(path, ret->unit) < 0 ||
            !endswith(ret->unit, ".service")) {
                ret->unit[0] = '\0';
                ret->reason = "it is in no unit of systemd";
        }
}

/* Entries of a map, sorted by key. */
typedef struct Entries {
        uint8_t *data;
        size_t n;
        size_t key_size;
        size_t value_size;
        size_t stride;
} Entries;

static int compare_keys(const void *a, const void *b, void *userdata) {
        const Entries *entries = userdata;

        return memcmp(a, b, entries->key_size);
}

static int entries_make(const void *keys, const void *values, size_t n, Entries *entries) {
        size_t kept = 0;

        entries->stride = entries->key_size + entries->value_size;
        entries->data = calloc(MAX2(n, (size_t) 1), entries->stride);
        if (!entries->data)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                uint8_t *entry = entries->data + i * entries->stride;

                memcpy(entry, (const uint8_t *) keys + i * entries->key_size, entries->key_size);
                memcpy(entry + entries->key_size, (const uint8_t *) values + i * entries->value_size,
                       entries->value_size);
        }
        qsort_r(entries->data, n, entries->stride, compare_keys, entries);
        for (size_t i = 0; i < n; i++) {
                uint8_t *last = entries->data + (kept - 1) * entries->stride;
                uint8_t *entry = entries->data + i * entries->stride;

                if (kept == 0 || compare_keys(last, entry, entries) != 0) {
                        memmove(entries->data + kept++ * entries->stride, entry, entries->stride);
                        continue;
                }
                if (entries->value_size == sizeof(uint32_t)) {
                        uint32_t one, other;

                        memcpy(&one, last + entries->key_size, sizeof(one));
                        memcpy(&other, entry + entries->key_size, sizeof(other));
                        one |= other;
                        memcpy(last + entries->key_size, &one, sizeof(one));
                }
        }
        entries->n = kept;
        return 0;
}

static bool entries_have(Entries *entries, const void *key) {
        size_t low = 0, high = entries->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = memcmp(entries->data + middle * entries->stride, key, entries->key_size);

                if (order == 0)
                        return true;
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return false;
}

static int write_entries(int map, const Entries *entries, void *value, bool *changed) {
        int result = 0, r;

        for (size_t i = 0; i < entries->n; i++) {
                const uint8_t *key = entries->data + i * entries->stride;

                if (bpf_map_lookup_elem(map, key, value) >= 0 &&
                    memcmp(value, key + entries->key_size, entries->value_size) == 0)
                        continue;
                r = bpf_map_update_elem(map, key, key + entries->key_size, BPF_ANY);
                if (r == -E2BIG)
                        result = r;
                else if (r < 0)
                        return r;
                else
                        *changed = true;
        }
        return result;
}

static int remove_others(int map, Entries *entries, void *key, void *next, bool *changed) {
        bool first = true;

        /* A key that is removed while the walk stands on it would begin the walk anew. */
        for (;;) {
                int r = bpf_map_get_next_key(map, first ? NULL : key, next);

                if (!first && !entries_have(entries, key)) {
                        (void) bpf_map_delete_elem(map, key);
                        *changed = true;
                }
                if (r < 0)
                        return r == -ENOENT ? 0 : r;
                memcpy(key, next, entries->key_size);
                first = false;
        }
}

int guard_fill_map(int map, size_t key_size, size_t value_size, const void *keys, const void *values, size_t n) {
        Entries entries = { .key_size = key_size, .value_size = value_size };
        _cleanup_free_ void *data = NULL, *scratch = calloc(3, MAX2(key_size, value_size));
        bool changed = false;
        int written, r;

        if (!scratch)
                return -ENOMEM;
        r = entries_make(keys, values, n, &entries);
        if (r < 0)
                return r;
        data = entries.data;
        written = write_entries(map, &entries, scratch, &changed);
        if (written < 0 && written != -E2BIG)
                return written;
        r = remove_others(map, &entries, (uint8_t *) scratch + MAX2(key_size, value_size),
                          (uint8_t *) scratch + 2 * MAX2(key_size, value_size), &changed);
        if (r >= 0 && written == -E2BIG)
                /* Now there may be room. */
                written = write_entries(map, &entries, scratch, &changed);
        if (r < 0)
                return r;
        return written < 0 ? written : changed;
}

/* Writes down once that not all found room. */
static int note(int r, const char *what, char *reason, size_t size) {
        if (r == -E2BIG) {
                if (!*reason)
                        snprintf(reason, size,
                                 "There are more %s than the guard has room for; the rest is not "
                                 "looked at.",
                                 what);
                return 0;
        }
        return MIN2(r, 0);
}

static int fill_hooks(const GuardSet *set, const GuardDemand *demand, char *reason, size_t size) {
        _cleanup_free_ struct guard_bpf_hook_key *keys = calloc(demand->n_hooks + 1, sizeof(*keys));
        _cleanup_free_ struct guard_bpf_hook *hooks = calloc(demand->n_hooks + 1, sizeof(*hooks));
        _cleanup_free_ uint32_t *numbers = calloc(demand->n_hooks + 1, sizeof(*numbers));
        _cleanup_free_ uint32_t *masks = calloc(demand->n_hooks + 1, sizeof(*masks));
        _cleanup_free_ struct guard_bpf_hook_key *of_links = calloc(demand->n_hooks + 1, sizeof(*of_links));
        size_t n_links = 0;
        int r;

        if (!keys || !hooks || !numbers || !masks || !of_links)
                return -ENOMEM;
        for (size_t i = 0; i < demand->n_hooks; i++) {
                const GuardHook *hook = &demand->hooks[i];

                keys[i] = (struct guard_bpf_hook_key){ (uint32_t) hook->ifindex, (uint32_t) hook->hook };
                hooks[i] = (struct guard_bpf_hook){ (uint32_t) hook->kind, hook->link_id, hook->program_id };
                if (hook->link_id > 0) {
                        of_links[n_links] = keys[i];
                        numbers[n_links++] = hook->link_id;
                }
        }
        r = guard_fill_map(set->maps[GUARD_MAP_HOOKS], sizeof(*keys), sizeof(*hooks), keys, hooks, demand->n_hooks);
        r = note(r, "hooks", reason, size);
        if (r >= 0) {
                r = guard_fill_map(set->maps[GUARD_MAP_LINKS], sizeof(*numbers), sizeof(*of_links), numbers, of_links,
                                   n_links);
                r = note(r, "links", reason, size);
        }
        for (size_t i = 0; i < demand->n_hooks; i++) {
                numbers[i] = keys[i].ifindex;
                masks[i] = UINT32_C(1) << keys[i].hook;
        }
        if (r >= 0) {
                r = guard_fill_map(set->maps[GUARD_MAP_IFACES], sizeof(*numbers), sizeof(*masks), numbers, masks,
                                   demand->n_hooks);
                r = note(r, "interfaces", reason, size);
        }
        return r;
}

static int fill_names(const GuardSet *set, const GuardDemand *demand, char *reason, size_t size) {
        _cleanup_free_ char(*keys)[GUARD_BPF_NAME] = calloc(demand->n_names + 1, sizeof(*keys));
        _cleanup_free_ uint32_t *indexes = calloc(demand->n_names + 1, sizeof(*indexes));
        size_t n = 0;

        if (!keys || !indexes)
                return -ENOMEM;
        for (size_t i = 0; i < demand->n_names; i++) {
                /* The kernel's own limit is as long. */
                if (strlen(demand->names[i].name) >= GUARD_BPF_NAME)
                        continue;
                strcpy(keys[n], demand->names[i].name);
                indexes[n++] = (uint32_t) demand->names[i].ifindex;
        }
        return note(guard_fill_map(set->maps[GUARD_MAP_NAMES], sizeof(*keys), sizeof(*indexes), keys, indexes, n),
                    "names of interfaces", reason, size);
}

/* Those who are let, the default ones included where they are wanted. */
static const GuardAllow *allow_at(const GuardPolicy *policy, size_t i) {
        const GuardAllow *others;
        size_t n;

        if (i < policy->n_allow)
                return &policy->allow[i];
        others = guard_default_allow(&n);
        i -= policy->n_allow;
        return policy->default_allow && i < n ? &others[i] : NULL;
}

static size_t count_allows(const GuardPolicy *policy) {
        size_t n = 0;

        while (allow_at(policy, n))
                n++;
        return n;
}

int guard_fill_executables(const GuardSet *set, const GuardPolicy *policy, char *ret_reason, size_t size) {
        size_t n_allows = count_allows(policy), n = 0;
        _cleanup_free_ struct guard_bpf_file *keys = calloc(n_allows + 1, sizeof(*keys));
        _cleanup_free_ uint32_t *masks = calloc(n_allows + 1, sizeof(*masks));

        if (!keys || !masks)
                return -ENOMEM;
        for (size_t i = 0; i < n_allows; i++) {
                const GuardAllow *allow = allow_at(policy, i);
                int r;

                if (allow->kind != GUARD_ALLOW_EXECUTABLE)
                        continue;
                r = guard_set_identify(set, allow->text, &keys[n]);
                if (r == -ENXIO)
                        return r;
                if (r < 0) {
                        /* It may come; who then uses it is looked at anew. */
                        log_debug("The guard can't find the executable %s that is let: %s", allow->text,
                                  strerror(-r));
                        if (!*ret_reason)
                                snprintf(ret_reason, size, "%.128s, which the settings let, can't be found: %s.",
                                         allow->text, strerror(-r));
                        continue;
                }
                masks[n++] = allow->rules;
        }
        return guard_fill_map(set->maps[GUARD_MAP_EXES], sizeof(*keys), sizeof(*masks), keys, masks, n);
}

static int fill_units(const GuardSet *set, const GuardPolicy *policy, uint32_t *ret_n) {
        size_t n_allows = count_allows(policy), n = 0;
        _cleanup_free_ char(*keys)[GUARD_BPF_UNIT] = calloc(n_allows + 1, sizeof(*keys));
        _cleanup_free_ uint32_t *masks = calloc(n_allows + 1, sizeof(*masks));

        if (!keys || !masks)
                return -ENOMEM;
        for (size_t i = 0; i < n_allows; i++) {
                const GuardAllow *allow = allow_at(policy, i);

                if (allow->kind != GUARD_ALLOW_UNIT || strlen(allow->text) >= GUARD_BPF_UNIT)
                        continue;
                strcpy(keys[n], allow->text);
                masks[n++] = allow->rules;
        }
        *ret_n = (uint32_t) n;
        return guard_fill_map(set->maps[GUARD_MAP_UNITS], sizeof(*keys), sizeof(*masks), keys, masks, n);
}

static int fill_users(const GuardSet *set, const GuardPolicy *policy, uint32_t *ret_n) {
        size_t n_allows = count_allows(policy), n = 0;
        _cleanup_free_ uint32_t *keys = calloc(n_allows + 1, sizeof(*keys));
        _cleanup_free_ uint32_t *masks = calloc(n_allows + 1, sizeof(*masks));

        if (!keys || !masks)
                return -ENOMEM;
        for (size_t i = 0; i < n_allows; i++) {
                const GuardAllow *allow = allow_at(policy, i);

                if (allow->kind != GUARD_ALLOW_USER)
                        continue;
                keys[n] = allow->uid;
                masks[n++] = allow->rules;
        }
        *ret_n = (uint32_t) n;
        return guard_fill_map(set->maps[GUARD_MAP_USERS], sizeof(*keys), sizeof(*masks), keys, masks, n);
}

/* Our folder for pins and those above it, as far as they are on the same file system. */
static void find_folders(const Kernel *kernel, struct guard_bpf_settings *settings) {
        _cleanup_free_ char *path = strdup(kernel->bpffs_dir);
        struct stat st;
        dev_t device = 0;

        for (size_t i = 0; path && *path && i < GUARD_BPF_FOLDERS; i++) {
                char *slash = strrchr(path, '/');

                if (stat(path, &st) < 0 || (i > 0 && st.st_dev != device))
                        return;
                device = st.st_dev;
                settings->pins_device = (uint32_t) (major(device) << 20 | minor(device));
                settings->pins[i] = st.st_ino;
                if (!slash)
                        return;
                *slash = '\0';
        }
}

static int write_settings(const GuardSet *set, const struct guard_bpf_settings *settings) {
        uint32_t zero = 0;

        return bpf_map_update_elem(set->maps[GUARD_MAP_SETTINGS], &zero, settings, BPF_ANY);
}

int guard_fill(const GuardSet *set, const Kernel *kernel, const GuardIdentity *identity, const GuardDemand *demand,
               char *ret_reason, size_t size, Error *error) {
        const GuardPolicy *policy = demand->policy;
        struct guard_bpf_settings settings = {
                .mode = (uint32_t) policy->mode,
                .protect = policy->protect,
                .loading = (uint32_t) policy->loading,
                .append = policy->append,
                .n_hooks = (uint32_t) demand->n_hooks,
                .release = RELEASE_UNIT,
        };
        struct stat st;
        int r;

        memcpy(settings.service, identity->unit, sizeof(settings.service));
        if (stat("/proc/self/ns/net", &st) < 0)
                return -errno;
        settings.netns = (uint32_t) st.st_ino;
        find_folders(kernel, &settings);

        r = fill_hooks(set, demand, ret_reason, size);
        if (r >= 0)
                r = fill_names(set, demand, ret_reason, size);
        if (r >= 0)
                r = fill_units(set, policy, &settings.n_units);
        if (r >= 0)
                r = fill_users(set, policy, &settings.n_users);
        if (r >= 0)
                r = guard_fill_executables(set, policy, ret_reason, size);
        if (r >= 0)
                r = write_settings(set, &settings);
        return r >= 0 ? 0 : error_ensure(error, r, "The guard's programs can't be told what to defend");
}
