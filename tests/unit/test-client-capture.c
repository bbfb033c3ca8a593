/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the client makes of packets, and of captures that anybody may have written.
 */
#include "client/capture.h"
#include "client/packet-summary.h"

#include "check.h" /* behind the others: cmocka has a macro fail() */

#define ETHERNET "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"
#define IPV4     "\xc0\x00\x02\x01\xc6\x33\x64\x01"

typedef struct Bytes {
        const char *data;
        size_t size;
} Bytes;

#define BYTES(literal) ((Bytes){ (literal), sizeof(literal) - 1 })

static void expect_summary(Bytes packet, const char *expected) {
        char text[PACKET_SUMMARY_SIZE];

        assert_string_equal(packet_summary((const uint8_t *) packet.data, packet.size, text), expected);
}

static void test_ipv4(void **state) {
        expect_summary(BYTES(ETHERNET "\x08\x00\x45\0\0\x28\0\1\0\0\x40\x06\0\0" IPV4
                                      "\x0f\xa0\0\x50\0\0\0\1\0\0\0\0\x50\x12\0\0\0\0\0\0"),
                       "TCP 192.0.2.1:4000 > 198.51.100.1:80 SYN,ACK");
        expect_summary(BYTES(ETHERNET "\x08\x00\x45\0\0\x28\0\1\0\0\x40\x11\0\0" IPV4 "\0\x35\xff\xff"),
                       "UDP 192.0.2.1:53 > 198.51.100.1:65535");
        /* Behind options. */
        expect_summary(BYTES(ETHERNET "\x08\x00\x46\0\0\x28\0\1\0\0\x40\x11\0\0" IPV4 "\1\1\1\1\0\x35\0\x36"),
                       "UDP 192.0.2.1:53 > 198.51.100.1:54");
        expect_summary(BYTES(ETHERNET "\x08\x00\x45\0\0\x28\0\1\0\0\x40\x01\0\0" IPV4 "\x08\0"),
                       "ICMP 192.0.2.1 > 198.51.100.1 echo request");
        expect_summary(BYTES(ETHERNET "\x08\x00\x45\0\0\x28\0\1\0\0\x40\x01\0\0" IPV4 "\x2a\7"),
                       "ICMP 192.0.2.1 > 198.51.100.1 type 42 code 7");
        expect_summary(BYTES(ETHERNET "\x08\x00\x45\0\0\x28\0\1\0\0\x40\x2f\0\0" IPV4),
                       "GRE 192.0.2.1 > 198.51.100.1");
        expect_summary(BYTES(ETHERNET "\x08\x00\x45\0\0\x28\0\1\0\0\x40\xc8\0\0" IPV4),
                       "IPv4 protocol 200 192.0.2.1 > 198.51.100.1");
        /* A later fragment has no ports, whatever stands there. */
        expect_summary(BYTES(ETHERNET "\x08\x00\x45\0\0\x28\0\1\0\xb9\x40\x11\0\0" IPV4 "\0\x35\0\x36"),
                       "IPv4 protocol 17 192.0.2.1 > 198.51.100.1 fragment at 1480");
}

static void test_ipv6(void **state) {
#define IPV6_HEAD(next)                                                                                              \
        ETHERNET "\x86\xdd\x60\0\0\0\0\x20" next "\x40"                                                              \
                 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
        expect_summary(BYTES(IPV6_HEAD("\x11") "\0\x35\0\x36"), "UDP [2001:db8::1]:53 > [2001:db8::2]:54");
        expect_summary(BYTES(IPV6_HEAD("\x3a") "\x87\0"), "ICMPv6 2001:db8::1 > 2001:db8::2 neighbour solicitation");
        expect_summary(BYTES(IPV6_HEAD("\0") "\x11\0\0\0\0\0\0\0\0\x35\0\x36"),
                       "UDP [2001:db8::1]:53 > [2001:db8::2]:54");
        expect_summary(BYTES(IPV6_HEAD("\x2c") "\x11\0\0\x10\0\0\0\0\0\x35\0\x36"),
                       "IPv6 protocol 17 2001:db8::1 > 2001:db8::2 fragment at 16");
        expect_summary(BYTES(IPV6_HEAD("\x3c") "\x11\xff\0\0\0\0\0\0"), "IPv6 2001:db8::1 > 2001:db8::2, cut short");
        /* No end of headers. */
        expect_summary(BYTES(IPV6_HEAD("\x3c") "\x3c\0\0\0\0\0\0\0\x3c\0\0\0\0\0\0\0\x3c\0\0\0\0\0\0\0"
                                               "\x3c\0\0\0\0\0\0\0\x3c\0\0\0\0\0\0\0\x3c\0\0\0\0\0\0\0"
                                               "\x3c\0\0\0\0\0\0\0\x3c\0\0\0\0\0\0\0\x3c\0\0\0\0\0\0\0"),
                       "IPv6 protocol 60 2001:db8::1 > 2001:db8::2");
}

