/* What a released signature leaves behind: nonces, until when it is usable,
 * the name that the venue knows the order by, the terms that amends keep.
 * Method: an engine with keys and instruments of several venues. */
#include "bytes.h"
#include "gate_scene.h"

enum {
    KEY_USDM = 4,
    KEY_DERIBIT = 5,
    KEY_MASTER = 6,
    KEY_ONCHAIN = 7,
    PERP = 31,
    DERIBIT_PERP = 32,
    HL_PERP = 33,
    HL_USDC = 12
};
#define NOW_MS (scene.now / 1000000)
/* Hyperliquid's two days, and the hour that nonces may run ahead. */
#define TWO_DAYS_MS INT64_C(176400000)

static gate_scene scene;

static void policy_of_venues(void) {
    scene_policy_rows(&scene);
    scene_contract(&scene, PERP, SENTINEL_VENUE_BINANCE_USDM, SENTINEL_CONTRACT_LINEAR,
                   SENTINEL_UNIT_BASE, "BTCUSDT");
    scene_contract(&scene, DERIBIT_PERP, SENTINEL_VENUE_DERIBIT, SENTINEL_CONTRACT_INVERSE,
                   SENTINEL_UNIT_QUOTE, "BTC-PERPETUAL");
    scene_contract(&scene, HL_PERP, SENTINEL_VENUE_HYPERLIQUID, SENTINEL_CONTRACT_LINEAR,
                   SENTINEL_UNIT_BASE, "BTC");
    scene.build.instruments[3].lot = decimal(1, 5);
    sentinel_asset *usdc = add_asset(&scene.build, HL_USDC);
    usdc->venue = SENTINEL_VENUE_HYPERLIQUID;
    usdc->par_micro_usd = 1000000;
    usdc->code_size = 4;
    memcpy(usdc->code, "USDC", 4);
    add_network(&scene.build, 22, HL_USDC)->code_size = 0;
    memset(scene.build.networks[2].code, 0, sizeof scene.build.networks[2].code);
    build_destination destination = {22, "0x5e9ee1089755c3435139848e47e6635505d5a13a", ""};
    add_destinations(&scene.build, 4, 0, &destination, 1);
    sentinel_constraint *rows = scene.build.constraints;
    rows[1].list_first = rows[3].list_first; /* the one place that funds go to */
    scene_venue_key(&scene, KEY_USDM, SENTINEL_VENUE_BINANCE_USDM, SENTINEL_PURPOSE_VENUE,
                    1u << SENTINEL_CONTRACT_LINEAR);
    scene.build.keys[2].flags = SENTINEL_KEY_ENDPOINT_CHECKED;
    scene_venue_key(&scene, KEY_DERIBIT, SENTINEL_VENUE_DERIBIT, SENTINEL_PURPOSE_VENUE,
                    1u << SENTINEL_CONTRACT_INVERSE);
    scene_venue_key(&scene, KEY_MASTER, SENTINEL_VENUE_HYPERLIQUID, SENTINEL_PURPOSE_VENUE_MASTER,
                    SENTINEL_PRODUCT_WALLET);
    scene_venue_key(&scene, KEY_ONCHAIN, SENTINEL_VENUE_HYPERLIQUID, SENTINEL_PURPOSE_VENUE,
                    1u << SENTINEL_CONTRACT_LINEAR);
}

static void begin(void) {
    scene_begin(&scene);
    scene_key(scene.ring, KEY_USDM, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_ED25519,
              SENTINEL_VENUE_BINANCE_USDM);
    scene_key(scene.ring, KEY_DERIBIT, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_HMAC_SHA256,
              SENTINEL_VENUE_DERIBIT);
    for (uint32_t id = KEY_MASTER; id <= KEY_ONCHAIN; id++) {
        sentinel_key_info info = {.id = id,
                                  .purpose = id == KEY_MASTER ? SENTINEL_PURPOSE_VENUE_MASTER
                                                              : SENTINEL_PURPOSE_VENUE,
                                  .algorithm = SENTINEL_ALGORITHM_ECDSA_SECP256K1,
                                  .venue = SENTINEL_VENUE_HYPERLIQUID};
        CHECK_OK(sentinel_keyring_generate(scene.ring, &info));
    }
    policy_of_venues();
    CHECK_OK(scene_load(&scene));
}

