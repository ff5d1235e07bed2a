/* The form of orders, byte by byte: sizes, versions, every reserved byte,
 * presence bits, every number at its bounds and one past, decimals, texts.
 *
 * Method: one valid order per action; a test changes one thing and names the
 * reason that must come out. A sweep over every byte of every struct proves
 * that no byte is left unchecked but those listed as free. */
#include "order_make.h"

static void test_accepts_a_valid_order_of_each_action_in_every_environment(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
        sentinel_order order = valid(action);
        CHECK_EQ(check_as(&order, LIVE), SENTINEL_REASON_NONE);
        CHECK_EQ(check_as(&order, TEST), SENTINEL_REASON_NONE);
        CHECK_EQ(check_as(&order, LAB), SENTINEL_REASON_NONE);
    }
}

static void test_reads_an_order_at_any_alignment(void) {
    char memory[sizeof(sentinel_order) + 8];
    sentinel_order order = valid(SENTINEL_ACTION_PLACE);
    for (size_t shift = 0; shift < 8; shift++) {
        sentinel_reason reason = SENTINEL_REASON_SUPPRESSED;
        memcpy(memory + shift, &order, sizeof order);
        CHECK_OK(sentinel_order_check(&reason, memory + shift, order.header.size_bytes, LIVE));
        CHECK_EQ(reason, SENTINEL_REASON_NONE);
    }
}

static void test_refuses_null_pointers_and_unknown_environments(void) {
    sentinel_order order = valid(SENTINEL_ACTION_CANCEL);
    sentinel_reason reason;
    size_t size = order.header.size_bytes;
    CHECK_EQ(sentinel_order_check(NULL, &order, size, LIVE), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_order_check(&reason, NULL, size, LIVE), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_order_check(&reason, &order, size, 0), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_order_check(&reason, &order, size, 4), SENTINEL_USAGE_ARGUMENT);
}

static void test_denies_any_size_but_the_actions_own(void) {
    char memory[1024] = {0};
    for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
        sentinel_order order = valid(action);
        size_t own = order.header.size_bytes;
        memcpy(memory, &order, sizeof order);
        for (size_t size = 0; size < sizeof memory; size++) {
            /* The bytes given, then the size that the struct says, then both. */
            for (int which = 0; which < 3; which++) {
                uint32_t said = (uint32_t)(which == 0 ? own : size);
                size_t given = which == 1 ? own : size;
                sentinel_reason reason = SENTINEL_REASON_SUPPRESSED;
                memcpy(memory + offsetof(sentinel_order_header, size_bytes), &said, 4);
                CHECK_OK(sentinel_order_check(&reason, memory, given, LIVE));
                CHECK_EQ(reason, size == own ? SENTINEL_REASON_NONE : SENTINEL_REASON_ORDER_SIZE);
            }
        }
    }
}

static void test_denies_other_versions_and_unknown_actions(void) {
    sentinel_order order = valid(SENTINEL_ACTION_PLACE);
    order.header.version = 0;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_VERSION);
    order.header.version = 2;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_VERSION);
    order = valid(SENTINEL_ACTION_PLACE);
    order.header.action = 0;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_ACTION);
    order.header.action = SENTINEL_ACTION_COUNT;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_ACTION);
    order.header.action = 0xffff;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_ACTION);
    CHECK_EQ(sentinel_order_bytes(0), 0);
    CHECK_EQ(sentinel_order_bytes(SENTINEL_ACTION_COUNT), 0);
}

typedef struct place_in {
    uint16_t action; /* 0: every action */
    uint16_t offset, size;
} place_in;
#define IN(action, type, field) \
    { action, (uint16_t)offsetof(type, field), sizeof(((type *)0)->field) }
#define RESERVED_OF_TARGET(action, type) IN(action, type, target.reserved)
#define RESERVED_OF_DECIMAL(action, type, field) IN(action, type, field.reserved)

