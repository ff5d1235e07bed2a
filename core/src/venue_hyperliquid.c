/* Hyperliquid: its own perpetuals, those of builders, and spot.
 *
 * Two kinds of action. Orders are "L1 actions": the action in MessagePack,
 * the nonce, the vault and the expiry are hashed, and an agent key signs that
 * hash as EIP-712. Transfers and withdrawals are "user-signed": their fields
 * are EIP-712 themselves, they have no expiry, and the master key alone may
 * sign them. An action is also sent, as JSON; the venue packs it again. */
#include <string.h>

#include "bytes.h"
#include "eip712.h"
#include "keccak.h"
#include "msgpack.h"
#include "venue_hyperliquid.h"

#define CLOID_CHARS 34u /* "0x" and 32 digits */
#define PACKED_BYTES_MAX 512u
#define DAY_MS INT64_C(86400000)
/* A nonce is good until it is two days old; ours are the time, and at most an
 * hour ahead of it (gate_resolve.c). */
#define NONCE_DAYS 2
#define NONCE_AHEAD_MS INT64_C(3600000)
#define CANCEL_AHEAD_MS 5000 /* scheduleCancel: at least this far away */

/* Numbers of assets: the venue's own perpetuals, spot, builders' perpetuals;
 * from the last on, outcomes, which are not traded here. */
#define SPOT_INDEX UINT32_C(10000)
#define SPOT_INDEX_END UINT32_C(100000)
#define BUILDER_INDEX UINT32_C(110000)
#define OUTCOME_INDEX UINT32_C(100000000)

#define DECIMALS_MAX 8u /* of any number */
#define PERP_DECIMALS 6u
#define FIGURES_LIMIT 100000 /* five significant figures */

static int is_user_action(const sentinel_render *render) {
    return render->order->header.action == SENTINEL_ACTION_WITHDRAW ||
           render->order->header.action == SENTINEL_ACTION_TRANSFER;
}

/* Whom a key acts for: "" (itself), "0x..." (its account; the venue knows),
 * "vault-0x..." (said in each request). Gives 0 for anything else. */
static int vault_of(const char **vault, const sentinel_key_info *key) {
    static const char prefix[] = "vault-";
    size_t skip = sizeof prefix - 1;
    *vault = NULL;
    if (key->api_key_size == 0 || is_prefixed_hex(key->api_key, key->api_key_size, ADDRESS_CHARS)) {
        return 1;
    }
    if (key->api_key_size != skip + ADDRESS_CHARS || memcmp(key->api_key, prefix, skip) != 0 ||
        !is_prefixed_hex(key->api_key + skip, ADDRESS_CHARS, ADDRESS_CHARS)) {
        return 0;
    }
    *vault = key->api_key + skip;
    return 1;
}

/* An action is written twice in one go, packed as it is hashed and as JSON as
 * it is sent: so the two cannot differ. */
typedef struct wire {
    sentinel_request *request;
    msgpack_writer packed;
    uint8_t bytes[PACKED_BYTES_MAX];
} wire;

static void wire_map(wire *to, size_t count) {
    msgpack_map(&to->packed, count);
    text_string(to->request, "{");
}

static void wire_key(wire *to, const char *key) {
    msgpack_text(&to->packed, key, strlen(key));
    text_json_key(to->request, key);
}

/* The lists of an action have one element here. */
static void wire_list_of_one(wire *to, const char *key) {
    wire_key(to, key);
    msgpack_array(&to->packed, 1);
    text_string(to->request, "[");
}

static void wire_text(wire *to, const char *key, const char *text, size_t size) {
    wire_key(to, key);
    msgpack_text(&to->packed, text, size);
    text_json_quoted(to->request, text, size);
}

static void wire_name(wire *to, const char *key, const char *text) {
    wire_text(to, key, text, strlen(text));
}

static void wire_uint(wire *to, const char *key, uint64_t value) {
    wire_key(to, key);
    msgpack_uint(&to->packed, value);
    text_integer(to->request, value);
}