static sentinel_order place_at(uint32_t instrument) {
    sentinel_order order = scene_place(&scene);
    order.place.instrument = instrument;
    if (instrument == DERIBIT_PERP) {
        order.place.quantity = decimal(10, 0);
    }
    if (instrument == HL_PERP) {
        order.place.price = decimal(50000, 0);
    }
    return order;
}

static sentinel_order cancel_of(uint64_t action_id) {
    sentinel_order order = scene_order(&scene, SENTINEL_ACTION_CANCEL);
    order.cancel.target.by = SENTINEL_TARGET_ACTION;
    order.cancel.target.action_id = action_id;
    return order;
}

/* Withdraws 1 USDC from Hyperliquid. */
static sentinel_order withdrawal(void) {
    static const char address[] = "0x5e9ee1089755c3435139848e47e6635505d5a13a";
    sentinel_order order = scene_order(&scene, SENTINEL_ACTION_WITHDRAW);
    order.withdraw.asset = HL_USDC;
    order.withdraw.network = 22;
    order.withdraw.amount = decimal(1, 0);
    order.withdraw.address_size = sizeof address - 1;
    memcpy(order.withdraw.address, address, sizeof address - 1);
    return order;
}

static uint64_t next_nonce(void) {
    return sentinel_gate_state(scene.context)->released.nonce_next;
}

static int64_t usable_until(uint16_t venue) {
    return sentinel_gate_state(scene.context)->released.usable_until_ms[venue];
}

static void set_nonce(uint64_t next) {
    ((sentinel_state *)(uintptr_t)sentinel_gate_state(scene.context))->released.nonce_next = next;
}

/* Whether a header's value has this text. */
static int sends(const char *wanted) {
    const sentinel_request *request = &scene.outcome.request;
    char text[SENTINEL_REQUEST_TEXT_BYTES + 1] = {0};
    memcpy(text, request->text, request->text_size);
    return strstr(text, wanted) != NULL;
}

static int sends_nonce(uint64_t nonce) {
    char wanted[40];
    snprintf(wanted, sizeof wanted, "nonce=%llu", (unsigned long long)nonce);
    return sends(wanted);
}

static void test_no_nonce_is_given_twice(void) {
    begin();
    uint64_t first = (uint64_t)NOW_MS;
    for (uint64_t i = 0; i < 3; i++) { /* within one millisecond */
        sentinel_order order = place_at(DERIBIT_PERP);
        check_allowed(&scene, &order);
        CHECK(sends_nonce(first + i));
        CHECK_EQ(next_nonce(), first + i + 1);
    }
    sentinel_order order = place_at(HL_PERP); /* another key: the same count */
    check_allowed(&scene, &order);
    CHECK_EQ(next_nonce(), first + 4);
    order = scene_place(&scene); /* Binance has no nonces */
    check_allowed(&scene, &order);
    CHECK_EQ(next_nonce(), first + 4);
    scene.now += SECOND_NS;
    order = place_at(DERIBIT_PERP);
    check_allowed(&scene, &order);
    CHECK(sends_nonce((uint64_t)NOW_MS));
    scene_end(&scene);
}

static void test_nonces_survive_a_new_policy(void) {
    begin();
    set_nonce((uint64_t)NOW_MS + 500);
    policy_of_venues();
    CHECK_OK(scene_load(&scene));
    CHECK_EQ(next_nonce(), (uint64_t)NOW_MS + 500);
    sentinel_order order = place_at(DERIBIT_PERP);
    check_allowed(&scene, &order);
    CHECK(sends_nonce((uint64_t)NOW_MS + 500));
    scene_end(&scene);
}

