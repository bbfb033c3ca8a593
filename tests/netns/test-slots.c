/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chains with an array of programs on their hooks: the kernel empties such an array once nobody holds it, so it must
 * be held as long as packets come, wherever the service dies, and until the last packet has left the chain. */

#include <bpf/bpf.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel-fixture.h"
#include "kernel/attach.h"
#include "kernel/pins.h"
#include "netns.h"
#include "wire.h"

#define DEVICE "bct-b"
#define SENDER "bct-a"

typedef struct Way {
        Hook hook;
        TcAttach tc_attach;
} Way;

static const Way ways[] = {
        { HOOK_XDP, TC_ATTACH_AUTO },
        { HOOK_TC_INGRESS, TC_ATTACH_AUTO },
        { HOOK_TC_INGRESS, TC_ATTACH_CLSACT },
};

/* Chains of two programs, which have rows of their own in the counters. */
typedef struct Chain {
        const char *signature;
        SlotForm form; /* at best */
        unsigned seat; /* of the first program */
} Chain;

static const Chain plain = { "111111111111", SLOT_FORM_NONE, 0 };
static const Chain slots = { "222222222222", SLOT_FORM_SLOT, 2 };
static const Chain other_slots = { "333333333333", SLOT_FORM_SLOT, 4 };

static const Chain *chain_of(const char *signature) {
        return signature[0] == '1' ? &plain : signature[0] == '2' ? &slots : &other_slots;
}

static KernelFused *build(Kernel *kernel, Hook hook, const Chain *chain, KernelAttachment *attachment) {
        KernelProgram *program =
                test_load_function(kernel, "verdict", hook_is_tc(hook) ? "tc_verdict" : "xdp_verdict", TEST_NEUTRAL);
        const uint32_t set = verdict_default_proceed_on(hook);
        const FuseSlot members[] = { { program, "a", set, chain->seat }, { program, "b", set, chain->seat + 1 } };
        const FuseRequest request = {
                .interface = DEVICE,
                .ifindex = index_of(DEVICE),
                .hook = hook,
                .signature = chain->signature,
                .slots = members,
                .n_slots = 2,
                .attachment = attachment,
                .form_limit = chain->form,
                .counters = COUNTER_LEVEL_ALL,
        };
        _cleanup_error_ Error error = ERROR_INIT;
        KernelFused *fused = NULL;
        FusedInfo info;

        if (kernel_chain_build(kernel, &request, &fused, &info, &error) < 0)
                fail_msg("%s", strna(error.message));
        assert_int_equal(fused->slots_fd >= 0, chain->form == SLOT_FORM_SLOT);
        kernel_program_unref(program);
        return fused;
}

static ChainCommit item_for(Kernel *kernel, Hook hook, const Chain *chain, KernelAttachment *attachment) {
        return (ChainCommit){
                .interface = DEVICE,
                .ifindex = index_of(DEVICE),
                .hook = hook,
                .fused = build(kernel, hook, chain, attachment),
                .attachment = attachment,
        };
}

static KernelAttachment *put(Kernel *kernel, Hook hook, const Chain *chain, KernelAttachment *attachment) {
        ChainCommit item = item_for(kernel, hook, chain, attachment);

        if (kernel_chain_commit(kernel, &item, 1) < 0)
                fail_msg("%s", strna(item.error.message));
        kernel_chain_release(kernel, &item);
        return item.attachment;
}

static KernelAttachment *adopt(Kernel *kernel, Hook hook, const Chain **ret) {
        KernelAttachment *attachment;
        char signature[65];
        AttachmentInfo info;
        int r;

        r = kernel_chain_adopt(kernel, index_of(DEVICE), hook, &attachment, &info, signature);
        if (r == -ENOENT)
                return NULL;
        assert_int_equal(r, 0);
        assert_int_equal(strlen(signature), 12);
        *ret = chain_of(signature);
        return attachment;
}

