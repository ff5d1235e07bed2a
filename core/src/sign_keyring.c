/* The keyring: its memory, its slots, and what may be known of the keys. */
#include <sys/mman.h>
#include <unistd.h>

#include "sign_nonces.h"

/* A scalar is out of range once in 2^128 draws; a second failure is a fault. */
#define GENERATE_TRIES_MAX 2u

/* libsodium puts guard pages around and a canary before the memory. It also
 * locks it and leaves it out of core dumps, but says nothing if that failed,
 * and advice applies to whole pages only: so the size is whole pages, and all
 * three are asked for again and looked at. */
sentinel_status sign_memory_new(void **memory, size_t size) {
    long page = sysconf(_SC_PAGESIZE);
    if (page <= 0) {
        return SENTINEL_IO_MEMORY;
    }
    size_t whole = bytes_round_up(size, (uint64_t)page);
    void *pages = sodium_malloc(whole);
    if (pages == NULL) {
        return SENTINEL_IO_MEMORY;
    }
    /* Advice that does not exist is refused, unless none is heeded at all. */
    if (madvise(pages, whole, -1) == 0 || mlock(pages, whole) != 0 ||
        madvise(pages, whole, MADV_DONTDUMP) != 0 || madvise(pages, whole, MADV_WIPEONFORK) != 0) {
        sodium_free(pages);
        return SENTINEL_KEY_MEMORY;
    }
    memset(pages, 0, whole);
    *memory = pages;
    return SENTINEL_OK;
}

sentinel_status sentinel_keyring_new(sentinel_keyring **ring) {
    const size_t context_at = bytes_round_up(sizeof(sentinel_keyring), 64);
    void *memory = NULL;
    *ring = NULL;
    if (sodium_init() < 0) {
        return SENTINEL_CRYPTO_INIT;
    }
    SENTINEL_TRY(sign_memory_new(&memory, context_at + sign_secp256k1_context_bytes()));
    sentinel_keyring *made = memory;
    made->secp256k1 = sign_secp256k1_context((uint8_t *)memory + context_at);
    if (made->secp256k1 == NULL) {
        sodium_free(memory);
        return SENTINEL_CRYPTO_INIT;
    }
    made->live = SIGN_LIVE;
    *ring = made;
    return SENTINEL_OK;
}

/* libsecp256k1's context owns no other memory, so wiping ends it too. */
void sentinel_keyring_free(sentinel_keyring *ring) {
    for (uint32_t i = 0; ring != NULL && i < ring->count; i++) { /* none in a forked child */
        sign_pool_free(ring->slots[i].pool);
    }
    sodium_free(ring);
}

/* What the caller says of a key that is to be made. */
static int info_is_valid(const sentinel_key_info *info) {
    const int venue =
        info->purpose == SENTINEL_PURPOSE_VENUE || info->purpose == SENTINEL_PURPOSE_VENUE_MASTER;
    const int frames =
        info->purpose == SENTINEL_PURPOSE_RECEIPT || info->purpose == SENTINEL_PURPOSE_AUTHORITY;
    if (info->id == 0 || info->algorithm == 0 || info->algorithm >= SENTINEL_ALGORITHM_COUNT ||
        info->lab > 1 || !bytes_are_zero(info->reserved, sizeof info->reserved)) {
        return 0;
    }
    if (!venue && !frames && info->purpose != SENTINEL_PURPOSE_MESSAGE) {
        return 0;
    }
    if (venue ? info->venue == SENTINEL_VENUE_NONE || info->venue >= SENTINEL_VENUE_COUNT
              : info->venue != 0) {
        return 0;
    }
    if (frames && info->algorithm != SENTINEL_ALGORITHM_ED25519) {
        return 0;
    }
    if (info->api_key_size > SENTINEL_API_KEY_BYTES_MAX) {
        return 0;
    }
    for (size_t i = 0; i < info->api_key_size; i++) { /* it becomes an HTTP header */
        if (info->api_key[i] < '!' || info->api_key[i] > '~') {
            return 0;
        }
    }
    return 1;
}

