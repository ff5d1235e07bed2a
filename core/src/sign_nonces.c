/* The pool: who takes a nonce, who fills, and that none is taken twice. */
#include "sign_nonces.h"

#include <time.h>
#include <unistd.h>

#define LABEL "sentinel-nonce-v1"
/* Below the caller's frame, where the libraries worked. sign_erase_test still
 * finds a nonce where 384 bytes are zeroed after signing, or 768 after a fill. */
#define STACK_SIGN_BYTES 1024u
#define STACK_FILL_BYTES 8192u /* deeper, and once a batch */

void sign_nonces_draw(uint8_t draw64[64], sign_pool *pool, const uint8_t fresh32[32]) {
    uint8_t message[sizeof LABEL + 32 + 32 + sizeof pool->origin + 8] = LABEL;
    uint8_t *at = message + sizeof LABEL;
    pool->drawn++;
    memcpy(at, fresh32, 32);
    memcpy(at + 32, pool->secret32, 32);
    memcpy(at + 64, pool->origin, sizeof pool->origin);
    memcpy(at + 64 + sizeof pool->origin, &pool->drawn, 8);
    (void)crypto_hash_sha512(draw64, message, sizeof message);
    bytes_wipe(message, sizeof message);
}

/* All but its place. */
static void erase(sign_nonce *nonce) {
    const size_t behind = offsetof(sign_nonce, recovery_id);
    bytes_wipe((uint8_t *)nonce + behind, sizeof *nonce - behind);
}

/* The next nonce, out of the pool for good. A place is claimed by one swap, so
 * that even callers who broke the rule of turns cannot share it; whoever fills
 * waits for the place to read 0, which it does when it was erased. */
