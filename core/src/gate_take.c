/* Signed frames from outside: bundles (commands: gate_command.c, feeds:
 * gate_feed.c). What is taken becomes a record before it takes effect. */
#include "gate_approval.h"
#include "gate_internal.h"
#include "state_internal.h"

/* No lease is longer than the version in force allows. */
static void cap_lease(sentinel_state *state, int64_t lease_ns) {
    if (lease_ns > 0 && lease_ns <= INT64_MAX - state->last_now_ns &&
        state->lease_until_ns > state->last_now_ns + lease_ns) {
        state->lease_until_ns = state->last_now_ns + lease_ns;
    }
}

static void put_fresh(sentinel_context *context, const sentinel_view *fresh,
                      const uint8_t hash32[32], uint64_t sequence) {
    /* The new state was laid out before the record was made: what records
     * change in every state is brought up to date. */
    const sentinel_state *old = gate_state(context);
    sentinel_state *state = fresh->state;
    state_carry_engine(state, old);
    cap_lease(state, fresh->bundle.policy->lease_ns);
    state->stopped = state_stopped(fresh);
    memcpy(state->policy_hash32, hash32, 32);
    state->sequences[SENTINEL_FRAME_POLICY] = sequence;
    context->active ^= context->has_policy;
    context->has_policy = 1;
    context->generation++;
    context->beats_due_ns = 0;
}

/* Bytes signed for one product of a venue could be sent to another, where the
 * signature leaves the endpoint open: a key that is good for several must say
 * that this is known. */
static sentinel_status keys_check(const sentinel_bundle *bundle) {
    for (uint32_t i = 0; i < bundle->key_count; i++) {
        const sentinel_key *key = &bundle->keys[i];
        const sentinel_hold *hold = sentinel_venue_hold(key->venue, SENTINEL_ACTION_PLACE);
        int is_open = hold != NULL && !hold->endpoint_covered;
        int several = (key->products & (key->products - 1u)) != 0;
        if (is_open && several && (key->flags & SENTINEL_KEY_ENDPOINT_GRANT) == 0) {
            return SENTINEL_POLICY_ENDPOINT;
        }
    }
    return SENTINEL_OK;
}

/* Copies a policy frame to the free slot, so that nobody changes it after it
 * was checked, and lays out its state beside the one in force. */
static sentinel_status lay_out(sentinel_context *context, sentinel_view *fresh,
                               sentinel_frame *frame, const void *bytes, size_t size) {
    uint32_t slot = context->active ^ context->has_policy;
    uint64_t room = context->config.bundle_bytes_max;
    uint64_t layout_at = bytes_round_up(size, 64);
    if (size > room || layout_at > room) {
        return SENTINEL_POLICY_ARENA;
    }
    uint8_t *copy = context->bundle_memory[slot];
    memcpy(copy, bytes, size);
    SENTINEL_TRY(sentinel_frame_parse(frame, copy, size, SENTINEL_FRAME_POLICY));
    sentinel_bundle bundle;
    SENTINEL_TRY(sentinel_bundle_check(&bundle, copy, size));
    SENTINEL_TRY(keys_check(&bundle));
    return sentinel_state_make(fresh, &bundle, copy + layout_at, room - layout_at,
                               context->state_memory[slot], context->config.state_bytes_max,
                               gate_view(context));
}

sentinel_status gate_expects(const sentinel_context *context, const sentinel_frame *frame,
                             uint32_t sequence_index, int64_t now_ns) {
    return gate_expects_above(context, frame, gate_state(context)->sequences[sequence_index],
                              now_ns);
}

sentinel_status gate_expects_above(const sentinel_context *context, const sentinel_frame *frame,
                                   uint64_t sequence, int64_t now_ns) {
    sentinel_frame_expect expect = {
        .sequence_above = sequence,
        .now_ns = now_ns,
        .environment = context->config.genesis.environment,
    };
    memcpy(expect.engine_id32, context->engine_id32, 32);
    return sentinel_frame_expects(frame, &expect);
}

sentinel_status gate_verify_power(const sentinel_context *context, const sentinel_frame *frame,
                                  unsigned power, unsigned threshold, int64_t now_ns) {
    if (!context->has_authority) {
        return SENTINEL_POLICY_SIGNATURE;
    }
    return sentinel_frame_verify(frame, context->authority, context->authority_size, power,
                                 threshold, now_ns);
}

sentinel_status gate_record_frame(sentinel_context *context, uint16_t type, const void *subject,
                                  size_t size, int64_t now_ns, uint32_t flags) {
    gate_entry entry = {
        .type = type,
        .subject_size = (uint16_t)size,
        .flags = flags,
        .now_ns = now_ns,
        .subject = subject,
    };
    uint8_t hash32[32];
    return gate_append(context, hash32, &entry);
}

