/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pwd.h>
#include <sys/stat.h>

#include "model/guard-policy.h"

#define RULE_BIT(rule) (UINT32_C(1) << (rule))
#define USER_NAME_MAX  32

static const char *const guard_mode_table[_GUARD_MODE_MAX] = {
        [GUARD_MODE_OFF] = "off",
        [GUARD_MODE_OBSERVE] = "observe",
        [GUARD_MODE_ENFORCE] = "enforce",
};

DEFINE_STRING_TABLE(guard_mode, GuardMode, _GUARD_MODE_MAX)

static const char *const guard_rule_table[_GUARD_RULE_MAX] = {
        [GUARD_RULE_LINKS] = "links", [GUARD_RULE_NETLINK] = "netlink", [GUARD_RULE_INTERFACES] = "interfaces",
        [GUARD_RULE_PINS] = "pins",   [GUARD_RULE_OBJECTS] = "objects", [GUARD_RULE_SERVICE] = "service",
        [GUARD_RULE_LOADS] = "loads",
};

DEFINE_STRING_TABLE(guard_rule, GuardRule, _GUARD_RULE_MAX)

/* What is refused, as "refuse-loading" says it. */
static const char *const guard_loading_table[_GUARD_LOADING_MAX] = {
        [GUARD_LOADING_ANY] = "nothing",
        [GUARD_LOADING_NETWORKING] = "networking",
        [GUARD_LOADING_NONE] = "everything",
};

DEFINE_STRING_TABLE(guard_loading, GuardLoading, _GUARD_LOADING_MAX)

static const char *const guard_allow_kind_table[_GUARD_ALLOW_KIND_MAX] = {
        [GUARD_ALLOW_EXECUTABLE] = "executable",
        [GUARD_ALLOW_UNIT] = "unit",
        [GUARD_ALLOW_USER] = "user",
};

DEFINE_STRING_TABLE(guard_allow_kind, GuardAllowKind, _GUARD_ALLOW_KIND_MAX)

/* Network managers and container engines move and delete interfaces that they made, whatever runs on those. */
static const GuardAllow default_allow[] = {
        { GUARD_ALLOW_UNIT, "systemd-networkd.service", 0, RULE_BIT(GUARD_RULE_INTERFACES) },
        { GUARD_ALLOW_UNIT, "NetworkManager.service", 0, RULE_BIT(GUARD_RULE_INTERFACES) },
        { GUARD_ALLOW_UNIT, "networking.service", 0, RULE_BIT(GUARD_RULE_INTERFACES) },
        { GUARD_ALLOW_UNIT, "wickedd.service", 0, RULE_BIT(GUARD_RULE_INTERFACES) },
        { GUARD_ALLOW_UNIT, "docker.service", 0, RULE_BIT(GUARD_RULE_INTERFACES) },
        { GUARD_ALLOW_UNIT, "containerd.service", 0, RULE_BIT(GUARD_RULE_INTERFACES) },
        { GUARD_ALLOW_UNIT, "crio.service", 0, RULE_BIT(GUARD_RULE_INTERFACES) },
        { GUARD_ALLOW_UNIT, "libvirtd.service", 0, RULE_BIT(GUARD_RULE_INTERFACES) },
        { GUARD_ALLOW_UNIT, "virtqemud.service", 0, RULE_BIT(GUARD_RULE_INTERFACES) },
};

const GuardAllow *guard_default_allow(size_t *ret_n) {
        *ret_n = ELEMENTSOF(default_allow);
        return default_allow;
}

const JsonField guard_policy_fields[GUARD_POLICY_FIELDS_MAX] = {
        { "mode", JSON_STRING },    { "protect", JSON_ARRAY }, { "refuse-loading", JSON_STRING },
        { "append", JSON_BOOLEAN }, { "allow", JSON_ARRAY },   { "default-allow", JSON_BOOLEAN },
        { "force", JSON_BOOLEAN },
};
const size_t guard_policy_n_fields = ELEMENTSOF(guard_policy_fields);

