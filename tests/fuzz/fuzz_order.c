/* Any bytes as an order; what passes is rendered, and the request must say
 * the same again when an independent parser reads it.
 *
 * Input: one byte of choices (environment, venue, algorithm), one of the
 * target's type, one of the render's options, then the order. A bit of the
 * first byte corrects version and size, which random bytes rarely hit. */
#include <sentinel/venue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEED(cond)                                                     \
    do {                                                               \
        if (!(cond)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                   \
        }                                                              \
    } while (0)

static sentinel_order order;
static sentinel_instrument instrument;
static sentinel_asset asset;
static sentinel_network network;
static sentinel_key_info key;
static sentinel_render render;
static sentinel_request request;
static unsigned seen; /* parameters that an expectation has claimed */

static int has(uint32_t bit) {
    return (order.header.present & bit) != 0;
}

static uint8_t set(char *text, const char *value) {
    memcpy(text, value, strlen(value));
    return (uint8_t)strlen(value);
}

/* The value of a parameter; null when there is none. Each stands once. */
static const char *value_of(const char *name, size_t *size) {
    const char *text = request.text + request.string_to_sign.offset;
    const char *end = text + request.string_to_sign.size, *found = NULL;
    while (text < end) {
        const char *stop = memchr(text, '&', (size_t)(end - text));
        stop = stop != NULL ? stop : end;
        const char *equals = memchr(text, '=', (size_t)(stop - text));
        NEED(equals != NULL && equals > text);
        if ((size_t)(equals - text) == strlen(name) && memcmp(text, name, strlen(name)) == 0) {
            NEED(found == NULL);
            found = equals + 1;
            *size = (size_t)(stop - found);
        }
        text = stop + 1;
    }
    return found;
}

