/* The Merkle tree of RFC 6962, section 2.1, grown leaf by leaf. peaks[i] is
 * the root of a full subtree of 2^i leaves, and counts when bit i of the
 * number of leaves is set: adding a leaf is a binary increment. */
#include "hash.h"

#include <sentinel/audit.h>

#define TREE_LEVELS 64u

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
