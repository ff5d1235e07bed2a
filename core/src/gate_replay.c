/* Replay: every record is made again from its own subject and time, and must
 * come out the same. Restoring a state and auditing a log are this one walk. */
#include "gate_approval.h"
#include "gate_internal.h"

static sentinel_status replay_order(sentinel_context *context, const sentinel_record *record) {
    const sentinel_record_header *header = record->header;
    if (record->outcome == NULL || header->subject_size > sizeof(sentinel_order)) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    sentinel_session session = {.agent = header->agent};
    gate_case c;
    memset(&c, 0, sizeof c);
    c.session = &session;
    c.now_ns = header->now_ns;
    c.size = header->subject_size;
    memcpy(&c.order, record->subject, c.size);
    c.node = SENTINEL_NODE_NONE;
    if (context->has_policy) {
        c.node = sentinel_bundle_node(&gate_view(context)->bundle, header->agent);
        c.agent = sentinel_view_agent(gate_view(context), c.node);
    }
    sentinel_auto_stop due;
    const uint64_t stopped = UINT64_C(1) << SENTINEL_REASON_CONTROL_STOP;
    if ((header->reasons[0] & stopped) == 0 && gate_beat_due(context, c.node, c.now_ns, &due)) {
        context->difference = "stop"; /* it would have been made first */
        return SENTINEL_AUDIT_MISMATCH;
    }
    sentinel_outcome outcome;
    memset(&outcome, 0, sizeof outcome);
    gate_decide(context, &outcome, &c);
    return outcome.recorded ? SENTINEL_OK : SENTINEL_AUDIT_MISMATCH;
}

/* A record whose subject was made by the engine, not decided. */
static sentinel_status replay_plain(sentinel_context *context, const sentinel_record *record) {
    const sentinel_record_header *header = record->header;
    gate_entry entry = {
        .type = header->type,
        .subject_size = header->subject_size,
        .agent = header->agent,
        .flags = header->flags,
        .reasons = {header->reasons[0], header->reasons[1]},
        .now_ns = header->now_ns,
        .subject = record->subject,
    };
    uint8_t hash32[32];
    return gate_append(context, hash32, &entry);
}

static sentinel_status replay_start(sentinel_context *context, const sentinel_record *record) {
    const sentinel_start *start = (const sentinel_start *)record->subject;
    sentinel_state *state = gate_state(context);
    if (record->header->subject_size != sizeof *start || start->epoch != gate_next_epoch(state) ||
        start->records_before != state->record_count) {
        context->difference = "epoch";
        return SENTINEL_AUDIT_MISMATCH;
    }
    if (start->nonces >= SENTINEL_NONCES_COUNT ||
        !bytes_are_zero(start->reserved, sizeof start->reserved)) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    uint64_t before = state->epoch;
    state->epoch = start->epoch;
    SENTINEL_TRY(replay_plain(context, record));
    gate_keys_started(state, start);
    gate_grant_started(state, before, record->header->number, record->hash32);
    gate_beats_changed(context, 0, 1);
    return SENTINEL_OK;
}

static sentinel_status replay_halt(sentinel_context *context, const sentinel_record *record) {
    const sentinel_self_halt *halt = (const sentinel_self_halt *)record->subject;
    if (record->header->subject_size != sizeof *halt || halt->status == 0) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    SENTINEL_TRY(replay_plain(context, record));
    gate_state(context)->halted = halt->status;
    return SENTINEL_OK;
}

