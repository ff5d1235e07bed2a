/* A log that ran ahead is set back to the real time, by k of n operators, as
 * long as nothing rests on the time that is undone (docs/2-policy.md, "Setting
 * the clock back"). */
#include "gate_internal.h"

/* It has no end, and its sequence keeps the clock from before it. */
static int is_halt(const gate_entry *entry) {
    sentinel_command command;
    memcpy(&command, (const uint8_t *)entry->subject + sizeof(sentinel_frame_header),
           sizeof command);
    return command.verb == SENTINEL_COMMAND_HALT;
}

int gate_rests_on(const gate_entry *entry) {
    switch (entry->type) {
    case SENTINEL_RECORD_START:
    case SENTINEL_RECORD_HALT:
    case SENTINEL_RECORD_STOP: /* a stop has no time at which it would end */
    case SENTINEL_RECORD_REFUSED:
    case SENTINEL_RECORD_SNAPSHOT:
    case SENTINEL_RECORD_SUMMARY:
    case SENTINEL_RECORD_CLOCK:
    case SENTINEL_RECORD_KEY:
        return 0;
    case SENTINEL_RECORD_ORDER: /* a denial debits nothing and uses no id */
        return entry->verdict != SENTINEL_DENIED;
    case SENTINEL_RECORD_COMMAND:
        return !is_halt(entry);
    default:
        return 1;
    }
}

int gate_is_clock_set(const sentinel_command *command) {
    return command->verb == SENTINEL_COMMAND_RESUME && command->scope == SENTINEL_SCOPE_NODE &&
           command->until_ns > 0;
}

int gate_sets_clock(const void *frame, size_t size) {
    sentinel_command command;
    if (size < sizeof(sentinel_frame_header) + sizeof command) {
        return 0;
    }
    memcpy(&command, (const uint8_t *)frame + sizeof(sentinel_frame_header), sizeof command);
    return gate_is_clock_set(&command);
}

sentinel_status gate_clock_check(const sentinel_context *context, const sentinel_command *command,
                                 int64_t now_ns) {
    const sentinel_state *state = gate_state(context);
    const sentinel_bundle *bundle = &gate_view(context)->bundle;
    uint32_t node = sentinel_bundle_node(bundle, command->target);
    if (node == SENTINEL_NODE_NONE || bundle->nodes[node].kind != SENTINEL_NODE_FIRM) {
        return SENTINEL_FORMAT_RANGE;
    }
    return command->until_ns == state->last_now_ns && now_ns < state->last_now_ns && now_ns > 0 &&
                   now_ns >= state->relied_ns
               ? SENTINEL_OK
               : SENTINEL_POLICY_CLOCK;
}

/* A drain whose end had come was a halt. */
static void keep_ended(const sentinel_view *view, sentinel_stop_state *stop, int64_t before_ns) {
    if (sentinel_stop_mode(stop, before_ns) == SENTINEL_HALTED) {
        sentinel_stop_state halted = *stop;
        halted.mode = SENTINEL_HALTED;
        halted.until_ns = 0;
        sentinel_stop_set(view, stop, &halted);
    }
}

static void count_from(sentinel_agent_state *agent, int64_t now_ns) {
    if (agent->attempts_since_ns > now_ns) {
        agent->attempts_since_ns = now_ns;
    }
}

void gate_clock_set(const sentinel_view *view, int64_t before_ns, int64_t now_ns) {
    sentinel_state *state = view->state;
    const sentinel_bundle *bundle = &view->bundle;
    for (uint32_t i = 0; i < bundle->node_count; i++) {
        keep_ended(view, sentinel_view_node(view, i), before_ns);
        if (bundle->nodes[i].kind == SENTINEL_NODE_AGENT) {
            count_from(sentinel_view_agent(view, i), now_ns);
        }
    }
    for (uint32_t i = 0; i < bundle->instrument_count; i++) {
        keep_ended(view, sentinel_view_instrument(view, &bundle->instruments[i]), before_ns);
    }
    for (uint32_t i = 0; i < SENTINEL_VENUES_MAX; i++) {
        keep_ended(view, &state->venues[i], before_ns);
    }
    for (uint32_t i = 0; i < SENTINEL_PENDING_MAX; i++) {
        sentinel_pending *row = &state->pending[i];
        if (row->status != 0 && row->expires_ns <= before_ns && row->expires_ns > now_ns) {
            row->expires_ns = now_ns;
        }
    }
    if (state->lease_until_ns <= before_ns && state->lease_until_ns > now_ns) {
        state->lease_until_ns = now_ns;
    }
    count_from(&state->strangers, now_ns);
}
