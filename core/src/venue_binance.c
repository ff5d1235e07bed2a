/* Binance spot (with its wallet) and USD-M futures, REST.
 *
 * Signed are the parameters alone: neither method nor path nor host. All of
 * them go into the query in the order of Binance's own libraries, none into
 * the body, and the signature is the last. A field that the venue has no
 * parameter for is refused, never left out. */
#include <string.h>

#include "bytes.h"
#include "venue.h"
#include "venue_text.h"

#define UNSUPPORTED SENTINEL_REASON_UNSUPPORTED
#define NONE SENTINEL_REASON_NONE

#define BINANCE_CLIENT_ID_BYTES_MAX 36u
#define RECV_WINDOW_MS_MAX 60000u
#define RECV_WINDOW_DEFAULT_MS 5000u

/* What differs between the two markets. */
typedef struct market {
    const char *host;
    const char *test_host;
    const char *order;
    const char *open_orders; /* those of a symbol or of the account */
    const char *cancel_all;  /* those of a symbol */
    const char *fills;
    uint8_t contract;
} market;

static const market markets[] = {
    {"api.binance.com", "testnet.binance.vision", "/api/v3/order", "/api/v3/openOrders",
     "/api/v3/openOrders", "/api/v3/myTrades", SENTINEL_CONTRACT_SPOT},
    {"fapi.binance.com", "testnet.binancefuture.com", "/fapi/v1/order", "/fapi/v1/openOrders",
     "/fapi/v1/allOpenOrders", "/fapi/v1/userTrades", SENTINEL_CONTRACT_LINEAR},
};
static const char algo_order[] = "/fapi/v1/algoOrder";

static int is_usdm(const sentinel_render *render) {
    return render->key->venue == SENTINEL_VENUE_BINANCE_USDM;
}

static const market *market_of(const sentinel_render *render) {
    return &markets[is_usdm(render)];
}

/* Host, path and header; the query begins here and ends the text. */
static void begin(sentinel_request *request, const sentinel_render *render, uint8_t method,
                  const char *path) {
    const sentinel_key_info *key = render->key;
    const market *of = market_of(render);
    request->method = method;
    request->host = text_span(request, venue_is_test(render) ? of->test_host : of->host);
    request->path = text_span(request, path);
    text_header(request, "X-MBX-APIKEY", key->api_key, key->api_key_size);
    request->query.offset = request->text_size;
}

/* What every signed request ends with, but the signature. */
static sentinel_reason end(sentinel_request *request, const sentinel_render *render) {
    if (!venue_may_send(render)) {
        return UNSUPPORTED;
    }
    if (render->has_expiry) {
        if (render->expiry == 0 || render->expiry > RECV_WINDOW_MS_MAX) {
            return SENTINEL_REASON_EXPIRY;
        }
        text_pair_integer(request, "recvWindow", render->expiry);
    }
    text_pair_integer(request, "timestamp", (uint64_t)render->timestamp_ms);
    request->query = text_since(request, request->query.offset);
    request->string_to_sign = request->query;
    return NONE;
}

static void add_symbol(sentinel_request *request, const sentinel_render *render) {
    text_pair(request, "symbol", render->instrument->symbol, render->instrument->symbol_size);
}

static void add_client_id(sentinel_request *request, const sentinel_render *render,
                          const char *key) {
    if (render->client_id_size > 0) {
        text_pair(request, key, render->client_id, render->client_id_size);
    }
}

static void add_decimal(sentinel_request *request, const sentinel_render *render, uint32_t bit,
                        const char *key, const sentinel_decimal *decimal) {
    if (venue_has(render, bit)) {
        text_pair_decimal(request, key, decimal);
    }
}

static void add_side_and_type(sentinel_request *request, const sentinel_render *render,
                              const char *type) {
    const sentinel_order_place *place = &render->order->place;
    add_symbol(request, render);
    text_pair_name(request, "side", place->side == SENTINEL_SIDE_BUY ? "BUY" : "SELL");
    text_pair_name(request, "type", type);
}

static const char *const times_in_force[SENTINEL_TIF_COUNT] = {
    [SENTINEL_TIF_GTC] = "GTC",       [SENTINEL_TIF_IOC] = "IOC", [SENTINEL_TIF_FOK] = "FOK",
    [SENTINEL_TIF_POST_ONLY] = "GTX", [SENTINEL_TIF_GTD] = "GTD",
};

