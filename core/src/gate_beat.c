/* Heartbeats: taken from an agent's own key; and the agents that fell silent
 * or hang, looked for and stopped. */
#include "gate_internal.h"
#include "state_internal.h"

int gate_beat_due(const sentinel_context *context, uint32_t node, int64_t now_ns,
                  sentinel_auto_stop *stop) {
    const sentinel_view *view = gate_view(context);
    policy_overdue overdue;
    /* An engine that halted itself signs nothing, and whoever resumes the firm
     * lets every agent begin anew. */
    if (view == NULL || view->state->halted != 0 || node >= view->bundle.node_count ||
        !policy_beat_overdue(&overdue, view, node, now_ns)) {
        return 0;
    }
    *stop = (sentinel_auto_stop){
        .scope = SENTINEL_SCOPE_NODE,
        .mode = overdue.mode,
        .cause = overdue.cause,
        .target = view->bundle.nodes[node].id,
        .deadline_ns = overdue.deadline_ns,
        .sequence = sentinel_view_agent(view, node)->beat_sequence,
        .rule = overdue.rule->id,
    };
    return 1;
}

sentinel_status gate_beat_look(sentinel_context *context, uint32_t node, int64_t now_ns) {
    const sentinel_state *state = gate_state(context);
    uint32_t flags = now_ns < state->last_now_ns ? SENTINEL_RECORD_CLOCK_HELD : 0;
    sentinel_auto_stop stop;
    now_ns = now_ns < state->last_now_ns ? state->last_now_ns : now_ns;
    return gate_beat_due(context, node, now_ns, &stop)
               ? gate_auto_stop(context, &stop, NULL, 0, now_ns, flags)
               : SENTINEL_OK;
}

sentinel_status sentinel_gate_tick(sentinel_context *context, int64_t now_ns) {
    if (context == NULL || context->expected != NULL || now_ns < 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    const sentinel_view *view = gate_view(context);
    int64_t last_ns = gate_state(context)->last_now_ns;
    now_ns = now_ns < last_ns ? last_ns : now_ns; /* as the clock of every record */
    if (view == NULL || now_ns <= context->beats_due_ns || view->state->halted != 0) {
        return SENTINEL_OK;
    }
    int64_t due_ns = INT64_MAX;
    for (uint32_t i = 0; i < view->bundle.node_count; i++) {
        const sentinel_agent_state *agent = sentinel_view_agent(view, i);
        if (agent == NULL || agent->beat_deadline_ns == 0) {
            continue;
        }
        SENTINEL_TRY(gate_beat_look(context, i, now_ns));
        /* What has passed and stopped nothing waits for a command or a bundle. */
        if (agent->beat_deadline_ns >= now_ns && agent->beat_deadline_ns < due_ns) {
            due_ns = agent->beat_deadline_ns;
        }
    }
    context->beats_due_ns = due_ns;
    return SENTINEL_OK;
}

static sentinel_status beat_check(const sentinel_heartbeat *beat, int64_t issued_ns) {
    if (!bytes_are_zero(beat->reserved0, sizeof beat->reserved0) ||
        !bytes_are_zero(beat->reserved1, sizeof beat->reserved1)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    /* A time of 0 is that of no heartbeat. */
    return beat->agent == 0 || issued_ns == 0 || beat->running_since_ns < 0 ||
                   beat->running_since_ns > issued_ns
               ? SENTINEL_FORMAT_RANGE
               : SENTINEL_OK;
}

/* One proof, by a key that is this agent's own. */
static sentinel_status beat_verify(const sentinel_context *context, const gate_feed *given,
                                   uint32_t agent) {
    const sentinel_frame *frame = &given->frame;
    SENTINEL_TRY(gate_verify_power(context, frame, SENTINEL_POWER_AGENT, 1, given->now_ns));
    const sentinel_authority *authority = (const sentinel_authority *)context->authority;
    const sentinel_authority_key *rows = (const sentinel_authority_key *)(authority + 1);
    sentinel_proof proof;
    memcpy(&proof, frame->proofs, sizeof proof);
    for (uint32_t i = 0; frame->proof_count == 1 && i < authority->key_count; i++) {
        if (rows[i].id == proof.key && rows[i].node == agent) {
            return SENTINEL_OK;
        }
    }
    return SENTINEL_POLICY_SIGNATURE;
}

sentinel_status gate_take_heartbeat(sentinel_context *context, const gate_feed *given) {
    const sentinel_frame *frame = &given->frame;
    SENTINEL_TRY(gate_feed_check(frame, 1, sizeof(sentinel_heartbeat)));
    const sentinel_heartbeat *beat =
        (const sentinel_heartbeat *)(frame->payload + sizeof(sentinel_feed));
    SENTINEL_TRY(beat_check(beat, frame->header->issued_ns));
    const sentinel_view *view = gate_view(context);
    uint32_t node =
        view != NULL ? sentinel_bundle_node(&view->bundle, beat->agent) : SENTINEL_NODE_NONE;
    const sentinel_agent_state *agent = view != NULL ? sentinel_view_agent(view, node) : NULL;
    SENTINEL_TRY(gate_expects_above(context, frame, agent != NULL ? agent->beat_sequence : 0,
                                    given->now_ns));
    SENTINEL_TRY(beat_verify(context, given, beat->agent));
    if (view == NULL) {
        return SENTINEL_POLICY_ABSENT;
    }
    if (agent == NULL) {
        return SENTINEL_POLICY_SCOPE;
    }
    if (!given->commit) {
        return SENTINEL_OK;
    }
    /* One that was made too late undoes no silence; one that was in time and
     * waited in the spool does. */
    if (frame->header->issued_ns > agent->beat_deadline_ns) {
        SENTINEL_TRY(gate_beat_look(context, node, given->now_ns));
    }
    SENTINEL_TRY(gate_record_feed(context, given));
    policy_beat_take(view, node, beat, frame->header->sequence, frame->header->issued_ns);
    if (agent->beat_deadline_ns != 0 && agent->beat_deadline_ns < context->beats_due_ns) {
        context->beats_due_ns = agent->beat_deadline_ns;
    }
    return SENTINEL_OK;
}

/* ---- What begins anew --------------------------------------------------------- */

static int is_below(const sentinel_bundle *bundle, uint32_t node, uint32_t above) {
    for (unsigned i = bundle->nodes[node].depth; i > 0 && node != above; i--) {
        node = bundle->nodes[node].parent;
    }
    return node == above;
}

void gate_beats_changed(sentinel_context *context, uint32_t above, int anew) {
    const sentinel_view *view = gate_view(context);
    context->beats_due_ns = 0;
    for (uint32_t i = above; view != NULL && i < view->bundle.node_count; i++) {
        if (view->bundle.nodes[i].kind == SENTINEL_NODE_AGENT &&
            is_below(&view->bundle, i, above)) {
            if (anew) {
                policy_beat_clear(view, i);
            }
            policy_beat_settle(view, i);
        }
    }
}
