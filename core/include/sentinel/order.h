/* Orders: one fixed-layout struct per kind of action.
 *
 * Every struct begins with sentinel_order_header and is at most
 * SENTINEL_ORDER_BYTES_MAX long. A field that may be absent has a presence
 * bit (or an enumeration whose zero means absent); absent fields are zero.
 * docs/1-order.md has the byte tables. */
#ifndef SENTINEL_ORDER_H
#define SENTINEL_ORDER_H

#include <sentinel/status.h>
#include <sentinel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SENTINEL_ORDER_VERSION 1u
#define SENTINEL_ORDER_BYTES_MAX 384u
#define SENTINEL_TAG_BYTES_MAX 64u
#define SENTINEL_ID_BYTES_MAX 64u
#define SENTINEL_ADDRESS_BYTES_MAX 128u
#define SENTINEL_MEMO_BYTES_MAX 64u
#define SENTINEL_MESSAGE_BYTES_MAX 216u

/* Presence bits (header.present). LAB_* are refused outside `lab`. */
enum {
    SENTINEL_PRESENT_QUANTITY = 1u << 0,
    SENTINEL_PRESENT_QUOTE_QUANTITY = 1u << 1,
    SENTINEL_PRESENT_PRICE = 1u << 2,
    SENTINEL_PRESENT_TRIGGER_PRICE = 1u << 3,
    SENTINEL_PRESENT_REDUCE_ONLY = 1u << 4,
    SENTINEL_PRESENT_CLOSE_ON_TRIGGER = 1u << 5,
    SENTINEL_PRESENT_EXPIRE = 1u << 6, /* good till date */
    SENTINEL_PRESENT_PARENT = 1u << 7,
    SENTINEL_PRESENT_REASONS = 1u << 8, /* reasons_digest32 */
    SENTINEL_PRESENT_MEMO = 1u << 9,
    SENTINEL_PRESENT_START = 1u << 10, /* query: start_ms */
    SENTINEL_PRESENT_END = 1u << 11, /* query: end_ms */
    SENTINEL_PRESENT_LIMIT = 1u << 12, /* query: limit */
    SENTINEL_PRESENT_TIMEOUT = 1u << 13, /* cancel_all_after: timeout_ms */
    SENTINEL_PRESENT_AT = 1u << 14, /* cancel_all_after: at_ms */
    SENTINEL_PRESENT_LAB_TESTNET = 1u << 26, /* for the venue's test network */
    SENTINEL_PRESENT_LAB_CLIENT_ID = 1u << 27, /* tag is the client order id */
    SENTINEL_PRESENT_LAB_NONCE = 1u << 28,
    SENTINEL_PRESENT_LAB_EXPIRY = 1u << 29,
    SENTINEL_PRESENT_LAB_WAIVE = 1u << 30 /* leave out what is always set */
};

/* The beginning of every order. */
typedef struct sentinel_order_header {
    uint16_t version; /* SENTINEL_ORDER_VERSION */
    uint16_t action;
    uint32_t size_bytes; /* of the whole struct */
    uint32_t agent; /* id of the agent's node; must be the session's */
    uint32_t key; /* key id, or 0: the agent's only key for this */
    uint64_t action_id; /* grows per agent; a window of 64 is accepted */
    uint64_t parent_action_id; /* PRESENT_PARENT */
    uint32_t parent_agent;
    uint32_t present; /* presence bits */
    uint8_t reasons_digest32[32]; /* SHA-256 of the agent's stated reasons */
    uint64_t lab_nonce; /* LAB_NONCE: used verbatim */
    uint64_t lab_expiry; /* LAB_EXPIRY: as the venue writes it */
    uint8_t release_mode; /* SENTINEL_RELEASE_TO_AGENT */
    uint8_t tag_size;
    uint8_t reserved[6];
    char tag[SENTINEL_TAG_BYTES_MAX]; /* the agent's own; letters digits . _ - */
} sentinel_order_header;
SENTINEL_SIZE(sentinel_order_header, 160);
SENTINEL_AT(sentinel_order_header, action_id, 16);
SENTINEL_AT(sentinel_order_header, present, 36);
SENTINEL_AT(sentinel_order_header, reasons_digest32, 40);
SENTINEL_AT(sentinel_order_header, lab_nonce, 72);
SENTINEL_AT(sentinel_order_header, release_mode, 88);
SENTINEL_AT(sentinel_order_header, tag, 96);

/* Which earlier order a cancel, an amend or a query means. */
enum {
    SENTINEL_TARGET_ACTION = 1, /* action_id of the same agent, in the book */
    SENTINEL_TARGET_VENUE_ID = 2, /* id of the venue's own */
    SENTINEL_TARGET_CLIENT_ID = 3, /* lab only */
    SENTINEL_TARGET_COUNT = 4
};
typedef struct sentinel_target {
    uint8_t by;
    uint8_t id_size;
    uint8_t reserved[6];
    uint64_t action_id;
    char id[SENTINEL_ID_BYTES_MAX]; /* letters digits . _ - */
} sentinel_target;
SENTINEL_SIZE(sentinel_target, 80);