/* Frames go through all programs of the chain, and end behind its last one. */
static void check_packets(Kernel *kernel, KernelAttachment *attachment, const Chain *chain) {
        uint64_t before[CHAIN_SEATS_MAX][COUNTER_CELLS], after[CHAIN_SEATS_MAX][COUNTER_CELLS];
        unsigned bucket = attachment->hook == HOOK_XDP ? 2 : 0, last = chain->seat + 1;

        assert_int_equal(kernel_chain_counters(kernel, attachment, before), 0);
        send_frames(SENDER, 5);
        for (unsigned i = 0; i < 200; i++) {
                assert_int_equal(kernel_chain_counters(kernel, attachment, after), 0);
                if (after[last][COUNTER_ENDED + bucket] == before[last][COUNTER_ENDED + bucket] + 5)
                        break;
                usleep(5000);
        }
        for (unsigned seat = 0; seat < 6; seat++)
                for (unsigned i = 0; i < VERDICT_BUCKETS; i++) {
                        uint64_t seen = after[seat][i] - before[seat][i],
                                 ended = after[seat][COUNTER_ENDED + i] - before[seat][COUNTER_ENDED + i];
                        bool ours = seat == chain->seat || seat == last;

                        assert_int_equal(seen, ours && i == bucket ? 5 : 0);
                        assert_int_equal(ended, seat == last && i == bucket ? 5 : 0);
                }
}

static bool anything_pinned(const Kernel *kernel, bool staged) {
        return run_quietly("find %s/links %s/programs %s/counters %s/slots -type f%s 2>/dev/null | grep -q .",
                           kernel->bpffs_dir, kernel->bpffs_dir, kernel->bpffs_dir, kernel->bpffs_dir,
                           staged ? " -name '*~'" : "") == 0;
}

static bool slots_pinned(const Kernel *kernel, Hook hook) {
        _cleanup_free_ char *path = NULL;

        assert_int_equal(pins_path(kernel, PIN_SLOTS, index_of(DEVICE), hook, &path), 0);
        return access(path, F_OK) == 0;
}

/* Processes that die ----------------------------------------------------------------------------------------------
 */

static const long calls[] = { SYS_bpf, SYS_rename, SYS_unlink, SYS_sendto, SYS_sendmsg, SYS_membarrier };

/* Waits until the process stops again; false: it is gone. */
static bool wait_stop(pid_t pid, int *ret_signal) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
                fail_msg("the process failed");
        *ret_signal = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
        return WIFSTOPPED(status);
}

/* Follows a process from its second SIGSTOP on: counts its system calls of the kinds above, and kills it before the
 * one of this number (0: none). Returns how many there were. */
static unsigned follow(pid_t pid, unsigned kill_at, unsigned n_of[ELEMENTSOF(calls)]) {
        unsigned n = 0;
        int signal;

        assert_true(wait_stop(pid, &signal));
        assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
        do {
                assert_int_equal(ptrace(PTRACE_CONT, pid, 0, signal == SIGSTOP ? 0 : signal), 0);
                assert_true(wait_stop(pid, &signal));
        } while (signal != SIGSTOP);

        for (;;) {
                struct __ptrace_syscall_info info = {};

                assert_int_equal(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
                if (!wait_stop(pid, &signal))
                        return n;
                if (signal != (SIGTRAP | 0x80) || ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0 ||
                    info.op != PTRACE_SYSCALL_INFO_ENTRY)
                        continue;
                for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                        if ((long) info.entry.nr != calls[i])
                                continue;
                        n_of[i]++;
                        if (++n != kill_at)
                                continue;
                        kill(pid, SIGKILL);
                        assert_int_equal(waitpid(pid, NULL, 0), pid);
                        return n;
                }
        }
}

/* In a process of its own: becomes traced, prepares, and says when it begins. */
static void begin_traced(void) {
        assert_int_equal(ptrace(PTRACE_TRACEME, 0, 0, 0), 0);
        raise(SIGSTOP);
}

