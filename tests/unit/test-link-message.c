/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "check.h"
#include "kernel/link-message.h"

#define MESSAGE_MAX 8192

/* A message under construction. It is copied into memory of its exact size before it is parsed, so that a sanitizer
 * or valgrind sees each byte read too many. */
typedef struct Message {
        union {
                struct nlmsghdr header;
                char bytes[MESSAGE_MAX];
        };
} Message;

static Message message_new(uint16_t type, uint8_t family, int ifindex, unsigned flags) {
        Message message = {};
        struct ifinfomsg *info = NLMSG_DATA(&message.header);

        message.header.nlmsg_len = NLMSG_LENGTH(sizeof(*info));
        message.header.nlmsg_type = type;
        info->ifi_family = family;
        info->ifi_index = ifindex;
        info->ifi_flags = flags;
        return message;
}

static void put(Message *message, uint16_t type, const void *data, size_t size) {
        struct rtattr *attribute = (struct rtattr *) (message->bytes + NLMSG_ALIGN(message->header.nlmsg_len));

        assert_true(NLMSG_ALIGN(message->header.nlmsg_len) + RTA_SPACE(size) <= MESSAGE_MAX);
        attribute->rta_type = type;
        attribute->rta_len = RTA_LENGTH(size);
        if (size > 0)
                memcpy(RTA_DATA(attribute), data, size);
        message->header.nlmsg_len = NLMSG_ALIGN(message->header.nlmsg_len) + RTA_LENGTH(size);
}

static void put_string(Message *message, uint16_t type, const char *s) {
        put(message, type, s, strlen(s) + 1);
}

static void put_u32(Message *message, uint16_t type, uint32_t v) {
        put(message, type, &v, sizeof(v));
}

static size_t nest_begin(Message *message, uint16_t type) {
        size_t at = NLMSG_ALIGN(message->header.nlmsg_len);

        put(message, type, NULL, 0);
        return at;
}

static void nest_end(Message *message, size_t at) {
        message->header.nlmsg_len = NLMSG_ALIGN(message->header.nlmsg_len);
        ((struct rtattr *) (message->bytes + at))->rta_len = message->header.nlmsg_len - at;
}

static int parse_size(const Message *message, size_t size, LinkRecord *ret) {
        struct nlmsghdr *copy = malloc(size > 0 ? size : 1);
        int r;

        assert_non_null(copy);
        memcpy(copy, message->bytes, size);
        r = link_message_parse(copy, size, ret);
        free(copy);
        return r;
}

static int parse(const Message *message, LinkRecord *ret) {
        return parse_size(message, message->header.nlmsg_len, ret);
}

/* For messages that must be refused, and must leave nothing behind. */
static void assert_refused(const Message *message, int expected) {
        LinkRecord record = { .ifindex = 4711 };

        assert_int_equal(parse(message, &record), expected);
        assert_int_equal(record.ifindex, 4711);
        assert_int_equal(record.n_altnames, 0);
}

static Message full_message(void) {
        Message message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, IFF_UP | IFF_RUNNING);
        size_t nest;

        put_string(&message, IFLA_IFNAME, "eth0");
        put_u32(&message, IFLA_MTU, 9000);
        put_u32(&message, IFLA_MASTER, 3);
        put_u32(&message, IFLA_LINK, 4);
        put(&message, IFLA_OPERSTATE, "\6", 1);
        nest = nest_begin(&message, IFLA_LINKINFO);
        put_string(&message, IFLA_INFO_KIND, "vlan");
        nest_end(&message, nest);
        nest = nest_begin(&message, IFLA_XDP);
        put(&message, IFLA_XDP_ATTACHED, "\1", 1);
        put_u32(&message, IFLA_XDP_PROG_ID, 42);
        nest_end(&message, nest);
        nest = nest_begin(&message, IFLA_PROP_LIST | NLA_F_NESTED);
        put_string(&message, IFLA_ALT_IFNAME, "enp0s1");
        put_string(&message, IFLA_ALT_IFNAME, "the one in the cellar");
        nest_end(&message, nest);
        return message;
}

