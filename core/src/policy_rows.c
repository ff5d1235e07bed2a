/* Every row of a bundle: ranges, references, reserved bytes.
 *
 * Reasons in this order within a row: ORDER, RANGE, TEXT, REFERENCE,
 * RESERVED. Everything is linear, but for references by id. Whether ids of
 * nodes and constraints are unique takes memory to find out, and is found
 * when the state is laid out (state.c). */
#include "policy_rules.h"

/* Steps that checking all lists may take: runs may overlap, so that many rows
 * can share a long list. */
#define LIST_STEPS_MAX (UINT64_C(1) << 26)
/* A chain's amount has 256 bits: at most 77 decimals. */
#define DECIMALS_MAX 77u

static sentinel_status need(int holds, sentinel_status status) {
    return holds ? SENTINEL_OK : status;
}

#define IS_ZERO(field) bytes_are_zero(&(field), sizeof(field))

/* ---- Texts ------------------------------------------------------------------- */

/* Decodes one character; 0 when it is not well-formed UTF-8 (Unicode 15,
 * table 3-7). */
static size_t text_next(uint32_t *character, const uint8_t *text, size_t size) {
    uint8_t lead = text[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length == 0 || length > size || lead > 0xf4) {
        return 0;
    }
    uint32_t value = length == 1 ? lead : lead & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (text[i] & 0x3f);
    }
    int overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
    *character = value;
    return overlong || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff) ? 0 : length;
}

/* Printable: no control characters, and none that reorder what is shown. */
static int is_printable(uint32_t c) {
    return c >= 0x20 && (c < 0x7f || c > 0x9f) && (c < 0x2028 || c > 0x202e) &&
           (c < 0x2066 || c > 0x2069);
}

/* The whole section at once; names then only have to begin and end between
 * characters, however much they overlap. */
static sentinel_status text_check(const sentinel_bundle *bundle) {
    const uint8_t *text = (const uint8_t *)bundle->text;
    for (size_t i = 0; i < bundle->text_size;) {
        uint32_t character = 0;
        size_t length = text_next(&character, text + i, bundle->text_size - i);
        if (length == 0 || !is_printable(character)) {
            return SENTINEL_FORMAT_TEXT;
        }
        i += length;
    }
    return SENTINEL_OK;
}

static int is_boundary(const sentinel_bundle *bundle, uint32_t at) {
    return at == bundle->text_size || ((uint8_t)bundle->text[at] & 0xc0) != 0x80;
}

static sentinel_status name_check(const sentinel_bundle *bundle, uint32_t name, uint32_t size) {
    if (name > bundle->text_size || size > bundle->text_size - name) {
        return SENTINEL_FORMAT_REFERENCE;
    }
    return need(is_boundary(bundle, name) && is_boundary(bundle, name + size),
                SENTINEL_FORMAT_TEXT);
}

/* A code of a fixed field: its set, then zeros. `more`: further characters
 * of the set. */
static sentinel_status code_check(const char *code, size_t size, size_t field_size,
                                  const char *more) {
    if (size > field_size) {
        return SENTINEL_FORMAT_RANGE;
    }
    for (size_t i = 0; i < size; i++) {
        if (!sentinel_text_is_id(code + i, 1) && (code[i] == 0 || strchr(more, code[i]) == NULL)) {
            return SENTINEL_FORMAT_TEXT;
        }
    }
    return need(bytes_are_zero(code + size, field_size - size), SENTINEL_FORMAT_RESERVED);
}

/* ---- Nodes ------------------------------------------------------------------- */

/* Constraints of the node and of all above it; its depth is checked. */
static uint64_t chain_constraints(const sentinel_bundle *bundle, uint32_t node) {
    uint64_t count = 0;
    for (unsigned i = bundle->nodes[node].depth + 1u; i > 0; i--) {
        count += bundle->nodes[node].constraint_count;
        node = bundle->nodes[node].parent;
    }
    return count;
}

