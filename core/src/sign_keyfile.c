/* The key file: a keyring sealed under a passphrase (layout: sign.h). Argon2id
 * makes the key, XChaCha20-Poly1305 seals the rows with the header beside
 * them, so that not a bit of the file can change unnoticed. */
#include "sign_internal.h"

#define VERSION 1u
#define OPSLIMIT_MAX 64u
#define MEMLIMIT_MAX (UINT64_C(4) << 30)
#define SEALED_BYTES(count)                                                         \
    (SENTINEL_KEYFILE_HEADER_BYTES + (count) * (size_t)SENTINEL_KEYFILE_ROW_BYTES + \
     crypto_aead_xchacha20poly1305_ietf_ABYTES)

static const char magic[] = "SENTKEYS";

typedef struct keyfile_header {
    char magic[8];
    uint16_t version;
    uint16_t reserved;
    uint32_t count;
    uint64_t opslimit;
    uint64_t memlimit;
    uint8_t salt[16];
    uint8_t nonce[24];
} keyfile_header;
SENTINEL_SIZE(keyfile_header, SENTINEL_KEYFILE_HEADER_BYTES);

typedef struct keyfile_row {
    sentinel_key_info info;
    uint32_t secret_size;
    uint32_t passphrase_size;
    uint8_t secret[SENTINEL_SECRET_BYTES_MAX];
    char passphrase[SENTINEL_API_PASSPHRASE_BYTES_MAX];
} keyfile_row;
SENTINEL_SIZE(keyfile_row, SENTINEL_KEYFILE_ROW_BYTES);
_Static_assert(crypto_pwhash_argon2id_SALTBYTES == 16, "salt of the key file");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == 24, "nonce of the key file");

/* Rows in the clear and the key over them: locked memory, for one call. */
typedef struct keyfile_open {
    uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    keyfile_row rows[];
} keyfile_open;

static sentinel_status open_new(keyfile_open **clear, uint32_t count) {
    void *memory = NULL;
    SENTINEL_TRY(sign_memory_new(&memory, sizeof **clear + count * sizeof(keyfile_row)));
    *clear = memory;
    return SENTINEL_OK;
}

static int limits_are_valid(uint64_t opslimit, uint64_t memlimit) {
    return opslimit >= crypto_pwhash_argon2id_OPSLIMIT_MIN && opslimit <= OPSLIMIT_MAX &&
           memlimit >= crypto_pwhash_argon2id_MEMLIMIT_MIN && memlimit <= MEMLIMIT_MAX;
}

/* An empty passphrase would seal nothing. */
static int passphrase_is_valid(size_t size) {
    return size > 0 && size <= SENTINEL_PASSPHRASE_BYTES_MAX;
}

/* Once its limits are valid, Argon2id fails for want of memory only. */
static sentinel_status derive(keyfile_open *clear, const keyfile_header *header,
                              const char *passphrase, size_t passphrase_size) {
    return crypto_pwhash_argon2id(clear->key, sizeof clear->key, passphrase, passphrase_size,
                                  header->salt, header->opslimit, (size_t)header->memlimit,
                                  crypto_pwhash_argon2id_ALG_ARGON2ID13) == 0
               ? SENTINEL_OK
               : SENTINEL_IO_MEMORY;
}

size_t sentinel_keyring_sealed_bytes(const sentinel_keyring *ring) {
    return sign_is_live(ring) ? SEALED_BYTES(ring->count) : 0;
}

static sentinel_status seal_rows(const sentinel_keyring *ring, uint8_t *out,
                                 const keyfile_header *header, keyfile_open *clear,
                                 const char *passphrase, size_t passphrase_size) {
    SENTINEL_TRY(derive(clear, header, passphrase, passphrase_size));
    for (uint32_t i = 0; i < ring->count; i++) {
        clear->rows[i].info = ring->slots[i].info;
        clear->rows[i].secret_size = ring->slots[i].secret_size;
        clear->rows[i].passphrase_size = ring->slots[i].passphrase_size;
        memcpy(clear->rows[i].passphrase, ring->slots[i].passphrase,
               sizeof clear->rows[i].passphrase);
        memcpy(clear->rows[i].secret, ring->slots[i].secret, sizeof clear->rows[i].secret);
    }
    memcpy(out, header, sizeof *header);
    return crypto_aead_xchacha20poly1305_ietf_encrypt(
               out + sizeof *header, NULL, (const uint8_t *)clear->rows,
               ring->count * sizeof(keyfile_row), out, sizeof *header, NULL, header->nonce,
               clear->key) == 0
               ? SENTINEL_OK
               : SENTINEL_CRYPTO_FAILED;
}

