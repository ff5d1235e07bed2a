/* Deribit: what every request has in common: expiry, ids, keys, nonce,
 * hold, and the header that the signature goes into.
 *
 * Method: edges from both sides. Signatures are computed with libsodium
 * directly, and one is that of a shared vector. */
#include "venue_deribit_scene.h"

static void test_expires_within_the_timestamps_own_validity(void) {
    static const struct {
        uint64_t expiry;
        sentinel_reason reason;
    } edges[] = {
        {0, SENTINEL_REASON_EXPIRY},
        {5000, SENTINEL_REASON_EXPIRY}, /* a span, not a time */
        {NOW_MS - 1, SENTINEL_REASON_EXPIRY},
        {NOW_MS, SENTINEL_REASON_EXPIRY},
        {NOW_MS + 1, SENTINEL_REASON_NONE},
        {NOW_MS + 60000, SENTINEL_REASON_NONE},
        {NOW_MS + 60001, SENTINEL_REASON_EXPIRY},
        {UINT64_MAX, SENTINEL_REASON_EXPIRY},
    };
    for (uint16_t action = SENTINEL_ACTION_PLACE; action <= SENTINEL_ACTION_AMEND; action++) {
        for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
            set_deribit(action);
            s.render.expiry = edges[i].expiry;
            CHECK_EQ(render(), edges[i].reason);
        }
        set_deribit(action);
        s.render.has_expiry = 0; /* only where the order waives it, in `lab` */
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
        s.order.header.present |= SENTINEL_PRESENT_LAB_WAIVE;
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        CHECK_SPAN(s.request.query,
                   action == SENTINEL_ACTION_PLACE
                       ? "instrument_name=BTC-PERPETUAL&amount=0.100&type=limit&price=65000.10"
                         "&time_in_force=good_til_cancelled"
                       : "label=c-1&instrument_name=BTC-PERPETUAL&amount=0.100&price=65000.10");
    }
    /* The others have none: the key's is left aside, a wish for one refused. */
    for (size_t i = 2; i < ALL_ACTIONS; i++) {
        set_deribit(all_actions[i]);
        s.render.expiry = 0;
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        s.render.has_expiry = 0;
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        s.order.header.present |= SENTINEL_PRESENT_LAB_EXPIRY;
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    }
}

static void test_takes_ids_up_to_the_venues_length_and_without_other_characters(void) {
    static const char others[] = " &=%?#+/:,;\n\"\\~\x7f\x80";
    char longest[65], query[256];
    memset(longest, 'x', 64);
    longest[64] = 0;
    set_deribit(SENTINEL_ACTION_PLACE);
    set_client_id(longest);
    snprintf(query, sizeof query,
             "instrument_name=BTC-PERPETUAL&amount=0.100&type=limit&label=%s&price=65000.10"
             "&time_in_force=good_til_cancelled" UNTIL,
             longest);
    check_get("/api/v2/private/buy", query);
    s.render.target_client_id[0] = 'x'; /* which stands behind it */
    s.render.client_id_size = 65;
    CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    set_deribit(SENTINEL_ACTION_CANCEL);
    set_target_client_id(longest);
    snprintf(query, sizeof query, "label=%s", longest);
    check_get("/api/v2/private/cancel_by_label", query);
    s.render.target_client_id_size = 65;
    CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    for (size_t i = 0; i < sizeof others; i++) { /* the last is the zero byte */
        set_deribit(SENTINEL_ACTION_PLACE);
        set_client_id("a.B_9-z");
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        s.render.client_id[2] = others[i];
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
        set_deribit(SENTINEL_ACTION_AMEND);
        s.render.target_client_id[2] = others[i];
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    }
}

static void test_encodes_what_could_end_a_parameter(void) {
    set_deribit(SENTINEL_ACTION_CANCEL_ALL);
    s.instrument.symbol[3] = '&'; /* the table's check refuses it; still */
    check_get("/api/v2/private/cancel_all_by_instrument", "instrument_name=BTC%26PERPETUAL");
    set_deribit(SENTINEL_ACTION_QUERY);
    s.render.target_client_id_size = 0;
    set_venue_id(&s.order.query.target, "a=b\nc d");
    check_get("/api/v2/private/get_order_state", "order_id=a%3Db%0Ac%20d");
}

