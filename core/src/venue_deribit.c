/* Deribit, REST.
 *
 * Every request is a GET with its parameters in the query, as ccxt sends
 * them, so that decimals keep their text. The signature covers timestamp,
 * nonce, method, path, query and body, and goes into the header
 *
 *     Authorization: deri-hmac-sha256 id=..,ts=..,sig=..,nonce=..
 *
 * ("Deribit signature credentials", API v2 documents). Keys of HMAC alone:
 * with Ed25519 and RSA keys Deribit offers nothing but public/auth
 * ("Asymmetric API keys"), whose answer is a token for all that the key may
 * do; such a login is never signed. */
#include <string.h>

#include "bytes.h"
#include "venue.h"
#include "venue_text.h"

#define UNSUPPORTED SENTINEL_REASON_UNSUPPORTED
#define NONE SENTINEL_REASON_NONE

#define LABEL_BYTES_MAX 64u       /* "maximum 64 characters" */
#define SUBACCOUNT_DIGITS_MAX 18u /* an integer of 64 bits */
#define TIMESTAMP_VALID_MS 60000u /* "valid for 60 seconds" */

/* The host, then the string to sign: timestamp, nonce, method, URI and body,
 * each ended by a line feed. Path and query are parts of it. */
static void begin(sentinel_request *request, const sentinel_render *render, const char *path) {
    request->method = SENTINEL_METHOD_GET;
    request->host =
        text_span(request, venue_is_test(render) ? "test.deribit.com" : "www.deribit.com");
    request->string_to_sign.offset = request->text_size;
    text_integer(request, (uint64_t)render->timestamp_ms);
    text_string(request, "\n");
    text_integer(request, render->nonce);
    text_string(request, "\nGET\n");
    request->path = text_span(request, path);
    request->query.offset = request->text_size;
}

/* As begin, for a path with parameters, which follow. */
static void begin_query(sentinel_request *request, const sentinel_render *render,
                        const char *path) {
    begin(request, render, path);
    text_string(request, "?");
    request->query.offset = request->text_size;
}

static sentinel_reason end(sentinel_request *request) {
    request->query = text_since(request, request->query.offset);
    text_string(request, "\n\n"); /* of the URI, and of the empty body */
    request->string_to_sign = text_since(request, request->string_to_sign.offset);
    return NONE;
}

/* As end, for what the venue lets expire: its matching engine begins with it
 * before this time only. Beyond the timestamp's own validity it would say
 * nothing, and is refused. */
static sentinel_reason end_expiring(sentinel_request *request, const sentinel_render *render) {
    uint64_t now_ms = (uint64_t)render->timestamp_ms;
    if (!venue_may_send(render)) {
        return UNSUPPORTED;
    }
    if (render->has_expiry) {
        if (render->expiry <= now_ms || render->expiry - now_ms > TIMESTAMP_VALID_MS) {
            return SENTINEL_REASON_EXPIRY;
        }
        text_pair_integer(request, "valid_until", render->expiry);
    }
    return end(request);
}

static void add_instrument(sentinel_request *request, const sentinel_render *render) {
    text_pair(request, "instrument_name", render->instrument->symbol,
              render->instrument->symbol_size);
}

static void add_currency(sentinel_request *request, const sentinel_asset *asset) {
    text_pair(request, "currency", asset->code, asset->code_size);
}

static void add_decimal(sentinel_request *request, const sentinel_render *render, uint32_t bit,
                        const char *key, const sentinel_decimal *decimal) {
    if (venue_has(render, bit)) {
        text_pair_decimal(request, key, decimal);
    }
}

/* `amount` is in USD for inverse perpetuals and futures, else in the base
 * currency. An instrument that says otherwise would be valued as something
 * else than what is traded. */
static int is_tradable(const sentinel_instrument *instrument) {
    static const uint8_t units[SENTINEL_CONTRACT_COUNT] = {
        [SENTINEL_CONTRACT_SPOT] = SENTINEL_UNIT_BASE,
        [SENTINEL_CONTRACT_LINEAR] = SENTINEL_UNIT_BASE,
        [SENTINEL_CONTRACT_INVERSE] = SENTINEL_UNIT_QUOTE,
        [SENTINEL_CONTRACT_OPTION] = SENTINEL_UNIT_BASE,
    };
    return instrument != NULL && instrument->contract < SENTINEL_CONTRACT_COUNT &&
           units[instrument->contract] != 0 &&
           units[instrument->contract] == instrument->quantity_unit;
}