static int claim(sign_pool *pool, sign_nonce *taken) {
    if (pool->live != SIGN_LIVE) {
        return 0;
    }
    uint64_t next = __atomic_load_n(&pool->next, __ATOMIC_RELAXED);
    sign_nonce *at;
    do {
        at = &pool->nonces[next & (pool->capacity - 1)];
        if (__atomic_load_n(&at->ready, __ATOMIC_ACQUIRE) != next + 1) {
            __atomic_fetch_add(&pool->missed, 1, __ATOMIC_RELAXED);
            return 0;
        }
    } while (!__atomic_compare_exchange_n(&pool->next, &next, next + 1, 0, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    *taken = *at;
    erase(at);
    __atomic_store_n(&at->ready, 0, __ATOMIC_RELEASE);
    __builtin_prefetch(&pool->nonces[(next + 1) & (pool->capacity - 1)]);
    return 1;
}

int sign_with_nonce(sentinel_signature *signature, sign_pool *pool, const uint8_t *bytes,
                    size_t size) {
    sign_nonce nonce;
    if (!claim(pool, &nonce)) {
        return 0;
    }
    int made = 0;
    switch (pool->algorithm) {
    case SENTINEL_ALGORITHM_ED25519:
        made = sign_ed25519_with(signature->bytes, pool, &nonce, bytes, size);
        break;
    case SENTINEL_ALGORITHM_ECDSA_SECP256K1:
        made = sign_ecdsa_with(signature, pool, &nonce, bytes);
        break;
    default:
        made = sign_bip340_with(signature->bytes, pool, &nonce, bytes);
        break;
    }
    bytes_wipe(&nonce, sizeof nonce);
    sodium_stackzero(STACK_SIGN_BYTES); /* the libraries' own copies, such as r in a sum */
    __atomic_fetch_add(made ? &pool->used : &pool->burnt, 1, __ATOMIC_RELAXED);
    if (!made) {
        bytes_wipe(signature, sizeof *signature);
    }
    return made;
}

/* The empty places behind the last nonce, at most a batch of them. While the
 * pool is more than half full a whole batch must be empty, for each batch costs
 * an inversion. */
static uint32_t room(sign_pool *pool, sign_nonce *places[SENTINEL_NONCES_BATCH]) {
    uint32_t count = 0;
    while (count < SENTINEL_NONCES_BATCH) {
        sign_nonce *at = &pool->nonces[(pool->made + count) & (pool->capacity - 1)];
        if (__atomic_load_n(&at->ready, __ATOMIC_ACQUIRE) != 0) {
            break;
        }
        places[count++] = at;
    }
    const uint64_t ready = pool->made - __atomic_load_n(&pool->next, __ATOMIC_RELAXED);
    return count < SENTINEL_NONCES_BATCH && 2 * ready > pool->capacity ? 0 : count;
}

static sentinel_status fill(sign_pool *pool, uint32_t *made) {
    sign_nonce *places[SENTINEL_NONCES_BATCH];
    const uint32_t count = room(pool, places);
    if (count == 0) {
        return SENTINEL_OK;
    }
    randombytes_buf(pool->fresh, sizeof pool->fresh);
    const int filled = pool->algorithm == SENTINEL_ALGORITHM_ED25519
                           ? sign_nonces_ed25519_fill(pool, places, count)
                           : sign_nonces_secp256k1_fill(pool, places, count);
    bytes_wipe(pool->fresh, sizeof pool->fresh);
    bytes_wipe(pool->drafts, sizeof pool->drafts);
    bytes_wipe(pool->chain, sizeof pool->chain);
    sodium_stackzero(STACK_FILL_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        if (!filled) {
            erase(places[i]);
        } else {
            const uint64_t place = pool->made + 1; /* counted first: `next` never passes it */
            __atomic_store_n(&pool->made, place, __ATOMIC_RELAXED);
            __atomic_store_n(&places[i]->ready, place, __ATOMIC_RELEASE);
        }
    }
    *made = filled ? count : 0;
    return filled ? SENTINEL_OK : SENTINEL_CRYPTO_FAILED;
}

/* A key's pool. */
static sentinel_status pool_of(sign_pool **pool, const sentinel_keyring *ring, uint32_t key) {
    const sign_slot *slot = sign_is_live(ring) ? sign_slot_find(ring, key) : NULL;
    if (!sign_is_live(ring)) {
        return SENTINEL_KEY_WIPED;
    }
    if (slot == NULL) {
        return SENTINEL_KEY_UNKNOWN;
    }
    *pool = slot->pool;
    return *pool == NULL ? SENTINEL_USAGE_STATE : SENTINEL_OK;
}

sentinel_status sentinel_nonces_fill(sentinel_keyring *ring, uint32_t key, uint32_t *made) {
    sign_pool *pool = NULL;
    *made = 0;
    SENTINEL_TRY(pool_of(&pool, ring, key));
    if (pool->live != SIGN_LIVE) {
        return SENTINEL_KEY_WIPED;
    }
    if (__atomic_exchange_n(&pool->filling, 1, __ATOMIC_ACQUIRE) != 0) {
        return SENTINEL_OK;
    }
    sentinel_status status = fill(pool, made);
    __atomic_store_n(&pool->filling, 0, __ATOMIC_RELEASE);
    return status;
}

sentinel_status sentinel_nonces_read(const sentinel_keyring *ring, uint32_t key,
                                     sentinel_nonces *nonces) {
    sign_pool *pool = NULL;
    memset(nonces, 0, sizeof *nonces);
    SENTINEL_TRY(pool_of(&pool, ring, key));
    const uint64_t next = __atomic_load_n(&pool->next, __ATOMIC_ACQUIRE);
    nonces->capacity = pool->capacity;
    nonces->made = __atomic_load_n(&pool->made, __ATOMIC_ACQUIRE);
    const uint64_t ready = nonces->made - next; /* the two were not read at once */
    nonces->ready = ready < pool->capacity ? (uint32_t)ready : pool->capacity;
    nonces->used = __atomic_load_n(&pool->used, __ATOMIC_RELAXED);
    nonces->burnt = __atomic_load_n(&pool->burnt, __ATOMIC_RELAXED);
    nonces->missed = __atomic_load_n(&pool->missed, __ATOMIC_RELAXED);
    return SENTINEL_OK;
}

/* Two pools of one secret must not draw the same, even where the machine's
 * randomness repeats: after a restart, or under another id. */
static void set_origin(sign_pool *pool, uint32_t key) {
    struct timespec wall = {0};
    struct timespec running = {0};
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)clock_gettime(CLOCK_MONOTONIC, &running);
    pool->origin[0] = key;
    pool->origin[1] = pool->algorithm;
    pool->origin[2] = (uint64_t)getpid();
    pool->origin[3] = (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec;
    pool->origin[4] = (uint64_t)running.tv_sec * 1000000000u + (uint64_t)running.tv_nsec;
}

sentinel_status sentinel_nonces_start(sentinel_keyring *ring, uint32_t key, uint32_t capacity) {
    void *memory = NULL;
    sign_pool *pool = NULL;
    const sentinel_status found = pool_of(&pool, ring, key);
    if (found != SENTINEL_USAGE_STATE) {
        return found == SENTINEL_OK ? SENTINEL_USAGE_STATE : found;
    }
    sign_slot *slot = &ring->slots[sign_slot_find(ring, key) - ring->slots];
    if (slot->info.algorithm == SENTINEL_ALGORITHM_HMAC_SHA256 || sign_is_for_frames(slot)) {
        return SENTINEL_KEY_PURPOSE;
    }
    if (capacity < SENTINEL_NONCES_MIN || capacity > SENTINEL_NONCES_MAX ||
        (capacity & (capacity - 1)) != 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    SENTINEL_TRY(sign_memory_new(&memory, sizeof *pool + capacity * sizeof pool->nonces[0]));
    pool = memory;
    pool->capacity = capacity;
    pool->algorithm = slot->info.algorithm;
    set_origin(pool, key);
    pool->secp256k1 = ring->secp256k1;
    memcpy(pool->secret32, slot->secret, 32);
    const int prepared = pool->algorithm == SENTINEL_ALGORITHM_ED25519
                             ? sign_nonces_ed25519_prepare(pool, slot)
                             : sign_nonces_secp256k1_prepare(pool, slot);
    sodium_stackzero(STACK_FILL_BYTES); /* powers of the key, on the way to its inverse */
    if (!prepared) {
        sodium_free(memory);
        return SENTINEL_CRYPTO_FAILED;
    }
    pool->live = SIGN_LIVE;
    slot->pool = pool;
    return SENTINEL_OK;
}

void sign_pool_free(sign_pool *pool) {
    sodium_free(pool); /* it wipes */
}

void sentinel_nonces_stop(sentinel_keyring *ring, uint32_t key) {
    sign_pool *pool = NULL;
    if (pool_of(&pool, ring, key) == SENTINEL_OK) {
        ring->slots[sign_slot_find(ring, key) - ring->slots].pool = NULL;
        sign_pool_free(pool);
    }
}
