/* OKX: what every request has: headers, time, deadline, names, signature.
 *
 * Method: each character is tried where one could do harm. Dates are compared
 * with a calendar that counts, signatures with libsodium's and with a shared
 * vector. */
#include "venue_okx_scene.h"

static void test_sends_key_passphrase_and_time_in_headers(void) {
    set_okx(SENTINEL_ACTION_PLACE);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.header_count, 4);
    CHECK_EQ(has_header("OK-ACCESS-KEY", "Key-1"), 1);
    CHECK_EQ(has_header("OK-ACCESS-PASSPHRASE", "Test-Pass-123!"), 1);
    CHECK_EQ(has_header("OK-ACCESS-TIMESTAMP", TIMESTAMP), 1);
    CHECK_EQ(has_header("Content-Type", "application/json"), 1);
    s.key.api_key[3] = '\n';
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    s.key.api_key[3] = '-';
    s.key.api_key_size = 0;
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    for (int c = 0; c < 256; c++) {
        const char inside[3] = {'a', (char)c, 'b'}, outside[1] = {(char)c};
        set_okx(SENTINEL_ACTION_CANCEL);
        s.render.passphrase = inside;
        s.render.passphrase_size = 3;
        CHECK_EQ(render(),
                 c >= ' ' && c <= '~' ? SENTINEL_REASON_NONE : SENTINEL_REASON_RENDER_FAILED);
        s.render.passphrase = outside;
        s.render.passphrase_size = 1;
        CHECK_EQ(render(),
                 c > ' ' && c <= '~' ? SENTINEL_REASON_NONE : SENTINEL_REASON_RENDER_FAILED);
    }
    s.render.passphrase = NULL;
    s.render.passphrase_size = 0;
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
}

static void test_marks_requests_for_the_test_network(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        for (uint8_t environment = LIVE; environment <= LAB; environment++) {
            int test = environment == TEST;
            set_okx(action);
            s.render.environment = environment;
            int good = action != SENTINEL_ACTION_CANCEL_ALL &&
                       !(test && action == SENTINEL_ACTION_WITHDRAW);
            CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : REFUSED);
            if (good) {
                CHECK_SPAN(s.request.host, "www.okx.com");
                CHECK_EQ(has_header("x-simulated-trading", "1"), test);
            }
        }
    }
}

static int has_deadline(uint16_t action) {
    return action == SENTINEL_ACTION_PLACE || action == SENTINEL_ACTION_AMEND;
}

static void test_sends_a_deadline_beside_what_has_one(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        if (action == SENTINEL_ACTION_CANCEL_ALL) {
            continue;
        }
        set_okx(action);
        CHECK_EQ(render(), SENTINEL_REASON_NONE); /* the venue does not ask for one */
        CHECK_EQ(has_header("expTime", NULL), 0);
        s.render.has_expiry = 1;
        s.render.expiry = 1700000005000;
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        CHECK_EQ(has_header("expTime", "1700000005000"), has_deadline(action));
        CHECK(sentinel_venue_usable_until_ms(&s.render, OKX) == 1700000030000);
        s.order.header.present |= SENTINEL_PRESENT_LAB_EXPIRY; /* an explicit wish */
        CHECK_EQ(render(), has_deadline(action) ? SENTINEL_REASON_NONE : REFUSED);
    }
    set_place(SENTINEL_CONTRACT_SPOT, SENTINEL_TYPE_STOP_MARKET, 0, Q | T); /* has none */
    s.render.has_expiry = 1;
    s.render.expiry = 1700000005000;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(has_header("expTime", NULL), 0);
    s.order.header.present |= SENTINEL_PRESENT_LAB_EXPIRY;
    CHECK_EQ(render(), REFUSED);
}

