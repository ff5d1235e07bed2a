/* Frames, commands, feeds and authority bundles from outside: any bytes are
 * taken apart or refused, and what is refused changes nothing but the log.
 *
 * The first byte chooses: 0 to 3 the frame's kind as given; from 4 on the
 * bytes are made a frame of this engine with the right header and hash, so
 * that payloads get past the header's check. */
#include <sentinel/sentinel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sentinel_context *context;
static sentinel_keyring *ring;
static uint8_t engine_id32[32];
static const int64_t now_ns = INT64_C(1700000000000000000);

static void set_up(void) {
    sentinel_config config = {
        .bundle_bytes_max = 1 << 20, .state_bytes_max = 1 << 20, .receipt_key = 1};
    sentinel_genesis *genesis = &config.genesis;
    sentinel_key_info info = {
        .id = 1, .purpose = SENTINEL_PURPOSE_RECEIPT, .algorithm = SENTINEL_ALGORITHM_ED25519};
    if (sentinel_keyring_new(&ring) != SENTINEL_OK ||
        sentinel_keyring_generate(ring, &info) != SENTINEL_OK) {
        abort();
    }
    memcpy(genesis->magic, "SENTGENE", 8);
    genesis->version = 1;
    genesis->environment = SENTINEL_ENVIRONMENT_TEST;
    genesis->root_threshold = genesis->root_count = 1;
    memcpy(genesis->root_keys[0], info.public_key, 32);
    uint64_t bytes = sentinel_context_bytes(&config);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory == NULL || sentinel_genesis_check(engine_id32, genesis, sizeof *genesis) != 0 ||
        sentinel_context_init(&context, memory, bytes, &config, ring, NULL, NULL) != 0 ||
        sentinel_gate_genesis(context, now_ns) != SENTINEL_OK) {
        abort();
    }
}

/* A well-formed frame of this engine around any payload; no proofs. */
static size_t make_frame(uint8_t *out, size_t room, uint16_t kind, const uint8_t *payload,
                         size_t size) {
    size &= ~(size_t)7;
    if (sizeof(sentinel_frame_header) + size + 8 > room) {
        return 0;
    }
    sentinel_frame_header header = {
        .version = SENTINEL_FRAME_VERSION,
        .kind = kind,
        .environment = SENTINEL_ENVIRONMENT_TEST,
        .size_bytes = (uint32_t)(sizeof header + size),
        .sequence = 1,
        .issued_ns = now_ns,
        .expires_ns = now_ns + 1,
    };
    memcpy(header.magic, SENTINEL_FRAME_MAGIC, 8);
    memcpy(header.engine_id32, engine_id32, 32);
    memcpy(out, &header, sizeof header);
    memcpy(out + sizeof header, payload, size);
    memset(out + sizeof header + size, 0, 8);
    return sizeof header + size + 8;
}

/* Every part that a parsed frame points to lies within the bytes. */
static void check_bounds(const sentinel_frame *frame, const uint8_t *bytes, size_t size) {
    if ((const uint8_t *)frame->header != bytes || frame->payload < bytes ||
        frame->payload + frame->payload_size > frame->proofs ||
        frame->proofs + frame->proofs_size != bytes + size) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static _Alignas(8) uint8_t bytes[65536];
    if (context == NULL) {
        set_up();
    }
    if (size < 1 || size > sizeof bytes - 1024) {
        return 0;
    }
    uint8_t choice = data[0];
    uint16_t kind = (uint16_t)(choice % SENTINEL_FRAME_COUNT);
    size_t length = size - 1;
    if (choice < 4) {
        memcpy(bytes, data + 1, length);
    } else {
        length = make_frame(bytes, sizeof bytes, kind, data + 1, length);
    }
    sentinel_frame frame;
    for (uint16_t i = 0; i <= SENTINEL_FRAME_COUNT; i++) {
        if (sentinel_frame_parse(&frame, bytes, length, i) == SENTINEL_OK) {
            check_bounds(&frame, bytes, length);
            if (sentinel_authority_check(frame.payload, frame.payload_size) == SENTINEL_OK &&
                frame.proof_count != 0) {
                (void)!sentinel_frame_verify(&frame, frame.payload, frame.payload_size,
                                             SENTINEL_POWER_POLICY, 0, now_ns);
            }
        }
    }
    uint8_t id32[32];
    (void)!sentinel_genesis_check(id32, bytes, length);
    /* Nobody signed, so nothing may be taken. */
    uint64_t record = 0;
    if (sentinel_gate_take(context, &record, bytes, length, now_ns) == SENTINEL_OK) {
        abort();
    }
    const sentinel_state *state = sentinel_gate_state(context);
    for (unsigned i = 0; i < SENTINEL_SEQUENCES; i++) {
        if (state->sequences[i] != 0 || sentinel_gate_view(context) != NULL) {
            abort();
        }
    }
    return 0;
}
