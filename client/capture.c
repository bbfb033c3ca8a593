/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/capture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <sys/stat.h>

#include "util/clock.h"

DEFINE_CLEANUP(pcap_t *, pcap_close)

void capture_done(Capture *capture) {
        free(capture->packets);
        free(capture->bytes);
        free(capture->broken);
        *capture = (Capture){};
}

static const char *parse_number(const char *s, uint64_t *ret) {
        char *end;

        errno = 0;
        *ret = strtoull(s, &end, 10);
        return *s < '0' || *s > '9' || errno == ERANGE || *ret == 0 ? NULL : end;
}

int capture_parse_range(const char *s, uint64_t *ret_first, uint64_t *ret_last) {
        uint64_t first, last;
        const char *end;

        end = parse_number(s, &first);
        if (!end)
                return -EINVAL;
        if (!*end)
                last = first;
        else if (streq(end, "-"))
                last = UINT64_MAX;
        else {
                end = *end == '-' ? parse_number(end + 1, &last) : NULL;
                if (!end || *end || last < first)
                        return -EINVAL;
        }
        *ret_first = first;
        *ret_last = last;
        return 0;
}

static int open_file(const char *path, FILE **ret) {
        _cleanup_close_ int fd = -EBADF;
        struct stat status;

        if (streq(path, "-"))
                fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        else
                fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return fail(EXIT_FAILED, "%s: %s.", path, strerror(errno));
        if (fstat(fd, &status) >= 0 && S_ISDIR(status.st_mode))
                return fail(EXIT_FAILED, "%s is a folder; a capture file is wanted.", path);
        *ret = fdopen(fd, "rb");
        if (!*ret)
                return fail_errno(errno, path);
        TAKE_FD(fd);
        return EXIT_DONE;
}

/* Files of other kinds that people give by mistake. */
static const char *what_else(FILE *file) {
        int c = getc(file);

        if (c == EOF)
                return "it is empty";
        (void) ungetc(c, file);
        switch (c) {
        case 0x1f: return "it is compressed; uncompress it first, \"zcat FILE | bpfchain … --pcap -\"";
        case 0x28: return "it is compressed; uncompress it first, \"zstdcat FILE | bpfchain … --pcap -\"";
        case 0xfd: return "it is compressed; uncompress it first, \"xzcat FILE | bpfchain … --pcap -\"";
        default: return NULL;
        }
}

static int open_capture(const CaptureOptions *options, pcap_t **ret) {
        _cleanup_(pcap_closep) pcap_t *pcap = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        char text[PCAP_ERRBUF_SIZE] = "";
        const char *why, *name;
        int type, status;

        status = open_file(options->path, &file);
        if (status != EXIT_DONE)
                return status;
        why = what_else(file);
        if (why)
                return fail(EXIT_FAILED, "%s is no capture: %s.", options->path, why);
        pcap = pcap_fopen_offline(file, text);
        if (!pcap)
                return fail(EXIT_FAILED, "%s is no capture that can be read: %s.", options->path, text);
        TAKE_PTR(file); /* libpcap closes it from now on */

        type = pcap_datalink(pcap);
        name = pcap_datalink_val_to_name(type);
        if (type != DLT_EN10MB)
                return fail(
                        EXIT_FAILED,
                        "%s has packets of the link type %d (%s), without Ethernet headers; programs on these hooks "
                        "see Ethernet. Capture on one interface instead of \"any\": tcpdump -i eth0 -w FILE.",
                        options->path, type, name ? name : "unknown");
        *ret = TAKE_PTR(pcap);
        return EXIT_DONE;
}

static int compile(pcap_t *pcap, const char *filter, struct bpf_program *ret) {
        if (!filter)
                return EXIT_DONE;
        if (pcap_compile(pcap, ret, filter, 1, PCAP_NETMASK_UNKNOWN) < 0)
                return fail(EXIT_USAGE, "--filter \"%s\": %s. See pcap-filter(7).", filter, pcap_geterr(pcap));
        return EXIT_DONE;
}

/* What a file says of times may be anything. */
static int64_t usec_of(const struct timeval *time) {
        int64_t usec;

        if (__builtin_mul_overflow((int64_t) time->tv_sec, (int64_t) USEC_PER_SEC, &usec) ||
            __builtin_add_overflow(usec, (int64_t) time->tv_usec, &usec))
                return 0;
        return usec;
}

static int64_t usec_between(int64_t from, int64_t to) {
        int64_t usec;

        return __builtin_sub_overflow(to, from, &usec) ? 0 : usec;
}

