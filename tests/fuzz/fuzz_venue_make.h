/* What fuzz_venue.c renders: orders of all venues, made of the input's bytes. */
#ifndef FUZZ_VENUE_MAKE_H
#define FUZZ_VENUE_MAKE_H

#include "fuzz_parse.h"

enum { CLIENT, TARGET, ADDRESS, MEMO, DESTINATION, TAG, TEXTS };

/* An agent's text: where it stands in the order, and in which fields it may
 * be found. */
typedef struct agent_text {
    char *at; /* null: the order has none */
    const uint8_t *size;
    size_t capacity;
} agent_text;

static const char *const homes[TEXTS][14] = {
    [CLIENT] = {"newClientOrderId", "clientAlgoId", "withdrawOrderId", "orderLinkId", "requestId",
                "transferId", "clOrdId", "algoClOrdId", "clientId", "label", "c"},
    [TARGET] = {"origClientOrderId", "clientAlgoId", "orderId", "algoId", "orderLinkId", "ordId",
                "clOrdId", "algoClOrdId", "order_id", "label", "oid", "o", "cloid", "c"},
    [ADDRESS] = {"address", "toAddr", "destination"},
    [MEMO] = {"addressTag", "tag", "toAddr"},
    [DESTINATION] = {"destination", "subAcct"},
    [TAG] = {NULL},
};

/* Everything that one rendering takes. */
typedef struct scene {
    sentinel_order order;
    sentinel_render render;
    sentinel_request request;
    parsed fields;
    agent_text texts[TEXTS];
} scene;

static sentinel_instrument instrument;
static sentinel_asset asset, settle;
static sentinel_network network;
static sentinel_key_info key;
static uint8_t environment;

static int has(const scene *s, uint32_t bit) {
    return (s->order.header.present & bit) != 0;
}

static uint8_t set(char *text, const char *value) {
    memcpy(text, value, strlen(value));
    return (uint8_t)strlen(value);
}

static uint8_t one_of(fuzz_input *input, unsigned count) {
    return (uint8_t)(take(input, 1) % count);
}

/* Sometimes one past the end: the check refuses it. */
static uint8_t take_enum(fuzz_input *input, unsigned count) {
    uint8_t choice = (uint8_t)take(input, 1);
    return choice == 0xff ? (uint8_t)count : (uint8_t)(choice % count);
}

/* ---- Texts ------------------------------------------------------------------ */

static const char safe[] = "0123456789abcdefABCDEFxghijklmnopqrstuvwyzXGHIJKLMNOPQRSTUVWYZ._-";

static uint8_t take_text(fuzz_input *input, char *text, size_t capacity) {
    static const char *const attacks[] = {
        "\",\"x\":\"",   "&side=SELL", "\r\nX-A: 1", "%26a%3D1", "a\\",       "x\"}",
        "1&signature=0", "\n\n",       "a:b",        "a b",      "..%2f../a", "#?a=b",
    };
    uint8_t form = one_of(input, 12), size = (uint8_t)(take(input, 1) % (capacity + 1));
    const char *attack = attacks[one_of(input, 12)];
    if (form == 0 && capacity >= 42) { /* an address */
        size = 42;
    } else if (form <= 2 && capacity >= 32) {
        size = 32;
    }
    for (size_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)take(input, 1);
        switch (form) {
        case 0:
        case 1:
        case 2:
            text[i] = safe[c % 16];
            break;
        case 3:
        case 4:
            text[i] = (char)('0' + c % 10);
            break;
        case 5:
            text[i] = (char)c;
            break;
        case 6:
            text[i] = i < strlen(attack) ? attack[i] : safe[c % 65];
            break;
        default:
            text[i] = safe[c % 65];
        }
    }
    if (form == 0 && size == 42) {
        text[0] = '0';
        text[1] = 'x';
    }
    return size;
}

/* The same kind of character, but mostly another one: what a venue's own form
 * of an id takes, it takes again. */
static char other(char c) {
    if (c == '0' || c == 'x' || c == '.' || c == '_' || c == '-') {
        return c;
    }
    if (c >= '1' && c <= '9') {
        return '1';
    }
    if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
        return c >= 'a' ? 'a' : 'A';
    }
    return c >= 'A' && c <= 'Z' ? 'Z' : 'z';
}

static int is_safe(const agent_text *text) {
    for (size_t i = 0; text->at != NULL && i < *text->size; i++) {
        if (text->at[i] == 0 || strchr(safe, text->at[i]) == NULL) {
            return 0;
        }
    }
    return 1;
}

