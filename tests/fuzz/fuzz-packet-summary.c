/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The input is a packet, of which a summary is made. It must be a line of printable ASCII, the same each time, and no
 * byte beyond the packet may matter.
 */

#include "client/packet-summary.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char first[PACKET_SUMMARY_SIZE + 8], second[PACKET_SUMMARY_SIZE];
        const char *ret;
        size_t n;

        memset(first, '#', sizeof(first));
        memset(second, 'x', sizeof(second));
        ret = packet_summary(data, size, first);
        MUST(ret == first);
        n = strnlen(first, PACKET_SUMMARY_SIZE);
        MUST(n > 0 && n < PACKET_SUMMARY_SIZE);
        for (size_t i = 0; i < n; i++)
                MUST(first[i] >= ' ' && first[i] <= '~');
        for (size_t i = 0; i < 8; i++)
                MUST(first[PACKET_SUMMARY_SIZE + i] == '#');
        MUST(strcmp(packet_summary(data, size, second), first) == 0);
        return 0;
}