/* Nobody holds a position in spot that could be reduced. */
static int reduces_spot(const sentinel_render *render) {
    return render->instrument->contract == SENTINEL_CONTRACT_SPOT &&
           venue_has(render, SENTINEL_PRESENT_REDUCE_ONLY);
}

/* Without reject_post_only, an order that would be filled at once is moved to
 * another price: not what was judged. */
static void add_flags(sentinel_request *request, const sentinel_render *render,
                      uint8_t time_in_force, uint8_t reduce_only) {
    if (time_in_force == SENTINEL_TIF_POST_ONLY) {
        text_pair_name(request, "post_only", "true");
        text_pair_name(request, "reject_post_only", "true");
    }
    if (venue_has(render, SENTINEL_PRESENT_REDUCE_ONLY)) {
        text_pair_name(request, "reduce_only", reduce_only ? "true" : "false");
    }
}

/* Documents and venue have no default for what a triggered order looks at, so
 * neither have we: the three prices are not the same. */
static int can_place(const sentinel_render *render) {
    const sentinel_order_place *order = &render->order->place;
    int triggered = venue_is_triggered(order->type);
    return is_tradable(render->instrument) && order->time_in_force != SENTINEL_TIF_GTD &&
           triggered == (order->trigger_by != 0) && order->position_side == 0 &&
           order->margin_mode == 0 && order->trigger_direction == 0 &&
           venue_has(render, SENTINEL_PRESENT_PRICE) == venue_is_limit(order->type) &&
           !venue_has(render, SENTINEL_PRESENT_QUOTE_QUANTITY | SENTINEL_PRESENT_EXPIRE |
                                  SENTINEL_PRESENT_CLOSE_ON_TRIGGER) &&
           !reduces_spot(render);
}

static sentinel_reason place(sentinel_request *request, const sentinel_render *render) {
    static const char *const types[SENTINEL_TYPE_COUNT] = {
        [SENTINEL_TYPE_LIMIT] = "limit",
        [SENTINEL_TYPE_MARKET] = "market",
        [SENTINEL_TYPE_STOP_MARKET] = "stop_market",
        [SENTINEL_TYPE_STOP_LIMIT] = "stop_limit",
        [SENTINEL_TYPE_TAKE_PROFIT_MARKET] = "take_market",
        [SENTINEL_TYPE_TAKE_PROFIT_LIMIT] = "take_limit",
    };
    /* good_til_day ends when the venue says, not at a date of the order's. */
    static const char *const times_in_force[SENTINEL_TIF_COUNT] = {
        [SENTINEL_TIF_GTC] = "good_til_cancelled",
        [SENTINEL_TIF_IOC] = "immediate_or_cancel",
        [SENTINEL_TIF_FOK] = "fill_or_kill",
        [SENTINEL_TIF_POST_ONLY] = "good_til_cancelled",
    };
    static const char *const triggers[SENTINEL_TRIGGER_BY_COUNT] = {
        [SENTINEL_TRIGGER_BY_LAST] = "last_price",
        [SENTINEL_TRIGGER_BY_MARK] = "mark_price",
        [SENTINEL_TRIGGER_BY_INDEX] = "index_price",
    };
    const sentinel_order_place *order = &render->order->place;
    if (!can_place(render)) {
        return UNSUPPORTED;
    }
    begin_query(request, render,
                order->side == SENTINEL_SIDE_BUY ? "/api/v2/private/buy" : "/api/v2/private/sell");
    add_instrument(request, render);
    text_pair_decimal(request, "amount", &order->quantity);
    text_pair_name(request, "type", types[order->type]);
    if (render->client_id_size > 0) {
        text_pair(request, "label", render->client_id, render->client_id_size);
    }
    add_decimal(request, render, SENTINEL_PRESENT_PRICE, "price", &order->price);
    if (order->time_in_force != SENTINEL_TIF_NONE) {
        text_pair_name(request, "time_in_force", times_in_force[order->time_in_force]);
    }
    add_flags(request, render, order->time_in_force, order->reduce_only);
    if (order->trigger_by != 0) {
        text_pair_name(request, "trigger", triggers[order->trigger_by]);
    }
    add_decimal(request, render, SENTINEL_PRESENT_TRIGGER_PRICE, "trigger_price",
                &order->trigger_price);
    return end_expiring(request, render);
}

