/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What route netlink is asked for: a request may hold many messages, and name an interface in many ways. It is read
 * as the kernel will (rtnetlink_rcv_msg() and what it calls); where that can't be foreseen, the worst is assumed.
 */

#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "guard-judge.bpf.h"

#define NLA_HEADER    4
#define NLA_TYPES     0x3fff /* without flags of the type */
#define ATTRIBUTES    16384  /* of a message */
#define OUR_PRIORITY  1      /* of the filter by which clsact holds a chain */
#define CLSACT_EGRESS 0xfff3 /* TC_H_MIN_EGRESS */
#define MAJOR(handle) ((handle) &0xffff0000U)
#define MINOR(handle) ((handle) &0xffffU)

/* Attributes that headers of older distributions lack; include/uapi/linux/if_link.h. */
#define UAPI_TARGET_NETNSID 46
#define UAPI_ALT_IFNAME     53

/* What a message says of an interface. */
enum {
        SAYS_XDP = 1 << 0,
        SAYS_MOVE = 1 << 1,
        SAYS_NETNS = 1 << 2, /* that it may be in another namespace than the socket */
        SAYS_GROUP = 1 << 3,
        SAYS_NAME = 1 << 4,
        SAYS_PROGRAM = 1 << 5, /* in the attribute about XDP */
};

struct guard_attributes {
        const unsigned char *data;
        __u32 at;
        __u32 size;
        __u32 says;
        __u32 named;  /* index of an interface of ours with one of the names */
        __u32 xdp_at; /* of the attribute's contents */
        __u32 xdp_end;
        int program; /* descriptor */
};

struct guard_finding {
        __u32 act;
        __u32 ifindex;
        __u32 hook;
        __u32 type;
};

struct guard_request {
        const unsigned char *data;
        __u32 at;
        __u32 size;
        __u32 ours; /* the socket is in our namespace */
        __u32 done;
        struct guard_finding hooks;
        struct guard_finding interfaces;
};

static __always_inline void guard_find(struct guard_finding *finding, __u32 act, __u32 ifindex, __u32 hook,
                                       __u32 type) {
        if (finding->act != GUARD_BPF_ACT_NONE)
                return;
        finding->act = act;
        finding->ifindex = ifindex;
        finding->hook = hook;
        finding->type = type;
}

/* The index of the interface of ours with this name, or 0. */
static __always_inline __u32 guard_find_name(const unsigned char *text, __u32 length) {
        struct guard_name name = {};
        __u32 *ifindex;

        if (length > GUARD_BPF_NAME - 1)
                length = GUARD_BPF_NAME - 1;
        if (bpf_probe_read_kernel_str(name.text, length + 1, text) <= 1)
                return 0;
        ifindex = bpf_map_lookup_elem(&guard_names, &name);
        return ifindex ? *ifindex : 0;
}

/* Reads the next attribute's header; false at the end, where `at` is beyond all then. */
static __always_inline bool guard_next(struct guard_attributes *in, __u32 *ret_type, __u32 *ret_at,
                                       __u32 *ret_length) {
        struct {
                __u16 length;
                __u16 type;
        } header = {};

        if (in->at + NLA_HEADER > in->size || bpf_probe_read_kernel(&header, sizeof(header), in->data + in->at) < 0 ||
            header.length < NLA_HEADER || header.length > in->size - in->at) {
                in->at = in->size;
                return false;
        }
        *ret_type = header.type & NLA_TYPES;
        *ret_at = in->at + NLA_HEADER;
        *ret_length = header.length - NLA_HEADER;
        in->at += (header.length + 3U) & ~3U;
        if (in->at > in->size)
                in->at = in->size;
        return true;
}

/* Global functions hide from the verifier what they do to their arguments, so that it need not follow each way
 * through the loops. They return 1 at the end. */