static void test_nonces_run_an_hour_ahead_at_most(void) {
    begin();
    set_nonce((uint64_t)NOW_MS + 3600001);
    sentinel_order order = place_at(DERIBIT_PERP);
    check_denied(&scene, &order, SENTINEL_REASON_NONCE);
    CHECK_EQ(next_nonce(), (uint64_t)NOW_MS + 3600001); /* none was used up */
    order = scene_place(&scene);
    check_allowed(&scene, &order); /* no business of other venues */
    set_nonce((uint64_t)NOW_MS + 3600000);
    order = place_at(DERIBIT_PERP);
    check_allowed(&scene, &order);
    set_nonce(UINT64_MAX);
    order = place_at(DERIBIT_PERP);
    check_denied(&scene, &order, SENTINEL_REASON_NONCE);
    scene_end(&scene);
}

static void test_a_denied_order_uses_no_nonce_and_releases_nothing(void) {
    begin();
    sentinel_order order = place_at(DERIBIT_PERP);
    order.place.quantity = decimal(100000, 0); /* above the cap */
    check_denied(&scene, &order, SENTINEL_REASON_VALUE_CAP);
    CHECK_EQ(next_nonce(), 0);
    CHECK_EQ(usable_until(SENTINEL_VENUE_DERIBIT), 0);
    CHECK_EQ(scene.outcome.usable_until_ms, 0);
    CHECK_EQ(scene.outcome.client_id_size, 0);
    scene_end(&scene);
}

static void test_an_expiry_that_has_passed_is_denied(void) {
    begin();
    for (int64_t ahead = -1; ahead <= 1; ahead++) {
        sentinel_order order = place_at(PERP);
        order.header.present |= SENTINEL_PRESENT_EXPIRE;
        order.place.time_in_force = SENTINEL_TIF_GTD;
        order.place.expire_ms = NOW_MS + ahead;
        if (ahead > 0) {
            check_allowed(&scene, &order);
        } else {
            check_denied(&scene, &order, SENTINEL_REASON_EXPIRY);
        }
    }
    scene_end(&scene);
}

static void test_counts_a_binance_validity_that_can_be_cut_as_the_venues_default(void) {
    static const uint32_t validity_ms[] = {1000, 5000, 7000}, usable_ms[] = {5000, 5000, 7000};
    begin();
    for (int i = 0; i < 3; i++) {
        scene.build.keys[0].expiry_ms = validity_ms[i];
        CHECK_OK(scene_load(&scene));
        sentinel_order order = scene_place(&scene);
        check_allowed(&scene, &order);
        CHECK_EQ(scene.outcome.usable_until_ms, NOW_MS + usable_ms[i]);
        CHECK_EQ(usable_until(SENTINEL_VENUE_BINANCE_SPOT), NOW_MS + usable_ms[i]);
    }
    scene_end(&scene);
}

static void test_says_until_when_the_last_release_is_usable(void) {
    begin();
    sentinel_order order = scene_place(&scene);
    check_allowed(&scene, &order);
    CHECK_EQ(scene.outcome.usable_until_ms, NOW_MS + 5000); /* the key's validity */
    CHECK_EQ(usable_until(SENTINEL_VENUE_BINANCE_SPOT), NOW_MS + 5000);
    CHECK_EQ(usable_until(SENTINEL_VENUE_DERIBIT), 0);

    int64_t before = usable_until(SENTINEL_VENUE_BINANCE_SPOT);
    scene.now += SECOND_NS;
    order = cancel_of(1); /* late cancels do no harm */
    check_allowed(&scene, &order);
    CHECK_EQ(scene.outcome.usable_until_ms, NOW_MS + 5000);
    CHECK_EQ(usable_until(SENTINEL_VENUE_BINANCE_SPOT), before);
    order = scene_order(&scene, SENTINEL_ACTION_MESSAGE);
    order.message.text_size = 1;
    order.message.text[0] = 'x';
    check_allowed(&scene, &order);
    CHECK_EQ(scene.outcome.usable_until_ms, INT64_MAX);
    CHECK_EQ(usable_until(SENTINEL_VENUE_NONE), 0);

    order = place_at(DERIBIT_PERP); /* an expiry that is a time */
    check_allowed(&scene, &order);
    CHECK_EQ(scene.outcome.usable_until_ms, NOW_MS + 3000);
    order = withdrawal(); /* no expiry can be signed: the venue's own two days hold */
    check_allowed(&scene, &order);
    CHECK_EQ(usable_until(SENTINEL_VENUE_HYPERLIQUID), NOW_MS + TWO_DAYS_MS);
    order = place_at(HL_PERP); /* a shorter one does not shorten it */
    check_allowed(&scene, &order);
    CHECK_EQ(scene.outcome.usable_until_ms, NOW_MS + 3000);
    CHECK_EQ(usable_until(SENTINEL_VENUE_HYPERLIQUID), NOW_MS + TWO_DAYS_MS);
    scene_end(&scene);
}