static void test_refuses_a_deadline_that_has_passed_or_is_no_time(void) {
    static const uint64_t nonsense[] = {
        0, 5000, 1699999999999, 1700000000000, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        set_okx(SENTINEL_ACTION_PLACE);
        s.render.has_expiry = 1;
        s.render.expiry = nonsense[i];
        CHECK_EQ(render(), SENTINEL_REASON_EXPIRY);
        set_okx(SENTINEL_ACTION_CANCEL); /* has none, so nothing is sent */
        s.render.has_expiry = 1;
        s.render.expiry = nonsense[i];
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
    }
    static const uint64_t good[] = {1700000000001, INT64_MAX};
    static const char *const texts[] = {"1700000000001", "9223372036854775807"};
    for (size_t i = 0; i < 2; i++) {
        set_okx(SENTINEL_ACTION_AMEND);
        s.render.has_expiry = 1;
        s.render.expiry = good[i];
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        CHECK_EQ(has_header("expTime", texts[i]), 1);
    }
}

static void check_names(uint16_t action, int names) {
    for (int c = 0; c < 256; c++) {
        char id[2] = {(char)c, 'x'};
        int good = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        set_okx(action);
        s.render.client_id_size = names ? 2 : 0;
        s.render.target_client_id_size = names ? 0 : 2;
        memcpy(names ? s.render.client_id : s.render.target_client_id, id, 2);
        CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : SENTINEL_REASON_ORDER_TEXT);
    }
}

static void test_names_orders_by_letters_and_digits_alone(void) {
    char longest[34];
    memset(longest, 'x', sizeof longest);
    longest[33] = 0;
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        int names = action == SENTINEL_ACTION_PLACE || action == SENTINEL_ACTION_WITHDRAW ||
                    action == SENTINEL_ACTION_TRANSFER;
        int whole =
            action == SENTINEL_ACTION_CANCEL_ALL || action == SENTINEL_ACTION_CANCEL_ALL_AFTER;
        set_okx(action);
        s.order.header.present |= SENTINEL_PRESENT_LAB_CLIENT_ID;
        CHECK_EQ(render(), names ? SENTINEL_REASON_NONE : REFUSED);
        if (whole) {
            continue;
        }
        set_okx(action);
        (names ? set_client_id : set_target_client_id)(longest);
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
        s.render.client_id_size = names ? 32 : 0;
        s.render.target_client_id_size = names ? 0 : 32;
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        check_names(action, names);
    }
}

static void test_refuses_keys_and_rows_that_do_not_fit(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        int whole = action == SENTINEL_ACTION_CANCEL_ALL_AFTER;
        if (action == SENTINEL_ACTION_CANCEL_ALL) {
            continue;
        }
        for (uint8_t algorithm = 0; algorithm <= SENTINEL_ALGORITHM_COUNT; algorithm++) {
            set_okx(action);
            s.key.algorithm = algorithm;
            CHECK_EQ(render(), algorithm == HMAC ? SENTINEL_REASON_NONE : REFUSED);
        }
        for (uint8_t purpose = 0; purpose <= SENTINEL_PURPOSE_COUNT; purpose++) {
            set_okx(action);
            s.key.purpose = purpose;
            CHECK_EQ(render(), purpose == SENTINEL_PURPOSE_VENUE ? SENTINEL_REASON_NONE : REFUSED);
        }
        set_okx(action);
        s.order.header.present |= SENTINEL_PRESENT_LAB_NONCE; /* it has none */
        CHECK_EQ(render(), REFUSED);
        set_okx(action);
        s.instrument.venue = SENTINEL_VENUE_BYBIT;
        s.asset.venue = SENTINEL_VENUE_BYBIT;
        CHECK_EQ(render(), whole ? SENTINEL_REASON_NONE : REFUSED);
        set_okx(action);
        s.render.instrument = NULL;
        s.render.asset = NULL;
        s.render.network = NULL;
        CHECK_EQ(render(), whole ? SENTINEL_REASON_NONE : REFUSED);
    }
}

static void test_fails_on_a_decimal_without_a_text(void) {
    set_okx(SENTINEL_ACTION_PLACE);
    s.order.place.price = DEC(-1, 0); /* never passes the check of its form */
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    CHECK_EQ(s.request.overflow, 1);
}

static void check_time(int64_t timestamp_ms, const char *text) {
    s.render.timestamp_ms = timestamp_ms;
    int good = render() == SENTINEL_REASON_NONE && has_header("OK-ACCESS-TIMESTAMP", text) == 1;
    if (!good) {
        printf("    %s\n", text);
    }
    CHECK(good);
}

