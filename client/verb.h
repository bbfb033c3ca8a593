/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Verbs and words that may be cut short as long as one meaning is left.
 */

#include "client/client.h"

typedef struct Verb {
        const char *name;
        const char *arguments;                             /* for the usage, "FILE" */
        int min;                                           /* arguments, the verb itself not counted */
        int max;                                           /* -1: any number */
        int (*run)(Client *client, int argc, char **argv); /* argv[0] is the first argument; an exit status */
        const char *summary;                               /* one line */
        const char *details;                               /* for `help VERB`, may be NULL */
        const char *group;                                 /* heading in the help where a new group begins, or NULL */
} Verb;

/* The index of the word that s is or unambiguously begins. -ENOENT: none; -EEXIST: several. Words may be NULL. */
int word_match(const char *s, const char *const *words, size_t n_words);

/* The same among verbs. */
int verb_match(const char *s, const Verb *verbs, size_t n_verbs);

/* The name of a hook as the service has it, from the name, the short forms "ingress" and "egress", or an unambiguous
 * beginning. NULL where there is none. */
const char *hook_match(const char *s);

/* Takes "eth0/xdp" or "eth0 xdp" off the front of the arguments; *ret_interface is to be freed. Returns an exit
 * status. */
int take_hook(int *argc, char ***argv, char **ret_interface, const char **ret_hook);

/* The path of a chain's object (verb-chain.c). Returns an exit status; the caller frees *ret. */
int client_get_chain(Client *client, const char *interface, const char *hook, char **ret);

/* Name and path of the file as a document: "a/b/edge.json" is "edge". NULL where nothing is left. The caller
 * frees. */
char *document_name_of_path(const char *path);
