/* The main path: order -> policy -> sign -> audit -> release.
 *
 * This is the only place that joins the four steps. A signature leaves
 * sentinel_gate_sign() only behind a record that was kept. */
#include "gate_approval.h"
#include "gate_internal.h"
#include "order_check.h"

static void refuse(sentinel_outcome *outcome, sentinel_reason reason) {
    sentinel_decision_refuse(&outcome->decision, reason);
}

static void step_ends(const sentinel_context *context, unsigned step) {
    if (context->trace != NULL) {
        context->trace->ends[step] = context->trace->clock();
    }
}

/* Where only the outside world knew, a replay takes the record's word. */
static int replay_says(const sentinel_context *context, sentinel_reason reason) {
    const uint64_t *reasons = context->expected->header->reasons;
    return (reasons[reason / 64] >> (reason % 64) & 1) != 0;
}

/* Why the record says that nothing could be rendered; NONE when it does not. */
static sentinel_reason replay_refusal(const sentinel_context *context) {
    static const sentinel_reason reasons[] = {
        SENTINEL_REASON_ORDER_TEXT,      SENTINEL_REASON_TICK,        SENTINEL_REASON_LOT,
        SENTINEL_REASON_KEY_NOT_GRANTED, SENTINEL_REASON_UNSUPPORTED, SENTINEL_REASON_EXPIRY,
        SENTINEL_REASON_RENDER_FAILED};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (replay_says(context, reasons[i])) {
            return reasons[i];
        }
    }
    return SENTINEL_REASON_NONE;
}

/* A control page that differs from its last known word stops everything. */
static inline int control_stops(const sentinel_context *context) {
    if (context->expected != NULL) {
        return replay_says(context, SENTINEL_REASON_CONTROL_STOP);
    }
    const sentinel_control *control = context->control;
    return control != NULL && (__atomic_load_n(&control->stop, __ATOMIC_ACQUIRE) != 0 ||
                               __atomic_load_n(&control->spool_submitted, __ATOMIC_ACQUIRE) !=
                                   __atomic_load_n(&control->spool_applied, __ATOMIC_ACQUIRE));
}

/* Step 0: may this engine decide at all, and at what time? */
static void admit(sentinel_context *context, sentinel_outcome *outcome, gate_case *c) {
    /* The clock comes first: a step back too far halts the engine, and this
     * order is already refused for that. */
    if (!gate_clock(context, &c->now_ns, &c->flags) ||
        (context->expected != NULL && replay_says(context, SENTINEL_REASON_CLOCK))) {
        refuse(outcome, SENTINEL_REASON_CLOCK);
    }
    if (gate_state(context)->halted != 0) {
        refuse(outcome, SENTINEL_REASON_ENGINE_HALTED);
    }
    if (c->stopped || control_stops(context)) {
        refuse(outcome, SENTINEL_REASON_CONTROL_STOP);
    }
    if (!context->has_policy) {
        refuse(outcome, SENTINEL_REASON_NO_POLICY);
    } else if (gate_view(context)->bundle.policy->lease_ns > 0 &&
               c->now_ns >= gate_state(context)->lease_until_ns) {
        refuse(outcome, SENTINEL_REASON_LEASE);
    }
}

/* Step 1: the order's form, then everything that it refers to. */
static void check_order(const sentinel_context *context, sentinel_outcome *outcome, gate_case *c) {
    sentinel_reason reason = order_check(&c->order, c->size, context->config.genesis.environment);
    if (reason != SENTINEL_REASON_NONE) {
        refuse(outcome, reason);
        return;
    }
    if (c->agent != NULL) {
        gate_fetch_windows(gate_view(context), c);
    }
    gate_resolve(context, c, &outcome->decision);
    if (!gate_is_refused(&outcome->decision)) {
        gate_fetch_rings(gate_view(context), c);
    }
}

