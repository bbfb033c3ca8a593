// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Objects of types of the program's own, and the graphs made of them. Kernel 6.2 to 6.6. */

#include "newtypes.h"

#include <bpf/bpf_core_read.h>

extern void *bpf_obj_new_impl(__u64 type, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *object, void *meta) __ksym;
extern void *bpf_refcount_acquire_impl(void *object, void *meta) __ksym;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta,
                                   __u64 offset) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
                               bool(less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta,
                               __u64 offset) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;

#define make(type)            ((type *) bpf_obj_new_impl(bpf_core_type_id_local(type), NULL))
#define drop(object)          bpf_obj_drop_impl(object, NULL)
#define contains(type, field) __attribute__((btf_decl_tag("contains:" #type ":" #field)))
#define section_of(name)      SEC(".data." #name) __hidden __attribute__((aligned(8)))
#define outer(p, type, field) ((type *) ((void *) (p) - __builtin_offsetof(type, field)))

struct item {
        struct bpf_list_node list;
        __u64 number;
};

struct leaf {
        struct bpf_rb_node tree;
        __u64 number;
};

struct shared {
        struct bpf_refcount references;
        struct bpf_rb_node tree;
        __u64 number;
};

section_of(items) struct bpf_spin_lock items_lock;
section_of(items) struct bpf_list_head items contains(item, list);
section_of(leaves) struct bpf_spin_lock leaves_lock;
section_of(leaves) struct bpf_rb_root leaves contains(leaf, tree);
section_of(shares) struct bpf_spin_lock shares_lock;
section_of(shares) struct bpf_rb_root shares contains(shared, tree);

__u64 effect; /* objects that were found again as they had been put there */

/* Puts two items into a list and takes the first one out. */
static __always_inline bool through_list(void) {
        struct bpf_list_node *node;
        struct item *item;

        for (int i = 0; i < 2; i++) {
                item = make(struct item);
                if (!item)
                        return false;
                item->number = effect + 1;
                bpf_spin_lock(&items_lock);
                bpf_list_push_back_impl(&items, &item->list, NULL, 0);
                bpf_spin_unlock(&items_lock);
        }

        bpf_spin_lock(&items_lock);
        node = bpf_list_pop_front(&items);
        bpf_spin_unlock(&items_lock);
        if (!node)
                return false;
        item = outer(node, struct item, list);
        if (item->number > 0)
                effect++;
        drop(item);
        return true;
}

SEC("xdp")
int xdp_list(struct xdp_md *ctx) {
        hit();
        return through_list() ? answer_xdp() : XDP_ABORTED;
}

SEC("tc")
int tc_list(struct __sk_buff *skb) {
        hit();
        return through_list() ? answer_tc() : TC_ACT_SHOT;
}

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b) {
        return outer(a, struct leaf, tree)->number < outer(b, struct leaf, tree)->number;
}

/* Puts a leaf into a tree and takes the least one out. */
SEC("xdp")
int xdp_rbtree(struct xdp_md *ctx) {
        struct leaf *leaf = make(struct leaf);
        struct bpf_rb_node *node;

        hit();
        if (!leaf)
                return XDP_ABORTED;
        leaf->number = 42;
        bpf_spin_lock(&leaves_lock);
        bpf_rbtree_add_impl(&leaves, &leaf->tree, less, NULL, 0);
        node = bpf_rbtree_first(&leaves);
        if (!node) {
                bpf_spin_unlock(&leaves_lock);
                return XDP_ABORTED;
        }
        node = bpf_rbtree_remove(&leaves, node);
        bpf_spin_unlock(&leaves_lock);
        if (!node)
                return XDP_ABORTED;
        leaf = outer(node, struct leaf, tree);
        if (leaf->number == 42)
                effect++;
        drop(leaf);
        return answer_xdp();
}

static bool shared_less(struct bpf_rb_node *a, const struct bpf_rb_node *b) {
        return outer(a, struct shared, tree)->number < outer(b, struct shared, tree)->number;
}

/* The tree has one reference and the program another. */
SEC("xdp")
int xdp_refcount(struct xdp_md *ctx) {
        struct shared *object = make(struct shared), *again;
        struct bpf_rb_node *node;

        hit();
        if (!object)
                return XDP_ABORTED;
        object->number = 7;
        again = bpf_refcount_acquire_impl(object, NULL);
        if (!again) {
                drop(object);
                return XDP_ABORTED;
        }
        bpf_spin_lock(&shares_lock);
        bpf_rbtree_add_impl(&shares, &object->tree, shared_less, NULL, 0);
        node = bpf_rbtree_first(&shares);
        if (node)
                node = bpf_rbtree_remove(&shares, node);
        bpf_spin_unlock(&shares_lock);
        if (again->number == 7)
                effect++;
        drop(again);
        if (node)
                drop(outer(node, struct shared, tree));
        return answer_xdp();
}
