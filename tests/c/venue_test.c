/* The joint of rendering: which venue, whose key, messages, client ids, and
 * that a request is finished once, with the right signature, or not at all. */
#include "venue_scene.h"
#include "venue_text.h"

static void test_refuses_keys_of_another_kind_and_rows_of_another_venue(void) {
    for (uint8_t purpose = 0; purpose < SENTINEL_PURPOSE_COUNT; purpose++) {
        set_scene(SPOT, SENTINEL_ACTION_PLACE);
        s.key.purpose = purpose;
        CHECK_EQ(render(), purpose == SENTINEL_PURPOSE_VENUE ? SENTINEL_REASON_NONE
                                                             : SENTINEL_REASON_UNSUPPORTED);
        set_scene(SPOT, SENTINEL_ACTION_MESSAGE);
        s.key.purpose = purpose;
        CHECK_EQ(render(), purpose == SENTINEL_PURPOSE_MESSAGE ? SENTINEL_REASON_NONE
                                                               : SENTINEL_REASON_UNSUPPORTED);
    }
    for (uint8_t algorithm = 0; algorithm <= SENTINEL_ALGORITHM_COUNT; algorithm++) {
        set_scene(USDM, SENTINEL_ACTION_PLACE);
        s.key.algorithm = algorithm;
        CHECK_EQ(render(), algorithm == HMAC || algorithm == ED25519 ? SENTINEL_REASON_NONE
                                                                     : SENTINEL_REASON_UNSUPPORTED);
    }
    for (uint16_t venue = 0; venue < SENTINEL_VENUE_COUNT + 2; venue++) {
        set_scene(SPOT, SENTINEL_ACTION_PLACE);
        s.key.venue = venue; /* the instrument is of spot */
        CHECK_EQ(render(), venue == SPOT ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
        if (venue == SPOT || venue == USDM) {
            s.instrument.venue = venue;
            s.instrument.contract =
                venue == USDM ? SENTINEL_CONTRACT_LINEAR : SENTINEL_CONTRACT_SPOT;
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
        }
        set_scene(SPOT, SENTINEL_ACTION_MESSAGE);
        s.key.venue = venue;
        CHECK_EQ(render(), venue == 0 ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
    }
}

static void test_finishes_only_a_rendered_request_once_with_its_keys_signature(void) {
    sentinel_signature signature = {.algorithm = HMAC, .size = 32};
    set_scene(SPOT, SENTINEL_ACTION_PLACE);
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED); /* nothing was rendered */
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    signature.algorithm = ED25519;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    signature.algorithm = HMAC;
    signature.size = 64;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    signature.size = 32;
    s.request.overflow = 1;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    s.request.overflow = 0;
    s.key.venue = SENTINEL_VENUE_OKX;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    s.key.venue = SPOT;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    s.request.text_size = SENTINEL_REQUEST_TEXT_BYTES - 75; /* "&signature=" and 64 digits */
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    s.request.text_size = SENTINEL_REQUEST_TEXT_BYTES - 74;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    CHECK_EQ(s.request.overflow, 1);
}

static void test_latches_overflow_of_text_and_headers(void) {
    static sentinel_request request;
    static const char text[SENTINEL_REQUEST_TEXT_BYTES] = {'x'};
    memset(&request, 0, sizeof request);
    text_add(&request, text, sizeof text - 1);
    text_add(&request, text, 1);
    CHECK_EQ(request.overflow, 0); /* just full */
    text_add(&request, text, 1);
    CHECK_EQ(request.overflow, 1);
    CHECK_EQ(request.text_size, SENTINEL_REQUEST_TEXT_BYTES);
    text_add(&request, text, 0);
    CHECK_EQ(request.overflow, 1); /* for good */
    memset(&request, 0, sizeof request);
    for (unsigned i = 0; i < SENTINEL_REQUEST_HEADERS_MAX; i++) {
        text_header(&request, "name", "value", 5);
    }
    CHECK_EQ(request.overflow, 0);
    text_header(&request, "name", "value", 5);
    CHECK_EQ(request.overflow, 1);
    CHECK_EQ(request.header_count, SENTINEL_REQUEST_HEADERS_MAX);
}

static void test_frames_messages_so_that_they_can_never_be_an_order(void) {
    set_scene(SPOT, SENTINEL_ACTION_MESSAGE);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.method, SENTINEL_METHOD_NONE);
    CHECK_EQ(s.request.header_count, 0);
    CHECK_EQ(s.request.endpoint_covered, 1);
    CHECK_EQ(s.request.host.size + s.request.path.size + s.request.query.size, 0);
    CHECK_EQ(s.request.string_to_sign.size, 28);
    CHECK_BYTES(s.request.text + s.request.string_to_sign.offset,
                "sentinel-message-v1\0\x04\0\0\0test", 28);
    memset(s.order.message.text, 'x', SENTINEL_MESSAGE_BYTES_MAX);
    s.order.message.text_size = SENTINEL_MESSAGE_BYTES_MAX;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.string_to_sign.size, 24 + SENTINEL_MESSAGE_BYTES_MAX);
    sentinel_signature signature = {.algorithm = HMAC, .size = 32};
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.string_to_sign.size, 24 + SENTINEL_MESSAGE_BYTES_MAX);
}