/* A service comes, makes `chain` of what it finds, and dies at this call. Returns the number of calls. */
static unsigned serve_until(Kernel *kernel, Hook hook, const Chain *chain, unsigned kill_at) {
        unsigned n_of[ELEMENTSOF(calls)] = {};
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                const Chain *found;
                ChainCommit item;

                begin_traced();
                item = item_for(kernel, hook, chain, adopt(kernel, hook, &found));
                raise(SIGSTOP);
                if (kernel_chain_commit(kernel, &item, 1) < 0)
                        _exit(1);
                kernel_chain_release(kernel, &item);
                _exit(0);
        }
        return follow(pid, kill_at, n_of);
}

/* Takes the chain off, and dies at this call. */
static unsigned detach_until(Kernel *kernel, Hook hook, unsigned kill_at) {
        unsigned n_of[ELEMENTSOF(calls)] = {};
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                KernelAttachment *attachment;
                const Chain *found;

                begin_traced();
                attachment = adopt(kernel, hook, &found);
                raise(SIGSTOP);
                kernel_chain_detach(kernel, attachment);
                _exit(0);
        }
        return follow(pid, kill_at, n_of);
}

/* Whatever the dead left: what is on the hook works, or the hook is free. */
static const Chain *check_left(Kernel *kernel, Hook hook) {
        const Chain *found = NULL;
        KernelAttachment *attachment = adopt(kernel, hook, &found);
        uint32_t id;

        if (!attachment) {
                assert_false(anything_pinned(kernel, false));
                /* a hook that is free can be had */
                kernel_chain_detach(kernel, put(kernel, hook, &plain, NULL));
                return NULL;
        }
        assert_false(anything_pinned(kernel, true));
        assert_int_equal(kernel_chain_check(kernel, attachment), 0);
        assert_int_equal(attachment->fused->slots_fd >= 0, found->form == SLOT_FORM_SLOT);
        assert_int_equal(slots_pinned(kernel, hook), found->form == SLOT_FORM_SLOT);
        check_packets(kernel, attachment, found);

        id = attachment->fused->program_id;
        kernel_chain_detach(kernel, attachment);
        assert_false(anything_pinned(kernel, false));
        assert_program_goes(id);
        return found;
}

static void check_crashes(Kernel *kernel, const Way *way, const Chain *from, const Chain *to) {
        unsigned n = 0, n_old = 0, n_new = 0;

        kernel->tc_attach = way->tc_attach;
        for (unsigned at = 1; at == 1 || n == at - 1; at++) {
                const Chain *found;

                if (from)
                        kernel_attachment_free(put(kernel, way->hook, from, NULL));
                n = serve_until(kernel, way->hook, to, at);
                found = check_left(kernel, way->hook);
                if (found != from && found != to)
                        fail_msg("killed at call %u: neither the old chain nor the new one", at);
                n_old += found == from;
                n_new += found == to;
        }
        print_message("%s: of %u places to die, %u left what was and %u what was to be\n", hook_to_string(way->hook),
                      n, n_old, n_new);
        assert_true(n > 5 && n_old > 2 && n_new > 1);
}

static void check_all_crashes(Kernel *kernel, const Chain *from, const Chain *to) {
        for (size_t i = 0; i < ELEMENTSOF(ways); i++)
                check_crashes(kernel, &ways[i], from, to);
}

static void test_crash_new(void **state) {
        check_all_crashes(*state, NULL, &slots);
}

static void test_crash_other_slots(void **state) {
        check_all_crashes(*state, &slots, &other_slots);
}

static void test_crash_slots_come(void **state) {
        check_all_crashes(*state, &plain, &slots);
}

static void test_crash_slots_go(void **state) {
        check_all_crashes(*state, &slots, &plain);
}

static void test_crash_detach(void **state) {
        Kernel *kernel = *state;

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                unsigned n = 0;

                kernel->tc_attach = ways[i].tc_attach;
                for (unsigned at = 1; at == 1 || n == at - 1; at++) {
                        kernel_attachment_free(put(kernel, ways[i].hook, &slots, NULL));
                        n = detach_until(kernel, ways[i].hook, at);
                        (void) check_left(kernel, ways[i].hook);
                }
                assert_true(n > 5);
        }
}

