/* Requests: orders that wait for approvers, and what becomes of them
 * (docs/2-policy.md, "Approvals"). Rows change with records alone. */
#include "gate_approval.h"
#include "gate_internal.h"

static int is_over(const sentinel_pending *row, int64_t now_ns) {
    return row->status != SENTINEL_PENDING_OPEN || now_ns >= row->expires_ns;
}

/* ---- Rows ---------------------------------------------------------------------- */

/* The next row in use, from `*at` on; null at the end. */
static sentinel_pending *next_row(sentinel_state *state, unsigned *at) {
    uint64_t left = *at < SENTINEL_PENDING_MAX ? state->pending_used >> *at << *at : 0;
    if (left == 0) {
        return NULL;
    }
    unsigned index = (unsigned)__builtin_ctzll(left);
    *at = index + 1;
    return &state->pending[index];
}

static sentinel_pending *find_id(sentinel_state *state, uint32_t agent, uint64_t action_id) {
    unsigned at = 0;
    for (sentinel_pending *row; (row = next_row(state, &at)) != NULL;) {
        if (row->agent == agent && row->action_id == action_id) {
            return row;
        }
    }
    return NULL;
}

static void free_row(sentinel_state *state, sentinel_pending *row) {
    memset(row, 0, sizeof *row);
    state->pending_used &= ~(UINT64_C(1) << (row - state->pending));
}

/* Where a new request goes; null when it has no place. */
static sentinel_pending *place_for(sentinel_state *state, const gate_case *c) {
    sentinel_pending *over = NULL;
    sentinel_pending *same = NULL;
    unsigned own = 0, at = 0;
    for (sentinel_pending *row; (row = next_row(state, &at)) != NULL;) {
        int is_own = row->agent == c->session->agent;
        if (is_own && row->action_id == c->order.header.action_id) {
            same = row;
            continue;
        }
        own += is_own && !is_over(row, c->now_ns);
        if (is_over(row, c->now_ns) && (over == NULL || row->record < over->record)) {
            over = row;
        }
    }
    if (own >= SENTINEL_PENDING_AGENT_MAX) {
        return NULL;
    }
    if (same != NULL) { /* it takes its own place: no more live ones for that */
        return same;
    }
    uint64_t free_rows = ~state->pending_used;
    return free_rows == 0 ? over : &state->pending[__builtin_ctzll(free_rows)];
}

/* ---- One order ------------------------------------------------------------------- */

void gate_approval_find(const sentinel_context *context, gate_case *c,
                        sentinel_decision *decision) {
    sentinel_state *state = gate_state(context);
    sentinel_pending *row = find_id(state, c->order.header.agent, c->order.header.action_id);
    if (row == NULL) {
        return;
    }
    uint8_t digest32[32];
    hash_bytes(digest32, &c->order, c->size);
    if (bytes_equal(digest32, row->order_digest32, 32)) {
        c->request = row;
    } else if (!is_over(row, c->now_ns)) { /* one id is one order */
        c->duplicate_of = row->record;
        sentinel_decision_refuse(decision, SENTINEL_REASON_DUPLICATE);
    }
}

int gate_approval_keeps_id(const gate_case *c) {
    return c->request != NULL && !is_over(c->request, c->now_ns);
}

/* What policy said for lack of approvers is taken back. */
static void lift(sentinel_decision *decision) {
    if (decision->verdict == SENTINEL_PENDING) {
        decision->verdict = SENTINEL_ALLOWED;
        decision->reason = SENTINEL_REASON_NONE;
        memset(decision->reasons, 0, sizeof decision->reasons);
    }
}

void gate_approval_judge(const sentinel_context *context, gate_case *c,
                         sentinel_decision *decision) {
    const sentinel_pending *row = c->request;
    int waits = decision->verdict == SENTINEL_PENDING;
    c->pending = row != NULL ? row->record : 0;
    lift(decision);
    if (decision->verdict != SENTINEL_ALLOWED) {
        return;
    }
    if (row != NULL) {
        if (row->status == SENTINEL_PENDING_REJECTED) {
            sentinel_decision_refuse(decision, SENTINEL_REASON_APPROVAL_REJECTED);
            return;
        }
        if (is_over(row, c->now_ns)) {
            sentinel_decision_refuse(decision, SENTINEL_REASON_APPROVAL_EXPIRED);
            return;
        }
    }
    if (!waits) {
        return;
    }
    if (row != NULL && decision->quorum <= row->quorum) {
        c->waits = sentinel_gate_approvals(context, row, c->now_ns) < row->quorum;
        return;
    }
    /* A new request; also where policy now asks for more than was told. */
    c->pending = 0;
    c->waits = 1;
    c->request = NULL;
    if (place_for(gate_state(context), c) == NULL) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_APPROVALS_FULL);
    }
}

