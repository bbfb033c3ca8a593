/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-build.h"

#include "model/paths.h"

int paths_init(Paths *paths, const char *root) {
        _cleanup_(paths_done) Paths p = {};

        root = root ? root : "";
        if (asprintf(&p.etc, "%s%s", root, BPFCHAIN_SYSCONFDIR) < 0) {
                p.etc = NULL;
                return -ENOMEM;
        }
        if (asprintf(&p.run, "%s/run/bpfchain", root) < 0) {
                p.run = NULL;
                return -ENOMEM;
        }
        if (asprintf(&p.lib, "%s%s", root, BPFCHAIN_PKGLIBDIR) < 0) {
                p.lib = NULL;
                return -ENOMEM;
        }
        if (asprintf(&p.state, "%s/var/lib/bpfchain", root) < 0) {
                p.state = NULL;
                return -ENOMEM;
        }
        *paths = p;
        p = (Paths){};
        return 0;
}

void paths_done(Paths *paths) {
        free(paths->etc);
        free(paths->run);
        free(paths->lib);
        free(paths->state);
        *paths = (Paths){};
}

const char *paths_layer(const Paths *paths, Layer layer) {
        switch (layer) {
        case LAYER_VENDOR: return paths->lib;
        case LAYER_RUNTIME: return paths->run;
        case LAYER_ADMIN: return paths->etc;
        case _LAYER_MAX:
        case _LAYER_INVALID: break;
        }
        return NULL;
}

char *paths_document(const Paths *paths, Layer layer, const char *name) {
        char *path;

        return asprintf(&path, "%s/chains.d/%s.json", paths_layer(paths, layer), name) < 0 ? NULL : path;
}
