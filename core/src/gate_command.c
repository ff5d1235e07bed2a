/* Commands: what operators say. Any one of them may tighten a stop; lifting or
 * loosening one takes as many as the authority says (docs/2-policy.md,
 * "Who stops, and who lifts"). */
#include "gate_approval.h"
#include "gate_internal.h"

static sentinel_status command_check(const sentinel_command *command) {
    if (command->verb == 0 || command->verb >= SENTINEL_COMMAND_COUNT || command->scope == 0 ||
        command->scope >= SENTINEL_SCOPE_COUNT || command->reason_size == 0 ||
        command->severity > 3) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (!bytes_are_zero(command->reserved0, sizeof command->reserved0) ||
        !bytes_are_zero(command->reserved1, sizeof command->reserved1)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    return SENTINEL_OK;
}

/* A gap that a witness named: k of n operators accept it, by its head. */
static int accepts_gap(const sentinel_command *command) {
    return command->verb == SENTINEL_COMMAND_RESUME && command->scope == SENTINEL_SCOPE_ENGINE &&
           command->until_ns == 0;
}

static sentinel_status take_gap(sentinel_context *context, const sentinel_frame *frame,
                                const void *bytes, size_t size, int64_t now_ns, uint32_t flags,
                                int commit) {
    SENTINEL_TRY(gate_accept_gap(context, (const sentinel_command *)frame->payload));
    if (!commit) {
        return SENTINEL_OK;
    }
    sentinel_state *state = gate_state(context);
    SENTINEL_TRY(gate_record_frame(context, SENTINEL_RECORD_COMMAND, bytes, size, now_ns, flags));
    state->sequences[SENTINEL_FRAME_COMMAND] = frame->header->sequence;
    gate_gap_accepted(state);
    return SENTINEL_OK;
}

/* The other verbs and scopes have their place in the layout alone, yet. */
static sentinel_status stop_check(const sentinel_command *command) {
    int drains = command->verb == SENTINEL_COMMAND_DRAIN;
    if (command->verb > SENTINEL_COMMAND_DRAIN || command->scope > SENTINEL_SCOPE_INSTRUMENT ||
        command->until_ns < 0 ||
        (command->until_ns != 0 && !drains && !gate_is_clock_set(command)) ||
        command->record != 0 ||
        !bytes_are_zero(command->record_hash32, sizeof command->record_hash32)) {
        return SENTINEL_FORMAT_RANGE;
    }
    return SENTINEL_OK;
}

static int64_t lease_most(const sentinel_policy *policy, int64_t now_ns) {
    return policy->lease_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + policy->lease_ns;
}

/* A lease says nothing but how long the engine may go on. */
static sentinel_status lease_check(const sentinel_command *command, const sentinel_policy *policy,
                                   int64_t now_ns) {
    if (command->scope != SENTINEL_SCOPE_ENGINE || command->target != 0 || command->until_ns <= 0 ||
        command->record != 0 ||
        !bytes_are_zero(command->record_hash32, sizeof command->record_hash32)) {
        return SENTINEL_FORMAT_RANGE;
    }
    /* Where none is asked for, the longest one ends now. */
    return command->until_ns <= now_ns || command->until_ns > lease_most(policy, now_ns)
               ? SENTINEL_POLICY_LEASE
               : SENTINEL_OK;
}

static sentinel_status take_lease(sentinel_context *context, const sentinel_frame *frame,
                                  const void *bytes, size_t size, int64_t now_ns, uint32_t flags,
                                  int commit) {
    const sentinel_command *command = (const sentinel_command *)frame->payload;
    SENTINEL_TRY(lease_check(command, gate_view(context)->bundle.policy, now_ns));
    if (commit) {
        SENTINEL_TRY(
            gate_record_frame(context, SENTINEL_RECORD_COMMAND, bytes, size, now_ns, flags));
        gate_state(context)->sequences[SENTINEL_FRAME_COMMAND] = frame->header->sequence;
        gate_state(context)->lease_until_ns = command->until_ns;
    }
    return SENTINEL_OK;
}

static sentinel_stop_state stop_of(const sentinel_command *command, uint64_t record,
                                   int64_t now_ns) {
    static const uint8_t modes[] = {
        [SENTINEL_COMMAND_HALT] = SENTINEL_HALTED,
        [SENTINEL_COMMAND_RESUME] = SENTINEL_RUNNING,
        [SENTINEL_COMMAND_DRAIN] = SENTINEL_DRAINING,
    };
    sentinel_stop_state stop = {
        .mode = modes[command->verb],
        .severity = command->severity,
        .cause = SENTINEL_CAUSE_OPERATOR,
        .record = record,
        .since_ns = now_ns,
        .until_ns = command->until_ns,
    };
    memcpy(stop.reason_digest32, command->reason_digest32, 32);
    return stop;
}

/* Halts, drains and resumes, by whom enough have signed to tighten or lift. */
static sentinel_status take_stop(sentinel_context *context, const sentinel_frame *frame,
                                 const void *bytes, size_t size, int64_t now_ns, uint32_t flags,
                                 int commit) {
    const sentinel_command *command = (const sentinel_command *)frame->payload;
    const sentinel_view *view = gate_view(context);
    int64_t last_ns = gate_state(context)->last_now_ns;
    int tightens = command->verb != SENTINEL_COMMAND_RESUME;
    int sets = gate_is_clock_set(command);
    SENTINEL_TRY(stop_check(command));
    sentinel_stop_state *place = sentinel_view_place(view, command->scope, command->target);
    if (place == NULL) {
        return SENTINEL_POLICY_SCOPE;
    }
    sentinel_state *state = gate_state(context);
    sentinel_stop_state stop = stop_of(command, state->record_count, now_ns);
    /* Who signed a drain may not have known of a halt since. */
    if (command->verb == SENTINEL_COMMAND_DRAIN &&
        sentinel_stop_mode(place, now_ns) == SENTINEL_HALTED) {
        return SENTINEL_POLICY_STOPPED;
    }
    if (tightens && sentinel_stop_loosens(place, &stop, now_ns)) {
        SENTINEL_TRY(gate_verify_power(context, frame, SENTINEL_POWER_OPERATOR, 0, now_ns));
    }
    if (sets) {
        SENTINEL_TRY(gate_clock_check(context, command, now_ns));
        flags |= SENTINEL_RECORD_CLOCK_SET;
    }
    if (!commit) {
        return SENTINEL_OK;
    }
    SENTINEL_TRY(gate_record_frame(context, SENTINEL_RECORD_COMMAND, bytes, size, now_ns, flags));
    state->sequences[SENTINEL_FRAME_COMMAND] = frame->header->sequence;
    if (sets) {
        gate_clock_set(view, last_ns, now_ns);
    }
    sentinel_stop_set(view, place, &stop);
    if (command->scope == SENTINEL_SCOPE_NODE) {
        gate_beats_changed(context, sentinel_bundle_node(&view->bundle, command->target),
                           !tightens);
    }
    if (!tightens && command->scope == SENTINEL_SCOPE_NODE &&
        view->bundle.nodes[sentinel_bundle_node(&view->bundle, command->target)].kind ==
            SENTINEL_NODE_FIRM &&
        (state->halted != SENTINEL_AUDIT_FRESHNESS || state->grant.gap_to == 0)) {
        /* Resuming the firm lifts the engine's own halt too; a gap is accepted by name. */
        state->halted = 0;
    }
    return SENTINEL_OK;
}

sentinel_status gate_take_command(sentinel_context *context, const void *bytes, size_t size,
                                  int64_t now_ns, uint32_t flags, int commit) {
    sentinel_frame frame;
    SENTINEL_TRY(sentinel_frame_parse(&frame, bytes, size, SENTINEL_FRAME_COMMAND));
    if (frame.payload_size != sizeof(sentinel_command)) {
        return SENTINEL_FORMAT_SIZE;
    }
    const sentinel_command *command = (const sentinel_command *)frame.payload;
    int tightens =
        command->verb == SENTINEL_COMMAND_HALT || command->verb == SENTINEL_COMMAND_DRAIN;
    SENTINEL_TRY(command_check(command));
    SENTINEL_TRY(gate_expects(context, &frame, SENTINEL_FRAME_COMMAND, now_ns));
    if (command->verb == SENTINEL_COMMAND_APPROVE || command->verb == SENTINEL_COMMAND_REJECT) {
        return gate_take_approval(context, &frame, bytes, size, now_ns, flags, commit);
    }
    int leases = command->verb == SENTINEL_COMMAND_LEASE;
    int sets = gate_is_clock_set(command);
    int64_t last_ns = gate_state(context)->last_now_ns;
    /* Nobody whose key had ended signs that it has not. */
    SENTINEL_TRY(gate_verify_power(context, &frame, SENTINEL_POWER_OPERATOR,
                                   tightens || leases ? 1 : 0,
                                   sets && now_ns < last_ns ? last_ns : now_ns));
    const sentinel_view *view = gate_view(context);
    if (view == NULL) {
        return SENTINEL_POLICY_ABSENT;
    }
    if (leases) {
        return take_lease(context, &frame, bytes, size, now_ns, flags, commit);
    }
    if (accepts_gap(command)) {
        return take_gap(context, &frame, bytes, size, now_ns, flags, commit);
    }
    return take_stop(context, &frame, bytes, size, now_ns, flags, commit);
}