static void test_other_packets(void **state) {
        expect_summary(BYTES(ETHERNET "\x81\0\x60\7\x08\x00\x45\0\0\x28\0\1\0\0\x40\x11\0\0" IPV4 "\0\x35\0\x36"),
                       "VLAN 7 UDP 192.0.2.1:53 > 198.51.100.1:54");
        expect_summary(BYTES(ETHERNET "\x08\6\0\1\x08\0\6\4\0\1\2\0\0\0\0\2\xc0\0\2\1\0\0\0\0\0\0\xc0\0\2\2"),
                       "ARP who has 192.0.2.2? tell 192.0.2.1");
        expect_summary(BYTES(ETHERNET "\x08\6\0\1\x08\0\6\4\0\2\2\0\0\0\0\2\xc0\0\2\1\0\0\0\0\0\0\xc0\0\2\2"),
                       "ARP 192.0.2.1 is at 02:00:00:00:00:02");
        expect_summary(BYTES(ETHERNET "\x08\6\0\7"), "ARP");
        expect_summary(BYTES(ETHERNET "\x88\xcc"), "type 0x88cc 02:00:00:00:00:02 > 02:00:00:00:00:01");
        expect_summary(BYTES(ETHERNET "\0\x26"), "LLC 02:00:00:00:00:02 > 02:00:00:00:00:01");
        expect_summary(BYTES(ETHERNET "\x08\x00\x45"), "IPv4, cut short");
        expect_summary(BYTES(ETHERNET "\x08\x00\x41\0\0\x28\0\1\0\0\x40\x11\0\0" IPV4), "IPv4 with a bad header");
        expect_summary(BYTES(ETHERNET "\x08\x00\x65\0\0\x28\0\1\0\0\x40\x11\0\0" IPV4), "IPv4 with a bad header");
        expect_summary(BYTES(ETHERNET "\x86\xdd\x65"), "IPv6, cut short");
        expect_summary(BYTES(ETHERNET), "shorter than an Ethernet header");
        expect_summary(BYTES(""), "shorter than an Ethernet header");
}

static void test_ranges(void **state) {
        static const char *const bad[] = { "",
                                           "0",
                                           "-",
                                           "-3",
                                           "3--",
                                           "3-2",
                                           "3-0",
                                           "x",
                                           "3x",
                                           "3-4x",
                                           "3-4-5",
                                           " 3",
                                           "+3",
                                           "18446744073709551616",
                                           "1-18446744073709551616" };
        uint64_t first = 7, last = 7;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(capture_parse_range(bad[i], &first, &last), -EINVAL);
        assert_true(first == 7 && last == 7);
        assert_int_equal(capture_parse_range("3", &first, &last), 0);
        assert_true(first == 3 && last == 3);
        assert_int_equal(capture_parse_range("3-9", &first, &last), 0);
        assert_true(first == 3 && last == 9);
        assert_int_equal(capture_parse_range("3-", &first, &last), 0);
        assert_true(first == 3 && last == UINT64_MAX);
}

/* A capture in the making, little-endian. */
typedef struct File {
        char path[256];
        FILE *stream;
        uint32_t n;
} File;

static void put32(File *file, uint32_t value) {
        const uint8_t bytes[] = { (uint8_t) value, (uint8_t) (value >> 8), (uint8_t) (value >> 16),
                                  (uint8_t) (value >> 24) };

        assert_int_equal(fwrite(bytes, 1, 4, file->stream), 4);
}