static sentinel_target *target_of(sentinel_order *order) {
    switch (order->header.action) {
    case SENTINEL_ACTION_AMEND:
        return &order->amend.target;
    case SENTINEL_ACTION_CANCEL:
        return &order->cancel.target;
    case SENTINEL_ACTION_QUERY:
        return &order->query.target;
    default:
        return NULL;
    }
}

static void find_texts(scene *s) {
    sentinel_order *order = &s->order;
    sentinel_target *target = target_of(order);
    memset(s->texts, 0, sizeof s->texts);
    s->texts[TAG] = (agent_text){order->header.tag, &order->header.tag_size, 64};
    if (target != NULL) {
        s->texts[TARGET] = (agent_text){target->id, &target->id_size, sizeof target->id};
    }
    if (order->header.action == SENTINEL_ACTION_WITHDRAW) {
        sentinel_order_withdraw *withdraw = &order->withdraw;
        s->texts[ADDRESS] =
            (agent_text){withdraw->address, &withdraw->address_size, sizeof withdraw->address};
        s->texts[MEMO] = (agent_text){withdraw->memo, &withdraw->memo_size, sizeof withdraw->memo};
    }
    if (order->header.action == SENTINEL_ACTION_TRANSFER) {
        sentinel_order_transfer *transfer = &order->transfer;
        s->texts[DESTINATION] = (agent_text){transfer->destination, &transfer->destination_size,
                                             sizeof transfer->destination};
    }
}

static void replace_texts(scene *s) {
    for (unsigned i = 0; i < TEXTS; i++) {
        for (size_t j = 0; s->texts[i].at != NULL && j < *s->texts[i].size; j++) {
            s->texts[i].at[j] = other(s->texts[i].at[j]);
        }
    }
}

/* ---- Orders ----------------------------------------------------------------- */

static void take_target(fuzz_input *input, sentinel_target *target) {
    target->by = take_enum(input, SENTINEL_TARGET_COUNT);
    if (target->by == SENTINEL_TARGET_ACTION) {
        target->action_id = take(input, 2);
    } else {
        target->id_size = take_text(input, target->id, sizeof target->id);
    }
}

/* Small, so that every venue takes its figures. */
static sentinel_decimal take_amount(fuzz_input *input) {
    if (one_of(input, 8) == 0) {
        return take_decimal(input, 0);
    }
    return (sentinel_decimal){.mantissa = (int64_t)take(input, 2), .scale = one_of(input, 3)};
}

static int is_priced(uint8_t type) {
    return type == SENTINEL_TYPE_LIMIT || type == SENTINEL_TYPE_STOP_LIMIT ||
           type == SENTINEL_TYPE_TAKE_PROFIT_LIMIT;
}

/* The presence that type and time in force demand. */
static uint32_t terms_present(uint8_t type, uint8_t time_in_force) {
    uint32_t present = SENTINEL_PRESENT_QUANTITY;
    present |= is_priced(type) ? SENTINEL_PRESENT_PRICE : 0;
    present |= type >= SENTINEL_TYPE_STOP_MARKET ? SENTINEL_PRESENT_TRIGGER_PRICE : 0;
    present |= time_in_force == SENTINEL_TIF_GTD ? SENTINEL_PRESENT_EXPIRE : 0;
    return present;
}

static uint8_t take_tif(fuzz_input *input, uint8_t type) {
    uint8_t tif = take_enum(input, SENTINEL_TIF_COUNT);
    return is_priced(type) ? tif : one_of(input, 8) == 0 ? tif : 0;
}

static uint32_t take_place(fuzz_input *input, sentinel_order_place *place) {
    place->instrument = 1;
    place->side = take_enum(input, 3);
    place->type = take_enum(input, SENTINEL_TYPE_COUNT);
    place->time_in_force = take_tif(input, place->type);
    uint8_t options = (uint8_t)take(input, 1);
    if ((options & 1) != 0) {
        place->position_side = take_enum(input, 4);
        place->margin_mode = take_enum(input, 4);
        place->trigger_by = take_enum(input, 4);
        place->trigger_direction = take_enum(input, 3);
    }
    place->trigger_by |= (uint8_t)((options & 2) != 0 && place->type > 2);
    place->quantity = take_amount(input);
    place->price = take_amount(input);
    place->trigger_price = take_amount(input);
    uint32_t present = terms_present(place->type, place->time_in_force);
    if ((options & 4) != 0) {
        present |= SENTINEL_PRESENT_PRICE; /* a market order's worst */
    } else if ((options & 8) != 0) {
        present ^= SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_QUOTE_QUANTITY;
        place->quote_quantity = take_amount(input);
        place->quantity = (sentinel_decimal){0};
    }
    if ((options & 16) != 0) {
        present |= SENTINEL_PRESENT_REDUCE_ONLY;
        place->reduce_only = one_of(input, 2);
    }
    if ((present & SENTINEL_PRESENT_EXPIRE) != 0) {
        place->expire_ms = INT64_C(1800000000000) + (int64_t)take(input, 2);
    }
    if ((present & SENTINEL_PRESENT_PRICE) == 0) {
        place->price = (sentinel_decimal){0};
    }
    if ((present & SENTINEL_PRESENT_TRIGGER_PRICE) == 0) {
        place->trigger_price = (sentinel_decimal){0};
    }
    return present;
}