static void test_refuses_other_keys_rows_and_actions(void) {
    for (size_t i = 0; i < ALL_ACTIONS; i++) {
        uint16_t action = all_actions[i];
        for (uint8_t purpose = 0; purpose < SENTINEL_PURPOSE_COUNT; purpose++) {
            set_deribit(action);
            s.key.purpose = purpose;
            CHECK_EQ(render(), purpose == SENTINEL_PURPOSE_VENUE ? SENTINEL_REASON_NONE
                                                                 : SENTINEL_REASON_UNSUPPORTED);
        }
        for (uint8_t algorithm = 0; algorithm <= SENTINEL_ALGORITHM_COUNT; algorithm++) {
            set_deribit(action); /* asymmetric keys can but log in */
            s.key.algorithm = algorithm;
            CHECK_EQ(render(),
                     algorithm == HMAC ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
        }
        set_deribit(action);
        s.order.header.present |= SENTINEL_PRESENT_LAB_NONCE;
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        s.order.header.present |= SENTINEL_PRESENT_LAB_CLIENT_ID;
        CHECK_EQ(render(), action == SENTINEL_ACTION_PLACE ? SENTINEL_REASON_NONE
                                                           : SENTINEL_REASON_UNSUPPORTED);
        set_deribit(action);
        s.render.instrument = NULL;
        s.render.asset = NULL;
        s.render.network = NULL;
        s.render.settle = NULL;
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
        set_deribit(action);
        s.instrument.venue = s.asset.venue = SENTINEL_VENUE_OKX;
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    }
    set_deribit(SENTINEL_ACTION_CANCEL_ALL_AFTER); /* the venue's is of a connection */
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    CHECK(sentinel_venue_hold(DERIBIT, SENTINEL_ACTION_CANCEL_ALL_AFTER) == NULL);
    set_deribit(SENTINEL_ACTION_PLACE);
    s.order.header.action = SENTINEL_ACTION_COUNT;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_sends_a_key_that_can_end_nothing(void) {
    static const char others[] = " ,=\r\n\"&\x80";
    for (size_t i = 0; i < sizeof others; i++) {
        set_deribit(SENTINEL_ACTION_PLACE);
        s.key.api_key[3] = others[i];
        CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    }
    set_deribit(SENTINEL_ACTION_PLACE);
    s.key.api_key_size = 0;
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    set_deribit(SENTINEL_ACTION_PLACE);
    s.key.api_key_size = SENTINEL_API_KEY_BYTES_MAX;
    memset(s.key.api_key, 'k', SENTINEL_API_KEY_BYTES_MAX);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
}

static void test_fails_on_a_decimal_without_a_text(void) {
    set_deribit(SENTINEL_ACTION_PLACE);
    s.order.place.price = DEC(-1, 0); /* never passes the check of its form */
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    CHECK_EQ(s.request.overflow, 1);
}

static sentinel_signature signature_of(const char *secret) {
    sentinel_signature signature = {.algorithm = HMAC, .size = 32};
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)secret, strlen(secret));
    crypto_auth_hmacsha256_update(&state,
                                  (const uint8_t *)s.request.text + s.request.string_to_sign.offset,
                                  s.request.string_to_sign.size);
    crypto_auth_hmacsha256_final(&state, signature.bytes);
    return signature;
}

/* The vector deribit/ccxt/hmac/buy_limit_gtc of tests/golden/venues. */
static void set_vector(void) {
    set_deribit(SENTINEL_ACTION_PLACE);
    set_id(s.instrument.symbol, &s.instrument.symbol_size, "ETH-PERPETUAL");
    set_id(s.key.api_key, &s.key.api_key_size, "AMANDA");
    set_client_id("market0000234");
    s.order.place.quantity = DEC(40, 0);
    s.order.place.price = DEC(170005, 2);
    s.order.header.present |= SENTINEL_PRESENT_LAB_WAIVE;
    s.render.timestamp_ms = 1576074319000;
    s.render.nonce = 1576074319000;
    s.render.has_expiry = 0;
}

