/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What others may do to hooks and to what is ours, by raw bpf(2), route netlink and ptrace(2), for the guard's table
 * (guard_table.py), where no common tool does it:
 *
 *      foe [-u] [-w] VERB ARGUMENT…
 *
 *      link-detach LINK-ID
 *      link-update LINK-ID PIN
 *      xdp-link IFINDEX PIN
 *      tcx-link IFINDEX PIN first|last              on tc-ingress
 *      tcx-attach IFINDEX PIN first|last            the same without a link
 *      tcx-replace IFINDEX PROGRAM-ID PIN           without a link, instead of that
 *      tcx-detach IFINDEX PROGRAM-ID
 *      map-open MAP-ID read|write
 *      replace-function PROGRAM-ID
 *      load PROGRAM-TYPE                            of two instructions
 *      trace PID
 *      netlink COUNT TARGET ACT [ARGUMENT]          behind COUNT others in one buffer; TARGET is a name, "alt:" and
 * an alternative name, or a number; ACT: xdp PIN, xdp-off, delete, move PATH-OF-NAMESPACE, delete-clsact flood COUNT
 * VERB ARGUMENT…                   so often, whatever comes of it; link-detach and map-open cost COUNT nanoseconds
 * that an unrelated call of bpf(2) takes
 *
 * -u unlinks its own executable first; -w holds what it made until standard input ends. Prints when it was done
 * (nanoseconds, CLOCK_BOOTTIME), how long it took and its pid; what was refused is on standard error.
 */
#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "kernel/uapi.h"
#include "util/macros.h"

typedef struct Foe {
        int fd; /* what keeps that which it made */
        int64_t started, ended;
} Foe;

/* r0 = 1; exit: what all types may answer. */
static const struct bpf_insn two[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
        { .code = BPF_JMP | BPF_EXIT },
};

static int64_t now(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_BOOTTIME, &ts);
        return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint32_t number(const char *text) {
        char *end;
        unsigned long n = strtoul(text, &end, 10);

        if (*text == '\0' || *end != '\0' || n > UINT32_MAX) {
                fprintf(stderr, "\"%s\" is no number.\n", text);
                exit(2);
        }
        return (uint32_t) n;
}

static int open_pin(const char *path) {
        int fd = bpf_obj_get(path);

        if (fd < 0)
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return fd;
}

/* An ordinary program would give up at the same place, so each step counts. */
static int link_detach(Foe *foe, char **words) {
        int fd = bpf_link_get_fd_by_id(number(words[0]));
        int r = fd;

        if (fd >= 0) {
                r = bpf_link_detach(fd);
                close(fd);
        }
        return r;
}

static int link_update(Foe *foe, char **words) {
        int program = open_pin(words[1]), fd;

        if (program < 0)
                return program;
        foe->started = now();
        fd = bpf_link_get_fd_by_id(number(words[0]));
        return fd < 0 ? fd : bpf_link_update(fd, program, NULL);
}

static int xdp_link(Foe *foe, char **words) {
        int program = open_pin(words[1]);

        if (program < 0)
                return program;
        foe->started = now();
        foe->fd = bpf_link_create(program, (int) number(words[0]), BPF_XDP, NULL);
        return foe->fd;
}

static int tcx_link(Foe *foe, char **words) {
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = streq(words[2], "first") ? UAPI_F_BEFORE : 0);
        int program = open_pin(words[1]);

        if (program < 0)
                return program;
        foe->started = now();
        foe->fd = bpf_link_create(program, (int) number(words[0]), UAPI_TCX_INGRESS, &options);
        return foe->fd;
}

static int tcx_attach(Foe *foe, char **words) {
        LIBBPF_OPTS(bpf_prog_attach_opts, options, .flags = streq(words[2], "first") ? UAPI_F_BEFORE : 0);
        int program = open_pin(words[1]);

        if (program < 0)
                return program;
        foe->started = now();
        return bpf_prog_attach_opts(program, (int) number(words[0]), UAPI_TCX_INGRESS, &options);
}

static int tcx_replace(Foe *foe, char **words) {
        LIBBPF_OPTS(bpf_prog_attach_opts, options, .flags = BPF_F_REPLACE);
        int program = open_pin(words[2]);

        if (program < 0)
                return program;
        foe->started = now();
        options.replace_fd = bpf_prog_get_fd_by_id(number(words[1]));
        if (options.replace_fd < 0)
                return options.replace_fd;
        return bpf_prog_attach_opts(program, (int) number(words[0]), UAPI_TCX_INGRESS, &options);
}

static int tcx_detach(Foe *foe, char **words) {
        LIBBPF_OPTS(bpf_prog_detach_opts, options);
        int program = bpf_prog_get_fd_by_id(number(words[1]));

        return program < 0 ? program
                           : bpf_prog_detach_opts(program, (int) number(words[0]), UAPI_TCX_INGRESS, &options);
}