static void test_names_the_order_as_the_venue_knows_it(void) {
    begin();
    char expected[SENTINEL_CLIENT_ID_BYTES];
    sentinel_order order = place_at(PERP);
    check_allowed(&scene, &order);
    sentinel_client_id(expected, scene.engine_id32, scene.outcome.epoch, scene.outcome.record);
    uint64_t placed = order.header.action_id;
    CHECK_EQ(scene.outcome.venue, SENTINEL_VENUE_BINANCE_USDM);
    CHECK_EQ(scene.outcome.key, KEY_USDM);
    CHECK_EQ(scene.outcome.client_id_size, SENTINEL_CLIENT_ID_BYTES);
    CHECK_BYTES(scene.outcome.client_id, expected, sizeof expected);

    order = scene_order(&scene, SENTINEL_ACTION_AMEND);
    order.header.present = SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE;
    order.amend.target.by = SENTINEL_TARGET_ACTION;
    order.amend.target.action_id = placed;
    order.amend.type = SENTINEL_TYPE_LIMIT;
    order.amend.time_in_force = SENTINEL_TIF_GTC;
    order.amend.quantity = decimal(2, 3);
    order.amend.price = decimal(4900000, 2);
    check_allowed(&scene, &order);
    CHECK_BYTES(scene.outcome.client_id, expected, sizeof expected);
    uint64_t amended = order.header.action_id;
    order = cancel_of(amended); /* the amend's own action means the same order */
    check_allowed(&scene, &order);
    CHECK_BYTES(scene.outcome.client_id, expected, sizeof expected);
    order = scene_order(&scene, SENTINEL_ACTION_CANCEL_ALL);
    order.cancel_all.instrument = PERP;
    check_allowed(&scene, &order);
    CHECK_EQ(scene.outcome.client_id_size, 0);
    scene_end(&scene);
}

static void test_an_amend_changes_only_what_the_venue_is_told(void) {
    begin();
    sentinel_order order = place_at(PERP);
    order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
    order.place.reduce_only = 1;
    check_allowed(&scene, &order);
    uint64_t placed = order.header.action_id;
    for (unsigned change = 0; change < 4; change++) {
        order = scene_order(&scene, SENTINEL_ACTION_AMEND);
        order.header.present = SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE;
        if (change != 1) { /* USD-M amends cannot say it: it stays as it was */
            order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
            order.amend.reduce_only = change != 2;
        }
        order.amend.target.by = SENTINEL_TARGET_ACTION;
        order.amend.target.action_id = placed;
        order.amend.type = SENTINEL_TYPE_LIMIT;
        order.amend.time_in_force = change == 3 ? SENTINEL_TIF_POST_ONLY : SENTINEL_TIF_GTC;
        order.amend.quantity = decimal(2, 3);
        order.amend.price = decimal(4900000, 2);
        scene_sign(&scene, &order);
        CHECK_EQ(scene.outcome.reason,
                 change == 0 ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
    }
    scene_end(&scene);
}

static void test_a_digest_is_what_the_record_holds(void) {
    begin();
    sentinel_order order = place_at(HL_PERP);
    check_allowed(&scene, &order);
    const sentinel_request *request = &scene.outcome.request;
    CHECK_EQ(request->prehashed, 1);
    CHECK_EQ(request->string_to_sign.size, 32);
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_log_reader reader;
    sentinel_record record;
    CHECK_OK(sentinel_log_reader_open(&reader, scene.dir_fd, scene.outcome.record));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer));
    CHECK_BYTES(record.outcome->payload_digest32, request->text + request->string_to_sign.offset,
                32);
    sentinel_log_reader_close(&reader);
    scene_end(&scene);
}

