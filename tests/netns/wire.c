/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>
/* cmocka.h needs those above */
#include <cmocka.h>

#include "netns.h"
#include "wire.h"

int make_pair(void) {
        if (run_quietly("ip link add bct-a type veth peer name bct-b && "
                        "ip link set bct-a addrgenmode none up arp off && "
                        "ip link set bct-b addrgenmode none up arp off") != 0)
                return -1;
        /* Until the kernel has noticed the carrier, which it does a little later, frames are dropped. */
        if (run_quietly(
                    "for i in $(seq 200); do "
                    "[ \"$(ip -o link | grep 'bct-[ab]@' | grep -v 'qdisc noop ' | grep -c 'state UP')\" = 2 ] && "
                    "exit 0; sleep 0.01; done; exit 1") != 0)
                return -1;
        return 0;
}

void remove_interfaces(void) {
        run_quietly("for i in $(ip -o link | sed -n 's/^[0-9]*: \\(bct-[^:@]*\\).*/\\1/p'); do "
                    "ip link del \"$i\" 2>/dev/null; done; true");
}

int index_of(const char *name) {
        int ifindex = (int) if_nametoindex(name);

        assert_true(ifindex > 0);
        return ifindex;
}

static const uint8_t frame[WIRE_FRAME_SIZE] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };

static int open_socket(const char *interface, struct sockaddr_ll *ret) {
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        *ret = (struct sockaddr_ll){ .sll_family = AF_PACKET, .sll_ifindex = index_of(interface), .sll_halen = 6 };
        return fd;
}

void send_frames(const char *interface, unsigned n) {
        struct sockaddr_ll to;
        _cleanup_close_ int fd = open_socket(interface, &to);

        for (unsigned i = 0; i < n; i++)
                assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *) &to, sizeof(to)),
                                 sizeof(frame));
}

pid_t flood(const char *interface) {
        struct sockaddr_ll to;
        _cleanup_close_ int fd = open_socket(interface, &to);
        pid_t pid = fork();

        assert_true(pid >= 0);
        while (pid == 0)
                (void) sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *) &to, sizeof(to));
        return pid;
}

bool program_exists(uint32_t id) {
        _cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);

        return fd >= 0;
}

void assert_program_goes(uint32_t id) {
        for (unsigned i = 0; i < 500 && program_exists(id); i++)
                nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
        assert_false(program_exists(id));
}
