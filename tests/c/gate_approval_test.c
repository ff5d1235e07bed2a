/* Requests for approval at the gate: who may answer, when, how often, and what
 * becomes of an order meanwhile. */
#include "bytes.h"
#include "gate_scene.h"

#define GATE INT64_C(40000000) /* 40 USD; scene_place is worth 50 */
#define LIVES (60 * SECOND_NS)

static gate_scene scene;

static void load_asking(gate_scene *s, int64_t bound, uint8_t quorum) {
    scene_policy_rows(s);
    sentinel_constraint *row = add_bound(&s->build, 90, 0, SENTINEL_RULE_APPROVAL, bound);
    row->mask = SENTINEL_ASK_VALUE;
    row->quorum = quorum;
    row->window_ns = LIVES;
    CHECK_OK(scene_load(s));
}

static void begin(gate_scene *s) {
    scene_begin(s);
    load_asking(s, GATE, 2);
}

static const sentinel_state *state(gate_scene *s) {
    return sentinel_gate_state(s->context);
}

static void check_pending(gate_scene *s, const sentinel_order *order, int is_new,
                          unsigned approvals) {
    uint64_t count = state(s)->record_count;
    scene_sign(s, order);
    CHECK_EQ(s->outcome.verdict, SENTINEL_PENDING);
    CHECK_EQ(s->outcome.reason, SENTINEL_REASON_APPROVAL);
    CHECK_EQ(s->outcome.recorded, is_new);
    CHECK_EQ(state(s)->record_count, count + (unsigned)is_new);
    CHECK_EQ(s->outcome.approvals, approvals);
    sentinel_signature none = {0};
    CHECK_BYTES(&s->outcome.signature, &none, sizeof none);
    CHECK_EQ(s->outcome.request.text_size, 0);
    CHECK_EQ(s->outcome.request.text[0], 0);
}

/* Answers the request that the last outcome named, by approvers of these bits. */
static sentinel_status answer(gate_scene *s, uint16_t verb, unsigned bits) {
    static uint64_t record;
    static uint8_t hash32[32];
    if (s->outcome.verdict == SENTINEL_PENDING) {
        record = s->outcome.record;
        memcpy(hash32, s->outcome.record_hash32, 32);
    }
    scene_answer(s, verb, record, hash32);
    for (uint32_t i = 0; i < 3; i++) {
        if ((bits >> i & 1) != 0) {
            frame_sign(s, s->approvers[i].key, KEY_APPROVER + i);
        }
    }
    return scene_take(s);
}

static sentinel_status approve(gate_scene *s, unsigned bits) {
    return answer(s, SENTINEL_COMMAND_APPROVE, bits);
}

static sentinel_order pending_order(gate_scene *s) {
    sentinel_order order = scene_place(s);
    check_pending(s, &order, 1, 0);
    return order;
}

static void test_two_approve_and_it_is_signed_once(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    uint64_t request = s->outcome.record;
    CHECK_EQ(s->outcome.approvals_needed, 2);
    CHECK_EQ(s->outcome.pending_until_ns, s->now + LIVES);
    check_pending(s, &order, 0, 0);
    CHECK_EQ(s->outcome.record, request);
    CHECK_OK(approve(s, 1));
    CHECK_EQ(approve(s, 1), SENTINEL_POLICY_APPROVAL); /* the same one again */
    check_pending(s, &order, 0, 1);
    CHECK_OK(approve(s, 2));
    CHECK_EQ(approve(s, 4), SENTINEL_POLICY_APPROVAL); /* enough have */
    check_allowed(s, &order);
    check_denied(s, &order, SENTINEL_REASON_DUPLICATE);
    CHECK_EQ(approve(s, 4), SENTINEL_POLICY_APPROVAL); /* it is gone */
    CHECK_EQ(state(s)->pending_used, 0);
    scene_end(s);
}

