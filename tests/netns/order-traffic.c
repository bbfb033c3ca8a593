/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Traffic for programs of order.bpf.c, as fast as it goes or at a rate: sends numbered datagrams with an empty trace
 * from one network namespace, takes them in another, and tells what became of them.
 *
 *      order-traffic FROM-FD DEVICE FROM-MAC FROM-ADDRESS TO-FD TO-MAC TO-ADDRESS PORT RATE
 *
 * The descriptors are of network namespaces; RATE is packets a second, 0 for as many as go. It sends until its
 * standard input ends, waits for what is on its way, and writes one object of JSON:
 *
 *      sent, received  packets
 *      missing         numbers that never came
 *      disorder        packets that came after one with a higher number, or twice
 *      dropped         what the receiving socket had no room for (the test itself was too slow)
 *      overflow        packets that met more programs than a trace holds
 *      runs            [first number, packets, [id, generation, id, generation, …]] for each row of packets with the
 *                      same trace, in order of arrival
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/order.h"

#define BATCH    32
#define RUNS_MAX 100000

typedef struct Frame {
        struct ethhdr eth;
        struct iphdr ip;
        struct udphdr udp;
        struct order_payload payload;
} __attribute__((packed)) Frame;

typedef struct Run {
        uint32_t first;
        uint64_t packets;
        uint8_t count;
        struct order_entry entries[ORDER_MAX];
} Run;

static struct {
        int from_fd, to_fd;
        const char *device;
        uint8_t from_mac[6], to_mac[6];
        struct in_addr from, to;
        uint16_t port;
        double rate;
} settings;

static atomic_bool stop, sender_done;
static uint64_t sent, received, missing, disorder, overflow;
static Run *runs;
static size_t n_runs;

static void fail(const char *what) {
        fprintf(stderr, "order-traffic: %s: %s\n", what, strerror(errno));
        exit(1);
}

static int open_socket(int namespace, int domain, int type, int protocol) {
        int fd;

        /* The namespace of this thread only. */
        if (setns(namespace, CLONE_NEWNET) < 0)
                fail("setns");
        fd = socket(domain, type | SOCK_CLOEXEC, protocol);
        if (fd < 0)
                fail("socket");
        return fd;
}

static double now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static uint16_t checksum(const void *data, size_t n) {
        const uint16_t *words = data;
        uint32_t sum = 0;

        for (size_t i = 0; i < n / 2; i++)
                sum += words[i];
        while (sum >> 16)
                sum = (sum & 0xffff) + (sum >> 16);
        return (uint16_t) ~sum;
}

static void make_frame(Frame *frame) {
        *frame = (Frame){
                .eth.h_proto = htons(ETH_P_IP),
                .ip = { .version = 4,
                        .ihl = 5,
                        .ttl = 64,
                        .protocol = IPPROTO_UDP,
                        .tot_len = htons(sizeof(Frame) - sizeof(struct ethhdr)),
                        .saddr = settings.from.s_addr,
                        .daddr = settings.to.s_addr },
                .udp = { .source = htons(4000),
                         .dest = htons(settings.port),
                         .len = htons(sizeof(struct udphdr) + sizeof(struct order_payload)) },
        };
        memcpy(frame->eth.h_source, settings.from_mac, 6);
        memcpy(frame->eth.h_dest, settings.to_mac, 6);
        memcpy(frame->payload.magic, ORDER_MAGIC, 4);
        /* frame is packed, its header is aligned for two bytes all the same */
        struct iphdr ip = frame->ip;
        frame->ip.check = checksum(&ip, sizeof(ip));
}

/* Sends the frames; what finds the queue full is sent again. */
static void send_all(int fd, struct mmsghdr *messages, unsigned n) {
        unsigned done = 0;

        while (done < n) {
                int r = sendmmsg(fd, messages + done, n - done, 0);

                if (r > 0)
                        done += (unsigned) r;
                else if (errno == ENOBUFS || errno == EAGAIN)
                        sched_yield();
                else if (errno != EINTR)
                        fail("sendmmsg");
        }
}

static void *sender(void *unused) {
        static Frame frames[BATCH];
        static struct iovec vectors[BATCH];
        static struct mmsghdr messages[BATCH];
        struct sockaddr_ll address = { .sll_family = AF_PACKET };
        int fd = open_socket(settings.from_fd, AF_PACKET, SOCK_RAW, 0), buffer = 512 << 10;
        double started;

        address.sll_ifindex = (int) if_nametoindex(settings.device);
        if (address.sll_ifindex == 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                fail(settings.device);
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) < 0)
                fail("SO_SNDBUFFORCE");
        for (unsigned i = 0; i < BATCH; i++) {
                make_frame(&frames[i]);
                vectors[i] = (struct iovec){ &frames[i], sizeof(Frame) };
                messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
        }

        started = now();
        while (!stop) {
                unsigned n = settings.rate > 0 && settings.rate < 20000 ? 1 : BATCH;

                for (unsigned i = 0; i < n; i++)
                        frames[i].payload.sequence = (uint32_t) (sent + i);
                send_all(fd, messages, n);
                sent += n;
                if (settings.rate > 0) {
                        double ahead = started + (double) sent / settings.rate - now();

                        if (ahead > 0)
                                usleep((useconds_t) (ahead * 1e6));
                }
        }
        sender_done = true;
        return NULL;
}