static void test_derives_client_ids_from_engine_epoch_and_record(void) {
    char text[SENTINEL_CLIENT_ID_BYTES];
    uint8_t engine[32] = {0xde, 0xad, 0xbe, 0xef, 0x11};
    sentinel_client_id(text, engine, 0x01020304, 0xa1b2c3d4e5f60718);
    CHECK_BYTES(text, "deadbeef01020304a1b2c3d4e5f60718", 32);
    sentinel_client_id(text, engine, 0, 1);
    CHECK_BYTES(text, "deadbeef000000000000000000000001", 32);
}

static int64_t usable_ms(uint16_t venue, uint16_t action, uint64_t validity_ms) {
    set_scene(venue, action);
    s.render.has_expiry = validity_ms != 0;
    s.render.expiry = validity_ms;
    return sentinel_venue_usable_until_ms(&s.render, venue) - s.render.timestamp_ms;
}

/* Of Binance's signed text a carrier can cut recvWindow away, so that the
 * venue's default counts; it cannot make its value larger. */
static void test_a_validity_is_no_shorter_than_a_carrier_can_make_it(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        for (uint16_t venue = SPOT; venue <= USDM; venue++) {
            const sentinel_hold *hold = sentinel_venue_hold(venue, action);
            if (hold == NULL) {
                continue;
            }
            CHECK_EQ(hold->floor_ms, 5000);
            CHECK_EQ(hold->reserved[0], 0);
            CHECK_EQ(usable_ms(venue, action, 1), 5000);
            CHECK_EQ(usable_ms(venue, action, 1000), 5000);
            CHECK_EQ(usable_ms(venue, action, 3000), 5000);
            CHECK_EQ(usable_ms(venue, action, 4999), 5000);
            CHECK_EQ(usable_ms(venue, action, 5000), 5000);
            CHECK_EQ(usable_ms(venue, action, 5001), 5001);
            CHECK_EQ(usable_ms(venue, action, 7000), 7000);
            CHECK_EQ(usable_ms(venue, action, 59999), 59999);
            CHECK_EQ(usable_ms(venue, action, 60000), 60000);
            CHECK_EQ(usable_ms(venue, action, 0), 60000); /* none is signed */
        }
    }
    for (uint16_t venue = SENTINEL_VENUE_BYBIT; venue < SENTINEL_VENUE_COUNT; venue++) {
        CHECK_EQ(sentinel_venue_hold(venue, SENTINEL_ACTION_PLACE)->floor_ms, 0);
    }
    CHECK_EQ(usable_ms(SENTINEL_VENUE_BYBIT, SENTINEL_ACTION_PLACE, 1000), 1000);
    CHECK_EQ(usable_ms(SENTINEL_VENUE_OKX, SENTINEL_ACTION_PLACE, 1000), 30000); /* not signed */
}

static void test_names_every_venue(void) {
    static const char *const names[] = {"none", "binance_spot", "binance_usdm", "bybit",
                                        "okx",  "deribit",      "hyperliquid"};
    for (uint16_t venue = 0; venue < SENTINEL_VENUE_COUNT; venue++) {
        CHECK(strcmp(sentinel_venue_name(venue), names[venue]) == 0);
    }
    CHECK(sentinel_venue_name(SENTINEL_VENUE_COUNT) == NULL);
    CHECK(sentinel_venue_name(0xffff) == NULL);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_refuses_keys_of_another_kind_and_rows_of_another_venue);
    RUN(test_finishes_only_a_rendered_request_once_with_its_keys_signature);
    RUN(test_latches_overflow_of_text_and_headers);
    RUN(test_frames_messages_so_that_they_can_never_be_an_order);
    RUN(test_derives_client_ids_from_engine_epoch_and_record);
    RUN(test_a_validity_is_no_shorter_than_a_carrier_can_make_it);
    RUN(test_names_every_venue);
    return test_end();
}