static sentinel_status record_bundle(sentinel_context *context, const sentinel_frame *frame,
                                     size_t size, int64_t now_ns, uint32_t flags) {
    sentinel_bundle_ref ref = {
        .kind = frame->header->kind,
        .sequence = frame->header->sequence,
        .size_bytes = size,
    };
    memcpy(ref.hash32, frame->hash32, 32);
    return gate_record_frame(context, SENTINEL_RECORD_BUNDLE, &ref, sizeof ref, now_ns, flags);
}

void gate_put_authority(sentinel_context *context, const sentinel_frame *frame) {
    memcpy(context->authority, frame->payload, frame->payload_size);
    context->authority_size = frame->payload_size;
    context->has_authority = 1;
    const sentinel_authority *authority = (const sentinel_authority *)frame->payload;
    context->has_witness = authority->threshold[SENTINEL_POWER_WITNESS] != 0;
}

/* `commit` 0 only checks. */
static sentinel_status take_authority(sentinel_context *context, const void *bytes, size_t size,
                                      int64_t now_ns, uint32_t flags, int commit) {
    sentinel_frame frame;
    SENTINEL_TRY(sentinel_frame_parse(&frame, bytes, size, SENTINEL_FRAME_AUTHORITY));
    SENTINEL_TRY(gate_expects(context, &frame, SENTINEL_FRAME_AUTHORITY, now_ns));
    SENTINEL_TRY(sentinel_authority_check(frame.payload, frame.payload_size));
    SENTINEL_TRY(sentinel_frame_verify_root(&frame, &context->config.genesis));
    if (!commit) {
        return SENTINEL_OK;
    }
    SENTINEL_TRY(record_bundle(context, &frame, size, now_ns, flags));
    if (context->has_authority) {
        gate_approvals_follow(context, frame.payload);
    }
    gate_put_authority(context, &frame);
    sentinel_state *state = gate_state(context);
    memcpy(state->authority_hash32, frame.hash32, 32);
    state->sequences[SENTINEL_FRAME_AUTHORITY] = frame.header->sequence;
    return SENTINEL_OK;
}

static sentinel_status take_policy(sentinel_context *context, const void *bytes, size_t size,
                                   int64_t now_ns, uint32_t flags, int commit) {
    sentinel_frame frame;
    sentinel_view fresh;
    SENTINEL_TRY(lay_out(context, &fresh, &frame, bytes, size));
    SENTINEL_TRY(gate_expects(context, &frame, SENTINEL_FRAME_POLICY, now_ns));
    SENTINEL_TRY(gate_verify_power(context, &frame, SENTINEL_POWER_POLICY, 0, now_ns));
    /* Lab instruments and keys load nowhere else, and no others load there. */
    for (uint32_t i = 0; i < fresh.bundle.instrument_count; i++) {
        if (fresh.bundle.instruments[i].environment != context->config.genesis.environment) {
            return SENTINEL_POLICY_ENVIRONMENT;
        }
    }
    if (!commit) {
        return SENTINEL_OK;
    }
    SENTINEL_TRY(record_bundle(context, &frame, size, now_ns, flags));
    uint32_t slot = context->active ^ context->has_policy;
    context->views[slot] = fresh;
    put_fresh(context, &fresh, frame.hash32, frame.header->sequence);
    return SENTINEL_OK;
}

static uint16_t kind_of(const void *bytes, size_t size) {
    uint16_t kind = 0;
    if (size >= sizeof(sentinel_frame_header)) {
        memcpy(&kind, (const uint8_t *)bytes + offsetof(sentinel_frame_header, kind), sizeof kind);
    }
    return kind;
}

static int sets_clock(const void *bytes, size_t size) {
    return kind_of(bytes, size) == SENTINEL_FRAME_COMMAND && gate_sets_clock(bytes, size);
}

/* What takes effect in the log's time keeps the clock there: where that ran
 * ahead, nobody but people says anything before they have set it back. */
static int is_early(const sentinel_context *context, const void *bytes, size_t size,
                    int64_t now_ns) {
    uint16_t kind = kind_of(bytes, size);
    return (kind == SENTINEL_FRAME_FEED || kind == SENTINEL_FRAME_GRANT) &&
           gate_is_behind(context, now_ns);
}

