/* The form of an order. Every field of every struct has one row in a table;
 * what a row cannot say (which fields go together) is a short function per
 * action. Nothing is looked up here. */
#include <sentinel/order.h>
#include <string.h>

#include "bytes.h"
#include "order_check.h"

#define PRESENT_LAB                                                                               \
    (SENTINEL_PRESENT_LAB_TESTNET | SENTINEL_PRESENT_LAB_CLIENT_ID | SENTINEL_PRESENT_LAB_NONCE | \
     SENTINEL_PRESENT_LAB_EXPIRY | SENTINEL_PRESENT_LAB_WAIVE)
/* Presence bits that every action may have. */
#define PRESENT_ANY (SENTINEL_PRESENT_PARENT | SENTINEL_PRESENT_REASONS | PRESENT_LAB)
/* Bits 0 to 14 and 26 to 30 have a meaning; the others are reserved. */
#define PRESENT_KNOWN (0x7fffu | PRESENT_LAB)

/* What a row demands of its bytes. A field that is not present is zero. */
enum {
    KIND_ZERO,    /* reserved bytes; or, with a presence bit, any value if present */
    KIND_NUMBER,  /* from low to high, little-endian, 1 to 8 bytes */
    KIND_DECIMAL, /* above zero, scale in range */
    KIND_ID,      /* size byte at `size_at`; identifier characters, zeros after */
    KIND_TEXT     /* the same, with a size of two bytes, in UTF-8 */
};

typedef struct rule {
    uint16_t offset;
    uint16_t size;
    uint16_t size_at; /* texts: where their size stands */
    uint8_t kind;
    uint32_t present; /* presence bit; 0: always there */
    uint64_t low;     /* texts: the least size */
    uint64_t high;
} rule;

#define FIELD(type, field) (uint16_t) offsetof(type, field), (uint16_t)sizeof(((type *)0)->field)
#define ZERO(type, field) \
    { FIELD(type, field), 0, KIND_ZERO, 0, 0, 0 }
#define ANY(type, field, bit) \
    { FIELD(type, field), 0, KIND_ZERO, bit, 0, 0 }
#define NUMBER(type, field, bit, low, high) \
    { FIELD(type, field), 0, KIND_NUMBER, bit, low, high }
#define DECIMAL(type, field, bit) \
    { FIELD(type, field), 0, KIND_DECIMAL, bit, 0, 0 }
#define ID(type, field, field_size, bit, low) \
    { FIELD(type, field), (uint16_t)offsetof(type, field_size), KIND_ID, bit, low, 0 }
/* Times are Unix milliseconds above zero, within int64. */
#define TIME(type, field, bit) NUMBER(type, field, bit, 1, INT64_MAX)

/* The target's own consistency is checked by check_target. */
#define TARGET(type) ZERO(type, target.reserved), ID(type, target.id, target.id_size, 0, 0)

static const rule header_rules[] = {
    ANY(sentinel_order_header, parent_action_id, SENTINEL_PRESENT_PARENT),
    ANY(sentinel_order_header, parent_agent, SENTINEL_PRESENT_PARENT),
    ANY(sentinel_order_header, reasons_digest32, SENTINEL_PRESENT_REASONS),
    ANY(sentinel_order_header, lab_nonce, SENTINEL_PRESENT_LAB_NONCE),
    ANY(sentinel_order_header, lab_expiry, SENTINEL_PRESENT_LAB_EXPIRY),
    NUMBER(sentinel_order_header, release_mode, 0, SENTINEL_RELEASE_TO_AGENT,
           SENTINEL_RELEASE_TO_SUBMITTER),
    ZERO(sentinel_order_header, reserved),
    ID(sentinel_order_header, tag, tag_size, 0, 0),
};