/* An array of rules by name. `max` rules of the table may be named. */
static int read_rules(const JsonReader *reader, const char *name, size_t max, uint32_t *rules) {
        _cleanup_free_ char *where = NULL;
        const char *words[_GUARD_RULE_MAX];
        json_object *array = NULL;
        uint32_t mask = 0;
        int r;

        r = json_reader_value(reader, name, &array, &where);
        if (r <= 0)
                return r;
        for (size_t i = 0; i < max; i++)
                words[i] = guard_rule_to_string((GuardRule) i);
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                _cleanup_free_ char *place = json_path_index(where, i);
                int word = 0;

                if (!place)
                        return -ENOMEM;
                r = json_get_word(json_object_array_get_idx(array, i), place, words, max, &word, reader->error);
                if (r < 0)
                        return r;
                if (mask & RULE_BIT(word))
                        return error_set_at(reader->error, ERROR_INVALID_DOCUMENT, place, "\"%s\" stands here twice",
                                            words[word]);
                mask |= RULE_BIT(word);
        }
        *rules = mask;
        return 1;
}

/* Absolute, and without detours that would make two names of one file. */
static bool is_plain_path(const char *s) {
        if (s[0] != '/' || s[1] == '\0')
                return false;
        while (*s == '/') {
                size_t n = strcspn(++s, "/");

                if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
                        return false;
                s += n;
        }
        return true;
}

static int read_executable(const JsonReader *reader, GuardAllow *allow) {
        const JsonStringRule rule = { .what = "the path of a program", .min = 2, .max = sizeof(allow->text) - 1 };
        const char *text;
        int r;

        r = json_reader_string(reader, "executable", &rule, &text);
        if (r <= 0)
                return r;
        if (!is_plain_path(text))
                return json_reader_fail(reader, "executable",
                                        "\"%s\" is no path from the root on without \"//\", \".\" and \"..\"; write "
                                        "\"/usr/sbin/NAME\"",
                                        text);
        snprintf(allow->text, sizeof(allow->text), "%s", text);
        return 1;
}

/* systemd.unit(5). Slices are fine as well: all below them is meant. */
static int read_unit(const JsonReader *reader, GuardAllow *allow) {
        static const char *const suffixes[] = { ".service", ".scope", ".slice", ".socket", ".mount", ".swap" };
        const JsonStringRule rule = {
                .what = "the name of a unit", .min = 1, .max = 127, .characters = "A-Za-z0-9:_.\\@-"
        };
        const char *text;
        int r;

        r = json_reader_string(reader, "unit", &rule, &text);
        if (r <= 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                const char *suffix = endswith(text, suffixes[i]);

                if (suffix && suffix > text) {
                        snprintf(allow->text, sizeof(allow->text), "%s", text);
                        return 1;
                }
        }
        return json_reader_fail(reader, "unit",
                                "\"%s\" is no unit that processes run in; give its whole name, with \".service\", "
                                "\".scope\" or \".slice\"",
                                text);
}

/* Of /etc/passwd only: to ask directories over the network would keep the start waiting, or for ever. */
static int find_user(const char *name, uint32_t *ret) {
        _cleanup_fclose_ FILE *f = fopen("/etc/passwd", "re");
        const struct passwd *entry;

        if (!f)
                return -errno;
        while ((entry = fgetpwent(f)))
                if (streq(entry->pw_name, name)) {
                        *ret = entry->pw_uid;
                        return 0;
                }
        return -ENOENT;
}