/* Spot says "post only" by a type of its own, which has no time in force. */
static sentinel_reason place_spot(sentinel_request *request, const sentinel_render *render) {
    static const char *const types[SENTINEL_TYPE_COUNT] = {
        [SENTINEL_TYPE_LIMIT] = "LIMIT",
        [SENTINEL_TYPE_MARKET] = "MARKET",
        [SENTINEL_TYPE_STOP_MARKET] = "STOP_LOSS",
        [SENTINEL_TYPE_STOP_LIMIT] = "STOP_LOSS_LIMIT",
        [SENTINEL_TYPE_TAKE_PROFIT_MARKET] = "TAKE_PROFIT",
        [SENTINEL_TYPE_TAKE_PROFIT_LIMIT] = "TAKE_PROFIT_LIMIT",
    };
    const sentinel_order_place *place = &render->order->place;
    int maker = place->time_in_force == SENTINEL_TIF_POST_ONLY;
    if (place->position_side != 0 || place->trigger_by != 0 ||
        venue_has(render, SENTINEL_PRESENT_REDUCE_ONLY) ||
        venue_has(render, SENTINEL_PRESENT_EXPIRE) ||
        (maker && place->type != SENTINEL_TYPE_LIMIT)) {
        return UNSUPPORTED;
    }
    begin(request, render, SENTINEL_METHOD_POST, market_of(render)->order);
    add_side_and_type(request, render, maker ? "LIMIT_MAKER" : types[place->type]);
    if (place->time_in_force != SENTINEL_TIF_NONE && !maker) {
        text_pair_name(request, "timeInForce", times_in_force[place->time_in_force]);
    }
    add_decimal(request, render, SENTINEL_PRESENT_QUANTITY, "quantity", &place->quantity);
    add_decimal(request, render, SENTINEL_PRESENT_QUOTE_QUANTITY, "quoteOrderQty",
                &place->quote_quantity);
    add_decimal(request, render, SENTINEL_PRESENT_PRICE, "price", &place->price);
    add_client_id(request, render, "newClientOrderId");
    add_decimal(request, render, SENTINEL_PRESENT_TRIGGER_PRICE, "stopPrice",
                &place->trigger_price);
    return end(request, render);
}

/* USD-M keeps triggered orders apart from the others, behind an endpoint
 * with names of its own (the venue's change log, 2025-11-06). */
static sentinel_reason place_usdm(sentinel_request *request, const sentinel_render *render) {
    static const char *const types[SENTINEL_TYPE_COUNT] = {
        [SENTINEL_TYPE_LIMIT] = "LIMIT",
        [SENTINEL_TYPE_MARKET] = "MARKET",
        [SENTINEL_TYPE_STOP_MARKET] = "STOP_MARKET",
        [SENTINEL_TYPE_STOP_LIMIT] = "STOP",
        [SENTINEL_TYPE_TAKE_PROFIT_MARKET] = "TAKE_PROFIT_MARKET",
        [SENTINEL_TYPE_TAKE_PROFIT_LIMIT] = "TAKE_PROFIT",
    };
    static const char *const position_sides[SENTINEL_POSITION_COUNT] = {
        [SENTINEL_POSITION_LONG] = "LONG",
        [SENTINEL_POSITION_SHORT] = "SHORT",
        [SENTINEL_POSITION_BOTH] = "BOTH",
    };
    const sentinel_order_place *place = &render->order->place;
    int algo = venue_is_triggered(place->type);
    if (venue_has(render, SENTINEL_PRESENT_QUOTE_QUANTITY) ||
        place->trigger_by == SENTINEL_TRIGGER_BY_INDEX) {
        return UNSUPPORTED;
    }
    begin(request, render, SENTINEL_METHOD_POST, algo ? algo_order : market_of(render)->order);
    if (algo) {
        text_pair_name(request, "algoType", "CONDITIONAL");
    }
    add_side_and_type(request, render, types[place->type]);
    if (place->position_side != 0) {
        text_pair_name(request, "positionSide", position_sides[place->position_side]);
    }
    if (place->time_in_force != SENTINEL_TIF_NONE) {
        text_pair_name(request, "timeInForce", times_in_force[place->time_in_force]);
    }
    if (venue_has(render, SENTINEL_PRESENT_REDUCE_ONLY)) {
        text_pair_name(request, "reduceOnly", place->reduce_only ? "true" : "false");
    }
    add_decimal(request, render, SENTINEL_PRESENT_QUANTITY, "quantity", &place->quantity);
    add_decimal(request, render, SENTINEL_PRESENT_PRICE, "price", &place->price);
    add_decimal(request, render, SENTINEL_PRESENT_TRIGGER_PRICE, "triggerPrice",
                &place->trigger_price);
    if (place->trigger_by != 0) {
        text_pair_name(request, "workingType",
                       place->trigger_by == SENTINEL_TRIGGER_BY_MARK ? "MARK_PRICE"
                                                                     : "CONTRACT_PRICE");
    }
    add_client_id(request, render, algo ? "clientAlgoId" : "newClientOrderId");
    if (venue_has(render, SENTINEL_PRESENT_EXPIRE)) {
        text_pair_integer(request, "goodTillDate", (uint64_t)place->expire_ms);
    }
    return end(request, render);
}

