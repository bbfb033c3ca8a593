/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_bpf.h>
#include <netlink/attr.h>

#include "kernel/foreign.h"
#include "kernel/netlink.h"
#include "kernel/uapi.h"
#include "kernel/xdp-query.h"

#define LINKS_SEARCHED_MAX 65536
#define TCX_PROGRAMS_MAX   64 /* BPF_MPROG_MAX of the kernel, include/linux/bpf_mprog.h */
#define TC_DUMP_TIMEOUT    5  /* seconds */

typedef struct Listing {
        const uint32_t *own;
        size_t n_own;
        ForeignInfo *items;
        size_t n_items;
        Hook hook; /* of the dump under way */
} Listing;

static void listing_done(Listing *listing) {
        free(listing->items);
}

static void format_tag(const uint8_t tag[BPF_TAG_SIZE], char ret[17]) {
        for (size_t i = 0; i < BPF_TAG_SIZE; i++)
                snprintf(ret + 2 * i, 3, "%02x", tag[i]);
}

/* Names are the kernel's own (letters, digits, "_" and "."), bpf_obj_name_cpy() sees to it. */
static int program_details(uint32_t id, char ret_name[16], char ret_tag[17]) {
        _cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(info);
        int r;

        if (fd < 0)
                return fd;
        r = bpf_prog_get_info_by_fd(fd, &info, &size);
        if (r < 0)
                return r;
        snprintf(ret_name, 16, "%.15s", info.name);
        format_tag(info.tag, ret_tag);
        return 0;
}

static ForeignInfo *listing_add(Listing *listing, Hook hook, const char *kind, uint32_t id) {
        ForeignInfo *item;

        item = ARRAY_APPEND(listing->items, listing->n_items);
        if (!item)
                return NULL;
        *item = (ForeignInfo){ .hook = hook, .program_id = id };
        snprintf(item->kind, sizeof(item->kind), "%s", kind);
        (void) program_details(id, item->name, item->tag);
        return item;
}

static bool listing_wants(const Listing *listing, uint32_t id) {
        if (id == 0)
                return false;
        for (size_t i = 0; i < listing->n_own; i++)
                if (listing->own[i] == id)
                        return false;
        return true;
}

static int list_xdp(Listing *listing, int ifindex) {
        XdpPrograms xdp;
        int r;

        r = xdp_query_programs(ifindex, &xdp);
        if (r < 0)
                return r;

        uint32_t ids[] = { xdp.native, xdp.generic, xdp.offloaded };
        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                if (listing_wants(listing, ids[i]) && !listing_add(listing, HOOK_XDP, "xdp", ids[i]))
                        return -ENOMEM;
        return 0;
}

static int list_tcx(Listing *listing, int ifindex, Hook hook) {
        uint32_t ids[TCX_PROGRAMS_MAX] = {};
        LIBBPF_OPTS(bpf_prog_query_opts, opts, .prog_ids = ids, .prog_cnt = TCX_PROGRAMS_MAX);
        int r;

        r = bpf_prog_query_opts(ifindex, hook == HOOK_TC_INGRESS ? UAPI_TCX_INGRESS : UAPI_TCX_EGRESS, &opts);
        if (r == -EINVAL || r == -EOPNOTSUPP) /* no tcx in this kernel */
                return 0;
        if (r < 0 && r != -ENOSPC)
                return r;
        for (size_t i = 0; i < MIN2(opts.prog_cnt, TCX_PROGRAMS_MAX); i++)
                if (listing_wants(listing, ids[i]) && !listing_add(listing, hook, "tcx", ids[i]))
                        return -ENOMEM;
        return 0;
}

/* One RTM_NEWTFILTER of the dump. The kernel tells of the filter's BPF program in TCA_OPTIONS. */
static int on_filter(const struct nlmsghdr *header, size_t size, void *userdata) {
        Listing *listing = userdata;
        struct nlattr *attributes[TCA_MAX + 1], *options[TCA_BPF_MAX + 1];
        uint32_t id;

        if (header->nlmsg_type != RTM_NEWTFILTER ||
            nlmsg_parse((struct nlmsghdr *) header, sizeof(struct tcmsg), attributes, TCA_MAX, NULL) < 0)
                return 0;
        if (!attributes[TCA_KIND] || nla_strcmp(attributes[TCA_KIND], "bpf") != 0 || !attributes[TCA_OPTIONS] ||
            nla_parse_nested(options, TCA_BPF_MAX, attributes[TCA_OPTIONS], NULL) < 0)
                return 0;
        /* The kernel sends a message for the priority as such too, without a program. */
        if (!options[TCA_BPF_ID] || nla_len(options[TCA_BPF_ID]) < (int) sizeof(uint32_t))
                return 0;

        id = nla_get_u32(options[TCA_BPF_ID]);
        if (listing_wants(listing, id) && !listing_add(listing, listing->hook, "clsact", id))
                return -ENOMEM;
        return 0;
}

