/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The folders of the service.
 */

#include "model/document.h"

typedef struct Paths {
        char *etc;   /* /etc/bpfchain */
        char *run;   /* /run/bpfchain */
        char *lib;   /* /usr/lib/bpfchain */
        char *state; /* /var/lib/bpfchain */
} Paths;

/* With root NULL or "", the paths of the system; else below root. -ENOMEM. */
int paths_init(Paths *paths, const char *root);
void paths_done(Paths *paths);

/* The folder of a layer; owned by paths. */
const char *paths_layer(const Paths *paths, Layer layer);

/* The file of a document in a layer; the caller frees. */
char *paths_document(const Paths *paths, Layer layer, const char *name);