/* Quantities are in the base asset here. An instrument that says otherwise
 * would be valued as something else than what is traded. */
static int is_tradable(const sentinel_render *render) {
    const sentinel_instrument *instrument = render->instrument;
    return instrument != NULL && instrument->contract == market_of(render)->contract &&
           instrument->quantity_unit == SENTINEL_UNIT_BASE;
}

static sentinel_reason place(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_place *order = &render->order->place;
    int is_market = !venue_is_limit(order->type);
    if (!is_tradable(render) || (is_market && venue_has(render, SENTINEL_PRESENT_PRICE)) ||
        order->margin_mode != 0 || order->trigger_direction != 0 ||
        venue_has(render, SENTINEL_PRESENT_CLOSE_ON_TRIGGER)) {
        return UNSUPPORTED;
    }
    return is_usdm(render) ? place_usdm(request, render) : place_spot(request, render);
}

/* What the engine itself placed is known by its client id. */
static void add_target(sentinel_request *request, const sentinel_render *render,
                       const sentinel_target *target, int algo) {
    size_t size;
    int is_own;
    const char *id = venue_target(render, target, &size, &is_own);
    const char *key = algo     ? (is_own ? "clientAlgoId" : "algoId")
                      : is_own ? "origClientOrderId"
                               : "orderId";
    text_pair(request, key, id, size);
}

/* One order, for a cancel or a query: by its type the engine knows where it
 * is kept. */
static sentinel_reason one_order(sentinel_request *request, const sentinel_render *render,
                                 uint8_t method, const sentinel_target *target) {
    int algo = is_usdm(render) && venue_is_triggered(render->target_type);
    if (render->instrument == NULL) {
        return UNSUPPORTED;
    }
    begin(request, render, method, algo ? algo_order : market_of(render)->order);
    if (!algo) {
        add_symbol(request, render);
    }
    add_target(request, render, target, algo);
    return end(request, render);
}

/* Quantity and price of a USD-M limit order; the venue has no amends of
 * others. Whether it only reduces is said for the venue to compare. */
static sentinel_reason amend(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_amend *order = &render->order->amend;
    if (!is_tradable(render) || order->type != SENTINEL_TYPE_LIMIT ||
        !venue_amend_keeps_terms(render)) {
        return UNSUPPORTED;
    }
    begin(request, render, SENTINEL_METHOD_PUT, market_of(render)->order);
    add_symbol(request, render);
    text_pair_name(request, "side", render->side == SENTINEL_SIDE_BUY ? "BUY" : "SELL");
    text_pair_decimal(request, "quantity", &order->quantity);
    text_pair_decimal(request, "price", &order->price);
    add_target(request, render, &order->target, 0);
    if (venue_has(render, SENTINEL_PRESENT_REDUCE_ONLY)) {
        text_pair_name(request, "reduceOnly", order->reduce_only ? "true" : "false");
    }
    return end(request, render);
}

static sentinel_reason cancel(sentinel_request *request, const sentinel_render *render) {
    return one_order(request, render, SENTINEL_METHOD_DELETE, &render->order->cancel.target);
}

static sentinel_reason cancel_all(sentinel_request *request, const sentinel_render *render) {
    if (render->instrument == NULL || render->order->cancel_all.asset != 0) {
        return UNSUPPORTED;
    }
    begin(request, render, SENTINEL_METHOD_DELETE, market_of(render)->cancel_all);
    add_symbol(request, render);
    return end(request, render);
}

