/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Numbers of the kernel's interface that the headers of older distributions lack. They are enum members there, so
 * that the preprocessor can't tell whether they exist: hence names of our own. From include/uapi/linux/bpf.h,
 * if_link.h.
 */

#include <linux/bpf.h>

/* enum bpf_attach_type, since 6.6 */
#define UAPI_TCX_INGRESS ((enum bpf_attach_type) 46)
#define UAPI_TCX_EGRESS  ((enum bpf_attach_type) 47)

/* enum bpf_map_type, since 6.9 */
#define UAPI_MAP_TYPE_ARENA 33

/* enum bpf_link_type */
#define UAPI_LINK_TYPE_XDP 6
#define UAPI_LINK_TYPE_TCX 11

/* Flag of BPF_LINK_CREATE for multi-program attach points: in front of the anchor, without one at the head. */
#define UAPI_F_BEFORE (1U << 3)

/* Flag of BPF_PROG_LOAD, since 6.3: the program is for one interface, though it runs on the host. */
#define UAPI_XDP_DEV_BOUND_ONLY (1U << 6)

/* bpf_link_info.tcx; it begins like bpf_link_info.xdp with the ifindex, which is 0 when the interface is gone. */
struct uapi_link_info_tcx {
        uint32_t ifindex;
        uint32_t attach_type;
};