static const place_in reserved_bytes[] = {
    IN(0, sentinel_order_header, reserved),
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, reserved0),
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, reserved1),
    RESERVED_OF_DECIMAL(SENTINEL_ACTION_PLACE, sentinel_order_place, quantity),
    RESERVED_OF_DECIMAL(SENTINEL_ACTION_PLACE, sentinel_order_place, quote_quantity),
    RESERVED_OF_DECIMAL(SENTINEL_ACTION_PLACE, sentinel_order_place, price),
    RESERVED_OF_DECIMAL(SENTINEL_ACTION_PLACE, sentinel_order_place, trigger_price),
    IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, reserved),
    RESERVED_OF_TARGET(SENTINEL_ACTION_AMEND, sentinel_order_amend),
    RESERVED_OF_DECIMAL(SENTINEL_ACTION_AMEND, sentinel_order_amend, quantity),
    RESERVED_OF_DECIMAL(SENTINEL_ACTION_AMEND, sentinel_order_amend, price),
    RESERVED_OF_DECIMAL(SENTINEL_ACTION_AMEND, sentinel_order_amend, trigger_price),
    IN(SENTINEL_ACTION_CANCEL, sentinel_order_cancel, reserved0),
    IN(SENTINEL_ACTION_CANCEL, sentinel_order_cancel, reserved1),
    RESERVED_OF_TARGET(SENTINEL_ACTION_CANCEL, sentinel_order_cancel),
    IN(SENTINEL_ACTION_CANCEL_ALL, sentinel_order_cancel_all, reserved0),
    IN(SENTINEL_ACTION_CANCEL_ALL, sentinel_order_cancel_all, reserved1),
    IN(SENTINEL_ACTION_CANCEL_ALL_AFTER, sentinel_order_cancel_all_after, reserved0),
    IN(SENTINEL_ACTION_CANCEL_ALL_AFTER, sentinel_order_cancel_all_after, reserved1),
    IN(SENTINEL_ACTION_QUERY, sentinel_order_query, reserved1),
    RESERVED_OF_TARGET(SENTINEL_ACTION_QUERY, sentinel_order_query),
    IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, reserved),
    RESERVED_OF_DECIMAL(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, amount),
    IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, reserved0),
    IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, reserved1),
    RESERVED_OF_DECIMAL(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, amount),
    IN(SENTINEL_ACTION_MESSAGE, sentinel_order_message, reserved),
};

static void test_denies_every_bit_of_every_reserved_byte(void) {
    int bytes = 0;
    for (size_t row = 0; row < sizeof reserved_bytes / sizeof *reserved_bytes; row++) {
        const place_in *at = &reserved_bytes[row];
        for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
            for (uint16_t i = 0; (at->action == 0 || at->action == action) && i < at->size; i++) {
                for (unsigned bit = 0; bit < 8; bit++) {
                    sentinel_order order = valid(action);
                    ((uint8_t *)&order)[at->offset + i] |= (uint8_t)(1u << bit);
                    CHECK_EQ(check_as(&order, LAB), SENTINEL_REASON_ORDER_RESERVED);
                }
                bytes++;
            }
        }
    }
    printf("        %d reserved bytes\n", bytes);
}