static void test_one_frame_carries_several(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    CHECK_EQ(approve(s, 0), SENTINEL_POLICY_SIGNATURE);
    scene_answer(s, SENTINEL_COMMAND_APPROVE, s->outcome.record, s->outcome.record_hash32);
    frame_sign(s, KEY_APPROVER, KEY_APPROVER);
    frame_sign(s, KEY_APPROVER, KEY_APPROVER);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE); /* one person twice */
    CHECK_OK(approve(s, 1));
    CHECK_EQ(approve(s, 3), SENTINEL_POLICY_APPROVAL); /* one of them has */
    check_pending(s, &order, 0, 1);
    CHECK_OK(approve(s, 6)); /* more than are needed, at once */
    check_allowed(s, &order);
    scene_end(s);
}

static void test_only_approvers_approve(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    static const uint32_t others[] = {KEY_POLICY, KEY_OPERATOR_A, KEY_FEEDER};
    for (unsigned i = 0; i < 3; i++) {
        scene_answer(s, SENTINEL_COMMAND_APPROVE, s->outcome.record, s->outcome.record_hash32);
        frame_sign(s, others[i], others[i]);
        CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE);
    }
    /* And approvers do nothing else. */
    scene_command(s, SENTINEL_COMMAND_HALT, FIRM_ID);
    frame_sign(s, KEY_APPROVER, KEY_APPROVER);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE);
    check_pending(s, &order, 0, 0);
    scene_end(s);
}

static void test_an_answer_names_the_very_record(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order small = scene_place(s);
    small.place.quantity = decimal(1, 4);
    check_allowed(s, &small);
    uint64_t signed_record = s->outcome.record;
    uint8_t signed_hash[32];
    memcpy(signed_hash, s->outcome.record_hash32, 32);
    sentinel_order order = pending_order(s);
    uint8_t hash32[32];
    memcpy(hash32, s->outcome.record_hash32, 32);
    hash32[31] ^= 1; /* of another engine's record */
    scene_answer(s, SENTINEL_COMMAND_APPROVE, s->outcome.record, hash32);
    frame_sign(s, KEY_APPROVER, KEY_APPROVER);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_APPROVAL);
    scene_answer(s, SENTINEL_COMMAND_APPROVE, signed_record, signed_hash);
    frame_sign(s, KEY_APPROVER, KEY_APPROVER);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_APPROVAL);
    s->engine_id32[0] ^= 1;
    CHECK_EQ(approve(s, 1), SENTINEL_POLICY_ENGINE);
    s->engine_id32[0] ^= 1;
    CHECK_OK(approve(s, 1));
    s->sequences[SENTINEL_FRAME_COMMAND]--;
    CHECK_EQ(approve(s, 2), SENTINEL_POLICY_SEQUENCE); /* replayed or late */

    check_pending(s, &order, 0, 1);
    scene_end(s);
}

#define FORM(change)                                                                            \
    do {                                                                                        \
        scene_answer(s, SENTINEL_COMMAND_APPROVE, s->outcome.record, s->outcome.record_hash32); \
        sentinel_command *command =                                                             \
            (sentinel_command *)(s->frame + sizeof(sentinel_frame_header));                     \
        change;                                                                                 \
        frame_sign(s, KEY_APPROVER, KEY_APPROVER);                                              \
        CHECK_EQ(scene_take(s), SENTINEL_FORMAT_RANGE);                                         \
    } while (0)

static void test_an_answer_has_its_form(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    FORM(command->scope = SENTINEL_SCOPE_NODE);
    FORM(command->target = 1);
    FORM(command->until_ns = 1);
    FORM(command->record = 0);
    FORM(command->reason_size = 0);
    check_pending(s, &order, 0, 0);
    scene_end(s);
}

static void test_a_request_expires(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    int64_t expires = s->outcome.pending_until_ns;
    CHECK_OK(approve(s, 1));
    s->now = expires - 1;
    CHECK_OK(approve(s, 2));
    sentinel_order last = scene_place(s);
    check_allowed(s, &order); /* at its last nanosecond */
    check_pending(s, &last, 1, 0);
    expires = s->outcome.pending_until_ns;
    CHECK_OK(approve(s, 3));
    s->now = expires;
    check_denied(s, &last, SENTINEL_REASON_APPROVAL_EXPIRED); /* approved, and too late */
    order = pending_order(s);
    s->now = s->outcome.pending_until_ns;
    CHECK_EQ(approve(s, 1), SENTINEL_POLICY_APPROVAL);
    CHECK_EQ(answer(s, SENTINEL_COMMAND_REJECT, 1), SENTINEL_POLICY_APPROVAL);
    check_denied(s, &order, SENTINEL_REASON_APPROVAL_EXPIRED);
    check_denied(s, &order, SENTINEL_REASON_APPROVAL_EXPIRED);
    scene_end(s);
}

