/* Bybit v5, REST: spot, linear, inverse and option by one key.
 *
 * Signed are time, key, window, and the query or the body; neither method nor
 * path nor host (docs/v5/guide, "Create A Request"). The body is compact JSON
 * in the order of the venue's own examples, every decimal a text; it is sent
 * as it was signed. No broker's id is ever added. A field that the venue has
 * no parameter for is refused, never left out. */
#include <string.h>

#include "bytes.h"
#include "venue.h"
#include "venue_text.h"

#define UNSUPPORTED SENTINEL_REASON_UNSUPPORTED
#define NONE SENTINEL_REASON_NONE

#define BYBIT_ORDER_LINK_ID_BYTES_MAX 36u
#define BYBIT_REQUEST_ID_BYTES_MAX 32u
#define BYBIT_FILLS_MAX 100u
#define UUID_DIGITS 32u
#define UUID_BYTES 36u
/* The venue names no maximum; this one is ours. */
#define RECV_WINDOW_MS_MAX 60000u

/* Null: the venue has no such contracts. */
static const char *category_of(uint8_t contract) {
    static const char *const categories[SENTINEL_CONTRACT_COUNT] = {
        [SENTINEL_CONTRACT_SPOT] = "spot",
        [SENTINEL_CONTRACT_LINEAR] = "linear",
        [SENTINEL_CONTRACT_INVERSE] = "inverse",
        [SENTINEL_CONTRACT_OPTION] = "option",
    };
    return contract < SENTINEL_CONTRACT_COUNT ? categories[contract] : NULL;
}

static const char *instrument_category(const sentinel_render *render) {
    return render->instrument != NULL ? category_of(render->instrument->contract) : NULL;
}

/* The category of an action on an instrument or on a whole venue. */
static const char *scope_category(const sentinel_render *render, uint16_t venue, uint8_t contract) {
    if (render->instrument != NULL) {
        return instrument_category(render);
    }
    return venue == render->key->venue ? category_of(contract) : NULL;
}

/* Inverse contracts are counted in US dollars, everything else in its base
 * (docs/v5/order/create-order, "qty"). An instrument that says otherwise
 * would be valued as something else than what is traded. */
static int is_tradable(const sentinel_render *render) {
    const sentinel_instrument *instrument = render->instrument;
    return instrument_category(render) != NULL &&
           instrument->quantity_unit == (instrument->contract == SENTINEL_CONTRACT_INVERSE
                                             ? SENTINEL_UNIT_QUOTE
                                             : SENTINEL_UNIT_BASE);
}

static sentinel_span span_integer(sentinel_request *request, uint64_t value) {
    size_t offset = request->text_size;
    text_integer(request, value);
    return text_since(request, offset);
}

/* Host, path, headers, and what is signed before query or body. Two headers
 * have the very characters that are signed as their values. */
static void begin(sentinel_request *request, const sentinel_render *render, uint8_t method,
                  const char *path) {
    static const char json[] = "application/json";
    const sentinel_key_info *key = render->key;
    request->method = method;
    request->host =
        text_span(request, venue_is_test(render) ? "api-testnet.bybit.com" : "api.bybit.com");
    request->path = text_span(request, path);
    if (method == SENTINEL_METHOD_POST) {
        text_header(request, "Content-Type", json, sizeof json - 1);
    }
    text_header(request, "X-BAPI-API-KEY", key->api_key, key->api_key_size);
    uint8_t time = request->header_count++, window = time;
    request->header_names[time] = text_span(request, "X-BAPI-TIMESTAMP");
    if (render->has_expiry) {
        window = request->header_count++;
        request->header_names[window] = text_span(request, "X-BAPI-RECV-WINDOW");
    }
    request->string_to_sign.offset = request->text_size;
    request->header_values[time] = span_integer(request, (uint64_t)render->timestamp_ms);
    text_add(request, key->api_key, key->api_key_size);
    if (render->has_expiry) {
        request->header_values[window] = span_integer(request, render->expiry);
    }
}