static int map_open(Foe *foe, char **words) {
        LIBBPF_OPTS(bpf_get_fd_by_id_opts, options, .open_flags = streq(words[1], "read") ? BPF_F_RDONLY : 0);
        int fd = bpf_map_get_fd_by_id_opts(number(words[0]), &options);

        if (fd >= 0)
                close(fd);
        return fd;
}

/* Asked for as libbpf would, but for the types, which only a program with types of its own has: the kernel looks at
 * those last. */
static int replace_function(Foe *foe, char **words) {
        LIBBPF_OPTS(bpf_prog_load_opts, options, .attach_btf_id = 1);
        int fd = bpf_prog_get_fd_by_id(number(words[0]));

        if (fd < 0)
                return fd;
        options.attach_prog_fd = (uint32_t) fd;
        return bpf_prog_load(BPF_PROG_TYPE_EXT, "foe", "GPL", two, ELEMENTSOF(two), &options);
}

static int load(Foe *foe, char **words) {
        return bpf_prog_load((enum bpf_prog_type) number(words[0]), "foe", "GPL", two, ELEMENTSOF(two), NULL);
}

static int trace(Foe *foe, char **words) {
        pid_t pid = (pid_t) number(words[0]);

        if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
                return -errno;
        if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
                return -errno;
        (void) waitpid(pid, NULL, __WALL);
        if (ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0)
                return -errno;
        return 0;
}

static int cost(Foe *foe, char **words) {
        uint32_t count = number(words[0]), key = 0;
        uint64_t value;
        int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "foe_cost", 4, 8, 1, NULL), r = 0;

        if (map < 0)
                return map;
        foe->started = now();
        for (uint32_t i = 0; i < count && r == 0; i++)
                r = bpf_map_lookup_elem(map, &key, &value);
        return r;
}

/* --- route netlink --- */

typedef struct Buffer {
        char *data;
        size_t n, room;
} Buffer;

static struct nlmsghdr *add_message(Buffer *buffer, uint16_t type, size_t header) {
        struct nlmsghdr *message = (struct nlmsghdr *) (buffer->data + buffer->n);

        assert(buffer->n + NLMSG_SPACE(header) <= buffer->room);
        memset(message, 0, NLMSG_SPACE(header));
        message->nlmsg_len = (uint32_t) NLMSG_SPACE(header);
        message->nlmsg_type = type;
        message->nlmsg_flags = NLM_F_REQUEST;
        buffer->n += message->nlmsg_len;
        return message;
}

static struct rtattr *add_attribute(Buffer *buffer, struct nlmsghdr *message, uint16_t type, const void *data,
                                    size_t n) {
        struct rtattr *attribute = (struct rtattr *) (buffer->data + buffer->n);

        assert(buffer->n + RTA_SPACE(n) <= buffer->room);
        memset(attribute, 0, RTA_SPACE(n));
        attribute->rta_type = type;
        attribute->rta_len = (uint16_t) RTA_LENGTH(n);
        if (n > 0)
                memcpy(RTA_DATA(attribute), data, n);
        buffer->n += RTA_SPACE(n);
        message->nlmsg_len += (uint32_t) RTA_SPACE(n);
        return attribute;
}

/* Index, name or alternative name of the interface, as the kernel takes them. */
static void add_target(Buffer *buffer, struct nlmsghdr *message, const char *target) {
        struct ifinfomsg *info = NLMSG_DATA(message);

        if (strncmp(target, "alt:", 4) == 0)
                add_attribute(buffer, message, IFLA_ALT_IFNAME, target + 4, strlen(target + 4) + 1);
        else if (target[0] >= '0' && target[0] <= '9')
                info->ifi_index = (int) number(target);
        else
                add_attribute(buffer, message, IFLA_IFNAME, target, strlen(target) + 1);
}

static int add_xdp(Buffer *buffer, struct nlmsghdr *message, const char *pin) {
        uint32_t before = message->nlmsg_len;
        int32_t program = pin ? open_pin(pin) : -1;
        struct rtattr *nest;

        if (pin && program < 0)
                return program;
        nest = add_attribute(buffer, message, IFLA_XDP | NLA_F_NESTED, NULL, 0);
        add_attribute(buffer, message, IFLA_XDP_FD, &program, sizeof(program));
        nest->rta_len = (uint16_t) (message->nlmsg_len - before);
        return 0;
}

static int add_qdisc_delete(Buffer *buffer, const char *target, struct nlmsghdr **ret) {
        struct tcmsg *tc;

        *ret = add_message(buffer, RTM_DELQDISC, sizeof(*tc));
        tc = NLMSG_DATA(*ret);
        tc->tcm_ifindex = (int) number(target);
        tc->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
        tc->tcm_parent = TC_H_CLSACT;
        return 0;
}

