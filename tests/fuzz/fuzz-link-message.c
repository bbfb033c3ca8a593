/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The input is a datagram of netlink messages, one behind the other, as a socket would deliver it.
 */

#include <linux/rtnetlink.h>

#include "fuzz.h"
#include "kernel/link-message.h"
#include "util/json-text.h"

static void check_name(const char *name, size_t size) {
        size_t n = strnlen(name, size);

        MUST(n > 0 && n < size);
        for (size_t i = 0, step; i < n; i += step) {
                uint32_t code;

                step = utf8_decode(name, n, i, &code);
                MUST(step > 0 && code >= ' ');
        }
}

static void check_record(const LinkRecord *record) {
        _cleanup_(link_record_done) LinkRecord copy = {};

        MUST(record->ifindex > 0 && record->master >= 0 && record->lower >= 0);
        check_name(record->name, sizeof(record->name));
        MUST(!strchr(record->name, '/'));
        MUST(strnlen(record->kind, sizeof(record->kind)) < sizeof(record->kind));
        MUST(record->n_altnames <= LINK_ALTNAMES_MAX);
        for (size_t i = 0; i < record->n_altnames; i++)
                check_name(record->altnames[i], ALTIFNAME_SIZE);
        MUST(link_record_copy(record, &copy) == 0);
        MUST(link_record_equal(record, &copy));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        /* Aligned, and with its exact size, so that a sanitizer sees each byte read beyond. */
        uint8_t *buffer = malloc(size > 0 ? size : 1);

        MUST(buffer);
        if (size > 0)
                memcpy(buffer, data, size);

        for (size_t at = 0; at < size;) {
                const struct nlmsghdr *header = (const struct nlmsghdr *) (buffer + at);
                LinkRecord record = {};
                int r;

                r = link_message_parse(header, size - at, &record);
                MUST(r == -EBADMSG || (r >= LINK_MESSAGE_OTHER && r <= LINK_MESSAGE_GONE));
                if (r == LINK_MESSAGE_PRESENT)
                        check_record(&record);
                else
                        MUST(record.n_altnames == 0);
                if (r == LINK_MESSAGE_GONE)
                        MUST(record.ifindex > 0);
                link_record_done(&record);

                if (size - at < sizeof(*header) || header->nlmsg_len < sizeof(*header) ||
                    header->nlmsg_len > size - at)
                        break;
                at += NLMSG_ALIGN(header->nlmsg_len);
        }
        free(buffer);
        return 0;
}
