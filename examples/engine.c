/* A trading engine in C: opens a Sentinel directory and asks for signatures
 * in a loop. Build it anywhere:
 *
 *   cc engine.c $(pkg-config --cflags --libs sentinel) -o engine
 *   ./engine DIR PASSPHRASE_FILE AGENT_ID INSTRUMENT_ID PRICE COUNT
 *
 * Agent and instrument are ids of the policy (`zcp policy explain --json`).
 * Each round buys one lot at PRICE; whether that is signed is for the policy
 * to say. One last order is too large on purpose. */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <sentinel/sentinel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t unix_now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static size_t read_passphrase(char *text, size_t size, const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(text, (int)size, file) == NULL) {
        perror(path);
        exit(2);
    }
    fclose(file);
    return strcspn(text, "\r\n");
}

/* Everything that is not set stays zero, which means absent. */
static sentinel_order_place buy(uint32_t agent, uint64_t action_id,
                                const sentinel_instrument *instrument, sentinel_decimal price,
                                int64_t lots) {
    sentinel_order_place order = {
        .header =
            {
                .version = SENTINEL_ORDER_VERSION,
                .action = SENTINEL_ACTION_PLACE,
                .size_bytes = sizeof order,
                .agent = agent,
                .action_id = action_id,
                .present = SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE,
                .release_mode = SENTINEL_RELEASE_TO_AGENT,
            },
        .instrument = instrument->id,
        .side = SENTINEL_SIDE_BUY,
        .type = SENTINEL_TYPE_LIMIT,
        .time_in_force = SENTINEL_TIF_GTC,
        .quantity = {.mantissa = instrument->lot.mantissa * lots, .scale = instrument->lot.scale},
        .price = price,
    };
    return order;
}

static void print_outcome(const sentinel_outcome *outcome) {
    if (outcome->verdict == SENTINEL_ALLOWED) {
        const sentinel_request *request = &outcome->request;
        printf("record %" PRIu64 ": signed   %.*s%.*s?%.*s\n", outcome->record, request->host.size,
               request->text + request->host.offset, request->path.size,
               request->text + request->path.offset, request->query.size,
               request->text + request->query.offset);
    } else {
        printf("record %" PRIu64 ": refused  %s: %s\n", outcome->record,
               sentinel_reason_code((sentinel_reason)outcome->reason),
               sentinel_reason_text((sentinel_reason)outcome->reason));
    }
}

static int check(sentinel_status status, const char *what) {
    if (status != SENTINEL_OK) {
        fprintf(stderr, "%s: %s (%s)\n", what, sentinel_status_text(status),
                sentinel_status_name(status));
    }
    return status == SENTINEL_OK;
}

int main(int argc, char **argv) {
    sentinel_decimal price;
    if (argc != 7 || sentinel_decimal_read(&price, argv[5], strlen(argv[5])) != SENTINEL_OK) {
        fprintf(stderr, "usage: %s DIR PASSPHRASE_FILE AGENT_ID INSTRUMENT_ID PRICE COUNT\n",
                argv[0]);
        return 2;
    }
    char passphrase[SENTINEL_PASSPHRASE_BYTES_MAX];
    sentinel_engine_options options = {
        .passphrase = passphrase,
        .passphrase_size = read_passphrase(passphrase, sizeof passphrase, argv[2]),
        .durability = SENTINEL_DURABILITY_WRITE,
    };
    uint32_t agent = (uint32_t)strtoul(argv[3], NULL, 10);
    uint32_t instrument_id = (uint32_t)strtoul(argv[4], NULL, 10);
    uint64_t count = strtoull(argv[6], NULL, 10);

    sentinel_engine *engine = NULL;
    sentinel_status opened = sentinel_engine_open(&engine, argv[1], &options, unix_now_ns());
    memset(passphrase, 0, sizeof passphrase);
    if (!check(opened, argv[1])) {
        sentinel_engine_close(engine, unix_now_ns());
        return 1;
    }
    int exit_status = 1;
    sentinel_session session;
    const sentinel_view *view = sentinel_gate_view(sentinel_engine_context(engine));
    const sentinel_instrument *instrument =
        sentinel_bundle_instrument(&view->bundle, instrument_id);
    if (instrument == NULL) {
        fprintf(stderr, "the policy has no instrument %" PRIu32 "\n", instrument_id);
    } else if (check(sentinel_session_open(&session, sentinel_engine_context(engine), agent),
                     "session")) {
        /* Ids grow; those of this agent that were signed before stay used. */
        uint64_t id = sentinel_view_agent(view, session.node)->id_highest;
        static sentinel_outcome outcome;
        exit_status = 0;
        for (uint64_t i = 0; i <= count && exit_status == 0; i++) {
            int64_t lots = i < count ? 1 : 1000000000;
            sentinel_order_place order = buy(agent, ++id, instrument, price, lots);
            if (check(sentinel_engine_sign(engine, &outcome, &session, &order, sizeof order,
                                           unix_now_ns()),
                      "sign")) {
                print_outcome(&outcome);
            } else {
                exit_status = 1;
            }
        }
    }
    sentinel_engine_close(engine, unix_now_ns());
    return exit_status;
}
