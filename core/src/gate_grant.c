/* Freshness: what a witness confirms, and how far it lets the engine go
 * (docs/4-audit.md, "Freshness"). */
#include "gate_internal.h"
#include "policy_math.h"

#include <sodium.h>

int sentinel_gate_needs_witness(const sentinel_context *context) {
    return context != NULL && context->has_witness;
}

/* ---- Asking ------------------------------------------------------------------ */

sentinel_status sentinel_gate_ask(sentinel_context *context, sentinel_ask *ask,
                                  uint8_t signature64[64], uint32_t flags) {
    if (context == NULL || ask == NULL || signature64 == NULL || context->keyring == NULL ||
        context->expected != NULL || (flags & ~(uint32_t)SENTINEL_ASK_FINAL) != 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    const sentinel_state *state = gate_state(context);
    const sentinel_grant_state *grant = &state->grant;
    int is_final = (flags & SENTINEL_ASK_FINAL) != 0;
    /* Before its first grant a start has nothing to give back. */
    if (state->epoch == 0 || (is_final && grant->epoch != state->epoch)) {
        return SENTINEL_USAGE_STATE;
    }
    sentinel_ask made = {
        .epoch = state->epoch,
        .count = state->record_count,
        .known_count = grant->count,
        .spent = grant->spent,
        .flags = flags,
    };
    memcpy(made.engine_id32, context->engine_id32, 32);
    randombytes_buf(made.nonce32, sizeof made.nonce32);
    memcpy(made.hash32, state->last_hash32, 32);
    memcpy(made.start_hash32, grant->start_hash32, 32);
    memcpy(made.known_hash32, grant->hash32, 32);
    uint8_t digest32[32];
    hash_bytes(digest32, &made, sizeof made);
    SENTINEL_TRY(sentinel_sign_frame(context->keyring, signature64, context->config.receipt_key,
                                     "sentinel-ask-v1", digest32));
    context->ask = made;
    context->asked = 1;
    context->closing |= (uint8_t)is_final;
    *ask = made;
    return SENTINEL_OK;
}

/* ---- The answer -------------------------------------------------------------- */

static sentinel_status grant_check(const sentinel_grant *grant) {
    int refuses = grant->count == 0;
    int known = grant->known_count != 0
                    ? grant->known_epoch != 0
                    : grant->known_epoch == 0 && grant->known_record_end == 0 &&
                          grant->known_spend_end == 0 &&
                          bytes_are_zero(grant->known_hash32, sizeof grant->known_hash32);
    int ends = refuses ? grant->record_end == 0 && grant->spend_end == 0 &&
                             bytes_are_zero(grant->hash32, sizeof grant->hash32)
                       : grant->record_end >= grant->count && grant->spend_end >= 0;
    return grant->epoch != 0 && grant->known_epoch < UINT64_MAX && grant->known_spend_end >= 0 &&
                   known && ends
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RANGE;
}

/* Whether it answers what this engine asked last. In a replay the record says
 * that it did. */
static int answers(const sentinel_context *context, const sentinel_grant *grant) {
    const sentinel_state *state = gate_state(context);
    const sentinel_ask *ask = &context->ask;
    if (grant->epoch != state->epoch || grant->count > state->record_count) {
        return 0;
    }
    int is_known = grant->known_count == state->grant.count &&
                   bytes_equal(grant->known_hash32, state->grant.hash32, 32);
    if (grant->count != 0 && (!is_known || grant->known_epoch > state->epoch)) {
        return 0;
    }
    /* A witness that knows less than it once confirmed was itself set back. */
    if (grant->known_count < state->grant.count && grant->known_epoch <= state->grant.epoch) {
        return 0;
    }
    /* The newest head is known here without the question, in a replay too. */
    if (grant->count == state->record_count &&
        !bytes_equal(grant->hash32, state->last_hash32, 32)) {
        return 0;
    }
    if (context->expected != NULL) {
        return 1;
    }
    return context->asked && bytes_equal(grant->nonce32, ask->nonce32, 32) &&
           (grant->count == 0 ||
            (grant->count == ask->count && bytes_equal(grant->hash32, ask->hash32, 32)));
}

/* Whether the log has the head that the witness knows. */
static int has_head(const sentinel_context *context, uint64_t count, const uint8_t hash32[32]) {
    const sentinel_state *state = gate_state(context);
    if (count == state->grant.count) {
        return bytes_equal(hash32, state->grant.hash32, 32);
    }
    if (count == 0 || count >= state->record_count) {
        return count != 0 && count == state->record_count &&
               bytes_equal(hash32, state->last_hash32, 32);
    }
    if (context->log == NULL || context->log->dir_fd < 0) {
        return 0;
    }
    _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_log_reader reader;
    sentinel_record record;
    sentinel_status status = sentinel_log_reader_open(&reader, context->log->dir_fd, count - 1);
    if (status == SENTINEL_OK) {
        status = sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer);
    }
    int has = status == SENTINEL_OK && bytes_equal(record.hash32, hash32, 32);
    sentinel_log_reader_close(&reader);
    return has;
}