static sentinel_reason cancel_all_after(sentinel_request *request, const sentinel_render *render) {
    if (!is_usdm(render) || render->instrument == NULL ||
        !venue_has(render, SENTINEL_PRESENT_TIMEOUT)) {
        return UNSUPPORTED;
    }
    begin(request, render, SENTINEL_METHOD_POST, "/fapi/v1/countdownCancelAll");
    add_symbol(request, render);
    text_pair_integer(request, "countdownTime", render->order->cancel_all_after.timeout_ms);
    return end(request, render);
}

static sentinel_reason query(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_query *order = &render->order->query;
    if (order->what == SENTINEL_QUERY_ORDER) {
        return one_order(request, render, SENTINEL_METHOD_GET, &order->target);
    }
    int fills = order->what == SENTINEL_QUERY_FILLS;
    if (order->contract != 0 ||
        (render->instrument == NULL && (fills || order->venue != render->key->venue))) {
        return UNSUPPORTED;
    }
    begin(request, render, SENTINEL_METHOD_GET,
          fills ? market_of(render)->fills : market_of(render)->open_orders);
    if (render->instrument != NULL) {
        add_symbol(request, render);
    }
    text_pairs_window(request, order, "startTime", "endTime", "limit");
    return end(request, render);
}

/* The wallet is reached by the spot host alone, and has no test network. */
static int has_wallet(const sentinel_render *render) {
    return !is_usdm(render) && !venue_is_test(render) && render->asset != NULL;
}

static sentinel_reason withdraw(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_withdraw *order = &render->order->withdraw;
    if (!has_wallet(render) || render->network == NULL || order->priority != 0 ||
        (order->from_account != 0 && order->from_account != SENTINEL_ACCOUNT_SPOT &&
         order->from_account != SENTINEL_ACCOUNT_FUNDING)) {
        return UNSUPPORTED;
    }
    begin(request, render, SENTINEL_METHOD_POST, "/sapi/v1/capital/withdraw/apply");
    text_pair(request, "coin", render->asset->code, render->asset->code_size);
    text_pair(request, "address", order->address, order->address_size);
    text_pair_decimal(request, "amount", &order->amount);
    add_client_id(request, render, "withdrawOrderId");
    if (render->network->code_size > 0) { /* none: the coin's default network */
        text_pair(request, "network", render->network->code, render->network->code_size);
    }
    if (venue_has(render, SENTINEL_PRESENT_MEMO)) {
        text_pair(request, "addressTag", order->memo, order->memo_size);
    }
    if (order->from_account != 0) {
        text_pair_integer(request, "walletType", order->from_account == SENTINEL_ACCOUNT_FUNDING);
    }
    return end(request, render);
}

static sentinel_reason transfer(sentinel_request *request, const sentinel_render *render) {
    static const char *const wallets[SENTINEL_ACCOUNT_COUNT] = {
        [SENTINEL_ACCOUNT_SPOT] = "MAIN",     [SENTINEL_ACCOUNT_FUNDING] = "FUNDING",
        [SENTINEL_ACCOUNT_USDM] = "UMFUTURE", [SENTINEL_ACCOUNT_COINM] = "CMFUTURE",
        [SENTINEL_ACCOUNT_MARGIN] = "MARGIN", [SENTINEL_ACCOUNT_OPTION] = "OPTION",
    };
    const sentinel_order_transfer *order = &render->order->transfer;
    const char *from = wallets[order->from_account], *to = wallets[order->to_account];
    /* The venue's list of pairs has all of these but COIN-M's with USD-M and
     * with options. */
    uint32_t pair = 1u << order->from_account | 1u << order->to_account;
    if (!has_wallet(render) || from == NULL || to == NULL || order->destination_size != 0 ||
        order->from_account == order->to_account ||
        pair == (1u << SENTINEL_ACCOUNT_COINM | 1u << SENTINEL_ACCOUNT_USDM) ||
        pair == (1u << SENTINEL_ACCOUNT_COINM | 1u << SENTINEL_ACCOUNT_OPTION)) {
        return UNSUPPORTED;
    }
    begin(request, render, SENTINEL_METHOD_POST, "/sapi/v1/asset/transfer");
    text_key(request, "type");
    text_string(request, from);
    text_string(request, "_");
    text_string(request, to);
    text_pair(request, "asset", render->asset->code, render->asset->code_size);
    text_pair_decimal(request, "amount", &order->amount);
    return end(request, render);
}