static void begin_body(sentinel_request *request, const sentinel_render *render, const char *path) {
    begin(request, render, SENTINEL_METHOD_POST, path);
    request->body.offset = request->text_size;
    text_add(request, "{", 1);
}

static sentinel_reason end_body(sentinel_request *request) {
    text_add(request, "}", 1);
    request->body = text_since(request, request->body.offset);
    request->string_to_sign = text_since(request, request->string_to_sign.offset);
    return NONE;
}

static void begin_query(sentinel_request *request, const sentinel_render *render,
                        const char *path) {
    begin(request, render, SENTINEL_METHOD_GET, path);
    request->query.offset = request->text_size;
}

static sentinel_reason end_query(sentinel_request *request) {
    request->query = text_since(request, request->query.offset);
    request->string_to_sign = text_since(request, request->string_to_sign.offset);
    return NONE;
}

static void add_instrument(sentinel_request *request, const sentinel_render *render) {
    const sentinel_instrument *instrument = render->instrument;
    text_json_name(request, "category", instrument_category(render));
    text_json_text(request, "symbol", instrument->symbol, instrument->symbol_size);
}

static void add_decimal(sentinel_request *request, const sentinel_render *render, uint32_t bit,
                        const char *key, const sentinel_decimal *decimal) {
    if (venue_has(render, bit)) {
        text_json_decimal(request, key, decimal);
    }
}

/* Letters, digits, and these; the form of an order lets a few more pass. */
static int is_named(const char *text, size_t size, size_t size_max, const char *never) {
    for (; *never != 0; never++) {
        if (memchr(text, *never, size) != NULL) {
            return 0;
        }
    }
    return size <= size_max && sentinel_text_is_id(text, size);
}

static int is_order_link_id(const char *text, size_t size) {
    return is_named(text, size, BYBIT_ORDER_LINK_ID_BYTES_MAX, ".");
}

/* A stop loss waits for a price that is worse than now, a take profit for a
 * better one. */
static uint8_t direction_of(const sentinel_order_place *place) {
    int stop = place->type == SENTINEL_TYPE_STOP_MARKET || place->type == SENTINEL_TYPE_STOP_LIMIT;
    return stop == (place->side == SENTINEL_SIDE_BUY) ? SENTINEL_TRIGGER_RISE
                                                      : SENTINEL_TRIGGER_FALL;
}

/* The venue long documented marketUnit as not supported by conditional orders,
 * and does not say when that changed. What one buys would then be counted in
 * the quote currency, which is more than was judged where a coin is worth less
 * than one of it; what it sells is in the base either way. */
static int unit_is_certain(const sentinel_order_place *place) {
    return !venue_is_triggered(place->type) || venue_is_limit(place->type) ||
           place->side == SENTINEL_SIDE_SELL;
}

/* Which fields go with which category: docs/v5/order/create-order, "Valid
 * for". Options have no conditional orders, and must be named. Spot borrows
 * only when it is told to (isLeverage), which is never. */
static int may_place(const sentinel_render *render) {
    const sentinel_order_place *place = &render->order->place;
    uint8_t contract = render->instrument->contract;
    int is_spot = contract == SENTINEL_CONTRACT_SPOT;
    int is_option = contract == SENTINEL_CONTRACT_OPTION;
    int for_futures = place->position_side != 0 || place->trigger_by != 0 ||
                      place->trigger_direction != 0 ||
                      venue_has(render, SENTINEL_PRESENT_CLOSE_ON_TRIGGER);
    if (place->margin_mode != 0 || place->time_in_force == SENTINEL_TIF_GTD ||
        (venue_has(render, SENTINEL_PRESENT_PRICE) && !venue_is_limit(place->type)) ||
        (for_futures && (is_spot || is_option))) {
        return 0;
    }
    if (is_spot) {
        return !venue_has(render, SENTINEL_PRESENT_REDUCE_ONLY) && unit_is_certain(place);
    }
    if (is_option && (venue_is_triggered(place->type) || render->client_id_size == 0)) {
        return 0;
    }
    return !venue_has(render, SENTINEL_PRESENT_QUOTE_QUANTITY) &&
           (place->trigger_direction == 0 || place->trigger_direction == direction_of(place));
}