static void test_one_rejects(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    CHECK_OK(approve(s, 3));
    CHECK_OK(answer(s, SENTINEL_COMMAND_REJECT, 4)); /* also what was approved */
    CHECK_EQ(approve(s, 4), SENTINEL_POLICY_APPROVAL);
    check_denied(s, &order, SENTINEL_REASON_APPROVAL_REJECTED);
    s->now += LIVES;
    check_denied(s, &order, SENTINEL_REASON_APPROVAL_REJECTED);
    /* The id was not used: another order may have it, and must be asked for anew. */
    order.place.quantity = decimal(2, 3);
    check_pending(s, &order, 1, 0);
    scene_end(s);
}

static void test_the_order_is_the_one_that_was_seen(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    uint64_t request = s->outcome.record;
    CHECK_OK(approve(s, 3));
    sentinel_order other = order;
    other.place.quantity = decimal(2, 3);
    check_denied(s, &other, SENTINEL_REASON_DUPLICATE);
    CHECK_EQ(s->outcome.record, request);
    other = order; /* small enough to need nobody, under an id that waits */
    other.place.quantity = decimal(1, 4);
    check_denied(s, &other, SENTINEL_REASON_DUPLICATE);
    other = order;
    memcpy(other.header.tag, "t", 1);
    other.header.tag_size = 1;
    check_denied(s, &other, SENTINEL_REASON_DUPLICATE);
    check_allowed(s, &order);
    scene_end(s);
}

static sentinel_status new_authority(gate_scene *s) {
    scene_authority(s);
    return scene_take(s);
}

static void test_an_approver_who_is_gone_does_not_count(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    CHECK_OK(approve(s, 3));
    s->approvers[0].expires_ns = 0; /* revoked between approving and use */
    CHECK_OK(new_authority(s));
    check_pending(s, &order, 0, 1);
    CHECK_EQ(approve(s, 1), SENTINEL_POLICY_SIGNATURE);
    s->approvers[0].expires_ns = INT64_MAX; /* and back: has to say it again */
    CHECK_OK(new_authority(s));
    check_pending(s, &order, 0, 1);
    /* Another person under the second id. */
    s->approvers[1].key = KEY_APPROVER + 2;
    s->approvers[2].expires_ns = 0;
    CHECK_OK(new_authority(s));
    check_pending(s, &order, 0, 0);
    CHECK_OK(approve(s, 3));
    check_allowed(s, &order);
    scene_end(s);
}

static void test_an_approver_whose_key_expires_does_not_count(void) {
    gate_scene *s = &scene;
    begin(s);
    s->approvers[0].expires_ns = s->now + 10 * SECOND_NS;
    CHECK_OK(new_authority(s));
    sentinel_order order = pending_order(s);
    CHECK_OK(approve(s, 3));
    s->now = s->approvers[0].expires_ns;
    check_pending(s, &order, 0, 1);
    CHECK_EQ(approve(s, 1), SENTINEL_POLICY_SIGNATURE);
    CHECK_OK(approve(s, 4)); /* one more is wanted again */
    check_allowed(s, &order);
    scene_end(s);
}

static void test_a_new_policy_is_asked_again(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    uint64_t request = s->outcome.record;
    CHECK_OK(approve(s, 3));
    load_asking(s, GATE, 3); /* more than they knew of */
    check_pending(s, &order, 1, 0);
    CHECK(s->outcome.record != request);
    CHECK_EQ(s->outcome.approvals_needed, 3);
    CHECK_OK(approve(s, 3));
    load_asking(s, GATE, 1); /* fewer: what was asked for holds */
    check_pending(s, &order, 0, 2);
    CHECK_OK(approve(s, 4));
    scene_policy_rows(s);
    s->build.constraints[2].bound = GATE; /* a cap now */
    CHECK_OK(scene_load(s));
    check_denied(s, &order, SENTINEL_REASON_VALUE_CAP);
    load_asking(s, GATE, 3);
    check_allowed(s, &order);
    order = pending_order(s);
    load_asking(s, 2 * GATE, 2); /* nobody is asked any more */
    check_allowed(s, &order);
    CHECK_EQ(state(s)->pending_used, 0);
    scene_end(s);
}

