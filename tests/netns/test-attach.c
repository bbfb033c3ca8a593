/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
/* cmocka.h needs those above */
#include <cmocka.h>

#include "kernel/attach.h"
#include "kernel/clsact.h"
#include "kernel/interface-details.h"
#include "kernel/pins.h"
#include "kernel/uapi.h"
#include "netns.h"
#include "wire.h"

static char base[64]; /* a bpffs of our own */
static Kernel *kernel;

/* Programs ------------------------------------------------------------------------------------------------------ */

#define INSN(c, d, s, o, i) ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })

/* Counts each packet in row 0, bucket `bucket`, of its counters and answers `verdict`. */
static int load_counting(Hook hook, const char *name, int counters_fd, int32_t verdict, unsigned bucket) {
        const struct bpf_insn insns[] = {
                INSN(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0),
                INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0),
                INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4),
                INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, counters_fd),
                INSN(0, 0, 0, 0, 0),
                INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
                INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 3, 0),
                INSN(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_0, (int16_t) (bucket * 8), 0),
                INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, 1),
                INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_0, BPF_REG_1, (int16_t) (bucket * 8), 0),
                INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, verdict),
                INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
        };
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = hook == HOOK_XDP ? BPF_XDP : 0);

        return bpf_prog_load(hook == HOOK_XDP ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS, name, "GPL", insns,
                             ELEMENTSOF(insns), &opts);
}

/* What somebody else would attach. */
static int load_stranger(Hook hook) {
        const struct bpf_insn insns[] = {
                INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, hook == HOOK_XDP ? 2 : -1),
                INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
        };
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = hook == HOOK_XDP ? BPF_XDP : 0);
        int fd = bpf_prog_load(hook == HOOK_XDP ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS, "stranger", "GPL",
                               insns, ELEMENTSOF(insns), &opts);

        assert_true(fd >= 0);
        return fd;
}

static uint32_t program_id(int fd) {
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(info);

        assert_int_equal(bpf_prog_get_info_by_fd(fd, &info, &size), 0);
        return info.id;
}

/* A fused chain as chain_build() would make it, with counters that go on where there is an attachment. */
static KernelFused *fused_new(Hook hook, const char *digits, const KernelAttachment *previous, unsigned bucket) {
        static const int32_t xdp_pass = 2, tc_next = -1;
        KernelFused *fused = calloc(1, sizeof(*fused));

        assert_non_null(fused);
        fused->hook = hook;
        fused->slots_fd = -EBADF;
        snprintf(fused->name, sizeof(fused->name), "%s%s", FUSED_NAME_PREFIX, digits);
        if (previous)
                fused->counters_fd = fcntl(attachment_counters_fd(previous), F_DUPFD_CLOEXEC, 3);
        else
                fused->counters_fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "bc_counters", sizeof(uint32_t),
                                                    sizeof(uint64_t[CHAIN_SEATS_MAX][COUNTER_CELLS]), 1, NULL);
        assert_true(fused->counters_fd >= 0);
        fused->program_fd =
                load_counting(hook, fused->name, fused->counters_fd, hook == HOOK_XDP ? xdp_pass : tc_next, bucket);
        assert_true(fused->program_fd >= 0);
        fused->program_id = program_id(fused->program_fd);
        return fused;
}

/* Steps --------------------------------------------------------------------------------------------------------- */

static ChainCommit item_for(const char *interface, Hook hook, AttachMode mode, const char *digits,
                            KernelAttachment *attachment) {
        return (ChainCommit){
                .interface = interface,
                .ifindex = index_of(interface),
                .hook = hook,
                .mode = mode,
                .fused = fused_new(hook, digits, attachment, attachment ? 1 : 2),
                .attachment = attachment,
        };
}

static void assert_committed(ChainCommit *item) {
        int r = kernel_chain_commit(kernel, item, 1);

        if (r < 0)
                fail_msg("commit: %s: %s", strerror(-r), strna(item->error.message));
        assert_int_equal(item->result, 0);
        assert_non_null(item->attachment);
        assert_null(item->fused);
        assert_int_equal(kernel_chain_check(kernel, item->attachment), 0);
}

/* The commit fails with this code, changes nothing and gives a sentence with this text. */
static void assert_refused(ChainCommit *item, ErrorCode code, const char *text) {
        KernelAttachment *before = item->attachment;

        assert_true(kernel_chain_commit(kernel, item, 1) < 0);
        assert_true(item->result < 0);
        assert_int_equal(item->error.code, code);
        if (!strstr(item->error.message, text))
                fail_msg("\"%s\" is not in: %s", text, item->error.message);
        assert_ptr_equal(item->attachment, before);
        assert_non_null(item->fused);
        kernel_fused_free(TAKE_PTR(item->fused));
        error_done(&item->error);
}

static KernelAttachment *attach(const char *interface, Hook hook, AttachMode mode) {
        ChainCommit item = item_for(interface, hook, mode, "0123456789ab", NULL);

        assert_committed(&item);
        assert_true(item.created);
        kernel_chain_release(kernel, &item);
        return item.attachment;
}

static KernelAttachment *adopt(const char *interface, Hook hook, AttachmentInfo *ret_info) {
        KernelAttachment *attachment;
        char signature[65];

        assert_int_equal(kernel_chain_adopt(kernel, index_of(interface), hook, &attachment, ret_info, signature), 0);
        assert_int_equal(strlen(signature), 12);
        return attachment;
}

static int adopt_result(int ifindex, Hook hook) {
        KernelAttachment *attachment;
        AttachmentInfo info;
        char signature[65];

        return kernel_chain_adopt(kernel, ifindex, hook, &attachment, &info, signature);
}

static uint64_t counted(KernelAttachment *attachment, unsigned bucket) {
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];

        assert_int_equal(kernel_chain_counters(kernel, attachment, counters), 0);
        return counters[0][bucket];
}