#define VECTOR                                                                             \
    "instrument_name=ETH-PERPETUAL&amount=40&type=limit&label=market0000234&price=1700.05" \
    "&time_in_force=good_til_cancelled"

static void test_puts_the_signature_into_the_header(void) {
    set_vector();
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    sentinel_signature signature = signature_of("AMANDASECRECT");
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK_SPAN(s.request.path, "/api/v2/private/buy");
    CHECK_SPAN(s.request.query, VECTOR);
    CHECK_SPAN(s.request.string_to_sign,
               "1576074319000\n1576074319000\nGET\n/api/v2/private/buy?" VECTOR "\n\n");
    CHECK_EQ(s.request.header_count, 1);
    CHECK_SPAN(s.request.header_names[0], "Authorization");
    CHECK_SPAN(s.request.header_values[0],
               "deri-hmac-sha256 id=AMANDA,ts=1576074319000,"
               "sig=dc46a0d620b70847cca0477f091610b5896fd51f33bf720855091d081492ae76,"
               "nonce=1576074319000");
}

static void test_finishes_once_with_its_keys_signature_and_within_the_text(void) {
    sentinel_signature signature = {.algorithm = HMAC, .size = 32};
    set_vector();
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED); /* nothing was rendered */
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    signature.size = 64;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    signature.size = 32;
    signature.algorithm = ED25519;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    signature.algorithm = HMAC;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    unsigned header = s.request.header_names[0].size + s.request.header_values[0].size;
    for (unsigned missing = 0; missing < 2; missing++) {
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        s.request.text_size = (uint16_t)(SENTINEL_REQUEST_TEXT_BYTES - header + missing);
        CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
                 missing ? SENTINEL_REASON_RENDER_FAILED : SENTINEL_REASON_NONE);
        CHECK_EQ(s.request.overflow, missing);
    }
}

static void test_writes_the_largest_nonce(void) {
    set_deribit(SENTINEL_ACTION_CANCEL);
    s.render.nonce = UINT64_MAX;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_SPAN(s.request.string_to_sign,
               "1700000000000\n18446744073709551615\nGET\n/api/v2/private/cancel_by_label"
               "?label=c-1\n\n");
    s.render.nonce = 0;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_SPAN(s.request.string_to_sign,
               "1700000000000\n0\nGET\n/api/v2/private/cancel_by_label?label=c-1\n\n");
}

static void test_holds_are_those_of_the_documents(void) {
    for (size_t i = 0; i < ALL_ACTIONS; i++) {
        set_deribit(all_actions[i]);
        const sentinel_hold *hold = sentinel_venue_hold(DERIBIT, all_actions[i]);
        CHECK(hold != NULL);
        CHECK_EQ(hold->once, 1);
        CHECK_EQ(hold->endpoint_covered, 1);
        CHECK_EQ(hold->window_ms, 60000);
        CHECK_EQ(hold->expiry, i < 2 ? SENTINEL_HOLD_EXPIRY_SIGNED : SENTINEL_HOLD_EXPIRY_NONE);
        CHECK_EQ(sentinel_venue_usable_until_ms(&s.render, DERIBIT),
                 NOW_MS + (i < 2 ? 5000 : 60000));
        s.render.has_expiry = 0;
        CHECK_EQ(sentinel_venue_usable_until_ms(&s.render, DERIBIT), NOW_MS + 60000);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 2;
    }
    RUN(test_expires_within_the_timestamps_own_validity);
    RUN(test_takes_ids_up_to_the_venues_length_and_without_other_characters);
    RUN(test_encodes_what_could_end_a_parameter);
    RUN(test_refuses_other_keys_rows_and_actions);
    RUN(test_sends_a_key_that_can_end_nothing);
    RUN(test_fails_on_a_decimal_without_a_text);
    RUN(test_puts_the_signature_into_the_header);
    RUN(test_finishes_once_with_its_keys_signature_and_within_the_text);
    RUN(test_writes_the_largest_nonce);
    RUN(test_holds_are_those_of_the_documents);
    return test_end();
}
