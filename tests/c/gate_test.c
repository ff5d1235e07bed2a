/* The gate: what it looks up, in which order it refuses, and what it keeps.
 * Policy itself is policy_test.c; what stops the gate is gate_stop_test.c. */
#include "gate_scene.h"

static gate_scene scene;

/* ---- The path -------------------------------------------------------------------- */

static void test_signs_what_it_rendered(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    const sentinel_request *request = &s->outcome.request;
    const char *expected = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001"
                           "&price=50000.00&newClientOrderId=";
    const char *text = request->text + request->string_to_sign.offset;
    CHECK_BYTES(text, expected, strlen(expected));
    CHECK_EQ(s->outcome.signature.size, 32);
    CHECK_EQ(s->outcome.epoch, 1);
    CHECK_EQ(s->outcome.record, 4);
    CHECK_EQ(s->outcome.decision.value_micro_usd, 50000000);
    scene_end(s);
}

static void test_record_holds_what_was_signed(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    sentinel_log_reader reader;
    sentinel_record record;
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    CHECK_OK(sentinel_log_reader_open(&reader, s->dir_fd, s->outcome.record));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer));
    sentinel_log_reader_close(&reader);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_ORDER);
    CHECK_EQ(record.header->verdict, SENTINEL_ALLOWED);
    CHECK_EQ(record.header->agent, AGENT_A);
    CHECK_EQ(record.header->key, KEY_VENUE);
    CHECK_EQ(record.header->key_counter, 1);
    CHECK_EQ(record.header->flags, SENTINEL_RECORD_ENDPOINT_OPEN | SENTINEL_RECORD_ENDPOINT_GRANT |
                                       SENTINEL_RECORD_UNPROVEN);
    CHECK_BYTES(record.subject, &order.place, sizeof order.place);
    CHECK_BYTES(record.hash32, s->outcome.record_hash32, 32);
    uint8_t digest32[32];
    const sentinel_request *request = &s->outcome.request;
    hash_bytes(digest32, request->text + request->string_to_sign.offset,
               request->string_to_sign.size);
    CHECK_BYTES(record.outcome->payload_digest32, digest32, 32);
    hash_bytes(digest32, s->outcome.signature.bytes, s->outcome.signature.size);
    CHECK_BYTES(record.outcome->signature_digest32, digest32, 32);
    scene_end(s);
}

static void test_client_id_names_engine_epoch_and_record(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    char expected[64];
    snprintf(expected, sizeof expected, "newClientOrderId=%02x%02x%02x%02x%08x%016llx",
             s->engine_id32[0], s->engine_id32[1], s->engine_id32[2], s->engine_id32[3], 1u,
             (unsigned long long)s->outcome.record);
    s->outcome.request.text[s->outcome.request.text_size] = 0;
    CHECK(strstr(s->outcome.request.text, expected) != NULL);
    scene_end(s);
}

static void test_null_arguments_are_refused(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    CHECK_EQ(sentinel_gate_sign(NULL, &s->outcome, &s->session, &order, 288, s->now),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(s->outcome.verdict, SENTINEL_VERDICT_NONE);
    CHECK_EQ(sentinel_gate_sign(s->context, NULL, &s->session, &order, 288, s->now),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_gate_sign(s->context, &s->outcome, NULL, &order, 288, s->now),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_gate_sign(s->context, &s->outcome, &s->session, NULL, 288, s->now),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_gate_sign(s->context, &s->outcome, &s->session, &order, 288, -1),
             SENTINEL_USAGE_ARGUMENT);
    scene_end(s);
}

static void test_orders_of_any_size_are_refused_and_recorded(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    static uint8_t large[1024];
    memcpy(large, &order, sizeof order);
    for (size_t size = 0; size <= sizeof large; size++) {
        if (size == sizeof order.place) {
            continue;
        }
        CHECK_OK(sentinel_gate_sign(s->context, &s->outcome, &s->session, large, size, s->now));
        CHECK_EQ(s->outcome.verdict, SENTINEL_DENIED);
        CHECK_EQ(s->outcome.reason, SENTINEL_REASON_ORDER_SIZE);
        s->now += SECOND_NS / 500;
    }
    scene_end(s);
}

/* ---- Look-ups, in their order ---------------------------------------------------- */

static void test_denies_an_order_of_another_agent(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    order.header.agent = AGENT_B;
    check_denied(s, &order, SENTINEL_REASON_AGENT_MISMATCH);
    scene_end(s);
}

static void test_denies_an_agent_that_a_new_policy_lacks(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    scene_policy_rows(s);
    s->build.nodes[1].id = 7777;
    CHECK_OK(scene_load(s));
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_AGENT_UNKNOWN);
    CHECK_EQ(sentinel_session_open(&s->session, s->context, AGENT_A), SENTINEL_POLICY_SCOPE);
    CHECK_EQ(sentinel_session_open(&s->session, s->context, FIRM_ID), SENTINEL_POLICY_SCOPE);
    scene_end(s);
}

