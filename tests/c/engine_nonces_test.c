/* An engine with precomputed nonces. Goal: they are used, every start says so
 * in the log, nothing starts them unasked, and the log replays as ever.
 * Method: an engine in a directory; messages, which have the Ed25519 key. */
#include "engine_scene.h"

#include <pthread.h>

enum { CAPACITY = 64 };

static sentinel_nonces figures(void) {
    sentinel_nonces nonces;
    CHECK_OK(sentinel_engine_nonces(engine, &nonces));
    return nonces;
}

static void fill_whole(void) {
    uint32_t made = 0;
    do {
        CHECK_OK(sentinel_engine_fill(engine, &made));
    } while (made > 0);
}

/* Signs a message; the signature is that of the message's key. */
static sentinel_signature message_sign(void) {
    sentinel_order order = scene_order(&scene, SENTINEL_ACTION_MESSAGE);
    char text[16]; /* another one each time, as is its deterministic signature */
    order.message.text_size = 8;
    (void)snprintf(text, sizeof text, "%08llu", (unsigned long long)order.header.action_id);
    memcpy(order.message.text, text, 8);
    scene.now += 1000;
    CHECK_OK(sentinel_engine_sign(engine, &scene.outcome, &scene.session, &order,
                                  order.header.size_bytes, scene.now));
    CHECK_EQ(scene.outcome.reason, SENTINEL_REASON_NONE);
    const sentinel_request *request = &scene.outcome.request;
    const sentinel_key_info *info = sentinel_keyring_find(scene.ring, KEY_MESSAGE);
    CHECK_OK(sentinel_verify(SENTINEL_ALGORITHM_ED25519, info->public_key, 32,
                             &scene.outcome.signature,
                             (const uint8_t *)request->text + request->string_to_sign.offset,
                             request->string_to_sign.size));
    return scene.outcome.signature;
}

/* What the last START of the log says. */
static uint8_t start_says(void) {
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_log_reader reader;
    sentinel_record record;
    uint8_t nonces = UINT8_MAX;
    int fd = open(in_home("log"), O_RDONLY | O_DIRECTORY);
    sentinel_status status = sentinel_log_reader_open(&reader, fd, 0);
    while (status == SENTINEL_OK) {
        status = sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer);
        if (status == SENTINEL_OK && record.header->type == SENTINEL_RECORD_START) {
            nonces = ((const sentinel_start *)record.subject)->nonces;
        }
    }
    CHECK_EQ(status, SENTINEL_AUDIT_END);
    sentinel_log_reader_close(&reader);
    close(fd);
    return nonces;
}

static void begin_with(uint32_t nonces, uint8_t accepted) {
    home_begin();
    CHECK_OK(engine_create());
    options.nonces = nonces;
    options.snapshot_risk = accepted;
}

static void test_a_pool_signs_and_its_start_is_recorded(void) {
    begin_with(CAPACITY, 1);
    CHECK_OK(engine_open());
    CHECK_EQ(start_says(), SENTINEL_NONCES_SNAPSHOT_RISK);
    CHECK_EQ(figures().capacity, CAPACITY); /* one key: receipts and HMAC keys have none */
    (void)message_sign();
    CHECK_EQ(figures().missed, 1);
    fill_whole();
    CHECK_EQ(figures().ready, CAPACITY);
    for (int i = 0; i < 2 * CAPACITY; i++) {
        (void)message_sign();
    }
    sentinel_nonces nonces = figures();
    CHECK_EQ(nonces.made, CAPACITY);
    CHECK_EQ(nonces.used, CAPACITY);
    CHECK_EQ(nonces.missed, CAPACITY + 1);
    expect_allowed(); /* HMAC, as before */
    CHECK_EQ(figures().missed, CAPACITY + 1);
}

