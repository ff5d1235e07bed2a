/* OKX v5, REST: spot, margin, swaps, futures, options, and the wallet.
 *
 * Signed are time, method, path with its query, and body; neither host nor
 * headers. Bodies are compact JSON in the order of the venue's documents.
 * A field that the venue has no parameter for, or that it would not heed, is
 * refused, never left out. */
#include <string.h>

#include "venue.h"
#include "venue_text.h"

#define UNSUPPORTED SENTINEL_REASON_UNSUPPORTED
#define NONE SENTINEL_REASON_NONE

#define OKX_CLIENT_ID_BYTES_MAX 32u
#define OKX_FILLS_MAX 100u      /* of one answer */
#define OKX_COUNTDOWN_S_MIN 10u /* of cancel-all-after; or 0, which disarms */
#define OKX_COUNTDOWN_S_MAX 120u
#define OKX_TIMESTAMP_BYTES 24u                       /* 2020-12-08T09:08:57.715Z */
#define OKX_TIMESTAMP_MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */
#define OKX_WINDOW_MS 30000
#define DAY_MS INT64_C(86400000)

static const char host[] = "www.okx.com"; /* of the test network too */

static void write_digits(char *text, size_t size, uint64_t value) {
    for (size_t i = size; i > 0; i--) {
        text[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* ISO 8601 in UTC. Years begin in March here, so that a leap day is the last
 * of its year; the calendar repeats every 400 of them, which are 146,097 days. */
static void write_timestamp(char text[OKX_TIMESTAMP_BYTES], int64_t timestamp_ms) {
    uint64_t ms = (uint64_t)(timestamp_ms % DAY_MS);
    uint64_t days = (uint64_t)(timestamp_ms / DAY_MS) + 719468; /* since 1 March of the year 0 */
    uint64_t era = days / 146097, day = days % 146097;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    uint64_t month = (5 * day + 2) / 153; /* 0 is March; five months have 153 days */
    memcpy(text, "0000-00-00T00:00:00.000Z", OKX_TIMESTAMP_BYTES);
    write_digits(text + 0, 4, 400 * era + year + (month >= 10)); /* January, February */
    write_digits(text + 5, 2, month < 10 ? month + 3 : month - 9);
    write_digits(text + 8, 2, day - (153 * month + 2) / 5 + 1);
    write_digits(text + 11, 2, ms / 3600000);
    write_digits(text + 14, 2, ms / 60000 % 60);
    write_digits(text + 17, 2, ms / 1000 % 60);
    write_digits(text + 20, 3, ms % 1000);
}

/* The venue reads a deadline beside orders without a trigger, placed or
 * amended, and nowhere else. */
static int reads_deadline(const sentinel_render *render) {
    const sentinel_order *order = render->order;
    return order->header.action == SENTINEL_ACTION_AMEND ||
           (order->header.action == SENTINEL_ACTION_PLACE &&
            !venue_is_triggered(order->place.type));
}

static void add_deadline(sentinel_request *request, uint64_t deadline_ms) {
    char digits[20];
    size_t at = sizeof digits;
    for (uint64_t rest = deadline_ms; rest > 0; rest /= 10) {
        digits[--at] = (char)('0' + rest % 10);
    }
    text_header(request, "expTime", digits + at, sizeof digits - at);
}

/* Host, path and headers. The query, or the body with its opening, begins
 * here. */
static void begin(sentinel_request *request, const sentinel_render *render, uint8_t method,
                  const char *path, const char *opening) {
    const sentinel_key_info *key = render->key;
    char timestamp[OKX_TIMESTAMP_BYTES];
    write_timestamp(timestamp, render->timestamp_ms);
    request->method = method;
    request->host = text_span(request, host);
    request->path = text_span(request, path);
    text_header(request, "OK-ACCESS-KEY", key->api_key, key->api_key_size);
    text_header(request, "OK-ACCESS-PASSPHRASE", render->passphrase, render->passphrase_size);
    text_header(request, "OK-ACCESS-TIMESTAMP", timestamp, sizeof timestamp);
    text_header(request, "Content-Type", "application/json", 16);
    if (venue_is_test(render)) {
        text_header(request, "x-simulated-trading", "1", 1);
    }
    if (render->has_expiry && reads_deadline(render)) {
        add_deadline(request, render->expiry);
    }
    request->query.offset = request->text_size;
    request->body.offset = request->text_size;
    text_string(request, opening);
}

static void begin_get(sentinel_request *request, const sentinel_render *render, const char *path) {
    begin(request, render, SENTINEL_METHOD_GET, path, "");
}

static void begin_post(sentinel_request *request, const sentinel_render *render, const char *path) {
    begin(request, render, SENTINEL_METHOD_POST, path, "{");
}

static void add_span(sentinel_request *request, sentinel_span span) {
    text_add(request, request->text + span.offset, span.size);
}

/* Ends the query or the body. What is signed ends the text. */
static sentinel_reason end(sentinel_request *request) {
    int is_get = request->method == SENTINEL_METHOD_GET;
    if (is_get) {
        request->query = text_since(request, request->query.offset);
        request->body.offset = request->text_size;
    } else {
        text_string(request, request->text[request->body.offset] == '[' ? "}]" : "}");
        request->body = text_since(request, request->body.offset);
    }
    size_t offset = request->text_size;
    add_span(request, request->header_values[2]); /* the time */
    text_string(request, is_get ? "GET" : "POST");
    add_span(request, request->path);
    if (request->query.size > 0) {
        text_string(request, "?");
        add_span(request, request->query);
    }
    add_span(request, request->body);
    request->string_to_sign = text_since(request, offset);
    return NONE;
}

static void add_instrument(sentinel_request *request, const sentinel_render *render) {
    text_json_text(request, "instId", render->instrument->symbol, render->instrument->symbol_size);
}

static void add_client_id(sentinel_request *request, const sentinel_render *render,
                          const char *key) {
    if (render->client_id_size > 0) {
        text_json_text(request, key, render->client_id, render->client_id_size);
    }
}

static int is_contract(const sentinel_instrument *instrument) {
    return instrument->contract == SENTINEL_CONTRACT_LINEAR ||
           instrument->contract == SENTINEL_CONTRACT_INVERSE;
}

/* How the venue trades this; null where it does not. Cash is for spot and for
 * buyers of options, who owe nothing afterwards. */
static const char *trade_mode(const sentinel_render *render) {
    const sentinel_order_place *place = &render->order->place;
    uint8_t contract = render->instrument->contract, mode = place->margin_mode;
    int cash = contract == SENTINEL_CONTRACT_SPOT ||
               (contract == SENTINEL_CONTRACT_OPTION && place->side == SENTINEL_SIDE_BUY);
    if (mode == SENTINEL_MARGIN_CROSS || mode == SENTINEL_MARGIN_ISOLATED) {
        return mode == SENTINEL_MARGIN_CROSS ? "cross" : "isolated";
    }
    int implied = mode == 0 && contract == SENTINEL_CONTRACT_SPOT;
    return implied || (mode == SENTINEL_MARGIN_CASH && cash) ? "cash" : NULL;
}

/* Quantities are coins on spot and contracts elsewhere. An instrument that
 * says otherwise would be valued as something else than what is traded. */
static int is_traded(const sentinel_instrument *instrument) {
    int spot = instrument->contract == SENTINEL_CONTRACT_SPOT;
    return (spot || is_contract(instrument) || instrument->contract == SENTINEL_CONTRACT_OPTION) &&
           instrument->quantity_unit == (spot ? SENTINEL_UNIT_BASE : SENTINEL_UNIT_CONTRACTS);
}

/* In the long/short mode the venue lets orders that close reduce only, and
 * does not heed the flag of those that open. On spot it is for margin. */
static int heeds_reduce_only(const sentinel_render *render) {
    const sentinel_order_place *place = &render->order->place;
    uint8_t position = place->position_side;
    int opens = (position == SENTINEL_POSITION_LONG && place->side == SENTINEL_SIDE_BUY) ||
                (position == SENTINEL_POSITION_SHORT && place->side == SENTINEL_SIDE_SELL);
    if (render->instrument->contract == SENTINEL_CONTRACT_SPOT) {
        return place->margin_mode >= SENTINEL_MARGIN_CROSS;
    }
    return is_contract(render->instrument) && !(opens && place->reduce_only);
}

/* Unit of a market order on spot. With margin the venue counts what is bought
 * in the quote currency and what is sold in the base, whatever it is told. */
static int unit_is_certain(const sentinel_render *render) {
    const sentinel_order_place *place = &render->order->place;
    int quote = venue_has(render, SENTINEL_PRESENT_QUOTE_QUANTITY);
    if (render->instrument->contract != SENTINEL_CONTRACT_SPOT || venue_is_limit(place->type)) {
        return !quote;
    }
    return place->margin_mode < SENTINEL_MARGIN_CROSS ||
           quote == (place->side == SENTINEL_SIDE_BUY);
}

static int can_place(const sentinel_render *render) {
    const sentinel_order_place *place = &render->order->place;
    const sentinel_instrument *instrument = render->instrument;
    int spot = instrument->contract == SENTINEL_CONTRACT_SPOT;
    int triggered = venue_is_triggered(place->type);
    if (!is_traded(instrument) || trade_mode(render) == NULL || !unit_is_certain(render) ||
        venue_has(render, SENTINEL_PRESENT_PRICE) != venue_is_limit(place->type) ||
        place->time_in_force == SENTINEL_TIF_GTD || place->trigger_direction != 0 ||
        venue_has(render, SENTINEL_PRESENT_CLOSE_ON_TRIGGER) ||
        (place->position_side != 0 && !is_contract(instrument)) ||
        (venue_has(render, SENTINEL_PRESENT_REDUCE_ONLY) && !heeds_reduce_only(render))) {
        return 0;
    }
    /* Options have limit orders alone; spot has no price but the last to be
     * triggered by; what a trigger sends stays until cancelled. */
    return (instrument->contract != SENTINEL_CONTRACT_OPTION ||
            place->type == SENTINEL_TYPE_LIMIT) &&
           !(spot && place->trigger_by > SENTINEL_TRIGGER_BY_LAST) &&
           !(triggered && place->time_in_force > SENTINEL_TIF_GTC);
}

/* What orders with and without a trigger begin with. */
static void add_head(sentinel_request *request, const sentinel_render *render, const char *id_key,
                     const char *order_type) {
    static const char *const position_sides[SENTINEL_POSITION_COUNT] = {
        [SENTINEL_POSITION_LONG] = "long",
        [SENTINEL_POSITION_SHORT] = "short",
        [SENTINEL_POSITION_BOTH] = "net",
    };
    const sentinel_order_place *place = &render->order->place;
    add_instrument(request, render);
    text_json_name(request, "tdMode", trade_mode(render));
    add_client_id(request, render, id_key);
    text_json_name(request, "side", place->side == SENTINEL_SIDE_BUY ? "buy" : "sell");
    if (place->position_side != 0) {
        text_json_name(request, "posSide", position_sides[place->position_side]);
    }
    text_json_name(request, "ordType", order_type);
}

static void add_quantity(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_place *place = &render->order->place;
    int quote = venue_has(render, SENTINEL_PRESENT_QUOTE_QUANTITY);
    text_json_decimal(request, "sz", quote ? &place->quote_quantity : &place->quantity);
    if (venue_has(render, SENTINEL_PRESENT_REDUCE_ONLY)) {
        text_json_bool(request, "reduceOnly", place->reduce_only);
    }
    /* Its default depends on the side, so it is always said where the venue
     * reads it: without margin, and of triggered orders beside purchases. */
    int is_read = render->instrument->contract == SENTINEL_CONTRACT_SPOT &&
                  place->margin_mode < SENTINEL_MARGIN_CROSS && !venue_is_limit(place->type);
    if (is_read && !(venue_is_triggered(place->type) && place->side == SENTINEL_SIDE_SELL)) {
        text_json_name(request, "tgtCcy", quote ? "quote_ccy" : "base_ccy");
    }
}

/* Orders with a trigger live apart from the others, with names of their own. */
static sentinel_reason place_triggered(sentinel_request *request, const sentinel_render *render) {
    static const char *const prices[SENTINEL_TRIGGER_BY_COUNT] = {
        [SENTINEL_TRIGGER_BY_LAST] = "last",
        [SENTINEL_TRIGGER_BY_MARK] = "mark",
        [SENTINEL_TRIGGER_BY_INDEX] = "index",
    };
    const sentinel_order_place *place = &render->order->place;
    int stop = place->type == SENTINEL_TYPE_STOP_MARKET || place->type == SENTINEL_TYPE_STOP_LIMIT;
    const char *order_price = stop ? "slOrdPx" : "tpOrdPx";
    begin_post(request, render, "/api/v5/trade/order-algo");
    add_head(request, render, "algoClOrdId", "conditional");
    add_quantity(request, render);
    text_json_decimal(request, stop ? "slTriggerPx" : "tpTriggerPx", &place->trigger_price);
    if (venue_is_limit(place->type)) {
        text_json_decimal(request, order_price, &place->price);
    } else {
        text_json_name(request, order_price, "-1"); /* at the market */
    }
    if (place->trigger_by != 0) {
        text_json_name(request, stop ? "slTriggerPxType" : "tpTriggerPxType",
                       prices[place->trigger_by]);
    }
    return end(request);
}

static sentinel_reason place(sentinel_request *request, const sentinel_render *render) {
    static const char *const limits[SENTINEL_TIF_COUNT] = {
        [SENTINEL_TIF_NONE] = "limit", /* which is until cancelled */
        [SENTINEL_TIF_GTC] = "limit",  [SENTINEL_TIF_IOC] = "ioc",
        [SENTINEL_TIF_FOK] = "fok",    [SENTINEL_TIF_POST_ONLY] = "post_only",
    };
    const sentinel_order_place *order = &render->order->place;
    if (render->instrument == NULL || !can_place(render)) {
        return UNSUPPORTED;
    }
    if (venue_is_triggered(order->type)) {
        return place_triggered(request, render);
    }
    int limit = order->type == SENTINEL_TYPE_LIMIT;
    begin_post(request, render, "/api/v5/trade/order");
    add_head(request, render, "clOrdId", limit ? limits[order->time_in_force] : "market");
    if (limit) {
        text_json_decimal(request, "px", &order->price);
    }
    add_quantity(request, render);
    return end(request);
}

static void add_target(sentinel_request *request, const sentinel_render *render,
                       const sentinel_target *target, const char *own_key, const char *venue_key) {
    size_t size;
    int is_own;
    const char *id = venue_target(render, target, &size, &is_own);
    text_json_text(request, is_own ? own_key : venue_key, id, size);
}

/* Quantity and price alone can be changed, and nothing of triggered orders:
 * the documents do not say what becomes of the price that triggers them. */
static sentinel_reason amend(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_amend *order = &render->order->amend;
    if (render->instrument == NULL || !is_traded(render->instrument) ||
        order->type != SENTINEL_TYPE_LIMIT || !venue_has(render, SENTINEL_PRESENT_PRICE) ||
        order->time_in_force == SENTINEL_TIF_GTD || !venue_amend_keeps_terms(render)) {
        return UNSUPPORTED;
    }
    begin_post(request, render, "/api/v5/trade/amend-order");
    add_instrument(request, render);
    add_target(request, render, &order->target, "clOrdId", "ordId");
    text_json_decimal(request, "newSz", &order->quantity);
    text_json_decimal(request, "newPx", &order->price);
    return end(request);
}

/* By action the book knows the type, and by that where the order is kept. */
static sentinel_reason cancel(sentinel_request *request, const sentinel_render *render) {
    const sentinel_target *target = &render->order->cancel.target;
    int triggered = venue_is_triggered(render->target_type);
    if (render->instrument == NULL) {
        return UNSUPPORTED;
    }
    if (triggered) { /* a list of one */
        begin(request, render, SENTINEL_METHOD_POST, "/api/v5/trade/cancel-algos", "[{");
    } else {
        begin_post(request, render, "/api/v5/trade/cancel-order");
    }
    add_instrument(request, render);
    add_target(request, render, target, triggered ? "algoClOrdId" : "clOrdId",
               triggered ? "algoId" : "ordId");
    return end(request);
}

static sentinel_reason cancel_all_after(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_cancel_all_after *order = &render->order->cancel_all_after;
    uint64_t seconds = order->timeout_ms / 1000;
    if (render->instrument != NULL || order->venue != render->key->venue ||
        !venue_has(render, SENTINEL_PRESENT_TIMEOUT) || order->timeout_ms % 1000 != 0 ||
        (seconds != 0 && seconds < OKX_COUNTDOWN_S_MIN) || seconds > OKX_COUNTDOWN_S_MAX) {
        return UNSUPPORTED;
    }
    begin_post(request, render, "/api/v5/trade/cancel-all-after");
    text_json_key(request, "timeOut");
    text_string(request, "\"");
    text_integer(request, seconds);
    text_string(request, "\"");
    return end(request);
}

static sentinel_reason query_order(sentinel_request *request, const sentinel_render *render) {
    int triggered = venue_is_triggered(render->target_type);
    size_t size;
    int is_own;
    const char *id = venue_target(render, &render->order->query.target, &size, &is_own);
    if (render->instrument == NULL) {
        return UNSUPPORTED;
    }
    begin_get(request, render, triggered ? "/api/v5/trade/order-algo" : "/api/v5/trade/order");
    if (!triggered) {
        text_pair(request, "instId", render->instrument->symbol, render->instrument->symbol_size);
    }
    text_pair(request,
              triggered ? (is_own ? "algoClOrdId" : "algoId") : (is_own ? "clOrdId" : "ordId"), id,
              size);
    return end(request);
}

/* Of the whole venue: of all kinds of contracts. The venue's own kinds part
 * swaps from futures, which the order's do not. */
static sentinel_reason query(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_query *order = &render->order->query;
    const sentinel_instrument *instrument = render->instrument;
    if (order->what == SENTINEL_QUERY_ORDER) {
        return query_order(request, render);
    }
    if (order->contract != 0 || (instrument == NULL && order->venue != render->key->venue) ||
        (venue_has(render, SENTINEL_PRESENT_LIMIT) && order->limit > OKX_FILLS_MAX)) {
        return UNSUPPORTED;
    }
    begin_get(request, render,
              order->what == SENTINEL_QUERY_FILLS ? "/api/v5/trade/fills"
                                                  : "/api/v5/trade/orders-pending");
    if (instrument != NULL) {
        text_pair(request, "instId", instrument->symbol, instrument->symbol_size);
    }
    text_pairs_window(request, order, "begin", "end", "limit");
    return end(request);
}

static void add_amount(sentinel_request *request, const sentinel_render *render,
                       const sentinel_decimal *amount) {
    text_json_text(request, "ccy", render->asset->code, render->asset->code_size);
    text_json_decimal(request, "amt", amount);
}

/* On chain, out of the funding account, which the test network does not have.
 * An address has no colon, so what follows one is the memo. */
static sentinel_reason withdraw(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_withdraw *order = &render->order->withdraw;
    char address[SENTINEL_ADDRESS_BYTES_MAX + 1 + SENTINEL_MEMO_BYTES_MAX];
    size_t size = order->address_size;
    if (venue_is_test(render) || render->asset == NULL || render->network == NULL ||
        order->priority != 0 ||
        (order->from_account != 0 && order->from_account != SENTINEL_ACCOUNT_FUNDING)) {
        return UNSUPPORTED;
    }
    memcpy(address, order->address, size);
    if (venue_has(render, SENTINEL_PRESENT_MEMO)) {
        address[size++] = ':';
        memcpy(address + size, order->memo, order->memo_size);
        size += order->memo_size;
    }
    begin_post(request, render, "/api/v5/asset/withdrawal");
    add_amount(request, render, &order->amount);
    text_json_name(request, "dest", "4");
    text_json_text(request, "toAddr", address, size);
    if (render->network->code_size > 0) { /* none: the currency's main chain */
        text_json_text(request, "chain", render->network->code, render->network->code_size);
    }
    add_client_id(request, render, "clientId");
    return end(request);
}

/* Between the two accounts, or by the main account to one of a sub-account. */
static sentinel_reason transfer(sentinel_request *request, const sentinel_render *render) {
    static const char *const accounts[SENTINEL_ACCOUNT_COUNT] = {
        [SENTINEL_ACCOUNT_FUNDING] = "6",
        [SENTINEL_ACCOUNT_UNIFIED] = "18",
    };
    const sentinel_order_transfer *order = &render->order->transfer;
    const char *from = accounts[order->from_account], *to = accounts[order->to_account];
    if (render->asset == NULL || from == NULL || to == NULL ||
        (from == to && order->destination_size == 0)) {
        return UNSUPPORTED;
    }
    begin_post(request, render, "/api/v5/asset/transfer");
    add_amount(request, render, &order->amount);
    text_json_name(request, "from", from);
    text_json_name(request, "to", to);
    if (order->destination_size > 0) {
        text_json_name(request, "type", "1");
        text_json_text(request, "subAcct", order->destination, order->destination_size);
    }
    add_client_id(request, render, "clientId");
    return end(request);
}

/* Letters and digits; 0 bytes: none. */
static int is_client_id(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))) {
            return 0;
        }
    }
    return size <= OKX_CLIENT_ID_BYTES_MAX;
}

