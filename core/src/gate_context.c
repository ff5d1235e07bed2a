/* The context: its memory, the first records, snapshots, heads. */
#include "gate_internal.h"
#include "state_internal.h"

#define CONTEXT_ALIGN 64u
#define MEMORY_MAX (UINT64_C(1) << 40)

uint64_t sentinel_context_bytes(const sentinel_config *config) {
    if (config == NULL || config->bundle_bytes_max > MEMORY_MAX ||
        config->state_bytes_max > MEMORY_MAX ||
        config->bundle_bytes_max < sizeof(sentinel_frame_header) ||
        config->state_bytes_max < sizeof(sentinel_state)) {
        return 0;
    }
    return bytes_round_up(sizeof(sentinel_context), CONTEXT_ALIGN) +
           2 * bytes_round_up(config->bundle_bytes_max, CONTEXT_ALIGN) +
           2 * bytes_round_up(config->state_bytes_max, CONTEXT_ALIGN);
}

sentinel_status sentinel_context_init(sentinel_context **context, void *memory, uint64_t size,
                                      const sentinel_config *config, sentinel_keyring *keyring,
                                      sentinel_log *log, const sentinel_control *control) {
    if (context == NULL || memory == NULL || config == NULL ||
        ((uintptr_t)memory & (CONTEXT_ALIGN - 1)) != 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    uint64_t needed = sentinel_context_bytes(config);
    if (needed == 0 || size < needed) {
        return SENTINEL_USAGE_CAPACITY;
    }
    uint8_t engine_id32[32];
    SENTINEL_TRY(sentinel_genesis_check(engine_id32, &config->genesis, sizeof config->genesis));

    sentinel_context *made = memory;
    memset(made, 0, sizeof *made);
    made->config = *config;
    memcpy(made->engine_id32, engine_id32, 32);
    made->keyring = keyring;
    made->log = log;
    made->control = control;
    uint8_t *next = (uint8_t *)memory + bytes_round_up(sizeof *made, CONTEXT_ALIGN);
    for (int i = 0; i < 2; i++) {
        made->bundle_memory[i] = next;
        next += bytes_round_up(config->bundle_bytes_max, CONTEXT_ALIGN);
    }
    for (int i = 0; i < 2; i++) {
        made->state_memory[i] = next;
        next += bytes_round_up(config->state_bytes_max, CONTEXT_ALIGN);
    }
    memcpy(made->bare.magic, "SENTSTAT", 8);
    made->bare.version = SENTINEL_STATE_VERSION;
    made->bare.size_bytes = sizeof made->bare;
    memcpy(made->bare.engine_id32, engine_id32, 32);
    state_name_venues(&made->bare);
    *context = made;
    return SENTINEL_OK;
}

sentinel_status sentinel_gate_genesis(sentinel_context *context, int64_t now_ns) {
    if (context == NULL || gate_state(context)->record_count != 0) {
        return SENTINEL_USAGE_STATE;
    }
    gate_entry entry = {
        .type = SENTINEL_RECORD_GENESIS,
        .subject_size = sizeof context->config.genesis,
        .now_ns = now_ns,
        .subject = &context->config.genesis,
    };
    uint8_t hash32[32];
    return gate_append(context, hash32, &entry);
}

sentinel_status sentinel_gate_start(sentinel_context *context, uint64_t torn_bytes,
                                    int64_t now_ns) {
    if (context == NULL || gate_state(context)->record_count == 0) {
        return SENTINEL_USAGE_STATE;
    }
    uint32_t flags = 0;
    (void)gate_clock(context, &now_ns, &flags);
    sentinel_state *state = gate_state(context);
    sentinel_start start = {
        .epoch = gate_next_epoch(state),
        .records_before = state->record_count,
        .torn_bytes = torn_bytes,
        .nonces = context->config.nonces,
    };
    if (context->keyring != NULL) {
        start.keys = sentinel_keyring_count(context->keyring);
        SENTINEL_TRY(sentinel_keyring_hash(start.keyring_hash32, context->keyring, start.keys));
    }
    gate_entry entry = {
        .type = SENTINEL_RECORD_START,
        .subject_size = sizeof start,
        .flags = flags,
        .now_ns = now_ns,
        .subject = &start,
    };
    uint8_t hash32[32];
    uint64_t before = state->epoch;
    state->epoch = start.epoch;
    sentinel_status status = gate_append(context, hash32, &entry);
    if (status != SENTINEL_OK) {
        state->epoch = before;
        return status;
    }
    gate_keys_started(state, &start);
    gate_grant_started(state, before, state->record_count - 1, hash32);
    gate_beats_changed(context, 0, 1);
    return SENTINEL_OK;
}

sentinel_status sentinel_session_open(sentinel_session *session, const sentinel_context *context,
                                      uint32_t agent) {
    if (session == NULL || context == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    const sentinel_view *view = gate_view(context);
    if (view == NULL) {
        return SENTINEL_POLICY_ABSENT;
    }
    uint32_t node = sentinel_bundle_node(&view->bundle, agent);
    if (node == SENTINEL_NODE_NONE || view->bundle.nodes[node].kind != SENTINEL_NODE_AGENT) {
        return SENTINEL_POLICY_SCOPE;
    }
    session->agent = agent;
    session->node = node;
    session->generation = context->generation;
    return SENTINEL_OK;
}

uint64_t sentinel_gate_snapshot_bytes(const sentinel_context *context) {
    return gate_state(context)->size_bytes;
}

sentinel_status sentinel_gate_snapshot(sentinel_context *context, uint64_t *record, uint8_t *out,
                                       uint64_t out_size, int64_t now_ns) {
    if (context == NULL || out == NULL || !context->has_policy || context->expected != NULL) {
        return SENTINEL_USAGE_STATE;
    }
    if (out_size < sentinel_gate_snapshot_bytes(context)) {
        return SENTINEL_USAGE_CAPACITY;
    }
    /* What is only counted is not in the log, so a replay could not know it. */
    SENTINEL_TRY(sentinel_gate_flush(context, now_ns));
    uint32_t flags = 0;
    (void)gate_clock(context, &now_ns, &flags);
    const sentinel_state *state = gate_state(context);
    memcpy(out, state, state->size_bytes);
    sentinel_snapshot_ref ref = {.size_bytes = state->size_bytes,
                                 .version = SENTINEL_STATE_VERSION};
    hash_bytes(ref.digest32, out, state->size_bytes);
    gate_entry entry = {
        .type = SENTINEL_RECORD_SNAPSHOT,
        .subject_size = sizeof ref,
        .flags = flags,
        .now_ns = now_ns,
        .subject = &ref,
    };
    uint8_t hash32[32];
    if (record != NULL) {
        *record = state->record_count;
    }
    return gate_append(context, hash32, &entry);
}

void sentinel_gate_trace(sentinel_context *context, sentinel_trace *trace) {
    context->trace = trace;
}

const sentinel_view *sentinel_gate_view(const sentinel_context *context) {
    return gate_view(context);
}

const sentinel_state *sentinel_gate_state(const sentinel_context *context) {
    return gate_state(context);
}

const sentinel_authority *sentinel_gate_authority(const sentinel_context *context, size_t *size) {
    *size = context->has_authority ? context->authority_size : 0;
    return context->has_authority ? (const sentinel_authority *)context->authority : NULL;
}

const sentinel_config *sentinel_gate_config(const sentinel_context *context) {
    return &context->config;
}

sentinel_status sentinel_gate_sign_head(sentinel_context *context, uint8_t signature64[64],
                                        const sentinel_head *head) {
    if (context == NULL || signature64 == NULL || head == NULL || context->keyring == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    /* A head of another engine, or of records not yet made, is not ours. */
    const sentinel_state *state = gate_state(context);
    if (!bytes_equal(head->engine_id32, context->engine_id32, 32) ||
        head->count > state->record_count || head->epoch > state->epoch ||
        (head->count == state->record_count &&
         (head->epoch != state->epoch ||
          !bytes_equal(head->last_hash32, state->last_hash32, 32)))) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    uint8_t digest32[32];
    hash_bytes(digest32, head, sizeof *head);
    return sentinel_sign_frame(context->keyring, signature64, context->config.receipt_key,
                               "sentinel-head-v1", digest32);
}