static sentinel_status replay_snapshot(sentinel_context *context, const sentinel_record *record) {
    const sentinel_snapshot_ref *ref = (const sentinel_snapshot_ref *)record->subject;
    const sentinel_state *state = gate_state(context);
    uint8_t digest32[32];
    if (record->header->subject_size != sizeof *ref || ref->version == 0 ||
        !bytes_are_zero(ref->reserved, sizeof ref->reserved)) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    if (ref->version != SENTINEL_STATE_VERSION) {
        /* Laid out in another way: its bytes say nothing here. The records do. */
        return replay_plain(context, record);
    }
    hash_bytes(digest32, state, state->size_bytes);
    if (ref->size_bytes != state->size_bytes || !bytes_equal(ref->digest32, digest32, 32)) {
        context->difference = "state";
        return SENTINEL_AUDIT_MISMATCH;
    }
    return replay_plain(context, record);
}

static sentinel_status replay_bundle(sentinel_context *context, const sentinel_record *record,
                                     const void *bundle, size_t bundle_size) {
    if (bundle == NULL || ((uintptr_t)bundle & 7) != 0) {
        context->difference = "bundle is missing";
        return SENTINEL_AUDIT_MISMATCH;
    }
    return gate_take_at(context, NULL, bundle, bundle_size, record->header->now_ns,
                        record->header->flags & SENTINEL_RECORD_CLOCK_HELD);
}

static sentinel_status replay_note(sentinel_context *context, const sentinel_record *record) {
    const sentinel_record_header *header = record->header;
    return gate_note_check(header->type, record->subject, header->subject_size) == SENTINEL_OK
               ? replay_plain(context, record)
               : SENTINEL_AUDIT_CORRUPT;
}

static sentinel_status replay_one(sentinel_context *context, const sentinel_record *record,
                                  const void *bundle, size_t bundle_size) {
    const sentinel_record_header *header = record->header;
    switch (header->type) {
    case SENTINEL_RECORD_GENESIS:
        return sentinel_gate_genesis(context, header->now_ns);
    case SENTINEL_RECORD_START:
        return replay_start(context, record);
    case SENTINEL_RECORD_BUNDLE:
        return replay_bundle(context, record, bundle, bundle_size);
    case SENTINEL_RECORD_COMMAND:
    case SENTINEL_RECORD_FEED:
        return gate_take_at(context, NULL, record->subject, header->subject_size, header->now_ns,
                            header->flags & SENTINEL_RECORD_CLOCK_HELD);
    case SENTINEL_RECORD_ORDER:
        return replay_order(context, record);
    case SENTINEL_RECORD_SNAPSHOT:
        return replay_snapshot(context, record);
    case SENTINEL_RECORD_WITHDRAWN:
        return gate_replay_withdrawn(context, record);
    case SENTINEL_RECORD_HALT:
        return replay_halt(context, record);
    case SENTINEL_RECORD_STOP:
        return gate_replay_stop(context, record);
    case SENTINEL_RECORD_WITNESS:
        return gate_replay_witness(context, record);
    case SENTINEL_RECORD_CLOCK:
    case SENTINEL_RECORD_KEY:
        return replay_note(context, record);
    case SENTINEL_RECORD_SUMMARY:
    case SENTINEL_RECORD_REFUSED:
        return replay_plain(context, record);
    default:
        return SENTINEL_AUDIT_CORRUPT;
    }
}