static uint32_t take_amend(fuzz_input *input, sentinel_order_amend *amend) {
    take_target(input, &amend->target);
    if (amend->target.by != SENTINEL_TARGET_ACTION) {
        amend->instrument = 1;
        amend->side = take_enum(input, 3);
    }
    amend->type = take_enum(input, SENTINEL_TYPE_COUNT);
    amend->time_in_force = take_tif(input, amend->type);
    amend->quantity = take_amount(input);
    uint32_t present = terms_present(amend->type, amend->time_in_force);
    if ((present & SENTINEL_PRESENT_PRICE) != 0) {
        amend->price = take_amount(input);
    }
    if ((present & SENTINEL_PRESENT_TRIGGER_PRICE) != 0) {
        amend->trigger_price = take_amount(input);
    }
    return present;
}

static uint32_t take_query(fuzz_input *input, sentinel_order_query *query) {
    uint8_t wide = one_of(input, 2);
    uint32_t present = 0;
    query->what = take_enum(input, SENTINEL_QUERY_COUNT);
    if (query->what == SENTINEL_QUERY_ORDER) {
        take_target(input, &query->target);
        query->instrument = query->target.by != SENTINEL_TARGET_ACTION;
        return 0;
    }
    query->instrument = !wide;
    query->venue = wide ? key.venue : 0;
    query->contract = wide ? take_enum(input, SENTINEL_CONTRACT_COUNT) : 0;
    if (query->what == SENTINEL_QUERY_FILLS) {
        uint8_t span = one_of(input, 8);
        present = (span & 1u) * SENTINEL_PRESENT_START | (span >> 1 & 1u) * SENTINEL_PRESENT_END |
                  (span >> 2 & 1u) * SENTINEL_PRESENT_LIMIT;
        query->start_ms = span & 1 ? (int64_t)take(input, 4) : 0;
        query->end_ms = span & 2 ? (int64_t)take(input, 5) : 0;
        query->limit = span & 4 ? (uint32_t)take(input, 1) : 0;
    }
    return present;
}

static uint32_t take_cancels(fuzz_input *input, sentinel_order *order) {
    uint8_t wide = one_of(input, 2);
    if (order->header.action == SENTINEL_ACTION_CANCEL) {
        take_target(input, &order->cancel.target);
        order->cancel.instrument = order->cancel.target.by != SENTINEL_TARGET_ACTION;
        return 0;
    }
    if (order->header.action == SENTINEL_ACTION_CANCEL_ALL) {
        order->cancel_all.instrument = !wide;
        order->cancel_all.venue = wide ? key.venue : 0;
        order->cancel_all.contract = wide ? take_enum(input, SENTINEL_CONTRACT_COUNT) : 0;
        order->cancel_all.asset = wide ? one_of(input, 2) : 0;
        return 0;
    }
    order->cancel_all_after.instrument = !wide;
    order->cancel_all_after.venue = wide ? key.venue : 0;
    if (one_of(input, 2) != 0) {
        order->cancel_all_after.timeout_ms = take(input, 2) * 8;
        return SENTINEL_PRESENT_TIMEOUT;
    }
    order->cancel_all_after.at_ms = INT64_C(1700000000000) + (int64_t)take(input, 3);
    return SENTINEL_PRESENT_AT;
}