static int add_act(Buffer *buffer, char **words, struct nlmsghdr **ret) {
        const char *target = words[0], *act = words[1];
        int32_t fd;

        if (streq(act, "delete-clsact"))
                return add_qdisc_delete(buffer, target, ret);
        *ret = add_message(buffer, streq(act, "delete") ? RTM_DELLINK : RTM_SETLINK, sizeof(struct ifinfomsg));
        add_target(buffer, *ret, target);
        if (streq(act, "xdp") || streq(act, "xdp-off"))
                return add_xdp(buffer, *ret, streq(act, "xdp") ? words[2] : NULL);
        if (streq(act, "move")) {
                fd = open(words[2], O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
                add_attribute(buffer, *ret, IFLA_NET_NS_FD, &fd, sizeof(fd));
        } else if (!streq(act, "delete"))
                return -EINVAL;
        return 0;
}

/* The kernel's word on the message of that sequence number, the last one. */
static int take_answer(int fd, uint32_t sequence) {
        char answer[8192] __attribute__((aligned(8)));

        for (;;) {
                ssize_t got = recv(fd, answer, sizeof(answer), 0);
                size_t n = got > 0 ? (size_t) got : 0;

                if (got < 0)
                        return -errno;
                for (struct nlmsghdr *m = (struct nlmsghdr *) answer; NLMSG_OK(m, n); m = NLMSG_NEXT(m, n))
                        if (m->nlmsg_type == NLMSG_ERROR && m->nlmsg_seq == sequence)
                                return ((struct nlmsgerr *) NLMSG_DATA(m))->error;
        }
}

static int netlink(Foe *foe, char **words) {
        uint32_t count = number(words[0]);
        Buffer buffer = { .room = (size_t) (count + 1) * 64 + 1024 };
        struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        struct nlmsghdr *message = NULL;
        int fd, room = 8 << 20, r;

        buffer.data = calloc(1, buffer.room);
        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (!buffer.data || fd < 0)
                return -errno;
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
        for (uint32_t i = 0; i < count; i++) {
                struct ifinfomsg *info = NLMSG_DATA(add_message(&buffer, RTM_SETLINK, sizeof(*info)));

                info->ifi_index = 1; /* nothing of lo is to change */
        }
        r = add_act(&buffer, words + 1, &message);
        if (r < 0)
                return r;
        message->nlmsg_flags |= NLM_F_ACK;
        message->nlmsg_seq = 0x666f65;
        foe->started = now();
        if (sendto(fd, buffer.data, buffer.n, 0, (struct sockaddr *) &kernel, sizeof(kernel)) < 0)
                return -errno;
        return take_answer(fd, 0x666f65);
}

/* --- */

static const struct Verb {
        const char *name;
        int n_min, n_max;
        int (*run)(Foe *foe, char **words);
} verbs[] = {
        { "link-detach", 1, 1, link_detach },
        { "link-update", 2, 2, link_update },
        { "xdp-link", 2, 2, xdp_link },
        { "tcx-link", 3, 3, tcx_link },
        { "tcx-attach", 3, 3, tcx_attach },
        { "tcx-replace", 3, 3, tcx_replace },
        { "tcx-detach", 2, 2, tcx_detach },
        { "map-open", 2, 2, map_open },
        { "trace", 1, 1, trace },
        { "replace-function", 1, 1, replace_function },
        { "load", 1, 1, load },
        { "netlink", 3, 4, netlink },
        { "cost", 1, 1, cost },
};

static const struct Verb *find_verb(int argc, char **argv) {
        for (size_t i = 0; argc > 0 && i < ELEMENTSOF(verbs); i++)
                if (streq(argv[0], verbs[i].name) && argc - 1 >= verbs[i].n_min && argc - 1 <= verbs[i].n_max)
                        return &verbs[i];
        fprintf(stderr, "Wrong arguments; see foe.c.\n");
        exit(2);
}

int main(int argc, char **argv) {
        const struct Verb *verb;
        bool hold = false;
        uint32_t count = 1;
        Foe foe = { .fd = -1 };
        int option, r = 0;

        while ((option = getopt(argc, argv, "+uw")) >= 0)
                if (option == 'u')
                        (void) unlink(argv[0]);
                else if (option == 'w')
                        hold = true;
                else
                        return 2;
        argc -= optind;
        argv += optind;
        if (argc > 2 && streq(argv[0], "flood")) {
                count = number(argv[1]);
                argc -= 2;
                argv += 2;
        }
        verb = find_verb(argc, argv);
        libbpf_set_print(NULL);
        foe.started = now();
        for (uint32_t i = 0; i < count; i++)
                r = verb->run(&foe, argv + 1);
        foe.ended = now();
        if (count == 1 && r < 0) {
                fprintf(stderr, "%s: %s\n", verb->name, strerror(-r));
                return EXIT_FAILURE;
        }
        printf("%" PRId64 " %" PRId64 " %d\n", foe.started, foe.ended - foe.started, (int) getpid());
        fflush(stdout);
        while (hold && getchar() != EOF)
                ;
        return EXIT_SUCCESS;
}