static sentinel_status node_place_check(const sentinel_bundle *bundle, uint32_t index) {
    const sentinel_node *node = &bundle->nodes[index];
    if (index == 0) {
        return need(node->kind == SENTINEL_NODE_FIRM && node->depth == 0 &&
                        node->parent == SENTINEL_NODE_NONE,
                    SENTINEL_FORMAT_RANGE);
    }
    if (node->kind != SENTINEL_NODE_GROUP && node->kind != SENTINEL_NODE_AGENT) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (node->parent >= index) {
        return SENTINEL_FORMAT_REFERENCE;
    }
    const sentinel_node *parent = &bundle->nodes[node->parent];
    if (parent->kind == SENTINEL_NODE_AGENT) {
        return SENTINEL_FORMAT_REFERENCE;
    }
    return need(node->depth == parent->depth + 1 && node->depth < SENTINEL_DEPTH_MAX,
                SENTINEL_FORMAT_RANGE);
}

/* Runs of constraints stand in the order of their nodes, without gaps. */
static sentinel_status node_run_check(const sentinel_bundle *bundle, uint32_t index,
                                      uint32_t *next) {
    const sentinel_node *node = &bundle->nodes[index];
    if (node->constraint_first > bundle->constraint_count ||
        node->constraint_count > bundle->constraint_count - node->constraint_first) {
        return SENTINEL_FORMAT_REFERENCE;
    }
    if (node->constraint_count != 0 && node->constraint_first != *next) {
        return SENTINEL_FORMAT_ORDER;
    }
    *next += node->constraint_count;
    for (uint32_t i = 0; i < node->constraint_count; i++) {
        if (bundle->constraints[node->constraint_first + i].node != index) {
            return SENTINEL_FORMAT_REFERENCE;
        }
    }
    return need(chain_constraints(bundle, index) <= SENTINEL_CHAIN_CONSTRAINTS_MAX,
                SENTINEL_FORMAT_LIMIT);
}

static sentinel_status nodes_check(const sentinel_bundle *bundle) {
    uint32_t next = 0;
    if (bundle->node_count == 0) {
        return SENTINEL_FORMAT_RANGE;
    }
    for (uint32_t i = 0; i < bundle->node_count; i++) {
        const sentinel_node *node = &bundle->nodes[i];
        SENTINEL_TRY(need(node->id != 0, SENTINEL_FORMAT_RANGE));
        SENTINEL_TRY(node_place_check(bundle, i));
        SENTINEL_TRY(name_check(bundle, node->name, node->name_size));
        SENTINEL_TRY(node_run_check(bundle, i, &next));
        SENTINEL_TRY(need(IS_ZERO(node->reserved), SENTINEL_FORMAT_RESERVED));
    }
    return need(next == bundle->constraint_count, SENTINEL_FORMAT_REFERENCE);
}

/* ---- Assets, networks, instruments, keys ------------------------------------- */

static sentinel_status assets_check(const sentinel_bundle *bundle) {
    uint32_t id_before = 0;
    for (uint32_t i = 0; i < bundle->asset_count; i++) {
        const sentinel_asset *asset = &bundle->assets[i];
        SENTINEL_TRY(need(asset->id > id_before, SENTINEL_FORMAT_ORDER));
        id_before = asset->id;
        SENTINEL_TRY(need(asset->venue < SENTINEL_VENUE_COUNT && asset->decimals <= DECIMALS_MAX &&
                              asset->code_size != 0 && asset->par_micro_usd >= 0,
                          SENTINEL_FORMAT_RANGE));
        SENTINEL_TRY(code_check(asset->code, asset->code_size, sizeof asset->code, ""));
        SENTINEL_TRY(
            need(asset->mark_asset == 0 || sentinel_bundle_asset(bundle, asset->mark_asset) != NULL,
                 SENTINEL_FORMAT_REFERENCE));
        SENTINEL_TRY(
            need(IS_ZERO(asset->reserved0) &&
                     (asset->venue == SENTINEL_VENUE_HYPERLIQUID || IS_ZERO(asset->token16)),
                 SENTINEL_FORMAT_RESERVED));
    }
    return SENTINEL_OK;
}

