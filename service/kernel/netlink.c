/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <netlink/errno.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "kernel/netlink.h"

int netlink_errno(int code) {
        static const int table[] = {
                [NLE_SUCCESS] = 0,
                [NLE_FAILURE] = EIO,
                [NLE_INTR] = EINTR,
                [NLE_BAD_SOCK] = EBADF,
                [NLE_AGAIN] = EAGAIN,
                [NLE_NOMEM] = ENOBUFS,
                [NLE_EXIST] = EEXIST,
                [NLE_INVAL] = EINVAL,
                [NLE_RANGE] = ERANGE,
                [NLE_MSGSIZE] = EMSGSIZE,
                [NLE_OPNOTSUPP] = EOPNOTSUPP,
                [NLE_AF_NOSUPPORT] = EAFNOSUPPORT,
                [NLE_OBJ_NOTFOUND] = ENOENT,
                [NLE_NOATTR] = EBADMSG,
                [NLE_MISSING_ATTR] = EBADMSG,
                [NLE_AF_MISMATCH] = EBADMSG,
                [NLE_SEQ_MISMATCH] = EBADMSG,
                [NLE_MSG_OVERFLOW] = EMSGSIZE,
                [NLE_MSG_TRUNC] = EMSGSIZE,
                [NLE_NOADDR] = EADDRNOTAVAIL,
                [NLE_SRCRT_NOSUPPORT] = EOPNOTSUPP,
                [NLE_MSG_TOOSHORT] = EBADMSG,
                [NLE_MSGTYPE_NOSUPPORT] = EOPNOTSUPP,
                [NLE_OBJ_MISMATCH] = EINVAL,
                [NLE_NOCACHE] = EINVAL,
                [NLE_BUSY] = EBUSY,
                [NLE_PROTO_MISMATCH] = EPROTOTYPE,
                [NLE_NOACCESS] = EACCES,
                [NLE_PERM] = EPERM,
                [NLE_PKTLOC_FILE] = EIO,
                [NLE_PARSE_ERR] = EBADMSG,
                [NLE_NODEV] = ENODEV,
                [NLE_IMMUTABLE] = EPERM,
                [NLE_DUMP_INTR] = ESTALE,
                [NLE_ATTRSIZE] = EBADMSG,
        };

        if (code >= 0)
                return code;
        if (-code >= (int) ELEMENTSOF(table) || table[-code] == 0)
                return -EIO;
        return -table[-code];
}

int netlink_open(int protocol, int receive_buffer, struct nl_sock **ret) {
        _cleanup_nl_socket_ struct nl_sock *sk = NULL;
        int r;

        sk = nl_socket_alloc();
        if (!sk)
                return -ENOMEM;

        r = nl_connect(sk, protocol);
        if (r < 0)
                return netlink_errno(r);

        if (receive_buffer > 0 && setsockopt(nl_socket_get_fd(sk), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer,
                                             sizeof(receive_buffer)) < 0) {
                r = nl_socket_set_buffer_size(sk, receive_buffer, 0);
                if (r < 0)
                        return netlink_errno(r);
        }

        *ret = TAKE_PTR(sk);
        return 0;
}

int netlink_set_timeout(struct nl_sock *sk, unsigned seconds) {
        struct timeval timeout = { .tv_sec = seconds };

        if (setsockopt(nl_socket_get_fd(sk), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
                return -errno;
        return 0;
}

typedef struct Reception {
        NetlinkHandler handler;
        void *userdata;
        int result; /* first failure of the handler */
} Reception;

/* Only the kernel has port id 0: what another process sends to our port is dropped. */
static bool from_kernel(struct nl_msg *msg) {
        return nlmsg_get_src(msg)->nl_pid == 0;
}

static int on_valid(struct nl_msg *msg, void *userdata) {
        Reception *reception = userdata;
        struct nlmsghdr *header = nlmsg_hdr(msg);

        if (from_kernel(msg) && reception->result >= 0)
                reception->result = reception->handler(header, header->nlmsg_len, reception->userdata);
        return NL_OK;
}

static int on_sequence(struct nl_msg *msg, void *userdata) {
        return NL_OK;
}

static void put_cb(struct nl_cb **cb) {
        if (*cb)
                nl_cb_put(*cb);
}

static struct nl_cb *reception_callbacks(Reception *reception) {
        struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);

        if (!cb)
                return NULL;
        nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, reception);
        return cb;
}

static int request(struct nl_sock *sk, int type, int flags, const void *payload, size_t size, NetlinkHandler handler,
                   void *userdata) {
        Reception reception = { .handler = handler, .userdata = userdata };
        _cleanup_(put_cb) struct nl_cb *cb = reception_callbacks(&reception);
        int r;

        if (!cb)
                return -ENOMEM;

        r = nl_send_simple(sk, type, flags, (void *) payload, size);
        if (r < 0)
                return netlink_errno(r);

        /* One call receives up to the message that ends the answer. */
        r = netlink_errno(nl_recvmsgs(sk, cb));
        if (r < 0)
                return r;
        return MIN2(reception.result, 0);
}

int netlink_dump(struct nl_sock *sk, int type, const void *payload, size_t size, NetlinkHandler handler,
                 void *userdata) {
        return request(sk, type, NLM_F_DUMP, payload, size, handler, userdata);
}

int netlink_request(struct nl_sock *sk, int type, const void *payload, size_t size, NetlinkHandler handler,
                    void *userdata) {
        return request(sk, type, 0, payload, size, handler, userdata);
}

int netlink_receive(struct nl_sock *sk, NetlinkHandler handler, void *userdata) {
        Reception reception = { .handler = handler, .userdata = userdata };
        _cleanup_(put_cb) struct nl_cb *cb = reception_callbacks(&reception);
        int r;

        if (!cb)
                return -ENOMEM;
        nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, on_sequence, NULL);

        r = netlink_errno(nl_recvmsgs(sk, cb));
        if (r == -EAGAIN)
                return 0;
        if (r < 0)
                return r;
        return reception.result < 0 ? reception.result : 1;
}