/* The next free slot, with the caller's part of the info in it. */
static sentinel_status slot_open(sign_slot **slot, sentinel_keyring *ring,
                                 const sentinel_key_info *info) {
    if (!sign_is_live(ring)) {
        return SENTINEL_KEY_WIPED;
    }
    if (!info_is_valid(info)) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (sign_slot_find(ring, info->id) != NULL) {
        return SENTINEL_KEY_EXISTS;
    }
    if (ring->count == SENTINEL_KEYRING_KEYS_MAX) {
        return SENTINEL_KEY_FULL;
    }
    sign_slot *fresh = &ring->slots[ring->count];
    fresh->info.id = info->id;
    fresh->info.purpose = info->purpose;
    fresh->info.algorithm = info->algorithm;
    fresh->info.venue = info->venue;
    fresh->info.api_key_size = info->api_key_size;
    fresh->info.lab = info->lab;
    memcpy(fresh->info.api_key, info->api_key, info->api_key_size);
    *slot = fresh;
    return SENTINEL_OK;
}

/* The layout is in sign.h, at fingerprint32. */
static void slot_fingerprint(sign_slot *slot) {
    static const char name[] = "sentinel-key-v1";
    sentinel_key_info *info = &slot->info;
    const uint8_t head[5] = {info->purpose, info->algorithm, (uint8_t)info->venue,
                             (uint8_t)(info->venue >> 8), info->api_key_size};
    hash_sha256 hash;
    hash_init(&hash);
    hash_add_prefix(&hash, name);
    hash_add(&hash, head, sizeof head);
    hash_add(&hash, info->api_key, info->api_key_size);
    if (info->algorithm == SENTINEL_ALGORITHM_HMAC_SHA256) {
        uint8_t tail32[32];
        sign_hmac(tail32, &slot->mac, name, sizeof name - 1);
        hash_add(&hash, tail32, sizeof tail32);
        bytes_wipe(tail32, sizeof tail32);
    } else {
        hash_add(&hash, info->public_key, info->public_key_size);
    }
    hash_final(&hash, info->fingerprint32);
}

static sentinel_status slot_expand(const sentinel_keyring *ring, sign_slot *slot) {
    switch (slot->info.algorithm) {
    case SENTINEL_ALGORITHM_ED25519:
        SENTINEL_TRY(sign_ed25519_expand(slot));
        break;
    case SENTINEL_ALGORITHM_ECDSA_SECP256K1:
    case SENTINEL_ALGORITHM_BIP340:
        SENTINEL_TRY(sign_secp256k1_expand(ring->secp256k1, slot));
        break;
    default:
        break;
    }
    if (slot->info.algorithm == SENTINEL_ALGORITHM_HMAC_SHA256) {
        sign_hmac_key(&slot->mac, slot->secret, slot->secret_size);
    } else if (slot->info.purpose == SENTINEL_PURPOSE_RECEIPT) {
        static const char name[] = "sentinel-salt-v1";
        sign_mac mac;
        sign_hmac_key(&mac, slot->secret, slot->secret_size);
        sign_hmac(slot->salt_key32, &mac, name, sizeof name - 1);
        bytes_wipe(&mac, sizeof mac);
    }
    slot_fingerprint(slot);
    return SENTINEL_OK;
}

/* Counts the slot in when its secret is a key; else leaves it wiped. */
static sentinel_status slot_close(sentinel_keyring *ring, sentinel_key_info *info,
                                  sign_slot *slot) {
    sentinel_status status = slot_expand(ring, slot);
    if (status != SENTINEL_OK) {
        bytes_wipe(slot, sizeof *slot);
        return status;
    }
    ring->ids[ring->count] = slot->info.id;
    ring->count++;
    *info = slot->info;
    return SENTINEL_OK;
}

/* Draws a secret into a slot. HMAC secrets are texts, as venues hand them out. */
static void slot_draw(sign_slot *slot) {
    if (slot->info.algorithm != SENTINEL_ALGORITHM_HMAC_SHA256) {
        randombytes_buf(slot->secret, 32);
        slot->secret_size = 32;
        return;
    }
    char text[65]; /* sodium_bin2hex takes constant time, and ends its text with a zero */
    uint8_t drawn[32];
    randombytes_buf(drawn, sizeof drawn);
    (void)sodium_bin2hex(text, sizeof text, drawn, sizeof drawn);
    memcpy(slot->secret, text, 64);
    slot->secret_size = 64;
    bytes_wipe(text, sizeof text);
    bytes_wipe(drawn, sizeof drawn);
}

sentinel_status sentinel_keyring_generate(sentinel_keyring *ring, sentinel_key_info *info) {
    sentinel_status status = SENTINEL_KEY_INVALID;
    for (uint32_t i = 0; i < GENERATE_TRIES_MAX && status == SENTINEL_KEY_INVALID; i++) {
        sign_slot *slot = NULL;
        SENTINEL_TRY(slot_open(&slot, ring, info));
        slot_draw(slot);
        status = slot_close(ring, info, slot);
    }
    return status;
}