static void file_open(File *file) {
        const char *folder = getenv("TMPDIR");
        int fd;

        *file = (File){};
        snprintf(file->path, sizeof(file->path), "%s/bct-capture-XXXXXX", folder ? folder : "/tmp");
        fd = mkstemp(file->path);
        assert_true(fd >= 0);
        file->stream = fdopen(fd, "wb");
        assert_non_null(file->stream);
}

static void file_begin(File *file, uint32_t link_type) {
        file_open(file);
        put32(file, 0xa1b2c3d4);
        put32(file, 4 << 16 | 2);
        put32(file, 0);
        put32(file, 0);
        put32(file, 65535);
        put32(file, link_type);
}

static void file_record(File *file, uint32_t seconds, uint32_t captured, uint32_t length) {
        put32(file, seconds);
        put32(file, 250000);
        put32(file, captured);
        put32(file, length);
        file->n++;
}

/* A UDP packet to port n, of so many bytes. */
static void file_packet(File *file, uint32_t captured, uint32_t length) {
        static const uint8_t head[] = ETHERNET "\x08\x00\x45\0\0\x1c\0\1\0\0\x40\x11\0\0" IPV4 "\0\x35";
        uint8_t packet[65536] = {};

        memcpy(packet, head, sizeof(head) - 1);
        packet[sizeof(head)] = (uint8_t) (file->n + 1);
        file_record(file, 100 + file->n, captured, length);
        assert_int_equal(fwrite(packet, 1, captured, file->stream), captured);
}

static int file_read_capture(File *file, CaptureOptions options, Capture *ret) {
        int status;

        options.path = file->path;
        if (options.first == 0) {
                options.first = 1;
                options.last = UINT64_MAX;
        }
        if (file->stream)
                assert_int_equal(fclose(file->stream), 0);
        file->stream = NULL;
        status = capture_read(&options, ret);
        return status;
}

static void file_end(File *file) {
        assert_int_equal(unlink(file->path), 0);
}

static void test_capture(void **state) {
        _cleanup_(capture_done) Capture capture = {};
        File file;

        file_begin(&file, 1);
        file_packet(&file, 60, 60);
        file_packet(&file, 13, 13);
        file_packet(&file, SIMULATION_PACKET_MAX, SIMULATION_PACKET_MAX);
        file_packet(&file, SIMULATION_PACKET_MAX + 1, SIMULATION_PACKET_MAX + 1);
        file_packet(&file, 0, 0);
        file_packet(&file, 42, 1500);
        assert_int_equal(file_read_capture(&file, (CaptureOptions){}, &capture), EXIT_DONE);
        file_end(&file);

        assert_int_equal(capture.n, 3);
        assert_int_equal(capture.n_short, 2);
        assert_int_equal(capture.n_long, 1);
        assert_int_equal(capture.n_cut, 1);
        assert_null(capture.broken);
        assert_false(capture.more);
        assert_int_equal(capture.packets[0].number, 1);
        assert_int_equal(capture.packets[0].usec, 0);
        assert_int_equal(capture.packets[1].number, 3);
        assert_int_equal(capture.packets[1].usec, 2000000);
        assert_int_equal(capture.packets[1].size, SIMULATION_PACKET_MAX);
        assert_int_equal(capture.packets[2].number, 6);
        assert_int_equal(capture.packets[2].length, 1500);
        assert_int_equal(capture.packets[2].size, 42);
        assert_int_equal(capture_data(&capture, 2)[37], 6);
}

static void test_choice(void **state) {
        static const struct {
                CaptureOptions options;
                uint64_t first, n;
                bool more;
        } cases[] = {
                { { .first = 3, .last = 3 }, 3, 1, false },
                { { .first = 8, .last = UINT64_MAX }, 8, 3, false },
                { { .first = 2, .last = 99 }, 2, 9, false },
                { { .limit = 4 }, 1, 4, true },
                { { .limit = 10 }, 1, 10, false },
                { { .filter = "udp dst port 7" }, 7, 1, false },
                { { .filter = "udp and src host 192.0.2.1", .first = 4, .last = 9, .limit = 2 }, 4, 2, true },
        };
        File file;

        file_begin(&file, 1);
        for (int i = 0; i < 10; i++)
                file_packet(&file, 60, 60);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(capture_done) Capture capture = {};

                assert_int_equal(file_read_capture(&file, cases[i].options, &capture), EXIT_DONE);
                assert_int_equal(capture.n, cases[i].n);
                assert_int_equal(capture.packets[0].number, cases[i].first);
                assert_int_equal(capture.more, cases[i].more);
        }
        file_end(&file);
}