/* Where any value, or another value, is still a valid order. */
static const place_in free_bytes[] = {
    IN(0, sentinel_order_header, agent),
    IN(0, sentinel_order_header, key),
    IN(0, sentinel_order_header, action_id),
    {0, offsetof(sentinel_order_header, present), 2}, /* a parent, reasons: may be zero */
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, instrument),
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, side),
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, time_in_force),
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, position_side),
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, margin_mode),
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, quantity.mantissa),
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, quantity.scale),
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, price.mantissa),
    IN(SENTINEL_ACTION_PLACE, sentinel_order_place, price.scale),
    IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, time_in_force),
    IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, target.action_id),
    IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, quantity.mantissa),
    IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, quantity.scale),
    IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, price.mantissa),
    IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, price.scale),
    IN(SENTINEL_ACTION_CANCEL, sentinel_order_cancel, target.action_id),
    IN(SENTINEL_ACTION_CANCEL_ALL, sentinel_order_cancel_all, instrument),
    IN(SENTINEL_ACTION_CANCEL_ALL_AFTER, sentinel_order_cancel_all_after, instrument),
    IN(SENTINEL_ACTION_CANCEL_ALL_AFTER, sentinel_order_cancel_all_after, timeout_ms),
    IN(SENTINEL_ACTION_QUERY, sentinel_order_query, target.action_id),
    IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, asset),
    IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, network),
    IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, amount.mantissa),
    IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, amount.scale),
    IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, from_account),
    IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, priority),
    {SENTINEL_ACTION_WITHDRAW, offsetof(sentinel_order_withdraw, address), 5},
    IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, asset),
    IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, from_account),
    IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, to_account),
    IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, amount.mantissa),
    IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, amount.scale),
    {SENTINEL_ACTION_MESSAGE, offsetof(sentinel_order_message, text), 4},
};

static int is_free(uint16_t action, size_t offset) {
    for (size_t row = 0; row < sizeof free_bytes / sizeof *free_bytes; row++) {
        const place_in *at = &free_bytes[row];
        if ((at->action == 0 || at->action == action) && offset >= at->offset &&
            offset < (size_t)at->offset + at->size) {
            return 1;
        }
    }
    return 0;
}

static void test_denies_any_other_value_of_every_byte_that_is_not_free(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
        for (size_t offset = 0; offset < sentinel_order_bytes(action); offset++) {
            int passed = 0;
            for (unsigned flip = 1; flip < 256; flip++) {
                sentinel_order order = valid(action);
                ((uint8_t *)&order)[offset] ^= (uint8_t)flip;
                sentinel_reason reason;
                CHECK_OK(sentinel_order_check(&reason, &order, sentinel_order_bytes(action), LIVE));
                passed += reason == SENTINEL_REASON_NONE;
            }
            if ((passed > 0) != is_free(action, offset)) {
                printf("    action %d, byte %zu\n", action, offset);
            }
            CHECK_EQ(passed > 0, is_free(action, offset));
        }
    }
}

static void test_denies_a_field_that_is_not_present_but_set(void) {
    /* Every optional field, in an order without its presence bit. */
    static const place_in fields[] = {
        IN(0, sentinel_order_header, parent_action_id),
        IN(0, sentinel_order_header, parent_agent),
        IN(0, sentinel_order_header, reasons_digest32),
        IN(0, sentinel_order_header, lab_nonce),
        IN(0, sentinel_order_header, lab_expiry),
        IN(0, sentinel_order_header, tag),
        IN(SENTINEL_ACTION_PLACE, sentinel_order_place, reduce_only),
        IN(SENTINEL_ACTION_PLACE, sentinel_order_place, close_on_trigger),
        IN(SENTINEL_ACTION_PLACE, sentinel_order_place, expire_ms),
        IN(SENTINEL_ACTION_PLACE, sentinel_order_place, quote_quantity),
        IN(SENTINEL_ACTION_PLACE, sentinel_order_place, trigger_price),
        IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, reduce_only),
        IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, trigger_price),
        IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, target.id),
        IN(SENTINEL_ACTION_CANCEL, sentinel_order_cancel, target.id),
        IN(SENTINEL_ACTION_CANCEL, sentinel_order_cancel, target.id_size),
        IN(SENTINEL_ACTION_CANCEL_ALL_AFTER, sentinel_order_cancel_all_after, at_ms),
        IN(SENTINEL_ACTION_QUERY, sentinel_order_query, target.id),
        IN(SENTINEL_ACTION_QUERY, sentinel_order_query, start_ms),
        IN(SENTINEL_ACTION_QUERY, sentinel_order_query, end_ms),
        IN(SENTINEL_ACTION_QUERY, sentinel_order_query, limit),
        IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, memo),
        IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, memo_size),
        IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, destination),
        {SENTINEL_ACTION_WITHDRAW, offsetof(sentinel_order_withdraw, address) + 5, 123},
        {SENTINEL_ACTION_MESSAGE, offsetof(sentinel_order_message, text) + 4, 212},
    };
    for (size_t row = 0; row < sizeof fields / sizeof *fields; row++) {
        for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
            int own = fields[row].action == 0 || fields[row].action == action;
            for (size_t i = 0; own && i < fields[row].size; i++) {
                sentinel_order order = valid(action);
                ((uint8_t *)&order)[fields[row].offset + i] = 'a';
                CHECK_EQ(check_as(&order, LAB), SENTINEL_REASON_ORDER_RESERVED);
            }
        }
    }
}