static int is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Every day until 2105, then the first and last of every month until 9999. */
static void test_writes_every_date_of_the_calendar(void) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t days = 0;
    set_okx(SENTINEL_ACTION_CANCEL);
    for (int year = 1970; year <= 9999; year++) {
        for (int month = 0; month < 12; month++) {
            int length = lengths[month] + (month == 1 && is_leap(year));
            for (int day = 1; day <= length; day += year < 2105 ? 1 : length - 1) {
                char text[64];
                int late = day % 2 == 0;
                snprintf(text, sizeof text, "%04d-%02d-%02dT%s", year, month + 1, day,
                         late ? "23:59:59.999Z" : "00:00:00.000Z");
                check_time((days + day - 1) * 86400000 + (late ? 86399999 : 0), text);
            }
            days += length;
        }
    }
    CHECK(days * 86400000 == 253402300800000);
    check_time(253402300799999, "9999-12-31T23:59:59.999Z");
    check_time(1607418537715, "2020-12-08T09:08:57.715Z");
    static const int64_t outside[] = {-1, INT64_MIN, 253402300800000, INT64_MAX};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        s.render.timestamp_ms = outside[i];
        CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    }
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

/* okx/ccxt/hmac/swap_fok_hedge_long of the shared vectors; a test key. */
static void test_puts_the_signature_into_a_header_once(void) {
    set_place(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_FOK, Q | P);
    set_id(s.instrument.symbol, &s.instrument.symbol_size, "SOL-USDT-SWAP");
    set_client_id("h1");
    s.order.place.margin_mode = ISOLATED;
    s.order.place.position_side = SENTINEL_POSITION_LONG;
    s.order.place.price = DEC(15123, 2);
    s.render.timestamp_ms = 1607418542715;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_SPAN(s.request.string_to_sign,
               "2020-12-08T09:09:02.715ZPOST/api/v5/trade/order{\"instId\":\"SOL-USDT-SWAP\","
               "\"tdMode\":\"isolated\",\"clOrdId\":\"h1\",\"side\":\"buy\",\"posSide\":\"long\","
               "\"ordType\":\"fok\",\"px\":\"151.23\",\"sz\":\"1\"}");
    sentinel_signature signature = signature_of("22582BD0CFF14C41EDBF1AB98506286D");
    signature.size = 64;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    signature.size = 32;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK_EQ(has_header("OK-ACCESS-SIGN", "VhCGoIeF6mQuUzBY6acBWOgOFJuFIasyIsoUrgRz5a4="), 1);
    CHECK_EQ(s.request.query.size, 0);
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    CHECK_EQ(s.request.header_count, 5);
    s.render.environment = TEST; /* every header at once fits */
    s.render.has_expiry = 1;
    s.render.expiry = INT64_MAX;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.header_count, 7);
}

static void test_tells_how_long_released_bytes_stay_usable(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        const sentinel_hold *hold = sentinel_venue_hold(OKX, action);
        if (action == SENTINEL_ACTION_CANCEL_ALL) {
            continue;
        }
        CHECK(hold != NULL);
        CHECK_EQ(hold->expiry,
                 has_deadline(action) ? SENTINEL_HOLD_EXPIRY_UNSIGNED : SENTINEL_HOLD_EXPIRY_NONE);
        CHECK_EQ(hold->once, 0);
        CHECK_EQ(hold->endpoint_covered, 1);
        CHECK_EQ(hold->window_ms, 30000);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 2;
    }
    RUN(test_sends_key_passphrase_and_time_in_headers);
    RUN(test_marks_requests_for_the_test_network);
    RUN(test_sends_a_deadline_beside_what_has_one);
    RUN(test_refuses_a_deadline_that_has_passed_or_is_no_time);
    RUN(test_names_orders_by_letters_and_digits_alone);
    RUN(test_refuses_keys_and_rows_that_do_not_fit);
    RUN(test_fails_on_a_decimal_without_a_text);
    RUN(test_writes_every_date_of_the_calendar);
    RUN(test_puts_the_signature_into_a_header_once);
    RUN(test_tells_how_long_released_bytes_stay_usable);
    return test_end();
}
