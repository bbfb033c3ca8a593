/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "matrix.h"

#define CHECK(condition, run)                                                                                        \
        do {                                                                                                         \
                if (!(condition))                                                                                    \
                        fail_msg("%s: not so: " #condition, (run)->program->name);                                   \
        } while (0)

static int map_of(MatrixRun *run, const char *name) {
        ssize_t i = kernel_program_find_map(run->program, name);

        CHECK(i >= 0, run);
        return run->program->map_fds[i];
}

static void set(MatrixRun *run, const char *map, uint32_t key, const void *value) {
        if (bpf_map_update_elem(map_of(run, map), &key, value, BPF_ANY) < 0)
                fail_msg("%s: %s[%u]: %s", run->program->name, map, key, strerror(errno));
}

/* What preparations do. */

static void fill_devices(MatrixRun *run) {
        set(run, "devices", 0, &(uint32_t){ if_nametoindex(MATRIX_DEVICE) });
}

static void fill_cpus(MatrixRun *run) {
        set(run, "cpus", 0, &(uint32_t){ 192 });
}

static void fill_sockets(MatrixRun *run) {
        run->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
        if (run->fd < 0)
                fail_msg("AF_XDP: %s", strerror(errno));
        set(run, "sockets", 0, &(uint32_t){ (uint32_t) run->fd });
}

/* 1 -> 2 -> … -> 200 -> 0, see maygoto.bpf.c. */
static void fill_next(MatrixRun *run) {
        for (uint32_t i = 1; i <= 200; i++)
                set(run, "next", i, &(uint32_t){ i < 200 ? i + 1 : 0 });
}

static void bind_socket(MatrixRun *run) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(MATRIX_PORT) };

        run->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(run->fd >= 0, run);
        CHECK(bind(run->fd, (struct sockaddr *) &address, sizeof(address)) == 0, run);
}

/* Pages of an arena come into being when user space touches them. */
static void touch_arena(MatrixRun *run) {
        run->memory_size = 4 * (size_t) sysconf(_SC_PAGESIZE);
        run->memory = mmap((void *) MATRIX_ARENA_A, run->memory_size, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_FIXED_NOREPLACE, map_of(run, "arena"), 0);
        if (run->memory == MAP_FAILED) {
                run->memory = NULL;
                fail_msg("the arena can't be mapped: %s", strerror(errno));
        }
        ((volatile uint64_t *) run->memory)[8] = 40;
}

static void tag_packet(MatrixRun *run) {
        memmove(run->in.data + 16, run->in.data + 12, run->in.size - 12);
        memcpy(run->in.data + 12, (uint8_t[]){ 0x81, 0, 0, 100 }, 4);
        run->in.size += 4;
}

static void aim_at_9999(MatrixRun *run) {
        run->in.data[36] = 9999 >> 8;
        run->in.data[37] = 9999 & 255;
}

/* What checks look at. */

static bool same_from(const MatrixRun *run, size_t out, size_t in) {
        return run->out.size - out == run->in.size - in &&
               memcmp(run->out.data + out, run->in.data + in, run->in.size - in) == 0;
}

static void is_unchanged(MatrixRun *run) {
        CHECK(same_from(run, 0, 0), run);
}

static void has_tag(MatrixRun *run) {
        CHECK(memcmp(run->out.data, run->in.data, 12) == 0, run);
        CHECK(memcmp(run->out.data + 12, (uint8_t[]){ 0x81, 0, 0, 100 }, 4) == 0, run);
        CHECK(same_from(run, 16, 12), run);
}

static void has_lost_tag(MatrixRun *run) {
        CHECK(memcmp(run->out.data, run->in.data, 12) == 0, run);
        CHECK(same_from(run, 12, 16), run);
}

/* The kernel hands out metadata in front of the packet. */
static void has_mark(MatrixRun *run) {
        CHECK(memcmp(run->out.data, "kmcb", 4) == 0, run);
        CHECK(same_from(run, 4, 0), run);
}

static void is_4_longer(MatrixRun *run) {
        CHECK(run->out.size == run->in.size + 4, run);
        CHECK(memcmp(run->out.data, run->in.data, run->in.size - 4) == 0, run);
}