/* Frames reach the other side within the system call or by softirq soon after. IPv6 and the like are off, so that
 * nothing but ours is counted. */
static void assert_counts(KernelAttachment *attachment, unsigned bucket, uint64_t expected) {
        for (unsigned i = 0; i < 100 && counted(attachment, bucket) < expected; i++)
                nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
        assert_int_equal(counted(attachment, bucket), expected);
}

static bool pinned(PinKind kind, int ifindex, Hook hook) {
        _cleanup_free_ char *path = NULL;

        assert_int_equal(pins_path(kernel, kind, ifindex, hook, &path), 0);
        return access(path, F_OK) == 0;
}

static void assert_unpinned(int ifindex, Hook hook) {
        for (PinKind kind = 0; kind < _PIN_KIND_MAX; kind++)
                assert_false(pinned(kind, ifindex, hook));
}

static size_t count_pins(void) {
        _cleanup_free_ int *ifindexes = NULL;
        _cleanup_free_ Hook *hooks = NULL;
        size_t n;

        assert_int_equal(kernel_chain_list(kernel, &ifindexes, &hooks, &n), 0);
        return n;
}

/* Each test has a fresh bpffs folder and a veth pair bct-a, bct-b, both up, with nothing that sends by itself. */
static int setup(void **state) {
        static unsigned serial;
        char dir[128];

        snprintf(dir, sizeof(dir), "%s/test%u", base, serial++);
        if (kernel_new(dir, TC_ATTACH_AUTO, &kernel) < 0)
                return -1;
        if (make_pair() < 0)
                return -1;
        *state = (void *) (uintptr_t) count_fds();
        return 0;
}

static int teardown(void **state) {
        bool leak = count_fds() != (uintptr_t) *state;
        bool left = count_pins() != 0;

        if (leak)
                print_error("descriptors: %u before, %u after\n", (unsigned) (uintptr_t) *state, count_fds());
        if (left)
                print_error("%zu pins are left\n", count_pins());
        kernel = kernel_free(kernel);
        remove_interfaces();
        return leak || left ? -1 : 0;
}

/* Life of an attachment: the same for each way onto a hook. ------------------------------------------------------ */

static void check_life(const char *interface, const char *sender, Hook hook, AttachKind kind, bool native) {
        ChainCommit item = item_for(interface, hook, ATTACH_MODE_BEST, "0123456789ab", NULL);
        KernelAttachment *attachment;
        AttachmentInfo before, info;
        uint32_t first_id, second_id;
        int ifindex = item.ifindex;

        assert_int_equal(adopt_result(ifindex, hook), -ENOENT);

        /* New. */
        first_id = item.fused->program_id;
        assert_committed(&item);
        assert_true(item.created);
        assert_null(item.undo);
        assert_int_equal(item.info.kind, kind);
        assert_int_equal(item.info.native, native);
        assert_int_equal(item.info.program_id, first_id);
        assert_int_equal(item.info.link_id > 0, kind != ATTACH_KIND_CLSACT);
        kernel_chain_release(kernel, &item);
        attachment = item.attachment;
        before = item.info;
        if (sender) {
                send_frames(sender, 100);
                assert_counts(attachment, 2, 100);
        }

        /* Exchange: the same link, another program, counters that go on. */
        item = item_for(interface, hook, ATTACH_MODE_BEST, "ba9876543210", attachment);
        second_id = item.fused->program_id;
        assert_committed(&item);
        assert_false(item.created);
        assert_ptr_equal(item.attachment, attachment);
        assert_non_null(item.undo);
        assert_int_equal(item.info.link_id, before.link_id);
        assert_int_equal(item.info.program_id, second_id);
        kernel_chain_release(kernel, &item);
        assert_program_goes(first_id);
        if (sender) {
                send_frames(sender, 50);
                assert_counts(attachment, 1, 50);
                assert_counts(attachment, 2, 100);
        }

        /* The service goes, packets go on through the chain, another service takes it over. */
        kernel_attachment_free(attachment);
        if (sender)
                send_frames(sender, 25);
        attachment = adopt(interface, hook, &info);
        assert_int_equal(info.kind, kind);
        assert_int_equal(info.native, native);
        assert_int_equal(info.link_id, before.link_id);
        assert_int_equal(info.program_id, second_id);
        assert_string_equal(attachment->fused->name, "bc_ba9876543210");
        assert_int_equal(kernel_chain_check(kernel, attachment), 0);
        assert_int_equal(count_pins(), 1);
        if (sender) {
                assert_counts(attachment, 1, 75);
                assert_counts(attachment, 2, 100);
        }

        /* An adopted chain can be exchanged, and that undone. */
        item = item_for(interface, hook, ATTACH_MODE_BEST, "aaaaaaaaaaaa", attachment);
        assert_committed(&item);
        kernel_chain_rollback(kernel, &item);
        assert_non_null(item.fused);
        assert_ptr_equal(item.attachment, attachment);
        assert_null(item.undo);
        assert_int_equal(item.info.program_id, second_id);
        assert_int_equal(kernel_chain_check(kernel, attachment), 0);
        kernel_fused_free(item.fused);
        kernel_attachment_free(attachment);
        attachment = adopt(interface, hook, &info);
        assert_int_equal(info.program_id, second_id);

        kernel_chain_detach(kernel, attachment);
        assert_unpinned(ifindex, hook);
        assert_int_equal(adopt_result(ifindex, hook), -ENOENT);
        assert_program_goes(second_id);
}

static void test_xdp_native(void **state) {
        check_life("bct-b", "bct-a", HOOK_XDP, ATTACH_KIND_XDP_LINK, true);
}

static void test_xdp_generic(void **state) {
        run("ip link add bct-plain type $PLAIN && ip link set bct-plain up");
        check_life("bct-plain", NULL, HOOK_XDP, ATTACH_KIND_XDP_LINK, false);
}