static void test_denies_a_duplicate_and_names_its_record(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    uint64_t first = s->outcome.record;
    check_denied(s, &order, SENTINEL_REASON_DUPLICATE);
    CHECK_EQ(s->outcome.record, first);
    scene_end(s);
}

static void test_denied_id_may_be_used_again(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    order.place.quantity = decimal(1, 0);
    check_denied(s, &order, SENTINEL_REASON_VALUE_CAP);
    order.place.quantity = decimal(1, 3);
    check_allowed(s, &order);
    scene_end(s);
}

static void test_id_window_is_64(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    order.header.action_id = 0;
    check_denied(s, &order, SENTINEL_REASON_ID_TOO_OLD);
    order.header.action_id = 1000;
    check_allowed(s, &order);
    order.header.action_id = 1000 - 64;
    check_denied(s, &order, SENTINEL_REASON_ID_TOO_OLD);
    order.header.action_id = 1000 - 63;
    check_allowed(s, &order);
    check_denied(s, &order, SENTINEL_REASON_DUPLICATE);
    order.header.action_id = 1001;
    check_allowed(s, &order);
    order.header.action_id = 1000 - 63;
    check_denied(s, &order, SENTINEL_REASON_ID_TOO_OLD);
    order.header.action_id = 1001 + 64;
    check_allowed(s, &order);
    order.header.action_id = 1002;
    check_allowed(s, &order);
    order.header.action_id = UINT64_MAX;
    check_allowed(s, &order);
    check_denied(s, &order, SENTINEL_REASON_DUPLICATE);
    scene_end(s);
}

static void test_denies_an_unknown_parent(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    order.header.present |= SENTINEL_PRESENT_PARENT;
    order.header.parent_action_id = 5;
    order.header.parent_agent = AGENT_B;
    check_allowed(s, &order);
    order = scene_place(s);
    order.header.present |= SENTINEL_PRESENT_PARENT;
    order.header.parent_action_id = 5;
    order.header.parent_agent = FIRM_ID;
    check_denied(s, &order, SENTINEL_REASON_PARENT_UNKNOWN);
    scene_end(s);
}

static void test_denies_unknown_rows(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    order.place.instrument = BTCUSDT + 1;
    check_denied(s, &order, SENTINEL_REASON_INSTRUMENT_UNKNOWN);

    order = scene_order(s, SENTINEL_ACTION_WITHDRAW);
    order.withdraw.asset = 10;
    order.withdraw.network = 20;
    order.withdraw.amount = decimal(1, 0);
    order.withdraw.address_size = 5;
    memcpy(order.withdraw.address, "TCold", 5);
    order.withdraw.asset = 12;
    check_denied(s, &order, SENTINEL_REASON_ASSET_UNKNOWN);
    order.withdraw.asset = 10;
    order.withdraw.network = 21; /* of another asset */
    check_denied(s, &order, SENTINEL_REASON_NETWORK_UNKNOWN);
    order.withdraw.network = 22;
    check_denied(s, &order, SENTINEL_REASON_NETWORK_UNKNOWN);

    order = scene_order(s, SENTINEL_ACTION_CANCEL_ALL);
    order.cancel_all.venue = SENTINEL_VENUE_BINANCE_SPOT;
    order.cancel_all.asset = 99;
    check_denied(s, &order, SENTINEL_REASON_ASSET_UNKNOWN);
    scene_end(s);
}