__noinline int guard_on_attribute(struct guard_attributes *in) {
        __u32 type, at, length, named;

        if (!in || !guard_next(in, &type, &at, &length))
                return 1;
        switch (type) {
        case IFLA_IFNAME:
        case UAPI_ALT_IFNAME:
                in->says |= SAYS_NAME;
                named = guard_find_name(in->data + at, length);
                if (named > 0)
                        in->named = named;
                break;
        case IFLA_XDP:
                in->says |= SAYS_XDP;
                in->xdp_at = at;
                in->xdp_end = at + length;
                break;
        case IFLA_NET_NS_PID:
        case IFLA_NET_NS_FD: in->says |= SAYS_MOVE; break;
        case UAPI_TARGET_NETNSID: in->says |= SAYS_NETNS; break;
        case IFLA_GROUP: in->says |= SAYS_GROUP; break;
        }
        return 0;
}

__noinline int guard_on_xdp_attribute(struct guard_attributes *in) {
        __u32 type, at, length;

        if (!in || !guard_next(in, &type, &at, &length))
                return 1;
        if (type == IFLA_XDP_FD && length >= sizeof(in->program)) {
                in->says |= SAYS_PROGRAM;
                (void) bpf_probe_read_kernel(&in->program, sizeof(in->program), in->data + at);
        }
        return 0;
}

static __always_inline long guard_is_last(int r) {
        barrier_var(r);
        return r != 0 ? 1 : 0;
}

static long guard_each_attribute(__u64 index, struct guard_attributes *in) {
        return guard_is_last(guard_on_attribute(in));
}

static long guard_each_xdp_attribute(__u64 index, struct guard_attributes *in) {
        return guard_is_last(guard_on_xdp_attribute(in));
}

/* Without a program in it the attribute does nothing. */
static __always_inline __u32 guard_xdp_act(struct guard_attributes *in) {
        in->at = in->xdp_at;
        in->size = in->xdp_end;
        bpf_loop(ATTRIBUTES, guard_each_xdp_attribute, in, 0);
        if (in->at < in->size)
                return GUARD_BPF_ACT_UNCLEAR;
        if (!(in->says & SAYS_PROGRAM))
                return GUARD_BPF_ACT_NONE;
        return in->program < 0 ? GUARD_BPF_ACT_DETACH : GUARD_BPF_ACT_ATTACH;
}

static __always_inline void guard_judge_link(struct guard_request *request, struct guard_attributes *in,
                                             const struct nlmsghdr *header, int index) {
        __u32 ifindex = index > 0 ? (__u32) index : in->named, *found, hooks, act;
        bool group;

        /* What is to be made anew never touches what is there; and its name may be meant for another namespace. */
        if (header->nlmsg_type == RTM_NEWLINK && (header->nlmsg_flags & NLM_F_CREATE) &&
            (header->nlmsg_flags & NLM_F_EXCL))
                return;
        /* Without index and name, all of a group are meant, of which we do not know the members. */
        group = index <= 0 && (in->says & SAYS_GROUP) && !(in->says & SAYS_NAME) &&
                (header->nlmsg_type == RTM_DELLINK || !(header->nlmsg_flags & NLM_F_CREATE));
        found = ifindex > 0 ? bpf_map_lookup_elem(&guard_ifaces, &ifindex) : NULL;
        if (!found && !group)
                return;
        hooks = found ? *found : 1U << GUARD_BPF_HOOK_XDP;
        if (header->nlmsg_type == RTM_DELLINK) {
                guard_find(&request->interfaces, GUARD_BPF_ACT_INTERFACE_DELETE, ifindex, GUARD_BPF_NO_HOOK,
                           header->nlmsg_type);
                return;
        }
        /* The namespace that another attribute names by its number is where it goes, too. */
        if (in->says & (SAYS_MOVE | SAYS_NETNS))
                guard_find(&request->interfaces, GUARD_BPF_ACT_INTERFACE_MOVE, ifindex, GUARD_BPF_NO_HOOK,
                           header->nlmsg_type);
        if (!(in->says & SAYS_XDP) || !(hooks & (1U << GUARD_BPF_HOOK_XDP)))
                return;
        act = guard_xdp_act(in);
        if (act != GUARD_BPF_ACT_NONE)
                guard_find(&request->hooks, act, ifindex, GUARD_BPF_HOOK_XDP, header->nlmsg_type);
}