/* Without a unit, the quantity of a spot order to buy at the market would be
 * in the quote currency, and of one to sell in the base. */
static void add_quantity(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_place *place = &render->order->place;
    int quote = venue_has(render, SENTINEL_PRESENT_QUOTE_QUANTITY);
    text_json_decimal(request, "qty", quote ? &place->quote_quantity : &place->quantity);
    if (render->instrument->contract == SENTINEL_CONTRACT_SPOT && !venue_is_limit(place->type)) {
        text_json_name(request, "marketUnit", quote ? "quoteCoin" : "baseCoin");
    }
}

/* Spot finds the direction by the price at the moment, and has to be told
 * that an order is conditional ("orderFilter"); futures the other way round. */
static void add_trigger(sentinel_request *request, const sentinel_render *render) {
    static const char *const prices[SENTINEL_TRIGGER_BY_COUNT] = {
        [SENTINEL_TRIGGER_BY_LAST] = "LastPrice",
        [SENTINEL_TRIGGER_BY_MARK] = "MarkPrice",
        [SENTINEL_TRIGGER_BY_INDEX] = "IndexPrice",
    };
    const sentinel_order_place *place = &render->order->place;
    if (render->instrument->contract == SENTINEL_CONTRACT_SPOT) {
        text_json_name(request, "orderFilter", "StopOrder");
    } else {
        text_json_integer(request, "triggerDirection",
                          direction_of(place) == SENTINEL_TRIGGER_RISE ? 1 : 2);
    }
    text_json_decimal(request, "triggerPrice", &place->trigger_price);
    if (place->trigger_by != 0) {
        text_json_name(request, "triggerBy", prices[place->trigger_by]);
    }
}

static sentinel_reason place(sentinel_request *request, const sentinel_render *render) {
    static const char *const times_in_force[SENTINEL_TIF_COUNT] = {
        [SENTINEL_TIF_GTC] = "GTC",
        [SENTINEL_TIF_IOC] = "IOC",
        [SENTINEL_TIF_FOK] = "FOK",
        [SENTINEL_TIF_POST_ONLY] = "PostOnly",
    };
    static const uint8_t position_indexes[SENTINEL_POSITION_COUNT] = {
        [SENTINEL_POSITION_BOTH] = 0, [SENTINEL_POSITION_LONG] = 1, [SENTINEL_POSITION_SHORT] = 2};
    const sentinel_order_place *order = &render->order->place;
    if (!is_tradable(render) || !may_place(render)) {
        return UNSUPPORTED;
    }
    if (!is_order_link_id(render->client_id, render->client_id_size)) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    begin_body(request, render, "/v5/order/create");
    add_instrument(request, render);
    text_json_name(request, "side", order->side == SENTINEL_SIDE_BUY ? "Buy" : "Sell");
    text_json_name(request, "orderType", venue_is_limit(order->type) ? "Limit" : "Market");
    add_quantity(request, render);
    add_decimal(request, render, SENTINEL_PRESENT_PRICE, "price", &order->price);
    if (order->time_in_force != SENTINEL_TIF_NONE) {
        text_json_name(request, "timeInForce", times_in_force[order->time_in_force]);
    }
    if (venue_is_triggered(order->type)) {
        add_trigger(request, render);
    }
    if (order->position_side != 0) {
        text_json_integer(request, "positionIdx", position_indexes[order->position_side]);
    }
    if (render->client_id_size > 0) {
        text_json_text(request, "orderLinkId", render->client_id, render->client_id_size);
    }
    if (venue_has(render, SENTINEL_PRESENT_REDUCE_ONLY)) {
        text_json_bool(request, "reduceOnly", order->reduce_only);
    }
    if (venue_has(render, SENTINEL_PRESENT_CLOSE_ON_TRIGGER)) {
        text_json_bool(request, "closeOnTrigger", order->close_on_trigger);
    }
    return end_body(request);
}