static bool skip_without_tcx(void) {
        int r = kernel_has_tcx();

        if (r < 0)
                print_message("SKIP: this kernel refuses tcx: %s\n", strerror(-r));
        return r < 0;
}

static void test_tcx_ingress(void **state) {
        if (skip_without_tcx())
                skip();
        check_life("bct-b", "bct-a", HOOK_TC_INGRESS, ATTACH_KIND_TCX_LINK, false);
}

static void test_tcx_egress(void **state) {
        if (skip_without_tcx())
                skip();
        check_life("bct-a", "bct-a", HOOK_TC_EGRESS, ATTACH_KIND_TCX_LINK, false);
}

static void test_clsact_ingress(void **state) {
        kernel->tc_attach = TC_ATTACH_CLSACT;
        check_life("bct-b", "bct-a", HOOK_TC_INGRESS, ATTACH_KIND_CLSACT, false);
}

static void test_clsact_egress(void **state) {
        kernel->tc_attach = TC_ATTACH_CLSACT;
        check_life("bct-a", "bct-a", HOOK_TC_EGRESS, ATTACH_KIND_CLSACT, false);
}

static void test_all_hooks_at_once(void **state) {
        KernelAttachment *attachments[_HOOK_MAX];
        _cleanup_free_ int *ifindexes = NULL;
        _cleanup_free_ Hook *hooks = NULL;
        size_t n;

        for (Hook hook = 0; hook < _HOOK_MAX; hook++)
                attachments[hook] = attach("bct-b", hook, ATTACH_MODE_BEST);
        send_frames("bct-a", 10);
        assert_counts(attachments[HOOK_XDP], 2, 10);
        assert_counts(attachments[HOOK_TC_INGRESS], 2, 10);
        assert_counts(attachments[HOOK_TC_EGRESS], 2, 0);

        assert_int_equal(kernel_chain_list(kernel, &ifindexes, &hooks, &n), 0);
        assert_int_equal(n, _HOOK_MAX);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(ifindexes[i], index_of("bct-b"));
                assert_int_equal(hooks[i], i);
        }
        for (Hook hook = 0; hook < _HOOK_MAX; hook++)
                kernel_chain_detach(kernel, attachments[hook]);
}

/* Modes --------------------------------------------------------------------------------------------------------- */

static void test_modes(void **state) {
        KernelAttachment *attachment;
        ChainCommit item;

        run("ip link add bct-plain type $PLAIN && ip link set bct-plain up");
        item = item_for("bct-plain", HOOK_XDP, ATTACH_MODE_NATIVE, "0123456789ab", NULL);
        assert_refused(&item, ERROR_NOT_SUPPORTED, "native mode");

        attachment = attach("bct-b", HOOK_XDP, ATTACH_MODE_GENERIC);
        assert_false(attachment->native);

        /* A link keeps its mode: what it can't do is refused, not done with a gap. */
        item = item_for("bct-b", HOOK_XDP, ATTACH_MODE_NATIVE, "111111111111", attachment);
        assert_refused(&item, ERROR_NOT_SUPPORTED, "without a gap");
        item = item_for("bct-b", HOOK_XDP, ATTACH_MODE_BEST, "111111111111", attachment);
        assert_committed(&item);
        kernel_chain_release(kernel, &item);
        kernel_chain_detach(kernel, attachment);
}

/* A peer's MTU beyond a page stops native XDP on veth for programs without fragments. */
static void test_native_refused_by_mtu(void **state) {
        KernelAttachment *attachment;
        ChainCommit item;

        run("ip link set bct-a mtu 9000 && ip link set bct-b mtu 9000");
        item = item_for("bct-b", HOOK_XDP, ATTACH_MODE_NATIVE, "0123456789ab", NULL);
        assert_refused(&item, ERROR_NOT_SUPPORTED, "MTU");
        attachment = attach("bct-b", HOOK_XDP, ATTACH_MODE_BEST);
        assert_false(attachment->native);
        kernel_chain_detach(kernel, attachment);
}

/* Holders ------------------------------------------------------------------------------------------------------- */

static void check_busy(const char *text) {
        static const AttachMode modes[] = { ATTACH_MODE_BEST, ATTACH_MODE_NATIVE, ATTACH_MODE_GENERIC };

        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                ChainCommit item = item_for("bct-b", HOOK_XDP, modes[i], "0123456789ab", NULL);

                assert_refused(&item, ERROR_HOOK_BUSY, text);
                assert_unpinned(item.ifindex, HOOK_XDP);
        }
}

/* Held by netlink, natively or not: nobody's is replaced, whatever mode we want. */
static void test_busy_by_netlink(void **state) {
        static const unsigned modes[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE };
        _cleanup_close_ int stranger = load_stranger(HOOK_XDP);
        int ifindex = index_of("bct-b");
        char text[64];
        uint32_t id;

        snprintf(text, sizeof(text), "program %u \"stranger\"", program_id(stranger));
        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                assert_int_equal(bpf_xdp_attach(ifindex, stranger, modes[i], NULL), 0);
                check_busy(text);
                check_busy(modes[i] == XDP_FLAGS_DRV_MODE ? "bct-b xdpdrv off" : "bct-b xdpgeneric off");
                assert_int_equal(bpf_xdp_query_id(ifindex, (int) modes[i], &id), 0);
                assert_int_equal(id, program_id(stranger));
                assert_int_equal(bpf_xdp_detach(ifindex, modes[i], NULL), 0);
        }
}