static void wire_bool(wire *to, const char *key, int value) {
    wire_key(to, key);
    msgpack_bool(&to->packed, value);
    text_string(to->request, value ? "true" : "false");
}

static void wire_close(wire *to, const char *brackets) {
    text_string(to->request, brackets);
}

static void wire_begin(wire *to, sentinel_request *request, const sentinel_render *render,
                       const char *type, size_t count) {
    hyperliquid_begin(request, render);
    to->request = request;
    to->packed = (msgpack_writer){.bytes = to->bytes, .capacity = sizeof to->bytes};
    wire_map(to, count);
    wire_name(to, "type", type);
}

static uint8_t hex_value(char digit) {
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* What is hashed after the action: nonce, vault, expiry. */
static sentinel_reason wire_end(wire *to, const sentinel_render *render) {
    const char *vault = NULL;
    uint8_t connection32[32];
    (void)vault_of(&vault, render->key); /* its form was checked */
    msgpack_big_endian(&to->packed, render->nonce, 8);
    msgpack_big_endian(&to->packed, vault != NULL, 1);
    for (size_t i = 2; vault != NULL && i < ADDRESS_CHARS; i += 2) {
        msgpack_big_endian(&to->packed,
                           (uint64_t)hex_value(vault[i]) << 4 | hex_value(vault[i + 1]), 1);
    }
    if (render->has_expiry) {
        msgpack_big_endian(&to->packed, 0, 1);
        msgpack_big_endian(&to->packed, render->expiry, 8);
    }
    to->request->overflow |= (uint8_t)to->packed.overflow;
    keccak256(connection32, to->bytes, to->packed.size);
    eip712_struct agent;
    eip712_begin_hashed(&agent, eip712_agent_type32);
    eip712_word(&agent, venue_is_test(render) ? eip712_test_source32 : eip712_live_source32);
    eip712_word(&agent, connection32);
    return hyperliquid_end(to->request, render, eip712_exchange_domain32, &agent);
}

/* Hyperliquid takes no trailing zero in what is hashed. */
static sentinel_decimal shortest(const sentinel_decimal *decimal) {
    sentinel_decimal value = *decimal;
    while (value.scale > 0 && value.mantissa % 10 == 0) {
        value.mantissa /= 10;
        value.scale--;
    }
    return value;
}

static void wire_decimal(wire *to, const char *key, const sentinel_decimal *decimal) {
    char text[SENTINEL_DECIMAL_TEXT_MAX];
    sentinel_decimal value = shortest(decimal);
    size_t size = sentinel_decimal_write(text, &value);
    to->request->overflow |= (uint8_t)(size == 0);
    wire_text(to, key, text, size);
}

static int is_spot(const sentinel_render *render) {
    return render->instrument->contract == SENTINEL_CONTRACT_SPOT;
}

/* An instrument whose number is of another kind would be valued as something
 * else than what is traded. */
static int trades_it(const sentinel_render *render) {
    const sentinel_instrument *row = render->instrument;
    if (row == NULL || row->quantity_unit != SENTINEL_UNIT_BASE) {
        return 0;
    }
    uint32_t index = row->venue_index;
    if (row->contract == SENTINEL_CONTRACT_SPOT) {
        return index >= SPOT_INDEX && index < SPOT_INDEX_END;
    }
    return row->contract == SENTINEL_CONTRACT_LINEAR &&
           (index < SPOT_INDEX || (index >= BUILDER_INDEX && index < OUTCOME_INDEX));
}

/* The venue's szDecimals, which the lot says; gives 0 where it says nothing.
 * No lot of the venue is finer than its numbers; the rows of `lab` are, which
 * come from no listing. */
static int size_decimals(unsigned *decimals, const sentinel_render *render) {
    sentinel_decimal lot = shortest(&render->instrument->lot);
    *decimals = lot.scale;
    return lot.mantissa > 0 && lot.scale <= DECIMALS_MAX;
}

/* At most five significant figures and so many decimals, or an integer (the
 * venue's "Tick and lot size"). */
static int is_price(const sentinel_render *render, const sentinel_decimal *price) {
    sentinel_decimal value = shortest(price);
    unsigned most = is_spot(render) ? DECIMALS_MAX : PERP_DECIMALS, less;
    if (!size_decimals(&less, render)) {
        return value.scale <= DECIMALS_MAX;
    }
    return value.scale == 0 ||
           (value.mantissa < FIGURES_LIMIT && value.scale <= (most > less ? most - less : 0));
}

static int is_size(const sentinel_render *render, const sentinel_decimal *size) {
    unsigned most;
    if (!size_decimals(&most, render)) {
        most = DECIMALS_MAX;
    }
    return shortest(size).scale <= most;
}

/* What places and amends have in common. */
typedef struct terms {
    uint8_t side;
    uint8_t type;
    uint8_t time_in_force;
    uint8_t reduce_only;
    const sentinel_decimal *quantity;
    const sentinel_decimal *price;
    const sentinel_decimal *trigger_price;
} terms;

static const char *const times_in_force[SENTINEL_TIF_COUNT] = {
    [SENTINEL_TIF_GTC] = "Gtc", [SENTINEL_TIF_IOC] = "Ioc", [SENTINEL_TIF_POST_ONLY] = "Alo"};

/* Every order has a limit here. A triggered one has no time in force: what it
 * places when it is triggered rests until it is filled or cancelled. */
static sentinel_reason check_terms(const sentinel_render *render, const terms *given) {
    uint8_t tif = given->time_in_force;
    int has_time = venue_is_triggered(given->type)
                       ? tif == SENTINEL_TIF_NONE || tif == SENTINEL_TIF_GTC
                       : given->type == SENTINEL_TYPE_MARKET || times_in_force[tif] != NULL;
    if (!trades_it(render) || !has_time || !venue_has(render, SENTINEL_PRESENT_PRICE) ||
        !venue_has(render, SENTINEL_PRESENT_QUANTITY) || (is_spot(render) && given->reduce_only)) {
        return UNSUPPORTED;
    }
    if (!is_price(render, given->price) ||
        (venue_is_triggered(given->type) && !is_price(render, given->trigger_price))) {
        return SENTINEL_REASON_TICK;
    }
    return is_size(render, given->quantity) ? NONE : SENTINEL_REASON_LOT;
}

static void add_type(wire *to, const terms *given) {
    uint8_t type = given->type;
    wire_key(to, "t");
    wire_map(to, 1);
    if (venue_is_triggered(type)) {
        int takes_profit =
            type == SENTINEL_TYPE_TAKE_PROFIT_MARKET || type == SENTINEL_TYPE_TAKE_PROFIT_LIMIT;
        wire_key(to, "trigger");
        wire_map(to, 3);
        wire_bool(to, "isMarket",
                  type == SENTINEL_TYPE_STOP_MARKET || type == SENTINEL_TYPE_TAKE_PROFIT_MARKET);
        wire_decimal(to, "triggerPx", given->trigger_price);
        wire_name(to, "tpsl", takes_profit ? "tp" : "sl");
    } else {
        wire_key(to, "limit");
        wire_map(to, 1);
        wire_name(to, "tif",
                  type == SENTINEL_TYPE_MARKET ? "Ioc" : times_in_force[given->time_in_force]);
    }
    wire_close(to, "}}");
}

/* A client order id as the venue wants it: our 32 digits, or "0x" before them
 * already (`lab`). Gives its size; 0 when it is neither. */
static size_t cloid_of(char cloid[CLOID_CHARS], const char *id, size_t size) {
    size_t skip = size == CLOID_CHARS && id[0] == '0' && id[1] == 'x' ? 2 : 0;
    if (size - skip != CLOID_CHARS - 2 || !is_hex(id + skip, size - skip)) {
        return 0;
    }
    cloid[0] = '0';
    cloid[1] = 'x';
    memcpy(cloid + 2, id + skip, CLOID_CHARS - 2);
    return CLOID_CHARS;
}

/* size 0: the order gets no name. */
static void add_order(wire *to, const sentinel_render *render, const terms *given,
                      const char *cloid, size_t size) {
    wire_map(to, size > 0 ? 7 : 6);
    wire_uint(to, "a", render->instrument->venue_index);
    wire_bool(to, "b", given->side == SENTINEL_SIDE_BUY);
    wire_decimal(to, "p", given->price);
    wire_decimal(to, "s", given->quantity);
    wire_bool(to, "r", given->reduce_only);
    add_type(to, given);
    if (size > 0) {
        wire_text(to, "c", cloid, size);
    }
    wire_close(to, "}");
}

static sentinel_reason place(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_place *order = &render->order->place;
    terms given = {order->side,      order->type,   order->time_in_force, order->reduce_only,
                   &order->quantity, &order->price, &order->trigger_price};
    if (order->position_side != 0 || order->margin_mode != 0 || order->trigger_direction != 0 ||
        (order->trigger_by != 0 && order->trigger_by != SENTINEL_TRIGGER_BY_MARK) ||
        venue_has(render, SENTINEL_PRESENT_CLOSE_ON_TRIGGER) ||
        venue_has(render, SENTINEL_PRESENT_EXPIRE) ||
        venue_has(render, SENTINEL_PRESENT_QUOTE_QUANTITY)) {
        return UNSUPPORTED;
    }
    sentinel_reason reason = check_terms(render, &given);
    if (reason != NONE) {
        return reason;
    }
    char cloid[CLOID_CHARS] = {0};
    size_t size = cloid_of(cloid, render->client_id, render->client_id_size);
    if (size == 0 && render->client_id_size != 0) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    wire to;
    wire_begin(&to, request, render, "order", 3);
    wire_list_of_one(&to, "orders");
    add_order(&to, render, &given, cloid, size);
    wire_close(&to, "]");
    wire_name(&to, "grouping", "na");
    wire_close(&to, "}");
    return wire_end(&to, render);
}

/* The order that is meant: by the name that the engine gave it, or by the
 * venue's own number of it. */
typedef struct target {
    uint64_t oid;
    size_t cloid_size; /* 0: by oid */
    char cloid[CLOID_CHARS];
} target;

static sentinel_reason find_target(target *found, const sentinel_render *render,
                                   const sentinel_target *given) {
    int is_own;
    size_t size;
    const char *id = venue_target(render, given, &size, &is_own);
    memset(found, 0, sizeof *found);
    if (is_own) {
        found->cloid_size = cloid_of(found->cloid, id, size);
        return found->cloid_size > 0 ? NONE : SENTINEL_REASON_ORDER_TEXT;
    }
    int good = size > 0 && (id[0] != '0' || size == 1);
    for (size_t i = 0; i < size && good; i++) {
        good = id[i] >= '0' && id[i] <= '9' &&
               !__builtin_mul_overflow(found->oid, UINT64_C(10), &found->oid) &&
               !__builtin_add_overflow(found->oid, (uint64_t)(id[i] - '0'), &found->oid);
    }
    return good ? NONE : SENTINEL_REASON_ORDER_TEXT;
}

/* The name of an amended order: the one it has, since the engine's book keeps
 * it, unless `lab` gives another. */
static sentinel_reason amended_name(target *name, const sentinel_render *render,
                                    const target *found) {
    *name = *found;
    if (found->cloid_size > 0 && !venue_has(render, SENTINEL_PRESENT_LAB_CLIENT_ID)) {
        return NONE;
    }
    name->cloid_size = cloid_of(name->cloid, render->client_id, render->client_id_size);
    return name->cloid_size > 0 || render->client_id_size == 0 ? NONE : SENTINEL_REASON_ORDER_TEXT;
}

/* batchModify cancels and places. Without its flag `a` the venue places only
 * where the cancel succeeded, and only what rests: no trigger, no IOC. With
 * the flag it would place an order that was filled a second time, so the flag
 * is never set. */
static sentinel_reason amend(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_amend *order = &render->order->amend;
    terms given = {render->side,     order->type,   order->time_in_force, order->reduce_only,
                   &order->quantity, &order->price, &order->trigger_price};
    target found, name;
    if (order->type != SENTINEL_TYPE_LIMIT || order->time_in_force == SENTINEL_TIF_IOC ||
        venue_is_triggered(render->target_type)) {
        return UNSUPPORTED;
    }
    sentinel_reason reason = check_terms(render, &given);
    if (reason == NONE) {
        reason = find_target(&found, render, &order->target);
    }
    if (reason == NONE) {
        reason = amended_name(&name, render, &found);
    }
    if (reason != NONE) {
        return reason;
    }
    wire to;
    wire_begin(&to, request, render, "batchModify", 2);
    wire_list_of_one(&to, "modifies");
    wire_map(&to, 2);
    if (found.cloid_size > 0) {
        wire_text(&to, "oid", found.cloid, found.cloid_size);
    } else {
        wire_uint(&to, "oid", found.oid);
    }
    wire_key(&to, "order");
    add_order(&to, render, &given, name.cloid, name.cloid_size);
    wire_close(&to, "}]}");
    return wire_end(&to, render);
}

static sentinel_reason cancel(sentinel_request *request, const sentinel_render *render) {
    target found;
    if (!trades_it(render)) {
        return UNSUPPORTED;
    }
    sentinel_reason reason = find_target(&found, render, &render->order->cancel.target);
    if (reason != NONE) {
        return reason;
    }
    wire to;
    int by_name = found.cloid_size > 0;
    wire_begin(&to, request, render, by_name ? "cancelByCloid" : "cancel", 2);
    wire_list_of_one(&to, "cancels");
    wire_map(&to, 2);
    wire_uint(&to, by_name ? "asset" : "a", render->instrument->venue_index);
    if (by_name) {
        wire_text(&to, "cloid", found.cloid, found.cloid_size);
    } else {
        wire_uint(&to, "o", found.oid);
    }
    wire_close(&to, "}]}");
    return wire_end(&to, render);
}

/* Every order of the account, on all of its markets. Without a time, what was
 * scheduled is not any more. */
static sentinel_reason cancel_all_after(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_cancel_all_after *order = &render->order->cancel_all_after;
    int64_t at = order->at_ms, soonest;
    int disarms = venue_has(render, SENTINEL_PRESENT_TIMEOUT) && order->timeout_ms == 0;
    if (render->instrument != NULL || order->venue != render->key->venue) {
        return UNSUPPORTED;
    }
    if (venue_has(render, SENTINEL_PRESENT_TIMEOUT) &&
        (order->timeout_ms > INT64_MAX ||
         __builtin_add_overflow(render->timestamp_ms, (int64_t)order->timeout_ms, &at))) {
        return SENTINEL_REASON_EXPIRY;
    }
    if (!disarms &&
        (__builtin_add_overflow(render->timestamp_ms, CANCEL_AHEAD_MS, &soonest) || at < soonest)) {
        return SENTINEL_REASON_EXPIRY;
    }
    wire to;
    wire_begin(&to, request, render, "scheduleCancel", disarms ? 1 : 2);
    if (!disarms) {
        wire_uint(&to, "time", (uint64_t)at);
    }
    wire_close(&to, "}");
    return wire_end(&to, render);
}

/* Only L1 actions have an expiry; after the nonce's own end it means nothing. */
static sentinel_reason check_expiry(const sentinel_render *render) {
    if (is_user_action(render)) {
        return venue_has(render, SENTINEL_PRESENT_LAB_EXPIRY) ? UNSUPPORTED : NONE;
    }
    if (!venue_may_send(render)) {
        return UNSUPPORTED;
    }
    uint64_t now = (uint64_t)render->timestamp_ms;
    int good = !render->has_expiry ||
               (render->expiry > now && render->expiry - now <= (uint64_t)(NONCE_DAYS * DAY_MS));
    return good ? NONE : SENTINEL_REASON_EXPIRY;
}

static sentinel_reason hyperliquid_render(sentinel_request *request,
                                          const sentinel_render *render) {
    static sentinel_reason (*const actions[SENTINEL_ACTION_COUNT])(sentinel_request *,
                                                                   const sentinel_render *) = {
        [SENTINEL_ACTION_PLACE] = place,
        [SENTINEL_ACTION_AMEND] = amend,
        [SENTINEL_ACTION_CANCEL] = cancel,
        [SENTINEL_ACTION_CANCEL_ALL_AFTER] = cancel_all_after,
        [SENTINEL_ACTION_WITHDRAW] = hyperliquid_withdraw,
        [SENTINEL_ACTION_TRANSFER] = hyperliquid_transfer,
    };
    const sentinel_key_info *key = render->key;
    const char *vault;
    uint16_t action = render->order->header.action;
    int user = is_user_action(render);
    int names_order = action == SENTINEL_ACTION_PLACE || action == SENTINEL_ACTION_AMEND;
    if (key->purpose != (user ? SENTINEL_PURPOSE_VENUE_MASTER : SENTINEL_PURPOSE_VENUE) ||
        key->algorithm != SENTINEL_ALGORITHM_ECDSA_SECP256K1 || actions[action] == NULL ||
        (venue_has(render, SENTINEL_PRESENT_LAB_CLIENT_ID) && !names_order) ||
        (user && render->asset == NULL)) {
        return UNSUPPORTED;
    }
    if (!vault_of(&vault, key)) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    if (user && vault != NULL) { /* such an action is of the signer's own account */
        return UNSUPPORTED;
    }
    sentinel_reason reason = check_expiry(render);
    return reason != NONE ? reason : actions[action](request, render);
}

static void add_half(sentinel_request *request, const char *key, const uint8_t bytes32[32]) {
    char text[2 + 64] = {'0', 'x'};
    bytes_to_hex(text + 2, bytes32, 32);
    text_json_text(request, key, text, sizeof text);
}

/* The rest of the body. */
static sentinel_reason hyperliquid_finish(sentinel_request *request, const sentinel_render *render,
                                          const sentinel_signature *signature) {
    const char *vault;
    if (signature->size != 64 || signature->recovery_id > 1 || !request->prehashed ||
        request->body.size != 0 || !vault_of(&vault, render->key)) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    text_json_key(request, "signature");
    text_string(request, "{");
    add_half(request, "r", signature->bytes);
    add_half(request, "s", signature->bytes + 32);
    text_json_integer(request, "v", 27u + signature->recovery_id);
    text_string(request, "}");
    text_json_key(request, "vaultAddress");
    if (vault != NULL) {
        text_json_quoted(request, vault, ADDRESS_CHARS);
    } else {
        text_string(request, "null");
    }
    text_json_key(request, "expiresAfter");
    if (render->has_expiry && !is_user_action(render)) {
        text_integer(request, render->expiry);
    } else {
        text_string(request, "null");
    }
    text_string(request, "}");
    request->body = text_since(request, request->body.offset);
    return NONE;
}

/* A nonce is taken once, and everything that the venue reads is signed; it
 * has one endpoint. */
#define HOLD(expiry) \
    { expiry, 1, 1, {0}, 0, NONCE_DAYS *DAY_MS + NONCE_AHEAD_MS }
static const sentinel_hold holds[SENTINEL_ACTION_COUNT] = {
    [SENTINEL_ACTION_PLACE] = HOLD(SENTINEL_HOLD_EXPIRY_SIGNED),
    [SENTINEL_ACTION_AMEND] = HOLD(SENTINEL_HOLD_EXPIRY_SIGNED),
    [SENTINEL_ACTION_CANCEL] = HOLD(SENTINEL_HOLD_EXPIRY_SIGNED),
    [SENTINEL_ACTION_CANCEL_ALL_AFTER] = HOLD(SENTINEL_HOLD_EXPIRY_SIGNED),
    [SENTINEL_ACTION_WITHDRAW] = HOLD(SENTINEL_HOLD_EXPIRY_NONE),
    [SENTINEL_ACTION_TRANSFER] = HOLD(SENTINEL_HOLD_EXPIRY_NONE),
};

const venue_table venue_hyperliquid = {.name = "hyperliquid",
                                       .holds = holds,
                                       .nonced = 1,
                                       .expiry_is_time = 1,
                                       .render = hyperliquid_render,
                                       .finish = hyperliquid_finish};