/* Which order is meant, in a body. */
static void add_target(sentinel_request *request, const sentinel_render *render,
                       const sentinel_target *target) {
    size_t size;
    int is_own;
    const char *id = venue_target(render, target, &size, &is_own);
    text_json_text(request, is_own ? "orderLinkId" : "orderId", id, size);
}

static sentinel_reason amend(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_amend *order = &render->order->amend;
    if (!is_tradable(render) || !venue_amend_keeps_terms(render) ||
        order->type == SENTINEL_TYPE_MARKET ||
        (venue_has(render, SENTINEL_PRESENT_PRICE) && !venue_is_limit(order->type)) ||
        (render->instrument->contract == SENTINEL_CONTRACT_OPTION &&
         venue_is_triggered(order->type))) {
        return UNSUPPORTED;
    }
    begin_body(request, render, "/v5/order/amend");
    add_instrument(request, render);
    add_target(request, render, &order->target);
    text_json_decimal(request, "qty", &order->quantity);
    add_decimal(request, render, SENTINEL_PRESENT_PRICE, "price", &order->price);
    add_decimal(request, render, SENTINEL_PRESENT_TRIGGER_PRICE, "triggerPrice",
                &order->trigger_price);
    return end_body(request);
}

/* Spot keeps conditional orders apart and looks there only when told to
 * (docs/v5/order/cancel-order, "orderFilter"). */
static sentinel_reason cancel(sentinel_request *request, const sentinel_render *render) {
    if (instrument_category(render) == NULL) {
        return UNSUPPORTED;
    }
    begin_body(request, render, "/v5/order/cancel");
    add_instrument(request, render);
    add_target(request, render, &render->order->cancel.target);
    if (render->instrument->contract == SENTINEL_CONTRACT_SPOT &&
        venue_is_triggered(render->target_type)) {
        text_json_name(request, "orderFilter", "StopOrder");
    }
    return end_body(request);
}

/* Of a whole category, futures want the settlement asset, and spot does not
 * take it (docs/v5/order/cancel-all). */
static sentinel_reason cancel_all(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_cancel_all *order = &render->order->cancel_all;
    const char *category = scope_category(render, order->venue, order->contract);
    int is_spot = order->contract == SENTINEL_CONTRACT_SPOT;
    int is_option = order->contract == SENTINEL_CONTRACT_OPTION;
    if (category == NULL ||
        (render->instrument == NULL && !is_option && is_spot == (render->asset != NULL))) {
        return UNSUPPORTED;
    }
    begin_body(request, render, "/v5/order/cancel-all");
    if (render->instrument != NULL) {
        add_instrument(request, render);
    } else {
        text_json_name(request, "category", category);
        if (render->asset != NULL) {
            text_json_text(request, "settleCoin", render->asset->code, render->asset->code_size);
        }
    }
    return end_body(request);
}

static sentinel_reason query_order(sentinel_request *request, const sentinel_render *render) {
    size_t size;
    int is_own;
    const char *id = venue_target(render, &render->order->query.target, &size, &is_own);
    if (instrument_category(render) == NULL) {
        return UNSUPPORTED;
    }
    begin_query(request, render, "/v5/order/realtime");
    text_pair_name(request, "category", instrument_category(render));
    text_pair(request, "symbol", render->instrument->symbol, render->instrument->symbol_size);
    text_pair(request, is_own ? "orderLinkId" : "orderId", id, size);
    return end_query(request);
}

/* Open linear orders are asked for by symbol: of all of them, the venue wants
 * a settlement asset (docs/v5/order/open-order), which queries do not have. */