static void test_busy_by_link(void **state) {
        static const unsigned modes[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE };
        _cleanup_close_ int stranger = load_stranger(HOOK_XDP);

        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = modes[i]);
                _cleanup_close_ int link = bpf_link_create(stranger, index_of("bct-b"), BPF_XDP, &opts);
                uint32_t link_id, id;
                char text[64];
                int ifindex;

                assert_true(link >= 0);
                assert_int_equal(attachment_read_link(link, HOOK_XDP, &ifindex, &link_id, &id), 0);
                snprintf(text, sizeof(text), "by link %u in %s mode", link_id,
                         modes[i] == XDP_FLAGS_DRV_MODE ? "native" : "generic");
                check_busy(text);
                snprintf(text, sizeof(text), "bpftool link detach id %u", link_id);
                check_busy(text);
                assert_int_equal(attachment_read_link(link, HOOK_XDP, &ifindex, &link_id, &id), 0);
                assert_int_equal(ifindex, index_of("bct-b"));
        }
}

/* Ours is in front of what others have on tcx. */
static void test_tcx_head(void **state) {
        _cleanup_close_ int stranger = load_stranger(HOOK_TC_INGRESS), link = -EBADF;
        uint32_t ids[4] = {};
        LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = ids, .prog_cnt = ELEMENTSOF(ids));
        KernelAttachment *attachment;

        if (skip_without_tcx())
                skip();
        link = bpf_link_create(stranger, index_of("bct-b"), UAPI_TCX_INGRESS, NULL);
        assert_true(link >= 0);
        attachment = attach("bct-b", HOOK_TC_INGRESS, ATTACH_MODE_BEST);
        assert_int_equal(bpf_prog_query_opts(index_of("bct-b"), UAPI_TCX_INGRESS, &query), 0);
        assert_int_equal(query.prog_cnt, 2);
        assert_int_equal(ids[0], attachment->fused->program_id);
        assert_int_equal(ids[1], program_id(stranger));
        kernel_chain_detach(kernel, attachment);
}

static void add_filter(const char *interface, int fd, uint32_t priority, uint32_t handle, uint32_t flags) {
        LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = index_of(interface), .attach_point = BPF_TC_INGRESS);
        LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = fd, .priority = priority, .handle = handle, .flags = flags);
        int r = bpf_tc_hook_create(&hook);

        assert_true(r == 0 || r == -EEXIST);
        assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
}

static void test_busy_clsact(void **state) {
        _cleanup_close_ int stranger = load_stranger(HOOK_TC_INGRESS);
        int ifindex = index_of("bct-b");
        ChainCommit item;
        char text[64];
        uint32_t id;

        kernel->tc_attach = TC_ATTACH_CLSACT;
        add_filter("bct-b", stranger, CLSACT_PRIORITY, CLSACT_HANDLE, 0);
        snprintf(text, sizeof(text), "program %u \"stranger\"", program_id(stranger));
        item = item_for("bct-b", HOOK_TC_INGRESS, ATTACH_MODE_BEST, "0123456789ab", NULL);
        assert_refused(&item, ERROR_HOOK_BUSY, text);
        assert_unpinned(ifindex, HOOK_TC_INGRESS);
        assert_int_equal(clsact_query(ifindex, HOOK_TC_INGRESS, &id), 0);
        assert_int_equal(id, program_id(stranger));
}

/* A filter of another kind at our priority. */
static void test_busy_clsact_other_kind(void **state) {
        ChainCommit item;

        run("tc qdisc add dev bct-b clsact");
        if (run_quietly("tc filter add dev bct-b ingress pref %d protocol all u32 match u32 0 0 classid 1:1 "
                        "2>/dev/null",
                        CLSACT_PRIORITY) != 0) {
                print_message("SKIP: this kernel has no u32 filters\n");
                skip();
        }
        kernel->tc_attach = TC_ATTACH_CLSACT;
        item = item_for("bct-b", HOOK_TC_INGRESS, ATTACH_MODE_BEST, "0123456789ab", NULL);
        assert_refused(&item, ERROR_HOOK_BUSY, "another kind");
        run("tc filter show dev bct-b ingress | grep -q u32");
}

static void test_foreign(void **state) {
        _cleanup_close_ int xdp = load_stranger(HOOK_XDP), tc = load_stranger(HOOK_TC_INGRESS), link = -EBADF;
        KernelAttachment *own[2];
        _cleanup_free_ ForeignInfo *list = NULL;
        int ifindex = index_of("bct-b");
        size_t n, expected = kernel_has_tcx() < 0 ? 2 : 3;

        own[0] = attach("bct-b", HOOK_TC_INGRESS, ATTACH_MODE_BEST);
        own[1] = attach("bct-a", HOOK_XDP, ATTACH_MODE_BEST);
        assert_int_equal(kernel_interface_foreign(kernel, ifindex, own, 2, &list, &n), 0);
        assert_int_equal(n, 0);
        free(TAKE_PTR(list));

        assert_int_equal(bpf_xdp_attach(ifindex, xdp, XDP_FLAGS_SKB_MODE, NULL), 0);
        add_filter("bct-b", tc, 7, 1, 0);
        if (expected == 3)
                link = bpf_link_create(tc, ifindex, UAPI_TCX_EGRESS, NULL);
        assert_int_equal(kernel_interface_foreign(kernel, ifindex, own, 2, &list, &n), 0);
        assert_int_equal(n, expected);
        assert_string_equal(list[0].kind, "xdp");
        assert_int_equal(list[0].hook, HOOK_XDP);
        assert_int_equal(list[0].program_id, program_id(xdp));
        assert_string_equal(list[0].name, "stranger");
        assert_int_equal(strlen(list[0].tag), 16);
        assert_string_equal(list[1].kind, "clsact");
        assert_int_equal(list[1].hook, HOOK_TC_INGRESS);
        assert_int_equal(list[1].program_id, program_id(tc));
        if (expected == 3) {
                assert_string_equal(list[2].kind, "tcx");
                assert_int_equal(list[2].hook, HOOK_TC_EGRESS);
        }
        free(TAKE_PTR(list));

        assert_int_equal(kernel_interface_foreign(kernel, 12345678, NULL, 0, &list, &n), -ENODEV);
        kernel_chain_detach(kernel, own[0]);
        kernel_chain_detach(kernel, own[1]);
        assert_int_equal(bpf_xdp_detach(ifindex, XDP_FLAGS_SKB_MODE, NULL), 0);
}