/* Step 3, first half: the exact bytes. Pure; nothing is reserved yet. */
static sentinel_reason render(const sentinel_context *context, sentinel_outcome *outcome,
                              gate_case *c) {
    if (c->key == NULL) {
        /* A replay without keys: the record says what came of it. */
        c->digests = *context->expected->outcome;
        c->flags = context->expected->header->flags & ~(uint32_t)SENTINEL_RECORD_NOTIFY;
        /* A render that failed was refused; FAILED is from after signing. */
        return context->expected->header->verdict != SENTINEL_DENIED ? SENTINEL_REASON_NONE
                                                                     : replay_refusal(context);
    }
    sentinel_request *request = &outcome->request;
    sentinel_reason reason = sentinel_venue_render(request, &c->render);
    if (reason == SENTINEL_REASON_NONE && request->overflow) {
        reason = SENTINEL_REASON_RENDER_FAILED;
    }
    if (reason != SENTINEL_REASON_NONE) {
        return reason;
    }
    const char *signed_bytes = request->text + request->string_to_sign.offset;
    if (request->prehashed) { /* it is the digest of what is sent */
        memcpy(c->digests.payload_digest32, signed_bytes, 32);
    } else {
        c->payload =
            (hash_message){.part = {NULL, signed_bytes}, .size = {0, request->string_to_sign.size}};
        if (context->expected != NULL) {
            hash_one(c->digests.payload_digest32, &c->payload);
        }
    }
    if (request->method != SENTINEL_METHOD_NONE && !request->endpoint_covered) {
        if (c->key_row->flags == 0) {
            return SENTINEL_REASON_KEY_NOT_GRANTED; /* neither checked nor accepted */
        }
        c->flags |= SENTINEL_RECORD_ENDPOINT_OPEN;
        if ((c->key_row->flags & SENTINEL_KEY_ENDPOINT_GRANT) != 0) {
            c->flags |= SENTINEL_RECORD_ENDPOINT_GRANT;
        }
    }
    return SENTINEL_REASON_NONE;
}

/* Actions whose bytes do harm when they are used late. */
#define ADDS_RISK                                                                                 \
    (1u << SENTINEL_ACTION_PLACE | 1u << SENTINEL_ACTION_AMEND | 1u << SENTINEL_ACTION_WITHDRAW | \
     1u << SENTINEL_ACTION_TRANSFER)

/* The id is used up. Of a request that waited for long it may be older than
 * those that are kept. */
static void keep_id(const gate_case *c, uint64_t record) {
    uint64_t id = c->order.header.action_id;
    sentinel_agent_state *agent = c->agent;
    if (id <= agent->id_highest && agent->id_highest - id >= SENTINEL_ID_WINDOW) {
        return;
    }
    agent->id_record[id % SENTINEL_ID_WINDOW] = record;
    agent->id_parent[id % SENTINEL_ID_WINDOW] = c->subject.parent;
    agent->id_parent_slot[id % SENTINEL_ID_WINDOW] = c->subject.parent_slot;
    if (id > agent->id_highest) {
        uint64_t step = id - agent->id_highest;
        agent->id_seen = step < SENTINEL_ID_WINDOW ? agent->id_seen << step | 1 : 1;
        agent->id_highest = id;
    } else {
        agent->id_seen |= UINT64_C(1) << (agent->id_highest - id);
    }
}

/* What an allowed order uses up, before any signature exists; and whether the
 * policy wants its record marked. */
static void reserve(const sentinel_context *context, const sentinel_outcome *outcome,
                    gate_case *c) {
    const sentinel_view *view = gate_view(context);
    sentinel_state *state = view->state;
    sentinel_policy_debit(view, &c->subject, &outcome->decision, c->now_ns);
    state->grant.spent += c->grant_value; /* at most what was granted */
    if (view->bundle.policy->oversight[c->subject.action] == SENTINEL_OVERSIGHT_NOTIFY) {
        c->flags |= SENTINEL_RECORD_NOTIFY;
    }

    keep_id(c, state->record_count);
    if (state->pending_used != 0) {
        gate_approval_close(state, c->session->agent, c->order.header.action_id);
    }

    gate_book_enter(view, c);
    if (c->is_nonced) {
        state->released.nonce_next = c->render.nonce + 1;
    }
    if ((ADDS_RISK >> c->subject.action & 1) != 0) {
        int64_t *until = &state->released.usable_until_ms[c->key_row->venue];
        *until = c->usable_until_ms > *until ? c->usable_until_ms : *until;
    }
    for (uint32_t i = 0; i < SENTINEL_KEYS_MAX; i++) {
        sentinel_key_counter *counter = &state->key_counters[i];
        if (counter->key == c->key_row->id || counter->key == 0) {
            counter->key = c->key_row->id;
            c->key_counter = ++counter->uses;
            return;
        }
    }
}

