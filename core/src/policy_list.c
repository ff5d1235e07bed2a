/* Allowlists, of enumerations and of rows, and the sanctions list. */
#include "hash.h"
#include "policy_rules.h"

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Hashes a text with its ASCII letters lower-cased, in steps that fit. */
static void hash_add_lower(hash_sha256 *hash, const char *text, size_t size) {
    char part[64];
    size_t filled = 0;
    for (size_t i = 0; i < size; i++) {
        part[filled++] = lower(text[i]);
        if (filled == sizeof part || i + 1 == size) {
            hash_add(hash, part, filled);
            filled = 0;
        }
    }
}

void sentinel_destination_digest(uint8_t digest32[32], uint32_t network, const char *address,
                                 size_t address_size, const char *memo, size_t memo_size) {
    uint8_t sizes[2] = {(uint8_t)address_size, (uint8_t)memo_size};
    hash_sha256 hash;
    hash_init(&hash);
    hash_add_prefix(&hash, "sentinel-destination-v1");
    hash_add(&hash, &network, sizeof network);
    hash_add(&hash, &sizes[0], 1);
    /* Hexadecimal addresses mean the same in either case; others do not. */
    if (address_size >= 2 && address[0] == '0' && address[1] == 'x') {
        hash_add_lower(&hash, address, address_size);
    } else {
        hash_add(&hash, address, address_size);
    }
    hash_add(&hash, &sizes[1], 1);
    hash_add(&hash, memo, memo_size);
    hash_final(&hash, digest32);
}

void sentinel_sanction_digest(uint8_t digest16[16], const char *address, size_t address_size) {
    uint8_t digest32[32];
    hash_sha256 hash;
    hash_init(&hash);
    hash_add_prefix(&hash, "sentinel-sanction-v1");
    hash_add_lower(&hash, address, address_size);
    hash_final(&hash, digest32);
    memcpy(digest16, digest32, 16);
}

/* A run of ascending digests, in which one is looked for: rows low to high - 1. */
typedef struct search {
    const uint8_t *digests;
    size_t size; /* of each */
    uint32_t low, high;
} search;

/* The first eight bytes as a number, which orders as the digest does. */
static uint64_t leading(const uint8_t *digest) {
    uint64_t bytes;
    memcpy(&bytes, digest, sizeof bytes);
    return __builtin_bswap64(bytes);
}

/* Digests are spread evenly: where one stands follows from its value, but for
 * about the root of their number. Two rows are read around that place, at once,
 * instead of ten in turn, each of which would wait for the memory. A list that
 * is not spread so is narrowed less, or not at all: it is searched all the same. */
static void narrow(search *in, const uint8_t *digest) {
    enum { TURNS = 4, FEW = 24 };
    const uint64_t key = leading(digest);
    uint64_t from = 0, to = UINT64_MAX; /* of the rows before low, and at high */
    for (unsigned turn = 0; turn < TURNS && in->high - in->low > FEW && from < to; turn++) {
        const uint32_t rows = in->high - in->low;
        const uint32_t at = (uint32_t)((wide_u128)(key - from) * rows / (to - from));
        const uint32_t slack = UINT32_C(1) << ((32 - __builtin_clz(rows)) / 2);
        const uint32_t left = in->low + (at > slack ? at - slack : 0);
        const uint32_t right = in->low + (at + slack < rows ? at + slack : rows - 1);
        const uint64_t left_key = leading(in->digests + left * in->size);
        const uint64_t right_key = leading(in->digests + right * in->size);
        if (left_key < key) {
            in->low = left + 1;
            from = left_key;
        } else if (left_key > key) {
            in->high = left;
            to = left_key;
        }
        if (right_key > key && right < in->high) {
            in->high = right;
            to = right_key;
        } else if (right_key < key && right >= in->low) {
            in->low = right + 1;
            from = right_key;
        }
    }
}

static int digest_is_listed(const uint8_t *digests, uint32_t count, const uint8_t *digest,
                            size_t size) {
    search in = {digests, size, 0, count};
    narrow(&in, digest);
    while (in.low < in.high) {
        uint32_t middle = in.low + (in.high - in.low) / 2;
        int order = memcmp(digests + middle * size, digest, size);
        if (order == 0) {
            return 1;
        }
        if (order < 0) {
            in.low = middle + 1;
        } else {
            in.high = middle;
        }
    }
    return 0;
}

/* Allowlists of enumerations: bit n of the mask allows n. */
static sentinel_reason judge_mask(const sentinel_constraint *constraint, sentinel_result *result,
                                  unsigned number, sentinel_reason reason) {
    result->value = number;
    result->bound = constraint->mask;
    return number < 32 && (constraint->mask >> number & 1) != 0 ? SENTINEL_REASON_NONE : reason;
}

static sentinel_reason judge_actions(policy_turn *turn, const sentinel_constraint *constraint,
                                     sentinel_result *result) {
    return judge_mask(constraint, result, turn->subject->action,
                      SENTINEL_REASON_ACTION_NOT_ALLOWED);
}

static sentinel_reason judge_venues(policy_turn *turn, const sentinel_constraint *constraint,
                                    sentinel_result *result) {
    return judge_mask(constraint, result, turn->subject->venue, SENTINEL_REASON_VENUE_NOT_ALLOWED);
}