static void test_masters_move_funds_and_agents_trade(void) {
    begin();
    sentinel_order order = withdrawal();
    order.header.key = KEY_ONCHAIN;
    check_denied(&scene, &order, SENTINEL_REASON_KEY_NOT_GRANTED);
    order = place_at(HL_PERP);
    order.header.key = KEY_MASTER;
    check_denied(&scene, &order, SENTINEL_REASON_KEY_NOT_GRANTED);
    order = withdrawal(); /* nobody has to say which */
    check_allowed(&scene, &order);
    CHECK_EQ(scene.outcome.key, KEY_MASTER);
    order = place_at(HL_PERP);
    check_allowed(&scene, &order);
    CHECK_EQ(scene.outcome.key, KEY_ONCHAIN);
    scene_end(&scene);
}

/* An outcome that was used before: of the text and the results alone something
 * may be left, behind their sizes, and nothing of either where all is withheld. */
static void test_an_outcome_shows_nothing_of_an_earlier_one(void) {
    begin();
    sentinel_outcome *o = &scene.outcome;
    memset(o, 0xff, sizeof *o);
    sentinel_order order = place_at(BTCUSDT);
    CHECK_OK(sentinel_gate_sign(scene.context, o, &scene.session, &order, sizeof order.place,
                                scene.now));
    CHECK_EQ(o->verdict, SENTINEL_ALLOWED);
    CHECK(bytes_are_zero(o->reserved, sizeof o->reserved));
    CHECK(bytes_are_zero(o->reserved1, sizeof o->reserved1));
    CHECK(o->pending_until_ns == 0 && o->approvals == 0 && o->approvals_needed == 0);
    CHECK(
        bytes_are_zero(o->client_id + o->client_id_size, sizeof o->client_id - o->client_id_size));
    CHECK(bytes_are_zero(o->signature.bytes + 32, sizeof o->signature.bytes - 32));
    CHECK_EQ(o->request.reserved[0], 0);
    for (unsigned i = o->request.header_count; i < SENTINEL_REQUEST_HEADERS_MAX; i++) {
        CHECK(o->request.header_names[i].size == 0 && o->request.header_values[i].size == 0);
    }
    order.header.action_id = ++scene.id;
    order.header.agent = AGENT_B; /* not the session's */
    CHECK_OK(sentinel_gate_sign(scene.context, o, &scene.session, &order, sizeof order.place,
                                scene.now));
    CHECK_EQ(o->verdict, SENTINEL_DENIED);
    CHECK_EQ(o->decision.result_count, 0);
    CHECK(bytes_are_zero(&o->signature, sizeof o->signature));
    CHECK(bytes_are_zero(&o->request, sizeof o->request));
    CHECK(bytes_are_zero(o->client_id, sizeof o->client_id));
    scene_end(&scene);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_no_nonce_is_given_twice);
    RUN(test_nonces_survive_a_new_policy);
    RUN(test_nonces_run_an_hour_ahead_at_most);
    RUN(test_a_denied_order_uses_no_nonce_and_releases_nothing);
    RUN(test_an_expiry_that_has_passed_is_denied);
    RUN(test_counts_a_binance_validity_that_can_be_cut_as_the_venues_default);
    RUN(test_says_until_when_the_last_release_is_usable);
    RUN(test_names_the_order_as_the_venue_knows_it);
    RUN(test_an_amend_changes_only_what_the_venue_is_told);
    RUN(test_a_digest_is_what_the_record_holds);
    RUN(test_masters_move_funds_and_agents_trade);
    RUN(test_an_outcome_shows_nothing_of_an_earlier_one);
    return test_end();
}
