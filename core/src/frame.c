/* Signed frames: taking them apart, and who may have signed them. */
#include <sentinel/frame.h>
#include <sentinel/sign.h>

#include "bytes.h"
#include "check.h"
#include "hash.h"

/* What a proof is over begins with this, by kind of frame. */
static const char *const prefixes[SENTINEL_FRAME_COUNT] = {
    [SENTINEL_FRAME_AUTHORITY] = "sentinel-authority-v1",
    [SENTINEL_FRAME_POLICY] = "sentinel-policy-v1",
    [SENTINEL_FRAME_COMMAND] = "sentinel-command-v1",
    [SENTINEL_FRAME_FEED] = "sentinel-feed-v1",
    [SENTINEL_FRAME_GRANT] = "sentinel-grant-v1",
    [SENTINEL_FRAME_CERTIFICATE] = "sentinel-certificate-v1",
    [SENTINEL_FRAME_IMPORT] = "sentinel-import-v1",
};

typedef struct proof_cursor {
    const uint8_t *at;
    size_t left;
} proof_cursor;

/* Steps over one proof; the bytes behind it are padded with zeros to 8. */
static sentinel_status proof_next(proof_cursor *cursor, sentinel_proof *proof,
                                  const uint8_t **bytes) {
    if (cursor->left < sizeof *proof) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(proof, cursor->at, sizeof *proof);
    size_t padded = bytes_round_up(proof->size, 8);
    if (proof->size == 0 || proof->size > SENTINEL_PROOF_BYTES_MAX) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (cursor->left - sizeof *proof < padded) {
        return SENTINEL_FORMAT_SIZE;
    }
    *bytes = cursor->at + sizeof *proof;
    if (!bytes_are_zero(*bytes + proof->size, padded - proof->size)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    cursor->at += sizeof *proof + padded;
    cursor->left -= sizeof *proof + padded;
    return SENTINEL_OK;
}

static sentinel_status header_check(const sentinel_frame_header *header, uint16_t kind) {
    if (memcmp(header->magic, SENTINEL_FRAME_MAGIC, sizeof header->magic) != 0 ||
        header->kind != kind) {
        return SENTINEL_FORMAT_MAGIC;
    }
    if (header->version != SENTINEL_FRAME_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    if (!bytes_are_zero(header->reserved0, sizeof header->reserved0) ||
        !bytes_are_zero(header->reserved1, sizeof header->reserved1) ||
        !bytes_are_zero(header->reserved2, sizeof header->reserved2)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (header->environment < SENTINEL_ENVIRONMENT_LIVE ||
        header->environment > SENTINEL_ENVIRONMENT_LAB || header->sequence == 0 ||
        header->issued_ns < 0 || header->expires_ns <= header->issued_ns) {
        return SENTINEL_FORMAT_RANGE;
    }
    return SENTINEL_OK;
}

sentinel_status sentinel_frame_parse(sentinel_frame *frame, const void *bytes, size_t size,
                                     uint16_t kind) {
    if (frame == NULL || bytes == NULL || ((uintptr_t)bytes & 7) != 0 ||
        kind >= SENTINEL_FRAME_COUNT || prefixes[kind] == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (size < sizeof(sentinel_frame_header) + 8) {
        return SENTINEL_FORMAT_SIZE;
    }
    const sentinel_frame_header *header = bytes;
    SENTINEL_TRY(header_check(header, kind));
    size_t signed_size = header->size_bytes;
    if (signed_size < sizeof *header || signed_size % 8 != 0 || signed_size > size - 8) {
        return SENTINEL_FORMAT_SIZE;
    }
    const uint8_t *start = bytes;
    uint32_t counts[2];
    memcpy(counts, start + signed_size, sizeof counts);
    if (counts[1] != 0) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (counts[0] > SENTINEL_PROOFS_MAX) {
        return SENTINEL_FORMAT_LIMIT;
    }
    proof_cursor cursor = {start + signed_size + 8, size - signed_size - 8};
    frame->proofs = cursor.at;
    frame->proofs_size = cursor.left;
    for (uint32_t i = 0; i < counts[0]; i++) {
        sentinel_proof proof;
        const uint8_t *unused;
        SENTINEL_TRY(proof_next(&cursor, &proof, &unused));
    }
    if (cursor.left != 0) {
        return SENTINEL_FORMAT_SIZE;
    }
    frame->header = header;
    frame->payload = start + sizeof *header;
    frame->payload_size = signed_size - sizeof *header;
    frame->proof_count = counts[0];
    hash_bytes(frame->hash32, bytes, signed_size);
    return SENTINEL_OK;
}

/* A halt binds however late it comes: a clock that runs ahead refuses none. One
 * that was taken is not taken again, by its sequence; any other only tightens. */
static int is_halt(const sentinel_frame *frame) {
    sentinel_command command;
    if (frame->header->kind != SENTINEL_FRAME_COMMAND || frame->payload_size != sizeof command) {
        return 0;
    }
    memcpy(&command, frame->payload, sizeof command);
    return command.verb == SENTINEL_COMMAND_HALT;
}

sentinel_status sentinel_frame_expects(const sentinel_frame *frame,
                                       const sentinel_frame_expect *expect) {
    const sentinel_frame_header *header = frame->header;
    if (!bytes_equal(header->engine_id32, expect->engine_id32, 32)) {
        return SENTINEL_POLICY_ENGINE;
    }
    if (header->environment != expect->environment) {
        return SENTINEL_POLICY_ENVIRONMENT;
    }
    /* A number far ahead would leave none for those who come after it. */
    if (header->sequence <= expect->sequence_above ||
        (expect->now_ns >= 0 &&
         header->sequence > (uint64_t)expect->now_ns + SENTINEL_FRAME_AHEAD_NS)) {
        return SENTINEL_POLICY_SEQUENCE;
    }
    int64_t ahead = header->kind == SENTINEL_FRAME_FEED ? 0 : SENTINEL_FRAME_AHEAD_NS;
    if ((expect->now_ns < header->issued_ns && header->issued_ns - expect->now_ns > ahead) ||
        (expect->now_ns >= header->expires_ns && !is_halt(frame))) {
        return SENTINEL_POLICY_EXPIRED;
    }
    return SENTINEL_OK;
}

static sentinel_status authority_row_check(const sentinel_authority_key *row, uint32_t id_before) {
    if (row->id <= id_before) {
        return SENTINEL_FORMAT_ORDER;
    }
    if (row->powers == 0 || row->powers >= 1u << (SENTINEL_POWER_KEEPER + 1) ||
        row->scheme != SENTINEL_PROOF_ED25519 || row->expires_ns <= 0) {
        return SENTINEL_FORMAT_RANGE;
    }
    /* An agent's key is of that agent and has no other power. */
    int is_agent = (row->powers >> SENTINEL_POWER_AGENT & 1) != 0;
    if (is_agent != (row->node != 0) || (is_agent && row->powers != 1u << SENTINEL_POWER_AGENT)) {
        return SENTINEL_FORMAT_RANGE;
    }
    /* A keeper's key lies on a host that nobody trusts: it must be good for nothing else. */
    if ((row->powers >> SENTINEL_POWER_KEEPER & 1) != 0 &&
        row->powers != 1u << SENTINEL_POWER_KEEPER) {
        return SENTINEL_FORMAT_RANGE;
    }
    /* Only an agent's may be a process that the kernel names, and by one user. */
    int is_peer = (row->flags & SENTINEL_AUTHORITY_PEER) != 0;
    if ((row->flags & ~(unsigned)SENTINEL_AUTHORITY_PEER) != 0 || (is_peer && !is_agent) ||
        (!is_peer && row->uid != 0) || row->uid == UINT32_MAX) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (!bytes_are_zero(row->reserved1, sizeof row->reserved1)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    return SENTINEL_OK;
}

sentinel_status sentinel_authority_check(const uint8_t *payload, size_t size) {
    const sentinel_authority *authority = (const sentinel_authority *)payload;
    if (size < sizeof *authority) {
        return SENTINEL_FORMAT_SIZE;
    }
    if (authority->key_count == 0 || authority->key_count > SENTINEL_AUTHORITY_KEYS_MAX) {
        return SENTINEL_FORMAT_LIMIT;
    }
    if (size != sizeof *authority + authority->key_count * sizeof(sentinel_authority_key)) {
        return SENTINEL_FORMAT_SIZE;
    }
    if (!bytes_are_zero(authority->reserved, sizeof authority->reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    const sentinel_authority_key *rows = (const sentinel_authority_key *)(authority + 1);
    uint8_t holders[SENTINEL_POWER_COUNT] = {0};
    uint32_t id_before = 0;
    for (uint32_t i = 0; i < authority->key_count; i++) {
        SENTINEL_TRY(authority_row_check(&rows[i], id_before));
        id_before = rows[i].id;
        for (uint32_t j = 0; j < i; j++) {
            /* One person with two ids would count twice. */
            if (bytes_equal(rows[i].public_key32, rows[j].public_key32, 32)) {
                return SENTINEL_FORMAT_ORDER;
            }
        }
        for (unsigned power = 0; power <= SENTINEL_POWER_KEEPER; power++) {
            holders[power] = (uint8_t)(holders[power] + (rows[i].powers >> power & 1));
        }
    }
    for (unsigned power = 0; power < SENTINEL_POWER_COUNT; power++) {
        /* A power is held by k of n, or by nobody. */
        if (authority->threshold[power] > holders[power] ||
            (holders[power] != 0 && authority->threshold[power] == 0)) {
            return SENTINEL_FORMAT_RANGE;
        }
    }
    return SENTINEL_OK;
}

/* The public key that a proof names, if it may prove this; else null. */
static const uint8_t *authority_find(const uint8_t *payload, uint32_t id, unsigned power,
                                     int64_t now_ns) {
    const sentinel_authority *authority = (const sentinel_authority *)payload;
    const sentinel_authority_key *rows = (const sentinel_authority_key *)(authority + 1);
    for (uint32_t i = 0; i < authority->key_count; i++) {
        if (rows[i].id == id && (rows[i].powers >> power & 1) != 0 && now_ns < rows[i].expires_ns) {
            return rows[i].public_key32;
        }
    }
    return NULL;
}

static const uint8_t *root_find(const sentinel_genesis *genesis, uint32_t index) {
    return index < genesis->root_count ? genesis->root_keys[index] : NULL;
}

/* Every proof must be valid and of a distinct key; at least `threshold`. With
 * an authority the keys are those of its power, else the genesis' root. */
static sentinel_status verify(const sentinel_frame *frame, const uint8_t *authority, unsigned power,
                              const sentinel_genesis *genesis, unsigned threshold, int64_t now_ns) {
    proof_cursor cursor = {frame->proofs, frame->proofs_size};
    uint32_t seen[SENTINEL_PROOFS_MAX];
    for (uint32_t i = 0; i < frame->proof_count; i++) {
        sentinel_proof proof;
        const uint8_t *bytes;
        SENTINEL_TRY(proof_next(&cursor, &proof, &bytes));
        const uint8_t *key = authority != NULL ? authority_find(authority, proof.key, power, now_ns)
                                               : root_find(genesis, proof.key);
        if (key == NULL || proof.scheme != SENTINEL_PROOF_ED25519 || proof.size != 64) {
            return SENTINEL_POLICY_SIGNATURE;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (seen[j] == proof.key) {
                return SENTINEL_POLICY_SIGNATURE;
            }
        }
        seen[i] = proof.key;
        if (sentinel_verify_frame(bytes, key, prefixes[frame->header->kind], frame->hash32) !=
            SENTINEL_OK) {
            return SENTINEL_POLICY_SIGNATURE;
        }
    }
    /* A threshold of 0 means that nobody holds this power. */
    return threshold != 0 && frame->proof_count >= threshold ? SENTINEL_OK
                                                             : SENTINEL_POLICY_SIGNATURE;
}

sentinel_status sentinel_frame_verify(const sentinel_frame *frame, const uint8_t *authority,
                                      size_t authority_size, unsigned power, unsigned threshold,
                                      int64_t now_ns) {
    if (frame == NULL || authority == NULL || authority_size < sizeof(sentinel_authority) ||
        power >= SENTINEL_POWER_COUNT) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    unsigned own = ((const sentinel_authority *)authority)->threshold[power];
    return verify(frame, authority, power, NULL, threshold == 0 ? own : threshold, now_ns);
}

sentinel_status sentinel_frame_verify_root(const sentinel_frame *frame,
                                           const sentinel_genesis *genesis) {
    if (frame == NULL || genesis == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    return verify(frame, NULL, 0, genesis, genesis->root_threshold, 0);
}

sentinel_status sentinel_genesis_check(uint8_t engine_id32[32], const void *bytes, size_t size) {
    if (engine_id32 == NULL || bytes == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    sentinel_genesis genesis;
    if (size != sizeof genesis) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&genesis, bytes, sizeof genesis);
    if (memcmp(genesis.magic, "SENTGENE", 8) != 0) {
        return SENTINEL_FORMAT_MAGIC;
    }
    if (genesis.version != 1) {
        return SENTINEL_FORMAT_VERSION;
    }
    if (!bytes_are_zero(genesis.reserved0, sizeof genesis.reserved0) ||
        !bytes_are_zero(genesis.reserved1, sizeof genesis.reserved1)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (genesis.environment < SENTINEL_ENVIRONMENT_LIVE ||
        genesis.environment > SENTINEL_ENVIRONMENT_LAB || genesis.root_count == 0 ||
        genesis.root_count > SENTINEL_ROOT_KEYS_MAX || genesis.root_threshold == 0 ||
        genesis.root_threshold > genesis.root_count || genesis.created_ns < 0) {
        return SENTINEL_FORMAT_RANGE;
    }
    for (unsigned i = 0; i < SENTINEL_ROOT_KEYS_MAX; i++) {
        if (bytes_are_zero(genesis.root_keys[i], 32) != (i >= genesis.root_count)) {
            return SENTINEL_FORMAT_RANGE;
        }
        for (unsigned j = 0; j < i && i < genesis.root_count; j++) {
            if (bytes_equal(genesis.root_keys[i], genesis.root_keys[j], 32)) {
                return SENTINEL_FORMAT_ORDER;
            }
        }
    }
    hash_bytes(engine_id32, bytes, size);
    return SENTINEL_OK;
}
