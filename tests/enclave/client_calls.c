/* The C client, linked as a program outside the tree links it, against a daemon:
 * each call, a lost connection, a deadline, a retry. test_client_c.py starts it. */
#include <errno.h>
#include <sentinel_client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                              \
        }                                                                         \
    } while (0)
#define CHECK_IS(status, wanted)                                                    \
    do {                                                                            \
        sentinel_status found_ = (status);                                          \
        if (found_ != (wanted)) {                                                   \
            (void)fprintf(stderr, "%s:%d: %s is %s\n", __FILE__, __LINE__, #status, \
                          sentinel_status_name(found_));                            \
            exit(1);                                                                \
        }                                                                           \
    } while (0)
#define CHECK_OK(status) CHECK_IS(status, SENTINEL_OK)

static sentinel_outcome outcome;

static void bytes_of(uint8_t *into, const char *hex) {
    for (size_t i = 0; hex[2 * i] != 0; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], 0};
        into[i] = (uint8_t)strtoul(two, NULL, 16);
    }
}

static sentinel_client *opened(char **argv, uint32_t agent) {
    sentinel_client *client;
    sentinel_client_options options = {.pin_file = argv[3],
                                       .key = (uint32_t)strtoul(argv[5], NULL, 10),
                                       .agent = agent,
                                       .role = agent ? SENTINEL_ROLE_AGENT : SENTINEL_ROLE_COMMAND,
                                       .timeout_ns = INT64_C(20000000000)};
    bytes_of(options.seed32, argv[4]);
    CHECK_OK(sentinel_client_open(&client, argv[2], &options));
    return client;
}

static sentinel_order_message message(uint64_t action_id, const char *text) {
    sentinel_order_message order = {.header = {.version = SENTINEL_ORDER_VERSION,
                                               .action = SENTINEL_ACTION_MESSAGE,
                                               .size_bytes = sizeof order,
                                               .action_id = action_id,
                                               .release_mode = SENTINEL_RELEASE_TO_AGENT}};
    order.text_size = (uint16_t)strlen(text);
    memcpy(order.text, text, order.text_size);
    return order;
}

static sentinel_status sign(sentinel_client *client, uint64_t action_id, const char *text) {
    const sentinel_order_message order = message(action_id, text);
    return sentinel_client_sign(client, &outcome, &order, sizeof order);
}

static sentinel_client_facts facts_of(const sentinel_client *client) {
    sentinel_client_facts facts;
    sentinel_client_facts_get(client, &facts);
    return facts;
}

/* Tells the test to go on, and waits until it has. */
static void turn(const char *what) {
    (void)printf("%s\n", what);
    (void)fflush(stdout);
    CHECK(getchar() != EOF);
}

static void agents_calls(sentinel_client *client) {
    sentinel_daemon_status status;
    const uint8_t *bytes;
    size_t size;
    uint64_t record;
    const uint8_t nonce32[32] = {1};
    CHECK_OK(sentinel_client_status(client, &status));
    CHECK(status.next_action_known == 1 && status.halted == 0);
    CHECK_OK(sign(client, 0, "hello"));
    CHECK(outcome.verdict == SENTINEL_ALLOWED && outcome.signature.size == 64);
    CHECK(outcome.record == status.records);
    CHECK_OK(sign(client, 0, "hello"));
    CHECK(outcome.record == status.records + 1);
    CHECK_OK(sentinel_client_bundle(client, &bytes, &size, SENTINEL_FRAME_POLICY));
    CHECK(size > 64 && memcmp(bytes, "SENTINEL", 8) == 0);
    sentinel_head head;
    uint8_t signature64[64];
    CHECK_OK(sentinel_client_head(client, &head, signature64));
    CHECK(head.count == status.records + 2);
    CHECK_IS(sentinel_client_attest(client, &bytes, &size, nonce32), SENTINEL_USAGE_STATE);
    CHECK(facts_of(client).is_answer == 1);
    CHECK(sentinel_client_withdraw(client, &record, 1) != SENTINEL_OK);
    CHECK(sentinel_client_beat(client, &record, nonce32, 32) != SENTINEL_OK);
    CHECK_IS(sentinel_client_state(client, &bytes, &size, 0), SENTINEL_POLICY_SCOPE);
    CHECK_IS(sentinel_client_set_timeout(client, 0), SENTINEL_USAGE_ARGUMENT);
    CHECK_IS(sentinel_client_sign(client, &outcome, nonce32, 8), SENTINEL_USAGE_ARGUMENT);
}