static void test_denies_presence_bits_without_a_meaning_and_of_other_actions(void) {
    /* Which bits each action may have, written down again. */
    static const uint32_t own[SENTINEL_ACTION_COUNT] = {
        [SENTINEL_ACTION_PLACE] = 0x7f,
        [SENTINEL_ACTION_AMEND] = 0x1d,
        [SENTINEL_ACTION_CANCEL_ALL_AFTER] = 0x6000,
        [SENTINEL_ACTION_QUERY] = 0x1c00,
        [SENTINEL_ACTION_WITHDRAW] = 0x200,
    };
    const uint32_t any = 0x7c000180, known = 0x7c007fff;
    for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            sentinel_order order = valid(action);
            uint32_t mask = 1u << bit;
            order.header.present |= mask;
            sentinel_reason reason = check_as(&order, LAB);
            if ((known & mask) == 0) {
                CHECK_EQ(reason, SENTINEL_REASON_ORDER_RESERVED);
            } else if (((own[action] | any) & mask) == 0) {
                CHECK_EQ(reason, SENTINEL_REASON_ORDER_FIELDS);
            } else {
                CHECK(reason != SENTINEL_REASON_ORDER_RESERVED);
            }
        }
    }
}

typedef struct number {
    place_in at;
    uint32_t present;
    int64_t low, high; /* the last good values */
} number;

static void test_denies_every_number_one_past_its_range(void) {
    static const number numbers[] = {
        {IN(0, sentinel_order_header, release_mode), 0, 1, 2},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, side), 0, 1, 2},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, type), 0, 1, 6},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, time_in_force), 0, 0, 5},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, position_side), 0, 0, 3},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, margin_mode), 0, 0, 3},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, trigger_by), 0, 0, 3},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, trigger_direction), 0, 0, 2},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, reduce_only), SENTINEL_PRESENT_REDUCE_ONLY,
         0, 1},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, close_on_trigger),
         SENTINEL_PRESENT_CLOSE_ON_TRIGGER, 0, 1},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, expire_ms), SENTINEL_PRESENT_EXPIRE, 1,
         INT64_MAX},
        {IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, side), 0, 0, 2},
        {IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, type), 0, 1, 6},
        {IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, time_in_force), 0, 0, 5},
        {IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, reduce_only), SENTINEL_PRESENT_REDUCE_ONLY,
         0, 1},
        {IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, target.by), 0, 1, 3},
        {IN(SENTINEL_ACTION_CANCEL, sentinel_order_cancel, target.by), 0, 1, 3},
        {IN(SENTINEL_ACTION_CANCEL_ALL, sentinel_order_cancel_all, venue), 0, 0, 6},
        {IN(SENTINEL_ACTION_CANCEL_ALL_AFTER, sentinel_order_cancel_all_after, venue), 0, 0, 6},
        {IN(SENTINEL_ACTION_CANCEL_ALL_AFTER, sentinel_order_cancel_all_after, at_ms),
         SENTINEL_PRESENT_AT, 1, INT64_MAX},
        {IN(SENTINEL_ACTION_QUERY, sentinel_order_query, venue), 0, 0, 6},
        {IN(SENTINEL_ACTION_QUERY, sentinel_order_query, target.by), 0, 0, 3},
        {IN(SENTINEL_ACTION_QUERY, sentinel_order_query, start_ms), SENTINEL_PRESENT_START, 1,
         INT64_MAX},
        {IN(SENTINEL_ACTION_QUERY, sentinel_order_query, end_ms), SENTINEL_PRESENT_END, 1,
         INT64_MAX},
        {IN(SENTINEL_ACTION_QUERY, sentinel_order_query, limit), SENTINEL_PRESENT_LIMIT, 1, 1000},
        {IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, from_account), 0, 0, 8},
        {IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, from_account), 0, 1, 8},
        {IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, to_account), 0, 1, 8},
    };
    for (size_t row = 0; row < sizeof numbers / sizeof *numbers; row++) {
        const number *n = &numbers[row];
        for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
            int64_t tries[] = {n->low, n->high, (int64_t)((uint64_t)n->high + 1), n->low - 1};
            for (int i = 0; (n->at.action == 0 || n->at.action == action) && i < 4; i++) {
                sentinel_order order = valid(action);
                order.header.present |= n->present;
                memcpy((char *)&order + n->at.offset, &tries[i], n->at.size);
                sentinel_reason reason = check_as(&order, LAB);
                /* Inside the range other reasons may come, but not this one. */
                CHECK_EQ(reason == SENTINEL_REASON_ORDER_ENUM, i >= 2);
            }
        }
    }
    sentinel_order order = valid(SENTINEL_ACTION_QUERY);
    memset(&order.query.target, 0, sizeof order.query.target);
    order.query.instrument = 3;
    for (unsigned what = 0; what < 256; what++) {
        order.query.what = (uint8_t)what;
        sentinel_reason reason = check_order(&order);
        CHECK_EQ(reason == SENTINEL_REASON_ORDER_ENUM, what < 1 || what > 3);
    }
}