sentinel_status sentinel_keyring_import(sentinel_keyring *ring, sentinel_key_info *info,
                                        const uint8_t *secret, size_t secret_size) {
    if (sign_is_live(ring) && (secret_size == 0 || secret_size > SENTINEL_SECRET_BYTES_MAX)) {
        return SENTINEL_KEY_INVALID;
    }
    sign_slot *slot = NULL;
    SENTINEL_TRY(slot_open(&slot, ring, info));
    memcpy(slot->secret, secret, secret_size);
    slot->secret_size = (uint32_t)secret_size;
    return slot_close(ring, info, slot);
}

sentinel_status sentinel_keyring_set_passphrase(sentinel_keyring *ring, uint32_t id,
                                                const char *text, size_t size) {
    if (!sign_is_live(ring)) {
        return SENTINEL_KEY_WIPED;
    }
    const sign_slot *found = sign_slot_find(ring, id);
    if (found == NULL) {
        return SENTINEL_KEY_UNKNOWN;
    }
    if (size > SENTINEL_API_PASSPHRASE_BYTES_MAX) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    /* It becomes an HTTP header, which has no spaces at its ends. */
    if (size > 0 && (text[0] == ' ' || text[size - 1] == ' ')) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return SENTINEL_USAGE_ARGUMENT;
        }
    }
    sign_slot *slot = &ring->slots[found - ring->slots];
    bytes_wipe(slot->passphrase, sizeof slot->passphrase);
    if (size > 0) { /* `text` may be null when there is none */
        memcpy(slot->passphrase, text, size);
    }
    slot->passphrase_size = (uint32_t)size;
    return SENTINEL_OK;
}

const char *sentinel_keyring_passphrase(const sentinel_keyring *ring, uint32_t id, uint8_t *size) {
    const sign_slot *slot = sign_is_live(ring) ? sign_slot_find(ring, id) : NULL;
    *size = slot == NULL ? 0 : (uint8_t)slot->passphrase_size;
    return *size == 0 ? NULL : slot->passphrase;
}

sentinel_status sentinel_keyring_remove(sentinel_keyring *ring, uint32_t id) {
    const sign_slot *found = sign_is_live(ring) ? sign_slot_find(ring, id) : NULL;
    if (found == NULL) {
        return SENTINEL_KEY_UNKNOWN;
    }
    const size_t at = (size_t)(found - ring->slots);
    sign_pool_free(found->pool);
    const size_t behind = ring->count - at - 1;
    memmove(&ring->slots[at], &ring->slots[at + 1], behind * sizeof ring->slots[0]);
    memmove(&ring->ids[at], &ring->ids[at + 1], behind * sizeof ring->ids[0]);
    ring->count--;
    bytes_wipe(&ring->slots[ring->count], sizeof ring->slots[0]);
    ring->ids[ring->count] = 0;
    return SENTINEL_OK;
}

sentinel_status sentinel_keyring_hash(uint8_t hash32[32], const sentinel_keyring *ring,
                                      uint32_t count) {
    hash_sha256 hash;
    if (!sign_is_live(ring)) {
        return SENTINEL_KEY_WIPED;
    }
    if (count > ring->count) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    hash_init(&hash);
    for (uint32_t i = 0; i < count; i++) {
        hash_add(&hash, &ring->slots[i].info, sizeof ring->slots[i].info);
    }
    hash_final(&hash, hash32);
    return SENTINEL_OK;
}

uint32_t sentinel_keyring_count(const sentinel_keyring *ring) {
    return sign_is_live(ring) ? ring->count : 0;
}

const sentinel_key_info *sentinel_keyring_at(const sentinel_keyring *ring, uint32_t position) {
    return position < sentinel_keyring_count(ring) ? &ring->slots[position].info : NULL;
}

const sentinel_key_info *sentinel_keyring_find(const sentinel_keyring *ring, uint32_t id) {
    const sign_slot *slot = sign_is_live(ring) ? sign_slot_find(ring, id) : NULL;
    return slot == NULL ? NULL : &slot->info;
}

uint64_t sentinel_keyring_uses(const sentinel_keyring *ring, uint32_t key) {
    const sign_slot *slot = sign_is_live(ring) ? sign_slot_find(ring, key) : NULL;
    return slot == NULL ? 0 : slot->uses;
}
