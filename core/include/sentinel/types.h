/* Types and numbers that every layout uses.
 *
 * All layouts are little-endian, with explicit widths and no implicit
 * padding; the reserved fields must be zero and are checked. Only
 * little-endian machines are supported: the structs are the wire form. */
#ifndef SENTINEL_TYPES_H
#define SENTINEL_TYPES_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Sentinel's layouts are little-endian"
#endif

#ifdef __cplusplus
#define SENTINEL_ASSERT_LAYOUT(cond, text) static_assert(cond, text)
#else
#define SENTINEL_ASSERT_LAYOUT(cond, text) _Static_assert(cond, text)
#endif
#define SENTINEL_SIZE(type, bytes) \
    SENTINEL_ASSERT_LAYOUT(sizeof(type) == (bytes), #type " has another size")
#define SENTINEL_AT(type, field, offset) \
    SENTINEL_ASSERT_LAYOUT(offsetof(type, field) == (offset), #type "." #field " moved")

/* The rules of deciding. A log is replayed under the version it names. */
#define SENTINEL_SEMANTICS_VERSION 1u

/* A decimal that keeps its text: 65000.10 is {6500010, 2}. */
typedef struct sentinel_decimal {
    int64_t mantissa;
    uint8_t scale; /* digits after the point, at most SENTINEL_SCALE_MAX */
    uint8_t reserved[7];
} sentinel_decimal;
SENTINEL_SIZE(sentinel_decimal, 16);

#define SENTINEL_SCALE_MAX 18u

/* Of a record's three parts, each with a salt of its own (audit.h, sign.h). */
#define SENTINEL_SALT_BYTES 16u
#define SENTINEL_SALTS_BYTES (3 * SENTINEL_SALT_BYTES)

/* Zero is no verdict, so that zeroed memory never allows. */
enum {
    SENTINEL_VERDICT_NONE = 0,
    SENTINEL_ALLOWED = 1,
    SENTINEL_DENIED = 2,
    SENTINEL_PENDING = 3, /* waits for approvers */
    SENTINEL_FAILED = 4
};

enum {
    SENTINEL_ENVIRONMENT_LIVE = 1,
    SENTINEL_ENVIRONMENT_TEST = 2,
    SENTINEL_ENVIRONMENT_LAB = 3
};

enum {
    SENTINEL_VENUE_NONE = 0, /* messages */
    SENTINEL_VENUE_BINANCE_SPOT = 1,
    SENTINEL_VENUE_BINANCE_USDM = 2,
    SENTINEL_VENUE_BYBIT = 3,
    SENTINEL_VENUE_OKX = 4,
    SENTINEL_VENUE_DERIBIT = 5,
    SENTINEL_VENUE_HYPERLIQUID = 6,
    SENTINEL_VENUE_COUNT = 7
};

enum {
    SENTINEL_ACTION_PLACE = 1,
    SENTINEL_ACTION_AMEND = 2,
    SENTINEL_ACTION_CANCEL = 3,
    SENTINEL_ACTION_CANCEL_ALL = 4,
    SENTINEL_ACTION_CANCEL_ALL_AFTER = 5,
    SENTINEL_ACTION_QUERY = 6,
    SENTINEL_ACTION_WITHDRAW = 7,
    SENTINEL_ACTION_TRANSFER = 8,
    SENTINEL_ACTION_MESSAGE = 9,
    SENTINEL_ACTION_COUNT = 10
};

enum {
    SENTINEL_SIDE_BUY = 1,
    SENTINEL_SIDE_SELL = 2,
    SENTINEL_SIDE_COUNT = 3
};

enum {
    SENTINEL_TYPE_LIMIT = 1,
    SENTINEL_TYPE_MARKET = 2,
    SENTINEL_TYPE_STOP_MARKET = 3,
    SENTINEL_TYPE_STOP_LIMIT = 4,
    SENTINEL_TYPE_TAKE_PROFIT_MARKET = 5,
    SENTINEL_TYPE_TAKE_PROFIT_LIMIT = 6,
    SENTINEL_TYPE_COUNT = 7
};

enum {
    SENTINEL_TIF_NONE = 0, /* orders without a limit price */
    SENTINEL_TIF_GTC = 1,
    SENTINEL_TIF_IOC = 2,
    SENTINEL_TIF_FOK = 3,
    SENTINEL_TIF_POST_ONLY = 4,
    SENTINEL_TIF_GTD = 5,
    SENTINEL_TIF_COUNT = 6
};

enum {
    SENTINEL_POSITION_LONG = 1,
    SENTINEL_POSITION_SHORT = 2,
    SENTINEL_POSITION_BOTH = 3,
    SENTINEL_POSITION_COUNT = 4
};
enum {
    SENTINEL_MARGIN_CASH = 1,
    SENTINEL_MARGIN_CROSS = 2,
    SENTINEL_MARGIN_ISOLATED = 3,
    SENTINEL_MARGIN_COUNT = 4
};
enum {
    SENTINEL_TRIGGER_BY_LAST = 1,
    SENTINEL_TRIGGER_BY_MARK = 2,
    SENTINEL_TRIGGER_BY_INDEX = 3,
    SENTINEL_TRIGGER_BY_COUNT = 4
};
enum {
    SENTINEL_TRIGGER_RISE = 1,
    SENTINEL_TRIGGER_FALL = 2,
    SENTINEL_TRIGGER_DIRECTION_COUNT = 3
};

/* Wallets of one venue account, for withdrawals and transfers. */
enum {
    SENTINEL_ACCOUNT_SPOT = 1,
    SENTINEL_ACCOUNT_FUNDING = 2,
    SENTINEL_ACCOUNT_USDM = 3,
    SENTINEL_ACCOUNT_COINM = 4,
    SENTINEL_ACCOUNT_MARGIN = 5,
    SENTINEL_ACCOUNT_UNIFIED = 6,
    SENTINEL_ACCOUNT_OPTION = 7,
    SENTINEL_ACCOUNT_SUBACCOUNT = 8,
    SENTINEL_ACCOUNT_COUNT = 9
};

/* How much a withdrawal pays to be confirmed soon. */
enum {
    SENTINEL_PRIORITY_VERY_LOW = 1,
    SENTINEL_PRIORITY_LOW = 2,
    SENTINEL_PRIORITY_MID = 3,
    SENTINEL_PRIORITY_HIGH = 4,
    SENTINEL_PRIORITY_VERY_HIGH = 5,
    SENTINEL_PRIORITY_EXTREME_HIGH = 6,
    SENTINEL_PRIORITY_INSANE = 7,
    SENTINEL_PRIORITY_COUNT = 8
};

enum {
    SENTINEL_CONTRACT_SPOT = 1,
    SENTINEL_CONTRACT_LINEAR = 2,
    SENTINEL_CONTRACT_INVERSE = 3,
    SENTINEL_CONTRACT_QUANTO = 4,
    SENTINEL_CONTRACT_OPTION = 5,
    SENTINEL_CONTRACT_COUNT = 6
};

enum {
    SENTINEL_UNIT_BASE = 1,
    SENTINEL_UNIT_CONTRACTS = 2,
    SENTINEL_UNIT_QUOTE = 3,
    SENTINEL_UNIT_COUNT = 4
};

enum {
    SENTINEL_RELEASE_TO_AGENT = 1,
    SENTINEL_RELEASE_TO_SUBMITTER = 2 /* reserved */
};

enum {
    SENTINEL_ALGORITHM_ED25519 = 1,
    SENTINEL_ALGORITHM_ECDSA_SECP256K1 = 2,
    SENTINEL_ALGORITHM_BIP340 = 3,
    SENTINEL_ALGORITHM_HMAC_SHA256 = 4,
    SENTINEL_ALGORITHM_COUNT = 5
};

/* A key has one purpose, fixed when it is made. */
enum {
    SENTINEL_PURPOSE_VENUE = 1, /* one venue and product: see the venue */
    SENTINEL_PURPOSE_VENUE_MASTER = 2, /* Hyperliquid master keys */
    SENTINEL_PURPOSE_MESSAGE = 3,
    SENTINEL_PURPOSE_RECEIPT = 4, /* the engine's identity; signs heads */
    SENTINEL_PURPOSE_CHAIN = 5, /* reserved */
    SENTINEL_PURPOSE_AUTHORITY = 6, /* a person's or feeder's own; signs frames */
    SENTINEL_PURPOSE_COUNT = 7
};

#endif