static void test_cancel_finds_its_target_in_the_book(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    uint64_t record = s->outcome.record;
    sentinel_order cancel = scene_order(s, SENTINEL_ACTION_CANCEL);
    cancel.cancel.target.by = SENTINEL_TARGET_ACTION;
    cancel.cancel.target.action_id = order.header.action_id + 500;
    check_denied(s, &cancel, SENTINEL_REASON_TARGET_UNKNOWN);
    cancel.cancel.target.action_id = order.header.action_id;
    check_allowed(s, &cancel);
    char name[64];
    snprintf(name, sizeof name, "origClientOrderId=%02x%02x%02x%02x%08x%016llx", s->engine_id32[0],
             s->engine_id32[1], s->engine_id32[2], s->engine_id32[3], 1u,
             (unsigned long long)record);
    s->outcome.request.text[s->outcome.request.text_size] = 0;
    CHECK(strstr(s->outcome.request.text, name) != NULL);
    scene_end(s);
}

static void test_book_is_each_agents_own(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    CHECK_OK(sentinel_session_open(&s->session, s->context, AGENT_B));
    sentinel_order cancel = scene_order(s, SENTINEL_ACTION_CANCEL);
    cancel.header.agent = AGENT_B;
    cancel.cancel.target.by = SENTINEL_TARGET_ACTION;
    cancel.cancel.target.action_id = order.header.action_id;
    check_denied(s, &cancel, SENTINEL_REASON_TARGET_UNKNOWN);
    scene_end(s);
}

static void test_prices_lie_on_ticks_and_quantities_on_lots(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    order.place.price = decimal(50000005, 3);
    check_denied(s, &order, SENTINEL_REASON_TICK);
    order.place.price = decimal(50000010, 3); /* two decimals, by value */
    check_allowed(s, &order);
    order = scene_place(s);
    order.place.quantity = decimal(1000001, 9);
    check_denied(s, &order, SENTINEL_REASON_LOT);
    order.place.quantity = decimal(1000010, 9);
    check_allowed(s, &order);
    order = scene_place(s);
    order.place.quantity = decimal(INT64_C(1000000000000001), 18);
    check_denied(s, &order, SENTINEL_REASON_LOT);
    scene_end(s);
}

static void test_keys_are_granted_by_the_policy(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    order.header.key = KEY_VENUE;
    check_allowed(s, &order);
    order = scene_place(s);
    order.header.key = KEY_MESSAGE;
    check_denied(s, &order, SENTINEL_REASON_KEY_NOT_GRANTED);

    scene_policy_rows(s);
    s->build.keys[0].node = 2; /* agent B's */
    CHECK_OK(scene_load(s));
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_KEY_NONE);
    order.header.key = KEY_VENUE;
    check_denied(s, &order, SENTINEL_REASON_KEY_NOT_GRANTED);

    scene_policy_rows(s);
    sentinel_key *second = add_key(&s->build, 9, 0);
    memset(second->fingerprint32, 5, 32);
    second->expiry_ms = 5000;
    CHECK_OK(scene_load(s));
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_KEY_AMBIGUOUS);
    order.header.key = 9;
    check_denied(s, &order, SENTINEL_REASON_KEY_UNAVAILABLE);

    scene_policy_rows(s);
    s->build.keys[0].fingerprint32[31] ^= 1;
    CHECK_OK(scene_load(s));
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_KEY_UNAVAILABLE);
    scene_end(s);
}

