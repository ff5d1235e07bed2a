/* Freshness at the gate: orders need a grant of this epoch, an old copy of the
 * state halts and names the gap, and what may be hidden is counted. */
#include "gate_internal.h"
#include "witness_scene.h"

static gate_scene scene;
static witness_scene witness;

static const sentinel_grant_state *granted(void) {
    return &sentinel_gate_state(scene.context)->grant;
}

static void begin(uint64_t records, int64_t spend) {
    gate_scene *s = &scene;
    scene_begin(s);
    memset(&witness, 0, sizeof witness);
    witness.records = records;
    witness.spend = spend;
    s->has_witness = 1;
    scene_authority(s);
    CHECK_OK(scene_take(s));
    CHECK_EQ(sentinel_gate_needs_witness(s->context), 1);
}

static void last_record(sentinel_record *record, uint8_t *bytes, size_t size, uint64_t back) {
    sentinel_log_reader reader;
    uint64_t number = sentinel_gate_state(scene.context)->record_count - 1 - back;
    CHECK_OK(sentinel_log_reader_open(&reader, scene.dir_fd, number));
    CHECK_OK(sentinel_log_reader_next(&reader, record, bytes, size));
    sentinel_log_reader_close(&reader);
}

static uint32_t last_flags(void) {
    static _Alignas(8) uint8_t bytes[SENTINEL_RECORD_BYTES_MAX];
    sentinel_record record;
    last_record(&record, bytes, sizeof bytes, 0);
    return record.header->flags;
}

static void test_without_a_grant_nothing_is_signed(void) {
    gate_scene *s = &scene;
    begin(10, INT64_MAX / 4);
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_GRANT);
    CHECK((last_flags() & SENTINEL_RECORD_UNPROVEN) != 0);
    CHECK_OK(witness_round(s, &witness, 0));
    CHECK_EQ(granted()->epoch, 1);
    check_allowed(s, &order);
    CHECK((last_flags() & SENTINEL_RECORD_UNPROVEN) == 0);
    /* A new epoch needs a grant of its own. */
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_GRANT);
    CHECK_OK(witness_round(s, &witness, 0));
    check_allowed(s, &order);
    scene_end(s);
}

static void test_the_last_record_of_a_grant_and_one_past(void) {
    gate_scene *s = &scene;
    begin(3, INT64_MAX / 4);
    CHECK_OK(witness_round(s, &witness, 0)); /* it is a record, too */
    uint64_t left = granted()->record_end - sentinel_gate_state(s->context)->record_count;
    CHECK_EQ(left, 2);
    for (uint64_t i = 0; i < left; i++) {
        sentinel_order order = scene_place(s);
        check_allowed(s, &order);
    }
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_GRANT);
    CHECK_OK(witness_round(s, &witness, 0));
    check_allowed(s, &order);
    scene_end(s);
}

static void test_the_last_dollar_of_a_grant_and_one_past(void) {
    gate_scene *s = &scene;
    begin(100, INT64_C(100000000)); /* two orders of 50 USD */
    CHECK_OK(witness_round(s, &witness, 0));
    for (int i = 0; i < 2; i++) {
        sentinel_order order = scene_place(s);
        check_allowed(s, &order);
    }
    CHECK_EQ(granted()->spent, INT64_C(100000000));
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_GRANT);
    sentinel_order message = scene_order(s, SENTINEL_ACTION_MESSAGE); /* has no value */
    message.message.text_size = 4;
    memcpy(message.message.text, "test", 4);
    check_allowed(s, &message);
    CHECK_OK(witness_round(s, &witness, 0));
    order = scene_place(s);
    check_allowed(s, &order);
    CHECK_EQ(granted()->spent, INT64_C(150000000));
    scene_end(s);
}