static sentinel_reason judge_order_types(policy_turn *turn, const sentinel_constraint *constraint,
                                         sentinel_result *result) {
    return judge_mask(constraint, result, turn->subject->type,
                      SENTINEL_REASON_ORDER_TYPE_NOT_ALLOWED);
}

static sentinel_reason judge_sides(policy_turn *turn, const sentinel_constraint *constraint,
                                   sentinel_result *result) {
    return judge_mask(constraint, result, turn->subject->side, SENTINEL_REASON_SIDE_NOT_ALLOWED);
}

static sentinel_reason judge_times(policy_turn *turn, const sentinel_constraint *constraint,
                                   sentinel_result *result) {
    return judge_mask(constraint, result, turn->subject->time_in_force,
                      SENTINEL_REASON_TIF_NOT_ALLOWED);
}

/* Whether ascending ids have this one. Which half it is in cannot be foretold, and
 * a wrong guess costs more than the steps of a short list, which are taken without
 * a branch. Of a long list a guess at least reads ahead. */
static int id_is_listed(const uint32_t *ids, uint32_t count, uint32_t id) {
    enum { SHORT = 4096 };
    if (count == 0 || count > SHORT) {
        return policy_find(ids, count, sizeof *ids, id) != NULL;
    }
    while (count > 1) {
        const uint32_t half = count / 2;
        ids += half & -(uint32_t)(ids[half] <= id);
        count -= half;
    }
    return *ids == id;
}

static sentinel_reason judge_instruments(policy_turn *turn, const sentinel_constraint *constraint,
                                         sentinel_result *result) {
    uint32_t id = turn->instrument;
    const uint32_t *ids = turn->view->bundle.ids + constraint->list_first;
    result->value = id;
    result->bound = constraint->list_count;
    return id_is_listed(ids, constraint->list_count, id) ? SENTINEL_REASON_NONE
                                                         : SENTINEL_REASON_INSTRUMENT_NOT_ALLOWED;
}

static sentinel_reason judge_destinations(policy_turn *turn, const sentinel_constraint *constraint,
                                          sentinel_result *result) {
    uint8_t digest32[32];
    sentinel_destination_digest(digest32, turn->network, turn->address, turn->address_size,
                                turn->memo, turn->memo_size);
    int listed =
        digest_is_listed(turn->view->bundle.destinations + (size_t)constraint->list_first * 32,
                         constraint->list_count, digest32, 32);
    result->value = listed;
    result->bound = 1;
    return listed ? SENTINEL_REASON_NONE : SENTINEL_REASON_DESTINATION_NOT_ALLOWED;
}

static sentinel_reason judge_sanctions(policy_turn *turn, const sentinel_constraint *constraint,
                                       sentinel_result *result) {
    (void)constraint;
    const sentinel_bundle *bundle = &turn->view->bundle;
    uint8_t digest16[16];
    sentinel_sanction_digest(digest16, turn->address, turn->address_size);
    result->value = digest_is_listed(bundle->sanctions, bundle->sanction_count, digest16, 16);
    return result->value == 0 ? SENTINEL_REASON_NONE : SENTINEL_REASON_SANCTIONED;
}

const policy_rule policy_rule_actions = {
    .name = "actions",
    .actions = POLICY_ALL_ACTIONS,
    .fields = POLICY_FIELD_MASK,
    .mask_bits = POLICY_ALL_ACTIONS,
    .evaluate = judge_actions,
};
const policy_rule policy_rule_venues = {
    .name = "venues",
    .actions = POLICY_ALL_ACTIONS,
    .fields = POLICY_FIELD_MASK,
    .mask_bits = POLICY_ALL_VENUES,
    .evaluate = judge_venues,
};
const policy_rule policy_rule_instruments = {
    .name = "instruments",
    .actions = POLICY_AT_INSTRUMENTS,
    .fields = POLICY_FIELD_IDS,
    .evaluate = judge_instruments,
};
const policy_rule policy_rule_order_types = {
    .name = "order_types",
    .actions = POLICY_ORDERS,
    .fields = POLICY_FIELD_MASK,
    .mask_bits = POLICY_BIT(SENTINEL_TYPE_COUNT) - 2,
    .evaluate = judge_order_types,
};
const policy_rule policy_rule_sides = {
    .name = "sides",
    .actions = POLICY_ORDERS,
    .fields = POLICY_FIELD_MASK,
    .mask_bits = POLICY_BIT(SENTINEL_SIDE_COUNT) - 2,
    .evaluate = judge_sides,
};
const policy_rule policy_rule_times_in_force = {
    .name = "times_in_force",
    .actions = POLICY_ORDERS,
    .fields = POLICY_FIELD_MASK,
    .mask_bits = POLICY_BIT(SENTINEL_TIF_COUNT) - 1,
    .evaluate = judge_times,
};
const policy_rule policy_rule_destinations = {
    .name = "destinations",
    .actions = POLICY_MOVES_OUT,
    .fields = POLICY_FIELD_DESTINATIONS,
    .evaluate = judge_destinations,
};
const policy_rule policy_rule_sanctions = {
    .name = "sanctions",
    .actions = POLICY_MOVES_OUT,
    .evaluate = judge_sanctions,
};