static const rule place_rules[] = {
    NUMBER(sentinel_order_place, side, 0, 1, SENTINEL_SIDE_COUNT - 1),
    NUMBER(sentinel_order_place, type, 0, 1, SENTINEL_TYPE_COUNT - 1),
    NUMBER(sentinel_order_place, time_in_force, 0, 0, SENTINEL_TIF_COUNT - 1),
    NUMBER(sentinel_order_place, position_side, 0, 0, SENTINEL_POSITION_COUNT - 1),
    NUMBER(sentinel_order_place, margin_mode, 0, 0, SENTINEL_MARGIN_COUNT - 1),
    NUMBER(sentinel_order_place, trigger_by, 0, 0, SENTINEL_TRIGGER_BY_COUNT - 1),
    NUMBER(sentinel_order_place, trigger_direction, 0, 0, SENTINEL_TRIGGER_DIRECTION_COUNT - 1),
    NUMBER(sentinel_order_place, reduce_only, SENTINEL_PRESENT_REDUCE_ONLY, 0, 1),
    NUMBER(sentinel_order_place, close_on_trigger, SENTINEL_PRESENT_CLOSE_ON_TRIGGER, 0, 1),
    ZERO(sentinel_order_place, reserved0),
    TIME(sentinel_order_place, expire_ms, SENTINEL_PRESENT_EXPIRE),
    DECIMAL(sentinel_order_place, quantity, SENTINEL_PRESENT_QUANTITY),
    DECIMAL(sentinel_order_place, quote_quantity, SENTINEL_PRESENT_QUOTE_QUANTITY),
    DECIMAL(sentinel_order_place, price, SENTINEL_PRESENT_PRICE),
    DECIMAL(sentinel_order_place, trigger_price, SENTINEL_PRESENT_TRIGGER_PRICE),
    ZERO(sentinel_order_place, reserved1),
};

static const rule amend_rules[] = {
    NUMBER(sentinel_order_amend, side, 0, 0, SENTINEL_SIDE_COUNT - 1),
    NUMBER(sentinel_order_amend, type, 0, 1, SENTINEL_TYPE_COUNT - 1),
    NUMBER(sentinel_order_amend, time_in_force, 0, 0, SENTINEL_TIF_COUNT - 1),
    NUMBER(sentinel_order_amend, reduce_only, SENTINEL_PRESENT_REDUCE_ONLY, 0, 1),
    TARGET(sentinel_order_amend),
    NUMBER(sentinel_order_amend, target.by, 0, 1, SENTINEL_TARGET_COUNT - 1),
    DECIMAL(sentinel_order_amend, quantity, SENTINEL_PRESENT_QUANTITY),
    DECIMAL(sentinel_order_amend, price, SENTINEL_PRESENT_PRICE),
    DECIMAL(sentinel_order_amend, trigger_price, SENTINEL_PRESENT_TRIGGER_PRICE),
    ZERO(sentinel_order_amend, reserved),
};

static const rule cancel_rules[] = {
    ZERO(sentinel_order_cancel, reserved0),
    TARGET(sentinel_order_cancel),
    NUMBER(sentinel_order_cancel, target.by, 0, 1, SENTINEL_TARGET_COUNT - 1),
    ZERO(sentinel_order_cancel, reserved1),
};

static const rule cancel_all_rules[] = {
    NUMBER(sentinel_order_cancel_all, venue, 0, 0, SENTINEL_VENUE_COUNT - 1),
    ZERO(sentinel_order_cancel_all, reserved0),
    NUMBER(sentinel_order_cancel_all, contract, 0, 0, SENTINEL_CONTRACT_COUNT - 1),
    ZERO(sentinel_order_cancel_all, reserved1),
};

static const rule cancel_all_after_rules[] = {
    NUMBER(sentinel_order_cancel_all_after, venue, 0, 0, SENTINEL_VENUE_COUNT - 1),
    ZERO(sentinel_order_cancel_all_after, reserved0),
    ANY(sentinel_order_cancel_all_after, timeout_ms, SENTINEL_PRESENT_TIMEOUT),
    TIME(sentinel_order_cancel_all_after, at_ms, SENTINEL_PRESENT_AT),
    ZERO(sentinel_order_cancel_all_after, reserved1),
};

static const rule query_rules[] = {
    NUMBER(sentinel_order_query, venue, 0, 0, SENTINEL_VENUE_COUNT - 1),
    NUMBER(sentinel_order_query, what, 0, 1, SENTINEL_QUERY_COUNT - 1),
    NUMBER(sentinel_order_query, contract, 0, 0, SENTINEL_CONTRACT_COUNT - 1),
    TARGET(sentinel_order_query),
    NUMBER(sentinel_order_query, target.by, 0, 0, SENTINEL_TARGET_COUNT - 1),
    TIME(sentinel_order_query, start_ms, SENTINEL_PRESENT_START),
    TIME(sentinel_order_query, end_ms, SENTINEL_PRESENT_END),
    NUMBER(sentinel_order_query, limit, SENTINEL_PRESENT_LIMIT, 1, 1000),
    ZERO(sentinel_order_query, reserved1),
};

