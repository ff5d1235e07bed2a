/* The policy bundle: its sections in their places, and rows by id. */
#include "policy_rules.h"

/* What stands in a section. */
static const struct {
    uint32_t row_bytes;
    uint32_t count_max;
} sections[SENTINEL_SECTION_COUNT] = {
    [SENTINEL_SECTION_NODES] = {sizeof(sentinel_node), SENTINEL_NODES_MAX},
    [SENTINEL_SECTION_ASSETS] = {sizeof(sentinel_asset), SENTINEL_ASSETS_MAX},
    [SENTINEL_SECTION_NETWORKS] = {sizeof(sentinel_network), SENTINEL_NETWORKS_MAX},
    [SENTINEL_SECTION_INSTRUMENTS] = {sizeof(sentinel_instrument), SENTINEL_INSTRUMENTS_MAX},
    [SENTINEL_SECTION_KEYS] = {sizeof(sentinel_key), SENTINEL_KEYS_MAX},
    [SENTINEL_SECTION_CONSTRAINTS] = {sizeof(sentinel_constraint), SENTINEL_CONSTRAINTS_MAX},
    [SENTINEL_SECTION_IDS] = {sizeof(uint32_t), SENTINEL_IDS_MAX},
    [SENTINEL_SECTION_DESTINATIONS] = {32, SENTINEL_DESTINATIONS_MAX},
    [SENTINEL_SECTION_SANCTIONS] = {16, SENTINEL_SANCTIONS_MAX},
    [SENTINEL_SECTION_TEXT] = {1, SENTINEL_TEXT_MAX},
};

/* Every section begins where the one before ends, rounded up to 8, and the
 * last one ends the payload so. The padding is zero. */
static sentinel_status sections_check(const uint8_t *payload, size_t size) {
    const sentinel_policy *policy = (const sentinel_policy *)payload;
    uint64_t end = sizeof *policy;
    for (unsigned i = 0; i < SENTINEL_SECTION_COUNT; i++) {
        const sentinel_section *section = &policy->sections[i];
        if (section->count > sections[i].count_max) {
            return SENTINEL_FORMAT_LIMIT;
        }
        uint64_t begin = bytes_round_up(end, 8);
        if (section->offset != begin) {
            return SENTINEL_FORMAT_RANGE;
        }
        uint64_t rows_end = begin + (uint64_t)section->count * sections[i].row_bytes;
        if (rows_end > size) {
            return SENTINEL_FORMAT_SIZE;
        }
        if (!bytes_are_zero(payload + end, (size_t)(begin - end))) {
            return SENTINEL_FORMAT_RESERVED;
        }
        end = rows_end;
    }
    if (size != bytes_round_up(end, 8)) {
        return SENTINEL_FORMAT_SIZE;
    }
    return bytes_are_zero(payload + end, size - (size_t)end) ? SENTINEL_OK
                                                             : SENTINEL_FORMAT_RESERVED;
}

/* A mode for each action; where people approve, how many and for how long. */
static sentinel_status oversight_check(const sentinel_policy *policy) {
    int approves = 0;
    for (unsigned i = 0; i < sizeof policy->oversight; i++) {
        int is_action = i != 0 && i < SENTINEL_ACTION_COUNT;
        if (policy->oversight[i] >= (is_action ? SENTINEL_OVERSIGHT_COUNT : 1)) {
            return is_action ? SENTINEL_FORMAT_RANGE : SENTINEL_FORMAT_RESERVED;
        }
        approves |= policy->oversight[i] == SENTINEL_OVERSIGHT_APPROVE;
    }
    if (!approves) {
        return policy->approval_quorum == 0 && policy->approval_ns == 0 ? SENTINEL_OK
                                                                        : SENTINEL_FORMAT_RESERVED;
    }
    return policy->approval_quorum != 0 && policy->approval_quorum <= SENTINEL_QUORUM_MAX &&
                   policy->approval_ns > 0 && policy->approval_ns <= SENTINEL_WINDOW_NS_MAX
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RANGE;
}

static sentinel_status policy_check(const sentinel_policy *policy) {
    if (policy->semantics_version != SENTINEL_SEMANTICS_VERSION) {
        return SENTINEL_POLICY_SEMANTICS;
    }
    if (policy->attempt_limit == 0 || policy->attempt_interval_ns <= 0 ||
        policy->clock_tolerance_ns < 0 || policy->mark_max_age_ns <= 0 ||
        policy->market_band_ppm >= MATH_PPM || policy->book_entries == 0 ||
        policy->book_entries > SENTINEL_BOOK_ENTRIES_MAX ||
        (policy->book_entries & (policy->book_entries - 1)) != 0) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (policy->lease_ns < 0 || policy->lease_ns > SENTINEL_WINDOW_NS_MAX) {
        return SENTINEL_FORMAT_RANGE;
    }
    SENTINEL_TRY(oversight_check(policy));
    return bytes_are_zero(policy->reserved, sizeof policy->reserved) ? SENTINEL_OK
                                                                     : SENTINEL_FORMAT_RESERVED;
}

