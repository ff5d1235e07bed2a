/* The engine's certificate, verified from the genesis record on. */
#include "certificate.h"

#include "bytes.h"
#include "check.h"
#include "document.h"

static sentinel_status names_engine(const sentinel_frame *frame, const uint8_t engine_id32[32],
                                    uint8_t environment) {
    if (!bytes_equal(frame->header->engine_id32, engine_id32, 32)) {
        return SENTINEL_POLICY_ENGINE;
    }
    return frame->header->environment == environment ? SENTINEL_OK : SENTINEL_POLICY_ENVIRONMENT;
}

static sentinel_status payload_check(sentinel_certificate *out, const sentinel_frame *frame,
                                     const sentinel_genesis *genesis) {
    uint8_t root32[32];
    if (frame->payload_size != sizeof *out) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(out, frame->payload, sizeof *out);
    if (out->version != SENTINEL_CERTIFICATE_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    if (!bytes_are_zero(out->reserved0, sizeof out->reserved0) ||
        !bytes_are_zero(out->reserved1, sizeof out->reserved1)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    document_authority_root(root32, genesis);
    return bytes_equal(root32, out->authority_root32, 32) ? SENTINEL_OK : SENTINEL_POLICY_SIGNATURE;
}

sentinel_status certificate_check(certified *out, const certificate_papers *papers) {
    sentinel_genesis genesis;
    sentinel_frame authority, frame;
    memset(out, 0, sizeof *out);
    SENTINEL_TRY(sentinel_genesis_check(out->engine_id32, papers->genesis, papers->genesis_size));
    memcpy(&genesis, papers->genesis, sizeof genesis);
    SENTINEL_TRY(sentinel_frame_parse(&authority, papers->authority, papers->authority_size,
                                      SENTINEL_FRAME_AUTHORITY));
    SENTINEL_TRY(sentinel_frame_parse(&frame, papers->certificate, papers->certificate_size,
                                      SENTINEL_FRAME_CERTIFICATE));
    SENTINEL_TRY(names_engine(&authority, out->engine_id32, genesis.environment));
    SENTINEL_TRY(names_engine(&frame, out->engine_id32, genesis.environment));
    SENTINEL_TRY(sentinel_frame_verify_root(&authority, &genesis));
    SENTINEL_TRY(sentinel_authority_check(authority.payload, authority.payload_size));
    SENTINEL_TRY(sentinel_frame_verify(&frame, authority.payload, authority.payload_size,
                                       SENTINEL_POWER_OPERATOR, 0, frame.header->issued_ns));
    SENTINEL_TRY(payload_check(&out->certificate, &frame, &genesis));
    out->sequence = frame.header->sequence;
    out->issued_ns = frame.header->issued_ns;
    out->expires_ns = frame.header->expires_ns;
    out->environment = genesis.environment;
    return SENTINEL_OK;
}
