/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "kernel/kernel.h"
#include "kernel/uapi.h"
#include "kernel/xdp-query.h"

#define LOOPBACK_IFINDEX 1 /* in every network namespace */

/* The log is reached when the kernel knows a type of program and the caller may load it, whatever then is wrong with
 * the program. */
static int try_type(enum bpf_prog_type type, enum bpf_attach_type attach_type, uint32_t attach_btf_id) {
        static const struct bpf_insn insns[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        char log[4096] = "";
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach_type, .attach_btf_id = attach_btf_id,
                    .log_buf = log, .log_size = sizeof(log), .log_level = 1);
        int fd;

        fd = bpf_prog_load(type, "bc_probe", "GPL", insns, ELEMENTSOF(insns), &opts);
        if (fd < 0)
                return strempty(log) ? fd : 0;
        safe_close(fd);
        return 0;
}

int kernel_has_tracing(void) {
        /* With a BTF id that is no function: only the verifier finds that out. */
        return try_type(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, 1);
}

int kernel_has_tcx(void) {
        LIBBPF_OPTS(bpf_prog_query_opts, opts);
        int r;

        r = bpf_prog_query_opts(LOOPBACK_IFINDEX, UAPI_TCX_INGRESS, &opts);
        return MIN2(r, 0);
}

/* The loopback device can't run XDP in hardware, so this never attaches; a kernel that knows no XDP links says EINVAL
 * instead. */
static int try_xdp_link(void) {
        static const struct bpf_insn insns[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 2 /* XDP_PASS */ },
                { .code = BPF_JMP | BPF_EXIT },
        };
        LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_HW_MODE);
        _cleanup_close_ int program = -EBADF, link = -EBADF;

        program = bpf_prog_load(BPF_PROG_TYPE_XDP, "bc_probe", "GPL", insns, ELEMENTSOF(insns), NULL);
        if (program < 0)
                return program;
        link = bpf_link_create(program, LOOPBACK_IFINDEX, BPF_XDP, &opts);
        return link == -EOPNOTSUPP || link >= 0 ? 0 : link;
}

static int try_btf(void) {
        return access("/sys/kernel/btf/vmlinux", R_OK) < 0 ? -errno : 0;
}

static int try_features(void) {
        uint64_t features;

        return xdp_query_features(LOOPBACK_IFINDEX, &features);
}

static int add(json_object *to, const char *key, json_object *value) {
        if (!value || json_object_object_add(to, key, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

/* result: 0 or a negative errno. */
static int add_result(json_object *to, const char *key, int result, const char *hint) {
        json_object *object = json_object_new_object();
        char reason[256];
        int r;

        r = add(to, key, object);
        if (r >= 0)
                r = add(object, "available", json_object_new_boolean(result >= 0));
        if (r >= 0 && result < 0) {
                snprintf(reason, sizeof(reason), "%s%s%s%s", strerror(-result), hint ? " (" : "", hint ? hint : "",
                         hint ? ")" : "");
                r = add(object, "reason", json_object_new_string(reason));
        }
        return r;
}

static int add_program_types(json_object *to) {
        static const struct {
                const char *name;
                enum bpf_prog_type type;
                enum bpf_attach_type attach_type;
                uint32_t attach_btf_id;
        } types[] = {
                { "xdp", BPF_PROG_TYPE_XDP, 0, 0 },
                { "tc", BPF_PROG_TYPE_SCHED_CLS, 0, 0 },
                /* With a BTF id that is no function: only the verifier finds that out. */
                { "ext", BPF_PROG_TYPE_EXT, 0, 1 },
                { "tracing", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, 1 },
                { "lsm", BPF_PROG_TYPE_LSM, BPF_LSM_MAC, 1 },
        };
        json_object *object = json_object_new_object();
        int r;

        r = add(to, "program-types", object);
        for (size_t i = 0; i < ELEMENTSOF(types) && r >= 0; i++)
                r = add_result(object, types[i].name,
                               try_type(types[i].type, types[i].attach_type, types[i].attach_btf_id), NULL);
        return r;
}

static void put_object(json_object **object) {
        json_object_put(*object);
}

int kernel_capabilities(Kernel *kernel, json_object **ret) {
        _cleanup_(put_object) json_object *object = NULL;
        struct utsname uts;
        int r;

        if (kernel->capabilities) {
                *ret = json_object_get(kernel->capabilities);
                return 0;
        }

        object = json_object_new_object();
        if (!object)
                return -ENOMEM;
        if (uname(&uts) < 0)
                return -errno;
        r = add(object, "kernel", json_object_new_string(uts.release));
        if (r >= 0)
                r = add(object, "architecture", json_object_new_string(uts.machine));
        if (r >= 0)
                r = add(object, "bpffs", json_object_new_string(kernel->bpffs_dir));
        if (r >= 0)
                r = add_result(object, "xdp-link", try_xdp_link(), "kernel 5.9 and later have it");
        if (r >= 0)
                r = add_result(object, "tcx", kernel_has_tcx(),
                               "kernel 6.6 and later have it; clsact is used instead");
        if (r >= 0)
                r = add_result(object, "btf", try_btf(), "/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF");
        if (r >= 0)
                r = add_result(object, "xdp-features", try_features(), "kernel 6.3 and later tell");
        if (r >= 0)
                r = add_program_types(object);
        if (r < 0)
                return r;

        kernel->capabilities = json_object_get(object);
        *ret = TAKE_PTR(object);
        return 0;
}