static void point(sentinel_bundle *bundle, const sentinel_frame *frame) {
    const uint8_t *payload = frame->payload;
    const sentinel_policy *policy = (const sentinel_policy *)payload;
    const sentinel_section *at = policy->sections;
    *bundle = (sentinel_bundle){
        .frame = frame->header,
        .policy = policy,
        .nodes = (const sentinel_node *)(payload + at[SENTINEL_SECTION_NODES].offset),
        .assets = (const sentinel_asset *)(payload + at[SENTINEL_SECTION_ASSETS].offset),
        .networks = (const sentinel_network *)(payload + at[SENTINEL_SECTION_NETWORKS].offset),
        .instruments =
            (const sentinel_instrument *)(payload + at[SENTINEL_SECTION_INSTRUMENTS].offset),
        .keys = (const sentinel_key *)(payload + at[SENTINEL_SECTION_KEYS].offset),
        .constraints =
            (const sentinel_constraint *)(payload + at[SENTINEL_SECTION_CONSTRAINTS].offset),
        .ids = (const uint32_t *)(payload + at[SENTINEL_SECTION_IDS].offset),
        .destinations = payload + at[SENTINEL_SECTION_DESTINATIONS].offset,
        .sanctions = payload + at[SENTINEL_SECTION_SANCTIONS].offset,
        .text = (const char *)payload + at[SENTINEL_SECTION_TEXT].offset,
        .node_count = at[SENTINEL_SECTION_NODES].count,
        .asset_count = at[SENTINEL_SECTION_ASSETS].count,
        .network_count = at[SENTINEL_SECTION_NETWORKS].count,
        .instrument_count = at[SENTINEL_SECTION_INSTRUMENTS].count,
        .key_count = at[SENTINEL_SECTION_KEYS].count,
        .constraint_count = at[SENTINEL_SECTION_CONSTRAINTS].count,
        .id_count = at[SENTINEL_SECTION_IDS].count,
        .destination_count = at[SENTINEL_SECTION_DESTINATIONS].count,
        .sanction_count = at[SENTINEL_SECTION_SANCTIONS].count,
        .text_size = at[SENTINEL_SECTION_TEXT].count,
    };
    memcpy(bundle->hash32, frame->hash32, sizeof bundle->hash32);
}

sentinel_status sentinel_bundle_check(sentinel_bundle *bundle, const void *bytes, size_t size) {
    if (bundle == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    sentinel_frame frame;
    SENTINEL_TRY(sentinel_frame_parse(&frame, bytes, size, SENTINEL_FRAME_POLICY));
    if (frame.payload_size < sizeof(sentinel_policy)) {
        return SENTINEL_FORMAT_SIZE;
    }
    SENTINEL_TRY(policy_check((const sentinel_policy *)frame.payload));
    SENTINEL_TRY(sections_check(frame.payload, frame.payload_size));
    point(bundle, &frame);
    return policy_rows_check(bundle);
}

const void *policy_find(const void *rows, uint32_t count, size_t row_bytes, uint32_t id) {
    const uint8_t *base = rows;
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const uint8_t *row = base + middle * row_bytes;
        uint32_t found;
        memcpy(&found, row, sizeof found);
        if (found == id) {
            return row;
        }
        if (found < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const sentinel_instrument *sentinel_bundle_instrument(const sentinel_bundle *bundle, uint32_t id) {
    return policy_find(bundle->instruments, bundle->instrument_count, sizeof *bundle->instruments,
                       id);
}

const sentinel_asset *sentinel_bundle_asset(const sentinel_bundle *bundle, uint32_t id) {
    return policy_find(bundle->assets, bundle->asset_count, sizeof *bundle->assets, id);
}

const sentinel_network *sentinel_bundle_network(const sentinel_bundle *bundle, uint32_t id) {
    return policy_find(bundle->networks, bundle->network_count, sizeof *bundle->networks, id);
}

const sentinel_key *sentinel_bundle_key(const sentinel_bundle *bundle, uint32_t id) {
    return policy_find(bundle->keys, bundle->key_count, sizeof *bundle->keys, id);
}

uint32_t sentinel_bundle_node(const sentinel_bundle *bundle, uint32_t id) {
    for (uint32_t i = 0; i < bundle->node_count; i++) {
        if (bundle->nodes[i].id == id) {
            return i;
        }
    }
    return SENTINEL_NODE_NONE;
}