static const rule withdraw_rules[] = {
    DECIMAL(sentinel_order_withdraw, amount, 0),
    NUMBER(sentinel_order_withdraw, from_account, 0, 0, SENTINEL_ACCOUNT_COUNT - 1),
    NUMBER(sentinel_order_withdraw, priority, 0, 0, SENTINEL_PRIORITY_COUNT - 1),
    ZERO(sentinel_order_withdraw, reserved),
    ID(sentinel_order_withdraw, address, address_size, 0, 1),
    ID(sentinel_order_withdraw, memo, memo_size, SENTINEL_PRESENT_MEMO, 1),
};

static const rule transfer_rules[] = {
    NUMBER(sentinel_order_transfer, from_account, 0, 1, SENTINEL_ACCOUNT_COUNT - 1),
    NUMBER(sentinel_order_transfer, to_account, 0, 1, SENTINEL_ACCOUNT_COUNT - 1),
    ZERO(sentinel_order_transfer, reserved0),
    DECIMAL(sentinel_order_transfer, amount, 0),
    ID(sentinel_order_transfer, destination, destination_size, 0, 0),
    ZERO(sentinel_order_transfer, reserved1),
};

static const rule message_rules[] = {
    ZERO(sentinel_order_message, reserved),
    {FIELD(sentinel_order_message, text), offsetof(sentinel_order_message, text_size), KIND_TEXT, 0,
     1, 0},
};

static uint64_t load(const uint8_t *bytes, size_t size) {
    uint64_t value = 0;
    memcpy(&value, bytes, size);
    return value;
}

/* Eight bytes or fewer as one number. Such fields end eight bytes before the
 * order's room does, so that nothing is read beyond it. */
static inline uint64_t load_word(const uint8_t *field, unsigned size) {
    uint64_t word;
    memcpy(&word, field, sizeof word);
    return word << (64 - 8 * size) >> (64 - 8 * size);
}

static inline __attribute__((always_inline)) int is_zero(const uint8_t *field, size_t size) {
    uint64_t all = 0;
    for (; size >= 8; size -= 8, field += 8) {
        all |= load_word(field, 8);
    }
    return (size != 0 ? all | load(field, size) : all) == 0;
}

/* Most rows of most orders, in a few instructions each: 1 when the row surely
 * holds. Otherwise check_row says whether it does, and why not. */
static inline __attribute__((always_inline)) int row_holds(const rule *row, const uint8_t *order,
                                                           uint32_t present) {
    const uint8_t *field = order + row->offset;
    const int absent = row->present != 0 && (present & row->present) == 0;
    switch (row->kind) {
    case KIND_NUMBER: {
        const uint64_t value = load_word(field, row->size);
        return absent ? value == 0 : value - row->low <= row->high - row->low;
    }
    case KIND_DECIMAL: {
        const uint64_t mantissa = load_word(field, 8), scale = load_word(field + 8, 8);
        return absent ? (mantissa | scale) == 0
                      : mantissa - 1 < INT64_MAX && scale <= SENTINEL_SCALE_MAX;
    }
    case KIND_ZERO:
        return (row->present != 0 && !absent) || is_zero(field, row->size);
    default: /* a text that is not there */
        return (absent || row->low == 0) && row->kind == KIND_ID && order[row->size_at] == 0 &&
               is_zero(field, row->size);
    }
}

/* Whether every row of a table surely holds. In line and unrolled, so that of the
 * table nothing is left but its numbers: ten instructions a row, instead of forty. */
static inline __attribute__((always_inline)) int rows_hold(const rule *rows, size_t count,
                                                           const sentinel_order *order) {
    int hold = 1;
#pragma GCC unroll 32
    for (size_t i = 0; i < count; i++) {
        hold &= row_holds(&rows[i], (const uint8_t *)order, order->header.present);
    }
    return hold;
}