/* What others do to our chains ---------------------------------------------------------------------------------- */

static void test_detached_by_force(void **state) {
        KernelAttachment *attachment = attach("bct-b", HOOK_XDP, ATTACH_MODE_BEST);
        ChainCommit item;

        assert_int_equal(bpf_link_detach(attachment->link_fd), 0);
        assert_int_equal(kernel_chain_check(kernel, attachment), -ENOENT);
        item = item_for("bct-b", HOOK_XDP, ATTACH_MODE_BEST, "111111111111", attachment);
        assert_refused(&item, ERROR_FAILED, "taken off");
        assert_int_equal(adopt_result(index_of("bct-b"), HOOK_XDP), -ENOENT);
        assert_unpinned(index_of("bct-b"), HOOK_XDP);
        kernel_chain_detach(kernel, attachment);

        attachment = attach("bct-b", HOOK_XDP, ATTACH_MODE_BEST);
        kernel_chain_detach(kernel, attachment);
}

/* A stranger's program in our link: the next change brings the chain back, and so does the next service. */
static void test_replaced_by_stranger(void **state) {
        _cleanup_close_ int stranger = load_stranger(HOOK_XDP);
        KernelAttachment *attachment = attach("bct-b", HOOK_XDP, ATTACH_MODE_BEST);
        uint32_t link_id = attachment->link_id;
        char signature[65] = "unset";
        AttachmentInfo info;
        ChainCommit item;

        assert_int_equal(bpf_link_update(attachment->link_fd, stranger, NULL), 0);
        assert_int_equal(kernel_chain_check(kernel, attachment), -ESTALE);
        item = item_for("bct-b", HOOK_XDP, ATTACH_MODE_BEST, "111111111111", attachment);
        assert_committed(&item);
        assert_int_equal(item.info.link_id, link_id);
        /* What undoing brings back is ours, not the stranger's. */
        kernel_chain_rollback(kernel, &item);
        assert_string_equal(attachment->fused->name, "bc_0123456789ab");
        assert_int_equal(kernel_chain_check(kernel, attachment), 0);
        kernel_fused_free(item.fused);

        assert_int_equal(bpf_link_update(attachment->link_fd, stranger, NULL), 0);
        kernel_attachment_free(attachment);
        assert_int_equal(kernel_chain_adopt(kernel, index_of("bct-b"), HOOK_XDP, &attachment, &info, signature), 0);
        assert_string_equal(signature, "");
        assert_int_equal(info.program_id, program_id(stranger));
        item = item_for("bct-b", HOOK_XDP, ATTACH_MODE_BEST, "111111111111", attachment);
        assert_committed(&item);
        kernel_chain_release(kernel, &item);
        kernel_chain_detach(kernel, attachment);
}

/* Counters whose pin is lost are found by the program; those of another shape are not read. */
static void test_lost_counters(void **state) {
        _cleanup_free_ char *path = NULL;
        KernelAttachment *attachment = attach("bct-b", HOOK_XDP, ATTACH_MODE_BEST);
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        AttachmentInfo info;
        int other;

        assert_int_equal(pins_path(kernel, PIN_COUNTERS, index_of("bct-b"), HOOK_XDP, &path), 0);
        send_frames("bct-a", 7);
        assert_counts(attachment, 2, 7);
        kernel_attachment_free(attachment);
        assert_int_equal(unlink(path), 0);
        attachment = adopt("bct-b", HOOK_XDP, &info);
        assert_counts(attachment, 2, 7);

        other = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "bc_counters", 4, 32760, 4, NULL);
        assert_true(other >= 0);
        assert_int_equal(pins_replace(other, path), 0);
        close(other);
        kernel_attachment_free(attachment);
        attachment = adopt("bct-b", HOOK_XDP, &info);
        assert_counts(attachment, 2, 7);

        /* And with none at all. */
        attachment->fused->counters_fd = safe_close(attachment->fused->counters_fd);
        assert_int_equal(attachment_counters_fd(attachment), -EBADF);
        assert_int_equal(kernel_chain_counters(kernel, attachment, counters), -ENODATA);
        kernel_chain_detach(kernel, attachment);
}

static void test_clsact_replaced_by_stranger(void **state) {
        _cleanup_close_ int stranger = load_stranger(HOOK_TC_INGRESS);
        KernelAttachment *attachment;
        int ifindex = index_of("bct-b");
        ChainCommit item;
        uint32_t id;

        kernel->tc_attach = TC_ATTACH_CLSACT;
        attachment = attach("bct-b", HOOK_TC_INGRESS, ATTACH_MODE_BEST);
        add_filter("bct-b", stranger, CLSACT_PRIORITY, CLSACT_HANDLE, BPF_TC_F_REPLACE);
        assert_int_equal(kernel_chain_check(kernel, attachment), -ESTALE);
        item = item_for("bct-b", HOOK_TC_INGRESS, ATTACH_MODE_BEST, "111111111111", attachment);
        assert_refused(&item, ERROR_HOOK_BUSY, "stranger");
        kernel_chain_detach(kernel, attachment);
        assert_int_equal(clsact_query(ifindex, HOOK_TC_INGRESS, &id), 0);
        assert_int_equal(id, program_id(stranger));
        assert_unpinned(ifindex, HOOK_TC_INGRESS);

        /* And the qdisc deleted under us. */
        run("tc qdisc del dev bct-b clsact");
        attachment = attach("bct-b", HOOK_TC_INGRESS, ATTACH_MODE_BEST);
        run("tc qdisc del dev bct-b clsact");
        assert_int_equal(kernel_chain_check(kernel, attachment), -ENOENT);
        kernel_chain_detach(kernel, attachment);
}