static sentinel_reason query(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_query *order = &render->order->query;
    if (order->what == SENTINEL_QUERY_ORDER) {
        return query_order(request, render);
    }
    const char *category = scope_category(render, order->venue, order->contract);
    int fills = order->what == SENTINEL_QUERY_FILLS;
    int all_linear = render->instrument == NULL && order->contract == SENTINEL_CONTRACT_LINEAR;
    if (category == NULL || (!fills && all_linear) || order->limit > BYBIT_FILLS_MAX) {
        return UNSUPPORTED;
    }
    begin_query(request, render, fills ? "/v5/execution/list" : "/v5/order/realtime");
    text_pair_name(request, "category", category);
    if (render->instrument != NULL) {
        text_pair(request, "symbol", render->instrument->symbol, render->instrument->symbol_size);
    }
    text_pairs_window(request, order, "startTime", "endTime", "limit");
    return end_query(request);
}

/* Always on the chain: to an address of its own, the venue would otherwise
 * move the money inside (docs/v5/asset/withdraw, "forceChain"). */
static sentinel_reason withdraw(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_withdraw *order = &render->order->withdraw;
    const char *account = order->from_account == SENTINEL_ACCOUNT_FUNDING   ? "FUND"
                          : order->from_account == SENTINEL_ACCOUNT_UNIFIED ? "UTA"
                                                                            : NULL;
    if (render->asset == NULL || render->network == NULL || render->network->code_size == 0 ||
        account == NULL || order->priority != 0) {
        return UNSUPPORTED;
    }
    if (!is_named(render->client_id, render->client_id_size, BYBIT_REQUEST_ID_BYTES_MAX, "._-")) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    begin_body(request, render, "/v5/asset/withdraw/create");
    text_json_text(request, "coin", render->asset->code, render->asset->code_size);
    text_json_text(request, "chain", render->network->code, render->network->code_size);
    text_json_text(request, "address", order->address, order->address_size);
    if (venue_has(render, SENTINEL_PRESENT_MEMO)) {
        text_json_text(request, "tag", order->memo, order->memo_size);
    }
    text_json_decimal(request, "amount", &order->amount);
    text_json_integer(request, "timestamp", (uint64_t)render->timestamp_ms);
    text_json_integer(request, "forceChain", 1);
    text_json_name(request, "accountType", account);
    if (render->client_id_size > 0) {
        text_json_text(request, "requestId", render->client_id, render->client_id_size);
    }
    return end_body(request);
}

static int is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static int is_dash_of_uuid(size_t at) {
    return at == 8 || at == 13 || at == 18 || at == 23;
}

/* Transfers are named by a UUID: 32 hex digits, which get their dashes, or
 * (lab) one that has them. Returns 0 when the id is neither. */
static int write_uuid(char uuid[UUID_BYTES], const char *id, size_t size) {
    size_t from = 0;
    if (size != UUID_DIGITS && size != UUID_BYTES) {
        return 0;
    }
    for (size_t at = 0; at < UUID_BYTES; at++) {
        int dash = is_dash_of_uuid(at);
        uuid[at] = dash && size == UUID_DIGITS ? '-' : id[from++];
        if (dash ? uuid[at] != '-' : !is_hex(uuid[at])) {
            return 0;
        }
    }
    return 1;
}

/* Between the two wallets of an account (docs/v5/enum, "accountType"). */
static sentinel_reason transfer(sentinel_request *request, const sentinel_render *render) {
    static const char *const wallets[SENTINEL_ACCOUNT_COUNT] = {
        [SENTINEL_ACCOUNT_FUNDING] = "FUND",
        [SENTINEL_ACCOUNT_UNIFIED] = "UNIFIED",
    };
    const sentinel_order_transfer *order = &render->order->transfer;
    const char *from = wallets[order->from_account], *to = wallets[order->to_account];
    char uuid[UUID_BYTES];
    if (render->asset == NULL || from == NULL || to == NULL || from == to ||
        order->destination_size != 0 || render->client_id_size == 0) {
        return UNSUPPORTED;
    }
    if (!write_uuid(uuid, render->client_id, render->client_id_size)) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    begin_body(request, render, "/v5/asset/transfer/inter-transfer");
    text_json_text(request, "transferId", uuid, sizeof uuid);
    text_json_text(request, "coin", render->asset->code, render->asset->code_size);
    text_json_decimal(request, "amount", &order->amount);
    text_json_name(request, "fromAccountType", from);
    text_json_name(request, "toAccountType", to);
    return end_body(request);
}

