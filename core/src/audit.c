/* Records: building one, and taking one apart that may be anybody's bytes. */
#include "audit_record.h"

#include "bytes.h"
#include "check.h"

#define RECORD_FLAGS_ALL                                                                         \
    (SENTINEL_RECORD_ENDPOINT_OPEN | SENTINEL_RECORD_ENDPOINT_GRANT | SENTINEL_RECORD_UNPROVEN | \
     SENTINEL_RECORD_CLOCK_HELD | SENTINEL_RECORD_LAB | SENTINEL_RECORD_NOTIFY |                 \
     SENTINEL_RECORD_CLOCK_SET)
#define REASONS_COUNT 128u

/* A header's message is that of RFC 6962's leaf hash, so that the chain's links
 * are the tree's leaves. */
static hash_message header_message(const sentinel_record_header *header) {
    static const uint8_t leaf = 0x00;
    return (hash_message){.part = {&leaf, header}, .size = {sizeof leaf, sizeof *header}};
}

/* Field by field: a whole one would be copied from where it was just stored in
 * pieces, and waited for. */
static inline void message_set(hash_message *message, const void *lead, size_t lead_size,
                               const void *bytes, size_t size) {
    message->part[0] = lead;
    message->part[1] = bytes;
    message->size[0] = lead_size;
    message->size[1] = size;
    message->chain = NULL;
    message->before = 0;
    message->is_open = 0;
    message->after = 0;
    message->to = NULL;
}

/* What the header commits to: each part behind its salt. */
static inline void message_of_part(hash_message *message, const sentinel_record_header *header,
                                   unsigned part, const void *bytes, const uint8_t *salts) {
    const size_t sizes[SENTINEL_RECORD_PARTS] = {
        header->subject_size, header->result_count * sizeof(sentinel_result), header->outcome_size};
    message_set(message, salts + (size_t)part * SENTINEL_SALT_BYTES, SENTINEL_SALT_BYTES, bytes,
                sizes[part]);
}

static size_t record_bytes(const sentinel_record_header *header) {
    return sizeof *header + header->subject_size + header->result_count * sizeof(sentinel_result) +
           header->outcome_size + SENTINEL_SALTS_BYTES;
}

/* The size of a subject that has one size only; 0 for the others. */
static size_t subject_bytes(uint16_t type) {
    switch (type) {
    case SENTINEL_RECORD_GENESIS:
        return sizeof(sentinel_genesis);
    case SENTINEL_RECORD_START:
        return sizeof(sentinel_start);
    case SENTINEL_RECORD_BUNDLE:
        return sizeof(sentinel_bundle_ref);
    case SENTINEL_RECORD_SUMMARY:
        return sizeof(sentinel_summary);
    case SENTINEL_RECORD_SNAPSHOT:
        return sizeof(sentinel_snapshot_ref);
    case SENTINEL_RECORD_REFUSED:
        return sizeof(sentinel_refused);
    case SENTINEL_RECORD_HALT:
        return sizeof(sentinel_self_halt);
    case SENTINEL_RECORD_WITHDRAWN:
        return sizeof(sentinel_withdrawn);
    case SENTINEL_RECORD_CLOCK:
        return sizeof(sentinel_clock);
    default:
        return 0;
    }
}

/* The least that a subject may have. */
static size_t subject_least(uint16_t type) {
    return type == SENTINEL_RECORD_STOP  ? sizeof(sentinel_auto_stop)
           : type == SENTINEL_RECORD_KEY ? sizeof(sentinel_key_record)
                                         : 0;
}

/* Sizes that fit one another and the type. */
static sentinel_status sizes_check(const sentinel_record_header *header, size_t size) {
    int is_order = header->type == SENTINEL_RECORD_ORDER;
    size_t fixed = subject_bytes(header->type);
    size_t most = is_order ? SENTINEL_ORDER_BYTES_MAX : SENTINEL_SUBJECT_BYTES_MAX;
    if (header->result_count > (is_order ? SENTINEL_RESULTS_MAX : 0) ||
        header->subject_size > most) {
        return SENTINEL_FORMAT_LIMIT;
    }
    if (header->subject_size % 8 != 0 || header->subject_size < subject_least(header->type) ||
        (fixed != 0 && header->subject_size != fixed) ||
        header->outcome_size != (is_order ? sizeof(sentinel_outcome_part) : 0) ||
        header->size_bytes != size || record_bytes(header) != size) {
        return SENTINEL_FORMAT_SIZE;
    }
    return SENTINEL_OK;
}