static sentinel_reason binance_render(sentinel_request *request, const sentinel_render *render) {
    static sentinel_reason (*const actions[SENTINEL_ACTION_COUNT])(sentinel_request *,
                                                                   const sentinel_render *) = {
        [SENTINEL_ACTION_PLACE] = place,
        [SENTINEL_ACTION_AMEND] = amend,
        [SENTINEL_ACTION_CANCEL] = cancel,
        [SENTINEL_ACTION_CANCEL_ALL] = cancel_all,
        [SENTINEL_ACTION_CANCEL_ALL_AFTER] = cancel_all_after,
        [SENTINEL_ACTION_QUERY] = query,
        [SENTINEL_ACTION_WITHDRAW] = withdraw,
        [SENTINEL_ACTION_TRANSFER] = transfer,
    };
    const sentinel_key_info *key = render->key;
    uint16_t action = render->order->header.action;
    int names_order = action == SENTINEL_ACTION_PLACE || action == SENTINEL_ACTION_WITHDRAW;
    if (key->purpose != SENTINEL_PURPOSE_VENUE ||
        (key->algorithm != SENTINEL_ALGORITHM_HMAC_SHA256 &&
         key->algorithm != SENTINEL_ALGORITHM_ED25519) ||
        actions[action] == NULL ||
        (venue_has(render, SENTINEL_PRESENT_LAB_CLIENT_ID) && !names_order)) {
        return UNSUPPORTED;
    }
    if (render->client_id_size > BINANCE_CLIENT_ID_BYTES_MAX ||
        render->target_client_id_size > BINANCE_CLIENT_ID_BYTES_MAX) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    if (!venue_key_is_named(key)) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    return actions[action](request, render);
}

static sentinel_reason binance_finish(sentinel_request *request, const sentinel_render *render,
                                      const sentinel_signature *signature) {
    char text[64];
    size_t size = (size_t)signature->size;
    int hex = render->key->algorithm == SENTINEL_ALGORITHM_HMAC_SHA256;
    if (size != (hex ? 32 : 64) || request->query.size != request->string_to_sign.size) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    if (hex) {
        bytes_to_hex(text, signature->bytes, 32);
        text_pair_plain(request, "signature", text, 64);
    } else {
        text_key(request, "signature");
        text_base64_encoded(request, signature->bytes, size);
    }
    request->query = text_since(request, request->query.offset);
    return NONE;
}

/* Nothing but the window ends what was released, and inside it the same bytes
 * are taken again: a client order id is unique among open orders alone. The
 * signed text has no end: cut within recvWindow and joined by a body, a part
 * of it may go unread, and the venue's default counts (docs/venues/binance.md). */
#define HOLD \
    { SENTINEL_HOLD_EXPIRY_SIGNED, 0, 0, {0}, RECV_WINDOW_DEFAULT_MS, RECV_WINDOW_MS_MAX }
static const sentinel_hold spot_holds[SENTINEL_ACTION_COUNT] = {
    [SENTINEL_ACTION_PLACE] = HOLD,      [SENTINEL_ACTION_CANCEL] = HOLD,
    [SENTINEL_ACTION_CANCEL_ALL] = HOLD, [SENTINEL_ACTION_QUERY] = HOLD,
    [SENTINEL_ACTION_WITHDRAW] = HOLD,   [SENTINEL_ACTION_TRANSFER] = HOLD,
};
static const sentinel_hold usdm_holds[SENTINEL_ACTION_COUNT] = {
    [SENTINEL_ACTION_PLACE] = HOLD,
    [SENTINEL_ACTION_AMEND] = HOLD,
    [SENTINEL_ACTION_CANCEL] = HOLD,
    [SENTINEL_ACTION_CANCEL_ALL] = HOLD,
    [SENTINEL_ACTION_CANCEL_ALL_AFTER] = HOLD,
    [SENTINEL_ACTION_QUERY] = HOLD,
};

const venue_table venue_binance_spot = {.name = "binance_spot",
                                        .holds = spot_holds,
                                        .render = binance_render,
                                        .finish = binance_finish};
const venue_table venue_binance_usdm = {.name = "binance_usdm",
                                        .holds = usdm_holds,
                                        .render = binance_render,
                                        .finish = binance_finish};
