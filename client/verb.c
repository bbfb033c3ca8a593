/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/verb.h"

int word_match(const char *s, const char *const *words, size_t n_words) {
        int found = -ENOENT;

        if (strempty(s))
                return -ENOENT;
        for (size_t i = 0; i < n_words; i++) {
                if (!words[i] || !startswith(words[i], s))
                        continue;
                if (streq(words[i], s))
                        return (int) i;
                found = found == -ENOENT ? (int) i : -EEXIST;
        }
        return found;
}

int verb_match(const char *s, const Verb *verbs, size_t n_verbs) {
        const char *names[64];

        if (n_verbs > ELEMENTSOF(names))
                return -E2BIG;
        for (size_t i = 0; i < n_verbs; i++)
                names[i] = verbs[i].name;
        return word_match(s, names, n_verbs);
}

const char *hook_match(const char *s) {
        static const char *const hooks[] = { "xdp", "tc-ingress", "tc-egress" };
        static const char *const words[] = { "xdp", "tc-ingress", "tc-egress", "ingress", "egress" };
        int i = word_match(s, words, ELEMENTSOF(words));

        if (i < 0)
                return NULL;
        return hooks[i < 3 ? i : i - 2];
}

int take_hook(int *argc, char ***argv, char **ret_interface, const char **ret_hook) {
        _cleanup_free_ char *interface = NULL;
        const char *word, *slash, *hook;
        int used = 1;

        if (*argc < 1)
                return fail(EXIT_USAGE, "An interface and a hook are wanted, \"eth0 xdp\" or \"eth0/xdp\".");
        word = (*argv)[0];
        slash = strrchr(word, '/');
        if (slash)
                hook = slash + 1;
        else if (*argc >= 2) {
                hook = (*argv)[1];
                used = 2;
        } else
                return fail(EXIT_USAGE, "A hook is wanted behind \"%s\": xdp, tc-ingress or tc-egress.", word);

        *ret_hook = hook_match(hook);
        if (!*ret_hook)
                return fail(EXIT_USAGE, "\"%s\" is no hook. There are xdp, tc-ingress and tc-egress.", hook);
        interface = strndup(word, slash ? (size_t) (slash - word) : strlen(word));
        if (!interface)
                return fail_errno(-ENOMEM, "The arguments");
        if (!*interface)
                return fail(EXIT_USAGE, "\"%s\" names no interface.", word);

        *argc -= used;
        *argv += used;
        *ret_interface = TAKE_PTR(interface);
        return EXIT_DONE;
}

char *document_name_of_path(const char *path) {
        const char *base = strrchr(path, '/'), *suffix;

        base = base ? base + 1 : path;
        suffix = endswith(base, ".json");
        if (!*base || suffix == base)
                return NULL;
        return strndup(base, suffix ? (size_t) (suffix - base) : strlen(base));
}