static sentinel_status networks_check(const sentinel_bundle *bundle) {
    uint32_t id_before = 0;
    for (uint32_t i = 0; i < bundle->network_count; i++) {
        const sentinel_network *network = &bundle->networks[i];
        SENTINEL_TRY(need(network->id > id_before, SENTINEL_FORMAT_ORDER));
        id_before = network->id;
        SENTINEL_TRY(need(network->decimals <= DECIMALS_MAX, SENTINEL_FORMAT_RANGE));
        /* Some venues write names of networks as people do. */
        SENTINEL_TRY(code_check(network->code, network->code_size, sizeof network->code, " ()"));
        SENTINEL_TRY(
            need(sentinel_bundle_asset(bundle, network->asset) != NULL, SENTINEL_FORMAT_REFERENCE));
        SENTINEL_TRY(need(IS_ZERO(network->reserved), SENTINEL_FORMAT_RESERVED));
    }
    return SENTINEL_OK;
}

static sentinel_status decimal_check(const sentinel_decimal *value, int above_zero) {
    SENTINEL_TRY(need(value->scale <= SENTINEL_SCALE_MAX && value->mantissa >= above_zero,
                      SENTINEL_FORMAT_RANGE));
    return need(IS_ZERO(value->reserved), SENTINEL_FORMAT_RESERVED);
}

/* In which units a contract's quantity can be: bits of SENTINEL_UNIT_*. */
static uint32_t units_of(uint8_t contract) {
    static const uint8_t units[SENTINEL_CONTRACT_COUNT] = {
        [SENTINEL_CONTRACT_SPOT] = 1u << SENTINEL_UNIT_BASE,
        [SENTINEL_CONTRACT_LINEAR] = 1u << SENTINEL_UNIT_BASE | 1u << SENTINEL_UNIT_CONTRACTS,
        [SENTINEL_CONTRACT_INVERSE] = 1u << SENTINEL_UNIT_CONTRACTS | 1u << SENTINEL_UNIT_QUOTE,
        [SENTINEL_CONTRACT_QUANTO] = 1u << SENTINEL_UNIT_CONTRACTS,
        [SENTINEL_CONTRACT_OPTION] = 1u << SENTINEL_UNIT_BASE | 1u << SENTINEL_UNIT_CONTRACTS,
    };
    return contract < SENTINEL_CONTRACT_COUNT ? units[contract] : 0;
}

static sentinel_status terms_check(const sentinel_instrument *row) {
    int is_spot = row->contract == SENTINEL_CONTRACT_SPOT;
    int is_option = row->contract == SENTINEL_CONTRACT_OPTION;
    SENTINEL_TRY(decimal_check(&row->multiplier, 1));
    SENTINEL_TRY(decimal_check(&row->tick, 1));
    SENTINEL_TRY(decimal_check(&row->lot, 1));
    SENTINEL_TRY(decimal_check(&row->strike, is_option));
    sentinel_decimal multiplier = math_normal(row->multiplier);
    if (is_spot && (multiplier.mantissa != 1 || multiplier.scale != 0)) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (row->expiry_ms < 0 || (is_spot && row->expiry_ms != 0)) {
        return SENTINEL_FORMAT_RANGE;
    }
    return need(is_option || (row->strike.mantissa == 0 && row->strike.scale == 0),
                SENTINEL_FORMAT_RANGE);
}

/* An inverse contract settles in its base, an option in what its premium is
 * priced in: one that does not was written as another kind, and would be
 * valued as that. */
static int settles_as_valued(const sentinel_instrument *row) {
    return row->contract == SENTINEL_CONTRACT_INVERSE  ? row->settle == row->base
           : row->contract == SENTINEL_CONTRACT_OPTION ? row->settle == row->quote
                                                       : 1;
}