static int add_bytes(Capture *capture, const uint8_t *data, size_t size) {
        if (capture->allocated - capture->size < size) {
                size_t wanted = MAX2(capture->allocated * 2, (size_t) 65536);
                uint8_t *grown = realloc(capture->bytes, wanted);

                if (!grown)
                        return -ENOMEM;
                capture->bytes = grown;
                capture->allocated = wanted;
        }
        memcpy(capture->bytes + capture->size, data, size);
        capture->size += size;
        return 0;
}

static int fail_too_many(const CaptureOptions *options, const char *figure) {
        return fail(EXIT_FAILED,
                    "%s has more than %s that would be simulated, and one simulation takes no more: what programs "
                    "remember would begin anew with the next. Choose by --packet, --filter or --limit.",
                    options->path, figure);
}

/* One packet that is wanted. */
static int take_packet(const CaptureOptions *options, const struct pcap_pkthdr *header, const uint8_t *data,
                       CapturePacket packet, Capture *capture) {
        CapturePacket *item;

        if (header->caplen < SIMULATE_PACKET_MIN) {
                capture->n_short++;
                return EXIT_DONE;
        }
        if (header->caplen > SIMULATION_PACKET_MAX) {
                capture->n_long++;
                return EXIT_DONE;
        }
        if (capture->n == SIMULATE_PACKETS_MAX)
                return fail_too_many(options, "16384 packets");
        if (capture->size + header->caplen > SIMULATE_BYTES_MAX)
                return fail_too_many(options, "8 MiB of packets");

        packet.length = header->len;
        packet.size = header->caplen;
        packet.offset = capture->size;
        item = ARRAY_APPEND(capture->packets, capture->n);
        if (!item || add_bytes(capture, data, header->caplen) < 0)
                return fail_errno(-ENOMEM, options->path);
        *item = packet;
        capture->n_cut += header->caplen < header->len;
        return EXIT_DONE;
}

static int read_all(pcap_t *pcap, const CaptureOptions *options, const struct bpf_program *filter, Capture *capture) {
        uint64_t number = 0;
        int64_t first = 0;
        int status;

        while (number < options->last) {
                struct pcap_pkthdr *header;
                const uint8_t *data;
                int r;

                r = pcap_next_ex(pcap, &header, &data);
                if (r == PCAP_ERROR_BREAK)
                        return EXIT_DONE;
                if (r < 0) {
                        if (asprintf(&capture->broken, "%s can't be read behind packet %" PRIu64 ": %s.",
                                     options->path, number, pcap_geterr(pcap)) < 0) {
                                capture->broken = NULL;
                                return fail_errno(-ENOMEM, options->path);
                        }
                        return EXIT_DONE;
                }
                if (++number == 1)
                        first = usec_of(&header->ts);
                if (number < options->first || (options->filter && pcap_offline_filter(filter, header, data) == 0))
                        continue;
                if (options->limit > 0 && capture->n == options->limit) {
                        capture->more = true;
                        return EXIT_DONE;
                }
                status = take_packet(
                        options, header, data,
                        (CapturePacket){ .number = number, .usec = usec_between(first, usec_of(&header->ts)) },
                        capture);
                if (status != EXIT_DONE)
                        return status;
        }
        return EXIT_DONE;
}

/* Why there is nothing to simulate. */
static int fail_nothing(const CaptureOptions *options, const Capture *capture) {
        if (capture->broken)
                return fail(EXIT_FAILED, "%s", capture->broken);
        if (capture->n_short + capture->n_long > 0)
                return fail(EXIT_FAILED,
                            "%s: no packet can be simulated; %" PRIu64
                            " are shorter than an Ethernet header, %" PRIu64 " longer than %d bytes.",
                            options->path, capture->n_short, capture->n_long, SIMULATION_PACKET_MAX);
        return fail(EXIT_FAILED, "%s: there is no packet%s.", options->path,
                    options->filter || options->first > 1 ? " that --packet and --filter let through" : " in it");
}

int capture_read(const CaptureOptions *options, Capture *ret) {
        _cleanup_(pcap_closep) pcap_t *pcap = NULL;
        _cleanup_(capture_done) Capture capture = {};
        struct bpf_program filter = {};
        int status;

        status = open_capture(options, &pcap);
        if (status == EXIT_DONE)
                status = compile(pcap, options->filter, &filter);
        if (status == EXIT_DONE)
                status = read_all(pcap, options, &filter, &capture);
        if (options->filter && filter.bf_insns)
                pcap_freecode(&filter);
        if (status != EXIT_DONE)
                return status;
        if (capture.n == 0)
                return fail_nothing(options, &capture);
        *ret = capture;
        capture = (Capture){};
        return EXIT_DONE;
}