static void test_an_agent_has_eight_and_the_engine_64(void) {
    gate_scene *s = &scene;
    begin(s);
    scene_policy_rows(s);
    for (uint32_t i = 0; i < 8; i++) {
        add_node(&s->build, 3000 + i, SENTINEL_NODE_AGENT, 0);
    }
    s->build.policy.oversight[SENTINEL_ACTION_PLACE] = SENTINEL_OVERSIGHT_APPROVE;
    s->build.policy.approval_quorum = 1;
    s->build.policy.approval_ns = LIVES;
    CHECK_OK(scene_load(s));
    sentinel_order first = {0};
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t agent = i < 8 ? AGENT_A : 3000 + (i - 8) / 8;
        CHECK_OK(sentinel_session_open(&s->session, s->context, agent));
        sentinel_order order = scene_place(s);
        order.header.agent = agent;
        check_pending(s, &order, 1, 0);
        first = i == 0 ? order : first;
        if (i % 8 == 7) {
            order.header.action_id = ++s->id;
            check_denied(s, &order, SENTINEL_REASON_APPROVALS_FULL);
        }
    }
    CHECK_EQ(state(s)->pending_used, UINT64_MAX);
    CHECK_OK(sentinel_session_open(&s->session, s->context, AGENT_B)); /* has none, yet no room */
    sentinel_order order = scene_place(s);
    order.header.agent = AGENT_B;
    check_denied(s, &order, SENTINEL_REASON_APPROVALS_FULL);
    CHECK_OK(sentinel_session_open(&s->session, s->context, AGENT_A));
    check_pending(s, &first, 0, 0); /* the ones there are stay */
    CHECK_OK(answer(s, SENTINEL_COMMAND_REJECT, 1));
    CHECK_OK(sentinel_session_open(&s->session, s->context, AGENT_B));
    check_pending(s, &order, 1, 0); /* what is over makes room */
    CHECK_EQ(state(s)->pending_used, UINT64_MAX);
    s->now += LIVES;
    order.header.action_id = ++s->id;
    check_pending(s, &order, 1, 0); /* the oldest of them */
    CHECK_EQ(state(s)->pending[1].agent, AGENT_B);
    scene_end(s);
}

/* Else one agent could fill the table, and nobody else be asked for. */
static void test_an_id_that_is_over_is_no_ninth_row(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order first = pending_order(s);
    for (unsigned i = 1; i < SENTINEL_PENDING_AGENT_MAX; i++) {
        (void)pending_order(s);
    }
    s->now += LIVES;
    sentinel_order last = first;
    for (unsigned i = 0; i < SENTINEL_PENDING_AGENT_MAX; i++) {
        last = pending_order(s);
    }
    sentinel_order again = first;
    again.place.quantity = decimal(2, 3);
    check_denied(s, &again, SENTINEL_REASON_APPROVALS_FULL);
    CHECK_OK(sentinel_gate_withdraw(s->context, NULL, &s->session, last.header.action_id, s->now));
    check_pending(s, &again, 1, 0);
    CHECK_EQ(state(s)->pending[0].action_id, first.header.action_id); /* in its own place */
    scene_end(s);
}

static void test_requests_are_attempts(void) {
    gate_scene *s = &scene;
    begin(s);
    scene_policy_rows(s);
    s->build.policy.attempt_limit = 2;
    s->build.policy.oversight[SENTINEL_ACTION_PLACE] = SENTINEL_OVERSIGHT_APPROVE;
    s->build.policy.approval_quorum = 1;
    s->build.policy.approval_ns = LIVES;
    CHECK_OK(scene_load(s));
    sentinel_order first = pending_order(s);
    (void)pending_order(s);
    sentinel_order order = scene_place(s);
    uint64_t count = state(s)->record_count;
    check_denied(s, &order, SENTINEL_REASON_APPROVALS_FULL);
    CHECK_EQ(s->outcome.recorded, 0);
    check_pending(s, &first, 0, 0); /* asking again is none */
    CHECK_EQ(state(s)->record_count, count);
    s->now += SECOND_NS;
    scene_sign(s, &order);
    CHECK_EQ(s->outcome.verdict, SENTINEL_PENDING);
    CHECK_EQ(state(s)->record_count, count + 2); /* and a summary */
    scene_end(s);
}