sentinel_status sentinel_keyring_seal(const sentinel_keyring *ring, uint8_t *out, size_t out_size,
                                      const char *passphrase, size_t passphrase_size,
                                      uint64_t opslimit, uint64_t memlimit) {
    if (!sign_is_live(ring)) {
        return SENTINEL_KEY_WIPED;
    }
    keyfile_header header = {
        .version = VERSION,
        .count = ring->count,
        .opslimit = opslimit != 0 ? opslimit : crypto_pwhash_argon2id_OPSLIMIT_MODERATE,
        .memlimit = memlimit != 0 ? memlimit : crypto_pwhash_argon2id_MEMLIMIT_MODERATE,
    };
    if (!passphrase_is_valid(passphrase_size) ||
        !limits_are_valid(header.opslimit, header.memlimit)) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (out_size < SEALED_BYTES(ring->count)) {
        return SENTINEL_USAGE_CAPACITY;
    }
    memcpy(header.magic, magic, sizeof header.magic);
    randombytes_buf(header.salt, sizeof header.salt);
    randombytes_buf(header.nonce, sizeof header.nonce);

    keyfile_open *clear = NULL;
    SENTINEL_TRY(open_new(&clear, ring->count));
    sentinel_status status = seal_rows(ring, out, &header, clear, passphrase, passphrase_size);
    sodium_free(clear);
    return status;
}

static sentinel_status header_check(const keyfile_header *header, size_t size) {
    if (!bytes_equal(header->magic, magic, sizeof header->magic)) {
        return SENTINEL_FORMAT_MAGIC;
    }
    if (header->version != VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    if (header->reserved != 0) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (header->count > SENTINEL_KEYRING_KEYS_MAX) {
        return SENTINEL_FORMAT_LIMIT;
    }
    if (!limits_are_valid(header->opslimit, header->memlimit)) {
        return SENTINEL_FORMAT_RANGE;
    }
    return size == SEALED_BYTES(header->count) ? SENTINEL_OK : SENTINEL_FORMAT_SIZE;
}

/* A row is taken through the same door as any other secret; what it says of
 * its key must be what comes out there. */
static sentinel_status row_import(sentinel_keyring *ring, const keyfile_row *row) {
    sentinel_key_info info = row->info;
    if (!bytes_are_zero(info.reserved, sizeof info.reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    const uint8_t *passphrase = (const uint8_t *)row->passphrase;
    if (row->secret_size > sizeof row->secret ||
        !sodium_is_zero(row->secret + row->secret_size, sizeof row->secret - row->secret_size) ||
        row->passphrase_size > sizeof row->passphrase ||
        !sodium_is_zero(passphrase + row->passphrase_size,
                        sizeof row->passphrase - row->passphrase_size)) {
        return SENTINEL_FORMAT_RANGE;
    }
    sentinel_status status = sentinel_keyring_import(ring, &info, row->secret, row->secret_size);
    if (status == SENTINEL_OK) {
        status =
            sentinel_keyring_set_passphrase(ring, info.id, row->passphrase, row->passphrase_size);
    }
    return status == SENTINEL_OK && bytes_equal(&info, &row->info, sizeof info)
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RANGE;
}

static sentinel_status unseal_rows(sentinel_keyring *ring, const keyfile_header *header,
                                   const uint8_t *sealed, size_t size, keyfile_open *clear,
                                   const char *passphrase, size_t passphrase_size) {
    SENTINEL_TRY(derive(clear, header, passphrase, passphrase_size));
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            (uint8_t *)clear->rows, NULL, NULL, sealed + sizeof *header, size - sizeof *header,
            sealed, sizeof *header, header->nonce, clear->key) != 0) {
        return SENTINEL_KEY_PASSPHRASE;
    }
    for (uint32_t i = 0; i < header->count; i++) {
        SENTINEL_TRY(row_import(ring, &clear->rows[i]));
    }
    return SENTINEL_OK;
}

sentinel_status sentinel_keyring_unseal(sentinel_keyring *ring, const uint8_t *sealed, size_t size,
                                        const char *passphrase, size_t passphrase_size) {
    keyfile_header header;
    keyfile_open *clear = NULL;
    if (!sign_is_live(ring)) {
        return SENTINEL_KEY_WIPED;
    }
    if (ring->count != 0) {
        return SENTINEL_USAGE_STATE;
    }
    if (!passphrase_is_valid(passphrase_size)) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (size < SEALED_BYTES(0)) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&header, sealed, sizeof header);
    SENTINEL_TRY(header_check(&header, size));
    SENTINEL_TRY(open_new(&clear, header.count));
    sentinel_status status =
        unseal_rows(ring, &header, sealed, size, clear, passphrase, passphrase_size);
    sodium_free(clear);
    if (status != SENTINEL_OK) { /* all or nothing */
        bytes_wipe(ring->slots, ring->count * sizeof ring->slots[0]);
        bytes_wipe(ring->ids, sizeof ring->ids);
        ring->count = 0;
    }
    return status;
}