static void test_full(void **state) {
        Message message = full_message();
        LinkRecord record;

        assert_int_equal(parse(&message, &record), LINK_MESSAGE_PRESENT);
        assert_int_equal(record.ifindex, 7);
        assert_string_equal(record.name, "eth0");
        assert_string_equal(record.kind, "vlan");
        assert_int_equal(record.mtu, 9000);
        assert_int_equal(record.master, 3);
        assert_int_equal(record.lower, 4);
        assert_int_equal(record.operstate, 6);
        assert_int_equal(record.flags, IFF_UP | IFF_RUNNING);
        assert_int_equal(record.xdp_program_id, 42);
        assert_int_equal(record.n_altnames, 2);
        assert_string_equal(record.altnames[0], "enp0s1");
        assert_string_equal(record.altnames[1], "the one in the cellar");
        link_record_done(&record);
}

static void test_least(void **state) {
        Message message = message_new(RTM_NEWLINK, AF_UNSPEC, 1, 0);
        LinkRecord record;

        put_string(&message, IFLA_IFNAME, "a");
        assert_int_equal(parse(&message, &record), LINK_MESSAGE_PRESENT);
        assert_string_equal(record.name, "a");
        assert_string_equal(record.kind, "");
        assert_int_equal(record.mtu, 0);
        assert_int_equal(record.xdp_program_id, 0);
        assert_int_equal(record.n_altnames, 0);
        link_record_done(&record);
}

static void test_gone(void **state) {
        Message message = message_new(RTM_DELLINK, AF_UNSPEC, 9, IFF_UP);
        LinkRecord record;

        assert_int_equal(parse(&message, &record), LINK_MESSAGE_GONE);
        assert_int_equal(record.ifindex, 9);
}

/* What is about an interface, but not about its being there. */
static void test_others(void **state) {
        Message message = message_new(RTM_DELLINK, AF_BRIDGE, 9, 0);

        assert_refused(&message, LINK_MESSAGE_OTHER);
        message = message_new(RTM_NEWLINK, AF_BRIDGE, 9, 0);
        put_string(&message, IFLA_IFNAME, "eth0");
        assert_refused(&message, LINK_MESSAGE_OTHER);
        message = message_new(RTM_NEWADDR, AF_UNSPEC, 9, 0);
        assert_refused(&message, LINK_MESSAGE_OTHER);
        message = message_new(NLMSG_DONE, AF_UNSPEC, 9, 0);
        assert_refused(&message, LINK_MESSAGE_OTHER);

        message = message_new(RTM_NEWLINK, AF_UNSPEC, 9, 0);
        put_string(&message, IFLA_IFNAME, "wlan0");
        put(&message, IFLA_WIRELESS, "event", 5);
        assert_refused(&message, LINK_MESSAGE_OTHER);
}

static void test_xdp_modes(void **state) {
        Message message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, 0);
        LinkRecord record;
        size_t nest;

        put_string(&message, IFLA_IFNAME, "eth0");
        nest = nest_begin(&message, IFLA_XDP);
        put(&message, IFLA_XDP_ATTACHED, "\4", 1);
        put_u32(&message, IFLA_XDP_SKB_PROG_ID, 5);
        put_u32(&message, IFLA_XDP_DRV_PROG_ID, 6);
        nest_end(&message, nest);
        assert_int_equal(parse(&message, &record), LINK_MESSAGE_PRESENT);
        assert_int_equal(record.xdp_program_id, 6);
}

/* The index of a peer in another namespace is none of ours. */
static void test_peer_elsewhere(void **state) {
        Message message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, 0);
        LinkRecord record;

        put_string(&message, IFLA_IFNAME, "veth0");
        put_u32(&message, IFLA_LINK, 2);
        put_u32(&message, IFLA_LINK_NETNSID, 0);
        assert_int_equal(parse(&message, &record), LINK_MESSAGE_PRESENT);
        assert_int_equal(record.lower, 0);
}