static void test_denies_decimals_that_are_not_positive_or_too_fine(void) {
    static const struct {
        place_in at;
        uint8_t type, tif;
        uint32_t present;
    } decimals[] = {
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, quantity), 1, 1, 0x5},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, quote_quantity), 2, 0, 0x2},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, price), 1, 1, 0x5},
        {IN(SENTINEL_ACTION_PLACE, sentinel_order_place, trigger_price), 3, 0, 0x9},
        {IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, quantity), 1, 1, 0x5},
        {IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, price), 1, 1, 0x5},
        {IN(SENTINEL_ACTION_AMEND, sentinel_order_amend, trigger_price), 4, 1, 0xd},
        {IN(SENTINEL_ACTION_WITHDRAW, sentinel_order_withdraw, amount), 0, 0, 0},
        {IN(SENTINEL_ACTION_TRANSFER, sentinel_order_transfer, amount), 0, 0, 0},
    };
    static const struct {
        sentinel_decimal decimal;
        int good;
    } values[] = {
        {{1, 0, {0}}, 1},  {{INT64_MAX, 18, {0}}, 1}, {{1, 18, {0}}, 1},
        {{1, 19, {0}}, 0}, {{1, 255, {0}}, 0},        {{0, 0, {0}}, 0},
        {{0, 3, {0}}, 0},  {{-1, 0, {0}}, 0},         {{INT64_MIN, 0, {0}}, 0},
    };
    for (size_t d = 0; d < sizeof decimals / sizeof *decimals; d++) {
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            uint16_t action = decimals[d].at.action;
            sentinel_order order = valid(action);
            if (action == SENTINEL_ACTION_PLACE) {
                order = place_of(decimals[d].type, decimals[d].tif, decimals[d].present);
            } else if (action == SENTINEL_ACTION_AMEND) {
                order.amend.type = decimals[d].type;
                order.amend.trigger_price = decimals[d].present & 8 ? DEC(1, 0) : DEC(0, 0);
                order.header.present = decimals[d].present;
            }
            CHECK_EQ(check_order(&order), SENTINEL_REASON_NONE);
            memcpy((char *)&order + decimals[d].at.offset, &values[v].decimal, 16);
            CHECK_EQ(check_order(&order),
                     values[v].good ? SENTINEL_REASON_NONE : SENTINEL_REASON_ORDER_DECIMAL);
        }
    }
}