static void test_a_key_is_good_for_its_products_alone(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    const uint16_t spot = 1u << SENTINEL_CONTRACT_SPOT;
    const uint16_t others[] = {1u << SENTINEL_CONTRACT_LINEAR, SENTINEL_PRODUCT_WALLET,
                               SENTINEL_PRODUCTS_ALL & ~spot};
    for (unsigned i = 0; i < 3; i++) {
        scene_policy_rows(s);
        s->build.keys[0].products = others[i];
        CHECK_OK(scene_load(s));
        sentinel_order order = scene_place(s);
        check_denied(s, &order, SENTINEL_REASON_KEY_NONE);
        order.header.key = KEY_VENUE;
        check_denied(s, &order, SENTINEL_REASON_KEY_NOT_GRANTED);
    }
    scene_policy_rows(s);
    s->build.keys[0].products = spot;
    CHECK_OK(scene_load(s));
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    order = scene_order(s, SENTINEL_ACTION_WITHDRAW);
    order.withdraw.asset = 10;
    order.withdraw.network = 20;
    order.withdraw.amount = decimal(1, 0);
    order.withdraw.address_size = 5;
    memcpy(order.withdraw.address, "TCold", 5);
    check_denied(s, &order, SENTINEL_REASON_KEY_NONE);
    /* Where two keys would do but for their products, there is one. */
    scene_policy_rows(s);
    s->build.keys[0].products = SENTINEL_PRODUCT_WALLET;
    sentinel_key *second = add_key(&s->build, 9, 0);
    second->products = spot;
    second->expiry_ms = 5000;
    CHECK_OK(scene_load(s));
    check_denied(s, &order, SENTINEL_REASON_UNSUPPORTED); /* by the test network, not the key */
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_KEY_UNAVAILABLE);
    /* Nor does one for funds alone trade, or ask, at the venue as a whole. */
    order = scene_order(s, SENTINEL_ACTION_QUERY);
    order.query.venue = SENTINEL_VENUE_BINANCE_SPOT;
    order.query.what = SENTINEL_QUERY_OPEN_ORDERS;
    check_denied(s, &order, SENTINEL_REASON_KEY_UNAVAILABLE); /* the second one, by itself */
    order.header.key = KEY_VENUE;
    check_denied(s, &order, SENTINEL_REASON_KEY_NOT_GRANTED);
    scene_end(s);
}