typedef struct sentinel_order_place {
    sentinel_order_header header;
    uint32_t instrument;
    uint8_t side;
    uint8_t type;
    uint8_t time_in_force;
    uint8_t position_side; /* 0 absent */
    uint8_t margin_mode; /* 0 absent */
    uint8_t trigger_by; /* 0 absent */
    uint8_t trigger_direction; /* 0 absent */
    uint8_t reduce_only; /* PRESENT_REDUCE_ONLY: 0 or 1 */
    uint8_t close_on_trigger; /* PRESENT_CLOSE_ON_TRIGGER: 0 or 1 */
    uint8_t reserved0[3];
    int64_t expire_ms; /* PRESENT_EXPIRE: Unix milliseconds, for GTD */
    sentinel_decimal quantity; /* in the instrument's unit */
    sentinel_decimal quote_quantity; /* market orders only, else quantity */
    sentinel_decimal price; /* of a market order: the worst to be taken */
    sentinel_decimal trigger_price;
    uint8_t reserved1[40];
} sentinel_order_place;
SENTINEL_SIZE(sentinel_order_place, 288);
SENTINEL_AT(sentinel_order_place, instrument, 160);
SENTINEL_AT(sentinel_order_place, expire_ms, 176);
SENTINEL_AT(sentinel_order_place, quantity, 184);
SENTINEL_AT(sentinel_order_place, trigger_price, 232);

/* Complete new terms; charged as a new order. By action, instrument and side
 * come from the book and must be zero here; otherwise (lab) they are given. */
typedef struct sentinel_order_amend {
    sentinel_order_header header;
    uint32_t instrument;
    uint8_t side;
    uint8_t type;
    uint8_t time_in_force;
    uint8_t reduce_only; /* PRESENT_REDUCE_ONLY */
    sentinel_target target;
    sentinel_decimal quantity;
    sentinel_decimal price;
    sentinel_decimal trigger_price;
    uint8_t reserved[32];
} sentinel_order_amend;
SENTINEL_SIZE(sentinel_order_amend, 328);
SENTINEL_AT(sentinel_order_amend, target, 168);
SENTINEL_AT(sentinel_order_amend, quantity, 248);

/* By action, the instrument comes from the book and must be zero here. */
typedef struct sentinel_order_cancel {
    sentinel_order_header header;
    uint32_t instrument;
    uint8_t reserved0[4];
    sentinel_target target;
    uint8_t reserved1[8];
} sentinel_order_cancel;
SENTINEL_SIZE(sentinel_order_cancel, 256);
SENTINEL_AT(sentinel_order_cancel, target, 168);

/* Every open order of an instrument, or (instrument 0) of a venue. */
typedef struct sentinel_order_cancel_all {
    sentinel_order_header header;
    uint32_t instrument;
    uint16_t venue; /* set if and only if instrument is 0 */
    uint8_t reserved0[2];
    uint32_t asset; /* venues that cancel by settlement asset; 0 absent */
    uint8_t contract; /* venues that cancel by kind of contract; 0 absent */
    uint8_t reserved1[19];
} sentinel_order_cancel_all;
SENTINEL_SIZE(sentinel_order_cancel_all, 192);

/* The venue's own dead-man timer. A timeout of 0 disarms it. */
typedef struct sentinel_order_cancel_all_after {
    sentinel_order_header header;
    uint32_t instrument;
    uint16_t venue; /* set if and only if instrument is 0 */
    uint8_t reserved0[2];
    uint64_t timeout_ms; /* PRESENT_TIMEOUT */
    int64_t at_ms; /* PRESENT_AT: Unix milliseconds (Hyperliquid) */
    uint8_t reserved1[8];
} sentinel_order_cancel_all_after;
SENTINEL_SIZE(sentinel_order_cancel_all_after, 192);

enum {
    SENTINEL_QUERY_ORDER = 1, /* one order, by target */
    SENTINEL_QUERY_OPEN_ORDERS = 2,
    SENTINEL_QUERY_FILLS = 3,
    SENTINEL_QUERY_COUNT = 4
};
typedef struct sentinel_order_query {
    sentinel_order_header header;
    uint32_t instrument; /* zero when the target is an action, or for a venue */
    uint16_t venue; /* set if and only if instrument and target are absent */
    uint8_t what;
    uint8_t contract; /* of a venue, where it asks by kind of contract; 0 absent */
    sentinel_target target; /* QUERY_ORDER; else zero */
    int64_t start_ms; /* PRESENT_START */
    int64_t end_ms; /* PRESENT_END */
    uint32_t limit; /* PRESENT_LIMIT: 1 to 1000 */
    uint8_t reserved1[4];
} sentinel_order_query;
SENTINEL_SIZE(sentinel_order_query, 272);
SENTINEL_AT(sentinel_order_query, target, 168);
SENTINEL_AT(sentinel_order_query, start_ms, 248);