__noinline int guard_on_link_message(struct guard_request *request, const struct nlmsghdr *header) {
        struct guard_attributes in = {};
        struct ifinfomsg info = {};

        if (!request || !header || header->nlmsg_len < sizeof(*header) + sizeof(info))
                return 0;
        in.data = request->data + request->at + sizeof(*header);
        in.at = sizeof(info);
        in.size = header->nlmsg_len - sizeof(*header);
        (void) bpf_probe_read_kernel(&info, sizeof(info), in.data);
        bpf_loop(ATTRIBUTES, guard_each_attribute, &in, 0);
        if (in.at < in.size)
                guard_find(&request->hooks, GUARD_BPF_ACT_UNCLEAR, 0, GUARD_BPF_NO_HOOK, header->nlmsg_type);
        else if (request->ours || (in.says & SAYS_NETNS))
                guard_judge_link(request, &in, header, info.ifi_index);
        return 0;
}

static __always_inline struct guard_bpf_hook *guard_find_tc(__u32 ifindex, __u32 hook) {
        struct guard_bpf_hook_key key = { .ifindex = ifindex, .hook = hook };

        return bpf_map_lookup_elem(&guard_hooks, &key);
}

/* Does what clsact holds come behind ours, so that others may have it? */
static __always_inline bool guard_is_behind(const struct guard_bpf_settings *settings,
                                            const struct guard_bpf_hook *hook) {
        return hook->kind == GUARD_BPF_KIND_TCX_LINK && settings->append;
}

static __always_inline void guard_judge_qdisc(struct guard_request *request,
                                              const struct guard_bpf_settings *settings,
                                              const struct nlmsghdr *header, const struct tcmsg *tc) {
        bool named = tc->tcm_parent != TC_H_ROOT && MAJOR(tc->tcm_parent) == MAJOR(TC_H_INGRESS);

        if (!named && (tc->tcm_parent != 0 || MAJOR(tc->tcm_handle) != MAJOR(TC_H_INGRESS)))
                return;
        for (__u32 i = GUARD_BPF_HOOK_TC_INGRESS; i <= GUARD_BPF_HOOK_TC_EGRESS; i++) {
                struct guard_bpf_hook *hook = guard_find_tc(tc->tcm_ifindex, i);

                if (!hook || guard_is_behind(settings, hook))
                        continue;
                /* Another one besides can't be added. */
                if (hook->kind == GUARD_BPF_KIND_CLSACT && header->nlmsg_type == RTM_NEWQDISC &&
                    !(header->nlmsg_flags & NLM_F_REPLACE))
                        continue;
                guard_find(&request->hooks, GUARD_BPF_ACT_QDISC_CHANGE, tc->tcm_ifindex, i, header->nlmsg_type);
                return;
        }
}

static __always_inline void guard_judge_filter(struct guard_request *request,
                                               const struct guard_bpf_settings *settings,
                                               const struct nlmsghdr *header, const struct tcmsg *tc) {
        __u32 hook = MINOR(tc->tcm_parent) == CLSACT_EGRESS ? GUARD_BPF_HOOK_TC_EGRESS : GUARD_BPF_HOOK_TC_INGRESS;
        __u32 priority = tc->tcm_info >> 16;
        struct guard_bpf_hook *held;

        if (tc->tcm_parent == TC_H_ROOT || MAJOR(tc->tcm_parent) != MAJOR(TC_H_INGRESS))
                return;
        held = guard_find_tc(tc->tcm_ifindex, hook);
        if (!held || guard_is_behind(settings, held))
                return;
        /* Without a priority, a new one is put in front, and a deletion means all. */
        if (held->kind == GUARD_BPF_KIND_CLSACT &&
            (header->nlmsg_type == RTM_NEWTFILTER || header->nlmsg_type == RTM_DELTFILTER) && priority > OUR_PRIORITY)
                return;
        guard_find(&request->hooks, GUARD_BPF_ACT_FILTER_CHANGE, tc->tcm_ifindex, hook, header->nlmsg_type);
}

