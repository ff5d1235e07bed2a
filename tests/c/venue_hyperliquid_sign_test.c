/* Hyperliquid: what is signed, and the body around the signature.
 *
 * Method: orders of tests/golden/venues with the digests and signatures that
 * the venue's own library made of them, with its public test key. */
#include "hyperliquid_scene.h"

#define GTC SENTINEL_TIF_GTC

static sentinel_keyring *ring;

/* The key of the venue's own tests: it guards nothing. */
static void import_key(void) {
    uint8_t secret[32];
    sentinel_key_info info = {.id = 1,
                              .purpose = SENTINEL_PURPOSE_VENUE,
                              .algorithm = SENTINEL_ALGORITHM_ECDSA_SECP256K1,
                              .venue = HYPER};
    CHECK_OK(sodium_hex2bin(secret, 32,
                            "0123456789012345678901234567890123456789012345678901234567890123", 64,
                            NULL, NULL, NULL));
    CHECK_OK(sentinel_keyring_new(&ring));
    CHECK_OK(sentinel_keyring_import(ring, &info, secret, 32));
}

static int digest_is(const char *hex) {
    char text[65];
    const char *digest = s.request.text + s.request.string_to_sign.offset;
    sodium_bin2hex(text, sizeof text, (const uint8_t *)digest, s.request.string_to_sign.size);
    if (strcmp(text, hex) != 0) {
        printf("    %s\n    %s\n", text, hex);
    }
    return strcmp(text, hex) == 0;
}

#define CHECK_DIGEST(hex)                         \
    do {                                          \
        CHECK_EQ(render(), SENTINEL_REASON_NONE); \
        CHECK(digest_is(hex));                    \
    } while (0)

static void set_at(uint16_t action, int64_t nonce, int is_test) {
    set_hyper(action);
    s.render.timestamp_ms = nonce;
    s.render.nonce = (uint64_t)nonce;
    s.render.has_expiry = 0;
    s.render.expiry = 0;
    s.render.environment = is_test ? TEST : LAB;
    s.order.header.present |= SENTINEL_PRESENT_LAB_WAIVE;
}

static void set_place(int64_t nonce, uint8_t side, uint8_t type, uint8_t tif,
                      sentinel_decimal price, sentinel_decimal quantity) {
    set_at(SENTINEL_ACTION_PLACE, nonce, 0);
    s.order.place.side = side;
    s.order.place.type = type;
    s.order.place.time_in_force = tif;
    s.order.place.price = price;
    s.order.place.quantity = quantity;
    s.instrument.lot = DEC(1, 18);
}

static void test_hashes_orders_as_the_venues_library_does(void) {
    set_place(0, 1, 1, GTC, DEC(100, 0), DEC(100, 0));
    CHECK_DIGEST("a5cfed1f2d7948de30aecacc7fea3c5e05c1e759020e96239847879b906f801e");
    s.render.environment = TEST;
    CHECK_DIGEST("606be2d25f68768f876dc04a2c3c86ceafd2d6a3c3cbb963454462d6734ebfa6");
    set_place(1677777606040, 1, 1, SENTINEL_TIF_IOC, DEC(16701, 1), DEC(147, 4));
    s.instrument.venue_index = 4;
    CHECK_DIGEST("be5eb0697b77c2acfeaa07a3d4913ae5d06489c63bfd143c5d3d66540a196c43");
    set_place(1700000003002, 1, 1, GTC, DEC(19995, 1), DEC(15, 1));
    set_client_id("0x000000000000000000000000deadbeef");
    CHECK_DIGEST("af49f5c7d38d044e871edddaf8fcc8ccd185f40844855a1a5a35580404e2f952");
    set_place(1700000003005, 1, 1, GTC, DEC(801, 8), DEC(1, 2));
    s.instrument.contract = SENTINEL_CONTRACT_SPOT;
    s.instrument.venue_index = 10107;
    CHECK_DIGEST("6ac5544961c46a5067610a894de509528adf45bdbf33f38a41fe52a6ff06f396");
}

static void test_hashes_triggers_vaults_and_expiries(void) {
    set_place(0, 1, SENTINEL_TYPE_STOP_MARKET, 0, DEC(100, 0), DEC(100, 0));
    s.order.header.present |= T;
    s.order.place.trigger_price = DEC(103, 0);
    CHECK_DIGEST("012ce9a26d8326e9de0e2e76709c076b94cec6b137031928ec7334c8f3c4028f");
    set_place(1700000003009, 1, 1, GTC, DEC(1800, 0), DEC(5, 2));
    set_id(s.key.api_key, &s.key.api_key_size, "vault-" VAULT);
    CHECK_DIGEST("fb55aab8bc06f7f7bdb91957b02f1d86671c295ba98c47648341cc00d13dfb4d");
    set_place(1700000003010, 2, 1, SENTINEL_TIF_IOC, DEC(1800, 0), DEC(5, 2));
    s.render.has_expiry = 1;
    s.render.expiry = 1700000013010;
    CHECK_DIGEST("fb59cc4d54855d207dab83eec58b211b05a8b1ccd09b0963dbf23e7878d55dd4");
}

