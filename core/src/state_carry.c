/* A new version of the policy: the state of the one before is carried over by
 * id (docs/2-policy.md, "A new version"). */
#include "state_internal.h"

/* Everything that is the engine's, and not the policy's. */
void state_carry_engine(sentinel_state *state, const sentinel_state *old) {
    state->halted = old->halted;
    state->record_count = old->record_count;
    state->epoch = old->epoch;
    state->last_now_ns = old->last_now_ns;
    state->strangers = old->strangers;
    memcpy(state->sequences, old->sequences, sizeof state->sequences);
    memcpy(state->last_hash32, old->last_hash32, 32);
    memcpy(state->engine_id32, old->engine_id32, 32);
    memcpy(state->limit_hash32, old->limit_hash32, 32);
    memcpy(state->authority_hash32, old->authority_hash32, 32);
    memcpy(state->keyring_hash32, old->keyring_hash32, 32);
    state->keys = old->keys;
    memcpy(state->key_counters, old->key_counters, sizeof state->key_counters);
    state->released = old->released;
    state->lease_until_ns = old->lease_until_ns;
    state->relied_ns = old->relied_ns;
    state->grant = old->grant;
    memcpy(state->venues, old->venues, sizeof state->venues);
    memcpy(state->feeders, old->feeders, sizeof state->feeders);
    state->pending_used = old->pending_used;
    memcpy(state->pending, old->pending, sizeof state->pending);
    state->destination_next = old->destination_next;
    memcpy(state->destinations, old->destinations, sizeof state->destinations);
}

/* Entries are put in again; where two now meet, the higher action id stays. */
static void carry_book(const sentinel_view *view, uint32_t node, const sentinel_view *old,
                       uint32_t old_node) {
    const sentinel_book_entry *from = sentinel_view_book(old, old_node, 0);
    for (uint32_t i = 0; i < old->bundle.policy->book_entries; i++) {
        sentinel_book_entry *place = sentinel_view_book(view, node, from[i].action_id);
        if (from[i].action_id > place->action_id) {
            *place = from[i];
        }
    }
}

/* The strictest stop of a node and those above it. */
static sentinel_stop_state strictest(const sentinel_view *view, uint32_t node, int64_t now_ns) {
    sentinel_stop_state strict = {.mode = SENTINEL_RUNNING};
    for (unsigned i = view->bundle.nodes[node].depth + 1u; i > 0; i--) {
        const sentinel_stop_state *own = sentinel_view_node(view, node);
        if (sentinel_stop_loosens(own, &strict, now_ns)) {
            strict = *own;
        }
        node = view->bundle.nodes[node].parent;
    }
    return strict;
}

/* A halt or drain is lifted by a command: not by leaving a node out, not by
 * giving its id to another kind, and not by moving an agent away from under it. */
static sentinel_status nodes_keep_stops(const sentinel_view *view, const sentinel_view *old) {
    int64_t now_ns = old->state->last_now_ns;
    for (uint32_t i = 0; i < old->bundle.node_count; i++) {
        const sentinel_node *from = &old->bundle.nodes[i];
        uint32_t node = state_find_node(view, from->id);
        int kept = node != SENTINEL_NODE_NONE && view->bundle.nodes[node].kind == from->kind;
        if (sentinel_view_node(old, i)->mode != SENTINEL_RUNNING && !kept) {
            return SENTINEL_FORMAT_REFERENCE;
        }
        if (!kept || from->kind != SENTINEL_NODE_AGENT) {
            continue;
        }
        sentinel_stop_state before = strictest(old, i, now_ns);
        sentinel_stop_state after = strictest(view, node, now_ns);
        if (sentinel_stop_loosens(&before, &after, now_ns)) {
            return SENTINEL_FORMAT_REFERENCE;
        }
    }
    return SENTINEL_OK;
}

