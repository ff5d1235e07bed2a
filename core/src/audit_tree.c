/* The Merkle tree of RFC 6962, section 2.1, grown leaf by leaf. peaks[i] is
 * the root of a full subtree of 2^i leaves, and counts when bit i of the
 * number of leaves is set: adding a leaf is a binary increment. */
#include "audit_record.h"

#define TREE_LEVELS 64u
#define TREE_TOGETHER 64u /* leaves */

static void tree_join(uint8_t root32[32], const uint8_t left32[32], const uint8_t right32[32]) {
    static const uint8_t node = 0x01;
    hash_sha256 hash;
    hash_init(&hash);
    hash_add(&hash, &node, 1);
    hash_add(&hash, left32, 32);
    hash_add(&hash, right32, 32);
    hash_final(&hash, root32);
}

void sentinel_tree_add(sentinel_tree *tree, const uint8_t leaf_hash32[32]) {
    uint8_t root32[32];
    memcpy(root32, leaf_hash32, 32);
    unsigned level = 0;
    for (; level < TREE_LEVELS - 1 && (tree->count >> level & 1) != 0; level++) {
        tree_join(root32, tree->peaks[level], root32);
    }
    memcpy(tree->peaks[level], root32, 32);
    tree->count++;
}

/* Level by level: two nodes that stand side by side are the message of one above. */
static void tree_add_some(sentinel_tree *tree, const uint8_t (*leaves)[32], size_t count) {
    static const uint8_t node = 0x01;
    uint8_t nodes[TREE_TOGETHER + 1][32]; /* the first place is for a peak */
    uint8_t above[TREE_TOGETHER][32];
    hash_message messages[TREE_TOGETHER];
    const uint64_t before = tree->count;
    memcpy(nodes + 1, leaves, count * sizeof *leaves);
    tree->count += count;
    for (unsigned level = 0; level < TREE_LEVELS && count != 0; level++) {
        uint8_t(*first)[32] = nodes + 1;
        if ((before >> level & 1) != 0) {
            memcpy(--first, tree->peaks[level], sizeof *first);
            count++;
        }
        if (count % 2 != 0) {
            memcpy(tree->peaks[level], first[count - 1], sizeof *first);
        }
        count /= 2;
        for (size_t i = 0; i < count; i++) {
            messages[i] = (hash_message){.part = {&node, first[2 * i]},
                                         .size = {sizeof node, 2 * sizeof *first}};
        }
        hash_many(above, messages, count);
        memcpy(nodes + 1, above, count * sizeof *above);
    }
}

void tree_add_many(sentinel_tree *tree, const uint8_t (*leaves)[32], size_t count) {
    while (count != 0) {
        const size_t some = count < TREE_TOGETHER ? count : TREE_TOGETHER;
        tree_add_some(tree, leaves, some);
        leaves += some;
        count -= some;
    }
}

void sentinel_tree_root(const sentinel_tree *tree, uint8_t root32[32]) {
    int have = 0;
    hash_bytes(root32, NULL, 0);
    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        if ((tree->count >> level & 1) == 0) {
            continue;
        }
        if (have) {
            tree_join(root32, tree->peaks[level], root32);
        } else {
            memcpy(root32, tree->peaks[level], 32);
            have = 1;
        }
    }
}