static int read_user(const JsonReader *reader, GuardAllow *allow) {
        const JsonStringRule rule = { .what = "a user", .min = 1, .max = USER_NAME_MAX };
        const char *text;
        char *end;
        int64_t number;
        int r;

        if (json_is(json_object_object_get(reader->object, "user"), JSON_INTEGER)) {
                r = json_reader_integer(reader, "user", 0, UINT32_MAX - 1, &number);
                allow->uid = (uint32_t) number;
                snprintf(allow->text, sizeof(allow->text), "%u", allow->uid);
                return r;
        }
        r = json_reader_string(reader, "user", &rule, &text);
        if (r <= 0)
                return r;
        snprintf(allow->text, sizeof(allow->text), "%s", text);
        if (text[0] >= '0' && text[0] <= '9') {
                errno = 0;
                number = strtoll(text, &end, 10);
                if (*end || errno != 0 || number > UINT32_MAX - 1)
                        return json_reader_fail(reader, "user", "\"%s\" is no user's number", text);
                allow->uid = (uint32_t) number;
                return 1;
        }
        if (find_user(text, &allow->uid) < 0)
                return json_reader_fail(reader, "user",
                                        "there is no user \"%s\" in /etc/passwd; users of elsewhere are given by "
                                        "their number",
                                        text);
        return 1;
}

static int read_allow(json_object *value, const char *where, GuardAllow *allow, Error *error) {
        static const JsonField fields[] = {
                { "executable", JSON_STRING },
                { "unit", JSON_STRING },
                { "user", JSON_STRING | JSON_INTEGER },
                { "rules", JSON_ARRAY },
        };
        static int (*const readers[_GUARD_ALLOW_KIND_MAX])(const JsonReader *, GuardAllow *) = {
                [GUARD_ALLOW_EXECUTABLE] = read_executable,
                [GUARD_ALLOW_UNIT] = read_unit,
                [GUARD_ALLOW_USER] = read_user,
        };
        JsonReader reader;
        unsigned n = 0;
        int r;

        *allow = (GuardAllow){ .rules = GUARD_RULES_ALL };
        r = json_reader_init(&reader, value, where, fields, ELEMENTSOF(fields), error);
        if (r < 0)
                return r;
        for (GuardAllowKind kind = 0; kind < _GUARD_ALLOW_KIND_MAX; kind++) {
                r = readers[kind](&reader, allow);
                if (r < 0)
                        return r;
                if (r > 0) {
                        allow->kind = kind;
                        n++;
                }
        }
        if (n != 1)
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                    "one of \"executable\", \"unit\" and \"user\" says who is allowed; %s",
                                    n == 0 ? "none is here" : "two can't be asked for together");
        r = read_rules(&reader, "rules", _GUARD_RULE_MAX, &allow->rules);
        if (r > 0 && allow->rules == 0)
                return json_reader_fail(&reader, "rules",
                                        "without any rule this allows nothing; leave the key out to "
                                        "allow everything");
        return MIN2(r, 0);
}

static int read_allows(const JsonReader *reader, GuardPolicy *policy) {
        _cleanup_free_ char *where = NULL;
        json_object *array = NULL;
        size_t n;
        int r;

        r = json_reader_value(reader, "allow", &array, &where);
        if (r <= 0)
                return r;
        n = json_object_array_length(array);
        if (n > GUARD_ALLOW_MAX)
                return json_reader_fail(reader, "allow",
                                        "%zu are more than the %d that can be kept; a slice stands "
                                        "for all units in it",
                                        n, GUARD_ALLOW_MAX);
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *place = json_path_index(where, i);

                if (!place)
                        return -ENOMEM;
                r = read_allow(json_object_array_get_idx(array, i), place, &policy->allow[i], reader->error);
                if (r < 0)
                        return r;
        }
        policy->n_allow = n;
        return 0;
}

int guard_policy_read(const JsonReader *reader, GuardPolicy *policy) {
        const char *modes[_GUARD_MODE_MAX], *loadings[_GUARD_LOADING_MAX];
        int r, word = 0;

        for (int i = 0; i < _GUARD_MODE_MAX; i++)
                modes[i] = guard_mode_to_string((GuardMode) i);
        for (int i = 0; i < _GUARD_LOADING_MAX; i++)
                loadings[i] = guard_loading_to_string((GuardLoading) i);
        r = json_reader_word(reader, "mode", modes, ELEMENTSOF(modes), &word);
        if (r > 0)
                policy->mode = (GuardMode) word;
        /* Loading has a key of its own. */
        if (r >= 0)
                r = read_rules(reader, "protect", GUARD_RULE_LOADS, &policy->protect);
        if (r >= 0)
                r = json_reader_word(reader, "refuse-loading", loadings, ELEMENTSOF(loadings), &word);
        if (r > 0)
                policy->loading = (GuardLoading) word;
        if (r >= 0)
                r = json_reader_boolean(reader, "append", &policy->append);
        if (r >= 0)
                r = json_reader_boolean(reader, "default-allow", &policy->default_allow);
        if (r >= 0)
                r = json_reader_boolean(reader, "force", &policy->force);
        if (r >= 0)
                r = read_allows(reader, policy);
        return MIN2(r, 0);
}

