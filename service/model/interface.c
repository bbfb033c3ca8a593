/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fnmatch.h>

#include "model/interface.h"

void link_record_done(LinkRecord *record) {
        for (size_t i = 0; i < record->n_altnames; i++)
                free(record->altnames[i]);
        *record = (LinkRecord){};
}

int link_record_copy(const LinkRecord *from, LinkRecord *ret) {
        _cleanup_(link_record_done) LinkRecord copy = *from;

        copy.n_altnames = 0;
        for (; copy.n_altnames < from->n_altnames; copy.n_altnames++) {
                copy.altnames[copy.n_altnames] = strdup(from->altnames[copy.n_altnames]);
                if (!copy.altnames[copy.n_altnames])
                        return -ENOMEM;
        }
        *ret = copy;
        copy = (LinkRecord){};
        return 0;
}

bool link_record_equal(const LinkRecord *a, const LinkRecord *b) {
        if (a->ifindex != b->ifindex || !streq(a->name, b->name) || !streq(a->kind, b->kind) ||
            a->master != b->master || a->lower != b->lower || a->flags != b->flags || a->operstate != b->operstate ||
            a->mtu != b->mtu || a->xdp_program_id != b->xdp_program_id || a->n_altnames != b->n_altnames)
                return false;
        for (size_t i = 0; i < a->n_altnames; i++)
                if (!streq(a->altnames[i], b->altnames[i]))
                        return false;
        return true;
}

static bool matches(const char *pattern, const char *name) {
        return streq(pattern, name) || fnmatch(pattern, name, 0) == 0;
}

bool link_record_matches(const LinkRecord *record, const char *pattern) {
        if (matches(pattern, record->name))
                return true;
        for (size_t i = 0; i < record->n_altnames; i++)
                if (matches(pattern, record->altnames[i]))
                        return true;
        return false;
}
