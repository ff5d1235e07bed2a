/* Hyperliquid's user-signed actions: transfers and withdrawals. Their fields
 * are EIP-712 themselves; they have no expiry, and only the key of the account
 * itself may sign them. */
#include <string.h>

#include "bytes.h"
#include "eip712.h"
#include "venue_hyperliquid.h"

/* Addresses are hashed as text, in lower case. */
static int lower_address(char address[ADDRESS_CHARS], const char *text, size_t size) {
    for (size_t i = 0; i < size && i < ADDRESS_CHARS; i++) {
        address[i] = (char)(i > 1 && text[i] >= 'A' && text[i] <= 'F' ? text[i] + 32 : text[i]);
    }
    return size == ADDRESS_CHARS && is_prefixed_hex(address, size, ADDRESS_CHARS);
}

/* A user-signed action is a struct, whose fields stand in the order of its type
 * and begin with the venue's network; and JSON with the same members, whose
 * order is that of the venue's own library. */
typedef struct user_action {
    sentinel_request *request;
    eip712_struct fields;
} user_action;

static const char *chain_of(const sentinel_render *render) {
    return venue_is_test(render) ? "Testnet" : "Mainnet";
}

static void user_begin(user_action *action, sentinel_request *request,
                       const sentinel_render *render, const char *type) {
    hyperliquid_begin(request, render);
    text_string(request, "{");
    action->request = request;
    eip712_begin(&action->fields, type);
    eip712_text(&action->fields, chain_of(render), strlen(chain_of(render)));
}

static void user_text(user_action *action, const char *key, const char *text, size_t size) {
    text_json_text(action->request, key, text, size);
    eip712_text(&action->fields, text, size);
}

/* Amounts keep their text: it is what is hashed. */
static void user_amount(user_action *action, const sentinel_decimal *amount) {
    char text[SENTINEL_DECIMAL_TEXT_MAX];
    size_t size = sentinel_decimal_write(text, amount);
    action->request->overflow |= (uint8_t)(size == 0);
    user_text(action, "amount", text, size);
}

static void user_uint(user_action *action, const char *key, uint64_t value) {
    text_json_integer(action->request, key, value);
    eip712_uint(&action->fields, value);
}

static sentinel_reason user_end(user_action *action, const sentinel_render *render) {
    uint8_t domain32[32];
    text_json_name(action->request, "signatureChainId", "0x66eee");
    text_json_name(action->request, "hyperliquidChain", chain_of(render));
    text_string(action->request, "}");
    eip712_domain(domain32, "HyperliquidSignTransaction", 0x66eee);
    return hyperliquid_end(action->request, render, domain32, &action->fields);
}

static int is_usdc(const sentinel_asset *asset) {
    return asset->code_size == 4 && memcmp(asset->code, "USDC", 4) == 0;
}

/* A token that the venue's listing has a number for. */
static int is_token(const sentinel_asset *asset) {
    return asset->code_size > 0 && asset->code_size <= sizeof asset->code &&
           !bytes_are_zero(asset->token16, sizeof asset->token16);
}

/* From the perpetuals' wallet, by the venue's bridge, which leads to Arbitrum
 * alone. */
sentinel_reason hyperliquid_withdraw(sentinel_request *request, const sentinel_render *render) {
    static const char only[] = "Arbitrum";
    const sentinel_order_withdraw *order = &render->order->withdraw;
    const sentinel_network *network = render->network;
    char address[ADDRESS_CHARS];
    if (network == NULL || !is_usdc(render->asset) || order->priority != 0 ||
        venue_has(render, SENTINEL_PRESENT_MEMO) ||
        (network->code_size != 0 && (network->code_size != sizeof only - 1 ||
                                     memcmp(network->code, only, sizeof only - 1) != 0)) ||
        (order->from_account != 0 && order->from_account != SENTINEL_ACCOUNT_USDM)) {
        return UNSUPPORTED;
    }
    if (!lower_address(address, order->address, order->address_size)) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    user_action action;
    user_begin(&action, request, render,
               "HyperliquidTransaction:Withdraw(string hyperliquidChain,string destination,"
               "string amount,uint64 time)");
    user_text(&action, "destination", address, sizeof address);
    user_amount(&action, &order->amount);
    user_uint(&action, "time", render->nonce);
    text_json_name(request, "type", "withdraw3");
    return user_end(&action, render);
}