#define ROWS(table) table, sizeof(table) / sizeof *(table)

static int header_holds(const sentinel_order *order) {
    return rows_hold(ROWS(header_rules), order);
}

static int action_holds(const sentinel_order *order) {
    switch (order->header.action) {
    case SENTINEL_ACTION_PLACE:
        return rows_hold(ROWS(place_rules), order);
    case SENTINEL_ACTION_AMEND:
        return rows_hold(ROWS(amend_rules), order);
    case SENTINEL_ACTION_CANCEL:
        return rows_hold(ROWS(cancel_rules), order);
    case SENTINEL_ACTION_CANCEL_ALL:
        return rows_hold(ROWS(cancel_all_rules), order);
    case SENTINEL_ACTION_CANCEL_ALL_AFTER:
        return rows_hold(ROWS(cancel_all_after_rules), order);
    case SENTINEL_ACTION_QUERY:
        return rows_hold(ROWS(query_rules), order);
    case SENTINEL_ACTION_WITHDRAW:
        return rows_hold(ROWS(withdraw_rules), order);
    case SENTINEL_ACTION_TRANSFER:
        return rows_hold(ROWS(transfer_rules), order);
    default:
        return 0; /* a message is its text, which is looked at in any case */
    }
}

/* What a row cannot say, as one reason per action; NONE when all is well. */
static sentinel_reason need(int holds) {
    return holds ? SENTINEL_REASON_NONE : SENTINEL_REASON_ORDER_FIELDS;
}

static sentinel_reason first(sentinel_reason a, sentinel_reason b) {
    return a == SENTINEL_REASON_NONE || (b != SENTINEL_REASON_NONE && b < a) ? b : a;
}

static int has(const sentinel_order *order, uint32_t bit) {
    return (order->header.present & bit) != 0;
}

static int has_trigger(uint8_t type) {
    return type >= SENTINEL_TYPE_STOP_MARKET;
}

/* Prices, time in force and expiry follow from the type; a market order may
 * name the worst price that it takes. In `lab` a limit order may leave the
 * time in force to the venue. */
static sentinel_reason check_terms(const sentinel_order *order, uint8_t type, uint8_t tif) {
    int limit = type == SENTINEL_TYPE_LIMIT || type == SENTINEL_TYPE_STOP_LIMIT ||
                type == SENTINEL_TYPE_TAKE_PROFIT_LIMIT;
    return need((has(order, SENTINEL_PRESENT_PRICE) || !limit) &&
                ((tif != SENTINEL_TIF_NONE) == limit ||
                 (limit && has(order, SENTINEL_PRESENT_LAB_WAIVE))) &&
                has(order, SENTINEL_PRESENT_TRIGGER_PRICE) == has_trigger(type) &&
                has(order, SENTINEL_PRESENT_EXPIRE) == (tif == SENTINEL_TIF_GTD));
}

static sentinel_reason check_place(const sentinel_order *order) {
    const sentinel_order_place *place = &order->place;
    int quote = has(order, SENTINEL_PRESENT_QUOTE_QUANTITY);
    int trigger_fields = place->trigger_by != 0 || place->trigger_direction != 0 ||
                         has(order, SENTINEL_PRESENT_CLOSE_ON_TRIGGER);
    return first(check_terms(order, place->type, place->time_in_force),
                 need(place->instrument != 0 && quote != has(order, SENTINEL_PRESENT_QUANTITY) &&
                      (!quote || place->type == SENTINEL_TYPE_MARKET) &&
                      (!trigger_fields || has_trigger(place->type))));
}

/* By action, the book says the rest; an id of the venue needs its instrument. */
static sentinel_reason check_target(const sentinel_target *target, uint32_t instrument) {
    if (target->by == SENTINEL_TARGET_ACTION) {
        return target->id_size != 0 ? SENTINEL_REASON_ORDER_RESERVED
                                    : need(target->action_id != 0 && instrument == 0);
    }
    if (target->by != SENTINEL_TARGET_VENUE_ID && target->by != SENTINEL_TARGET_CLIENT_ID) {
        return SENTINEL_REASON_NONE; /* out of range, which its row says */
    }
    if (target->action_id != 0) {
        return SENTINEL_REASON_ORDER_RESERVED;
    }
    return target->id_size == 0 ? SENTINEL_REASON_ORDER_TEXT : need(instrument != 0);
}