sentinel_status sentinel_gate_replay(sentinel_context *context, const char **difference,
                                     const sentinel_record *record, const void *bundle,
                                     size_t bundle_size) {
    if (context == NULL || record == NULL || ((uintptr_t)record->header & 7) != 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (record->header->semantics_version != SENTINEL_SEMANTICS_VERSION) {
        if (difference != NULL) {
            *difference = "semantics version";
        }
        return SENTINEL_FORMAT_VERSION; /* Decided by other rules. */
    }
    context->expected = record;
    context->difference = NULL;
    sentinel_status status = replay_one(context, record, bundle, bundle_size);
    context->expected = NULL;
    context->beats_due_ns = 0;
    if (difference != NULL) {
        *difference = context->difference;
    }
    /* Whatever went another way than the log says is a difference. */
    return status == SENTINEL_OK && context->difference != NULL ? SENTINEL_AUDIT_MISMATCH : status;
}

/* The bundle that a snapshot's state names, checked as when it was taken. */
static sentinel_status restore_authority(sentinel_context *context, const sentinel_state *state,
                                         const void *bytes, size_t size) {
    sentinel_frame frame;
    SENTINEL_TRY(sentinel_frame_parse(&frame, bytes, size, SENTINEL_FRAME_AUTHORITY));
    if (!bytes_equal(frame.hash32, state->authority_hash32, 32)) {
        return SENTINEL_AUDIT_SNAPSHOT;
    }
    SENTINEL_TRY(sentinel_authority_check(frame.payload, frame.payload_size));
    SENTINEL_TRY(sentinel_frame_verify_root(&frame, &context->config.genesis));
    gate_put_authority(context, &frame);
    return SENTINEL_OK;
}

static sentinel_status restore_policy(sentinel_context *context, const void *bytes, size_t size,
                                      const uint8_t *state, uint64_t state_size) {
    uint64_t room = context->config.bundle_bytes_max;
    uint64_t layout_at = bytes_round_up(size, 64);
    if (size > room || layout_at > room || state_size > context->config.state_bytes_max) {
        return SENTINEL_POLICY_ARENA;
    }
    uint8_t *copy = context->bundle_memory[0];
    memcpy(copy, bytes, size);
    memcpy(context->state_memory[0], state, state_size);
    sentinel_bundle bundle;
    SENTINEL_TRY(sentinel_bundle_check(&bundle, copy, size));
    SENTINEL_TRY(sentinel_state_restore(&context->views[0], &bundle, copy + layout_at,
                                        room - layout_at, context->state_memory[0], state_size));
    return bytes_equal(bundle.hash32, context->views[0].state->policy_hash32, 32)
               ? SENTINEL_OK
               : SENTINEL_AUDIT_SNAPSHOT;
}

sentinel_status sentinel_gate_restore(sentinel_context *context, const sentinel_record *record,
                                      const void *authority, size_t authority_size,
                                      const void *policy, size_t policy_size, const uint8_t *state,
                                      uint64_t state_size) {
    if (context == NULL || record == NULL || authority == NULL || policy == NULL || state == NULL ||
        ((uintptr_t)state & 7) != 0 || context->has_policy || state_size < sizeof(sentinel_state)) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    const sentinel_state *kept = (const sentinel_state *)state;
    const sentinel_snapshot_ref *ref = (const sentinel_snapshot_ref *)record->subject;
    uint8_t digest32[32];
    if (record->header->type == SENTINEL_RECORD_SNAPSHOT &&
        record->header->subject_size == sizeof *ref && ref->version != SENTINEL_STATE_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    hash_bytes(digest32, state, state_size);
    if (record->header->type != SENTINEL_RECORD_SNAPSHOT ||
        record->header->subject_size != sizeof *ref || ref->size_bytes != state_size ||
        !bytes_equal(ref->digest32, digest32, 32) || kept->record_count != record->header->number ||
        !bytes_equal(kept->last_hash32, record->header->prev_hash32, 32) ||
        !bytes_equal(kept->engine_id32, context->engine_id32, 32)) {
        return SENTINEL_AUDIT_SNAPSHOT;
    }
    sentinel_status status = restore_authority(context, kept, authority, authority_size);
    if (status == SENTINEL_OK) {
        status = restore_policy(context, policy, policy_size, state, state_size);
    }
    if (status == SENTINEL_OK) {
        context->active = 0;
        context->has_policy = 1;
        context->generation++;
        /* Steps over the record itself. */
        status = sentinel_gate_replay(context, NULL, record, NULL, 0);
    }
    if (status != SENTINEL_OK) {
        context->has_policy = 0;
        context->has_authority = 0;
        context->has_witness = 0;
    }
    return status == SENTINEL_AUDIT_MISMATCH ? SENTINEL_AUDIT_SNAPSHOT : status;
}