static void is_10_longer(MatrixRun *run) {
        CHECK(run->out.size == run->in.size + 10, run);
        CHECK(memcmp(run->out.data, run->in.data, run->in.size) == 0, run);
}

static void has_4_in_front(MatrixRun *run) {
        CHECK(same_from(run, 4, 0), run);
}

/* An IPv6 header in the place of the IPv4 one. */
static void is_ipv6(MatrixRun *run) {
        CHECK(run->out.size == run->in.size + 20, run);
        CHECK(same_from(run, 54, 34), run);
}

/* 8 bytes behind the IPv4 header. */
static void has_room(MatrixRun *run) {
        CHECK(memcmp(run->out.data, run->in.data, 34) == 0, run);
        CHECK(same_from(run, 42, 34), run);
}

static void has_lived_less(MatrixRun *run) {
        uint32_t sum = 0;

        CHECK(run->out.data[22] == run->in.data[22] - 1, run);
        for (size_t i = 14; i < 34; i += 2)
                sum += (uint32_t) (run->out.data[i] << 8 | run->out.data[i + 1]);
        CHECK(((sum & 0xffff) + (sum >> 16)) == 0xffff, run);
        CHECK(same_from(run, 34, 34), run);
}

static void is_crosswise(MatrixRun *run) {
        CHECK(memcmp(run->out.data, run->in.data + 6, 6) == 0, run);
        CHECK(memcmp(run->out.data + 6, run->in.data, 6) == 0, run);
        CHECK(same_from(run, 12, 12), run);
}

static void has_new_address(MatrixRun *run) {
        CHECK(run->out.data[0] == 0x42, run);
        CHECK(same_from(run, 1, 1), run);
}

static void has_fields(MatrixRun *run) {
        CHECK(run->skb.mark == 0x1000 && run->skb.priority == 7, run);
        for (uint32_t i = 0; i < 5; i++)
                CHECK(run->skb.cb[i] == 100 + i, run);
}

static void has_way(MatrixRun *run) {
        uint64_t mac = matrix_variable(run->program, "mac");

        CHECK(matrix_variable(run->program, "way") == if_nametoindex(MATRIX_DEVICE), run);
        CHECK(memcmp(&mac, (uint8_t[]){ 2, 0, 0, 0, 0, 0x99 }, 6) == 0, run);
}

static void was_counted_under_lock(MatrixRun *run) {
        struct {
                uint32_t lock, reserved;
                uint64_t packets, again;
        } account;

        CHECK(bpf_map_lookup_elem_flags(map_of(run, "accounts"), &(uint32_t){ 0 }, &account, BPF_F_LOCK) == 0, run);
        CHECK(account.packets == 1 && account.again == 1, run);
}

static void was_counted_inside(MatrixRun *run) {
        uint32_t id, key = 1;
        uint64_t count = 0;
        int fd;

        CHECK(bpf_map_lookup_elem(map_of(run, "outer"), &key, &id) == 0, run);
        fd = bpf_map_get_fd_by_id(id);
        CHECK(fd >= 0, run);
        key = 0;
        CHECK(bpf_map_lookup_elem(fd, &key, &count) == 0 && count == 1, run);
        close(fd);
}

static void is_in_arena(MatrixRun *run) {
        CHECK(((volatile uint64_t *) run->memory)[8] == 41, run);
}

/* Waits for what runs beside the packets. */
static void wait_for(MatrixRun *run, uint64_t (*look)(MatrixRun *run), uint64_t expected) {
        for (unsigned i = 0; i < 2000; i++) {
                if (look(run) == expected)
                        return;
                usleep(5000);
        }
        fail_msg("%s: %" PRIu64 " in place of %" PRIu64, run->program->name, look(run), expected);
}

static uint64_t look_at_alarm(MatrixRun *run) {
        struct {
                uint64_t timer[2], fired;
        } alarm = {};

        CHECK(run->program->info.maps[kernel_program_find_map(run->program, "alarms")].value_size == sizeof(alarm),
              run);
        CHECK(bpf_map_lookup_elem(map_of(run, "alarms"), &(uint32_t){ 0 }, &alarm) == 0, run);
        return alarm.fired;
}