static int list_clsact(Listing *listing, struct nl_sock *sk, int ifindex, Hook hook) {
        struct tcmsg request = {
                .tcm_family = AF_UNSPEC,
                .tcm_ifindex = ifindex,
                .tcm_parent = TC_H_MAKE(TC_H_CLSACT, hook == HOOK_TC_INGRESS ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS),
        };
        int r;

        listing->hook = hook;
        r = netlink_dump(sk, RTM_GETTFILTER, &request, sizeof(request), on_filter, listing);
        /* Filters that come and go meanwhile: what was seen is as good as a second look would be. */
        return r == -ESTALE ? 0 : r;
}

int foreign_list(int ifindex, const uint32_t *own, size_t n_own, ForeignInfo **ret, size_t *ret_n) {
        _cleanup_(listing_done) Listing listing = { .own = own, .n_own = n_own };
        _cleanup_nl_socket_ struct nl_sock *sk = NULL;
        int r;

        r = list_xdp(&listing, ifindex);
        if (r < 0)
                return r;

        r = netlink_open(NETLINK_ROUTE, 0, &sk);
        if (r >= 0)
                r = netlink_set_timeout(sk, TC_DUMP_TIMEOUT);
        for (Hook hook = HOOK_TC_INGRESS; r >= 0 && hook <= HOOK_TC_EGRESS; hook++) {
                r = list_tcx(&listing, ifindex, hook);
                if (r >= 0)
                        r = list_clsact(&listing, sk, ifindex, hook);
        }
        if (r < 0)
                return r;

        *ret = TAKE_PTR(listing.items);
        *ret_n = listing.n_items;
        return 0;
}

uint32_t foreign_find_link(int ifindex, unsigned link_type, uint32_t program_id) {
        uint32_t id = 0;

        for (unsigned i = 0; i < LINKS_SEARCHED_MAX && bpf_link_get_next_id(id, &id) >= 0; i++) {
                _cleanup_close_ int fd = bpf_link_get_fd_by_id(id);
                struct bpf_link_info info = {};
                uint32_t size = sizeof(info);

                if (fd < 0 || bpf_link_get_info_by_fd(fd, &info, &size) < 0)
                        continue;
                if (info.type == link_type && info.prog_id == program_id && info.xdp.ifindex == (uint32_t) ifindex)
                        return id;
        }
        return 0;
}

char *foreign_describe_program(uint32_t program_id) {
        char name[16] = "", tag[17] = "", *text;
        int r;

        if (program_details(program_id, name, tag) < 0)
                r = asprintf(&text, "program %u", program_id);
        else if (strempty(name))
                r = asprintf(&text, "program %u (without a name, tag %s)", program_id, tag);
        else
                r = asprintf(&text, "program %u \"%s\" (tag %s)", program_id, name, tag);
        return r < 0 ? NULL : text;
}

int foreign_xdp_holder(int ifindex, const char *interface, char **ret_who, char **ret_remedy) {
        XdpPrograms xdp;
        _cleanup_free_ char *program = NULL, *who = NULL, *remedy = NULL;
        const char *mode, *command;
        uint32_t id, link_id;
        int r;

        r = xdp_query_programs(ifindex, &xdp);
        if (r < 0)
                return r;

        if (xdp.native) {
                id = xdp.native;
                mode = "native";
                command = "xdpdrv";
        } else if (xdp.generic) {
                id = xdp.generic;
                mode = "generic";
                command = "xdpgeneric";
        } else if (xdp.offloaded) {
                id = xdp.offloaded;
                mode = "offloaded";
                command = "xdpoffload";
        } else
                return -ENOENT;

        program = foreign_describe_program(id);
        if (!program)
                return -ENOMEM;

        link_id = foreign_find_link(ifindex, UAPI_LINK_TYPE_XDP, id);
        if (link_id > 0)
                r = asprintf(&who, "%s by link %u in %s mode", program, link_id, mode) < 0 ||
                    asprintf(&remedy, "bpftool link detach id %u", link_id) < 0;
        else
                r = asprintf(&who, "%s in %s mode", program, mode) < 0 ||
                    asprintf(&remedy, "ip link set dev %s %s off", interface, command) < 0;
        if (r)
                return -ENOMEM;

        *ret_who = TAKE_PTR(who);
        *ret_remedy = TAKE_PTR(remedy);
        return 0;
}