static sentinel_reason check_amend(const sentinel_order *order) {
    const sentinel_order_amend *amend = &order->amend;
    sentinel_reason reason = check_target(&amend->target, amend->instrument);
    int by_action = amend->target.by == SENTINEL_TARGET_ACTION;
    reason = first(reason, check_terms(order, amend->type, amend->time_in_force));
    return first(reason,
                 need((amend->side == 0) == by_action && has(order, SENTINEL_PRESENT_QUANTITY)));
}

static sentinel_reason check_cancel(const sentinel_order *order) {
    return check_target(&order->cancel.target, order->cancel.instrument);
}

static sentinel_reason check_cancel_all(const sentinel_order *order) {
    const sentinel_order_cancel_all *all = &order->cancel_all;
    return need((all->venue != 0) == (all->instrument == 0) &&
                ((all->asset == 0 && all->contract == 0) || all->instrument == 0));
}

static sentinel_reason check_cancel_all_after(const sentinel_order *order) {
    const sentinel_order_cancel_all_after *after = &order->cancel_all_after;
    return need((after->venue != 0) == (after->instrument == 0) &&
                has(order, SENTINEL_PRESENT_TIMEOUT) != has(order, SENTINEL_PRESENT_AT));
}

static sentinel_reason check_query(const sentinel_order *order) {
    const sentinel_order_query *query = &order->query;
    int start = has(order, SENTINEL_PRESENT_START), end = has(order, SENTINEL_PRESENT_END);
    int window = start || end || has(order, SENTINEL_PRESENT_LIMIT);
    if (query->what == SENTINEL_QUERY_ORDER) {
        return query->target.by == 0
                   ? SENTINEL_REASON_ORDER_FIELDS
                   : first(check_target(&query->target, query->instrument),
                           need(query->venue == 0 && query->contract == 0 && !window));
    }
    if (!bytes_are_zero(&query->target, sizeof query->target)) {
        return SENTINEL_REASON_ORDER_RESERVED;
    }
    return need((query->venue != 0) == (query->instrument == 0) &&
                (query->contract == 0 || query->venue != 0) &&
                (!window || query->what == SENTINEL_QUERY_FILLS) &&
                (!start || !end || query->start_ms <= query->end_ms));
}

static sentinel_reason check_withdraw(const sentinel_order *order) {
    return need(order->withdraw.asset != 0 && order->withdraw.network != 0);
}

static sentinel_reason check_transfer(const sentinel_order *order) {
    const sentinel_order_transfer *transfer = &order->transfer;
    return need(transfer->asset != 0 && (transfer->from_account != transfer->to_account ||
                                         transfer->destination_size != 0));
}

static sentinel_reason check_message(const sentinel_order *order) {
    (void)order;
    return SENTINEL_REASON_NONE;
}

typedef struct form {
    uint32_t bytes;
    uint32_t present; /* presence bits of the action's own */
    const rule *rules;
    size_t rule_count;
    sentinel_reason (*fields)(const sentinel_order *order);
} form;