/* Step 3, second half: the signature over those bytes, put into place. */
static sentinel_reason sign(sentinel_context *context, sentinel_outcome *outcome, gate_case *c) {
    if (context->expected != NULL) {
        memcpy(c->digests.signature_digest32, context->expected->outcome->signature_digest32, 32);
        return replay_says(context, SENTINEL_REASON_SIGN_FAILED)     ? SENTINEL_REASON_SIGN_FAILED
               : replay_says(context, SENTINEL_REASON_RENDER_FAILED) ? SENTINEL_REASON_RENDER_FAILED
                                                                     : SENTINEL_REASON_NONE;
    }
    sentinel_request *request = &outcome->request;
    const uint8_t *bytes = (const uint8_t *)request->text + request->string_to_sign.offset;
    sentinel_status status =
        request->prehashed
            ? sentinel_sign_digest(context->keyring, &outcome->signature, c->key_row->id, bytes)
            : sentinel_sign(context->keyring, &outcome->signature, c->key_row->id, bytes,
                            request->string_to_sign.size);
    if (status != SENTINEL_OK) {
        outcome->status = status;
        return SENTINEL_REASON_SIGN_FAILED;
    }
    c->signature = (hash_message){.part = {NULL, outcome->signature.bytes},
                                  .size = {0, outcome->signature.size}};
    sentinel_reason reason = sentinel_venue_finish(request, &c->render, &outcome->signature);
    return request->overflow ? SENTINEL_REASON_RENDER_FAILED : reason;
}

/* Step 4: the record, before anything is released. */
static sentinel_status keep_record(sentinel_context *context, sentinel_outcome *outcome,
                                   gate_case *c) {
    const sentinel_decision *decision = &outcome->decision;
    gate_entry entry = {
        .type = SENTINEL_RECORD_ORDER,
        .reason = decision->reason,
        .subject_size = (uint16_t)c->size,
        .result_count = decision->result_count,
        .verdict = outcome->verdict,
        .release_mode = SENTINEL_RELEASE_TO_AGENT,
        .agent = c->session->agent,
        .key = c->key_row != NULL ? c->key_row->id : 0,
        .flags = c->flags,
        .key_counter = c->key_counter,
        .pending = c->pending,
        .reasons = {decision->reasons[0], decision->reasons[1]},
        .now_ns = c->now_ns,
        .subject = &c->order,
        .results = decision->results,
        .outcome = &c->digests,
        .payload = c->payload,
        .signature = c->signature,
    };
    uint64_t number = gate_state(context)->record_count;
    sentinel_status status = gate_append(context, outcome->record_hash32, &entry);
    if (status == SENTINEL_OK) {
        outcome->recorded = 1;
        outcome->record = number;
    }
    return status;
}

static void withhold(sentinel_outcome *outcome) {
    bytes_wipe(&outcome->signature, sizeof outcome->signature);
    bytes_wipe(&outcome->request, sizeof outcome->request);
}

static void fail(sentinel_outcome *outcome, sentinel_reason reason) {
    withhold(outcome);
    refuse(outcome, reason);
    outcome->verdict = SENTINEL_FAILED;
    outcome->decision.verdict = SENTINEL_FAILED;
}

/* The record could not be kept: no signature, and no further decision. */
static void fail_unrecorded(sentinel_context *context, sentinel_outcome *outcome,
                            sentinel_status status) {
    fail(outcome, SENTINEL_REASON_AUDIT_FAILED);
    outcome->status = status;
    sentinel_state *state = gate_state(context);
    if (state->halted == 0 && context->expected == NULL) {
        state->halted = status;
    }
}

/* Of what was refused no bytes are recorded. */
static void forget_bytes(gate_case *c) {
    memset(&c->digests, 0, sizeof c->digests);
    c->payload = c->signature = (hash_message){0};
}

static void deny(sentinel_context *context, sentinel_outcome *outcome, gate_case *c) {
    withhold(outcome);
    outcome->verdict = SENTINEL_DENIED;
    outcome->decision.verdict = SENTINEL_DENIED;
    forget_bytes(c);
    c->flags &= ~(uint32_t)(SENTINEL_RECORD_ENDPOINT_OPEN | SENTINEL_RECORD_ENDPOINT_GRANT);
    int recorded = 0;
    sentinel_status status =
        gate_attempt(context, &recorded, c->node, c->now_ns, outcome->decision.reasons);
    if (status == SENTINEL_OK && recorded) {
        status = keep_record(context, outcome, c);
    }
    if (status != SENTINEL_OK) {
        /* It was refused already; that the refusal is not kept halts the engine. */
        fail_unrecorded(context, outcome, status);
    }
    if (c->duplicate_of != 0) {
        outcome->record = c->duplicate_of;
    }
}