static void test_its_id_does_not_grow_too_old(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order waiting = pending_order(s);
    CHECK_OK(approve(s, 3));
    for (unsigned i = 0; i < 2 * SENTINEL_ID_WINDOW; i++) {
        sentinel_order message = scene_message(s); /* no later place or amend */
        check_allowed(s, &message);
    }
    const sentinel_agent_state *agent = sentinel_view_agent(sentinel_gate_view(s->context), 1);
    sentinel_agent_state before = *agent;
    sentinel_order other = waiting;
    other.place.quantity = decimal(2, 3);
    check_denied(s, &other, SENTINEL_REASON_DUPLICATE);
    before.attempts = agent->attempts;
    check_allowed(s, &waiting);
    CHECK_BYTES(agent, &before, sizeof before); /* of newer ids nothing is lost */
    check_denied(s, &waiting, SENTINEL_REASON_ID_TOO_OLD);
    scene_end(s);
}

static void test_an_agent_takes_its_own_back(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    uint64_t id = order.header.action_id, record = 0;
    sentinel_session other;
    CHECK_OK(sentinel_session_open(&other, s->context, AGENT_B));
    CHECK_EQ(sentinel_gate_withdraw(s->context, &record, &other, id, s->now),
             SENTINEL_POLICY_APPROVAL);
    CHECK_EQ(sentinel_gate_withdraw(s->context, &record, &s->session, id + 1, s->now),
             SENTINEL_POLICY_APPROVAL);
    uint64_t count = state(s)->record_count;
    CHECK_OK(sentinel_gate_withdraw(s->context, &record, &s->session, id, s->now));
    CHECK_EQ(record, count);
    CHECK_EQ(state(s)->record_count, count + 1);
    CHECK_EQ(sentinel_gate_withdraw(s->context, &record, &s->session, id, s->now),
             SENTINEL_POLICY_APPROVAL);
    CHECK_EQ(state(s)->record_count, count + 1);
    CHECK_EQ(approve(s, 1), SENTINEL_POLICY_APPROVAL);
    check_pending(s, &order, 1, 0); /* the id was not used */
    s->now = s->outcome.pending_until_ns;
    CHECK_EQ(sentinel_gate_withdraw(s->context, &record, &s->session, id, s->now),
             SENTINEL_POLICY_APPROVAL);
    CHECK_EQ(sentinel_gate_withdraw(NULL, &record, &s->session, id, s->now),
             SENTINEL_USAGE_ARGUMENT);
    scene_end(s);
}

static void test_a_halt_is_above_every_approval(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    CHECK_OK(scene_halt(s, AGENT_A));
    scene_sign(s, &order);
    CHECK_EQ(s->outcome.verdict, SENTINEL_DENIED);
    s->outcome.verdict = SENTINEL_PENDING; /* answer() keeps what it names */
    s->outcome.record = state(s)->pending[0].record;
    memcpy(s->outcome.record_hash32, state(s)->pending[0].record_hash32, 32);
    CHECK_OK(approve(s, 3));
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    sentinel_order fresh = scene_place(s);
    check_denied(s, &fresh, SENTINEL_REASON_KILL_SWITCH); /* nor does it begin to wait */
    CHECK_OK(scene_resume(s, AGENT_A));
    check_allowed(s, &order);
    scene_end(s);
}

static void test_what_cannot_be_kept_does_not_wait(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = scene_place(s);
    s->log.failed = 1;
    scene_sign(s, &order);
    CHECK_EQ(s->outcome.verdict, SENTINEL_FAILED);
    CHECK_EQ(state(s)->pending_used, 0);
    CHECK(state(s)->halted != 0);
    scene_end(s);
}