static unsigned parameters(void) {
    unsigned count = 0;
    for (size_t i = 0; i < request.string_to_sign.size; i++) {
        char c = request.text[request.string_to_sign.offset + i];
        count += c == '=';
        NEED((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
             (c != 0 && strchr("._-=&", c) != NULL));
    }
    return count;
}

/* The parameter is there with this value if wanted, else not there. */
static void expect(int wanted, const char *name, const char *value, size_t value_size) {
    size_t size = 0;
    const char *found = value_of(name, &size);
    NEED((found != NULL) == (wanted != 0));
    if (wanted) {
        NEED(size == value_size && memcmp(found, value, size) == 0);
        seen++;
    }
}

static void expect_text(int wanted, const char *name, const char *value) {
    expect(wanted, name, value, strlen(value));
}

static void expect_number(int wanted, const char *name, unsigned long long number) {
    char text[24];
    snprintf(text, sizeof text, "%llu", number);
    expect_text(wanted, name, text);
}

static void expect_decimal(int wanted, const char *name, const sentinel_decimal *decimal) {
    char digits[40], text[48];
    int size =
        snprintf(digits, sizeof digits, "%0*lld", decimal->scale + 1, (long long)decimal->mantissa);
    int whole = size - decimal->scale;
    snprintf(text, sizeof text, "%.*s%s%s", whole, digits, decimal->scale ? "." : "",
             digits + whole);
    expect_text(wanted, name, text);
}

static void expect_place(void) {
    static const char *const spot[] = {
        "", "LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"};
    static const char *const usdm[] = {
        "", "LIMIT", "MARKET", "STOP_MARKET", "STOP", "TAKE_PROFIT_MARKET", "TAKE_PROFIT"};
    static const char *const tifs[] = {"", "GTC", "IOC", "FOK", "GTX", "GTD"};
    static const char *const positions[] = {"", "LONG", "SHORT", "BOTH"};
    const sentinel_order_place *place = &order.place;
    int is_usdm = key.venue == SENTINEL_VENUE_BINANCE_USDM;
    int algo = is_usdm && place->type > 2;
    int maker = !is_usdm && place->time_in_force == SENTINEL_TIF_POST_ONLY;
    expect_text(algo, "algoType", "CONDITIONAL");
    expect_text(1, "symbol", "BTCUSDT");
    expect_text(1, "side", place->side == SENTINEL_SIDE_BUY ? "BUY" : "SELL");
    expect_text(1, "type", maker ? "LIMIT_MAKER" : (is_usdm ? usdm : spot)[place->type]);
    expect_text(place->time_in_force != 0 && !maker, "timeInForce", tifs[place->time_in_force]);
    expect_decimal(has(SENTINEL_PRESENT_QUANTITY), "quantity", &place->quantity);
    expect_decimal(has(SENTINEL_PRESENT_QUOTE_QUANTITY), "quoteOrderQty", &place->quote_quantity);
    expect_decimal(has(SENTINEL_PRESENT_PRICE), "price", &place->price);
    expect_decimal(has(SENTINEL_PRESENT_TRIGGER_PRICE), algo ? "triggerPrice" : "stopPrice",
                   &place->trigger_price);
    expect_text(has(SENTINEL_PRESENT_REDUCE_ONLY), "reduceOnly",
                place->reduce_only ? "true" : "false");
    expect_text(place->position_side != 0, "positionSide", positions[place->position_side]);
    expect_text(place->trigger_by != 0, "workingType",
                place->trigger_by == SENTINEL_TRIGGER_BY_MARK ? "MARK_PRICE" : "CONTRACT_PRICE");
    expect_number(has(SENTINEL_PRESENT_EXPIRE), "goodTillDate",
                  (unsigned long long)place->expire_ms);
    expect(render.client_id_size > 0, algo ? "clientAlgoId" : "newClientOrderId", render.client_id,
           render.client_id_size);
    /* What Binance has no parameter for never gets here. */
    NEED(place->margin_mode == 0 && place->trigger_direction == 0);
    NEED(!has(SENTINEL_PRESENT_CLOSE_ON_TRIGGER));
    NEED(is_usdm || (place->position_side == 0 && !has(SENTINEL_PRESENT_REDUCE_ONLY) &&
                     place->trigger_by == 0 && !has(SENTINEL_PRESENT_EXPIRE)));
}

static void expect_target(const sentinel_target *target) {
    int algo = key.venue == SENTINEL_VENUE_BINANCE_USDM && render.target_type > 2;
    int named = render.target_client_id_size > 0;
    expect_text(!algo, "symbol", "BTCUSDT");
    expect(named, algo ? "clientAlgoId" : "origClientOrderId", render.target_client_id,
           render.target_client_id_size);
    expect(!named, algo ? "algoId" : "orderId", target->id, target->id_size);
}

/* USD-M alone, of limit orders alone. */
static void expect_amend(void) {
    const sentinel_order_amend *amend = &order.amend;
    NEED(key.venue == SENTINEL_VENUE_BINANCE_USDM && amend->type == SENTINEL_TYPE_LIMIT);
    expect_text(1, "side", render.side == SENTINEL_SIDE_BUY ? "BUY" : "SELL");
    expect_decimal(1, "quantity", &amend->quantity);
    expect_decimal(1, "price", &amend->price);
    expect_text(has(SENTINEL_PRESENT_REDUCE_ONLY), "reduceOnly",
                amend->reduce_only ? "true" : "false");
    expect_target(&amend->target);
}

static void expect_query(void) {
    const sentinel_order_query *query = &order.query;
    if (query->what == SENTINEL_QUERY_ORDER) {
        expect_target(&query->target);
        return;
    }
    expect_text(render.instrument != NULL, "symbol", "BTCUSDT");
    expect_number(has(SENTINEL_PRESENT_START), "startTime", (unsigned long long)query->start_ms);
    expect_number(has(SENTINEL_PRESENT_END), "endTime", (unsigned long long)query->end_ms);
    expect_number(has(SENTINEL_PRESENT_LIMIT), "limit", query->limit);
}

static void expect_withdraw(void) {
    const sentinel_order_withdraw *withdraw = &order.withdraw;
    expect_text(1, "coin", "USDT");
    expect(1, "address", withdraw->address, withdraw->address_size);
    expect_decimal(1, "amount", &withdraw->amount);
    expect(render.client_id_size > 0, "withdrawOrderId", render.client_id, render.client_id_size);
    expect_text(1, "network", "ETH");
    expect(has(SENTINEL_PRESENT_MEMO), "addressTag", withdraw->memo, withdraw->memo_size);
    expect_number(withdraw->from_account != 0, "walletType",
                  withdraw->from_account == SENTINEL_ACCOUNT_FUNDING);
}

static void expect_transfer(void) {
    static const char *const wallets[] = {"",       "MAIN", "FUNDING", "UMFUTURE", "CMFUTURE",
                                          "MARGIN", "",     "OPTION",  ""};
    char type[32];
    snprintf(type, sizeof type, "%s_%s", wallets[order.transfer.from_account],
             wallets[order.transfer.to_account]);
    expect_text(1, "type", type);
    expect_text(1, "asset", "USDT");
    expect_decimal(1, "amount", &order.transfer.amount);
    NEED(order.transfer.destination_size == 0);
}

static void expect_message(void) {
    const char *text = request.text + request.string_to_sign.offset;
    uint32_t size = order.message.text_size;
    NEED(request.string_to_sign.size == 24 + size && memcmp(text, "sentinel-message-v1", 20) == 0);
    NEED(memcmp(text + 20, &size, 4) == 0 && memcmp(text + 24, order.message.text, size) == 0);
    NEED(request.method == SENTINEL_METHOD_NONE && request.query.size == 0);
}

static void expect_request(void) {
    seen = 0;
    switch (order.header.action) {
    case SENTINEL_ACTION_PLACE:
        expect_place();
        break;
    case SENTINEL_ACTION_AMEND:
        expect_amend();
        break;
    case SENTINEL_ACTION_CANCEL:
        expect_target(&order.cancel.target);
        break;
    case SENTINEL_ACTION_CANCEL_ALL:
        expect_text(1, "symbol", "BTCUSDT");
        break;
    case SENTINEL_ACTION_CANCEL_ALL_AFTER:
        expect_text(1, "symbol", "BTCUSDT");
        expect_number(1, "countdownTime", order.cancel_all_after.timeout_ms);
        break;
    case SENTINEL_ACTION_QUERY:
        expect_query();
        break;
    case SENTINEL_ACTION_WITHDRAW:
        expect_withdraw();
        break;
    case SENTINEL_ACTION_TRANSFER:
        expect_transfer();
        break;
    default:
        abort(); /* nothing else is rendered */
    }
    expect_number(render.has_expiry, "recvWindow", render.expiry);
    expect_number(1, "timestamp", (unsigned long long)render.timestamp_ms);
    NEED(seen == parameters()); /* and nothing else is said */
    NEED(request.method != SENTINEL_METHOD_NONE && request.body.size == 0);
    NEED(memcmp(&request.query, &request.string_to_sign, sizeof request.query) == 0);
}

/* The signature goes behind what was signed, and reads back. */
static void expect_finished(void) {
    sentinel_signature signature = {.algorithm = key.algorithm,
                                    .size = key.algorithm == SENTINEL_ALGORITHM_ED25519 ? 64 : 32};
    for (size_t i = 0; i < signature.size; i++) {
        signature.bytes[i] = (uint8_t)(render.timestamp_ms * 31 + (int64_t)i * 7);
    }
    sentinel_request before = request;
    NEED(sentinel_venue_finish(&request, &render, &signature) == SENTINEL_REASON_NONE);
    NEED(memcmp(before.text, request.text, before.text_size) == 0);
    NEED(memcmp(&before.string_to_sign, &request.string_to_sign, sizeof(sentinel_span)) == 0);
    if (request.method == SENTINEL_METHOD_NONE) {
        return;
    }
    const char *tail = request.text + before.text_size;
    const char *end = request.text + request.query.offset + request.query.size;
    NEED(end == request.text + request.text_size && memcmp(tail, "&signature=", 11) == 0);
    const char *table = signature.size == 32
                            ? "0123456789abcdef"
                            : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t group = 0;
    unsigned bits = 0, count = 0, per_digit = signature.size == 32 ? 4 : 6;
    for (const char *at = tail + 11; at < end; at++) {
        char c = *at;
        if (c == '%') {
            NEED(end - at > 2);
            c = memcmp(at, "%2B", 3) == 0 ? '+' : memcmp(at, "%2F", 3) == 0 ? '/' : '=';
            NEED(c != '=' || memcmp(at, "%3D", 3) == 0);
            at += 2;
        }
        if (c == '=') {
            continue; /* padding */
        }
        const char *digit = strchr(table, c);
        NEED(c != 0 && digit != NULL);
        group = group << per_digit | (uint32_t)(digit - table);
        bits += per_digit;
        if (bits >= 8) {
            bits -= 8;
            NEED(count < signature.size && (uint8_t)(group >> bits) == signature.bytes[count]);
            count++;
        }
    }
    NEED(count == signature.size);
}

static void make_rows(const uint8_t *choices) {
    uint16_t action = order.header.action;
    int message = action == SENTINEL_ACTION_MESSAGE;
    int usdm = choices[0] >> 3 & 1;
    memset(&instrument, 0, sizeof instrument);
    memset(&asset, 0, sizeof asset);
    memset(&network, 0, sizeof network);
    memset(&key, 0, sizeof key);
    memset(&render, 0, sizeof render);
    key.venue = message ? SENTINEL_VENUE_NONE
                        : (usdm ? SENTINEL_VENUE_BINANCE_USDM : SENTINEL_VENUE_BINANCE_SPOT);
    key.purpose = message ? SENTINEL_PURPOSE_MESSAGE : SENTINEL_PURPOSE_VENUE;
    key.algorithm =
        choices[0] >> 4 & 1 ? SENTINEL_ALGORITHM_ED25519 : SENTINEL_ALGORITHM_HMAC_SHA256;
    key.api_key_size = set(key.api_key, "KEY");
    instrument.venue = asset.venue = key.venue;
    instrument.contract = usdm ? SENTINEL_CONTRACT_LINEAR : SENTINEL_CONTRACT_SPOT;
    instrument.quantity_unit = SENTINEL_UNIT_BASE;
    instrument.symbol_size = set(instrument.symbol, "BTCUSDT");
    asset.code_size = set(asset.code, "USDT");
    network.code_size = set(network.code, "ETH");
    int wallet = action == SENTINEL_ACTION_WITHDRAW || action == SENTINEL_ACTION_TRANSFER;
    int venue_wide =
        (action == SENTINEL_ACTION_CANCEL_ALL && order.cancel_all.instrument == 0) ||
        (action == SENTINEL_ACTION_CANCEL_ALL_AFTER && order.cancel_all_after.instrument == 0) ||
        (action == SENTINEL_ACTION_QUERY && order.query.venue != 0);
    render.order = &order;
    render.key = &key;
    render.instrument = wallet || message || venue_wide ? NULL : &instrument;
    render.asset = wallet ? &asset : NULL;
    render.network = action == SENTINEL_ACTION_WITHDRAW ? &network : NULL;
    render.environment = (uint8_t)(1 + (choices[0] & 3) % 3);
    render.timestamp_ms = INT64_C(1700000000000) + choices[2];
    render.target_type = choices[1] % SENTINEL_TYPE_COUNT;
    render.has_expiry = choices[2] & 1;
    render.expiry = choices[2] * 16u;
    if ((choices[2] & 2) != 0) {
        render.client_id_size = set(render.client_id, "0123456789abcdef0123456789abcdef");
    }
    render.side = choices[1] & 1 ? SENTINEL_SIDE_BUY : SENTINEL_SIDE_SELL;
    const sentinel_target *target = action == SENTINEL_ACTION_AMEND    ? &order.amend.target
                                    : action == SENTINEL_ACTION_CANCEL ? &order.cancel.target
                                                                       : &order.query.target;
    if (target->by == SENTINEL_TARGET_CLIENT_ID) {
        render.target_client_id_size = target->id_size;
        memcpy(render.target_client_id, target->id, sizeof target->id);
    } else if (target->by == SENTINEL_TARGET_ACTION) {
        render.target_client_id_size = set(render.target_client_id, "fedcba98");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) {
        return 0;
    }
    uint8_t environment = (uint8_t)(1 + (data[0] & 3) % 3);
    size_t bytes = size - 3;
    uint8_t copy[SENTINEL_ORDER_BYTES_MAX + 16];
    bytes = bytes < sizeof copy ? bytes : sizeof copy;
    memcpy(copy, data + 3, bytes);
    if ((data[0] & 4) != 0 && bytes >= 8) {
        uint16_t version = SENTINEL_ORDER_VERSION, action;
        memcpy(&action, copy + 2, 2);
        uint32_t own = sentinel_order_bytes(action);
        if (own != 0 && own <= bytes) {
            bytes = own;
            memcpy(copy, &version, 2);
            memcpy(copy + 4, &own, 4);
        }
    }
    sentinel_reason reason = SENTINEL_REASON_SUPPRESSED;
    NEED(sentinel_order_check(&reason, copy, bytes, environment) == SENTINEL_OK);
    NEED(reason == SENTINEL_REASON_NONE ||
         (reason >= SENTINEL_REASON_ORDER_SIZE && reason <= SENTINEL_REASON_ORDER_RELEASE_MODE));
    if (reason != SENTINEL_REASON_NONE) {
        return 0;
    }
    memset(&order, 0, sizeof order);
    memcpy(&order, copy, bytes);
    make_rows(data);
    reason = sentinel_venue_render(&request, &render);
    if (reason == SENTINEL_REASON_UNSUPPORTED) {
        return 0;
    }
    if (reason == SENTINEL_REASON_EXPIRY) {
        NEED(render.has_expiry && render.expiry == 0);
        return 0;
    }
    if (reason == SENTINEL_REASON_ORDER_TEXT) {
        NEED(render.client_id_size > 36 || render.target_client_id_size > 36);
        return 0;
    }
    NEED(reason == SENTINEL_REASON_NONE);
    if (order.header.action == SENTINEL_ACTION_MESSAGE) {
        expect_message();
    } else {
        expect_request();
    }
    expect_finished();
    return 0;
}