static void has_rung(MatrixRun *run) {
        wait_for(run, look_at_alarm, 1);
}

static uint64_t look_at_effect(MatrixRun *run) {
        return matrix_variable(run->program, "effect");
}

static void has_worked(MatrixRun *run) {
        wait_for(run, look_at_effect, 1);
}

/* An array that was given up is frozen, so that nobody can fill it behind our back. */
static void arrays_are_frozen(MatrixRun *run) {
        for (size_t i = 0; i < run->program->info.n_maps; i++) {
                uint32_t key = 0, program = UINT32_MAX;

                if (run->program->info.maps[i].type_number != BPF_MAP_TYPE_PROG_ARRAY ||
                    !run->program->member->uses_map[i])
                        continue;
                CHECK(bpf_map_update_elem(run->program->map_fds[i], &key, &program, BPF_ANY) < 0, run);
                CHECK(errno == EPERM, run);
        }
}

/* What comes of 10,000 steps, see longcode.bpf.c. */
static void has_stepped(MatrixRun *run) {
        uint64_t sum = run->in.size;

        for (unsigned i = 0; i < 10000; i++)
                sum = sum * 31 + 7;
        CHECK(matrix_variable(run->program, "effect") == sum, run);
}

static void has_listed(MatrixRun *run) {
        CHECK(matrix_variable(run->program, "weight_total") == 0, run);
}

static void stays_open(MatrixRun *run) {
        uint32_t key = 0, program = UINT32_MAX;

        CHECK(bpf_map_update_elem(map_of(run, "xdp_next_prog"), &key, &program, BPF_ANY) < 0 && errno == EBADF, run);
}

#define XDP .hook = HOOK_XDP
#define TC  .hook = HOOK_TC_INGRESS