/* What the venue takes for one market: Hyperliquid goes by its number alone. */
static int is_same_market(const sentinel_instrument *a, const sentinel_instrument *b) {
    if (a == NULL || b == NULL || a->venue != b->venue) {
        return 0;
    }
    if (a->venue == SENTINEL_VENUE_HYPERLIQUID) {
        return a->venue_index == b->venue_index;
    }
    return a->contract == b->contract && a->symbol_size == b->symbol_size &&
           memcmp(a->symbol, b->symbol, a->symbol_size) == 0;
}

/* Nor by leaving an instrument out, by giving its id to another, or by
 * trading the same under a new id. */
static sentinel_status instruments_keep_stops(const sentinel_view *view, const sentinel_view *old) {
    for (uint32_t i = 0; i < old->bundle.instrument_count; i++) {
        const sentinel_instrument *from = &old->bundle.instruments[i];
        if (sentinel_view_instrument(old, from)->mode == SENTINEL_RUNNING) {
            continue;
        }
        if (!is_same_market(from, sentinel_bundle_instrument(&view->bundle, from->id))) {
            return SENTINEL_FORMAT_REFERENCE;
        }
        for (uint32_t k = 0; k < view->bundle.instrument_count; k++) {
            const sentinel_instrument *row = &view->bundle.instruments[k];
            const sentinel_instrument *was = sentinel_bundle_instrument(&old->bundle, row->id);
            if (is_same_market(from, row) && !is_same_market(from, was)) {
                return SENTINEL_FORMAT_REFERENCE;
            }
        }
    }
    return SENTINEL_OK;
}

/* What a position's number means. */
static int is_same_holding(const sentinel_instrument *a, const sentinel_instrument *b) {
    sentinel_decimal one = math_normal(a->multiplier);
    sentinel_decimal other = math_normal(b->multiplier);
    return a->venue == b->venue && a->contract == b->contract && a->base == b->base &&
           a->quantity_unit == b->quantity_unit && one.mantissa == other.mantissa &&
           one.scale == other.scale;
}

/* A position may be forgotten, with its instrument, but not become another. */
static sentinel_status positions_keep(const sentinel_view *view, const sentinel_view *old) {
    for (uint32_t i = 0; i < old->bundle.instrument_count; i++) {
        const sentinel_instrument *from = &old->bundle.instruments[i];
        const sentinel_instrument *row = sentinel_bundle_instrument(&view->bundle, from->id);
        if (sentinel_view_position(old, from)->mantissa != 0 && row != NULL &&
            !is_same_holding(from, row)) {
            return SENTINEL_FORMAT_REFERENCE;
        }
    }
    return SENTINEL_OK;
}

static void carry_nodes(const sentinel_view *view, const sentinel_view *old) {
    for (uint32_t i = 0; i < old->bundle.node_count; i++) {
        const sentinel_stop_state *from = sentinel_view_node(old, i);
        uint32_t node = state_find_node(view, from->id);
        if (node == SENTINEL_NODE_NONE) {
            continue;
        }
        *sentinel_view_node(view, node) = *from;
        const sentinel_agent_state *agent = sentinel_view_agent(old, i);
        if (agent != NULL && sentinel_view_agent(view, node) != NULL) {
            *sentinel_view_agent(view, node) = *agent;
            carry_book(view, node, old, i);
        }
    }
}

static void carry_instruments(const sentinel_view *view, const sentinel_view *old) {
    for (uint32_t i = 0; i < view->bundle.instrument_count; i++) {
        const sentinel_instrument *row = &view->bundle.instruments[i];
        const sentinel_instrument *from = sentinel_bundle_instrument(&old->bundle, row->id);
        if (from != NULL) {
            *sentinel_view_instrument(view, row) = *sentinel_view_instrument(old, from);
            *sentinel_view_position(view, row) = *sentinel_view_position(old, from);
        }
    }
}

/* Both tables are in ascending order of id. */
static void carry_marks(sentinel_mark_state *marks, uint32_t count, const sentinel_mark_state *old,
                        uint32_t old_count) {
    for (uint32_t i = 0; i < count; i++) {
        const sentinel_mark_state *from = policy_find(old, old_count, sizeof *old, marks[i].id);
        if (from != NULL) {
            marks[i] = *from;
        }
    }
}

