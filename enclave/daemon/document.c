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

static void add_sized(hash_sha256 *hash, const cbor_item *item) {
    const uint32_t size = (uint32_t)item->size;
    hash_add(hash, &size, sizeof size);
    hash_add(hash, item->bytes, item->size);
}

/* The registers, by index, whichever order the map has. */
static sentinel_status add_pcrs(hash_sha256 *hash, const cbor_item *map) {
    const uint8_t *values[NSM_PCRS_MAX] = {NULL};
    cbor_reader reader = {map->bytes, map->size};
    if (!cbor_is(map, CBOR_MAP) || map->number > NSM_PCRS_MAX) {
        return SENTINEL_FORMAT_RANGE;
    }
    for (uint64_t i = 0; i < map->number; i++) {
        cbor_item index, value;
        SENTINEL_TRY(cbor_take(&reader, &index));
        SENTINEL_TRY(cbor_take(&reader, &value));
        if (index.type != CBOR_UINT || index.number >= NSM_PCRS_MAX || value.type != CBOR_BYTES ||
            value.size != NSM_PCR_BYTES || values[index.number] != NULL) {
            return SENTINEL_FORMAT_RANGE;
        }
        values[index.number] = value.bytes;
    }
    const uint8_t count = (uint8_t)map->number;
    hash_add(hash, &count, 1);
    for (uint8_t i = 0; i < NSM_PCRS_MAX; i++) {
        if (values[i] != NULL) {
            hash_add(hash, &i, 1);
            hash_add(hash, values[i], NSM_PCR_BYTES);
        }
    }
    return SENTINEL_OK;
}

sentinel_status document_read(document *out, const nsm_statement *said) {
    cbor_item payload = {0}, map;
    cbor_want wants[] = {{.key = "timestamp"}, {.key = "module_id"}, {.key = "pcrs"},
                         {.key = "user_data"}, {.key = "nonce"},     {.key = "public_key"}};
    hash_sha256 hash;
    if (payload_of(&payload, out) != SENTINEL_OK ||
        cbor_whole(&map, CBOR_MAP, payload.bytes, payload.size) != SENTINEL_OK ||
        cbor_find(wants, sizeof wants / sizeof *wants, &map) != SENTINEL_OK ||
        !cbor_is(&wants[0].item, CBOR_UINT) || !cbor_is(&wants[1].item, CBOR_TEXT) ||
        !says(&wants[3].item, said->user_data, said->user_data_size) ||
        !says(&wants[4].item, said->nonce, said->nonce_size) ||
        !says(&wants[5].item, said->public_key, said->public_key_size)) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    out->time_ms = wants[0].item.number;
    hash_init(&hash);
    hash_add_prefix(&hash, "sentinel-statement-v1");
    hash_add(&hash, &out->time_ms, sizeof out->time_ms);
    add_sized(&hash, &wants[1].item);
    if (add_pcrs(&hash, &wants[2].item) != SENTINEL_OK) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    for (size_t i = 3; i < 6; i++) {
        add_sized(&hash, &wants[i].item);
    }
    hash_final(&hash, out->digest32);
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