__noinline int guard_on_tc_message(struct guard_request *request, const struct nlmsghdr *header) {
        struct guard_bpf_settings *settings = guard_get_settings();
        struct tcmsg tc = {};

        if (!request || !header || !settings || !request->ours || header->nlmsg_len < sizeof(*header) + sizeof(tc))
                return 0;
        (void) bpf_probe_read_kernel(&tc, sizeof(tc), request->data + request->at + sizeof(*header));
        if (header->nlmsg_type == RTM_NEWQDISC || header->nlmsg_type == RTM_DELQDISC)
                guard_judge_qdisc(request, settings, header, &tc);
        else
                guard_judge_filter(request, settings, header, &tc);
        return 0;
}

/* As netlink_rcv_skb() goes from one to the next. */
__noinline int guard_on_message(struct guard_request *request) {
        struct nlmsghdr header = {};
        __u32 length;

        if (!request)
                return 1;
        if (request->at + sizeof(header) > request->size ||
            bpf_probe_read_kernel(&header, sizeof(header), request->data + request->at) < 0 ||
            header.nlmsg_len < sizeof(header) || header.nlmsg_len > request->size - request->at) {
                request->done = 1;
                return 1;
        }
        if (header.nlmsg_flags & NLM_F_REQUEST) {
                switch (header.nlmsg_type) {
                case RTM_NEWLINK:
                case RTM_SETLINK:
                case RTM_DELLINK: guard_on_link_message(request, &header); break;
                case RTM_NEWQDISC:
                case RTM_DELQDISC:
                case RTM_NEWTFILTER:
                case RTM_DELTFILTER:
                case RTM_DELCHAIN: guard_on_tc_message(request, &header); break;
                }
        }
        length = (header.nlmsg_len + 3U) & ~3U;
        if (length > request->size - request->at)
                length = request->size - request->at;
        request->at += length;
        return 0;
}

static long guard_each_message(__u64 index, struct guard_request *request) {
        return guard_is_last(guard_on_message(request));
}

static __always_inline int guard_judge_finding(const struct guard_finding *finding, __u32 rule, bool ask) {
        struct guard_deed deed = {
                .rule = rule,
                .act = finding->act,
                .ifindex = finding->ifindex,
                .hook = finding->hook,
                .detail = finding->type,
        };

        return finding->act != GUARD_BPF_ACT_NONE ? GUARD_JUDGE(&deed, ask) : 0;
}

static __always_inline int guard_netlink(struct sock *sock, struct sk_buff *skb, bool ask) {
        struct guard_bpf_settings *settings;
        struct guard_request request = {};
        int r;

        if (sock->sk_protocol != 0 /* NETLINK_ROUTE */)
                return 0;
        settings = guard_get_settings();
        if (!settings || settings->mode == GUARD_BPF_MODE_OFF || settings->n_hooks == 0)
                return 0;
        request.data = BPF_CORE_READ(skb, data);
        request.size = BPF_CORE_READ(skb, len);
        request.ours = BPF_CORE_READ(sock, __sk_common.skc_net.net, ns.inum) == settings->netns;
        bpf_loop(GUARD_BPF_MESSAGES, guard_each_message, &request, 0);
        if (!request.done)
                guard_find(&request.hooks, GUARD_BPF_ACT_UNCLEAR, 0, GUARD_BPF_NO_HOOK, 0);
        r = guard_judge_finding(&request.hooks, GUARD_BPF_RULE_NETLINK, ask);
        return guard_judge_finding(&request.interfaces, GUARD_BPF_RULE_INTERFACES, ask) ?: r;
}