static void commanders_calls(sentinel_client *client, const char *frame_file) {
    static uint8_t frame[65536];
    FILE *file = fopen(frame_file, "rb");
    CHECK(file != NULL);
    size_t frame_size = fread(frame, 1, sizeof frame, file);
    (void)fclose(file);
    sentinel_taken taken;
    sentinel_signed_ack ack;
    int is_acked;
    CHECK_OK(sentinel_client_take(client, &taken, &ack, &is_acked, frame, frame_size));
    CHECK(is_acked == 1 && ack.ack.record == taken.record);
    uint64_t first = taken.record;
    CHECK_OK(sentinel_client_take(client, &taken, &ack, &is_acked, frame, frame_size));
    CHECK(taken.record == first); /* asked again: taken once */
    const uint8_t *bytes;
    size_t size;
    CHECK_OK(sentinel_client_state(client, &bytes, &size, 0));
    CHECK(size > sizeof(sentinel_state) && memcmp(bytes, "SENTSTAT", 8) == 0);
    size_t rows = size;
    CHECK_OK(sentinel_client_state(client, &bytes, &size, SENTINEL_STATE_BOOKS));
    CHECK(size > rows);
    CHECK_OK(sentinel_client_records(client, &bytes, &size, 0, 1000));
    CHECK(size > 4);
    uint64_t total;
    CHECK_OK(sentinel_client_keys(client, &bytes, &size));
    CHECK(size != 0 && size % sizeof(sentinel_key_info) == 0);
    CHECK_OK(sentinel_client_file(client, &bytes, &size, &total, "", 0, 0));
    CHECK(size > 9 && memcmp(bytes, "log/head\n", 9) == 0 && total == 0);
    CHECK_OK(sentinel_client_file(client, &bytes, &size, &total, "log/head", 1, 10));
    CHECK(size == 10 && total > 11);
    CHECK_OK(sentinel_client_file(client, &bytes, &size, &total, "log/head", total, 10));
    CHECK(size == 0);
    CHECK(sentinel_client_file(client, &bytes, &size, &total, "../genesis", 0, 10) != SENTINEL_OK);
    sentinel_ask ask;
    uint8_t signature64[64];
    CHECK_OK(sentinel_client_ask(client, &ask, signature64, 0));
    CHECK(ask.count == first + 1);
    CHECK_IS(sign(client, 1, "no agent"), SENTINEL_POLICY_SCOPE);
}

/* The same struct gives the same bytes, another one with its id is a duplicate. */
static void retry(sentinel_client *client) {
    CHECK_OK(sign(client, 1000, "once"));
    CHECK(outcome.verdict == SENTINEL_ALLOWED);
    const sentinel_outcome first = outcome;
    CHECK_OK(sign(client, 1000, "once"));
    CHECK(outcome.verdict == SENTINEL_ALLOWED && outcome.record == first.record);
    CHECK(memcmp(&outcome.signature, &first.signature, sizeof first.signature) == 0);
    CHECK_OK(sign(client, 1000, "twice"));
    CHECK(outcome.verdict == SENTINEL_DENIED && outcome.reason == SENTINEL_REASON_DUPLICATE);
    CHECK(outcome.record == first.record && outcome.signature.size == 0);
}

/* The daemon is killed and begins anew between two calls. */
static void reconnect(sentinel_client *client) {
    CHECK_OK(sign(client, 2000, "before"));
    uint64_t record = outcome.record;
    turn("restart");
    CHECK_OK(sign(client, 2000, "before")); /* it kept nothing: never a second signature */
    CHECK(outcome.verdict == SENTINEL_DENIED && outcome.reason == SENTINEL_REASON_DUPLICATE);
    CHECK(outcome.record == record);
    CHECK_OK(sign(client, 2001, "after"));
    CHECK(outcome.verdict == SENTINEL_ALLOWED);
    CHECK(facts_of(client).connects == 2);
}

/* The daemon stands still for longer than a call may take. */
static void deadline(sentinel_client *client) {
    struct timespec begun, ended;
    CHECK_OK(sign(client, 3000, "quick"));
    CHECK_OK(sentinel_client_set_timeout(client, 300000000));
    turn("stop");
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    CHECK_IS(sign(client, 3001, "slow"), SENTINEL_IO_READ);
    (void)clock_gettime(CLOCK_MONOTONIC, &ended);
    double took =
        (double)(ended.tv_sec - begun.tv_sec) + 1e-9 * (double)(ended.tv_nsec - begun.tv_nsec);
    CHECK(took > 0.25 && took < 5);
    sentinel_client_facts facts = facts_of(client);
    CHECK(facts.is_answer == 0 && facts.is_sent == 1 && facts.last_errno == ETIMEDOUT);
    turn("go on");
    CHECK_OK(sentinel_client_set_timeout(client, INT64_C(20000000000)));
    CHECK_OK(sign(client, 3001, "slow"));
    CHECK(outcome.verdict == SENTINEL_ALLOWED || outcome.reason == SENTINEL_REASON_DUPLICATE);
    CHECK_OK(sign(client, 3002, "on"));
    CHECK(outcome.verdict == SENTINEL_ALLOWED);
}

/* client_calls MODE ADDRESS PIN_FILE SEED_HEX ROW AGENT [FRAME_FILE] */
int main(int argc, char **argv) {
    CHECK(argc >= 7);
    sentinel_client *client = opened(argv, (uint32_t)strtoul(argv[6], NULL, 10));
    if (strcmp(argv[1], "agent") == 0) {
        agents_calls(client);
    } else if (strcmp(argv[1], "command") == 0) {
        commanders_calls(client, argv[7]);
    } else if (strcmp(argv[1], "retry") == 0) {
        retry(client);
    } else if (strcmp(argv[1], "reconnect") == 0) {
        reconnect(client);
    } else {
        CHECK(strcmp(argv[1], "deadline") == 0);
        deadline(client);
    }
    sentinel_client_close(client);
    (void)printf("done\n");
    return 0;
}