static uint32_t take_wallet(fuzz_input *input, sentinel_order *order) {
    if (order->header.action == SENTINEL_ACTION_TRANSFER) {
        sentinel_order_transfer *transfer = &order->transfer;
        transfer->asset = 1;
        transfer->from_account = take_enum(input, 9);
        transfer->to_account = one_of(input, 2) ? transfer->from_account : take_enum(input, 9);
        transfer->amount = take_amount(input);
        transfer->destination_size =
            take_text(input, transfer->destination, sizeof transfer->destination);
        return 0;
    }
    sentinel_order_withdraw *withdraw = &order->withdraw;
    withdraw->asset = withdraw->network = 1;
    withdraw->amount = take_amount(input);
    withdraw->address_size = take_text(input, withdraw->address, sizeof withdraw->address);
    uint8_t options = (uint8_t)take(input, 1);
    withdraw->from_account = (options & 1) != 0 ? take_enum(input, 9) : 0;
    withdraw->priority = (options & 2) != 0 ? take_enum(input, SENTINEL_PRIORITY_COUNT) : 0;
    if ((options & 4) == 0) {
        return 0;
    }
    withdraw->memo_size = take_text(input, withdraw->memo, sizeof withdraw->memo);
    return SENTINEL_PRESENT_MEMO;
}

static void take_order(fuzz_input *input, sentinel_order *order) {
    sentinel_order_header *header = &order->header;
    uint8_t wild = (uint8_t)take(input, 1), lab = (uint8_t)take(input, 1);
    memset(order, 0, sizeof *order);
    header->version = SENTINEL_ORDER_VERSION;
    header->action = (uint16_t)(1 + one_of(input, SENTINEL_ACTION_COUNT - 2));
    header->size_bytes = sentinel_order_bytes(header->action);
    header->agent = header->key = 1;
    header->action_id = 1;
    header->release_mode = SENTINEL_RELEASE_TO_AGENT;
    header->tag_size = take_text(input, header->tag, sizeof header->tag);
    switch (header->action) {
    case SENTINEL_ACTION_PLACE:
        header->present = take_place(input, &order->place);
        break;
    case SENTINEL_ACTION_AMEND:
        header->present = take_amend(input, &order->amend);
        break;
    case SENTINEL_ACTION_QUERY:
        header->present = take_query(input, &order->query);
        break;
    case SENTINEL_ACTION_WITHDRAW:
    case SENTINEL_ACTION_TRANSFER:
        header->present = take_wallet(input, order);
        break;
    default:
        header->present = take_cancels(input, order);
    }
    if (environment == SENTINEL_ENVIRONMENT_LAB || wild > 0xf0) {
        header->present |= (lab & 1) != 0 ? SENTINEL_PRESENT_LAB_CLIENT_ID : 0;
        header->present |= (lab & 2) != 0 ? SENTINEL_PRESENT_LAB_WAIVE : 0;
        header->present |= (lab & 4) != 0 ? SENTINEL_PRESENT_LAB_TESTNET : 0;
    }
    if (wild < 8) {
        header->present = (uint32_t)take(input, 4); /* any bits */
    } else if (wild < 16) {
        ((uint8_t *)order)[take(input, 2) % sizeof *order] = (uint8_t)take(input, 1);
    }
}

/* ---- Rows and rendering ------------------------------------------------------ */

static void take_rows(fuzz_input *input) {
    static const char *const users[] = {"", "0x00000000000000000000000000000000000000aa",
                                        "vault-0x00000000000000000000000000000000000000bb"};
    memset(&instrument, 0, sizeof instrument);
    memset(&asset, 0, sizeof asset);
    memset(&network, 0, sizeof network);
    memset(&key, 0, sizeof key);
    key.venue = (uint16_t)(1 + one_of(input, SENTINEL_VENUE_COUNT - 1));
    int hyperliquid = key.venue == SENTINEL_VENUE_HYPERLIQUID;
    key.algorithm =
        hyperliquid ? SENTINEL_ALGORITHM_ECDSA_SECP256K1 : SENTINEL_ALGORITHM_HMAC_SHA256;
    key.purpose = one_of(input, 2) != 0 ? SENTINEL_PURPOSE_VENUE_MASTER : SENTINEL_PURPOSE_VENUE;
    key.api_key_size = set(key.api_key, hyperliquid ? users[one_of(input, 3)] : "Key-1");
    instrument.venue = asset.venue = key.venue;
    instrument.contract = (uint8_t)(1 + one_of(input, SENTINEL_CONTRACT_COUNT - 1));
    instrument.quantity_unit = (uint8_t)(1 + one_of(input, SENTINEL_UNIT_COUNT - 1));
    instrument.symbol_size = set(instrument.symbol, "BTC-USDT");
    instrument.venue_index = instrument.contract == SENTINEL_CONTRACT_SPOT ? 10107 : 5;
    instrument.tick = instrument.lot = (sentinel_decimal){.mantissa = 1, .scale = 2};
    instrument.multiplier = (sentinel_decimal){.mantissa = 1};
    asset.code_size = set(asset.code, hyperliquid ? "USDC" : "USDT");
    asset.token16[0] = 0x6d;
    settle = asset;
    static const char *const codes[] = {"", "ETH", "Arbitrum", "USDT-TRC20"};
    network.code_size = set(network.code, codes[one_of(input, 4)]);
}

