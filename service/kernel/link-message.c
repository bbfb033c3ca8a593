/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#include "kernel/link-message.h"
#include "util/json-text.h"

/* Where libnl's policy has a minimum it refuses anything shorter; a longer one is a newer kernel's business. */
static const struct nla_policy link_policy[IFLA_MAX + 1] = {
        [IFLA_MTU] = { .type = NLA_U32 },          [IFLA_LINK] = { .type = NLA_U32 },
        [IFLA_MASTER] = { .type = NLA_U32 },       [IFLA_OPERSTATE] = { .type = NLA_U8 },
        [IFLA_LINKINFO] = { .type = NLA_NESTED },  [IFLA_XDP] = { .type = NLA_NESTED },
        [IFLA_PROP_LIST] = { .type = NLA_NESTED },
};

static const struct nla_policy xdp_policy[IFLA_XDP_MAX + 1] = {
        [IFLA_XDP_PROG_ID] = { .type = NLA_U32 },
        [IFLA_XDP_DRV_PROG_ID] = { .type = NLA_U32 },
        [IFLA_XDP_SKB_PROG_ID] = { .type = NLA_U32 },
        [IFLA_XDP_HW_PROG_ID] = { .type = NLA_U32 },
};

/* A string attribute as the kernel sends it: not empty, ended by a NUL within its length, and shorter than `size`
 * with that NUL. Names end up in bus messages, file names and on terminals, so control characters and what is no
 * UTF-8 are refused, although the kernel takes them. Returns NULL for anything else. */
static const char *attribute_string(const struct nlattr *attribute, size_t size) {
        size_t length = nla_len(attribute), n;
        const char *s = nla_data(attribute);

        n = strnlen(s, length);
        if (n == 0 || n == length || n >= size)
                return NULL;
        for (size_t i = 0, step; i < n; i += step) {
                uint32_t code;

                step = utf8_decode(s, n, i, &code);
                if (step == 0 || code < ' ' || code == 0x7f)
                        return NULL;
        }
        return s;
}

/* An ifindex, or 0 where the attribute is absent or no ifindex. */
static int attribute_ifindex(struct nlattr *attribute) {
        uint32_t v = attribute ? nla_get_u32(attribute) : 0;

        return v <= INT32_MAX ? (int) v : 0;
}

static int parse_kind(struct nlattr *info, LinkRecord *record) {
        struct nlattr *attributes[IFLA_INFO_MAX + 1];
        const char *kind;

        if (nla_parse_nested(attributes, IFLA_INFO_MAX, info, NULL) < 0)
                return -EBADMSG;
        if (!attributes[IFLA_INFO_KIND])
                return 0;

        kind = attribute_string(attributes[IFLA_INFO_KIND], sizeof(record->kind));
        if (!kind)
                return -EBADMSG;
        strcpy(record->kind, kind);
        return 0;
}

/* With one program the kernel tells PROG_ID; with programs in several modes (XDP_ATTACHED_MULTI) only theirs. */
static int parse_xdp(struct nlattr *xdp, LinkRecord *record) {
        static const int by_preference[] = { IFLA_XDP_PROG_ID, IFLA_XDP_DRV_PROG_ID, IFLA_XDP_SKB_PROG_ID,
                                             IFLA_XDP_HW_PROG_ID };
        struct nlattr *attributes[IFLA_XDP_MAX + 1];

        if (nla_parse_nested(attributes, IFLA_XDP_MAX, xdp, xdp_policy) < 0)
                return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(by_preference) && record->xdp_program_id == 0; i++)
                if (attributes[by_preference[i]])
                        record->xdp_program_id = nla_get_u32(attributes[by_preference[i]]);
        return 0;
}

static int parse_altnames(struct nlattr *list, LinkRecord *record) {
        struct nlattr *attribute;
        int remaining;

        nla_for_each_nested(attribute, list, remaining) {
                const char *name;

                if (nla_type(attribute) != IFLA_ALT_IFNAME)
                        continue;
                if (record->n_altnames >= LINK_ALTNAMES_MAX)
                        break;
                /* A name that is of no use here must not hide the interface. */
                name = attribute_string(attribute, ALTIFNAME_SIZE);
                if (!name)
                        continue;
                record->altnames[record->n_altnames] = strdup(name);
                if (!record->altnames[record->n_altnames])
                        return -ENOMEM;
                record->n_altnames++;
        }
        return 0;
}

static int parse_attributes(struct nlattr **attributes, LinkRecord *record) {
        const char *name = NULL;
        int r = 0;

        if (attributes[IFLA_IFNAME])
                name = attribute_string(attributes[IFLA_IFNAME], sizeof(record->name));
        if (!name || strchr(name, '/'))
                return -EBADMSG;
        strcpy(record->name, name);

        record->master = attribute_ifindex(attributes[IFLA_MASTER]);
        /* With IFLA_LINK_NETNSID the index counts in another namespace and means nothing here. */
        if (!attributes[IFLA_LINK_NETNSID])
                record->lower = attribute_ifindex(attributes[IFLA_LINK]);
        if (attributes[IFLA_OPERSTATE])
                record->operstate = nla_get_u8(attributes[IFLA_OPERSTATE]);
        if (attributes[IFLA_MTU])
                record->mtu = nla_get_u32(attributes[IFLA_MTU]);

        if (attributes[IFLA_LINKINFO])
                r = parse_kind(attributes[IFLA_LINKINFO], record);
        if (r >= 0 && attributes[IFLA_XDP])
                r = parse_xdp(attributes[IFLA_XDP], record);
        if (r >= 0 && attributes[IFLA_PROP_LIST])
                r = parse_altnames(attributes[IFLA_PROP_LIST], record);
        return r;
}

int link_message_parse(const struct nlmsghdr *header, size_t size, LinkRecord *ret) {
        _cleanup_(link_record_done) LinkRecord record = {};
        struct nlattr *attributes[IFLA_MAX + 1];
        const struct ifinfomsg *info;
        size_t offset = NLMSG_LENGTH(sizeof(*info)); /* a multiple of four, where the attributes begin */
        int r;

        if (size < sizeof(*header) || header->nlmsg_len < sizeof(*header) || header->nlmsg_len > size)
                return -EBADMSG;
        if (header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK)
                return LINK_MESSAGE_OTHER;
        if (header->nlmsg_len < offset)
                return -EBADMSG;

        /* A port that leaves its bridge sends RTM_DELLINK too, with the family AF_BRIDGE. */
        info = NLMSG_DATA(header);
        if (info->ifi_family != AF_UNSPEC)
                return LINK_MESSAGE_OTHER;
        if (info->ifi_index <= 0)
                return -EBADMSG;
        record.ifindex = info->ifi_index;
        record.flags = info->ifi_flags;

        if (header->nlmsg_type == RTM_DELLINK) {
                *ret = (LinkRecord){ .ifindex = info->ifi_index };
                return LINK_MESSAGE_GONE;
        }

        if (nla_parse(attributes, IFLA_MAX, (struct nlattr *) ((const char *) header + offset),
                      (int) (header->nlmsg_len - offset), link_policy) < 0)
                return -EBADMSG;

        /* Events of wireless extensions come as RTM_NEWLINK with a name and nothing else that counts here. */
        if (attributes[IFLA_WIRELESS])
                return LINK_MESSAGE_OTHER;

        r = parse_attributes(attributes, &record);
        if (r < 0)
                return r;

        *ret = record;
        record = (LinkRecord){};
        return LINK_MESSAGE_PRESENT;
}