const MatrixRow matrix_table[] = {
        /* maps and what is in them */
        { "maps", "verdict", "xdp_verdict", XDP, .forms = "IGSL", .check = is_unchanged },
        { NULL, "verdict", "tc_verdict", TC, .forms = "IGSL", .check = is_unchanged },
        { NULL, "maps", "xdp_maps", XDP, .forms = "IGSL" },
        { NULL, "manymaps", "xdp_manymaps", XDP, .forms = "IGSL" },
        { "maps in maps", "mapinmap", "xdp_mapinmap", XDP, .forms = "IGSL", .check = was_counted_inside },
        { "global variables", "datasections", "xdp_datasections", XDP, .forms = "IGSL", .variable = "scratch",
          .effect = 2 },
        { NULL, "globals", "xdp_globals", XDP, .forms = "IGSL", .variable = "bss_count", .effect = 1 },
        { "spin locks", "spinlock", "xdp_spinlock", XDP, .forms = "IGSL", .check = was_counted_under_lock },
        { NULL, "critical", "xdp_reslock", XDP, .forms = "IGSL", .effect = 1 },
        { "ring buffers and perf buffers", "ringbuf", "xdp_ringbuf", XDP, .forms = "IGSL", .variable = "sequence",
          .effect = 1 },
        { NULL, "perfevent", "xdp_perfevent", XDP, .forms = "IGSL", .effect = 1 },
        { NULL, "perfevent", "tc_perfevent", TC, .forms = "IGSL", .effect = 1 },
        { "an arena", "arena-a", "xdp_arena", XDP, .forms = "IGSL", .effect = 41, .prepare = touch_arena,
          .check = is_in_arena },
        { NULL, "arena-a", "tc_arena", TC, .forms = "IGSL", .effect = 41, .prepare = touch_arena,
          .check = is_in_arena },
        { "externs (kconfig, ksyms, weak ones)", "externs", "xdp_externs", XDP, .forms = "IGSL", .effect = 2 },

        /* the kernel's functions */
        { "kernel functions (kfuncs)", "kfunc", "xdp_kfunc", XDP, .forms = "IGSL", .variable = "ethertype",
          .effect = ETH_P_IP },
        { NULL, "castctx", "xdp_castctx", XDP, .forms = "IGSL", .effect = 1 },
        { "dynptrs", "dynptr", "xdp_dynptr", XDP, .forms = "IGSL", .effect = 1 },
        { NULL, "dynptr", "tc_dynptr", TC, .forms = "IGSL", .effect = 1, .check = has_new_address },
        { "RCU, preemption and interrupt sections", "critical", "xdp_rcu", XDP, .forms = "IGSL", .effect = 1 },
        { NULL, "critical", "xdp_preempt", XDP, .forms = "IGSL", .effect = 1 },
        { NULL, "critical", "xdp_irq", XDP, .forms = "IGSL", .effect = 1 },
        { "socket look-ups", "sockets", "xdp_sockets", XDP, .forms = "IGSL", .effect = 1, .prepare = bind_socket },
        { NULL, "sockets", "tc_sockets", TC, .forms = "IGSL", .effect = 1, .prepare = bind_socket },
        { "route look-ups", "fib", "xdp_fib", XDP, .globals = "{\"ingress\": %u}", .forms = "IGSL", .effect = 1,
          .check = has_way },
        { NULL, "fib", "tc_fib", TC, .globals = "{\"ingress\": %u}", .forms = "IGSL", .effect = 1, .check = has_way },

        /* where packets go */
        { "redirects", "redirect", "xdp_redirect", XDP, .globals = "{\"target_ifindex\": %u}", .forms = "IGSL",
          .ends = true, .verdict = 4 },
        { NULL, "redirect", "tc_redirect", TC, .globals = "{\"target_ifindex\": %u}", .forms = "IGSL", .ends = true,
          .verdict = 7 },
        { NULL, "clone", "tc_clone", TC, .globals = "{\"target_ifindex\": %u}", .forms = "IGSL", .effect = 1,
          .check = is_unchanged },
        { "device maps, CPU maps, XSK maps", "redirect", "xdp_redirect_map", XDP, .forms = "IGSL", .ends = true,
          .verdict = 4, .prepare = fill_devices },
        { NULL, "redirect", "xdp_redirect_map", XDP, .globals = "{\"verdict\": 2}", .forms = "IGSL" },
        { NULL, "cpumap", "xdp_cpumap", XDP, .forms = "IGSL", .ends = true, .verdict = 4, .prepare = fill_cpus },
        { NULL, "xskmap", "xdp_xskmap", XDP, .forms = "IGSL" },
        { NULL, "xskmap", "xdp_xskmap", XDP, .forms = "IGSL", .ends = true, .verdict = 4, .effect = 1,
          .prepare = fill_sockets },

        /* what is done to packets */
        { "moving the packet's ends", "adjust", "xdp_adjust_push", XDP, .forms = "IGSL", .check = has_tag },
        { NULL, "adjust", "xdp_adjust_pop", XDP, .forms = "IGSL", .prepare = tag_packet, .check = has_lost_tag },
        { NULL, "adjust", "xdp_adjust_meta", XDP, .forms = "IGSL", .check = has_mark },
        { NULL, "adjust", "xdp_adjust_tail", XDP, .forms = "IGSL", .check = is_4_longer },
        { NULL, "skbchange", "tc_change_tail", TC, .forms = "IGSL", .effect = 84, .check = is_10_longer },
        { NULL, "skbchange", "tc_change_head", TC, .forms = "IGSL", .effect = 78, .check = has_4_in_front },
        { NULL, "skbchange", "tc_change_proto", TC, .forms = "IGSL", .effect = ETH_P_IPV6, .check = is_ipv6 },
        { NULL, "skbchange", "tc_change_type", TC, .forms = "IGSL", .effect = 3, .check = is_unchanged },
        { NULL, "skbchange", "tc_vlan_push", TC, .forms = "IGSL", .effect = 100, .check = is_unchanged },
        { NULL, "skbchange", "tc_vlan_pop", TC, .forms = "IGSL", .effect = 74, .prepare = tag_packet,
          .check = has_lost_tag },
        { NULL, "skbchange", "tc_adjust_room", TC, .forms = "IGSL", .effect = 82, .check = has_room },
        { NULL, "skbchange", "tc_pull_data", TC, .forms = "IGSL", .effect = 74, .check = is_unchanged },
        { "bytes by helpers", "bytes", "xdp_bytes", XDP, .forms = "IGSL", .effect = 1, .check = is_crosswise },
        { NULL, "bytes", "tc_bytes", TC, .forms = "IGSL", .effect = 1, .check = is_crosswise },
        { "checksums", "csum", "xdp_csum", XDP, .forms = "IGSL", .effect = 1, .check = has_lived_less },
        { NULL, "csum", "tc_csum", TC, .forms = "IGSL", .effect = 1, .check = has_lived_less },
        { "fields of the socket buffer (mark, cb)", "skbfields", "tc_fields_write", TC, .forms = "IGSL", .effect = 1,
          .check = has_fields },
        { "packet loads of classic BPF", "packetload", "tc_packetload", TC, .forms = "GGLL", .reason = "packet loads",
          .effect = ETH_P_IP, .check = is_unchanged },

        /* how code is arranged */
        { "subprograms, global ones too", "subprog", "xdp_subprog", XDP, .forms = "IGSL", .variable = "bytes",
          .effect = 74 },
        { NULL, "subprog", "tc_subprog", TC, .forms = "IGSL", .variable = "bytes", .effect = 74 },
        { NULL, "argtags", "xdp_argtags", XDP, .forms = "IGSL", .effect = 74 },
        { NULL, "samename-a", "xdp_samename", XDP, .forms = "IGSL", .effect = 1 },
        { NULL, "samename-b", "xdp_samename", XDP, .forms = "IGSL", .effect = 1000 },
        { "iterators (bpf_for)", "iterators", "xdp_iterators", XDP, .forms = "IGSL", .effect = 4950 },
        { NULL, "iterators", "tc_iterators", TC, .forms = "IGSL", .effect = 4950 },
        { "may_goto (cond_break)", "maygoto", "xdp_maygoto", XDP, .forms = "IGSL", .effect = 200,
          .prepare = fill_next },
        { NULL, "maygoto", "tc_maygoto", TC, .forms = "IGSL", .effect = 200, .prepare = fill_next },
        { "callbacks", "callback", "xdp_callback", XDP, .forms = "IGSL", .variable = "loop_total", .effect = 45,
          .check = has_listed },
        { "timers and work queues", "timer", "xdp_timer", XDP, .forms = "IGSL", .check = has_rung },
        { NULL, "workqueue", "xdp_workqueue", XDP, .forms = "IGSL", .check = has_worked },
        { "atomic instructions", "atomics", "xdp_atomics", XDP, .forms = "IGSL", .effect = 1 },
        { "large switches and tables", "switch", "xdp_switch", XDP, .forms = "IGSL", .effect = 100 },
        { NULL, "switch", "tc_switch", TC, .forms = "IGSL", .effect = 100 },
        { "more than 16,000 instructions in the main function", "longcode", "xdp_longcode", XDP, .forms = "GGSL",
          .reason = "too long", .check = has_stepped },
        { "costly verification", "toolong", "xdp_toolong", XDP, .forms = "GGSL", .reason = "costly to verify" },
        { "more than 448 bytes of stack in the main function", "bigstack", "xdp_bigstack", XDP, .forms = "GGSL",
          .reason = "stack" },
        { NULL, "stack", "xdp_stack_full", XDP, .forms = "LGSL", .reason = "stack", .effect = 1 },
        { "stack in several frames", "stack", "xdp_stack_frames", XDP, .forms = "IGSL", .effect = 1 },
        { "a context taken as void *", "voidctx", "xdp_voidctx", XDP, .forms = "IGSL" },
        { NULL, "voidctx", "tc_voidctx", TC, .forms = "IGSL" },
        { "no type information", "nobtf", "xdp_nobtf", XDP, .forms = "IGSL" },
        { NULL, "nobtf", "tc_nobtf", TC, .forms = "IGSL" },
        { NULL, "nofuncinfo", "xdp_nofuncinfo", XDP, .forms = "IGSL" },
        { "odd section names", "oddsection", "odd_xdp", XDP, .forms = "IGSL" },
        { NULL, "oddsection", "odd_tc", TC, .forms = "IGSL" },
        { NULL, "unknownsection", "unknown_xdp", XDP, .type = "xdp", .forms = "IGSL" },
        { "a licence that is not the GPL's", "proprietary", "xdp_proprietary", XDP, .forms = "IGSL" },

        /* what would end or disturb a chain */
        { "tail calls", "jumps", "xdp_jumps", XDP, .globals = "{\"target\": 2}", .forms = "GGLL",
          .reason = "tail calls" },
        { NULL, "l3af", "xdp_next_end", XDP, .keep_tail_calls = true, .forms = "GGLL", .reason = "tail calls",
          .effect = 1, .check = stays_open },
        { NULL, "l3af", "xdp_next_middle", XDP, .keep_tail_calls = true, .forms = "GGLL", .reason = "tail calls",
          .effect = 3, .check = stays_open },
        { NULL, "l3af", "xdp_next_subprogram", XDP, .keep_tail_calls = true, .forms = "GGLL", .reason = "tail calls",
          .effect = 2, .check = stays_open },
        { "tail calls into arrays that nothing fills", "l3af", "xdp_next_end", XDP, .forms = "IGSL", .effect = 1,
          .check = arrays_are_frozen },
        { NULL, "l3af", "xdp_next_middle", XDP, .forms = "IGSL", .effect = 3, .check = arrays_are_frozen },
        { NULL, "l3af", "xdp_next_subprogram", XDP, .forms = "IGSL", .effect = 2, .check = arrays_are_frozen },
        { NULL, "l3af", "xdp_next_variable", XDP, .forms = "IGSL", .effect = 2, .check = arrays_are_frozen },
        { NULL, "l3af", "xdp_next_registers", XDP, .forms = "IGSL", .effect = 6, .check = arrays_are_frozen },
        { NULL, "l3af", "tc_next_end", TC, .forms = "IGSL", .effect = 1, .check = arrays_are_frozen },
        { NULL, "manytailcalls", "xdp_manytailcalls", XDP, .forms = "IGSL", .check = arrays_are_frozen },
        { NULL, "nofuncinfo", "xdp_nofuncinfo_tailcall", XDP, .forms = "IGSL", .check = arrays_are_frozen },
        { "tail calls without type information", "nofuncinfo", "xdp_nofuncinfo_tailcall", XDP,
          .keep_tail_calls = true, .forms = "GGLL", .reason = "tail calls" },
        { "exceptions (bpf_throw)", "throw", "xdp_throw", XDP, .forms = "LLLL", .reason = "exception" },
        { NULL, "throw", "xdp_throw", XDP, .forms = "LLLL", .reason = "exception", .ends = true, .verdict = 1,
          .prepare = aim_at_9999 },
        { NULL, "throw-caught", "xdp_throw_caught", XDP, .forms = "LLLL", .reason = "exception", .ends = true,
          .verdict = 3, .effect = 1 },
        { "objects of own types (bpf_obj_new)", "allocate", "xdp_allocate", XDP, .forms = "LLLL",
          .reason = "objects" },
        { NULL, "graph", "xdp_list", XDP, .forms = "LLLL", .reason = "objects", .effect = 1 },
        { NULL, "graph", "tc_list", TC, .forms = "LLLL", .reason = "objects", .effect = 1 },
        { NULL, "graph", "xdp_rbtree", XDP, .forms = "LLLL", .reason = "objects", .effect = 1 },
        { NULL, "graph", "xdp_refcount", XDP, .forms = "LLLL", .reason = "objects", .effect = 1 },
        { NULL, "kptr", "xdp_kptr", XDP, .forms = "LLLL", .reason = "objects", .effect = 1 },
        { NULL, "kptr", "xdp_percpu", XDP, .forms = "LLLL", .reason = "objects", .effect = 1 },
        { "frags, all programs", "frags", "xdp_frags", XDP, .company = "frags", .forms = "IGSL", .variable = "bytes",
          .effect = 74 },
        { "frags, some programs", "frags", "xdp_frags", XDP, .forms = "IGSL", .variable = "bytes", .effect = 74 },
        {},
};