static void test_the_log_replays_and_the_next_start_says_otherwise(void) {
    begin_with(CAPACITY, 1);
    CHECK_OK(engine_open());
    fill_whole();
    sentinel_signature first = message_sign();
    engine_close();
    options.nonces = 0;
    options.snapshot_risk = 0;
    CHECK_OK(engine_open()); /* by its snapshot */
    CHECK_EQ(start_says(), SENTINEL_NONCES_DETERMINISTIC);
    CHECK_EQ(figures().capacity, 0);
    uint32_t made = 7;
    CHECK_OK(sentinel_engine_fill(engine, &made));
    CHECK_EQ(made, 0);
    sentinel_signature plain = message_sign();
    CHECK(memcmp(&first, &plain, sizeof plain) != 0);
    engine_close();
    shell("rm -f %s/snapshots/*", home, "");
    CHECK_OK(engine_open()); /* by every record */
    (void)message_sign();
}

static void test_nothing_starts_a_pool_unasked(void) {
    begin_with(CAPACITY, 0);
    const uint64_t before = log_count();
    CHECK_EQ(engine_open(), SENTINEL_USAGE_ARGUMENT);
    begin_with(0, 1);
    CHECK_EQ(engine_open(), SENTINEL_USAGE_ARGUMENT);
    begin_with(CAPACITY, 2);
    CHECK_EQ(engine_open(), SENTINEL_USAGE_ARGUMENT);
    begin_with(CAPACITY + 1, 1);
    CHECK_EQ(engine_open(), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(log_count(), before);
    options.nonces = 0;
    options.snapshot_risk = 0;
    CHECK_OK(engine_open());
    CHECK_EQ(start_says(), SENTINEL_NONCES_DETERMINISTIC);
}

static void test_a_forked_child_fills_nothing(void) {
    begin_with(CAPACITY, 1);
    CHECK_OK(engine_open());
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        uint32_t made = 7;
        sentinel_nonces nonces;
        _exit(sentinel_engine_fill(engine, &made) == SENTINEL_USAGE_STATE && made == 0 &&
                      sentinel_engine_nonces(engine, &nonces) == SENTINEL_USAGE_STATE
                  ? 0
                  : 1);
    }
    int state;
    waitpid(child, &state, 0);
    CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    fill_whole();
    (void)message_sign();
    CHECK_EQ(figures().used, 1);
}

/* ---- Beside signing ---------------------------------------------------------- */

static int stopping;

static void *fill_until_told(void *data) {
    (void)data;
    while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        uint32_t made = 0;
        if (sentinel_engine_fill(engine, &made) != SENTINEL_OK) {
            abort();
        }
    }
    return NULL;
}

static void test_a_thread_fills_while_another_signs(void) {
    enum { ORDERS = 2000 };
    static uint8_t shown[ORDERS][32];
    begin_with(CAPACITY, 1);
    CHECK_OK(engine_open());
    pthread_t filler;
    stopping = 0;
    CHECK_EQ(pthread_create(&filler, NULL, fill_until_told, NULL), 0);
    for (int i = 0; i < ORDERS; i++) {
        sentinel_signature signature = message_sign();
        memcpy(shown[i], signature.bytes, 32);
    }
    __atomic_store_n(&stopping, 1, __ATOMIC_RELEASE);
    CHECK_EQ(pthread_join(filler, NULL), 0);
    for (int i = 0; i < ORDERS; i++) {
        for (int j = 0; j < i; j++) {
            CHECK(memcmp(shown[i], shown[j], 32) != 0);
        }
    }
    sentinel_nonces nonces = figures();
    CHECK(nonces.used > 0);
    CHECK_EQ(nonces.used + nonces.missed, ORDERS);
    CHECK_EQ(nonces.made, nonces.used + nonces.ready);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_pool_signs_and_its_start_is_recorded);
    RUN(test_the_log_replays_and_the_next_start_says_otherwise);
    RUN(test_nothing_starts_a_pool_unasked);
    RUN(test_a_forked_child_fills_nothing);
    RUN(test_a_thread_fills_while_another_signs);
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}