static sentinel_status header_check(const sentinel_record_header *header, size_t size) {
    if (header->version != SENTINEL_RECORD_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    if (header->reserved0 != 0 || !bytes_are_zero(header->reserved1, sizeof header->reserved1)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (header->type == 0 || header->type >= SENTINEL_RECORD_TYPE_COUNT ||
        (header->type == SENTINEL_RECORD_GENESIS) != (header->number == 0) || header->now_ns < 0 ||
        header->verdict > SENTINEL_FAILED || header->release_mode > SENTINEL_RELEASE_TO_SUBMITTER ||
        ((header->flags & SENTINEL_RECORD_CLOCK_SET) != 0 &&
         header->type != SENTINEL_RECORD_COMMAND) ||
        header->reason >= REASONS_COUNT || (header->flags & ~(uint32_t)RECORD_FLAGS_ALL) != 0 ||
        (header->number == 0 && !bytes_are_zero(header->prev_hash32, 32)) ||
        (header->pending != 0 && header->pending >= header->number)) {
        return SENTINEL_FORMAT_RANGE;
    }
    return sizes_check(header, size);
}

static sentinel_status results_check(const sentinel_result *results, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (results[i].result == 0 || results[i].result > SENTINEL_WAIT || results[i].kind == 0 ||
            results[i].kind >= SENTINEL_RULE_NUMBERS ||
            results[i].flags > (SENTINEL_RESULT_SATURATED | SENTINEL_RESULT_UNKNOWN)) {
            return SENTINEL_FORMAT_RANGE;
        }
    }
    return SENTINEL_OK;
}

sentinel_status record_open(sentinel_record *record, hash_message messages[RECORD_MESSAGES],
                            const void *bytes, size_t size) {
    if (record == NULL || bytes == NULL || ((uintptr_t)bytes & 7) != 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (size < sizeof(sentinel_record_header) + SENTINEL_SALTS_BYTES ||
        size > SENTINEL_RECORD_BYTES_MAX) {
        return SENTINEL_FORMAT_SIZE;
    }
    const sentinel_record_header *header = bytes;
    SENTINEL_TRY(header_check(header, size));
    const uint8_t *next = (const uint8_t *)bytes + sizeof *header;
    record->header = header;
    record->subject = next;
    next += header->subject_size;
    record->results = (const sentinel_result *)next;
    next += header->result_count * sizeof(sentinel_result);
    record->outcome = header->outcome_size != 0 ? (const sentinel_outcome_part *)next : NULL;
    record->salts = next + header->outcome_size;
    messages[0] = header_message(header);
    message_of_part(messages + 1, header, 0, record->subject, record->salts);
    message_of_part(messages + 2, header, 1, record->results, record->salts);
    message_of_part(messages + 3, header, 2, record->outcome, record->salts);
    return SENTINEL_OK;
}

sentinel_status record_judge(sentinel_record *record, uint8_t (*digests)[32]) {
    const sentinel_record_header *header = record->header;
    memcpy(record->hash32, digests[0], sizeof record->hash32);
    SENTINEL_TRY(results_check(record->results, header->result_count));
    return bytes_equal(digests[1], header->commitments, sizeof header->commitments)
               ? SENTINEL_OK
               : SENTINEL_AUDIT_CORRUPT;
}

sentinel_status sentinel_record_parse(sentinel_record *record, const void *bytes, size_t size) {
    hash_message messages[RECORD_MESSAGES];
    uint8_t digests[RECORD_MESSAGES][32];
    SENTINEL_TRY(record_open(record, messages, bytes, size));
    hash_many(digests, messages, RECORD_MESSAGES);
    return record_judge(record, digests);
}

record_pieces record_pieces_of(const sentinel_record_header *header,
                               const sentinel_record_parts *parts) {
    return (record_pieces){
        .at = {header, parts->subject, parts->results, parts->outcome, parts->salts},
        .size = {sizeof *header, header->subject_size,
                 header->result_count * sizeof(sentinel_result), header->outcome_size,
                 sizeof parts->salts},
    };
}

/* The header last: what of it was just hashed is then in the cache. */
void record_put(uint8_t *out, const record_pieces *pieces, size_t skipped) {
    for (unsigned i = 1; i < RECORD_PIECES; i++) {
        out += pieces->size[i - 1];
    }
    for (unsigned i = RECORD_PIECES - 1; i > 0; i--) {
        if (pieces->size[i] != 0) {
            memcpy(out - skipped, pieces->at[i], pieces->size[i]);
        }
        out -= pieces->size[i - 1];
    }
    memcpy(out, (const uint8_t *)pieces->at[0] + skipped, pieces->size[0] - skipped);
}

/* The hash of a header whose beginning and commitments are hashed at different
 * times: what is before the commitments, in whole blocks; the block with the
 * first two; the rest. */
enum {
    LEAF_BYTES = 1,
    BEGIN_BYTES = 3 * 64,
    MIDDLE_BYTES = 64,
    TAIL_BYTES = LEAF_BYTES + sizeof(sentinel_record_header) - BEGIN_BYTES - MIDDLE_BYTES,
    HEADER_BITS = 8 * (LEAF_BYTES + sizeof(sentinel_record_header))
};
SENTINEL_ASSERT_LAYOUT(TAIL_BYTES + 9 > 64 && TAIL_BYTES + 9 <= RECORD_TAIL_BLOCKS * 64,
                       "a header's tail is of another size");
SENTINEL_ASSERT_LAYOUT(offsetof(record_draft, header) == offsetof(record_draft, leaf) + LEAF_BYTES,
                       "a header is not behind its byte");
SENTINEL_ASSERT_LAYOUT(BEGIN_BYTES <= LEAF_BYTES + offsetof(sentinel_record_header, commitments) &&
                           BEGIN_BYTES + MIDDLE_BYTES <=
                               LEAF_BYTES + offsetof(sentinel_record_header, commitments) + 2 * 32,
                       "a block is hashed before all of it is known");

static void hash_all(record_tail *tail, record_draft *draft, const sentinel_record_parts *parts,
                     const record_late *late) {
    enum { SUBJECT, RESULTS, OUTCOME };
    sentinel_record_header *header = &draft->header;
    const uint8_t *bytes = &draft->leaf;
    hash_message messages[7];
    hash_message *next = messages;
    uint32_t digested = 0;
    draft->leaf = 0;
    tail->chain = hash_first;
    /* In such an order that both lanes end at once where an order is recorded: the
     * outcome waits for two digests, the middle for two commitments. */
    message_of_part(next, header, RESULTS, parts->results, parts->salts);
    next++->to = header->commitments[RESULTS];
    if (late != NULL && late->payload.size[1] != 0) {
        digested |= 1u << (next - messages);
        message_set(next, NULL, 0, late->payload.part[1], late->payload.size[1]);
        next++->to = late->outcome->payload_digest32;
    }
    if (late != NULL && late->signature.size[1] != 0) {
        digested |= 1u << (next - messages);
        message_set(next, NULL, 0, late->signature.part[1], late->signature.size[1]);
        next++->to = late->outcome->signature_digest32;
    }
    message_of_part(next, header, SUBJECT, parts->subject, parts->salts);
    next++->to = header->commitments[SUBJECT];
    message_set(next, NULL, 0, bytes, BEGIN_BYTES);
    next->chain = &tail->chain;
    next++->is_open = 1;
    const uint32_t before_middle = ((1u << (next - messages)) - 1) & ~digested;
    message_of_part(next, header, OUTCOME, parts->outcome, parts->salts);
    next->after = digested;
    next++->to = header->commitments[OUTCOME];
    message_set(next, NULL, 0, bytes + BEGIN_BYTES, MIDDLE_BYTES);
    next->after = before_middle;
    next->chain = &tail->chain;
    next++->is_open = 1;
    hash_many(NULL, messages, (size_t)(next - messages));
    const size_t rest = TAIL_BYTES, size = sizeof tail->blocks;
    memcpy(tail->blocks, bytes + BEGIN_BYTES + MIDDLE_BYTES, rest);
    memset(tail->blocks + rest, 0, size - rest);
    tail->blocks[rest] = 0x80;
    tail->blocks[size - 2] = HEADER_BITS >> 8;
    tail->blocks[size - 1] = HEADER_BITS & 0xff;
}

sentinel_status record_hash(record_tail *tail, record_draft *draft,
                            const sentinel_record_parts *parts, const record_late *late) {
    sentinel_record_header *header = &draft->header;
    size_t size = record_bytes(header);
    if (size > SENTINEL_RECORD_BYTES_MAX) {
        return SENTINEL_USAGE_CAPACITY;
    }
    header->size_bytes = (uint32_t)size;
    /* What cannot be read back must not be written. */
    SENTINEL_TRY(header_check(header, size));
    hash_all(tail, draft, parts, late);
    return SENTINEL_OK;
}

sentinel_status sentinel_record_build(uint8_t *out, size_t out_size, uint8_t hash32[32],
                                      sentinel_record_header *header,
                                      const sentinel_record_parts *parts) {
    record_draft draft = {.header = *header};
    if (out_size < record_bytes(header)) {
        return SENTINEL_USAGE_CAPACITY;
    }
    record_tail tail;
    SENTINEL_TRY(record_hash(&tail, &draft, parts, NULL));
    hash_blocks(&tail.chain, tail.blocks, sizeof tail.blocks);
    hash_words32(hash32, tail.chain.h);
    *header = draft.header;
    const record_pieces pieces = record_pieces_of(header, parts);
    record_put(out, &pieces, 0);
    return SENTINEL_OK;
}