/* Both become headers, and must be able neither to end them nor to be read as
 * something else, as spaces at an end would be. */
static int key_is_complete(const sentinel_render *render) {
    const char *text = render->passphrase;
    size_t size = render->passphrase_size;
    if (!venue_key_is_named(render->key) || text == NULL || size == 0 || text[0] == ' ' ||
        text[size - 1] == ' ') {
        return 0;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return 0;
        }
    }
    return 1;
}

static sentinel_reason okx_render(sentinel_request *request, const sentinel_render *render) {
    static sentinel_reason (*const actions[SENTINEL_ACTION_COUNT])(sentinel_request *,
                                                                   const sentinel_render *) = {
        [SENTINEL_ACTION_PLACE] = place,
        [SENTINEL_ACTION_AMEND] = amend,
        [SENTINEL_ACTION_CANCEL] = cancel,
        [SENTINEL_ACTION_CANCEL_ALL_AFTER] = cancel_all_after,
        [SENTINEL_ACTION_QUERY] = query,
        [SENTINEL_ACTION_WITHDRAW] = withdraw,
        [SENTINEL_ACTION_TRANSFER] = transfer,
    };
    uint16_t action = render->order->header.action;
    int names = action == SENTINEL_ACTION_PLACE || action == SENTINEL_ACTION_WITHDRAW ||
                action == SENTINEL_ACTION_TRANSFER;
    if (render->key->purpose != SENTINEL_PURPOSE_VENUE ||
        render->key->algorithm != SENTINEL_ALGORITHM_HMAC_SHA256 ||
        (venue_has(render, SENTINEL_PRESENT_LAB_CLIENT_ID) && !names) ||
        (venue_has(render, SENTINEL_PRESENT_LAB_EXPIRY) && !reads_deadline(render))) {
        return UNSUPPORTED;
    }
    if ((names && !is_client_id(render->client_id, render->client_id_size)) ||
        !is_client_id(render->target_client_id, render->target_client_id_size)) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    if (!key_is_complete(render) || render->timestamp_ms < 0 ||
        render->timestamp_ms > OKX_TIMESTAMP_MS_MAX) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    if (render->has_expiry && reads_deadline(render) &&
        (render->expiry <= (uint64_t)render->timestamp_ms || render->expiry > INT64_MAX)) {
        return SENTINEL_REASON_EXPIRY;
    }
    return actions[action](request, render);
}