/* The earlier order's name: the label that we had it placed with, or the
 * venue's own id. Without one there is no such request. */
typedef struct earlier {
    const char *id;
    size_t size;
    int is_own;
} earlier;

static earlier earlier_order(const sentinel_render *render, const sentinel_target *target) {
    earlier order;
    order.id = venue_target(render, target, &order.size, &order.is_own);
    return order;
}

static void add_earlier(sentinel_request *request, const earlier *order) {
    text_pair(request, order->is_own ? "label" : "order_id", order->id, order->size);
}

/* Amount and prices change, nothing else: the venue has no parameter for the
 * time in force, and does not say what an edit does to flags that it leaves
 * out, so those that the order has are sent again. A market order never
 * rests: an edit that calls its target one would change another order. */
static sentinel_reason amend(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_amend *order = &render->order->amend;
    earlier target = earlier_order(render, &order->target);
    if (target.size == 0 || !is_tradable(render->instrument) ||
        order->type == SENTINEL_TYPE_MARKET || order->time_in_force == SENTINEL_TIF_GTD ||
        venue_has(render, SENTINEL_PRESENT_PRICE) != venue_is_limit(order->type) ||
        !venue_amend_keeps_terms(render) || reduces_spot(render)) {
        return UNSUPPORTED;
    }
    begin_query(request, render,
                target.is_own ? "/api/v2/private/edit_by_label" : "/api/v2/private/edit");
    add_earlier(request, &target);
    if (target.is_own) {
        add_instrument(request, render);
    }
    text_pair_decimal(request, "amount", &order->quantity);
    add_decimal(request, render, SENTINEL_PRESENT_PRICE, "price", &order->price);
    add_flags(request, render, order->time_in_force, order->reduce_only);
    add_decimal(request, render, SENTINEL_PRESENT_TRIGGER_PRICE, "trigger_price",
                &order->trigger_price);
    return end_expiring(request, render);
}

/* By label without a currency: a wrong one would cancel nothing. */
static sentinel_reason cancel(sentinel_request *request, const sentinel_render *render) {
    earlier target = earlier_order(render, &render->order->cancel.target);
    if (target.size == 0 || render->instrument == NULL) {
        return UNSUPPORTED;
    }
    begin_query(request, render,
                target.is_own ? "/api/v2/private/cancel_by_label" : "/api/v2/private/cancel");
    add_earlier(request, &target);
    return end(request);
}

static sentinel_reason cancel_all(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_cancel_all *order = &render->order->cancel_all;
    /* The venue's `kind` knows futures, but not linear from inverse ones. */
    if (order->contract != 0 || (order->asset != 0) != (render->asset != NULL) ||
        (render->instrument != NULL ? order->asset != 0 : order->venue != render->key->venue)) {
        return UNSUPPORTED;
    }
    if (render->instrument != NULL) {
        begin_query(request, render, "/api/v2/private/cancel_all_by_instrument");
        add_instrument(request, render);
    } else if (render->asset != NULL) {
        begin_query(request, render, "/api/v2/private/cancel_all_by_currency");
        add_currency(request, render->asset);
    } else {
        begin(request, render, "/api/v2/private/cancel_all");
    }
    return end(request);
}

static sentinel_reason query_order(sentinel_request *request, const sentinel_render *render) {
    earlier target = earlier_order(render, &render->order->query.target);
    if (target.size == 0 || render->instrument == NULL ||
        (target.is_own && render->settle == NULL)) {
        return UNSUPPORTED;
    }
    if (target.is_own) {
        begin_query(request, render, "/api/v2/private/get_order_state_by_label");
        add_currency(request, render->settle); /* which it demands */
    } else {
        begin_query(request, render, "/api/v2/private/get_order_state");
    }
    add_earlier(request, &target);
    return end(request);
}

