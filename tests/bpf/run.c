// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "run.h"

struct bpf_object *object_open(const char *folder, const char *name) {
        const char *build = getenv("BPFCHAIN_BUILD");
        struct bpf_object *object;
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s/%s.bpf.o", build ?: ".", folder, name);
        object = bpf_object__open_file(path, NULL);
        if (!object)
                fail_msg("%s: %s", path, strerror(errno));
        return object;
}

void object_set(struct bpf_object *object, const char *variable, const void *value, size_t size) {
        const struct btf *btf = bpf_object__btf(object);
        const struct btf_type *section = NULL;
        int id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
        struct bpf_map *map;
        char *data = NULL;
        size_t length;

        assert_true(id > 0);
        section = btf__type_by_id(btf, id);
        bpf_object__for_each_map(map, object) {
                const char *name = bpf_map__name(map), *dot = strrchr(name, '.');

                if (dot && strcmp(dot, ".rodata") == 0)
                        data = bpf_map__initial_value(map, &length);
        }
        assert_non_null(data);

        for (int i = 0; i < btf_vlen(section); i++) {
                const struct btf_var_secinfo *info = btf_var_secinfos(section) + i;
                const char *name = btf__name_by_offset(btf, btf__type_by_id(btf, info->type)->name_off);

                if (strcmp(name, variable) != 0)
                        continue;
                assert_int_equal(info->size, size);
                memcpy(data + info->offset, value, size);
                return;
        }
        fail_msg("no global %s", variable);
}

struct bpf_object *object_load(struct bpf_object *object) {
        assert_int_equal(bpf_object__load(object), 0);
        return object;
}

int map_of(struct bpf_object *object, const char *name) {
        int fd = bpf_object__find_map_fd_by_name(object, name);

        assert_true(fd >= 0);
        return fd;
}

int program_of(struct bpf_object *object, const char *name) {
        struct bpf_program *program = bpf_object__find_program_by_name(object, name);

        assert_non_null(program);
        return bpf_program__fd(program);
}

int run(int program, Packet *p) {
        uint8_t out[sizeof(p->data)];
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = p->size, .data_out = out,
                    .data_size_out = sizeof(out), .repeat = 1);

        assert_int_equal(bpf_prog_test_run_opts(program, &opts), 0);
        memcpy(p->data, out, opts.data_size_out);
        p->size = opts.data_size_out;
        return (int) opts.retval;
}

uint64_t percpu_sum(int map, uint32_t key, size_t size, unsigned n) {
        int cpus = libbpf_num_possible_cpus();
        uint64_t *values = calloc(cpus, size), sum = 0;

        assert_non_null(values);
        assert_int_equal(bpf_map_lookup_elem(map, &key, values), 0);
        for (int i = 0; i < cpus; i++)
                sum += values[i * size / 8 + n];
        free(values);
        return sum;
}

void mapped(uint8_t to[16], const char *address) {
        memset(to, 0, 16);
        if (strchr(address, ':'))
                assert_int_equal(inet_pton(AF_INET6, address, to), 1);
        else {
                to[10] = to[11] = 0xff;
                assert_int_equal(inet_pton(AF_INET, address, to + 12), 1);
        }
}

int run_from(int program, const char *source, unsigned vlans) {
        Packet p;

        if (strchr(source, ':')) {
                packet_eth(&p, vlans, ETH_P_IPV6);
                packet_ipv6(&p, source, "2001:db8:ffff::1", IPPROTO_UDP);
        } else {
                packet_eth(&p, vlans, ETH_P_IP);
                packet_ipv4(&p, source, "198.51.100.2", IPPROTO_UDP, 0, 0);
        }
        packet_ports(&p, 1, 2, 30);
        return run(program, &p);
}

unsigned run_passed(int program, const char *source, unsigned n) {
        unsigned passes = 0;

        for (unsigned i = 0; i < n; i++)
                passes += run_from(program, source, i % 3) == XDP_PASS;
        return passes;
}