static void test_several_products_of_an_open_endpoint_need_the_grant(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    const uint16_t two = SENTINEL_PRODUCT_WALLET | 1u << SENTINEL_CONTRACT_SPOT;
    const struct {
        uint16_t venue, products;
        uint32_t flags;
        sentinel_status status;
    } rows[] = {
        {SENTINEL_VENUE_BINANCE_SPOT, two, 0, SENTINEL_POLICY_ENDPOINT},
        {SENTINEL_VENUE_BINANCE_SPOT, two, SENTINEL_KEY_ENDPOINT_CHECKED, SENTINEL_POLICY_ENDPOINT},
        {SENTINEL_VENUE_BINANCE_SPOT, two, SENTINEL_KEY_ENDPOINT_GRANT, SENTINEL_OK},
        {SENTINEL_VENUE_BINANCE_SPOT, SENTINEL_PRODUCTS_ALL, SENTINEL_KEY_ENDPOINT_CHECKED,
         SENTINEL_POLICY_ENDPOINT},
        {SENTINEL_VENUE_BINANCE_SPOT, 2, SENTINEL_KEY_ENDPOINT_CHECKED, SENTINEL_OK},
        {SENTINEL_VENUE_BINANCE_SPOT, 2, 0, SENTINEL_OK}, /* of use where nothing is open */
        {SENTINEL_VENUE_BINANCE_USDM, two << 1, SENTINEL_KEY_ENDPOINT_CHECKED,
         SENTINEL_POLICY_ENDPOINT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scene_policy_rows(s);
        s->build.keys[0].venue = rows[i].venue;
        s->build.keys[0].products = rows[i].products;
        s->build.keys[0].flags = rows[i].flags;
        CHECK_EQ(scene_load(s), rows[i].status);
    }
    scene_end(s);
}

static void test_lab_keys_are_used_in_the_lab_alone(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    CHECK_OK(sentinel_keyring_remove(s->ring, KEY_MESSAGE));
    sentinel_key_info info = {.id = KEY_MESSAGE,
                              .purpose = SENTINEL_PURPOSE_MESSAGE,
                              .algorithm = SENTINEL_ALGORITHM_ED25519,
                              .lab = 1};
    CHECK_OK(sentinel_keyring_generate(s->ring, &info));
    scene_policy_rows(s); /* the policy means this very key */
    CHECK_OK(scene_load(s));
    sentinel_order order = scene_order(s, SENTINEL_ACTION_MESSAGE);
    order.message.text_size = 4;
    memcpy(order.message.text, "test", 4);
    check_denied(s, &order, SENTINEL_REASON_KEY_UNAVAILABLE);
    info.id = 99;
    info.lab = 2;
    CHECK_EQ(sentinel_keyring_generate(s->ring, &info), SENTINEL_USAGE_ARGUMENT);
    scene_end(s);
}

static void test_what_a_venue_lacks_is_unsupported_and_charges_nothing(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    scene_policy_rows(s);
    add_window(&s->build, 77, 0, SENTINEL_RULE_RATE_LIMIT, 1, SECOND_NS);
    CHECK_OK(scene_load(s));
    sentinel_order order = scene_order(s, SENTINEL_ACTION_CANCEL_ALL);
    order.cancel_all.venue = SENTINEL_VENUE_BINANCE_SPOT;
    check_denied(s, &order, SENTINEL_REASON_UNSUPPORTED);
    order = scene_place(s);
    check_allowed(s, &order); /* the one event of this second was not spent */
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_RATE_LIMIT);
    scene_end(s);
}

static void test_messages_have_their_own_key_and_prefix(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_order(s, SENTINEL_ACTION_MESSAGE);
    order.message.text_size = 4;
    memcpy(order.message.text, "test", 4);
    check_allowed(s, &order);
    const sentinel_request *request = &s->outcome.request;
    CHECK_EQ(request->method, SENTINEL_METHOD_NONE);
    CHECK_EQ(request->string_to_sign.size, 28);
    CHECK_BYTES(request->text + request->string_to_sign.offset, "sentinel-message-v1\0\4\0\0\0test",
                28);
    const sentinel_key_info *info = sentinel_keyring_find(s->ring, KEY_MESSAGE);
    CHECK_OK(sentinel_verify(info->algorithm, info->public_key, info->public_key_size,
                             &s->outcome.signature,
                             (const uint8_t *)request->text + request->string_to_sign.offset,
                             request->string_to_sign.size));
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_signs_what_it_rendered);
    RUN(test_record_holds_what_was_signed);
    RUN(test_client_id_names_engine_epoch_and_record);
    RUN(test_null_arguments_are_refused);
    RUN(test_orders_of_any_size_are_refused_and_recorded);
    RUN(test_denies_an_order_of_another_agent);
    RUN(test_denies_an_agent_that_a_new_policy_lacks);
    RUN(test_denies_a_duplicate_and_names_its_record);
    RUN(test_denied_id_may_be_used_again);
    RUN(test_id_window_is_64);
    RUN(test_denies_an_unknown_parent);
    RUN(test_denies_unknown_rows);
    RUN(test_cancel_finds_its_target_in_the_book);
    RUN(test_book_is_each_agents_own);
    RUN(test_prices_lie_on_ticks_and_quantities_on_lots);
    RUN(test_keys_are_granted_by_the_policy);
    RUN(test_a_key_is_good_for_its_products_alone);
    RUN(test_several_products_of_an_open_endpoint_need_the_grant);
    RUN(test_lab_keys_are_used_in_the_lab_alone);
    RUN(test_what_a_venue_lacks_is_unsupported_and_charges_nothing);
    RUN(test_messages_have_their_own_key_and_prefix);
    return test_end();
}