/* The part of earlier grants that may have been signed and is not proven: from the
 * head that was confirmed last to their ends. What the log has behind that head counts
 * for nothing here: it has no signature, so whoever keeps the log can put something
 * else in the place of what was signed. Where it ends before, from there. */
static void count_unproven(const sentinel_state *state, const sentinel_grant *grant,
                           sentinel_witness *made) {
    const sentinel_grant_state *kept = &state->grant;
    uint64_t from = kept->start_record < kept->count ? kept->start_record : kept->count;
    if (kept->epoch == state->epoch || grant->known_record_end <= from) {
        return;
    }
    made->counted_orders = grant->known_record_end - from;
    if (grant->known_spend_end > kept->spent) {
        made->counted_spend = grant->known_spend_end - kept->spent;
    }
}

/* What follows from an answer. Where a refused head stands in the log is what
 * a replay takes the record's word for. */
static sentinel_witness judge(const sentinel_context *context, const sentinel_grant *grant) {
    const sentinel_state *state = gate_state(context);
    sentinel_witness made = {.outcome = SENTINEL_WITNESS_GRANTED};
    if (grant->count != 0) {
        count_unproven(state, grant, &made);
        return made;
    }
    int has = grant->known_count <= state->record_count;
    if (has && context->expected != NULL) {
        has = context->expected->subject[0] != SENTINEL_WITNESS_GAP;
    } else if (has) {
        has = has_head(context, grant->known_count, grant->known_hash32);
    }
    has = has || (grant->known_count == state->grant.count &&
                  bytes_equal(grant->known_hash32, state->grant.hash32, 32));
    if (!has) {
        made.outcome = SENTINEL_WITNESS_GAP;
        made.gap_from = grant->known_count > state->grant.start_record ? state->grant.start_record
                                                                       : state->grant.count;
        made.gap_to = grant->known_count;
    } else if (grant->known_count == state->grant.count || grant->known_epoch > state->epoch) {
        made.outcome = SENTINEL_WITNESS_EPOCH;
    } else {
        made.outcome = SENTINEL_WITNESS_KNOWN;
    }
    return made;
}

static void put(sentinel_context *context, const sentinel_grant *grant,
                const sentinel_witness *made, int64_t now_ns) {
    sentinel_state *state = gate_state(context);
    sentinel_grant_state *kept = &state->grant;
    if (grant->known_epoch > kept->epoch_floor) {
        kept->epoch_floor = grant->known_epoch;
    }
    switch (made->outcome) {
    case SENTINEL_WITNESS_GRANTED:
        kept->epoch = state->epoch;
        kept->count = grant->count;
        memcpy(kept->hash32, grant->hash32, 32);
        kept->record_end = grant->record_end;
        kept->spend_end = grant->spend_end;
        kept->gap_from = kept->gap_to = 0;
        memset(kept->gap_hash32, 0, 32);
        if (made->counted_orders != 0 && gate_view(context) != NULL) {
            sentinel_policy_count(gate_view(context), made->counted_orders, made->counted_spend,
                                  now_ns);
        }
        break;
    case SENTINEL_WITNESS_KNOWN:
        kept->count = grant->known_count;
        memcpy(kept->hash32, grant->known_hash32, 32);
        break;
    case SENTINEL_WITNESS_GAP:
        kept->gap_from = made->gap_from;
        kept->gap_to = made->gap_to;
        memcpy(kept->gap_hash32, grant->known_hash32, 32);
        kept->record_end = 0; /* a grant that was there is of no use */
        break;
    default: /* EPOCH: another one writes */
        kept->record_end = 0;
        break;
    }
}