/* The row whose state a constraint takes over; SENTINEL_NODE_NONE for none. */
static uint32_t row_before(const sentinel_view *view, uint32_t row, const sentinel_view *old) {
    const sentinel_constraint *constraint = &view->bundle.constraints[row];
    uint32_t before = state_find_constraint(old, constraint->id);
    if (before == SENTINEL_NODE_NONE || old->bundle.constraints[before].kind != constraint->kind ||
        old->bundle.constraints[before].each != constraint->each) {
        return SENTINEL_NODE_NONE;
    }
    return before;
}

static int is_below(const sentinel_bundle *bundle, uint32_t node, uint32_t above) {
    for (unsigned i = bundle->nodes[node].depth; i > 0 && node != above; i--) {
        node = bundle->nodes[node].parent;
    }
    return node == above;
}

/* Carries the windows of one node's constraints: the shared ones, or those
 * of one agent (of index `agent`, and `old_agent` before). */
static void carry_run(const sentinel_view *view, const sentinel_node *node, uint8_t each,
                      uint32_t agent, const sentinel_view *old, uint32_t old_agent) {
    for (uint32_t i = 0; i < node->constraint_count; i++) {
        uint32_t row = node->constraint_first + i;
        const sentinel_constraint *constraint = &view->bundle.constraints[row];
        const policy_window *window = policy_rule_of(constraint->kind)->window;
        if (window == NULL || constraint->each != each) {
            continue;
        }
        uint32_t before = row_before(view, row, old);
        if (before == SENTINEL_NODE_NONE) {
            continue;
        }
        const sentinel_constraint *old_constraint = &old->bundle.constraints[before];
        if (each == SENTINEL_EACH_AGENT &&
            !is_below(&old->bundle, old_agent, old_constraint->node)) {
            continue;
        }
        window->carry(state_window(view, row, window, agent), constraint,
                      state_window(old, before, window, old_agent), old_constraint,
                      old->state->last_now_ns);
    }
}

static void carry_windows(const sentinel_view *view, const sentinel_view *old) {
    const sentinel_node *nodes = view->bundle.nodes;
    for (uint32_t i = 0; i < view->bundle.node_count; i++) {
        carry_run(view, &nodes[i], SENTINEL_SHARED, i, old, 0);
        uint32_t before = state_find_node(old, nodes[i].id);
        if (nodes[i].kind != SENTINEL_NODE_AGENT || before == SENTINEL_NODE_NONE ||
            old->bundle.nodes[before].kind != SENTINEL_NODE_AGENT) {
            continue;
        }
        uint32_t above = i;
        for (unsigned k = nodes[i].depth + 1u; k > 0; k--) {
            carry_run(view, &nodes[above], SENTINEL_EACH_AGENT, i, old, before);
            above = nodes[above].parent;
        }
    }
}

sentinel_status state_carry(const sentinel_view *view, const sentinel_view *old) {
    sentinel_state *state = view->state;
    const sentinel_state *before = old->state;
    state_carry_engine(state, before);
    carry_nodes(view, old);
    SENTINEL_TRY(nodes_keep_stops(view, old));
    SENTINEL_TRY(instruments_keep_stops(view, old));
    SENTINEL_TRY(positions_keep(view, old));
    carry_instruments(view, old);
    carry_marks(state_at(view, state->instrument_marks), state->instrument_count,
                state_at(old, before->instrument_marks), before->instrument_count);
    carry_marks(state_at(view, state->asset_marks), state->asset_count,
                state_at(old, before->asset_marks), before->asset_count);
    carry_windows(view, old);
    for (uint32_t i = 0; i < view->bundle.node_count; i++) {
        policy_beat_settle(view, i); /* the rules may be others */
    }
    state->stopped = state_stopped(view);
    return SENTINEL_OK;
}