static sentinel_status instruments_check(const sentinel_bundle *bundle) {
    uint32_t id_before = 0;
    for (uint32_t i = 0; i < bundle->instrument_count; i++) {
        const sentinel_instrument *row = &bundle->instruments[i];
        SENTINEL_TRY(need(row->id > id_before, SENTINEL_FORMAT_ORDER));
        id_before = row->id;
        SENTINEL_TRY(need(row->venue != SENTINEL_VENUE_NONE && row->venue < SENTINEL_VENUE_COUNT &&
                              row->environment >= SENTINEL_ENVIRONMENT_LIVE &&
                              row->environment <= SENTINEL_ENVIRONMENT_LAB &&
                              row->quantity_unit < SENTINEL_UNIT_COUNT &&
                              (units_of(row->contract) >> row->quantity_unit & 1) != 0 &&
                              row->symbol_size != 0,
                          SENTINEL_FORMAT_RANGE));
        SENTINEL_TRY(terms_check(row));
        SENTINEL_TRY(code_check(row->symbol, row->symbol_size, sizeof row->symbol, ""));
        int settled = row->settle == 0 ? row->contract == SENTINEL_CONTRACT_SPOT
                                       : sentinel_bundle_asset(bundle, row->settle) != NULL;
        SENTINEL_TRY(need(settled && sentinel_bundle_asset(bundle, row->base) != NULL &&
                              sentinel_bundle_asset(bundle, row->quote) != NULL,
                          SENTINEL_FORMAT_REFERENCE));
        SENTINEL_TRY(need(settles_as_valued(row), SENTINEL_FORMAT_RANGE));
        SENTINEL_TRY(
            need(IS_ZERO(row->reserved0) && IS_ZERO(row->reserved1), SENTINEL_FORMAT_RESERVED));
    }
    return SENTINEL_OK;
}

static sentinel_status keys_check(const sentinel_bundle *bundle) {
    uint32_t id_before = 0;
    for (uint32_t i = 0; i < bundle->key_count; i++) {
        const sentinel_key *key = &bundle->keys[i];
        SENTINEL_TRY(need(key->id > id_before, SENTINEL_FORMAT_ORDER));
        id_before = key->id;
        int is_venues =
            key->purpose == SENTINEL_PURPOSE_VENUE || key->purpose == SENTINEL_PURPOSE_VENUE_MASTER;
        SENTINEL_TRY(need((is_venues || key->purpose == SENTINEL_PURPOSE_MESSAGE) &&
                              is_venues == (key->venue != SENTINEL_VENUE_NONE) &&
                              key->venue < SENTINEL_VENUE_COUNT && key->algorithm != 0 &&
                              key->algorithm < SENTINEL_ALGORITHM_COUNT,
                          SENTINEL_FORMAT_RANGE));
        SENTINEL_TRY(
            need((key->products & ~SENTINEL_PRODUCTS_ALL) == 0 && is_venues == (key->products != 0),
                 SENTINEL_FORMAT_RANGE));
        SENTINEL_TRY(need(key->node < bundle->node_count, SENTINEL_FORMAT_REFERENCE));
        uint32_t known = SENTINEL_KEY_ENDPOINT_CHECKED | SENTINEL_KEY_ENDPOINT_GRANT;
        SENTINEL_TRY(
            need((key->flags & ~known) == 0 && IS_ZERO(key->reserved0) && IS_ZERO(key->reserved1),
                 SENTINEL_FORMAT_RESERVED));
    }
    return SENTINEL_OK;
}

/* ---- Constraints and lists --------------------------------------------------- */

/* A field that the kind has not is zero. */
static int unused(const policy_rule *rule, uint32_t field, int64_t value) {
    return (rule->fields & field) != 0 || value == 0;
}

static sentinel_status fields_check(const policy_rule *rule, const sentinel_constraint *row) {
    if (row->each > SENTINEL_EACH_AGENT || row->bound_scale > SENTINEL_SCALE_MAX ||
        row->bound < 0 || row->bound > rule->bound_max || row->window_ns < 0 ||
        row->window_ns > SENTINEL_WINDOW_NS_MAX || row->max_age_ns < 0 ||
        (row->mask & ~rule->mask_bits) != 0) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (((rule->fields & POLICY_FIELD_WINDOW) != 0 && row->window_ns == 0) ||
        ((rule->fields & POLICY_FIELD_MAX_AGE) != 0 && row->max_age_ns == 0) ||
        ((rule->fields & POLICY_FIELD_QUORUM) != 0 &&
         (row->quorum == 0 || row->quorum > SENTINEL_QUORUM_MAX))) {
        return SENTINEL_FORMAT_RANGE;
    }
    uint32_t lists = POLICY_FIELD_IDS | POLICY_FIELD_DESTINATIONS;
    return need(unused(rule, lists, row->list_first) && unused(rule, lists, row->list_count) &&
                    unused(rule, POLICY_FIELD_BOUND_SCALE, row->bound_scale) &&
                    unused(rule, POLICY_FIELD_WINDOW, row->window_ns) &&
                    unused(rule, POLICY_FIELD_MAX_AGE, row->max_age_ns) &&
                    unused(rule, POLICY_FIELD_EACH, row->each) &&
                    unused(rule, POLICY_FIELD_QUORUM, row->quorum) && IS_ZERO(row->reserved1),
                SENTINEL_FORMAT_RESERVED);
}