void gate_approval_open(const sentinel_context *context, const sentinel_outcome *outcome,
                        gate_case *c) {
    sentinel_state *state = gate_state(context);
    sentinel_pending *row = place_for(state, c);
    if (row == NULL) {
        return; /* gate_approval_judge has refused it. */
    }
    int64_t left = INT64_MAX - c->now_ns;
    int64_t lives = outcome->decision.time_to_live_ns;
    *row = (sentinel_pending){
        .record = outcome->record,
        .expires_ns = c->now_ns + (lives < left ? lives : left),
        .action_id = c->order.header.action_id,
        .agent = c->session->agent,
        .status = SENTINEL_PENDING_OPEN,
        .quorum = outcome->decision.quorum,
    };
    memcpy(row->record_hash32, outcome->record_hash32, 32);
    hash_bytes(row->order_digest32, &c->order, c->size);
    state->pending_used |= UINT64_C(1) << (row - state->pending);
    c->request = row;
}

void gate_approval_tell(const sentinel_context *context, sentinel_outcome *outcome,
                        const gate_case *c) {
    outcome->record = c->request->record;
    memcpy(outcome->record_hash32, c->request->record_hash32, 32);
    outcome->pending_until_ns = c->request->expires_ns;
    outcome->approvals_needed = c->request->quorum;
    outcome->approvals = (uint8_t)sentinel_gate_approvals(context, c->request, c->now_ns);
}

void gate_approval_close(sentinel_state *state, uint32_t agent, uint64_t action_id) {
    sentinel_pending *row = find_id(state, agent, action_id);
    if (row != NULL) {
        free_row(state, row);
    }
}

/* ---- Approvers -------------------------------------------------------------------- */

static const sentinel_authority_key *find_key(const uint8_t *authority, uint32_t id) {
    const sentinel_authority *head = (const sentinel_authority *)authority;
    const sentinel_authority_key *rows = (const sentinel_authority_key *)(head + 1);
    for (uint32_t i = 0; i < head->key_count; i++) {
        if (rows[i].id == id && (rows[i].powers >> SENTINEL_POWER_APPROVER & 1) != 0) {
            return &rows[i];
        }
    }
    return NULL;
}

unsigned sentinel_gate_approvals(const sentinel_context *context, const sentinel_pending *row,
                                 int64_t now_ns) {
    unsigned count = 0;
    for (unsigned i = 0; i < row->approver_count && context->has_authority; i++) {
        const sentinel_authority_key *key = find_key(context->authority, row->approvers[i]);
        count += key != NULL && now_ns < key->expires_ns;
    }
    return count;
}

void gate_approvals_follow(sentinel_context *context, const uint8_t *authority) {
    sentinel_state *state = gate_state(context);
    unsigned at = 0;
    for (sentinel_pending *row; (row = next_row(state, &at)) != NULL;) {
        uint32_t kept[SENTINEL_APPROVERS_MAX] = {0};
        uint8_t count = 0;
        for (unsigned i = 0; i < row->approver_count; i++) {
            const sentinel_authority_key *was = find_key(context->authority, row->approvers[i]);
            const sentinel_authority_key *is = find_key(authority, row->approvers[i]);
            if (was != NULL && is != NULL && bytes_equal(was->public_key32, is->public_key32, 32)) {
                kept[count++] = row->approvers[i];
            }
        }
        memcpy(row->approvers, kept, sizeof kept);
        row->approver_count = count;
    }
}

static sentinel_status command_check(const sentinel_command *command) {
    return command->scope == SENTINEL_SCOPE_RECORD && command->target == 0 &&
                   command->until_ns == 0 && command->record != 0
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RANGE;
}

/* The live row that a command names. */
static sentinel_pending *row_of(sentinel_state *state, const sentinel_command *command,
                                int64_t now_ns) {
    unsigned at = 0;
    for (sentinel_pending *row; (row = next_row(state, &at)) != NULL;) {
        if (row->record == command->record &&
            bytes_equal(row->record_hash32, command->record_hash32, 32)) {
            return is_over(row, now_ns) ? NULL : row;
        }
    }
    return NULL;
}