/* To an address outside the venue. */
typedef struct sentinel_order_withdraw {
    sentinel_order_header header;
    uint32_t asset;
    uint32_t network;
    sentinel_decimal amount;
    uint8_t address_size;
    uint8_t memo_size;
    uint8_t from_account; /* 0 absent */
    uint8_t priority; /* of the network fee (Deribit); 0 absent */
    uint8_t reserved[4];
    char address[SENTINEL_ADDRESS_BYTES_MAX]; /* letters digits . _ - */
    char memo[SENTINEL_MEMO_BYTES_MAX]; /* PRESENT_MEMO */
} sentinel_order_withdraw;
SENTINEL_SIZE(sentinel_order_withdraw, 384);
SENTINEL_AT(sentinel_order_withdraw, amount, 168);
SENTINEL_AT(sentinel_order_withdraw, address, 192);
SENTINEL_AT(sentinel_order_withdraw, memo, 320);

/* Between wallets of one venue; to a sub-account when `destination` is set. */
typedef struct sentinel_order_transfer {
    sentinel_order_header header;
    uint32_t asset;
    uint8_t from_account;
    uint8_t to_account;
    uint8_t destination_size; /* 0 absent */
    uint8_t reserved0[1];
    sentinel_decimal amount;
    char destination[SENTINEL_ID_BYTES_MAX];
    uint8_t reserved1[8];
} sentinel_order_transfer;
SENTINEL_SIZE(sentinel_order_transfer, 256);
SENTINEL_AT(sentinel_order_transfer, amount, 168);

/* Signed with a message key over
 * "sentinel-message-v1" || 0x00 || u32 little-endian length || text. */
typedef struct sentinel_order_message {
    sentinel_order_header header;
    uint16_t text_size;
    uint8_t reserved[6];
    char text[SENTINEL_MESSAGE_BYTES_MAX]; /* UTF-8 */
} sentinel_order_message;
SENTINEL_SIZE(sentinel_order_message, 384);

typedef union sentinel_order {
    sentinel_order_header header;
    sentinel_order_place place;
    sentinel_order_amend amend;
    sentinel_order_cancel cancel;
    sentinel_order_cancel_all cancel_all;
    sentinel_order_cancel_all_after cancel_all_after;
    sentinel_order_query query;
    sentinel_order_withdraw withdraw;
    sentinel_order_transfer transfer;
    sentinel_order_message message;
} sentinel_order;
SENTINEL_SIZE(sentinel_order, SENTINEL_ORDER_BYTES_MAX);

/* The size of the struct of an action, in bytes; 0 for an unknown action. */
SENTINEL_API uint32_t
sentinel_order_bytes(uint16_t action);

/* Checks the form of an order: version, sizes, reserved bytes, ranges,
 * presence, character sets. Looks nothing up.
 * Returns:  OK; USAGE_ARGUMENT.
 * Out:      reason: NONE, or the first of the order's reasons that applies.
 * In:       order_bytes: size bytes, any alignment, any content.
 *           environment: of the engine; LAB_* bits pass only in `lab`.
 * Timing:   variable. Allocates: never. Threads: any. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_order_check(sentinel_reason *reason, const void *order_bytes, size_t size,
                     uint8_t environment);

/* True (1) when every byte of the text is a letter, digit, '.', '_' or '-'. */
SENTINEL_API int
sentinel_text_is_id(const char *text, size_t size);

/* Writes a decimal as text, every trailing zero kept: {6500010, 2} is
 * "65000.10". Returns the number of characters, at most
 * SENTINEL_DECIMAL_TEXT_MAX; 0 when the decimal is negative or its scale is
 * out of range. No terminating zero. */
#define SENTINEL_DECIMAL_TEXT_MAX 21u
SENTINEL_API size_t
sentinel_decimal_write(char *text, const sentinel_decimal *decimal);

/* Reads canonical decimal text ("0.10", "5"; no sign, exponent, or leading
 * zero). Returns FORMAT_TEXT or FORMAT_RANGE when it is none. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_decimal_read(sentinel_decimal *decimal, const char *text, size_t size);

/* Compares two non-negative decimals by value: -1, 0 or 1. */
SENTINEL_API int
sentinel_decimal_compare(const sentinel_decimal *a, const sentinel_decimal *b);

#ifdef __cplusplus
}
#endif
#endif