sentinel_status gate_take_grant(sentinel_context *context, const void *bytes, size_t size,
                                int64_t now_ns, uint32_t flags, int commit) {
    sentinel_frame frame;
    SENTINEL_TRY(sentinel_frame_parse(&frame, bytes, size, SENTINEL_FRAME_GRANT));
    if (frame.payload_size != sizeof(sentinel_grant)) {
        return SENTINEL_FORMAT_SIZE;
    }
    const sentinel_grant *grant = (const sentinel_grant *)frame.payload;
    SENTINEL_TRY(grant_check(grant));
    SENTINEL_TRY(gate_expects(context, &frame, SENTINEL_FRAME_GRANT, now_ns));
    SENTINEL_TRY(gate_verify_power(context, &frame, SENTINEL_POWER_WITNESS, 0, now_ns));
    if (!context->has_witness || !answers(context, grant)) {
        return SENTINEL_POLICY_GRANT;
    }
    _Alignas(8) uint8_t subject[SENTINEL_SUBJECT_BYTES_MAX];
    sentinel_witness made = judge(context, grant);
    if (size > sizeof subject - sizeof made) {
        return SENTINEL_FORMAT_LIMIT;
    }
    if (!commit) {
        return SENTINEL_OK;
    }
    memcpy(subject, &made, sizeof made);
    memcpy(subject + sizeof made, bytes, size);
    context->asked = 0;
    sentinel_state *state = gate_state(context);
    SENTINEL_TRY(gate_record_frame(context, SENTINEL_RECORD_WITNESS, subject, sizeof made + size,
                                   now_ns, flags));
    state->sequences[SENTINEL_FRAME_GRANT] = frame.header->sequence;
    put(context, grant, &made, now_ns);
    if (made.outcome == SENTINEL_WITNESS_GAP) {
        sentinel_gate_halt(context, SENTINEL_AUDIT_FRESHNESS, now_ns);
    }
    return SENTINEL_OK;
}

sentinel_status gate_replay_witness(sentinel_context *context, const sentinel_record *record) {
    const sentinel_record_header *header = record->header;
    if (header->subject_size < sizeof(sentinel_witness)) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    return gate_take_grant(context, record->subject + sizeof(sentinel_witness),
                           header->subject_size - sizeof(sentinel_witness), header->now_ns,
                           header->flags & SENTINEL_RECORD_CLOCK_HELD, 1);
}

/* ---- A start ----------------------------------------------------------------- */

uint64_t gate_next_epoch(const sentinel_state *state) {
    uint64_t floor = state->grant.epoch_floor;
    return (state->epoch > floor ? state->epoch : floor) + 1;
}

void gate_grant_started(sentinel_state *state, uint64_t epoch_before, uint64_t record,
                        const uint8_t hash32[32]) {
    sentinel_grant_state *grant = &state->grant;
    memcpy(grant->start_hash32, hash32, 32);
    /* After a start that was never confirmed, the one before it still counts. */
    if (grant->epoch == epoch_before || grant->start_record == 0) {
        grant->start_record = record;
    }
}

/* ---- Orders ------------------------------------------------------------------ */

/* Actions that have a value. */
#define SPENDS                                                                                    \
    (1u << SENTINEL_ACTION_PLACE | 1u << SENTINEL_ACTION_AMEND | 1u << SENTINEL_ACTION_WITHDRAW | \
     1u << SENTINEL_ACTION_TRANSFER)

sentinel_reason gate_grant_judge(const sentinel_context *context, gate_case *c,
                                 const sentinel_decision *decision) {
    const sentinel_state *state = gate_state(context);
    const sentinel_grant_state *grant = &state->grant;
    int64_t value = decision->value_micro_usd;
    if (grant->epoch != state->epoch || state->record_count >= grant->record_end) {
        return SENTINEL_REASON_GRANT;
    }
    if ((SPENDS >> c->subject.action & 1) == 0) {
        return SENTINEL_REASON_NONE;
    }
    if (value < 0) { /* no rule asked for it */
        sentinel_reason reason =
            sentinel_policy_value(&value, gate_view(context), &c->subject, c->now_ns);
        if (reason != SENTINEL_REASON_NONE) {
            return reason;
        }
    }
    if (grant->spent > grant->spend_end || value > grant->spend_end - grant->spent) {
        return SENTINEL_REASON_GRANT;
    }
    c->grant_value = value;
    return SENTINEL_REASON_NONE;
}

/* ---- A gap that operators accept --------------------------------------------- */

sentinel_status gate_accept_gap(sentinel_context *context, const sentinel_command *command) {
    const sentinel_grant_state *grant = &gate_state(context)->grant;
    return command->target == 0 && grant->gap_to != 0 && command->record == grant->gap_to &&
                   bytes_equal(command->record_hash32, grant->gap_hash32, 32)
               ? SENTINEL_OK
               : SENTINEL_POLICY_SCOPE;
}

void gate_gap_accepted(sentinel_state *state) {
    sentinel_grant_state *grant = &state->grant;
    grant->count = grant->gap_to;
    memcpy(grant->hash32, grant->gap_hash32, 32);
    grant->gap_from = grant->gap_to = 0;
    memset(grant->gap_hash32, 0, 32);
    state->halted = state->halted == SENTINEL_AUDIT_FRESHNESS ? 0 : state->halted;
}