static void test_interface_gone(void **state) {
        KernelAttachment *attachment = attach("bct-b", HOOK_XDP, ATTACH_MODE_BEST);
        ChainCommit item = item_for("bct-b", HOOK_XDP, ATTACH_MODE_BEST, "111111111111", attachment), other;
        int ifindex = index_of("bct-b");

        other = item_for("bct-b", HOOK_TC_INGRESS, ATTACH_MODE_BEST, "222222222222", NULL);
        run("ip link del bct-b");
        assert_int_equal(kernel_chain_check(kernel, attachment), -ENOENT);
        assert_refused(&item, ERROR_NO_SUCH_INTERFACE, "bct-b");
        assert_refused(&other, ERROR_NO_SUCH_INTERFACE, "bct-b");
        assert_int_equal(count_pins(), 1);
        kernel_attachment_free(attachment);
        assert_int_equal(adopt_result(ifindex, HOOK_XDP), -ENOENT);
        assert_unpinned(ifindex, HOOK_XDP);
}

/* A link moves with its interface; a service that starts afterwards must not take it for one of its own interfaces.
 */
static void test_interface_moved(void **state) {
        KernelAttachment *attachment = attach("bct-b", HOOK_XDP, ATTACH_MODE_BEST);
        FILE *sleeper = popen("exec unshare --net sh -c 'echo $$; exec sleep 60' 2>/dev/null", "r");
        int ifindex = index_of("bct-b"), pid = 0;
        uint32_t id = attachment->fused->program_id;

        assert_non_null(sleeper);
        assert_int_equal(fscanf(sleeper, "%d", &pid), 1);
        run("ip link set bct-b netns %d", pid);
        assert_int_equal(kernel_chain_check(kernel, attachment), 0);
        kernel_attachment_free(attachment);
        run("ip link add bct-b index %d type $PLAIN", ifindex);
        assert_int_equal(adopt_result(ifindex, HOOK_XDP), -ENOENT);
        assert_unpinned(ifindex, HOOK_XDP);
        assert_program_goes(id);
        kill(pid, SIGKILL);
        pclose(sleeper);
}

/* Crashes ------------------------------------------------------------------------------------------------------- */

static char *path_of(PinKind kind, const char *interface, Hook hook) {
        char *path;

        assert_int_equal(pins_path(kernel, kind, index_of(interface), hook, &path), 0);
        return path;
}

/* The service dies between any two steps of an exchange: what is attached is what is adopted, with its counters. */
static void check_crash(Hook hook, bool exchanged, bool counters_moved) {
        _cleanup_free_ char *program = path_of(PIN_PROGRAM, "bct-b", hook);
        _cleanup_free_ char *counters = path_of(PIN_COUNTERS, "bct-b", hook);
        KernelAttachment *attachment = attach("bct-b", hook, ATTACH_MODE_BEST);
        KernelFused *next = fused_new(hook, "ba9876543210", NULL, 1);
        AttachmentInfo info;
        uint32_t old_id = attachment->fused->program_id, new_id = next->program_id;

        send_frames("bct-a", 5);
        assert_counts(attachment, 2, 5);
        assert_int_equal(pins_stage(next->counters_fd, counters), 0);
        assert_int_equal(pins_stage(next->program_fd, program), 0);
        if (exchanged && attachment->kind == ATTACH_KIND_CLSACT)
                assert_int_equal(clsact_replace(index_of("bct-b"), hook, next->program_fd, old_id), 0);
        else if (exchanged)
                assert_int_equal(bpf_link_update(attachment->link_fd, next->program_fd, NULL), 0);
        if (counters_moved)
                assert_int_equal(pins_finish(counters), 0);
        kernel_attachment_free(attachment);
        kernel_fused_free(next);

        attachment = adopt("bct-b", hook, &info);
        assert_int_equal(info.program_id, exchanged ? new_id : old_id);
        assert_string_equal(attachment->fused->name, exchanged ? "bc_ba9876543210" : "bc_0123456789ab");
        send_frames("bct-a", 3);
        assert_counts(attachment, exchanged ? 1 : 2, exchanged ? 3 : 8);
        kernel_chain_detach(kernel, attachment);
        assert_program_goes(old_id);
        assert_program_goes(new_id);
        free(TAKE_PTR(program));
        free(TAKE_PTR(counters));
}

static void test_crashes(void **state) {
        for (int round = 0; round < 3; round++) {
                kernel->tc_attach = round == 2 ? TC_ATTACH_CLSACT : TC_ATTACH_AUTO;
                check_crash(round == 0 ? HOOK_XDP : HOOK_TC_INGRESS, false, false);
                check_crash(round == 0 ? HOOK_XDP : HOOK_TC_INGRESS, true, false);
                check_crash(round == 0 ? HOOK_XDP : HOOK_TC_INGRESS, true, true);
        }
}

/* The service dies while it pins a new link: what waits is found. */
static void test_crash_new(void **state) {
        _cleanup_free_ char *path = path_of(PIN_LINK, "bct-b", HOOK_XDP), *staged = NULL;
        KernelAttachment *attachment = attach("bct-b", HOOK_XDP, ATTACH_MODE_BEST);
        AttachmentInfo info;

        assert_true(asprintf(&staged, "%s~", path) > 0);
        assert_int_equal(rename(path, staged), 0);
        kernel_attachment_free(attachment);
        assert_int_equal(count_pins(), 1);
        attachment = adopt("bct-b", HOOK_XDP, &info);
        assert_int_equal(access(path, F_OK), 0);
        kernel_chain_detach(kernel, attachment);
}