static sentinel_reason bybit_render(sentinel_request *request, const sentinel_render *render) {
    static sentinel_reason (*const actions[SENTINEL_ACTION_COUNT])(sentinel_request *,
                                                                   const sentinel_render *) = {
        [SENTINEL_ACTION_PLACE] = place,       [SENTINEL_ACTION_AMEND] = amend,
        [SENTINEL_ACTION_CANCEL] = cancel,     [SENTINEL_ACTION_CANCEL_ALL] = cancel_all,
        [SENTINEL_ACTION_QUERY] = query,       [SENTINEL_ACTION_WITHDRAW] = withdraw,
        [SENTINEL_ACTION_TRANSFER] = transfer,
    };
    const sentinel_key_info *key = render->key;
    uint16_t action = render->order->header.action;
    int is_named_action = action == SENTINEL_ACTION_PLACE || action == SENTINEL_ACTION_WITHDRAW ||
                          action == SENTINEL_ACTION_TRANSFER;
    if (key->purpose != SENTINEL_PURPOSE_VENUE ||
        key->algorithm != SENTINEL_ALGORITHM_HMAC_SHA256 || !venue_may_send(render) ||
        (venue_has(render, SENTINEL_PRESENT_LAB_CLIENT_ID) && !is_named_action)) {
        return UNSUPPORTED;
    }
    if (render->has_expiry && (render->expiry == 0 || render->expiry > RECV_WINDOW_MS_MAX)) {
        return SENTINEL_REASON_EXPIRY;
    }
    if (!venue_key_is_named(key)) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    if (!is_order_link_id(render->target_client_id, render->target_client_id_size)) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    return actions[action](request, render);
}

/* The signature is the last header, and there is one. */
static sentinel_reason bybit_finish(sentinel_request *request, const sentinel_render *render,
                                    const sentinel_signature *signature) {
    char hex[64];
    sentinel_span is_signed = request->string_to_sign;
    (void)render;
    if (signature->size != 32 || is_signed.offset + is_signed.size != request->text_size) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    bytes_to_hex(hex, signature->bytes, 32);
    text_header(request, "X-BAPI-SIGN", hex, sizeof hex);
    return NONE;
}

/* server_time - recv_window <= timestamp < server_time + 1000 (docs/v5/guide):
 * the window ends what was released. Inside it, the same bytes are taken once
 * where they carry an id that the venue takes once: requestId is "globally
 * unique ... for idempotent verification" (docs/v5/asset/withdraw), transferId
 * is a "UUID, which is unique across the platform" (docs/account-asset/
 * internal-transfer). orderLinkId is "always unique" today (docs/v5/order/
 * create-order); older pages let it be used again once its order has ended, so
 * it is not relied on. */
#define HOLD(once) \
    { SENTINEL_HOLD_EXPIRY_SIGNED, once, 0, {0}, 0, RECV_WINDOW_MS_MAX }
static const sentinel_hold holds[SENTINEL_ACTION_COUNT] = {
    [SENTINEL_ACTION_PLACE] = HOLD(0),    [SENTINEL_ACTION_AMEND] = HOLD(0),
    [SENTINEL_ACTION_CANCEL] = HOLD(0),   [SENTINEL_ACTION_CANCEL_ALL] = HOLD(0),
    [SENTINEL_ACTION_QUERY] = HOLD(0),    [SENTINEL_ACTION_WITHDRAW] = HOLD(1),
    [SENTINEL_ACTION_TRANSFER] = HOLD(1),
};

const venue_table venue_bybit = {
    .name = "bybit", .holds = holds, .render = bybit_render, .finish = bybit_finish};