static sentinel_reason query_open_orders(sentinel_request *request, const sentinel_render *render) {
    if (render->instrument != NULL) {
        begin_query(request, render, "/api/v2/private/get_open_orders_by_instrument");
        add_instrument(request, render);
    } else {
        begin(request, render, "/api/v2/private/get_open_orders");
    }
    return end(request);
}

/* Those of a time have a path of their own, which needs either end of it. */
static sentinel_reason query_fills(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_query *order = &render->order->query;
    int timed = venue_has(render, SENTINEL_PRESENT_START | SENTINEL_PRESENT_END);
    if (render->instrument == NULL) {
        return UNSUPPORTED;
    }
    begin_query(request, render,
                timed ? "/api/v2/private/get_user_trades_by_instrument_and_time"
                      : "/api/v2/private/get_user_trades_by_instrument");
    add_instrument(request, render);
    text_pairs_window(request, order, "start_timestamp", "end_timestamp", "count");
    return end(request);
}

static sentinel_reason query(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_query *order = &render->order->query;
    if (order->what == SENTINEL_QUERY_ORDER) {
        return query_order(request, render);
    }
    if (order->contract != 0 ||
        (render->instrument == NULL && order->venue != render->key->venue)) {
        return UNSUPPORTED;
    }
    return order->what == SENTINEL_QUERY_FILLS ? query_fills(request, render)
                                               : query_open_orders(request, render);
}

/* The venue itself chooses the network, so the row of one may not name any;
 * the address must be in the account's address book there. */
static sentinel_reason withdraw(sentinel_request *request, const sentinel_render *render) {
    static const char *const priorities[SENTINEL_PRIORITY_COUNT] = {
        [SENTINEL_PRIORITY_VERY_LOW] = "very_low",
        [SENTINEL_PRIORITY_LOW] = "low",
        [SENTINEL_PRIORITY_MID] = "mid",
        [SENTINEL_PRIORITY_HIGH] = "high",
        [SENTINEL_PRIORITY_VERY_HIGH] = "very_high",
        [SENTINEL_PRIORITY_EXTREME_HIGH] = "extreme_high",
        [SENTINEL_PRIORITY_INSANE] = "insane",
    };
    const sentinel_order_withdraw *order = &render->order->withdraw;
    if (render->asset == NULL || render->network == NULL || render->network->code_size != 0 ||
        order->from_account != 0 || venue_has(render, SENTINEL_PRESENT_MEMO)) {
        return UNSUPPORTED;
    }
    begin_query(request, render, "/api/v2/private/withdraw");
    add_currency(request, render->asset);
    text_pair(request, "address", order->address, order->address_size);
    text_pair_decimal(request, "amount", &order->amount);
    if (order->priority != 0) {
        text_pair_name(request, "priority", priorities[order->priority]);
    }
    return end(request);
}

/* A number as the venue itself writes it: "7" and "07" would be one account
 * under two names. */
static int is_subaccount(const char *text, size_t size) {
    int good = size > 0 && size <= SUBACCOUNT_DIGITS_MAX && text[0] != '0';
    for (size_t i = 0; i < size; i++) {
        good = good && text[i] >= '0' && text[i] <= '9';
    }
    return good;
}

/* An account has one wallet: there is nowhere to move but to a sub-account. */
static sentinel_reason transfer(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_transfer *order = &render->order->transfer;
    if (render->asset == NULL || order->destination_size == 0 ||
        order->from_account != SENTINEL_ACCOUNT_UNIFIED ||
        order->to_account != SENTINEL_ACCOUNT_SUBACCOUNT) {
        return UNSUPPORTED;
    }
    if (!is_subaccount(order->destination, order->destination_size)) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    begin_query(request, render, "/api/v2/private/submit_transfer_to_subaccount");
    add_currency(request, render->asset);
    text_pair_decimal(request, "amount", &order->amount);
    text_pair(request, "destination", order->destination, order->destination_size);
    return end(request);
}