#define FORM(action, present)                                              \
    {                                                                      \
        sizeof(sentinel_order_##action), present, action##_rules,          \
            sizeof action##_rules / sizeof *action##_rules, check_##action \
    }
static const form forms[SENTINEL_ACTION_COUNT] = {
    [SENTINEL_ACTION_PLACE] =
        FORM(place, SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_QUOTE_QUANTITY |
                        SENTINEL_PRESENT_PRICE | SENTINEL_PRESENT_TRIGGER_PRICE |
                        SENTINEL_PRESENT_REDUCE_ONLY | SENTINEL_PRESENT_CLOSE_ON_TRIGGER |
                        SENTINEL_PRESENT_EXPIRE),
    [SENTINEL_ACTION_AMEND] =
        FORM(amend, SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE |
                        SENTINEL_PRESENT_TRIGGER_PRICE | SENTINEL_PRESENT_REDUCE_ONLY),
    [SENTINEL_ACTION_CANCEL] = FORM(cancel, 0),
    [SENTINEL_ACTION_CANCEL_ALL] = FORM(cancel_all, 0),
    [SENTINEL_ACTION_CANCEL_ALL_AFTER] =
        FORM(cancel_all_after, SENTINEL_PRESENT_TIMEOUT | SENTINEL_PRESENT_AT),
    [SENTINEL_ACTION_QUERY] =
        FORM(query, SENTINEL_PRESENT_START | SENTINEL_PRESENT_END | SENTINEL_PRESENT_LIMIT),
    [SENTINEL_ACTION_WITHDRAW] = FORM(withdraw, SENTINEL_PRESENT_MEMO),
    [SENTINEL_ACTION_TRANSFER] = FORM(transfer, 0),
    [SENTINEL_ACTION_MESSAGE] = FORM(message, 0),
};

uint32_t sentinel_order_bytes(uint16_t action) {
    return action < SENTINEL_ACTION_COUNT ? forms[action].bytes : 0;
}

/* A table: every request's text goes through this, character by character. */
static const uint8_t id_characters[256] = {
    ['-'] = 1, ['.'] = 1, ['_'] = 1, ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1,
    ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1,
    ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1,
    ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1,
    ['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1, ['a'] = 1,
    ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1,
    ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1,
    ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1,
    ['z'] = 1,
};

/* Sixteen characters at once. */
typedef uint8_t characters __attribute__((vector_size(16)));

static int are_id_characters(const char *text) {
    characters c;
    memcpy(&c, text, sizeof c);
    const characters letter = (c | 0x20) - 'a', digit = c - '0', mark = c - '-';
    const characters good = (characters)((letter < 26) | (digit < 10) | (mark < 2) | (c == '_'));
    uint64_t halves[2];
    memcpy(halves, &good, sizeof halves);
    return (halves[0] & halves[1]) == UINT64_MAX;
}

int sentinel_text_is_id(const char *text, size_t size) {
    size_t i = 0;
    for (; i + sizeof(characters) <= size; i += sizeof(characters)) {
        if (!are_id_characters(text + i)) {
            return 0;
        }
    }
    for (; i < size; i++) {
        if (!id_characters[(uint8_t)text[i]]) {
            return 0;
        }
    }
    return 1;
}

/* Well-formed UTF-8 (Unicode 15, table 3-7) without a zero byte. */
static int text_is_utf8(const uint8_t *text, size_t size) {
    size_t i = 0;
    while (i < size) {
        uint8_t lead = text[i++];
        size_t more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        if (lead == 0 || (lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || size - i < more) {
            return 0;
        }
        /* The second byte's range excludes overlong forms, surrogates and
         * what lies beyond U+10FFFF. */
        uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        for (size_t k = 0; k < more; k++, i++) {
            if (text[i] < low || text[i] > high) {
                return 0;
            }
            low = 0x80;
            high = 0xbf;
        }
    }
    return 1;
}

static sentinel_reason check_text(const rule *row, const uint8_t *order) {
    const uint8_t *text = order + row->offset;
    uint64_t size = load(order + row->size_at, row->kind == KIND_TEXT ? 2 : 1);
    if (size < row->low || size > row->size) {
        return SENTINEL_REASON_ORDER_TEXT;
    }
    if (!bytes_are_zero(text + size, row->size - size)) {
        return SENTINEL_REASON_ORDER_RESERVED;
    }
    int good = row->kind == KIND_TEXT ? text_is_utf8(text, size)
                                      : sentinel_text_is_id((const char *)text, size);
    return good ? SENTINEL_REASON_NONE : SENTINEL_REASON_ORDER_TEXT;
}

static sentinel_reason check_row(const rule *row, const uint8_t *order, uint32_t present) {
    const uint8_t *field = order + row->offset;
    if (row->present == 0 ? row->kind == KIND_ZERO : (present & row->present) == 0) {
        int zero =
            bytes_are_zero(field, row->size) && (row->size_at == 0 || order[row->size_at] == 0);
        return zero ? SENTINEL_REASON_NONE : SENTINEL_REASON_ORDER_RESERVED;
    }
    if (row->kind == KIND_NUMBER) {
        uint64_t value = load(field, row->size);
        return value < row->low || value > row->high ? SENTINEL_REASON_ORDER_ENUM
                                                     : SENTINEL_REASON_NONE;
    }
    if (row->kind == KIND_DECIMAL) {
        sentinel_decimal decimal;
        memcpy(&decimal, field, sizeof decimal);
        if (!bytes_are_zero(decimal.reserved, sizeof decimal.reserved)) {
            return SENTINEL_REASON_ORDER_RESERVED;
        }
        return decimal.mantissa <= 0 || decimal.scale > SENTINEL_SCALE_MAX
                   ? SENTINEL_REASON_ORDER_DECIMAL
                   : SENTINEL_REASON_NONE;
    }
    return row->kind == KIND_ZERO ? SENTINEL_REASON_NONE : check_text(row, order);
}

static sentinel_reason check_rows(const rule *rows, size_t count, const sentinel_order *order) {
    sentinel_reason reason = SENTINEL_REASON_NONE;
    for (size_t i = 0; i < count; i++) {
        reason = first(reason, check_row(&rows[i], (const uint8_t *)order, order->header.present));
    }
    return reason;
}

/* Ids of the venue's own come from an agent only in cancels, which can do no
 * harm that the agent's own orders cannot; the rest is for `lab`. */
static int needs_lab(const sentinel_order *order) {
    uint8_t by = 0;
    switch (order->header.action) {
    case SENTINEL_ACTION_AMEND:
        by = order->amend.target.by;
        break;
    case SENTINEL_ACTION_CANCEL:
        by = order->cancel.target.by;
        break;
    case SENTINEL_ACTION_QUERY:
        by = order->query.target.by;
        break;
    default:
        break;
    }
    return has(order, PRESENT_LAB) || by == SENTINEL_TARGET_CLIENT_ID ||
           (by == SENTINEL_TARGET_VENUE_ID && order->header.action != SENTINEL_ACTION_CANCEL);
}

sentinel_reason order_check(const sentinel_order *order, size_t size, uint8_t environment) {
    const sentinel_order_header *header = &order->header;
    const uint32_t bytes = sentinel_order_bytes(header->action);
    if (size < sizeof *header || header->size_bytes != size || (bytes != 0 && bytes != size)) {
        return SENTINEL_REASON_ORDER_SIZE;
    }
    if (header->version != SENTINEL_ORDER_VERSION) {
        return SENTINEL_REASON_ORDER_VERSION;
    }
    if (bytes == 0) {
        return SENTINEL_REASON_ORDER_ACTION;
    }
    const form *own = &forms[header->action];
    if ((header->present & ~PRESENT_KNOWN) != 0) {
        return SENTINEL_REASON_ORDER_RESERVED;
    }
    sentinel_reason reason = SENTINEL_REASON_NONE;
    if (!header_holds(order)) {
        reason = check_rows(ROWS(header_rules), order);
    }
    if (!action_holds(order)) {
        reason = first(reason, check_rows(own->rules, own->rule_count, order));
    }
    reason = first(reason, own->fields(order));
    reason =
        first(reason, need((header->present & ~(own->present | PRESENT_ANY)) == 0 &&
                           (!has(order, SENTINEL_PRESENT_LAB_CLIENT_ID) || header->tag_size != 0)));
    if (environment != SENTINEL_ENVIRONMENT_LAB && needs_lab(order)) {
        reason = first(reason, SENTINEL_REASON_ORDER_LAB_ONLY);
    }
    if (header->release_mode == SENTINEL_RELEASE_TO_SUBMITTER) {
        reason = first(reason, SENTINEL_REASON_ORDER_RELEASE_MODE);
    }
    return reason;
}

sentinel_status sentinel_order_check(sentinel_reason *reason, const void *order_bytes, size_t size,
                                     uint8_t environment) {
    if (reason == NULL || order_bytes == NULL || environment < SENTINEL_ENVIRONMENT_LIVE ||
        environment > SENTINEL_ENVIRONMENT_LAB) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (size < sizeof(sentinel_order_header) || size > sizeof(sentinel_order)) {
        *reason = SENTINEL_REASON_ORDER_SIZE;
        return SENTINEL_OK;
    }
    /* A copy: the bytes may have any alignment, and may change meanwhile. */
    sentinel_order order = {0};
    memcpy(&order, order_bytes, size);
    *reason = order_check(&order, size, environment);
    return SENTINEL_OK;
}