/* Packets that are on their way -----------------------------------------------------------------------------------
 */

static uint64_t failed(Kernel *kernel, KernelAttachment *attachment) {
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS], sum = 0;
        unsigned bucket = attachment->hook == HOOK_XDP ? 0 : TC_ACT_SHOT + 1;

        assert_int_equal(kernel_chain_counters(kernel, attachment, counters), 0);
        for (size_t i = 0; i < CHAIN_SEATS_MAX; i++)
                sum += counters[i][COUNTER_ENDED + bucket];
        return sum;
}

/* Chains with slots come and go under traffic, by changes and by changes that are taken back: no packet meets an
 * empty array. */
static void test_traffic(void **state) {
        Kernel *kernel = *state;

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                KernelAttachment *attachment;
                pid_t pid = flood(SENDER);

                kernel->tc_attach = ways[i].tc_attach;
                attachment = put(kernel, ways[i].hook, &slots, NULL);
                for (unsigned round = 0; round < 20; round++) {
                        const Chain *next = round % 3 == 0 ? &other_slots : round % 3 == 1 ? &plain : &slots;
                        ChainCommit item = item_for(kernel, ways[i].hook, next, attachment);

                        assert_int_equal(kernel_chain_commit(kernel, &item, 1), 0);
                        if (round % 2 == 0) {
                                kernel_chain_rollback(kernel, &item);
                                kernel_fused_free(item.fused);
                        } else {
                                kernel_chain_release(kernel, &item);
                        }
                }
                kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                assert_int_equal(failed(kernel, attachment), 0);
                kernel_chain_detach(kernel, attachment);
        }
}

static void refuse_membarrier(void) {
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { ELEMENTSOF(filter), filter };

        assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* What system calls letting go of a chain takes that was, or was not, on a hook. */
static void count_calls(Kernel *kernel, const Chain *chain, bool attached, bool refused,
                        unsigned n_of[ELEMENTSOF(calls)]) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                ChainCommit item;

                begin_traced();
                item = item_for(kernel, HOOK_XDP, chain, NULL);
                if (attached) {
                        if (kernel_chain_commit(kernel, &item, 1) < 0)
                                _exit(1);
                        kernel_chain_rollback(kernel, &item);
                }
                if (refused)
                        refuse_membarrier();
                raise(SIGSTOP);
                kernel_fused_free(item.fused);
                _exit(0);
        }
        memset(n_of, 0, ELEMENTSOF(calls) * sizeof(unsigned));
        (void) follow(pid, 0, n_of);
}

/* Whoever lets go of an array that packets may need waits for them, also on machines that refuse membarrier(2). */
static void test_wait(void **state) {
        unsigned n_of[ELEMENTSOF(calls)];

        count_calls(*state, &slots, false, false, n_of);
        assert_int_equal(n_of[5], 0);
        count_calls(*state, &plain, true, false, n_of);
        assert_int_equal(n_of[5], 0);
        count_calls(*state, &slots, true, false, n_of);
        assert_int_equal(n_of[5], 1);
        assert_int_equal(n_of[0], 0);
        count_calls(*state, &slots, true, true, n_of);
        assert_int_equal(n_of[5], 1);
        assert_int_equal(n_of[0], 3); /* two maps, and a change */
}

/* Programs that ask the driver ------------------------------------------------------------------------------------
 */

static int try_bound(Kernel *kernel, int ifindex, KernelFused **ret, Error *error) {
        KernelProgram *program = NULL;
        FuseSlot slot = { .name = "bound", .proceed_on = 1 << 2 };
        FuseRequest request = {
                .interface = DEVICE,
                .ifindex = ifindex,
                .hook = HOOK_XDP,
                .signature = "444444444444",
                .slots = &slot,
                .n_slots = 1,
                .counters = COUNTER_LEVEL_ALL,
        };
        FusedInfo info;
        int r;

        if (test_load(kernel, &(TestProgram){ .name = "bound", .object = "bound" }, &program, NULL, error) < 0) {
                if (error->code != ERROR_INCOMPATIBLE)
                        fail_msg("%s", error->message);
                print_message("SKIP: this kernel does not know of metadata: %s\n", error->message);
                error_done(error);
                skip();
        }
        slot.program = program;
        r = kernel_chain_build(kernel, &request, ret, &info, error);
        kernel_program_unref(program);
        return r;
}

