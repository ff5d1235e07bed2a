/* Signs until it is killed, and writes what was released to a pipe.
 *
 *   crash_writer DIR PASSPHRASE AGENT INSTRUMENT DURABILITY
 *
 * Each release is one `released` in one write, which a pipe takes whole. */
#include <sentinel/sentinel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct released {
    uint64_t record;
    uint64_t epoch;
    uint64_t action_id;
    uint8_t record_hash32[32];
    uint8_t signature_size;
    uint8_t reserved[7];
    uint8_t signature[64];
} released;
SENTINEL_SIZE(released, 128);

static int64_t unix_now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int fail(const char *what, unsigned code) {
    fprintf(stderr, "%s: %#x\n", what, code);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        return fail("arguments", 0);
    }
    sentinel_engine_options options = {
        .passphrase = argv[2],
        .passphrase_size = strlen(argv[2]),
        .segment_bytes = SENTINEL_SEGMENT_BYTES_MIN, /* often a new one */
        .snapshot_every = 50,
        .durability = (uint8_t)atoi(argv[5]),
    };
    sentinel_engine *engine;
    sentinel_session session;
    static sentinel_outcome outcome;
    sentinel_status status = sentinel_engine_open(&engine, argv[1], &options, unix_now_ns());
    if (status != SENTINEL_OK) {
        return fail("open", status);
    }
    sentinel_context *context = sentinel_engine_context(engine);
    status = sentinel_session_open(&session, context, (uint32_t)strtoul(argv[3], NULL, 10));
    if (status != SENTINEL_OK) {
        return fail("session", status);
    }
    sentinel_order_place order = {
        .header = {.version = SENTINEL_ORDER_VERSION,
                   .action = SENTINEL_ACTION_PLACE,
                   .size_bytes = sizeof order,
                   .agent = session.agent,
                   .present = SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE,
                   .release_mode = SENTINEL_RELEASE_TO_AGENT},
        .instrument = (uint32_t)strtoul(argv[4], NULL, 10),
        .side = SENTINEL_SIDE_BUY,
        .type = SENTINEL_TYPE_LIMIT,
        .time_in_force = SENTINEL_TIF_GTC,
        .quantity = {.mantissa = 1, .scale = 2},
        .price = {.mantissa = 1000000, .scale = 2},
    };
    order.header.action_id =
        sentinel_view_agent(sentinel_gate_view(context), session.node)->id_highest;
    for (;;) {
        order.header.action_id++;
        status =
            sentinel_engine_sign(engine, &outcome, &session, &order, sizeof order, unix_now_ns());
        if (status != SENTINEL_OK || outcome.verdict != SENTINEL_ALLOWED) {
            return fail("sign", outcome.reason);
        }
        released out = {.record = outcome.record,
                        .epoch = outcome.epoch,
                        .action_id = order.header.action_id,
                        .signature_size = outcome.signature.size};
        memcpy(out.record_hash32, outcome.record_hash32, 32);
        memcpy(out.signature, outcome.signature.bytes, outcome.signature.size);
        if (write(1, &out, sizeof out) != (ssize_t)sizeof out) {
            return fail("write", 0);
        }
    }
}