static void take(const struct order_payload *payload, uint64_t *next) {
        uint8_t count = payload->count <= ORDER_MAX ? payload->count : ORDER_MAX;
        Run *run = n_runs > 0 ? &runs[n_runs - 1] : NULL;

        received++;
        overflow += payload->lost > 0;
        if (payload->sequence < *next) {
                disorder++;
                if (missing > 0)
                        missing--; /* it was thought lost; a second copy can't be told apart and is rarer */
        } else {
                missing += payload->sequence - *next;
                *next = (uint64_t) payload->sequence + 1;
        }
        if (run && run->count == count &&
            memcmp(run->entries, payload->entries, count * sizeof(run->entries[0])) == 0) {
                run->packets++;
                return;
        }
        if (n_runs == RUNS_MAX) {
                errno = ENOBUFS;
                fail("traces change too often");
        }
        run = &runs[n_runs++];
        *run = (Run){ .first = payload->sequence, .packets = 1, .count = count };
        memcpy(run->entries, payload->entries, count * sizeof(run->entries[0]));
}

static uint32_t dropped_by(int fd) {
        uint32_t info[SK_MEMINFO_VARS] = {};
        socklen_t size = sizeof(info);

        return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0 ? 0 : info[SK_MEMINFO_DROPS];
}

static void receive(int fd, uint64_t *next) {
        static struct order_payload payloads[BATCH];
        struct iovec vectors[BATCH];
        struct mmsghdr messages[BATCH] = {};
        int n;

        for (unsigned i = 0; i < BATCH; i++) {
                vectors[i] = (struct iovec){ &payloads[i], sizeof(payloads[i]) };
                messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
        }
        n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++)
                if (messages[i].msg_len == sizeof(payloads[i]))
                        take(&payloads[i], next);
}

static void print_result(uint32_t dropped) {
        printf("{\"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"missing\": %" PRIu64 ", \"disorder\": %" PRIu64
               ", \"dropped\": %u, \"overflow\": %" PRIu64 ", \"runs\": [",
               sent, received, missing, disorder, dropped, overflow);
        for (size_t i = 0; i < n_runs; i++) {
                printf("%s[%u, %" PRIu64 ", [", i > 0 ? ", " : "", runs[i].first, runs[i].packets);
                for (unsigned j = 0; j < runs[i].count; j++)
                        printf("%s%u, %u", j > 0 ? ", " : "", runs[i].entries[j].id, runs[i].entries[j].generation);
                printf("]]");
        }
        printf("]}\n");
}

static bool parse(int argc, char **argv) {
        if (argc != 10)
                return false;
        settings.from_fd = atoi(argv[1]);
        settings.device = argv[2];
        settings.to_fd = atoi(argv[5]);
        settings.port = (uint16_t) atoi(argv[8]);
        settings.rate = atof(argv[9]);
        for (int i = 0; i < 2; i++) {
                uint8_t *mac = i == 0 ? settings.from_mac : settings.to_mac;

                if (sscanf(argv[i == 0 ? 3 : 6], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
                           &mac[4], &mac[5]) != 6)
                        return false;
        }
        return inet_pton(AF_INET, argv[4], &settings.from) == 1 && inet_pton(AF_INET, argv[7], &settings.to) == 1;
}

int main(int argc, char **argv) {
        struct sockaddr_in address = { .sin_family = AF_INET };
        int fd, buffer = 256 << 20;
        double quiet_since = 0;
        uint64_t next = 0;
        pthread_t thread;
        char byte;

        if (!parse(argc, argv)) {
                fprintf(stderr, "order-traffic: wrong arguments, see its source\n");
                return 2;
        }
        runs = calloc(RUNS_MAX, sizeof(Run));
        fd = open_socket(settings.to_fd, AF_INET, SOCK_DGRAM, 0);
        address.sin_port = htons(settings.port);
        if (!runs || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0 ||
            bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                fail("the receiving socket");
        errno = pthread_create(&thread, NULL, sender, NULL);
        if (errno != 0)
                fail("pthread_create");

        for (;;) {
                struct pollfd fds[] = { { fd, POLLIN, 0 }, { stop ? -1 : STDIN_FILENO, POLLIN, 0 } };

                if (poll(fds, 2, 20) < 0 && errno != EINTR)
                        fail("poll");
                if (fds[1].revents && read(STDIN_FILENO, &byte, 1) <= 0) {
                        stop = true;
                        quiet_since = now();
                }
                if (fds[0].revents) {
                        receive(fd, &next);
                        quiet_since = now();
                } else if (sender_done && now() - quiet_since > 0.3)
                        break;
        }
        pthread_join(thread, NULL);
        if (sent > next)
                missing += sent - next;
        print_result(dropped_by(fd));
        return 0;
}
