/* What a host hands to an enclave: any bytes are refused, as none is signed or
 * sealed. The first byte chooses what they are taken for. */
#include <sodium.h>
#include <stdlib.h>

#include "../../enclave/daemon/cbor.c"
#include "../../enclave/daemon/certificate.c"
#include "../../enclave/daemon/document.c"
#include "../../enclave/daemon/gcm.c"
#include "../../enclave/daemon/import.c"
#include "../../enclave/daemon/kms.c"
#include "../../enclave/daemon/nsm.c"
#define magic wrapped_magic
#include "../../enclave/daemon/root.c"
#undef magic
#define magic sealed_magic
#include "../../enclave/daemon/sealed.c"
#undef magic

enum { PARTS_MAX = 1 << 16 };

static EVP_PKEY *key;
static root *secret;
static sentinel_keyring *ring;
static _Alignas(8) uint8_t aligned[PARTS_MAX];
static _Alignas(8) sentinel_genesis genesis;
static document paper;

static void set_up(void) {
    if (rsa_make(&key) != SENTINEL_OK || root_new(&secret) != SENTINEL_OK ||
        sentinel_keyring_new(&ring) != SENTINEL_OK) {
        abort();
    }
    memcpy(genesis.magic, "SENTGENE", 8);
    genesis.version = 1;
    genesis.environment = SENTINEL_ENVIRONMENT_TEST;
    genesis.root_threshold = genesis.root_count = 1;
    genesis.root_keys[0][0] = 1;
}

static void need(int holds) {
    if (!holds) {
        abort();
    }
}

static sentinel_status take_answer(const uint8_t *bytes, size_t size) {
    uint8_t shared[SENTINEL_SHARED_BYTES_MAX];
    size_t got;
    return kms_open(shared, &got, sizeof shared, key, bytes, size);
}

/* The same bytes as both frames: neither has a proof that holds. */
static sentinel_status take_papers(const uint8_t *bytes, size_t size) {
    certified out;
    const certificate_papers papers = {&genesis, sizeof genesis, bytes, size, bytes, size};
    return certificate_check(&out, &papers);
}

static sentinel_status take_wrapped(const uint8_t *bytes, size_t size) {
    const sentinel_wrapped_root *wrapped = (const sentinel_wrapped_root *)bytes;
    uint8_t shared[32] = {0};
    root *other;
    sentinel_status status = root_wrapped_check(wrapped, size, genesis.random32);
    if (status == SENTINEL_OK && root_new(&other) == SENTINEL_OK) {
        status = root_unwrap(other, wrapped, shared, sizeof shared, genesis.random32);
        root_free(other);
    }
    return status;
}

static sentinel_status take_sealed(const uint8_t *bytes, size_t size) {
    static uint8_t out[PARTS_MAX];
    sentinel_sealed header;
    const sealed_expect expect = {.type = SENTINEL_SEALED_KEYS};
    return sealed_open(out, sizeof out, &header, secret, genesis.random32, &expect, bytes, size);
}

/* A snapshot comes in pieces; the first byte says how long they are. */
static sentinel_status take_pieces(const uint8_t *bytes, size_t size) {
    static uint8_t out[PARTS_MAX];
    sentinel_sealed header;
    sealed_stream stream;
    uint8_t tag16[GCM_TAG_BYTES];
    size_t step = size != 0 ? (size_t)bytes[0] + 1 : 1;
    if (size < sizeof header) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&header, bytes, sizeof header);
    sentinel_status status = sealed_open_begin(&stream, secret, genesis.random32,
                                               SENTINEL_SEALED_SNAPSHOT, &header, size);
    for (size_t at = sizeof header; status == SENTINEL_OK && at < size - sizeof tag16;) {
        size_t left = size - sizeof tag16 - at, piece = left < step ? left : step;
        status = sealed_add(&stream, out, bytes + at, piece);
        at += piece;
    }
    if (status == SENTINEL_OK) {
        memcpy(tag16, bytes + size - sizeof tag16, sizeof tag16);
        status = sealed_finish(&stream, tag16);
    }
    sealed_stop(&stream);
    return status;
}

static sentinel_status take_import(const uint8_t *bytes, size_t size) {
    sentinel_import in;
    const sentinel_authority nobody = {.key_count = 0};
    import_judge judge = {.authority = (const uint8_t *)&nobody,
                          .authority_size = sizeof nobody,
                          .environment = SENTINEL_ENVIRONMENT_TEST,
                          .now_ns = 1};
    sentinel_status status = import_check(&in, bytes, size, &judge);
    if (size >= sizeof in) { /* as if operators had signed it */
        memcpy(&in, bytes, sizeof in);
        if (form_check(&in, SENTINEL_ENVIRONMENT_TEST) == SENTINEL_OK) {
            need(import_open(ring, &in, key, &judge) != SENTINEL_OK);
        }
    }
    return status;
}

static sentinel_status take_document(const uint8_t *bytes, size_t size) {
    static const uint8_t nonce32[32] = {9};
    const nsm_statement said = {"u", 1, nonce32, sizeof nonce32, "k", 1};
    if (size > sizeof paper.bytes) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(paper.bytes, bytes, size);
    paper.size = size;
    sentinel_status status = document_read(&paper, &said);
    return status == SENTINEL_OK ? SENTINEL_ENCLAVE_MODULE : status; /* it may be one */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static sentinel_status (*const takes[])(const uint8_t *, size_t) = {
        take_answer, take_papers,   take_wrapped, take_sealed,
        take_import, take_document, take_pieces};
    if (key == NULL) {
        set_up();
    }
    if (size == 0 || size - 1 > sizeof aligned) {
        return 0;
    }
    unsigned which = data[0] % (sizeof takes / sizeof *takes);
    memcpy(aligned, data + 1, size - 1);
    sentinel_status status = takes[which](aligned, size - 1);
    /* What only has to be encrypted to a public key can open, if ever so rarely. */
    need(status != SENTINEL_OK || which == 0);
    return 0;
}