/* The signature goes into a header of its own, once: until then what was
 * signed ends the text. */
static sentinel_reason okx_finish(sentinel_request *request, const sentinel_render *render,
                                  const sentinel_signature *signature) {
    (void)render;
    char text[44]; /* 32 bytes in base64 */
    if (signature->size != 32 ||
        request->string_to_sign.offset + request->string_to_sign.size != request->text_size) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    size_t size = text_base64(text, signature->bytes, 32);
    text_header(request, "OK-ACCESS-SIGN", text, size);
    return NONE;
}

/* The documents ("REST Authentication", "Transaction Timeouts", "Place order",
 * read as of July 2026): a request is refused when its time differs from the
 * venue's by more than 30 seconds, and placed and amended orders when it is
 * after their expTime, which is not signed, so a carrier can leave it out.
 * Inside the 30 seconds the same bytes are taken again: clOrdId is unique
 * among pending orders alone, and of a clientId nothing is promised. */
#define HOLD(expiry) \
    { SENTINEL_HOLD_EXPIRY_##expiry, 0, 1, {0}, 0, OKX_WINDOW_MS }
static const sentinel_hold holds[SENTINEL_ACTION_COUNT] = {
    [SENTINEL_ACTION_PLACE] = HOLD(UNSIGNED), [SENTINEL_ACTION_AMEND] = HOLD(UNSIGNED),
    [SENTINEL_ACTION_CANCEL] = HOLD(NONE),    [SENTINEL_ACTION_CANCEL_ALL_AFTER] = HOLD(NONE),
    [SENTINEL_ACTION_QUERY] = HOLD(NONE),     [SENTINEL_ACTION_WITHDRAW] = HOLD(NONE),
    [SENTINEL_ACTION_TRANSFER] = HOLD(NONE),
};

const venue_table venue_okx = {.name = "okx",
                               .holds = holds,
                               .expiry_is_time = 1,
                               .passphrased = 1,
                               .render = okx_render,
                               .finish = okx_finish};