/* Every field of an answer that is not the one to the last question. */
static void test_a_witness_that_lies_is_refused(void) {
    gate_scene *s = &scene;
    begin(10, 1000);
    CHECK_OK(witness_round(s, &witness, 0));
    sentinel_ask ask;
    uint8_t signature64[64];
    for (int lie = 0; lie < 9; lie++) {
        witness_scene copy = witness;
        CHECK_OK(sentinel_gate_ask(s->context, &ask, signature64, 0));
        sentinel_grant grant = witness_answer(&copy, &ask);
        sentinel_status wanted = SENTINEL_POLICY_GRANT;
        uint32_t key = KEY_WITNESS;
        switch (lie) {
        case 0:
            grant.nonce32[0] ^= 1;
            break;
        case 1:
            grant.epoch++;
            break;
        case 2:
            grant.count--;
            break;
        case 3:
            grant.hash32[31] ^= 1;
            break;
        case 4: /* an older head */
            grant.known_count--;
            break;
        case 5:
            grant.known_hash32[0] ^= 1;
            break;
        case 6:
            key = KEY_OPERATOR_A;
            wanted = SENTINEL_POLICY_SIGNATURE;
            break;
        case 7:
            grant.record_end = grant.count - 1;
            wanted = SENTINEL_FORMAT_RANGE;
            break;
        default: /* set back: it refuses, and knows less than it confirmed */
            grant.count = grant.record_end = 0;
            grant.spend_end = 0;
            memset(grant.hash32, 0, 32);
            grant.known_count--;
            break;
        }
        frame_begin(s, SENTINEL_FRAME_GRANT, &grant, sizeof grant,
                    ++s->sequences[SENTINEL_FRAME_GRANT]);
        frame_sign(s, key, key);
        sentinel_grant_state before = *granted();
        CHECK_EQ(scene_take(s), wanted);
        CHECK_BYTES(&before, granted(), sizeof before);
    }
    /* An answer is good once; of another engine never. */
    CHECK_OK(sentinel_gate_ask(s->context, &ask, signature64, 0));
    sentinel_grant grant = witness_answer(&witness, &ask);
    witness_frame(s, &grant);
    ((sentinel_frame_header *)s->frame)->engine_id32[0] ^= 1;
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_ENGINE);
    witness_frame(s, &grant);
    CHECK_OK(scene_take(s));
    witness_frame(s, &grant);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_GRANT);
    scene_end(s);
}

/* An old copy: the witness knows more records than there are. */
static void old_copy(uint64_t missing) {
    gate_scene *s = &scene;
    begin(10, INT64_MAX / 4);
    CHECK_OK(witness_round(s, &witness, 0));
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    witness.epoch = 7;
    witness.count = sentinel_gate_state(s->context)->record_count - 1 + missing;
    witness.horizon = witness.count + 10;
    memset(witness.hash32, 0x5a, 32);
}

static sentinel_status accept(uint64_t record, uint8_t byte, int operators) {
    gate_scene *s = &scene;
    sentinel_command command = {.verb = SENTINEL_COMMAND_RESUME,
                                .scope = SENTINEL_SCOPE_ENGINE,
                                .reason_size = 4,
                                .record = record};
    memset(command.record_hash32, byte, 32);
    hash_bytes(command.reason_digest32, "test", 4);
    frame_begin(s, SENTINEL_FRAME_COMMAND, &command, sizeof command,
                ++s->sequences[SENTINEL_FRAME_COMMAND]);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    if (operators == 2) {
        frame_sign(s, KEY_OPERATOR_B, KEY_OPERATOR_B);
    }
    return scene_take(s);
}