static void test_a_withdrawal_that_cannot_be_kept_changes_nothing_and_halts(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    s->log.failed = 1;
    CHECK_EQ(sentinel_gate_withdraw(s->context, NULL, &s->session, order.header.action_id, s->now),
             SENTINEL_AUDIT_FULL);
    CHECK_EQ(state(s)->pending_used, 1);
    CHECK(state(s)->halted != 0);
    scene_end(s);
}

/* ---- Records ------------------------------------------------------------------------- */

static uint8_t *read_record(gate_scene *s, uint64_t number, sentinel_record *record) {
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_log_reader reader;
    CHECK_OK(sentinel_log_reader_open(&reader, s->dir_fd, number));
    CHECK_OK(sentinel_log_reader_next(&reader, record, buffer, sizeof buffer));
    sentinel_log_reader_close(&reader);
    return buffer;
}

static void test_records_say_what_they_answer(void) {
    gate_scene *s = &scene;
    begin(s);
    sentinel_order order = pending_order(s);
    uint64_t request = s->outcome.record;
    sentinel_record record;
    read_record(s, request, &record);
    CHECK_EQ(record.header->verdict, SENTINEL_PENDING);
    CHECK_EQ(record.header->pending, 0);
    CHECK(bytes_are_zero(record.outcome->payload_digest32, 64)); /* and no signature */
    CHECK_OK(approve(s, 3));
    check_allowed(s, &order);
    read_record(s, s->outcome.record, &record);
    CHECK_EQ(record.header->pending, request);
    order = pending_order(s);
    request = s->outcome.record;
    CHECK_OK(answer(s, SENTINEL_COMMAND_REJECT, 1));
    check_denied(s, &order, SENTINEL_REASON_APPROVAL_REJECTED);
    read_record(s, s->outcome.record, &record);
    CHECK_EQ(record.header->pending, request);
    order = pending_order(s);
    request = s->outcome.record;
    uint64_t number = 0;
    CHECK_OK(
        sentinel_gate_withdraw(s->context, &number, &s->session, order.header.action_id, s->now));
    read_record(s, number, &record);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_WITHDRAWN);
    CHECK_EQ(record.header->agent, AGENT_A);
    CHECK_EQ(record.header->pending, request);
    scene_end(s);
}

static void test_notices_are_marked(void) {
    gate_scene *s = &scene;
    begin(s);
    scene_policy_rows(s);
    s->build.policy.oversight[SENTINEL_ACTION_PLACE] = SENTINEL_OVERSIGHT_NOTIFY;
    CHECK_OK(scene_load(s));
    sentinel_order order = scene_place(s);
    sentinel_record record;
    check_allowed(s, &order);
    read_record(s, s->outcome.record, &record);
    CHECK((record.header->flags & SENTINEL_RECORD_NOTIFY) != 0);
    check_denied(s, &order, SENTINEL_REASON_DUPLICATE);
    read_record(s, state(s)->record_count - 1, &record);
    CHECK((record.header->flags & SENTINEL_RECORD_NOTIFY) == 0);
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_two_approve_and_it_is_signed_once);
    RUN(test_one_frame_carries_several);
    RUN(test_only_approvers_approve);
    RUN(test_an_answer_names_the_very_record);
    RUN(test_an_answer_has_its_form);
    RUN(test_a_request_expires);
    RUN(test_one_rejects);
    RUN(test_the_order_is_the_one_that_was_seen);
    RUN(test_an_approver_who_is_gone_does_not_count);
    RUN(test_an_approver_whose_key_expires_does_not_count);
    RUN(test_a_new_policy_is_asked_again);
    RUN(test_an_agent_has_eight_and_the_engine_64);
    RUN(test_an_id_that_is_over_is_no_ninth_row);
    RUN(test_requests_are_attempts);
    RUN(test_its_id_does_not_grow_too_old);
    RUN(test_an_agent_takes_its_own_back);
    RUN(test_a_halt_is_above_every_approval);
    RUN(test_what_cannot_be_kept_does_not_wait);
    RUN(test_a_withdrawal_that_cannot_be_kept_changes_nothing_and_halts);
    RUN(test_records_say_what_they_answer);
    RUN(test_notices_are_marked);
    return test_end();
}