static void test_nothing_chosen(void **state) {
        static const struct {
                CaptureOptions options;
                int status;
        } cases[] = {
                { { .first = 11, .last = UINT64_MAX }, EXIT_FAILED },
                { { .filter = "tcp" }, EXIT_FAILED },
                { { .filter = "no such thing" }, EXIT_USAGE },
        };
        Capture capture = {};
        File file;

        file_begin(&file, 1);
        file_packet(&file, 60, 60);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(file_read_capture(&file, cases[i].options, &capture), cases[i].status);
        assert_int_equal(capture.n, 0);
        file_end(&file);
}

/* What stands before a fault is used. */
static void test_broken(void **state) {
        static const uint32_t lengths[] = { 60, 262145, UINT32_MAX, INT32_MAX };

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                _cleanup_(capture_done) Capture capture = {};
                File file;

                file_begin(&file, 1);
                file_packet(&file, 60, 60);
                file_record(&file, 7, lengths[i], lengths[i]); /* and nothing behind it */
                assert_int_equal(file_read_capture(&file, (CaptureOptions){}, &capture), EXIT_DONE);
                assert_int_equal(capture.n, 1);
                assert_non_null(capture.broken);
                assert_non_null(strstr(capture.broken, "can't be read behind packet 1"));
                file_end(&file);
        }
}

static void test_no_captures(void **state) {
        static const char *const texts[] = { "",
                                             "{",
                                             "\x1f\x8b\x08",
                                             "\xd4\xc3\xb2\xa1",
                                             "not a capture at all\n",
                                             "\x0a\x0d\x0d\x0a\xff\xff\xff\xff" };
        Capture capture = {};
        File file;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                file_open(&file);
                fputs(texts[i], file.stream);
                assert_int_equal(file_read_capture(&file, (CaptureOptions){}, &capture), EXIT_FAILED);
                file_end(&file);
        }
        /* Of other link types: raw IP, "any", none that anybody knows. */
        for (uint32_t type = 101; type < 400; type += 12 * 12) {
                file_begin(&file, type);
                file_packet(&file, 60, 60);
                assert_int_equal(file_read_capture(&file, (CaptureOptions){}, &capture), EXIT_FAILED);
                file_end(&file);
        }
        assert_int_equal(capture_read(&(CaptureOptions){ .path = "/tmp", .first = 1, .last = 9 }, &capture),
                         EXIT_FAILED);
        assert_int_equal(capture_read(&(CaptureOptions){ .path = "/nowhere/x", .first = 1, .last = 9 }, &capture),
                         EXIT_FAILED);
        assert_int_equal(capture.n, 0);
}

static void test_too_many(void **state) {
        _cleanup_(capture_done) Capture capture = {};
        Capture none = {};
        File file;

        file_begin(&file, 1);
        for (size_t i = 0; i < SIMULATE_PACKETS_MAX; i++)
                file_packet(&file, 60, 60);
        assert_int_equal(file_read_capture(&file, (CaptureOptions){}, &capture), EXIT_DONE);
        assert_int_equal(capture.n, SIMULATE_PACKETS_MAX);

        file.stream = fopen(file.path, "ab");
        file_packet(&file, 60, 60);
        assert_int_equal(file_read_capture(&file, (CaptureOptions){}, &none), EXIT_FAILED);
        assert_int_equal(none.n, 0);
        file_end(&file);

        file_begin(&file, 1);
        for (size_t i = 0; i <= SIMULATE_BYTES_MAX / 3000; i++)
                file_packet(&file, 3000, 3000);
        assert_int_equal(file_read_capture(&file, (CaptureOptions){}, &none), EXIT_FAILED);
        assert_int_equal(none.n, 0);
        file_end(&file);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ipv4),           cmocka_unit_test(test_ipv6),
                cmocka_unit_test(test_other_packets),  cmocka_unit_test(test_ranges),
                cmocka_unit_test(test_capture),        cmocka_unit_test(test_choice),
                cmocka_unit_test(test_nothing_chosen), cmocka_unit_test(test_broken),
                cmocka_unit_test(test_no_captures),    cmocka_unit_test(test_too_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