/* It waits for approvers: nothing is signed, debited or used up. A new request
 * is an attempt, so that an agent cannot flood the log with them. */
static void pend(sentinel_context *context, sentinel_outcome *outcome, gate_case *c) {
    if (c->request == NULL) {
        sentinel_decision full = {0};
        int recorded = 0;
        sentinel_decision_refuse(&full, SENTINEL_REASON_APPROVALS_FULL);
        sentinel_status status = gate_attempt(context, &recorded, c->node, c->now_ns, full.reasons);
        if (status == SENTINEL_OK && !recorded) {
            withhold(outcome);
            refuse(outcome, SENTINEL_REASON_APPROVALS_FULL);
            outcome->verdict = SENTINEL_DENIED;
            return;
        }
        if (status != SENTINEL_OK) {
            fail_unrecorded(context, outcome, status);
            return;
        }
    }
    withhold(outcome);
    refuse(outcome, SENTINEL_REASON_APPROVAL);
    outcome->verdict = SENTINEL_PENDING;
    outcome->decision.verdict = SENTINEL_PENDING;
    forget_bytes(c);
    c->flags &= ~(uint32_t)(SENTINEL_RECORD_ENDPOINT_OPEN | SENTINEL_RECORD_ENDPOINT_GRANT);
    if (c->request == NULL) {
        sentinel_status status = keep_record(context, outcome, c);
        if (status != SENTINEL_OK) {
            fail_unrecorded(context, outcome, status);
            return;
        }
        gate_approval_open(context, outcome, c);
    }
    gate_approval_tell(context, outcome, c);
}

static void allow(sentinel_context *context, sentinel_outcome *outcome, gate_case *c) {
    reserve(context, outcome, c);
    step_ends(context, SENTINEL_STEP_RESERVE);
    sentinel_reason reason = sign(context, outcome, c);
    step_ends(context, SENTINEL_STEP_SIGN);
    if (reason != SENTINEL_REASON_NONE) {
        /* What was to be signed is recorded; what is withheld is wiped first. */
        if (c->payload.size[1] != 0) {
            hash_one(c->digests.payload_digest32, &c->payload);
        }
        fail(outcome, reason);
        c->payload = c->signature = (hash_message){0};
        memset(c->digests.signature_digest32, 0, sizeof c->digests.signature_digest32);
    } else {
        outcome->verdict = SENTINEL_ALLOWED;
        outcome->usable_until_ms = c->usable_until_ms;
    }
    sentinel_status status = keep_record(context, outcome, c);
    if (status != SENTINEL_OK) {
        fail_unrecorded(context, outcome, status);
    }
}

/* How the venue knows the order that was placed, or that was meant. */
static void name_order(sentinel_outcome *outcome, const gate_case *c) {
    const sentinel_render *render = &c->render;
    uint16_t action = c->subject.action;
    int names_new = action == SENTINEL_ACTION_PLACE || action == SENTINEL_ACTION_WITHDRAW ||
                    action == SENTINEL_ACTION_TRANSFER;
    outcome->venue = c->key_row->venue;
    outcome->key = c->key_row->id;
    outcome->client_id_size = names_new ? render->client_id_size : render->target_client_id_size;
    memcpy(outcome->client_id, names_new ? render->client_id : render->target_client_id,
           sizeof outcome->client_id);
}