static KernelFused *build_bound(Kernel *kernel, int ifindex) {
        _cleanup_error_ Error error = ERROR_INIT;
        KernelFused *fused = NULL;

        if (try_bound(kernel, ifindex, &fused, &error) < 0)
                fail_msg("%s", strna(error.message));
        assert_true(fused->bound);
        return fused;
}

static void check_refused(Kernel *kernel, ChainCommit *item, const char *text) {
        assert_true(kernel_chain_commit(kernel, item, 1) < 0);
        assert_int_equal(item->error.code, ERROR_NOT_SUPPORTED);
        if (!strstr(item->error.message, text))
                fail_msg("\"%s\" is not in: %s", text, item->error.message);
        print_message("%s\n", item->error.message);
        error_done(&item->error);
}

/* They get what they ask for in native mode only. In generic mode their calls would read what is not there, and the
 * kernel does not look when a program is exchanged. */
static void test_bound(void **state) {
        ChainCommit item = { .interface = DEVICE,
                             .ifindex = index_of(DEVICE),
                             .mode = ATTACH_MODE_GENERIC,
                             .fused = build_bound(*state, index_of(DEVICE)) };
        ChainCommit generic = item_for(*state, HOOK_XDP, &plain, NULL);

        check_refused(*state, &item, "native mode only. Use mode \"best\" or \"native\"");

        generic.mode = ATTACH_MODE_GENERIC;
        assert_int_equal(kernel_chain_commit(*state, &generic, 1), 0);
        item.attachment = generic.attachment;
        item.mode = ATTACH_MODE_BEST;
        check_refused(*state, &item, "the present one runs in generic mode");
        assert_int_equal(kernel_chain_check(*state, item.attachment), 0);
        kernel_chain_detach(*state, item.attachment);
        item.attachment = NULL;

        run("ip link set " SENDER " mtu 9000");
        check_refused(*state, &item, "can't run the chain so");
        run("ip link set " SENDER " mtu 1500");
        item.mode = ATTACH_MODE_NATIVE;
        assert_int_equal(kernel_chain_commit(*state, &item, 1), 0);
        assert_true(item.info.native);
        kernel_chain_detach(*state, item.attachment);
}

/* The interface may not be there yet, or have a driver that gives no answers. */
static void test_bound_to_nothing(void **state) {
        _cleanup_error_ Error error = ERROR_INIT;
        KernelFused *fused = NULL;

        kernel_fused_free(build_bound(*state, 0));
        assert_int_equal(try_bound(*state, index_of("lo"), &fused, &error), error_code_to_errno(ERROR_NOT_SUPPORTED));
        assert_non_null(strstr(error.message, "does not know of XDP"));
}

/* Processes made by tests end with what they do. */
static pid_t ourselves;

static int setup(void **state) {
        return make_pair() < 0 ? -1 : test_remember_fds(state);
}

static int teardown(void **state) {
        const Kernel *kernel = *state;
        bool left;

        if (getpid() != ourselves)
                _exit(2); /* an assertion failed there */
        left = anything_pinned(kernel, false);
        remove_interfaces();
        if (left)
                print_error("pins are left\n");
        return test_compare_fds(state) < 0 || left ? -1 : 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(test_crash_new),
                TEST(test_crash_other_slots),
                TEST(test_crash_slots_come),
                TEST(test_crash_slots_go),
                TEST(test_crash_detach),
                TEST(test_traffic),
                TEST(test_wait),
                TEST(test_bound),
                TEST(test_bound_to_nothing),
        };

        ourselves = getpid();
        netns_enter();
        return cmocka_run_group_tests(tests, kernel_fixture_setup, kernel_fixture_teardown);
}