static int is_id_character(int c) {
    return c != 0 &&
           strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", c) != NULL;
}

static void test_allows_letters_digits_dot_underscore_and_dash_in_ids_only(void) {
    for (int c = 0; c < 256; c++) {
        char text = (char)c;
        CHECK_EQ(sentinel_text_is_id(&text, 1), is_id_character(c));
        sentinel_reason expected =
            is_id_character(c) ? SENTINEL_REASON_NONE : SENTINEL_REASON_ORDER_TEXT;

        sentinel_order order = valid(SENTINEL_ACTION_CANCEL);
        set_id(order.header.tag, &order.header.tag_size, "ab");
        order.header.tag[1] = text;
        CHECK_EQ(check_order(&order), expected);
        memset(&order.cancel.target, 0, sizeof order.cancel.target);
        order.header.tag[1] = 'b';
        order.cancel.instrument = 3;
        order.cancel.target.by = SENTINEL_TARGET_VENUE_ID;
        order.cancel.target.id_size = 2;
        order.cancel.target.id[0] = '1';
        order.cancel.target.id[1] = text;
        CHECK_EQ(check_order(&order), expected);

        order = valid(SENTINEL_ACTION_WITHDRAW);
        order.withdraw.address[4] = text;
        CHECK_EQ(check_order(&order), expected);
        order = valid(SENTINEL_ACTION_WITHDRAW);
        order.header.present = SENTINEL_PRESENT_MEMO;
        order.withdraw.memo_size = 1;
        order.withdraw.memo[0] = text;
        CHECK_EQ(check_order(&order), expected);

        order = valid(SENTINEL_ACTION_TRANSFER);
        order.transfer.destination_size = 1;
        order.transfer.destination[0] = text;
        CHECK_EQ(check_order(&order), expected);
    }
    CHECK_EQ(sentinel_text_is_id("", 0), 1);
}

static void test_takes_texts_at_their_full_size_and_none_longer(void) {
    static const struct {
        uint16_t action, text, size_at, capacity;
        uint32_t present;
    } texts[] = {
        {SENTINEL_ACTION_CANCEL, offsetof(sentinel_order_header, tag),
         offsetof(sentinel_order_header, tag_size), 64, 0},
        {SENTINEL_ACTION_WITHDRAW, offsetof(sentinel_order_withdraw, address),
         offsetof(sentinel_order_withdraw, address_size), 128, 0},
        {SENTINEL_ACTION_WITHDRAW, offsetof(sentinel_order_withdraw, memo),
         offsetof(sentinel_order_withdraw, memo_size), 64, SENTINEL_PRESENT_MEMO},
        {SENTINEL_ACTION_TRANSFER, offsetof(sentinel_order_transfer, destination),
         offsetof(sentinel_order_transfer, destination_size), 64, 0},
        {SENTINEL_ACTION_MESSAGE, offsetof(sentinel_order_message, text),
         offsetof(sentinel_order_message, text_size), 216, 0},
    };
    for (size_t row = 0; row < sizeof texts / sizeof *texts; row++) {
        sentinel_order order = valid(texts[row].action);
        order.header.present = texts[row].present;
        uint8_t *size = (uint8_t *)&order + texts[row].size_at;
        memset((char *)&order + texts[row].text, 'x', texts[row].capacity);
        *size = (uint8_t)texts[row].capacity;
        CHECK_EQ(check_order(&order), SENTINEL_REASON_NONE);
        *size = (uint8_t)(texts[row].capacity + 1);
        CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_TEXT);
        *size = 255;
        CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_TEXT);
        *size = (uint8_t)(texts[row].capacity - 1); /* the last character is beyond the size */
        CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_RESERVED);
    }
    sentinel_order order = valid(SENTINEL_ACTION_MESSAGE);
    order.message.text_size = 256 + 4; /* both bytes of the size count */
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_TEXT);
    order.message.text_size = 0;
    memset(order.message.text, 0, 4);
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_TEXT);
    order = valid(SENTINEL_ACTION_WITHDRAW);
    order.withdraw.address_size = 0;
    memset(order.withdraw.address, 0, 5);
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_TEXT);
    order.withdraw.address_size = 1;
    order.withdraw.address[0] = 'x';
    CHECK_EQ(check_order(&order), SENTINEL_REASON_NONE);
    order = valid(SENTINEL_ACTION_WITHDRAW);
    order.header.present = SENTINEL_PRESENT_MEMO; /* present, but empty */
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_TEXT);
}