/* What rendering is given, as gate_resolve.c does. */
static void take_render(fuzz_input *input, sentinel_render *render, const sentinel_order *order) {
    uint8_t options = (uint8_t)take(input, 1);
    int is_time = key.venue >= SENTINEL_VENUE_OKX;
    memset(render, 0, sizeof *render);
    render->key = &key;
    render->passphrase = "Pass-1";
    render->passphrase_size = 6;
    render->timestamp_ms = INT64_C(1700000000000) + (int64_t)take(input, 3);
    render->nonce = (uint64_t)render->timestamp_ms + take(input, 1);
    render->has_expiry = (options & 1) == 0;
    render->expiry = 1 + take(input, 2) % 6000 + (is_time ? (uint64_t)render->timestamp_ms : 0);
    render->side = (uint8_t)(1 + (options >> 1 & 1));
    render->environment = environment;
    render->target_type = one_of(input, SENTINEL_TYPE_COUNT);
    render->target_time_in_force = one_of(input, SENTINEL_TIF_COUNT);
    render->target_reduce_only = options >> 2 & 1;
    if (order->header.action == SENTINEL_ACTION_AMEND && (options & 24) != 0) {
        render->target_type = order->amend.type; /* most venues amend nothing else */
        render->target_time_in_force = order->amend.time_in_force;
        render->target_reduce_only = order->amend.reduce_only;
    }
}

static void point_at_rows(scene *s) {
    const sentinel_order *order = &s->order;
    uint16_t action = order->header.action;
    int wallet = action == SENTINEL_ACTION_WITHDRAW || action == SENTINEL_ACTION_TRANSFER;
    int venue_wide =
        (action == SENTINEL_ACTION_CANCEL_ALL && order->cancel_all.instrument == 0) ||
        (action == SENTINEL_ACTION_CANCEL_ALL_AFTER && order->cancel_all_after.instrument == 0) ||
        (action == SENTINEL_ACTION_QUERY && order->query.venue != 0);
    int by_asset = action == SENTINEL_ACTION_CANCEL_ALL && order->cancel_all.asset != 0;
    s->render.order = order;
    s->render.instrument = wallet || venue_wide ? NULL : &instrument;
    s->render.settle = s->render.instrument != NULL ? &settle : NULL;
    s->render.asset = wallet || by_asset ? &asset : NULL;
    s->render.network = action == SENTINEL_ACTION_WITHDRAW ? &network : NULL;
}

/* The names of this request and of its target: the agent's in `lab`, else the
 * engine's. */
static void name_orders(scene *s) {
    static const char own[] = "0123456789abcdef0123456789abcdef";
    sentinel_target *target = target_of(&s->order);
    memset(s->render.client_id, 0, sizeof s->render.client_id);
    memset(s->render.target_client_id, 0, sizeof s->render.target_client_id);
    s->render.client_id_size =
        has(s, SENTINEL_PRESENT_LAB_WAIVE) ? 0 : set(s->render.client_id, own);
    if (has(s, SENTINEL_PRESENT_LAB_WAIVE)) {
        s->render.has_expiry = 0;
    }
    if (has(s, SENTINEL_PRESENT_LAB_CLIENT_ID)) {
        s->render.client_id_size = s->order.header.tag_size;
        memcpy(s->render.client_id, s->order.header.tag, sizeof s->order.header.tag);
        s->texts[CLIENT] = s->texts[TAG];
    }
    if (has(s, SENTINEL_PRESENT_LAB_EXPIRY)) {
        s->render.has_expiry = 1;
        s->render.expiry = s->order.header.lab_expiry;
    }
    if (has(s, SENTINEL_PRESENT_LAB_TESTNET)) {
        s->render.environment = SENTINEL_ENVIRONMENT_TEST;
    }
    s->render.target_client_id_size = 0;
    if (target != NULL && target->by == SENTINEL_TARGET_ACTION) {
        s->render.target_client_id_size = set(s->render.target_client_id, own);
    } else if (target != NULL && target->by == SENTINEL_TARGET_CLIENT_ID) {
        s->render.target_client_id_size = target->id_size;
        memcpy(s->render.target_client_id, target->id, sizeof target->id);
    }
}

#endif