/* A run lies within its section, and is ascending and unique. */
static sentinel_status list_check(const sentinel_bundle *bundle, const policy_rule *rule,
                                  const sentinel_constraint *row) {
    int of_ids = (rule->fields & POLICY_FIELD_IDS) != 0;
    uint32_t total = of_ids ? bundle->id_count : bundle->destination_count;
    if (row->list_first > total || row->list_count > total - row->list_first) {
        return SENTINEL_FORMAT_REFERENCE;
    }
    for (uint32_t i = 1; i < row->list_count; i++) {
        size_t at = (size_t)row->list_first + i;
        int ascends = of_ids ? bundle->ids[at - 1] < bundle->ids[at]
                             : memcmp(bundle->destinations + (at - 1) * 32,
                                      bundle->destinations + at * 32, 32) < 0;
        SENTINEL_TRY(need(ascends, SENTINEL_FORMAT_ORDER));
    }
    return SENTINEL_OK;
}

static sentinel_status constraints_check(const sentinel_bundle *bundle) {
    uint64_t steps = 0;
    for (uint32_t i = 0; i < bundle->constraint_count; i++) {
        const sentinel_constraint *row = &bundle->constraints[i];
        const policy_rule *rule = policy_rule_of(row->kind);
        SENTINEL_TRY(need(rule != NULL && row->id != 0 && row->actions != 0 &&
                              (row->actions & ~POLICY_ALL_ACTIONS) == 0 && row->venues != 0 &&
                              (row->venues & ~POLICY_ALL_VENUES) == 0,
                          SENTINEL_FORMAT_RANGE));
        SENTINEL_TRY(fields_check(rule, row));
        SENTINEL_TRY(rule->check != NULL ? rule->check(row) : SENTINEL_OK);
        SENTINEL_TRY(name_check(bundle, row->name, row->name_size));
        SENTINEL_TRY(need(row->instrument == 0 ||
                              sentinel_bundle_instrument(bundle, row->instrument) != NULL,
                          SENTINEL_FORMAT_REFERENCE));
        steps += row->list_count;
        SENTINEL_TRY(need(steps <= LIST_STEPS_MAX, SENTINEL_FORMAT_LIMIT));
        SENTINEL_TRY(list_check(bundle, rule, row));
    }
    return SENTINEL_OK;
}

static sentinel_status lists_check(const sentinel_bundle *bundle) {
    for (uint32_t i = 0; i < bundle->id_count; i++) {
        SENTINEL_TRY(need(sentinel_bundle_instrument(bundle, bundle->ids[i]) != NULL,
                          SENTINEL_FORMAT_REFERENCE));
    }
    for (uint32_t i = 1; i < bundle->sanction_count; i++) {
        const uint8_t *row = bundle->sanctions + (size_t)i * 16;
        SENTINEL_TRY(need(memcmp(row - 16, row, 16) < 0, SENTINEL_FORMAT_ORDER));
    }
    return SENTINEL_OK;
}

sentinel_status policy_rows_check(const sentinel_bundle *bundle) {
    SENTINEL_TRY(text_check(bundle));
    SENTINEL_TRY(nodes_check(bundle));
    SENTINEL_TRY(assets_check(bundle));
    SENTINEL_TRY(networks_check(bundle));
    SENTINEL_TRY(instruments_check(bundle));
    SENTINEL_TRY(keys_check(bundle));
    SENTINEL_TRY(constraints_check(bundle));
    return lists_check(bundle);
}