/* A lost pin comes back with the next change. */
static void test_lost_pins(void **state) {
        KernelAttachment *attachment = attach("bct-b", HOOK_XDP, ATTACH_MODE_BEST);
        ChainCommit item = item_for("bct-b", HOOK_XDP, ATTACH_MODE_BEST, "111111111111", attachment);

        run("rm -r %s/*", kernel->bpffs_dir);
        assert_committed(&item);
        kernel_chain_release(kernel, &item);
        for (PinKind kind = 0; kind <= PIN_COUNTERS; kind++) /* no slots here */
                assert_true(pinned(kind, index_of("bct-b"), HOOK_XDP));
        kernel_chain_detach(kernel, attachment);
}

/* Several at once ----------------------------------------------------------------------------------------------- */

#define MANY 16

static void test_many(void **state) {
        char names[MANY][IF_NAMESIZE];
        ChainCommit items[MANY];
        KernelAttachment *attachments[MANY];

        for (int i = 0; i < MANY; i++) {
                snprintf(names[i], sizeof(names[i]), "bct-p%d", i);
                run("ip link add %s type veth peer name bct-q%d", names[i], i);
                items[i] = item_for(names[i], i % 2 ? HOOK_TC_INGRESS : HOOK_XDP, ATTACH_MODE_BEST, "0123456789ab",
                                    NULL);
        }
        assert_int_equal(kernel_chain_commit(kernel, items, MANY), 0);
        for (int i = 0; i < MANY; i++) {
                assert_int_equal(items[i].result, 0);
                assert_true(items[i].created);
                attachments[i] = items[i].attachment;
        }
        assert_int_equal(count_pins(), MANY);

        for (int i = 0; i < MANY; i++)
                items[i] = item_for(names[i], attachments[i]->hook, ATTACH_MODE_BEST, "111111111111", attachments[i]);
        assert_int_equal(kernel_chain_commit(kernel, items, MANY), 0);
        for (int i = 0; i < MANY; i++) {
                assert_string_equal(items[i].attachment->fused->name, "bc_111111111111");
                assert_int_equal(kernel_chain_check(kernel, items[i].attachment), 0);
                kernel_chain_release(kernel, &items[i]);
        }

        /* One of them fails: the others say what they did, and can be undone. */
        for (int i = 0; i < MANY; i++)
                items[i] = item_for(names[i], attachments[i]->hook, ATTACH_MODE_BEST, "333333333333", attachments[i]);
        assert_int_equal(bpf_link_detach(attachments[6]->link_fd), 0);
        assert_int_equal(kernel_chain_commit(kernel, items, MANY), error_code_to_errno(ERROR_FAILED));
        for (int i = 0; i < MANY; i++) {
                if (i == 6) {
                        assert_int_equal(items[i].error.code, ERROR_FAILED);
                        error_done(&items[i].error);
                } else {
                        assert_int_equal(items[i].result, 0);
                        kernel_chain_rollback(kernel, &items[i]);
                        assert_string_equal(attachments[i]->fused->name, "bc_111111111111");
                        assert_int_equal(kernel_chain_check(kernel, attachments[i]), 0);
                }
                assert_non_null(items[i].fused);
                kernel_fused_free(items[i].fused);
        }
        for (int i = 0; i < MANY; i++)
                kernel_chain_detach(kernel, attachments[i]);
}

static void test_rollback_new(void **state) {
        for (int round = 0; round < 2; round++) {
                ChainCommit items[2];
                uint32_t ids[2];

                kernel->tc_attach = round == 0 ? TC_ATTACH_AUTO : TC_ATTACH_CLSACT;
                items[0] = item_for("bct-b", HOOK_XDP, ATTACH_MODE_BEST, "0123456789ab", NULL);
                items[1] = item_for("bct-b", HOOK_TC_EGRESS, ATTACH_MODE_BEST, "0123456789ab", NULL);
                assert_int_equal(kernel_chain_commit(kernel, items, 2), 0);
                for (int i = 0; i < 2; i++) {
                        ids[i] = items[i].info.program_id;
                        kernel_chain_rollback(kernel, &items[i]);
                        assert_null(items[i].attachment);
                        assert_non_null(items[i].fused);
                        assert_int_equal(items[i].fused->program_id, ids[i]);
                        assert_unpinned(items[i].ifindex, items[i].hook);
                        kernel_fused_free(items[i].fused);
                        assert_program_goes(ids[i]);
                }
        }
}

/* Folders ------------------------------------------------------------------------------------------------------- */

static void test_pin_names(void **state) {
        static const char *const bad[] = {
                "",         "if",       "if-xdp",  "if0-xdp",  "if-1-xdp",        "if1",
                "if1-",     "if1-foo",  "if1xdp",  "if01-xdp", "if1-xdp~",        "xif1-xdp",
                "if1 -xdp", "if+1-xdp", "IF1-xdp", "if1-XDP",  "if4294967297-xdp"
        };
        int ifindex = 0;
        Hook hook = 0;

        assert_int_equal(pins_parse_name("if17-tc-egress", &ifindex, &hook), 0);
        assert_int_equal(ifindex, 17);
        assert_int_equal(hook, HOOK_TC_EGRESS);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(pins_parse_name(bad[i], &ifindex, &hook), -EINVAL);
        assert_int_equal(ifindex, 17);
}

static void assert_no_folder(const char *dir, const char *text) {
        Kernel *other;
        Error error = ERROR_INIT;

        assert_int_equal(kernel_new(dir, TC_ATTACH_AUTO, &other), 0);
        assert_true(pins_prepare(other, &error) < 0);
        assert_non_null(error.message);
        if (!strstr(error.message, text))
                fail_msg("\"%s\" is not in: %s", text, error.message);
        error_done(&error);
        kernel_free(other);
}