/* Adds those who signed a verified frame, or gives 0. */
static int add_approvers(sentinel_pending *row, const sentinel_frame *frame) {
    const uint8_t *at = frame->proofs;
    for (uint32_t i = 0; i < frame->proof_count; i++) {
        sentinel_proof proof;
        memcpy(&proof, at, sizeof proof);
        at += sizeof proof + bytes_round_up(proof.size, 8);
        for (unsigned k = 0; k < row->approver_count; k++) {
            if (row->approvers[k] == proof.key) {
                return 0;
            }
        }
        if (row->approver_count == SENTINEL_APPROVERS_MAX) {
            return 0;
        }
        row->approvers[row->approver_count++] = proof.key;
    }
    return 1;
}

sentinel_status gate_take_approval(sentinel_context *context, const sentinel_frame *frame,
                                   const void *bytes, size_t size, int64_t now_ns, uint32_t flags,
                                   int commit) {
    const sentinel_command *command = (const sentinel_command *)frame->payload;
    SENTINEL_TRY(gate_verify_power(context, frame, SENTINEL_POWER_APPROVER, 1, now_ns));
    SENTINEL_TRY(command_check(command));
    sentinel_state *state = gate_state(context);
    sentinel_pending *row = row_of(state, command, now_ns);
    if (row == NULL) {
        return SENTINEL_POLICY_APPROVAL;
    }
    sentinel_pending changed = *row;
    if (command->verb == SENTINEL_COMMAND_REJECT) {
        changed.status = SENTINEL_PENDING_REJECTED;
    } else if (sentinel_gate_approvals(context, row, now_ns) >= row->quorum ||
               !add_approvers(&changed, frame)) {
        return SENTINEL_POLICY_APPROVAL;
    }
    if (!commit) {
        return SENTINEL_OK;
    }
    SENTINEL_TRY(gate_record_frame(context, SENTINEL_RECORD_COMMAND, bytes, size, now_ns, flags));
    state->sequences[SENTINEL_FRAME_COMMAND] = frame->header->sequence;
    *row = changed;
    return SENTINEL_OK;
}

/* ---- Taking back -------------------------------------------------------------------- */

static sentinel_status withdraw(sentinel_context *context, uint32_t agent, uint64_t action_id,
                                int64_t now_ns, uint32_t flags) {
    sentinel_state *state = gate_state(context);
    sentinel_pending *row = find_id(state, agent, action_id);
    if (row == NULL || is_over(row, now_ns)) {
        return SENTINEL_POLICY_APPROVAL;
    }
    sentinel_withdrawn withdrawn = {.record = row->record, .action_id = action_id};
    memcpy(withdrawn.record_hash32, row->record_hash32, 32);
    gate_entry entry = {
        .type = SENTINEL_RECORD_WITHDRAWN,
        .subject_size = sizeof withdrawn,
        .agent = agent,
        .flags = flags,
        .pending = row->record,
        .now_ns = now_ns,
        .subject = &withdrawn,
    };
    uint8_t hash32[32];
    SENTINEL_TRY(gate_append(context, hash32, &entry));
    free_row(state, row);
    return SENTINEL_OK;
}

sentinel_status sentinel_gate_withdraw(sentinel_context *context, uint64_t *record,
                                       const sentinel_session *session, uint64_t action_id,
                                       int64_t now_ns) {
    if (context == NULL || session == NULL || context->expected != NULL || now_ns < 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    uint32_t flags = 0;
    if (!gate_clock(context, &now_ns, &flags)) {
        return SENTINEL_POLICY_CLOCK; /* else the clock could not be set back over it */
    }
    uint64_t number = gate_state(context)->record_count;
    sentinel_status status = withdraw(context, session->agent, action_id, now_ns, flags);
    if (status == SENTINEL_OK && record != NULL) {
        *record = number;
    }
    if (status != SENTINEL_OK && status != SENTINEL_POLICY_APPROVAL &&
        gate_state(context)->halted == 0) {
        gate_state(context)->halted = status;
    }
    return status;
}

sentinel_status gate_replay_withdrawn(sentinel_context *context, const sentinel_record *record) {
    const sentinel_record_header *header = record->header;
    const sentinel_withdrawn *withdrawn = (const sentinel_withdrawn *)record->subject;
    sentinel_status status = withdraw(context, header->agent, withdrawn->action_id, header->now_ns,
                                      header->flags & SENTINEL_RECORD_CLOCK_HELD);
    if (status == SENTINEL_POLICY_APPROVAL) {
        context->difference = "request";
        return SENTINEL_AUDIT_MISMATCH;
    }
    return status;
}