/* USDC between spot and perpetuals of the account itself. */
static sentinel_reason move_usdc(sentinel_request *request, const sentinel_render *render,
                                 int to_perp) {
    user_action action;
    user_begin(&action, request, render,
               "HyperliquidTransaction:UsdClassTransfer(string hyperliquidChain,string amount,"
               "bool toPerp,uint64 nonce)");
    text_json_name(request, "type", "usdClassTransfer");
    user_amount(&action, &render->order->transfer.amount);
    text_json_bool(request, "toPerp", to_perp);
    eip712_uint(&action.fields, (uint64_t)to_perp);
    user_uint(&action, "nonce", render->nonce);
    return user_end(&action, render);
}

static sentinel_reason send_usdc(sentinel_request *request, const sentinel_render *render,
                                 const char address[ADDRESS_CHARS]) {
    user_action action;
    user_begin(&action, request, render,
               "HyperliquidTransaction:UsdSend(string hyperliquidChain,string destination,"
               "string amount,uint64 time)");
    user_text(&action, "destination", address, ADDRESS_CHARS);
    user_amount(&action, &render->order->transfer.amount);
    user_uint(&action, "time", render->nonce);
    text_json_name(request, "type", "usdSend");
    return user_end(&action, render);
}

/* A token is its code and the venue's number of it: "PURR:0xc1fb...". */
static sentinel_reason send_token(sentinel_request *request, const sentinel_render *render,
                                  const char address[ADDRESS_CHARS]) {
    static const char mark[] = {':', '0', 'x'};
    const sentinel_asset *asset = render->asset;
    char token[sizeof asset->code + sizeof mark + 2 * sizeof asset->token16];
    size_t size = asset->code_size;
    memcpy(token, asset->code, size);
    memcpy(token + size, mark, sizeof mark);
    size += sizeof mark;
    bytes_to_hex(token + size, asset->token16, sizeof asset->token16);
    size += 2 * sizeof asset->token16;
    user_action action;
    user_begin(&action, request, render,
               "HyperliquidTransaction:SpotSend(string hyperliquidChain,string destination,"
               "string token,string amount,uint64 time)");
    user_text(&action, "destination", address, ADDRESS_CHARS);
    eip712_text(&action.fields, token, size);
    user_amount(&action, &render->order->transfer.amount);
    text_json_text(request, "token", token, size);
    user_uint(&action, "time", render->nonce);
    text_json_name(request, "type", "spotSend");
    return user_end(&action, render);
}

/* The wallet of the perpetuals is USDM: they are margined in USDC. */
sentinel_reason hyperliquid_transfer(sentinel_request *request, const sentinel_render *render) {
    const sentinel_order_transfer *order = &render->order->transfer;
    const sentinel_asset *asset = render->asset;
    uint8_t from = order->from_account, to = order->to_account;
    int spot = from == SENTINEL_ACCOUNT_SPOT, perp = from == SENTINEL_ACCOUNT_USDM;
    char address[ADDRESS_CHARS];
    if (order->destination_size == 0) {
        int joined = (spot && to == SENTINEL_ACCOUNT_USDM) || (perp && to == SENTINEL_ACCOUNT_SPOT);
        return joined && is_usdc(asset) ? move_usdc(request, render, spot) : UNSUPPORTED;
    }
    int sends = from == to && ((perp && is_usdc(asset)) || (spot && is_token(asset)));
    if (!sends) {
        return UNSUPPORTED;
    }
    if (!lower_address(address, order->destination, order->destination_size)) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    return perp ? send_usdc(request, render, address) : send_token(request, render, address);
}