static void test_names_refused(void **state) {
        static const char *const names[] = {
                "",
                "sixteen-letters!",
                "a/b",
                "tab\there",
                "esc\033[2J",
                "del\177",
                "\xc3",
                "\xc0\xaf",
                "\xed\xa0\x80",
                "\xf5\x80\x80\x80",
                "\xe0\x80\xaf",
                "\x80",
                "\xf4\x90\x80\x80",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                Message message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, 0);

                put_string(&message, IFLA_IFNAME, names[i]);
                assert_refused(&message, -EBADMSG);
        }

        /* None at all, not ended, empty attribute. */
        Message message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, 0);
        assert_refused(&message, -EBADMSG);
        put(&message, IFLA_IFNAME, "eth0", 4);
        assert_refused(&message, -EBADMSG);
        message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, 0);
        put(&message, IFLA_IFNAME, NULL, 0);
        assert_refused(&message, -EBADMSG);
}

static void test_names_taken(void **state) {
        static const char *const names[] = { "a", "fifteen-letters",
                                             "gr\xc3\xbc\xc3\x9f"
                                             "e",
                                             "a b", "\xf0\x9f\x90\x9d" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                Message message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, 0);
                LinkRecord record;

                put_string(&message, IFLA_IFNAME, names[i]);
                assert_int_equal(parse(&message, &record), LINK_MESSAGE_PRESENT);
                assert_string_equal(record.name, names[i]);
                link_record_done(&record);
        }
}

/* Useless alternative names are left out, and do not hide the interface; nor do too many. */
static void test_altnames(void **state) {
        Message message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, 0);
        char longest[ALTIFNAME_SIZE + 1];
        LinkRecord record;
        size_t nest;

        memset(longest, 'x', sizeof(longest));
        put_string(&message, IFLA_IFNAME, "eth0");
        nest = nest_begin(&message, IFLA_PROP_LIST | NLA_F_NESTED);
        put_string(&message, IFLA_ALT_IFNAME, "line\nbreak");
        put(&message, IFLA_ALT_IFNAME, "unended", 7);
        put(&message, IFLA_ALT_IFNAME, NULL, 0);
        longest[ALTIFNAME_SIZE] = '\0';
        put_string(&message, IFLA_ALT_IFNAME, longest);
        put_string(&message, IFLA_IFNAME, "not-an-altname");
        longest[ALTIFNAME_SIZE - 1] = '\0';
        put_string(&message, IFLA_ALT_IFNAME, longest);
        nest_end(&message, nest);
        assert_int_equal(parse(&message, &record), LINK_MESSAGE_PRESENT);
        assert_int_equal(record.n_altnames, 1);
        assert_string_equal(record.altnames[0], longest);
        link_record_done(&record);

        message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, 0);
        put_string(&message, IFLA_IFNAME, "eth0");
        nest = nest_begin(&message, IFLA_PROP_LIST | NLA_F_NESTED);
        for (unsigned i = 0; i < LINK_ALTNAMES_MAX + 3; i++) {
                char name[16];

                snprintf(name, sizeof(name), "alt%u", i);
                put_string(&message, IFLA_ALT_IFNAME, name);
        }
        nest_end(&message, nest);
        assert_int_equal(parse(&message, &record), LINK_MESSAGE_PRESENT);
        assert_int_equal(record.n_altnames, LINK_ALTNAMES_MAX);
        assert_string_equal(record.altnames[LINK_ALTNAMES_MAX - 1], "alt15");
        link_record_done(&record);
}