static void test_folders(void **state) {
        char dir[160];
        Kernel *other;
        struct stat st;
        Error error = ERROR_INIT;

        assert_int_equal(kernel_new("relative/path", TC_ATTACH_AUTO, &other), -EINVAL);
        assert_int_equal(kernel_new("/", TC_ATTACH_AUTO, &other), -EINVAL);
        assert_no_folder("/bct-top-level", "bpffs");
        assert_no_folder("/tmp/bct-not-on-bpffs", "mount -t bpf");
        assert_no_folder("/tmp/bct-is/not-there", "Mount a bpffs");
        snprintf(dir, sizeof(dir), "%s/with.dot", base);
        assert_no_folder(dir, "with.dot");

        /* Somebody else made it first. */
        snprintf(dir, sizeof(dir), "%s/open", base);
        assert_int_equal(mkdir(dir, 0700), 0);
        assert_int_equal(chmod(dir, 0777), 0);
        assert_no_folder(dir, "another user");
        assert_int_equal(chmod(dir, 0700), 0);
        assert_int_equal(chown(dir, 65534, 65534), 0);
        assert_no_folder(dir, "another user");
        assert_int_equal(rmdir(dir), 0);

        snprintf(dir, sizeof(dir), "%s/good//", base);
        assert_int_equal(kernel_new(dir, TC_ATTACH_AUTO, &other), 0);
        assert_int_equal(pins_prepare(other, &error), 0);
        assert_int_equal(pins_prepare(other, &error), 0);
        snprintf(dir, sizeof(dir), "%s/good/links", base);
        assert_int_equal(stat(dir, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        kernel_free(other);
}

/* In a mount namespace without /sys/fs/bpf one is mounted; in a child, so that nobody else sees it. */
static void test_mounts_bpffs(void **state) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                Kernel *other;
                Error error = ERROR_INIT;

                if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
                    mount("sysfs", "/sys", "sysfs", 0, NULL) < 0 || access("/sys/fs/bpf", F_OK) < 0)
                        _exit(77);
                if (kernel_new(NULL, TC_ATTACH_AUTO, &other) < 0 || pins_prepare(other, &error) < 0 ||
                    access("/sys/fs/bpf/bpfchain/links", F_OK) < 0)
                        _exit(1);
                kernel_free(other);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77) {
                print_message("SKIP: no sysfs can be mounted here\n");
                skip();
        }
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* Questions ----------------------------------------------------------------------------------------------------- */

static void test_details(void **state) {
        InterfaceDetails details;

        assert_int_equal(kernel_interface_details(kernel, index_of("bct-b"), "bct-b", &details), 0);
        assert_string_equal(details.driver, "veth");
        if (details.xdp_features_known)
                assert_true(details.xdp_features & 1 /* NETDEV_XDP_ACT_BASIC */);
        assert_int_equal(kernel_interface_details(kernel, 1, "lo", &details), 0);
        assert_int_equal(details.xdp_features, 0);
        assert_int_equal(kernel_interface_details(kernel, 12345678, "bct-none", &details), -ENODEV);
}

static void test_capabilities(void **state) {
        json_object *object, *again, *types, *v;

        assert_int_equal(kernel_capabilities(kernel, &object), 0);
        print_message("# %s\n", json_object_to_json_string(object));
        assert_int_equal(kernel_capabilities(kernel, &again), 0);
        assert_ptr_equal(object, again);
        json_object_put(again);

        assert_true(json_object_object_get_ex(object, "tcx", &v));
        assert_true(json_object_object_get_ex(v, "available", &v));
        assert_int_equal(json_object_get_boolean(v), kernel_has_tcx() >= 0);
        assert_true(json_object_object_get_ex(object, "xdp-link", &v));
        assert_true(json_object_object_get_ex(v, "available", &v));
        assert_true(json_object_get_boolean(v)); /* the other tests use them */
        assert_true(json_object_object_get_ex(object, "program-types", &types));
        assert_true(json_object_object_get_ex(types, "xdp", &v));
        assert_true(json_object_object_get_ex(v, "available", &v));
        assert_true(json_object_get_boolean(v));
        json_object_object_foreach (types, name, type) {
                bool available;

                assert_true(json_object_object_get_ex(type, "available", &v));
                available = json_object_get_boolean(v);
                /* One or the other: whoever is refused is told why. */
                if (available == (bool) json_object_object_get_ex(type, "reason", &v))
                        fail_msg("%s", name);
        }
        json_object_put(object);
}

static void leave(void) {
        umount2(base, MNT_DETACH);
        rmdir(base);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_xdp_native),
                TEST(test_xdp_generic),
                TEST(test_tcx_ingress),
                TEST(test_tcx_egress),
                TEST(test_clsact_ingress),
                TEST(test_clsact_egress),
                TEST(test_all_hooks_at_once),
                TEST(test_modes),
                TEST(test_native_refused_by_mtu),
                TEST(test_busy_by_netlink),
                TEST(test_busy_by_link),
                TEST(test_tcx_head),
                TEST(test_busy_clsact),
                TEST(test_busy_clsact_other_kind),
                TEST(test_foreign),
                TEST(test_detached_by_force),
                TEST(test_replaced_by_stranger),
                TEST(test_lost_counters),
                TEST(test_clsact_replaced_by_stranger),
                TEST(test_interface_gone),
                TEST(test_interface_moved),
                TEST(test_crashes),
                TEST(test_crash_new),
                TEST(test_lost_pins),
                TEST(test_many),
                TEST(test_rollback_new),
                TEST(test_pin_names),
                TEST(test_folders),
                TEST(test_mounts_bpffs),
                TEST(test_details),
                TEST(test_capabilities),
        };
        const char *tmp = getenv("TMPDIR");
        int r;

        netns_enter();
        netns_choose_plain();

        /* Mounted where nobody else sees it. */
        snprintf(base, sizeof(base), "%.40s/bct-XXXXXX", strempty_to(tmp, "/tmp"));
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(base) ||
            mount("bpf", base, "bpf", 0, NULL) < 0) {
                printf("SKIP: no bpffs can be mounted: %s\n", strerror(errno));
                return 77;
        }
        r = cmocka_run_group_tests_name("attach", tests, NULL, NULL);
        leave();
        return r;
}
