/* Attestation documents: COSE_Sign1 around a map, asked for and looked into. */
#include "document.h"

#include "bytes.h"
#include "cbor.h"
#include "check.h"
#include "hash.h"

void document_authority_root(uint8_t root32[32], const sentinel_genesis *genesis) {
    hash_sha256 hash;
    const uint8_t counts[2] = {genesis->root_threshold, genesis->root_count};
    hash_init(&hash);
    hash_add_prefix(&hash, "sentinel-authority-root-v1");
    hash_add(&hash, counts, sizeof counts);
    hash_add(&hash, genesis->root_keys, (size_t)genesis->root_count * 32);
    hash_final(&hash, root32);
}

static int says(const cbor_item *item, const void *bytes, size_t size) {
    return cbor_is(item, CBOR_BYTES) && item->size == size && memcmp(item->bytes, bytes, size) == 0;
}

/* The payload of [protected, {}, payload, signature]. */
static sentinel_status payload_of(cbor_item *payload, const document *in) {
    cbor_item whole, part;
    SENTINEL_TRY(cbor_whole(&whole, CBOR_ARRAY, in->bytes, in->size));
    cbor_reader reader = {whole.bytes, whole.size};
    if (whole.number != 4) {
        return SENTINEL_FORMAT_RANGE;
    }
    static const cbor_type types[] = {CBOR_BYTES, CBOR_MAP, CBOR_BYTES, CBOR_BYTES};
    for (size_t i = 0; i < 4; i++) {
        SENTINEL_TRY(cbor_take(&reader, &part));
        if (part.type != types[i]) {
            return SENTINEL_FORMAT_MAGIC;
        }
        if (i == 2) {
            *payload = part;
        }
    }
    return SENTINEL_OK;
}

sentinel_status document_read(document *out, const nsm_statement *said) {
    cbor_item payload = {0}, map;
    cbor_want wants[] = {
        {.key = "timestamp"}, {.key = "user_data"}, {.key = "nonce"}, {.key = "public_key"}};
    if (payload_of(&payload, out) != SENTINEL_OK ||
        cbor_whole(&map, CBOR_MAP, payload.bytes, payload.size) != SENTINEL_OK ||
        cbor_find(wants, 4, &map) != SENTINEL_OK || !cbor_is(&wants[0].item, CBOR_UINT) ||
        !says(&wants[1].item, said->user_data, said->user_data_size) ||
        !says(&wants[2].item, said->nonce, said->nonce_size) ||
        !says(&wants[3].item, said->public_key, said->public_key_size)) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    out->time_ms = wants[0].item.number;
    hash_bytes(out->digest32, payload.bytes, payload.size);
    return SENTINEL_OK;
}

sentinel_status document_make(document *out, nsm *module, const sentinel_user_data *data,
                              const uint8_t nonce32[32], const uint8_t *spki, size_t spki_size) {
    const nsm_statement statement = {.user_data = data,
                                     .user_data_size = sizeof *data,
                                     .nonce = nonce32,
                                     .nonce_size = 32,
                                     .public_key = spki,
                                     .public_key_size = spki_size};
    const uint8_t *bytes;
    SENTINEL_TRY(nsm_attest(module, &bytes, &out->size, &statement));
    if (out->size > sizeof out->bytes) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    memcpy(out->bytes, bytes, out->size);
    return document_read(out, &statement);
}