void gate_decide(sentinel_context *context, sentinel_outcome *outcome, gate_case *c) {
    sentinel_decision *decision = &outcome->decision;
    admit(context, outcome, c);
    if (!gate_is_refused(decision)) {
        check_order(context, outcome, c);
        step_ends(context, SENTINEL_STEP_DECODE);
    }
    if (!gate_is_refused(decision)) {
        sentinel_policy_evaluate(decision, gate_view(context), &c->subject, c->now_ns);
        if (decision->verdict == SENTINEL_PENDING || c->request != NULL) {
            gate_approval_judge(context, c, decision);
        }
        step_ends(context, SENTINEL_STEP_POLICY);
    }
    if (!gate_is_refused(decision)) {
        sentinel_reason reason = render(context, outcome, c);
        step_ends(context, SENTINEL_STEP_RENDER);
        if (reason != SENTINEL_REASON_NONE) {
            refuse(outcome, reason);
        }
    }
    /* Last: a denial may write a summary first, and then has a later number. */
    if (context->has_witness && !gate_is_refused(decision) && !c->waits) {
        sentinel_reason reason = gate_grant_judge(context, c, decision);
        if (reason != SENTINEL_REASON_NONE) {
            refuse(outcome, reason);
        }
    }
    if (gate_is_refused(decision)) {
        deny(context, outcome, c);
    } else if (c->waits) {
        pend(context, outcome, c);
    } else {
        allow(context, outcome, c);
    }
    if (outcome->verdict == SENTINEL_ALLOWED) {
        name_order(outcome, c);
    }
    outcome->reason = decision->reason;
    outcome->epoch = gate_state(context)->epoch;
    outcome->now_ns = c->now_ns;
    step_ends(context, SENTINEL_STEP_RECORD);
}

/* An agent that fell silent or hangs is stopped before its next order is looked
 * at: one comparison where it is not. */
static void stop_if_overdue(sentinel_context *context, gate_case *c) {
    sentinel_state *state = gate_state(context);
    int64_t now_ns = c->now_ns < state->last_now_ns ? state->last_now_ns : c->now_ns;
    if (now_ns <= c->agent->beat_deadline_ns) {
        return;
    }
    /* What the control page refuses is not looked at: frames may be waiting.
     * Nor is it let through should the page say otherwise a moment later. */
    c->stopped = (uint8_t)control_stops(context);
    if (!c->stopped) {
        sentinel_status status = gate_beat_look(context, c->node, c->now_ns);
        if (status != SENTINEL_OK && state->halted == 0) {
            state->halted = status; /* what cannot be recorded stops all the same */
        }
    }
}

/* All that has a meaning. The rest, two parts of 4 KiB, would cost more to clear
 * than a policy takes to judge: results are set as they are added, text as it is
 * rendered; and what is withheld is wiped whole. */
static void clear(sentinel_outcome *outcome) {
    memset(outcome, 0, offsetof(sentinel_outcome, decision.results));
    memset(&outcome->signature, 0, sizeof outcome->signature);
    memset(&outcome->request, 0, offsetof(sentinel_request, text));
}

sentinel_status sentinel_gate_sign(sentinel_context *context, sentinel_outcome *outcome,
                                   sentinel_session *session, const void *order_bytes, size_t size,
                                   int64_t now_ns) {
    if (context == NULL || outcome == NULL || session == NULL || order_bytes == NULL ||
        context->expected != NULL || now_ns < 0) {
        if (outcome != NULL) {
            memset(outcome, 0, sizeof *outcome);
        }
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (context->closing) {
        memset(outcome, 0, sizeof *outcome);
        return SENTINEL_USAGE_STATE;
    }
    if (context->trace != NULL) {
        memset(context->trace->ends, 0, sizeof context->trace->ends);
        context->trace->begin = context->trace->clock();
    }
    gate_case c;
    memset(&c, 0, sizeof c);
    c.session = session;
    c.now_ns = now_ns;
    c.node = SENTINEL_NODE_NONE;
    /* No order has such a size; of others the bytes are kept as they came. */
    c.size = size <= sizeof c.order && size % 8 == 0 ? size : 0;
    memcpy(&c.order, order_bytes, c.size);
    if (context->has_policy && (session->generation != context->generation)) {
        session->node = sentinel_bundle_node(&gate_view(context)->bundle, session->agent);
        session->generation = context->generation;
    }
    if (context->has_policy) {
        c.node = session->node;
        c.agent = sentinel_view_agent(gate_view(context), c.node);
        if (c.agent != NULL) {
            gate_fetch_instrument(gate_view(context), &c);
            gate_fetch_agent(gate_view(context), &c);
        }
    }
    if (context->log != NULL) {
        gate_fetch_log(context->log);
    }
    clear(outcome);
    if (c.agent != NULL && c.agent->beat_deadline_ns != 0) {
        stop_if_overdue(context, &c);
    }
    gate_decide(context, outcome, &c);
    return SENTINEL_OK;
}