static json_object *rules_to_json(uint32_t rules, size_t max) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < max; i++)
                if (rules & RULE_BIT(i))
                        json_object_array_add(array, json_object_new_string(guard_rule_to_string((GuardRule) i)));
        return array;
}

static json_object *allow_to_json(const GuardAllow *allow) {
        json_object *o = json_object_new_object();

        json_object_object_add(o, guard_allow_kind_to_string(allow->kind),
                               allow->kind == GUARD_ALLOW_USER ? json_object_new_int64(allow->uid)
                                                               : json_object_new_string(allow->text));
        json_object_object_add(o, "rules", rules_to_json(allow->rules, _GUARD_RULE_MAX));
        return o;
}

json_object *guard_policy_to_json(const GuardPolicy *policy) {
        json_object *o = json_object_new_object(), *allow = json_object_new_array();

        if (!o || !allow) {
                json_object_put(o);
                json_object_put(allow);
                return NULL;
        }
        json_object_object_add(o, "mode", json_object_new_string(guard_mode_to_string(policy->mode)));
        json_object_object_add(o, "protect", rules_to_json(policy->protect, GUARD_RULE_LOADS));
        json_object_object_add(o, "refuse-loading", json_object_new_string(guard_loading_to_string(policy->loading)));
        json_object_object_add(o, "append", json_object_new_boolean(policy->append));
        for (size_t i = 0; i < policy->n_allow; i++)
                json_object_array_add(allow, allow_to_json(&policy->allow[i]));
        json_object_object_add(o, "allow", allow);
        json_object_object_add(o, "default-allow", json_object_new_boolean(policy->default_allow));
        json_object_object_add(o, "force", json_object_new_boolean(policy->force));
        return o;
}

static bool allows_anybody(const GuardPolicy *policy, GuardRule rule) {
        for (size_t i = 0; i < policy->n_allow; i++)
                if (policy->allow[i].rules & RULE_BIT(rule))
                        return true;
        return false;
}

int guard_policy_check(const GuardPolicy *policy, Error *error) {
        if (policy->mode != GUARD_MODE_ENFORCE || policy->force)
                return 0;
        if (policy->loading == GUARD_LOADING_NONE && !allows_anybody(policy, GUARD_RULE_LOADS)) {
                (void) error_set(
                        error, ERROR_INVALID_ARGUMENT,
                        "\"refuse-loading\": \"everything\" and nobody in \"allow\" with the rule \"loads\": "
                        "container engines could start no container, as their device rules are BPF "
                        "programs, and no tracing tool would run; allow their units, take \"networking\", "
                        "or set \"force\": true");
                return -EPERM;
        }
        if (!policy->default_allow && (policy->protect & RULE_BIT(GUARD_RULE_INTERFACES)) &&
            !allows_anybody(policy, GUARD_RULE_INTERFACES)) {
                (void) error_set(error, ERROR_INVALID_ARGUMENT,
                                 "\"default-allow\": false, and nobody in \"allow\" with the rule \"interfaces\": no "
                                 "network manager could delete or move an interface with a chain any more; allow the "
                                 "unit of yours, leave \"interfaces\" out of \"protect\", or set \"force\": true");
                return -EPERM;
        }
        return 0;
}