static sentinel_status take(sentinel_context *context, const void *bytes, size_t size,
                            int64_t now_ns, uint32_t flags, int commit) {
    uint16_t kind = kind_of(bytes, size);
    /* Bundles are kept beside the log; everything else is a record's subject. */
    size_t most = kind == SENTINEL_FRAME_POLICY      ? SIZE_MAX
                  : kind == SENTINEL_FRAME_AUTHORITY ? GATE_AUTHORITY_FRAME_BYTES_MAX
                                                     : SENTINEL_SUBJECT_BYTES_MAX;
    if (size > most) {
        return SENTINEL_FORMAT_LIMIT;
    }
    switch (kind) {
    case SENTINEL_FRAME_AUTHORITY:
        return take_authority(context, bytes, size, now_ns, flags, commit);
    case SENTINEL_FRAME_POLICY:
        return take_policy(context, bytes, size, now_ns, flags, commit);
    case SENTINEL_FRAME_COMMAND:
        return gate_take_command(context, bytes, size, now_ns, flags, commit);
    case SENTINEL_FRAME_FEED:
        return gate_take_feed(context, bytes, size, now_ns, flags, commit);
    case SENTINEL_FRAME_GRANT:
        return gate_take_grant(context, bytes, size, now_ns, flags, commit);
    default:
        return SENTINEL_FORMAT_MAGIC;
    }
}

sentinel_status gate_take_at(sentinel_context *context, uint64_t *record, const void *frame,
                             size_t size, int64_t now_ns, uint32_t flags) {
    sentinel_status status = take(context, frame, size, now_ns, flags, 1);
    if (record != NULL && status == SENTINEL_OK) {
        /* Its own record is the last: a stop that it tells of comes before. */
        *record = gate_state(context)->record_count - 1;
    }
    return status;
}

/* The log itself failed, as opposed to the frame. */
static int is_log_failure(sentinel_status status) {
    unsigned category = (unsigned)status >> 8;
    return category == 0x04 || category == 0x05 || category == 0x07 || category == 0x08;
}

static void record_refusal(sentinel_context *context, sentinel_status why, const void *frame,
                           size_t size, int64_t now_ns, uint32_t flags) {
    sentinel_refused refused = {.status = why, .kind = kind_of(frame, size)};
    if (size >= sizeof(sentinel_frame_header)) {
        memcpy(&refused.sequence,
               (const uint8_t *)frame + offsetof(sentinel_frame_header, sequence),
               sizeof refused.sequence);
    }
    hash_bytes(refused.digest32, frame, size);
    if (gate_record_frame(context, SENTINEL_RECORD_REFUSED, &refused, sizeof refused, now_ns,
                          flags) != SENTINEL_OK) {
        sentinel_gate_halt(context, SENTINEL_IO_WRITE, now_ns);
    }
}

sentinel_status sentinel_gate_take(sentinel_context *context, uint64_t *record, const void *frame,
                                   size_t size, int64_t now_ns) {
    if (context == NULL || frame == NULL || ((uintptr_t)frame & 7) != 0 ||
        context->expected != NULL || now_ns < 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    uint32_t flags = 0;
    int64_t given_ns = now_ns;
    int sets = sets_clock(frame, size);
    int early = is_early(context, frame, size, now_ns);
    (void)gate_clock(context, &now_ns, &flags); /* A halt must get through on any clock. */
    sentinel_status status = early ? SENTINEL_POLICY_CLOCK : SENTINEL_OK;
    if (sets || kind_of(frame, size) == SENTINEL_FRAME_POLICY) {
        /* An agent that the new policy lacks leaves nothing only counted; nor
         * is anything counted in a time that is gone. */
        status = sentinel_gate_flush(context, now_ns);
    }
    if (status == SENTINEL_OK) {
        uint64_t number = gate_state(context)->record_count;
        /* Who sets the clock is judged by the time that it is set to. */
        status =
            gate_take_at(context, record, frame, size, sets ? given_ns : now_ns, sets ? 0 : flags);
        if (status == SENTINEL_POLICY_REPORT && gate_state(context)->record_count != number) {
            if (record != NULL) {
                *record = number;
            }
            return status; /* the STOP record keeps the frame */
        }
    }
    if (status != SENTINEL_OK && !is_log_failure(status)) {
        record_refusal(context, status, frame, size, now_ns, flags);
    } else if (status != SENTINEL_OK && gate_state(context)->halted == 0) {
        gate_state(context)->halted = status;
    }
    return status;
}

sentinel_status sentinel_gate_check(sentinel_context *context, const void *frame, size_t size,
                                    int64_t now_ns) {
    if (context == NULL || frame == NULL || ((uintptr_t)frame & 7) != 0 ||
        context->expected != NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    /* The time that taking it would use: what passes here may be relied on. */
    const sentinel_state *state = gate_state(context);
    if (is_early(context, frame, size, now_ns)) {
        return SENTINEL_POLICY_CLOCK;
    }
    int held = now_ns < state->last_now_ns && !sets_clock(frame, size);
    return take(context, frame, size, held ? state->last_now_ns : now_ns, 0, 0);
}
