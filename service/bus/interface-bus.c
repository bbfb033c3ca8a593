/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/interface-bus.h"

#include "bus/context.h"
#include "bus/wire.h"

static Interface *interface_from_path(BusContext *context, const char *path) {
        _cleanup_free_ char *name = NULL;

        if (object_path_parse(path, OBJECT_INTERFACE, &name, NULL) <= 0)
                return NULL;
        return manager_get_interface(context->manager, name);
}

static int interface_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                          sd_bus_error *ret_error) {
        if (!interface_from_path(userdata, path))
                return 0;
        *ret_found = userdata;
        return 1;
}

static int interface_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                               sd_bus_error *ret_error) {
        BusContext *context = userdata;
        char **nodes = NULL;
        size_t n = 0;

        TABLE_FOREACH (Interface, interface, manager_interfaces(context->manager)) {
                if (object_list_add(&nodes, &n, OBJECT_INTERFACE, interface->name, NULL) < 0) {
                        object_list_free(nodes);
                        return -ENOMEM;
                }
        }
        *ret_nodes = nodes;
        return 0;
}

static int property_simple(sd_bus *bus, const char *path, const char *interface_name, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        Interface *interface = interface_from_path(context, path);

        if (!interface)
                return -ENOENT;
        if (streq(property, "Name"))
                return wire_append_string(reply, interface->name);
        if (streq(property, "Kind"))
                return wire_append_string(reply, interface->link.kind);
        if (streq(property, "Held"))
                return wire_append_string(reply, manager_interface_held(context->manager, interface));
        if (streq(property, "Index"))
                return sd_bus_message_append(reply, "i", interface->link.ifindex);
        if (streq(property, "Up"))
                return sd_bus_message_append(reply, "b", link_record_up(&interface->link));
        if (streq(property, "Mtu"))
                return sd_bus_message_append(reply, "u", interface->link.mtu);
        return sd_bus_message_append(reply, "u", (uint32_t) interface->link.master);
}

static int property_alternative_names(sd_bus *bus, const char *path, const char *interface_name, const char *property,
                                      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Interface *interface = interface_from_path(userdata, path);
        char *names[LINK_ALTNAMES_MAX + 1] = {};

        if (!interface)
                return -ENOENT;
        memcpy(names, interface->link.altnames, interface->link.n_altnames * sizeof(char *));
        return wire_append_strv(reply, names);
}

static int property_driver(sd_bus *bus, const char *path, const char *interface_name, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        Interface *interface = interface_from_path(context, path);
        InterfaceDetails details = {};

        if (!interface)
                return -ENOENT;
        if (manager_interface_details(context->manager, interface, &details) < 0)
                details = (InterfaceDetails){};
        return wire_append_string(reply, details.driver);
}

/* By bits of enum netdev_xdp_act, include/uapi/linux/netdev.h (which Debian 12 does not have). */
static const char *const xdp_features[] = { "basic",      "redirect", "ndo-xmit",   "xsk-zerocopy",
                                            "hw-offload", "rx-sg",    "ndo-xmit-sg" };

static int property_xdp_features(sd_bus *bus, const char *path, const char *interface_name, const char *property,
                                 sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        Interface *interface = interface_from_path(context, path);
        InterfaceDetails details = {};
        int r;

        if (!interface)
                return -ENOENT;
        if (manager_interface_details(context->manager, interface, &details) < 0 || !details.xdp_features_known)
                details.xdp_features = 0;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(xdp_features); i++)
                if (details.xdp_features & (UINT64_C(1) << i))
                        r = sd_bus_message_append(reply, "s", xdp_features[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_chains(sd_bus *bus, const char *path, const char *interface_name, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        Interface *interface = interface_from_path(context, path);
        int r;

        if (!interface)
                return -ENOENT;
        r = sd_bus_message_open_container(reply, 'a', "o");
        for (Hook hook = 0; r >= 0 && hook < _HOOK_MAX; hook++) {
                _cleanup_free_ char *chain = NULL;

                if (!manager_get_chain(context->manager, interface->name, hook))
                        continue;
                chain = object_path(OBJECT_CHAIN, interface->name, hook_to_string(hook));
                r = chain ? sd_bus_message_append(reply, "o", chain) : -ENOMEM;
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_foreign(sd_bus_message *reply, const ForeignInfo *foreign) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = wire_append_entry_string(reply, "hook", hook_to_string(foreign->hook));
        if (r >= 0)
                r = wire_append_foreign(reply, foreign);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_foreign(sd_bus *bus, const char *path, const char *interface_name, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        _cleanup_free_ ForeignInfo *foreign = NULL;
        BusContext *context = userdata;
        Interface *interface = interface_from_path(context, path);
        size_t n = 0;
        int r;

        if (!interface)
                return -ENOENT;
        if (manager_interface_foreign(context->manager, interface, &foreign, &n) < 0)
                n = 0;

        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_foreign(reply, &foreign[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const sd_bus_vtable interface_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", property_simple, 0, BUS_CONSTANT),
        SD_BUS_PROPERTY("Index", "i", property_simple, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("AlternativeNames", "as", property_alternative_names, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Kind", "s", property_simple, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Driver", "s", property_driver, 0, BUS_CONSTANT),
        SD_BUS_PROPERTY("Up", "b", property_simple, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Held", "s", property_simple, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Mtu", "u", property_simple, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Master", "u", property_simple, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("XdpFeatures", "as", property_xdp_features, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Chains", "ao", property_chains, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Foreign", "aa{sv}", property_foreign, 0, BUS_SILENT),
        SD_BUS_VTABLE_END,
};

const ObjectImplementation interface_implementation = {
        .path = BUS_ROOT "/interface",
        .interface = "org.bpfchain1.Interface",
        .vtable = interface_vtable,
        .find = interface_find,
        .enumerate = interface_enumerate,
};