static void test_an_old_copy_halts_and_names_the_gap(void) {
    gate_scene *s = &scene;
    old_copy(5);
    uint64_t end = sentinel_gate_state(s->context)->record_count - 1; /* before its START */
    CHECK_OK(witness_round(s, &witness, 0));
    const sentinel_state *state = sentinel_gate_state(s->context);
    CHECK_EQ(state->halted, SENTINEL_AUDIT_FRESHNESS);
    CHECK_EQ(granted()->gap_from, end);
    CHECK_EQ(granted()->gap_to, end + 5);
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_ENGINE_HALTED);
    /* A resume of the firm does not accept what it does not name. */
    CHECK_OK(scene_resume(s, FIRM_ID));
    CHECK_EQ(state->halted, SENTINEL_AUDIT_FRESHNESS);
    CHECK_EQ(accept(end + 5, 0x5a, 1), SENTINEL_POLICY_SIGNATURE);
    CHECK_EQ(accept(end + 4, 0x5a, 2), SENTINEL_POLICY_SCOPE);
    CHECK_EQ(accept(end + 5, 0x5b, 2), SENTINEL_POLICY_SCOPE);
    CHECK_OK(accept(end + 5, 0x5a, 2));
    CHECK_EQ(state->halted, 0);
    CHECK_EQ(accept(end + 5, 0x5a, 2), SENTINEL_POLICY_SCOPE); /* once */
    check_denied(s, &order, SENTINEL_REASON_GRANT);
    /* The epoch of the copy is not above the one it lost: a new start is. */
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    CHECK_EQ(state->epoch, 8);
    CHECK_OK(witness_round(s, &witness, 0));
    check_allowed(s, &order);
    scene_end(s);
}

static void test_a_log_that_ends_at_the_confirmed_head_is_whole(void) {
    gate_scene *s = &scene;
    begin(10, 1000);
    CHECK_OK(witness_round(s, &witness, 0));
    /* An answer that was lost: its head is in the log, though not in the state. */
    sentinel_ask ask;
    uint8_t signature64[64];
    CHECK_OK(sentinel_gate_ask(s->context, &ask, signature64, 0));
    (void)witness_answer(&witness, &ask);
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    CHECK_OK(witness_round(s, &witness, 0)); /* refused; the head is looked up */
    CHECK_EQ(sentinel_gate_state(s->context)->halted, 0);
    CHECK_EQ(granted()->count, witness.count);
    CHECK_OK(witness_round(s, &witness, 0));
    CHECK_EQ(granted()->epoch, 2);
    /* The same number with another hash is another log. */
    witness.hash32[0] ^= 1;
    CHECK_OK(witness_round(s, &witness, 0));
    CHECK_EQ(sentinel_gate_state(s->context)->halted, SENTINEL_AUDIT_FRESHNESS);
    scene_end(s);
}

static void test_an_engine_whose_epoch_was_taken_signs_no_more(void) {
    gate_scene *s = &scene;
    begin(10, INT64_MAX / 4);
    CHECK_OK(witness_round(s, &witness, 0));
    witness.epoch = 2; /* a second engine started */
    CHECK_OK(witness_round(s, &witness, 0));
    static _Alignas(8) uint8_t bytes[SENTINEL_RECORD_BYTES_MAX];
    sentinel_record record;
    last_record(&record, bytes, sizeof bytes, 0);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_WITNESS);
    sentinel_witness made = {.outcome = SENTINEL_WITNESS_EPOCH};
    CHECK_BYTES(record.subject, &made, sizeof made);
    CHECK_EQ(granted()->record_end, 0);
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_GRANT);
    last_record(&record, bytes, sizeof bytes, 0);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_ORDER);
    CHECK_EQ(record.header->reason, SENTINEL_REASON_GRANT);
    CHECK_EQ(record.header->reasons[0], UINT64_C(1) << SENTINEL_REASON_GRANT);
    scene_end(s);
}