/* The venue takes any text; ours have nothing in them that must be encoded. */
static int is_label(const char *text, size_t size) {
    return size <= LABEL_BYTES_MAX && sentinel_text_is_id(text, size);
}

static sentinel_reason deribit_render(sentinel_request *request, const sentinel_render *render) {
    static sentinel_reason (*const actions[SENTINEL_ACTION_COUNT])(sentinel_request *,
                                                                   const sentinel_render *) = {
        [SENTINEL_ACTION_PLACE] = place,       [SENTINEL_ACTION_AMEND] = amend,
        [SENTINEL_ACTION_CANCEL] = cancel,     [SENTINEL_ACTION_CANCEL_ALL] = cancel_all,
        [SENTINEL_ACTION_QUERY] = query,       [SENTINEL_ACTION_WITHDRAW] = withdraw,
        [SENTINEL_ACTION_TRANSFER] = transfer,
    };
    const sentinel_key_info *key = render->key;
    uint16_t action = render->order->header.action;
    int expires = action == SENTINEL_ACTION_PLACE || action == SENTINEL_ACTION_AMEND;
    if (key->purpose != SENTINEL_PURPOSE_VENUE ||
        key->algorithm != SENTINEL_ALGORITHM_HMAC_SHA256 || actions[action] == NULL ||
        (venue_has(render, SENTINEL_PRESENT_LAB_CLIENT_ID) && action != SENTINEL_ACTION_PLACE) ||
        (venue_has(render, SENTINEL_PRESENT_LAB_EXPIRY) && !expires)) {
        return UNSUPPORTED;
    }
    if (!is_label(render->client_id, render->client_id_size) ||
        !is_label(render->target_client_id, render->target_client_id_size)) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    if (!venue_key_is_named(key)) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    return actions[action](request, render);
}

static sentinel_reason deribit_finish(sentinel_request *request, const sentinel_render *render,
                                      const sentinel_signature *signature) {
    char hex[64];
    if (signature->size != sizeof hex / 2 || request->header_count != 0) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    bytes_to_hex(hex, signature->bytes, sizeof hex / 2);
    request->header_names[0] = text_span(request, "Authorization");
    size_t offset = request->text_size;
    text_string(request, "deri-hmac-sha256 id=");
    text_add(request, render->key->api_key, render->key->api_key_size);
    text_string(request, ",ts=");
    text_integer(request, (uint64_t)render->timestamp_ms);
    text_string(request, ",sig=");
    text_add(request, hex, sizeof hex);
    text_string(request, ",nonce=");
    text_integer(request, render->nonce);
    request->header_values[0] = text_since(request, offset);
    request->header_count = 1;
    return NONE;
}

/* The documents' words ("Deribit signature credentials"): the timestamp is
 * "valid for 60 seconds since generation", the nonce "single usage". Buy, sell,
 * edit and edit_by_label have valid_until (change log, 2022-03): "server will
 * start processing request in Matching Engine only before given timestamp". */
#define EXPIRING \
    { SENTINEL_HOLD_EXPIRY_SIGNED, 1, 1, {0}, 0, TIMESTAMP_VALID_MS }
#define TIMED \
    { SENTINEL_HOLD_EXPIRY_NONE, 1, 1, {0}, 0, TIMESTAMP_VALID_MS }
static const sentinel_hold holds[SENTINEL_ACTION_COUNT] = {
    [SENTINEL_ACTION_PLACE] = EXPIRING, [SENTINEL_ACTION_AMEND] = EXPIRING,
    [SENTINEL_ACTION_CANCEL] = TIMED,   [SENTINEL_ACTION_CANCEL_ALL] = TIMED,
    [SENTINEL_ACTION_QUERY] = TIMED,    [SENTINEL_ACTION_WITHDRAW] = TIMED,
    [SENTINEL_ACTION_TRANSFER] = TIMED,
};

const venue_table venue_deribit = {.name = "deribit",
                                   .holds = holds,
                                   .nonced = 1,
                                   .expiry_is_time = 1,
                                   .render = deribit_render,
                                   .finish = deribit_finish};