static sentinel_reason check_message(const char *text, size_t size) {
    sentinel_order order = valid(SENTINEL_ACTION_MESSAGE);
    memset(order.message.text, 0, sizeof order.message.text);
    memcpy(order.message.text, text, size);
    order.message.text_size = (uint16_t)size;
    return check_order(&order);
}

static void test_takes_messages_in_well_formed_utf8_without_zero_bytes(void) {
    static const struct {
        const char *text;
        size_t size;
        int good;
    } texts[] = {
        {"\x01", 1, 1},
        {"\x7f", 1, 1},
        {"a\0b", 3, 0},
        {"\x80", 1, 0},
        {"\x80\x80", 2, 0},
        {"\xbf", 1, 0},
        {"\xc1\xbf", 2, 0}, /* overlong */
        {"\xc2\x80", 2, 1},
        {"\xc2\x7f", 2, 0},
        {"\xc2\xc0", 2, 0},
        {"\xdf\xbf", 2, 1},
        {"\xdf", 1, 0},
        {"\xe0\x9f\xbf", 3, 0}, /* overlong */
        {"\xe0\xa0\x80", 3, 1},
        {"\xed\x9f\xbf", 3, 1},
        {"\xed\xa0\x80", 3, 0}, /* a surrogate */
        {"\xee\x80\x80", 3, 1},
        {"\xef\xbf\xbf", 3, 1},
        {"\xef\xbf\xc0", 3, 0},
        {"\xef\xbf", 2, 0},
        {"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong */
        {"\xf0\x90\x80\x80", 4, 1},
        {"\xf4\x8f\xbf\xbf", 4, 1}, /* U+10FFFF */
        {"\xf4\x90\x80\x80", 4, 0},
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xf0\x9f\x98", 3, 0},
        {"\xf0\x9f\x98\x80z", 5, 1},
        {"\xff", 1, 0},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        sentinel_reason expected =
            texts[i].good ? SENTINEL_REASON_NONE : SENTINEL_REASON_ORDER_TEXT;
        CHECK_EQ(check_message(texts[i].text, texts[i].size), expected);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_accepts_a_valid_order_of_each_action_in_every_environment);
    RUN(test_reads_an_order_at_any_alignment);
    RUN(test_refuses_null_pointers_and_unknown_environments);
    RUN(test_denies_any_size_but_the_actions_own);
    RUN(test_denies_other_versions_and_unknown_actions);
    RUN(test_denies_every_bit_of_every_reserved_byte);
    RUN(test_denies_any_other_value_of_every_byte_that_is_not_free);
    RUN(test_denies_a_field_that_is_not_present_but_set);
    RUN(test_denies_presence_bits_without_a_meaning_and_of_other_actions);
    RUN(test_denies_every_number_one_past_its_range);
    RUN(test_denies_decimals_that_are_not_positive_or_too_fine);
    RUN(test_allows_letters_digits_dot_underscore_and_dash_in_ids_only);
    RUN(test_takes_texts_at_their_full_size_and_none_longer);
    RUN(test_takes_messages_in_well_formed_utf8_without_zero_bytes);
    return test_end();
}