static void test_what_may_be_hidden_is_counted(void) {
    gate_scene *s = &scene;
    begin(8, INT64_C(400000000));
    scene_policy_rows(s);
    add_window(&s->build, 70, 0, SENTINEL_RULE_RATE_LIMIT, 11, 60 * SECOND_NS);
    add_window(&s->build, 71, 0, SENTINEL_RULE_ROLLING_CAP, INT64_C(450000000), 60 * SECOND_NS);
    CHECK_OK(scene_load(s));
    CHECK_OK(witness_round(s, &witness, 0));
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    uint64_t hidden = granted()->record_end - granted()->count;
    CHECK_EQ(hidden, 8);       /* what the log has behind the confirmed head could be another's */
    s->now += 120 * SECOND_NS; /* what is in the log no longer counts */
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    CHECK_OK(witness_round(s, &witness, 0));
    static _Alignas(8) uint8_t bytes[SENTINEL_RECORD_BYTES_MAX];
    sentinel_record record;
    last_record(&record, bytes, sizeof bytes, 0);
    const sentinel_witness *made = (const sentinel_witness *)record.subject;
    CHECK_EQ(made->outcome, SENTINEL_WITNESS_GRANTED);
    CHECK_EQ(made->counted_orders, 8);
    CHECK_EQ(made->counted_spend, INT64_C(350000000));
    /* 350 of 450 USD are taken: two more orders of 50 fit, a third does not. */
    for (int i = 0; i < 2; i++) {
        order = scene_place(s);
        check_allowed(s, &order);
    }
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_ROLLING_CAP);
    sentinel_order message = scene_order(s, SENTINEL_ACTION_MESSAGE);
    message.message.text_size = 4;
    memcpy(message.message.text, "test", 4);
    check_allowed(s, &message); /* the 11th event */
    message.message.header.action_id = ++s->id;
    check_denied(s, &message, SENTINEL_REASON_RATE_LIMIT);
    scene_end(s);
}

/* A host that hides what was signed, and fills its place with records that have no
 * signature. */
static void test_what_fills_a_grant_hides_nothing(void) {
    gate_scene *s = &scene;
    begin(8, INT64_C(400000000));
    CHECK_OK(witness_round(s, &witness, 0));
    const sentinel_clock filler = {.source = SENTINEL_CLOCK_NSM, .result = SENTINEL_CLOCK_GOOD};
    while (sentinel_gate_state(s->context)->record_count < granted()->record_end) {
        CHECK_OK(sentinel_gate_note(s->context, NULL, SENTINEL_RECORD_CLOCK, &filler, sizeof filler,
                                    s->now));
    }
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    CHECK_OK(witness_round(s, &witness, 0));
    static _Alignas(8) uint8_t bytes[SENTINEL_RECORD_BYTES_MAX];
    sentinel_record record;
    last_record(&record, bytes, sizeof bytes, 0);
    const sentinel_witness *made = (const sentinel_witness *)record.subject;
    CHECK_EQ(made->outcome, SENTINEL_WITNESS_GRANTED);
    CHECK_EQ(made->counted_orders, 8);
    CHECK_EQ(made->counted_spend, INT64_C(400000000));
    scene_end(s);
}

static void test_a_grant_given_back_counts_for_nothing(void) {
    gate_scene *s = &scene;
    begin(8, INT64_C(400000000));
    CHECK_OK(witness_round(s, &witness, 0));
    CHECK_OK(witness_round(s, &witness, SENTINEL_ASK_FINAL));
    sentinel_order order = scene_place(s);
    CHECK_EQ(sentinel_gate_sign(s->context, &s->outcome, &s->session, &order,
                                order.header.size_bytes, s->now),
             SENTINEL_USAGE_STATE);
    CHECK_EQ(s->outcome.verdict, 0);
    CHECK(witness.horizon <= sentinel_gate_state(s->context)->record_count);
    scene_end(s);
}

int main(void) {
    RUN(test_without_a_grant_nothing_is_signed);
    RUN(test_the_last_record_of_a_grant_and_one_past);
    RUN(test_the_last_dollar_of_a_grant_and_one_past);
    RUN(test_a_witness_that_lies_is_refused);
    RUN(test_an_old_copy_halts_and_names_the_gap);
    RUN(test_a_log_that_ends_at_the_confirmed_head_is_whole);
    RUN(test_an_engine_whose_epoch_was_taken_signs_no_more);
    RUN(test_what_may_be_hidden_is_counted);
    RUN(test_what_fills_a_grant_hides_nothing);
    RUN(test_a_grant_given_back_counts_for_nothing);
    return test_end();
}
