/* Replay of what venues' renderers refused, and of what no key file need keep.
 * Goal: a log is decided again alike, whatever became of keys and passphrases.
 * Method: one history, replayed with and without keys, after a passphrase was
 * set, changed and taken away. */
#include "gate_scene.h"

enum { KEY_OKX = 4, KEY_ONCHAIN = 5, OKX_SWAP = 31, HL_PERP = 32, RECORDS_MAX = 16 };

static gate_scene scene;
static _Alignas(8) uint8_t bytes[RECORDS_MAX][SENTINEL_RECORD_BYTES_MAX];
static sentinel_record records[RECORDS_MAX];
static uint64_t record_count;

typedef struct kept_frame {
    size_t size;
    _Alignas(8) uint8_t bytes[16384];
} kept_frame;
static kept_frame authority, policy;

static void keep(kept_frame *kept) {
    CHECK(scene.frame_size <= sizeof kept->bytes);
    kept->size = scene.frame_size;
    memcpy(kept->bytes, scene.frame, scene.frame_size);
}

/* An engine with keys of OKX and Hyperliquid; its frames are kept. */
static void begin(void) {
    scene_bare(&scene);
    scene_key(scene.ring, KEY_OKX, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_HMAC_SHA256,
              SENTINEL_VENUE_OKX);
    sentinel_key_info info = {.id = KEY_ONCHAIN,
                              .purpose = SENTINEL_PURPOSE_VENUE,
                              .algorithm = SENTINEL_ALGORITHM_ECDSA_SECP256K1,
                              .venue = SENTINEL_VENUE_HYPERLIQUID};
    CHECK_OK(sentinel_keyring_generate(scene.ring, &info));
    CHECK_OK(sentinel_gate_genesis(scene.context, scene.now));
    scene_authority(&scene);
    keep(&authority);
    CHECK_OK(scene_take(&scene));
    scene_policy_rows(&scene);
    sentinel_instrument *swap =
        scene_contract(&scene, OKX_SWAP, SENTINEL_VENUE_OKX, SENTINEL_CONTRACT_LINEAR,
                       SENTINEL_UNIT_CONTRACTS, "BTC-USDT-SWAP");
    swap->multiplier = decimal(1, 2);
    swap->lot = decimal(1, 3);
    /* Nine decimals, which the venue does not have. */
    scene_contract(&scene, HL_PERP, SENTINEL_VENUE_HYPERLIQUID, SENTINEL_CONTRACT_LINEAR,
                   SENTINEL_UNIT_BASE, "BTC")
        ->lot = decimal(1, 9);
    scene_venue_key(&scene, KEY_OKX, SENTINEL_VENUE_OKX, SENTINEL_PURPOSE_VENUE,
                    1u << SENTINEL_CONTRACT_LINEAR);
    scene_venue_key(&scene, KEY_ONCHAIN, SENTINEL_VENUE_HYPERLIQUID, SENTINEL_PURPOSE_VENUE,
                    1u << SENTINEL_CONTRACT_LINEAR);
    CHECK_OK(scene_load(&scene));
    keep(&policy);
    CHECK_OK(sentinel_gate_start(scene.context, 0, scene.now));
    CHECK_OK(sentinel_session_open(&scene.session, scene.context, AGENT_A));
}

static void read_all(void) {
    sentinel_log_reader reader;
    record_count = sentinel_gate_state(scene.context)->record_count;
    CHECK(record_count <= RECORDS_MAX);
    CHECK_OK(sentinel_log_reader_open(&reader, scene.dir_fd, 0));
    for (uint64_t i = 0; i < record_count; i++) {
        CHECK_OK(sentinel_log_reader_next(&reader, &records[i], bytes[i], sizeof bytes[i]));
    }
    sentinel_log_reader_close(&reader);
}

static void check_replays(sentinel_keyring *ring) {
    scene_context(&scene, ring, NULL);
    for (uint64_t i = 0; i < record_count; i++) {
        const kept_frame *frame = i == 1 ? &authority : i == 2 ? &policy : NULL;
        const char *difference = NULL;
        sentinel_status status = sentinel_gate_replay(scene.context, &difference, &records[i],
                                                      frame != NULL ? frame->bytes : NULL,
                                                      frame != NULL ? frame->size : 0);
        if (status != SENTINEL_OK) {
            printf("    record %llu: %s\n", (unsigned long long)i,
                   difference != NULL ? difference : "");
        }
        CHECK_OK(status);
    }
}

static void set_passphrase(const char *text) {
    CHECK_OK(sentinel_keyring_set_passphrase(scene.ring, KEY_OKX, text, strlen(text)));
}

static sentinel_order place_at(uint32_t instrument) {
    sentinel_order order = scene_place(&scene);
    order.place.instrument = instrument;
    order.place.quantity = decimal(1, 0);
    order.place.margin_mode = SENTINEL_MARGIN_CROSS;
    order.place.price = decimal(50000, 0);
    return order;
}

static void test_a_lot_that_the_renderer_refused_replays(void) {
    begin();
    sentinel_order order = place_at(HL_PERP);
    order.place.margin_mode = 0;
    order.place.quantity = decimal(1, 9);
    check_denied(&scene, &order, SENTINEL_REASON_LOT);
    read_all();
    check_replays(scene.ring);
    check_replays(NULL);
    scene_end(&scene);
}

/* Or an engine that lacked it once could never be opened again. */
static void test_a_passphrase_that_came_later_replays(void) {
    begin();
    sentinel_order order = place_at(OKX_SWAP);
    check_denied(&scene, &order, SENTINEL_REASON_KEY_UNAVAILABLE);
    read_all();
    check_replays(scene.ring);
    set_passphrase("Test-Pass-123!");
    check_replays(scene.ring);
    check_replays(NULL);
    scene_end(&scene);
}

static void test_a_passphrase_that_changed_or_went_replays(void) {
    begin();
    set_passphrase("Test-Pass-123!");
    sentinel_order order = place_at(OKX_SWAP);
    order.place.quantity = decimal(1, 0);
    check_allowed(&scene, &order);
    read_all();
    check_replays(scene.ring);
    set_passphrase("Test-Pass-456!");
    check_replays(scene.ring);
    set_passphrase("");
    check_replays(scene.ring);
    check_replays(NULL);
    scene_end(&scene);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_lot_that_the_renderer_refused_replays);
    RUN(test_a_passphrase_that_came_later_replays);
    RUN(test_a_passphrase_that_changed_or_went_replays);
    return test_end();
}