/* Programs that do whatever they are told, by the last part of their paths; versions may follow. */
static bool runs_anything(const char *path) {
        static const char *const names[] = { "sh",   "bash", "dash", "ash",  "zsh",    "ksh",  "fish", "csh",
                                             "tcsh", "perl", "ruby", "lua",  "python", "node", "php",  "busybox",
                                             "gdb",  "awk",  "gawk", "mawk", "tclsh",  "guile" };
        const char *name = strrchr(path, '/');

        name = name ? name + 1 : path;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *rest = startswith(name, names[i]);

                if (rest && strspn(rest, "0123456789.-") == strlen(rest))
                        return true;
        }
        return false;
}

bool guard_policy_weakness(const GuardPolicy *policy, char ret[256]) {
        if (policy->mode == GUARD_MODE_OFF)
                return false;
        for (size_t i = 0; i < policy->n_allow; i++) {
                const GuardAllow *allow = &policy->allow[i];
                bool root = allow->kind == GUARD_ALLOW_USER && allow->uid == 0;

                if (!root && !(allow->kind == GUARD_ALLOW_EXECUTABLE && runs_anything(allow->text)))
                        continue;
                snprintf(ret, 256, "\"allow\" names %s %.100s, with whom %s; the guard keeps off nobody who matters",
                         guard_allow_kind_to_string(allow->kind), allow->text,
                         root ? "nearly everybody who could do harm does it" : "everybody can do anything");
                return true;
        }
        if (policy->protect == 0 && policy->loading == GUARD_LOADING_ANY) {
                snprintf(ret, 256,
                         "\"protect\" is empty and \"refuse-loading\" is \"nothing\": the guard has nothing "
                         "to do");
                return true;
        }
        return false;
}

/* The same file: by name, or by device and inode where both are there, for names lead through links. */
static bool is_same_file(const char *a, const char *b) {
        struct stat x, y;

        if (!*b)
                return false;
        return streq(a, b) || (stat(a, &x) >= 0 && stat(b, &y) >= 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* Units of the system manager lie below slices and nothing else: what is further down (of a user's manager, in a
 * container) may be called as it likes. */
static bool is_in_unit(const char *cgroup, const char *unit) {
        const char *p = cgroup;

        while (*p == '/') {
                size_t n = strcspn(++p, "/");

                if (n == strlen(unit) && strncmp(p, unit, n) == 0)
                        return true;
                if (n <= strlen(".slice") || strncmp(p + n - strlen(".slice"), ".slice", strlen(".slice")) != 0)
                        return false;
                p += n;
        }
        return false;
}

static bool is_meant(const GuardAllow *allow, const Culprit *who) {
        switch (allow->kind) {
        case GUARD_ALLOW_EXECUTABLE: return is_same_file(allow->text, who->executable);
        case GUARD_ALLOW_UNIT: return is_in_unit(who->cgroup, allow->text);
        case GUARD_ALLOW_USER:
                return who->has_effective_uid ? who->effective_uid == allow->uid
                                              : who->has_uid && who->uid == allow->uid;
        case _GUARD_ALLOW_KIND_MAX:
        case _GUARD_ALLOW_KIND_INVALID: break;
        }
        return false;
}

static const GuardAllow *find_allow(const GuardAllow *list, size_t n, GuardRule rule, const Culprit *who) {
        for (size_t i = 0; i < n; i++)
                if ((list[i].rules & RULE_BIT(rule)) && is_meant(&list[i], who))
                        return &list[i];
        return NULL;
}

bool guard_policy_allows(const GuardPolicy *policy, GuardRule rule, const Culprit *who, const GuardAllow **ret_by) {
        static const GuardAllow init = { GUARD_ALLOW_UNIT, "init.scope", 0, GUARD_RULES_ALL };
        const GuardAllow *by = NULL;
        bool holds = rule == GUARD_RULE_LOADS ? policy->loading != GUARD_LOADING_ANY
                                              : (policy->protect & RULE_BIT(rule)) != 0;

        if (holds && who->pid == 1)
                by = &init;
        else if (holds)
                by = find_allow(policy->allow, policy->n_allow, rule, who);
        if (holds && !by && policy->default_allow)
                by = find_allow(default_allow, ELEMENTSOF(default_allow), rule, who);
        if (ret_by)
                *ret_by = by;
        return !holds || by;
}
