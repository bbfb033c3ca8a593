/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "kernel/tc-message.h"

static void take_kind(struct nlattr *attribute, TcFact *fact) {
        int n = attribute ? MIN2(nla_len(attribute), (int) sizeof(fact->kind) - 1) : 0;

        if (n > 0)
                memcpy(fact->kind, nla_data(attribute), (size_t) n);
        for (char *p = fact->kind; *p; p++)
                if (*p < ' ' || *p > '~')
                        *p = '?';
}

static void read_filter(const struct tcmsg *tc, struct nlattr **attributes, TcFact *fact) {
        struct nlattr *options[TCA_BPF_MAX + 1];

        fact->filter = true;
        fact->priority = TC_H_MAJ(tc->tcm_info) >> 16;
        fact->handle = tc->tcm_handle;
        if (streq(fact->kind, "bpf") && attributes[TCA_OPTIONS] &&
            nla_parse_nested(options, TCA_BPF_MAX, attributes[TCA_OPTIONS], NULL) >= 0 && options[TCA_BPF_ID] &&
            nla_len(options[TCA_BPF_ID]) >= (int) sizeof(uint32_t))
                fact->program_id = nla_get_u32(options[TCA_BPF_ID]);
}

/* The hook that a filter's parent is; an ingress qdisc has one hook, at its major number alone. */
static bool read_hook(uint32_t parent, TcFact *fact) {
        if (parent == TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS) || parent == TC_H_MAKE(TC_H_INGRESS, 0))
                fact->hook = HOOK_TC_INGRESS;
        else if (parent == TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS))
                fact->hook = HOOK_TC_EGRESS;
        else
                return false;
        return true;
}

int tc_message_parse(const struct nlmsghdr *header, size_t size, TcFact *ret) {
        const size_t offset = NLMSG_LENGTH(sizeof(struct tcmsg));
        struct nlattr *attributes[TCA_MAX + 1];
        TcFact fact = { .hook = _HOOK_INVALID };
        const struct tcmsg *tc;

        if (size < sizeof(*header) || header->nlmsg_len < sizeof(*header) || header->nlmsg_len > size)
                return -EBADMSG;
        switch (header->nlmsg_type) {
        case RTM_NEWQDISC:
        case RTM_NEWTFILTER: fact.added = true; break;
        case RTM_DELQDISC:
        case RTM_DELTFILTER: break;
        default: return 0;
        }
        if (header->nlmsg_len < offset)
                return -EBADMSG;
        tc = NLMSG_DATA(header);
        if (nla_parse(attributes, TCA_MAX, (struct nlattr *) ((const char *) header + offset),
                      (int) (header->nlmsg_len - offset), NULL) < 0)
                return -EBADMSG;
        if (tc->tcm_ifindex <= 0) /* a shared block has no interface */
                return 0;
        fact.ifindex = tc->tcm_ifindex;
        fact.port = header->nlmsg_pid;
        take_kind(attributes[TCA_KIND], &fact);

        if (header->nlmsg_type == RTM_NEWTFILTER || header->nlmsg_type == RTM_DELTFILTER) {
                if (!read_hook(tc->tcm_parent, &fact))
                        return 0;
                read_filter(tc, attributes, &fact);
        } else if (tc->tcm_parent != TC_H_CLSACT)
                return 0;
        *ret = fact;
        return 1;
}
