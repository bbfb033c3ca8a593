/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/if_ether.h>

#include "packets.h"

/* Newer kernels have TC programs run on packets of IPv4 and IPv6 only where these are as long as their headers. */
#define IP_SIZE_MIN (ETH_HLEN + 40)

static void put16(uint8_t *p, uint16_t value) {
        p[0] = (uint8_t) (value >> 8);
        p[1] = (uint8_t) value;
}

/* Network and transport header behind the Ethernet header; the rest stays random. */
static void put_ipv4(Random *random, uint8_t *p, uint32_t size) {
        static const uint8_t protocols[] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP, 0 };
        uint8_t words = (uint8_t) random_between(random, 5, random_chance(random, 80) ? 5 : 15);

        p[0] = 0x40 | words;
        put16(p + 2, (uint16_t) size);
        p[9] = RANDOM_OF(random, protocols);
        p[15] = p[19] = 0; /* few addresses, so that programs meet them again */
        p[15] = (uint8_t) random_below(random, 4);
}

static void put_ipv6(Random *random, uint8_t *p, uint32_t size) {
        p[0] = 0x60;
        put16(p + 4, (uint16_t) (size > 40 ? size - 40 : 0));
        p[6] = random_chance(random, 50) ? IPPROTO_UDP : IPPROTO_TCP;
}

static uint32_t pick_size(Random *random, bool large) {
        switch (random_below(random, large ? 9 : 7)) {
        case 0: return (uint32_t) random_between(random, ETH_HLEN, 34);
        case 1: return (uint32_t) random_between(random, 1000, 1514);
        case 2: return (uint32_t) random_between(random, 1514, PACKET_SIZE_MAX);
        case 7:
        case 8: return (uint32_t) random_between(random, PACKET_SIZE_MAX, PACKET_LARGE_SIZE_MAX);
        default: return (uint32_t) random_between(random, 60, 200);
        }
}

void packet_make(Random *random, Hook hook, bool large, uint32_t meta, Packet *ret) {
        static const uint16_t types[] = { ETH_P_IP, ETH_P_IP, ETH_P_IPV6, ETH_P_ARP, 0x0042 };
        uint32_t size = pick_size(random, large), header = 12;
        uint16_t type = RANDOM_OF(random, types);
        uint8_t *data;

        memset(ret, 0, sizeof(*ret));
        ret->meta = meta > 0 && random_chance(random, 30) ? 4 * random_below(random, meta / 4 + 1) : 0;
        ret->size = ret->meta + size;
        data = ret->bytes + ret->meta;
        for (uint32_t i = 0; i < ret->size; i++)
                ret->bytes[i] = (uint8_t) (i < 200 ? random_next(random) : i * 7);

        data[0] = random_chance(random, 10) ? 0xff : 2;
        for (unsigned tags = random_chance(random, 25) ? 1 + random_below(random, 2) : 0; tags > 0; tags--) {
                if (header + 4 + 2 > size)
                        break;
                put16(data + header, tags == 2 ? ETH_P_8021AD : ETH_P_8021Q);
                header += 4;
        }
        if (hook_is_tc(hook) && size < IP_SIZE_MIN)
                type = ETH_P_ARP;
        put16(data + header, type);
        header += 2;
        if (type == ETH_P_IP && size >= header + 20)
                put_ipv4(random, data + header, size - header);
        else if (type == ETH_P_IPV6 && size >= header + 40)
                put_ipv6(random, data + header, size - header);

        if (hook_is_tc(hook) && random_chance(random, 50)) {
                ret->mark = (uint32_t) random_number(random);
                ret->priority = (uint32_t) random_number(random);
                for (size_t i = 0; i < ELEMENTSOF(ret->cb); i++)
                        ret->cb[i] = (uint32_t) random_number(random);
        }
}

static int run_xdp(int fd, Packet *packet, const uint8_t *in, int *ret_verdict) {
        struct xdp_md context = { .data = packet->meta, .data_end = packet->size };
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = packet->size, .data_out = packet->bytes,
                    .data_size_out = sizeof(packet->bytes), .ctx_in = &context, .ctx_size_in = sizeof(context),
                    .ctx_out = &context, .ctx_size_out = sizeof(context), .repeat = 1);

        if (bpf_prog_test_run_opts(fd, &opts) < 0)
                return -errno;
        packet->size = opts.data_size_out;
        packet->meta = context.data;
        *ret_verdict = (int) opts.retval;
        return 0;
}

static int run_tc(int fd, Packet *packet, const uint8_t *in, int *ret_verdict) {
        struct __sk_buff context = { .mark = packet->mark, .priority = packet->priority };
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = packet->size, .data_out = packet->bytes,
                    .data_size_out = sizeof(packet->bytes), .ctx_in = &context, .ctx_size_in = sizeof(context),
                    .ctx_out = &context, .ctx_size_out = sizeof(context), .repeat = 1);

        memcpy(context.cb, packet->cb, sizeof(packet->cb));
        if (bpf_prog_test_run_opts(fd, &opts) < 0)
                return -errno;
        packet->size = opts.data_size_out;
        packet->mark = context.mark;
        packet->priority = context.priority;
        memcpy(packet->cb, context.cb, sizeof(packet->cb));
        *ret_verdict = (int) opts.retval;
        return 0;
}

int packet_run(int program_fd, Hook hook, Packet *packet, int *ret_verdict) {
        uint8_t in[sizeof(packet->bytes)];

        memcpy(in, packet->bytes, packet->size);
        return hook_is_tc(hook) ? run_tc(program_fd, packet, in, ret_verdict)
                                : run_xdp(program_fd, packet, in, ret_verdict);
}

bool packet_runs(Hook hook, const Packet *packet) {
        uint16_t type = (uint16_t) (packet->bytes[12] << 8 | packet->bytes[13]);

        return !hook_is_tc(hook) || packet->size >= IP_SIZE_MIN || (type != ETH_P_IP && type != ETH_P_IPV6);
}

bool packets_differ(const Packet *fused, const Packet *reference, FILE *f) {
        uint32_t i;

        if (fused->size != reference->size || fused->meta != reference->meta) {
                fprintf(f, "packet: fused %u bytes (%u of them metadata), reference %u (%u)\n", fused->size,
                        fused->meta, reference->size, reference->meta);
                return true;
        }
        for (i = 0; i < fused->size && fused->bytes[i] == reference->bytes[i];)
                i++;
        if (i < fused->size) {
                fprintf(f, "packet: byte %u of %u: fused %02x, reference %02x (%u bytes of metadata)\n", i,
                        fused->size, fused->bytes[i], reference->bytes[i], fused->meta);
                return true;
        }
        if (fused->mark != reference->mark || fused->priority != reference->priority) {
                fprintf(f, "packet: fused mark %#x, priority %#x, reference %#x, %#x\n", fused->mark, fused->priority,
                        reference->mark, reference->priority);
                return true;
        }
        for (i = 0; i < ELEMENTSOF(fused->cb); i++)
                if (fused->cb[i] != reference->cb[i]) {
                        fprintf(f, "packet: cb[%u]: fused %#x, reference %#x\n", i, fused->cb[i], reference->cb[i]);
                        return true;
                }
        return false;
}

void packet_print(const Packet *packet, FILE *f) {
        fprintf(f, "%u bytes, %u of them metadata, mark %#x, priority %#x: ", packet->size, packet->meta,
                packet->mark, packet->priority);
        for (uint32_t i = 0; i < MIN2(packet->size, 64U); i++)
                fprintf(f, "%02x", packet->bytes[i]);
        fputc('\n', f);
}
