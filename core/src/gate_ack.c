/* Acknowledgements: what a command did, signed with the engine's identity
 * (docs/4-audit.md, "Acknowledgements"). A function of the state right behind
 * the command's record, so that a restart makes the same again. */
#include "gate_internal.h"

sentinel_status sentinel_gate_acknowledge(const sentinel_context *context, sentinel_ack *ack,
                                          const void *frame, size_t size) {
    if (context == NULL || ack == NULL || frame == NULL || ((uintptr_t)frame & 7) != 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    sentinel_frame parsed;
    SENTINEL_TRY(sentinel_frame_parse(&parsed, frame, size, SENTINEL_FRAME_COMMAND));
    if (parsed.payload_size != sizeof(sentinel_command)) {
        return SENTINEL_FORMAT_SIZE;
    }
    const sentinel_state *state = gate_state(context);
    if (state->record_count == 0 ||
        state->sequences[SENTINEL_FRAME_COMMAND] != parsed.header->sequence) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    const sentinel_command *command = (const sentinel_command *)parsed.payload;
    memset(ack, 0, sizeof *ack);
    memcpy(ack->engine_id32, context->engine_id32, 32);
    memcpy(ack->frame_hash32, parsed.hash32, 32);
    memcpy(ack->record_hash32, state->last_hash32, 32);
    ack->record = state->record_count - 1;
    ack->count = state->record_count;
    ack->epoch = state->epoch;
    ack->now_ns = state->last_now_ns;
    ack->until_ns = command->until_ns;
    ack->subject_record = command->record;
    ack->target = command->target;
    ack->verb = command->verb;
    ack->scope = command->scope;
    ack->environment = context->config.genesis.environment;
    memcpy(ack->usable_until_ms, state->released.usable_until_ms, sizeof ack->usable_until_ms);
    return SENTINEL_OK;
}

sentinel_status sentinel_gate_sign_ack(sentinel_context *context, uint8_t signature64[64],
                                       const sentinel_ack *ack) {
    if (context == NULL || signature64 == NULL || ack == NULL || context->keyring == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    const sentinel_state *state = gate_state(context);
    if (!bytes_equal(ack->engine_id32, context->engine_id32, 32) || ack->record >= ack->count ||
        ack->count > state->record_count || ack->epoch > state->epoch) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    uint8_t digest32[32];
    hash_bytes(digest32, ack, sizeof *ack);
    return sentinel_sign_frame(context->keyring, signature64, context->config.receipt_key,
                               "sentinel-ack-v1", digest32);
}