static void test_short_attributes(void **state) {
        static const uint16_t types[] = { IFLA_MTU, IFLA_MASTER, IFLA_LINK };

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                Message message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, 0);

                put_string(&message, IFLA_IFNAME, "eth0");
                put(&message, types[i], "\1\2", 2);
                assert_refused(&message, -EBADMSG);
        }

        Message message = message_new(RTM_NEWLINK, AF_UNSPEC, 7, 0);
        size_t nest;

        put_string(&message, IFLA_IFNAME, "eth0");
        nest = nest_begin(&message, IFLA_XDP);
        put(&message, IFLA_XDP_PROG_ID, "\1", 1);
        nest_end(&message, nest);
        assert_refused(&message, -EBADMSG);
}

static void test_lengths(void **state) {
        Message message = full_message();
        LinkRecord record = {};

        /* More announced than there is, less than a header, less than the fixed part. */
        assert_int_equal(parse_size(&message, message.header.nlmsg_len - 1, &record), -EBADMSG);
        for (size_t size = 0; size < sizeof(struct nlmsghdr); size++)
                assert_int_equal(parse_size(&message, size, &record), -EBADMSG);
        message.header.nlmsg_len = 0;
        assert_int_equal(parse_size(&message, 64, &record), -EBADMSG);
        message.header.nlmsg_len = sizeof(struct nlmsghdr);
        assert_int_equal(parse_size(&message, 64, &record), -EBADMSG);
        message.header.nlmsg_len = UINT32_MAX;
        assert_int_equal(parse_size(&message, 64, &record), -EBADMSG);

        message = message_new(RTM_NEWLINK, AF_UNSPEC, 0, 0);
        put_string(&message, IFLA_IFNAME, "eth0");
        assert_refused(&message, -EBADMSG);
        message = message_new(RTM_DELLINK, AF_UNSPEC, -5, 0);
        assert_refused(&message, -EBADMSG);
}

/* The full message cut at each length, and with each byte set to each of a few values: no crash, no read outside, and
 * a record that keeps what it promises. */
static void test_hostile(void **state) {
        static const uint8_t values[] = { 0, 1, 3, 4, 5, 0x7f, 0x80, 0xff };
        const Message good = full_message();
        unsigned taken = 0, refused = 0;

        for (uint32_t length = 0; length <= good.header.nlmsg_len; length++) {
                Message message = good;
                LinkRecord record = {};

                message.header.nlmsg_len = length;
                if (parse_size(&message, length < sizeof(message.header) ? sizeof(message.header) : length, &record) >
                    0)
                        taken++;
                else
                        refused++;
                link_record_done(&record);
        }
        for (size_t i = 0; i < good.header.nlmsg_len; i++)
                for (size_t v = 0; v < ELEMENTSOF(values); v++) {
                        Message message = good;
                        LinkRecord record = {};
                        int r;

                        message.bytes[i] = (char) values[v];
                        r = parse_size(&message, good.header.nlmsg_len, &record);
                        if (r == LINK_MESSAGE_PRESENT) {
                                assert_true(record.ifindex > 0);
                                assert_in_range(strlen(record.name), 1, IFNAMSIZ - 1);
                                assert_null(strchr(record.name, '/'));
                                assert_true(record.n_altnames <= LINK_ALTNAMES_MAX);
                                assert_true(record.master >= 0 && record.lower >= 0);
                                taken++;
                        } else if (r < 0) {
                                assert_int_equal(r, -EBADMSG);
                                refused++;
                        }
                        link_record_done(&record);
                }
        assert_true(taken > 100);
        assert_true(refused > 100);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_full),          cmocka_unit_test(test_least),
                cmocka_unit_test(test_gone),          cmocka_unit_test(test_others),
                cmocka_unit_test(test_xdp_modes),     cmocka_unit_test(test_peer_elsewhere),
                cmocka_unit_test(test_names_refused), cmocka_unit_test(test_names_taken),
                cmocka_unit_test(test_altnames),      cmocka_unit_test(test_short_attributes),
                cmocka_unit_test(test_lengths),       cmocka_unit_test(test_hostile),
        };

        return cmocka_run_group_tests_name("link-message", tests, NULL, NULL);
}