static void test_hashes_the_other_actions(void) {
    set_at(SENTINEL_ACTION_CANCEL, 1700000003013, 0);
    s.instrument.venue_index = 0;
    s.render.target_client_id_size = 0;
    set_venue_id(&s.order.cancel.target, "91490942");
    CHECK_DIGEST("d5a082e5826b18bf2180fe033703b4671135fd72ba0aba310cb3eb7ee6b5bed5");
    set_at(SENTINEL_ACTION_CANCEL, 1700000003015, 0);
    set_target_client_id("0x000000000000000000000000deadbeef");
    CHECK_DIGEST("9d9d1ab5afee82549e47f16135f3c6c2e5cafda97279b6e4fca25fc9b5bf82d4");
    set_at(SENTINEL_ACTION_CANCEL_ALL_AFTER, 1700000003017, 0);
    s.order.cancel_all_after.timeout_ms = 60000;
    CHECK_DIGEST("bc852b7cb9aa22faaedde162c472c59d0f1e5620804e57be44cf4566c41efa4d");
    set_at(SENTINEL_ACTION_AMEND, 1700000003019, 0);
    s.render.target_client_id_size = 0;
    set_venue_id(&s.order.amend.target, "77738308");
    s.order.amend.price = DEC(1105, 0);
    s.order.amend.quantity = DEC(1, 1);
    CHECK_DIGEST("991e4ecc8c7785b430c9eda33ec572295fcece37641084af3de104c52a37edda");
    set_at(SENTINEL_ACTION_WITHDRAW, 1687816341423, 1);
    s.order.withdraw.amount = DEC(1, 0);
    CHECK_DIGEST("8080d06f566813165cec60d85300445133b3439e9c92e10b93ed510372608899");
    set_at(SENTINEL_ACTION_TRANSFER, 1687816341423, 1);
    s.order.transfer.from_account = SENTINEL_ACCOUNT_USDM;
    set_id(s.order.transfer.destination, &s.order.transfer.destination_size, ADDRESS);
    CHECK_DIGEST("cacf7585cc49ca60c6c5fb3001e226c0ca03c46252c893eea574c78907b7cebe");
}

/* Signs what was rendered, and puts the signature into the body. */
static sentinel_reason finish(void) {
    sentinel_signature signature;
    const char *digest = s.request.text + s.request.string_to_sign.offset;
    CHECK_OK(sentinel_sign_digest(ring, &signature, 1, (const uint8_t *)digest));
    return sentinel_venue_finish(&s.request, &s.render, &signature);
}

static void test_completes_the_body_of_the_venues_own_test(void) {
    set_place(0, 1, 1, GTC, DEC(100, 0), DEC(100, 0));
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(finish(), SENTINEL_REASON_NONE);
    CHECK_SPAN(s.request.host, "api.hyperliquid.xyz");
    CHECK_EQ(s.request.header_count, 1);
    CHECK_SPAN(s.request.header_names[0], "Content-Type");
    CHECK_SPAN(s.request.header_values[0], "application/json");
    CHECK_EQ(s.request.endpoint_covered, 1);
    CHECK_SPAN(
        s.request.body,
        "{\"action\":{\"type\":\"order\",\"orders\":[{\"a\":1,\"b\":true,\"p\":\"100\","
        "\"s\":\"100\",\"r\":false,\"t\":{\"limit\":{\"tif\":\"Gtc\"}}}],\"grouping\":\"na\"},"
        "\"nonce\":0,\"signature\":{"
        "\"r\":\"0xd65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e\","
        "\"s\":\"0x2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e\","
        "\"v\":28},\"vaultAddress\":null,\"expiresAfter\":null}");
    CHECK(digest_is("a5cfed1f2d7948de30aecacc7fea3c5e05c1e759020e96239847879b906f801e"));
    s.render.environment = TEST;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_SPAN(s.request.host, "api.hyperliquid-testnet.xyz");
}

static int ends_with(const char *end) {
    size_t size = strlen(end);
    sentinel_span body = s.request.body;
    sentinel_span tail = {(uint16_t)(body.offset + body.size - size), (uint16_t)size};
    return body.size >= size && span_is(tail, end);
}

static void test_says_vault_and_expiry_beside_the_signature(void) {
    set_hyper(SENTINEL_ACTION_PLACE);
    set_id(s.key.api_key, &s.key.api_key_size, "vault-" VAULT);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(finish(), SENTINEL_REASON_NONE);
    CHECK(ends_with(",\"vaultAddress\":\"" VAULT "\",\"expiresAfter\":1700000005000}"));
    set_hyper(SENTINEL_ACTION_TRANSFER);
    set_id(s.key.api_key, &s.key.api_key_size, VAULT); /* its own account is not said */
    s.render.has_expiry = 1;                           /* nor an expiry that it cannot have */
    s.render.expiry = 1700000005000;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(finish(), SENTINEL_REASON_NONE);
    CHECK(ends_with(",\"vaultAddress\":null,\"expiresAfter\":null}"));
}

static void test_finishes_once_and_with_a_signature_of_its_kind(void) {
    sentinel_signature signature = {.algorithm = SENTINEL_ALGORITHM_ECDSA_SECP256K1, .size = 64};
    set_hyper(SENTINEL_ACTION_PLACE);
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED); /* nothing was rendered */
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    signature.recovery_id = 2;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    signature.recovery_id = 1;
    signature.size = 32;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    signature.size = 64; /* numbers are padded with zeros */
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK(ends_with("\"s\":\"0x"
                    "0000000000000000000000000000000000000000000000000000000000000000\","
                    "\"v\":28},\"vaultAddress\":null,\"expiresAfter\":1700000005000}"));
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    s.request.text_size = SENTINEL_REQUEST_TEXT_BYTES - 100;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    CHECK_EQ(s.request.overflow, 1);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 2;
    }
    RUN(import_key);
    RUN(test_hashes_orders_as_the_venues_library_does);
    RUN(test_hashes_triggers_vaults_and_expiries);
    RUN(test_hashes_the_other_actions);
    RUN(test_completes_the_body_of_the_venues_own_test);
    RUN(test_says_vault_and_expiry_beside_the_signature);
    RUN(test_finishes_once_and_with_a_signature_of_its_kind);
    sentinel_keyring_free(ring);
    return test_end();
}
